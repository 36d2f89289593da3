"""Which layer gives the heatmap that tells most? Every layer's map, put to the test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from vizlib.batches import Progress
from vizlib.cams import grad_cam
from vizlib.convnet import ConvNet
from vizlib.errors import InvalidArgumentError
from vizlib.heatmaps import Heatmap
from vizlib.trials import Trial

_MOST_LAYERS = 40


@dataclass(frozen=True)
class LayerScore:
    """One layer's heatmap and how it does.

    Attributes
    ----------
    heatmap : Heatmap
    deletion : float
        Mean score while the pixels that it marks most are blurred first, in logits: low is good.
    insertion : float
        Mean score while they are made sharp first, in logits: high is good.
    """

    heatmap: Heatmap
    deletion: float
    insertion: float

    @property
    def score(self) -> float:
        """Insertion minus deletion, in logits; about 0 for a map that knows nothing."""
        return self.insertion - self.deletion


@dataclass(frozen=True)
class LayerSweep:
    """Every layer's heatmap, in the order the layers run.

    Attributes
    ----------
    layers : tuple of LayerScore
    passes : int
        Pictures that the network was shown, beside those that the method takes.
    """

    layers: tuple[LayerScore, ...]
    passes: int

    @property
    def best(self) -> LayerScore:
        """The layer to recommend: the one with the highest score, the latest of equals."""
        return max(reversed(self.layers), key=lambda layer: layer.score)


def layer_sweep(
    convnet: ConvNet,
    image: np.ndarray,
    method: Callable[..., Heatmap] = grad_cam,
    *,
    class_index: int | None = None,
    layers: Iterable[str] | None = None,
    steps: int = 10,
    seed: int = 0,
    progress: Progress | None = None,
) -> LayerSweep:
    """Make a heatmap of every layer and test each by deletion and insertion.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    method : callable
        Any of `LAYER_METHODS`.
    class_index : int, optional
        The class with the highest score by default.
    layers : iterable of str, optional
        By default all with maps larger than 1x1 that the class scores rest on; of more than 40,
        those after an activation or a merge, and of those 40 at even distances.
    steps : int
        Of each curve.
    seed : int
        Of the order of equal pixels.
    progress : callable, optional
        ``progress(done, total)`` after each layer. Raising cancels.

    Returns
    -------
    LayerSweep
        After ``2 * (steps + 1)`` forward passes for each layer, beside those of the method.

    Raises
    ------
    UnknownLayerError
        If a layer does not exist.
    InvalidArgumentError
        If the method looks at pixels, no layer is left, or the class scores do not rest on a
        layer asked for.
    UnsupportedModelError
        If the network is not a classifier.
    """
    names = _candidates(convnet) if layers is None else [convnet.layer(n).name for n in layers]
    index = int(convnet.scores(image).argmax()) if class_index is None else class_index
    trial = Trial(convnet, image, convnet.class_index(index), fill="blurred", seed=seed)
    found = []
    for number, name in enumerate(names, start=1):
        try:
            heatmap = method(convnet, image, class_index=index, layer=name)
        except InvalidArgumentError:
            if layers is not None:
                raise
        else:
            found.append(_tested(trial, _checked_layer(heatmap, name), steps=steps))
        if progress is not None:
            progress(number, len(names))
    if not found:
        raise InvalidArgumentError(
            f"Expected at least one layer with maps larger than 1x1 that the class scores of "
            f"{convnet.name!r} rest on. Received: none."
        )
    return LayerSweep(tuple(found), passes=len(found) * 2 * (steps + 1))


def _candidates(convnet: ConvNet) -> list[str]:
    large = [layer for layer in convnet.layers if layer.shape[0] * layer.shape[1] > 1]
    if len(large) <= _MOST_LAYERS:
        return [layer.name for layer in large]
    settled = [layer for layer in large if layer.settled]
    # The last is always among them, because it is the one to beat.
    places = np.linspace(0, len(settled) - 1, min(_MOST_LAYERS, len(settled)))
    return [settled[place].name for place in np.rint(places).astype(int)]


def _checked_layer(heatmap: Heatmap, layer: str) -> Heatmap:
    if heatmap.layer != layer:
        raise InvalidArgumentError(
            f"Expected a method that looks at layers, such as Grad-CAM. Received: "
            f"{heatmap.method}, whose map of {layer!r} is one of {heatmap.layer!r}."
        )
    return heatmap


def _tested(trial: Trial, heatmap: Heatmap, *, steps: int) -> LayerScore:
    (deletion,) = trial.curves("deletion", [heatmap.values], steps=steps)
    (insertion,) = trial.curves("insertion", [heatmap.values], steps=steps)
    return LayerScore(heatmap, deletion.mean_score, insertion.mean_score)
