"""Each page as it opens, and what each of its controls changes."""

import re
from dataclasses import replace
from urllib.parse import parse_qsl

import numpy as np
import pyarrow
import pytest
from app_driver import (
    PAGES,
    blends,
    captions,
    fade,
    given,
    maps,
    mosaic,
    pictures,
    pixels,
    sentences,
    visit,
    wait,
)

import vizlib
from pages.ui import controls

CAT_AND_DOG = "sample_images/cat-and-dog.jpg"


def changed(app, before: list[str]) -> list[bool]:
    """Which pictures of the page are others than before."""
    assert not app.exception
    return [a != b for a, b in zip(pictures(app), before, strict=True)]


@pytest.mark.parametrize("name", PAGES)
def test_page_opens_with_sidebar_and_without_complaint(dashboard, name):
    app = dashboard(name, network="squeezenet")
    assert app.header[0].value.endswith("?")
    assert app.sidebar.selectbox(key="network").value == "squeezenet"
    assert len(mosaic(app, "samples")["labels"]) >= 6
    assert not app.error
    assert not app.warning


def test_link_chooses_network_and_sample_and_ignores_nonsense(dashboard):
    app = dashboard(network="mobilenet-bundled", sample="parrot")
    assert app.sidebar.selectbox(key="network").value == "mobilenet-bundled"
    assert app.sidebar.selectbox(key="sample").value == "parrot"
    app = dashboard(network="no-such", sample="../../etc/passwd")
    assert app.sidebar.selectbox(key="network").value == "squeezenet"
    assert app.query_params["network"] == "squeezenet"


def test_choices_are_kept_in_the_link(dashboard):
    app = dashboard()
    app.sidebar.selectbox(key="sample").set_value("goldfish").run()
    assert app.query_params["sample"] == "goldfish"
    visit(app, "heatmaps")
    assert app.query_params["sample"] == "goldfish"
    assert app.query_params["network"] == "cats-vs-dogs"


# Network


def test_network_page_names_the_top_five_with_their_share(dashboard):
    app = dashboard(network="squeezenet", sample="parrot")
    net = vizlib.load_convnet("squeezenet")
    image = vizlib.load_image("sample_images/parrot.jpg")
    expected = [f"{p.label} · {p.probability:.1%}" for p in net.top(image, 5)]
    assert [bar.proto.text for bar in app.get("progress")] == expected


def test_network_page_shows_the_input_as_it_is_received(dashboard):
    app = dashboard(network="squeezenet")
    (received,) = (table.value for table in app.dataframe)
    net = vizlib.load_convnet("squeezenet")
    tensor = net.input_tensor(vizlib.load_image("sample_images/cat-and-dog.jpg"))
    assert list(received["input channel"]) == ["blue", "green", "red"]
    for column, of in (("minimum", np.min), ("mean", np.mean), ("maximum", np.max)):
        shown = [float(f"{number:.4g}") for number in of(tensor.astype(float), axis=(0, 1))]
        assert list(received[column]) == shown
    assert "227 x 227" in app.markdown[0].value
    assert "caffe" in app.markdown[0].value


# Activations


def test_every_activation_control_changes_its_pictures(dashboard):
    app = dashboard("activations", network="squeezenet")
    before, grid = pictures(app), mosaic(app, "activations")
    app.selectbox(key="activation_colours").set_value("magma").run()
    assert changed(app, before) == [False, True, True, True]
    assert mosaic(app, "activations")["png"] != grid["png"]

    before, grid = pictures(app), mosaic(app, "activations")
    app.selectbox(key="order").set_value("strength").run()
    assert changed(app, before) == [False] * 4
    by_strength = mosaic(app, "activations")
    assert by_strength["png"] != grid["png"]
    assert by_strength["labels"] != grid["labels"]
    assert by_strength["selected"] == 0
    assert sorted(by_strength["labels"]) == sorted(grid["labels"])

    app.selectbox(key="scaling").set_value("layer").run()
    assert changed(app, before) == [False, True, True, False]
    assert mosaic(app, "activations")["png"] != by_strength["png"]

    app.number_input[0].set_value(3).run()
    assert changed(app, before)[:3] == [False, True, True]
    marked = mosaic(app, "activations")
    assert marked["labels"][marked["selected"]].startswith("channel 3 ")

    app.selectbox(key="activations_layer:squeezenet").set_value("conv10").run()
    assert not app.exception
    assert mosaic(app, "activations")["count"] == 1000
    assert mosaic(app, "activations")["columns"] == 32
    assert "**1000** channels of 13 x 13" in app.markdown[0].value


