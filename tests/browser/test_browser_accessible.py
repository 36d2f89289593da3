"""The dashboard for people who see little, hear it read out, or use no mouse."""

from collections.abc import Iterator
from dataclasses import dataclass

from axe_playwright_python.sync_playwright import Axe
from browser_driver import SCHEMES, Visitor, dress, settle
from playwright.sync_api import Locator, Page


@dataclass(frozen=True)
class Known:
    """What axe rightly finds, in elements that are Streamlit's and not ours."""

    rule: str
    selector: str
    reason: str


KNOWN = (
    Known(
        "svg-img-alt",
        "[data-testid=stVegaLiteChart] g.role-mark",
        "Vega gives the marks of a chart a role and no name; the chart around them has ours.",
    ),
)
# The long jobs, and what is folded: they are looked at, too.
BEGINNERS = ("Make patterns", "Make all", "Shuffle", "What silences")
VIOLATIONS = """async (known) => {
  const found = await axe.run(document, { resultTypes: ["violations"], elementRef: true });
  const grave = found.violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  return grave.flatMap(({ id, nodes }) => nodes.map((node) => ({
    known: known.findIndex((one) => one.rule === id && node.element.matches(one.selector)),
    text: `${id}: ${node.element.outerHTML.slice(0, 200)} ${node.failureSummary}`,
  })));
}"""


def violations(page: Page) -> list[dict]:
    """What axe holds serious or critical, each with its place in the list of what is known."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(Axe().axe_script)
    known = [{"rule": one.rule, "selector": one.selector} for one in KNOWN]
    return page.evaluate(VIOLATIONS, known)


def pages(visitor: Visitor) -> Iterator[str]:
    """Open every page that the menu has."""
    links = visitor.page.get_by_test_id("stTopNavLink")
    links.first.wait_for()
    for address in links.evaluate_all("all => all.map(one => one.href)"):
        visitor.page.locator(f'[data-testid=stTopNavLink][href="{address}"]').click()
        visitor.until(lambda address=address: visitor.page.url.split("?")[0] == address)
        settle(visitor.page)
        yield visitor.heading()


def views(visitor: Visitor, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Choose, one after the other, each option of each row of options, and of those they show."""
    groups = visitor.page.locator("[data-testid=stMain] [role=radiogroup]")
    shown = groups.evaluate_all("all => all.map(one => one.ariaLabel)")
    inside = [name for name in shown if name not in path]
    if not inside:
        yield path
        return
    options = groups.and_(visitor.page.get_by_role("radiogroup", name=inside[0], exact=True))
    for name in options.get_by_role("radio").evaluate_all("all => all.map(one => one.innerText)"):
        option = options.get_by_role("radio", name=name, exact=True)
        if not option.count():
            return  # a row of the view before, which was still there
        choose(visitor, option, inside[0])
        yield from views(visitor, (*path, inside[0], name))


def choose(visitor: Visitor, option: Locator, group: str) -> None:
    before, chosen = visitor.page.url, option.get_attribute("aria-checked") == "true"
    option.click()
    if group == "View" and not chosen:
        # The address is written when all of the page is there.
        visitor.until(lambda: visitor.page.url != before)
    settle(visitor.page)


def unfold(visitor: Visitor) -> None:
    """Begin what is made when asked, wait for it, and open what is folded."""
    main = visitor.page.get_by_test_id("stMain")
    for name in BEGINNERS:
        button = main.get_by_role("button", name=name)
        if button.count() and button.is_enabled():
            button.click()
            settle(visitor.page)
    visitor.until(lambda: not main.get_by_role("button", name="Cancel").count())
    folded = main.locator("details:not([open]) > summary")
    while folded.count():
        folded.first.click()
    settle(visitor.page)


def sidebars(visitor: Visitor) -> Iterator[str]:
    """Open what the sidebar has besides networks and photos that come with it."""
    for source in ("Upload", "Camera"):
        visitor.page.get_by_role("radio", name=source).click()
        settle(visitor.page)
        yield source
    visitor.select("Network", "Your own model")
    for folded in ("Only weights", "Class names"):
        visitor.page.get_by_text(folded).click()
    settle(visitor.page)
    yield "own model"


def places(visitor: Visitor) -> Iterator[tuple[str, ...]]:
    for page in pages(visitor):
        for view in views(visitor):
            unfold(visitor)
            yield page, *view
    for sidebar in sidebars(visitor):
        yield "sidebar", sidebar


