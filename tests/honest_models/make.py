"""Makes the stored models of Keras 2 and their reference outputs; needs tf_keras, not Keras 3.

    python -m venv old && old/bin/pip install tf_keras tensorflow-cpu==2.21.0
    old/bin/python tests/honest_models/make.py

Writes one model file, and one `.npz` with inputs and outputs, for each function of `MODELS`. Files
of versions before 2.13 are written by this one and then rewritten (`REWRITTEN`) the way those wrote
them. With the argument `weights` it takes the model files as they are and writes, into the folder
`weights`, the weights alone of those in `WEIGHTS`, in both layouts, and the architecture as JSON.
"""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers as L

HERE = Path(__file__).parent


def vgg_like(name="vgg_like", side=16):
    inputs = keras.Input((side, side, 3))
    x = L.Conv2D(4, 3, padding="same", activation="relu", name="block1_conv1")(inputs)
    x = L.BatchNormalization(name="block1_bn")(x)
    x = L.MaxPooling2D(name="block1_pool")(x)
    x = L.Conv2D(6, 3, padding="same", activation="relu", name="block2_conv1")(x)
    x = L.BatchNormalization(name="block2_bn")(x)
    return keras.Model(inputs, L.MaxPooling2D(name="block2_pool")(x), name=name)


def nested_base():
    return keras.Sequential([vgg_like(), L.Flatten(), L.Dense(8, "relu"), L.Dense(2, "softmax")])


def frozen_base():
    base = vgg_like()
    base.trainable = False
    return keras.Sequential([base, L.Flatten(), L.Dense(2, "softmax")])


def partly_frozen_base():
    base = vgg_like()
    for layer in base.layers[:4]:
        layer.trainable = False
    return keras.Sequential([base, L.Flatten(), L.Dense(2, "softmax")])


def nested_functional():
    inputs = keras.Input((16, 16, 3), name="photo")
    x = L.Rescaling(1 / 255)(inputs)
    x = vgg_like()(x, training=False)
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, L.Dense(3, "softmax")(x))


def siamese():
    base = keras.Sequential([L.Conv2D(3, 3, activation="relu"), L.GlobalMaxPooling2D()], name="arm")
    a, b = keras.Input((16, 16, 3), name="left"), keras.Input((16, 16, 3), name="right")
    return keras.Model([a, b], L.Dense(1, "sigmoid")(L.Subtract()([base(a), base(b)])))


def shared_base():
    base = vgg_like()
    a, b = keras.Input((16, 16, 3), name="left"), keras.Input((16, 16, 3), name="right")
    merged = L.Concatenate()([base(a), base(b)])
    return keras.Model([a, b], L.Dense(1, "sigmoid")(L.Flatten()(merged)))


def shared_layers():
    """A convolution that two nested models have in common."""
    shared = L.Conv2D(3, 3, padding="same", name="shared")
    a, b = keras.Input((12, 12, 3)), keras.Input((9, 9, 3))
    left = keras.Model(a, L.GlobalMaxPooling2D()(shared(a)), name="left")
    right = keras.Model(b, L.GlobalAveragePooling2D()(shared(L.Conv2D(3, 1)(b))), name="right")
    x, y = keras.Input((12, 12, 3), name="large"), keras.Input((9, 9, 3), name="small")
    return keras.Model([x, y], L.Dense(2)(L.Concatenate()([left(x), right(y)])))


def attention():
    inputs = keras.Input((12, 12, 3))
    x = L.Conv2D(8, 4, strides=4, activation="relu")(L.Rescaling(1 / 255)(inputs))
    x = L.Reshape((9, 8))(x)
    y = L.LayerNormalization(epsilon=1e-6)(x)
    x = L.Add()([x, L.MultiHeadAttention(2, 4, dropout=0.1)(y, y)])
    x = L.MultiHeadAttention(3, 4, value_dim=5, use_bias=False)(x, value=y, key=x)
    x = L.MultiHeadAttention(2, 3, output_shape=6)(x, y, use_causal_mask=False)
    return keras.Model(inputs, L.Dense(2, "softmax")(L.GlobalAveragePooling1D()(x)))


def divided():
    inputs = keras.Input((12, 12, 3))
    x = 1.0 - (inputs / 255.0 - 0.5) * 2.0
    x = L.Conv2D(4, 3)(tf.nn.relu(x))
    x = tf.reduce_mean(x, axis=[1, 2], keepdims=True)
    return keras.Model(inputs, tf.nn.softmax(tf.reshape(x, (-1, 4))))


