"""What a visitor does, and what tests look at."""

import base64
import contextlib
import io
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, WebSocketRoute
from playwright.sync_api import TimeoutError as WaitedInVain

# Only failures take it. A busy machine has needed more than one minute for what takes ten seconds.
MILLISECONDS = 180_000
SCHEMES = ("light", "dark")


def settle(page: Page) -> None:
    """Wait until the script has run, nothing is stale and all letters are there."""
    # What was done just now must have reached the server first.
    page.wait_for_timeout(250)
    page.wait_for_selector(
        "[data-testid=stApp][data-test-script-state=notRunning]", timeout=MILLISECONDS
    )
    page.wait_for_function(
        "!document.querySelector('[data-stale=true], [data-testid=stSkeleton]')",
        timeout=MILLISECONDS,
    )
    page.evaluate("document.fonts.ready")


def dress(page: Page, scheme: str) -> None:
    """Turn day to night: the page follows what the system prefers."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.wait_for_function(
        """scheme => getComputedStyle(document.querySelector(".stApp")).colorScheme === scheme
        && document.getAnimations().every((one) => one.playState !== "running")""",
        arg=scheme,
    )


def pixels_of(image: Locator) -> np.ndarray:
    """Pixels of a picture that stands in its own address."""
    content = base64.b64decode(image.get_attribute("src").split(",")[1])
    return np.asarray(Image.open(io.BytesIO(content)))


class Visitor:
    """A browser window, and what went wrong in it."""

    def __init__(self, page: Page, server: str) -> None:
        self.page = page
        self.server = server
        self._errors: list[str] = []
        page.set_default_timeout(MILLISECONDS)
        page.on("pageerror", lambda error: self._errors.append(f"page: {error}"))
        page.on("console", self._listen)

    def _listen(self, message) -> None:
        # On the address of a page Streamlit looks for its server one level too deep first.
        looks_for_server = "/_stcore/" in message.location["url"] and "404" in message.text
        if message.type == "error" and not looks_for_server:
            self._errors.append(f"console: {message.text}")

    def complaints(self) -> list[str]:
        """Exceptions in the page, sentences about unexpected failures, errors in the console."""
        boxes = self.page.locator("[data-testid=stException]").all_inner_texts()
        return self._errors + boxes + [text for text in self.alerts() if "unexpectedly" in text]

    def forgive(self, part: str) -> None:
        """Leave out what the console has said so far of one kind."""
        self._errors = [text for text in self._errors if part not in text]

    def refusals(self) -> Locator:
        """What is told beside the controls, where a file has been refused."""
        return self.page.locator("[data-testid=stSidebar] [data-testid=stAlert]")

    def uploader(self, label: str) -> Locator:
        return self.page.locator("[data-testid=stFileUploader]").filter(has_text=label)

    def upload(self, label: str, file: object) -> None:
        """Give a file, a path or Playwright's payload, to an uploader; waits until it is sent."""
        with self.page.expect_response(
            lambda answer: "/upload_file/" in answer.url and answer.request.method == "PUT"
        ):
            self.uploader(label).locator("input[type=file]").set_input_files(file)

    def remove(self, label: str) -> None:
        """Take back what was uploaded."""
        self.uploader(label).get_by_role("button", name="Remove ").click()
        self.refusals().wait_for(state="detached")

    def sidebar(self) -> str:
        return self.page.locator("[data-testid=stSidebar]").inner_text()

    def outside(self) -> list[str]:
        """Pictures, links and frames of other hosts in the page."""
        return self.page.locator("[src], [href]").evaluate_all(
            "all => all.map(one => one.src || one.href)"
            ".filter(url => /^(https?:)?\\/\\//.test(url) && !url.startsWith(location.origin))"
        )

    def bars(self) -> list[str]:
        """Class names and probabilities, most likely first."""
        return self.page.locator("[data-testid=stMain] [data-testid=stProgress]").all_inner_texts()

    def go(self, name: str) -> "Visitor":
        self.link(name).click()
        self.page.wait_for_url(f"**/{name.lower()}*" if name != "Network" else "**/?*")
        settle(self.page)
        return self

    def link(self, name: str) -> Locator:
        """The way to a page, which a narrow window keeps behind "2 more"."""
        found = self.page.get_by_role("link", name=name, exact=True)
        rest = self.page.get_by_text(re.compile(r"^\d+ more$"))
        found.or_(rest).first.wait_for()
        if not found.is_visible():
            rest.click()
            return self.page.get_by_role("menuitem", name=name, exact=True)
        return found

    def heading(self) -> str:
        return self.page.get_by_role("heading", level=2).first.inner_text()

    def alerts(self) -> list[str]:
        return self.page.locator("[data-testid=stAlert]").all_inner_texts()

    def select(self, label: str, text: str) -> None:
        """Choose in a select box, as by typing and pressing Enter."""
        box = self.page.get_by_role("combobox", name=label, exact=False).first
        option = self.page.get_by_role("option", name=text).first

        def taken() -> bool:
            # A page that is drawn anew meanwhile closes the menu; people open it again.
            with contextlib.suppress(WaitedInVain):
                box.click()
                box.fill(text)
                option.click(timeout=MILLISECONDS / 20)
                return True
            return False

        self.until(taken)
        settle(self.page)

    def number(self, label: str) -> Locator:
        return self.page.get_by_role("spinbutton", name=label, exact=True)

    def enter(self, label: str, value: int) -> None:
        box = self.number(label)
        box.fill(str(value))
        box.press("Enter")
        settle(self.page)

    def mosaic(self, key: str) -> Locator:
        return self.page.locator(f".st-key-{key}_mosaic .mosaic")

    def card(self, name: str) -> Locator:
        """A layer on the page that draws them all."""
        return self.page.locator(".st-key-architecture_layer_map .node").filter(
            has=self.page.get_by_text(name, exact=True)
        )

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for what can only be asked from here."""
        deadline = time.monotonic() + MILLISECONDS / 1000
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            self.page.wait_for_timeout(50)

    def chosen(self, label: str) -> str:
        """What a select box shows."""
        return self.page.get_by_role("combobox", name=label, exact=True).input_value()

    def label(self, key: str) -> str:
        return self.page.locator(f".st-key-{key}_mosaic .label").inner_text()

    def click_tile(self, key: str, column: int, row: int, columns: int, rows: int) -> None:
        mosaic = self.mosaic(key)
        mosaic.scroll_into_view_if_needed()
        box = mosaic.bounding_box()
        x, y = (column + 0.5) / columns * box["width"], (row + 0.5) / rows * box["height"]
        mosaic.click(position={"x": x, "y": y})

    def expect_value(self, label: str, value: int) -> None:
        self.page.wait_for_function(
            "([name, value]) => [...document.querySelectorAll('input[type=number]')]"
            ".some(i => i.ariaLabel === name && i.value === value)",
            arg=[label, str(value)],
        )
        settle(self.page)

    def picture(self, number: int = 0) -> np.ndarray:
        """Pixels of a picture in the page, as they came from the server."""
        image = self.page.locator("[data-testid=stMain] [data-testid=stImage] img").nth(number)
        address = image.evaluate("image => image.src")
        body = self.page.request.get(address).body()
        return np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))

    def mosaic_pixels(self, key: str) -> np.ndarray:
        return pixels_of(self.mosaic(key).locator("img"))

    def stage(self, key: str = "blend") -> Locator:
        """A photo with a map over it."""
        return self.page.locator(f".st-key-{key} .stage")

    def layers(self, key: str = "blend") -> tuple[np.ndarray, np.ndarray]:
        """Pixels of a photo, and of the coloured map over it."""
        stage = self.stage(key)
        stage.wait_for()
        return pixels_of(stage.locator(".photo")), pixels_of(stage.locator(".map"))

    def told(self) -> str:
        """The address and the words in the page."""
        return f"{self.page.url}\n{self.page.locator('body').inner_text()}"

    def shoot(self) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))


# The server's own process, as Linux tells of it.


def children_of(process: int) -> set[int]:
    found: set[int] = set()
    for thread in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.update(map(int, (thread / "children").read_text().split()))
    return found


def command_of(process: int) -> str:
    """How a process was started; nothing if it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    return ""


