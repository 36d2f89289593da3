"""Where a step shows a part of the picture, and what is the same all the same."""

import keras
import nets
import numpy as np
import pytest
from keras import layers

from vizlib import FILTER_RECIPES, ConvNet, filter_patterns, objectives
from vizlib.filters import ascent, windows

SIZE = (64, 64)


def two_convolutions(*before, padding="same"):
    """Places of ``c2`` see 5 pixels a side."""
    nets.seeded()
    image = maps = keras.Input((64, 64, 3))
    for layer in before:
        maps = layer(maps)
    maps = layers.Conv2D(4, 3, padding=padding, activation="relu", name="c1")(maps)
    maps = layers.Conv2D(6, 3, padding=padding, name="c2")(maps)
    return ConvNet(keras.Model(image, maps), preprocess="unit")


def parts(convnet, objective, *, recipe="fourier", size=SIZE):
    return windows.parts_a_side(convnet, FILTER_RECIPES[recipe], objective.reading, size)


C2 = objectives.channel("c2", 0)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("size", "expected"), [((40, 40), 2), ((39, 40), 2), ((38, 40), 1), ((200, 39), 2)]
)
def test_a_picture_is_cut_where_half_of_it_holds_four_receptive_fields(padding, size, expected):
    assert parts(two_convolutions(padding=padding), C2, size=size) == expected


@pytest.mark.parametrize(
    ("objective", "recipe"),
    [
        (objectives.neuron("c2", 0), "fourier"),
        (objectives.diverse(C2, 2), "fourier"),
        (C2, "maco"),
        (C2, "classic"),
    ],
    ids=["neuron", "diverse", "maco", "classic"],
)
def test_what_needs_all_of_the_picture_sees_it(objective, recipe):
    assert parts(two_convolutions(), objective, recipe=recipe) == 1


def test_a_class_needs_all_of_the_picture():
    assert parts(nets.open_net("functional"), objectives.class_logit(0)) == 1


@pytest.mark.parametrize(
    "before",
    [
        # Brings every picture to one size, so that a part would be shown larger.
        layers.Resizing(64, 64),
        layers.LayerNormalization(axis=(1, 2, 3)),
    ],
    ids=["resized", "normalised over places"],
)
def test_a_layer_that_does_not_take_a_part_as_a_part_sees_all(before):
    assert parts(two_convolutions(before), C2) == 1


def shown_sizes(monkeypatch):
    sizes, look = [], ascent.look

    def noting(pixels, shown, view):
        sizes.append(view)
        return look(pixels, shown, view)

    monkeypatch.setattr(ascent, "look", noting)
    return sizes


def test_a_step_shows_a_quarter(monkeypatch):
    sizes = shown_sizes(monkeypatch)
    patterns = filter_patterns(two_convolutions(), "c2", [0], size=(65, 80), steps=2)
    assert set(sizes) == {(33, 40)}
    assert patterns.images.shape == (1, 65, 80, 3)


def test_quarters_by_turns_reach_what_the_whole_reaches(monkeypatch):
    convnet = two_convolutions()
    maps = {}
    for name in ("quarters", "whole"):
        if name == "whole":
            monkeypatch.setattr(ascent, "parts_a_side", lambda *_: 1)
        images = filter_patterns(convnet, "c2", range(6), size=64, steps=64).images
        answers = convnet.layer_output(np.float32(images) / 255, "c2").numpy().mean((1, 2))
        maps[name] = np.diag(answers)
    at_rest = (
        convnet.layer_output(np.full((1, 64, 64, 3), 0.5, "float32"), "c2").numpy().mean((1, 2))
    )
    gained = {name: values - at_rest[0] for name, values in maps.items()}
    assert (gained["quarters"] > 0.85 * gained["whole"]).all()


def test_a_plain_colour_stays_plain_where_quarters_are_shown():
    image = keras.Input((64, 64, 3))
    conv = layers.Conv2D(3, 1, use_bias=False, name="c1")
    convnet = ConvNet(keras.Model(image, conv(image)), preprocess="unit")
    conv.set_weights([np.eye(3).reshape(1, 1, 3, 3)])
    assert parts(convnet, objectives.channel("c1", 0)) == 2
    bright = filter_patterns(convnet, "c1", [1]).images[0].astype(int)
    assert bright[..., 1].min() > 230
    assert bright.std(axis=(0, 1)).max() < 4


def test_a_picture_of_a_batch_is_the_same_alone():
    convnet = two_convolutions()
    together = filter_patterns(convnet, "c2", [0, 3], size=64, steps=5)
    alone = filter_patterns(convnet, "c2", [3], size=64, steps=5)
    np.testing.assert_allclose(
        together.images[1].astype(int), alone.images[0].astype(int), rtol=0, atol=1
    )