def test_channel_of_a_wide_layer_does_not_haunt_a_narrow_one(dashboard):
    app = dashboard("activations", network="squeezenet")
    layer = app.selectbox(key="activations_layer:squeezenet")
    layer.set_value("conv10").run()
    app.number_input[0].set_value(999).run()
    app.selectbox(key="activations_layer:squeezenet").set_value("fire2_squeeze1x1").run()
    assert not app.exception
    assert not app.error
    assert 0 <= app.number_input[0].value <= 15


def test_a_channel_has_its_histogram_and_the_way_to_its_pattern(dashboard):
    net, image = vizlib.load_convnet("cats-vs-dogs"), vizlib.load_image(CAT_AND_DOG)
    layer = vizlib.activations(net, image, ["conv2"])["conv2"]
    channel, silent = (int(pick(vizlib.channel_strength(layer))) for pick in (np.argmax, np.argmin))
    app = dashboard("activations", layer="conv2", channel=str(channel), recipe="classic")
    values = layer[..., channel]
    (chart,) = app.get("vega_lite_chart")
    drawn = pyarrow.ipc.open_stream(chart.proto.data.data).read_pandas()
    assert (drawn["from"].min(), drawn["to"].max()) == (values.min(), values.max())
    for start, end, places in drawn[["from", "to", "places"]].to_numpy()[:-1]:
        assert places == ((values >= start) & (values < end)).sum()
    assert drawn["places"].sum() == values.size

    (link,) = app.get("page_link")
    asked = dict(parse_qsl(link.proto.query_string))
    opened = dashboard(link.proto.page, **asked)
    assert opened.number_input(key="filter_channel:conv2:64").value == channel
    assert opened.button_group(key="filter_view").value == "channel"

    # Where all values are the same there is nothing to draw.
    assert layer[..., silent].max() == 0
    assert not dashboard("activations", layer="conv2", channel=str(silent)).get("vega_lite_chart")


def test_facts_count_dead_channels(dashboard):
    app = dashboard("activations", network="squeezenet")
    net = vizlib.load_convnet("squeezenet")
    maps = vizlib.activations(net, vizlib.load_image("sample_images/cat-and-dog.jpg"))
    dead = {layer: len(vizlib.dead_channels(values)) for layer, values in maps.items()}
    layer = max(dead, key=dead.get)
    assert dead[layer] > 0
    app.selectbox(key="activations_layer:squeezenet").set_value(layer).run()
    assert f"**{dead[layer]}** dead" in app.markdown[0].value


def test_negative_activations_get_a_bar_through_zero(dashboard):
    app = dashboard("activations", network="mobilenet-bundled")
    app.selectbox(key="activations_layer:mobilenet-bundled").set_value("conv1_bn").run()
    assert not app.exception
    told = captions(app)
    assert any("Zero is the middle" in sentence for sentence in told)
    bar = told.index("activation")
    low, middle, high = (float(text) for text in told[bar - 3 : bar])
    assert low == -high < 0 == middle


# Heatmaps


def test_every_heatmap_control_changes_its_pictures(dashboard):
    app = dashboard("heatmaps", network="mobilenet-bundled")
    start = pictures(app)
    app.selectbox(key="heatmap_colours").set_value("viridis").run()
    assert changed(app, start) == [False, True, True]

    before = pictures(app)
    fade(app, 0.8)
    assert changed(app, before) == [False, False, False]
    assert given(app, "opacity")[0]["opacity"] == 0.8

    before = pictures(app)
    app.toggle(key="signed").set_value(True).run()
    assert changed(app, before) == [False, True, True]

    before = pictures(app)
    app.selectbox(key="heatmap_signed_colours").set_value("PuOr_r").run()
    assert changed(app, before) == [False, True, True]

    app.toggle(key="signed").set_value(False).run()
    before = pictures(app)
    shown = app.selectbox(key="class:mobilenet-bundled:cat-and-dog")
    shown.set_value(shown.options.index(shown.options[1])).run()
    assert changed(app, before)[:2] == [False, True]

    before = pictures(app)
    app.selectbox(key="heatmap_layer:mobilenet-bundled").set_value("conv_pw_5_relu").run()
    assert changed(app, before)[:2] == [False, True]
    assert any("conv\\_pw\\_5\\_relu, 28 x 28" in text for text in captions(app))


def test_evidence_against_is_really_drawn(dashboard, monkeypatch):
    lowest = []
    original = vizlib.render.colorize

    def watched(values, **options):
        lowest.append(values.min())
        return original(values, **options)

    monkeypatch.setattr(vizlib.render, "colorize", watched)
    app = dashboard("heatmaps", network="mobilenet-bundled")
    assert min(lowest) == 0
    app.toggle(key="signed").set_value(True).run()
    assert min(lowest) < 0
    bar = captions(app).index("logit units")
    low, middle, high = (float(text) for text in captions(app)[bar - 3 : bar])
    assert low == -high < 0 == middle


