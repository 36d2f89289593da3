"""What every heatmap method gives: evidence for a class, place by place."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vizlib.convnet import ConvNet

#: What `Heatmap.layer` says where a method looks at pixels, not at the maps of a layer.
INPUT = "input"


@dataclass(frozen=True)
class Heatmap:
    """Evidence for one class, place by place.

    Attributes
    ----------
    values : float32 array ``(h, w)``
        At the layer's own resolution (the network's input size for methods that look at pixels),
        raw and signed: above 0 speaks for the class. Methods that only tell how much a place
        counts, and not for or against what, give nothing below 0; they say so.
    method : str
        Key in `HEATMAP_METHODS`.
    layer : str
        Full path of the layer, or ``"input"`` for methods that look at pixels.
    class_index : int
    score : float
        Logit of the class.
    diagnosis : str or None
        A sentence saying why this picture is empty or not to be trusted.
    caveat : str or None
        What must be known to read any picture of this method, such as which classes were
        compared, or that it fails a published test.
    class_free : bool
        Whether the values are the same for every class.
    """

    values: np.ndarray
    method: str
    layer: str
    class_index: int
    score: float
    diagnosis: str | None
    caveat: str | None = None
    class_free: bool = False

    @property
    def positive(self) -> np.ndarray:
        """What speaks for the class: ``max(values, 0)``."""
        return np.maximum(self.values, 0)


def heatmap(
    method: str, layer: str, values: np.ndarray, scores: np.ndarray, class_index: int
) -> Heatmap:
    """Label values ``(h, w)`` with what they are evidence for; ``scores (classes,)`` are logits."""
    # Evidence for a score that is no number is none, though graphs may drop NaN on the way.
    known = np.isfinite(scores[class_index])
    numbers = np.asarray(values if known else np.full_like(values, np.nan), "float32")
    return Heatmap(
        values=np.nan_to_num(numbers, nan=0, posinf=0, neginf=0),
        method=method,
        layer=layer,
        class_index=class_index,
        score=float(scores[class_index]),
        diagnosis=diagnose(numbers),
    )


def doubted(found: Heatmap, doubt: str | None) -> Heatmap:
    """Add a method's own diagnosis, unless the values show nothing anyway."""
    return found if found.diagnosis else replace(found, diagnosis=doubt)


def chosen_class(
    convnet: ConvNet, image: np.ndarray, class_index: int | None
) -> tuple[int, np.ndarray]:
    """The class to explain, the one with the highest score by default, and all logits."""
    wanted = None if class_index is None else convnet.class_index(class_index)
    scores = convnet.scores(image)
    return int(scores.argmax()) if wanted is None else wanted, scores


def chosen_layer(convnet: ConvNet, layer: str | None) -> str:
    """Full path of the layer to look at, `ConvNet.default_layer` by default."""
    return convnet.layer(layer or convnet.default_layer).name


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
        return "The map is zero everywhere: nothing that the method looks at moves the class score."
    if np.ptp(values) <= 1e-6 * np.abs(values).max():
        return "The map has the same value everywhere: it does not tell places apart."
    if values.max() <= 0:
        return "Nothing in the photo speaks for this class: every place counts against it."
    return None
