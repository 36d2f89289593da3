"""Receptive fields against brute force, hand-computed and published ones."""

import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

import vizlib
from tests import nets
from vizlib import ConvNet, receptive_field
from vizlib.pointing import Box

SHAPE = (11, 14, 2)


def network(build, shape=SHAPE) -> ConvNet:
    """A network of positive weights whose last maps are called ``out``.

    Nothing cancels, so that every pixel that a place can depend on makes a difference to it.
    """
    nets.seeded()
    image = keras.Input((*shape[:2], 1))
    x = layers.Concatenate()([image] * shape[2])
    x = layers.Activation("linear", name="out")(build(x))
    model = keras.Model(image, x)
    for weight in model.trainable_weights:
        weight.assign(np.abs(weight.numpy()) + (0 if weight.name == "bias" else 0.1))
    return ConvNet(model)


def brute_force(convnet: ConvNet, layer: str, channel: int | None = None) -> np.ndarray:
    """Change one pixel after the other and see which places change: bool ``(h, w, H, W)``."""
    height, width = convnet.input_size
    photos = np.eye(height * width, dtype="float32").reshape(-1, height, width, 1)
    photos = np.concatenate([np.zeros((1, height, width, 1), "float32"), photos])
    photos = np.repeat(photos, convnet.input_channels, axis=-1)
    maps = convnet.layer_output(tf.constant(photos), layer).numpy()
    changed = maps[1:] != maps[:1]
    changed = changed.any(-1) if channel is None else changed[..., channel]
    return np.moveaxis(changed, 0, -1).reshape(*changed.shape[1:], height, width)


