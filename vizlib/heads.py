"""The end of a classifier: where its logits are, and what turns them into probabilities."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import tensorflow as tf

HeadKind = Literal["softmax", "sigmoid", "distribution", "linear"]

_UNCHANGED = {"Identity", "Cast", "Reshape", "Squeeze"}
_ACTIVATIONS: dict[str, HeadKind] = {"Softmax": "softmax", "Sigmoid": "sigmoid"}


def flat_scores(output: Any) -> Any:
    """Reshape ``(n, classes)`` or ``(n, 1, 1, classes)`` to ``(n, classes)``, as float32."""
    return tf.cast(tf.reshape(output, (output.shape[0], -1)), tf.float32)


def logits(output: Any) -> Any | None:
    """Find the tensor that went into the final softmax or sigmoid.

    Keras keeps it on the output tensor for its own losses. Where it does not (an activation
    called past Keras, a cast after it), a graph tensor is followed back to the operation.

    Returns
    -------
    tensor or None
        None when the output is linear, or when an eager tensor does not tell.
    """
    kept = getattr(output, "_keras_logits", None)
    if kept is not None or not hasattr(output, "graph"):
        return kept
    operation = final_operation(output)
    return operation.inputs[0] if operation.type in _ACTIVATIONS else None


def final_operation(output: Any) -> Any:
    """Follow a graph tensor back to the operation that computed its numbers."""
    while output.op.type in _UNCHANGED:
        output = output.op.inputs[0]
    return output.op


def activation_of(output: Any) -> HeadKind:
    """Name the activation that computed a graph tensor."""
    return _ACTIVATIONS.get(final_operation(output).type, "linear")


def head_kind(output: np.ndarray, before: np.ndarray | None) -> HeadKind | None:
    """Tell the activation from one output and its logits, both ``(classes,)``.

    Returns None where both activations fit, as they do for saturated logits.
    """
    if before is None:
        return "distribution" if is_distribution(output) else "linear"
    # One unit cannot be a softmax: it would be 1 whatever the photo.
    is_softmax = len(output) > 1 and np.allclose(softmax(before), output, atol=1e-3)
    is_sigmoid = np.allclose(sigmoid(before), output, atol=1e-3)
    if is_softmax and is_sigmoid:
        return None
    return "softmax" if is_softmax else "sigmoid"


def is_distribution(output: np.ndarray) -> bool:
    """Whether an output ``(classes,)`` can only be probabilities, such as an average of several."""
    return len(output) > 1 and output.min() >= 0 and abs(output.sum() - 1) < 1e-3


def log_probabilities(output: Any) -> Any:
    """Stand in for the logits of probabilities that have none: a softmax gives them back."""
    return tf.math.log(tf.maximum(output, np.finfo("float32").tiny))


def class_scores(before: Any) -> Any:
    """Logits of every class ``(n, classes)``: one unit ``z`` stands for two classes, −z and z."""
    return tf.concat([-before, before], axis=1) if before.shape[1] == 1 else before


def probabilities(scores: np.ndarray, *, kind: HeadKind, units: int) -> np.ndarray:
    """Turn logits ``(classes,)`` into probabilities ``(classes,)``, float32.

    A softmax, a linear head and a single unit give probabilities that sum to 1. Several sigmoid
    units are independent answers, and their probabilities do not.
    """
    if units == 1 or kind == "sigmoid":
        return sigmoid(scores)
    return softmax(scores)


def softmax(values: np.ndarray) -> np.ndarray:
    """Softmax of ``(classes,)`` in float64, returned as float32."""
    exponentials = np.exp(np.asarray(values, "float64") - np.max(values))
    return (exponentials / exponentials.sum()).astype("float32")


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Elementwise logistic function, computed without overflow; float32."""
    return (0.5 * (1 + np.tanh(0.5 * np.asarray(values, "float64")))).astype("float32")
