"""Everything a page computes, each thing once: kept by content, shared by all visitors.

Arguments that start with an underscore are not part of the key; what they hold is named by the
keys before them. Results are shared, so nobody writes into them.
"""

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

import vizlib
from pages.ui import layer_map, photos
from pages.ui.language import say
from pages.ui.selection import Selection
from pages.ui.tiles import Tiles


@st.cache_resource(max_entries=64, show_spinner=False)
def scores(network_key: str, image_key: str, _selected: Selection) -> np.ndarray:
    """Probabilities of all classes."""
    return _selected.convnet.predict(_selected.image)


@st.cache_resource(max_entries=32, show_spinner=False)
def preprocessing(
    network_key: str, image_key: str, _selected: Selection
) -> vizlib.PreprocessingReport:
    """Which preprocessing suits the network, and what it says under each."""
    with st.spinner(say("computing.reading")):
        return vizlib.inspect_preprocessing(_selected.convnet, _selected.image)


@st.cache_resource(max_entries=64, show_spinner=False)
def logits(network_key: str, image_key: str, _selected: Selection) -> np.ndarray:
    """Scores of all classes before the activation."""
    return _selected.convnet.scores(_selected.image)


@st.cache_resource(max_entries=16, show_spinner=False)
def maps(network_key: str, image_key: str, layer: str, _selected: Selection) -> np.ndarray:
    """Maps of one layer."""
    with st.spinner(say("computing.running")):
        return vizlib.activations(_selected.convnet, _selected.image, [layer])[layer]


@st.cache_resource(max_entries=16, show_spinner=False)
def drawing(
    network_key: str, folded: bool, _selected: Selection
) -> tuple[vizlib.LayerGraph, vizlib.GraphLayout]:
    """Which layers feed which, and where each is drawn."""
    with st.spinner(say("computing.following")):
        graph = _selected.convnet.graph
        graph = graph.folded() if folded else graph
        return graph, vizlib.graph_layout(graph)


@st.cache_resource(max_entries=8, show_spinner=False)
def strongest(
    network_key: str, image_key: str, _selected: Selection
) -> dict[str, vizlib.StrongestChannel]:
    """The strongest channel of every layer with maps."""
    with st.spinner(say("computing.running")):
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


@st.cache_resource(max_entries=4, show_spinner=False)
def at_work(
    network_key: str, image_key: str, layer: str, _selected: Selection
) -> vizlib.Convolution | vizlib.Pooling:
    """A convolution or a pooling layer on the photo, each number of which can be taken apart."""
    with st.spinner(say("computing.running")):
        pools = layer in {one.name for one in vizlib.pooling_layers(_selected.convnet)}
        run = vizlib.pooling if pools else vizlib.convolution
        return run(_selected.convnet, _selected.image, layer)


@st.cache_resource(max_entries=64, show_spinner=False)
def followers(network_key: str, layer: str, _selected: Selection) -> tuple[vizlib.LayerInfo, ...]:
    """Layers that work on a layer's output in turn."""
    return _selected.convnet.followers(layer)


def _photos(selected: Selection) -> dict[str, photos.Photo]:
    """The visitor's photo and the samples, by key: titles are of one language only."""
    samples = [opened() for opened in photos.samples().values()]
    return {photo.key: photo for photo in [selected.photo, *samples]}


@st.cache_resource(max_entries=32, show_spinner=False)
def _peaks(network_key: str, image_key: str, layer: str, _selected: Selection) -> vizlib.LayerPeaks:
    with st.spinner(say("computing.showing")):
        shown = _photos(_selected)
        images = ((key, photo.image) for key, photo in shown.items())
        return vizlib.layer_peaks(_selected.convnet, layer, images)


def peaks(network_key: str, image_key: str, layer: str, selected: Selection) -> vizlib.LayerPeaks:
    """Where each channel of a layer is largest on the visitor's photo and the samples."""
    found = _peaks(network_key, image_key, layer, selected)
    return replace(found, names=tuple(_title(key, selected) for key in found.names))


def _title(key: str, selected: Selection) -> str:
    return selected.photo.title if key == selected.photo.key else photos.title(key)


@st.cache_resource(max_entries=64, show_spinner=False)
def _patches(
    network_key: str, image_key: str, layer: str, channel: int, _selected: Selection
) -> tuple[vizlib.Patch, ...]:
    found, shown = _peaks(network_key, image_key, layer, _selected), _photos(_selected)
    return vizlib.peak_patches(_selected.convnet, found, channel, lambda key: shown[key].image)


def patches(
    network_key: str, image_key: str, layer: str, channel: int, selected: Selection
) -> tuple[vizlib.Patch, ...]:
    """What drives a channel most in the visitor's photo and the samples, strongest first."""
    found = _patches(network_key, image_key, layer, channel, selected)
    return tuple(replace(patch, name=_title(patch.name, selected)) for patch in found)


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


@st.cache_resource(max_entries=8, show_spinner=False)
def contributions(
    network_key: str, image_key: str, layer: str, class_index: int, _selected: Selection
) -> vizlib.Contributions:
    """What each channel of a layer adds to a class score."""
    with st.spinner(say("computing.running")):
        return vizlib.channel_contributions(
            _selected.convnet, _selected.image, class_index=class_index, layer=layer
        )


@st.cache_resource(max_entries=64, show_spinner=False)
def heatmap(
    network_key: str,
    image_key: str,
    method: str,
    layer: str,
    class_index: int,
    _selected: Selection,
) -> vizlib.Heatmap:
    """Heatmap of one class; ``layer`` is empty for methods that look at pixels."""
    with st.spinner(say("computing.running")):
        explain = vizlib.HEATMAP_METHODS[method]
        return explain(
            _selected.convnet, _selected.image, class_index=class_index, layer=layer or None
        )
