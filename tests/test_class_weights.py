"""Which classes a channel feeds: weights by hand, and networks that have none."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import vizlib
from tests import nets
from vizlib import ConvNet, classes_fed


def ending(build) -> ConvNet:
    """Maps of 6 channels called ``maps``, and what follows them."""
    nets.seeded()
    image = keras.Input((12, 12, 3))
    maps = layers.Conv2D(6, 3, strides=2, activation="relu", name="maps")(image)
    return ConvNet(nets.randomize_biases(keras.Model(image, build(maps))), preprocess="unit")


def pooled(x):
    return layers.GlobalAveragePooling2D()(x)


LINEAR = {
    "pooled": lambda x: layers.Dense(4, "softmax", name="out")(pooled(x)),
    "no activation": lambda x: layers.Dense(4, name="out")(pooled(x)),
    "dropout": lambda x: layers.Dense(4, "softmax", name="out")(layers.Dropout(0.5)(pooled(x))),
    "means by hand": lambda x: layers.Dense(4, "softmax", name="out")(ops.mean(x, axis=(1, 2))),
    "1x1 convolution, then pooled": lambda x: layers.Softmax()(
        pooled(layers.Conv2D(4, 1, name="out")(x))
    ),
}


@pytest.mark.parametrize("name", LINEAR)
def test_weights_are_those_of_the_head(name):
    convnet = ending(LINEAR[name])
    kernel = nets.inner(convnet.model, "out").kernel.numpy().reshape(6, 4)
    for channel in (0, 5):
        found = classes_fed(convnet, "maps", channel, count=2)
        np.testing.assert_allclose(found.weights, kernel[channel], rtol=1e-4, atol=1e-6)
        best = np.argsort(-kernel[channel])[:2]
        assert [fed.class_index for fed in found.top] == best[kernel[channel][best] > 0].tolist()
        assert found.diagnosis is None


def test_two_dense_layers_without_activation_are_their_product():
    convnet = ending(lambda x: layers.Dense(4, name="b")(layers.Dense(5, name="a")(pooled(x))))
    product = nets.inner(convnet.model, "a").kernel.numpy()[2]
    product = product @ nets.inner(convnet.model, "b").kernel.numpy()
    np.testing.assert_allclose(classes_fed(convnet, "maps", 2).weights, product, rtol=1e-4)


def test_places_with_weights_of_their_own_are_added_up():
    convnet = ending(lambda x: layers.Dense(4, name="out")(layers.Flatten()(x)))
    kernel = nets.inner(convnet.model, "out").kernel.numpy().reshape(5, 5, 6, 4)
    found = classes_fed(convnet, "maps", 3)
    np.testing.assert_allclose(found.weights, kernel[:, :, 3].sum((0, 1)), rtol=1e-4, atol=1e-6)
    assert "weights of their own" in found.diagnosis


def test_a_sigmoid_unit_stands_for_two_classes():
    convnet = ending(lambda x: layers.Dense(1, "sigmoid", name="out")(pooled(x)))
    weight = nets.inner(convnet.model, "out").kernel.numpy()[4, 0]
    np.testing.assert_allclose(
        classes_fed(convnet, "maps", 4).weights, [-weight, weight], rtol=1e-4
    )


def test_a_branch_past_the_layer_changes_nothing():
    """It shifts the scores by what the photo asks for, whatever the channel does."""
    nets.seeded()
    image = keras.Input((12, 12, 3))
    maps = layers.Conv2D(6, 3, activation="relu", name="maps")(image)
    side = layers.Dense(4, "relu")(layers.GlobalMaxPooling2D()(image) + 1)
    head = layers.Dense(4, name="out")
    convnet = ConvNet(keras.Model(image, head(pooled(maps)) + side), preprocess="unit")
    weights = classes_fed(convnet, "maps", 1).weights
    np.testing.assert_allclose(weights, head.kernel.numpy()[1], rtol=1e-3, atol=1e-6)


def far_relu(x):
    """Linear for all that is not much larger than what the layer gives."""
    return layers.Dense(4)(ops.minimum(pooled(x), 20.0))


NOT_LINEAR = {
    "a dense layer with ReLU": lambda x: layers.Dense(4)(layers.Dense(5, "relu")(pooled(x))),
    "a ReLU behind": lambda x: layers.Dense(4)(pooled(layers.ReLU()(x))),
    "a maximum": lambda x: layers.Dense(4)(layers.GlobalMaxPooling2D()(x)),
    "a leaky ReLU": lambda x: layers.Dense(4)(pooled(layers.LeakyReLU(0.9)(x))),
    "a limit far away": far_relu,
    "an odd function": lambda x: layers.Dense(4)(ops.tanh(pooled(x))),
    "a norm": lambda x: layers.Dense(4)(layers.UnitNormalization()(pooled(x))),
    "a product with itself": lambda x: layers.Dense(4)(pooled(x) * pooled(x)),
}


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_what_is_not_linear_has_no_weights(name):
    found = classes_fed(ending(NOT_LINEAR[name]), "maps", 0)
    assert found.weights is None
    assert found.top == ()
    assert "not linear in 'maps'" in found.diagnosis


def test_a_factor_from_the_photo_is_no_weight():
    """Linear for each photo, but with other weights for each."""
    nets.seeded()
    image = keras.Input((12, 12, 3))
    gate = layers.GlobalAveragePooling2D()(image)
    maps = layers.Conv2D(6, 3, activation="relu", name="maps")(image)
    model = keras.Model(image, layers.Dense(4)(pooled(maps) * (1 + gate[:, :1])))
    found = classes_fed(ConvNet(model, preprocess="unit"), "maps", 0)
    assert found.weights is None
    assert "depend on the photo" in found.diagnosis


def test_a_layer_that_feeds_another_output_feeds_no_class():
    nets.seeded()
    image = keras.Input((12, 12, 3))
    beside = layers.Conv2D(2, 3, name="beside")(image)
    scores = layers.Dense(3, "softmax")(pooled(layers.Conv2D(4, 3)(image)))
    found = classes_fed(ConvNet(keras.Model(image, [scores, beside])), "beside", 0)
    assert found.weights is None
    assert "do not depend on 'beside'" in found.diagnosis


def test_classes_have_their_names_and_only_fed_ones_are_listed():
    nets.seeded()
    image = keras.Input((12, 12, 3))
    maps = layers.Conv2D(2, 3, name="maps")(image)
    head = layers.Dense(3, "softmax")
    model = keras.Model(image, head(pooled(maps)))
    head.set_weights([np.array([[0.5, -1, 2], [-1, 0, -2]], "float32"), np.ones(3)])
    convnet = ConvNet(model, labels=["ant", "bee", "cat"])
    assert classes_fed(convnet, "maps", 0).top == ((2, "cat", 2.0), (0, "ant", 0.5))
    assert classes_fed(convnet, "maps", 0, count=1).top == ((2, "cat", 2.0),)
    assert classes_fed(convnet, "maps", 1).top == ()


def test_the_bundled_mobilenet_gives_its_own_weights():
    convnet = vizlib.load_convnet("mobilenet-bundled")
    kernel = nets.inner(convnet.model, "conv_preds").kernel.numpy()[0, 0]
    found = classes_fed(convnet, "conv_pw_13_relu", 700)
    np.testing.assert_allclose(found.weights, kernel[700], rtol=1e-3, atol=1e-6)


def test_what_cannot_be_asked():
    convnet = ending(LINEAR["pooled"])
    for options in ({"channel": 6}, {"channel": 0, "count": 0}):
        with pytest.raises(vizlib.InvalidArgumentError, match="whole number"):
            classes_fed(convnet, "maps", **options)
    with pytest.raises(vizlib.UnsupportedModelError, match="classifier"):
        classes_fed(nets.open_net("conv_base"), "c2", 0)
