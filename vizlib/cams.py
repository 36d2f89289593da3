"""Class activation maps: heatmaps made of a layer's maps, with at most a few backward passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from vizlib import cam_rules
from vizlib.checks import checked_integer, checked_number
from vizlib.convnet import ConvNet
from vizlib.errors import InvalidArgumentError
from vizlib.heatmaps import Heatmap, chosen_class, chosen_layer, heatmap

Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]


def grad_cam(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
) -> Heatmap:
    """Weigh each map of a layer by how much the class score rises with it, and add them up.

    With maps ``A`` and the gradient ``G`` of the class score with respect to them,
    ``sum_k mean(G_k) * A_k``. It tells where, no finer than the layer. Behind a head that treats
    places differently (Flatten), it may point at places the network did not use: see `hires_cam`.
    Costs about one forward pass.

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
    return _look(convnet, image, class_index, layer).heatmap("Grad-CAM", cam_rules.grad_cam)


def hires_cam(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
) -> Heatmap:
    """Weigh each place of each map by how much the class score rises with that very place.

    ``sum_k G_k * A_k``, with ``A`` and ``G`` as for `grad_cam`. Where only linear layers follow,
    the values add up to the score less the bias: these are the places the network used, whatever
    the head. Deep inside a network the gradient, and so the map, can be noisy. Costs about one
    forward pass.

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
        With signed values.

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier.
    UnknownLayerError, InvalidArgumentError
        If the layer or the class does not exist.

    References
    ----------
    R. L. Draelos and L. Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of
    convolutional neural networks", 2020, https://arxiv.org/abs/2011.08891.
    """
    return _look(convnet, image, class_index, layer).heatmap("HiResCAM", cam_rules.hires_cam)


def grad_cam_plus_plus(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
) -> Heatmap:
    """Weigh each map by its positive gradients, so that several things of one class all show.

    ``sum_k w_k A_k`` with ``w_k = sum(relu(G_k) / (2 + sum(A_k) G_k))``. Made for maps after a
    ReLU, for which it gives nothing below 0: it tells where, and not what speaks against. Costs
    about one forward pass.

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

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier.
    UnknownLayerError, InvalidArgumentError
        If the layer or the class does not exist.

    References
    ----------
    A. Chattopadhay et al., "Grad-CAM++: Generalized Gradient-based Visual Explanations for Deep
    Convolutional Networks", WACV 2018, https://arxiv.org/abs/1710.11063. With the gradient of the
    score itself: the paper's exponential of it multiplies the whole map by one number.
    """
    seen = _look(convnet, image, class_index, layer)
    found = seen.heatmap("Grad-CAM++", cam_rules.grad_cam_plus_plus)
    finite = np.isfinite(seen.maps).all() and np.isfinite(seen.gradient).all()
    runs_away = finite and cam_rules.plus_plus_divisor(seen.maps, seen.gradient).min() < 1
    return replace(found, diagnosis=_DIPS) if runs_away else found


def xgrad_cam(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
) -> Heatmap:
    """Weigh each map by its gradient averaged where the map is strong.

    ``sum_k w_k A_k`` with ``w_k = sum(A_k G_k) / sum(A_k)``. Of all maps that give one weight to
    each channel, this one keeps the sum of `hires_cam`, and with it, before linear layers, the
    score. Costs about one forward pass.

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
        With signed values.

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier.
    UnknownLayerError, InvalidArgumentError
        If the layer or the class does not exist.

    References
    ----------
    R. Fu et al., "Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs",
    BMVC 2020, https://arxiv.org/abs/2008.02312.
    """
    return _look(convnet, image, class_index, layer).heatmap("XGrad-CAM", cam_rules.xgrad_cam)


def layer_cam(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
) -> Heatmap:
    """Weigh each place of each map by its own gradient where that is above zero.

    ``sum_k relu(G_k) * A_k``. Stays readable in early layers, where it shows fine detail. After a
    ReLU nothing is below 0: it does not tell what speaks against. Costs about one forward pass.

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

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier.
    UnknownLayerError, InvalidArgumentError
        If the layer or the class does not exist.

    References
    ----------
    P.-T. Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization",
    IEEE Transactions on Image Processing 30, 2021, https://doi.org/10.1109/TIP.2021.3089943.
    """
    return _look(convnet, image, class_index, layer).heatmap("LayerCAM", cam_rules.layer_cam)


