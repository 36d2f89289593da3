"""Choices that have a control of their own, and are also made by a click on a picture.

With every click a browser sends what all its controls show. One that has not yet heard of what was
picked a moment ago would take it back; so with each pick the control becomes another one.
"""

import streamlit as st

from pages.ui import links

_TIMES = "times_picked"


def control(choice: str) -> str:
    """Key of the control that shows a choice now."""
    times = st.session_state.get(_TIMES, {}).get(choice, 0)
    return f"{choice}:{times}" if times else choice


def pick(choice: str, value: str | int) -> None:
    """Make a choice in place of its control, before a run."""
    times = st.session_state.setdefault(_TIMES, {})
    st.session_state.pop(control(choice), None)
    times[choice] = times.get(choice, 0) + 1
    st.session_state[control(choice)] = value
    # The browser has not heard of the address either.
    links.stay()
