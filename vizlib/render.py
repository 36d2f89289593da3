"""Arrays to pixels. Zero always keeps its place: nothing is normalised by its minimum."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Sequence
from typing import Literal

import cv2
import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw

from vizlib.errors import InvalidArgumentError

#: Colour maps in which zero is the middle: below and above it differ in hue.
DIVERGING = ("RdBu_r", "coolwarm", "seismic", "PuOr_r", "BrBG_r")
#: Colour maps in which zero, and all below it, is the first colour.
SEQUENTIAL = ("viridis", "inferno", "magma", "cividis", "jet", "turbo", "gray")


def activation_grid(
    maps: np.ndarray, *, columns: int = 16, scaling: Literal["channel", "layer"] = "channel"
) -> np.ndarray:
    """Draw every channel of a layer as one grey tile, row by row, one dark pixel between tiles.

    Parameters
    ----------
    maps : float array ``(h, w, channels)``
    columns : int
        Tiles in a row, at most.
    scaling : {"channel", "layer"}
        Whether each channel is divided by its own largest absolute value, or all by the layer's.

    Returns
    -------
    uint8 array ``(H, W)``
        Zero is black, the largest value 255. Where the layer has negative values, zero is 128
        instead and negative values are darker. Values that are not finite are drawn as zero.
    """
    if scaling not in ("channel", "layer"):
        raise InvalidArgumentError(
            f'Expected scaling to be "channel" or "layer". Received: {scaling!r}.'
        )
    values = _finite(_checked("maps", maps, ndim=3))
    low, high = values.min(axis=(0, 1)), values.max(axis=(0, 1))
    largest = np.maximum(-low, high) if scaling == "channel" else max(-low.min(), high.max())
    tiles = _levels(values, largest, signed=bool(low.min() < 0)).transpose(2, 0, 1)
    return montage(tiles, columns=min(_positive("columns", columns), len(tiles)), gap=1)


def activation_tile(
    values: np.ndarray, *, size: tuple[int, int] | None = None, signed: bool = False
) -> np.ndarray:
    """Draw one channel as `activation_grid` draws it among others.

    Parameters
    ----------
    values : float array ``(h, w)``
    size : tuple of int, optional
        ``(height, width)`` of the tile, to which values are brought before they are drawn.
    signed : bool
        Whether zero is 128, as for a layer that has negative values.

    Returns
    -------
    uint8 array ``(H, W)``
    """
    finite = _finite(_checked("values", values, ndim=2))
    if size is not None:
        shrinks = size[0] * size[1] < finite.size
        finite = cv2.resize(
            finite,
            tuple(size)[::-1],
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )
    return _levels(finite, np.abs(finite).max(), signed=signed or bool(finite.min() < 0))


def colorize(
    values: np.ndarray,
    *,
    colormap: str = "viridis",
    size: tuple[int, int] | None = None,
    limit: float | None = None,
) -> np.ndarray:
    """Colour a map, after bringing it to size as floats.

    Parameters
    ----------
    values : float array ``(h, w)``
    colormap : str
        Any of matplotlib's. In a diverging one zero is the middle; in all others zero and all
        below it is the first colour.
    size : tuple of int, optional
        ``(height, width)`` of the picture.
    limit : float, optional
        The value drawn in the last colour: give the same to several pictures to compare them.
        The largest absolute value by default.

    Returns
    -------
    uint8 array ``(H, W, 3)``
    """
    values = resize_map(values, size) if size else _finite(_checked("values", values, ndim=2))
    scaled = values / _limit(values, limit)
    position = (scaled + 1) / 2 if colormap in DIVERGING else scaled
    return palette(colormap)[np.rint(np.clip(position, 0, 1) * 255).astype("uint8")]


def overlay(
    image: np.ndarray,
    values: np.ndarray,
    *,
    alpha: float = 0.4,
    colormap: str = "inferno",
    limit: float | None = None,
) -> np.ndarray:
    """Blend a coloured map over a photo: ``(1 - alpha) * photo + alpha * colour``.

    Parameters
    ----------
    image : uint8 array ``(H, W, 3)``
    values : float array ``(h, w)``
        Of any size; a map that is zero everywhere leaves the photo as it is.
    alpha : float
        From 0, only the photo, to 1, only the map.
    colormap, limit
        As for `colorize`.

    Returns
    -------
    uint8 array, shape of ``image``
    """
    if not 0 <= alpha <= 1:
        raise InvalidArgumentError(f"Expected alpha from 0 to 1. Received: {alpha!r}.")
    photo = _checked_pixels(image)
    if not _finite(_checked("values", values, ndim=2)).any():
        return photo.copy()
    colour = colorize(values, colormap=colormap, size=photo.shape[:2], limit=limit)
    return np.rint((1 - alpha) * photo + alpha * colour).astype("uint8")


def montage(
    tiles: Sequence[np.ndarray] | np.ndarray, *, columns: int | None = None, gap: int = 2
) -> np.ndarray:
    """Lay tiles of one size out in rows.

    Parameters
    ----------
    tiles : sequence of uint8 arrays, all ``(h, w)`` or all ``(h, w, 3)``
    columns : int, optional
        Tiles in a row; as square as possible by default.
    gap : int
        Black pixels between tiles.

    Returns
    -------
    uint8 array ``(H, W)`` or ``(H, W, 3)``
    """
    if len(tiles) == 0 or len({np.shape(tile) for tile in tiles}) != 1:
        raise InvalidArgumentError(
            f"Expected at least one tile, all of one size. Received: {len(tiles)} tiles of sizes "
            f"{sorted({np.shape(tile) for tile in tiles})}."
        )
    stack = np.asarray(tiles)
    columns = _positive("columns", math.ceil(math.sqrt(len(stack))) if columns is None else columns)
    rows = math.ceil(len(stack) / columns)
    height, width = stack.shape[1] + gap, stack.shape[2] + gap
    canvas = np.zeros((rows * height, columns * width, *stack.shape[3:]), stack.dtype)
    for i, tile in enumerate(stack):
        top, left = i // columns * height, i % columns * width
        canvas[top : top + height - gap, left : left + width - gap] = tile
    return canvas[: rows * height - gap, : columns * width - gap]


def faded(image: np.ndarray, seen: np.ndarray | None) -> np.ndarray:
    """Fade an image ``(H, W, 3)`` to grey where ``seen``, from 0 to 1 ``(H, W)``, is low."""
    if seen is None:
        return image
    grey, share = 128.0, np.clip(_checked("seen", seen, ndim=2), 0, 1)[..., None]
    return np.rint(grey + share * (_checked_pixels(image) - grey)).astype("uint8")


def thumbnail(image: np.ndarray, longest: int) -> np.ndarray:
    """Make a photo smaller if its longer side has more than ``longest`` pixels."""
    if max(_checked_pixels(image).shape[:2]) <= _positive("longest", longest):
        return image
    picture = Image.fromarray(image)
    picture.thumbnail((longest, longest))
    return np.asarray(picture)


def outlined(
    image: np.ndarray,
    box: tuple[int, int, int, int],
    *,
    color: tuple[int, int, int] = (255, 255, 255),
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Draw the outline of a box on a photo, with a dark edge that sets it off.

    Parameters
    ----------
    image : uint8 array ``(H, W, 3)``
    box : (left, top, right, bottom)
        In pixels; right and bottom are the first outside.
    color : (red, green, blue)
    size : tuple of int, optional
        Height and width of the photo that the box is meant for, if ``image`` is smaller.

    Returns
    -------
    uint8 array, shape of ``image``
    """
    canvas = Image.fromarray(_checked_pixels(image))
    left, top, right, bottom = _scaled(box, image.shape[:2], size)
    right, bottom = max(right - 1, left), max(bottom - 1, top)
    width = _line_width(image)
    around = left - width, top - width, right + width, bottom + width
    ImageDraw.Draw(canvas).rectangle(around, outline=(0, 0, 0), width=3 * width)
    ImageDraw.Draw(canvas).rectangle((left, top, right, bottom), outline=color, width=width)
    return np.asarray(canvas)


