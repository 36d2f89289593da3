"""Tiny Keras models of every kind that people bring, with fixed weights.

Each function builds a fresh model. The first convolution is ``c1``, the last one ``c2``, the head
``out``, wherever the kind allows it, so that tests can ask the same of all.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from vizlib import ConvNet

SIDE = 16


def seeded(seed: int = 1) -> None:
    """Fix the weights of what is built next, biases included."""
    keras.utils.set_random_seed(seed)


def randomize_biases(model: keras.Model, seed: int = 3) -> keras.Model:
    """Give every bias a small random value, so that tests do not pass for zero biases only."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name == "bias":
            weight.assign(rng.normal(0, 0.1, weight.shape))
    return model


def conv(filters: int, name: str, **options) -> layers.Conv2D:
    return layers.Conv2D(
        filters, 3, **{"padding": "same", "activation": "relu", "name": name} | options
    )


def body(x, **options):
    """Maps of 8x8x6 from an image."""
    x = conv(4, "c1", **options)(x)
    x = layers.MaxPooling2D(name="pool", **_only(options, "dtype", "data_format"))(x)
    return conv(6, "c2", **options)(x)


def _only(options: dict, *names: str) -> dict:
    return {name: options[name] for name in names if name in options}


def head(x, units: int = 3, activation: str | Callable | None = "softmax", **options):
    x = layers.GlobalAveragePooling2D(name="gap", **_only(options, "dtype", "data_format"))(x)
    return layers.Dense(units, activation, name="out", **_only(options, "dtype"))(x)


def image_input(*shape: int | None, **options):
    return keras.Input(shape or (SIDE, SIDE, 3), name="image", **options)


def functional(units: int = 3, activation: str | Callable | None = "softmax") -> keras.Model:
    seeded()
    image = image_input()
    model = keras.Model(image, head(body(image), units, activation), name="functional")
    return randomize_biases(model)


def flatten_net(activation: str | None = None) -> keras.Model:
    """Flatten and Dense after the maps: the weight of a place depends on the place."""
    seeded()
    image = image_input()
    x = layers.Flatten(name="flat")(body(image))
    return randomize_biases(keras.Model(image, layers.Dense(3, activation, name="out")(x)))


def sequential_layers() -> list[layers.Layer]:
    return [
        conv(4, "c1"),
        layers.MaxPooling2D(name="pool"),
        conv(6, "c2"),
        layers.GlobalAveragePooling2D(name="gap"),
        layers.Dense(3, "softmax", name="out"),
    ]


def sequential() -> keras.Model:
    seeded()
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), *sequential_layers()], name="seq")
    return randomize_biases(model)


def sequential_without_input() -> keras.Model:
    seeded()
    model = keras.Sequential(sequential_layers(), name="seq")
    model(np.zeros((1, SIDE, SIDE, 3), "float32"))
    return randomize_biases(model)


def backbone(side: int | None = SIDE, name: str = "backbone") -> keras.Model:
    image = keras.Input((side, side, 3))
    return keras.Model(image, body(image), name=name)


def nested() -> keras.Model:
    seeded()
    image = image_input()
    model = keras.Model(image, head(backbone()(image)), name="nested")
    return randomize_biases(model)


def nested_in_sequential() -> keras.Model:
    seeded()
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            backbone(),
            layers.GlobalAveragePooling2D(name="gap"),
            layers.Dense(3, "softmax", name="out"),
        ],
        name="nested_seq",
    )
    return randomize_biases(model)


def doubly_nested() -> keras.Model:
    seeded()
    inner_image = keras.Input((SIDE, SIDE, 3))
    inner = backbone(name="inner")
    outer = keras.Model(inner_image, conv(5, "c3")(inner(inner_image)), name="outer")
    image = image_input()
    return randomize_biases(keras.Model(image, head(outer(image)), name="double"))


def shared_layer() -> keras.Model:
    """One convolution runs twice: second names end in ``:2``."""
    seeded()
    image = image_input()
    x = conv(6, "c1")(image)
    again = conv(6, "c2")
    x = again(again(x))
    return randomize_biases(keras.Model(image, head(x), name="shared"))


