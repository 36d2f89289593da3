"""The page that draws the layers: what is drawn, its twin, and where a click leads."""

import base64
import io
from urllib.parse import parse_qs, urlsplit

import nets
import numpy as np
import pytest
from app_driver import layer_map, mosaic, saved, sentences, upload_model, visit
from PIL import Image

import vizlib

PARROT = "sample_images/parrot.jpg"


def cards(app) -> dict[str, dict]:
    return {card["title"]: card for card in layer_map(app)["nodes"]}


def thumbnail(app, card: dict) -> np.ndarray:
    """Pixels of a card's picture, as numbers of the palette."""
    tiles = layer_map(app)["tiles"]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(tiles["png"]))))
    row, column = divmod(card["tile"], tiles["columns"])
    top, left = row * tiles["height"], column * tiles["width"]
    return sheet[top : top + tiles["height"], left : left + tiles["width"]]


def test_every_layer_has_a_card_and_every_edge_a_line(dashboard):
    app = dashboard("architecture", network="squeezenet")
    graph = vizlib.load_convnet("squeezenet").graph.folded()
    drawn = layer_map(app)
    assert [card["title"] for card in drawn["nodes"]] == [n.layers[0].name for n in graph.nodes]
    names = [node.name for node in graph.nodes]
    lines = {(names[line["from"]], names[line["to"]]) for line in drawn["edges"]}
    assert lines == set(graph.edges)
    fire = cards(app)["fire2_concat"]
    assert fire["family"] == "merge"
    assert fire["facts"].startswith("56 x 56 x 128 · ch. ")
    assert "fed by fire2_expand1x1, fire2_expand3x3" in fire["alt"]
    assert cards(app)["conv1"]["family"] == "convolution"


def test_a_thumbnail_is_the_strongest_channel_as_the_activations_page_draws_it(dashboard):
    app = dashboard("architecture", network="squeezenet", sample="parrot")
    net = vizlib.load_convnet("squeezenet")
    maps = vizlib.activations(net, vizlib.load_image(PARROT))
    for title in ("conv1", "fire5_expand3x3", "conv10"):
        card = cards(app)[title]
        values = maps[title]
        best = int(np.abs(values).mean(axis=(0, 1)).argmax())
        assert card["facts"].endswith(f"ch. {best}")
        tile = vizlib.render.activation_tile(values[..., best], size=(48, 48))
        np.testing.assert_array_equal(thumbnail(app, card), tile)


def test_colours_and_folding_change_the_drawing(dashboard):
    app = dashboard("architecture", network="mobilenet-bundled")
    before = layer_map(app)
    assert cards(app)["conv1"]["kinds"] == "Conv2D + BN + ReLU"
    app.selectbox(key="activation_colours").set_value("magma").run()
    coloured = layer_map(app)
    assert coloured["tiles"]["png"] != before["tiles"]["png"]
    assert coloured["shape"] == before["shape"]
    assert coloured["content"] != before["content"]
    app.toggle(key="folded").set_value(False).run()
    assert cards(app)["conv1"]["kinds"] == "Conv2D"
    assert cards(app)["conv1_bn"]["kinds"] == "BN"
    assert len(layer_map(app)["nodes"]) > 2 * len(before["nodes"])
    assert layer_map(app)["shape"] != before["shape"]
    visit(app, "activations")
    assert app.selectbox(key="activation_colours").value == "magma"
    visit(app, "architecture")
    assert app.toggle(key="folded").value is False


def test_the_table_tells_the_same(dashboard):
    app = dashboard("architecture", network="squeezenet", sample="parrot")
    table = app.dataframe[0].value
    net = vizlib.load_convnet("squeezenet")
    assert list(table["order"]) == list(range(1, len(net.all_layers) + 1))
    assert list(table["layer"]) == [layer.name for layer in net.all_layers]
    assert list(table["kind"]) == [layer.kind for layer in net.all_layers]
    assert table["parameters"].sum() == net.model.count_params()
    fed_by = dict(zip(table["layer"], table["fed_by"], strict=True))
    assert fed_by["fire2_concat"] == "fire2_expand1x1, fire2_expand3x3"
    strongest = vizlib.strongest_channels(net, vizlib.load_image(PARROT))
    for layer, channel in zip(table["layer"], table["strongest_channel"], strict=True):
        assert channel == strongest[layer].channel if layer in strongest else channel != channel


