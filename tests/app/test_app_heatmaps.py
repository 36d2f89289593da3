"""The views of the heatmap page: side by side, layer by layer, and put to the test."""

import re
import threading

import numpy as np
import pytest
from app_driver import blends, captions, fade, maps, pictures, pixels, press, sentences, visit, wait

import vizlib

PHOTO = "sample_images/cat-and-dog.jpg"


@pytest.fixture(scope="module")
def convnet():
    return vizlib.load_convnet("cats-vs-dogs")


@pytest.fixture(scope="module")
def image():
    return vizlib.load_image(PHOTO)


def view(app, name):
    return app.button_group(key="view").set_value(name).run()


def differ(app, what):
    return app.button_group(key="comparison").set_value(what).run()


def titles(app) -> list[str]:
    return [m.value.strip("*") for m in app.markdown if m.value.startswith("**")]


def ranges(app) -> list[tuple[float, float]]:
    """Smallest and largest value of each map shown, as the page states them."""
    told = (re.search(r"from (\S+) to (\S+?)\.$", text) for text in captions(app))
    return [tuple(float(x) for x in found.groups()) for found in told if found]


def assert_range(found, heatmap) -> None:
    expected = heatmap.values.min(), heatmap.values.max()
    assert found == pytest.approx(expected, rel=0.01, abs=1e-6)


# Side by side.


def test_methods_side_by_side_are_those_chosen(dashboard, convnet, image):
    app = view(dashboard("heatmaps"), "compare")
    names = ["Grad-CAM", "HiResCAM", "Gradient"]
    app.multiselect(key="comparison:methods").set_value(names).run()
    assert titles(app) == names
    for found, name in zip(ranges(app), names, strict=True):
        assert_range(found, vizlib.HEATMAP_METHODS[name](convnet, image))
    assert app.toggle(key="one_scale").disabled


def test_a_long_method_is_computed_in_the_background(dashboard, convnet, image):
    app = view(dashboard("heatmaps"), "compare")
    app.multiselect(key="comparison:methods").set_value(["Grad-CAM", "Occlusion"]).run()
    wait(app, lambda app: len(ranges(app)) == 2)
    assert_range(ranges(app)[1], vizlib.occlusion(convnet, image))
    assert not app.toggle(key="one_scale").disabled


def test_classes_have_one_scale_unless_asked_otherwise(dashboard, convnet, image):
    app = differ(view(dashboard("heatmaps"), "compare"), "classes")
    assert len(titles(app)) == 3  # two maps and their difference
    for (low, high), index in zip(ranges(app), (1, 0), strict=True):
        assert_range((low, high), vizlib.grad_cam(convnet, image, class_index=index))
    before = [maps(shown) for shown in blends(app)]
    app.toggle(key="one_scale").set_value(False).run()
    after = [maps(shown) for shown in blends(app)]
    assert [a == b for a, b in zip(after, before, strict=True)].count(False) == 1  # the weaker one


def test_the_difference_of_two_maps_is_first_minus_second(dashboard, monkeypatch):
    drawn = []
    original = vizlib.render.colorize

    def watched(values, **options):
        drawn.append((values, options))
        return original(values, **options)

    app = differ(view(dashboard("heatmaps"), "compare"), "classes")
    monkeypatch.setattr(vizlib.render, "colorize", watched)
    app.toggle(key="signed").set_value(True).run()
    (one, first), (other, second), *_, (difference, last) = drawn
    assert first["limit"] == second["limit"] == max(np.abs(one).max(), np.abs(other).max())
    expected = [vizlib.render.resize_map(v, difference.shape) for v in (one, other)]
    np.testing.assert_allclose(difference, expected[0] - expected[1], atol=1e-6)
    assert last["limit"] == pytest.approx(np.abs(difference).max())
    # The two classes of one sigmoid unit are each other's opposite.
    assert any("Correlation of the two maps: -1.00" in text for text in captions(app))


