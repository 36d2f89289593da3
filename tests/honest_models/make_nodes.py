"""Makes a stored model as TensorFlow 2.0 to 2.3 wrote them and its reference output.

Arithmetic on tensors was kept as nodes of a graph there (`TensorFlowOpLayer`); tf_keras still does
so where eager execution is off.

    old/bin/python tests/honest_models/make_nodes.py     # the environment of make.py
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers as L

HERE = Path(__file__).parent


def nodes():
    inputs = keras.Input((12, 12, 4))
    x = 1.0 - (inputs[..., :3] / 255.0 - [0.1, 0.2, 0.3]) * 2.0
    x = x[..., ::-1][:, 1:-1, ::2]
    rows = tf.image.resize(x, (4, 6))[:, 0]
    x = tf.concat([x, tf.square(x), tf.expand_dims(x[..., 1], -1)], axis=-1)
    x = L.Conv2D(4, 3)(tf.nn.leaky_relu(x, 0.3))
    x = tf.nn.sigmoid(x) + tf.nn.relu6(x) - tf.tanh(tf.reverse(x, [2]))
    mean = tf.squeeze(tf.reduce_mean(x, axis=[1, 2], keepdims=True), [1, 2])
    a, b = tf.split(tf.pad(mean, [[0, 0], [1, 1]]), 2, axis=-1)
    a = tf.clip_by_value(tf.maximum(a, -b) ** 2, 0.01, 3)
    a = tf.reduce_sum(tf.stack([a, tf.sqrt(tf.abs(b) + 1e-3)], axis=1), 1)
    flat = tf.reshape(tf.transpose(tf.reduce_max(x, axis=3), (0, 2, 1)), (-1, 32))
    return keras.Model(inputs, [tf.nn.softmax(tf.cast(a, tf.float32)), flat, rows])


def main():
    tf.compat.v1.disable_v2_behavior()
    model = nodes()
    random = np.random.default_rng(3)
    model.set_weights([random.uniform(-0.5, 0.5, one.shape) for one in model.get_weights()])
    x = random.uniform(0, 255, (2, 12, 12, 4)).astype("float32")
    found = keras.backend.function(model.inputs, model.outputs)([x])
    outputs = {f"output_{k}": one for k, one in enumerate(found)}
    np.savez_compressed(HERE / "nodes.npz", input_0=x, **outputs)
    model.save(HERE / "nodes.h5")


if __name__ == "__main__":
    main()
