"""What all heatmap methods have in common: every kind of network, invariances, options."""

import functools
import inspect

import keras
import nets
import numpy as np
import pytest
from heatmap_asks import LOOPING, METHODS, ask
from keras import layers
from test_state import assert_nothing_borrowed

import vizlib
from vizlib import ConvNet, InvalidArgumentError, UnknownLayerError, UnsupportedModelError

CLASSIFIERS = sorted(set(nets.KINDS) - nets.NOT_CLASSIFIERS)
#: Nothing below zero: they tell how much a place counts, not for or against what.
UNSIGNED = {"Gradient", "SmoothGrad", "Guided backpropagation"}
LAYERED = sorted(vizlib.LAYER_METHODS)
PIXELS = sorted(vizlib.PIXEL_METHODS)


def changed_head(model, kernel, bias):
    model.get_layer("out").set_weights([kernel, bias])
    return ConvNet(model, preprocess="unit")


def head_of(model):
    return model.get_layer("out").get_weights()


# The registry.


def test_every_method_is_layered_or_of_pixels():
    assert list(vizlib.HEATMAP_METHODS) == [*vizlib.LAYER_METHODS, *vizlib.PIXEL_METHODS]
    assert len(METHODS) == len(LAYERED) + len(PIXELS) == 16


@pytest.mark.parametrize("method", METHODS)
def test_all_methods_are_called_alike(method):
    parameters = inspect.signature(vizlib.HEATMAP_METHODS[method]).parameters
    assert list(parameters)[:4] == ["convnet", "image", "class_index", "layer"]
    options = [p for p in parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert len(options) == len(parameters) - 2 <= 6
    assert all(p.default is not p.empty for p in options)
    assert ("progress" in parameters) == (method in LOOPING)
    assert getattr(vizlib, vizlib.HEATMAP_METHODS[method].__name__)


# Every kind of network.


@functools.cache
def opened(kind: str) -> ConvNet:
    """Shared, so that it is traced once; nothing here changes it."""
    return nets.open_net(kind)


def without_gradient(kind, method):
    return kind == "uint8_input" and method in vizlib.attributions.ATTRIBUTIONS


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_every_method_works_on_every_kind(kind, photo):
    convnet = opened(kind)
    scores = convnet.scores(photo)
    for method in METHODS:
        if without_gradient(kind, method):
            continue
        found = ask(method, convnet, photo, class_index=1)
        layered = method in vizlib.LAYER_METHODS
        layer = convnet.layer(convnet.default_layer)
        assert found.values.shape == (layer.shape[:2] if layered else convnet.input_size)
        assert found.values.dtype == np.float32
        assert np.isfinite(found.values).all()
        assert found.values.any()
        assert found.layer == (layer.name if layered else "input")
        assert (found.method, found.class_index) == (method, 1)
        assert found.score == pytest.approx(scores[1], abs=1e-2)
        assert method not in UNSIGNED or found.values.min() >= 0
        assert found.class_free == (method == "Eigen-CAM")
    assert_nothing_borrowed(convnet.model)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_maps_replaced_and_photos_covered_change_the_score_as_computed(kind, photo):
    """Three identities that hold on every kind: of maps, of gradients, of changed photos."""
    convnet = opened(kind)
    limit = 2e-2 if kind.startswith("mixed") else 2e-5
    last, scores = convnet.default_layer, convnet.scores(photo)
    grey = np.full((*convnet.input_size, convnet.input_channels), 127.5, "float32")
    covered = convnet.tensor_scores(convnet.preprocessing.apply(grey)[None])[0]
    for index in range(2):
        whole = vizlib.occlusion(convnet, photo, class_index=index, patch=convnet.input_size)
        np.testing.assert_allclose(whole.values, scores[index] - covered[index], atol=limit)
        drops = vizlib.ablation_cam(convnet, photo, class_index=index)
        maps, gradient, _ = convnet.maps_and_gradient(photo, last, index)
        # Only linear layers follow: without map k the score falls by sum(map k * gradient k).
        expected = maps @ (maps * gradient).sum(axis=(0, 1))
        np.testing.assert_allclose(drops.values, expected, atol=limit * max(1, np.ptp(maps)))
        if not without_gradient(kind, "Integrated Gradients"):
            found = vizlib.integrated_gradients(convnet, photo, class_index=index)
            black = convnet.preprocessing.apply(0 * grey)
            rise = scores[index] - convnet.tensor_scores(black[None])[0, index]
            slack = 0.02 * float(np.abs(found.values).sum()) + limit
            assert found.values.sum() == pytest.approx(rise, abs=slack)


@pytest.mark.parametrize("kind", sorted(nets.NOT_CLASSIFIERS))
def test_what_is_no_classifier_says_so(kind, photo):
    for method in METHODS:
        with pytest.raises(UnsupportedModelError, match=r"Expected a classifier\. Received '.+'"):
            ask(method, opened(kind), photo)


TWINS = [
    *("sequential", "sequential_without_input", "nested", "nested_in_sequential", "subclassed"),
    *("softmax_layer", "activation_layer", "ops_softmax", "multi_label", "linear_head"),
    *("fixed_batch", "subclassed_raw_softmax"),
]


@functools.cache
def three_in_a_row() -> ConvNet:
    """`nets.SubclassedRaw`, written down plainly."""
    nets.seeded()
    image = x = nets.image_input()
    for name, filters in (("c1", 4), ("c2", 6), ("c3", 6)):
        x = nets.conv(filters, name)(x)
    return ConvNet(nets.randomize_biases(keras.Model(image, nets.head(x))), preprocess="unit")


@pytest.mark.parametrize("kind", TWINS)
def test_the_way_a_network_is_written_does_not_matter(kind, photo):
    twin = three_in_a_row() if kind == "subclassed_raw_softmax" else opened("functional")
    model = nets.KINDS[kind]()
    model.set_weights(twin.model.get_weights())
    convnet = ConvNet(model, preprocess="unit")
    for method in METHODS:
        found, expected = (ask(method, c, photo, class_index=2).values for c in (convnet, twin))
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6, err_msg=method)


