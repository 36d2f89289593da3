"""One who uses the dashboard in a browser.

Clicks, remembers each choice, and looks whether the page shows what was chosen: in its controls,
in the words and the pixels of its pictures, and in its address.
"""

import asyncio
import random
import time
import tomllib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import permutations
from pathlib import Path

from playwright.async_api import ConsoleMessage, Page
from playwright.async_api import TimeoutError as WaitedInVain

Act = Callable[[], Awaitable[None]]

ROOT = Path(__file__).parent.parent
SEEN = Path(__file__).parent / "seen.js"
LANGUAGES = {"English": "en", "中文": "zh"}
#: What stands above each page, in the order of the links.
HEADINGS = {
    "network": "network.title",
    "architecture": "architecture.question",
    "activations": "activations.title",
    "filters": "filters.question",
    "heatmaps": "heatmaps.title",
    "convolution": "convolution.question",
}
#: Besides language and sample, which stand at the side of all pages.
CONTROLS = {
    "activations": ("layer", "channel"),
    "filters": ("layer",),
    "heatmaps": ("method", "class", "layer"),
    "convolution": ("layer",),
}
QUICK = ("Grad-CAM", "HiResCAM", "Grad-CAM++", "LayerCAM", "Eigen-CAM", "Gradient x input")
LONG = ("RISE", "Score-CAM", "Ablation-CAM")
OF_PIXELS, OF_NO_CLASS = {"Gradient x input", "RISE"}, {"Eigen-CAM"}
#: Choices that make another one anew: nobody can make both in one moment.
ONE_AFTER_THE_OTHER = ({"sample", "class"}, {"layer", "channel"}, {"layer", "method"})
SECONDS_TO_THINK = 2, 4
MILLISECONDS_BETWEEN_LOOKS = 100
ACTS_REMEMBERED = 20
SECONDS_TO_OPEN, SECONDS_TO_ANSWER, SECONDS_TO_WORK = 5, 60, 300


@cache
def said(key: str, language: str) -> str:
    """A text of the dashboard, such as ``said("network.title", "中文")``."""
    module, *parts = key.split(".")
    found = tomllib.loads((ROOT / f"pages/texts/{module}.toml").read_text(encoding="utf-8"))
    for part in parts:
        found = found[part]
    return found[LANGUAGES[language]]


@cache
def samples() -> dict[str, str]:
    """Names of the sample photos, by their titles in all languages."""
    photos = tomllib.loads((ROOT / "pages/texts/photos.toml").read_text(encoding="utf-8"))
    return {title: name for name, titles in photos["sample"].items() for title in titles.values()}


def controls_on(page: str, method: str | None) -> list[str]:
    """Which choices a page has; methods that look at pixels have no layer."""
    here = CONTROLS.get(page, ())
    layerless = page == "heatmaps" and method in OF_PIXELS
    return ["language", "sample", *(name for name in here if name != "layer" or not layerless)]


def captions(page: str, controls: dict[str, str]) -> list[list[str]]:
    """What the pictures of a page must name for these choices, picture by picture.

    A choice that is not known yet is not asked for.
    """

    def named(*names: str) -> list[str]:
        return [bare(name, controls[name]) for name in names if name in controls]

    if page == "network":
        return [named("sample")]
    if page == "activations":
        return [named("layer", "sample"), named("channel", "layer", "sample")]
    if page != "heatmaps":
        return []
    over_layer = [] if controls.get("method") in OF_PIXELS else ["layer"]
    of_class = [] if controls.get("method") in OF_NO_CLASS else ["class"]
    return [named("sample"), named("method", *over_layer, *of_class, "sample")]


def bare(name: str, value: str) -> str:
    """What captions call a choice: without what menus say besides of layers and classes."""
    value = value.split(" · ")[0]
    return value.rsplit("/", 1)[-1] if name == "layer" else value


@dataclass(frozen=True)
class Click:
    """How long a page took to show what was chosen, and whether a long job ran meanwhile."""

    kind: str
    seconds: float
    beside_a_job: bool


