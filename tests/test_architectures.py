"""Weights alone: the network that is made for them computes what the one that was saved did."""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import hostile_files as hostile
import keras
import numpy as np
import pytest
from keras import layers as L
from keras.src.backend.common import global_state
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils, naming

import vizlib
from vizlib import InvalidArgumentError, ModelLoadError, UnsafeModelError, architectures, zoo
from vizlib.architectures import (
    FAMILY_PREPROCESSING,
    NETWORKS,
    named,
    preprocessing_of,
)
from vizlib.budgets import MAX_MULTIPLICATIONS
from vizlib.confinement import run_confined
from vizlib.model_files import StoredModel, read_model_file
from vizlib.preprocessing import PREPROCESSINGS
from vizlib.rebuild import (
    build,
    measure,
    model_from,
    rebuild,
    weight_paths,
    without_memory,
)
from vizlib.user_models import load_weights_file
from vizlib.vetting import vet
from vizlib.weights_alone import Head, with_named_architecture

HONEST = Path(__file__).parent / "honest_models"
MUTANTS = 400
pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")


# Networks to save, and the two layouts in which their weights are saved.


def randomised(model: keras.Model, seed: int = 0) -> keras.Model:
    """Numbers of which every one counts in the result, and the result is of usual size."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        kind = weight.name.rpartition("/")[2]
        if kind == "count":
            continue
        if kind.endswith("kernel"):
            depthwise = len(weight.shape) == 4 and weight.shape[-1] == 1
            fan_in = int(np.prod(weight.shape[: 2 if depthwise else -1]))
            weight.assign(rng.normal(0, (2 / fan_in) ** 0.5, weight.shape))
        elif "variance" in kind or kind == "gamma":
            weight.assign(rng.uniform(0.7, 1.3, weight.shape))
        else:
            weight.assign(rng.uniform(-0.02, 0.02, weight.shape))
    return model


def base(name: str, side: int = 32, **options) -> keras.Model:
    options = {"weights": None, "include_top": False, "input_shape": (side, side, 3)} | options
    return NETWORKS[name](**options)


def own(name: str, classes: int, side: int = 32, **options) -> keras.Model:
    activation = "softmax" if classes > 1 else "sigmoid"
    return NETWORKS[name](
        weights=None,
        classes=classes,
        classifier_activation=activation,
        input_shape=(side, side, 3),
        **options,
    )


def dense(units: int, **options) -> keras.Layer:
    return L.Dense(units, activation="softmax" if units > 1 else "sigmoid", **options)


def nested(name: str, *head: keras.Layer, side: int = 32, **options) -> keras.Model:
    return keras.Sequential([L.Input((side, side, 3)), base(name, side, **options), *head])


def flat(name: str, *head: keras.Layer, side: int = 32, **options) -> keras.Model:
    network = base(name, side, **options)
    x = network.output
    for layer in head:
        x = layer(x)
    return keras.Model(network.input, x)


def functional(name: str, *head: keras.Layer, side: int = 32) -> keras.Model:
    """The base called inside a functional model, behind layers of one's own."""
    inputs = L.Input((side, side, 3))
    x = base(name, side)(L.RandomFlip()(inputs), training=False)
    for layer in head:
        x = layer(x)
    return keras.Model(inputs, x)


def wrapped(model: keras.Model) -> keras.Model:
    inputs = L.Input(model.input_shape[1:])
    return keras.Model(inputs, model(L.RandomContrast(0.1)(inputs)))


def save_keras3(model: keras.Model, folder: Path) -> Path:
    path = folder / "model.weights.h5"
    model.save_weights(path)
    return path


def save_bare(model: keras.Model, folder: Path) -> Path:
    """As versions of Keras 3 that list neither names nor layers without weights."""
    path = save_keras3(model, folder)
    with h5py.File(path, "r+") as file:
        lists: list[str] = []
        file.visit(lambda name: lists.append(name) if name.endswith("/vars") else None)
        for name in lists:
            if len(file[name]):
                file[name].attrs.clear()
            else:
                del file[name]
    return path


