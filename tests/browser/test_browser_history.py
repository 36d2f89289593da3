"""Back and forward in the browser: each choice is one step, and each step shows what it showed."""

import re
from collections.abc import Callable

import pytest
from browser_driver import SlowLine, Visitor, settle

METHOD, LAYER = "Method", "Layer, in the order they run"
Choose = Callable[[Visitor], object]
Read = Callable[[Visitor], str]


def shown(label: str) -> Read:
    return lambda visitor: visitor.chosen(label)


def select(label: str, text: str) -> Choose:
    return lambda visitor: visitor.select(label, text)


def number(visitor: Visitor) -> str:
    return visitor.number("Channel").input_value()


CHOICES: dict[str, tuple[str, Choose, Read]] = {
    "page": ("", lambda visitor: visitor.go("Activations"), Visitor.heading),
    "network": ("", select("Network", "Cats or dogs"), shown("Network")),
    "sample photo": ("", lambda v: v.click_tile("samples", 1, 2, 4, 3), shown("Sample photo")),
    "layer": ("activations", select(LAYER, "fire5_concat"), shown(LAYER)),
    "channel": ("activations", lambda visitor: visitor.enter("Channel", 7), number),
    "colours": ("activations", select("Colours", "magma"), shown("Colours")),
    "class": ("heatmaps", select("Class", "tench"), shown("Class, most likely first")),
    "method": ("heatmaps", select(METHOD, "HiResCAM"), shown(METHOD)),
    "heatmap colours": ("heatmaps", select("Colours", "cividis"), shown("Colours")),
    "filter layer": ("filters", select(LAYER, "fire5_concat"), shown(LAYER)),
    "recipe": ("filters", select("Recipe", "classic"), shown("Recipe")),
}


