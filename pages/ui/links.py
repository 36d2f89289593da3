"""Choices in the address, such as ``/?network=mobilenet-bundled&sample=parrot``.

Streamlit's own binding of widgets to the address goes by the titles shown, which are longer and
may change.
"""

from collections.abc import Iterable, Sequence
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

import streamlit as st

Option = TypeVar("Option", str, int)
_WANTED, _FOLLOWED = "wanted_page", "followed_links"


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


def follow(name: str, options: Iterable[Option], *, key: str | None = None) -> None:
    """Take the first choice of a visitor from the address; what it cannot mean is ignored.

    ``key`` is the widget's, if it is not the name.
    """
    followed = st.session_state.setdefault(_FOLLOWED, set())
    if name in followed:
        return
    followed.add(name)
    for option in options:
        if str(option) == st.query_params.get(name):
            st.session_state[key or name] = option


def leave_to_links(*names: str) -> None:
    """Take choices out of the address, and let the next page follow a link that has them."""
    st.session_state.setdefault(_FOLLOWED, set()).difference_update(names)
    for name in names:
        keep(name, None)


def beside(**query: object) -> dict[str, str]:
    """Choices of the address, with others beside them or in their place."""
    return st.query_params.to_dict() | {name: str(value) for name, value in query.items()}


def keep(name: str, value: object | None) -> None:
    """Note a choice in the address, so that it can be sent to others and survives a reload."""
    if value is None:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != str(value):
        st.query_params[name] = str(value)
