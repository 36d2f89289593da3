"""What the library says, in the language of the visitor.

vizlib speaks English, to scripts and pages alike. `pages/texts/library` holds what it says, with
braces where it varies, and what that is in other languages. A `[[sentence]]` is whatever comes
first in a text and ends with it or before a space, so it can be several sentences that belong
together. What stands in a place such as ``{kind}`` is told by the `[[kind]]` tables of all files,
whole, where they know it, and stays as it is where they do not: names, numbers, paths. Digits at
the end of a place's name only tell it from others. A place named ``{sentences}`` holds sentences,
and a `[[title]]` is a whole text: the name of a network, of a recipe, of a kind of pixels.
"""

import re
import tomllib
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from pages.ui import language

_LIBRARY = Path(__file__).parents[1] / "texts" / "library"
_BRACES = re.compile(r"\{(\w+)\}")
_END = re.compile(r"(?<=[.!?]) ")
#: Sentences after or inside one another that are told; names from outside may look like more.
_MOST = 16


class Template(NamedTuple):
    """What the library says in one place: what stands fast, and names for what is between it."""

    literals: tuple[str, ...]
    names: tuple[str, ...]
    told: dict[str, str]

    @classmethod
    def of(cls, entry: dict[str, str]) -> "Template":
        """Cut the English text at its braces."""
        parts = _BRACES.split(entry["en"])
        return cls(tuple(parts[::2]), tuple(parts[1::2]), entry)

    def weight(self) -> tuple[bool, int]:
        """How sure a match is: of what begins in its own words first, then the longest."""
        return bool(self.literals[0]), sum(map(len, self.literals))


def retold(text: str) -> str:
    """Tell what the library has said, sentence by sentence; what is not known stays as it is."""
    wanted = language.current()
    if wanted == "en":
        return text
    title = _whole("title", text, wanted, _MOST)
    return _sentences(text, wanted, _MOST)[0] if title is None else title


@lru_cache(maxsize=256)
def _sentences(text: str, wanted: str, left: int) -> tuple[str, bool]:
    """Tell a text from its first sentence on; with whether all of it was known."""
    if not text or not left:
        return text, not text
    first, rest, known = _first(text, wanted, left - 1)
    more, all_known = _sentences(rest, wanted, left - 1)
    if known and all_known:
        return first + more, True
    # A name with a full stop inside: the sentence ends later than it seems to.
    whole = _whole("sentence", text, wanted, left - 1)
    return (f"{first}{more}", False) if whole is None else (whole, True)


def _first(text: str, wanted: str, left: int) -> tuple[str, str, bool]:
    """The first sentence, told if it is known, what comes behind it, and whether it is."""
    for template in templates("sentence"):
        begun = _begun(template, text)
        if begun is not None:
            values, end = begun
            return _filled(template, values, wanted, left), text[end:], True
    end = match.end() if (match := _END.search(text)) else len(text)
    return text[:end], text[end:], False


def _whole(table: str, text: str, wanted: str, left: int) -> str | None:
    """Tell a text that is one entry from end to end."""
    for template in templates(table) if left else ():
        values = _between(template.literals, text)
        if values is not None:
            return _filled(template, values, wanted, left)
    return None


def _filled(template: Template, values: list[str], wanted: str, left: int) -> str:
    told = {}
    for name, value in zip(template.names, values, strict=True):
        if name == "sentences":
            told[name] = _sentences(value, wanted, left)[0]
        else:
            told[name] = _whole(name.rstrip("0123456789"), value, wanted, left - 1) or value
    return _BRACES.sub(lambda place: told[place[1]], template.told[wanted])


def _begun(template: Template, text: str) -> tuple[list[str], int] | None:
    """What stands between the literals at the beginning of a text, and where the text goes on."""
    *before, last = template.literals
    values, at = _leftmost(before, text)
    if at < 0:
        return None
    if not before:
        end = 0 if text.startswith(last) and text[len(last) :][:1] in ("", " ") else -1
    else:
        end = text.find(f"{last} ", at + 1) if last else -1
        end = end if end >= 0 else len(text) - len(last)
        values.append(text[at:end])
    if end < at + bool(before) or not text.startswith(last, end):
        return None
    return values, min(end + len(last) + 1, len(text))


def _between(literals: tuple[str, ...], text: str) -> list[str] | None:
    """What stands between the literals of a text that is nothing besides."""
    *before, last = literals
    if not before:
        return [] if text == last else None
    values, at = _leftmost(before, text)
    end = len(text) - len(last)
    if at < 0 or end <= at or not text.endswith(last):
        return None
    return [*values, text[at:end]]


def _leftmost(literals: list[str], text: str) -> tuple[list[str], int]:
    """What stands between literals, and where the last ends, or -1: in one go, without return."""
    if not literals:
        return [], 0
    first, *others = literals
    values, at = [], len(first) if text.startswith(first) else -1
    for literal in others:
        end = text.find(literal, at + 1) if at >= 0 else -1
        if end < 0:
            return [], -1
        values.append(text[at:end])
        at = end + len(literal)
    return values, at


@cache
def templates(table: str) -> tuple[Template, ...]:
    """All that is known of one table: what is said in full goes before what is general."""
    return tuple(sorted(map(Template.of, _entries(table)), key=Template.weight, reverse=True))


def _entries(table: str) -> list[dict[str, str]]:
    return [entry for file in _catalogue().values() for entry in file.get(table, ())]


@cache
def _catalogue() -> dict[str, dict[str, list[dict[str, str]]]]:
    files = sorted(_LIBRARY.glob("*.toml"))
    return {file.stem: tomllib.loads(file.read_text(encoding="utf-8")) for file in files}
