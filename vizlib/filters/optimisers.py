"""How far to go along a gradient, uphill.

What depends on the number of the step alone is computed beside the graph and handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class Optimiser:
    """A rule for a step.

    Attributes
    ----------
    moments : int
        How many arrays like the parameters it remembers from step to step, zero at first.
    factors : callable
        ``factors(step) -> float32 array``: numbers that depend on the step only, which is 1 first.
    ascend : callable
        ``ascend(parameters, gradient, moments, factors) -> (parameters, moments)`` on tensors with
        one item for each picture first, which must not mix the pictures.
    """

    moments: int
    factors: Callable[[int], np.ndarray]
    ascend: Callable[[Any, Any, tuple[Any, ...], Any], tuple[Any, tuple[Any, ...]]]


def normalised(step: float) -> Optimiser:
    """Go along the gradient so that the root mean square of a picture's change is ``step``."""

    def ascend(parameters: Any, gradient: Any, moments: Any, _factors: Any) -> Any:
        # Each picture by itself, so that those in a batch do not know of one another.
        mean_square = tf.reduce_mean(tf.square(gradient), axis=(1, 2, 3), keepdims=True)
        length = tf.math.rsqrt(tf.maximum(mean_square, 1e-30))
        return parameters + step * gradient * length, moments

    return Optimiser(0, lambda _step: np.zeros(0, "float32"), ascend)


def adam(
    rate: float, *, beta_1: float = 0.9, beta_2: float = 0.999, floor: float = 0.0
) -> Optimiser:
    """Adam, with steps cut short where a parameter hardly matters.

    Adam steps as far for a parameter whose gradient is a rounding error as for one that counts,
    and a channel that looks for a plain colour gets spots. With a ``floor``, steps are short for
    parameters whose gradient is below that many times the largest of their picture.

    References
    ----------
    D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
    """

    def factors(step: int) -> np.ndarray:
        return np.array([rate / (1 - beta_1**step), 0, 1 / (1 - beta_2**step)], "float32")

    return Optimiser(2, factors, _by_moments(beta_1, beta_2, floor))


def nadam(rate: float, *, beta_1: float = 0.9, beta_2: float = 0.999) -> Optimiser:
    """Adam with Nesterov's momentum, warmed up as `keras.optimizers.Nadam` has it.

    References
    ----------
    T. Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop, 2016.
    """

    def momentum(step: int) -> float:
        return beta_1 * (1 - 0.5 * 0.96**step)

    def factors(step: int) -> np.ndarray:
        product = math.prod(map(momentum, range(1, step + 1)))
        now, following = momentum(step), momentum(step + 1)
        remembered = rate * following / (1 - product * following)
        fresh = rate * (1 - now) / (1 - product)
        return np.array([remembered, fresh, 1 / (1 - beta_2**step)], "float32")

    return Optimiser(2, factors, _by_moments(beta_1, beta_2))


#: Far below the gradient of any network: channels differ by many orders of magnitude, and a step
#: shall not depend on the units of a layer.
_TINY = 1e-16


def _by_moments(
    beta_1: float, beta_2: float, floor: float = 0.0
) -> Callable[[Any, Any, Any, Any], Any]:
    """Step by a mean of gradients over the root of the mean of their squares."""

    def ascend(parameters: Any, gradient: Any, moments: Any, factors: Any) -> Any:
        mean, square = moments
        mean += (1 - beta_1) * (gradient - mean)
        square += (1 - beta_2) * (tf.square(gradient) - square)
        size = tf.sqrt(factors[2] * square)
        least = _TINY + floor * _largest_of_each(size) if floor else _TINY
        change = (factors[0] * mean + factors[1] * gradient) / (size + least)
        return parameters + change, (mean, square)

    return ascend


def _largest_of_each(values: Any) -> Any:
    return tf.reduce_max(values, axis=range(1, values.shape.rank), keepdims=True)
