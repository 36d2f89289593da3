"""The book's recipe against matched filters, a plain re-implementation, and twins."""

import functools
import math

import keras
import nets
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import vizlib
from vizlib import (
    FILTER_RECIPES,
    ConvNet,
    FilterPatterns,
    InvalidArgumentError,
    UnknownLayerError,
)
from vizlib.filters import FilterRecipe
from vizlib.filters.optimisers import Optimiser
from vizlib.filters.parameterisations import Parameterisation

STEP = 255 * 10 / math.sqrt(200 * 200 * 3)

filter_patterns = functools.partial(vizlib.filter_patterns, recipe="classic")


def start_of(seed, channel, shape):
    noise = np.random.default_rng((seed, channel)).uniform(0.4, 0.6, shape)
    return (255 * noise).astype("float32")


def developed(pixels):
    """As the book has it: centred, a spread of a quarter of the range, clipped."""
    pixels = np.asarray(pixels, "float64")
    centred = (pixels - pixels.mean()) / (pixels.std() + 1e-5)
    return np.clip(np.rint(128 + 64 * centred), 0, 255)


def book_loop(model, layer, channel, shape, *, steps, seed=0, scale=1 / 255):
    """The book's loop for one channel, eagerly, on a sub-model with all its channels."""
    extractor = keras.Model(model.input, model.get_layer(layer).output)
    pixels = tf.constant(start_of(seed, channel, shape)[None])
    objective = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            loss = tf.reduce_mean(extractor(pixels * scale, training=False)[..., channel])
        gradient = tape.gradient(loss, pixels)
        pixels += STEP * gradient / tf.sqrt(tf.reduce_mean(tf.square(gradient)))
        objective.append(float(loss))
    return developed(pixels[0]), objective


def difference(one, other):
    return np.abs(np.asarray(one, "float64") - other).max()


def single_conv(side=12, filters=3, kernel=3, **options):
    nets.seeded()
    image = keras.Input((side, side, 3))
    x = layers.Conv2D(filters, kernel, **{"padding": "valid", "name": "c1"} | options)(image)
    return nets.randomize_biases(keras.Model(image, x))


def half_awake(conv):
    """Choose biases so that each channel fires in some places of a grey picture."""
    if conv.use_bias:
        conv.bias.assign(0.02 - 0.5 * conv.kernel.numpy().sum(axis=(0, 1, 2)))


def opened(model, **options):
    return ConvNet(model, preprocess="unit", **options)


# Known answers.


def test_a_linear_neuron_gets_its_matched_filter():
    """The kernel covers the whole picture, so the best picture is the kernel: cosine 1."""
    model = single_conv(8, 2, 8)
    rng = np.random.default_rng(0)
    kernel = rng.uniform(-1, 1, (8, 8, 3, 2))
    model.get_layer("c1").set_weights([kernel, np.zeros(2)])
    patterns = filter_patterns(opened(model), "c1", [0, 1], steps=400)
    for channel in (0, 1):
        wanted = kernel[..., channel] - kernel[..., channel].mean()
        found = patterns.images[channel] - patterns.images[channel].mean()
        cosine = (wanted * found).sum() / np.linalg.norm(wanted) / np.linalg.norm(found)
        assert cosine > 0.9999
        assert difference(patterns.images[channel], developed(kernel[..., channel])) <= 2
    other = (patterns.images[0] - 128.0).ravel() @ (kernel[..., 1] - kernel[..., 1].mean()).ravel()
    assert abs(other) < 0.3 * np.linalg.norm(patterns.images[0] - 128.0) * np.linalg.norm(kernel)


