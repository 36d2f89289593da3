"""What the library says, in the language of the visitor.

vizlib speaks English, to scripts and pages alike. `pages/texts/library` holds its sentences with
braces where they vary, and what they are in other languages.
"""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pages.ui import language

_SENTENCES = Path(__file__).parents[1] / "texts" / "library"
_BRACES = re.compile(r"\{(\w+)\}")
_END = re.compile(r"(?<=[.!?]) ")


class Sentence(NamedTuple):
    """One sentence of the library, or several that belong together."""

    pattern: re.Pattern[str]
    told: dict[str, str]


def retold(text: str) -> str:
    """Tell what the library has said, sentence by sentence; what is not known stays as it is."""
    wanted = language.current()
    if wanted == "en":
        return text
    told = []
    while text:
        sentence, text = _first(text, wanted)
        told.append(sentence)
    return "".join(told).rstrip()


def _first(text: str, wanted: str) -> tuple[str, str]:
    """The first sentence of a text in another language, and what is left of the text."""
    for sentence in sentences():
        found = sentence.pattern.match(text)
        if found:
            return sentence.told[wanted].format(**found.groupdict()), text[found.end() :]
    sentence, *rest = _END.split(text, maxsplit=1)
    return f"{sentence} ", "".join(rest)


@cache
def sentences() -> tuple[Sentence, ...]:
    """All that is known, the longest first: what is said in full goes before what is general."""
    files = sorted(_SENTENCES.glob("*.toml"))
    entries = [
        entry
        for file in files
        for entry in tomllib.loads(file.read_text(encoding="utf-8")).get("sentence", ())
    ]
    entries.sort(key=lambda entry: -len(_BRACES.sub("", entry["en"])))
    return tuple(Sentence(_pattern(entry["en"]), entry) for entry in entries)


def _pattern(english: str) -> re.Pattern[str]:
    parts = _BRACES.split(english)
    literal, names = map(re.escape, parts[::2]), parts[1::2]
    groups = [f"(?P<{name}>.+?)" for name in names]
    mixed = [part for pair in zip(literal, [*groups, ""], strict=True) for part in pair]
    return re.compile("".join(mixed) + r"(?: |$)", re.DOTALL)
