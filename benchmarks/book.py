"""The recipes of the book, as one would write them in plain Keras 3, to measure against.

After F. Chollet, *Deep Learning with Python*, "Interpreting what convnets learn"; own code.
"""

import io
from collections.abc import Iterable

import keras
import matplotlib as mpl
import numpy as np
import tensorflow as tf

mpl.use("Agg")
from matplotlib import pyplot as plt


def filter_patterns(
    extractor: keras.Model, channels: Iterable[int], *, side: int, steps: int
) -> list[np.ndarray]:
    """One picture after another, eagerly, each a batch of its own."""
    return [_pattern(extractor, channel, side=side, steps=steps) for channel in channels]


def _pattern(extractor: keras.Model, channel: int, *, side: int, steps: int) -> np.ndarray:
    image = tf.random.uniform((1, side, side, 3), 0.4, 0.6)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(image)
            loss = tf.reduce_mean(extractor(image, training=False)[..., channel])
        image += 10.0 * tf.math.l2_normalize(tape.gradient(loss, image))
    pixels = image[0].numpy()
    pixels = (pixels - pixels.mean()) / (pixels.std() + 1e-5)
    return np.clip(64 * pixels + 128, 0, 255).astype("uint8")


def activation_grid(maps: np.ndarray, *, columns: int = 16) -> bytes:
    """Fill a grid channel by channel and let matplotlib draw it at one dot a value."""
    height, width, channels = maps.shape
    rows = -(-channels // columns)
    grid = np.zeros(((height + 1) * rows - 1, (width + 1) * columns - 1))
    for row in range(rows):
        for column in range(columns):
            index = row * columns + column
            if index >= channels:
                break
            tile = maps[..., index].copy()
            if tile.sum() != 0:
                tile -= tile.mean()
                tile /= tile.std()
                tile *= 64
                tile += 128
            tile = np.clip(tile, 0, 255).astype("uint8")
            top, left = (height + 1) * row, (width + 1) * column
            grid[top : top + height, left : left + width] = tile
    figure = plt.figure(figsize=(grid.shape[1] / height, grid.shape[0] / height))
    plt.grid(False)
    plt.axis("off")
    plt.imshow(grid, aspect="auto", cmap="viridis")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return buffer.getvalue()
