"""Whatever goes wrong is told in a sentence, and nothing else on the page is lost."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

import vizlib


@contextmanager
def told() -> Iterator[None]:
    """Show an error that vizlib raises on purpose in place of what could not be made."""
    try:
        yield
    except vizlib.VizlibError as error:
        st.error(str(error), icon=":material/error:")
    except MemoryError:
        st.error(
            "There is not enough memory for this. Choose a smaller picture, fewer channels or a "
            "smaller network.",
            icon=":material/memory:",
        )