def test_the_picture_to_download_is_the_blend_at_this_opacity(dashboard, monkeypatch):
    offered = {}
    monkeypatch.setattr(
        controls, "download_png", lambda png, name, *, key: offered.update({key: png})
    )
    app = dashboard("heatmaps", network="squeezenet")
    (shown,) = blends(app)
    for alpha, layer in ((0.0, shown["photo"]), (1.0, *maps(shown))):
        fade(app, alpha)
        np.testing.assert_array_equal(pixels(offered["heatmap_png"]), pixels(layer))


def test_a_map_of_zeros_leaves_the_photo_alone(dashboard, monkeypatch):
    def empty(convnet, image, *, class_index=None, layer=None, progress=None):
        found = vizlib.grad_cam(convnet, image, class_index=class_index, layer=layer)
        return replace(found, values=np.zeros_like(found.values))

    monkeypatch.setitem(vizlib.HEATMAP_METHODS, "RISE", empty)
    app = dashboard("heatmaps")
    app.selectbox(key="heatmap_method").set_value("RISE").run()
    wait(app, blends)
    assert maps(blends(app)[0]) == [None]


def test_classes_come_most_likely_first_and_all_of_them(dashboard):
    app = dashboard("heatmaps", network="squeezenet", sample="goldfish")
    options = app.selectbox(key="class:squeezenet:goldfish").options
    shares = [float(option.rsplit(" ", 1)[1].rstrip("%")) for option in options]
    assert options[0].startswith("goldfish")
    assert len(options) == len(set(options)) == 1000
    assert shares == sorted(shares, reverse=True)


def test_diagnosis_is_told_in_words(dashboard):
    app = dashboard("heatmaps", network="mobilenet-bundled")
    layer = app.selectbox(key="heatmap_layer:mobilenet-bundled")
    single = next(o for o in layer.options if " 1 x 1 x " in o)
    layer.set_value(single.split("  ·  ")[0]).run()
    assert "cannot tell places apart" in sentences(app)
    assert len(pictures(app)) == 3


def value_range(app) -> tuple[float, float]:
    """Smallest and largest value of the heatmap, as the page states them."""
    text = " ".join(captions(app))
    return tuple(float(x) for x in re.search(r"from (\S+) to (\S+?)\.(?:\s|$)", text).groups())


def test_every_method_has_its_picture_and_its_words(dashboard):
    app = dashboard("heatmaps")
    choice = app.selectbox(key="heatmap_method")
    assert choice.options == list(vizlib.HEATMAP_METHODS)
    seen = set()
    for method in choice.options:
        app.selectbox(key="heatmap_method").set_value(method).run()
        wait(app, lambda app: len(pictures(app)) == 3)
        seen.add(pictures(app)[1])
        explained = vizlib.HEATMAP_METHODS[method].__doc__.splitlines()[0]
        assert explained in captions(app)
        layered = method in vizlib.LAYER_METHODS
        keys = [box.key for box in app.selectbox]
        assert ("heatmap_layer:cats-vs-dogs" in keys) == layered
        where = "conv4, 4 x 4" if layered else "input, 32 x 32"
        assert any(f"{method} of {where}" in text for text in captions(app))
        assert ("fails the sanity checks" in sentences(app)) == (method.startswith("Guided"))
    # Of two classes of one unit, each is all that there is to compare with.
    assert len(seen) == len({*choice.options} - {"Finer-CAM"})


def test_one_sigmoid_unit_has_two_classes_with_opposite_maps(dashboard):
    app = dashboard("heatmaps")
    choice = app.selectbox(key="class:cats-vs-dogs:cat-and-dog")
    assert sorted(o.split()[0] for o in choice.options) == ["cat", "dog"]
    before = pictures(app)
    app.toggle(key="signed").set_value(True).run()
    first, (low, high) = pictures(app), value_range(app)
    app.selectbox(key="class:cats-vs-dogs:cat-and-dog").set_value(1 - choice.value).run()
    assert before[0] == pictures(app)[0]
    assert first[1] != pictures(app)[1]
    assert low < high
    assert value_range(app) == (-high, -low)


@pytest.mark.parametrize(
    ("name", "key"), [("activations", "activation_colours"), ("heatmaps", "heatmap_colours")]
)
def test_colours_are_even_ones_unless_somebody_chooses_others(dashboard, name, key):
    assert dashboard(name).selectbox(key=key).value in {"viridis", "inferno", "magma", "cividis"}
