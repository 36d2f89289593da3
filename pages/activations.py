"""What does a layer see in this photo?"""

import numpy as np
import streamlit as st

import vizlib
from pages.ui import computing, controls, selection
from pages.ui.tiles import Tiles, pick_tile

COLUMNS = 16


def show() -> None:
    chosen = selection.current()
    controls.heading(
        "What does a layer see?",
        "Every channel of a layer as a map of where it fires. Each is scaled by its own maximum "
        "unless you choose otherwise: a bright tile need not be a strong one.",
    )
    layer, order, scaling, colormap = choose(chosen)
    maps = computing.maps(chosen.network.key, chosen.photo.key, layer.name, chosen)
    if maps.shape[:2] == (1, 1):
        st.info("The maps of this layer are 1 x 1: each channel is a single number.")
    strength = vizlib.channel_strength(maps)
    ranked = (
        np.argsort(-strength, kind="stable") if order == "strength" else np.arange(len(strength))
    )
    show_facts(maps)
    grid = vizlib.render.activation_grid(maps[..., ranked], columns=COLUMNS, scaling=scaling)
    show_grid(chosen, layer, maps, ranked, vizlib.render.to_png(grid, colormap=colormap))
    show_channel(chosen, layer, maps, colormap)


def choose(chosen: selection.Selection) -> tuple[vizlib.LayerInfo, str, str, str]:
    left, *small = st.columns([3, 1, 1, 1], vertical_alignment="bottom")
    with left:
        settled = [info.name for info in chosen.convnet.layers if info.settled]
        first = next(iter(settled), chosen.convnet.layers[0].name)
        layer = controls.choose_layer(chosen.convnet, key="activations", default=first)
    order = small[0].selectbox(
        "Order",
        ["index", "strength"],
        key="order",
        persist_state="session",
        help="Strength: mean of the absolute activation, strongest first.",
    )
    scaling = small[1].selectbox(
        "Brightness",
        ["channel", "layer"],
        key="scaling",
        persist_state="session",
        format_func=lambda s: f"by {s}",
        help="What white stands for: the channel's own maximum, or the layer's.",
    )
    with small[2]:
        colormap = controls.choose_colormap(key="activation_colours")
    return layer, order, scaling, colormap


def show_facts(maps: np.ndarray) -> None:
    dead = vizlib.dead_channels(maps)
    height, width, channels = maps.shape
    facts = [
        f"**{channels}** channels of {width} x {height}",
        f"values {maps.min():.3g} to {maps.max():.3g}",
        f"**{len(dead)}** dead (zero everywhere for this photo)",
    ]
    st.markdown(" · ".join(facts))


def channel_key(layer: vizlib.LayerInfo) -> str:
    return f"activation_channel:{layer.name}:{layer.channels}"


def show_grid(
    chosen: selection.Selection,
    layer: vizlib.LayerInfo,
    maps: np.ndarray,
    ranked: np.ndarray,
    png: bytes,
) -> None:
    height, width, channels = maps.shape
    peaks, means = maps.max(axis=(0, 1)), maps.mean(axis=(0, 1))
    tiles = Tiles(
        png=png,
        columns=min(COLUMNS, channels),
        height=height,
        width=width,
        gap=1,
        labels=[f"channel {c} · mean {means[c]:.3g} · maximum {peaks[c]:.3g}" for c in ranked],
    )
    key = channel_key(layer)
    strongest = int(vizlib.channel_strength(maps).argmax())
    picked = st.session_state.setdefault(key, strongest)

    def pick(index: int) -> None:
        st.session_state[key] = int(ranked[index])

    pick_tile(
        tiles,
        key="activations",
        selected=int(np.flatnonzero(ranked == picked)[0]),
        on_pick=pick,
        alt=f"{channels} activation maps of {layer.name} for {chosen.photo.title}",
        max_width=max(900, tiles.columns * (width + 1)),
    )
    name = controls.file_stem(chosen.convnet.name, layer.name, chosen.photo.title)
    with st.container(horizontal=True):
        controls.download_png(png, name, key="activations_png")
        controls.download_npz({"maps": maps}, name, key="activations_npz")


def show_channel(
    chosen: selection.Selection, layer: vizlib.LayerInfo, maps: np.ndarray, colormap: str
) -> None:
    key = channel_key(layer)
    st.subheader("One channel, large", anchor=False)
    channel = st.number_input(
        "Channel", 0, maps.shape[2] - 1, key=key, help="Or click a tile in the grid above."
    )
    values = maps[..., channel]
    size = chosen.image.shape[:2]
    photo, alone, over = st.columns(3)
    photo.image(chosen.image, "The photo", width="stretch", output_format="PNG", alt="The photo")
    coloured = vizlib.render.colorize(np.abs(values), colormap=colormap, size=size)
    alone.image(
        coloured,
        f"Channel {channel}",
        width="stretch",
        output_format="PNG",
        alt=f"Where channel {channel} of {layer.name} fires",
    )
    blended = vizlib.render.overlay(chosen.image, np.abs(values), alpha=0.6, colormap=colormap)
    over.image(
        blended,
        "Laid over the photo",
        width="stretch",
        output_format="PNG",
        alt=f"Channel {channel} over the photo",
    )
    left, right = st.columns([1, 2])
    with left:
        controls.colour_bar(colormap, low=0, high=float(np.abs(values).max()), unit="")
    signed = " The colours show the distance from zero." if values.min() < 0 else ""
    right.caption(
        f"Minimum {values.min():.4g}, mean {values.mean():.4g}, maximum {values.max():.4g}, "
        f"above zero in {np.mean(values > 0):.0%} of places.{signed}"
    )


show()