def around(seen: np.ndarray) -> Box:
    if not seen.any():
        return Box(0, 0, 0, 0)
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return Box(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


def check(convnet: ConvNet, layer: str = "out", channel: int | None = None) -> None:
    seen = brute_force(convnet, layer, channel)
    field = receptive_field(convnet, layer, channel=channel)
    assert field.map_size == seen.shape[:2]
    for y, x in np.ndindex(*seen.shape[:2]):
        assert field.box(y, x) == around(seen[y, x]), (y, x)


def conv(filters=2, size=3, **options):
    return layers.Conv2D(filters, size, **options)


def squeeze_excite(x):
    x = conv()(x) + 1.0
    factor = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return x * layers.Dense(2)(factor)


def inception(x):
    wide = conv(2, 5, padding="same")(x)
    pooled = layers.MaxPooling2D(3, 1, padding="same")(x)
    return layers.Concatenate()([conv(2, 1)(x), wide, conv(1, 1)(pooled)])


def residual(x):
    return layers.Add()([x, conv(2, 3, padding="same")(conv(2, 3, padding="same")(x))])


def shuffled_channels(x):
    x = conv(4)(x)
    x = layers.Reshape((*x.shape[1:3], 2, 2))(x)
    x = layers.Permute((1, 2, 4, 3))(x)
    return layers.Reshape((*x.shape[1:3], 4))(x)


def attention(x):
    tokens = layers.Reshape((-1, 2))(conv(2, 3, strides=3)(x))
    tokens = layers.MultiHeadAttention(1, 2)(tokens, tokens)
    return layers.Reshape((3, 4, 2))(tokens)


BUILDS = {
    "convolution": lambda x: conv()(x),
    "one row high": lambda x: conv(2, (1, 4))(x),
    "same": lambda x: conv(2, (2, 4), padding="same")(x),
    "stride": lambda x: conv(2, 3, strides=(2, 3))(x),
    "stride, same": lambda x: conv(2, 3, strides=2, padding="same")(conv(2, 3)(x)),
    "dilation": lambda x: conv(2, 3, dilation_rate=(2, 3))(x),
    "dilation, same": lambda x: conv(2, 3, dilation_rate=2, padding="same")(x),
    "pooling": lambda x: layers.MaxPooling2D(2)(conv()(x)),
    "pooling, overlapping": lambda x: layers.MaxPooling2D(3, 2, padding="same")(x),
    "average pooling": lambda x: layers.AveragePooling2D(3, 2, padding="same")(x),
    "padded by hand": lambda x: conv()(layers.ZeroPadding2D(((1, 0), (3, 2)))(x)),
    "mirrored": lambda x: conv(2, 5)(ops.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), "reflect")),
    "cropped, then padded": lambda x: conv(2, 3, padding="same")(
        layers.Cropping2D(((2, 1), (3, 0)))(x)
    ),
    "upsampling": lambda x: conv(2, 3, padding="same")(layers.UpSampling2D((2, 3))(x)),
    "bilinear": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(x),
    "resizing": lambda x: layers.Resizing(7, 19, interpolation="nearest")(x),
    "transposed": lambda x: layers.Conv2DTranspose(2, 3, strides=2)(conv()(x)),
    "transposed, same": lambda x: layers.Conv2DTranspose(2, 4, strides=2, padding="same")(x),
    "transposed, with holes": lambda x: layers.Conv2DTranspose(2, 2, strides=3)(conv(2, 5)(x)),
    "depthwise": lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2)(x),
    "depthwise, dilated": lambda x: layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")(x),
    "depthwise, dilated, valid": lambda x: layers.DepthwiseConv2D(3, dilation_rate=3)(x),
    "separable": lambda x: layers.SeparableConv2D(3, 3, strides=2, padding="same")(x),
    "separable, dilated": lambda x: layers.SeparableConv2D(3, 3, dilation_rate=2)(x),
    "groups": lambda x: conv(4, 3, groups=2)(x),
    "residual": residual,
    "inception": inception,
    "squeeze and excite": squeeze_excite,
    "global pooling of a part": lambda x: layers.GlobalMaxPooling2D(keepdims=True)(x[:, 2:9, :-3]),
    "dense on maps": lambda x: layers.Dense(3)(conv(2, 3, padding="same")(x)),
    "dense on all": lambda x: layers.Reshape((3, 4, 1))(layers.Dense(12)(layers.Flatten()(x))),
    "attention": attention,
    "layer normalization": lambda x: layers.LayerNormalization()(conv()(x) + 0.3),
    "shuffled channels": shuffled_channels,
    "height for width": lambda x: layers.Permute((2, 1, 3))(conv(2, (1, 3))(x)),
    "slices": lambda x: x[:, 1::2, ::-1] + ops.ones((1, 14, 1)),
    "every other and its neighbour": lambda x: ops.concatenate([x[:, ::2], x[:, 1::2]], axis=1),
    "rolled": lambda x: ops.roll(conv()(x), 2, axis=2),
    "flipped": lambda x: ops.flip(conv()(x), axis=1),
    "stacked rows": lambda x: ops.stack([x[:, 2], x[:, 7]], axis=1),
    "unstacked": lambda x: ops.stack(ops.unstack(x, axis=2)[3:6], axis=2),
    "cut out": layers.Lambda(lambda t: tf.slice(t, (0, 2, 5, 0), (-1, 4, 6, 2))),
    "softmax over channels": lambda x: ops.softmax(conv(3)(x) * np.arange(3.0)),
    "split": lambda x: ops.add(*ops.split(x, [7], axis=2)),
    "gathered": layers.Lambda(lambda t: tf.gather(t, [3, 0, 7], axis=1)),
    "a mean of columns": lambda x: conv()(x) + ops.mean(conv()(x), axis=1, keepdims=True),
    "product of matrices": lambda x: ops.matmul(x, ops.ones((1, 1, 2, 3))),
    "einsum": lambda x: ops.einsum("bhwc,wv->bhvc", x, ops.ones((14, 5))),
}


@pytest.mark.parametrize("name", BUILDS)
def test_boxes_are_what_brute_force_finds(name):
    check(network(BUILDS[name]))


@pytest.mark.parametrize("channel", [0, 3, 4])
def test_a_channel_of_a_branch_sees_what_its_branch_sees(channel):
    convnet = network(inception)
    check(convnet, channel=channel)
    sizes = {0: (1, 1), 3: (5, 5), 4: (3, 3)}
    assert receptive_field(convnet, "out", channel=channel).size == sizes[channel]


@pytest.mark.parametrize("channel", range(4))
def test_channels_of_groups_are_kept_apart(channel):
    """The second half of the channels sees three columns further than the first."""

    def build(x):
        x = layers.Concatenate()([x, ops.roll(x, -3, axis=2)])
        return layers.DepthwiseConv2D(1)(conv(4, 3, groups=2)(x))

    check(network(build), channel=channel)


