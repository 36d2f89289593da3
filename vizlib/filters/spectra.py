"""How strong waves of each frequency and colour are in photos."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from importlib.resources import files

import cv2
import numpy as np

#: ``spectrum(shape) -> float32 (channels, h, w // 2 + 1)``: the strength of each wave of a
#: picture ``(h, w, channels)``, as `numpy.fft.rfft2` would measure it before the sigmoid.
Spectrum = Callable[[tuple[int, int, int]], np.ndarray]

_MEASURED = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
#: Columns of light, red against blue, green against the rest: a square root of the covariance of
#: red, green and blue in ImageNet's photos, as Lucid has it (``lucid/optvis/param/color.py``),
#: scaled so that its longest column has length 1.
COLOURS = (_MEASURED / np.linalg.norm(_MEASURED, axis=0).max()).astype("float32")

#: Spread of a picture before the sigmoid, about that of photos of 224 x 224 pixels. The same at
#: any size: small photos show as much as large ones.
_CONTRAST = 1.3


def frequencies(height: int, width: int) -> np.ndarray:
    """Cycles per pixel of each wave, ``(h, w // 2 + 1)``, in the order of `numpy.fft.rfft2`."""
    return np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])


def one_over_f(shape: tuple[int, int, int]) -> np.ndarray:
    """1/frequency, at most the longer side, times the root of the area; ``(h, w // 2 + 1)``.

    With it white noise becomes a picture whose spread hardly depends on its size.
    """
    height, width = shape[:2]
    slowest = 1 / max(height, width)
    scale = np.sqrt(height * width) / np.maximum(frequencies(height, width), slowest)
    return scale.astype("float32")


def modelled_spectrum(shape: tuple[int, int, int]) -> np.ndarray:
    """The strength 1/frequency, alike in every direction and colour.

    References
    ----------
    D. J. Field, "Relations between the statistics of natural images and the response properties
    of cortical cells", Journal of the Optical Society of America A, 1987.
    """
    return _with_contrast(np.repeat(one_over_f(shape)[None], shape[2], axis=0), shape)


def photo_spectrum(shape: tuple[int, int, int]) -> np.ndarray:
    """The mean strength in the photos of ``sample_images``, by ``scripts/photo_spectrum.py``.

    Below the lowest frequency that was measured it goes on as 1/frequency.
    """
    height, width, channels = shape
    table = _photo_table()[:channels]
    last = table.shape[1] - 1
    rows, columns = np.meshgrid(
        *(2 * last * np.abs(f) for f in (np.fft.fftfreq(height), np.fft.rfftfreq(width))),
        indexing="ij",
    )
    places = columns.astype("float32"), rows.astype("float32")
    whitened = np.stack([cv2.remap(t, *places, cv2.INTER_LINEAR) for t in table])
    return _with_contrast(whitened * one_over_f(shape), shape)


def _with_contrast(strength: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Take the mean away, and let the picture have the spread of a photo."""
    waves = strength.copy()
    waves[:, 0, 0] = 0
    # By Parseval's theorem the spread is the same whatever the phases.
    spread = np.fft.irfft2(waves, s=shape[:2]).std() or 1.0
    return (waves * _CONTRAST / spread).astype("float32")


@functools.cache
def _photo_table() -> np.ndarray:
    """Strength times frequency, over the root of the area: ``(3, rows, columns)``, 0 to 1/2."""
    text = files("vizlib.data").joinpath("photo_spectrum.json").read_text(encoding="utf-8")
    return np.array(json.loads(text)["whitened"], "float32")