def test_layers_side_by_side(dashboard, convnet, image):
    app = differ(view(dashboard("heatmaps"), "compare"), "layers")
    chosen = app.multiselect(key="comparison:layers")
    assert convnet.default_layer in chosen.value
    names = [layer.name for layer in convnet.layers if layer.settled][:2]
    chosen.set_value(names).run()
    for found, name in zip(ranges(app), names, strict=True):
        assert_range(found, vizlib.grad_cam(convnet, image, layer=name))


def test_layers_mean_nothing_to_methods_of_pixels(dashboard):
    app = differ(view(dashboard("heatmaps"), "compare"), "layers")
    app.selectbox(key="heatmap_method").set_value("Gradient").run()
    assert "looks at pixels, not at layers" in sentences(app)
    view(app, "layers")
    assert "Choose a method that looks at maps: Grad-CAM" in sentences(app)


def test_photos_side_by_side_are_asked_about_the_same_class(dashboard, convnet, image):
    app = differ(view(dashboard("heatmaps"), "compare"), "photos")
    app.multiselect(key="comparison:photos").set_value(["parrot"]).run()
    assert titles(app)[:2] == ["Cat and dog", "Parrot"]
    index = int(convnet.scores(image).argmax())
    parrot = vizlib.load_image("sample_images/parrot.jpg")
    for found, photo in zip(ranges(app), (image, parrot), strict=True):
        assert_range(found, vizlib.grad_cam(convnet, photo, class_index=index))


def test_two_networks_are_asked_about_the_class_of_the_same_name(dashboard):
    app = dashboard("heatmaps", network="squeezenet", sample="parrot")
    app = differ(view(app, "compare"), "networks")
    app.selectbox(key="other_network").set_value("mobilenet-bundled").run()
    other = vizlib.load_convnet("mobilenet-bundled")
    photo = vizlib.load_image("sample_images/parrot.jpg")
    own = vizlib.load_convnet("squeezenet")
    index = other.labels.index(own.top(photo, 1)[0].label)
    assert_range(ranges(app)[1], vizlib.grad_cam(other, photo, class_index=index))
    app.selectbox(key="other_network").set_value("cats-vs-dogs").run()
    assert "has no class of the name" in sentences(app)
    assert len(ranges(app)) == 2


def test_a_comparison_has_an_address(dashboard):
    link = {"view": "compare", "comparison": "networks", "other": "mobilenet-bundled"}
    app = dashboard("heatmaps", network="squeezenet", sample="parrot", **link)
    assert app.selectbox(key="other_network").value == "mobilenet-bundled"
    assert link.items() <= dict(app.query_params.items()).items()
    app.selectbox(key="other_network").set_value("cats-vs-dogs").run()
    assert app.query_params["other"] == "cats-vs-dogs"
    app = differ(app, "classes")
    assert app.query_params["comparison"] == "classes"
    assert "other" not in app.query_params


@pytest.mark.parametrize(
    ("what", "word", "chosen"),
    [
        ("methods", "LayerCAM,Grad-CAM++", ["LayerCAM", "Grad-CAM++"]),
        ("classes", "0,281", [0, 281]),
        ("layers", "conv1,fire9_concat", ["conv1", "fire9_concat"]),
        ("photos", "parrot", ["parrot"]),
        ("methods", "", []),
        ("methods", "Grad-CAM,Grad-CAM,of no kind", ["Grad-CAM"]),
    ],
)
def test_what_is_compared_has_an_address(dashboard, what, word, chosen):
    link = {"view": "compare", "comparison": what, what: word}
    app = dashboard("heatmaps", network="squeezenet", sample="goldfish", **link)
    assert app.multiselect(key=f"comparison:{what}").value == chosen
    assert app.query_params[what] == ",".join(map(str, chosen))


def test_what_is_compared_is_written_into_the_address(dashboard):
    app = dashboard("heatmaps", view="compare", methods="of no kind")
    choice = app.multiselect(key="comparison:methods")
    assert app.query_params["methods"] == ",".join(choice.value) != ""
    choice.set_value(["LayerCAM", "Grad-CAM"]).run()
    assert app.query_params["methods"] == "LayerCAM,Grad-CAM"
    app = differ(app, "layers")
    assert "methods" not in app.query_params
    assert app.query_params["layers"]