# Classes.


def test_one_sigmoid_unit_equals_a_softmax_over_zero_and_itself(photo):
    single = opened("one_sigmoid")
    kernel, bias = head_of(single.model)
    twin = nets.functional(2, "softmax")
    twin.set_weights([*single.model.get_weights()[:-2], *head_of(twin)])
    double = changed_head(twin, np.hstack([0 * kernel, kernel]), np.append(0 * bias, bias))
    for method in {*METHODS} - {"Finer-CAM"}:  # compares with -z, not with 0
        mine, theirs = (ask(method, c, photo, class_index=1).values for c in (single, double))
        np.testing.assert_allclose(mine, theirs, atol=1e-6, err_msg=method)


OPPOSITE = {
    *("Grad-CAM", "HiResCAM", "XGrad-CAM", "Finer-CAM", "Ablation-CAM"),
    *("Gradient x input", "Integrated Gradients", "Occlusion", "RISE"),
}


@pytest.mark.parametrize("method", sorted(OPPOSITE | {"Gradient", "SmoothGrad", "Eigen-CAM"}))
def test_one_sigmoid_unit_speaks_against_one_class_what_it_says_for_the_other(method, photo):
    first, second = (ask(method, opened("one_sigmoid"), photo, class_index=i) for i in range(2))
    sign = -1 if method in OPPOSITE else 1
    np.testing.assert_allclose(first.values, sign * second.values, rtol=1e-3, atol=1e-6)
    assert np.abs(first.values).max() > 1e-5
    assert first.score == -second.score


def test_permuting_the_classes_permutes_the_maps(photo):
    kernel, bias = head_of(opened("functional").model)
    order = [2, 0, 1]
    permuted = changed_head(nets.functional(), kernel[:, order], bias[order])
    for method in METHODS:
        maps = [ask(method, opened("functional"), photo, class_index=i).values for i in range(3)]
        for new, old in enumerate(order):
            found = ask(method, permuted, photo, class_index=new).values
            np.testing.assert_allclose(found, maps[old], rtol=1e-4, atol=1e-6, err_msg=method)
        differs = np.abs(maps[0] - maps[1]).max() > 1e-5
        assert differs == (method != "Eigen-CAM")


def test_the_class_of_the_top_score_by_default(photo):
    convnet = nets.open_net("functional")
    kernel, bias = head_of(convnet.model)
    for best in range(3):
        convnet.model.get_layer("out").set_weights([kernel, bias + 5 * np.eye(3)[best]])
        for method in METHODS:
            found = ask(method, convnet, photo)
            asked = ask(method, convnet, photo, class_index=np.int64(best))
            assert found.class_index == asked.class_index == best
            assert type(asked.class_index) is int
            assert found.score == pytest.approx(convnet.scores(photo)[best], abs=1e-5)
            np.testing.assert_array_equal(found.values, asked.values)


def test_scaling_the_head_scales_the_map(photo):
    """Not Score-CAM's, whose softmax then sharpens; nor Grad-CAM++'s, by its formula."""
    kernel, bias = head_of(opened("functional").model)
    scaled = changed_head(nets.functional(), 4 * kernel, 4 * bias)
    for method in {*METHODS} - {"Score-CAM", "Grad-CAM++", "Eigen-CAM"}:
        mine, theirs = (
            ask(method, c, photo, class_index=1).values for c in (opened("functional"), scaled)
        )
        slack = 1e-5 * np.abs(theirs).max()
        np.testing.assert_allclose(theirs, 4 * mine, rtol=1e-3, atol=slack, err_msg=method)


