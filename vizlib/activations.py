"""What does each layer see in a photo?"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vizlib.convnet import ConvNet


def activations(
    convnet: ConvNet, image: np.ndarray, layers: Iterable[str] | None = None
) -> dict[str, np.ndarray]:
    """Compute the maps of layers for one photo, all from one forward pass.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    layers : iterable of str, optional
        Paths or unambiguous tails; every layer with maps by default. For VGG16 that is more than
        50 MB, so ask for single layers where memory matters.

    Returns
    -------
    dict of str to float32 array ``(h, w, channels)``
        By full path, in the order the layers run.

    Raises
    ------
    UnknownLayerError
        If a name does not fit exactly one layer.

    References
    ----------
    F. Chollet, *Deep Learning with Python*, "Visualizing intermediate activations".
    """
    if isinstance(layers, str):
        layers = [layers]
    names = [layer.name for layer in convnet.layers] if layers is None else list(layers)
    return convnet.maps(image, names)


def channel_strength(maps: np.ndarray) -> np.ndarray:
    """Mean absolute activation of each channel, ``(h, w, channels)`` to float32 ``(channels,)``."""
    return np.abs(maps).mean(axis=(0, 1))


def dead_channels(maps: np.ndarray) -> np.ndarray:
    """Indices of the channels that are zero everywhere for this photo, int ``(n,)``."""
    return np.flatnonzero(~maps.any(axis=(0, 1)))
