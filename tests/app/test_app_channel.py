"""The other views of the filter page: one channel with its evidence, a whole layer, a class."""

import numpy as np
import pytest
from app_driver import captions, mosaic, pictures, press, sentences, visit, wait

import vizlib
from pages.ui import jobs

QUICK = {"recipe": "classic"}
OPTIONS = {"recipe": "classic", "size": 32, "steps": 2, "seed": 0}
LAYER = "conv2"


@pytest.fixture(scope="module")
def convnet():
    return vizlib.load_convnet("cats-vs-dogs")


@pytest.fixture
def view(dashboard):
    """Open a view of the page with two quick steps."""

    def opened(name, **link):
        app = dashboard("filters", view=name, layer=LAYER, **QUICK | link)
        recipe = app.selectbox(key="filter_recipe").value
        steps = 2 if recipe == "classic" else 20
        app.number_input(key=f"filter_steps:{recipe}").set_value(steps).run()
        return app

    return opened


def kept(_app):
    """What the last job of a kind has made."""
    results = jobs.queue()._results
    return list(results.values())[-1]


def test_the_layer_of_these_tests_is_there(convnet):
    assert LAYER in {layer.name for layer in convnet.layers}


# One channel.


def test_a_channel_has_its_pattern_at_once(view, convnet):
    app = view("channel", channel="3")
    wait(app, lambda app: not jobs.running("channel"))
    app.run()
    expected = vizlib.filter_patterns(convnet, LAYER, [3], **OPTIONS)
    np.testing.assert_array_equal(kept(app).images, expected.images)
    told = f"Mean of channel 3: {expected.objective[0, 0]:.4g} at the start"
    assert any(told in text for text in captions(app))
    assert app.query_params["channel"] == "3"
    assert app.query_params["recipe"] == "classic"


def test_the_address_of_a_channel_opens_it(view):
    app = view("channel", channel="5", seed="7")
    assert app.number_input(key="filter_seed").value == 7
    assert app.button_group(key="filter_view").value == "channel"
    channel = next(n for n in app.number_input if n.label == "Channel")
    assert channel.value == 5
    channel.set_value(2).run()
    assert app.query_params["channel"] == "2"


def test_the_pattern_is_held_against_real_photos(view, convnet):
    app = view("channel", channel="1", recipe="fourier")
    wait(app, lambda app: any("times** that" in text for text in captions(app)))
    told = next(text for text in captions(app) if "times** that" in text)
    paths = vizlib.images_in("sample_images")
    peaks = vizlib.layer_peaks(convnet, LAYER, paths)
    assert f"The largest mean on 12 photos is {peaks.mean[:, 1].max():.4g}" in told


def test_the_patches_are_those_of_the_library(view, convnet):
    app = view("channel", channel="3")
    patches = vizlib.top_patches(convnet, LAYER, 3, vizlib.images_in("sample_images"), count=6)
    shown = [one.caption for image in app.main.get("image") for one in image.proto.imgs]
    for patch in patches:
        assert any(f": {patch.activation:.3g}" in caption for caption in shown)
    field = vizlib.receptive_field(convnet, LAYER)
    height, width = field.size
    assert any(f"{width} x {height} pixels of the network's input" in t for t in captions(app))


def test_a_channel_of_the_last_maps_tells_the_classes_it_feeds(dashboard):
    link = {"network": "mobilenet-bundled", "layer": "conv_pw_13_relu", "channel": "8"}
    app = dashboard("filters", view="channel", **QUICK | link)
    net = vizlib.load_convnet("mobilenet-bundled")
    fed = vizlib.classes_fed(net, "conv_pw_13_relu", 8)
    table = app.dataframe[0].value
    assert list(table["class"]) == [one.label for one in fed.top]
    press(app, "Cancel")


def test_classes_are_not_told_where_they_depend_on_the_photo(view):
    app = view("channel")
    assert not app.dataframe
    assert any("not linear" in text for text in captions(app))


def test_more_pictures_are_made_when_asked(view, convnet):
    app = view("channel", channel="3")
    wait(app, lambda _app: not jobs.running("channel"))
    before = len(pictures(app.run()))
    press(app, "What silences it")
    wait(app, lambda _app: not jobs.running("channel_more"))
    app.run()
    assert len(pictures(app)) == before + 5
    objective = vizlib.objectives.channel(LAYER, 3)
    wanted = [vizlib.objectives.negative(objective), vizlib.objectives.diverse(objective, 4)]
    expected = vizlib.optimize(convnet, wanted, **OPTIONS)
    np.testing.assert_array_equal(kept(app).images, expected.images)


def test_recipes_change_the_picture(view):
    app = view("channel", channel="3")
    wait(app, lambda _app: not jobs.running("channel"))
    before = kept(app).objective
    app.selectbox(key="filter_recipe").set_value("maco").run()
    app.number_input(key="filter_steps:maco").set_value(2).run()
    wait(app, lambda _app: not jobs.running("channel"))
    app.run()
    assert kept(app).transparency is not None
    assert (kept(app).objective != before).any()


# A class.


def test_a_class_has_its_picture(view, convnet):
    app = view("class", **{"class": "0"})
    wait(app, lambda _app: not jobs.running("class"))
    app.run()
    expected = vizlib.optimize(convnet, [vizlib.objectives.class_logit(0)], **OPTIONS)
    np.testing.assert_array_equal(kept(app).images, expected.images)
    photo = vizlib.load_image("sample_images/cat-and-dog.jpg")
    score = convnet.scores(photo)[0]
    assert any(f"for your photo is {score:.4g}" in text for text in captions(app))


# A whole layer.


def test_a_layer_is_made_kept_and_shown_again(view, dashboard, convnet):
    app = view("layer")
    assert any(text.startswith("**0 of ") for text in captions(app))
    press(app, "Make all")
    wait(app, lambda _app: not jobs.running("atlas"))
    app.run()
    count = convnet.layer(LAYER).channels
    assert any(text.startswith(f"**{count} of {count}**") for text in captions(app))
    assert mosaic(app, "atlas")["count"] == count
    assert not [b for b in app.button if b.label in ("Make all", "Go on")]
    assert mosaic(app, "atlas")["labels"][0].startswith("channel 0 · ")
    # Pictures are kept for all visitors, words are not.
    app.sidebar.selectbox(key="language").set_value("zh").run()
    assert mosaic(app, "atlas")["labels"][0].startswith("通道 0 · ")
    app.sidebar.selectbox(key="language").set_value("en").run()
    visit(app, "network")
    visit(app, "filters")
    assert mosaic(app, "atlas")["count"] == count


def test_a_cancelled_layer_goes_on_where_it_was(view, monkeypatch):
    app = view("layer", seed="1")
    original = vizlib.filter_patterns
    calls = []

    def counted(*arguments, **options):
        calls.append(arguments[2])
        if len(calls) == 2:
            jobs._own_jobs()["atlas"].cancel()
        return original(*arguments, **options)

    monkeypatch.setattr("vizlib.atlas.filter_patterns", counted)
    press(app, "Make all")
    wait(app, lambda _app: not jobs.running("atlas"))
    app.run()
    assert "Cancelled" in sentences(app)
    assert mosaic(app, "atlas")["count"] == 8
    press(app, "Go on")
    wait(app, lambda _app: not jobs.running("atlas"))
    app.run()
    assert calls.count(calls[0]) == 1
    assert mosaic(app, "atlas")["count"] > 8
