"""A class score as a sum over channels: hand-made sums, and where the sum does not hold."""

import keras
import nets
import numpy as np
import pytest
from keras import layers

import vizlib
from vizlib import ConvNet, InvalidArgumentError, channel_contributions

IMAGE = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype="uint8")


def net(*after, activation="softmax", units=3):
    nets.seeded()
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(5, 3, activation="relu", name="conv")(image)
    for layer in after:
        x = layer(x)
    model = keras.Model(image, layers.Dense(units, activation=activation, name="head")(x))
    return ConvNet(nets.randomize_biases(model), "unit")


def pooled(**options):
    return net(layers.GlobalAveragePooling2D(), **options)


def test_after_average_pooling_a_channel_adds_its_mean_times_its_weight():
    convnet = pooled()
    found = channel_contributions(convnet, IMAGE, class_index=2)
    kernel, bias = convnet.model.get_layer("head").get_weights()
    means = vizlib.activations(convnet, IMAGE, ["conv"])["conv"].mean(axis=(0, 1))
    np.testing.assert_allclose(found.channels, means * kernel[:, 2], rtol=1e-4, atol=1e-7)
    assert found.bias == pytest.approx(bias[2], rel=1e-5)
    assert found.diagnosis is None


@pytest.mark.parametrize("activation", ["softmax", "linear"])
@pytest.mark.parametrize("make", [layers.GlobalAveragePooling2D, layers.Flatten])
def test_channels_and_bias_add_up_to_the_score(make, activation):
    convnet = net(make(), activation=activation)
    for index in range(3):
        found = channel_contributions(convnet, IMAGE, class_index=index)
        assert found.score == pytest.approx(convnet.scores(IMAGE)[index], rel=1e-5)
        assert found.gap == pytest.approx(0, abs=1e-4)
        assert found.diagnosis is None


def test_the_two_classes_of_one_unit_are_opposite_sums():
    convnet = pooled(activation="sigmoid", units=1)
    one, other = (channel_contributions(convnet, IMAGE, class_index=k) for k in (1, 0))
    np.testing.assert_allclose(one.channels, -other.channels, rtol=1e-5)
    assert one.gap == pytest.approx(0, abs=1e-4)
    assert other.gap == pytest.approx(0, abs=1e-4)


def test_added_up_over_channels_they_are_hires_cam():
    convnet = pooled()
    found = channel_contributions(convnet, IMAGE, class_index=1)
    hires = vizlib.hires_cam(convnet, IMAGE, class_index=1)
    np.testing.assert_allclose(found.values.sum(axis=2), hires.values, rtol=1e-4, atol=1e-6)


def test_what_is_not_linear_is_said_not_to_add_up():
    steep = layers.Dense(6, activation="tanh", kernel_initializer=keras.initializers.Constant(3))
    convnet = net(layers.GlobalAveragePooling2D(), steep)
    found = channel_contributions(convnet, IMAGE)
    assert abs(found.gap) > 1e-2
    assert "not linear" in found.diagnosis


def test_defaults_are_the_top_class_and_the_default_layer():
    convnet = pooled()
    found = channel_contributions(convnet, IMAGE)
    assert found.class_index == convnet.top(IMAGE, 1)[0].class_index
    assert found.layer == convnet.default_layer


def test_another_layer_gives_other_parts():
    convnet = net(layers.MaxPooling2D(name="pool"), layers.GlobalAveragePooling2D())
    early = channel_contributions(convnet, IMAGE, layer="conv")
    assert early.layer == "conv"
    assert early.values.shape[:2] == (6, 6)
    assert channel_contributions(convnet, IMAGE, layer="pool").values.shape[:2] == (3, 3)


def test_the_strongest_are_those_that_move_most_in_either_direction():
    values = np.zeros((1, 2, 4), "f4")
    values[0, :, 0], values[0, :, 2], values[0, 0, 3] = 1, -3, 0.5
    found = vizlib.Contributions(values, "conv", 0, score=-3.0, bias=0.5)
    assert found.strongest(3) == [2, 0, 3]
    assert list(found.channels) == [2, 0, -6, 0.5]
    assert found.gap == pytest.approx(0)


def test_a_class_that_does_not_exist():
    with pytest.raises(InvalidArgumentError, match="class_index"):
        channel_contributions(pooled(), IMAGE, class_index=3)