class Subclassed(keras.Model):
    """Layers as attributes, called past any graph that Keras knows."""

    def __init__(self, **options):
        super().__init__(**options)
        self.c1 = conv(4, "c1")
        self.pool = layers.MaxPooling2D(name="pool")
        self.c2 = conv(6, "c2")
        self.gap = layers.GlobalAveragePooling2D(name="gap")
        self.out = layers.Dense(3, "softmax", name="out")

    def call(self, x):
        return self.out(self.gap(self.c2(self.pool(self.c1(x)))))


class SubclassedRaw(keras.Model):
    """Layers in a list, all of one name but the first, and a softmax that Keras does not see."""

    def __init__(self, **options):
        super().__init__(**options)
        self.blocks = [conv(4, "c1"), conv(6, "same"), conv(6, "same")]
        self.out = layers.Dense(3, name="out")

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return tf.nn.softmax(self.out(tf.reduce_mean(x, axis=(1, 2))))


def _called(model: keras.Model) -> keras.Model:
    model(np.zeros((1, SIDE, SIDE, 3), "float32"))
    return randomize_biases(model)


def subclassed() -> keras.Model:
    seeded()
    return _called(Subclassed(name="subclassed"))


def subclassed_raw_softmax() -> keras.Model:
    seeded()
    return _called(SubclassedRaw(name="raw_softmax"))


def two_inputs() -> keras.Model:
    seeded()
    vector = keras.Input((4,), name="vector")
    image = image_input()
    x = layers.GlobalAveragePooling2D(name="gap")(body(image))
    x = layers.Concatenate(name="join")([x, vector])
    model = keras.Model([vector, image], layers.Dense(3, "softmax", name="out")(x), name="two")
    return randomize_biases(model)


def dict_inputs() -> keras.Model:
    seeded()
    inputs = {"photo": keras.Input((SIDE, SIDE, 3), name="photo")}
    inputs["extra"] = keras.Input((4,), name="extra")
    x = layers.GlobalAveragePooling2D(name="gap")(body(inputs["photo"]))
    x = layers.Concatenate(name="join")([x, inputs["extra"]])
    model = keras.Model(inputs, layers.Dense(3, "softmax", name="out")(x), name="dict")
    return randomize_biases(model)


def two_outputs() -> keras.Model:
    """A linear bounding box first, then class scores."""
    seeded()
    image = image_input()
    maps = body(image)
    box = layers.GlobalAveragePooling2D(name="box_gap")(maps)
    box = layers.Dense(4, name="box")(box)
    return randomize_biases(keras.Model(image, [box, head(maps)], name="two_outputs"))


def one_sigmoid() -> keras.Model:
    return functional(1, "sigmoid")


def multi_label() -> keras.Model:
    return functional(3, "sigmoid")


def linear_head() -> keras.Model:
    return functional(3, None)


def _ending(ending: Callable) -> keras.Model:
    seeded()
    image = image_input()
    return randomize_biases(keras.Model(image, ending(head(body(image), 3, None)), name="ending"))


def softmax_layer() -> keras.Model:
    return _ending(layers.Softmax(name="soft"))


def activation_layer() -> keras.Model:
    return _ending(layers.Activation("softmax", name="soft"))


def ops_softmax() -> keras.Model:
    return _ending(keras.ops.softmax)


def plain(*shape: int | None) -> keras.Model:
    seeded()
    image = image_input(*shape)
    return randomize_biases(keras.Model(image, head(body(image)), name="plain"))


def grayscale() -> keras.Model:
    return plain(SIDE, SIDE, 1)


def any_size() -> keras.Model:
    return plain(None, None, 3)


def non_square() -> keras.Model:
    return plain(12, 20, 3)


def no_channel_axis() -> keras.Model:
    seeded()
    image = image_input(12, 20)
    x = layers.Reshape((12, 20, 1), name="expand")(image)
    return randomize_biases(keras.Model(image, head(body(x)), name="no_channels"))


def channels_first() -> keras.Model:
    seeded()
    image = image_input(3, SIDE, 20)
    x = body(image, data_format="channels_first")
    model = keras.Model(image, head(x, data_format="channels_first"), name="first")
    return randomize_biases(model)