def pointed(
    image: np.ndarray, point: tuple[float, float], *, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Mark a point of a photo by a white cross with a dark edge.

    Parameters
    ----------
    image : uint8 array ``(H, W, 3)``
    point : (x, y)
        In pixels.
    size : tuple of int, optional
        As for `outlined`.

    Returns
    -------
    uint8 array, shape of ``image``
    """
    canvas = Image.fromarray(_checked_pixels(image))
    x, y = _scaled(point, image.shape[:2], size)
    width = _line_width(image)
    for color, more in (((0, 0, 0), width), ((255, 255, 255), 0)):
        long, wide = 6 * width + more, width // 2 + more
        for right, down in ((long, wide), (wide, long)):
            ImageDraw.Draw(canvas).rectangle((x - right, y - down, x + right, y + down), fill=color)
    return np.asarray(canvas)


def _line_width(image: np.ndarray) -> int:
    return max(1, max(image.shape) // 200)


def _scaled(
    place: Sequence[float], shown: tuple[int, int], size: tuple[int, int] | None
) -> list[int]:
    """x, y and so on, at the size that is shown."""
    height, width = size or shown
    scale = shown[1] / width, shown[0] / height
    return [int(side * scale[number % 2]) for number, side in enumerate(place)]


def resize_map(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring a float map ``(h, w)`` to ``size = (height, width)``, bilinearly, float32."""
    finite = _finite(_checked("values", values, ndim=2))
    _positive("size", min(size))
    return cv2.resize(finite, tuple(size)[::-1], interpolation=cv2.INTER_LINEAR)


def palette(colormap: str) -> np.ndarray:
    """Colours of a colour map, uint8 ``(256, 3)``."""
    if colormap not in mpl.colormaps:
        raise InvalidArgumentError(
            f"Expected the name of a colour map, such as {', '.join(SEQUENTIAL + DIVERGING)}. "
            f"Received: {colormap!r}."
        )
    return mpl.colormaps[colormap](np.linspace(0, 1, 256), bytes=True)[:, :3]


def to_png(pixels: np.ndarray, *, colormap: str | None = None) -> bytes:
    """Encode pixels as PNG.

    Parameters
    ----------
    pixels : uint8 array ``(H, W)`` or ``(H, W, 3)``
    colormap : str, optional
        Colours a grey picture through a palette, which takes a third of the bytes of RGB.
    """
    picture = Image.fromarray(_checked_canvas(pixels, grey=colormap is not None))
    if colormap is not None:
        picture.putpalette(palette(colormap).tobytes())
    buffer = io.BytesIO()
    # Maps hardly compress: run lengths give the size of the slowest setting in a tenth of its time.
    picture.save(buffer, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()


def _checked(name: str, values: np.ndarray, *, ndim: int) -> np.ndarray:
    values = np.asarray(values, dtype="float32")
    if values.ndim != ndim or values.size == 0:
        wanted = "(h, w, channels)" if ndim == 3 else "(h, w)"
        raise InvalidArgumentError(
            f"Expected {name} to be an array {wanted}. Received shape: {values.shape}."
        )
    return values


def _checked_pixels(image: np.ndarray) -> np.ndarray:
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InvalidArgumentError(
            "Expected an RGB image, uint8 (H, W, 3). "
            f"Received: {pixels.dtype} {pixels.shape}. vizlib.load_image makes one."
        )
    return pixels


def _checked_canvas(pixels: np.ndarray, *, grey: bool) -> np.ndarray:
    pixels = np.asarray(pixels)
    is_colour = pixels.ndim == 3 and pixels.shape[2] == 3 and not grey
    if pixels.dtype != np.uint8 or pixels.size == 0 or not (pixels.ndim == 2 or is_colour):
        wanted = "(H, W), where a colormap is given" if grey else "(H, W) or (H, W, 3)"
        raise InvalidArgumentError(
            f"Expected pixels, uint8 {wanted}. Received: {pixels.dtype} {pixels.shape}."
        )
    return np.ascontiguousarray(pixels)


def _finite(values: np.ndarray) -> np.ndarray:
    if np.isfinite(values).all():
        return values
    return np.nan_to_num(values, nan=0, posinf=0, neginf=0)


def _levels(values: np.ndarray, largest: np.ndarray | float, *, signed: bool) -> np.ndarray:
    """Grey levels of finite values, of which ``largest`` gets the last."""
    zero, span = (128, 127) if signed else (0, 255)
    # Divided before it is multiplied: 255 / largest overflows where activations are tiny.
    levels = values / np.where(np.asarray(largest) > 0, largest, 1).astype("float32")
    levels *= span
    levels += zero
    return np.rint(levels, out=levels).astype("uint8")


def _limit(values: np.ndarray, limit: float | None) -> float:
    if limit is None:
        return float(np.abs(values).max()) or 1.0
    if not (math.isfinite(limit) and limit > 0):
        raise InvalidArgumentError(f"Expected limit to be above 0. Received: {limit!r}.")
    return limit


def _positive(name: str, number: int) -> int:
    if number < 1:
        raise InvalidArgumentError(f"Expected {name} of at least 1. Received: {number!r}.")
    return number
