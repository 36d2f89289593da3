"""How alike two maps are."""

from __future__ import annotations

import cv2
import numpy as np


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation of two arrays of one shape, 0 where one of them does not vary."""
    a, b = (np.asarray(values, "float64").ravel() for values in (one, other))
    # What float32 sums of equal numbers differ by is no variation.
    if any(np.ptp(values) <= 1e-6 * np.abs(values).max() for values in (a, b)):
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation: Pearson's of the ranks, equal values sharing the mean of theirs."""
    return correlation(_ranks(one), _ranks(other))


def _ranks(values: np.ndarray) -> np.ndarray:
    _, groups, counts = np.unique(np.ravel(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[groups]


def structural_similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Mean SSIM of two maps ``(h, w)`` as they are drawn in a diverging colour map, -1 to 1.

    That is divided by the largest absolute value, with zero in the middle of the range: around
    zero itself, SSIM would take a map and its negative for the same.

    Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity",
    IEEE Transactions on Image Processing, 2004, with a Gaussian window of 1.5 places.
    """
    a, b = (_drawn(values) for values in (one, other))
    mean_a, mean_b = _window(a), _window(b)
    variances = _window(a * a) - mean_a**2 + _window(b * b) - mean_b**2
    covariance = _window(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
    structure = (2 * covariance + 0.03**2) / (variances + 0.03**2)
    return float((luminance * structure).mean())


def _drawn(values: np.ndarray) -> np.ndarray:
    floats = np.asarray(values, "float64")
    return 0.5 + floats / (2 * (np.abs(floats).max() or 1))


def _window(values: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(values, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT)
