"""Methods that follow the gradient to the pixels, against identities and other libraries."""

import importlib

import keras
import nets
import numpy as np
import oracle_net
import pytest
import tensorflow as tf
from keras import layers

import vizlib
from vizlib import ConvNet, InvalidArgumentError, UnsupportedModelError, input_gradients
from vizlib.attributions import (
    ATTRIBUTIONS,
    missed_sum,
    strongest_colour,
    summed_colours,
    weighted_gradient,
)
from vizlib.baselines import BASELINES, baseline_tensor


@pytest.fixture(scope="module")
def oracle():
    return oracle_net.load()


def input_net(activation, *, bias: bool = True) -> ConvNet:
    """Two convolutions with a given activation, Flatten and a head, with or without biases."""
    nets.seeded()
    image = nets.image_input()
    x = nets.conv(4, "c1", activation=activation, use_bias=bias)(image)
    x = nets.conv(6, "c2", activation=activation, use_bias=bias, strides=2)(x)
    x = layers.Dense(3, name="out", use_bias=bias)(layers.Flatten()(x))
    return ConvNet(nets.randomize_biases(keras.Model(image, x)), preprocess="unit")


def tensor_gradient(convnet, tensor, index):
    """The gradient of a logit by a plain tape, of a network with a linear head."""
    batch = tf.constant(tensor[None])
    with tf.GradientTape() as tape:
        tape.watch(batch)
        score = convnet.model(batch)[0, index]
    return tape.gradient(score, batch)[0].numpy()


# Independent libraries.


@pytest.mark.parametrize("number", range(3))
def test_gradients_and_their_heatmaps_equal_those_of_captum(number, oracle):
    convnet, images, expected = oracle
    image = images[number]
    gradient = convnet.tensor_gradients(convnet.input_tensor(image)[None], 1)[0]
    captum = expected["captum_saliency"][number]
    np.testing.assert_allclose(np.abs(gradient), captum, rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        vizlib.saliency(convnet, image, class_index=1).values, captum.max(axis=2), 0, 1e-5
    )
    for method, name in (
        (vizlib.gradient_times_input, "captum_input_x_gradient"),
        (vizlib.integrated_gradients, "captum_IG"),
    ):
        own = method(convnet, image, class_index=1).values
        captum = expected[name][number].sum(axis=2)
        assert np.abs(captum).max() > 0.03
        np.testing.assert_allclose(own, captum, rtol=0, atol=1e-5)


# Gradient, and gradient times input.


def test_gradient_of_a_linear_network_by_hand(photo):
    """The score is red·1 + green·(-3) + blue·2 at one place, and nothing elsewhere."""
    nets.seeded()
    image = keras.Input((4, 5, 3))
    x = layers.Conv2D(1, 1, use_bias=False, name="c1")(image)
    model = keras.Model(image, layers.Dense(2, name="out")(layers.Flatten()(x)))
    model.get_layer("c1").set_weights([np.array([1.0, -3.0, 2.0]).reshape(1, 1, 3, 1)])
    kernel = np.zeros((4, 5, 2))
    kernel[1, 2, 1] = 1
    model.get_layer("out").set_weights([kernel.reshape(20, 2), np.zeros(2)])
    convnet = ConvNet(model, preprocess="unit")
    expected = np.zeros((4, 5))
    expected[1, 2] = 3
    np.testing.assert_allclose(vizlib.saliency(convnet, photo, class_index=1).values, expected)
    red, green, blue = convnet.input_tensor(photo)[1, 2]
    expected[1, 2] = red - 3 * green + 2 * blue
    found = vizlib.gradient_times_input(convnet, photo, class_index=1)
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    assert found.score == pytest.approx(expected[1, 2], abs=1e-6)


def test_without_biases_gradient_times_input_adds_up_to_the_score(photo):
    convnet = input_net("relu", bias=False)
    for index in range(3):
        found = vizlib.gradient_times_input(convnet, photo, class_index=index)
        assert abs(found.score) > 0.01
        assert found.values.sum() == pytest.approx(found.score, abs=1e-5)
        integrated = vizlib.integrated_gradients(convnet, photo, class_index=index, steps=3)
        np.testing.assert_allclose(integrated.values, found.values, atol=1e-6)


def test_colours_are_put_together_as_published():
    gradient = np.array([[[1.0, -4.0, 2.0]]])
    assert strongest_colour(gradient).tolist() == [[4]]
    assert summed_colours(gradient).tolist() == [[-1]]


# Integrated gradients.


