"""JSON from strangers: UTF-8, every key once, real numbers, and no deeper than allowed."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from vizlib.budgets import MAX_INTEGER_DIGITS, MAX_JSON_BYTES, MAX_JSON_DEPTH, MAX_JSON_ITEMS, MIB
from vizlib.errors import ModelLoadError

# A text without its end runs to the end of the file, so that each character is seen once.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[][{},]', re.DOTALL)


def read_json_object(content: bytes, name: str, levels: int = MAX_JSON_DEPTH) -> dict[str, Any]:
    """Parse a JSON object.

    Parameters
    ----------
    content : bytes
    name : str
        What it is, for messages.
    levels : int
        Lists and objects that may be inside each other.

    Raises
    ------
    ModelLoadError
    """
    if len(content) > MAX_JSON_BYTES:
        raise ModelLoadError(
            f"Expected {name} of at most {MAX_JSON_BYTES // MIB} MiB. "
            f"Received {len(content) / MIB:,.0f} MiB. Use a smaller network."
        )
    try:
        text = content.decode("utf-8")
        _check_depth(text, name, levels)
        value = json.loads(
            text,
            object_pairs_hook=_once,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # no half of a surrogate pair
    except (ValueError, RecursionError) as error:
        reason = str(error)[:200].rstrip(".")
        raise ModelLoadError(
            f"Expected {name} to be strict JSON in UTF-8. Received something else: {reason}. "
            'Save the model again with model.save("model.keras").'
        ) from error
    if not isinstance(value, dict):
        raise ModelLoadError(
            f"Expected {name} to describe a model. Received a {type(value).__name__}. "
            'Save the whole model with model.save("model.keras").'
        )
    return value


def _check_depth(text: str, name: str, levels: int) -> None:
    depth = deepest = items = 0
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        depth += (first in "[{") - (first in "]}")
        deepest, items = max(deepest, depth), items + 1
        if deepest > levels or items > MAX_JSON_ITEMS:
            raise ModelLoadError(
                f"Expected {name} of at most {levels} levels and {MAX_JSON_ITEMS:,} "
                f"parts. Received {'more levels' if deepest > levels else 'more parts'}. "
                "Use a network that is nested less."
            )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in found if names.count(key) > 1)
        raise ValueError(f"the key {twice[:80]!r} comes twice in one object")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number")


def _integer(text: str) -> int:
    if len(text) > MAX_INTEGER_DIGITS:
        raise ValueError(f"an integer of {len(text)} digits, over {MAX_INTEGER_DIGITS}")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large for a number")
    return number
