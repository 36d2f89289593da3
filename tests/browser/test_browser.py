"""The dashboard as people meet it: mouse, keyboard, files, links, light and dark."""

import io
import warnings
from pathlib import Path

import nets
import numpy as np
import pytest
from browser_driver import settle
from PIL import Image

QUESTIONS = {
    "Network": "What does the network say?",
    "Architecture": "How is the network built?",
    "Activations": "What does a layer see?",
    "Filters": "Which pattern does a channel look for?",
    "Heatmaps": "Where does the score come from?",
    "Convolution": "How does a convolution work?",
}
SMALL_STEPS = 2


def make_patterns(visitor, *, steps: int = SMALL_STEPS, side: int | None = None) -> None:
    page = visitor.page
    if not visitor.number("Steps").is_visible():
        page.get_by_text("Size, steps and seed").click()
    visitor.enter("Steps", steps)
    if side is not None:
        visitor.enter("Side in pixels", side)
    page.get_by_role("button", name="Make patterns").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1440, 1000), (1024, 768)], ids=["wide", "narrow"])
def test_every_page_is_drawn_in_both_colour_schemes(come, screenshots, scheme, width, height):
    visitor = come(
        "/?network=squeezenet&sample=parrot",
        color_scheme=scheme,
        viewport={"width": width, "height": height},
    )
    for name, question in QUESTIONS.items():
        visitor.go(name)
        assert visitor.heading() == question
        visitor.page.wait_for_load_state("networkidle")
        pixels = visitor.shoot()
        Image.fromarray(pixels).save(screenshots / f"{name.lower()}-{scheme}-{width}.png")
        # The middle of the page; by far the most of it is background.
        background = np.median(pixels[:, width // 2 :], axis=(0, 1))
        assert (background.mean() > 200) == (scheme == "light")
        drawn = np.abs(pixels[100:, 320:].astype(int) - background).max(axis=2) > 40
        assert drawn.mean() > 0.02


def test_nothing_is_cut_off_on_a_phone(come, screenshots):
    visitor = come("/?network=squeezenet&sample=parrot", viewport={"width": 390, "height": 844})
    for name in QUESTIONS:
        visitor.page.goto(f"{visitor.server}/{'' if name == 'Network' else name.lower()}")
        settle(visitor.page)
        assert visitor.heading() == QUESTIONS[name]
        visitor.page.wait_for_load_state("networkidle")
        visitor.page.screenshot(path=str(screenshots / f"{name.lower()}-phone.png"))
        overflow = visitor.page.evaluate(
            "[...document.querySelectorAll("
            "'[data-testid=stMain] img, .mosaic, .panels, .view, h2')]"
            ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"
        )
        assert overflow == 0


def test_tile_and_number_are_two_ways_to_pick_a_channel(come):
    visitor = come().go("Activations")
    drawn = visitor.mosaic("activations").element_handle()
    visitor.enter("Channel", 5)
    visitor.until(lambda: visitor.label("activations").startswith("channel 5 "))
    # A click on a part that is just being replaced would be lost.
    assert drawn.evaluate("one => one.isConnected")
    before = visitor.picture(1)
    visitor.click_tile("activations", 2, 1, 16, 2)
    visitor.expect_value("Channel", 18)
    assert visitor.label("activations").startswith("channel 18 ")
    assert (visitor.picture(1) != before).any()


def test_every_tile_of_a_thousand_can_be_hit(come):
    visitor = come("/?network=squeezenet").go("Activations")
    visitor.select("Layer, in the order they run", "conv10")
    visitor.until(lambda: visitor.page.get_by_text("1000 channels of 13 x 13").count())
    settle(visitor.page)
    for column, row in [(31, 15), (0, 30), (7, 31), (31, 0)]:
        visitor.click_tile("activations", column, row, 32, 32)
        visitor.expect_value("Channel", row * 32 + column)


def test_arrow_keys_walk_over_the_tiles(come):
    visitor = come().go("Activations")
    visitor.enter("Channel", 3)
    visitor.mosaic("activations").focus()
    for key, channel in [
        ("ArrowRight", 4),
        ("ArrowRight", 5),
        ("ArrowDown", 21),
        ("ArrowLeft", 20),
    ]:
        visitor.page.keyboard.press(key)
        visitor.expect_value("Channel", channel)
    visitor.page.keyboard.press("ArrowUp")
    visitor.expect_value("Channel", 4)
    visitor.page.keyboard.press("ArrowUp")
    settle(visitor.page)
    assert visitor.number("Channel").input_value() == "4"


def test_the_window_slides_and_every_place_can_be_computed(come):
    visitor = come("/?network=cats-vs-dogs&layer=conv1").go("Convolution")
    page, output = visitor.page, visitor.page.locator(".pickable")
    output.scroll_into_view_if_needed()
    box = output.bounding_box()

    def at(row, column):
        return {"x": (column + 0.5) / 32 * box["width"], "y": (row + 0.5) / 32 * box["height"]}

    def window():
        return page.locator(".view .mark").first.evaluate("mark => mark.style.cssText")

    output.click(position=at(4, 9))
    visitor.expect_value("Row", 4)
    visitor.expect_value("Column", 9)
    picked = window()
    output.hover(position=at(20, 30))
    assert page.locator(".label", has_text="row 20, column 30: ").count() == 1
    assert window() != picked
    page.mouse.move(5, 5)
    assert window() == picked
    assert visitor.number("Row").input_value() == "4"
    output.focus()
    for key, name, value in [("ArrowDown", "Row", 5), ("ArrowLeft", "Column", 8)]:
        page.keyboard.press(key)
        visitor.expect_value(name, value)
    assert {"row=5", "column=8"} <= set(page.url.partition("?")[2].split("&"))
    visitor.until(lambda: page.locator(".numbers .cell").count() == 3 * 27 + 4)


def test_hover_tells_a_tile_and_leaves_the_choice(come):
    visitor = come().go("Activations")
    visitor.enter("Channel", 3)
    visitor.until(lambda: visitor.label("activations").startswith("channel 3 "))
    box = visitor.mosaic("activations").bounding_box()
    visitor.page.mouse.move(box["x"] + box["width"] * 0.5 / 16, box["y"] + box["height"] * 0.25)
    assert visitor.label("activations").startswith("channel 0 ")
    visitor.page.mouse.move(5, 5)
    assert visitor.label("activations").startswith("channel 3 ")


def test_thumbnail_changes_the_photo_and_the_link(come):
    visitor = come("/?network=cats-vs-dogs&sample=parrot")
    before = visitor.picture()
    visitor.click_tile("samples", 0, 0, 4, 3)
    visitor.page.wait_for_url("**sample=cat-and-dog*")
    visitor.page.get_by_text("Cat and dog, 450 x 300 pixels").wait_for()
    settle(visitor.page)
    after = visitor.picture()
    assert before.shape != after.shape or (before != after).any()


def test_link_chooses_and_reload_keeps(come):
    visitor = come("/?network=mobilenet-bundled&sample=parrot")
    page = visitor.page
    assert visitor.chosen("Network") == "MobileNet V1 (bundled)"
    assert visitor.chosen("Sample photo") == "Parrot"
    visitor.go("Heatmaps")
    assert "network=mobilenet-bundled" in page.url
    page.reload()
    settle(page)
    assert visitor.heading() == QUESTIONS["Heatmaps"]
    assert "sample=parrot" in page.url
    assert visitor.chosen("Network") == "MobileNet V1 (bundled)"
    assert visitor.chosen("Sample photo") == "Parrot"


def test_link_to_a_page_of_a_fresh_server_ends_on_that_page(fresh_server, come):
    visitor = come("/heatmaps?network=squeezenet&sample=parrot", server=fresh_server)
    visitor.page.get_by_role("heading", name=QUESTIONS["Heatmaps"]).wait_for()
    settle(visitor.page)
    assert visitor.chosen("Network") == "SqueezeNet 1.1 (bundled)"
    assert visitor.chosen("Sample photo") == "Parrot"
    visitor.go("Filters")
    assert visitor.heading() == QUESTIONS["Filters"]


def test_uploaded_photo_and_damaged_photo(come):
    visitor = come()
    page = visitor.page
    page.get_by_role("radio", name="Upload").or_(
        page.get_by_role("button", name="Upload")
    ).first.click()
    settle(page)
    buffer = io.BytesIO()
    Image.new("RGB", (64, 40), (250, 10, 10)).save(buffer, "PNG")
    chooser = page.locator("[data-testid=stFileUploaderDropzoneInput]")
    chooser.set_input_files(
        {"name": "red.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
    )
    page.get_by_text("red.png, 64 x 40 pixels").wait_for()
    settle(page)
    assert visitor.picture().shape == (40, 64, 3)
    assert (visitor.picture() == (250, 10, 10)).all()
    page.get_by_role("button", name="Remove red.png").or_(
        page.locator("[data-testid=stFileUploaderDeleteBtn] button")
    ).first.click()
    settle(page)
    chooser = page.locator("[data-testid=stFileUploaderDropzoneInput]")
    broken = buffer.getvalue()[:50]
    chooser.set_input_files({"name": "broken.png", "mimeType": "image/png", "buffer": broken})
    page.locator("[data-testid=stAlert]").wait_for()
    settle(page)
    assert visitor.alerts()[0].strip().split("\n")[-1].startswith("Expected a")
    assert (visitor.picture() == (250, 10, 10)).all()


def test_uploaded_model(come, saved_model):
    visitor = come()
    page = visitor.page
    visitor.select("Network", "Your own model")
    visitor.upload("Model file", saved_model)
    page.locator("[data-testid=stAlert]").wait_for()
    settle(page)
    (told,) = visitor.alerts()
    assert "is a guess" in told
    visitor.go("Activations")
    assert visitor.picture(1).ndim == 3
    assert visitor.alerts() == []
    visitor.go("Heatmaps")
    assert [layer.ndim for layer in visitor.layers()] == [3, 3]
    assert visitor.alerts() == []


@pytest.fixture
def saved_model(tmp_path):
    path = tmp_path / "mine.keras"
    with warnings.catch_warnings():
        # Keras 3.15 turns its variables to arrays in a way that NumPy 2 calls outdated.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        nets.nested().save(path)
    return path


def test_patterns_are_made_picked_downloaded_and_cancelled(come):
    visitor = come().go("Filters")
    page = visitor.page
    make_patterns(visitor)
    page.get_by_role("heading", name="16 patterns of").wait_for()
    settle(page)
    whole = visitor.mosaic_pixels("patterns")
    before = visitor.picture()
    visitor.click_tile("patterns", 3, 1, 8, 2)
    visitor.until(lambda: visitor.chosen("Channel") == "11")
    settle(page)
    assert visitor.label("patterns").startswith("channel 11 ")
    assert (visitor.picture() != before).any()

    with page.expect_download() as waiting:
        page.get_by_role("button", name="PNG").first.click()
    downloaded = np.asarray(Image.open(waiting.value.path()))
    np.testing.assert_array_equal(downloaded, whole)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="NPZ").click()
    assert waiting.value.suggested_filename.endswith(".npz")
    with np.load(waiting.value.path(), allow_pickle=False) as arrays:
        assert arrays["images"].shape == (16, 32, 32, 3)
        assert arrays["channels"].tolist() == list(range(16))

    make_patterns(visitor, steps=500, side=512)
    page.get_by_text("step ").first.wait_for()
    page.wait_for_function("document.body.innerText.match(/step [1-9]\\d* of \\d+/)")
    assert (visitor.mosaic_pixels("patterns") == whole).all()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled.").wait_for()
    settle(page)
    assert page.get_by_role("button", name="Cancel").count() == 0
    assert (visitor.mosaic_pixels("patterns") == whole).all()


def test_one_visitor_at_work_does_not_keep_another_waiting(come):
    busy = come().go("Filters")
    make_patterns(busy, steps=500, side=512)
    busy.page.wait_for_function("document.body.innerText.match(/step [1-9]\\d* of \\d+/)")
    other = come("/?network=cats-vs-dogs&sample=goldfish")
    other.go("Heatmaps")
    assert other.layers()[1].ndim == 3
    other.go("Filters")
    make_patterns(other, steps=4)
    other.page.get_by_text("waiting, 1 before it").wait_for()
    assert busy.page.get_by_role("button", name="Cancel").is_visible()
    busy.page.get_by_role("button", name="Cancel").click()
    other.page.get_by_role("heading", name="16 patterns of").wait_for()


def test_closing_the_tab_ends_its_job(come):
    leaving = come().go("Filters")
    make_patterns(leaving, steps=499, side=512)
    leaving.page.wait_for_function("document.body.innerText.match(/step [1-9]\\d* of \\d+/)")
    leaving.page.goto("about:blank")
    other = come().go("Filters")
    make_patterns(other, steps=3)
    other.page.get_by_role("heading", name="16 patterns of").wait_for()


def test_heatmap_controls_change_the_pictures(come):
    visitor = come("/?network=squeezenet&sample=goldfish").go("Heatmaps")
    photo, before = visitor.layers()
    visitor.select("Class", "tench")
    visitor.page.get_by_text("Evidence for tench").wait_for()
    settle(visitor.page)
    same, after = visitor.layers()
    assert (same == photo).all()
    assert (after != before).any()
    visitor.page.get_by_text("Evidence against, too").click()
    visitor.page.get_by_text("Evidence for and against tench").wait_for()
    settle(visitor.page)
    assert (visitor.layers()[1] != after).any()


def test_hasty_clicks_end_on_the_last_page(come):
    visitor = come()
    for name in ("Activations", "Heatmaps", "Filters", "Network", "Heatmaps", "Activations"):
        visitor.page.get_by_role("link", name=name, exact=True).click()
    visitor.page.get_by_role("heading", name=QUESTIONS["Activations"]).wait_for()
    settle(visitor.page)
    assert visitor.heading() == QUESTIONS["Activations"]
    assert visitor.label("activations").startswith("channel ")
    # Pictures of pages that were left at once may be gone before the browser has fetched them.
    visitor.forgive("404 (Not Found)")


def test_page_asks_nothing_of_other_hosts(come, server):
    visitor = come()
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    visitor.page.reload()
    settle(visitor.page)
    visitor.go("Activations")
    outside = [url for url in asked if not url.startswith((server, "data:", "blob:", "ws:"))]
    assert asked
    assert outside == []


def test_a_heatmap_is_compared_and_put_to_the_test(come):
    visitor = come("/?network=cats-vs-dogs").go("Heatmaps")
    page = visitor.page
    page.get_by_role("radio", name="Side by side").click()
    page.get_by_text("HiResCAM of conv4").wait_for()
    settle(page)
    assert "view=compare" in page.url
    (photo, one), (same, other) = visitor.layers("blend_0"), visitor.layers("blend_1")
    assert (photo == same).all()
    assert (one != other).any()
    page.get_by_role("radio", name="May it be believed?").click()
    page.get_by_text("photos were shown to the network").last.wait_for()
    settle(page)
    curves = page.locator("[data-testid=stVegaLiteChart] :is(canvas, svg.marks)")
    curves.nth(1).wait_for()
    assert any("the score from" in text for text in visitor.alerts())
    page.get_by_role("cell", name="mu-fidelity").wait_for()
    for side, place in {"Left": 5, "Top": 5, "Right": 400, "Bottom": 290}.items():
        page.get_by_label(side, exact=True).fill(str(place))
        page.get_by_label(side, exact=True).press("Enter")
        settle(page)
    assert any("your box" in text for text in visitor.alerts())
    assert "bottom=290" in page.url
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Report").click()
    report = Path(waiting.value.path()).read_text()
    assert report.count("data:image/png;base64,") == 6
    assert "(5, 5, 400, 290)" in report
    assert "Average drop" in report


def test_the_address_of_a_channel_opens_on_its_pattern(come):
    link = "/filters?network=cats-vs-dogs&view=channel&layer=conv1&channel=2&recipe=classic"
    visitor = come(link)
    page = visitor.page
    page.get_by_text("Mean of channel 2").first.wait_for()
    settle(page)
    pattern = visitor.picture()
    assert pattern.std() > 10
    visitor.enter("Channel", 4)
    page.get_by_text("Mean of channel 4").first.wait_for()
    settle(page)
    assert "channel=4" in page.url
    assert (visitor.picture() != pattern).any()
    page.reload()
    page.get_by_text("Mean of channel 4").first.wait_for()
    settle(page)
    assert visitor.number("Channel").input_value() == "4"


def test_a_whole_layer_appears_piece_by_piece_and_is_there_at_once_later(come):
    link = "/filters?network=cats-vs-dogs&view=layer&layer=conv1&recipe=classic&seed=11"
    visitor = come(link)
    visitor.page.get_by_role("button", name="Make all").click()
    visitor.page.get_by_text("32 of 32 channels are made").wait_for()
    settle(visitor.page)
    sheet = visitor.mosaic_pixels("atlas")
    visitor.page.get_by_role("button", name="Make all").wait_for(state="detached")
    again = come(link)
    again.page.get_by_text("32 of 32 channels are made").wait_for()
    np.testing.assert_array_equal(again.mosaic_pixels("atlas"), sheet)
