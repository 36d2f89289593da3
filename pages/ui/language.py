"""All words of the dashboard, in the language of the visitor.

They stand in `pages/texts`, a file for each module, each text in all languages.
"""

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.ui import links, session

LANGUAGES = {"en": "English", "zh": "中文"}
_TEXTS = Path(__file__).parents[1] / "texts"
#: The widget's key, what the latest whole run spoke, and what was chosen in it.
_KEY, _SPOKEN, _CHOSEN = "language", "spoken_language", "chosen_before"
#: The controls whose options are called otherwise in other languages.
_TRANSLATED = "translated_controls"

# Screen readers, spelling and hyphenation go by it; Streamlit's own page says English. Words that
# Streamlit itself puts into a page cannot be given to it: frame.css puts these in their place.
_declare = st.components.v2.component(
    "vizlib_language",
    js="""
export default function ({ data }) {
  const root = document.documentElement;
  root.lang = data.code;
  for (const [name, text] of Object.entries(data.words)) {
    root.style.setProperty("--" + name, JSON.stringify(text));
  }
}
""",
)


def say(key: str, **values: object) -> str:
    """Give a text in the visitor's language, such as ``say("filters.title")``.

    ``values`` take the places of their names in braces.
    """
    return _catalogue()[key][current()].format(**values)


def current() -> str:
    """Which language the visitor reads: the chosen one, or else the browser's."""
    # Background threads have no visitor.
    if get_script_run_ctx(suppress_warning=True) is None:
        return "en"
    return st.session_state.get(_KEY) or _browsers()


def follow() -> None:
    """Take the language from the address; before anything is drawn."""
    links.follow("lang", LANGUAGES, key=_KEY)
    language = st.session_state.setdefault(_KEY, _browsers())
    if st.session_state.get(_SPOKEN, language) != language:
        _keep_choices()


def spoken() -> None:
    """Note that the browser has the whole page in this language; after everything is drawn.

    A run that is broken off by the next click has not told the browser all of it.
    """
    st.session_state[_SPOKEN] = current()
    st.session_state[_CHOSEN] = {
        key: value for key, value in session.held().items() if isinstance(value, str)
    }


def place(key: str, options: Sequence[str]) -> int:
    """Which option of a control with translated words was chosen last.

    A browser may send the words of before a change of language, which Streamlit does not know any
    more; it falls back to the place it is given. What is asked for here is told the browser anew
    after a change of language.
    """
    st.session_state.setdefault(_TRANSLATED, set()).add(key)
    chosen = st.session_state.get(_CHOSEN, {}).get(key)
    return list(options).index(chosen) if chosen in options else 0


def declare() -> None:
    """Tell the browser which language the page is written in."""
    limit = st.get_option("server.maxUploadSize")
    words = {"upload": say("language.upload")}
    words["file-limit"] = say("language.file_limit", megabytes=limit)
    _declare(key="declared_language", data={"code": current(), "words": words})


def choose() -> None:
    """Draw the control."""
    language = st.selectbox(
        "Language · 语言",
        LANGUAGES,
        format_func=LANGUAGES.get,
        key=_KEY,
        label_visibility="collapsed",
        icon=":material/translate:",
    )
    # Others who follow the link read it in their own language, unless somebody has chosen.
    chosen = language != _browsers() or st.query_params.get("lang") in LANGUAGES
    links.keep("lang", language if chosen else None)


def _keep_choices() -> None:
    """Give every control with translated words its value again.

    The browser names what is chosen by the words it shows, which are others from now on. The others
    are let be: who chooses there before the answer has come would be shown the choice of before.
    """
    translated = st.session_state.get(_TRANSLATED, set())
    for key, value in session.held().items():
        if key in translated:
            st.session_state[key] = value


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