def test_each_step_raises_a_linear_neuron_by_step_times_spread_of_its_kernel():
    """A step of ``STEP`` of 255 (root mean square) along ``k`` adds ``STEP/255 * n * rms(k)``."""
    model = single_conv(8, 2, 8)
    kernel, bias = model.get_layer("c1").get_weights()
    patterns = filter_patterns(opened(model), "c1", [1], steps=5, seed=3)
    own = kernel[..., 1]
    first = (start_of(3, 1, (8, 8, 3)) / 255 * own).sum() + bias[1]
    gain = STEP / 255 * own.size * np.sqrt((own**2).mean())
    np.testing.assert_allclose(patterns.objective[0], first + gain * np.arange(5), rtol=1e-4)


# The book's loop.


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"activation": "relu"}, (12, 12)),
        ({"activation": "relu", "padding": "same", "strides": 2}, (12, 12)),
        ({"activation": "relu", "strides": (2, 3)}, (14, 15)),
        ({"activation": "relu", "dilation_rate": 2}, (12, 12)),
        ({"activation": "relu", "kernel_size": (1, 4), "padding": "same"}, (12, 10)),
        ({"activation": "tanh"}, (12, 12)),
        ({"activation": None, "use_bias": False}, (12, 12)),
        ({"activation": keras.activations.softmax}, (12, 12)),
        ({"activation": "relu", "filters": 6, "groups": 3}, (12, 12)),
    ],
    ids=["relu", "same", "strided", "dilated", "tall", "tanh", "linear", "softmax", "groups"],
)
def test_a_convolution_equals_the_books_loop(options, size):
    options = {"kernel_size": 3, "filters": 5, "padding": "valid"} | options
    nets.seeded()
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.Conv2D(name="c1", **options)(image))
    half_awake(model.get_layer("c1"))
    channels = [4, 0, 3]
    patterns = filter_patterns(opened(model, input_size=size), "c1", channels, steps=6, seed=2)
    assert patterns.channels == tuple(channels)
    for number, channel in enumerate(channels):
        picture, objective = book_loop(model, "c1", channel, (*size, 3), steps=6, seed=2)
        np.testing.assert_allclose(patterns.objective[number], objective, rtol=1e-3, atol=1e-6)
        assert difference(patterns.images[number], picture) <= 1


@pytest.mark.parametrize("layer", ["c1", "bn", "relu", "c2"])
def test_layers_around_a_normalisation_equal_the_books_loop(layer):
    model = nets.batch_normalized()
    patterns = filter_patterns(opened(model), layer, range(6), steps=5)
    fires = [i for i in range(6) if patterns.objective[i, 0] > 0]
    assert len(fires) >= 2
    for channel in fires:
        picture, objective = book_loop(model, layer, channel, (16, 16, 3), steps=5)
        np.testing.assert_allclose(patterns.objective[channel], objective, rtol=1e-3, atol=1e-6)
        assert difference(patterns.images[channel], picture) <= 1


def test_a_negative_mean_that_does_fire_is_followed_as_it_is():
    """The output of a normalisation is below zero without being dead."""
    model = nets.batch_normalized()
    gamma, _, mean, variance = model.get_layer("bn").get_weights()
    model.get_layer("bn").set_weights([gamma, np.full(6, -3.0), mean, variance])
    patterns = filter_patterns(opened(model), "bn", [0, 1], steps=4)
    assert patterns.diagnosis == (None, None)
    for channel in (0, 1):
        picture, objective = book_loop(model, "bn", channel, (16, 16, 3), steps=4)
        assert objective[0] < 0
        np.testing.assert_allclose(patterns.objective[channel], objective, rtol=1e-3)
        assert difference(patterns.images[channel], picture) <= 1


