"""Choices in the address, such as ``/?network=mobilenet-bundled&sample=parrot``.

Streamlit's own binding of widgets to the address goes by the titles shown, which are longer and
may change.
"""

from collections.abc import Sequence
from typing import NoReturn
from urllib.parse import urlsplit

import streamlit as st

_WANTED = "wanted_page"


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


def follow(key: str, options: Sequence[str]) -> None:
    """Take the first choice of a visitor from the address; what it cannot mean is ignored."""
    wanted = st.query_params.get(key)
    if key not in st.session_state and wanted in options:
        st.session_state[key] = wanted


def keep(key: str, name: str, options: Sequence[str]) -> None:
    """Note a choice in the address, so that it can be sent to others and survives a reload."""
    if name not in options:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != name:
        st.query_params[key] = name