def test_a_link_compares_no_more_than_may_be_chosen(dashboard):
    app = dashboard("heatmaps", view="compare", methods=",".join(vizlib.HEATMAP_METHODS))
    assert app.multiselect(key="comparison:methods").value == [*vizlib.HEATMAP_METHODS][:8]
    assert not app.exception


def test_a_network_is_not_compared_with_itself(dashboard):
    link = {"view": "compare", "comparison": "networks", "other": "mobilenet-bundled"}
    app = dashboard("heatmaps", network="squeezenet", sample="parrot", **link)
    app.sidebar.selectbox(key="network").set_value("mobilenet-bundled").run()
    assert app.selectbox(key="other_network").value != "mobilenet-bundled"
    assert not app.exception
    assert len(ranges(app)) == 2


def test_nothing_chosen_shows_nothing(dashboard):
    app = view(dashboard("heatmaps"), "compare")
    app.multiselect(key="comparison:methods").set_value([]).run()
    assert not app.exception
    assert pictures(app) == []


# By parts.


def test_the_parts_of_a_score_add_up_on_the_page(dashboard, convnet, image):
    app = view(dashboard("heatmaps"), "parts")
    parts = vizlib.channel_contributions(convnet, image)
    table = app.dataframe[0].value
    amounts = dict(zip(table["part"], table["adds"], strict=True))
    first, *_ = parts.strongest(4)
    assert amounts[f"channel {first}"] == pytest.approx(parts.channels[first], rel=1e-4)
    assert amounts["together"] == pytest.approx(parts.score - parts.gap, rel=1e-4)
    assert amounts["the score as the network gives it"] == pytest.approx(parts.score, rel=1e-4)
    assert ("not linear" in sentences(app)) == (parts.diagnosis is not None)
    heads = [s.value for s in app.subheader]
    assert heads == [f"Channel {k}: {parts.channels[k]:+.4g}" for k in parts.strongest(4)]


def test_parts_of_another_layer_and_more_of_them(dashboard, convnet, image):
    app = view(dashboard("heatmaps", network="squeezenet"), "parts")
    app.selectbox(key="heatmap_layer:squeezenet").set_value("fire9_concat").run()
    next(s for s in app.main.slider if s.label == "Channels").set_value(6).run()
    parts = vizlib.channel_contributions(
        vizlib.load_convnet("squeezenet"), image, layer="fire9_concat"
    )
    heads = [s.value for s in app.subheader]
    assert heads == [f"Channel {k}: {parts.channels[k]:+.4g}" for k in parts.strongest(6)]
    assert ("not linear" in sentences(app)) == (parts.diagnosis is not None)


def test_the_patterns_of_the_parts_are_made_when_asked(dashboard, convnet, monkeypatch):
    monkeypatch.setattr("pages.ui.by_parts.SIDE", 32)
    app = view(dashboard("heatmaps"), "parts")
    next(s for s in app.main.slider if s.label == "Channels").set_value(1).run()
    before = len(pictures(app))
    press(app, "Make their patterns")
    wait(app, lambda app: len(pictures(app)) == before + 1)


# Layer by layer.


def test_every_layer_is_tested_and_the_best_recommended(dashboard, convnet, image):
    app = view(dashboard("heatmaps"), "layers")
    wait(app, lambda app: "passes best" in "".join(box.value for box in app.success))
    sweep = vizlib.faithfulness.layer_sweep(convnet, image)
    assert f"**{sweep.best.heatmap.layer}** passes best" in app.success[0].value
    (shown,) = blends(app)
    for layer, png in zip(sweep.layers, maps(shown), strict=True):
        values, size = layer.heatmap.positive, pixels(shown["photo"]).shape[:2]
        highest = float(values.max())
        assert (png is None) == (highest == 0)
        if png is not None:
            drawn = vizlib.render.colorize(values, colormap="inferno", size=size, limit=highest)
            np.testing.assert_array_equal(pixels(png), drawn)
    scores = {layer.heatmap.layer: f"{layer.score:.3g}" for layer in sweep.layers}
    titles = [one["title"] for one in shown["maps"]]
    best = sweep.best.heatmap.layer
    assert titles == [f"{'★ ' * (name == best)}{name}: {scores[name]}" for name in scores]


