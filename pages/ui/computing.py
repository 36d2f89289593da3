"""Everything a page computes, each thing once: kept by content, shared by all visitors.

Arguments that start with an underscore are not part of the key; what they hold is named by the
keys before them. Results are shared, so nobody writes into them.
"""

import numpy as np
import streamlit as st

import vizlib
from pages.ui.selection import Selection


@st.cache_resource(max_entries=64, show_spinner=False)
def scores(network_key: str, image_key: str, _selected: Selection) -> np.ndarray:
    """Probabilities of all classes."""
    return _selected.convnet.predict(_selected.image)


@st.cache_resource(max_entries=16, show_spinner="Running the network …")
def maps(network_key: str, image_key: str, layer: str, _selected: Selection) -> np.ndarray:
    """Maps of one layer."""
    return vizlib.activations(_selected.convnet, _selected.image, [layer])[layer]


@st.cache_resource(max_entries=64, show_spinner="Running the network …")
def heatmap(
    network_key: str,
    image_key: str,
    method: str,
    layer: str,
    class_index: int,
    _selected: Selection,
) -> vizlib.Heatmap:
    """Heatmap of one class."""
    explain = vizlib.HEATMAP_METHODS[method]
    return explain(_selected.convnet, _selected.image, class_index=class_index, layer=layer)