# A stack of any of these, with branches, at any size.
STEPS = {
    "conv": lambda x, n: conv(2, n, padding="same")(x),
    "stride": lambda x, n: conv(2, 3, strides=n, padding="same")(x),
    "valid": lambda x, n: conv(2, n)(x),
    "dilated": lambda x, n: conv(2, 2, dilation_rate=n, padding="same")(x),
    "pool": lambda x, n: layers.MaxPooling2D(2, n, padding="same")(x),
    "up": lambda x, n: layers.UpSampling2D(n)(x),
    "transposed": lambda x, n: layers.Conv2DTranspose(2, 2, strides=n, padding="same")(x),
    "pad": lambda x, n: layers.ZeroPadding2D(((n, 0), (0, n)))(x),
    "crop": lambda x, n: layers.Cropping2D(((0, 1), (1, 0)))(x),
    "residual": lambda x, n: residual(x),
    "joined": lambda x, n: layers.Concatenate()([conv(1, n, padding="same")(x), x])[..., -2:],
}


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(1, 3)), max_size=5),
    height=st.integers(8, 11),
    width=st.integers(8, 11),
)
def test_boxes_of_any_stack_are_what_brute_force_finds(steps, height, width):
    def build(x):
        for name, n in steps:
            if min(x.shape[1:3]) > 4 and max(x.shape[1:3]) < 20:
                x = STEPS[name](x, n)
        return x

    check(network(build, (height, width, 2)))


UNALTERED = {"augmented", "channels_first", "uint8_input", "batch_normalized"}


@pytest.mark.parametrize("kind", sorted(nets.KINDS.keys() - UNALTERED))
def test_every_kind_of_model_is_followed(kind):
    """The same 3x3 convolution, 2x2 pooling and 3x3 convolution, however it was written."""
    convnet = nets.open_net(kind)
    name = next(i.name for i in convnet.layers if i.name.endswith("c1"))
    field = receptive_field(convnet, name)
    assert (field.size, field.stride, field.offset) == ((3, 3), (1, 1), (-1, -1))
    assert field.diagnosis is None
    if kind not in {"shared_layer", "subclassed_raw_softmax"}:
        name = next(i.name for i in convnet.layers if i.name.endswith("c2"))
        field = receptive_field(convnet, name)
        assert (field.size, field.stride, field.offset) == ((8, 8), (2, 2), (-3, -3))
        assert field.centre == (1, 1)


def test_the_second_call_of_a_shared_layer_sees_more():
    convnet = nets.open_net("shared_layer")
    sizes = [receptive_field(convnet, name).size for name in ("c1", "c2", "c2:2")]
    assert sizes == [(3, 3), (5, 5), (7, 7)]


# By hand: 3x3 "same" at stride 2 on 11 rows pads one above and one below, on 14 columns none to
# the left and one to the right.


def test_a_box_by_hand():
    convnet = network(lambda x: conv(2, 3, strides=2, padding="same")(x))
    field = receptive_field(convnet, "out")
    assert field.image_size == (11, 14)
    assert field.map_size == (6, 7)
    assert (field.size, field.stride, field.offset) == ((3, 3), (2, 2), (-1, 0))
    assert field.centre == (0.5, 1.5)
    assert field.box(0, 0) == Box(left=0, top=0, right=3, bottom=2)
    assert field.box(0, 0, clipped=False) == Box(left=0, top=-1, right=3, bottom=2)
    assert field.box(5, 6) == Box(left=12, top=9, right=14, bottom=11)
    assert field.box(5, 6, clipped=False) == Box(left=12, top=9, right=15, bottom=12)


def test_upsampling_gives_half_a_pixel_of_stride():
    convnet = network(lambda x: layers.UpSampling2D(2)(x))
    assert receptive_field(convnet, "out").stride == (0.5, 0.5)


def test_what_was_cropped_is_not_seen():
    """Two rows of padding over three rows cut off: the first place sees the fourth row alone."""
    convnet = network(lambda x: conv(2, (3, 1))(layers.ZeroPadding2D((2, 0))(x[:, 3:])))
    field = receptive_field(convnet, "out")
    assert field.box(0, 0) == Box(left=0, top=3, right=1, bottom=4)
    assert field.box(0, 0, clipped=False) == Box(left=0, top=1, right=1, bottom=4)


def test_a_place_in_the_padding_sees_nothing():
    convnet = network(lambda x: layers.ZeroPadding2D(2)(x))
    assert receptive_field(convnet, "out").box(0, 5).area == 0


# Published: https://github.com/google-research/receptive_field, the table that goes with the
# article of Araujo et al.: size, stride and padding. What ResNet pads differs in TF-Slim.
PUBLISHED = [
    ("VGG16", "block1_conv1", 3, 1, 1),
    ("VGG16", "block3_conv2", 32, 4, 14),
    ("VGG16", "block5_conv1", 132, 16, 58),
    ("VGG16", "block5_conv3", 196, 16, 90),
    ("VGG16", "block5_pool", 212, 32, 90),
    ("ResNet50", "conv5_block3_out", 483, 32, None),
    ("MobileNet", "conv_pw_13_relu", 315, 32, 126),
    ("InceptionV3", "mixed10", 1311, 32, 618),
]


