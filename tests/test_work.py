"""What a network computes for one image, counted by hand and by TensorFlow's own profiler."""

import json
import math

import keras
import pytest
import tensorflow as tf
from keras import layers as L

from vizlib import rebuild
from vizlib.budgets import MAX_ACTIVATION_ELEMENTS, MAX_MULTIPLICATIONS
from vizlib.errors import ModelLoadError
from vizlib.rebuild import measure, without_memory
from vizlib.vetting import vet
from vizlib.work import Call, held_between, multiplications

FIRST = {"data_format": "channels_first"}


def measured(model):
    return measure(vet(json.loads(model.to_json())))


def on(layer, shape=(8, 8, 3)):
    """What one layer takes of one image."""
    with without_memory():
        return measured(keras.Sequential([L.Input(shape), layer])).multiplications


# Kernels: places of the output, or of the input where the kernel is put down there.
KERNELS = {
    "conv": (lambda: L.Conv2D(4, 3), 6 * 6 * (9 * 3 * 4)),
    "conv, strided": (lambda: L.Conv2D(4, 3, strides=2, padding="same"), 4 * 4 * (9 * 3 * 4)),
    "conv, grouped": (lambda: L.Conv2D(6, 3, groups=3), 6 * 6 * (9 * 1 * 6)),
    "conv, dilated": (lambda: L.Conv2D(2, 3, dilation_rate=2), 4 * 4 * (9 * 3 * 2)),
    "conv, one place": (lambda: L.Conv2D(2, 8, strides=100), 1 * (64 * 3 * 2)),
    "conv, oblong": (lambda: L.Conv2D(2, (1, 5)), 8 * 4 * (5 * 3 * 2)),
    "depthwise": (lambda: L.DepthwiseConv2D(3, depth_multiplier=2), 6 * 6 * (9 * 3 * 2)),
    "separable": (lambda: L.SeparableConv2D(4, 3), 6 * 6 * (9 * 3 + 3 * 4)),
    "separable, deep": (
        lambda: L.SeparableConv2D(4, 3, depth_multiplier=2),
        6 * 6 * (9 * 3 * 2 + 6 * 4),
    ),
    "transposed": (lambda: L.Conv2DTranspose(2, 3, strides=4), 8 * 8 * (9 * 3 * 2)),
    "dense on maps": (lambda: L.Dense(5), 8 * 8 * (3 * 5)),
}


@pytest.mark.parametrize("case", KERNELS)
def test_kernels(case):
    make, expected = KERNELS[case]
    assert on(make()) == expected


def test_channels_in_front():
    assert on(L.Conv2D(4, 3, **FIRST), (3, 8, 8)) == 6 * 6 * (9 * 3 * 4)
    assert on(L.DepthwiseConv2D(3, **FIRST), (3, 8, 8)) == 6 * 6 * 27
    assert on(L.MaxPooling2D(100, 1, "same", **FIRST), (3, 8, 6)) == (8 * 6 * 3) * (8 * 6)
    assert on(L.AdaptiveMaxPooling2D(2, **FIRST), (3, 8, 8)) == 3 * (40 * 8 + 2 * 40)


def test_rows():
    assert on(L.Conv1D(4, 3, padding="causal"), (8, 3)) == 8 * (3 * 3 * 4)
    assert on(L.MaxPooling1D(), (8, 3)) == (4 * 3) * 2
    assert on(L.AveragePooling1D(4, strides=1), (8, 3)) == (5 * 3) * 4
    assert on(L.Dense(5), (8, 3)) == 8 * 3 * 5


POOLINGS = {
    "usual": (lambda: L.MaxPooling2D(), (4 * 4 * 3) * 4),
    "overlapping": (lambda: L.AveragePooling2D(3, 1, "same"), (8 * 8 * 3) * 9),
    "larger than the maps": (lambda: L.MaxPooling2D(100, 1, "same"), (8 * 8 * 3) * 64),
    "global": (lambda: L.GlobalAveragePooling2D(), 8 * 8 * 3),
    # Two windows of 4 and 5 at 5 and 4 places make 40 for each column, then again for each row.
    "adaptive": (lambda: L.AdaptiveAveragePooling2D(2), 3 * (40 * 8 + 2 * 40)),
    # Of 2 and 3 at 7 and 6 places across.
    "adaptive, oblong": (lambda: L.AdaptiveMaxPooling2D((2, 4)), 3 * (40 * 8 + 2 * 32)),
    "adaptive, one": (lambda: L.AdaptiveMaxPooling2D(1), 3 * (8 * 8 + 1 * 8)),
}


@pytest.mark.parametrize("case", POOLINGS)
def test_windows(case):
    make, expected = POOLINGS[case]
    assert on(make()) == expected