def save_legacy(model: keras.Model, folder: Path) -> Path:
    path = folder / "model.h5"
    with h5py.File(path, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's about Keras' own arrays
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path


LAYOUTS: dict[str, Callable[[keras.Model, Path], Path]] = {
    "keras3": save_keras3,
    "legacy": save_legacy,
}


def loaded(path: Path, name: str, size: int | tuple[int, int] | None = None) -> keras.Model:
    """The network of stored weights, without the child, which has tests of its own."""
    size = (size, size) if isinstance(size, int) else size
    stored, _ = with_named_architecture(read_model_file(path, "weights"), name, size)
    return rebuild(vet(stored.config), stored)


def refusal(path: Path, name: str, size: int | None = None) -> str:
    with pytest.raises(ModelLoadError) as caught:
        loaded(path, name, size)
    assert str(caught.value).startswith("Expected ")
    assert "Received" in str(caught.value) or "This " in str(caught.value)
    return str(caught.value)


def numbers_of(model: keras.Model) -> Counter[bytes]:
    """All weights, in whatever order; those that networks are built with come in too."""
    return Counter(weight.numpy().tobytes() for weight in model.weights)


def assert_same(original: keras.Model, again: keras.Model) -> None:
    shape = original.input_shape[1:]
    assert again.input_shape[1:] == shape
    x = np.random.default_rng(1).uniform(-1, 1, (2, *shape)).astype("float32")
    expected, found = (np.asarray(m(x, training=False)) for m in (original, again))
    assert found.shape == expected.shape
    # Random networks may hardly answer to what they are given, so the numbers have to be there too.
    assert numbers_of(again) == numbers_of(original)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


# What is known by name.


def test_every_network_of_keras_has_its_name():
    exported = {name for name in vars(keras.applications) if name[0].isupper()}
    assert (
        {name.lower() for name in exported}
        == set(NETWORKS)
        == set(vizlib.available_architectures())
    )
    assert set(NETWORKS) >= {
        *("vgg16", "resnet50v2", "efficientnetb3", "mobilenetv3small", "convnexttiny"),
        *("nasnetmobile", "inceptionresnetv2", "xception", "densenet201"),
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_the_preprocessing_of_a_family_is_that_of_keras(name):
    module = sys.modules[NETWORKS[name].__module__]
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype("float32")
    expected = module.preprocess_input(pixels.copy())
    assert np.allclose(PREPROCESSINGS[preprocessing_of(name)].apply(pixels), expected, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_known_by_the_name_that_keras_gives_it_too(name):
    given = NETWORKS[name].__name__
    assert preprocessing_of(given) == preprocessing_of(name) == preprocessing_of(name.upper())


@pytest.mark.parametrize(
    ("name", "preprocess"),
    [
        ("mobilenetv2_1.00_224", "tf"),
        ("mobilenet_0.25_64", "tf"),
        ("inception_resnet_v2", "tf"),
        ("efficientnetv2-b0", "raw"),
        ("convnext_tiny", "raw"),
        ("resnet50", "caffe"),
    ],
)
def test_names_inside_files_are_known_too(name, preprocess):
    assert preprocessing_of(name) == preprocess


def test_every_family_is_one_of_keras():
    assert set(FAMILY_PREPROCESSING.values()) < set(PREPROCESSINGS)
    assert all(any(name.startswith(family) for name in NETWORKS) for family in FAMILY_PREPROCESSING)
    with pytest.raises(InvalidArgumentError, match="squeezenet"):
        preprocessing_of("squeezenet")


@pytest.mark.parametrize(
    ("asked", "close"),
    [("vgg15", "vgg16"), ("mobilenet_v2", "mobilenetv2"), ("resnet-50", "resnet50")],
)
def test_an_unknown_name_lists_close_ones(asked, close):
    with pytest.raises(InvalidArgumentError, match=re.escape(repr(asked))) as caught:
        named(asked)
    assert close in str(caught.value).partition("Close names:")[2]


@pytest.mark.parametrize("asked", ["", "q", "a\0b", "x" * 5000])
def test_a_name_like_none_lists_all(asked):
    with pytest.raises(InvalidArgumentError) as caught:
        named(asked)
    assert all(name in str(caught.value) for name in NETWORKS)


@pytest.mark.parametrize("asked", [3, None, ["vgg16"], io.BytesIO(b"{}")])
def test_other_kinds_of_architectures_are_refused(asked):
    with pytest.raises(InvalidArgumentError, match=type(asked).__name__):
        named(asked)


def test_capitals_do_not_matter():
    assert named("VGG16") == "vgg16"


# Every form of a network, in both layouts.

FORMS: dict[str, Callable[[], keras.Model]] = {
    "own head": lambda: own("mobilenet", 5),
    "own head, one unit": lambda: own("mobilenet", 1),
    "own head, inside another model": lambda: wrapped(own("mobilenet", 5)),
    "no head": lambda: base("mobilenet"),
    "no head, inside another model": lambda: wrapped(base("mobilenet")),
    "pooled": lambda: nested("mobilenet", L.GlobalAveragePooling2D(), L.Dropout(0.2), dense(3)),
    "pooled, one unit": lambda: nested("mobilenet", L.GlobalAveragePooling2D(), dense(1)),
    "pooled, without bias": lambda: nested(
        "mobilenet", L.GlobalAveragePooling2D(), dense(3, use_bias=False)
    ),
    "pooled, flat": lambda: flat("mobilenet", L.GlobalAveragePooling2D(), dense(3)),
    "pooled, flat, without bias": lambda: flat(
        "mobilenet", L.GlobalAveragePooling2D(), dense(3, use_bias=False)
    ),
    "pooled, functional": lambda: functional("mobilenet", L.GlobalAveragePooling2D(), dense(3)),
    "pooled inside": lambda: nested("mobilenet", dense(3), pooling="avg"),
    "pooled, in two models": lambda: wrapped(
        nested("mobilenet", L.GlobalAveragePooling2D(), dense(3))
    ),
    "pooled, flat, in another model": lambda: wrapped(
        flat("mobilenet", L.GlobalAveragePooling2D(), dense(3))
    ),
    "largest": lambda: nested("mobilenet", L.GlobalMaxPooling2D(), dense(3), side=64),
    "largest, flat": lambda: flat("mobilenet", L.GlobalMaxPooling2D(), dense(3), side=64),
    "flattened": lambda: nested("mobilenet", L.Flatten(), dense(3), side=64),
    "flattened, flat": lambda: flat("mobilenet", L.Flatten(), dense(3), side=64),
    "width": lambda: nested("mobilenet", L.GlobalAveragePooling2D(), dense(3), alpha=0.25),
    "width, own head": lambda: own("mobilenet", 4, alpha=0.5),
    "grey": lambda: keras.applications.MobileNet(
        weights=None, classes=4, alpha=0.25, input_shape=(32, 32, 1)
    ),
    "dense layers of its own": lambda: own("vgg16", 4, 64),
}
OF_VGG16 = ("dense layers of its own",)


@pytest.fixture(scope="module", params=FORMS)
def saved_form(request) -> tuple[str, keras.Model]:
    """A network to save in every layout; pytest runs the tests of one after the other."""
    return request.param, randomised(FORMS[request.param]())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_form_comes_back(saved_form, layout, tmp_path):
    form, original = saved_form
    path = LAYOUTS[layout](original, tmp_path)
    name = "vgg16" if form in OF_VGG16 else "mobilenet"
    side = original.input_shape[1]
    again = loaded(path, name, side)
    assert_same(original, again)
    last = again.layers[-1]
    if "no head" not in form and isinstance(last, L.Dense):
        expected = "sigmoid" if original.output_shape[-1] == 1 else "softmax"
        assert last.activation.__name__ == expected


def test_a_layer_is_inside_another_model_where_it_was(tmp_path):
    original = nested("mobilenet", L.GlobalAveragePooling2D(), dense(3))
    again = loaded(save_keras3(original, tmp_path), "mobilenet", 32)
    base, *others = (layer for layer in again.layers if not isinstance(layer, L.InputLayer))
    assert isinstance(base, keras.Model)
    assert [type(layer) for layer in others] == [L.GlobalAveragePooling2D, L.Dense]


@pytest.mark.slow
def test_a_trained_model_brings_no_state_of_its_training(tmp_path):
    model = nested("mobilenet", L.RandomFlip(), L.GlobalAveragePooling2D(), dense(2), alpha=0.25)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(np.ones((2, 32, 32, 3)), np.array([0, 1]), verbose=0)
    assert_same(model, loaded(save_keras3(model, tmp_path), "mobilenet", 32))


def test_paths_of_keras_2_13_are_read(tmp_path):
    model = randomised(nested("mobilenet", L.GlobalAveragePooling2D(), dense(3), alpha=0.25))
    stored = read_model_file(save_keras3(model, tmp_path), "weights")

    def old(path: str) -> str:
        return re.sub(r"(^|/)layers/", r"\1_layer_checkpoint_dependencies/", path)

    old_paths = replace(
        stored,
        weights={old(path): array for path, array in stored.weights.items()},
        listed=tuple((old(path), name) for path, name in stored.listed),
    )
    assert not set(old_paths.weights) & set(stored.weights)
    found, _ = with_named_architecture(old_paths, "mobilenet", (32, 32))
    assert_same(model, rebuild(vet(found.config), found))


def test_what_is_not_listed_is_the_usual(tmp_path):
    """Without the list of its layers a file fits an average, the only difference being unseen."""
    for pooling in (L.GlobalAveragePooling2D, L.GlobalMaxPooling2D):
        path = save_bare(nested("mobilenet", pooling(), dense(3), alpha=0.25), tmp_path)
        kinds = [type(layer) for layer in loaded(path, "mobilenet", 32).layers]
        assert L.GlobalAveragePooling2D in kinds


# The size of the input.


@pytest.mark.parametrize(
    ("name", "side", "found"),
    [("vgg16", 64, 64), ("vgg16", 150, 128), ("vgg16", 224, 224), ("mobilenet", 160, 160)],
)
def test_the_size_that_a_flattening_head_asks_for(name, side, found, tmp_path):
    options = {"alpha": 0.25} if name == "mobilenet" else {}
    model = randomised(nested(name, L.Flatten(), dense(2), side=side, **options))
    path = save_keras3(model, tmp_path)
    assert loaded(path, name).input_shape == (None, found, found, 3)
    assert_same(model, loaded(path, name, side))


@pytest.mark.slow
def test_a_size_that_is_no_multiple_of_32(tmp_path):
    """InceptionV3 pads little, so its maps are smaller than a 32nd of the input."""
    with without_memory():
        model = nested("inceptionv3", L.Flatten(), dense(2), side=139)
    assert model.layers[0].output_shape[1:3] == (3, 3)
    weights = {
        path: np.broadcast_to(np.float32(0), variable.shape)
        for path, variable in weight_paths(model).items()
    }
    found, _ = with_named_architecture(StoredModel({}, "keras3", weights), "inceptionv3")
    sides = {tuple(layer["options"]["batch_shape"]) for layer in inputs_of(found.config)}
    assert len(sides) == 1
    side = sides.pop()[1]
    assert [maps_of("inceptionv3", s) for s in (side - 1, side)] == [2, 3]


def inputs_of(network: dict) -> list[dict]:
    layers = [layer for layer in network["layers"] if layer.get("class") == "InputLayer"]
    inside = [inputs_of(layer["network"]) for layer in network["layers"] if "network" in layer]
    return [*layers, *(layer for found in inside for layer in found)]


def maps_of(name: str, side: int) -> int:
    with without_memory():
        return base(name, side).output_shape[1]


def test_one_flattened_cell_asks_for_the_smallest_size(tmp_path):
    model = randomised(nested("vgg16", L.Flatten(), dense(2)))
    assert_same(model, loaded(save_keras3(model, tmp_path), "vgg16"))


def test_without_a_flattening_head_it_is_the_usual_size(tmp_path):
    path = save_keras3(nested("mobilenet", L.GlobalAveragePooling2D(), dense(2)), tmp_path)
    assert loaded(path, "mobilenet").input_shape == (None, 224, 224, 3)
    assert architectures.usual_size("inceptionv3") == (299, 299)
    assert architectures.usual_size("mobilenetv3small") == (224, 224)


def test_sides_of_different_length(tmp_path):
    network = keras.applications.VGG16(weights=None, include_top=False, input_shape=(64, 96, 3))
    model = randomised(keras.Sequential([L.Input((64, 96, 3)), network, L.Flatten(), dense(2)]))
    path = save_keras3(model, tmp_path)
    assert_same(model, loaded(path, "vgg16", (64, 96)))
    assert "on 3072 numbers" in refusal(path, "vgg16")


def test_a_size_that_does_not_fit_is_named_with_its_numbers(tmp_path):
    path = save_keras3(nested("vgg16", L.Flatten(), dense(2), side=64), tmp_path)
    message = refusal(path, "vgg16", 96)
    assert "4608 numbers of the 3 x 3 maps that an input of 96 x 96 pixels gives" in message
    assert "Received one on 2048 numbers" in message
    assert "input_size=" in message


def test_a_network_too_small_for_its_name_is_explained(tmp_path):
    path = save_keras3(base("mobilenet", alpha=0.25), tmp_path)
    with pytest.raises(InvalidArgumentError, match=r"mobilenet can be built for.*\(8, 8\)"):
        loaded(path, "mobilenet", 8)


# Files of keras.applications themselves.


def official(model: keras.Model, folder: Path) -> Path:
    """As published: layers by name, weights by layer and name with the ``:0`` of TensorFlow 1."""
    path = folder / "published.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}_{kind}_1:0".encode() for kind in "WbGBMV"]
            weights = layer.trainable_weights + layer.non_trainable_weights
            group.attrs["weight_names"] = names[: len(weights)]
            for name, weight in zip(names, weights, strict=False):
                group[name] = weight.numpy()
    return path


def test_official_weights_with_the_head(tmp_path):
    model = randomised(own("mobilenet", 1000, 224))
    path = official(model, tmp_path)
    convnet = vizlib.load_convnet(path, architecture="mobilenet")
    assert_same(model, convnet.model)
    assert convnet.labels == zoo.imagenet_labels()
    assert (convnet.preprocess, convnet.input_size) == ("tf", (224, 224))
    other = vizlib.load_convnet(
        path, architecture="mobilenet", labels=[str(k) for k in range(1000)]
    )
    assert other.labels[2] == "2"


def test_official_weights_without_the_head(tmp_path):
    model = randomised(base("vgg16", 224))
    convnet = vizlib.load_convnet(official(model, tmp_path), architecture="vgg16")
    assert_same(model, convnet.model)
    assert not convnet.is_classifier
    assert (convnet.labels, convnet.preprocess) == (None, "caffe")


def test_a_thousand_classes_of_ones_own_are_not_imagenets(tmp_path):
    path = save_keras3(nested("vgg16", L.GlobalAveragePooling2D(), dense(1000)), tmp_path)
    stored = read_model_file(path, "weights")
    assert with_named_architecture(stored, "vgg16", (32, 32))[1] == Head(1000, own=False)
    path = save_keras3(own("mobilenet", 7, alpha=0.25), tmp_path)
    head = with_named_architecture(read_model_file(path, "weights"), "mobilenet", (32, 32))[1]
    assert head == Head(7, own=True)


# Names of layers in legacy files.


def renamed(path: Path, new: Callable[[str], str]) -> Path:
    """The file with its layers, and the layers in the names of weights, called otherwise."""
    other = path.with_name("renamed.h5")

    def in_weight(name: str) -> str:
        *layers, weight = name.split("/")
        return "/".join([*map(new, layers), weight])

    with h5py.File(path) as source, h5py.File(other, "w") as target:
        order = list(source.attrs["layer_names"])
        target.attrs["layer_names"] = [new(name) for name in order]
        for name in order:
            group = target.create_group(new(name))
            names = list(source[name].attrs["weight_names"])
            group.attrs["weight_names"] = [in_weight(weight) for weight in names]
            for weight in names:
                group[in_weight(weight)] = source[name][weight][()]
    return other


def counted_on(name: str) -> str:
    """Keras counts on where another network was made before in the same process."""
    found = re.fullmatch(r"(conv2d|batch_normalization|dense)(?:_(\d+))?", name)
    return f"{found[1]}_{int(found[2] or 0) + 94}" if found else name


@pytest.mark.parametrize("frozen", [0, 20, 1000])
def test_layers_that_keras_has_counted_on(frozen, tmp_path):
    """Xception names some of its layers, and leaves some to Keras."""
    keras.utils.clear_session()
    model = nested("xception", L.GlobalAveragePooling2D(), dense(2), side=71)
    for layer in model.layers[0].layers[:frozen]:
        layer.trainable = False
    path = save_legacy(randomised(model), tmp_path)
    other = renamed(path, counted_on)
    assert_same(model, loaded(other, "xception", 71))


def spelled_by_keras_2(name: str) -> str:
    return re.sub(r"^(conv\d)_(conv|bn)$", r"\1/\2", name)


def test_slashes_in_the_names_of_keras_2(tmp_path):
    model = nested("densenet121", L.GlobalAveragePooling2D(), dense(2))
    for layer in model.layers[0].layers[:100]:
        layer.trainable = False
    other = renamed(save_legacy(randomised(model), tmp_path), spelled_by_keras_2)
    with h5py.File(other) as file:
        assert "conv1/conv/kernel" in file["densenet121"].attrs["weight_names"]
    assert_same(model, loaded(other, "densenet121", 32))


def test_names_of_one_network_do_not_rest_on_others_before():
    made = [architectures.Network("inceptionv3", (107, 107)).base for _ in range(2)]
    names = [[layer.name for layer in model.layers] for model in made]
    assert names[0] == names[1]
    assert "conv2d" in names[0]


def test_keras_counts_its_names_as_before():
    keras.utils.clear_session()
    L.Conv2D(2, 3)
    before = dict(global_state.get_global_attribute("object_name_uids"))
    assert architectures.Network("inceptionv3", (107, 107)).base.built
    assert global_state.get_global_attribute("object_name_uids") == before


# EfficientNet, whose weights for ImageNet need another network than others.


@pytest.fixture
def imagenet_efficientnet(monkeypatch, tmp_path) -> Callable[..., keras.Model]:
    """EfficientNetB0 as Keras makes it with ``weights="imagenet"``; the numbers are made up."""

    def make(**options) -> keras.Model:
        plain = randomised(keras.applications.EfficientNetB0(weights=None, **options))
        scale = next(layer for layer in plain.layers if isinstance(layer, L.Normalization))
        scale.adapt_mean.assign([0.485, 0.456, 0.406])
        scale.adapt_variance.assign([0.229, 0.224, 0.225])
        path = save_legacy(plain, tmp_path)
        monkeypatch.setattr(file_utils, "get_file", lambda *_args, **_options: str(path))
        return keras.applications.EfficientNetB0(weights="imagenet", **options)

    return make


def check_scaled(original: keras.Model, again: keras.Model) -> None:
    assert_same(original, again)
    scalings = [layer for layer in layers_of(again) if isinstance(layer, L.Rescaling)]
    assert len(scalings) == 2


def layers_of(model: keras.Model) -> list[keras.Layer]:
    inside = [layers_of(one) if isinstance(one, keras.Model) else [one] for one in model.layers]
    return [layer for layers in inside for layer in layers]


@pytest.mark.slow
def test_efficientnet_of_imagenet_keeps_its_second_rescaling(imagenet_efficientnet, tmp_path):
    network = imagenet_efficientnet(include_top=False, input_shape=(32, 32, 3))
    model = keras.Sequential(
        [L.Input((32, 32, 3)), L.Rescaling(1.0), network, L.GlobalAveragePooling2D(), dense(2)]
    )
    check_scaled(model, _without_first(loaded(save_keras3(model, tmp_path), "efficientnetb0", 32)))
    message = refusal(save_legacy(model, tmp_path), "efficientnetb0", 32)
    assert "how efficientnetb0 scales its input" in message
    check_scaled(network, loaded(save_legacy(network, tmp_path), "efficientnetb0", 32))


def _without_first(model: keras.Model) -> keras.Model:
    return model


@pytest.mark.slow
def test_efficientnet_of_other_numbers_has_one_rescaling(tmp_path):
    model = randomised(own("efficientnetb0", 3))
    for save in LAYOUTS.values():
        again = loaded(save(model, tmp_path), "efficientnetb0", 32)
        assert_same(model, again)
        assert sum(isinstance(layer, L.Rescaling) for layer in again.layers) == 1


def test_efficientnet_of_the_zoo_is_that_of_keras(imagenet_efficientnet, monkeypatch, tmp_path):
    original = imagenet_efficientnet()
    path = tmp_path / "model.h5"
    monkeypatch.setattr(zoo, "fetch", lambda *_args, **_options: path)
    again = vizlib.load_convnet("efficientnetb0")
    check_scaled(original, again.model)
    assert len(again.labels) == 1000


# ConvNeXt, which normalises its maps once more at the end.

CONVNEXT = {
    "own head": lambda: own("convnexttiny", 3),
    "pooled outside": lambda: nested("convnexttiny", L.GlobalAveragePooling2D(), dense(3)),
    "pooled inside": lambda: nested("convnexttiny", dense(3), pooling="avg"),
}


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("form", CONVNEXT)
def test_convnext_is_pooled_where_it_was(form, layout, tmp_path):
    model = randomised(CONVNEXT[form]())
    assert_same(model, loaded(LAYOUTS[layout](model, tmp_path), "convnexttiny", 32))


def shapes_alone(model: keras.Model, names: bool) -> StoredModel:
    paths = weight_paths(model)
    weights = {path: np.broadcast_to(np.float32(0), v.shape) for path, v in paths.items()}
    return StoredModel({}, "keras3", weights, listed=listed(model) if names else ())


def listed(model: keras.Model) -> tuple[tuple[str, str], ...]:
    """Layers as Keras 3 lists them: by their class and number, with their name."""
    classes = [naming.to_snake_case(type(one).__name__) for one in model.layers]
    before = [classes[:k].count(kind) for k, kind in enumerate(classes)]
    numbered = [f"{kind}_{n}" if n else kind for kind, n in zip(classes, before, strict=True)]
    return tuple(
        (f"layers/{path}", layer.name) for path, layer in zip(numbered, model.layers, strict=True)
    )


@pytest.mark.parametrize("pooling", [{}, {"pooling": "avg"}])
def test_where_convnext_is_pooled_is_not_guessed(pooling):
    with without_memory():
        head = [dense(3)] if pooling else [L.GlobalAveragePooling2D(), dense(3)]
        models = [flat("convnexttiny", *head, **pooling), nested("convnexttiny", *head, **pooling)]
    for model in models:
        with pytest.raises(ModelLoadError, match="pooled, before its last normalisation or after"):
            with_named_architecture(shapes_alone(model, names=False), "convnexttiny", (32, 32))


def test_the_own_head_of_convnext_is_known_by_its_name():
    with without_memory():
        whole = own("convnexttiny", 3)
    found, _ = with_named_architecture(shapes_alone(whole, names=True), "convnexttiny", (32, 32))
    assert found.config["layers"][-2]["name"] == "convnext_tiny_head_layernorm"


# What a file does not tell is refused.


def test_hidden_layers_are_refused(tmp_path):
    model = nested("mobilenet", L.GlobalAveragePooling2D(), L.Dense(64, "relu"), dense(2))
    for save in LAYOUTS.values():
        message = refusal(save(model, tmp_path), "mobilenet", 32)
        assert "1024 x 64 and 64 x 2: the activations between them are not in the file" in message
        assert 'model.save("model.keras")' in message
        assert 'architecture="model.json"' in message


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda: L.BatchNormalization(), r"weights of the shapes \(3,\)"),
        (lambda: L.Conv2D(4, 1), r"\(1, 1, 1024, 4\)"),
    ],
)
def test_other_layers_with_weights_are_refused(layer, reason, tmp_path):
    head = [L.GlobalAveragePooling2D(keepdims=True), layer(), L.Flatten(), dense(3)]
    if "3" in reason:
        head = [L.GlobalAveragePooling2D(), dense(3), layer()]
    message = refusal(save_keras3(nested("mobilenet", *head), tmp_path), "mobilenet", 32)
    assert re.search(reason, message)
    assert "how such layers are connected is not in the file" in message


