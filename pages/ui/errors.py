"""Whatever goes wrong is told in a sentence, and nothing else on the page is lost."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

import vizlib
from pages.ui.wording import as_written


@contextmanager
def told() -> Iterator[None]:
    """Show an error in place of what could not be made."""
    try:
        yield
    except vizlib.VizlibError as error:
        st.error(as_written(str(error)), icon=":material/error:")
    except MemoryError:
        st.error(
            "There is not enough memory for this. Choose a smaller picture, fewer channels or a "
            "smaller network.",
            icon=":material/memory:",
        )
    # A fault of ours, or of a model nobody thought of. The log has the rest.
    except Exception as error:
        logging.getLogger(__name__).exception("While drawing a page")
        st.error(as_written(unexpected(error)), icon=":material/error:")


def unexpected(error: Exception) -> str:
    """Tell an error that nobody thought of, in a sentence of bearable length."""
    reason = " ".join(str(error).split())[:300]
    return f"This failed unexpectedly ({type(error).__name__}: {reason})."