@pytest.mark.parametrize("preprocess", ["caffe", "torch", "tf"])
def test_pixels_go_through_the_preprocessing_inside_the_loop(preprocess):
    """A twin that takes raw pixels and has the preprocessing folded into its first kernel."""
    model = single_conv(8, 2, 8)
    kernel, bias = model.get_layer("c1").get_weights()
    convnet = ConvNet(model, preprocess=preprocess)
    made = vizlib.PREPROCESSINGS[preprocess]
    folded = kernel[:, :, ::-1] if made.reverse else kernel
    std, mean = (np.broadcast_to(x, 3)[None, None, :, None] for x in (made.std, made.mean))
    offset = (folded * -mean / std).sum(axis=(0, 1, 2))
    twin = single_conv(8, 2, 8)
    twin.get_layer("c1").set_weights([folded * made.scale / std, bias + offset])
    mine, theirs = (filter_patterns(c, "c1", [0, 1], steps=20) for c in (convnet, ConvNet(twin)))
    np.testing.assert_allclose(mine.objective, theirs.objective, rtol=1e-3, atol=1e-3)
    assert difference(mine.images, theirs.images) <= 1


# One channel, many channels, seeds.


def test_a_picture_does_not_depend_on_the_others_in_its_batch():
    convnet = nets.open_net("functional")
    channels = [5, 0, 3, 1, 4, 2, 0, 5]
    together = filter_patterns(convnet, "c2", channels, steps=8)
    for number, channel in enumerate(channels):
        alone = filter_patterns(convnet, "c2", [channel], steps=8)
        assert difference(together.images[number], alone.images[0]) <= 1
        np.testing.assert_allclose(
            together.objective[number], alone.objective[0], rtol=1e-4, atol=1e-6
        )
    np.testing.assert_allclose(together.objective[0], together.objective[7], rtol=1e-5)


def test_more_channels_than_one_batch():
    model = single_conv(12, 16, activation="relu")
    half_awake(model.get_layer("c1"))
    channels = list(range(12, 1, -1))
    patterns = filter_patterns(opened(model), "c1", channels, steps=4)
    assert patterns.channels == tuple(channels)
    assert patterns.images.shape == (11, 12, 12, 3)
    assert patterns.objective.shape == (11, 4)
    assert len(patterns.diagnosis) == 11
    for number, channel in enumerate(channels):
        picture, objective = book_loop(model, "c1", channel, (12, 12, 3), steps=4)
        np.testing.assert_allclose(patterns.objective[number], objective, rtol=1e-3)
        assert difference(patterns.images[number], picture) <= 1
    assert len(np.unique(patterns.images.reshape(11, -1), axis=0)) == 11


def test_same_seed_same_bytes_and_another_seed_another_picture():
    one, same, other = (
        filter_patterns(nets.open_net("functional"), "c2", [0, 4], steps=5, seed=seed)
        for seed in (3, 3, 4)
    )
    assert one.images.tobytes() == same.images.tobytes()
    assert one.objective.tobytes() == same.objective.tobytes()
    assert all(difference(a, b) > 5 for a, b in zip(one.images, other.images, strict=True))


def test_the_objective_rises():
    patterns = filter_patterns(nets.open_net("functional"), "c2", range(6), steps=20)
    assert patterns.objective.shape == (6, 20)
    assert patterns.objective.dtype == np.float32
    gains = np.diff(patterns.objective, axis=1)
    assert (gains > -0.02 * np.abs(patterns.objective).max(axis=1, keepdims=True)).all()
    assert (patterns.objective[:, -1] > patterns.objective[:, 0] + 0.05).all()


# Options.


def test_steps_count():
    convnet = nets.open_net("functional")
    three, ten = (filter_patterns(convnet, "c2", [0], steps=n) for n in (3, 10))
    assert (three.objective.shape, ten.objective.shape) == ((1, 3), (1, 10))
    np.testing.assert_allclose(ten.objective[:, :3], three.objective, rtol=1e-5)
    assert difference(three.images, ten.images) > 5
    for steps in (0, -1):
        with pytest.raises(InvalidArgumentError, match="steps to be a whole number of at least 1"):
            filter_patterns(convnet, "c2", [0], steps=steps)


