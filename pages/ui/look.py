"""How heatmaps are drawn: signs, opacity and colours."""

from dataclasses import dataclass

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

import vizlib
from pages.ui import controls, links
from pages.ui.explanations import IN_LOGITS
from pages.ui.language import say

ALPHA = 0.5
#: Percent of the pixels whose values the colours tell apart.
PIXEL_SHARE = 99.5


@dataclass(frozen=True)
class Look:
    """What a visitor has chosen."""

    signed: bool
    alpha: float
    colormap: str

    def values(self, found: vizlib.Heatmap) -> np.ndarray:
        """The values that are drawn, ``(h, w)``."""
        return found.values if self.signed else found.positive

    def limit(self, found: vizlib.Heatmap) -> float:
        """Value drawn in the last colour: of pixels a few stand so far out that they hide others.

        0 for an empty map.
        """
        sizes = np.abs(self.values(found))
        if found.method in vizlib.PIXEL_METHODS:
            return float(np.percentile(sizes, PIXEL_SHARE)) or float(sizes.max())
        return float(sizes.max())

    def overlay(self, picture: np.ndarray, found: vizlib.Heatmap, limit: float) -> np.ndarray:
        """Lay a heatmap over a photo."""
        return vizlib.render.overlay(
            picture,
            self.values(found),
            alpha=self.alpha,
            colormap=self.colormap,
            limit=limit or None,
        )

    def coloured(self, size: tuple[int, int], found: vizlib.Heatmap) -> np.ndarray | None:
        """Colour a heatmap at the size of a photo; None where it is zero everywhere."""
        values = self.values(found)
        if not values.any():
            return None
        limit = self.limit(found) or None
        return vizlib.render.colorize(values, colormap=self.colormap, size=size, limit=limit)

    def colour_bar(self, limit: float, unit: str) -> None:
        """Show which colour stands for which value."""
        low = -limit if self.signed else 0.0
        controls.colour_bar(self.colormap, low=low, high=limit, unit=unit)


def unit(method: str) -> str:
    """Unit of a method's values."""
    return say("look.unit.logits" if method in IN_LOGITS else "look.unit.none")


def choose() -> Look:
    """Draw the controls."""
    left, middle, right = st.columns([4, 4, 3], vertical_alignment="bottom")
    signed, colormap = choose_colours(left, right)
    alpha = middle.slider(
        say("look.opacity"),
        0.0,
        1.0,
        ALPHA,
        0.05,
        key="alpha",
        persist_state="session",
        help=say("look.help_opacity"),
    )
    return Look(signed, alpha, colormap)


def choose_but_opacity() -> Look:
    """Draw the controls where opacity is chosen at the picture itself."""
    signed, colormap = choose_colours(*st.columns([4, 3], vertical_alignment="bottom"))
    return Look(signed, st.session_state.get("alpha", ALPHA), colormap)


def choose_colours(left: DeltaGenerator, right: DeltaGenerator) -> tuple[bool, str]:
    """Draw the controls of signs and colours."""
    links.follow("signed", (True, False), key="signed")
    signed = left.toggle(
        say("look.signed"),
        key="signed",
        persist_state="session",
        help=say("look.help_signed"),
    )
    links.keep("signed", signed)
    with right:
        if signed:
            return signed, controls.choose_signed_colormap(key="heatmap_signed_colours")
        return signed, controls.choose_colormap(key="heatmap_colours", default=controls.HEAT)
