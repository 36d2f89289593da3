"""What a picture is made for: an `Objective`, and how it is read off a network.

An objective is a weighted sum of channels of a layer, over all places or at one, or of class
scores. The functions here make the usual ones; `vizlib.optimize` makes their pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from vizlib.checks import checked_integer, checked_number
from vizlib.errors import InvalidArgumentError

__all__ = [
    "Objective",
    "channel",
    "class_logit",
    "direction",
    "diverse",
    "interpolation",
    "negative",
    "neuron",
]

Place = Literal["everywhere", "centre"] | tuple[int, int]
MOST_VARIANTS = 16


@dataclass(frozen=True)
class Objective:
    """A number that a picture shall make as large as possible.

    Attributes
    ----------
    layer : str or None
        Where it is read; None for the class scores.
    channels : tuple of int
        Which channels, or classes, it sums.
    weights : tuple of float
        What each counts.
    place : "everywhere", "centre" or (row, column)
        The mean over all places of the maps, or the value at one.
    before : bool
        Whether it is read before the layer's activation. Otherwise so only where a channel that
        counts positively does not fire at all, until it does.
    count : int
        Number of different pictures to make for it, together.
    diversity : float
        What it counts, relative to the objective itself, that those pictures differ.
    """

    layer: str | None
    channels: tuple[int, ...]
    weights: tuple[float, ...] = (1.0,)
    place: Place = "everywhere"
    before: bool = False
    count: int = 1
    diversity: float = 0.0

    def __post_init__(self) -> None:
        if len(self.channels) != len(self.weights):
            raise InvalidArgumentError(
                "Expected one weight for each channel. "
                f"Received: {len(self.channels)} channels, {len(self.weights)} weights."
            )
        if self.place not in ("everywhere", "centre"):
            name = "each of the two numbers of place, row and column,"
            pair = isinstance(self.place, tuple) and len(self.place) == 2
            for number in self.place if pair else (self.place,):
                checked_integer(name, number, low=0)

    @property
    def same_everywhere(self) -> bool:
        """Whether no place of the picture counts more than another."""
        return self.layer is not None and self.place == "everywhere"

    @property
    def reading(self) -> Objective:
        """The part that fixes how the network is read, the same for all channels."""
        return replace(self, channels=(), weights=())


def channel(layer: str, index: int) -> Objective:
    """Take the mean of one channel of ``layer``, the one with that ``index``.

    D. Erhan et al., "Visualizing Higher-Layer Features of a Deep Network", 2009.
    """
    return Objective(layer, (index,))


def neuron(layer: str, index: int, *, place: Place = "centre") -> Objective:
    """Take one channel at one place.

    Parameters
    ----------
    layer : str
    index : int
    place : "centre" or (row, column)
        In the layer's maps.

    Returns
    -------
    Objective

    References
    ----------
    C. Olah, A. Mordvintsev, L. Schubert, "Feature Visualization", Distill, 2017.
    """
    return Objective(layer, (index,), place=place)


def negative(objective: Objective) -> Objective:
    """Make an ``objective`` as small as possible: what it answers to least.

    It is read before the activation, as a ReLU hides how far below zero a channel is.

    C. Olah, A. Mordvintsev, L. Schubert, "Feature Visualization", Distill, 2017.
    """
    return replace(objective, weights=tuple(-w for w in objective.weights), before=True)


def direction(layer: str, weights: Mapping[int, float]) -> Objective:
    """Take a sum of channels of ``layer``, each counting what ``weights`` says.

    B. Kim et al., "Interpretability Beyond Feature Attribution: Quantitative Testing with Concept
    Activation Vectors", ICML 2018, take concepts as directions; Distill 2017 draws them.
    """
    values = {i: checked_number("each weight", w, low=-1e6, high=1e6) for i, w in weights.items()}
    if not any(values.values()):
        raise InvalidArgumentError(
            "Expected weights to be a mapping of channels to what they count, not all of them 0. "
            f"Received: {dict(weights)!r}."
        )
    return Objective(layer, tuple(values), tuple(values.values()))


def interpolation(layer: str, first: int, second: int, *, part: float = 0.5) -> Objective:
    """Go from one channel to another.

    Parameters
    ----------
    layer : str
    first, second : int
    part : float
        How far: 0 is the first channel, 1 the second.

    Returns
    -------
    Objective

    References
    ----------
    C. Olah, A. Mordvintsev, L. Schubert, "Feature Visualization", Distill, 2017.
    """
    share = checked_number("part", part, low=0, high=1)
    return Objective(layer, (first, second), (1 - share, share))


def class_logit(index: int) -> Objective:
    """Take the score of the class with that ``index`` before softmax or sigmoid.

    K. Simonyan, A. Vedaldi, A. Zisserman, "Deep Inside Convolutional Networks: Visualising Image
    Classification Models and Saliency Maps", 2013.
    """
    return Objective(None, (index,))


def diverse(objective: Objective, count: int = 4, *, diversity: float = 0.7) -> Objective:
    """Make several pictures that all reach an objective, each in another way.

    The pictures' maps at the objective's layer are compared by the cosines of their Gram
    matrices, which tell what goes with what wherever it is. From each picture's objective the
    mean cosine with the others is taken, times ``diversity``, times the objective itself.

    Parameters
    ----------
    objective : Objective
    count : int
    diversity : float
        0 for none.

    Returns
    -------
    Objective

    Raises
    ------
    InvalidArgumentError
        For class scores, which have no maps to compare.

    References
    ----------
    C. Olah, A. Mordvintsev, L. Schubert, "Feature Visualization", Distill, 2017, "Diversity".
    """
    if objective.layer is None:
        raise InvalidArgumentError(
            "Expected an objective with a layer, in whose maps pictures can be compared. "
            "Received: a class score. Take a channel of the last maps instead."
        )
    number = checked_integer("count", count, low=2, high=MOST_VARIANTS)
    return replace(
        objective,
        count=number,
        diversity=checked_number("diversity", diversity, low=0, high=1e6),
    )