def test_a_constant_added_to_every_bias_of_the_head_changes_nothing(photo):
    kernel, bias = head_of(opened("functional").model)
    lifted = changed_head(nets.functional(), kernel, bias + 3)
    for method in METHODS:
        mine, theirs = (
            ask(method, c, photo, class_index=1) for c in (opened("functional"), lifted)
        )
        np.testing.assert_allclose(theirs.values, mine.values, 1e-3, 1e-5, err_msg=method)
        assert theirs.score == pytest.approx(mine.score + 3, abs=1e-5)


# Places.


def test_a_mirrored_photo_gives_the_mirrored_map(photo):
    """Not those that draw at random: their noise is not mirrored with the photo."""
    model = nets.functional()
    for name in ("c1", "c2"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel + kernel[:, ::-1], bias])
    convnet = ConvNet(model, preprocess="unit")
    for method in {*METHODS} - {"SmoothGrad", "RISE"}:
        plain = ask(method, convnet, photo, class_index=0).values
        mirrored = ask(method, convnet, photo[:, ::-1].copy(), class_index=0).values
        assert np.abs(plain - plain[:, ::-1]).max() > 0.1 * np.abs(plain).max()
        np.testing.assert_allclose(mirrored, plain[:, ::-1], 1e-3, 2e-6, err_msg=method)


def test_methods_of_pixels_find_the_one_place_that_counts(photo):
    """A score made of the upper left quarter alone."""
    nets.seeded()
    image = nets.image_input()
    maps = nets.conv(4, "c1")(image)
    corner = layers.Cropping2D(((0, 9), (0, 9)))(maps)
    x = layers.Dense(2, name="out")(layers.GlobalAveragePooling2D()(corner))
    convnet = ConvNet(keras.Model(image, x), preprocess="unit")
    for method in METHODS:
        options = {"samples": 400, "cells": 8} if method == "RISE" else {}
        found = ask(method, convnet, photo, class_index=0, layer="c1", **options).values
        sizes = np.abs(found)
        inside = sizes[:8, :8].sum() / sizes.sum()
        exact = {"HiResCAM", "LayerCAM", *PIXELS} - {"RISE", "Occlusion"}
        assert inside > {"Occlusion": 0.8, "RISE": 0.5}.get(method, 0.999 * (method in exact))


# Layers and options.


@pytest.mark.parametrize("method", LAYERED)
def test_the_layer_counts_for_methods_of_layers(method, photo):
    convnet = opened("nested")
    plain = ask(method, convnet, photo, class_index=1)
    early = ask(method, convnet, photo, class_index=1, layer="c1")
    assert (plain.layer, plain.values.shape) == ("backbone/c2", (8, 8))
    assert (early.layer, early.values.shape) == ("backbone/c1", (16, 16))
    with pytest.raises(UnknownLayerError, match="'nowhere'"):
        ask(method, convnet, photo, layer="nowhere")


@pytest.mark.parametrize("method", PIXELS)
def test_the_layer_does_not_count_for_methods_of_pixels(method, photo):
    convnet = opened("functional")
    plain = ask(method, convnet, photo, class_index=1)
    other = ask(method, convnet, photo, class_index=1, layer="c1")
    assert plain.layer == other.layer == "input"
    np.testing.assert_array_equal(plain.values, other.values)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("index", [3, -1])
def test_a_class_that_does_not_exist_is_refused(method, index, photo):
    with pytest.raises(InvalidArgumentError, match="class_index from 0 to 2"):
        ask(method, opened("functional"), photo, class_index=index)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_no_image_is_refused(method):
    with pytest.raises(InvalidArgumentError, match="Expected an RGB image"):
        ask(method, opened("functional"), np.zeros((16, 16), "uint8"))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy may say so, too
@pytest.mark.parametrize("where", [0, 2, -2], ids=["c1", "c2", "head"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_told(where, value, photo):
    convnet = nets.open_net("functional")
    weights = convnet.model.get_weights()
    weights[where].flat[0] = value
    convnet.model.set_weights(weights)
    known = np.isfinite(convnet.scores(photo)[0])
    assert not known or where == 0  # TensorFlow's pooling drops NaN
    for method in METHODS:
        found = ask(method, convnet, photo, class_index=0)
        assert np.isfinite(found.values).all()
        assert known or "not finite" in found.diagnosis
        assert known or not found.values.any()