def test_axe_finds_nothing_grave_that_is_ours(come):
    visitor = come("/filters?network=cats-vs-dogs&layer=conv1&recipe=classic")
    seen, ours = set(), {}
    for place in places(visitor):
        for scheme in SCHEMES:
            dress(visitor.page, scheme)
            for found in violations(visitor.page):
                seen.add((scheme, found["known"]))
                if found["known"] < 0:
                    ours.setdefault(found["text"], (scheme, *place))
    assert ours == {}
    assert seen == {(scheme, number) for scheme in SCHEMES for number in range(len(KNOWN))}


# Where the Tab key stops: the element that has the focus, through shadow roots, and how it is told.
FOCUSED = """() => {
  let one = document.activeElement;
  while (one?.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
  if (!one || one === document.body) return null;
  const same = one === window.latest;
  const again = window.stops.has(one);
  window.latest = one;
  window.stops.add(one);
  const box = one.getBoundingClientRect();
  // A radio button is a hidden circle beside its words.
  const shown = box.width > 4 && box.height > 4 ? one : one.closest("label, [role=group]") ?? one;
  const { x, y, width, height } = shown.getBoundingClientRect();
  return {
    same, again, x, y, width, height, scrolls: one.matches("[data-testid=stMain]"),
    name: one.getAttribute("aria-label") || one.innerText || one.id || one.tagName,
  };
}"""
# What a mouse can do something with, and Tab has not come to. Of radio buttons one stands for all.
MISSED = """() => {
  const wanted = "a[href], button, input, select, textarea, summary, [role=slider], [tabindex='0']";
  const inside = (root) => [...root.querySelectorAll("*")].flatMap(
    (one) => one.shadowRoot ? inside(one.shadowRoot) : one.matches(wanted) ? [one] : []);
  const reached = [...window.stops];
  const usable = (one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled
    && one.getAttribute("aria-hidden") !== "true" && one.getClientRects().length
    && !one.closest("[inert]");
  const group = (one) => one.closest("[role=radiogroup], [role=toolbar]");
  const done = (one) => reached.includes(one)
    || (group(one) && reached.some((other) => group(other) === group(one)))
    || one.tabIndex < 0;
  return inside(document).filter((one) => usable(one) && !done(one))
    .map((one) => one.outerHTML.slice(0, 200));
}"""


def walk(page: Page) -> Iterator[dict]:
    """Press Tab until it comes to where it has been."""
    page.mouse.move(0, 0)
    page.evaluate("window.stops = new Set(); document.activeElement.blur()")
    for _ in range(300):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUSED)
        # Tab goes through the cells of a table one by one.
        if stop is None or stop["same"]:
            continue
        if stop["again"]:
            return
        yield stop
    raise AssertionError("Tab does not come back to where it began")


def is_marked(page: Page, stop: dict) -> bool:
    """Whether the focus can be seen: the place looks another way without it."""
    margin = 6
    clip = {
        "x": max(0, stop["x"] - margin),
        "y": max(0, stop["y"] - margin),
        "width": stop["width"] + 2 * margin,
        "height": stop["height"] + 2 * margin,
    }
    focused = page.screenshot(clip=clip, animations="disabled")
    page.evaluate("window.latest.blur()")
    left = page.screenshot(clip=clip, animations="disabled")
    page.evaluate("window.latest.focus({ preventScroll: true })")
    return focused != left


def test_tab_reaches_everything_and_shows_where_it_is(come):
    visitor = come("/filters?network=cats-vs-dogs&layer=conv1&recipe=classic")
    unmarked, looked_at = [], set()
    for _ in pages(visitor):
        visitor.page.wait_for_load_state("networkidle")
        for stop in walk(visitor.page):
            # The page itself can be scrolled by the arrow keys, and is no control.
            if stop["name"] in looked_at or stop["scrolls"]:
                continue
            looked_at.add(stop["name"])
            if not is_marked(visitor.page, stop):
                unmarked.append(stop["name"])
        assert visitor.page.evaluate(MISSED) == []
    assert unmarked == []
    assert len(looked_at) > 40


def test_a_heatmap_says_what_it_shows(come):
    visitor = come("/heatmaps?network=squeezenet&sample=parrot&method=HiResCAM")
    photo, shown = visitor.stage().locator("img").first, visitor.stage().get_by_role("img").last
    assert photo.get_attribute("alt") == "Photo: Parrot"
    words = shown.get_attribute("aria-label")
    assert words == "HiResCAM of conv10: evidence for lorikeet in Parrot"