def test_steps_and_size_have_defaults():
    patterns = filter_patterns(nets.open_net("non_square"), "c1", [0])
    assert patterns.objective.shape == (1, FILTER_RECIPES["classic"].steps)
    assert patterns.images.shape == (1, 12, 20, 3)


@pytest.mark.parametrize(("size", "shape"), [(24, (24, 24)), ((10, 22), (10, 22)), (8, (8, 8))])
@pytest.mark.parametrize(
    "kind", ["functional", "nested", "nested_in_sequential", "doubly_nested", "sequential"]
)
def test_another_size_than_the_fixed_one_equals_a_twin_without_fixed_size(kind, size, shape):
    convnet = nets.open_net(kind)
    before = convnet.model.count_params()
    found = filter_patterns(convnet, "c2", [0, 5], size=size, steps=4)
    assert found.images.shape == (2, *shape, 3)
    image = keras.Input((None, None, 3))
    free = keras.Model(image, nets.body(image))
    for name in ("c1", "c2"):
        free.get_layer(name).set_weights(nets.inner(convnet.model, name).get_weights())
    for number, channel in enumerate((0, 5)):
        picture, objective = book_loop(free, "c2", channel, (*shape, 3), steps=4)
        np.testing.assert_allclose(found.objective[number], objective, rtol=1e-3, atol=1e-6)
        assert difference(found.images[number], picture) <= 1
    assert convnet.model.count_params() == before


@pytest.mark.parametrize("size", [0, -3, (0, 10), 1025, (10, 2000)])
def test_a_size_that_makes_no_picture_is_refused(size):
    with pytest.raises(InvalidArgumentError, match="size to be a whole number from 1 to 1024"):
        filter_patterns(nets.open_net("functional"), "c1", [0], size=size)


def test_a_size_too_small_for_the_network_is_refused_with_its_own_size():
    convnet = opened(single_conv(12, 3, 5, activation="relu"))
    with pytest.raises(InvalidArgumentError, match=r"4 x 4, which may be too small.*12 x 12"):
        filter_patterns(convnet, "c1", [0], size=4)
    assert filter_patterns(convnet, "c1", [0], size=5, steps=1).images.shape == (1, 5, 5, 3)


@pytest.mark.parametrize("channels", [[6], [-1], [0, 99], []])
def test_a_channel_that_does_not_exist_is_refused(channels):
    found = next((c for c in channels if c not in range(6)), "none")
    with pytest.raises(InvalidArgumentError, match=r"channel.* from 0 to 5") as caught:
        filter_patterns(nets.open_net("functional"), "c2", channels)
    assert f"Received: {found}." in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"size": (10,)},
        {"size": 10.5},
        {"size": "big"},
        {"steps": 2.5},
        {"steps": "3"},
        {"seed": -1},
        {"channels": [1.7]},
        {"channels": "a"},
    ],
    ids=str,
)
def test_options_of_the_wrong_kind_are_refused_by_name(options):
    arguments = {"channels": [0], "steps": 1} | options
    with pytest.raises(InvalidArgumentError, match=f"Expected .*{next(iter(options))[:-1]}"):
        filter_patterns(nets.open_net("functional"), "c2", **arguments)


def test_unknown_recipe_and_layer_are_refused():
    convnet = nets.open_net("functional")
    with pytest.raises(InvalidArgumentError, match=r"recipe to be one of .*classic.*'dreamy'"):
        filter_patterns(convnet, "c2", [0], recipe="dreamy")
    with pytest.raises(UnknownLayerError, match="'c9'"):
        filter_patterns(convnet, "c9", [0])


