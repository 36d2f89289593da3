"""The drawing of the layers in a real browser: mouse, keyboard, fingers, zoom."""

import warnings

import nets
import pytest
from browser_driver import settle

import vizlib

LINK = "/?network=squeezenet&sample=parrot"
ACTIVATIONS = "What does a layer see?"


@pytest.fixture(scope="module")
def strongest():
    convnet = vizlib.load_convnet("squeezenet")
    return vizlib.strongest_channels(convnet, vizlib.load_image("sample_images/parrot.jpg"))


def view_of(visitor):
    return visitor.page.locator(".st-key-architecture_layer_map .view")


def scale_of(visitor) -> float:
    card = visitor.card("conv1")
    return card.evaluate("card => card.getBoundingClientRect().width / card.offsetWidth")


def expect_activations(visitor, layer: str, channel: int) -> None:
    visitor.page.get_by_role("heading", name=ACTIVATIONS).wait_for()
    settle(visitor.page)
    assert visitor.chosen("Layer, in the order they run").startswith(f"{layer} ")
    assert visitor.number("Channel").input_value() == str(channel)
    for part in ("/activations?", "network=squeezenet", "sample=parrot", f"layer={layer}"):
        assert part in visitor.page.url
    assert f"channel={channel}" in visitor.page.url


def test_a_click_on_a_layer_opens_its_activations(come, strongest):
    visitor = come(LINK)
    # A layer and a channel chosen there before are no hindrance.
    visitor.go("Activations")
    visitor.enter("Channel", 3)
    for layer in ("fire2_expand3x3", "conv1"):
        visitor.go("Architecture")
        visitor.card(layer).click()
        expect_activations(visitor, layer, strongest[layer].channel)
    visitor.page.go_back()
    visitor.page.get_by_role("heading", name="How is the network built?").wait_for()
    settle(visitor.page)
    assert visitor.chosen("Sample photo") == "Parrot"


def test_arrow_keys_follow_the_connections_and_enter_opens(come, strongest):
    visitor = come(LINK).go("Architecture")
    page = visitor.page
    page.get_by_role("searchbox").focus()
    page.keyboard.press("Tab")
    focused = "document.activeElement.shadowRoot?.activeElement ?? document.activeElement"
    walked = []
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight", "ArrowUp", "End"):
        page.keyboard.press(key)
        walked.append(visitor.page.evaluate(f"({focused}).querySelector('.name').textContent"))
    assert walked == [
        *("conv1", "pool1", "fire2_squeeze1x1", "fire2_expand1x1", "fire2_expand3x3"),
        *("fire2_squeeze1x1", walked[-1]),
    ]
    page.keyboard.press("Home")
    page.keyboard.press("Enter")  # the photo has no activations
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect_activations(visitor, "pool1", strongest["pool1"].channel)


def test_what_has_the_focus_is_in_sight(come):
    visitor = come(LINK).go("Architecture")
    visitor.card("conv1").focus()
    for _ in range(12):
        visitor.page.keyboard.press("ArrowDown")
    inside = view_of(visitor).evaluate(
        "view => { const [a, b] = [view.getRootNode().activeElement, view]"
        ".map(e => e.getBoundingClientRect()); return a.top >= b.top && a.bottom <= b.bottom; }"
    )
    assert inside
    assert view_of(visitor).evaluate("view => view.scrollTop") > 200


