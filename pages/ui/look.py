"""How heatmaps are drawn: signs, opacity and colours."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

import vizlib
from pages.ui import controls
from pages.ui.explanations import IN_LOGITS

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

    def colour_bar(self, limit: float, unit: str) -> None:
        """Show which colour stands for which value."""
        low = -limit if self.signed else 0.0
        controls.colour_bar(self.colormap, low=low, high=limit, unit=unit)


def unit(method: str) -> str:
    """Unit of a method's values."""
    return "logit units" if method in IN_LOGITS else "no unit"


def choose() -> Look:
    """Draw the controls."""
    left, middle, right = st.columns([4, 4, 3], vertical_alignment="bottom")
    signed = left.toggle(
        "Evidence against, too",
        key="signed",
        persist_state="session",
        help="Show what speaks against the class in colours of its own.",
    )
    alpha = middle.slider(
        "Opacity",
        0.0,
        1.0,
        0.5,
        0.05,
        key="alpha",
        persist_state="session",
        help="0 shows the photo alone, 1 the map alone.",
    )
    with right:
        if signed:
            colormap = controls.choose_signed_colormap(key="heatmap_signed_colours")
        else:
            colormap = controls.choose_colormap(key="heatmap_colours", default=controls.HEAT)
    return Look(signed, alpha, colormap)
