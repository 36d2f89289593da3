"""Make Streamlit and Keras get along in one process."""

import gc
import importlib
import sys

import streamlit as st


@st.cache_resource(show_spinner=False)
def start() -> None:
    """Load the library once for all visitors, and keep Streamlit from slowing it down.

    After every click Streamlit calls `keras.backend.clear_session`, which breaks networks that
    another visitor is building at that moment, and collects garbage, which takes a quarter of a
    second among TensorFlow's 400 000 objects. What is frozen here is never looked at again;
    networks, which are loaded later, are still freed.
    """
    importlib.import_module("vizlib")
    sys.modules["keras"].backend.clear_session = _keep_session
    gc.collect()
    gc.freeze()


def _keep_session(*_args: object, **_options: object) -> None:
    """Stand in for `keras.backend.clear_session`."""
