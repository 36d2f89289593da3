"""How objectives are read off a network, differentiably, for a batch of pictures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from vizlib.checks import checked_integer
from vizlib.convnet import ConvNet
from vizlib.filters.objectives import Objective, Place
from vizlib.layers import is_activation
from vizlib.watching import run_with_pre_activation


class Read(NamedTuple):
    """What was read off the network for a batch of ``n`` pictures."""

    target: Any  # float32 (n,), what to climb: the values, less what diverse pictures share
    values: Any  # float32 (n,), the objectives
    fires: Any  # bool (n,), whether a channel that shall fire does; true where none shall


def read(
    convnet: ConvNet,
    reading: Objective,
    pixels: Any,
    channels: Any,
    weights: Any,
    *,
    rounded: bool = False,
) -> Read:
    """Value of an objective for each picture of a batch.

    Parameters
    ----------
    convnet : ConvNet
    reading : Objective
        What `Objective.reading` gives.
    pixels : float32 tensor ``(n, h, w, c)``, 0..255
    channels : int32 tensor ``(n, k)``
    weights : float32 tensor ``(n, k)``
    rounded : bool
        Whether the network is run as `vizlib.bfloat16` does.

    Returns
    -------
    Read
    """
    tensor = convnet.preprocessing.apply(pixels)
    if reading.layer is None:
        scores = convnet.differentiable_scores(tensor, rounded=rounded)
        own = tf.gather(scores, channels, axis=1, batch_dims=1)
        values = tf.reduce_sum(weights * own, axis=1)
        return Read(values, values, tf.ones(pixels.shape[:1], tf.bool))
    run = functools.partial(convnet.layer_output, tensor, reading.layer, rounded=rounded)
    after, before, compared = _own_maps(run, reading, channels)
    if reading.before:
        after = before
    values, fires = _rescued(after, before, weights)
    if not reading.diversity:
        return Read(values, values, fires)
    shared = reading.diversity * tf.stop_gradient(tf.abs(values)) * likeness(compared)
    return Read(values - shared, values, fires)


def likeness(maps: Any) -> Any:
    """Mean cosine of each picture's Gram matrix with those of the others, ``(n,)``, 0..1.

    A Gram matrix, of a style, holds how often each two of the channels of ``maps``
    ``(n, h, w, c)`` fire together.
    """
    count, _, _, channels = maps.shape
    features = tf.reshape(maps, (count, -1, channels))
    gram = tf.reshape(tf.matmul(features, features, transpose_a=True), (count, -1))
    directions = tf.math.l2_normalize(gram, axis=1)
    cosines = tf.matmul(directions, directions, transpose_b=True)
    return (tf.reduce_sum(cosines, axis=1) - tf.linalg.diag_part(cosines)) / (count - 1)


def _rescued(after: Any, before: Any, weights: Any) -> tuple[Any, Any]:
    """Weigh the channels ``(n, k)``, and tell whether any that shall fire does.

    Where a channel does not fire anywhere, its activation passes no gradient. There, its value
    before the activation (where the layer has one) takes its place until it does.
    """
    fires, wanted = tf.not_equal(after, 0), weights > 0
    asleep = tf.logical_and(wanted, tf.logical_not(fires))
    values = tf.where(asleep, tf.minimum(before, 0), after)
    awake = tf.reduce_any(tf.logical_and(wanted, fires), axis=1)
    nothing_wanted = tf.logical_not(tf.reduce_any(wanted, axis=1))
    return tf.reduce_sum(weights * values, axis=1), tf.logical_or(awake, nothing_wanted)


def _own_maps(
    run_layer: Callable[..., Any], reading: Objective, channels: Any
) -> tuple[Any, Any, Any]:
    """Values ``(n, k)`` after and before the activation, and the maps after it."""
    apart = []

    def compute(operation: Any, inputs: Any, run: Callable[[], Any]) -> tuple[Any, Any]:
        if _convolves_channels_apart(operation) and not reading.diversity:
            apart.append(operation)
            before = _convolve_own(operation, inputs, channels)
            return operation.activation(before), before
        if is_activation(operation) and tf.is_tensor(inputs):
            return run(), inputs
        return run_with_pre_activation(operation, run)

    maps = run_layer(compute=compute)
    own = [_at_place(m, None if apart else channels, reading.place) for m in maps]
    return own[0], own[1], maps[0]


def _at_place(maps: Any, channels: Any | None, place: Place) -> Any:
    """Mean over places, or value at one, of channels ``channels[i]`` in picture ``i``.

    All channels of the maps where none are given.
    """
    if place == "everywhere":
        alone = maps.shape[-1] == 1
        values = tf.reduce_mean(maps, axis=(1, 2, 3) if alone else (1, 2))
        values = values[:, None] if alone else values
    else:
        row, column = _row_and_column(maps.shape[1:3], place)
        values = maps[:, row, column]
    return values if channels is None else tf.gather(values, channels, axis=1, batch_dims=1)


def _row_and_column(size: tuple[int, int], place: Place) -> tuple[int, int]:
    if place == "centre":
        return size[0] // 2, size[1] // 2
    row, column = (
        checked_integer(name, number, low=0, high=side - 1)
        for name, number, side in zip(("row of place", "column of place"), place, size, strict=True)
    )
    return row, column


def _convolves_channels_apart(operation: Any) -> bool:
    return (
        type(operation) is keras.layers.Conv2D
        and operation.data_format == "channels_last"
        and operation.groups == 1
        and operation.activation in _ELEMENTWISE
    )


def _convolve_own(operation: Any, inputs: Any, channels: Any) -> Any:
    """Convolve each picture with the kernels of its own channels only, ``(n, h, w, k)``.

    Of a layer with hundreds of channels few are wanted for each picture; with ``n * k`` kernels
    in place of all of them the last layer costs a fraction of itself.
    """
    every = tf.reshape(channels, (-1,))
    kernel = keras.ops.take(operation.kernel, every, axis=-1)
    maps = keras.ops.conv(
        inputs,
        kernel,
        strides=operation.strides,
        padding=operation.padding,
        data_format="channels_last",
        dilation_rate=operation.dilation_rate,
    )
    if operation.use_bias:
        maps += keras.ops.take(operation.bias, every)
    own = tf.reshape(tf.range(tf.size(channels)), tf.shape(channels))
    return tf.gather(maps, own, axis=3, batch_dims=1)


_ELEMENTWISE = (
    *(keras.activations.linear, keras.activations.relu, keras.activations.relu6),
    *(keras.activations.sigmoid, keras.activations.tanh, keras.activations.elu),
    *(keras.activations.selu, keras.activations.silu, keras.activations.gelu),
    *(keras.activations.leaky_relu, keras.activations.softplus, keras.activations.softsign),
)
