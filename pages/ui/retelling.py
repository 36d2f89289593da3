"""What the library says, in the language of the visitor.

vizlib speaks English, to scripts and pages alike. `pages/texts/library` holds what it says, with
braces where it varies, and what that is in other languages. A `[[sentence]]` is whatever comes
first in a text and ends with it or before a space, so it can be several sentences that belong
together. What stands in a place such as ``{kind}`` is told by the `[[kind]]` tables of all files,
whole, where they know it, and stays as it is where they do not: names, numbers, paths. Digits at
the end of a place's name only tell it from others. A place named ``{sentences}`` holds sentences,
and a `[[title]]` is a whole text: the name of a network, of a recipe, of a kind of pixels, or what
stands over and under a picture of a report.
"""

import re
import tomllib
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import vizlib
from pages.ui import language

_LIBRARY = Path(__file__).parents[1] / "texts" / "library"
_BRACES = re.compile(r"\{(\w+)\}")
_END = re.compile(r"(?<=[.!?]) ")
#: Where Chinese meets Latin letters or digits, which stand apart in all texts of the pages.
_MEETING = re.compile(r"(?<=[\u4e00-\u9fff])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9%])(?=[\u4e00-\u9fff])")
#: Sentences after or inside one another that are told; names from outside may look like more.
_MOST = 16


class Template(NamedTuple):
    """What the library says in one place, as the beginning of a text and as all of it."""

    begins: re.Pattern[str]
    fills: re.Pattern[str]
    told: dict[str, str]


def retold(text: str) -> str:
    """Tell what the library has said, sentence by sentence; what is not known stays as it is."""
    return _told(text, language.current())


def visitors() -> vizlib.Language:
    """The visitor's language for what is written once the run of the page is over."""
    code = language.current()
    return vizlib.Language(code, partial(_told, wanted=code))


def _told(text: str, wanted: str) -> str:
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
        if found := template.begins.match(text):
            return _filled(template, found, wanted, left), text[found.end() :], True
    end = found.end() if (found := _END.search(text)) else len(text)
    return text[:end], text[end:], False


def _whole(table: str, text: str, wanted: str, left: int) -> str | None:
    """Tell a text that is one entry from end to end."""
    for template in templates(table) if left > 0 else ():
        if found := template.fills.match(text):
            return _filled(template, found, wanted, left)
    return None


def _filled(template: Template, found: re.Match[str], wanted: str, left: int) -> str:
    told = {}
    for name, value in found.groupdict().items():
        if name == "sentences":
            told[name] = _sentences(value, wanted, left)[0]
        else:
            told[name] = _whole(name.rstrip("0123456789"), value, wanted, left - 1) or value
    text = _MEETING.sub(" ", template.told[wanted])

    # What comes from outside, such as names of files, stays as it is inside.
    def put(place: re.Match[str]) -> str:
        value = told[place[1]]
        return _gap(text[: place.start()], value) + value + _gap(value, text[place.end() :])

    return _BRACES.sub(put, text)


def _gap(left: str, right: str) -> str:
    return " " if _MEETING.search(left[-1:] + right[:1]) else ""


@cache
def templates(table: str) -> tuple[Template, ...]:
    """All that is known of one table: what is said in full goes before what is general."""
    entries = [entry for file in _catalogue().values() for entry in file.get(table, ())]
    return tuple(
        Template(_pattern(entry["en"], r"(?: |\Z)"), _pattern(entry["en"], r"\Z"), entry)
        for entry in sorted(entries, key=_sureness, reverse=True)
    )


def _pattern(english: str, end: str) -> re.Pattern[str]:
    parts = _BRACES.split(english)
    first, *literals = [re.escape(part) for part in parts[:-1:2]] + [re.escape(parts[-1]) + end]
    # Atomic groups: what varies ends at the first chance and no other is tried, so that a name
    # takes time in proportion to its length, whatever it is.
    gaps = [f"(?>(?P<{name}>.+?){to})" for name, to in zip(parts[1::2], literals, strict=True)]
    return re.compile(first + "".join(gaps), re.DOTALL)


def _sureness(entry: dict[str, str]) -> tuple[bool, int]:
    """Sort what begins with words of its own first, and then the longest."""
    return not entry["en"].startswith("{"), len(_BRACES.sub("", entry["en"]))


@cache
def _catalogue() -> dict[str, dict[str, list[dict[str, str]]]]:
    files = sorted(_LIBRARY.glob("*.toml"))
    return {file.stem: tomllib.loads(file.read_text(encoding="utf-8")) for file in files}
