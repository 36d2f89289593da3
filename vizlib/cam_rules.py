"""The rules of class activation maps: arrays in, one map out.

Throughout, ``maps`` and ``gradient`` are ``(h, w, channels)``: what a layer gives for one photo,
and the gradient of a class score with respect to it. Results are signed, float32 ``(h, w)``.
The papers are cited in `vizlib.cams`, at the functions that apply the rules to a network.
"""

from __future__ import annotations

import numpy as np


def weighted_sum(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Add the maps up, each times its weight ``(channels,)``."""
    return np.asarray(maps @ weights, "float32")


def grad_cam(maps: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Weigh each map by the mean of its gradient."""
    return weighted_sum(maps, gradient.mean(axis=(0, 1)))


def hires_cam(maps: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Weigh each place of each map by its own gradient."""
    return np.asarray((maps * gradient).sum(axis=2), "float32")


def layer_cam(maps: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Weigh each place of each map by its own gradient where that is above zero."""
    return hires_cam(maps, np.maximum(gradient, 0))


def xgrad_cam(maps: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Weigh each map by its gradient averaged where the map is strong; 0 for silent maps."""
    totals = maps.sum(axis=(0, 1))
    weights = (maps * gradient).sum(axis=(0, 1)) / np.where(totals == 0, 1, totals)
    return weighted_sum(maps, np.where(totals == 0, 0, weights))


def grad_cam_plus_plus(maps: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Weigh each map by its positive gradients, each divided by `plus_plus_divisor`."""
    divisor = plus_plus_divisor(maps, gradient)
    shares = np.maximum(gradient, 0) / np.where(divisor == 0, np.inf, divisor)
    return weighted_sum(maps, shares.sum(axis=(0, 1)))


def plus_plus_divisor(maps: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Grad-CAM++'s divisor ``2 + sum(map) * gradient`` at each place, ``(h, w, channels)``.

    The published weight ``g² / (2 g² + sum(map) g³)`` with ``g²`` cancelled, so that nothing has
    to be added to keep it from dividing by zero.
    """
    return 2 + maps.sum(axis=(0, 1)) * np.maximum(gradient, 0)


def eigen_cam(maps: np.ndarray) -> np.ndarray:
    """Project each place on the direction of channel space in which all are strongest together.

    That direction has no sign of its own: it is turned so that the map adds up to more than zero.
    """
    places = maps.reshape(-1, maps.shape[2]).astype("float64")
    if not np.isfinite(places).all():
        return np.full(maps.shape[:2], np.nan, "float32")
    projection = _first_principal_projection(places)
    turned = projection if projection.sum() >= 0 else -projection
    return np.asarray(turned.reshape(maps.shape[:2]), "float32")


def _first_principal_projection(rows: np.ndarray) -> np.ndarray:
    """``rows @ v`` with the first right singular vector ``v``, up to its sign.

    From the smaller of the two matrices of dot products: many times as fast as decomposing the
    rows, and of the largest singular value nothing is lost.
    """
    count, length = rows.shape
    if length <= count:
        return rows @ np.linalg.eigh(rows.T @ rows)[1][:, -1]
    squares, left = np.linalg.eigh(rows @ rows.T)
    return left[:, -1] * np.sqrt(max(0.0, squares[-1]))
