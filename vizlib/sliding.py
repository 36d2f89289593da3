"""A window that slides along one axis of a layer's input, in convolutions and in pooling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """A window along one axis: at its place ``i`` it begins at ``i * stride - before``.

    Attributes
    ----------
    size : int
        Numbers that it takes.
    stride : int
        From one place to the next.
    dilation : int
        From one number that it takes to the next.
    before : int
        Padding before the first number of the input.
    """

    size: int
    stride: int
    dilation: int
    before: int

    @property
    def reach(self) -> int:
        """Numbers from the first to the last that it takes, both counted."""
        return (self.size - 1) * self.dilation + 1

    def taps(self, places: np.ndarray | int) -> np.ndarray:
        """Find what it takes at some places, int ``(..., size)``.

        Positions below 0, and those beyond the end of the input, lie in the padding.
        """
        starts = np.asarray(places) * self.stride - self.before
        return np.add.outer(starts, np.arange(self.size) * self.dilation)

    def readers(self, position: int, places: int) -> np.ndarray:
        """Find which of so many places take the number at a position of the input, int ``(n,)``."""
        return np.flatnonzero((self.taps(np.arange(places)) == position).any(axis=1))

    def after(self, length: int, places: int) -> int:
        """Padding behind an input of ``length`` that so many places need."""
        return max((places - 1) * self.stride + self.reach - self.before - length, 0)


def same_window(window: Window, length: int, places: int) -> Window:
    """Lay a window as ``padding="same"`` does: of an odd number of zeros, one more goes behind."""
    lacking = window._replace(before=0).after(length, places)
    return window._replace(before=lacking // 2)