@pytest.mark.parametrize("name", ["compare", "layers"])
def test_only_the_slider_hears_of_the_opacity_that_the_browser_has_let_go(dashboard, name):
    app = wait(view(dashboard("heatmaps"), name), blends)
    before = pictures(app)
    fade(app, 0.8)
    assert pictures(app) == before


# Tests of belief.


def test_the_verdict_on_a_map_is_that_of_the_library(dashboard, convnet, image):
    app = view(dashboard("heatmaps"), "evidence")
    wait(app, lambda app: any("photos were shown" in text for text in captions(app)))
    heatmap = vizlib.grad_cam(convnet, image)
    told = [box.value for box in (*app.success, *app.warning)]
    for test in (vizlib.faithfulness.deletion, vizlib.faithfulness.insertion):
        assert vizlib.faithfulness.verdict(test(convnet, image, heatmap)) in told
    assert len(app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")) == 2


def test_a_map_that_adds_up_is_shown_to(dashboard, convnet, image):
    app = view(dashboard("heatmaps"), "evidence")
    assert not any("Does it add up" in s.value for s in app.subheader)
    app.selectbox(key="heatmap_method").set_value("HiResCAM").run()
    wait(app, lambda app: any("Does it add up" in s.value for s in app.subheader))
    total = vizlib.faithfulness.completeness(convnet, image, vizlib.hires_cam(convnet, image))
    assert any(f"**{total.total:.4g}**" in m.value for m in app.markdown)


def test_the_network_is_shuffled_when_asked(dashboard, convnet, image):
    app = view(dashboard("heatmaps"), "evidence")
    wait(app, lambda app: any("photos were shown" in text for text in captions(app)))
    before = len(pictures(app))
    press(app, "Shuffle")
    wait(app, lambda app: any("rank correlations" in text for text in captions(app)))
    check = vizlib.faithfulness.randomization_check(convnet, image, vizlib.grad_cam(convnet, image))
    assert len(pictures(app)) - before == len(check.layers)
    words = check.diagnosis or "depends on what the network has learned"
    assert any(words[:40] in box.value for box in (*app.success, *app.warning))


def test_measures_stand_beside_those_of_maps_that_know_nothing(dashboard, convnet, image):
    app = view(dashboard("heatmaps"), "evidence")
    app.selectbox(key="heatmap_method").set_value("HiResCAM").run()
    wait(app, lambda app: app.table)
    found = vizlib.faithfulness.measures(convnet, image, vizlib.hires_cam(convnet, image))
    shown = app.table[0].value
    assert list(shown["measure"]) == [measure.name for measure in found]
    for (_, row), measure in zip(shown.iterrows(), found, strict=True):
        numbers = row["this map"].split()[0], row["random maps"], row["middle blob"]
        given = (measure.heatmap, measure.random, measure.centre)
        assert [float(n) for n in numbers] == pytest.approx(given, abs=0.006)
        assert ("check_circle" in row["this map"]) == measure.beats_both
        assert row["better is"] == ("higher" if measure.higher_is_better else "lower")
        assert any(measure.meaning in text for text in captions(app))


def test_measuring_can_be_cancelled(dashboard, monkeypatch):
    from pages.ui import measures

    begun, stopped = threading.Event(), threading.Event()

    def endless(*_asked, progress):
        while not stopped.is_set():
            begun.set()
            try:
                progress(1, 10_000)
            except BaseException:
                stopped.set()
                raise

    monkeypatch.setattr(measures, "measures", endless)
    app = view(dashboard("heatmaps"), "evidence")
    wait(app, lambda _app: begun.is_set())
    next(b for b in app.button if b.key == "measures_cancel").click().run()
    wait(app, lambda app: "Cancelled" in sentences(app))
    assert stopped.is_set()
    assert any("photos were shown" in text for text in captions(app))


def give_box(app, *sides):
    for field, side in zip(app.main.number_input, sides, strict=True):
        field.set_value(side)
    return app.run()


def told_of_pointing(app) -> str:
    return "\n".join(m.value for m in (*app.markdown, *app.success, *app.warning))


@pytest.mark.parametrize("threshold", [20, 60])
def test_the_box_of_a_map_is_that_of_the_library(dashboard, convnet, image, threshold, monkeypatch):
    drawn = []
    original = vizlib.render.outlined
    monkeypatch.setattr(
        vizlib.render, "outlined", lambda *a, **o: drawn.append(a[1]) or original(*a, **o)
    )
    app = view(dashboard("heatmaps"), "evidence")
    app.slider(key="threshold").set_value(threshold).run()
    heatmap = vizlib.grad_cam(convnet, image)
    box = vizlib.faithfulness.bounding_box(image, heatmap, threshold=threshold / 100)
    assert f"above {threshold}%, from {box[0]}, {box[1]} to {box[2]}, {box[3]}." in (
        told_of_pointing(app)
    )
    assert drawn[-1] == box
    whole = (0, 0, *image.shape[1::-1])
    ((x, y),) = vizlib.faithfulness.pointing_game(image, heatmap, whole).points
    assert f"brightest point, at {x:.0f}, {y:.0f}." in told_of_pointing(app)
    assert "random one" not in told_of_pointing(app)


def test_a_box_of_the_visitors_is_held_against_the_map(dashboard, convnet, image):
    app = view(dashboard("heatmaps"), "evidence")
    heatmap = vizlib.grad_cam(convnet, image)
    box = vizlib.faithfulness.bounding_box(image, heatmap)
    height, width = image.shape[:2]
    for given in ((0, 0, width, height - 10), (0, 0, 20, 10)):
        before = pictures(app)
        give_box(app, *given)
        assert pictures(app) != before
        pointing = vizlib.faithfulness.pointing_game(image, heatmap, given)
        lies = "lies in" if pointing.hit else "does not lie in"
        words = f"The brightest point {lies} your box. A random one does with {pointing.chance:.0%}"
        assert words in told_of_pointing(app)
        shared = vizlib.faithfulness.overlap(box, given)
        assert f"Both boxes share **{shared:.2f}**" in told_of_pointing(app)
    assert {True, False} == {
        vizlib.faithfulness.pointing_game(image, heatmap, one).hit
        for one in ((0, 0, width, height - 10), (0, 0, 20, 10))
    }


def test_a_box_that_is_none_is_refused_in_a_sentence(dashboard):
    app = give_box(view(dashboard("heatmaps"), "evidence"), 30, 10, 30, 50)
    assert "That is no box" in sentences(app)
    assert "random one" not in told_of_pointing(app)


def test_a_box_comes_with_the_address(dashboard):
    link = {"left": "5", "top": "6", "right": "70", "bottom": "80", "threshold": "45"}
    app = dashboard("heatmaps", view="evidence", **link)
    assert [field.value for field in app.main.number_input] == [5, 6, 70, 80]
    assert app.slider(key="threshold").value == 45
    assert "random one" in told_of_pointing(app)
    give_box(app, None, 6, 70, 80)
    assert "random one" not in told_of_pointing(app)
    assert "left" not in app.query_params


# In Chinese.


OURS = {
    *("heatmaps", "one_heatmap", "comparison", "by_parts", "layer_film", "evidence"),
    *("explanations", "measures", "pointing"),
}


def all_words(app) -> set[str]:
    """What is written on a page, and the labels and explanations of its controls."""
    kinds = ("header", "subheader", "markdown", "caption", "success", "warning", "info")
    written = {one.value for kind in kinds for one in app.main.get(kind)}
    kinds = ("selectbox", "multiselect", "slider", "toggle", "button", "button_group")
    controls = [one for kind in (*kinds, "number_input") for one in app.main.get(kind)]
    return written | {words for one in controls for words in (one.label, one.help) if words}


@pytest.mark.parametrize("name", ["one", "compare", "parts", "layers", "evidence"])
def test_no_text_of_the_page_stays_english(dashboard, name):
    from pages.ui import language

    english = [
        re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(text["en"])))
        for key, text in language._catalogue().items()
        if key.split(".")[0] in OURS
    ]
    app = dashboard("heatmaps", view=name, lang="zh", left="5", top="5", right="90", bottom="90")
    wait(app, lambda app: not [b for b in app.button if (b.key or "").endswith("_cancel")])
    left = [words for words in all_words(app) if any(one.fullmatch(words) for one in english)]
    assert left == []
    app.sidebar.selectbox(key="language").set_value("en").run()
    assert any(one.fullmatch(words) for words in all_words(app) for one in english)


