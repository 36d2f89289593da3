"""Which classes does a channel speak for?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vizlib.checks import checked_integer
from vizlib.convnet import ConvNet

#: Largest difference, relative to the scores themselves, that counts as rounding.
_ROUNDING = 1e-4
#: How large the probes are, relative to what the layer gives, so that no threshold goes unseen.
_SCALES = (1.0, 30.0, 1000.0)
#: A power of two: dividing by it again loses nothing.
_UNIFORM = 1024.0


class FedClass(NamedTuple):
    """One class with the weight that a channel has for it."""

    class_index: int
    label: str
    weight: float


@dataclass(frozen=True)
class ClassesFed:
    """What a channel's mean activation is worth to each class.

    Attributes
    ----------
    layer : str
    channel : int
    top : tuple of FedClass
        The classes with the largest weights above 0, largest first.
    weights : float32 array ``(classes,)`` or None
        By how much the score (logit) of each class rises when the channel rises by 1 everywhere.
        None where the answer would depend on the photo.
    diagnosis : str or None
        Why there are no weights, or in what they are not all there is to say.
    """

    layer: str
    channel: int
    top: tuple[FedClass, ...]
    weights: np.ndarray | None
    diagnosis: str | None


def classes_fed(convnet: ConvNet, layer: str, channel: int, *, count: int = 5) -> ClassesFed:
    """Tell which classes a channel feeds most, where the scores are linear in its layer.

    That is so where nothing but pooling by means, flattening, linear convolutions and dense layers
    lie between the layer and the scores. It is not looked up but tried: the network is run on
    random maps in place of the layer's own, and the scores have to add up and scale as a linear
    function's do, whatever the photo.

    Parameters
    ----------
    convnet : ConvNet
    layer : str
    channel : int
    count : int
        Largest number of classes.

    Returns
    -------
    ClassesFed

    Raises
    ------
    InvalidArgumentError
        If there is no such channel, or ``count`` is below 1.
    UnknownLayerError
        If no layer, or more than one, has this name.
    UnsupportedModelError
        If the network is no classifier.

    References
    ----------
    B. Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016,
    https://arxiv.org/abs/1512.04150: behind global average pooling, a class is a weighted sum of
    the channels' means.
    """
    info = convnet.layer(layer)
    index = checked_integer("channel", channel, low=0, high=info.channels - 1)
    wanted = checked_integer("count", count, low=1)
    trial = _try_out(convnet, info.name)
    if not trial.linear:
        return ClassesFed(info.name, index, (), None, trial.diagnosis)
    maps = np.zeros((2, *info.shape), "float32")
    maps[1, ..., index] = _UNIFORM
    without, with_it = convnet.scores_with_maps(_blank(convnet), info.name, maps)
    weights = (with_it - without) / np.float32(_UNIFORM)
    best = [int(i) for i in np.argsort(-weights, kind="stable")[:wanted] if weights[i] > 0]
    top = tuple(FedClass(i, convnet.label(i), float(weights[i])) for i in best)
    return ClassesFed(info.name, index, top, weights, trial.diagnosis)


class _Trial(NamedTuple):
    linear: bool
    diagnosis: str | None


def _try_out(convnet: ConvNet, layer: str) -> _Trial:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (*convnet.input_size, 3), dtype="uint8")
    usual = np.abs(convnet.maps(noise, [layer])[layer]).max() or 1.0
    one, other = rng.normal(0, usual, (2, *convnet.layer(layer).shape)).astype("float32")
    size = one.shape[0] * one.shape[1]
    moved = one.reshape(size, -1)[rng.permutation(size)].reshape(one.shape)
    effects = [
        _effects(convnet, photo, layer, (one, other, moved)) for photo in (_blank(convnet), noise)
    ]
    if not np.any(effects):
        return _Trial(False, f"The class scores do not depend on {layer!r}.")
    if not all(_is_linear(effect) for effect in effects) or not _same(*effects):
        return _Trial(
            False,
            f"The class scores are not linear in {layer!r}: something behind it, such as a ReLU, "
            "a maximum or rounding to 16 bits, makes a channel's weight depend on the photo.",
        )
    if all(_same(effect[:, 0], effect[:, 3]) for effect in effects):
        return _Trial(True, None)
    return _Trial(
        True,
        f"The places of {layer!r} have weights of their own: what is stated is their sum, for a "
        "channel that is the same everywhere.",
    )


def _effects(
    convnet: ConvNet, photo: np.ndarray, layer: str, probes: tuple[np.ndarray, ...]
) -> np.ndarray:
    """By how much probes change the scores of a photo, each divided by the probe's scale.

    Returns float64 ``(scales, 5, classes)``: of one probe, another, minus half their sum, the
    first with its places moved, and 0.
    """
    one, other, moved = probes
    variants = np.stack([one, other, -(one + other) / 2, moved, np.zeros_like(one)])
    stack = np.concatenate([scale * variants for scale in _SCALES])
    scores = convnet.scores_with_maps(photo, layer, stack).astype("float64")
    scores = scores.reshape(len(_SCALES), len(variants), -1)
    return (scores - scores[:, -1:]) / np.reshape(_SCALES, (-1, 1, 1))


def _is_linear(effects: np.ndarray) -> bool:
    one, other, between = np.moveaxis(effects[:, :3], 1, 0)
    return _same(one + other, -2 * between) and _same(effects, effects[:1])


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.abs(one - other).max() <= _ROUNDING * np.abs(one).max())


def _blank(convnet: ConvNet) -> np.ndarray:
    return np.zeros((*convnet.input_size, 3), "uint8")