def test_a_chinese_visitor_finds_the_same_layers(dashboard):
    english, chinese = (
        dashboard("architecture", network="squeezenet", lang=code) for code in ("en", "zh")
    )
    said = {code: layer_map(app)["said"] for code, app in (("en", english), ("zh", chinese))}
    assert said["en"]["found"] == "{number} of {count}"
    assert said["zh"]["found"] == "第 {number} 个，共 {count} 个"
    for name in said["en"]:
        assert said["en"][name] != said["zh"][name]
    assert [card["title"] for card in layer_map(chinese)["nodes"]] == list(cards(english))
    card, told = cards(english)["fire2_concat"], cards(chinese)["fire2_concat"]
    assert told["facts"] == card["facts"].replace("ch.", "通道")
    assert "输入来自 fire2_expand1x1, fire2_expand3x3" in told["alt"]
    assert layer_map(chinese)["content"] != layer_map(english)["content"]
    assert list(chinese.dataframe[0].value) == list(english.dataframe[0].value)


def test_a_layer_without_maps_leads_nowhere_and_has_no_picture(dashboard):
    app = dashboard("architecture")
    last = layer_map(app)["nodes"][-1]
    assert last["href"] is None
    assert last["tile"] is None
    photo = layer_map(app)["nodes"][0]
    assert photo["href"] is None
    assert photo["tile"] == -1
    assert photo["kinds"] == "what the network receives"


def test_the_address_of_a_card_opens_its_activations(dashboard):
    app = dashboard("architecture", network="squeezenet", sample="parrot")
    link = urlsplit(cards(app)["fire4_concat"]["href"])
    assert link.path == "activations"
    query = {name: values[0] for name, values in parse_qs(link.query).items()}
    assert query.keys() == {"network", "sample", "layer", "channel", "colours"}
    opened = dashboard("activations", **query)
    assert opened.selectbox(key="activations_layer:squeezenet").value == "fire4_concat"
    assert str(opened.number_input[0].value) == query["channel"]


@pytest.mark.parametrize("build", [nets.nested, nets.doubly_nested, nets.nested_in_sequential])
def test_nested_models_are_drawn_opened(dashboard, tmp_path, build):
    app = upload_model(dashboard("architecture"), saved(build(), tmp_path))
    assert not app.error
    drawn = layer_map(app)
    assert drawn["frames"]
    titles = [card["title"] for card in drawn["nodes"]]
    assert {"c1", "pool", "c2", "gap", "out"} <= set(titles)


def test_a_grey_oblong_network_shows_what_it_receives(dashboard, tmp_path):
    app = upload_model(dashboard("architecture"), saved(nets.non_square(), tmp_path))
    tiles = layer_map(app)["tiles"]
    assert (tiles["height"], tiles["width"]) == (29, 48)
    app = upload_model(dashboard("architecture"), saved(nets.grayscale(), tmp_path))
    assert not app.error
    photo = Image.open(io.BytesIO(base64.b64decode(layer_map(app)["photo"])))
    assert photo.size == (16, 16)


@pytest.fixture
def nothing_kept():
    """Drawings are kept for all visitors of a process."""
    from pages.ui import computing

    computing.drawing.clear()
    yield
    computing.drawing.clear()


@pytest.mark.usefixtures("nothing_kept")
def test_what_is_not_known_is_said_and_the_table_stays(dashboard, monkeypatch):
    from vizlib.graph import LayerGraph, layer_nodes

    def unknown(convnet):
        nodes = layer_nodes([], convnet.all_layers, fed_by={}, inside={})
        return LayerGraph(nodes, "photo", "What feeds each layer is not known.")

    monkeypatch.setattr(vizlib.ConvNet, "graph", property(unknown))
    app = dashboard("architecture", network="mobilenet-bundled")
    assert "not known" in sentences(app)
    assert not [c for c in app.get("bidi_component") if c.key.endswith("_layer_map")]
    assert set(app.dataframe[0].value["fed_by"]) == {""}
    assert mosaic(app, "samples")