def test_the_recipe_makes_the_pictures(monkeypatch):
    """A recipe of one's own: start plain, add one everywhere seven times, show as it is."""
    brighter = Optimiser(
        moments=0,
        factors=lambda step: np.array([step <= 7], "float32"),
        ascend=lambda pixels, gradient, moments, factors: (
            pixels + factors[0] * tf.sign(tf.abs(gradient) + 1),
            moments,
        ),
    )
    plain = Parameterisation(
        start=lambda rng, shape: np.full(shape, rng.integers(10, 60), "float32"),
        picture=lambda pixels, shape: pixels,
        develop=lambda pixels: pixels.astype("uint8"),
    )
    own = FilterRecipe(title="Count", steps=9, parameterisation=plain, optimiser=brighter)
    monkeypatch.setitem(FILTER_RECIPES, "count", own)
    convnet = opened(single_conv(8, 3, 3))
    patterns = filter_patterns(convnet, "c1", [2, 1], recipe="count")
    for number, channel in enumerate((2, 1)):
        start = np.random.default_rng((0, channel)).integers(10, 60)
        assert (patterns.images[number] == start + 7).all()
    assert patterns.objective.shape == (2, 9)


def test_grey_networks_give_pictures_in_three_equal_channels():
    convnet = nets.open_net("grayscale")
    convnet.model.get_layer("c1").bias.assign(np.full(4, 0.5))
    patterns = filter_patterns(convnet, "c1", [0, 1], steps=4)
    assert patterns.images.shape == (2, 16, 16, 3)
    assert (patterns.images == patterns.images[..., :1]).all()
    for channel in (0, 1):
        picture, _ = book_loop(convnet.model, "c1", channel, (16, 16, 1), steps=4)
        assert difference(patterns.images[channel], picture) <= 1
    assert patterns.images.std() > 10


# Channels that do not fire.


def sleepy(kind):
    """Channel 0 fires above 0.7 grey, channel 1 always, channel 2 never can."""
    nets.seeded()
    image = keras.Input((12, 12, 3))
    if kind == "inside":
        x = layers.Conv2D(3, 3, activation="relu", name="maps")(image)
        conv = "maps"
    else:
        x = layers.Conv2D(3, 3, name="conv")(image)
        x = layers.ReLU(name="maps")(x) if kind == "layer" else keras.ops.relu(x)
        conv = "conv"
    model = keras.Model(image, x)
    kernel = np.zeros((3, 3, 3, 3))
    kernel[..., :2] = np.random.default_rng(0).uniform(0.5, 1.5, (3, 3, 3, 2)) / 27
    model.get_layer(conv).set_weights([kernel, np.array([-0.7, 0.0, -0.5])])
    return opened(model)


@pytest.mark.parametrize("kind", ["inside", "layer", "operation"])
def test_a_sleeping_channel_is_woken_and_a_dead_one_said_to_be_dead(kind):
    convnet = sleepy(kind)
    name = convnet.layers[-1].name
    patterns = filter_patterns(convnet, name, [0, 1, 2], steps=30)
    sleeping, awake, dead = patterns.objective
    assert sleeping[0] < -0.05
    assert sleeping[-1] > 0.05
    assert (np.diff(sleeping) > 0).all()
    assert awake[0] > 0.4
    np.testing.assert_allclose(dead, -0.5, atol=1e-6)
    assert patterns.diagnosis[:2] == (None, None)
    assert "Channel 2 never fired in 30 steps" in patterns.diagnosis[2]
    assert (patterns.images[2] == 128).all()
    assert patterns.images[0].std() > 20
    assert patterns.images[1].std() > 20


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Conv2D(4, 3, groups=2, activation="relu", name="maps"),
        lambda: layers.DepthwiseConv2D(3, activation="relu", name="maps"),
        lambda: layers.SeparableConv2D(4, 3, activation="relu", name="maps"),
        lambda: layers.Conv2DTranspose(4, 3, activation="relu", name="maps"),
    ],
    ids=["grouped", "depthwise", "separable", "transposed"],
)
def test_other_convolutions_that_hold_their_activation_are_woken_too(layer):
    image = keras.Input((12, 12, 4))
    grey = keras.Input((12, 12, 1))
    model = keras.Model(image, layer()(image))
    for weight in model.weights:
        fan_in = 36 if "depthwise" not in weight.path else 9
        weight.assign(np.full(weight.shape, -0.7 if weight.name == "bias" else 1 / fan_in))
    wide = keras.Model(grey, model(layers.Concatenate(name="join")([grey] * 4)))
    patterns = filter_patterns(opened(wide), "maps", [0, 3], steps=240)
    assert (patterns.objective[:, 0] < 0).all()
    assert (patterns.objective[:, -1] > 0).all()
    assert patterns.diagnosis == (None, None)