def eigen_cam(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
) -> Heatmap:
    """Show what is strongest in a layer, whatever the class.

    The first right singular vector ``v`` of the maps written as a matrix of places x channels,
    and each place's share in it: ``sum_k v_k A_k``. It tells what stands out to the network, not
    what speaks for a class: the values are the same for all. Costs about one forward pass.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    class_index : int, optional
        Changes `Heatmap.class_index` and `Heatmap.score` only.
    layer : str, optional
        `ConvNet.default_layer` by default.

    Returns
    -------
    Heatmap
        With ``class_free`` set. The sign, which a singular vector does not have, is chosen so
        that the values add up to more than zero.

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier.
    UnknownLayerError, InvalidArgumentError
        If the layer or the class does not exist.

    References
    ----------
    M. B. Muhammad and M. Yeasin, "Eigen-CAM: Class Activation Map using Principal Components",
    IJCNN 2020, https://arxiv.org/abs/2008.00299.
    """
    name = chosen_layer(convnet, layer)
    index, scores = chosen_class(convnet, image, class_index)
    maps = convnet.maps(image, [name])[name]
    found = heatmap("Eigen-CAM", name, cam_rules.eigen_cam(maps), scores, index)
    return replace(found, class_free=True, caveat=_CLASS_FREE)


def finer_cam(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
    compared: int | Sequence[int] = 3,
    strength: float = 0.6,
) -> Heatmap:
    """Show what sets a class apart from the classes most like it.

    Grad-CAM of ``score - strength * mean(scores of the others)``: what the classes have in common
    drops out. It answers why this class rather than those, not why this class at all. Costs about
    one forward pass for each class.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    class_index : int, optional
        The class with the highest score by default.
    layer : str, optional
        `ConvNet.default_layer` by default.
    compared : int or sequence of int
        The classes to compare with, or how many: those whose scores are closest to the class's.
    strength : float
        How much of the others is taken away, from 0 (`grad_cam`) to 1.

    Returns
    -------
    Heatmap
        With signed values; its ``caveat`` names the classes compared.

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier.
    UnknownLayerError, InvalidArgumentError
        If the layer or a class does not exist, or there is none to compare with.

    References
    ----------
    Z. Zhang et al., "Finer-CAM: Spotting the Difference Reveals Finer Details for Visual
    Explanation", CVPR 2025, https://arxiv.org/abs/2501.11309. Three classes and the strength 0.6
    are those of its own code, https://github.com/Imageomics/Finer-CAM.
    """
    share = checked_number("strength", strength, low=0, high=1)
    seen = _look(convnet, image, class_index, layer)
    others = _compared(convnet, compared, seen.class_index, seen.scores)
    theirs = [convnet.maps_and_gradient(image, seen.layer, other)[1] for other in others]
    apart = seen._replace(gradient=seen.gradient - share * np.mean(theirs, axis=0))
    titles = ", ".join(convnet.label(other) for other in others)
    caveat = f"What sets {convnet.label(seen.class_index)} apart from: {titles}."
    return replace(apart.heatmap("Finer-CAM", cam_rules.grad_cam), caveat=caveat)


def closest_classes(scores: np.ndarray, class_index: int, count: int) -> list[int]:
    """The other classes by how little their scores ``(classes,)`` differ from one class's."""
    order = np.argsort(np.abs(scores - scores[class_index]), kind="stable")
    return [int(other) for other in order if other != class_index][:count]


_CLASS_FREE = "This method does not ask about a class: the map is the same for every one of them."
_DIPS = (
    "Grad-CAM++ is made for maps after a ReLU. Those of this layer add up to so much below zero "
    "that its weights run away. Pick a layer after an activation, or another method."
)

#: Every method that looks at the maps of one layer and needs no repeated runs.
CAMS: dict[str, Callable[..., Heatmap]] = {
    "Grad-CAM": grad_cam,
    "HiResCAM": hires_cam,
    "Grad-CAM++": grad_cam_plus_plus,
    "XGrad-CAM": xgrad_cam,
    "LayerCAM": layer_cam,
    "Eigen-CAM": eigen_cam,
    "Finer-CAM": finer_cam,
}


class _Look(NamedTuple):
    """What the rules work on: one layer's view of a photo, and its effect on a class."""

    layer: str
    class_index: int
    maps: np.ndarray
    gradient: np.ndarray
    scores: np.ndarray

    def heatmap(self, method: str, rule: Rule) -> Heatmap:
        # What is not finite is told in the diagnosis.
        with np.errstate(invalid="ignore", over="ignore"):
            values = rule(self.maps, self.gradient)
        return heatmap(method, self.layer, values, self.scores, self.class_index)


def _look(convnet: ConvNet, image: np.ndarray, class_index: int | None, layer: str | None) -> _Look:
    name = chosen_layer(convnet, layer)
    maps, gradient, scores = convnet.maps_and_gradient(image, name, class_index)
    index = int(scores.argmax() if class_index is None else class_index)
    return _Look(name, index, maps, gradient, scores)


def _compared(
    convnet: ConvNet, compared: int | Iterable[int], index: int, scores: np.ndarray
) -> list[int]:
    if isinstance(compared, Iterable):
        others = [convnet.class_index(other) for other in compared]
    else:
        count = checked_integer("compared", compared, low=1)
        others = closest_classes(scores, index, count)
    if not others or index in others:
        raise InvalidArgumentError(
            f"Expected compared to name classes other than {index}. Received: {compared!r}."
        )
    return others