@dataclass
class Crowd:
    """What all visitors share."""

    clicks: list[Click] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    #: Held by the one whose long job runs.
    work: asyncio.Lock = field(default_factory=asyncio.Lock)
    at_work: bool = False
    jobs: int = 0
    _gallery: dict[tuple, str] = field(default_factory=dict)

    def differs(self, shown: tuple, digest: str) -> bool:
        """Whether the same was another picture when it was seen first."""
        return self._gallery.setdefault(shown, digest) != digest

    @property
    def pictures(self) -> int:
        """How many different pictures were seen."""
        return len(self._gallery)


class Visitor:
    """A browser window, and the one in front of it."""

    def __init__(self, name: str, window: Page, crowd: Crowd, rng: random.Random) -> None:
        self.name = name
        self._window, self._crowd, self._rng = window, crowd, rng
        self._page = "network"
        self._known: dict[tuple, str] = {}
        self._acts: deque[str] = deque(maxlen=ACTS_REMEMBERED)
        window.set_default_timeout(SECONDS_TO_ANSWER * 1000)
        window.on("pageerror", lambda error: self._complain(f"script: {error}"))
        window.on("console", self._listen)

    async def come(self, address: str) -> None:
        """Open the dashboard; the first one of a fresh server waits for it to be ready."""
        await self._window.add_init_script(SEEN.read_text(encoding="utf-8"))
        await self._window.goto(address)
        await self._wait(timeout=SECONDS_TO_WORK)
        await self._look()

    async def live(self, until: float) -> None:
        """Click until a moment of `time.monotonic`."""
        while time.monotonic() < until:
            await self._think()
            try:
                if self._crowd.work.locked() or self._rng.random() < 0.5:
                    await self._click_about()
                else:
                    async with self._crowd.work:
                        await self._work()
            except WaitedInVain as error:
                self._complain(f"could not go on: {' '.join(error.message.split())}")
                self._known.clear()
                await self._look()

    # What one does.

    async def _click_about(self) -> None:
        """Do one thing, or two at once."""
        acts: dict[str, Act] = {"sample": self._choose_sample, "language": self._choose_language}
        choose = {
            "layer": self._choose_layer,
            "channel": self._choose_channel,
            "class": self._choose_class,
            "method": self._choose_method,
        }
        here = controls_on(self._page, self._known.get(("method",)))
        acts |= {name: choose[name] for name in here if name in choose}
        acts["page"] = self._go
        kinds = self._kinds(list(acts))
        for kind in kinds:
            await acts[kind]()
        await self._answered(" and ".join(kinds))

    def _kinds(self, kinds: Sequence[str]) -> Sequence[str]:
        if self._rng.random() > 0.2:
            # What a page is about is chosen more often than what stands beside it.
            return [self._rng.choice([*kinds, *kinds[2:-1], *kinds[2:]])]
        pairs = permutations(kinds, 2)
        return self._rng.choice(
            [pair for pair in pairs if pair[0] != "page" and set(pair) not in ONE_AFTER_THE_OTHER]
        )

    async def _go(self, page: str | None = None) -> None:
        pages = list(HEADINGS)
        self._page = page or self._rng.choice([name for name in pages if name != self._page])
        self._note(f"to {self._page}")
        await self._window.get_by_test_id("stTopNavLink").nth(pages.index(self._page)).click()

    async def _choose_sample(self) -> None:
        picture = self._window.locator(".st-key-samples_mosaic .mosaic")
        box = await picture.bounding_box() or {"width": 0, "height": 0}
        column, row = self._rng.randrange(4), self._rng.randrange(3)
        place = {"x": (column + 0.5) / 4 * box["width"], "y": (row + 0.5) / 3 * box["height"]}
        await picture.click(position=place)
        tiles = sorted(set(samples().values()), key=lambda name: (name != "cat-and-dog", name))
        self._know("sample", tiles[4 * row + column])

    async def _choose_channel(self) -> None:
        box = self._window.locator("[class*='activation_channel-'] input")
        if not await box.count():
            return
        channel = str(self._rng.randint(0, int(await box.get_attribute("max") or 0)))
        await box.fill(channel)
        await box.press("Enter")
        self._know("channel", channel)

    async def _choose_layer(self) -> None:
        await self._choose("layer", "[class*='_layer-']")

    async def _choose_class(self) -> None:
        await self._choose("class", "[class*='st-key-class-']")

    async def _choose_method(self) -> None:
        await self._choose("method", ".st-key-heatmap_method", self._rng.choice(QUICK))

    async def _choose_language(self) -> None:
        await self._choose("language", ".st-key-language", self._rng.choice(list(LANGUAGES)))

    async def _choose(self, name: str, where: str, wanted: str | None = None) -> None:
        """Choose one that is offered when a menu opens, or the wanted one.

        Where a page that is drawn anew closes the menu, or the menu scrolls away from what was read
        in it to what is chosen now, people try again.
        """
        for _ in range(SECONDS_TO_ANSWER // SECONDS_TO_OPEN):
            with suppress(WaitedInVain):
                return self._know(name, await self._pick(f"{where} input", wanted))
        raise WaitedInVain(f"No menu of {wanted or 'choices'} opens.")

    async def _pick(self, box: str, wanted: str | None) -> str:
        """Open a menu, and click what is wanted or any of what it offers; returns its words."""
        patience = SECONDS_TO_OPEN * 1000
        await self._window.locator(box).click()
        if wanted is not None:
            await self._window.locator(box).fill(wanted)
        options = self._window.get_by_role("option", name=wanted, exact=wanted is not None)
        await options.first.wait_for(timeout=patience)
        # By its words: the menu may scroll to what is chosen after it has opened.
        offered = [" ".join(text.split()) for text in await options.all_inner_texts()]
        text = self._rng.choice(offered)
        option = self._window.get_by_role("option", name=text, exact=True)
        # A menu that is still being scrolled takes no click.
        await option.hover(timeout=patience)
        await asyncio.sleep(0.3)
        await option.click(timeout=patience)
        return text

    async def _think(self) -> None:
        await asyncio.sleep(self._rng.uniform(*SECONDS_TO_THINK))

    # Long jobs.

    async def _work(self) -> None:
        """Begin a long job, and cancel it, look elsewhere meanwhile, or wait for it."""
        done = await self._rng.choice([self._ask_long, self._ask_long, self._make_patterns])()
        end = self._rng.choice([self._cancel, self._look_elsewhere, self._wait_for_it])
        if (await self._window.evaluate("seen()"))["atWork"]:
            self._crowd.at_work = True
            self._crowd.jobs += 1
            await self._think()
            await end(done)
            self._crowd.at_work = False
        if self._page == "heatmaps":
            await self._choose_method()
            await self._answered("method")

    async def _ask_long(self) -> list[list[str]]:
        await self._come_to("heatmaps")
        await self._choose("method", ".st-key-heatmap_method", self._rng.choice(LONG))
        await self._answered("long job")
        again = self._window.locator(".st-key-heatmap_again button")
        if await again.count():  # somebody has cancelled it here before
            await again.click()
            await asyncio.sleep(1)
        return captions("heatmaps", self._choices())

    async def _make_patterns(self) -> list[list[str]]:
        await self._come_to("filters")
        await self._window.locator(".st-key-filter_make button").click()
        # What was made before stands there meanwhile: nothing tells that the click was heard.
        await asyncio.sleep(1)
        return [[bare("layer", self._choices()["layer"])]]

    async def _come_to(self, page: str) -> None:
        if self._page != page:
            await self._go(page)
            await self._answered("page")
            await self._think()

    async def _cancel(self, _done: list[list[str]]) -> None:
        button = self._window.locator("[class*='_cancel '] button")
        with suppress(WaitedInVain):  # it may be done just now
            await button.click(timeout=5000)
        await button.wait_for(state="detached")

    async def _look_elsewhere(self, done: list[list[str]]) -> None:
        page = self._page
        for elsewhere in ("activations", "network"):
            await self._come_to(elsewhere)
        await self._go(page)
        await self._answered("page")
        await self._wait_for_it(done)

    async def _wait_for_it(self, done: list[list[str]]) -> None:
        await self._wait(captions=done, mayWork=False, timeout=SECONDS_TO_WORK)
        await self._look()

    # What one looks at.

    async def _answered(self, kind: str) -> None:
        """Wait until the page shows all that was chosen, and look at it."""
        beside = self._crowd.at_work
        try:
            seconds = await self._wait()
            self._crowd.clicks.append(Click(kind, seconds, beside))
            self._note(f"{kind} answered")
        except WaitedInVain:
            missing = await self._window.evaluate("wanted => missing(wanted)", self._wanted())
            self._complain(f"{kind} on {self._window.url}: in vain for {'; '.join(missing)}")
            self._known.clear()
        await self._look()

    async def _wait(self, *, timeout: int = SECONDS_TO_ANSWER, **wanted: object) -> float:
        """Seconds from the last click until the page shows what was chosen."""
        answered = await self._window.wait_for_function(
            "wanted => answered(wanted)",
            arg=self._wanted() | wanted,
            timeout=timeout * 1000,
            polling=MILLISECONDS_BETWEEN_LOOKS,
        )
        return await answered.json_value() / 1000

    def _wanted(self) -> dict[str, object]:
        chosen = self._choices()
        named = {name: chosen[name] for name in ("layer", "channel", "method") if name in chosen}
        address = {name: value.split(" · ")[0] for name, value in named.items()}
        if ("sample",) in self._known:
            address["sample"] = self._known["sample",]
        return {
            "heading": said(HEADINGS[self._page], chosen.get("language", "English")),
            "controls": chosen,
            "address": address,
            "captions": captions(self._page, chosen),
            "mayWork": chosen.get("method") in LONG,
        }

    async def _look(self) -> None:
        """Remember what was not known yet, and complain of what is wrong."""
        seen = await self._window.evaluate("seen()")
        for name, value in seen["controls"].items():
            if name == "sample":
                self._known.setdefault((name,), samples()[value])
            else:
                self._known.setdefault(self._place(name), value)
        for fault in seen["faults"]:
            self._complain(f"told: {fault}")
        chosen = tuple(sorted(seen["controls"].items()))
        # Other pages have choices that are not looked at here.
        fixed = captions(self._page, self._choices())
        for words, digest in seen["pictures"] if fixed else ():
            if self._crowd.differs((words, *chosen), digest):
                self._complain(f"wrong picture of {words}")

    def _choices(self) -> dict[str, str]:
        """What is known of the controls of this page, in the words of its language."""
        names = controls_on(self._page, self._known.get(("method",)))
        known = {name: self._known.get(self._place(name)) for name in names}
        if known["sample"]:
            title = f"photos.sample.{known['sample']}"
            known["sample"] = said(title, known["language"] or "English")
        return {name: value for name, value in known.items() if value is not None}

    def _know(self, name: str, value: str) -> None:
        self._known[self._place(name)] = value
        self._note(f"{name}: {value}")

    def _note(self, act: str) -> None:
        """Remember what was done, with when and where, for a complaint."""
        self._acts.append(f"{time.strftime('%X')} {act} on {self._window.url}")

    def _place(self, name: str) -> tuple:
        """What a choice belongs to."""
        if name == "layer":
            return name, self._page
        if name == "channel":
            return name, self._known.get(("layer", self._page))
        if name == "class":
            return name, self._known.get(("sample",))
        return (name,)

    def _listen(self, message: ConsoleMessage) -> None:
        # Streamlit looks for its server one level too deep first, and pictures of pages that were
        # left at once may be gone before the browser has fetched them; those that stay are looked
        # at in any case.
        gone = ("404", "Image source error")
        if message.type == "error" and not any(words in message.text for words in gone):
            self._complain(f"console: {message.text}")

    def _complain(self, what: str) -> None:
        if what not in self._crowd.complaints:
            print(f"visitor {self.name}: {what}", *self._acts, sep="\n  ", flush=True)
            self._crowd.complaints.append(f"visitor {self.name}: {what}")
