"""Checks of arguments that several questions share."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from vizlib.errors import InvalidArgumentError


def checked_integer(name: str, value: Any, *, low: int, high: int | None = None) -> int:
    """Return a whole number within bounds as `int`.

    Raises
    ------
    InvalidArgumentError
        If it is no whole number, or out of bounds.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or number < low or (high is not None and number > high):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise InvalidArgumentError(
            f"Expected {name} to be a whole number {bounds}. Received: {value!r}."
        )
    return number


def checked_number(name: str, value: Any, *, low: float, high: float) -> float:
    """Return a number within bounds as `float`.

    Raises
    ------
    InvalidArgumentError
        If it is no number, or out of bounds.
    """
    try:
        number = math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        raise InvalidArgumentError(
            f"Expected {name} to be a number from {low:g} to {high:g}. Received: {value!r}."
        )
    return number


def checked_size(name: str, size: Any, *, high: int) -> tuple[int, int]:
    """Return a side, or ``(height, width)``, in pixels as two `int`.

    Raises
    ------
    InvalidArgumentError
        If it is neither, or a side is below 1 or above ``high``.
    """
    pair = size if isinstance(size, Sequence) and not isinstance(size, str) else (size, size)
    if len(pair) != 2:
        raise InvalidArgumentError(
            f"Expected {name} to be a side or (height, width) in pixels. Received: {size!r}."
        )
    height, width = (
        checked_integer(f"each side of {name}", side, low=1, high=high) for side in pair
    )
    return height, width
