"""Everything a page computes, each thing once: kept by content, shared by all visitors.

Arguments that start with an underscore are not part of the key; what they hold is named by the
keys before them. Results are shared, so nobody writes into them.
"""

from dataclasses import dataclass

import numpy as np
import streamlit as st

import vizlib
from pages.ui import layer_map, photos
from pages.ui.selection import Selection
from pages.ui.tiles import Tiles


@st.cache_resource(max_entries=64, show_spinner=False)
def scores(network_key: str, image_key: str, _selected: Selection) -> np.ndarray:
    """Probabilities of all classes."""
    return _selected.convnet.predict(_selected.image)


@st.cache_resource(max_entries=32, show_spinner="Reading the photo in every way …")
def preprocessing(
    network_key: str, image_key: str, _selected: Selection
) -> vizlib.PreprocessingReport:
    """Which preprocessing suits the network, and what it says under each."""
    return vizlib.inspect_preprocessing(_selected.convnet, _selected.image)


@st.cache_resource(max_entries=64, show_spinner=False)
def logits(network_key: str, image_key: str, _selected: Selection) -> np.ndarray:
    """Scores of all classes before the activation."""
    return _selected.convnet.scores(_selected.image)


@st.cache_resource(max_entries=16, show_spinner="Running the network …")
def maps(network_key: str, image_key: str, layer: str, _selected: Selection) -> np.ndarray:
    """Maps of one layer."""
    return vizlib.activations(_selected.convnet, _selected.image, [layer])[layer]


@st.cache_resource(max_entries=16, show_spinner="Following the network's connections …")
def drawing(
    network_key: str, folded: bool, _selected: Selection
) -> tuple[vizlib.LayerGraph, vizlib.GraphLayout]:
    """Which layers feed which, and where each is drawn."""
    graph = _selected.convnet.graph
    graph = graph.folded() if folded else graph
    return graph, vizlib.graph_layout(graph)


@st.cache_resource(max_entries=8, show_spinner="Running the network …")
def strongest(
    network_key: str, image_key: str, _selected: Selection
) -> dict[str, vizlib.StrongestChannel]:
    """The strongest channel of every layer with maps."""
    return vizlib.strongest_channels(_selected.convnet, _selected.image)


@st.cache_resource(max_entries=16, show_spinner=False)
def thumbnails(
    network_key: str,
    image_key: str,
    colormap: str,
    _strongest: layer_map.Strongest,
    _photo: np.ndarray,
) -> Tiles:
    """Pictures of the strongest channels in one."""
    return layer_map.thumbnails(_strongest, _photo, colormap)


@st.cache_resource(max_entries=32, show_spinner=False)
def grid(
    network_key: str,
    image_key: str,
    layer: str,
    by_strength: bool,
    scaling: str,
    colormap: str,
    columns: int,
    _maps: np.ndarray,
) -> bytes:
    """Every channel of a layer as one PNG."""
    ordered = _maps[..., ranking(_maps, by_strength=by_strength)]
    pixels = vizlib.render.activation_grid(ordered, columns=columns, scaling=scaling)
    return vizlib.render.to_png(pixels, colormap=colormap)


def ranking(maps: np.ndarray, *, by_strength: bool = True) -> np.ndarray:
    """Channels, strongest first or by number."""
    if by_strength:
        return np.argsort(-vizlib.channel_strength(maps), kind="stable")
    return np.arange(maps.shape[2])


# Not in the page itself: Streamlit runs that file anew at every click, and dataclasses of two
# runs are never equal.
@dataclass(frozen=True)
class Order:
    """Which filter patterns a visitor asked for."""

    network_key: str
    layer: str
    channels: tuple[int, ...]
    recipe: str
    size: int
    steps: int
    seed: int


