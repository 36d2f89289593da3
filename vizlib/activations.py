"""What does each layer see in a photo?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
    return convnet.maps(image, _names(convnet, layers))


@dataclass(frozen=True)
class StrongestChannel:
    """The channel of a layer that answers most to a photo.

    Attributes
    ----------
    channel : int
    map : float32 array ``(h, w)``
        What it gives.
    strength : float
        Mean of its absolute activation, the largest of all channels.
    signed : bool
        Whether any channel of the layer has negative values.
    """

    channel: int
    map: np.ndarray
    strength: float
    signed: bool


def strongest_channels(
    convnet: ConvNet, image: np.ndarray, layers: Iterable[str] | None = None
) -> dict[str, StrongestChannel]:
    """Find the channel of each layer with the largest `channel_strength` on one photo.

    All from one forward pass, in which no more than one layer's maps are kept at a time.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    layers : iterable of str, optional
        Paths or unambiguous tails; every layer with maps by default.

    Returns
    -------
    dict of str to StrongestChannel
        By full path, in the order the layers run.

    Raises
    ------
    UnknownLayerError
        If a name does not fit exactly one layer.
    """

    def read(maps: np.ndarray) -> StrongestChannel:
        strength = channel_strength(maps)
        best = int(np.argsort(-strength, kind="stable")[0])
        signed = bool(maps.min() < 0)
        return StrongestChannel(best, maps[..., best].copy(), float(strength[best]), signed)

    return convnet.read_maps(image, _names(convnet, layers), read)


def _names(convnet: ConvNet, layers: Iterable[str] | None) -> list[str]:
    if layers is None:
        return [layer.name for layer in convnet.layers]
    return [layers] if isinstance(layers, str) else list(layers)


def channel_strength(maps: np.ndarray) -> np.ndarray:
    """Mean absolute activation of each channel, ``(h, w, channels)`` to float32 ``(channels,)``."""
    return np.abs(maps).mean(axis=(0, 1))


def dead_channels(maps: np.ndarray) -> np.ndarray:
    """Indices of the channels that are zero everywhere for this photo, int ``(n,)``."""
    return np.flatnonzero(~maps.any(axis=(0, 1)))
