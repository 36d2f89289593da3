"""Convolutions on numbers of half the bits, where the processor has instructions for them.

bfloat16 keeps the range of float32 and eight of its bits. Recent processors multiply such numbers
twice as fast or faster, and half as much has to go through memory, which is enough for finding a
way uphill; what is reported of a network is never computed so.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

_INSTRUCTIONS = {"avx512_bf16", "amx_bf16"}


@functools.cache
def is_fast() -> bool:
    """Whether this machine computes with bfloat16 faster than with float32.

    It says so of processors that Linux knows to have the instructions; of others it never does.
    On a GPU float32 stays.
    """
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0" or tf.config.list_physical_devices("GPU"):
        return False
    try:
        told = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return False
    return not _INSTRUCTIONS.isdisjoint(told.split())


def run_rounded(operation: Any, inputs: Any, run: Callable[[], Any]) -> Any:
    """Run a layer; what takes most of the time of a convolutional network runs in bfloat16.

    Convolutions and the pooling between them are rounded, and give float32 again, so that nothing
    else notices: TensorFlow drops the conversions between two that follow one another.
    """
    rounded = _ROUNDED.get(type(operation))
    if rounded is None or operation.compute_dtype != "float32":
        return run()
    return rounded(operation, tf.cast(inputs, tf.bfloat16))


def _convolve(operation: Any, inputs: Any) -> Any:
    maps = operation.convolution_op(inputs, tf.cast(operation.kernel, tf.bfloat16))
    if operation.use_bias:
        by_channel = (1, -1, 1, 1) if operation.data_format == "channels_first" else (1, 1, 1, -1)
        maps += tf.reshape(tf.cast(operation.bias, tf.bfloat16), by_channel)
    if operation.activation is keras.activations.relu:
        return tf.cast(tf.nn.relu(maps), tf.float32)
    return operation.activation(tf.cast(maps, tf.float32))


def _pool(operation: Any, inputs: Any) -> Any:
    maps = keras.ops.max_pool(
        inputs,
        operation.pool_size,
        strides=operation.strides,
        padding=operation.padding,
        data_format=operation.data_format,
    )
    return tf.cast(maps, tf.float32)


_ROUNDED: dict[type, Callable[[Any, Any], Any]] = {
    keras.layers.Conv2D: _convolve,
    keras.layers.MaxPooling2D: _pool,
}
