"""Choices in the address, such as ``/?network=mobilenet-bundled&sample=parrot``.

Streamlit's own binding of widgets to the address goes by the titles shown, which are longer and
may change.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

import streamlit as st

from pages.ui import session

Option = TypeVar("Option", str, int)
_WANTED = "wanted_page"
#: Between the choices where there are several.
_COMMA = ","
#: What we have written into the address, what shall be written, and the widgets of the choices.
_ADDRESS, _NOTED, _KEYS = "address", "noted_links", "keys_of_links"
#: Whether the next run, and whether this one keeps what is chosen, and where all controls stood.
_STAY, _STAYING, _CONTROLS = "stay_at_the_address", "staying_at_the_address", "controls_before"

# Streamlit makes a new entry of the browser's history of every addition to an address. Coming to a
# page makes two: the page alone, then with its choices.
_step_back_by_choices = st.components.v2.component(
    "vizlib_history",
    js="""
export default function () {
  if (history.vizlib) return;
  history.vizlib = true;
  const push = history.pushState;
  history.pushState = (state, title, url) => {
    const [here, there] = [new URL(location), new URL(url, location)];
    const kept = ([name, value]) => there.searchParams.get(name) === value;
    const adds = here.pathname === there.pathname && [...here.searchParams].every(kept);
    (adds ? history.replaceState : push).call(history, state, title, url);
  };
}
""",
)


def by_the_frame() -> NoReturn:
    """Start the dashboard where one of its pages was opened by itself, and come back to it.

    The first visitor of a fresh server who follows the link of a page gets the page alone.
    """
    path = urlsplit(st.context.url or "").path.rstrip("/").rpartition("/")[2]
    query = st.query_params.to_dict()
    st.session_state[_WANTED] = path, query
    st.switch_page("dashboard.py", query_params=query)


def go_on(pages: Sequence[st.Page]) -> None:
    """Go to the page that a visitor came for by the link of a page alone."""
    path, query = st.session_state.pop(_WANTED, (None, {}))
    for page in pages:
        if page.url_path == path:
            st.switch_page(page, query_params=query)


def begin() -> None:
    """See whether this run is to follow the address; before anything is drawn.

    It is not where a control was moved or the run comes by itself: the browser may have asked for
    it before it knew of the address that the run before has given. Who goes back moves nothing.
    """
    moved = any(_moved(key, now) for key, now in _controls().items())
    st.session_state[_STAYING] = st.session_state.pop(_STAY, False) or moved
    st.session_state[_CONTROLS] = _controls()


def _controls() -> dict[str, str | float]:
    """Where all controls stand that are chosen from, turned, pressed, filled in or picked on."""
    return {
        key: value if isinstance(value, str | int | float) else str(getattr(value, "picked", value))
        for key, value in session.held().items()
        if isinstance(value, str | int | float | list) or hasattr(value, "picked")
    }


def _moved(key: str, now: str | float) -> bool:
    before = st.session_state.get(_CONTROLS, {}).get(key, now)
    if now is False and key not in st.session_state.get(_KEYS, {}).values():
        return False  # as far as we know a button, which goes back by itself
    return now != before


@contextmanager
def noted() -> Iterator[None]:
    """Write all choices of a run into the address at once: one step back leads before all of them.

    A run that is broken off by the next click writes nothing.
    """
    _step_back_by_choices(key="history")
    choices = st.session_state[_NOTED] = {}
    yield
    wanted = _wanted()
    if wanted != st.query_params.to_dict():
        st.query_params.from_dict(wanted)
    st.session_state[_ADDRESS] = choices
    st.session_state[_CONTROLS] = _controls()


def stay() -> None:
    """Let the next run keep what is chosen: it comes by itself, and nobody has gone anywhere."""
    st.session_state[_STAY] = True


def _wanted() -> dict[str, str]:
    """What the address shall say: the choices noted so far, and what is not ours."""
    query = st.query_params.to_dict()
    foreign = {name: value for name, value in query.items() if name not in _address()}
    choices = foreign | st.session_state.get(_NOTED, {})
    return {name: value for name, value in choices.items() if value is not None}


def _address() -> dict[str, str | None]:
    """What this visitor's latest run, or the link followed since, says of each choice."""
    return st.session_state.setdefault(_ADDRESS, {})


def follow(name: str, options: Iterable[Option], *, key: str | None = None) -> None:
    """Take a choice from the address when a visitor comes by a link, goes back or forward.

    What an address cannot mean is ignored. ``key`` is the widget's, if it is not the name.
    """
    given = _newly_given(name, key or name)
    for option in options:
        if str(option) == given:
            st.session_state[key or name] = option


def follow_several(name: str, options: Iterable[Option], *, key: str, most: int) -> None:
    """Take a choice of several from the address, at most as many as may be chosen."""
    given = _newly_given(name, key)
    if given is None:
        return
    by_word = {str(option): option for option in options}
    known = [by_word[word] for word in dict.fromkeys(given.split(_COMMA)) if word in by_word]
    if known or not given:
        st.session_state[key] = known[:most]


def _newly_given(name: str, key: str) -> str | None:
    """What the address says of a choice, where that is news."""
    st.session_state.setdefault(_KEYS, {})[name] = key
    given = st.query_params.get(name)
    if given in (None, _address().get(name)) or st.session_state.get(_STAYING):
        return None
    _address()[name] = given
    return given


def beside(**query: object) -> dict[str, str]:
    """Choices of the address, with others beside them or in their place."""
    return _wanted() | {name: str(value) for name, value in query.items()}


def keep(name: str, value: object | None) -> None:
    """Note a choice for the address, so that it can be sent to others and survives a reload."""
    if _NOTED in st.session_state:
        st.session_state[_NOTED][name] = None if value is None else str(value)


def keep_several(name: str, values: Iterable[object]) -> None:
    """Note a choice of several for the address."""
    keep(name, _COMMA.join(map(str, values)))