@pytest.fixture(scope="module")
def visits(server, browser):
    """One visitor for all: each choice is made after a fresh address."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield Visitor(context.new_page(), server)
    context.close()


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_is_one_step_back_and_one_forward(visits, name):
    place, choose, read = CHOICES[name]
    page = visits.page
    page.goto(f"{visits.server}/{place}?network=squeezenet&sample=goldfish")
    page.wait_for_url("**/*sample=goldfish*")
    settle(page)
    former, address = read(visits), page.url
    choose(visits)
    visits.until(lambda: read(visits) != former and page.url != address)
    settle(page)
    chosen, chosen_address = read(visits), page.url
    page.go_back()
    visits.until(lambda: read(visits) == former)
    settle(page)
    assert page.url == address
    page.go_forward()
    visits.until(lambda: read(visits) == chosen)
    settle(page)
    assert page.url == chosen_address
    assert read(visits) == chosen
    assert visits.complaints() == []


def test_many_steps_back_over_pages_show_each_what_it_was(come):
    visitor = come("/activations?network=squeezenet&sample=parrot&layer=conv1&channel=3")
    page, seen = visitor.page, []
    steps = [
        lambda: visitor.enter("Channel", 7),
        lambda: visitor.select(LAYER, "fire5_concat"),
        lambda: visitor.go("Heatmaps"),
        lambda: visitor.select(METHOD, "LayerCAM"),
        lambda: page.get_by_role("radio", name="Side by side").click(),
        lambda: visitor.go("Network"),
    ]
    for step in steps:
        seen.append((page.url, visitor.heading()))
        step()
        visitor.until(lambda: page.url != seen[-1][0])
        settle(page)
    for url, heading in reversed(seen):
        page.go_back()
        visitor.until(lambda url=url: page.url == url)
        settle(page)
        assert (page.url, visitor.heading()) == (url, heading)
    assert number(visitor) == "3"
    assert visitor.chosen(LAYER).startswith("conv1 ")
    assert visitor.alerts() == []


def test_one_map_less_is_one_step_back(come):
    visitor = come("/heatmaps?network=cats-vs-dogs&view=compare&methods=Grad-CAM,LayerCAM")
    page, stages = visitor.page, visitor.page.locator("[class*=st-key-blend_] .stage")
    visitor.until(lambda: stages.count() == 2)
    settle(page)
    address = page.url
    box = page.get_by_test_id("stMultiSelect")
    box.get_by_role("combobox").press("Backspace")
    visitor.until(lambda: stages.count() == 1)
    settle(page)
    assert "methods=Grad-CAM&" in f"{page.url}&"
    page.go_back()
    visitor.until(lambda: stages.count() == 2)
    settle(page)
    assert page.url == address
    assert "LayerCAM" in box.inner_text()
    assert visitor.complaints() == []


def test_a_pasted_link_shows_the_same_to_somebody_else(come):
    visitor = come("/heatmaps?network=squeezenet&sample=goldfish")
    visitor.select("Class", "tench")
    visitor.page.get_by_text("Evidence against, too").click()
    settle(visitor.page)
    visitor.select("Colours", "PuOr_r")
    visitor.page.wait_for_url("**PuOr_r*")
    other = come(visitor.page.url.removeprefix(visitor.server))
    assert (other.layers()[1] == visitor.layers()[1]).all()
    assert other.chosen("Colours") == "PuOr_r"


def test_a_click_before_the_answer_to_another_has_come_undoes_nothing(come):
    visitor = come("/activations?network=squeezenet&sample=parrot&layer=conv1")
    page, line = visitor.page, SlowLine(visitor)
    line.hold()
    box = page.get_by_role("combobox", name=LAYER)
    box.click()
    box.fill("fire5_concat")
    page.get_by_role("option", name="fire5_concat").click()
    line.wait()
    visitor.click_tile("samples", 0, 0, 4, 3)
    line.let_go()
    page.wait_for_url("**sample=cat-and-dog*")
    settle(page)
    assert visitor.chosen("Sample photo") == "Cat and dog"
    assert visitor.chosen(LAYER).startswith("fire5_concat ")
    assert "layer=fire5_concat" in page.url
    assert "fire5_concat for Cat and dog" in visitor.mosaic("activations").get_attribute(
        "aria-label"
    )
    # Pictures of the run before are gone when the browser hears of them.
    visitor.forgive("404")
    visitor.forgive(".png")


def test_a_layer_and_a_page_that_reach_the_server_at_once_are_both_heard(come):
    visitor = come("/filters?network=squeezenet&sample=parrot")
    page, line = visitor.page, SlowLine(visitor)
    # Where the page overtook the layer, it was lost in half of all cases.
    for name in ["fire4_concat", "fire5_concat"] * 4:
        with line.at_once():
            box = page.get_by_role("combobox", name=LAYER)
            box.click()
            box.fill(name)
            page.get_by_role("option", name=name).click()
            page.get_by_role("link", name="Network", exact=True).click()
        visitor.until(lambda: visitor.heading() == "What does the network say?")
        settle(page)
        assert visitor.go("Filters").chosen(LAYER).startswith(f"{name} ")
    assert visitor.complaints() == []


def test_what_a_browser_would_throw_away_between_two_clicks_is_still_there(come):
    """The second click is answered by what the browser had when it was made."""
    visitor = come("/heatmaps?network=squeezenet&sample=parrot&layer=pool3")
    page, line = visitor.page, SlowLine(visitor)
    for another in range(3):
        for column in range(2):
            visitor.click_tile("samples", column, 0, 4, 3)
            settle(page)
        line.hold()
        visitor.click_tile("samples", another, 1, 4, 3)
        answer = line.wait()
        visitor.click_tile("samples", 0, 0, 4, 3)
        line.wait()
        line.hear_the_first(answer)
        line.let_go()
        settle(page)
    visitor.forgive("404")
    visitor.forgive(".png")
    assert visitor.complaints() == []


def test_what_was_picked_on_a_picture_is_not_taken_back_by_a_click_before_the_answer(come):
    visitor = come("/activations?network=squeezenet&sample=parrot&layer=conv1&channel=5")
    page, line = visitor.page, SlowLine(visitor)
    line.hold()
    visitor.click_tile("samples", 0, 0, 4, 3)
    line.wait()
    visitor.click_tile("activations", 2, 0, 16, 4)
    line.wait()
    page.get_by_role("link", name="Network", exact=True).click()
    line.let_go()
    page.wait_for_url("**/?*sample=cat-and-dog*")
    settle(page)
    assert visitor.chosen("Sample photo") == "Cat and dog"
    channel = visitor.go("Activations").number("Channel").input_value()
    assert channel == re.search(r"channel=(\d+)", page.url).group(1) != "5"
    assert visitor.mosaic("activations").get_attribute("aria-label").endswith("Cat and dog")
    visitor.forgive("404")
    visitor.forgive(".png")
