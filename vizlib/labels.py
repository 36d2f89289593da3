"""Names of classes, in whatever form people keep them."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vizlib.errors import InvalidArgumentError

#: Class names as they are, an index for each name or a name for each index, or a file of these.
LabelSource = Sequence[str] | Mapping[Any, Any] | str | os.PathLike[str]

MAX_BYTES = 4 * 1024 * 1024
_FORMS = (
    'Give one name a line, a JSON list such as ["cat", "dog"], or the class indices of the '
    'training data such as {"cat": 0, "dog": 1}.'
)


def read_labels(source: LabelSource) -> tuple[str, ...]:
    """Read the names of classes in the order of the outputs.

    Parameters
    ----------
    source : sequence of str, mapping, or path
        A sequence is taken as it is. A mapping is either ``class_indices`` of a Keras data set,
        ``{"cat": 0}``, or its reverse, ``{0: "cat"}``. A path leads to a text or JSON file of
        any form that `parse_labels` takes.

    Returns
    -------
    tuple of str

    Raises
    ------
    InvalidArgumentError
        If it cannot be read, is empty, or its indices do not run from 0 up without a gap.
    """
    if isinstance(source, str | os.PathLike):
        return parse_labels(_content(Path(source)))
    if isinstance(source, Mapping):
        return _from_mapping(source)
    if not isinstance(source, Iterable) or isinstance(source, bytes):
        raise InvalidArgumentError(
            f"Expected the names of the classes. Received: {type(source).__name__}. {_FORMS}"
        )
    return _checked(source)


def parse_labels(text: str | bytes) -> tuple[str, ...]:
    """Read the names of classes from a text.

    Parameters
    ----------
    text : str or bytes
        One name a line, with or without its index before it (``0 cat``, ``0: cat``); a JSON list;
        a JSON object in either direction, that of ``imagenet_class_index.json`` included; or a
        Python dictionary as ``print(data.class_indices)`` shows it.

    Returns
    -------
    tuple of str

    Raises
    ------
    InvalidArgumentError
        As for `read_labels`.
    """
    if isinstance(text, bytes):
        text = _decoded(text)
    if len(text) > MAX_BYTES:
        raise InvalidArgumentError(
            f"Expected class names of at most {MAX_BYTES:,} characters. Received {len(text):,}."
        )
    stripped = text.strip()
    if stripped.startswith(("[", "{")):
        value = _literal(stripped)
        return _from_mapping(value) if isinstance(value, dict) else _checked(value)
    return _from_lines([line.strip() for line in stripped.splitlines() if line.strip()])


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidArgumentError(
                f"Expected a file of class names of at most {MAX_BYTES:,} bytes. {path} is larger."
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidArgumentError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InvalidArgumentError(
            f"Expected class names, or a file of them. Received {str(path)[:200]!r}, which cannot "
            f"be read: {reason}. {_FORMS}"
        ) from error


def _decoded(content: bytes) -> str:
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(
            "Expected class names as text in UTF-8. Received something else. Save the file as "
            "UTF-8 text."
        ) from error


def _literal(text: str) -> Any:
    """Read JSON, or what Python prints of a list or dictionary; nothing of it is run."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        # Deep nesting ends in a RecursionError or, in ast, a MemoryError.
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    raise InvalidArgumentError(
        f"Expected a list or dictionary of class names. Received: {text[:60]!r} ... {_FORMS}"
    )


def _from_lines(lines: list[str]) -> tuple[str, ...]:
    numbered = [re.fullmatch(r"(\d{1,9})\s*[:,;\t ]\s*(.+)", line) for line in lines]
    if lines and all(numbered):
        indices = [int(match[1]) for match in numbered if match]
        if sorted(indices) == list(range(len(lines))):
            names = [match[2] for match in numbered if match]
            return _checked([name for _, name in sorted(zip(indices, names, strict=True))])
    return _checked(lines)


def _from_mapping(mapping: Mapping[Any, Any]) -> tuple[str, ...]:
    by_name = [(_index(value), key) for key, value in mapping.items()]
    by_index = [(_index(key), _name(value)) for key, value in mapping.items()]
    for pairs in (by_name, by_index):
        if sorted(index for index, _ in pairs) == list(range(len(pairs))):
            return _checked([name for _, name in sorted(pairs, key=lambda pair: pair[0])])
    raise InvalidArgumentError(
        f"Expected an index for each class, from 0 to {len(mapping) - 1}. Received: "
        f"{str(dict(list(mapping.items())[:4]))[:120]} ... {_FORMS}"
    )


def _index(value: Any) -> int:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    written = isinstance(value, str) and re.fullmatch(r"\d{1,9}", value)
    return int(value) if whole or written else -1


def _name(value: Any) -> Any:
    # imagenet_class_index.json has ["n01440764", "tench"] in place of a name.
    return value[-1] if isinstance(value, list | tuple) and value else value


def _checked(names: Iterable[Any]) -> tuple[str, ...]:
    found = tuple(names)
    wrong = [name for name in found if not isinstance(name, str | int | float)]
    if wrong or not found:
        received = f"{type(wrong[0]).__name__} in place of a name" if wrong else "nothing"
        raise InvalidArgumentError(
            f"Expected the names of the classes. Received: {received}. {_FORMS}"
        )
    return tuple(str(name) for name in found)