def mixed_precision() -> keras.Model:
    seeded()
    image = image_input()
    x = body(image, dtype="mixed_float16")
    x = head(x, 3, None, dtype="mixed_float16")
    x = layers.Activation("softmax", dtype="float32", name="soft")(x)
    return randomize_biases(keras.Model(image, x, name="mixed"))


def mixed_precision_throughout() -> keras.Model:
    seeded()
    image = image_input()
    x = head(body(image, dtype="mixed_float16"), dtype="mixed_float16")
    return randomize_biases(keras.Model(image, x, name="mixed"))


def augmented(augment: bool = True) -> keras.Model:
    """Augmentation, Rescaling and Normalization inside the model, as the book has it."""
    seeded()
    image = image_input()
    x = image
    if augment:
        x = layers.RandomFlip("horizontal", name="flip")(x)
        x = layers.RandomRotation(0.2, name="rotate")(x)
        x = layers.RandomZoom(0.3, name="zoom")(x)
        x = layers.GaussianNoise(0.9, name="noise")(x)
    x = layers.Rescaling(1 / 255, name="rescale")(x)
    x = layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.04, 0.05, 0.06], name="norm")(x)
    seeded(5)
    return randomize_biases(keras.Model(image, head(body(x)), name="augmented"))


def batch_normalized(**options) -> keras.Model:
    """Convolution, BatchNormalization with used statistics, ReLU."""
    seeded()
    image = image_input()
    x = conv(6, "c1", activation=None, use_bias=False, **options)(image)
    norm = layers.BatchNormalization(name="bn")
    x = layers.ReLU(name="relu")(norm(x))
    model = keras.Model(image, head(conv(6, "c2")(x)), name="normalized")
    rng = np.random.default_rng(2)
    norm.set_weights([rng.uniform(0.5, 1.5, 6), *rng.normal(0, 0.3, (2, 6)), rng.uniform(1, 2, 6)])
    return randomize_biases(model)


def conv_base() -> keras.Model:
    seeded()
    return randomize_biases(backbone())


def autoencoder() -> keras.Model:
    seeded()
    image = image_input()
    x = layers.UpSampling2D(name="up")(body(image))
    x = conv(3, "decoded", activation="sigmoid")(x)
    return randomize_biases(keras.Model(image, x, name="autoencoder"))


def fixed_batch() -> keras.Model:
    seeded()
    image = keras.Input(batch_shape=(1, SIDE, SIDE, 3), name="image")
    return randomize_biases(keras.Model(image, head(body(image)), name="fixed_batch"))


def uint8_input() -> keras.Model:
    seeded()
    image = image_input(dtype="uint8")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    return randomize_biases(keras.Model(image, head(body(x)), name="uint8"))


#: Every kind of model by name.
KINDS: dict[str, Callable[[], keras.Model]] = {
    f.__name__: f
    for f in (
        functional,
        flatten_net,
        sequential,
        sequential_without_input,
        nested,
        nested_in_sequential,
        doubly_nested,
        shared_layer,
        subclassed,
        subclassed_raw_softmax,
        two_inputs,
        dict_inputs,
        two_outputs,
        one_sigmoid,
        multi_label,
        linear_head,
        softmax_layer,
        activation_layer,
        ops_softmax,
        grayscale,
        any_size,
        non_square,
        no_channel_axis,
        channels_first,
        mixed_precision,
        mixed_precision_throughout,
        augmented,
        batch_normalized,
        conv_base,
        autoencoder,
        fixed_batch,
        uint8_input,
    )
}
#: Those without class scores.
NOT_CLASSIFIERS = {"conv_base", "autoencoder"}
#: Those that bring their own preprocessing inside the model.
TAKES_RAW = {"augmented", "uint8_input"}


def open_net(kind: str) -> ConvNet:
    """A fresh network of one kind, with the preprocessing and size that suit it."""
    return ConvNet(
        KINDS[kind](),
        preprocess="raw" if kind in TAKES_RAW else "unit",
        input_size=(18, 22) if kind == "any_size" else None,
    )


# The same in NumPy, written down independently.


