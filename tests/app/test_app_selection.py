"""Networks and photos that visitors bring, whole and broken: what is on the screen stays."""

# ruff: noqa: TID251 - these tests are about the pages.

import keras
import nets
import pytest
import streamlit as st
from app_driver import (
    PAGES,
    ROOT,
    TIMEOUT,
    captions,
    damaged,
    noise_png,
    pictures,
    png,
    press,
    saved,
    sentences,
    upload_model,
    upload_photo,
    visit,
)
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest


def vgg_like() -> keras.Model:
    """A nested backbone of two blocks under a head of its own, as in transfer learning."""
    nets.seeded()
    image = keras.Input((32, 32, 3))
    x = nets.conv(4, "block1_conv1")(image)
    x = keras.layers.MaxPooling2D(name="block1_pool")(x)
    x = nets.conv(6, "block2_conv1")(x)
    backbone = keras.Model(image, x, name="vgg_like")
    photo = keras.Input((32, 32, 3))
    return keras.Model(photo, nets.head(backbone(photo)), name="transfer")


def one_channel() -> keras.Model:
    nets.seeded()
    image = keras.Input((12, 12, 3))
    x = nets.conv(1, "single")(image)
    return keras.Model(image, nets.head(x), name="narrow")


def test_nested_backbone_is_shown_layer_by_layer(dashboard, tmp_path):
    app = upload_model(dashboard(), saved(vgg_like(), tmp_path))
    assert not app.error
    assert len(app.get("progress")) == 3
    visit(app, "architecture")
    assert "vgg_like/block2_conv1" in list(app.dataframe[0].value["layer"])
    visit(app, "heatmaps")
    assert app.selectbox(key="heatmap_layer:transfer").value == "vgg_like/block2_conv1"
    assert len(pictures(app)) == 3


def test_network_without_classes_says_so_and_shows_the_rest(dashboard, tmp_path):
    app = upload_model(dashboard(), saved(nets.conv_base(), tmp_path))
    assert "no classes" in sentences(app)
    assert not app.get("progress")
    visit(app, "heatmaps")
    assert "no classes" in sentences(app)
    visit(app, "activations")
    assert len(pictures(app)) == 4


@pytest.mark.parametrize("build", [nets.grayscale, nets.non_square, nets.multi_label, one_channel])
def test_unusual_networks_open_on_every_page(dashboard, tmp_path, build):
    app = upload_model(dashboard(), saved(build(), tmp_path))
    for page in PAGES:
        visit(app, page)
        assert not app.error
    visit(app, "network")
    channels = list(app.dataframe[0].value["input channel"])
    assert channels == (["grey"] if build is nets.grayscale else ["red", "green", "blue"])


def test_damaged_model_keeps_the_network_and_tells_why(dashboard, tmp_path):
    app = dashboard("heatmaps")
    before = pictures(app)
    upload_model(app, damaged(saved(nets.functional(), tmp_path)))
    assert len(app.error) == 1
    assert app.error[0].value.startswith("Expected")
    assert pictures(app) == before
    assert any("Cats or dogs" in text and "Meanwhile" in text for text in captions(app))


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"", "empty file"), (b"PK\x03\x04 nothing", "cut off"), (b"#!/bin/sh\n", "another kind")],
)
def test_what_is_no_model_is_told(dashboard, content, word):
    app = upload_model(dashboard(), content)
    assert word in app.error[0].value
    assert len(app.get("progress")) == 2


def test_wrong_number_of_class_names_is_told_and_the_right_one_is_used(dashboard, tmp_path):
    app = upload_model(dashboard(), saved(nets.functional(), tmp_path))
    app.sidebar.text_area(key="class_names").set_value("one\ntwo").run()
    assert "3 classes" in app.error[0].value
    assert "Received: 2" in app.error[0].value
    assert len(app.get("progress")) == 3
    app.sidebar.text_area(key="class_names").set_value("one\ntwo\nthree\n").run()
    assert not app.error
    assert {bar.proto.text.split(" ")[0] for bar in app.get("progress")} == {"one", "two", "three"}


