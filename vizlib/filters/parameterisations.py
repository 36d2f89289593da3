"""What is changed step by step, and the picture it stands for.

A picture can be its pixels, or waves that are weighed, or waves of a fixed strength that are only
moved. What ascent finds depends on it: a step along the gradient is long where the
parameterisation makes it cheap to go.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from vizlib.filters.spectra import COLOURS, Spectrum, frequencies, one_over_f

Shape = tuple[int, int, int]  # height, width, channels of one picture


@dataclass(frozen=True)
class Parameterisation:
    """Numbers that stand for a picture.

    Attributes
    ----------
    start : callable
        ``start(rng, shape) -> float32 array``: the parameters of one picture ``(h, w, channels)``.
    picture : callable
        ``picture(parameters, shape) -> tensor (n, h, w, channels)``, pixels 0..255, of a batch of
        parameters, differentiable.
    develop : callable
        ``develop(pixels) -> uint8 array`` of the same shape ``(h, w, channels)``.
    """

    start: Callable[[np.random.Generator, Shape], np.ndarray]
    picture: Callable[[Any, Shape], Any]
    develop: Callable[[np.ndarray], np.ndarray]


def pixels() -> Parameterisation:
    """Every pixel by itself, from grey noise, shown with standardised colours.

    References
    ----------
    F. Chollet, *Deep Learning with Python*, "Visualizing convnet filters".
    """
    return Parameterisation(_grey_noise, lambda parameters, _shape: parameters, _standardized)


def fourier() -> Parameterisation:
    """Waves weighed by 1/frequency, in colours that vary independently in photos.

    References
    ----------
    C. Olah, A. Mordvintsev, L. Schubert, "Feature Visualization", Distill, 2017, and its library
    Lucid, from which the numbers are.
    """

    def picture(parameters: Any, shape: Shape) -> Any:
        scale = tf.constant(one_over_f(shape) / _FOURIER_CONTRAST)
        real, imaginary = tf.unstack(parameters * scale, axis=1)
        return _in_range(_from_waves(real, imaginary, shape))

    return Parameterisation(_weak_waves, picture, _rounded)


def phases(spectrum: Spectrum) -> Parameterisation:
    """Waves as strong as in photos, of which only the places of the crests change.

    So strong they are pale, so the contrast of the finished picture is stretched.

    References
    ----------
    T. Fel et al., "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained
    Optimization", NeurIPS 2023.
    """

    def picture(parameters: Any, shape: Shape) -> Any:
        return _in_range(_from_waves(*phase_waves(parameters, spectrum, shape), shape))

    return Parameterisation(_any_phase, picture, _stretched)


def phase_waves(parameters: Any, spectrum: Spectrum, shape: Shape) -> tuple[Any, Any]:
    """Waves of fixed strength, real and imaginary part, each ``(n, c, h, w // 2 + 1)``.

    A real picture has, in the columns of a real Fourier transform that mirror themselves, pairs
    of opposite phase. Taking them so keeps the strength of every wave exactly as given.
    """
    mirrored = _own_mirror_images(shape[1]).astype("float32")
    opposite = tf.roll(tf.reverse(parameters, axis=[2]), 1, axis=2)
    phase = parameters - mirrored * opposite
    strength = tf.constant(spectrum(shape))
    return strength * tf.cos(phase), strength * tf.sin(phase)


#: Lucid's, so that the first picture is grey with a little colour.
_FOURIER_CONTRAST = 4.0
_FOURIER_START = 0.01


def _from_waves(real: Any, imaginary: Any, shape: Shape) -> Any:
    """Decorrelated values ``(n, h, w, c)`` around zero from waves ``(n, c, h, w // 2 + 1)``.

    In a graph its gradient is the transform the other way, in a third of the time that TensorFlow
    takes.
    """
    # A `tf.custom_gradient` would keep every graph that it is traced in for ever.
    in_graph = tf.is_symbolic_tensor(real)
    with real.graph.gradient_override_map(_GRADIENT) if in_graph else nullcontext():
        values = tf.signal.irfft2d(tf.complex(real, imaginary), fft_length=shape[:2])
    return tf.transpose(values, (0, 2, 3, 1))


_GRADIENT = {"IRFFT2D": "VizlibInverseRFFT2D"}


def _other_way(_operation: Any, gradient: Any) -> tuple[Any, None]:
    # Of a real picture only half the waves are written down; most stand for themselves and their
    # mirror image.
    height, width = gradient.shape[-2:]
    pairs = np.where(_own_mirror_images(width), 1, 2)
    return tf.signal.rfft2d(gradient) * (pairs / (height * width)).astype("complex64"), None


# TensorFlow keeps it when this module is imported anew, and takes no name twice.
with suppress(KeyError):
    tf.RegisterGradient(_GRADIENT["IRFFT2D"])(_other_way)


def _own_mirror_images(width: int) -> np.ndarray:
    """Which columns of a real transform are their own mirror images, ``(w // 2 + 1,)``."""
    return np.isin(np.arange(width // 2 + 1), (0, width / 2))


def _in_range(values: Any) -> Any:
    """Pixels 0..255 from decorrelated values; zero is grey."""
    if values.shape[-1] == 3:
        # Not tf.matmul, whose broadcasting in TensorFlow 2.21 writes past small tensors on a CPU.
        values = tf.tensordot(values, tf.constant(COLOURS.T), 1)
    return 255 * tf.sigmoid(values)


def _grey_noise(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return (255 * rng.uniform(0.4, 0.6, shape)).astype("float32")


def _weak_waves(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    size = (2, shape[2], *frequencies(shape[0], shape[1]).shape)
    return (_FOURIER_START * rng.standard_normal(size)).astype("float32")


def _any_phase(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    size = (shape[2], *frequencies(shape[0], shape[1]).shape)
    return rng.uniform(-math.pi, math.pi, size).astype("float32")


def _standardized(pixels: np.ndarray) -> np.ndarray:
    centred = pixels - pixels.mean()
    return np.clip(np.rint(128 + 64 * centred / (pixels.std() + 1e-5)), 0, 255).astype("uint8")


def _stretched(pixels: np.ndarray) -> np.ndarray:
    """All but the darkest and the brightest hundredth of the numbers from 0 to 255."""
    low, high = np.percentile(pixels, (1, 99))
    return _rounded(255 * (pixels - low) / (high - low)) if high > low else _rounded(pixels)


def _rounded(pixels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(pixels), 0, 255).astype("uint8")