@pytest.mark.parametrize("activation", ["tanh", "softplus"])
@pytest.mark.parametrize("baseline", ["black", "grey", "blurred"])
def test_integrated_gradients_add_up_to_the_difference(activation, baseline, photo):
    convnet = input_net(activation)
    start = baseline_tensor(convnet, photo, baseline)
    found = vizlib.integrated_gradients(convnet, photo, class_index=2, baseline=baseline)
    rise = found.score - convnet.tensor_scores(start[None])[0, 2]
    assert abs(rise) > 1e-3
    assert found.values.sum() == pytest.approx(rise, abs=2e-6)
    assert found.diagnosis is None


def test_baselines_are_pixels_of_the_photo_as_the_network_takes_it(photo):
    for kind, channels in (("functional", 3), ("grayscale", 1), ("non_square", 3)):
        convnet = nets.open_net(kind)
        tensor = convnet.input_tensor(photo)
        shown = {name: baseline_tensor(convnet, photo, name) for name in BASELINES}
        assert all(x.shape == (*convnet.input_size, channels) for x in shown.values())
        assert not shown["black"].any()
        np.testing.assert_allclose(shown["grey"], 0.5)
        blurred = shown["blurred"]
        assert blurred.mean() == pytest.approx(tensor.mean(), abs=0.02)
        assert 0 < blurred.std() < 0.8 * tensor.std()
    signed = ConvNet(nets.functional(), preprocess="tf")
    np.testing.assert_allclose(baseline_tensor(signed, photo, "black"), -1)
    np.testing.assert_allclose(baseline_tensor(signed, photo, "grey"), 0, atol=1e-6)


def test_each_baseline_is_its_own(photo):
    convnet = input_net("tanh")
    found = [
        vizlib.integrated_gradients(convnet, photo, class_index=0, baseline=baseline).values
        for baseline in ("black", "grey", "blurred")
    ]
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert np.abs(found[0] - found[2]).max() > 1e-3
    with pytest.raises(InvalidArgumentError, match=r"one of grey, black.*Received: 'pink'"):
        vizlib.integrated_gradients(convnet, photo, baseline="pink")


def test_integrated_gradients_equal_a_long_sum(photo):
    convnet = input_net("tanh")
    tensor = convnet.input_tensor(photo)
    middles = (np.arange(2000) + 0.5) / 2000
    stack = np.asarray(middles[:, None, None, None] * tensor, "float32")
    batch = tf.constant(stack)
    with tf.GradientTape() as tape:
        tape.watch(batch)
        score = tf.reduce_sum(convnet.model(batch)[:, 1])
    expected = (tensor * tape.gradient(score, batch).numpy().mean(axis=0)).sum(axis=2)
    found = vizlib.integrated_gradients(convnet, photo, class_index=1)
    np.testing.assert_allclose(found.values, expected, atol=1e-6)


def test_two_layers_of_preprocessing_count(photo):
    """Black is what the network receives for black pixels, not zero."""
    nets.seeded()
    image = nets.image_input()
    x = layers.Flatten()(nets.conv(2, "c1", activation=None)(image))
    convnet = ConvNet(keras.Model(image, layers.Dense(2, name="out")(x)), preprocess="tf")
    found = vizlib.integrated_gradients(convnet, photo, class_index=0)
    black = np.full((1, 16, 16, 3), -1, "float32")
    rise = found.score - convnet.tensor_scores(black)[0, 0]
    assert found.values.sum() == pytest.approx(rise, abs=1e-5)
    assert abs(convnet.scores(np.zeros_like(photo))[0] - (found.score - rise)) < 1e-5


def test_too_few_steps_are_told(photo):
    """A step that the one point in the middle does not see."""
    nets.seeded()
    image = nets.image_input()
    x = nets.conv(1, "c1", activation=lambda x: tf.sigmoid(60 * (x - 0.8)))(image)
    x = layers.Dense(2, name="out")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, x)
    model.get_layer("c1").set_weights([np.full((3, 3, 3, 1), 1 / 27), np.zeros(1)])
    model.get_layer("out").set_weights([np.array([[1.0, -1.0]]), np.zeros(2)])
    convnet = ConvNet(model, preprocess="unit")
    white = np.full((16, 16, 3), 255, "uint8")
    few = vizlib.integrated_gradients(convnet, white, class_index=0, steps=1)
    many = vizlib.integrated_gradients(convnet, white, class_index=0, steps=64)
    assert "Take more steps" in few.diagnosis
    assert many.diagnosis is None
    with pytest.raises(InvalidArgumentError, match="steps to be a whole number from 1 to 1000"):
        vizlib.integrated_gradients(convnet, white, steps=0)


