"""Which network and which photo the visitor looks at: the sidebar, and what pages read of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import streamlit as st

import vizlib
from pages.ui import links, networks, photos
from pages.ui.errors import told
from pages.ui.language import say
from pages.ui.wording import as_written

Chosen = TypeVar("Chosen")
THUMBNAIL = 320  # pixels of the longer side


@dataclass(frozen=True)
class Selection:
    """What every page works on."""

    network: networks.Network
    photo: photos.Photo

    @property
    def convnet(self) -> vizlib.ConvNet:
        """The network."""
        return self.network.convnet

    @property
    def image(self) -> np.ndarray:
        """The photo, uint8 RGB ``(H, W, 3)``."""
        return self.photo.image

    @property
    def picture(self) -> np.ndarray:
        """The photo as pages show it: the same, or smaller."""
        return self.photo.small

    @property
    def thumbnail(self) -> np.ndarray:
        """The photo as strips of pictures show it."""
        return vizlib.render.thumbnail(self.photo.small, THUMBNAIL)


def current() -> Selection:
    """Return what the visitor looks at; enter by the frame where a page was opened without."""
    if "selection" not in st.session_state:
        links.by_the_frame()
    return st.session_state["selection"]


def choose() -> bool:
    """Draw the sidebar; returns whether there is a network and a photo to look at.

    What cannot be loaded is told, and what was chosen before stays.
    """
    with st.sidebar:
        network = _latest("chosen_network", networks.choose, "network")
        photo = _latest("chosen_photo", photos.choose, "photo")
    if network is None or photo is None:
        return False
    st.session_state["selection"] = Selection(network, photo)
    return True


def _latest(key: str, choose_one: Callable[[], Chosen | None], kind: str) -> Chosen | None:
    chosen = None
    with told():
        chosen = choose_one()
        if chosen is not None:
            st.session_state[key] = chosen
    latest = st.session_state.get(key)
    if chosen is None and latest is not None:
        title = as_written(latest.title, longest=60)
        st.caption(say(f"selection.meanwhile.{kind}", title=title))
    return latest
