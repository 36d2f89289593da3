"""What does a layer see in this photo?"""

import math
from dataclasses import dataclass

import numpy as np
import streamlit as st

import vizlib
from pages.ui import computing, controls, language, links, picking, scripts, selection
from pages.ui.language import say
from pages.ui.tiles import Tiles, pick_tile

FEWEST_COLUMNS = 16
BINS = 40
ORDERS, SCALINGS = ["index", "strength"], ["channel", "layer"]
MOSAIC_KEY = "activations_mosaic"


@dataclass(frozen=True)
class Look:
    """How maps are drawn."""

    by_strength: bool
    scaling: str
    colormap: str


def show() -> None:
    chosen = selection.current()
    controls.heading(say("activations.title"), say("activations.explanation"))
    layer, look = choose(chosen)
    maps = computing.maps(chosen.network.key, chosen.photo.key, layer.name, chosen)
    show_facts(maps)
    show_grid(chosen, layer, maps, look)
    show_channel(chosen, layer, maps, look)


def choose(chosen: selection.Selection) -> tuple[vizlib.LayerInfo, Look]:
    settled = [info.name for info in chosen.convnet.layers if info.settled]
    first = next(iter(settled), chosen.convnet.layers[0].name)
    layer = controls.choose_layer(chosen.convnet, key="activations", default=first)
    with st.container(horizontal=True):
        return layer, choose_look()


def choose_look() -> Look:
    order = st.selectbox(
        say("activations.order"),
        ORDERS,
        index=language.place("order", ORDERS),
        format_func=lambda order: say(f"activations.order_by.{order}"),
        key="order",
        persist_state="session",
        width=130,
        help=say("activations.help_order"),
    )
    scaling = st.selectbox(
        say("activations.brightness"),
        SCALINGS,
        index=language.place("scaling", SCALINGS),
        key="scaling",
        persist_state="session",
        format_func=lambda whose: say(f"activations.brightness_by.{whose}"),
        width=140,
        help=say("activations.help_brightness"),
    )
    colormap = controls.choose_colormap(key="activation_colours", width=130)
    return Look(order == "strength", scaling, colormap)


def show_facts(maps: np.ndarray) -> None:
    dead = vizlib.dead_channels(maps)
    height, width, channels = maps.shape
    facts = [
        say("activations.fact.channels", channels=channels, width=width, height=height),
        say("activations.fact.values", low=maps.min(), high=maps.max()),
        say("activations.fact.dead", count=len(dead)),
    ]
    st.markdown(" · ".join(facts))
    if (height, width) == (1, 1):
        st.caption(say("activations.single_numbers"))
    if maps.min() < 0:
        st.caption(say("activations.signed"))


def channel_choice(layer: vizlib.LayerInfo) -> str:
    return f"activation_channel:{layer.name}:{layer.channels}"


def channel_key(layer: vizlib.LayerInfo) -> str:
    return picking.key(channel_choice(layer), MOSAIC_KEY, range(layer.channels))


def show_grid(
    chosen: selection.Selection, layer: vizlib.LayerInfo, maps: np.ndarray, look: Look
) -> None:
    ranked = computing.ranking(maps, by_strength=look.by_strength)
    png = computing.grid(
        *(chosen.network.key, chosen.photo.key, layer.name),
        *(look.by_strength, look.scaling, look.colormap, columns_for(layer.channels), maps),
    )
    key = channel_key(layer)
    links.follow("channel", range(layer.channels), key=key)
    picked = st.session_state.setdefault(key, int(computing.ranking(maps)[0]))
    _height, width, channels = maps.shape
    pick_tile(
        tiles_of(maps, ranked, png),
        key=MOSAIC_KEY,
        choice=channel_choice(layer),
        values=ranked.tolist(),
        selected=picked,
        alt=say("activations.grid", channels=channels, layer=layer.name, photo=chosen.photo.title),
        max_width=max(900, columns_for(channels) * (width + 1)),
    )
    name = controls.file_stem(chosen.convnet.name, layer.name, chosen.photo.name)
    with st.container(horizontal=True):
        controls.download_png(png, name, key="activations_png")
        controls.download_npz({"maps": maps}, name, key="activations_npz")
    controls.copy_as_python(
        scripts.activation_grid(
            chosen,
            layer.name,
            by_strength=look.by_strength,
            name=name,
            columns=columns_for(layer.channels),
            scaling=look.scaling,
            colormap=look.colormap,
        )
    )


