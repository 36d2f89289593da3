"""What a visitor does, and what tests look at."""

import base64
import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page

MILLISECONDS = 60_000


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

    def go(self, name: str) -> "Visitor":
        self.page.get_by_role("link", name=name, exact=True).click()
        self.page.wait_for_url(f"**/{name.lower()}*" if name != "Network" else "**/?*")
        settle(self.page)
        return self

    def heading(self) -> str:
        return self.page.get_by_role("heading", level=2).first.inner_text()

    def alerts(self) -> list[str]:
        return self.page.locator("[data-testid=stAlert]").all_inner_texts()

    def select(self, label: str, text: str) -> None:
        """Choose in a select box, as by typing and pressing Enter."""
        box = self.page.get_by_role("combobox", name=label, exact=False).first
        box.click()
        box.fill(text)
        self.page.get_by_role("option", name=text).first.click()
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
        source = self.mosaic(key).locator("img").get_attribute("src")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))

    def shoot(self) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))
