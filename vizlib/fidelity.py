"""What a heatmap claims about parts of the photo, against what they do to the class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np

from vizlib.batches import Progress
from vizlib.checks import checked_integer
from vizlib.convnet import ConvNet
from vizlib.errors import InvalidArgumentError
from vizlib.fills import SUBSTITUTES, substitute
from vizlib.heatmaps import INPUT, Heatmap
from vizlib.render import resize_map
from vizlib.similarity import correlation
from vizlib.trials import Trial, answers_to, with_rivals

# How sure the network is of what the map lets through.


@dataclass(frozen=True)
class ConfidenceChange:
    """Probability of the class before and after the photo was dimmed by the heatmap.

    Attributes
    ----------
    before, after : float
    centre : float
        After the photo was dimmed by the heatmap's values gathered around the middle.
    random : tuple of float
        After it was dimmed by the heatmap's values at random places.
    passes : int
    """

    before: float
    after: float
    centre: float
    random: tuple[float, ...]
    passes: int

    @property
    def drop(self) -> float:
        """Part of the probability that was lost, in percent; 0 where it rose."""
        return _drop(self.before, self.after)

    @property
    def increased(self) -> bool:
        """Whether the network is surer of the class without the rest of the photo."""
        return self.after > self.before


def confidence_change(
    convnet: ConvNet,
    image: np.ndarray,
    heatmap: Heatmap,
    *,
    fill: str = "black",
    random_maps: int = 5,
    seed: int = 0,
) -> ConfidenceChange:
    """Dim the photo where the heatmap is low, and see how sure the network still is.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    heatmap : Heatmap
        Its positive part, divided by its largest value.
    fill : {"black", "blurred"}
        What the photo is dimmed towards.
    random_maps : int
    seed : int

    Returns
    -------
    ConfidenceChange
        After ``random_maps + 3`` forward passes.

    Raises
    ------
    InvalidArgumentError, UnsupportedModelError
        As for `deletion`.

    References
    ----------
    A. Chattopadhay et al., "Grad-CAM++: Generalized Gradient-based Visual Explanations for Deep
    Convolutional Networks", WACV 2018, https://arxiv.org/abs/1710.11063. `average_drop` gives the
    published numbers over many photos.
    """
    maps = with_rivals(convnet, heatmap, random_maps=random_maps, seed=seed)
    photo = convnet.input_image(image).astype("float32")
    dark = substitute(fill, photo)
    shares = (_shares(values, convnet.input_size) for values in maps)
    dimmed = (dark + share[..., None] * (photo - dark) for share in shares)
    answers = answers_to(convnet, chain([photo], dimmed), heatmap.class_index, count=len(maps) + 1)
    before, after, centre, *random = (float(p) for p in answers[:, 1])
    return ConfidenceChange(before, after, centre, tuple(random), passes=len(answers))


def _shares(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """How much of each pixel is let through, 0 to 1."""
    shown = np.maximum(resize_map(np.maximum(values, 0), size), 0)
    return shown / (shown.max() or 1)


@dataclass(frozen=True)
class AverageDrop:
    """What the heatmaps of many photos let through, all in percent.

    Attributes
    ----------
    drop : float
        Mean part of the probability that was lost: low is good.
    increase : float
        Share of photos of which the network became surer: high is good.
    centre_drop, random_drop : float
        Mean loss for maps that know nothing.
    centre_increase, random_increase : float
        Share of photos, or of photos and random maps, of which it became surer with those.
    count : int
        Number of photos.
    """

    drop: float
    increase: float
    centre_drop: float
    random_drop: float
    centre_increase: float
    random_increase: float
    count: int


def average_drop(changes: Iterable[ConfidenceChange]) -> AverageDrop:
    """Average the `confidence_change` of many photos into the published percentages."""
    found = list(changes)
    if not found:
        raise InvalidArgumentError("Expected at least one confidence change. Received: none.")
    random = [np.mean([_drop(c.before, after) for after in c.random]) for c in found]
    surer = [np.mean([after > c.before for after in c.random]) for c in found]
    return AverageDrop(
        drop=float(np.mean([c.drop for c in found])),
        increase=float(np.mean([100.0 * c.increased for c in found])),
        centre_drop=float(np.mean([_drop(c.before, c.centre) for c in found])),
        random_drop=float(np.mean(random)),
        centre_increase=float(np.mean([100.0 * (c.centre > c.before) for c in found])),
        random_increase=100 * float(np.mean(surer)),
        count=len(found),
    )


def _drop(before: float, after: float) -> float:
    return 100 * max(0.0, before - after) / before if before > 0 else 0.0


# Does the sum of the map say how much a region matters?


@dataclass(frozen=True)
class MuFidelity:
    """Correlation of what a map says about regions with what they do to the score.

    Attributes
    ----------
    correlation : float
        -1 to 1; 0 where nothing varies.
    centre : float
        The same for the heatmap's values gathered around the middle.
    random : tuple of float
        The same for the heatmap's values at random places.
    passes : int
    """

    correlation: float
    centre: float
    random: tuple[float, ...]
    passes: int

    @property
    def beaten(self) -> int:
        """Number of random maps that correlate less."""
        return sum(self.correlation > other for other in self.random)


#: Random maps beside a correlation: they cost no forward passes.
_FREE_RIVALS = 20


def mu_fidelity(
    convnet: ConvNet,
    image: np.ndarray,
    heatmap: Heatmap,
    *,
    subsets: int = 100,
    grid: int = 9,
    share: float = 0.2,
    fill: str = "black",
    seed: int = 0,
    progress: Progress | None = None,
) -> MuFidelity:
    """Correlate the sum of the heatmap over random regions with the score lost without them.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    heatmap : Heatmap
        Brought to the network's input size and summed over each cell, with its signs.
    subsets : int
        How many random sets of cells, at least 2.
    grid : int
        Cells along each side; no more than the network's input has pixels.
    share : float
        Of the cells in each set, above 0 and below 1.
    fill : {"black", "blurred", "imputed"}
    seed : int
    progress : callable, optional
        ``progress(done, total)`` in pictures shown to the network. Raising cancels.

    Returns
    -------
    MuFidelity
        After ``subsets + 1`` forward passes.

    Raises
    ------
    InvalidArgumentError, UnsupportedModelError
        As for `deletion`.

    References
    ----------
    U. Bhatt et al., "Evaluating and Aggregating Feature-based Model Explanations", IJCAI 2020,
    https://arxiv.org/abs/2005.00631, definition 3: Pearson's correlation.
    """
    if not 0 < share < 1:
        raise InvalidArgumentError(f"Expected share above 0 and below 1. Received: {share!r}.")
    cells = _cells(convnet.input_size, checked_integer("grid", grid, low=2))
    chosen = _subsets(checked_integer("subsets", subsets, low=2), cells.max() + 1, share, seed)
    maps = with_rivals(convnet, heatmap, random_maps=_FREE_RIVALS, seed=seed)
    trial = Trial(convnet, image, heatmap.class_index, fill=fill, seed=seed)
    everything = np.zeros_like(chosen[:1])
    kept = (~out[cells] for out in np.concatenate([everything, chosen]))
    scores = trial.answers(kept, count=len(chosen) + 1, progress=progress)[:, 0]
    drops = scores[0] - scores[1:]
    sums = [np.bincount(cells.ravel(), resize_map(m, cells.shape).ravel()) for m in maps]
    own, centre, *random = (correlation(chosen @ each, drops) for each in sums)
    return MuFidelity(own, centre, tuple(random), passes=len(scores))


def _cells(size: tuple[int, int], grid: int) -> np.ndarray:
    """Number of the cell that each pixel lies in, int ``(h, w)``."""
    rows, columns = (np.arange(side) * min(grid, side) // side for side in size)
    return rows[:, None] * min(grid, size[1]) + columns


def _subsets(count: int, cells: int, share: float, seed: int) -> np.ndarray:
    """Random sets of one size, bool ``(count, cells)``."""
    rng = np.random.default_rng(checked_integer("seed", seed, low=0))
    first = np.arange(cells) < np.clip(round(share * cells), 1, cells - 1)
    return rng.permuted(np.tile(first, (count, 1)), axis=1)


# Does the sum of the map account for the score?


@dataclass(frozen=True)
class Completeness:
    """The sum of a heatmap against the score it should add up to, all in logits.

    Attributes
    ----------
    total : float
        Sum of the heatmap's values.
    expected : float
        Score of the class minus its score with nothing there.
    """

    total: float
    expected: float

    @property
    def gap(self) -> float:
        """What the heatmap claims too much (above 0) or leaves unexplained (below 0)."""
        return self.total - self.expected


def completeness(
    convnet: ConvNet, image: np.ndarray, heatmap: Heatmap, *, reference: str | None = None
) -> Completeness:
    """Compare the sum of a heatmap with the score that it should account for.

    Integrated Gradients promises equality against the photo it started from; HiResCAM does
    against empty maps, where all that follows the layer is linear (Flatten or average pooling,
    and one dense layer): the score without maps is then the bias. Grad-CAM, LayerCAM and others
    promise nothing of the kind, and a gap is no fault of theirs.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    heatmap : Heatmap
    reference : {"maps", "black", "blurred"}, optional
        What "nothing there" means: zeros in place of the maps of ``heatmap.layer``, or a black or
        blurred photo. The maps by default, and black for heatmaps of pixels.

    Returns
    -------
    Completeness
        After 2 forward passes.

    Raises
    ------
    InvalidArgumentError
        If the reference is unknown or the class is none of this network's.
    UnknownLayerError
        If the heatmap belongs to no layer of this network, and ``reference`` is ``"maps"``.

    References
    ----------
    M. Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017,
    https://arxiv.org/abs/1703.01365. R. L. Draelos and L. Carin, "Use HiResCAM instead of
    Grad-CAM for faithful explanations of convolutional neural networks", 2020,
    https://arxiv.org/abs/2011.08891.
    """
    index = convnet.class_index(heatmap.class_index)
    score = float(convnet.scores(image)[index])
    reference = reference or ("black" if heatmap.layer == INPUT else "maps")
    if reference == "maps":
        empty = np.zeros((1, *convnet.layer(heatmap.layer).shape), "float32")
        nothing = float(convnet.scores_with_maps(image, heatmap.layer, empty)[0, index])
    elif reference in SUBSTITUTES:
        photo = convnet.input_image(image).astype("float32")
        nothing = float(answers_to(convnet, [substitute(reference, photo)], index, count=1)[0, 0])
    else:
        raise InvalidArgumentError(
            f"Expected reference to be one of maps, {', '.join(SUBSTITUTES)}. "
            f"Received: {reference!r}."
        )
    return Completeness(float(heatmap.values.sum(dtype="float64")), score - nothing)
