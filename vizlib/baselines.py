"""What a network is shown where nothing of the photo is to be seen."""

from __future__ import annotations

import numpy as np

from vizlib.convnet import ConvNet
from vizlib.errors import InvalidArgumentError
from vizlib.fills import SUBSTITUTES, substitute

_GREY = 127.5
#: Every baseline by name, with a title for menus.
BASELINES = {"grey": "Grey pixels, halfway between black and white"} | SUBSTITUTES


def baseline_tensor(convnet: ConvNet, image: np.ndarray, baseline: str) -> np.ndarray:
    """Make what the network would receive if the photo showed nothing.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    baseline : str
        A key of `BASELINES`. It is made of pixels, 0..255, and goes through the network's own
        preprocessing.

    Returns
    -------
    float32 array ``(h, w, channels)``

    Raises
    ------
    InvalidArgumentError
        For an unknown name.
    """
    if baseline not in BASELINES:
        raise InvalidArgumentError(
            f"Expected baseline to be one of {', '.join(BASELINES)}. Received: {baseline!r}."
        )
    photo = convnet.input_image(image)
    if baseline == "grey":
        return convnet.preprocessing.apply(np.full(photo.shape, _GREY, "float32"))
    return convnet.preprocessing.apply(substitute(baseline, photo))
