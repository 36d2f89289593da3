"""Make Streamlit and Keras get along in one process."""

import ctypes
import gc
import importlib
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import streamlit as st

from pages.ui import overtaken

SECONDS_BETWEEN_TRIMS = 60
#: Of 19. Alone computing has all processors; beside what answers clicks it gets a tenth of them.
NICENESS = 10


@st.cache_resource(show_spinner=False)
def start() -> None:
    """Load the library once for all visitors; keep Streamlit from slowing it and losing clicks.

    After every click Streamlit calls `keras.backend.clear_session`, which breaks networks that
    another visitor is building at that moment, and collects garbage, which takes a quarter of a
    second among TensorFlow's 400 000 objects. What is frozen here is never looked at again;
    networks, which are loaded later, are still freed.
    """
    overtaken.keep()
    with ThreadPoolExecutor(max_workers=1) as loading:
        loading.submit(_load).result()
    sys.modules["keras"].backend.clear_session = _keep_session
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        threading.Thread(target=_give_memory_back, daemon=True).start()


def _load() -> None:
    """Load the library, and let TensorFlow's threads give way to what answers clicks.

    They begin with the first computation and take their priority from the thread that asks for it.
    Threads that run Python keep theirs: while they hold its lock, all others wait for them.
    """
    if sys.platform == "linux":  # elsewhere this would hold for the whole process
        os.nice(NICENESS)
    importlib.import_module("vizlib")
    sys.modules["keras"].ops.zeros(1)


def _keep_session(*_args: object, **_options: object) -> None:
    """Stand in for `keras.backend.clear_session`."""


def _give_memory_back() -> None:
    """Let the system have what was freed, again and again.

    Every click is a thread of its own, and the C library keeps freed memory for each: with eight
    visitors, 50 to 90 MB come back each time.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        time.sleep(SECONDS_BETWEEN_TRIMS)
        trim(0)