def test_a_change_of_language_loses_no_choice(dashboard):
    app = differ(view(dashboard("heatmaps"), "compare"), "layers")
    app.multiselect(key="comparison:layers").set_value(["conv1", "conv2"]).run()
    app.sidebar.selectbox(key="language").set_value("zh").run()
    assert app.button_group(key="view").value == "compare"
    assert app.button_group(key="comparison").value == "layers"
    assert app.multiselect(key="comparison:layers").value == ["conv1", "conv2"]
    assert titles(app)[:2] == ["conv1", "conv2"]


# Long work.


def test_what_was_cancelled_is_begun_again_when_asked(dashboard, monkeypatch):
    held, stopped = threading.Event(), []

    def endless(_convnet, _image, *, class_index=None, layer=None, progress=None):
        done = 0
        while not held.wait(0.02):
            done += 1
            try:
                progress(done, 10_000)
            except BaseException:
                stopped.append(done)
                raise
        return vizlib.grad_cam(_convnet, _image, class_index=class_index, layer=layer)

    monkeypatch.setitem(vizlib.HEATMAP_METHODS, "RISE", endless)
    app = dashboard("heatmaps")
    app.selectbox(key="heatmap_method").set_value("RISE").run()
    assert pictures(app) == []
    press(app, "Cancel")
    wait(app, lambda app: "Cancelled" in sentences(app))
    assert stopped
    visit(app, "activations")
    visit(app, "heatmaps")
    assert "Cancelled" in sentences(app)
    held.set()
    press(app, "Try again")
    wait(app, lambda app: len(pictures(app)) == 3)