@pytest.mark.parametrize(
    ("total", "rise", "told"),
    [
        *((1.0, 1.0, False), (0.95, 1, False), (0.8, 1, True), (-1, 1, True), (1.2, 1, True)),
        *((5e-4, 0, False), (0.1, 0, True), (1, np.nan, False), (-0.9, -1.2, True)),
    ],
)
def test_a_sum_that_misses_is_told(total, rise, told):
    assert bool(missed_sum(total, rise)) == told


# SmoothGrad.


def test_without_noise_smooth_grad_is_the_gradient(photo):
    convnet = input_net("relu")
    plain = vizlib.saliency(convnet, photo, class_index=1)
    smooth = vizlib.smooth_grad(convnet, photo, class_index=1, noise=0, samples=3)
    np.testing.assert_allclose(smooth.values, plain.values, atol=1e-7)


def test_smooth_grad_equals_single_gradients_of_noisy_copies(photo):
    convnet = input_net("relu")
    tensor = convnet.input_tensor(photo)
    spread = np.float32(0.2 * (tensor.max() - tensor.min()))
    gradients = []
    for pair, sign in ((0, 1), (0, -1), (1, 1), (1, -1), (2, 1)):
        noise = np.random.default_rng((5, pair)).standard_normal(tensor.shape, "float32")
        gradients.append(tensor_gradient(convnet, tensor + sign * spread * noise, 2))
    expected = np.abs(np.mean(gradients, axis=0)).max(axis=2)
    found = vizlib.smooth_grad(convnet, photo, class_index=2, samples=5, noise=0.2, seed=5)
    np.testing.assert_allclose(found.values, expected, atol=1e-6)


def test_pairs_of_copies_leave_no_noise_in_the_gradient_of_a_square(photo):
    """That of the sum of squares is 2x, linear: opposite noise drops out, single noise does not."""
    image = nets.image_input()
    squares = layers.Dense(1, use_bias=False, kernel_initializer="ones")(
        layers.Flatten()(layers.Activation(keras.ops.square)(image))
    )
    convnet = ConvNet(keras.Model(image, squares), preprocess="unit")
    exact = 2 * np.abs(convnet.input_tensor(photo)).max(axis=2)
    for samples, close in ((2, True), (3, False), (6, True)):
        found = vizlib.smooth_grad(convnet, photo, noise=0.5, samples=samples).values
        assert (np.abs(found - exact).max() < 1e-5) == close


def test_each_option_of_smooth_grad_counts(photo):
    convnet = input_net("relu")
    options = {"samples": 5, "noise": 0.3, "seed": 1}
    plain = vizlib.smooth_grad(convnet, photo, **options).values
    again = vizlib.smooth_grad(convnet, photo, **options).values
    assert plain.tobytes() == again.tobytes()
    for changed in ({"samples": 6}, {"noise": 0.31}, {"seed": 2}):
        other = vizlib.smooth_grad(convnet, photo, **options | changed).values
        assert np.abs(other - plain).max() > 1e-5
    for wrong in ({"samples": 0}, {"noise": -0.1}, {"noise": "much"}, {"seed": -1}):
        with pytest.raises(InvalidArgumentError, match=f"Expected {next(iter(wrong))}"):
            vizlib.smooth_grad(convnet, photo, **wrong)


class Told:
    """Takes progress down."""

    def __init__(self):
        self.calls = []

    def __call__(self, done, total):
        self.calls.append((done, total))


def test_weighted_gradient_does_not_depend_on_the_size_of_batches(photo):
    convnet = input_net("relu")
    tensor = convnet.input_tensor(photo)
    weights = np.array([0.5, -1.0, 2.0, 0.25, 1.5])
    single = [tensor_gradient(convnet, tensor / (i + 1), 0) for i in range(5)]
    expected = np.tensordot(weights, single, axes=1)
    for size in (1, 2, 5, 32):
        vars(convnet)["batch_size"] = size
        told = Told()
        found = weighted_gradient(convnet, 0, weights, lambda i: tensor / (i + 1), told)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert told.calls == [(min(i, 5), 5) for i in range(size, 5 + size, size)]


# Guided backpropagation.


@tf.custom_gradient
def guided_relu(x):
    """Springenberg et al., written down once more: back go positive numbers at open places."""
    return tf.maximum(x, 0), lambda g: tf.where((x > 0) & (g > 0), g, 0)


def last_part(x, relu, make=nets.conv):
    x = relu(make(4, "c1", activation=None)(x))
    x = relu(make(6, "c2", activation=None)(x))
    return layers.GlobalAveragePooling2D(name="gap")(x)


