"""Whether a visitor's network is read the right way, and what can be done if not."""

import warnings
from pathlib import Path

import keras
import nets
import numpy as np
import pytest
from app_driver import ROOT, press, saved, sentences, upload_model
from test_inspection import classifier, normalised, trained

import vizlib


@pytest.fixture(scope="module")
def on_torch(tmp_path_factory) -> bytes:
    """A network whose batch normalisation remembers photos prepared as torch has them."""
    photos = [vizlib.load_image(path) for path in sorted((ROOT / "sample_images").glob("*.jpg"))]
    return saved(trained(normalised(), "torch", photos), tmp_path_factory.mktemp("torch"))


def automatic(app, content: bytes):
    return upload_model(app, content, preprocess="automatic")


def test_what_the_network_shows_is_used(dashboard, on_torch):
    app = automatic(dashboard(sample="parrot"), on_torch)
    assert [box.value for box in app.success] == [
        "Prepared as 'torch', photos give the statistics that the first batch normalisation "
        "remembers from training."
    ]
    assert not app.warning
    assert app.session_state["selection"].convnet.preprocess == "torch"


def test_one_click_reads_it_another_way_and_the_contradiction_is_told(dashboard, on_torch):
    app = automatic(dashboard(sample="parrot"), on_torch)
    press(app, "Read it as unit")
    assert app.selectbox(key="preprocess").value == "unit"
    assert app.session_state["selection"].convnet.preprocess == "unit"
    assert "read as `unit`, but it shows `torch`" in sentences(app)
    press(app, "Read it as torch")
    assert app.success
    assert not app.warning


def test_the_file_is_opened_once_for_all_readings(dashboard, on_torch, monkeypatch):
    app = automatic(dashboard(sample="parrot"), on_torch)
    monkeypatch.setattr(vizlib, "load_convnet", None)
    press(app, "Read it as raw")
    assert not app.error
    assert app.session_state["selection"].convnet.preprocess == "raw"


def test_every_reading_is_shown_with_what_the_network_says(dashboard, on_torch):
    app = automatic(dashboard(sample="parrot"), on_torch)
    chosen = app.session_state["selection"]
    shown = [block.value for block in app.main.markdown]
    for name in vizlib.PREPROCESSINGS:
        net = vizlib.ConvNet(chosen.convnet.model, preprocess=name)
        best = net.top(chosen.image, 1)[0]
        place = next(i for i, text in enumerate(shown) if text.startswith(f"**`{name}`**"))
        assert shown[place + 1] == f"{best.label} · {best.probability:.1%}"
        assert ("in use" in shown[place]) == (name == "torch")


def test_a_guess_is_called_one(dashboard, tmp_path):
    app = automatic(dashboard(), saved(classifier(), tmp_path))
    assert "`raw` is a guess" in sentences(app)


def test_bundled_networks_are_compared_but_not_switched(dashboard):
    app = dashboard(network="cats-vs-dogs")
    assert not [button for button in app.button if button.label.startswith("Read it as")]
    assert any("that is known" in caption.value for caption in app.caption)


# Class names.


@pytest.mark.parametrize("text", ["a\nb\nc", '["a", "b", "c"]', "{'c': 2, 'a': 0, 'b': 1}"])
def test_class_names_are_pasted_in_any_form(dashboard, on_torch, text):
    app = automatic(dashboard(), on_torch)
    app.sidebar.text_area(key="class_names").set_value(text).run()
    assert app.session_state["selection"].convnet.labels == ("a", "b", "c")


def test_class_names_are_taken_from_a_file(dashboard, on_torch):
    app = automatic(dashboard(), on_torch)
    app.sidebar.file_uploader(key="class_file").set_value(
        ("classes.json", b'{"b": 1, "a": 0, "c": 2}', "application/json")
    ).run()
    assert app.session_state["selection"].convnet.labels == ("a", "b", "c")


def test_class_names_that_do_not_fit_are_told(dashboard, on_torch):
    app = automatic(dashboard(), on_torch)
    app.sidebar.text_area(key="class_names").set_value("a\nb").run()
    assert "each of the 3 classes. Received: 2" in sentences(app)
    app.sidebar.text_area(key="class_names").set_value('{"a": 5}').run()
    assert "an index for each class" in sentences(app)


# Weights alone.


def weights_of(model: keras.Model, tmp_path: Path) -> bytes:
    path = tmp_path / "model.weights.h5"
    with warnings.catch_warnings():
        # Keras 3.15 turns its variables to arrays in a way that NumPy 2 calls outdated.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        model.save_weights(path)
    return path.read_bytes()


def test_weights_alone_open_with_the_name_of_their_network(dashboard, tmp_path):
    model = keras.applications.MobileNet(weights=None, classes=3)
    content = weights_of(model, tmp_path)
    app = upload_model(dashboard(), content, "model.weights.h5", preprocess="automatic")
    assert "architecture=" in sentences(app)
    app.sidebar.selectbox(key="architecture").set_value("mobilenet").run()
    assert not app.error
    convnet = app.session_state["selection"].convnet
    assert (convnet.classes, convnet.preprocess) == (3, "tf")
    own = vizlib.ConvNet(model, preprocess="tf")
    image = app.session_state["selection"].image
    np.testing.assert_allclose(convnet.predict(image), own.predict(image), atol=1e-5)
    app.sidebar.number_input(key="classes").set_value(7).run()
    assert "weights for 3" in sentences(app)


def test_weights_alone_open_with_their_architecture_as_json(dashboard, tmp_path):
    model = nets.nested()
    app = upload_model(dashboard(), weights_of(model, tmp_path), "model.weights.h5")
    app.sidebar.selectbox(key="architecture").set_value("json").run()
    app.sidebar.file_uploader(key="architecture_file").set_value(
        ("model.json", model.to_json().encode(), "application/json")
    ).run()
    assert not app.error
    chosen = app.session_state["selection"]
    own = vizlib.ConvNet(model, preprocess="unit")
    np.testing.assert_allclose(
        chosen.convnet.predict(chosen.image), own.predict(chosen.image), atol=1e-5
    )