def test_a_method_that_fails_says_so_once(dashboard, monkeypatch):
    calls = []

    def failing(_convnet, _image, *, class_index=None, layer=None, progress=None):
        calls.append(1)
        raise vizlib.UnsupportedModelError("Expected another network.")

    monkeypatch.setitem(vizlib.HEATMAP_METHODS, "RISE", failing)
    app = dashboard("heatmaps")
    app.selectbox(key="heatmap_method").set_value("RISE").run()
    wait(app, lambda app: "Expected another network" in sentences(app))
    app.run()
    assert len(calls) == 1


# To take along.


def test_the_report_has_the_tests_once_they_are_made(dashboard, convnet, image, monkeypatch):
    from pages.ui import controls

    reports = []
    monkeypatch.setattr(
        controls, "download_report", lambda html, _name, *, key: reports.append(html)
    )
    app = dashboard("heatmaps")
    heatmap = vizlib.grad_cam(convnet, image)
    plain = reports[-1]
    assert "Removing the" not in plain()
    assert f"{heatmap.score:.6g}" in plain()
    assert convnet.digest() in plain()
    reports.clear()
    view(app, "evidence")
    wait(app, lambda _app: reports)
    tested = reports[-1]()
    assert (
        vizlib.faithfulness.verdict(vizlib.faithfulness.deletion(convnet, image, heatmap)) in tested
    )
    assert "faithfulness.deletion(convnet, image, heatmap)" in tested
    assert "above 20%" in tested
    wait(app, lambda app: app.table)
    give_box(app, 10, 10, 90, 90)
    tested = reports[-1]()
    for measure in vizlib.faithfulness.measures(convnet, image, heatmap):
        assert measure.meaning in tested
    assert "(10, 10, 90, 90)" in tested
    assert "thing = (10, 10, 90, 90)" in tested