RESIZINGS = {
    # Rows of the output on columns of the input, then both of the output, by 2 or 3 neighbours.
    "usual": (lambda: L.Resizing(5, 6), 3 * (5 * 8 * 3 + 5 * 6 * 3)),
    "up": (lambda: L.UpSampling2D(2), 3 * (16 * 8 * 3 + 16 * 16 * 3)),
    "lanczos": (
        lambda: L.Resizing(4, 4, interpolation="lanczos5"),
        3 * (4 * 8 * 11 + 4 * 4 * 11),
    ),
    # Eight to two: every one of them sees four times as far.
    "antialiased": (lambda: L.Resizing(2, 2, antialias=True), 3 * (2 * 8 * 9 + 2 * 2 * 9)),
    "area": (lambda: L.Resizing(2, 2, interpolation="area"), 3 * (2 * 8 * 9 + 2 * 2 * 9)),
    # Eight by eight becomes 32 by 8, as high as two columns of eight rows ask for.
    "padded": (
        lambda: L.Resizing(8, 2, pad_to_aspect_ratio=True),
        3 * (8 * 8 * 3 + 8 * 2 * 3),
    ),
}


@pytest.mark.parametrize("case", RESIZINGS)
def test_resizing(case):
    make, expected = RESIZINGS[case]
    assert on(make()) == expected


def test_what_resizing_holds_between():
    def held(**options):
        return held_between(Call("Resizing", [(1, 8, 9, 3)], [(1, 6, 2, 3)], options))

    assert held() == 6 * 9 * 3
    assert held(pad_to_aspect_ratio=True) == 27 * 9 * 3
    assert held_between(Call("ReLU", [(1, 8, 9, 3)], [(1, 8, 9, 3)])) == 0


def test_what_is_held_between_counts_as_the_largest():
    with without_memory():
        layers = [L.Input((8, 8, 3)), L.Resizing(8, 2, pad_to_aspect_ratio=True)]
        found = measured(keras.Sequential(layers))
    assert found.largest == 32 * 8 * 3


def test_other_layers_read_or_write_their_numbers_once():
    assert on(L.BatchNormalization()) == on(L.ReLU()) == on(L.Flatten()) == 8 * 8 * 3
    assert on(L.ZeroPadding2D(1)) == 10 * 10 * 3
    assert on(L.Cropping2D(1)) == 8 * 8 * 3


def of(make, *shapes):
    with without_memory():
        inputs = [L.Input(shape) for shape in shapes]
        return measured(keras.Model(inputs, make(*inputs))).multiplications


MERGES = {
    "add": (lambda a, b: L.Add()([a, b, a]), [(4, 1), (1, 5)], 3 * 20),
    "concatenate": (lambda a, b: L.Concatenate()([a, b]), [(4, 1), (4, 2)], 12),
    "dot": (lambda a, b: L.Dot(axes=2)([a, b]), [(4, 7), (5, 7)], 4 * 5 * 7),
    "dot, other axes": (lambda a, b: L.Dot(axes=(1, 2))([a, b]), [(7, 4), (5, 7)], 4 * 5 * 7),
    "dot of vectors": (lambda a, b: L.Dot(axes=1)([a, b]), [(7,), (7,)], 7),
    "matmul": (keras.ops.matmul, [(4, 7), (7, 5)], 4 * 7 * 5),
    "matmul of a stack": (keras.ops.matmul, [(3, 4, 7), (3, 7, 5)], 3 * 4 * 7 * 5),
    "broadcast": (lambda a, b: a * b, [(4, 1), (1, 5)], 20),
    "mean": (lambda a, b: keras.ops.mean(a, axis=1), [(4, 7), (1,)], 28),
    "resize": (
        lambda a, b: keras.ops.image.resize(a, (2, 2), antialias=True),
        [(8, 8, 3), (1,)],
        3 * (2 * 8 * 9 + 2 * 2 * 9),
    ),
}


@pytest.mark.parametrize("case", MERGES)
def test_several_inputs_and_operations(case):
    make, shapes, expected = MERGES[case]
    assert of(make, *shapes) == expected


@pytest.mark.parametrize(("axes", "looked_at"), [(None, 20), (1, 20)])
def test_attention(axes, looked_at):
    image = L.Input((4, 5, 3))
    rows = L.Reshape((20, 3))(image)
    made = L.MultiHeadAttention(2, 4, value_dim=5, attention_axes=axes)(rows, rows)
    projected = 20 * (3 * 8 + 3 * 8 + 3 * 10 + 10 * 3)
    looking = 2 * 20 * looked_at * (4 + 5)
    found = measured(keras.Model(image, made))
    assert found.multiplications == 60 + projected + looking
    assert found.largest == 2 * 20 * looked_at


