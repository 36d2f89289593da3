"""The page of filter patterns, with its jobs really at work."""

import keras
import nets
import numpy as np
import pytest
from app_driver import (
    captions,
    mosaic,
    pictures,
    press,
    saved,
    sentences,
    upload_model,
    visit,
    wait,
)

import vizlib
from pages.ui import jobs


@pytest.fixture
def filters(dashboard):
    """The page, set to two quick patterns of a small network."""
    app = dashboard("filters", recipe="classic")
    app.button_group(key="filter_way").set_value("list").run()
    app.text_input(key="filter_list").set_value("0, 3")
    app.number_input(key="filter_steps:classic").set_value(2).run()
    return app


def make(app):
    press(app, "Make patterns")
    wait(app, lambda _app: not jobs.running("filters"))
    return app.run()


def shown(app) -> list[str]:
    """Names of the channels in the mosaic."""
    return [label.split(" ·")[0] for label in mosaic(app, "patterns")["labels"]]


def test_patterns_are_those_of_the_library(filters):
    make(filters)
    assert shown(filters) == ["channel 0", "channel 3"]
    net = vizlib.load_convnet("cats-vs-dogs")
    layer = filters.selectbox(key="filters_layer:cats-vs-dogs").value
    expected = vizlib.filter_patterns(net, layer, [0, 3], steps=2, size=32, recipe="classic")
    kept = jobs.queue().result(filters.session_state["filter_shown"])
    np.testing.assert_array_equal(kept.images, expected.images)
    assert len(filters.get("download_button")) == 3


@pytest.mark.parametrize(
    ("text", "channels"),
    [
        ("3", [3]),
        ("5-7, 1;1", [5, 6, 7, 1]),
        (" 2 – 3 ,", [2, 3]),
        ("0-0", [0]),
        ("1，3；0、5—6", [1, 3, 0, 5, 6]),
    ],
)
def test_lists_of_channels_are_read(filters, text, channels):
    filters.text_input(key="filter_list").set_value(text).run()
    make(filters)
    assert shown(filters) == [f"channel {c}" for c in channels]


def test_another_language_loses_neither_choices_nor_patterns(filters):
    make(filters)
    before = mosaic(filters, "patterns")["png"]
    filters.sidebar.selectbox(key="language").set_value("zh").run()
    assert shown(filters) == ["通道 0", "通道 3"]
    assert mosaic(filters, "patterns")["png"] == before
    assert filters.selectbox(key="filter_recipe").value == "classic"
    assert filters.button_group(key="filter_way").value == "list"
    assert filters.text_input(key="filter_list").value == "0, 3"
    assert filters.number_input(key="filter_steps:classic").value == 2
    assert "生成图案" in [button.label for button in filters.button]
    filters.text_input(key="filter_list").set_value("x").run()
    assert "收到的是：x" in filters.error[0].value


@pytest.mark.parametrize(
    "text", ["", ",", "x", "-1", "7-5", "0-100000", "²", "9" * 5000, "1.5", "3 4"]
)
def test_mistaken_lists_are_told_and_cost_nothing(filters, text):
    make(filters)
    before = pictures(filters)
    filters.text_input(key="filter_list").set_value(text).run()
    assert not filters.exception
    assert filters.error[0].value.startswith("Expected channel numbers from 0 to")
    assert len(filters.error[0].value) < 200
    assert [b.disabled for b in filters.button if b.label == "Make patterns"] == [True]
    assert pictures(filters) == before


def test_ways_of_choosing_channels(filters):
    app = filters
    way = app.button_group(key="filter_way")
    way.set_value("range").run()
    slider = next(s for s in app.main.slider if s.label == "From, to")
    slider.set_value((2, 4)).run()
    make(app)
    assert shown(app) == ["channel 2", "channel 3", "channel 4"]

    for name in ("first", "random", "strongest"):
        app.button_group(key="filter_way").set_value(name).run()
        next(s for s in app.main.slider if s.label == "How many").set_value(3).run()
        make(app)
        assert len(set(shown(app))) == 3
    strongest = shown(app)
    net = vizlib.load_convnet("cats-vs-dogs")
    layer = app.selectbox(key="filters_layer:cats-vs-dogs").value
    maps = vizlib.activations(net, vizlib.load_image("sample_images/cat-and-dog.jpg"), layer)
    order = np.argsort(-vizlib.channel_strength(maps[layer]), kind="stable")[:3]
    assert strongest == [f"channel {c}" for c in order]


def test_random_channels_depend_on_the_seed(filters):
    app = filters
    app.button_group(key="filter_way").set_value("random").run()
    next(s for s in app.main.slider if s.label == "How many").set_value(3).run()
    drawn = set()
    for seed in range(3):
        app.number_input(key="filter_seed").set_value(seed).run()
        make(app)
        drawn.add(tuple(shown(app)))
    assert len(drawn) > 1