def inner(model: keras.Model, name: str) -> keras.Layer:
    """The first layer of a name anywhere inside a model."""
    return next(x for x in model._flatten_layers() if x.name == name)


def np_conv(x: np.ndarray, layer: keras.Layer) -> np.ndarray:
    """3x3 convolution with zeros around, bias, no activation; float64 ``(h, w, k)``."""
    kernel = np.asarray(layer.kernel, "float64")
    padded = np.pad(np.asarray(x, "float64"), ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    maps = np.einsum("hwcij,ijck->hwk", windows, kernel)
    return maps + np.asarray(layer.bias, "float64") if layer.use_bias else maps


def np_relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def np_sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def np_pool(x: np.ndarray) -> np.ndarray:
    height, width, channels = x.shape
    return x.reshape(height // 2, 2, width // 2, 2, channels).max(axis=(1, 3))


def np_maps(kind: str, model: keras.Model, x: np.ndarray) -> dict[str, np.ndarray]:
    """Maps of the layers of one kind, by full path, from what the first convolution takes."""

    def fired(name: str, x: np.ndarray) -> np.ndarray:
        return np_relu(np_conv(x, inner(model, name)))

    special = {
        "shared_layer": _np_shared,
        "subclassed_raw_softmax": _np_same_names,
        "batch_normalized": _np_normalized,
    }
    if kind in special:
        return special[kind](model, x)
    c1 = fired("c1", x)
    maps = {"c1": c1, "pool": np_pool(c1), "c2": fired("c2", np_pool(c1))}
    if kind == "doubly_nested":
        return _under("outer/inner/", maps) | {"outer/c3": fired("c3", maps["c2"])}
    if kind == "autoencoder":
        up = maps["c2"].repeat(2, 0).repeat(2, 1)
        return maps | {"up": up, "decoded": np_sigmoid(np_conv(up, inner(model, "decoded")))}
    before = {"no_channel_axis": "expand", "uint8_input": "rescale", "augmented": "norm"}
    maps = {before[kind]: x} | maps if kind in before else maps
    return _under("backbone/", maps) if kind in {"nested", "nested_in_sequential"} else maps


def _under(prefix: str, maps: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {prefix + name: value for name, value in maps.items()}


def _np_shared(model: keras.Model, x: np.ndarray) -> dict[str, np.ndarray]:
    c1 = np_relu(np_conv(x, inner(model, "c1")))
    once = np_relu(np_conv(c1, inner(model, "c2")))
    return {"c1": c1, "c2": once, "c2:2": np_relu(np_conv(once, inner(model, "c2")))}


def _np_same_names(model: keras.Model, x: np.ndarray) -> dict[str, np.ndarray]:
    c1 = np_relu(np_conv(x, model.blocks[0]))
    once = np_relu(np_conv(c1, model.blocks[1]))
    return {"c1": c1, "same": once, "same:2": np_relu(np_conv(once, model.blocks[2]))}


def _np_normalized(model: keras.Model, x: np.ndarray) -> dict[str, np.ndarray]:
    gamma, beta, mean, variance = inner(model, "bn").get_weights()
    c1 = np_conv(x, inner(model, "c1"))
    bn = (c1 - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    c2 = np_relu(np_conv(np_relu(bn), inner(model, "c2")))
    return {"c1": c1, "bn": bn, "relu": np_relu(bn), "c2": c2}


def np_first_input(kind: str, tensor: np.ndarray) -> np.ndarray:
    """What the first convolution receives, from what the network receives."""
    if kind == "augmented":
        return (tensor / 255 - [0.4, 0.5, 0.6]) / np.sqrt([0.04, 0.05, 0.06])
    return tensor / 255 if kind == "uint8_input" else tensor


def np_scores(kind: str, model: keras.Model, maps: dict[str, np.ndarray]) -> np.ndarray:
    """Logits, from the last maps; one unit ``z`` counts as two classes, -z and z."""
    last = list(maps.values())[-1]
    features = last.reshape(-1) if kind == "flatten_net" else last.mean(axis=(0, 1))
    kernel, bias = inner(model, "out").get_weights()
    scores = features @ kernel[: len(features)] + bias
    return np.concatenate([-scores, scores]) if len(scores) == 1 else scores
