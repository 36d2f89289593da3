"""Numbers of maps, step by step: by hand, against TensorFlow's own layers, and in real models."""

import keras
import nets
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import vizlib
from vizlib import ConvNet, InvalidArgumentError, UnknownLayerError, Window
from vizlib.sliding import same_window

HEIGHT, WIDTH = 9, 12


def photo(height=HEIGHT, width=WIDTH, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype="uint8")


def net(*stack, size=(HEIGHT, WIDTH), seed=1):
    """A network of some layers, the last of which is called ``asked``."""
    nets.seeded(seed)
    image = x = keras.Input((*size, 3))
    for layer in stack:
        x = layer(x)
    return ConvNet(nets.randomize_biases(keras.Model(image, x)), "unit")


def every_place(outputs):
    return np.ndindex(outputs.shape)


# By hand.


def by_hand(layer, kernel, bias=None):
    convnet = net(layer, size=(3, 3))
    layer.set_weights([kernel] if bias is None else [kernel, np.asarray(bias)])
    return convnet


IMAGE = np.arange(27, dtype="uint8").reshape(3, 3, 3)
PIXELS = IMAGE / 255.0


def test_a_number_inside_is_patch_times_kernel_plus_bias():
    layer = layers.Conv2D(2, 2, name="asked")
    kernel = np.random.default_rng(1).normal(size=(2, 2, 3, 2))
    step = vizlib.convolution(by_hand(layer, kernel, [0.5, -3]), IMAGE, "asked").at(1, 1, 0)
    np.testing.assert_allclose(step.patch, PIXELS[1:3, 0:2], rtol=1e-6)
    np.testing.assert_allclose(step.kernel, kernel[..., 1], rtol=1e-6)
    products = PIXELS[1:3, 0:2] * kernel[..., 1]
    np.testing.assert_allclose(step.products, products, rtol=1e-5)
    np.testing.assert_allclose(step.contributions, products.sum(axis=(0, 1)), rtol=1e-5)
    assert step.bias == -3
    assert step.total == pytest.approx(products.sum() - 3, rel=1e-6)
    assert step.before == pytest.approx(step.total, rel=1e-6)
    assert step.box == (0, 1, 2, 3)
    assert list(step.rows) == [1, 2]
    assert list(step.columns) == [0, 1]
    assert not step.padding.any()


def test_over_the_edge_the_patch_is_zero_and_marked():
    layer = layers.Conv2D(1, 3, padding="same", name="asked")
    step = vizlib.convolution(by_hand(layer, np.ones((3, 3, 3, 1)), [0]), IMAGE, "asked").at(
        0, 0, 2
    )
    assert step.padding.tolist() == [[True] * 3, [False, False, True], [False, False, True]]
    assert (step.patch[step.padding] == 0).all()
    np.testing.assert_allclose(step.patch[1:, :2], PIXELS[:2, 1:], rtol=1e-6)
    assert step.total == pytest.approx(PIXELS[:2, 1:].sum(), rel=1e-6)
    assert step.box == (1, -1, 4, 2)


def test_an_even_kernel_pads_behind():
    layer = layers.Conv2D(1, 2, padding="same", name="asked")
    work = vizlib.convolution(by_hand(layer, np.ones((2, 2, 3, 1)), [0]), IMAGE, "asked")
    assert work.windows == (Window(2, 1, 1, 0), Window(2, 1, 1, 0))
    assert work.at(0, 2, 2).padding.tolist() == [[False, True], [True, True]]


def test_the_activation_comes_after_the_sum():
    layer = layers.Conv2D(1, 1, activation="relu6", name="asked")
    work = vizlib.convolution(by_hand(layer, -np.ones((1, 1, 3, 1)), [0.1]), IMAGE, "asked")
    step = work.at(0, 2, 2)
    assert work.activation == "relu6"
    assert step.before == pytest.approx(0.1 - PIXELS[2, 2].sum(), rel=1e-5)
    assert step.before < 0
    assert step.output == 0


