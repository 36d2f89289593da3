"""Where in the photo does a class score come from?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vizlib.convnet import ConvNet


@dataclass(frozen=True)
class Heatmap:
    """Evidence for one class, place by place.

    Attributes
    ----------
    values : float32 array ``(h, w)``
        At the layer's own resolution, raw and signed: above 0 speaks for the class.
    method : str
        Key in `HEATMAP_METHODS`.
    layer : str
        Full path of the layer.
    class_index : int
    score : float
        Logit of the class.
    diagnosis : str or None
        A sentence saying why the picture is empty or not to be trusted.
    """

    values: np.ndarray
    method: str
    layer: str
    class_index: int
    score: float
    diagnosis: str | None

    @property
    def positive(self) -> np.ndarray:
        """What speaks for the class: ``max(values, 0)``."""
        return np.maximum(self.values, 0)


def grad_cam(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
) -> Heatmap:
    """Weigh each map of a layer by how much the class score rises with it, and add them up.

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
    Heatmap
        With signed values; the published map is its ``positive`` part.

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier.
    UnknownLayerError, InvalidArgumentError
        If the layer or the class does not exist.

    References
    ----------
    R. R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", ICCV 2017, https://arxiv.org/abs/1610.02391. The gradient is that of the score
    before the softmax, as published: after it, a certain network has no gradient left.
    """
    name = convnet.layer(layer or convnet.default_layer).name
    maps, gradient, scores = convnet.maps_and_gradient(image, name, class_index)
    index = int(scores.argmax() if class_index is None else class_index)
    values = weigh_by_mean_gradient(maps, gradient)
    return Heatmap(
        values=np.nan_to_num(values, nan=0, posinf=0, neginf=0),
        method="Grad-CAM",
        layer=name,
        class_index=index,
        score=float(scores[index]),
        diagnosis=diagnose(values),
    )


def weigh_by_mean_gradient(maps: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Grad-CAM's rule on maps and gradient ``(h, w, channels)``: signed float32 ``(h, w)``."""
    return np.asarray(maps @ gradient.mean(axis=(0, 1)), dtype="float32")


def diagnose(values: np.ndarray) -> str | None:
    """Say in a sentence why a heatmap ``(h, w)`` shows nothing, or None where it does show."""
    if not np.isfinite(values).all():
        return (
            "The network computed numbers that are not finite (NaN or infinity), so the map shows "
            "nothing. Check the preprocessing and the network's weights."
        )
    if values.size == 1:
        return "The maps of this layer are 1x1: they cannot tell places apart. Pick an earlier one."
    if not values.any():
        return (
            "The map is zero everywhere: at this layer nothing in the photo moves the class score."
        )
    if np.ptp(values) <= 1e-6 * np.abs(values).max():
        return "The map has the same value everywhere: it does not tell places apart."
    if values.max() <= 0:
        return "Nothing in the photo speaks for this class: every place counts against it."
    return None


#: Every heatmap method by the name a person knows it by; all share one signature.
HEATMAP_METHODS = {"Grad-CAM": grad_cam}
