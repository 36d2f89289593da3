"""Two ways to send a score back to what the network received: as it is, and guided."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import tensorflow as tf

Score = Callable[[Any], Any]

#: Graph operations that are ReLUs, with the name of the gradient that takes the usual one's place.
_GUIDED = {"Relu": "VizlibGuidedRelu", "Relu6": "VizlibGuidedRelu6"}


def plain_gradient(score: Score, batch: Any) -> Any | None:
    """Gradient of ``score(batch)``, eagerly or in a graph; None where nothing depends on it."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(batch)
        total = score(batch)
    return tape.gradient(total, batch)


def guided_gradient(score: Score, batch: Any) -> Any | None:
    """Gradient with ReLUs that hand back positive gradient only; inside a `tf.function`.

    Every ReLU that the score runs through is one operation of the graph, whether the network
    has it as a layer, as an activation of another layer, or as a bare function. So nothing of
    the network has to be replaced.
    """
    with batch.graph.gradient_override_map(_GUIDED):
        total = score(batch)
    return tf.gradients(total, batch)[0]


def _guided_relu(operation: Any, gradient: Any) -> Any:
    kept = tf.nn.relu(gradient)
    return tf.raw_ops.ReluGrad(gradients=kept, features=operation.outputs[0])


def _guided_relu6(operation: Any, gradient: Any) -> Any:
    kept = tf.nn.relu(gradient)
    return tf.raw_ops.Relu6Grad(gradients=kept, features=operation.outputs[0])


def _register(name: str, function: Callable[[Any, Any], Any]) -> None:
    # TensorFlow keeps it when this module is imported anew, and takes no name twice.
    with suppress(KeyError):
        tf.RegisterGradient(name)(function)


_register(_GUIDED["Relu"], _guided_relu)
_register(_GUIDED["Relu6"], _guided_relu6)
