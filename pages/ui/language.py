"""All words of the dashboard, in the language of the visitor.

They stand in `pages/texts`, a file for each module, each text in all languages.
"""

import tomllib
from functools import cache
from pathlib import Path

import streamlit as st

from pages.ui import links

LANGUAGES = {"en": "English", "zh": "中文"}
_TEXTS = Path(__file__).parents[1] / "texts"
_KEY = "language"


def say(key: str, **values: object) -> str:
    """Give a text in the visitor's language, such as ``say("filters.title")``.

    ``values`` take the places of their names in braces.
    """
    return _catalogue()[key][current()].format(**values)


def current() -> str:
    """Which language the visitor reads: the chosen one, or else the browser's."""
    return st.session_state.get(_KEY) or _browsers()


def follow() -> None:
    """Take the language from the address; before anything is drawn."""
    links.follow("lang", LANGUAGES, key=_KEY)
    st.session_state.setdefault(_KEY, _browsers())


def choose() -> None:
    """Draw the control."""
    language = st.selectbox(
        "Language · 语言", LANGUAGES, format_func=LANGUAGES.get, key=_KEY, width=160
    )
    # Others who follow the link read it in their own language, unless somebody has chosen.
    links.keep("lang", None if language == _browsers() else language)


def _browsers() -> str:
    wanted = (st.context.locale or "").split("-")[0]
    return wanted if wanted in LANGUAGES else "en"


@cache
def _catalogue() -> dict[str, dict[str, str]]:
    texts: dict[str, dict[str, str]] = {}
    for file in _TEXTS.glob("*.toml"):
        _flatten(file.stem, tomllib.loads(file.read_text(encoding="utf-8")), texts)
    return texts


def _flatten(name: str, table: dict, texts: dict[str, dict[str, str]]) -> None:
    if LANGUAGES.keys() & table.keys():
        texts[name] = table
        return
    for part, inner in table.items():
        _flatten(f"{name}.{part}", inner, texts)
