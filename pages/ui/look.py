"""How heatmaps are drawn: signs, opacity and colours."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

import vizlib
from pages.ui import blend, controls, links
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

    def coloured(
        self, picture: np.ndarray, found: vizlib.Heatmap, limit: float
    ) -> np.ndarray | None:
        """Colour a heatmap at the size of a photo; None where it is zero everywhere."""
        values, size = self.values(found), picture.shape[:2]
        if not values.any():
            return None
        return vizlib.render.colorize(
            values, colormap=self.colormap, size=size, limit=limit or None
        )

    def colour_bar(self, limit: float, unit: str) -> None:
        """Show which colour stands for which value."""
        low = -limit if self.signed else 0.0
        controls.colour_bar(self.colormap, low=low, high=limit, unit=unit)


def unit(method: str) -> str:
    """Unit of a method's values."""
    return say("look.unit.logits" if method in IN_LOGITS else "look.unit.none")


def choose() -> Look:
    """Draw the controls."""
    left, middle, right = st.columns([4, 3, 4], vertical_alignment="bottom")
    with left:
        signed = choose_signed()
    with middle:
        colormap = choose_colours(signed)
    with right:
        alpha = blend.choose_opacity(ALPHA)
    return Look(signed, alpha, colormap)


def choose_signed() -> bool:
    links.follow("signed", (True, False), key="signed")
    signed = st.toggle(
        say("look.signed"),
        key="signed",
        persist_state="session",
        help=say("look.help_signed"),
    )
    links.keep("signed", signed)
    return signed


def choose_colours(signed: bool) -> str:
    if signed:
        return controls.choose_signed_colormap(key="heatmap_signed_colours")
    return controls.choose_colormap(key="heatmap_colours", default=controls.HEAT)
