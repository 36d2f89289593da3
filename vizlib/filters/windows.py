"""How much of a picture has to be shown in one step."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from vizlib.convnet import ConvNet
from vizlib.filters.objectives import Objective
from vizlib.filters.recipes import FilterRecipe
from vizlib.filters.transforms import window
from vizlib.receptive_field import receptive_field

#: A window of this many receptive fields a side: few places lie so close to its border that they
#: see the padding beyond.
_FIELDS = 4
_PARTS = 2


def parts_a_side(
    convnet: ConvNet, recipe: FilterRecipe, reading: Objective, size: tuple[int, int]
) -> int:
    """Into how many windows a side pictures of a size are cut, of which each step sees one.

    The mean of a map over a window stands for that over all of the picture, and takes a fraction
    of the time, where each place sees little of it. 1 elsewhere, and where a layer that is shown a
    part does not give a part of its maps: networks that bring every picture to one size.
    """
    if not recipe.roams or not reading.same_everywhere or reading.diversity:
        return 1
    layer = str(reading.layer)
    enough = convnet.compiled(("window", layer, size), lambda: _suffices(convnet, layer, size))
    return _PARTS if enough else 1


def _suffices(convnet: ConvNet, layer: str, size: tuple[int, int]) -> bool:
    part = window(size, _PARTS)
    try:
        field = receptive_field(convnet, layer)
        whole, few = (_map_size(convnet, layer, shown) for shown in (size, part))
    # A size that a layer refuses: Keras and TensorFlow use many types. What is wrong with the
    # whole is told where it is run.
    except Exception:
        return False
    seen = max(field.size) if field.diagnosis is None else max(size)
    in_proportion = all(_PARTS * one <= all_ + 1 for one, all_ in zip(few, whole, strict=True))
    return in_proportion and min(part) >= _FIELDS * seen


def _map_size(convnet: ConvNet, layer: str, size: tuple[int, int]) -> tuple[int, int]:
    spec = tf.TensorSpec((1, *size, convnet.input_channels))
    run = tf.function(lambda tensor: convnet.layer_output(tensor, layer), autograph=False)
    shape: Any = run.get_concrete_function(spec).outputs[0].shape
    return shape[1], shape[2]