@pytest.mark.parametrize(
    ("key", "value"),
    [("filter_seed", 5), ("filter_steps:classic", 3), ("filter_size:cats-vs-dogs", 48)],
)
def test_amounts_change_the_patterns(filters, key, value):
    make(filters)
    before = mosaic(filters, "patterns")["png"]
    filters.number_input(key=key).set_value(value).run()
    assert mosaic(filters, "patterns")["png"] == before
    make(filters)
    assert mosaic(filters, "patterns")["png"] != before


def test_stitching_shows_the_largest_square_of_the_best(filters):
    filters.text_input(key="filter_list").set_value("0-4").run()
    make(filters)
    before = mosaic(filters, "patterns")
    filters.toggle(key="stitched").set_value(True).run()
    after = mosaic(filters, "patterns")
    assert before["count"] == 5
    assert (after["count"], after["columns"]) == (4, 2)
    assert after["png"] != before["png"]


def test_one_pattern_large_follows_the_choice(filters):
    make(filters)
    before = pictures(filters)
    channel = next(s for s in filters.main.selectbox if s.label == "Channel")
    channel.set_value(3).run()
    assert pictures(filters) != before
    assert mosaic(filters, "patterns")["selected"] == 1


def test_size_too_small_for_the_network_is_told_and_the_pictures_stay(dashboard):
    app = dashboard("filters", recipe="classic", network="squeezenet")
    app.selectbox(key="filters_layer:squeezenet").set_value("conv1").run()
    app.button_group(key="filter_way").set_value("list").run()
    app.text_input(key="filter_list").set_value("0").run()
    app.number_input(key="filter_steps:classic").set_value(1).run()
    make(app)
    before = pictures(app)
    app.selectbox(key="filters_layer:squeezenet").set_value("conv10").run()
    app.number_input(key="filter_size:squeezenet").set_value(16).run()
    make(app)
    assert "may be too small" in app.error[0].value
    assert pictures(app) == before


def test_more_patterns_than_a_picture_holds_is_told(dashboard):
    app = dashboard("filters", recipe="classic", network="mobilenet-bundled")
    key = "filters_layer:mobilenet-bundled"
    app.selectbox(key=key).set_value("conv_pw_13_relu").run()
    app.button_group(key="filter_way").set_value("list").run()
    app.text_input(key="filter_list").set_value("0-1023").run()
    assert "at most 625 channels at 160 x 160" in app.error[0].value
    app.number_input(key="filter_size:mobilenet-bundled").set_value(112).run()
    assert not app.error


def test_layer_of_one_channel_needs_no_choice(dashboard, tmp_path):
    nets.seeded()
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, nets.head(nets.conv(1, "single")(image)), name="narrow")
    app = upload_model(dashboard("filters", recipe="classic"), saved(model, tmp_path))
    assert "This layer has one channel." in captions(app)
    app.number_input(key="filter_steps:classic").set_value(2).run()
    make(app)
    assert shown(app) == ["channel 0"]


def test_cancel_stops_and_keeps_what_was_made(filters):
    make(filters)
    before = pictures(filters)
    filters.number_input(key="filter_steps:classic").set_value(500)
    filters.number_input(key="filter_size:cats-vs-dogs").set_value(512).run()
    press(filters, "Make patterns")
    wait(filters, lambda _app: jobs._own_jobs()["filters"].done > 0)
    filters.run()
    assert any("step" in bar.proto.text for bar in filters.get("progress"))
    assert pictures(filters) == before
    press(filters, "Cancel")
    wait(filters, lambda _app: not jobs.running("filters"), seconds=30)
    filters.run()
    assert jobs._own_jobs()["filters"].done < 500
    assert "Cancelled" in sentences(filters)
    assert not any(b.label == "Cancel" for b in filters.button)
    assert pictures(filters) == before


def test_job_survives_other_pages_and_other_networks(filters):
    press(filters, "Make patterns")
    visit(filters, "heatmaps")
    filters.sidebar.selectbox(key="network").set_value("squeezenet").run()
    visit(filters, "filters")
    wait(filters, lambda _app: not jobs.running("filters"))
    filters.run()
    assert not filters.subheader
    filters.sidebar.selectbox(key="network").set_value("cats-vs-dogs").run()
    assert shown(filters) == ["channel 0", "channel 3"]


def test_message_of_an_old_job_goes_when_kept_patterns_are_shown(filters):
    make(filters)
    filters.text_input(key="filter_list").set_value("0-7").run()
    filters.number_input(key="filter_steps:classic").set_value(500).run()
    press(filters, "Make patterns")
    press(filters, "Cancel")
    wait(filters, lambda app: "Cancelled" in sentences(app))
    filters.number_input(key="filter_steps:classic").set_value(2)
    filters.text_input(key="filter_list").set_value("0, 3").run()
    press(filters, "Make patterns")
    assert "Cancelled" not in sentences(filters)
    assert shown(filters) == ["channel 0", "channel 3"]


def test_same_order_is_worked_on_once(filters, monkeypatch):
    calls = []
    original = vizlib.filter_patterns

    def counted(*args, **options):
        calls.append(args)
        return original(*args, **options)

    monkeypatch.setattr(vizlib, "filter_patterns", counted)
    press(filters, "Make patterns")
    press(filters, "Make patterns")
    make(filters)
    make(filters)
    assert len(calls) == 1
