"""Controls and pictures that several pages share."""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

import vizlib
from pages.ui import links
from pages.ui.language import say
from pages.ui.retelling import retold
from pages.ui.wording import as_written

COLORMAPS = vizlib.render.SEQUENTIAL
#: Grows evenly in brightness, from black: where there is nothing, a photo only gets darker.
HEAT = "inferno"


def heading(question: str, explanation: str) -> None:
    """Open a page: the question it answers, and what its picture can mislead about."""
    st.header(question, anchor=False)
    st.caption(explanation)


def choose_layer(
    convnet: vizlib.ConvNet,
    *,
    key: str,
    default: str,
    layers: Sequence[vizlib.LayerInfo] | None = None,
) -> vizlib.LayerInfo:
    """Let a layer be picked from those given, or from all with maps, in the order they run."""
    by_name = {layer.name: layer for layer in layers or convnet.layers}
    # The key holds the network, so that another network starts at its own default.
    links.follow("layer", by_name, key=f"{key}_layer:{convnet.name}")
    name = st.selectbox(
        say("controls.layer"),
        list(by_name),
        index=list(by_name).index(default),
        format_func=lambda name: layer_title(by_name[name]),
        key=f"{key}_layer:{convnet.name}",
        persist_state="session",
        help=say("controls.help_layer"),
    )
    links.keep("layer", name)
    return by_name[name]


def layer_title(layer: vizlib.LayerInfo) -> str:
    """Name, size and kind of a layer in one line."""
    return f"{layer.name}  ·  {' x '.join(map(str, layer.shape))}  ·  {layer.kind}"


def input_channels(convnet: vizlib.ConvNet) -> list[str]:
    """Names of the channels that a network receives, in their order."""
    if convnet.input_channels != 3:
        return [say("controls.channel.grey")]
    names = [say(f"controls.channel.{name}") for name in ("red", "green", "blue")]
    return names[::-1] if convnet.preprocessing.reverse else names


def class_titles(convnet: vizlib.ConvNet, probabilities: np.ndarray) -> list[str]:
    """Name and probability of each class, and its number where two have the same name."""
    names = [convnet.label(i) for i in range(convnet.classes)]
    times = Counter(names)
    unique = [name if times[name] == 1 else f"{name} ({i})" for i, name in enumerate(names)]
    return [f"{name}  ·  {p:.1%}" for name, p in zip(unique, probabilities, strict=True)]


def choose_colormap(
    *, key: str, default: str = "viridis", width: int | Literal["stretch"] = "stretch"
) -> str:
    """Let a colour map be picked in which zero is the first colour."""
    links.follow("colours", COLORMAPS, key=key)
    colormap = st.selectbox(
        say("controls.colours"),
        COLORMAPS,
        index=COLORMAPS.index(default),
        key=key,
        persist_state="session",
        width=width,
        help=say("controls.help_colours"),
    )
    links.keep("colours", colormap)
    return colormap


def choose_signed_colormap(*, key: str) -> str:
    """Let a colour map be picked in which zero is the middle."""
    links.follow("colours", vizlib.render.DIVERGING, key=key)
    colormap = st.selectbox(
        say("controls.colours"),
        vizlib.render.DIVERGING,
        key=key,
        persist_state="session",
        help=say("controls.help_signed_colours"),
    )
    links.keep("colours", colormap)
    return colormap


def show_picture(
    pixels: np.ndarray,
    title: str | None = None,
    *,
    alt: str,
    width: int | Literal["stretch"] = "stretch",
    column: DeltaGenerator | None = None,
) -> None:
    """Show pixels, uint8 ``(H, W)`` or ``(H, W, 3)``, as they are, with a title in Markdown.

    Streamlit itself takes several times as long to make a PNG of them.
    """
    png = vizlib.render.to_png(pixels)
    (column or st).image(png, title, width=width, output_format="PNG", alt=alt)


def side_by_side(pictures: list[tuple[np.ndarray, str, str]]) -> None:
    """Show pictures of one size beside each other, each with its title and its words."""
    for column, (picture, title, alt) in zip(st.columns(len(pictures)), pictures, strict=True):
        show_picture(picture, as_written(title), alt=alt, column=column)


def show_ascent(trace: np.ndarray, diagnosis: str | None, title: str) -> None:
    """Draw how an objective ``(steps,)`` rose, and say so where it did not."""
    if diagnosis:
        st.warning(retold(diagnosis), icon=":material/warning:")
    title, steps = as_written(title), len(trace)
    st.caption(say("controls.ascent", title=title, first=trace[0], last=trace[-1], steps=steps))
    step, objective = say("controls.step"), say("controls.objective")
    st.line_chart(
        {step: range(1, steps + 1), objective: trace},
        x=step,
        y=objective,
        height=220,
        alt=say("controls.ascent_chart", title=title, steps=steps),
    )


def show_channel_ascent(trace: np.ndarray, diagnosis: str | None, channel: int) -> None:
    """Draw how the mean of a channel rose."""
    show_ascent(trace, diagnosis, say("controls.channel_mean", channel=channel))
    if trace.min() < 0:
        st.caption(say("controls.below_zero"))


def colour_bar(colormap: str, *, low: float, high: float, unit: str) -> None:
    """Show which colour stands for which value."""
    bar = vizlib.render.palette(colormap)[None].repeat(10, axis=0)
    alt = say("controls.colour_bar", colormap=colormap, low=low, high=high, unit=unit)
    show_picture(bar, alt=alt)
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        for value in (low, (low + high) / 2, high):
            st.caption(f"{value:.3g}", width="content")
    st.caption(unit, text_alignment="center")


def download_png(pixels: bytes, name: str, *, key: str) -> None:
    """Offer a picture as it is shown."""
    st.download_button(
        "PNG",
        pixels,
        f"{name}.png",
        "image/png",
        key=key,
        icon=":material/download:",
        on_click="ignore",
        help=say("controls.help_png"),
    )


def download_npz(arrays: dict[str, np.ndarray], name: str, *, key: str) -> None:
    """Offer raw numbers for NumPy; they are packed when asked for."""

    def packed() -> bytes:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    st.download_button(
        "NPZ",
        packed,
        f"{name}.npz",
        "application/octet-stream",
        key=key,
        icon=":material/data_array:",
        on_click="ignore",
        help=say("controls.help_npz"),
    )


def download_report(html: Callable[[], str], name: str, *, key: str) -> None:
    """Offer a page of HTML with all that belongs to a picture; it is written when asked for."""
    st.download_button(
        say("controls.report"),
        lambda: html().encode(),
        f"{name}.html",
        "text/html",
        key=key,
        icon=":material/description:",
        on_click="ignore",
        help=say("controls.help_report"),
    )


def copy_as_python(script: str) -> None:
    """Offer the script that makes what the page shows."""
    with st.expander(say("controls.python"), icon=":material/code:"):
        st.code(script, language="python", wrap_lines=True)


def file_stem(*parts: object) -> str:
    """Make a file name that says what the file shows."""
    text = "_".join(str(part) for part in parts)
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in text)