def test_attention_along_one_axis_of_maps():
    image = L.Input((4, 5, 3))
    made = L.MultiHeadAttention(1, 2, attention_axes=2)(image, image)
    found = measured(keras.Model(image, made))
    assert found.multiplications == 20 * 4 * (3 * 2) + 4 * 5 * 5 * (2 + 2)


def test_a_layer_counts_every_time_it_is_called():
    conv = L.Conv2D(3, 3, padding="same")
    inner = keras.Sequential([L.Input((8, 8, 3)), conv])
    once = 8 * 8 * 81
    assert of(lambda x: conv(conv(conv(x))), (8, 8, 3)) == 3 * once
    assert of(lambda x: inner(inner(x)), (8, 8, 3)) == 2 * once


def test_the_numbers_that_a_reshape_moves_to_the_axis_of_the_images_count():
    def tall(x):
        return L.RepeatVector(10)(keras.ops.reshape(x, (-1, 1)))

    with without_memory():
        inputs = L.Input((8, 8, 3))
        found = measured(keras.Model(inputs, tall(inputs)))
    assert found.largest == 8 * 8 * 3 * 10


# TensorFlow's own count of the operations that a network becomes.

OF_KERNELS = ["Conv2D", "DepthwiseConv2dNative", "MatMul"]
OF_WINDOWS = ["MaxPool", "AvgPool"]


def profiled(model, kinds):
    """Multiplications of the given kinds of operations, or comparisons of windows."""
    shape = (1, *model.input_shape[1:])
    call = tf.function(lambda x: model(x, training=False))
    graph = call.get_concrete_function(tf.TensorSpec(shape, tf.float32)).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options = {**options, "output": "none", "account_type_regexes": [f"^{one}$" for one in kinds]}
    with graph.as_default():
        found = tf.compat.v1.profiler.profile(graph, cmd="op", options=options)
    return sum(one.total_float_ops for one in found.children if one.name in kinds)


def called(model, monkeypatch):
    calls = []
    monkeypatch.setattr(rebuild, "multiplications", lambda call: calls.append(call) or 0)
    measured(model)
    return calls


def of_many_kinds():
    layers = [L.Conv2D(6, 5, strides=2), L.SeparableConv2D(7, 3, depth_multiplier=2)]
    layers += [L.MaxPooling2D(3, 2), L.DepthwiseConv2D(3, padding="same"), L.AveragePooling2D(2)]
    return keras.Sequential([L.Input((40, 33, 3)), *layers, L.Flatten(), L.Dense(9), L.Dense(2)])


def small_mobilenet():
    return keras.applications.MobileNet(weights=None, alpha=0.25, input_shape=(224, 224, 3))


@pytest.mark.parametrize("make", [of_many_kinds, small_mobilenet])
def test_tensorflow_counts_the_same(make, monkeypatch):
    model = make()
    calls = called(model, monkeypatch)
    kernels = sum(multiplications(call) for call in calls if call.kernels)
    windows = sum(multiplications(call) for call in calls if call.kind[-9:] == "Pooling2D")
    assert 2 * kernels == profiled(model, OF_KERNELS)  # it counts additions too
    if make is of_many_kinds:
        assert windows == profiled(model, OF_WINDOWS) > 0


@pytest.mark.parametrize(
    ("name", "published"),
    # A. Howard et al., MobileNets, 2017; K. He et al., Deep Residual Learning, 2015, section 4.1.
    [("MobileNet", 569e6), ("VGG16", 15.3e9)],
)
def test_published_counts(name, published):
    with without_memory():
        found = measured(getattr(keras.applications, name)(weights=None)).multiplications
    assert published * 0.99 < found < published * 1.04  # numbers read by other layers come in


# The budget.


def test_more_than_the_budget_is_refused_with_its_numbers():
    convs = [L.Conv2D(512, 3, padding="same", name=f"conv_{k}") for k in range(4)]
    with without_memory():
        model = keras.Sequential([L.Input((256, 256, 512)), *convs])
    each = 256 * 256 * 9 * 512 * 512
    assert each < MAX_MULTIPLICATIONS < 2 * each
    with pytest.raises(ModelLoadError) as caught:
        measured(model)
    assert str(caught.value) == (
        "Expected at most 250,000,000,000 multiplications for one image. "
        f"Received {2 * each:,} up to conv_1. Use a smaller network or a smaller input."
    )


def test_what_a_layer_would_hold_is_refused_where_it_is():
    with without_memory():
        layer = L.Resizing(4096, 1, pad_to_aspect_ratio=True, name="tall")
        model = keras.Sequential([L.Input((1000, 1000, 1)), layer])
    assert math.prod((1000 * 4096, 1000)) > MAX_ACTIVATION_ELEMENTS
    with pytest.raises(ModelLoadError, match=r"64,000,000 numbers.*4,096,000,000 inside tall\."):
        measured(model)