def test_poolings_of_unknown_size_are_refused(tmp_path):
    model = nested("mobilenet", L.AveragePooling2D(2), L.Flatten(), dense(3), side=64)
    for save in LAYOUTS.values():
        assert "average_pooling2d" in refusal(save(model, tmp_path), "mobilenet", 64)


def test_a_network_without_its_rescaling_is_refused(tmp_path):
    model = nested("mobilenetv3small", dense(2), include_preprocessing=False, pooling="avg")
    message = refusal(save_keras3(model, tmp_path), "mobilenetv3small", 32)
    assert "mobilenetv3small with its rescaling inside" in message


def test_the_weights_of_another_network_are_refused(tmp_path):
    model = nested("vgg19", L.GlobalAveragePooling2D(), dense(2))
    for save in LAYOUTS.values():
        message = refusal(save(model, tmp_path), "vgg16", 32)
        assert "Expected the weights of vgg16" in message
        assert "The file itself names vgg19" in message
    path = save_keras3(base("mobilenet", alpha=0.6), tmp_path)
    assert re.search(
        r"missing, such as one of the shape \(3, 3, 3, 32\)", refusal(path, "mobilenet")
    )


def test_a_weight_that_is_missing_or_too_many_is_refused(tmp_path):
    stored = read_model_file(save_keras3(own("mobilenet", 3), tmp_path), "weights")
    fewer = {p: a for p, a in stored.weights.items() if "conv2d_3/vars/0" not in p}
    more = stored.weights | {"layers/dense/vars/0": np.ones((4, 4), "float32")}
    for weights in (fewer, more):
        with pytest.raises(ModelLoadError, match="mobilenet"):
            with_named_architecture(replace(stored, weights=weights), "mobilenet", (32, 32))