def guided_net(way: str) -> keras.Model:
    """The same network with its ReLUs in one of many ways."""
    nets.seeded()
    image = nets.image_input()
    if way == "argument":
        x = nets.conv(6, "c2", activation="relu")(nets.conv(4, "c1", activation="relu")(image))
        x = layers.GlobalAveragePooling2D(name="gap")(x)
    elif way == "nested":
        inner = keras.Input((nets.SIDE, nets.SIDE, 3))
        x = keras.Model(inner, last_part(inner, layers.ReLU()))(image)
    else:
        relu = {
            "layer": lambda x: layers.ReLU()(x),
            "capped layer": lambda x: layers.ReLU(6.0)(x),
            "activation layer": lambda x: layers.Activation("relu")(x),
            "function": lambda x: layers.Activation(tf.nn.relu)(x),
            "operation": keras.ops.relu,
            "capped operation": keras.ops.relu6,
            "twin": lambda x: layers.Activation(guided_relu)(x),
        }[way]
        x = last_part(image, relu)
    return keras.Model(image, layers.Dense(3, "softmax" if way != "twin" else None, name="out")(x))


class BareFunctions(keras.Model):
    """ReLUs and a softmax that Keras does not see."""

    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nets.conv(4, "c1", activation=None), nets.conv(6, "c2", activation=None)
        self.out = layers.Dense(3, name="out")

    def call(self, x):
        x = tf.nn.relu(self.c2(tf.nn.relu(self.c1(x))))
        return tf.nn.softmax(self.out(tf.reduce_mean(x, axis=(1, 2))))


def bare_functions() -> keras.Model:
    nets.seeded()
    model = BareFunctions()
    model(np.zeros((1, nets.SIDE, nets.SIDE, 3), "float32"))
    return model


WAYS = ["argument", "nested", "layer", "capped layer", "activation layer", "function"]


@pytest.mark.parametrize("way", [*WAYS, "operation", "capped operation", "bare functions"])
def test_every_relu_is_guided_however_it_is_written(way, photo):
    model = bare_functions() if way == "bare functions" else guided_net(way)
    twin = ConvNet(nets.randomize_biases(guided_net("twin")), preprocess="unit")
    model.set_weights(twin.model.get_weights())
    convnet = ConvNet(model, preprocess="unit")
    tensor = twin.input_tensor(photo)
    for index in range(3):
        expected = tensor_gradient(twin, tensor, index)
        guided = convnet.tensor_gradients(tensor[None], index, guided=True)[0]
        np.testing.assert_allclose(guided, expected, atol=1e-7)
        plain = convnet.tensor_gradients(tensor[None], index)[0]
        assert np.abs(plain - expected).max() > 0.05 * np.abs(expected).max()
        found = vizlib.guided_backprop(convnet, photo, class_index=index)
        np.testing.assert_allclose(found.values, np.abs(expected).max(axis=2), atol=1e-7)
        assert found.diagnosis is None


def test_guided_backpropagation_says_what_it_fails(photo):
    convnet = input_net("relu")
    assert "sanity checks of Adebayo" in vizlib.guided_backprop(convnet, photo).caveat
    assert vizlib.saliency(convnet, photo).caveat is None


def test_where_nothing_is_guided_it_is_told(photo):
    convnet = input_net("tanh")
    found = vizlib.guided_backprop(convnet, photo, class_index=1)
    np.testing.assert_allclose(
        found.values, vizlib.saliency(convnet, photo, class_index=1).values, rtol=1e-4
    )
    assert "has no ReLU" in found.diagnosis


def test_guiding_leaves_plain_gradients_alone(photo):
    convnet = input_net("relu")
    tensor = convnet.input_tensor(photo)
    before = convnet.tensor_gradients(np.stack([tensor] * 2), 0)
    convnet.tensor_gradients(tensor[None], 0, guided=True)
    np.testing.assert_array_equal(convnet.tensor_gradients(np.stack([tensor] * 2), 0), before)


def test_the_module_can_be_imported_anew():
    """TensorFlow refuses to take a gradient of one name twice; tools that reload do not care."""
    importlib.reload(input_gradients)


# Networks that pass no gradient.


@pytest.mark.parametrize(
    "method",
    list(ATTRIBUTIONS),
)
def test_a_network_without_gradient_says_so_and_what_works_instead(method, photo):
    convnet = nets.open_net("uint8_input")
    with pytest.raises(UnsupportedModelError, match=r"whole-number input.*still work: occlusion"):
        vizlib.HEATMAP_METHODS[method](convnet, photo)