@st.cache_resource(max_entries=8, show_spinner=False)
def pattern_grid(order: Order, columns: int, gap: int, _images: np.ndarray) -> bytes:
    """Patterns as one PNG; the layout tells which of an order's patterns they are."""
    return vizlib.render.to_png(vizlib.render.montage(_images, columns=columns, gap=gap))


@st.cache_resource(max_entries=32, show_spinner=False)
def atlas_of(order: Order, _selected: Selection) -> vizlib.FilterAtlas:
    """Where the patterns of all channels are kept."""
    return vizlib.filter_atlas(
        _selected.convnet,
        order.layer,
        recipe=order.recipe,
        size=order.size,
        steps=order.steps,
        seed=order.seed,
    )


@st.cache_resource(max_entries=4, show_spinner="Running the network …")
def at_work(
    network_key: str, image_key: str, layer: str, _selected: Selection
) -> vizlib.Convolution | vizlib.Pooling:
    """A convolution or a pooling layer on the photo, each number of which can be taken apart."""
    pools = layer in {one.name for one in vizlib.pooling_layers(_selected.convnet)}
    run = vizlib.pooling if pools else vizlib.convolution
    return run(_selected.convnet, _selected.image, layer)


@st.cache_resource(max_entries=64, show_spinner=False)
def followers(network_key: str, layer: str, _selected: Selection) -> tuple[vizlib.LayerInfo, ...]:
    """Layers that work on a layer's output in turn."""
    return _selected.convnet.followers(layer)


def _photos(selected: Selection) -> dict[str, photos.Photo]:
    """The visitor's photo and the samples, by title."""
    samples = [opened() for opened in photos.samples().values()]
    return {photo.title: photo for photo in [selected.photo, *samples]}


@st.cache_resource(max_entries=32, show_spinner="Showing the network all photos …")
def peaks(network_key: str, image_key: str, layer: str, _selected: Selection) -> vizlib.LayerPeaks:
    """Where each channel of a layer is largest on the visitor's photo and the samples."""
    shown = _photos(_selected)
    images = ((title, photo.image) for title, photo in shown.items())
    return vizlib.layer_peaks(_selected.convnet, layer, images)


@st.cache_resource(max_entries=64, show_spinner=False)
def patches(
    network_key: str, image_key: str, layer: str, channel: int, _selected: Selection
) -> tuple[vizlib.Patch, ...]:
    """What drives a channel most in the visitor's photo and the samples, strongest first."""
    found, shown = peaks(network_key, image_key, layer, _selected), _photos(_selected)
    return vizlib.peak_patches(_selected.convnet, found, channel, lambda title: shown[title].image)


@st.cache_resource(max_entries=64, show_spinner=False)
def receptive_field(network_key: str, layer: str, _selected: Selection) -> vizlib.ReceptiveField:
    """What a place of a layer can see of the photo."""
    return vizlib.receptive_field(_selected.convnet, layer)


@st.cache_resource(max_entries=64, show_spinner=False)
def classes_fed(
    network_key: str, layer: str, channel: int, _selected: Selection
) -> vizlib.ClassesFed:
    """Which classes a channel feeds."""
    return vizlib.classes_fed(_selected.convnet, layer, channel)


@st.cache_resource(max_entries=8, show_spinner="Running the network …")
def contributions(
    network_key: str, image_key: str, layer: str, class_index: int, _selected: Selection
) -> vizlib.Contributions:
    """What each channel of a layer adds to a class score."""
    return vizlib.channel_contributions(
        _selected.convnet, _selected.image, class_index=class_index, layer=layer
    )


@st.cache_resource(max_entries=64, show_spinner="Running the network …")
def heatmap(
    network_key: str,
    image_key: str,
    method: str,
    layer: str,
    class_index: int,
    _selected: Selection,
) -> vizlib.Heatmap:
    """Heatmap of one class; ``layer`` is empty for methods that look at pixels."""
    explain = vizlib.HEATMAP_METHODS[method]
    return explain(_selected.convnet, _selected.image, class_index=class_index, layer=layer or None)