def test_weights_of_a_model_of_ones_own_class_are_refused(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.base, self.head = base("mobilenet", alpha=0.25), dense(2)

        def call(self, x):
            return self.head(keras.ops.mean(self.base(x), (1, 2)))

    model = Own()
    model(np.zeros((1, 32, 32, 3)))
    path = save_keras3(model, tmp_path)
    assert "a model of a class of its own" in refusal(path, "mobilenet", 32)


def test_weights_beside_the_layers_are_refused(tmp_path):
    for save, stray in ((save_keras3, "vars/0"), (save_legacy, "top_level_model_weights/w")):
        path = save(base("mobilenet", alpha=0.25), tmp_path)
        with h5py.File(path, "r+") as file:
            file[stray] = np.ones(3, "float32")
        assert repr(stray) in refusal(path, "mobilenet", 32)


def test_an_hdf5_file_without_layers_is_refused():
    content = hostile.hdf5(lambda file: file.create_group("data"))
    with pytest.raises(ModelLoadError, match="without such"):
        read_model_file(content, "weights")


# Classes.


@pytest.fixture(scope="module")
def three_classes(tmp_path_factory) -> tuple[keras.Model, Path]:
    model = randomised(nested("mobilenet", L.GlobalAveragePooling2D(), dense(3), alpha=0.25))
    return model, save_keras3(model, tmp_path_factory.mktemp("three"))


def test_the_whole_way(three_classes):
    model, path = three_classes
    content = path.read_bytes()
    for source in (path, str(path), content, io.BytesIO(content)):
        convnet = vizlib.load_convnet(source, architecture="MobileNet", classes=3, input_size=32)
        assert_same(model, convnet.model)
        assert (convnet.classes, convnet.preprocess, convnet.input_size) == (3, "tf", (32, 32))
        assert convnet.labels is None
    assert vizlib.load_convnet(path, architecture="mobilenet").name == "model.weights"


def test_options_take_the_place_of_what_a_name_brings(three_classes):
    convnet = vizlib.load_convnet(
        three_classes[1], architecture="mobilenet", preprocess="unit", labels=["a", "b", "c"]
    )
    assert (convnet.preprocess, convnet.labels) == ("unit", ("a", "b", "c"))


def test_a_wrong_number_of_classes_is_named_with_the_right_one(three_classes):
    with pytest.raises(ModelLoadError, match=r"for 7 classes.*for 3\."):
        load_weights_file(three_classes[1], "mobilenet", classes=7, size=(32, 32))


def test_one_unit_is_two_classes(tmp_path):
    path = save_keras3(own("mobilenet", 1, alpha=0.25), tmp_path)
    for classes in (1, 2):
        found = load_weights_file(path, "mobilenet", classes=classes, size=(32, 32))
        assert found.model.output_shape == (None, 1)
    with pytest.raises(ModelLoadError, match="for 3 classes"):
        load_weights_file(path, "mobilenet", classes=3, size=(32, 32))


def test_classes_of_a_network_without_a_head(tmp_path):
    path = save_keras3(base("mobilenet", alpha=0.25), tmp_path)
    for side in (32, 64):  # maps of 1 x 1, which could be taken for classes, and of 2 x 2
        with pytest.raises(ModelLoadError, match=r"classes=2.*without its head"):
            load_weights_file(path, "mobilenet", classes=2, size=(side, side))


def test_grey_pictures_have_no_published_preprocessing(tmp_path):
    path = save_keras3(FORMS["grey"](), tmp_path)
    assert load_weights_file(path, "mobilenet", size=(32, 32)).preprocess is None


# Options that do not go together.


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("squeezenet", {"architecture": "vgg16"}, "'squeezenet'.*brings its own"),
        ("model.keras", {"classes": 2}, "classes=2 alone"),
        ("squeezenet", {"classes": 2}, "classes=2 alone"),
        ("w.h5", {"architecture": "vgg16", "trusted": True}, "trusted=True for whole models"),
        ("w.h5", {"architecture": "vgg16", "classes": 0}, "classes to be a whole number"),
        ("w.h5", {"architecture": "vgg16", "classes": "2"}, "classes to be a whole number"),
        ("./w.h5", {"architecture": "vgg61"}, "vgg16"),
        ("./w.h5", {"architecture": 5}, "int"),
        ("./w.h5", {"architecture": "vgg16", "input_size": 5000}, "input_size"),
    ],
)
def test_options_that_do_not_go_together(source, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        vizlib.load_convnet(source, **options)


def test_a_file_that_is_not_there():
    with pytest.raises(ModelLoadError, match="No such file"):
        vizlib.load_convnet("no/such/weights.h5", architecture="vgg16")
    with pytest.raises(ModelLoadError, match="neither"):
        vizlib.load_convnet("weights.h5", architecture="vgg16")


# What is said to weights alone, and to an architecture alone.


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_alone_name_the_remedy(layout, tmp_path):
    path = LAYOUTS[layout](tiny(), tmp_path)
    with pytest.raises(ModelLoadError, match="weights only") as caught:
        vizlib.load_convnet(path)
    assert 'load_convnet(path, architecture="vgg16", classes=2)' in str(caught.value)


def test_an_architecture_alone_names_the_remedy(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(tiny().to_json())
    for source in (path, path.read_bytes()):
        with pytest.raises(ModelLoadError, match=r"architecture \(JSON\)") as caught:
            vizlib.load_convnet(source)
        assert 'load_convnet("weights.h5", architecture="model.json")' in str(caught.value)


# Architectures as JSON.


def tiny(*extra: keras.Layer) -> keras.Model:
    layers = [L.Conv2D(4, 3, activation="tanh"), L.BatchNormalization(), *extra]
    inputs = L.Input((12, 12, 3))
    x = inputs
    for layer in layers:
        x = layer(x)
    inner = keras.Model(inputs, x, name="inner")
    head = [L.GlobalMaxPooling2D(), L.Dense(5, "relu"), dense(3)]
    return keras.Sequential([L.Input((12, 12, 3)), L.Rescaling(0.1), inner, *head])


@pytest.fixture(scope="module")
def small() -> keras.Model:
    return randomised(tiny())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_architecture_by_path_text_and_bytes(layout, small, tmp_path):
    weights, path = LAYOUTS[layout](small, tmp_path), tmp_path / "model.json"
    text = small.to_json(indent=2)
    path.write_text(text)
    for architecture in (path, str(path), text, text.encode(), bytearray(text.encode())):
        convnet = vizlib.load_convnet(weights, architecture=architecture, classes=3)
        assert_same(small, convnet.model)
    renamed_path = path.rename(tmp_path / "architecture.txt")
    assert_same(small, load_weights_file(weights, str(renamed_path)).model)


def test_a_json_architecture_brings_no_preprocessing(small, tmp_path):
    path = save_keras3(small, tmp_path)
    assert load_weights_file(path, small.to_json()).preprocess is None
    assert (
        vizlib.load_convnet(path, architecture=small.to_json(), preprocess="tf").preprocess == "tf"
    )


def test_an_architecture_with_hidden_layers_of_a_published_network(tmp_path):
    """The remedy for what the name of a network alone does not tell."""
    head = [L.GlobalAveragePooling2D(), L.BatchNormalization(), L.Dense(8, "elu"), dense(2)]
    model = randomised(nested("mobilenet", *head, alpha=0.25))
    path = save_keras3(model, tmp_path)
    refusal(path, "mobilenet", 32)
    assert_same(model, load_weights_file(path, model.to_json()).model)


OLD = sorted((HONEST / "weights").glob("*.json"))


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_weights_and_architectures_of_keras_2(path, suffix):
    model = load_weights_file(path.with_name(path.stem + suffix), path).model
    with np.load(HONEST / f"{path.stem}.npz") as reference:
        found = np.asarray(model(reference["input_0"], training=False))
        np.testing.assert_allclose(found, reference["output_0"], rtol=1e-5, atol=1e-4)


def test_there_are_files_of_keras_2():
    assert len(OLD) >= 4


def test_an_architecture_that_does_not_fit_the_weights(small, tmp_path):
    other = tiny(L.Conv2D(7, 1)).to_json()
    for save in LAYOUTS.values():
        with pytest.raises(ModelLoadError, match="conv2d"):
            load_weights_file(save(small, tmp_path), other)
    with pytest.raises(ModelLoadError, match=r"for 9 classes.*for 3\."):
        load_weights_file(save_keras3(small, tmp_path), small.to_json(), classes=9)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "an empty file"),
        (b"{", "strict JSON"),
        (b"[1]", "another kind"),
        (b'"{}"', "a text inside JSON"),
        (b"{}", "class of the model"),
        (b'{"metadata": {"total_size": 3}}', "class of the model"),
        (b"\x89HDF\r\n\x1a\n", "a file with a model or weights"),
        (b"PK\x03\x04", "a file with a model or weights"),
        (b"\x80\x04", "a Python pickle"),
        (b'{"a": ' + b" " * (17 << 20) + b"1}", "at most 16 MiB"),
    ],
)
def test_what_is_no_architecture(text, reason, small, tmp_path):
    weights = save_keras3(small, tmp_path)
    with pytest.raises(ModelLoadError, match=reason):
        load_weights_file(weights, text)