def test_softmax_over_channels_is_named():
    convnet = net(layers.Conv2D(4, 1, activation="softmax", name="asked"))
    work = vizlib.convolution(convnet, photo(), "asked")
    assert work.activation == "softmax"
    step = work.at(2, 3, 4)
    shares = np.exp(work.before[3, 4]) / np.exp(work.before[3, 4]).sum()
    assert step.output == pytest.approx(shares[2], rel=1e-5)
    assert step.total == pytest.approx(step.before, rel=1e-5)


@pytest.mark.parametrize("activation", [None, "linear"])
def test_a_layer_without_activation_has_none(activation):
    convnet = net(layers.Conv2D(2, 3, activation=activation, name="asked"))
    work = vizlib.convolution(convnet, photo(), "asked")
    assert work.activation is None
    np.testing.assert_array_equal(work.before, work.outputs)


def test_without_bias_there_is_nothing_to_add():
    convnet = net(layers.Conv2D(2, 3, use_bias=False, name="asked"))
    step = vizlib.convolution(convnet, photo(), "asked").at(0, 0, 0)
    assert step.bias == 0
    assert step.before == pytest.approx(step.contributions.sum(), rel=1e-5)
    assert not vizlib.convolution(convnet, photo(), "asked").has_bias


@pytest.mark.parametrize("kind", [layers.Conv2D, layers.SeparableConv2D])
def test_a_bias_of_zero_is_a_bias(kind):
    layer = kind(2, 3, name="asked")
    convnet = net(layer)
    layer.set_weights([*layer.get_weights()[:-1], np.zeros(2)])
    work = vizlib.convolution(convnet, photo(), "asked")
    assert work.has_bias
    assert not work.bias.any()


def test_the_strongest_channels_come_first():
    layer = layers.Conv2D(1, 1, name="asked")
    kernel = np.array([0.1, -5, 2]).reshape(1, 1, 3, 1)
    image = np.full((3, 3, 3), 255, "uint8")
    step = vizlib.convolution(by_hand(layer, kernel, [0]), image, "asked").at(0, 0, 0)
    assert step.strongest(2) == [1, 2]
    assert step.strongest(9) == [1, 2, 0]


def test_the_largest_number_of_a_window_wins():
    convnet = net(layers.MaxPooling2D(2, name="asked"), size=(4, 4))
    image = np.zeros((4, 4, 3), "uint8")
    image[3, 0, 1] = 255
    work = vizlib.pooling(convnet, image, "asked")
    step = work.at(1, 1, 0)
    assert work.takes_maximum
    assert step.winner == (1, 0)
    assert step.patch.tolist() == [[0, 0], [1, 0]]
    assert (step.total, step.output) == (1, 1)
    assert work.at(0, 1, 0).winner == (0, 0)
    assert list(step.rows) == [2, 3]


def test_padding_never_wins_and_is_not_counted():
    """Negative numbers at the edge: zeros of a padding would be larger, and would shift a mean."""
    image = np.zeros((3, 3, 3), "uint8")
    down = layers.Rescaling(1, offset=-2)
    largest = net(down, layers.MaxPooling2D(2, padding="same", name="asked"), size=(3, 3))
    step = vizlib.pooling(largest, image, "asked").at(0, 1, 1)
    assert step.padding.tolist() == [[False, True], [True, True]]
    assert (step.total, step.output, step.winner) == (-2, -2, (0, 0))
    mean = net(down, layers.AveragePooling2D(2, padding="same", name="asked"), size=(3, 3))
    step = vizlib.pooling(mean, image, "asked").at(0, 1, 1)
    assert (step.total, step.output, step.winner) == (-2, -2, None)


# Against TensorFlow, at every place.

