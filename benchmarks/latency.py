"""What a click takes until its answer is painted in Chromium.

Times are those that the page itself measures, from the last click or key; medians of many.

    python benchmarks/latency.py                      # vgg16-base, whose weights must be here
    python benchmarks/latency.py --network squeezenet
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "browser"))

from browser_driver import Visitor, settle
from real_server import FLAGS, chromium_here, serving

import vizlib

TIMES = 15
#: One whose weights are rarely here: its page has no network.
ABSENT = "densenet121"
# From the last click until what is wanted stands in the page and the browser has drawn it.
TOUCHED = """
for (const kind of ["pointerup", "keydown"]) {
  addEventListener(kind, () => { window.touched = performance.now(); }, true);
}
window.drawn = async (image) => {
  await image?.decode?.();
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  return performance.now() - window.touched;
};
// For one who asks again and again: 0 until it is drawn.
window.painted = (image) => {
  window.drawing ??= window.drawn(image).then((taken) => { window.taken = taken; });
  const taken = window.taken ?? 0;
  if (taken) window.taken = window.drawing = undefined;
  return taken;
};
"""
GRID = """(words) => {
  const host = document.querySelector(".st-key-activations_mosaic [data-testid*=stBidiComponent]");
  const image = host?.shadowRoot?.querySelector("img");
  return image?.alt.includes(words) ? window.painted(image) : 0;
}"""
# A run ends by writing its choices into the address.
RUN = "(before) => location.href !== before ? window.painted() : 0"
MOVED = """(slider) => {
  window.touched = performance.now();
  const [low, high] = [Number(slider.min), Number(slider.max)];
  const far = (Number(slider.value) - low) / (high - low) > 0.5;
  slider.value = low + (far ? 0.2 : 0.8) * (high - low);
  slider.dispatchEvent(new Event("input"));
  return window.drawn();
}"""


def answered(visitor: Visitor, check: str, wanted: str) -> float:
    """Milliseconds from the last click until a check holds and is painted."""
    return visitor.page.wait_for_function(check, arg=wanted).json_value()


def come(browser: Browser, server: str, address: str) -> Visitor:
    """Open a window."""
    visitor = Visitor(browser.new_page(viewport={"width": 1280, "height": 900}), server)
    visitor.page.add_init_script(TOUCHED)
    visitor.page.goto(server + address)
    settle(visitor.page)
    return visitor


def told(milliseconds: list[float]) -> str:
    """Median and slowest."""
    return f"median {statistics.median(milliseconds):4.0f} ms, slowest {max(milliseconds):4.0f} ms"


def widest(network: str) -> tuple[list[str], int]:
    """Two layers of a network with most channels, the later ones; and how many both have."""
    layers = sorted(vizlib.load_convnet(network).layers, key=lambda layer: layer.channels)[-2:]
    return [layer.name for layer in layers], layers[0].channels


def switch_grids(visitor: Visitor, names: list[str]) -> list[float]:
    """From one layer to the other and back, where both have been seen before."""
    box = visitor.page.locator("[class*='activations_layer-'] input")

    def choose(name: str) -> float:
        box.click()
        box.fill(name)
        visitor.page.get_by_role("option", name=name).first.click()
        taken = answered(visitor, GRID, f" {name} ")
        settle(visitor.page)
        return taken

    return [choose(names[number % 2]) for number in range(TIMES + 2)][2:]


def switch_photos(visitor: Visitor) -> list[float]:
    """From photo to photo on a page that has no network."""

    def choose(number: int) -> float:
        visitor.click_tile("samples", number % 4, 1, 4, 3)
        taken = answered(visitor, RUN, visitor.page.url)
        settle(visitor.page)
        return taken

    return [choose(number) for number in range(TIMES + 4)][4:]


def move(visitor: Visitor, name: str) -> list[float]:
    """A slider over the picture, to and fro."""
    slider = visitor.page.locator(f"input#{name}")
    return [slider.evaluate(MOVED) for _ in range(TIMES)]


def measure(browser: Browser, server: str, network: str) -> None:
    """Print a table."""
    alone = come(browser, server, f"/?network={ABSENT}&sample=parrot")
    before = switch_photos(alone)
    names, channels = widest(network)
    address = f"/activations?network={network}&sample=parrot&layer={names[1]}"
    visitor = come(browser, server, address)
    after = switch_photos(alone)
    ratio = statistics.median(after) / statistics.median(before)
    print(f"a photo, no network here or elsewhere   {told(before)}")
    print(f"the same beside {network:24}{told(after)}: {ratio:.2f} times as long")
    print(f"grid of {channels:4} channels{'':19}{told(switch_grids(visitor, names))}")
    visitor = come(browser, server, "/heatmaps?network=squeezenet&sample=parrot")
    visitor.stage().wait_for()
    print(f"opacity{'':33}{told(move(visitor, 'opacity'))}")
    print(f"before and after{'':24}{told(move(visitor, 'edge'))}")


def main() -> None:
    """Start the dashboard and a browser."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--network", default="vgg16-base")
    network = options.parse_args().network
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), weights=Path.home() / ".keras") as server,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium
        browser = chromium.launch(executable_path=chromium_here(), args=list(FLAGS))
        measure(browser, server, network)


if __name__ == "__main__":
    main()