def test_an_index_of_weights_is_named():
    with pytest.raises(ModelLoadError, match="split into several files"):
        read_model_file(b'{"metadata": {"total_size": 3}, "weight_map": {}}', "weights")


# Whole models given for their weights.


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_the_weights_of_a_whole_model(suffix, tmp_path):
    model = randomised(nested("mobilenet", L.GlobalAveragePooling2D(), dense(3), alpha=0.25))
    model.compile("adam", "mse")
    path = tmp_path / f"model{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras has some to give about its own format
        model.save(path)
    assert_same(model, loaded(path, "mobilenet", 32))


def test_the_architecture_inside_is_not_read(tmp_path):
    """So code in it is neither run nor looked at, and a model with some can be opened."""
    model = keras.Sequential(
        [L.Input((8, 8, 3)), L.Lambda(lambda x: x), L.Conv2D(2, 3), L.Flatten()]
    )
    plain = keras.Sequential([L.Input((8, 8, 3)), L.Conv2D(2, 3), L.Flatten()])
    randomised(model)
    path = tmp_path / "model.keras"
    model.save(path)
    with pytest.raises(UnsafeModelError):
        vizlib.load_convnet(path)
    assert_same(model, load_weights_file(path, plain.to_json()).model)


# Strangers' files.

IN_THE_FILE = sorted(
    name for name in hostile.FILES if name.startswith(("hdf5-", "zip-", "kind-", "legacy-"))
)
# Their reasons are in the architecture, which is not read, or are that there is none.
UNREAD = {
    *("zip-config-bomb", "zip-config-ratio", "zip-bomb-that-lies", "zip-wrong-checksum"),
    *("legacy-weights-only", "legacy-no-model", "legacy-no-weights", "legacy-config-number"),
    *("legacy-config-list", "legacy-config-not-json", "legacy-config-nan"),
    "hdf5-many-small-bombs",  # its names are not those of weights, which is seen first
}


