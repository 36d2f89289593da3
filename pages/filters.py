"""Which pattern does a channel look for?"""

import streamlit as st

import vizlib
from pages.ui import (
    controls,
    links,
    making,
    one_channel,
    one_class,
    selection,
    several_channels,
    whole_layer,
)
from pages.ui.language import say

VIEWS = ("several", "channel", "layer", "class")
DRAW = {
    "several": several_channels.show,
    "channel": one_channel.show,
    "layer": whole_layer.show,
}


def show() -> None:
    chosen = selection.current()
    controls.heading(say("filters.question"), say("filters.explanation"))
    links.follow("view", VIEWS, key="filter_view")
    view = st.segmented_control(
        say("filters.choose_view"),
        VIEWS,
        default="several",
        required=True,
        key="filter_view",
        format_func=lambda view: say(f"filters.view.{view}"),
        persist_state="session",
        label_visibility="collapsed",
    )
    links.keep("view", view)
    if view == "class":
        one_class.show(chosen, making.choose(chosen.convnet))
        return
    left, right = st.columns(2)
    with left:
        layer = choose_layer(chosen.convnet)
    with right:
        made = making.choose(chosen.convnet)
    DRAW[view](chosen, layer, made)


def choose_layer(convnet: vizlib.ConvNet) -> vizlib.LayerInfo:
    return controls.choose_layer(convnet, key="filters", default=middle_layer(convnet))


def middle_layer(convnet: vizlib.ConvNet) -> str:
    """Pick a convolution a third of the way in: past edges, before whole objects."""
    convolutions = [layer.name for layer in convnet.layers if layer.kind == "Conv2D"]
    names = convolutions or [layer.name for layer in convnet.layers]
    return names[len(names) // 3]


show()
