"""What is silent at first is woken, through whatever lies between it and its ReLU."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from vizlib import FILTER_RECIPES, ConvNet, filter_patterns
from vizlib.filters import ascent
from vizlib.input_gradients import redirected


def gradient(function, values, *, waking):
    @tf.function
    def of(batch):
        if waking:
            with redirected(batch.graph):
                return tf.gradients(function(batch), batch)[0]
        return tf.gradients(function(batch), batch)[0]

    return of(tf.constant(values, tf.float32)).numpy()


def test_a_silent_item_gets_what_would_raise_it_and_others_what_they_got():
    values = [[-1.0, -2.0, -3.0], [1.0, -2.0, 3.0]]
    pull = tf.constant([2.0, -5.0, 7.0])

    def score(batch):
        return tf.nn.relu(batch) * pull

    np.testing.assert_array_equal(gradient(score, values, waking=False), [[0, 0, 0], [2, 0, 7]])
    np.testing.assert_array_equal(gradient(score, values, waking=True), [[2, 0, 7], [2, 0, 7]])


def test_a_relu_that_is_full_is_not_raised_further():
    values = [[-1.0, 9.0, -3.0], [9.0, 9.0, 9.0], [1.0, 9.0, -3.0]]

    def score(batch):
        return tf.nn.relu6(batch) * tf.constant([2.0, 3.0, -7.0])

    found = gradient(score, values, waking=True)
    np.testing.assert_array_equal(found, [[2, 0, 0], [0, 0, 0], [2, 0, 0]])


def red_above_four_fifths(kind):
    """Channel 1 of ``asked`` fires where red is above 0.8, which grey never is."""
    image = keras.Input((16, 16, 3))
    activation = "relu6" if kind == "relu6" else "relu"
    silent = layers.Conv2D(1, 1, activation=activation, name="silent")
    other = layers.Conv2D(1, 1, activation="relu", name="other")
    joined = layers.Concatenate(name="joined")([other(image), silent(image)])
    asked = layers.MaxPooling2D(2, name="pooled")(joined)
    model = keras.Model(image, asked)
    silent.set_weights([np.array([1.0, 0, 0]).reshape(1, 1, 3, 1), np.array([-0.8])])
    return ConvNet(model, preprocess="unit")


@pytest.mark.parametrize("recipe", ["fourier", "classic"])
@pytest.mark.parametrize(
    ("kind", "layer"), [("relu", "joined"), ("relu", "pooled"), ("relu6", "joined")]
)
def test_a_silent_channel_is_woken_through_layers_without_activation(recipe, kind, layer):
    found = filter_patterns(red_above_four_fifths(kind), layer, [1], recipe=recipe, steps=60)
    assert found.diagnosis == (None,)
    assert found.objective[0, -1] > found.objective[0, 0] == 0
    red, green, blue = found.images[0].mean(axis=(0, 1))
    assert red > 10 + max(green, blue)


def test_it_would_stay_silent_otherwise(monkeypatch):
    monkeypatch.setattr(ascent, "_PATIENCE", 10**9)
    found = filter_patterns(red_above_four_fifths("relu"), "joined", [1], steps=60)
    assert "never fired" in found.diagnosis[0]


def test_what_fires_is_the_same_whether_or_not_others_are_woken():
    convnet = red_above_four_fifths("relu")
    alone = filter_patterns(convnet, "joined", [0], steps=20)
    beside = filter_patterns(convnet, "joined", [0, 1], steps=20)
    np.testing.assert_allclose(
        alone.images[0].astype(int), beside.images[0].astype(int), rtol=0, atol=1
    )


def test_weights_stay_as_they_are_while_a_channel_is_woken():
    convnet = red_above_four_fifths("relu")
    before = [weight.tobytes() for weight in convnet.model.get_weights()]
    filter_patterns(convnet, "joined", [1], steps=12)
    assert [weight.tobytes() for weight in convnet.model.get_weights()] == before


def test_every_recipe_has_the_patience_to_wake():
    assert min(recipe.steps for recipe in FILTER_RECIPES.values()) > 2 * ascent._PATIENCE
