// What one who looks at the dashboard sees, and when it was last touched. Read by visitor.py.
(() => {
  const CONTROLS = {
    language: ".st-key-language input",
    sample: ":is(.st-key-sample, [class*='st-key-sample-']) input",
    layer: "[class*='_layer-'] input",
    channel: "[class*='activation_channel-'] input",
    class: "[class*='st-key-class-'] input",
    method: ".st-key-heatmap_method input",
  };
  const FAULTS = "[data-testid=stException], [data-testid=stAlertContentError], [role=dialog]";
  const faults = new Set();

  // Components draw into roots of their own.
  const pictures = () => {
    const main = document.querySelector("[data-testid=stMain]");
    const hosts = main?.querySelectorAll("[data-testid=stBidiComponentIsolated]") ?? [];
    return [main, ...[...hosts].map((host) => host.shadowRoot)].flatMap((root) => [
      ...(root?.querySelectorAll("img, canvas") ?? []),
    ]);
  };
  const broken = () =>
    pictures().filter((one) => one.src && one.complete && !one.naturalWidth).map(words);
  const words = (picture) => picture.alt || picture.ariaLabel || "";
  // A canvas is mixed of the pictures before it: the last one is the map.
  const source = (picture) => picture.src ?? picture.previousElementSibling?.src ?? "";

  const whole = (word) => {
    const escaped = word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    return new RegExp(`(?<![A-Za-z0-9_])${escaped}(?![A-Za-z0-9_])`);
  };
  const says = (text, caption) => caption.every((word) => whole(word).test(text));

  const atRest = () =>
    document.querySelector("[data-testid=stApp][data-test-script-state=notRunning]") &&
    !document.querySelector("[data-stale=true], [data-testid=stSkeleton]");
  const heading = () => document.querySelector("[data-testid=stMain] h2")?.textContent.trim();
  const plain = (text) => text?.replace(/\s+/g, " ");
  const control = (name) => plain(document.querySelector(CONTROLS[name])?.value);
  const atWork = () => document.querySelector("[class*='_cancel '] button") !== null;
  const stopped = () => document.querySelector(".st-key-heatmap_again button") !== null;

  // Not the pictures themselves: to send megabytes at each look would slow down what is measured.
  const digest = async (text) => {
    const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    return btoa(String.fromCharCode(...new Uint8Array(bytes)));
  };

  window.seen = async () => ({
    controls: Object.fromEntries(
      Object.keys(CONTROLS).map((name) => [name, control(name)]).filter(([, value]) => value != null),
    ),
    pictures: await Promise.all(
      pictures()
        .filter((one) => words(one) && source(one))
        .map(async (one) => [words(one), await digest(source(one))]),
    ),
    atWork: atWork(),
    faults: [...faults],
  });

  // What is not as a visitor has chosen: nothing, once a click has been answered in full.
  window.missing = (wanted) => {
    const found = pictures().map(words);
    const captions = wanted.mayWork && (atWork() || stopped()) ? [] : wanted.captions;
    const query = new URLSearchParams(location.search);
    const differ = (table, read) =>
      Object.entries(table)
        .filter(([name, value]) => read(name) !== value)
        .map(([name, value]) => `${name}: ${value}, not ${read(name)}`);
    return [
      ...(atRest() ? [] : ["rest"]),
      ...broken().map((one) => `all of the picture of ${one}`),
      ...(heading() === wanted.heading ? [] : [`${wanted.heading}, not ${heading()}`]),
      ...differ(wanted.controls, control),
      ...differ(wanted.address, (name) => query.get(name)),
      ...captions
        .filter((caption) => !found.some((text) => says(text, caption)))
        .map((caption) => `a picture of ${caption}, among ${found}`),
    ];
  };

  // Milliseconds since the last click or key, once nothing is missing; 0 before.
  window.answered = (wanted) =>
    window.missing(wanted).length ? 0 : performance.now() - (window.touched ?? 0);

  for (const kind of ["pointerup", "keydown"]) {
    addEventListener(kind, () => { window.touched = performance.now(); }, true);
  }
  // Also what is there for a moment only.
  new MutationObserver(() => {
    for (const box of document.querySelectorAll(FAULTS)) faults.add(box.innerText);
  }).observe(document, { childList: true, subtree: true });
})();
