"""Makes stored models of Keras 1 and their reference outputs; needs Keras 1.2.2 and TensorFlow.

    python -m venv older && older/bin/pip install tensorflow-cpu==2.21.0
    older/bin/pip download --no-deps --no-binary :all: Keras==1.2.2 && tar xzf Keras-1.2.2.tar.gz
    PYTHONPATH=Keras-1.2.2 older/bin/python tests/honest_models/make_keras1.py

Keras 1.2.2 is used as it was released, on the interface of TensorFlow 1 that TensorFlow 2 keeps;
`as_of_2017` gives it the few names that Python and TensorFlow have dropped since.
"""

import collections.abc
import importlib
import sys
import types
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def as_of_2017():
    import tensorflow
    import tensorflow.compat.v1 as first

    class TensorFlow1(types.ModuleType):
        def __getattr__(self, name):
            return getattr(first, name)

    first.disable_v2_behavior()
    for name in [name for name in sys.modules if name.partition(".")[0] == "keras"]:
        del sys.modules[name]
    found = TensorFlow1("tensorflow")
    found.__path__, found.__version__ = tensorflow.__path__, "1.0.0"
    found.python = importlib.import_module("tensorflow.python")
    sys.modules["tensorflow"] = found
    collections.Iterable = collections.abc.Iterable


def chain():
    return Sequential(
        [
            L.ZeroPadding2D((1, 2), input_shape=(12, 12, 3)),
            L.Convolution2D(
                4, 3, 2, border_mode="same", activation="relu", W_regularizer="l2", subsample=(2, 1)
            ),
            L.BatchNormalization(),
            L.LeakyReLU(0.2),
            L.MaxPooling2D((2, 2), border_mode="same"),
            L.Dropout(0.5),
            L.AtrousConvolution2D(
                3, 2, 2, atrous_rate=(2, 2), bias=False, activation="hard_sigmoid"
            ),
            L.UpSampling2D((2, 2)),
            L.AveragePooling2D((2, 2)),
            L.SpatialDropout2D(0.2),
            L.GaussianNoise(0.1),
            L.GaussianDropout(0.1),
            L.PReLU(),
            L.Flatten(),
            L.Dense(5, activation="tanh", W_constraint="maxnorm"),
            L.Dense(2, activation="softmax"),
        ]
    )


def channels_first():
    K.set_image_dim_ordering("th")
    model = Sequential(
        [
            L.Convolution2D(
                3, 3, 3, border_mode="same", activation="relu", input_shape=(3, 12, 10)
            ),
            L.ZeroPadding2D({"top_pad": 1, "right_pad": 2}),
            L.Convolution2D(4, 3, 3),
            L.Cropping2D(((1, 0), (0, 1))),
            L.BatchNormalization(axis=1),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dense(3),
        ]
    )
    K.set_image_dim_ordering("tf")
    return model


def graph():
    inputs = L.Input((12, 12, 3))
    x, y = L.Convolution2D(4, 3, 3, border_mode="same")(inputs), L.Convolution2D(4, 1, 1)(inputs)
    x = L.merge([x, y], mode="sum")
    mean = L.merge([x, y], mode="ave")
    product = L.merge([mean, L.merge([mean, y], mode="max")], mode="mul")
    z = L.merge([x, y, x], mode="concat", concat_axis=3)
    z = L.SeparableConvolution2D(3, 3, 3)(L.merge([z, product], mode="concat"))
    inner_input = L.Input((10, 10, 3))
    inner = L.Convolution2D(3, 3, 3, name="inner_conv")(inner_input)
    inner = Model(inner_input, L.BatchNormalization(name="inner_bn")(inner))
    inner.layers[1].trainable = False
    arm = [
        L.Convolution2D(3, 3, 3, input_shape=(8, 8, 3)),
        L.Activation("relu"),
        L.BatchNormalization(),
    ]
    z = Sequential(arm)(inner(z))
    return Model(inputs, [L.GlobalAveragePooling2D()(z), L.Dense(2)(L.Flatten()(z))])


def randomise(model):
    random = np.random.RandomState(3)
    for weight in model.weights:
        low, high = (0.5, 1.5) if "std" in weight.name else (-0.5, 0.5)
        K.set_value(weight, random.uniform(low, high, K.int_shape(weight)))


def reference(model, path):
    x = np.random.RandomState(5).uniform(0, 3, (2, *model.input_shape[1:])).astype("float32")
    outputs = model.predict(x)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    np.savez_compressed(path, input_0=x, **{f"output_{k}": one for k, one in enumerate(outputs)})


MODELS = {"keras1_chain": chain, "keras1_channels_first": channels_first, "keras1_graph": graph}

if __name__ == "__main__":
    as_of_2017()
    from keras import backend as K
    from keras import layers as L
    from keras.models import Model, Sequential

    K.set_image_dim_ordering("tf")
    for name, make in MODELS.items():
        K.clear_session()
        model = make()
        randomise(model)
        reference(model, HERE / f"{name}.npz")
        model.save(str(HERE / f"{name}.h5"))
