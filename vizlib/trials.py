"""One photo shown again and again with pixels taken out, and what the network says to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np

from vizlib.batches import Progress, in_batches
from vizlib.checks import checked_integer
from vizlib.convnet import ConvNet
from vizlib.errors import InvalidArgumentError
from vizlib.fills import filling
from vizlib.heatmaps import Heatmap
from vizlib.render import resize_map

Kind = Literal["deletion", "insertion"]


@dataclass(frozen=True)
class Curve:
    """What becomes of a class while pixels are taken out of a photo, or put in.

    Attributes
    ----------
    fractions : float64 array ``(steps + 1,)``
        Of the pixels changed so far, from 0 to 1.
    scores : float64 array ``(steps + 1,)``
        Logit of the class.
    probabilities : float64 array ``(steps + 1,)``
    """

    fractions: np.ndarray
    scores: np.ndarray
    probabilities: np.ndarray

    @property
    def area(self) -> float:
        """Area under the probability, 0 to 1: the number that papers report."""
        return float(np.trapezoid(self.probabilities, self.fractions))

    @property
    def mean_score(self) -> float:
        """Area under the score, in logits: tells maps apart where probabilities are all 0 or 1."""
        return float(np.trapezoid(self.scores, self.fractions))


# The maps that know nothing.


def with_rivals(
    convnet: ConvNet, heatmap: Heatmap, *, random_maps: int, seed: int
) -> list[np.ndarray]:
    """The heatmap, its values around the middle, and its values at random places ``(h, w)``.

    The rivals have the heatmap's own resolution and values. Noise of single pixels would be no
    fair one: it breaks every edge of the photo at once.
    """
    convnet.class_index(heatmap.class_index)
    count = checked_integer("random_maps", random_maps, low=1)
    checked_integer("seed", seed, low=0)
    values = _finite_map(heatmap.values)
    rngs = (np.random.default_rng((seed, number)) for number in range(count))
    return [values, _gathered(values), *(rng.permuted(values, axis=None) for rng in rngs)]


def _gathered(values: np.ndarray) -> np.ndarray:
    """The values of a map, the highest in the middle."""
    height, width = values.shape
    rows = ((np.arange(height) + 0.5) / height - 0.5) ** 2
    columns = ((np.arange(width) + 0.5) / width - 0.5) ** 2
    nearest = np.argsort((rows[:, None] + columns).ravel(), kind="stable")
    gathered = np.empty(values.size, values.dtype)
    gathered[nearest] = -np.sort(-values, axis=None)
    return gathered.reshape(values.shape)


def _finite_map(values: np.ndarray) -> np.ndarray:
    checked = np.asarray(values, "float32")
    if checked.ndim != 2 or checked.size == 0:
        raise InvalidArgumentError(
            f"Expected a heatmap with values (h, w). Received shape: {checked.shape}."
        )
    return np.nan_to_num(checked, nan=0, posinf=0, neginf=0)


def ranks(values: np.ndarray, size: tuple[int, int], *, seed: tuple[int, int]) -> np.ndarray:
    """Place of each pixel in the order from the highest value to the lowest, int ``(h, w)``.

    Equal pixels come in the order of another map of the same resolution. In reading order, a map
    without a peak would wipe the photo from above, which takes whole objects out.
    """
    other = np.random.default_rng(seed).random(values.shape)
    shown, among_equals = (resize_map(x, size).ravel() for x in (values, other))
    places = np.empty(shown.size, "int64")
    places[np.lexsort((among_equals, -shown))] = np.arange(shown.size)
    return places.reshape(size)


# How the network is asked.


class Trial:
    """One photo and one class, asked about with pixels taken out.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    class_index : int
    fill : str
        A key of `FILLS`.
    seed : int
        Of the noise of the fill, and of the order of equal pixels.
    """

    def __init__(
        self, convnet: ConvNet, image: np.ndarray, class_index: int, *, fill: str, seed: int
    ) -> None:
        self._convnet = convnet
        self._class_index = class_index
        self._seed = checked_integer("seed", seed, low=0)
        self._fill = filling(fill, convnet.input_image(image), seed=seed)

    def curves(
        self,
        kind: Kind,
        maps: Sequence[np.ndarray],
        *,
        steps: int,
        progress: Progress | None = None,
    ) -> list[Curve]:
        """Order the pixels by each map ``(h, w)`` and take them out, or put them in."""
        size = self._convnet.input_size
        shares = np.linspace(0, 1, checked_integer("steps", steps, low=1) + 1)
        counts = np.rint(shares * size[0] * size[1])
        order = (ranks(m, size, seed=(self._seed, number)) for number, m in enumerate(maps))
        kept = (
            rank < count if kind == "insertion" else rank >= count
            for rank in order
            for count in counts
        )
        answers = self.answers(kept, count=len(maps) * len(counts), progress=progress)
        return [Curve(counts / counts[-1], *own.T) for own in np.split(answers, len(maps))]

    def answers(
        self, kept: Iterable[np.ndarray], *, count: int, progress: Progress | None = None
    ) -> np.ndarray:
        """Score and probability of the class for each mask ``(h, w)``, float64 ``(count, 2)``."""
        pictures = map(self._fill, kept)
        return answers_to(
            self._convnet, pictures, self._class_index, count=count, progress=progress
        )


def answers_to(
    convnet: ConvNet,
    pictures: Iterable[np.ndarray],
    class_index: int,
    *,
    count: int,
    progress: Progress | None = None,
) -> np.ndarray:
    """Score and probability of a class for pictures of pixels 0..255, float64 ``(count, 2)``.

    The pictures ``(h, w, c)`` are made as they are needed, so that a batch of them is in memory.
    """
    waiting = iter(pictures)
    answers = []
    for numbers in in_batches(count, convnet.batch_size, progress):
        batch = np.stack(list(islice(waiting, len(numbers))))
        both = np.stack(_ask(convnet, batch), axis=2)
        answers.append(both[:, class_index].astype("float64"))
    return np.concatenate(answers)


def _ask(convnet: ConvNet, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and probabilities of every class for ``(n, h, w, c)``, both ``(n, classes)``."""
    scores = convnet.tensor_scores(convnet.preprocessing.apply(pixels))
    return scores, np.stack([convnet.probabilities(row) for row in scores])