def test_classes_of_one_name_can_be_told_apart(dashboard, tmp_path):
    app = upload_model(dashboard("heatmaps"), saved(nets.multi_label(), tmp_path))
    app.sidebar.text_area(key="class_names").set_value("same\nsame\nother").run()
    choice = next(s for s in app.main.selectbox if s.label.startswith("Class"))
    assert len(set(choice.options)) == 3
    for wanted in range(3):
        next(s for s in app.main.selectbox if s.label.startswith("Class")).set_value(wanted).run()
        assert next(s for s in app.main.selectbox if s.label.startswith("Class")).value == wanted


def test_colour_preprocessing_for_a_grey_network_is_told(dashboard, tmp_path):
    app = upload_model(dashboard(), saved(nets.grayscale(), tmp_path), preprocess="caffe")
    assert "3 colour channels" in app.error[0].value
    app.sidebar.selectbox(key="preprocess").set_value("unit").run()
    assert not app.error


def test_preprocessing_changes_what_is_received(dashboard, tmp_path):
    app = upload_model(dashboard(), saved(nets.functional(), tmp_path), preprocess="unit")
    assert app.dataframe[0].value["maximum"].max() <= 1
    app.sidebar.selectbox(key="preprocess").set_value("raw").run()
    assert app.dataframe[0].value["maximum"].max() > 100


def test_two_models_of_one_name_do_not_mix(dashboard, tmp_path):
    """Keras names all models of a notebook alike; choices for one must not break another."""
    app = upload_model(dashboard("activations"), saved(nets.functional(), tmp_path))
    app.main.selectbox[0].set_value("c2").run()
    other = vgg_like()
    other.name = "functional"
    app.sidebar.file_uploader[0].set_value(("other.keras", saved(other, tmp_path), ""))
    app.run()
    assert not app.exception
    assert not app.error
    assert app.main.selectbox[0].value.startswith("vgg_like/")


# Photos


def test_uploaded_photo_is_shown_and_asked_about(dashboard):
    app = dashboard()
    before = pictures(app)
    upload_photo(app, png(64, 48))
    assert not app.error
    assert "photo.png, 64 x 48 pixels" in captions(app)
    assert all(a != b for a, b in zip(pictures(app), before, strict=True))


@pytest.mark.parametrize("content", [b"", png()[:60], b"%PDF-1.4", b"<svg></svg>"])
def test_damaged_photo_keeps_the_photo_and_tells_why(dashboard, content):
    app = dashboard("heatmaps", sample="parrot")
    before = pictures(app)
    upload_photo(app, content)
    assert app.error[0].value.startswith("Expected a")
    assert pictures(app) == before
    assert any("Parrot" in text and "Meanwhile" in text for text in captions(app))


def test_large_photo_is_shown_small_and_understood_whole(dashboard, monkeypatch):
    app = upload_photo(dashboard(), noise_png(2000, 3000), "large.png")
    assert "large.png, 3000 x 2000 pixels" in captions(app)
    chosen = app.session_state["selection"]
    assert chosen.image.shape == (2000, 3000, 3)
    assert max(chosen.picture.shape[:2]) <= 1000
    assert chosen.picture.shape[0] * 3 == chosen.picture.shape[1] * 2


def test_extreme_proportions_are_bearable(dashboard):
    app = upload_photo(dashboard("heatmaps"), png(3000, 1))
    assert not app.exception
    assert not app.error
    assert len(pictures(app)) == 3


def test_nothing_uploaded_yet_keeps_the_photo(dashboard):
    app = dashboard(sample="goldfish")
    before = pictures(app)
    app.sidebar.button_group(key="photo_from").set_value("camera").run()
    assert not app.error
    assert pictures(app) == before


# Networks that must be fetched


def test_network_to_be_fetched_offers_its_size_and_keeps_the_page(dashboard):
    app = dashboard("heatmaps")
    before = pictures(app)
    app.sidebar.selectbox(key="network").set_value("vgg16").run()
    assert "553 MB" in sentences(app)
    assert [b.label for b in app.sidebar.button] == ["Download 553 MB"]
    assert pictures(app) == before


