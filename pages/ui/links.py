"""Choices in the address, such as ``/?network=mobilenet-bundled&sample=parrot``.

Streamlit's own binding of widgets to the address goes by the titles shown, which are longer and
may change.
"""

from collections.abc import Sequence

import streamlit as st


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