def caffe():
    inputs = keras.Input((12, 12, 3))
    x = keras.applications.vgg16.preprocess_input(inputs)
    return keras.Model(inputs, L.GlobalMaxPooling2D()(L.Conv2D(4, 3)(x)))


def tf_mode():
    inputs = keras.Input((12, 12, 3))
    x = keras.applications.mobilenet_v2.preprocess_input(inputs)
    x = L.DepthwiseConv2D(3, padding="same")(x)
    return keras.Model(inputs, L.GlobalMaxPooling2D()(L.ReLU(6.0)(L.BatchNormalization()(x))))


def sliced():
    inputs = keras.Input((12, 12, 4))
    x = inputs[..., :3][:, 1:-1, ::2]
    x = tf.concat([x, tf.cast(x[..., ::-1], tf.float32)], axis=-1)
    x = tf.image.resize(x, (6, 6))
    x = L.LeakyReLU()(L.SeparableConv2D(4, 3)(x))
    return keras.Model(inputs, L.Flatten()(tf.expand_dims(x[:, 0], 1)))


def half_precision():
    layers = [L.Conv2D(4, 3, activation="relu"), L.BatchNormalization(), L.Flatten(), L.Dense(2)]
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        inputs = keras.Input((10, 10, 3))
        x = L.Rescaling(1 / 255)(inputs)
        for kind in (L.Conv2D(4, 3, activation="relu"), L.BatchNormalization(), L.Flatten()):
            x = kind(x)
        return keras.Model(inputs, L.Dense(2, "softmax", dtype="float32")(x))
    finally:
        keras.mixed_precision.set_global_policy("float32")
        del layers


def activations():
    inputs = keras.Input((10, 10, 3))
    x = L.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = L.PReLU(shared_axes=[1, 2])(L.Conv2D(4, 3)(x))
    x = L.ThresholdedReLU(0.1)(L.ELU(0.7)(L.Conv2D(4, 3, activation="hard_sigmoid")(x)))
    x = L.Activation("swish")(L.Conv2D(4, 3, activation=tf.nn.tanh)(x))
    x = L.Dense(4, activation="gelu")(L.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, [L.Dense(1, "hard_sigmoid", name="a")(x), L.Softmax(name="b")(x)])


def greyscale():
    return keras.Sequential(
        [
            L.Conv2D(4, 3, activation="relu", input_shape=(10, 10, 1)),
            L.BatchNormalization(),
            L.SpatialDropout2D(0.2),
            L.Conv2DTranspose(3, 3, strides=2),
            L.Flatten(),
            L.Dense(10),
        ]
    )


def without_channels():
    return keras.Sequential(
        [keras.Input((10, 10)), L.Reshape((10, 10, 1)), L.Conv2D(3, 3), L.Flatten(), L.Dense(2)]
    )


def slashes():
    inputs = keras.Input((10, 10, 3))
    x = L.Conv2D(3, 3, use_bias=False, name="conv1/conv")(inputs)
    x = L.BatchNormalization(name="conv1/bn")(x)
    x = L.Activation("relu", name="conv1/relu")(x)
    inner = keras.Model(inputs, x, name="dense/net")
    outer = keras.Input((10, 10, 3))
    return keras.Model(outer, L.Flatten()(inner(outer)))


def two_inputs():
    photo, facts = keras.Input((10, 10, 3), name="photo"), keras.Input((4,), name="facts")
    x = L.Flatten()(L.Conv2D(3, 3, activation="relu")(photo))
    x = L.Concatenate()([x, L.Dense(5, "relu")(facts)])
    return keras.Model({"photo": photo, "facts": facts}, L.Dense(2, "softmax")(x))


def augmented():
    augmentation = keras.Sequential([L.RandomFlip(), L.RandomRotation(0.1)], name="augmentation")
    inputs = keras.Input((16, 16, 3))
    x = L.Rescaling(1 / 255)(augmentation(inputs))
    scale = L.Normalization()
    scale.adapt(np.random.default_rng(0).uniform(0, 1, (5, 4, 4, 3)).astype("float32"))
    x = L.Dropout(0.5)(L.Conv2D(3, 3)(scale(x)))
    return keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(x)))


def old_optimizer():
    model = keras.Sequential([L.Conv2D(3, 3, input_shape=(8, 8, 3)), L.Flatten(), L.Dense(1)])
    model.compile(keras.optimizers.legacy.Adam(1e-3, decay=1e-5), "mse", ["mse"])
    model.fit(np.ones((4, 8, 8, 3)), np.ones(4), verbose=0)
    return model