def test_moving_and_zooming_ask_nothing_of_the_server(come):
    visitor = come(LINK).go("Architecture")
    page, view = visitor.page, view_of(visitor)
    runs = []
    page.on("websocket", lambda socket: runs.append(socket.url))
    page.evaluate(
        "window.states = []; new MutationObserver(() => window.states.push("
        "document.querySelector('[data-testid=stApp]').dataset.testScriptState))"
        ".observe(document.querySelector('[data-testid=stApp]'),"
        "{attributes: true, attributeFilter: ['data-test-script-state']})"
    )
    assert scale_of(visitor) == pytest.approx(1, abs=0.01)
    page.get_by_role("button", name="Smaller").click()
    assert scale_of(visitor) == pytest.approx(0.8, abs=0.01)
    page.get_by_role("button", name="Larger").click()
    page.get_by_role("button", name="Larger").click()
    assert scale_of(visitor) == pytest.approx(1.25, abs=0.01)
    page.get_by_role("button", name="Show everything").click()
    height = view.evaluate("view => view.scrollHeight - view.clientHeight")
    assert height <= 1
    page.get_by_role("button", name="Full size").click()

    box = view.bounding_box()
    middle = box["x"] + 30, box["y"] + box["height"] / 2
    view.evaluate("view => view.scrollTo(0, 400)")
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0], middle[1] - 150, steps=5)
    page.mouse.up()
    assert view.evaluate("view => view.scrollTop") == pytest.approx(550, abs=3)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    visitor.until(lambda: scale_of(visitor) > 1.2)
    assert page.evaluate("window.states") == []
    assert runs == []
    assert visitor.heading() == "How is the network built?"


def test_names_can_be_read_on_a_phone(come):
    visitor = come(f"/architecture{LINK[1:]}", viewport={"width": 390, "height": 844})
    name = visitor.card("fire2_expand1x1").locator(".name")
    pixels = name.evaluate("name => parseFloat(getComputedStyle(name).fontSize)")
    assert pixels * scale_of(visitor) >= 12


def test_a_drag_that_begins_on_a_layer_is_no_click(come):
    visitor = come(LINK).go("Architecture")
    box = visitor.card("pool1").bounding_box()
    visitor.page.mouse.move(box["x"] + 100, box["y"] + 30)
    visitor.page.mouse.down()
    visitor.page.mouse.move(box["x"] + 100, box["y"] - 90, steps=5)
    visitor.page.mouse.up()
    settle(visitor.page)
    assert visitor.heading() == "How is the network built?"
    assert view_of(visitor).evaluate("view => view.scrollTop") == pytest.approx(120, abs=3)


def test_a_layer_is_found_by_its_name(come):
    visitor = come(LINK).go("Architecture")
    search = visitor.page.get_by_role("searchbox")
    search.fill("fire9")
    found = visitor.page.locator(".st-key-architecture_layer_map .found")
    assert found.inner_text() == "1 of 4"
    search.press("Enter")
    assert found.inner_text() == "2 of 4"
    assert visitor.page.locator(".node.hit").count() == 4
    assert view_of(visitor).evaluate("view => view.scrollTop") > 1000
    search.fill("no such layer")
    assert found.inner_text() == "none"


def test_the_table_leads_to_the_activations_too(come, strongest):
    visitor = come(LINK).go("Architecture")
    page = visitor.page
    page.get_by_text("The same as a table").click()
    table = page.locator("[data-testid=stDataFrame]")
    table.scroll_into_view_if_needed()
    settle(page)
    box = table.bounding_box()
    page.mouse.click(box["x"] + 12, box["y"] + 35 + 18)
    page.get_by_role("link", name="Activations of conv1").click()
    expect_activations(visitor, "conv1", strongest["conv1"].channel)


def test_a_nested_model_of_ones_own(come, tmp_path):
    path = tmp_path / "mine.keras"
    with warnings.catch_warnings():
        # Keras 3.15 turns its variables to arrays in a way that NumPy 2 calls outdated.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        nets.doubly_nested().save(path)
    visitor = come()
    visitor.select("Network", "Your own model")
    visitor.upload("Model file", path)
    visitor.page.get_by_text("is a guess").wait_for()
    visitor.go("Architecture")
    frames = visitor.page.locator(".st-key-architecture_layer_map .frame")
    assert frames.all_inner_texts() == ["outer", "outer/inner"]
    outer, inner = (frames.nth(i).bounding_box() for i in range(2))
    assert outer["width"] > inner["width"]
    assert outer["y"] < inner["y"]
    visitor.card("c2").click()
    # The file is still there.
    visitor.page.get_by_role("heading", name=ACTIVATIONS).wait_for()
    settle(visitor.page)
    assert visitor.chosen("Layer, in the order they run").startswith("outer/inner/c2 ")