def test_failed_download_is_told_with_the_way_out(dashboard, monkeypatch):
    monkeypatch.setattr("vizlib.zoo._KERAS_HOST", "http://localhost:9")
    app = dashboard("heatmaps")
    before = pictures(app)
    app.sidebar.selectbox(key="network").set_value("vgg16").run()
    press(app, "Download")
    assert "not at hand, and could not be fetched" in app.error[0].value
    assert "'squeezenet'" in app.error[0].value
    assert not app.sidebar.get("progress")
    assert pictures(app) == before


def test_cache_that_cannot_be_written_is_told(dashboard, monkeypatch, tmp_path):
    """As with a full disk: the folder is a file here."""
    (tmp_path / "taken").write_bytes(b"")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "taken"))
    app = dashboard("heatmaps")
    before = pictures(app)
    app.sidebar.selectbox(key="network").set_value("resnet50").run()
    press(app, "Download")
    assert "taken" in app.error[0].value
    assert pictures(app) == before


def test_first_visit_with_a_network_to_be_fetched_asks_for_a_choice(dashboard):
    app = dashboard(network="vgg16")
    assert "33" not in sentences(app)
    assert "553 MB" in sentences(app)
    assert "Pick a network" in sentences(app)


# The frame


@pytest.mark.parametrize("name", PAGES)
def test_page_without_the_frame_goes_to_the_dashboard(monkeypatch, name):
    """On a fresh server, a link to a page runs its file before `dashboard.py` ever ran."""
    went = []

    def switch(target: str, *, query_params: dict[str, str]) -> None:
        went.append((target, query_params))
        st.stop()

    monkeypatch.setattr(st, "switch_page", switch)
    app = AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=TIMEOUT)
    app.query_params["sample"] = "parrot"
    app.run()
    assert went == [("dashboard.py", {"sample": "parrot"})]


def test_frame_is_really_there_in_these_tests(dashboard):
    assert PagesManager.__init__.__name__ == "init"
    assert dashboard("heatmaps").sidebar.selectbox


def test_fault_of_ours_is_a_sentence_and_leaves_the_sidebar(dashboard, monkeypatch):
    def broken(*_args, **_options):
        raise RuntimeError("a fault")

    monkeypatch.setattr("pages.ui.controls.heading", broken)
    app = dashboard()
    assert not app.exception
    assert app.error[0].value == "This failed unexpectedly (RuntimeError: a fault)."
    assert app.sidebar.selectbox(key="network").value == "cats-vs-dogs"


# Addresses of what is shown.


def test_every_choice_of_the_heatmap_page_has_an_address(dashboard):
    app = dashboard("heatmaps", network="squeezenet", sample="parrot")
    app.selectbox(key="heatmap_method").set_value("LayerCAM").run()
    app.selectbox(key="heatmap_layer:squeezenet").set_value("fire5_concat").run()
    shown = app.selectbox(key="class:squeezenet:parrot")
    shown.set_value(shown.options.index(shown.options[2])).run()
    address = dict(app.query_params.items())
    assert address == {
        "network": "squeezenet",
        "sample": "parrot",
        "class": str(shown.value),
        "method": "LayerCAM",
        "layer": "fire5_concat",
        "view": "one",
        "signed": "False",
        "colours": "inferno",
    }
    again = dashboard("heatmaps", **address)
    assert [box.value for box in again.selectbox] == [box.value for box in app.selectbox]


def test_a_channel_of_a_layer_has_an_address(dashboard):
    link = {"network": "squeezenet", "layer": "fire2_concat", "channel": "77"}
    app = dashboard("activations", **link)
    assert app.selectbox(key="activations_layer:squeezenet").value == "fire2_concat"
    assert app.number_input(key="activation_channel:fire2_concat:128").value == 77
    app.number_input(key="activation_channel:fire2_concat:128").set_value(5).run()
    assert app.query_params["channel"] == "5"


