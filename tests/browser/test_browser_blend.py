"""A heatmap over its photo: faded and divided in the browser, downloaded as it is seen."""

import base64
import io

import numpy as np
import pytest
from browser_driver import Visitor, settle
from PIL import Image
from playwright.sync_api import Locator

PARROT = "/heatmaps?network=squeezenet&sample=parrot"


@pytest.fixture
def shown(come) -> Visitor:
    visitor = come(PARROT)
    visitor.stage().wait_for()
    settle(visitor.page)
    return visitor


def opacity(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("slider", name="Opacity")


def divider(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("slider", name="Photo alone, from the left")


def fade(visitor: Visitor, alpha: float) -> None:
    opacity(visitor).fill(str(alpha))
    settle(visitor.page)


def seen(visitor: Visitor, key: str = "blend") -> np.ndarray:
    """What Chromium has blended."""
    source = visitor.stage(key).locator("canvas").evaluate("canvas => canvas.toDataURL()")
    picture = Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))
    return np.asarray(picture.convert("RGB")).astype(int)


def downloaded(visitor: Visitor) -> np.ndarray:
    with visitor.page.expect_download() as waiting:
        visitor.page.get_by_role("button", name="PNG").click()
    return np.asarray(Image.open(waiting.value.path()).convert("RGB")).astype(int)


def test_what_is_seen_is_what_is_downloaded_and_what_the_library_blends(shown):
    photo, coloured = (layer.astype(float) for layer in shown.layers())
    for alpha in (0, 0.15, 0.5, 0.85, 1):
        fade(shown, alpha)
        saved = downloaded(shown)
        blended = (1 - alpha) * photo + alpha * coloured
        np.testing.assert_array_equal(saved, np.rint(blended))
        assert np.abs(seen(shown) - saved).max() <= 1


def test_the_script_blends_as_the_slider_says(shown):
    fade(shown, 0.85)
    shown.page.get_by_text("Copy as Python").click()
    shown.page.get_by_text("alpha=0.85").first.wait_for()


def messages(visitor: Visitor) -> list:
    """What the browser sends to the server from now on."""
    sent: list = []
    visitor.page.on(
        "websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame))
    )
    visitor.page.reload()
    visitor.stage().wait_for()
    settle(visitor.page)
    visitor.until(lambda: seen(visitor).max() > 0)
    sent.clear()
    return sent


def test_the_server_hears_of_the_opacity_when_it_is_let_go(shown):
    sent, before = messages(shown), seen(shown)
    opacity(shown).scroll_into_view_if_needed()
    page, box = shown.page, opacity(shown).bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(box["x"] + box["width"] * (0.5 + 0.05 * step), middle)
    assert (seen(shown) != before).any()
    page.wait_for_timeout(300)
    assert sent == []
    page.mouse.up()
    settle(page)
    assert len(sent) == 1
    assert opacity(shown).input_value() == "0.9"


def test_the_run_after_it_leaves_the_picture_alone(shown):
    shown.stage().evaluate(
        """stage => {
            window.touched = 0;
            const count = (changes) => { window.touched += changes.length; };
            const watched = { childList: true, subtree: true, attributeFilter: ["src", "width"] };
            new MutationObserver(count).observe(stage, watched);
            window.stage = stage;
        }"""
    )
    fade(shown, 0.2)
    fade(shown, 0.7)
    assert shown.page.evaluate("window.touched") == 0
    assert shown.page.evaluate("window.stage.isConnected")
    assert opacity(shown).input_value() == "0.7"


def test_the_divider_parts_photo_and_map_by_mouse_and_keyboard(shown):
    sent = messages(shown)
    stage = shown.stage()
    cut = "canvas => getComputedStyle(canvas).clipPath"
    assert stage.locator("canvas").evaluate(cut) == "inset(0px 0px 0px 0%)"
    box = stage.bounding_box()
    stage.click(position={"x": 0.4 * box["width"], "y": 30})
    assert divider(shown).input_value() == "40"
    divider(shown).focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        shown.page.keyboard.press(key)
    assert stage.locator("canvas").evaluate(cut) == "inset(0px 0px 0px 41%)"
    settle(shown.page)
    assert sent == []


def test_opacity_moves_by_keyboard_and_is_the_same_in_other_views(shown):
    opacity(shown).focus()
    for _ in range(3):
        shown.page.keyboard.press("ArrowRight")
    settle(shown.page)
    assert opacity(shown).input_value() == "0.65"
    shown.page.get_by_role("radio", name="Side by side").click()
    shown.stage("blend_0").wait_for()
    settle(shown.page)
    assert opacity(shown).input_value() == "0.65"
    photo, coloured = (layer.astype(float) for layer in shown.layers("blend_0"))
    assert np.abs(seen(shown, "blend_0") - (0.35 * photo + 0.65 * coloured)).max() <= 1


# Several maps under one slider.

CANVASES = ".stage canvas:not([hidden])"
PAINTED = "all => all.every((one) => one.getContext('2d').getImageData(0, 0, 1, 1).data[3])"


def all_seen(visitor: Visitor) -> list[str]:
    """What Chromium has blended in every map of the page."""
    every = visitor.page.locator(CANVASES)
    return every.evaluate_all("all => all.map((canvas) => canvas.toDataURL())")


@pytest.mark.parametrize("view", ["compare", "layers"])
def test_one_slider_fades_every_map_of_a_page_in_the_browser(come, view):
    visitor = come(f"/heatmaps?network=cats-vs-dogs&view={view}")
    sent: list = []
    visitor.page.on(
        "websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame))
    )
    visitor.page.reload()
    visitor.page.locator(CANVASES).nth(3).wait_for()
    settle(visitor.page)
    visitor.until(lambda: visitor.page.locator(CANVASES).evaluate_all(PAINTED))
    before = all_seen(visitor)
    sent.clear()
    opacity(visitor).evaluate("one => { one.value = 1; one.dispatchEvent(new Event('input')); }")
    assert all(a != b for a, b in zip(all_seen(visitor), before, strict=True))
    visitor.page.wait_for_timeout(300)
    assert sent == []
    opacity(visitor).evaluate("one => { one.value = 0.5; one.dispatchEvent(new Event('input')); }")
    assert all_seen(visitor) == before
