"""What a filter picture is made for: each objective against NumPy and against what it promises."""

import keras
import nets
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import vizlib
from vizlib import (
    ConvNet,
    InvalidArgumentError,
    UnknownLayerError,
    UnsupportedModelError,
    diverse_patterns,
    filter_patterns,
    optimize,
)
from vizlib import objectives as goals
from vizlib.filters.readings import likeness, read

PIXELS = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype("float32")


def value(convnet, objective, pixels=PIXELS):
    count = len(pixels)
    channels = np.tile(np.int32(objective.channels), (count, 1))
    weights = np.tile(np.float32(objective.weights), (count, 1))
    found = read(convnet, objective.reading, tf.constant(pixels), channels, tf.constant(weights))
    return (found.target if objective.diversity else found.values).numpy()


def maps(convnet, layer, pixels=PIXELS):
    extractor = keras.Model(convnet.model.input, convnet.model.get_layer(layer).output)
    return extractor(pixels / 255).numpy()


def linear_net():
    """What ``functional`` is, with nothing cut off at zero."""
    model = nets.functional()
    for name in ("c1", "c2"):
        model.get_layer(name).activation = keras.activations.linear
    return ConvNet(model, preprocess="unit")


# Against NumPy.


@pytest.mark.parametrize("layer", ["c1", "pool", "c2"])
def test_a_channel_is_its_mean(layer):
    convnet = nets.open_net("functional")
    found = maps(convnet, layer).mean(axis=(1, 2))
    for channel in range(found.shape[1]):
        fires = found[:, channel] > 0
        np.testing.assert_allclose(
            value(convnet, goals.channel(layer, channel))[fires], found[fires, channel], rtol=1e-4
        )


@pytest.mark.parametrize(
    ("place", "row", "column"), [("centre", 4, 4), ((0, 7), 0, 7), ((6, 1), 6, 1)]
)
def test_a_neuron_is_one_place(place, row, column):
    convnet = linear_net()
    found = maps(convnet, "c2")[:, row, column, 3]
    objective = goals.neuron("c2", 3, place=place)
    np.testing.assert_allclose(value(convnet, objective), found, rtol=1e-4, atol=1e-6)


def test_a_negative_is_read_before_the_activation():
    convnet, linear = nets.open_net("functional"), linear_net()
    linear.model.get_layer("c1").activation = keras.activations.relu
    before = maps(linear, "c2")
    objective = goals.negative(goals.channel("c2", 1))
    np.testing.assert_allclose(
        value(convnet, objective), -before.mean(axis=(1, 2))[:, 1], rtol=1e-4, atol=1e-6
    )
    at_centre = goals.negative(goals.neuron("c2", 1))
    np.testing.assert_allclose(value(convnet, at_centre), -before[:, 4, 4, 1], rtol=1e-4, atol=1e-6)
    assert goals.negative(goals.negative(goals.channel("c2", 1))).weights == (1.0,)


