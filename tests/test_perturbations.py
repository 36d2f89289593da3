"""Methods that change photos or maps and look at the scores, against NumPy and identities."""

import itertools

import cv2
import keras
import nets
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

import vizlib
from vizlib import ConvNet, InvalidArgumentError
from vizlib.batches import in_batches
from vizlib.perturbations import (
    disagreement,
    mean_over_patches,
    patches_over,
    random_mask,
    silenced,
    slope_where_seen,
    stretched,
)


def np_score(convnet, tensor, index):
    """A logit of the functional network, in NumPy."""
    return nets.np_scores(
        "functional", convnet.model, nets.np_maps("functional", convnet.model, tensor)
    )[index]


def linear_net(height: int = 6, width: int = 8) -> ConvNet:
    """Scores that are sums of weights times input, plus a bias; two classes."""
    nets.seeded()
    image = keras.Input((height, width, 3))
    x = layers.Conv2D(3, 1, name="c1", use_bias=False)(image)
    model = keras.Model(image, layers.Dense(2, name="out")(layers.Flatten()(x)))
    model.get_layer("c1").set_weights([np.eye(3)[None, None]])
    kernel = np.random.default_rng(4).normal(0, 1, (height * width * 3, 2))
    model.get_layer("out").set_weights([kernel, np.array([0.3, -0.2])])
    return ConvNet(model, preprocess="unit")


def weights_of(convnet, index):
    kernel = convnet.model.get_layer("out").get_weights()[0]
    return kernel[:, index].reshape(*convnet.input_size, 3)


# Score-CAM.


@pytest.mark.parametrize(("baseline", "level"), [("grey", 0.5), ("black", 0.0)])
def test_score_cam_equals_numpy(baseline, level, photo):
    convnet = nets.open_net("functional")
    tensor = convnet.input_tensor(photo)
    maps = nets.np_maps("functional", convnet.model, tensor)["c2"]
    logits = []
    for channel in np.moveaxis(maps, 2, 0):
        mask = cv2.resize(channel.astype("float32"), (16, 16), interpolation=cv2.INTER_LINEAR)
        mask = (mask - mask.min()) / ((mask.max() - mask.min()) or 1)
        logits.append(np_score(convnet, level + mask[..., None] * (tensor - level), 2))
    weights = np.exp(logits) / np.exp(logits).sum()
    found = vizlib.score_cam(convnet, photo, class_index=2, baseline=baseline)
    np.testing.assert_allclose(found.values, maps @ weights, atol=1e-5)
    assert found.layer == "c2"


def test_the_weights_of_score_cam_add_up_to_1(photo):
    """With the same map in every channel, the heatmap is that map."""
    convnet = nets.open_net("functional")
    kernel, _ = convnet.model.get_layer("c2").get_weights()
    convnet.model.get_layer("c2").set_weights([np.repeat(kernel[..., :1], 6, 3), np.ones(6)])
    maps = vizlib.activations(convnet, photo, ["c2"])["c2"]
    assert np.ptp(maps[..., 0]) > 0.1
    np.testing.assert_allclose(vizlib.score_cam(convnet, photo).values, maps[..., 0], atol=1e-6)


def test_stretched_by_hand():
    values = np.array([[2.0, 4.0]], "float32")
    np.testing.assert_allclose(stretched(values, (1, 4)), [[0, 0.25, 0.75, 1]])
    assert stretched(values, (3, 2)).tolist() == [[0, 1]] * 3
    assert stretched(np.full((2, 2), 7, "float32"), (3, 3)).tolist() == [[0] * 3] * 3


# Ablation-CAM, and scores with other maps.


