"""Pictures of the pages, compared within one run: a page looks the same however one comes to it.

The letters of a machine are its own, so no pictures of another one are kept. To look at all of
them: ``SCREENSHOTS=folder python -m pytest -m slow tests/browser/test_browser_screenshots.py``.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from browser_driver import SCHEMES, Visitor, dress, settle
from PIL import Image

PAGES = ("network", "architecture", "activations", "filters", "heatmaps", "convolution")
VIEWS = {
    "filters": ("several", "channel", "layer", "class"),
    "heatmaps": ("one", "compare", "parts", "layers", "evidence"),
}
#: Each page, and each view of those that have some.
PLACES = [(page, view) for page in PAGES for view in VIEWS.get(page, ("",))]
LANGUAGES = {"en": "English", "zh": "中文"}
# The quickest network, layer and recipe that are bundled.
START = "/?network=cats-vs-dogs&layer=conv1&recipe=classic"
# Higher than the longest page, which scrolls inside the window.
WINDOW = {"width": 1280, "height": 2800}
#: What a window of usual height shows beside the sidebar and below the menu.
FIRST_LOOK = np.s_[100:900, 320:]
MENU, VIEW = "[data-testid=stTopNavLink]", ":is(.st-key-view, .st-key-filter_view) [role=radio]"
# Chromium does not draw round corners alike each time. One other digit is ten pixels and more.
LEVELS, SPECKS = 8, 4
AT_WORK = "[data-testid=stMain] [class*=_cancel]"


def arrive(visitor: Visitor, page: str, view: str) -> None:
    """Come to a place by clicks."""
    menu, options = visitor.page.locator(MENU), visitor.page.locator(VIEW)
    menu.nth(len(PAGES) - 1).wait_for()
    assert menu.count() == len(PAGES)
    link = menu.nth(PAGES.index(page))
    address = link.evaluate("link => link.href")
    link.click()
    visitor.until(lambda: visitor.page.url.split("?")[0] == address)
    settle(visitor.page)
    if view:
        options.last.wait_for()
        assert options.count() == len(VIEWS[page])
        options.nth(VIEWS[page].index(view)).click()
        visitor.until(lambda: f"view={view}" in visitor.page.url)


def at_rest(visitor: Visitor) -> np.ndarray:
    """The pixels when nothing is at work or moves, away from mouse and keyboard."""
    page, shots = visitor.page, []
    page.get_by_role("heading", level=2).first.wait_for()
    settle(page)
    visitor.until(lambda: not page.locator(AT_WORK).count())
    page.mouse.move(640, 5)
    page.evaluate("document.activeElement?.blur()")
    settle(page)
    page.wait_for_load_state("networkidle")

    def still() -> bool:
        shots.append(visitor.shoot())
        return len(shots) > 1 and np.array_equal(*shots[-2:])

    visitor.until(still)
    return shots[-1]


def speak(visitor: Visitor, language: str) -> None:
    visitor.select("Language · 语言", LANGUAGES[language])
    visitor.until(lambda: visitor.page.evaluate("document.documentElement.lang") == language)


def differing(pixels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Where two pictures are not the same."""
    return np.abs(pixels.astype(int) - others).max(axis=2) > LEVELS


def drawn(pixels: np.ndarray) -> float:
    """Part of the pixels that are not background."""
    looked_at = pixels[FIRST_LOOK].astype(int)
    background = np.median(looked_at, axis=(0, 1))
    return float((np.abs(looked_at - background).max(axis=2) > 40).mean())


class Album:
    """Pictures of one place after another, and what is wrong with them."""

    def __init__(self, kept: Path, failed: Path, ways: tuple[str, str]) -> None:
        self._kept, self._failed, self._ways = kept, failed, "-".join(ways)
        self.faults: list[str] = []

    def keep(self, place: str, pixels: np.ndarray) -> None:
        Image.fromarray(pixels).save(self._kept / f"{place}-{self._ways}.png")
        if drawn(pixels) < 0.02:
            self.faults.append(f"{place} is mostly blank, see {self._kept}")

    def same(self, place: str, how: str, pixels: np.ndarray, others: np.ndarray) -> None:
        """Note a difference, with the pictures in which it can be seen."""
        where = differing(pixels, others)
        if where.sum() <= SPECKS:
            return
        pictures = {"before": pixels, "after": others, "difference": where}
        files = {part: self._failed / f"{place}-{how}-{part}.png" for part in pictures}
        for part, file in files.items():
            Image.fromarray(pictures[part]).save(file)
        named = ", ".join(map(str, files.values()))
        self.faults.append(f"{place}, {how}: {where.sum()} pixels differ, see {named}")

    def differ(self, place: str, how: str, part: float, least: float) -> None:
        if part < least:
            self.faults.append(f"{place}: {how} changes only {part:.2%} of the pixels")


def there_and_back(visitor: Visitor, ways: tuple[str, str]) -> Iterator[tuple[str, Callable]]:
    """What can be switched, and how to switch it: the other way, and as it was."""
    language, scheme = ways
    others = {"en": "zh", "zh": "en", "light": "dark", "dark": "light"}
    yield "theme", lambda back: dress(visitor.page, scheme if back else others[scheme])
    yield "language", lambda back: speak(visitor, language if back else others[language])


#: Part of the pixels that another theme or language changes at least.
LEAST = {"theme": 0.5, "language": 0.001}
QUICK = {
    ("zh", "dark"): [("activations", "")],
}
EVERY = [
    pytest.param((language, scheme), PLACES, marks=pytest.mark.slow, id=f"all-{language}-{scheme}")
    for language in LANGUAGES
    for scheme in SCHEMES
]


@pytest.mark.parametrize(
    ("ways", "places"),
    [*(pytest.param(*one, id="-".join(one[0])) for one in QUICK.items()), *EVERY],
)
def test_a_page_looks_the_same_however_one_comes_to_it(come, screenshots, tmp_path, ways, places):
    language, scheme = ways
    album = Album(screenshots, tmp_path, ways)
    visitor = come(f"{START}&lang={language}", color_scheme=scheme, viewport=WINDOW)
    for page, view in places:
        place = "-".join(filter(None, (page, view)))
        arrive(visitor, page, view)
        pixels = at_rest(visitor)
        album.keep(place, pixels)
        guest = come(
            visitor.page.url.removeprefix(visitor.server), color_scheme=scheme, viewport=WINDOW
        )
        album.same(place, "link", pixels, at_rest(guest))
        guest.page.reload()
        album.same(place, "reload", pixels, at_rest(guest))
        album.faults += guest.complaints()
        guest.page.goto("about:blank")  # many windows of this size take much memory
        for what, switch in there_and_back(visitor, ways):
            switch(back=False)
            album.differ(place, what, differing(pixels, at_rest(visitor)).mean(), LEAST[what])
            switch(back=True)
            album.same(place, what, pixels, at_rest(visitor))
    assert album.faults == []
