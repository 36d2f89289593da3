"""What stands in for the pixels that are taken out of a photo."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from vizlib.errors import InvalidArgumentError
from vizlib.imputation import impute

#: ``fill(kept) -> float32 (h, w, c)``: the photo with other pixels where ``kept (h, w)`` is false.
Fill = Callable[[np.ndarray], np.ndarray]

_BLUR = 0.05  # standard deviation of the blur, in longer sides of the photo
_NOISE = 2.55  # standard deviation of the noise on imputed pixels: a hundredth of their range

#: Whole pictures that pixels can be taken from.
SUBSTITUTES = {
    "black": "Black pixels",
    "blurred": "The photo, so blurred that its details are gone",
}
#: Every fill by name, with a title for menus.
FILLS = SUBSTITUTES | {"imputed": "The mean of the pixels around, and a little noise (ROAD)"}


def filling(name: str, pixels: np.ndarray, *, seed: int = 0) -> Fill:
    """Prepare what is put in place of removed pixels.

    Parameters
    ----------
    name : str
        A key of `FILLS`.
    pixels : array ``(h, w, c)``, 0..255
    seed : int
        Of the noise on imputed pixels, which is the same for every mask.

    Returns
    -------
    callable
        ``fill(kept) -> float32 (h, w, c)`` with ``kept`` a bool array ``(h, w)``.

    Raises
    ------
    InvalidArgumentError
        For an unknown name.
    """
    _check(name, FILLS)
    photo = np.asarray(pixels, "float32")
    if name == "imputed":
        noise = np.random.default_rng(seed).normal(0, _NOISE, photo.shape).astype("float32")
        return lambda kept: impute(photo, kept) + np.where(kept[..., None], 0, noise)
    other = substitute(name, photo)
    return lambda kept: np.where(kept[..., None], photo, other)


def substitute(name: str, pixels: np.ndarray) -> np.ndarray:
    """Make the picture that pixels are taken from, float32, shape of ``pixels``.

    Raises
    ------
    InvalidArgumentError
        If ``name`` is not one of `SUBSTITUTES`.
    """
    _check(name, SUBSTITUTES)
    photo = np.asarray(pixels, "float32")
    if name == "black":
        return np.zeros_like(photo)
    sigma = _BLUR * max(photo.shape[:2])
    return cv2.GaussianBlur(photo, (0, 0), sigma).reshape(photo.shape)


def _check(name: str, known: dict[str, str]) -> None:
    if name not in known:
        raise InvalidArgumentError(
            f"Expected fill to be one of {', '.join(known)}. Received: {name!r}."
        )
