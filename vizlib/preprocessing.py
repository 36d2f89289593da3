"""What maps an image to the numbers a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from vizlib.errors import InvalidArgumentError

Pixels = TypeVar("Pixels")  # a NumPy array or a TensorFlow tensor, channels last


@dataclass(frozen=True)
class Preprocessing:
    """An affine map of RGB pixels, 0..255, to network input: ``(pixel * scale - mean) / std``.

    Attributes
    ----------
    scale : float
        Factor applied to every pixel first.
    mean, std : tuple of float
        One number for each channel, or a single one for all, in the order red, green, blue.
    reverse : bool
        Whether the network takes blue, green, red.
    description : str
        The resulting range in words.
    """

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    reverse: bool
    description: str

    @property
    def needs_colour(self) -> bool:
        """Whether the map is defined for three channels only."""
        return self.reverse or len(self.mean) > 1

    def apply(self, pixels: Pixels) -> Pixels:
        """Map pixels ``(..., h, w, c)``, float 0..255 RGB, to network input of the same shape.

        Works on NumPy arrays and, differentiably, on TensorFlow tensors. Never writes in place.
        """
        mean = np.asarray(self.mean, dtype="float32")
        std = np.asarray(self.std, dtype="float32")
        values = (pixels * np.float32(self.scale) - mean) / std  # type: ignore[operator]
        return values[..., ::-1] if self.reverse else values


_UNIT = 1 / 255
#: The conventions of ``keras.applications.imagenet_utils.preprocess_input``, and plain ranges.
PREPROCESSINGS = {
    "raw": Preprocessing(1.0, (0.0,), (1.0,), False, "0..255, unchanged"),
    "unit": Preprocessing(_UNIT, (0.0,), (1.0,), False, "0..1"),
    "tf": Preprocessing(2 * _UNIT, (1.0,), (1.0,), False, "-1..1"),
    "torch": Preprocessing(
        _UNIT,
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
        False,
        "0..1, minus ImageNet's mean, divided by its standard deviation",
    ),
    "caffe": Preprocessing(
        1.0, (123.68, 116.779, 103.939), (1.0,), True, "0..255 as BGR, minus ImageNet's mean"
    ),
}


def preprocessing(name: str, *, channels: int = 3) -> Preprocessing:
    """Look a preprocessing up by name and check that it suits the number of input channels.

    Raises
    ------
    InvalidArgumentError
        For an unknown name, or a colour convention asked of a network that takes grey.
    """
    if name not in PREPROCESSINGS:
        raise InvalidArgumentError(
            f"Expected preprocess to be one of {', '.join(PREPROCESSINGS)}. Received: {name!r}."
        )
    found = PREPROCESSINGS[name]
    if channels != 3 and found.needs_colour:
        raise InvalidArgumentError(
            f'preprocess="{name}" is defined for 3 colour channels, but this network takes '
            f'{channels}. Use "raw", "unit" or "tf".'
        )
    return found