def test_ablation_cam_by_hand(photo):
    """Mean(red) + 3·mean(green)²: without green the score falls by 3·mean(green)²."""
    image = keras.Input((2, 2, 3))
    maps = layers.Conv2D(3, 1, use_bias=False, name="maps")(image)
    means = layers.GlobalAveragePooling2D()(maps)
    x = layers.Concatenate()([means, layers.Multiply()([means, means])])
    model = keras.Model(image, layers.Dense(2, use_bias=False, name="out")(x))
    model.get_layer("maps").set_weights([np.eye(3)[None, None]])
    head = np.zeros((6, 2))
    head[0, 1], head[4, 1] = 1, 3
    model.get_layer("out").set_weights([head])
    small = np.zeros((2, 2, 3), "uint8")
    small[..., 0], small[..., 1], small[..., 2] = [[1, 2], [3, 4]], [[0, 4], [0, 0]], 99
    found = vizlib.ablation_cam(ConvNet(model), small, class_index=1, layer="maps")
    assert found.values.tolist() == [[2.5 * 1, 2.5 * 2 + 3 * 4], [2.5 * 3, 2.5 * 4]]
    assert found.score == 2.5 + 3


def test_ablation_cam_measures_only_channels_that_are_not_silent(photo):
    convnet = nets.open_net("functional")
    kernel, bias = convnet.model.get_layer("c2").get_weights()
    bias[:] = [1, 1, -100, 1, 1, -100]
    convnet.model.get_layer("c2").set_weights([kernel, bias])
    told = []
    vizlib.ablation_cam(convnet, photo, progress=lambda *p: told.append(p))
    assert told[-1] == (4, 4)


def test_ablation_cam_where_every_channel_is_silent(photo):
    convnet = nets.open_net("functional")
    kernel, bias = convnet.model.get_layer("c2").get_weights()
    convnet.model.get_layer("c2").set_weights([kernel, bias - 100])
    told = []
    found = vizlib.ablation_cam(convnet, photo, progress=lambda *p: told.append(p))
    assert "zero everywhere" in found.diagnosis
    assert told == []


def test_silenced_by_hand():
    maps = np.arange(1, 7, dtype="float32").reshape(1, 2, 3)
    copies = silenced(maps, np.array([2, 0]))
    assert copies.tolist() == [[[[1, 2, 0], [4, 5, 0]]], [[[0, 2, 3], [0, 5, 6]]]]
    assert maps.min() == 1


def skipping_net() -> keras.Model:
    """Maps that reach the scores past the layer: added, and side by side."""
    nets.seeded()
    image = nets.image_input()
    early = nets.conv(4, "early")(image)
    late = nets.conv(4, "late")(early)
    x = layers.Concatenate()([layers.Add()([early, late]), early])
    return nets.randomize_biases(keras.Model(image, nets.head(x)))


@pytest.mark.parametrize("kind", ["functional", "nested", "subclassed_raw_softmax", "skipping"])
def test_scores_with_maps_equal_the_network_behind_the_layer(kind, photo):
    model = skipping_net() if kind == "skipping" else nets.KINDS[kind]()
    convnet = ConvNet(model, preprocess="unit")
    layer = {"skipping": "late", "subclassed_raw_softmax": "same:2"}.get(kind, "c2")
    own = vizlib.activations(convnet, photo)
    name = convnet.layer(layer).name
    others = np.random.default_rng(0).normal(0, 1, (5, *own[name].shape)).astype("float32")
    kernel, bias = nets.inner(model, "out").get_weights()
    early = own.get("early")
    for maps, scores in zip(others, convnet.scores_with_maps(photo, layer, others), strict=True):
        last = np.concatenate([early + maps, early], axis=2) if kind == "skipping" else maps
        np.testing.assert_allclose(scores, last.mean(axis=(0, 1)) @ kernel + bias, atol=1e-5)
    same = convnet.scores_with_maps(photo, layer, own[name][None])[0]
    np.testing.assert_allclose(same, convnet.scores(photo), atol=1e-5)