@pytest.mark.parametrize("name", sorted(hostile.FILES))
def test_hostile_files_are_refused_as_weights_too(name, tmp_path):
    path = hostile.write(name, tmp_path)
    with pytest.raises(ModelLoadError, match="Expected") as caught:
        with_named_architecture(read_model_file(path, "weights"), "vgg16")
    if name in IN_THE_FILE and name not in UNREAD:
        assert re.search(hostile.FILES[name].reason, str(caught.value))
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name", ["hdf5-external-link-legacy", "hdf5-virtual", "hdf5-gzip-bomb-legacy", "kind-pickle"]
)
def test_hostile_files_are_refused_by_the_child(name, tmp_path):
    path = hostile.write(name, tmp_path)
    with pytest.raises(ModelLoadError, match=hostile.FILES[name].reason):
        vizlib.load_convnet(path, architecture="vgg16", classes=2)


def bare_weights(change: hostile.Change, *, legacy: bool) -> bytes:
    """A file of weights alone, changed."""

    def fill(file: h5py.File) -> None:
        if legacy:
            file.attrs["layer_names"] = [name.encode() for name in hostile.LEGACY_NAMES]
            shapes = iter(hostile.WEIGHTS.values())
            for name, weights in hostile.LEGACY_NAMES.items():
                file.create_group(name).attrs["weight_names"] = [w.encode() for w in weights]
                for weight in weights:
                    file[name][weight] = hostile.numbers(next(shapes))
        else:
            hostile.put_weights(file)
        change(file)

    return hostile.hdf5(fill)


