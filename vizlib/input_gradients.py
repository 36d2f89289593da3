"""Ways to send a score back through ReLUs: as it is, guided, and redirected."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

import tensorflow as tf

Score = Callable[[Any], Any]

#: Graph operations that are ReLUs, with the name of the gradient that takes the usual one's place.
_GUIDED = {"Relu": "VizlibGuidedRelu", "Relu6": "VizlibGuidedRelu6"}
_REDIRECTED = {"Relu": "VizlibRedirectedRelu", "Relu6": "VizlibRedirectedRelu6"}


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


def redirected(graph: tf.Graph) -> AbstractContextManager[None]:
    """Let ReLUs that are silent hand back what would wake them, in what is built meanwhile.

    Where no gradient at all passes a ReLU for one item of a batch, what would raise its input
    passes. ReLUs that fire anywhere are as they are.

    References
    ----------
    The redirected ReLU of C. Olah et al.'s library Lucid, which comes with "Feature
    Visualization", Distill, 2017.
    """
    return graph.gradient_override_map(_REDIRECTED)


def _redirected_relu(operation: Any, gradient: Any) -> Any:
    passed = tf.raw_ops.ReluGrad(gradients=gradient, features=operation.outputs[0])
    return _woken(passed, gradient)


def _redirected_relu6(operation: Any, gradient: Any) -> Any:
    passed = tf.raw_ops.Relu6Grad(gradients=gradient, features=operation.outputs[0])
    # Where it is at its most, nothing more is to be had.
    return _woken(passed, tf.where(operation.inputs[0] < 6, gradient, tf.zeros_like(gradient)))


def _woken(passed: Any, gradient: Any) -> Any:
    axes = range(1, passed.shape.rank)
    silent = tf.logical_not(tf.reduce_any(tf.not_equal(passed, 0), axis=axes, keepdims=True))
    return tf.where(silent, tf.nn.relu(gradient), passed)


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
_register(_REDIRECTED["Relu"], _redirected_relu)
_register(_REDIRECTED["Relu6"], _redirected_relu6)