@pytest.mark.parametrize("wanted", ["9999", "-1", "x", ""])
def test_what_an_address_cannot_mean_is_ignored(dashboard, wanted):
    link = {"channel": wanted, "layer": wanted, "method": wanted, "class": wanted, "view": wanted}
    for page in ("activations", "heatmaps"):
        app = dashboard(page, network="squeezenet", **link)
        assert not app.exception
        assert sentences(app) == ""


def test_another_address_is_followed_as_when_a_visitor_goes_back(dashboard):
    app = dashboard("activations", network="squeezenet", layer="conv1", channel="3")
    app.selectbox(key="activations_layer:squeezenet").set_value("conv10").run()
    assert app.query_params["layer"] == "conv10"
    app.query_params.update({"layer": "conv1", "channel": "3", "colours": "magma"})
    app.run()
    assert app.selectbox(key="activations_layer:squeezenet").value == "conv1"
    assert app.number_input(key="activation_channel:conv1:64").value == 3
    assert app.selectbox(key="activation_colours").value == "magma"
    assert sentences(app) == ""


def test_what_is_chosen_outweighs_an_address_that_lags_behind(dashboard):
    app = dashboard("activations", network="squeezenet", layer="conv1", channel="3")
    app.query_params["layer"] = "conv10"
    app.selectbox(key="activations_layer:squeezenet").set_value("fire5_concat").run()
    assert app.selectbox(key="activations_layer:squeezenet").value == "fire5_concat"
    assert app.query_params["layer"] == "fire5_concat"


def test_a_control_moved_before_the_browser_knows_the_new_address_undoes_nothing(dashboard):
    app = dashboard("activations", network="squeezenet", sample="parrot", layer="conv1")
    for key, value in (("sample", "goldfish"), ("scaling", "layer")):
        late = dict(app.query_params.items())
        app.selectbox(key="activations_layer:squeezenet").set_value("fire5_concat").run()
        app.query_params.update(late)
        app.selectbox(key=key).set_value(value).run()
        assert app.selectbox(key="activations_layer:squeezenet").value == "fire5_concat"
        assert app.query_params["layer"] == "fire5_concat"
        assert app.selectbox(key=key).value == value
        app.query_params["layer"] = "conv1"
        app.run()
        assert app.selectbox(key="activations_layer:squeezenet").value == "conv1"


def test_a_button_pressed_is_no_reason_to_stay_when_a_visitor_goes_back(dashboard):
    app = dashboard("filters", network="cats-vs-dogs", layer="conv1")
    app.selectbox(key="filters_layer:cats-vs-dogs").set_value("conv2").run()
    late = dict(app.query_params.items()) | {"layer": "conv1"}
    app.query_params.update(late)
    press(app, "Make patterns")
    assert app.selectbox(key="filters_layer:cats-vs-dogs").value == "conv2"
    app.query_params.update(late)
    app.run()
    assert app.selectbox(key="filters_layer:cats-vs-dogs").value == "conv1"


def test_a_channel_is_kept_while_other_layers_and_pages_are_looked_at(dashboard):
    app = dashboard("activations", network="squeezenet", layer="conv1")
    app.number_input(key="activation_channel:conv1:64").set_value(5).run()
    app.selectbox(key="activations_layer:squeezenet").set_value("conv10").run()
    visit(visit(app, "heatmaps"), "activations")
    app.selectbox(key="activations_layer:squeezenet").set_value("conv1").run()
    assert app.number_input(key="activation_channel:conv1:64").value == 5


def test_an_address_is_followed_once(dashboard):
    """Another network's layer of the same name is not what the link meant."""
    app = dashboard("activations", network="squeezenet", layer="conv10")
    app.selectbox(key="activations_layer:squeezenet").set_value("conv1").run()
    app.sidebar.selectbox(key="network").set_value("mobilenet-bundled").run()
    shown = app.selectbox(key="activations_layer:mobilenet-bundled")
    assert shown.value == next(x for x in shown.options if "relu" in x).split("  ·  ")[0]