def process_of(server: str) -> int:
    """Of a server that these tests have started: its number among the processes."""
    port = server.rpartition(":")[2]
    found = [c for c in children_of(os.getpid()) if f"--server.port={port} " in command_of(c)]
    return found[0]


def readers_of(process: int) -> set[int]:
    """The children in which a server reads model files."""
    return {child for child in children_of(process) if "answer_as_child" in command_of(child)}


def resident_bytes(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for what no page tells."""
    deadline = time.monotonic() + MILLISECONDS / 1000
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


class HeldReaders:
    """Stops every reader of a server as soon as it starts."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._held: set[int] = set()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        while not self._over.wait(0.002):
            for reader in readers_of(self._process) - self._held:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(reader, signal.SIGSTOP)
                    self._held.add(reader)

    def wait_for(self, count: int = 1) -> None:
        wait_until(lambda: len(self._held & readers_of(self._process)) >= count)

    def let_go(self) -> None:
        self._over.set()
        self._watcher.join()
        for reader in self._held & readers_of(self._process):
            os.kill(reader, signal.SIGCONT)


@contextlib.contextmanager
def held_readers(server: str) -> Iterator[HeldReaders]:
    """Make reading a model file take as long as the block."""
    held = HeldReaders(process_of(server))
    try:
        yield held
    finally:
        held.let_go()


class SlowLine:
    """Holds back what server and page say to each other for as long as it is told to."""

    def __init__(self, visitor: Visitor) -> None:
        self._page = visitor.page
        self._holds, self._held = False, []
        self._stores, self._stored = False, []
        self._page.route_web_socket("**/_stcore/stream*", self._connect)
        self._page.reload()
        settle(self._page)

    def _connect(self, line: WebSocketRoute) -> None:
        self._line, self._server = line, line.connect_to_server()
        self._server.on_message(self._hear)
        line.on_message(self._say)

    def _hear(self, message: str | bytes) -> None:
        if self._holds:
            self._held.append(message)
        else:
            self._line.send(message)

    def _say(self, message: str | bytes) -> None:
        if self._stores:
            self._stored.append(message)
        else:
            self._server.send(message)

    def hold(self) -> None:
        self._holds = True

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Let all that is clicked meanwhile reach the server in one moment."""
        self._stores = True
        yield
        self._page.wait_for_timeout(250)
        while self._stored:
            self._server.send(self._stored.pop(0))
        self._stores = False

    def wait(self) -> int:
        """Until the server has said all that it has to say; returns in how many messages."""
        before = -1
        while not 0 < len(self._held) == before:
            before = len(self._held)
            self._page.wait_for_timeout(1000)
        return before

    def hear_the_first(self, count: int) -> None:
        """Let what the server said first be heard, and what it makes of it be drawn."""
        for message in self._held[:count]:
            self._line.send(message)
        del self._held[:count]
        self._page.wait_for_timeout(1000)

    def let_go(self) -> None:
        # While one is sent the next may come: it waits its turn.
        while self._held:
            self._line.send(self._held.pop(0))
        self._holds = False