SIZES = [(9, 12), (8, 7)]
CONVOLUTIONS = {
    "plain": lambda: layers.Conv2D(3, 3, name="asked"),
    "same": lambda: layers.Conv2D(3, 3, padding="same", name="asked"),
    "same, even": lambda: layers.Conv2D(3, (2, 4), padding="same", name="asked"),
    "stride 2": lambda: layers.Conv2D(3, 3, strides=2, padding="same", name="asked"),
    "stride 3, valid": lambda: layers.Conv2D(3, 2, strides=3, name="asked"),
    "uneven strides": lambda: layers.Conv2D(2, 3, strides=(1, 3), padding="same", name="asked"),
    "stride past the kernel": lambda: layers.Conv2D(2, 1, strides=2, padding="same", name="asked"),
    "dilated": lambda: layers.Conv2D(3, 3, dilation_rate=2, padding="same", name="asked"),
    "dilated, valid": lambda: layers.Conv2D(3, 3, dilation_rate=(2, 3), name="asked"),
    "groups": lambda: layers.Conv2D(6, 3, groups=3, padding="same", name="asked"),
    "depthwise": lambda: layers.DepthwiseConv2D(3, padding="same", name="asked"),
    "depthwise, twice": lambda: layers.DepthwiseConv2D(
        3, strides=2, depth_multiplier=2, padding="same", name="asked"
    ),
    "depthwise, dilated": lambda: layers.DepthwiseConv2D(
        3, dilation_rate=2, padding="same", name="asked"
    ),
    "separable": lambda: layers.SeparableConv2D(4, 3, padding="same", name="asked"),
    "separable, twice": lambda: layers.SeparableConv2D(
        4, 3, strides=2, depth_multiplier=2, activation="relu", name="asked"
    ),
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_every_number_is_the_networks_own(kind, size):
    convnet, image = net(CONVOLUTIONS[kind](), size=size), photo(*size)
    work = vizlib.convolution(convnet, image, "asked")
    maps = vizlib.activations(convnet, image, ["asked"])["asked"]
    np.testing.assert_array_equal(work.outputs, maps)
    for row, column, channel in every_place(maps):
        step = work.at(channel, row, column)
        assert step.total == pytest.approx(work.before[row, column, channel], abs=1e-5)
        assert step.output == maps[row, column, channel]
        assert step.diagnosis is None


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("stride", [1, 2])
def test_sums_equal_the_convolution_of_tensorflow(padding, stride):
    """Not by way of the layer: kernel and input as they are given, by `tf.nn.conv2d`."""
    layer = layers.Conv2D(2, 3, strides=stride, padding=padding, use_bias=False, name="asked")
    convnet = net(layer)
    work = vizlib.convolution(convnet, photo(), "asked")
    expected = tf.nn.conv2d(
        convnet.input_tensor(photo())[None], work.kernel, stride, padding.upper()
    )[0].numpy()
    found = np.zeros_like(expected)
    for row, column, channel in every_place(expected):
        found[row, column, channel] = work.at(channel, row, column).total
    np.testing.assert_allclose(found, expected, atol=1e-5)


POOLINGS = {
    f"{kind.__name__} {size} by {stride}, {padding}": (kind, size, stride, padding)
    for kind in (layers.MaxPooling2D, layers.AveragePooling2D)
    for size, stride in [(2, 2), (3, 2), ((2, 3), (1, 3))]
    for padding in ("same", "valid")
}


@pytest.mark.parametrize("case", POOLINGS)
def test_every_pooled_number_is_the_networks_own(case):
    kind, size, stride, padding = POOLINGS[case]
    pool = kind(size, stride, padding=padding, name="asked")
    convnet = net(layers.Conv2D(2, 1), pool)
    work = vizlib.pooling(convnet, photo(), "asked")
    for row, column, channel in every_place(work.outputs):
        step = work.at(channel, row, column)
        assert step.total == pytest.approx(work.outputs[row, column, channel], abs=1e-6)
        if step.winner is not None:
            assert step.patch[step.winner] == step.total
            assert not step.padding[step.winner]


@pytest.mark.parametrize("kind", [layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D])
def test_global_pooling_is_one_window_over_everything(kind):
    convnet = net(layers.Conv2D(2, 1), kind(keepdims=True, name="asked"))
    step = vizlib.pooling(convnet, photo(), "asked").at(1, 0, 0)
    assert step.patch.shape == (HEIGHT, WIDTH)
    assert step.total == pytest.approx(step.output, abs=1e-6)


# Groups.


def test_a_channel_reads_its_group_only():
    convnet = net(layers.Conv2D(8, 1), layers.Conv2D(6, 3, groups=2, name="asked"))
    work = vizlib.convolution(convnet, photo(), "asked")
    assert work.groups == 2
    assert work.at(2, 0, 0).input_channels == range(4)
    step = work.at(3, 0, 0)
    assert step.input_channels == range(4, 8)
    np.testing.assert_array_equal(step.patch, work.inputs[:3, :3, 4:])


def test_a_depthwise_channel_reads_one_channel():
    convnet = net(layers.DepthwiseConv2D(3, depth_multiplier=2, name="asked"))
    work = vizlib.convolution(convnet, photo(), "asked")
    assert [work.at(channel, 0, 0).input_channels for channel in range(6)] == [
        range(c, c + 1) for c in (0, 0, 1, 1, 2, 2)
    ]


# In real models.


@pytest.mark.parametrize("kind", nets.KINDS)
def test_sums_hold_in_every_kind_of_model(kind, photo):
    convnet = nets.open_net(kind)
    found = vizlib.convolution_layers(convnet)
    maps = vizlib.activations(convnet, photo)
    assert {layer.kind for layer in found} == {"Conv2D"}
    for layer in found:
        work = vizlib.convolution(convnet, photo, layer.name)
        np.testing.assert_allclose(work.outputs, maps[layer.name], atol=1e-6)
        height, width, channels = layer.shape
        for place in [(0, 0, 0), (channels - 1, height - 1, width - 1), (1, height // 2, 0)]:
            step = work.at(*place)
            half = "mixed" in kind
            assert step.gap == pytest.approx(0, abs=5e-3 if half else 1e-5)
            assert step.diagnosis is None


def test_half_precision_is_computed_as_the_layer_computes(photo):
    """With weights in full precision the sums would be off by more than their rounding."""
    convnet = nets.open_net("mixed_precision_throughout")
    work = vizlib.convolution(convnet, photo, "c1")
    kernel = nets.inner(convnet.model, "c1").kernel.numpy()
    assert (work.kernel == kernel.astype("float16")).all()
    assert (work.kernel != kernel).any()


class Weighing(layers.Conv2D):
    """Not quite what its class says."""

    def call(self, inputs):
        return 2 * super().call(inputs)


def test_a_layer_that_does_something_else_is_told():
    work = vizlib.convolution(net(Weighing(2, 3, name="asked")), photo(), "asked")
    step = work.at(0, 3, 3)
    assert step.gap == pytest.approx(step.before - step.total)
    assert "'asked' computes something else" in step.diagnosis
    assert f"{step.total:.5g}" in step.diagnosis
    assert f"{step.before:.5g}" in step.diagnosis


def test_the_layers_that_can_be_asked():
    convnet = net(
        layers.ZeroPadding2D(),
        layers.Conv2D(4, 3, name="one"),
        layers.MaxPooling2D(name="pool"),
        layers.DepthwiseConv2D(3, name="two"),
        layers.ReLU(),
        layers.Conv2DTranspose(3, 3, name="up"),
        layers.GlobalAveragePooling2D(name="gap"),
    )
    assert [layer.name for layer in vizlib.convolution_layers(convnet)] == ["one", "two"]
    assert [layer.name for layer in vizlib.pooling_layers(convnet)] == ["pool"]


def test_the_model_is_left_as_it_was(photo):
    model = nets.batch_normalized()
    convnet = ConvNet(model, "unit")
    before, own = convnet.digest(), [dict(vars(layer)) for layer in model.layers]
    vizlib.convolution(convnet, photo, "c2").at(0, 0, 0)
    convnet.followers("c1")
    with pytest.raises(InvalidArgumentError):
        vizlib.pooling(convnet, photo, "c2")
    assert convnet.digest() == before
    assert [vars(layer).keys() for layer in model.layers] == [one.keys() for one in own]
    assert all("call" not in vars(layer) for layer in model.layers)


# What can be asked wrongly.


@pytest.mark.parametrize("place", [(3, 0, 0), (-1, 0, 0), (0, 7, 0), (0, 0, 10), (0, 0, -1)])
@pytest.mark.parametrize("ask", [vizlib.convolution, vizlib.pooling])
def test_a_place_outside_is_refused(ask, place):
    stack = [layers.Conv2D(3, 3, name="c"), layers.MaxPooling2D(1, name="p")]
    work = ask(net(*stack), photo(), "c" if ask is vizlib.convolution else "p")
    with pytest.raises(InvalidArgumentError, match="whole number from 0 to"):
        work.at(*place)


def test_other_layers_are_refused_with_those_that_can_be_asked():
    convnet = net(
        layers.Conv2D(3, 3, name="c"), layers.MaxPooling2D(name="p"), layers.ReLU(name="r")
    )
    with pytest.raises(InvalidArgumentError, match=r"Received: 'p', a MaxPooling2D.*has: c\."):
        vizlib.convolution(convnet, photo(), "p")
    with pytest.raises(InvalidArgumentError, match=r"Received: 'r', a ReLU.*has: p\."):
        vizlib.pooling(convnet, photo(), "r")
    with pytest.raises(UnknownLayerError):
        vizlib.convolution(convnet, photo(), "no such")


# Followers.


def test_followers_are_those_that_work_on_the_output(photo):
    convnet = nets.open_net("batch_normalized")
    assert [layer.name for layer in convnet.followers("c1")] == ["bn", "relu", "c2", "gap", "out"]
    convnet = nets.open_net("doubly_nested")
    names = [layer.name for layer in convnet.followers("outer/inner/c1")]
    assert names == ["outer/inner/pool", "outer/inner/c2", "outer/c3", "gap", "out"]
    convnet = nets.open_net("shared_layer")
    assert [layer.name for layer in convnet.followers("c2")] == ["c2:2", "gap", "out"]
    assert convnet.followers("c2:2")[0].kind == "GlobalAveragePooling2D"


def test_a_layer_beside_is_no_follower():
    nets.seeded()
    image = keras.Input((8, 8, 3))
    left, right = layers.Conv2D(2, 3, name="left")(image), layers.Conv2D(2, 3, name="right")(image)
    joined = layers.Add(name="join")([layers.ReLU(name="on_right")(right), left])
    convnet = ConvNet(keras.Model(image, joined), "unit")
    assert [layer.name for layer in convnet.followers("left")] == ["join"]
    assert [layer.name for layer in convnet.followers("right")] == ["on_right", "join"]


# Windows.


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 40),
    size=st.integers(1, 6),
    stride=st.integers(1, 5),
    dilation=st.integers(1, 3),
)
def test_same_windows_meet_every_number_within_their_reach(length, size, stride, dilation):
    places = -(-length // stride)
    window = same_window(Window(size, stride, dilation, 0), length, places)
    after = window.after(length, places)
    assert 0 <= after - window.before <= 1
    assert (length + window.before + after - window.reach) // stride + 1 == places
    taps = window.taps(np.arange(places))
    assert taps.shape == (places, size)
    assert taps.min() == -window.before
    assert taps.max() < length + after
    assert ((taps >= 0) & (taps < length)).any(axis=1).all() or dilation > 1
    np.testing.assert_array_equal(window.taps(places - 1), taps[-1])


@settings(max_examples=60, deadline=None)
@given(
    window=st.builds(
        Window, st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3)
    ),
    places=st.integers(1, 12),
    position=st.integers(0, 40),
)
def test_readers_are_the_places_that_take_a_number(window, places, position):
    taking = [place for place in range(places) if position in window.taps(place)]
    assert window.readers(position, places).tolist() == taking
