"""May a heatmap be believed? Published tests, each beside maps that know nothing.

Every test changes the photo, or the network, and looks at what becomes of the class. Beside the
heatmap stand its own values at random places, and its own values gathered around the middle of
the photo: a map that does no better than these tells nothing about this network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vizlib.batches import Progress, share
from vizlib.convnet import ConvNet
from vizlib.errors import InvalidArgumentError
from vizlib.fidelity import (
    AverageDrop,
    Completeness,
    ConfidenceChange,
    MuFidelity,
    average_drop,
    completeness,
    confidence_change,
    mu_fidelity,
)
from vizlib.fills import FILLS
from vizlib.heatmaps import Heatmap
from vizlib.layer_sweep import LayerScore, LayerSweep, layer_sweep
from vizlib.measures import Measure
from vizlib.pointing import Box, Pointing, bounding_box, overlap, pointing_game
from vizlib.sanity import RandomizationCheck, randomization_check
from vizlib.trials import Curve, Kind, Trial, with_rivals

__all__ = [
    "FILLS",
    "AverageDrop",
    "Box",
    "Completeness",
    "ConfidenceChange",
    "Curve",
    "LayerScore",
    "LayerSweep",
    "Measure",
    "MuFidelity",
    "PixelTest",
    "Pointing",
    "RandomizationCheck",
    "Road",
    "average_drop",
    "bounding_box",
    "completeness",
    "confidence_change",
    "deletion",
    "insertion",
    "layer_sweep",
    "measures",
    "mu_fidelity",
    "overlap",
    "pointing_game",
    "randomization_check",
    "road",
    "verdict",
]


@dataclass(frozen=True)
class PixelTest:
    """Deletion or insertion curves of a heatmap and of maps that know nothing.

    Attributes
    ----------
    kind : {"deletion", "insertion"}
    fill : str
        Key in `FILLS`: what stands where pixels are out.
    heatmap, centre : Curve
    random : tuple of Curve
    passes : int
        Pictures that the network was shown.
    """

    kind: Kind
    fill: str
    heatmap: Curve
    centre: Curve
    random: tuple[Curve, ...]
    passes: int

    @property
    def gain(self) -> float:
        """By how many logits the heatmap is better than random maps on average; 0 is chance."""
        return self._better(float(np.mean([curve.mean_score for curve in self.random])))

    @property
    def beaten(self) -> int:
        """Number of random maps that the heatmap is better than."""
        return sum(self._better(curve.mean_score) > 0 for curve in self.random)

    @property
    def beats_centre(self) -> bool:
        """Whether the heatmap is better than a blob in the middle of the photo."""
        return self._better(self.centre.mean_score) > 0

    def _better(self, mean_score: float) -> float:
        more = self.heatmap.mean_score - mean_score
        return more if self.kind == "insertion" else -more


def deletion(
    convnet: ConvNet,
    image: np.ndarray,
    heatmap: Heatmap,
    *,
    fill: str = "black",
    steps: int = 20,
    random_maps: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> PixelTest:
    """Take out the pixels that a heatmap marks most, then the next, and watch the class fall.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    heatmap : Heatmap
        Brought to the network's input size. Pixels of equal value go in a random order that the
        seed fixes.
    fill : {"black", "blurred", "imputed"}
        What stands where pixels are out. ``"imputed"`` gives the curve of `road`.
    steps : int
    random_maps : int
        How many rearrangements of the heatmap are tested beside it.
    seed : int
    progress : callable, optional
        ``progress(done, total)`` in pictures shown to the network. Raising cancels.

    Returns
    -------
    PixelTest
        After ``(steps + 1) * (random_maps + 2)`` forward passes. A low curve is a good one.

    Raises
    ------
    InvalidArgumentError
        If an option is out of range, or the class of the heatmap is none of this network's.
    UnsupportedModelError
        If the network is not a classifier.

    References
    ----------
    V. Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC
    2018, https://arxiv.org/abs/1806.07421.
    """
    maps = with_rivals(convnet, heatmap, random_maps=random_maps, seed=seed)
    trial = Trial(convnet, image, heatmap.class_index, fill=fill, seed=seed)
    curves = trial.curves("deletion", maps, steps=steps, progress=progress)
    return _pixel_test("deletion", fill, curves)


def insertion(
    convnet: ConvNet,
    image: np.ndarray,
    heatmap: Heatmap,
    *,
    fill: str = "blurred",
    steps: int = 20,
    random_maps: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> PixelTest:
    """Start without the photo, put in the pixels a heatmap marks most, and watch the class rise.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    heatmap : Heatmap
    fill : {"blurred", "black", "imputed"}
        What stands where pixels are not in yet. Blurred by default, as published: pixels on black
        make edges that are not in the photo.
    steps, random_maps, seed, progress
        As for `deletion`.

    Returns
    -------
    PixelTest
        After ``(steps + 1) * (random_maps + 2)`` forward passes. A high curve is a good one.

    Raises
    ------
    InvalidArgumentError, UnsupportedModelError
        As for `deletion`.

    References
    ----------
    V. Petsiuk et al., 2018, as for `deletion`.
    """
    maps = with_rivals(convnet, heatmap, random_maps=random_maps, seed=seed)
    trial = Trial(convnet, image, heatmap.class_index, fill=fill, seed=seed)
    curves = trial.curves("insertion", maps, steps=steps, progress=progress)
    return _pixel_test("insertion", fill, curves)


@dataclass(frozen=True)
class Road:
    """Both curves of `road`.

    Attributes
    ----------
    most_relevant_first : PixelTest
        Deletion with imputed pixels.
    least_relevant_first : PixelTest
        Insertion with imputed pixels: read from 1 to 0, its fractions are what is still there
        while the least relevant pixels go first.
    """

    most_relevant_first: PixelTest
    least_relevant_first: PixelTest

    @property
    def gap(self) -> float:
        """Mean probability, least relevant first minus most relevant first: -1 to 1."""
        return self.least_relevant_first.heatmap.area - self.most_relevant_first.heatmap.area

    @property
    def centre_gap(self) -> float:
        """The same for a blob in the middle of the photo."""
        return self.least_relevant_first.centre.area - self.most_relevant_first.centre.area

    @property
    def random_gap(self) -> float:
        """The same for random maps, on average."""
        least, most = self.least_relevant_first.random, self.most_relevant_first.random
        return float(np.mean([x.area - y.area for x, y in zip(least, most, strict=True)]))


def road(
    convnet: ConvNet,
    image: np.ndarray,
    heatmap: Heatmap,
    *,
    steps: int = 10,
    random_maps: int = 3,
    seed: int = 0,
    progress: Progress | None = None,
) -> Road:
    """Remove pixels so that the shape of the hole does not give them away.

    Each removed pixel becomes the mean of those around it, plus a little noise, so that the class
    falls for what is missing and not for black spots that the network never saw.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    heatmap : Heatmap
    steps, random_maps, seed, progress
        As for `deletion`.

    Returns
    -------
    Road
        After ``2 * (steps + 1) * (random_maps + 2)`` forward passes, each with a linear system to
        solve beside it.

    Raises
    ------
    InvalidArgumentError, UnsupportedModelError
        As for `deletion`.

    References
    ----------
    Y. Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution Methods", ICML
    2022, https://arxiv.org/abs/2202.00449. The noise has a standard deviation of 2.55 of 255.
    """
    maps = with_rivals(convnet, heatmap, random_maps=random_maps, seed=seed)
    trial = Trial(convnet, image, heatmap.class_index, fill="imputed", seed=seed)
    first, second = share(progress, 0, 2), share(progress, 1, 2)
    most = trial.curves("deletion", maps, steps=steps, progress=first)
    least = trial.curves("insertion", maps, steps=steps, progress=second)
    return Road(
        most_relevant_first=_pixel_test("deletion", "imputed", most),
        least_relevant_first=_pixel_test("insertion", "imputed", least),
    )


def _pixel_test(kind: Kind, fill: str, curves: Sequence[Curve]) -> PixelTest:
    own, centre, *random = curves
    passes = len(curves) * len(own.fractions)
    return PixelTest(kind, fill, own, centre, tuple(random), passes)


def measures(
    convnet: ConvNet,
    image: np.ndarray,
    heatmap: Heatmap,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Measure, ...]:
    """Measure one heatmap by mu-fidelity, ROAD, average drop and average increase.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    heatmap : Heatmap
    seed : int
    progress : callable, optional
        ``progress(done, total)``. Raising cancels.

    Returns
    -------
    tuple of Measure
        What `mu_fidelity`, `road`, and `confidence_change` with `average_drop` find with their own
        options, after 219 forward passes.

    Raises
    ------
    InvalidArgumentError, UnsupportedModelError
        As for `deletion`.
    """
    change = confidence_change(convnet, image, heatmap, seed=seed)
    parts = [share(progress, number, 2) for number in range(2)]
    mu = mu_fidelity(convnet, image, heatmap, seed=seed, progress=parts[0])
    both = road(convnet, image, heatmap, seed=seed, progress=parts[1])
    drop = average_drop([change])
    agreeing = float(np.mean(mu.random))
    return (
        Measure("mu-fidelity", mu.correlation, agreeing, mu.centre),
        Measure("ROAD", both.gap, both.random_gap, both.centre_gap),
        Measure("Average drop", drop.drop, drop.random_drop, drop.centre_drop),
        Measure("Average increase", drop.increase, drop.random_increase, drop.centre_increase),
    )


def verdict(test: PixelTest, *, fraction: float = 0.1) -> str:
    """Say in a sentence what a deletion or insertion test found.

    Parameters
    ----------
    test : PixelTest
    fraction : float
        Share of the pixels that the sentence speaks of, above 0 and up to 1.

    Returns
    -------
    str
        With an honest beginning where the map is no better than chance.

    Raises
    ------
    InvalidArgumentError
        If ``fraction`` is out of range.
    """
    if not 0 < fraction <= 1:
        raise InvalidArgumentError(
            f"Expected fraction above 0 and up to 1. Received: {fraction!r}."
        )
    doing = "Removing" if test.kind == "deletion" else "Showing only"
    sentence = (
        f"{doing} the {fraction:.0%} of the photo that this map marks most takes the score from "
        f"{test.heatmap.scores[0]:.1f} to {_score_at(test.heatmap, fraction):.1f}; "
        f"{_random_places(test, fraction)}."
    )
    if test.beaten < len(test.random):
        how = "hardly better" if test.gain > 0 else "no better"
        count = f"It beats {test.beaten} of {len(test.random)} random maps."
        return f"This map is {how} than chance. {count} {sentence}"
    blob = "" if test.beats_centre else " But a blob in the middle of the photo does as well."
    return sentence + blob


def _random_places(test: PixelTest, fraction: float) -> str:
    """What random maps make of the same share, or the share that they need."""
    curve = test.random[0]
    mean = np.mean([other.scores for other in test.random], axis=0)
    reached, goal = _score_at(test.heatmap, fraction), np.interp(fraction, curve.fractions, mean)
    sign = 1 if test.kind == "insertion" else -1
    if sign * reached <= max(sign * goal, sign * mean[0]):
        return f"as much at random places takes it to {goal:.1f}"
    needed = _first_crossing(curve.fractions, sign * mean, sign * reached)
    if needed is None:
        return "at random places no share of the photo does that"
    return f"at random places that takes {needed:.0%}"


def _score_at(curve: Curve, fraction: float) -> float:
    return float(np.interp(fraction, curve.fractions, curve.scores))


def _first_crossing(fractions: np.ndarray, values: np.ndarray, level: float) -> float | None:
    """Where values that start below a level first reach it, between points linearly."""
    above = np.flatnonzero(values >= level)
    if not len(above):
        return None
    around = slice(above[0] - 1, above[0] + 1)
    return float(np.interp(level, values[around], fractions[around]))
