"""Choices that have a control of their own, and are also made by a click on a picture.

With every click a browser sends what all its controls show. One that has not yet heard of what was
picked a moment ago would take it back; so with each pick the control becomes another one. And a run
may be broken off by the next click wherever it is, so a pick is not told once, but stays told until
the next one, and whatever run comes by takes it over.
"""

from collections.abc import Container, Sequence
from typing import Any, NamedTuple

import streamlit as st

_PICKS = "picks"


class Pick(NamedTuple):
    """What was picked of a choice last, and how often something was: 0 and None at first."""

    times: int = 0
    value: Any = None
    #: What the picture tells, which differs from click to click.
    told: Sequence[Any] = ()


def latest(choice: str, picture: str, values: Container[Any]) -> Pick:
    """Find what was picked last of a choice, on the component of a picture with this key.

    The component keeps ``picked``: the choice, one of the values, the time.
    """
    picks: dict[str, Pick] = st.session_state.setdefault(_PICKS, {})
    before = picks.get(choice, Pick())
    told = getattr(st.session_state.get(picture), "picked", None) or ("", 0)
    if told[0] == choice and told != before.told and told[1] in values:
        picks[choice] = Pick(before.times + 1, told[1], told)
    return picks.get(choice, before)


def key(choice: str, picture: str, values: Container[Any]) -> str:
    """Key of the control that shows a choice now, which starts at what was picked last."""
    pick = latest(choice, picture, values)
    return key_since(choice, pick, pick.value)


def key_since(name: str, pick: Pick, value: Any) -> str:
    """Key of a control that starts at a value since a pick."""
    if not pick.times:
        return name
    renewed = f"{name}:{pick.times}"
    st.session_state.setdefault(renewed, value)
    return renewed


def listen() -> None:
    """Stand in for the callback without which Streamlit does not keep what a component tells.

    A callback may be broken off by the next click: `latest` looks at what is kept.
    """
