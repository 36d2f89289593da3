"""All that Streamlit remembers of one visitor."""

from contextlib import suppress

import streamlit as st

_TRIES = 100


def held() -> dict[str, object]:
    """Every key with its value, as they are now.

    A run that is just being broken off by a click shares them with the next, and writes into them
    while they are copied: then they are copied again.
    """
    for _ in range(_TRIES):
        with suppress(RuntimeError):
            return dict(st.session_state.items())
    return dict(st.session_state.items())
