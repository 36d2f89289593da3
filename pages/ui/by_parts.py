"""A class score as a sum over channels, each with what it saw and what it looks for."""

import numpy as np
import streamlit as st

import vizlib
from pages.ui import computing, controls, jobs, making, scripts, selection
from pages.ui.explanations import Question
from pages.ui.one_class import seen_of
from pages.ui.wording import as_written

MOST, PATCHES, SIDE = 8, 3, 128


def show(question: Question) -> None:
    """Draw the channels that make the score, and that they add up to it."""
    chosen = question.chosen
    layer = question.layer or chosen.convnet.default_layer
    parts = computing.contributions(*parts_key(question, layer), chosen)
    label = as_written(chosen.convnet.label(parts.class_index))
    st.caption(
        f"The score of {label} is taken apart into what each channel of {as_written(layer)} adds "
        "to it: its map times the slope of the score, place by place (HiResCAM before its channels "
        "are added up)."
    )
    if parts.diagnosis:
        st.warning(as_written(parts.diagnosis), icon=":material/warning:")
    count = st.slider("Channels", 1, min(MOST, len(parts.channels)), 4, key=f"parts:{layer}")
    strongest = parts.strongest(count)
    show_sum(parts, strongest)
    patterns = make_patterns(question, layer, strongest)
    draw(question, parts, strongest, patterns)
    controls.copy_as_python(scripts.contributions(question, layer, count))


def parts_key(question: Question, layer: str) -> tuple[str, str, str, int]:
    network, photo, *_ = question.key
    return network, photo, layer, question.class_index


def show_sum(parts: vizlib.Contributions, strongest: list[int]) -> None:
    """Write the sum out, so that it can be checked by hand."""
    amounts = {f"channel {k}": float(parts.channels[k]) for k in strongest}
    others = float(parts.channels.sum()) - sum(amounts.values())
    left = len(parts.channels) - len(strongest)
    amounts |= {f"the other {left} channels": others} if left else {}
    amounts["bias: the score without any of them"] = parts.bias
    total = sum(amounts.values())
    rows = [{"part": part, "adds": value} for part, value in amounts.items()]
    rows.append({"part": "together", "adds": total})
    rows.append({"part": "the score as the network gives it", "adds": parts.score})
    st.dataframe(
        rows,
        hide_index=True,
        width="content",
        column_config={"adds": st.column_config.NumberColumn("adds (logits)", format="%.4f")},
        alt="What each channel adds to the score, and the sum",
    )


def make_patterns(
    question: Question, layer: str, channels: list[int]
) -> vizlib.FilterPatterns | None:
    """Make what the channels look for, when asked."""
    chosen = question.chosen
    made = making.Making("fourier", SIDE, vizlib.FILTER_RECIPES["fourier"].steps, 0)
    order = made.order(chosen.network.key, layer, tuple(channels))

    def compute(progress: jobs.Progress) -> vizlib.FilterPatterns:
        return vizlib.filter_patterns(
            chosen.convnet, layer, channels, progress=progress, **made.options
        )

    there = jobs.queue().result(order) is not None or jobs.asked("parts", order)
    if not there and not st.button("Make their patterns, too", icon=":material/play_arrow:"):
        return None
    return jobs.result("parts", jobs.Job(order, f"{len(channels)} patterns of {layer}"), compute)


def draw(
    question: Question,
    parts: vizlib.Contributions,
    strongest: list[int],
    patterns: vizlib.FilterPatterns | None,
) -> None:
    """Draw each channel's part on the photo, real photos that drive it, and its pattern."""
    limit = float(np.abs(parts.values[..., strongest]).max())
    colormap = vizlib.render.DIVERGING[0]
    label = question.chosen.convnet.label(parts.class_index)
    name = question.chosen.photo.title
    for place, channel in enumerate(strongest):
        st.subheader(f"Channel {channel}: {parts.channels[channel]:+.4g}", anchor=False)
        first, *others = st.columns([2, *[1] * PATCHES, 2])
        picture = vizlib.render.overlay(
            question.chosen.picture,
            parts.values[..., channel],
            alpha=0.6,
            colormap=colormap,
            limit=limit or None,
        )
        title = f"What channel {channel} adds, and where"
        alt = f"What channel {channel} of {parts.layer} adds to {label} in {name}"
        first.image(picture, title, width="stretch", output_format="PNG", alt=alt)
        draw_patches(question, parts.layer, channel, others[:PATCHES])
        if patterns is not None:
            pixels = vizlib.render.faded(patterns.images[place], seen_of(patterns, place))
            title = f"What channel {channel} looks for"
            alt = f"What channel {channel} of {parts.layer} looks for"
            others[-1].image(pixels, title, width="stretch", output_format="PNG", alt=alt)
    with st.columns([1, 2])[0]:
        controls.colour_bar(colormap, low=-limit, high=limit, unit="logit units")


def draw_patches(question: Question, layer: str, channel: int, columns: list) -> None:
    chosen = question.chosen
    found = computing.patches(chosen.network.key, chosen.photo.key, layer, channel, chosen)
    for column, patch in zip(columns, found, strict=False):
        pixels = vizlib.render.thumbnail(patch.pixels, selection.THUMBNAIL)
        title = f"{patch.name}: {patch.activation:.3g}"
        alt = f"Place in {patch.name} that drives channel {channel} of {layer} most"
        column.image(pixels, as_written(title), width="stretch", output_format="PNG", alt=alt)