CHANGES = {
    "link": (lambda f: f.__setitem__("more", h5py.ExternalLink("/etc/passwd", "/")), "link"),
    "bomb": (lambda f: f.create_dataset("layers/more", (975 << 20,), "f4"), "20 times"),
    "texts": (
        lambda f: f.attrs.create("layer_names0", ["x" * 60_000] * 4000, h5py.string_dtype()),
        None,
    ),
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("change", ["link", "bomb"])
def test_attacks_on_files_of_weights_alone(change, legacy):
    attack, reason = CHANGES[change]
    content = bare_weights(attack, legacy=legacy)
    for architecture in ("vgg16", json.dumps(hostile.network())):
        with pytest.raises(ModelLoadError, match=reason):
            vizlib.load_convnet(content, architecture=architecture)


@pytest.mark.parametrize("legacy", [False, True])
def test_the_file_that_is_attacked_is_honest_otherwise(legacy):
    content = bare_weights(lambda _file: None, legacy=legacy)
    convnet = vizlib.load_convnet(content, architecture=json.dumps(hostile.network()), classes=2)
    assert convnet.classes == 2


@pytest.mark.parametrize("name", sorted(hostile.CONFIGS))
def test_hostile_architectures_are_refused_as_in_a_model_file(name, tmp_path):
    make, reason = hostile.CONFIGS[name]
    text = json.dumps(make(tmp_path)).encode()
    with pytest.raises(ModelLoadError, match=reason):
        model_from(read_model_file(text, "architecture"))
    assert not (tmp_path / hostile.MARKER).exists()


@pytest.mark.parametrize("name", ["lambda-code", "foreign-graph", "dense-bomb"])
def test_hostile_architectures_are_refused_by_the_child(name, tmp_path):
    make, reason = hostile.CONFIGS[name]
    weights = bare_weights(lambda _file: None, legacy=False)
    with pytest.raises(ModelLoadError, match=reason):
        vizlib.load_convnet(weights, architecture=json.dumps(make(tmp_path)))
    assert not (tmp_path / hostile.MARKER).exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_child_reads_what_this_process_reads(layout, small, tmp_path):
    path = LAYOUTS[layout](small, tmp_path)
    here, there = read_model_file(path, "weights"), run_confined(path, "weights")
    assert (here.config, here.layout, here.legacy_order, here.listed) == (
        there.config,
        there.layout,
        there.legacy_order,
        there.listed,
    )
    assert list(here.weights) == list(there.weights)
    assert all(np.array_equal(here.weights[name], there.weights[name]) for name in here.weights)
    assert (layout == "keras3") == bool(here.listed)


# Damage.


def damaged_bytes(content: bytes, dice: random.Random) -> bytes:
    changed = bytearray(content)
    how = dice.randrange(4)
    if how == 0:
        return content[: dice.randrange(len(content))]
    for _ in range(dice.choice((1, 4, 32))):
        at = dice.randrange(len(changed) - 8)
        size = dice.choice((1, 2, 8))
        changed[at : at + size] = dice.randbytes(size) if how > 1 else bytes(size)
    return bytes(changed)


def test_damaged_files_load_or_are_refused(small, tmp_path):
    dice = random.Random(7)
    described = read_model_file(small.to_json().encode(), "architecture")
    contents = [save(small, tmp_path).read_bytes() for save in LAYOUTS.values()]
    refused = 0
    for _ in range(MUTANTS):
        try:
            stored = read_model_file(damaged_bytes(dice.choice(contents), dice), "weights")
            rebuild(vet(described.config), replace(stored, config=described.config))
        except ModelLoadError:
            refused += 1
    assert MUTANTS / 10 < refused < MUTANTS


def shaken(stored: StoredModel, dice: random.Random) -> StoredModel:
    """The same with a weight gone, doubled, renamed, or of another shape, or with another list."""
    weights, order = dict(stored.weights), list(stored.legacy_order)
    for _ in range(dice.choice((1, 1, 2, 5))):
        name = dice.choice(list(weights))
        array = weights.pop(name)
        how = dice.randrange(5)
        if how == 0:
            weights[name.replace(dice.choice("aeiou1_/"), dice.choice("x/_3²"))] = array
        elif how == 1:
            weights[name] = np.broadcast_to(np.float32(0), dice.choice(ODD_SHAPES))
        elif how == 2:
            weights |= {
                name: array,
                f"layers/dense_{dice.randrange(9)}/vars/{dice.randrange(3)}": array,
            }
        elif how == 3:
            weights[name] = np.swapaxes(array, 0, -1) if array.ndim else array
    if order:
        dice.shuffle(order) if dice.random() < 0.3 else None
        order = [
            (layer, tuple(name for name in names if f"{layer}/{name}" in weights))
            for layer, names in order
        ]
        weights = {f"{layer}/{n}": weights[f"{layer}/{n}"] for layer, ns in order for n in ns}
    listed = tuple(pair for pair in stored.listed if dice.random() < 0.9)
    return replace(stored, weights=weights, legacy_order=tuple(order), listed=listed)


ODD_SHAPES = [(), (0,), (0, 3), (3, 0), (1, 1), (1,), (7, 7, 512, 1), (10**6, 1), (512, 10**6)]


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_of_odd_shapes_find_a_network_or_are_refused(layout, tmp_path):
    dice = random.Random(11)
    models = [
        nested("vgg16", L.GlobalAveragePooling2D(), dense(3)),
        flat("vgg16", dense(3), pooling="avg"),
    ]
    files = [read_model_file(LAYOUTS[layout](model, tmp_path), "weights") for model in models]
    refused = 0
    for _ in range(MUTANTS // 2):
        try:
            found, _ = with_named_architecture(shaken(dice.choice(files), dice), "vgg16", (32, 32))
            assert measure(vet(found.config)).parameters > 14_000_000
        except ModelLoadError:
            refused += 1
    assert refused > MUTANTS / 10


def test_a_head_of_very_many_weights_is_refused_at_once(monkeypatch):
    with without_memory():
        model = flat("vgg16", L.GlobalAveragePooling2D(), dense(3))
    stored = shapes_alone(model, names=False)
    many = {
        f"layers/dense_{k}/vars/0": np.broadcast_to(np.float32(0), (512, k + 2))
        for k in range(3000)
    }
    made = []
    monkeypatch.setattr(architectures.Network, "whole", lambda _self, n: made.append(n))
    with pytest.raises(ModelLoadError, match="3001 of them"):
        with_named_architecture(replace(stored, weights=stored.weights | many), "vgg16", (32, 32))
    assert made == []


# Every network of keras.applications.

# Their parameters, or their numbers at their usual size, exceed what strangers' networks may take.
LARGE = {"convnextlarge", "convnextxlarge", "efficientnetb6", "efficientnetb7", "efficientnetv2l"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_survives_the_way(name):
    """Made, described, vetted, measured and made again it has the same layers and weights."""
    with without_memory():
        network = architectures.Network(name, architectures.usual_size(name))
        for model in (network.base, network.whole(7)):
            architecture = vet(json.loads(model.to_json()))
            assert vet(architecture) == architecture
            with architectures.names_from_zero():  # as the network was: some weights have no name
                again = build(architecture)
            assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
            shapes = [[(w.name, tuple(w.shape)) for w in m.weights] for m in (model, again)]
            assert shapes[0] == shapes[1]
            assert again.output_shape == model.output_shape
            with contextlib.suppress(ModelLoadError) if name in LARGE else contextlib.nullcontext():
                measured = measure(architecture)
                assert measured.parameters == model.count_params()
                assert measured.multiplications < MAX_MULTIPLICATIONS / 2


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_found_by_its_shapes(name):
    """With its own head, without, and with a dense layer behind a model inside; no numbers."""
    side = 96 if "ception" in name else 64
    with without_memory(), architectures.names_from_zero():
        head = [L.GlobalAveragePooling2D(), dense(7)]
        models = {7: own(name, 7, side), 0: base(name, side), 8: nested(name, *head, side=side)}
    for kind, model in models.items():
        stored = StoredModel({}, "keras3", shapes_alone(model, names=False).weights)
        untold = "normalisation" if name.startswith("convnext") and kind else None
        reason = untold or ("parameters" if name in ("convnextlarge", "convnextxlarge") else None)
        if reason:
            with pytest.raises(ModelLoadError, match=reason):
                with_named_architecture(stored, name, (side, side))
            continue
        found, _ = with_named_architecture(stored, name, (side, side))
        with without_memory():
            again = build(vet(found.config))
        assert again.output_shape == model.output_shape
        assert set(weight_paths(again)) == set(stored.weights)


NUMERIC = {
    "mobilenetv2": 32,
    "mobilenetv3small": 32,
    "efficientnetb0": 32,
    "efficientnetv2b0": 32,
    "nasnetmobile": 32,
    "densenet121": 32,
    "resnet50": 32,
    "resnet50v2": 32,
    "inceptionv3": 75,
    "xception": 71,
    "convnexttiny": 32,
    "inceptionresnetv2": 75,
}


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NUMERIC)
def test_networks_compute_what_they_did(name, layout, tmp_path):
    side = NUMERIC[name]
    for model in (
        own(name, 3, side),
        nested(name, L.GlobalAveragePooling2D(), dense(2), side=side),
        nested(name, L.Flatten(), dense(2), side=side),
    ):
        randomised(model)
        assert_same(model, loaded(LAYOUTS[layout](model, tmp_path), name, side))