def test_what_runs_before_the_layer_is_left_out(photo):
    runs = []

    class Counted(layers.Layer):
        def call(self, x):
            def count(values):
                runs.append(len(values))
                return values

            seen = tf.numpy_function(count, [x], tf.float32, stateful=False)
            return tf.ensure_shape(seen, x.shape)

    nets.seeded()
    image = nets.image_input()
    x = nets.conv(4, "c2")(Counted()(nets.conv(4, "c1")(image)))
    convnet = ConvNet(keras.Model(image, nets.head(x)), preprocess="unit")
    maps = vizlib.activations(convnet, photo, ["c2"])["c2"]
    runs.clear()
    convnet.scores_with_maps(photo, "c2", np.stack([maps] * 3))
    assert runs == []
    convnet.scores_with_maps(photo, "c1", np.stack([maps] * 3))
    assert sum(runs) >= 3


@pytest.mark.parametrize("shape", [(2, 8, 8, 5), (8, 8, 6), (0, 8, 8, 6), (1, 6, 8, 8)])
def test_maps_of_another_shape_are_refused(shape, photo):
    convnet = nets.open_net("functional")
    with pytest.raises(InvalidArgumentError, match=r"maps to be a float array \(n, 8, 8, 6\)"):
        convnet.scores_with_maps(photo, "c2", np.zeros(shape, "float32"))


def test_tensors_of_another_shape_are_refused():
    convnet = nets.open_net("non_square")
    for wrong in (np.zeros((12, 20, 3)), np.zeros((1, 20, 12, 3)), np.zeros((0, 12, 20, 3)), "x"):
        for ask in (convnet.tensor_scores, lambda x: convnet.tensor_gradients(x, 0)):
            with pytest.raises(InvalidArgumentError, match=r"tensors .* \(n, 12, 20, 3\)"):
                ask(wrong)


# Occlusion.