MODELS = {
    "nested_base": (nested_base, ".h5 .keras"),
    "frozen_base": (frozen_base, ".h5"),
    "partly_frozen_base": (partly_frozen_base, ".h5"),
    "nested_functional": (nested_functional, ".h5 .keras"),
    "siamese": (siamese, ".h5"),
    "shared_base": (shared_base, ".h5"),
    "shared_layers": (shared_layers, ".h5"),
    "attention": (attention, ".h5 .keras"),
    "divided": (divided, ".h5 .keras"),
    "caffe": (caffe, ".h5"),
    "tf_mode": (tf_mode, ".h5"),
    "sliced": (sliced, ".h5"),
    "half_precision": (half_precision, ".h5"),
    "activations": (activations, ".h5"),
    "greyscale": (greyscale, ".h5"),
    "without_channels": (without_channels, ".h5"),
    "slashes": (slashes, ".h5"),
    "two_inputs": (two_inputs, ".h5"),
    "augmented": (augmented, ".h5 .keras"),
    "old_optimizer": (old_optimizer, ".h5"),
}


def as_keras_2_0(config):
    """Sequential as a list, its input's shape in the first layer only."""
    config["config"] = [
        one for one in config["config"]["layers"] if one["class_name"] != "InputLayer"
    ]


def as_keras_2_2(config):
    """The input's shape in the first layer only."""
    layers = config["config"]["layers"]
    config["config"]["layers"] = [one for one in layers if one["class_name"] != "InputLayer"]


def as_model(config):
    """Functional models were of the class Model; early TensorFlow 2 had BatchNormalizationV1."""
    for one in config["config"]["layers"]:
        one["class_name"] = one["class_name"].replace("Functional", "Model")
        if one["class_name"] == "Model":
            as_model(one)
        if one["class_name"] == "BatchNormalization":
            one["class_name"] = "BatchNormalizationV1"
    config["class_name"] = config["class_name"].replace("Functional", "Model")


REWRITTEN = {
    "greyscale": (as_keras_2_0, "list_config"),
    "old_optimizer": (as_keras_2_2, "first_layer_shape"),
    "nested_functional": (as_model, "class_model"),
}


WEIGHTS = ("partly_frozen_base", "nested_functional", "augmented", "slashes")


def weights_alone():
    """As `save_weights` and `to_json` give them; inputs and outputs are those of the model."""
    for name in WEIGHTS:
        keras.backend.clear_session()
        model = keras.models.load_model(HERE / f"{name}.h5", compile=False)
        for suffix in (".h5", ".weights.h5"):
            model.save_weights(HERE / "weights" / f"{name}{suffix}")
        (HERE / "weights" / f"{name}.json").write_text(model.to_json() + "\n")


def randomise(model):
    random = np.random.default_rng(3)
    for weight in model.weights:
        adapted = weight.name.startswith(("mean:", "variance:"))  # read by `adapt` only
        if weight.dtype.is_floating and not adapted:
            low, high = (0.5, 1.5) if "variance" in weight.name else (-0.5, 0.5)
            weight.assign(random.uniform(low, high, weight.shape))


def reference(model, path):
    random = np.random.default_rng(5)
    inputs = {
        f"input_{k}": random.uniform(0, 255 if len(one.shape) > 2 else 1, (2, *one.shape[1:]))
        for k, one in enumerate(model.inputs)
    }
    inputs = {key: value.astype("float32") for key, value in inputs.items()}
    values = list(inputs.values())
    if isinstance(model.input, dict):
        values = {
            one.name.split(":")[0]: value for one, value in zip(model.inputs, values, strict=True)
        }
    outputs = model(values if len(values) > 1 else values[0], training=False)
    outputs = {f"output_{k}": np.asarray(one) for k, one in enumerate(tf.nest.flatten(outputs))}
    np.savez_compressed(path, **inputs, **outputs)


def main():
    for name, (make, suffixes) in MODELS.items():
        keras.backend.clear_session()
        model = make()
        randomise(model)
        reference(model, HERE / f"{name}.npz")
        for suffix in suffixes.split():
            model.save(HERE / f"{name}{suffix}")
    for name, (rewrite, new) in REWRITTEN.items():
        (HERE / f"{new}.h5").write_bytes((HERE / f"{name}.h5").read_bytes())
        (HERE / f"{new}.npz").write_bytes((HERE / f"{name}.npz").read_bytes())
        with h5py.File(HERE / f"{new}.h5", "r+") as file:
            config = json.loads(file.attrs["model_config"])
            rewrite(config)
            file.attrs["model_config"] = json.dumps(config)


if __name__ == "__main__":
    weights_alone() if "weights" in sys.argv[1:] else main()