@pytest.mark.parametrize("layer", ["c1", "pool", "c2"])
def test_a_direction_is_a_weighted_sum(layer):
    convnet = linear_net()
    found = maps(convnet, layer).mean(axis=(1, 2))
    objective = goals.direction(layer, {3: 2.0, 0: -1.5, 1: 0.25})
    expected = 2 * found[:, 3] - 1.5 * found[:, 0] + 0.25 * found[:, 1]
    np.testing.assert_allclose(value(convnet, objective), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("part", [0, 0.25, 1])
def test_an_interpolation_lies_between(part):
    convnet = linear_net()
    found = maps(convnet, "c2").mean(axis=(1, 2))
    objective = goals.interpolation("c2", 1, 4, part=part)
    expected = (1 - part) * found[:, 1] + part * found[:, 4]
    np.testing.assert_allclose(value(convnet, objective), expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", ["functional", "nested", "subclassed_raw_softmax", "one_sigmoid"])
def test_a_class_is_its_logit(kind, photo):
    convnet = nets.open_net(kind)
    pixels = convnet.input_image(photo)[None].astype("float32")
    scores = convnet.scores(photo)
    for index in range(convnet.classes):
        compiled = tf.function(lambda p, i=index: value_in_graph(convnet, i, p), autograph=False)
        found = float(
            compiled.get_concrete_function(tf.TensorSpec(pixels.shape))(tf.constant(pixels))
        )
        assert found == pytest.approx(scores[index], abs=1e-4)


def value_in_graph(convnet, index, pixels):
    objective = goals.class_logit(index)
    return read(
        convnet, objective.reading, pixels, tf.constant([[index]]), tf.constant([[1.0]])
    ).values[0]


def test_likeness_is_the_mean_cosine_of_gram_matrices():
    stack = np.random.default_rng(0).uniform(0, 1, (3, 4, 5, 6)).astype("float32")
    grams = [m.reshape(-1, 6).T @ m.reshape(-1, 6) for m in stack]
    cosine = [[(a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()) for b in grams] for a in grams]
    expected = [(sum(row) - 1) / 2 for row in cosine]
    np.testing.assert_allclose(likeness(tf.constant(stack)), expected, rtol=1e-5)


def test_a_diverse_objective_loses_what_its_pictures_share():
    convnet = nets.open_net("functional")
    plain, diverse = goals.channel("c2", 4), goals.diverse(goals.channel("c2", 4), 3, diversity=0.5)
    shared = likeness(tf.constant(maps(convnet, "c2"))).numpy()
    alone = value(convnet, plain)
    np.testing.assert_allclose(
        value(convnet, diverse), alone - 0.5 * np.abs(alone) * shared, rtol=1e-4
    )


# What they promise.


@pytest.mark.parametrize("recipe", ["fourier", "maco", "classic"])
def test_every_objective_rises(recipe):
    convnet = nets.open_net("functional")
    # Crops move so small a picture too far for one place of it.
    one_place = goals.neuron("c1", 3) if recipe != "maco" else goals.channel("c1", 3)
    wanted = [
        goals.channel("c2", 0),
        one_place,
        goals.negative(goals.channel("c2", 4)),
        goals.direction("c2", {0: 1, 3: -0.5, 5: 0.5}),
        goals.interpolation("c1", 1, 2),
        goals.class_logit(2),
        goals.diverse(goals.channel("c2", 4), 2),
    ]
    told = []
    patterns = optimize(
        convnet, wanted, recipe=recipe, steps=30, progress=lambda *args: told.append(args)
    )
    assert patterns.images.shape == (8, 16, 16, 3)
    assert patterns.objective.shape == (8, 30)
    assert patterns.diagnosis == (None,) * 8
    assert patterns.channels == (0, 3, 4, 0, 1, 2, 4, 4)
    assert patterns.layer == ""
    assert (patterns.objective[:, -5:].mean(1) > patterns.objective[:, :2].mean(1)).all()
    # Channels of either layer, a place, a negative, a class, a diverse set.
    batches = 6 if recipe != "maco" else 5
    assert told == [(i, batches * 30) for i in range(1, batches * 30 + 1)]


def test_objectives_made_together_equal_those_made_alone():
    convnet = nets.open_net("functional")
    wanted = [
        goals.direction("c2", {0: 1, 3: -0.5, 5: 0.5}),
        goals.channel("c2", 2),
        goals.neuron("c2", 2),
        goals.interpolation("c2", 1, 4),
    ]
    together = optimize(convnet, wanted, steps=6)
    for place, objective in enumerate(wanted):
        alone = optimize(convnet, [objective], steps=6)
        assert np.abs(together.images[place].astype(int) - alone.images[0]).max() <= 1
        np.testing.assert_allclose(together.objective[place], alone.objective[0], rtol=1e-4)
    assert together.layer == "c2"


def test_filter_patterns_are_channels():
    convnet = nets.open_net("functional")
    one = filter_patterns(convnet, "c2", [3, 1], steps=4)
    other = optimize(convnet, [goals.channel("c2", 3), goals.channel("c2", 1)], steps=4)
    assert one.images.tobytes() == other.images.tobytes()
    assert one.channels == other.channels == (3, 1)


def test_a_negative_picture_silences_the_channel():
    convnet = nets.open_net("functional")
    objective = goals.negative(goals.channel("c2", 4))
    patterns = optimize(convnet, [objective], steps=60)
    shown = patterns.images.astype("float32")
    assert maps(convnet, "c2", shown)[..., 4].mean() < 0.1 * maps(convnet, "c2")[..., 4].mean()
    assert patterns.diagnosis == (None,)


def test_a_class_picture_makes_its_class_win():
    convnet = nets.open_net("functional")
    patterns = optimize(
        convnet, [goals.class_logit(i) for i in range(3)], steps=80, recipe="classic"
    )
    gain = [convnet.scores(image) for image in patterns.images]
    assert np.argmax(gain, axis=0).tolist() == [0, 1, 2]
    assert patterns.layer == "class scores"


def test_a_direction_counts_every_channel_that_it_names():
    convnet = nets.open_net("functional")
    one, other = (
        optimize(convnet, [goals.direction("c2", weights)], steps=10).images
        for weights in ({0: 1.0, 4: 0.0}, {0: 1.0, 4: 1.0})
    )
    assert np.abs(one.astype(int) - other).max() > 3
    plain = filter_patterns(convnet, "c2", [0], steps=10).images
    assert np.abs(one.astype(int) - plain).max() <= 1


# Diverse pictures.


def two_ways():
    """Channel 0 of the maps fires for red and for blue alike; 1 and 2 tell which is more."""
    image = keras.Input((16, 16, 3))
    conv = layers.Conv2D(3, 1, activation="relu", name="maps")
    model = keras.Model(image, conv(image))
    kernel = np.array([[1.0, 1, -1], [-1, 0, 0], [1, -1, 1]])
    conv.set_weights([kernel.reshape(1, 1, 3, 3), np.zeros(3)])
    return ConvNet(model, preprocess="unit")


def test_diverse_pictures_differ_more_than_plain_ones_and_still_fire():
    convnet = two_ways()
    shared, fired = [], []
    for diversity in (0, 1):
        objective = goals.diverse(goals.channel("maps", 0), 2, diversity=diversity)
        patterns = optimize(convnet, [objective], steps=256)
        found = maps(convnet, "maps", patterns.images.astype("float32"))
        shared.append(likeness(tf.constant(found)).numpy().mean())
        fired.append(patterns.objective[:, -1].mean())
    assert shared[1] < shared[0] - 0.3
    assert fired[1] > 0.3 * fired[0]


def test_the_first_of_a_set_without_diversity_is_the_plain_picture():
    convnet = nets.open_net("functional")
    patterns = optimize(convnet, [goals.diverse(goals.channel("c2", 4), 3, diversity=0)], steps=5)
    plain = filter_patterns(convnet, "c2", [4], steps=5)
    assert np.abs(patterns.images[0].astype(int) - plain.images[0]).max() <= 1
    assert np.abs(patterns.images[1].astype(int) - plain.images[0]).max() > 3


def test_diverse_patterns_are_diverse_channels():
    convnet = nets.open_net("functional")
    options = {"recipe": "maco", "size": 20, "steps": 3, "seed": 5}
    one = diverse_patterns(convnet, "c2", 4, count=3, **options)
    other = optimize(convnet, [goals.diverse(goals.channel("c2", 4), 3)], **options)
    assert one.images.tobytes() == other.images.tobytes()
    assert one.images.shape == (3, 20, 20, 3)
    assert one.channels == (4, 4, 4)
    assert diverse_patterns(convnet, "c2", 4, steps=1).images.shape[0] == 4
    told = []
    diverse_patterns(convnet, "c2", 4, steps=2, progress=lambda *a: told.append(a))
    assert told == [(1, 2), (2, 2)]


def test_diverse_sets_do_not_know_of_one_another():
    convnet = nets.open_net("functional")
    sets = [goals.diverse(goals.channel("c2", c), 2) for c in (4, 1)]
    together = optimize(convnet, sets, steps=5)
    for place, alone in enumerate(optimize(convnet, [one], steps=5) for one in sets):
        mine = together.images[2 * place : 2 * place + 2]
        assert np.abs(mine.astype(int) - alone.images).max() <= 1


# What is refused.


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: goals.direction("c2", {}), "weights to be a mapping"),
        (lambda: goals.direction("c2", {1: 0}), "not all of them 0"),
        (lambda: goals.direction("c2", {1: float("nan")}), "each weight to be a number"),
        (lambda: goals.interpolation("c2", 0, 1, part=1.5), "part to be a number from 0 to 1"),
        (lambda: goals.neuron("c2", 0, place=(1,)), "row and column"),
        (lambda: goals.neuron("c2", 0, place=(1, 2, 3)), "row and column"),
        (lambda: goals.neuron("c2", 0, place="left"), "row and column"),
        (lambda: goals.Objective("c2", (0,), place="top"), "row and column"),
        (lambda: goals.Objective("c2", (0, 1)), "one weight for each channel.*2 channels, 1 wei"),
        (lambda: goals.diverse(goals.channel("c2", 0), 1), "count to be a whole number from 2"),
        (lambda: goals.diverse(goals.channel("c2", 0), 17), "count to be a whole number from 2"),
        (lambda: goals.diverse(goals.channel("c2", 0), diversity=-1), "diversity to be a number"),
        (lambda: goals.diverse(goals.class_logit(0)), "an objective with a layer"),
    ],
)
def test_objectives_that_make_no_sense_are_refused(make, message):
    with pytest.raises(InvalidArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        ([], InvalidArgumentError, "at least one objective"),
        ([3], InvalidArgumentError, r"as the functions in vizlib.objectives make them.*3"),
        ([goals.channel("c9", 0)], UnknownLayerError, "'c9'"),
        ([goals.channel("c2", 6)], InvalidArgumentError, "channel of 'c2'.* from 0 to 5"),
        ([goals.direction("c2", {0: 1, 7: 1})], InvalidArgumentError, "Received: 7"),
        ([goals.neuron("c2", 0, place=(8, 0))], InvalidArgumentError, "row of place.* from 0 to 7"),
        ([goals.neuron("c2", 0, place=(0, 9))], InvalidArgumentError, "column of place"),
        ([goals.class_logit(3)], InvalidArgumentError, "class_index from 0 to 2"),
    ],
)
def test_objectives_that_do_not_fit_the_network_are_refused(wanted, error, message):
    with pytest.raises(error, match=message):
        optimize(nets.open_net("functional"), wanted, steps=1)


def test_class_scores_of_a_network_without_classes_are_refused():
    with pytest.raises(UnsupportedModelError, match="Expected a classifier"):
        optimize(nets.open_net("conv_base"), [goals.class_logit(0)], steps=1)


def test_a_size_that_the_head_cannot_take_is_refused_with_its_own():
    convnet = ConvNet(nets.flatten_net(), preprocess="unit")
    with pytest.raises(InvalidArgumentError, match=r"its class scores.*20 x 20.*16 x 16"):
        optimize(convnet, [goals.class_logit(0)], size=20, steps=1)
    patterns = optimize(convnet, [goals.class_logit(0)], steps=1)
    assert isinstance(patterns, vizlib.FilterPatterns)