def test_a_sleeping_channel_that_had_too_few_steps_shows_nothing_yet():
    convnet = sleepy("inside")
    patterns = filter_patterns(convnet, "maps", [0], steps=2)
    assert "may be dead, or need more steps" in patterns.diagnosis[0]
    assert (patterns.images == 128).all()


def test_before_it_wakes_a_channel_follows_its_mean_before_the_activation():
    convnet = sleepy("inside")
    linear = keras.models.clone_model(convnet.model)
    linear.set_weights(convnet.model.get_weights())
    linear.get_layer("maps").activation = keras.activations.linear
    _, expected = book_loop(linear, "maps", 0, (12, 12, 3), steps=3)
    patterns = filter_patterns(convnet, "maps", [0], steps=3)
    np.testing.assert_allclose(patterns.objective[0], expected, rtol=1e-4)


def test_weights_that_are_not_finite_are_said_to_be():
    model = single_conv(8, 2, 3, activation="relu")
    kernel, bias = model.get_layer("c1").get_weights()
    kernel[0, 0, 0, 1] = np.nan
    model.get_layer("c1").set_weights([kernel, bias])
    whole, broken = (filter_patterns(opened(model), "c1", [c], steps=3) for c in (0, 1))
    assert whole.diagnosis == (None,)
    assert "Channel 1 gives numbers that are not finite" in broken.diagnosis[0]
    assert (broken.images == 128).all()


# Ranking.


def test_best_ranks_by_what_the_network_answers_and_puts_silent_channels_last():
    patterns = FilterPatterns(
        images=np.arange(4, dtype="uint8")[:, None, None, None] * np.ones((4, 2, 2, 3), "uint8"),
        objective=np.array([[9, 1], [0, 3], [5, 2], [8, 7]], "float32"),
        diagnosis=(None, None, None, "silent"),
        layer="c1",
        channels=(10, 11, 12, 13),
    )
    best = patterns.best(3)
    assert best.channels == (11, 12, 10)
    assert best.images[:, 0, 0, 0].tolist() == [1, 2, 0]
    assert best.objective.tolist() == [[0, 3], [5, 2], [9, 1]]
    assert best.diagnosis == (None, None, None)
    assert best.layer == "c1"
    everything = patterns.best(9)
    assert everything.channels == (11, 12, 10, 13)
    assert everything.diagnosis[-1] == "silent"
    assert patterns.channels == (10, 11, 12, 13)


# Progress.


def test_progress_tells_every_step_of_all_batches():
    told = []
    model = single_conv(12, 16, activation="relu")
    filter_patterns(
        opened(model), "c1", range(11), steps=3, progress=lambda *args: told.append(args)
    )
    assert told == [(i, 6) for i in range(1, 7)]


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_raising_from_progress_cancels_with_that_very_exception(kind):
    convnet = nets.open_net("functional")
    stop, told = kind("enough"), []

    def progress(done, _total):
        told.append(done)
        if done == 2:
            raise stop

    expected = filter_patterns(nets.open_net("functional"), "c2", [0], steps=5)
    with pytest.raises(kind) as caught:
        filter_patterns(convnet, "c2", [0], steps=5, progress=progress)
    assert caught.value is stop
    assert told == [1, 2]
    again = filter_patterns(convnet, "c2", [0], steps=5)
    assert again.images.tobytes() == expected.images.tobytes()
