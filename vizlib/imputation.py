"""Fill holes in a picture so that every pixel in them is the mean of its neighbours."""

from __future__ import annotations

from typing import Literal, NamedTuple

import cv2
import numpy as np

_TOLERANCE = 1e-3  # levels of 255 by which a pixel may miss the mean of its neighbours
_DAMPING = 0.8  # of Jacobi's step, so that it smooths what is left to do
_COARSEST = 4  # pixels of a side that is not halved any more
_MOST_STEPS = 500  # some 15 are taken

#: Rong et al.'s weights of the eight neighbours: 1/6 beside and 1/12 across the corner.
_NEIGHBOURS = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]], "float64") / 12
_BLUR = np.array([1, 2, 1], "float64") / 4


class _Level(NamedTuple):
    """The system at one resolution: ``weights * x - around(x) = target`` where pixels miss."""

    missing: np.ndarray  # float64 (h, w, c): 1 where a pixel is to be found, else 0
    weights: np.ndarray  # float64 (h, w, c): sum of the weights of the neighbours there are


def impute(pixels: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Make every missing pixel the weighted mean of its eight neighbours, missing ones included.

    Parameters
    ----------
    pixels : float array ``(h, w, c)``, 0..255
    kept : bool array ``(h, w)``
        Where none is kept, the picture becomes its mean colour.

    Returns
    -------
    float32 array ``(h, w, c)``

    References
    ----------
    Y. Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution Methods", ICML
    2022, https://arxiv.org/abs/2202.00449, without its noise. The sparse linear system is
    symmetric and positive: conjugate gradients solve it, and a multigrid cycle before each step
    keeps the number of steps small whatever the size of the hole (W. L. Briggs et al., *A
    Multigrid Tutorial*, 2000).
    """
    values = np.asarray(pixels, "float64")
    if not kept.any():
        return np.broadcast_to(values.mean(axis=(0, 1)), values.shape).astype("float32")
    if kept.all():
        return values.astype("float32")
    # All channels at full size: NumPy is ten times as slow where it has to repeat a last axis.
    missing = np.repeat(~kept[..., None], values.shape[2], axis=2)
    found = _solve(np.where(missing, 0, values), _levels(missing), values[kept].mean(axis=0))
    return np.where(missing, found, values).astype("float32")


def _solve(known: np.ndarray, levels: list[_Level], start: np.ndarray) -> np.ndarray:
    """Missing pixels ``(h, w, c)``, from the known ones with zeros where pixels miss."""
    missing = levels[0].missing
    found = start * missing
    residual = _around(known) * missing - _system(found, levels[0])
    direction, before = np.zeros_like(found), 1.0
    for _ in range(_MOST_STEPS):
        if np.abs(residual).max() <= _TOLERANCE:
            break
        step = _cycle(residual, levels)
        size = _dot(residual, step)
        direction = step + size / before * direction
        image = _system(direction, levels[0])
        length = size / _dot(direction, image)
        found = found + length * direction
        residual = residual - length * image
        before = size
    return found


def _cycle(target: np.ndarray, levels: list[_Level]) -> np.ndarray:
    """Solve the system roughly: smooth, correct by the solution at half the size, smooth."""
    level, coarser = levels[0], levels[1:]
    found = _smoothed(np.zeros_like(target), target, level)
    if coarser:
        rest = _halved(target - _system(found, level)) * coarser[0].missing
        # At half the size the same weights stand for four times the curvature.
        found = found + _doubled(_cycle(4 * rest, coarser), target.shape) * level.missing
    return _smoothed(found, target, level)


def _smoothed(values: np.ndarray, target: np.ndarray, level: _Level) -> np.ndarray:
    return values + _DAMPING * (target - _system(values, level)) / level.weights


def _dot(one: np.ndarray, other: np.ndarray) -> float:
    # Not vdot: threads of BLAS cost more than they save here, above all where others compute too.
    return float((one * other).sum())


def _system(values: np.ndarray, level: _Level) -> np.ndarray:
    return (level.weights * values - _around(values)) * level.missing


def _around(values: np.ndarray) -> np.ndarray:
    """Weighted sum of the neighbours of every pixel, those outside the picture counted as zero."""
    sums = cv2.filter2D(values, -1, _NEIGHBOURS, borderType=cv2.BORDER_CONSTANT)
    return sums.reshape(values.shape)


def _levels(missing: np.ndarray) -> list[_Level]:
    """The system at full size, at half of it, and so on until no whole block misses."""
    levels = []
    while missing.any():
        levels.append(_Level(missing.astype("float64"), _around(np.ones(missing.shape))))
        if min(missing.shape[:2]) <= _COARSEST:
            break
        even = _evened(missing, mode="edge")
        missing = even[::2, ::2] & even[1::2, ::2] & even[::2, 1::2] & even[1::2, 1::2]
    return levels


def _doubled(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Interpolate to twice the size, cut to ``shape``."""
    height, width, channels = values.shape
    doubled = cv2.resize(values, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
    return doubled.reshape(2 * height, 2 * width, channels)[: shape[0], : shape[1]]


def _halved(values: np.ndarray) -> np.ndarray:
    """Bring to half the size, by the transpose of `_doubled` over 4.

    Conjugate gradients need a symmetric cycle: with any other way down they may never arrive.
    """
    even = _evened(values, mode="constant")
    blurred = cv2.sepFilter2D(even, -1, _BLUR, _BLUR, borderType=cv2.BORDER_REPLICATE)
    height, width, channels = even.shape
    half = (width // 2, height // 2)
    halved = cv2.resize(blurred, half, interpolation=cv2.INTER_AREA)
    return halved.reshape(height // 2, width // 2, channels)


def _evened(values: np.ndarray, *, mode: Literal["edge", "constant"]) -> np.ndarray:
    height, width, _ = values.shape
    return np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)), mode=mode)
