"""How the network is shown a picture: moved, turned, scaled or cropped a little, each step anew.

What a channel answers to should survive it. Each transform is a 3 x 3 matrix that takes a place
``(x, y, 1)`` of the view to the place in the picture that it shows; all of them together are one
matrix, so a view costs one resampling, whatever its recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

#: ``view(rng, (h, w)) -> float64 (3, 3)``: a random view of a picture of that size.
View = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


class Shown(NamedTuple):
    """One view of ``p`` pixels as a sparse matrix: how much each of them takes from which."""

    places: Any  # int64 (4 p, 2): pixel of the view, pixel of the picture
    shares: Any  # float32 (4 p,)


def robust_view(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Jitter, scale by 0.9 to 1.1, turn by up to 10 degrees, jitter.

    The jitters are up to 1/16 and 1/32 of a side, so that they suit any size.

    References
    ----------
    C. Olah, A. Mordvintsev, L. Schubert, "Feature Visualization", Distill, 2017. Lucid's standard
    transforms pad with grey first and cut afterwards; here the view has the picture's size.
    """
    return (
        _jitter(rng, size, 1 / 16)
        @ about_centre(scaling(1 / rng.uniform(0.9, 1.1)), size)
        @ about_centre(rotation(rng.uniform(-10, 10)), size)
        @ _jitter(rng, size, 1 / 32)
    )


def random_crop(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Show a part of 0.6 to 1 of each side, most often near the middle, in full size.

    References
    ----------
    T. Fel et al., "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained
    Optimization", NeurIPS 2023: crops around a normally distributed centre.
    """
    part = rng.uniform(0.6, 1)
    room = (1 - part) / 2
    down, right = np.clip(rng.normal(0, 0.2, 2), -room, room) * size
    return translation(right, down) @ about_centre(scaling(part), size)


def anywhere(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Show what begins at any place of the picture."""
    return _jitter(rng, size, 1)


def by_turns(seed: int, step: int, size: tuple[int, int], parts: int) -> np.ndarray:
    """Show what begins at one of the corners of a picture cut in ``parts * parts`` windows.

    ``parts * parts`` steps show all of it, in any order, cut anew for the next ones. Windows
    anywhere would leave some places out for many steps, whose colours then drift.
    """
    turn, now = divmod(step - 1, parts * parts)
    rng = np.random.default_rng((seed, turn, 2))
    start = anywhere(rng, size)
    row, column = divmod(int(rng.permutation(parts * parts)[now]), parts)
    height, width = window(size, parts)
    return start @ translation(column * width, row * height)


def window(size: tuple[int, int], parts: int) -> tuple[int, int]:
    """Size of the windows that a picture is cut into; they overlap by a pixel where they must."""
    return -(-size[0] // parts), -(-size[1] // parts)


def translation(right: float, down: float) -> np.ndarray:
    """Show what lies that many pixels to the right and below."""
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1.0]])


def scaling(factor: float) -> np.ndarray:
    """Show that many times as much of each side."""
    return np.diag([factor, factor, 1.0])


def rotation(degrees: float) -> np.ndarray:
    """Show the picture turned counter-clockwise."""
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])


def about_centre(matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Let a matrix leave the middle of the picture where it is."""
    down, right = (size[0] - 1) / 2, (size[1] - 1) / 2
    return translation(right, down) @ matrix @ translation(-right, -down)


def shown(matrix: np.ndarray, size: tuple[int, int], view: tuple[int, int]) -> Shown:
    """Prepare a matrix for `look`: bilinear, and going on at the other side where one ends.

    Were there grey beyond the sides, the corners would be seen less often than the middle, and
    their colours would drift to whatever makes the middle's stronger.
    """
    height, width = size
    down, right = np.mgrid[: view[0], : view[1]].reshape(2, -1)
    x, y = matrix[:2] @ np.stack([right, down, np.ones_like(down)])
    left, top = np.floor(x).astype("int64"), np.floor(y).astype("int64")
    columns, rows = np.stack([left, left + 1] * 2, 1), np.stack([top, top, top + 1, top + 1], 1)
    shares = (1 - np.abs(columns - x[:, None])) * (1 - np.abs(rows - y[:, None]))
    taken = rows % height * width + columns % width
    places = np.stack([np.repeat(np.arange(view[0] * view[1]), 4), taken.ravel()], axis=1)
    return Shown(places, shares.astype("float32").ravel())


def look(pixels: Any, shown: Shown, view: tuple[int, int]) -> Any:
    """Resample pictures ``(n, h, w, c)`` to the size of the view, all alike.

    As a product with a sparse matrix, whose gradient is exact; `ImageProjectiveTransformV3` takes
    twice as long, and only resamples the gradient the other way round.
    """
    count, height, width, channels = pixels.shape
    beside = tf.reshape(tf.transpose(pixels, (1, 2, 0, 3)), (height * width, count * channels))
    matrix = tf.SparseTensor(shown.places, shown.shares, (view[0] * view[1], height * width))
    seen = tf.sparse.sparse_dense_matmul(matrix, beside)
    return tf.transpose(tf.reshape(seen, (*view, count, channels)), (2, 0, 1, 3))


def _jitter(rng: np.random.Generator, size: tuple[int, int], part: float) -> np.ndarray:
    down, right = rng.uniform(-part / 2, part / 2, 2) * size
    return translation(right, down)
