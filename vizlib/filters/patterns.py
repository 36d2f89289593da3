"""Which pattern does a channel look for? Gradient ascent in input space."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np

from vizlib.checks import checked_integer, checked_size
from vizlib.convnet import ConvNet
from vizlib.errors import InvalidArgumentError
from vizlib.filters import objectives as goals
from vizlib.filters.ascent import Climbed, Wanted, climb
from vizlib.filters.objectives import Objective
from vizlib.filters.parameterisations import Shape
from vizlib.filters.recipes import FilterRecipe, filter_recipe

Progress = Callable[[int, int], None]

#: Pictures optimised together; more costs memory and hardly gains time on a CPU.
BATCH = 8
MAX_SIDE = 1024


@dataclass(frozen=True)
class FilterPatterns:
    """What the channels of a layer look for.

    Attributes
    ----------
    images : uint8 array ``(n, H, W, 3)``
        RGB. Plain grey where a channel never fired.
    objective : float32 array ``(n, steps)``
        What each step started from: the mean of the channel, in the layer's own units, over what
        the network was shown in that step. Where the channel does not fire at all, the mean
        before its activation, which is then below zero.
    diagnosis : tuple of (str or None)
        For each picture a sentence saying why it is empty, or None.
    layer : str
        Full path of the layer; ``"class scores"`` where they are the objective, and empty where
        objectives of several layers were given.
    channels : tuple of int
        The channel of each picture, or class; the first, where an objective has several.
    transparency : float32 array ``(n, H, W)`` or None
        How much the objective rested on each place while the picture was made, 0..1: what to
        show, and what to fade out. None with recipes that do not note it.
    """

    images: np.ndarray
    objective: np.ndarray
    diagnosis: tuple[str | None, ...]
    layer: str
    channels: tuple[int, ...]
    transparency: np.ndarray | None = None

    def best(self, count: int) -> FilterPatterns:
        """Keep the ``count`` patterns that the network answers to most, strongest first.

        Laid out with `render.montage` they make the *stitched filters* picture of F. Chollet,
        "How convolutional neural networks see the world", The Keras Blog, 2016.
        """
        fired = np.array([sentence is None for sentence in self.diagnosis])
        order = np.lexsort((-self.objective[:, -1], ~fired))[:count]
        return replace(
            self,
            images=self.images[order],
            objective=self.objective[order],
            diagnosis=tuple(self.diagnosis[i] for i in order),
            channels=tuple(self.channels[i] for i in order),
            transparency=None if self.transparency is None else self.transparency[order],
        )


def filter_patterns(
    convnet: ConvNet,
    layer: str,
    channels: Sequence[int],
    *,
    recipe: str = "fourier",
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> FilterPatterns:
    """Make, for each channel, the picture that it answers to most.

    Parameters
    ----------
    convnet : ConvNet
    layer : str
    channels : sequence of int
    recipe : str
        A key of `FILTER_RECIPES`.
    size : int or (height, width), optional
        Of the pictures in pixels; the network's input size by default.
    steps : int, optional
        Steps of gradient ascent; the recipe's own number by default.
    seed : int
        Same seed, same pictures. A channel's picture does not depend on which others are made;
        on how many are made at once only by rounding, which hundreds of steps can make visible.
    progress : callable, optional
        ``progress(done, total)`` after each step, counted over all channels. Raising cancels.

    Returns
    -------
    FilterPatterns

    Raises
    ------
    UnknownLayerError
        If the layer does not exist.
    InvalidArgumentError
        If a channel, the recipe, the size or the number of steps does not fit.
    UnsupportedModelError
        If no gradient reaches the pixels of this network.

    References
    ----------
    D. Erhan et al., "Visualizing Higher-Layer Features of a Deep Network", 2009.
    F. Chollet, *Deep Learning with Python*, "Visualizing convnet filters".
    C. Olah, A. Mordvintsev, L. Schubert, "Feature Visualization", Distill, 2017.
    """
    info = convnet.layer(layer)
    wanted = channels if isinstance(channels, Iterable) else [channels]
    made = [goals.channel(info.name, channel) for channel in wanted]
    if not made:
        raise InvalidArgumentError(
            f"Expected at least one channel from 0 to {info.channels - 1} of {info.name!r}. "
            "Received: none."
        )
    return optimize(
        convnet, made, recipe=recipe, size=size, steps=steps, seed=seed, progress=progress
    )


def diverse_patterns(
    convnet: ConvNet,
    layer: str,
    channel: int,
    *,
    count: int = 4,
    recipe: str = "fourier",
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> FilterPatterns:
    """Make several pictures that one channel answers to, as unlike one another as they can be.

    Parameters
    ----------
    convnet : ConvNet
    layer : str
    channel : int
    count : int
        How many pictures, 2 to 16; more are stronger constraints on each.
    recipe, size, steps, seed, progress
        As for `filter_patterns`.

    Returns
    -------
    FilterPatterns
        All of one channel.

    Raises
    ------
    UnknownLayerError, InvalidArgumentError, UnsupportedModelError
        As for `filter_patterns`.

    References
    ----------
    C. Olah, A. Mordvintsev, L. Schubert, "Feature Visualization", Distill, 2017, "Diversity".
    """
    objective = goals.diverse(goals.channel(layer, channel), count)
    return optimize(
        convnet, [objective], recipe=recipe, size=size, steps=steps, seed=seed, progress=progress
    )


def optimize(
    convnet: ConvNet,
    objectives: Sequence[Objective],
    *,
    recipe: str = "fourier",
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> FilterPatterns:
    """Make, for each objective, the picture that raises it most.

    Parameters
    ----------
    convnet : ConvNet
    objectives : sequence of Objective
        As the functions in `vizlib.objectives` make them. One with several diverse pictures gives
        that many, one after the other.
    recipe, size, steps, seed, progress
        As for `filter_patterns`.

    Returns
    -------
    FilterPatterns
        ``objective`` is the value of each picture's objective.

    Raises
    ------
    UnknownLayerError
        If a layer does not exist.
    InvalidArgumentError
        If a channel, class or place, the recipe, the size or the number of steps does not fit.
    UnsupportedModelError
        If no gradient reaches the pixels of this network, or class scores are asked of a network
        that has none.
    """
    items = _items(convnet, objectives)
    made = filter_recipe(recipe)
    shape = (
        *checked_size("size", convnet.input_size if size is None else size, high=MAX_SIDE),
        convnet.input_channels,
    )
    count = checked_integer("steps", made.steps if steps is None else steps, low=1)
    seed = checked_integer("seed", seed, low=0)
    batches = _batches(items, _batch_size(shape))
    climbs: dict[int, tuple[Any, ...]] = {}
    for number, (places, wanted) in enumerate(batches):
        tick = _ticker(progress, number * count, len(batches) * count)
        climbed = climb(convnet, made, shape, wanted, steps=count, seed=seed, tick=tick)
        climbs |= zip(places, zip(*climbed, strict=True), strict=True)
    parts = zip(*(climbs[place] for place in sorted(climbs)), strict=True)
    return _patterns(made, items, Climbed(*map(np.stack, parts)))


# From objectives to batches.


class _Item(NamedTuple):
    """One picture to make: an objective, and which of its pictures."""

    objective: Objective
    variant: int

    @property
    def start(self) -> tuple[int, ...]:
        """What, beside the seed, the start of this picture is drawn from."""
        return self.objective.channels[0], self.variant


def _items(convnet: ConvNet, objectives: Sequence[Objective]) -> list[_Item]:
    checked = [_checked(convnet, objective) for objective in objectives]
    if not checked:
        raise InvalidArgumentError("Expected at least one objective. Received: none.")
    return [_Item(objective, i) for objective in checked for i in range(objective.count)]


def _batches(items: Sequence[_Item], size: int) -> list[tuple[list[int], Wanted]]:
    """Split into batches that are read in one way, with the places of their pictures.

    Batches that are read alike are equally long, so that one compiled step serves all of them.
    """
    places: dict[Objective, list[int]] = {}
    for place, item in enumerate(items):
        places.setdefault(item.objective.reading, []).append(place)
    return [
        (part, _wanted(reading, [items[place] for place in part]))
        for reading, alike in places.items()
        for part in _equal_parts(alike, reading.count if reading.count > 1 else size)
    ]


def _equal_parts(places: list[int], most: int) -> list[list[int]]:
    count = math.ceil(len(places) / most)
    length = math.ceil(len(places) / count)
    padded = [*places, *[places[-1]] * (count * length - len(places))]
    return [padded[i : i + length] for i in range(0, len(padded), length)]


def _wanted(reading: Objective, items: Sequence[_Item]) -> Wanted:
    terms = max(len(item.objective.channels) for item in items)
    channels = np.zeros((len(items), terms), "int32")
    weights = np.zeros((len(items), terms), "float32")
    for row, (objective, _) in enumerate(items):
        channels[row, : len(objective.channels)] = objective.channels
        weights[row, : len(objective.weights)] = objective.weights
    return Wanted(reading, channels, weights, [item.start for item in items])


def _batch_size(shape: Shape) -> int:
    """As many pictures at once as keep the memory of the maps in bounds."""
    return max(1, min(BATCH, BATCH * 224 * 224 // (shape[0] * shape[1])))


def _ticker(progress: Progress | None, before: int, total: int) -> Callable[[int], None]:
    if progress is None:
        return lambda _done: None
    return lambda done: progress(before + done, total)


# From pictures to results.


def _patterns(recipe: FilterRecipe, items: Sequence[_Item], climbed: Climbed) -> FilterPatterns:
    objectives = [item.objective for item in items]
    diagnosis = tuple(
        _diagnosis(objective, *of_one)
        for objective, *of_one in zip(
            objectives, climbed.pixels, climbed.trace, climbed.fired, strict=True
        )
    )
    images = [
        _grey(p) if d else _developed(recipe, p)
        for p, d in zip(climbed.pixels, diagnosis, strict=True)
    ]
    layers = {objective.layer for objective in objectives}
    return FilterPatterns(
        images=np.stack(images),
        objective=climbed.trace,
        diagnosis=diagnosis,
        layer=(layers.pop() or "class scores") if len(layers) == 1 else "",
        channels=tuple(objective.channels[0] for objective in objectives),
        transparency=_transparency(climbed.importance) if recipe.transparency else None,
    )


def _developed(recipe: FilterRecipe, pixels: np.ndarray) -> np.ndarray:
    developed = recipe.parameterisation.develop(pixels)
    return np.broadcast_to(developed, (*pixels.shape[:2], 3))


def _grey(pixels: np.ndarray) -> np.ndarray:
    return np.full((*pixels.shape[:2], 3), 128, "uint8")


def _transparency(importance: np.ndarray) -> np.ndarray:
    """Scale each picture's to 0..1, the most important two of a hundred places being opaque."""
    known = np.nan_to_num(importance, posinf=0.0)
    smooth = [cv2.GaussianBlur(of_one, (0, 0), max(of_one.shape) / 64) for of_one in known]
    low, high = np.percentile(smooth, (2, 98), axis=(1, 2), keepdims=True)
    scaled = (np.stack(smooth) - low) / np.maximum(high - low, 1e-30)
    return np.clip(scaled, 0, 1).astype("float32")


def _diagnosis(
    objective: Objective, pixels: np.ndarray, trace: np.ndarray, fired: bool
) -> str | None:
    numbers = ", ".join(map(str, objective.channels))
    what = f"Channel {numbers}" if len(objective.channels) == 1 else f"Channels {numbers}"
    if not (np.isfinite(pixels).all() and np.isfinite(trace).all()):
        return f"{what} gives numbers that are not finite; check the network's weights."
    if not fired:
        return (
            f"{what} never fired in {len(trace)} steps, so there is no pattern to show: "
            "it may be dead, or need more steps."
        )
    return None


# Checks.


def _checked(convnet: ConvNet, objective: Objective) -> Objective:
    if not isinstance(objective, Objective):
        raise InvalidArgumentError(
            "Expected objectives as the functions in vizlib.objectives make them. "
            f"Received: {objective!r}."
        )
    if objective.layer is None:
        classes = tuple(convnet.class_index(index) for index in objective.channels)
        return replace(objective, channels=classes)
    info = convnet.layer(objective.layer)
    name, last = f"each channel of {info.name!r}", info.channels - 1
    channels = tuple(checked_integer(name, c, low=0, high=last) for c in objective.channels)
    return replace(objective, layer=info.name, channels=channels)