@pytest.fixture(scope="module")
def published():
    opened = {}

    def of(name: str) -> ConvNet:
        if name not in opened:
            network = getattr(keras.applications, name)
            opened[name] = ConvNet(network(weights=None, include_top=False, input_shape=PIXELS))
        return opened[name]

    return of


PIXELS = (224, 224, 3)


@pytest.mark.parametrize(("name", "layer", "size", "stride", "padding"), PUBLISHED)
def test_published_values(published, name, layer, size, stride, padding):
    field = receptive_field(published(name), layer)
    assert field.size == (size, size)
    assert field.stride == (stride, stride)
    assert padding is None or field.offset == (-padding, -padding)


# What is not known exactly, and what cannot be asked.


def test_a_layer_that_looks_at_everything_says_so():
    field = receptive_field(network(squeeze_excite), "out")
    assert field.size == field.image_size
    assert field.stride == (0, 0)
    assert "sees the whole image" in field.diagnosis


def test_a_layer_that_merely_sees_far_does_not_say_so():
    field = receptive_field(network(lambda x: conv(2, 31, padding="same")(x)), "out")
    assert field.size == (31, 31)
    assert field.diagnosis is None


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (lambda x: ops.cumsum(conv()(x), axis=1), "Cumsum"),
        (lambda x: layers.Resizing(5, 5, interpolation="lanczos3")(x), "ScaleAndTranslate"),
    ],
)
def test_an_operation_that_is_not_known_gives_the_whole_image(build, kind):
    convnet = network(build)
    field = receptive_field(convnet, "out")
    assert field.box(0, 0) == Box(0, 0, 14, 11)
    assert "not known exactly" in field.diagnosis
    assert kind in field.diagnosis


def own_code(x):
    """Python inside the graph, of which TensorFlow knows not even the shape of what it gives."""

    def run(t):
        given = tf.py_function(lambda a: a[:, ::-1], [t], tf.float32)
        return tf.ensure_shape(given + 1.0, t.shape)

    return layers.Lambda(run, output_shape=x.shape[1:])(x)


def one_of_two(x):
    def run(t):
        return tf.cond(tf.reduce_sum(t) > 1, lambda: tf.roll(t, 1, 1), lambda: t)

    return layers.Lambda(run, output_shape=x.shape[1:])(x)


@pytest.mark.parametrize("build", [own_code, one_of_two])
def test_code_that_cannot_be_followed_gives_the_whole_image(build):
    convnet = network(lambda x: conv(2, 3, strides=2)(build(conv()(x))))
    field = receptive_field(convnet, "out")
    assert {field.box(y, x) for y in range(4) for x in range(5)} == {Box(0, 0, 14, 11)}
    assert field.size == (11, 14)
    assert "not known exactly" in field.diagnosis


def test_a_layer_beside_the_photo_is_refused():
    image, other = keras.Input((8, 8, 3)), keras.Input((8, 8, 3), name="other")
    beside = conv(2, 3, name="beside")(other)
    convnet = ConvNet(keras.Model([image, other], [conv(2, 3)(image), beside]))
    with pytest.raises(vizlib.InvalidArgumentError, match=r"depends on the photo.*'beside'"):
        receptive_field(convnet, "beside")


@pytest.mark.parametrize("channel", [-1, 2, 1.5])
def test_an_unknown_channel_is_refused(channel):
    with pytest.raises(vizlib.InvalidArgumentError, match="channel"):
        receptive_field(network(BUILDS["convolution"]), "out", channel=channel)


@pytest.mark.parametrize(("y", "x"), [(9, 0), (0, 12), (-1, 0)])
def test_a_place_outside_the_maps_is_refused(y, x):
    with pytest.raises(vizlib.InvalidArgumentError, match="whole number from 0 to"):
        receptive_field(network(BUILDS["convolution"]), "out").box(y, x)


def test_the_answer_can_be_kept():
    """Without the network: a page caches it."""
    found = receptive_field(network(BUILDS["stride"]), "out")
    again = pickle.loads(pickle.dumps(found))
    assert again.box(1, 2) == found.box(1, 2)
    assert again.box(1, 2, clipped=False) == found.box(1, 2, clipped=False)
    assert repr(again) == repr(found)


def test_the_model_is_left_as_it_was():
    convnet = nets.open_net("nested")
    before = [weight.numpy().tobytes() for weight in convnet.model.weights]
    called = [vars(layer).get("call") for layer in convnet.model._flatten_layers()]
    receptive_field(convnet, "c2")
    assert [weight.numpy().tobytes() for weight in convnet.model.weights] == before
    assert [vars(layer).get("call") for layer in convnet.model._flatten_layers()] == called
