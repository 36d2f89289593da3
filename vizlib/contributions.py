"""Which channels make a class score? The score as a sum over channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vizlib.convnet import ConvNet
from vizlib.heatmaps import chosen_layer

#: Part of the score that may be left over by rounding.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Contributions:
    """A class score taken apart: one part for each channel of a layer, and the rest.

    Attributes
    ----------
    values : float32 array ``(h, w, channels)``
        What each place of each channel adds to the score, in logits; signed.
    layer : str
        Full path of the layer.
    class_index : int
    score : float
        Logit of the class.
    bias : float
        Logit of the class if the layer gave zeros everywhere.
    """

    values: np.ndarray
    layer: str
    class_index: int
    score: float
    bias: float

    @property
    def channels(self) -> np.ndarray:
        """What each channel adds to the score, float64 ``(channels,)``."""
        return self.values.sum(axis=(0, 1), dtype="float64")

    @property
    def gap(self) -> float:
        """What channels and bias leave unexplained; 0 where all after the layer is linear."""
        return self.score - self.bias - float(self.channels.sum())

    @property
    def diagnosis(self) -> str | None:
        """A sentence saying that the parts do not add up, or None."""
        if abs(self.gap) <= _ROUNDING * max(1.0, abs(self.score), np.abs(self.channels).sum()):
            return None
        return (
            f"The channels of {self.layer!r} and the bias add up to {self.score - self.gap:.4g}, "
            f"the score is {self.score:.4g}: what follows this layer is not linear, so the parts "
            "are the slope at this photo and not the whole truth. The last layer with maps "
            "usually adds up."
        )

    def strongest(self, count: int) -> list[int]:
        """Channels that add or take away most, in this order."""
        return [int(k) for k in np.argsort(-np.abs(self.channels), kind="stable")[:count]]


def channel_contributions(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
) -> Contributions:
    """Take a class score apart into what each channel of a layer adds to it.

    The maps times the gradient of the score with respect to them, place by place: HiResCAM before
    its channels are added up. Where all that follows the layer is linear (Flatten or average
    pooling, and one dense layer), channels and bias add up to the score exactly.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    class_index : int, optional
        The class with the highest score by default.
    layer : str, optional
        `ConvNet.default_layer` by default.

    Returns
    -------
    Contributions
        After one forward pass, one back to the layer, and one from it.

    Raises
    ------
    InvalidArgumentError
        If the class does not exist, or its score does not rest on the layer.
    UnknownLayerError
        If the layer does not exist.
    UnsupportedModelError
        If the network is not a classifier.

    References
    ----------
    R. L. Draelos and L. Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of
    convolutional neural networks", 2020, https://arxiv.org/abs/2011.08891.
    """
    name = chosen_layer(convnet, layer)
    maps, gradient, scores = convnet.maps_and_gradient(image, name, class_index)
    index = int(scores.argmax()) if class_index is None else convnet.class_index(class_index)
    nothing = convnet.scores_with_maps(image, name, np.zeros((1, *maps.shape), "float32"))
    return Contributions(
        values=maps * gradient,
        layer=name,
        class_index=index,
        score=float(scores[index]),
        bias=float(nothing[0, index]),
    )
