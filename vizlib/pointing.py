"""Does a heatmap point at the thing? Its maximum and its box against a box that a person drew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from vizlib.checks import checked_integer
from vizlib.errors import InvalidArgumentError
from vizlib.heatmaps import Heatmap
from vizlib.render import resize_map


class Box(NamedTuple):
    """A rectangle in pixels of the photo; ``right`` and ``bottom`` are the first outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        """Number of pixels."""
        return (self.right - self.left) * (self.bottom - self.top)


@dataclass(frozen=True)
class Pointing:
    """One round of the pointing game.

    Attributes
    ----------
    hit : bool
        Whether the heatmap's maximum lies in the box.
    points : tuple of (x, y)
        The centres of the places that share the maximum, in pixels of the photo; none for a map
        that is the same everywhere. All of them have to lie in the box.
    chance : float
        Share of the photo that counts as a hit: what a random map reaches on average.
    """

    hit: bool
    points: tuple[tuple[float, float], ...]
    chance: float


def pointing_game(
    image: np.ndarray, heatmap: Heatmap, box: Sequence[int], *, tolerance: int = 0
) -> Pointing:
    """Tell whether the strongest place of a heatmap lies in a box.

    Parameters
    ----------
    image : uint8 array ``(H, W, 3)``
        The photo that the heatmap was made of, at the size that the box was drawn on.
    heatmap : Heatmap
    box : Box or (left, top, right, bottom)
    tolerance : int
        Pixels by which the box is widened on every side; 15 in the paper.

    Returns
    -------
    Pointing
        The mean of ``hit`` over many photos is the published accuracy.

    Raises
    ------
    InvalidArgumentError
        If the box is empty or outside the photo, or the tolerance is negative.

    References
    ----------
    J. Zhang et al., "Top-down Neural Attention by Excitation Backprop", IJCV 2018,
    https://arxiv.org/abs/1608.00507.
    """
    height, width = image.shape[:2]
    margin = checked_integer("tolerance", tolerance, low=0)
    left, top, right, bottom = _checked_box(box, (height, width))
    wide = Box(
        max(0, left - margin),
        max(0, top - margin),
        min(width, right + margin),
        min(height, bottom + margin),
    )
    values = heatmap.values
    places = np.argwhere((values == values.max()) & (np.ptp(values) > 0)) + 0.5
    scale = height / values.shape[0], width / values.shape[1]
    points = tuple((float(x * scale[1]), float(y * scale[0])) for y, x in places)
    hits = [wide.left <= x < wide.right and wide.top <= y < wide.bottom for x, y in points]
    return Pointing(
        hit=bool(hits) and all(hits), points=points, chance=wide.area / (height * width)
    )


def bounding_box(image: np.ndarray, heatmap: Heatmap, *, threshold: float = 0.2) -> Box | None:
    """Draw a box around the largest connected area where a heatmap is high.

    Parameters
    ----------
    image : uint8 array ``(H, W, 3)``
    heatmap : Heatmap
        Brought to the size of the photo.
    threshold : float
        Share of the heatmap's largest value that counts as high, above 0 and up to 1.

    Returns
    -------
    Box or None
        None where nothing speaks for the class.

    Raises
    ------
    InvalidArgumentError
        If the threshold is out of range.

    References
    ----------
    B. Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016,
    https://arxiv.org/abs/1512.04150, with its threshold of 20%.
    """
    if not 0 < threshold <= 1:
        raise InvalidArgumentError(
            f"Expected threshold above 0 and up to 1. Received: {threshold!r}."
        )
    values = resize_map(heatmap.values, image.shape[:2])
    if values.max() <= 0:
        return None
    high = (values >= threshold * values.max()).astype("uint8")
    _, _, areas, _ = cv2.connectedComponentsWithStats(high, connectivity=8)
    # The first is the background. Of equal areas the first in reading order.
    left, top, width, height, _ = max(areas[1:], key=lambda area: area[cv2.CC_STAT_AREA])
    return Box(int(left), int(top), int(left + width), int(top + height))


def overlap(box: Sequence[int], other: Sequence[int]) -> float:
    """Intersection over union of two boxes ``(left, top, right, bottom)``: 0 apart, 1 the same."""
    one, two = _checked_box(box), _checked_box(other)
    width = min(one.right, two.right) - max(one.left, two.left)
    height = min(one.bottom, two.bottom) - max(one.top, two.top)
    common = max(0, width) * max(0, height)
    return common / (one.area + two.area - common)


def _checked_box(box: Sequence[int], size: tuple[int, int] | None = None) -> Box:
    numbers = [checked_integer("each side of the box", side, low=0) for side in box]
    inside = "" if size is None else f" within {size[1]} x {size[0]}"
    if len(numbers) == 4:
        found = Box(*numbers)
        fits = size is None or (found.right <= size[1] and found.bottom <= size[0])
        if found.left < found.right and found.top < found.bottom and fits:
            return found
    raise InvalidArgumentError(
        f"Expected a box (left, top, right, bottom){inside} that holds at least one pixel. "
        f"Received: {tuple(box)}."
    )