def columns_for(channels: int) -> int:
    """As many as the book has, or more, so that a thousand channels still fit a screen."""
    return min(channels, max(FEWEST_COLUMNS, math.ceil(math.sqrt(channels))))


def tiles_of(maps: np.ndarray, ranked: np.ndarray, png: bytes) -> Tiles:
    height, width, channels = maps.shape
    peaks, means = maps.max(axis=(0, 1)), maps.mean(axis=(0, 1))
    return Tiles(
        png=png,
        columns=columns_for(channels),
        height=height,
        width=width,
        gap=1,
        labels=[say("activations.tile", channel=c, mean=means[c], peak=peaks[c]) for c in ranked],
    )


def show_channel(
    chosen: selection.Selection, layer: vizlib.LayerInfo, maps: np.ndarray, look: Look
) -> None:
    st.subheader(say("activations.large"), anchor=False)
    channel = choose_channel(layer)
    values = maps[..., channel]
    largest = float(np.abs(maps if look.scaling == "layer" else values).max())
    signed = bool(maps.min() < 0)
    show_pictures(chosen, layer.name, channel, values, largest, signed, look)
    left, right = st.columns([1, 2])
    with left:
        low = -largest if signed else 0.0
        controls.colour_bar(look.colormap, low=low, high=largest, unit=say("activations.unit"))
    with right:
        show_values(chosen, layer.name, channel, values)
        st.page_link(
            "pages/filters.py",
            label=say("activations.pattern", channel=channel),
            icon=":material/texture:",
            query_params=links.beside(view="channel", layer=layer.name, channel=channel),
        )


def show_values(chosen: selection.Selection, layer: str, channel: int, values: np.ndarray) -> None:
    st.caption(
        say(
            "activations.facts",
            low=values.min(),
            mean=values.mean(),
            high=values.max(),
            share=np.mean(values > 0),
        )
    )
    if values.min() == values.max():
        return
    counts, edges = np.histogram(values, BINS)
    value, places = say("activations.unit"), say("activations.places")
    what = {"channel": channel, "layer": layer, "photo": chosen.photo.title}
    bars = {
        "mark": "bar",
        "encoding": {
            "x": {"field": "from", "bin": {"binned": True}, "type": "quantitative", "title": value},
            "x2": {"field": "to"},
            "y": {"field": "places", "type": "quantitative", "title": places},
        },
    }
    st.vega_lite_chart(
        {"from": edges[:-1], "to": edges[1:], "places": counts},
        bars,
        height=200,
        alt=say("activations.alt_histogram", **what),
    )


def choose_channel(layer: vizlib.LayerInfo) -> int:
    last = layer.channels - 1
    if last == 0:
        st.caption(say("activations.one_channel"))
        return 0
    channel = st.number_input(
        say("activations.channel"),
        0,
        last,
        key=channel_key(layer),
        persist_state="session",
        width=200,
        help=say("activations.help_channel"),
    )
    links.keep("channel", channel)
    return channel


def show_pictures(
    chosen: selection.Selection,
    layer: str,
    channel: int,
    values: np.ndarray,
    largest: float,
    signed: bool,
    look: Look,
) -> None:
    # As in the grid: where the layer has negative values, zero is the middle of the colours.
    position = (values + largest) / 2 if signed else values
    photo, options = chosen.picture, {"colormap": look.colormap, "limit": largest or None}
    coloured = vizlib.render.colorize(position, size=photo.shape[:2], **options)
    blended = vizlib.render.overlay(photo, position, alpha=0.6, **options)
    what = {"channel": channel, "layer": layer}
    names = what | {"photo": chosen.photo.title}
    controls.side_by_side(
        [
            (photo, say("activations.photo"), say("activations.alt_photo", **names)),
            (coloured, say("activations.map", **what), say("activations.alt_map", **names)),
            (blended, say("activations.over"), say("activations.alt_over", **names)),
        ]
    )


show()
