"""Whatever goes wrong is told in a sentence, and nothing else on the page is lost."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import streamlit as st

import vizlib
from pages.ui.language import say
from pages.ui.retelling import retold
from pages.ui.wording import as_written


@contextmanager
def told() -> Iterator[None]:
    """Show an error in place of what could not be made."""
    try:
        yield
    except vizlib.VizlibError as error:
        st.error(as_written(retold(str(error))), icon=":material/error:")
    except MemoryError:
        st.error(say("errors.no_memory"), icon=":material/memory:")
    # A fault of ours, or of a model nobody thought of. The log has the rest.
    except Exception as error:
        logging.getLogger(__name__).exception("While drawing a page")
        st.error(as_written(unexpected(error)()), icon=":material/error:")


def unexpected(error: Exception) -> Callable[[], str]:
    """Tell an error that nobody thought of, in a sentence of bearable length.

    The sentence is made when it is asked for, in the language of whoever asks; nothing of what led
    to the error is kept until then.
    """
    reason = " ".join(str(error).split())[:300]
    return partial(say, "errors.unexpected", kind=type(error).__name__, reason=reason)