@pytest.mark.parametrize("patch", [2, (3, 4), (1, 8)])
def test_occlusion_of_a_linear_network_is_the_sum_of_each_patch(patch, photo):
    convnet = linear_net()
    height, width = (patch, patch) if isinstance(patch, int) else patch
    products = (weights_of(convnet, 1) * convnet.input_tensor(photo)).sum(axis=2)
    blocks = products.reshape(6 // height, height, 8 // width, width).sum(axis=(1, 3))
    expected = blocks.repeat(height, 0).repeat(width, 1)
    found = vizlib.occlusion(
        convnet, photo, class_index=1, patch=patch, stride=patch, baseline="black"
    )
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    grey = (weights_of(convnet, 1) * (convnet.input_tensor(photo) - 0.5)).sum(axis=2)
    one = vizlib.occlusion(convnet, photo, class_index=1, patch=1)
    np.testing.assert_allclose(one.values, grey, atol=1e-5)


def test_overlapping_patches_are_averaged(photo):
    convnet = linear_net(4, 3)
    products = (weights_of(convnet, 0) * convnet.input_tensor(photo)).sum(axis=2)
    found = vizlib.occlusion(
        convnet, photo, class_index=0, patch=(2, 3), stride=1, baseline="black"
    )
    rows = products.sum(axis=1)
    pairs = rows[:-1] + rows[1:]
    by_row = [pairs[0], pairs[:2].mean(), pairs[1:].mean(), pairs[2]]
    np.testing.assert_allclose(found.values, np.repeat(by_row, 3).reshape(4, 3), atol=1e-5)


def test_the_default_patch_is_an_eighth_and_moves_by_half(photo):
    convnet = nets.open_net("functional")
    told = []
    plain = vizlib.occlusion(convnet, photo, progress=lambda *p: told.append(p))
    same = vizlib.occlusion(convnet, photo, patch=2, stride=1)
    np.testing.assert_array_equal(plain.values, same.values)
    assert told[-1] == (226, 226)


def test_what_already_looks_like_the_cover_counts_for_exactly_nothing():
    convnet = nets.open_net("functional")
    black = np.zeros((16, 16, 3), "uint8")
    black[:8] = 200
    found = vizlib.occlusion(convnet, black, patch=4, stride=4, baseline="black")
    assert not found.values[8:].any()
    assert found.values[:8].all()


def test_each_option_of_occlusion_counts(photo):
    convnet = nets.open_net("functional")
    options = {"patch": 4, "stride": 2, "baseline": "grey"}
    plain = vizlib.occlusion(convnet, photo, **options).values
    for changed in ({"patch": 5}, {"stride": 4}, {"baseline": "black"}, {"baseline": "blurred"}):
        other = vizlib.occlusion(convnet, photo, **options | changed).values
        assert np.abs(other - plain).max() > 1e-4
    for wrong, message in (
        ({"patch": 17}, "each side of patch to be a whole number from 1 to 16"),
        ({"patch": 0}, "each side of patch"),
        ({"patch": 4, "stride": 5}, "each side of stride to be a whole number from 1 to 4"),
        ({"patch": (4, 8), "stride": (5, 5)}, "stride to be at most 4 x 8.*no pixel is left out"),
        ({"baseline": "pink"}, "baseline to be one of"),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            vizlib.occlusion(convnet, photo, **wrong)


sides = st.integers(1, 12)


@given(st.tuples(sides, sides), st.data())
def test_patches_cover_every_pixel_and_stay_inside(size, data):
    patch = tuple(data.draw(st.integers(1, side)) for side in size)
    stride = tuple(data.draw(st.integers(1, side)) for side in patch)
    patches = patches_over(size, patch, stride)
    covered = np.zeros(size)
    for rows, columns in patches:
        assert covered[rows, columns].shape == patch
        covered[rows, columns] += 1
    assert covered.min() >= 1
    assert len({(rows.start, columns.start) for rows, columns in patches}) == len(patches)
    ones = mean_over_patches(np.ones(len(patches)), patches, size)
    np.testing.assert_array_equal(ones, np.ones(size, "float32"))


def test_patches_by_hand():
    starts = [(r.start, c.start) for r, c in patches_over((5, 4), (2, 4), (2, 1))]
    assert starts == [(0, 0), (2, 0), (3, 0)]


# RISE.


def test_the_slope_over_all_masks_of_a_linear_score_is_its_weight():
    masks = np.array([*itertools.product([0.0, 1.0], repeat=6)]).reshape(-1, 2, 3)
    weights = np.array([[3.0, -2.0, 0.5], [0.0, 7.0, 1.0]])
    scores = 11 + (masks * weights).sum(axis=(1, 2))
    np.testing.assert_allclose(slope_where_seen(scores, iter(masks)), weights, atol=1e-6)
    published = np.tensordot(scores, masks, axes=1) / (0.5 * len(scores))
    level = np.mean(scores)
    np.testing.assert_allclose((published - level) / 0.5, weights, atol=1e-9)


def test_a_pixel_seen_alike_through_all_masks_has_no_slope():
    masks = np.array([[[0.5, 0.0]], [[0.5, 1.0]]])
    assert slope_where_seen(np.array([1.0, 3.0]), masks).tolist() == [[0, 2]]


def test_rise_of_a_linear_network_approaches_its_weights(photo):
    convnet = linear_net(4, 4)
    shown = (weights_of(convnet, 1) * (convnet.input_tensor(photo) - 0.5)).sum(axis=2)
    found = vizlib.rise(convnet, photo, class_index=1, samples=4000, cells=4)
    spread = np.sqrt((shown**2).sum() / 4000)
    assert np.abs(found.values - shown).max() < 4 * spread < 0.3 * np.abs(shown).max()
    assert found.diagnosis is None


def test_rise_equals_numpy(photo):
    convnet = nets.open_net("functional")
    tensor = convnet.input_tensor(photo)
    masks = [random_mask(np.random.default_rng((3, i)), 4, (16, 16)) for i in range(20)]
    scores = [np_score(convnet, 0.5 + m[..., None] * (tensor - 0.5), 1) for m in masks]
    stack = np.array(masks, "float64")
    deviations = np.array(scores) - np.mean(scores)
    covariance = np.tensordot(deviations, stack - stack.mean(axis=0), axes=1) / 20
    found = vizlib.rise(convnet, photo, class_index=1, samples=20, cells=4, seed=3)
    np.testing.assert_allclose(found.values, covariance / stack.var(axis=0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("cells", "size"), [(1, (5, 7)), (7, (16, 16)), (3, (10, 4)), (4, (4, 4))])
def test_masks_are_half_open_on_average_everywhere(cells, size):
    masks = np.stack([random_mask(np.random.default_rng(i), cells, size) for i in range(400)])
    assert masks.shape == (400, *size)
    assert masks.dtype == np.float32
    assert masks.min() == 0
    assert masks.max() == 1
    assert np.abs(masks.mean(axis=0) - 0.5).max() < 0.12


def test_cells_as_small_as_pixels_are_masks_of_0_and_1():
    mask = random_mask(np.random.default_rng(0), 6, (6, 6))
    assert set(np.unique(mask)) == {0, 1}


def test_each_option_of_rise_counts(photo):
    convnet = nets.open_net("functional")
    options = {"samples": 20, "cells": 4, "seed": 1}
    plain = vizlib.rise(convnet, photo, **options).values
    assert plain.tobytes() == vizlib.rise(convnet, photo, **options).values.tobytes()
    for changed in ({"samples": 21}, {"cells": 5}, {"seed": 2}):
        other = vizlib.rise(convnet, photo, **options | changed).values
        assert np.abs(other - plain).max() > 1e-4
    for wrong in ({"samples": 1}, {"cells": 0}, {"cells": 17}, {"seed": -1}):
        with pytest.raises(InvalidArgumentError, match=f"Expected {next(iter(wrong))}"):
            vizlib.rise(convnet, photo, **wrong)


def test_pictures_from_two_halves_that_disagree_are_told(photo):
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, (2, 8, 8))
    assert "Take more samples" in disagreement(one, other)
    assert disagreement(one, one + 0.5 * other) is None
    assert "(correlation -1.00)" in disagreement(one, -one)
    assert disagreement(one, np.zeros((8, 8))) is None
    convnet = nets.open_net("functional")
    assert "Take more samples" in vizlib.rise(convnet, photo, samples=6).diagnosis


# Batches.


@given(st.integers(0, 40), st.integers(1, 12))
def test_batches_cover_everything_once_and_tell_how_far(count, size):
    told, seen = [], []
    for numbers in in_batches(count, size, lambda *p: told.append(p)):
        assert len(told) == len(seen) // size  # not before the batch is done
        assert 1 <= len(numbers) <= size
        seen.extend(numbers)
    assert seen == list(range(count))
    assert [done for done, _ in told] == [*range(size, count, size), count][: len(told)]
    assert all(total == count for _, total in told)
    assert (not count) or told[-1] == (count, count)


def test_the_batch_keeps_the_maps_in_bounds():
    small = nets.open_net("functional")
    assert small.batch_size == 32
    large = ConvNet(nets.any_size(), input_size=640)
    maps = sum(np.prod(layer.shape) for layer in large.all_layers) * 4
    assert large.batch_size == 256 * 2**20 // maps
    assert 1 < large.batch_size < 32


def test_a_network_for_one_photo_at_a_time_gets_one(photo):
    """One that would mix photos up if it were given several."""
    nets.seeded()
    image = keras.Input(batch_shape=(1, 16, 16, 3))
    x = keras.ops.reshape(nets.conv(4, "c1")(image), (1, -1))
    convnet = ConvNet(keras.Model(image, layers.Dense(3, name="out")(x)), preprocess="unit")
    assert convnet.batch_size == 1
    tensor = convnet.input_tensor(photo)
    scores = convnet.tensor_scores(np.stack([tensor, tensor / 2]))
    np.testing.assert_allclose(scores[0], convnet.scores(photo), atol=1e-6)
    assert vizlib.occlusion(convnet, photo, patch=8).values.shape == (16, 16)
    assert nets.open_net("fixed_batch").batch_size == 1
    for kind in ("sequential_without_input", "subclassed"):  # were built by a call with one
        assert nets.open_net(kind).batch_size == 32
