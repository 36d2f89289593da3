"""A class score as a sum over channels, each with what it saw and what it looks for."""

import numpy as np
import streamlit as st

import vizlib
from pages.ui import computing, controls, jobs, look, making, scripts, selection
from pages.ui.explanations import Question
from pages.ui.language import say
from pages.ui.one_class import seen_of
from pages.ui.retelling import retold
from pages.ui.wording import as_written

MOST, PATCHES, SIDE = 8, 3, 128


def show(question: Question) -> None:
    """Draw the channels that make the score, and that they add up to it."""
    chosen = question.chosen
    layer = question.layer or chosen.convnet.default_layer
    parts = computing.contributions(*parts_key(question, layer), chosen)
    label = as_written(chosen.convnet.label(parts.class_index))
    st.caption(say("by_parts.explanation", label=label, layer=as_written(layer)))
    if parts.diagnosis:
        st.warning(as_written(retold(parts.diagnosis)), icon=":material/warning:")
    most = min(MOST, len(parts.channels))
    count = st.slider(say("by_parts.channels"), 1, most, 4, key=f"parts:{layer}")
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
    amounts = {say("by_parts.channel", number=k): float(parts.channels[k]) for k in strongest}
    others = float(parts.channels.sum()) - sum(amounts.values())
    left = len(parts.channels) - len(strongest)
    amounts |= {say("by_parts.others", count=left): others} if left else {}
    amounts[say("by_parts.bias")] = parts.bias
    total = sum(amounts.values())
    rows = [{"part": part, "adds": value} for part, value in amounts.items()]
    rows.append({"part": say("by_parts.together"), "adds": total})
    rows.append({"part": say("by_parts.score"), "adds": parts.score})
    st.dataframe(
        rows,
        hide_index=True,
        width="content",
        column_config={
            # Wide enough for Chinese, which Streamlit measures too short.
            "part": st.column_config.TextColumn(say("by_parts.part"), width=240),
            "adds": st.column_config.NumberColumn(say("by_parts.adds"), format="%.4f"),
        },
        alt=say("by_parts.sum"),
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
    words, icon = say("by_parts.make"), ":material/play_arrow:"
    if not there and not st.button(words, key="make_parts", icon=icon):
        return None
    number = "one" if len(channels) == 1 else "many"
    title = say(f"by_parts.job.{number}", count=len(channels), layer=layer)
    return jobs.result("parts", jobs.Job(order, title), compute)


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
        adds = f"{parts.channels[channel]:+.4g}"
        st.subheader(say("by_parts.heading", number=channel, adds=adds), anchor=False)
        first, *others = st.columns([2, *[1] * PATCHES, 2])
        picture = vizlib.render.overlay(
            question.chosen.picture,
            parts.values[..., channel],
            alpha=0.6,
            colormap=colormap,
            limit=limit or None,
        )
        names = {"number": channel, "layer": parts.layer, "label": label, "photo": name}
        title, alt = say("by_parts.map.title", **names), say("by_parts.map.alt", **names)
        controls.show_picture(picture, title, alt=alt, column=first)
        draw_patches(question, parts.layer, channel, others[:PATCHES])
        if patterns is not None:
            pixels = vizlib.render.faded(patterns.images[place], seen_of(patterns, place))
            title = say("by_parts.pattern.title", **names)
            alt = say("by_parts.pattern.alt", **names)
            controls.show_picture(pixels, title, alt=alt, column=others[-1])
    with st.columns([1, 2])[0]:
        controls.colour_bar(colormap, low=-limit, high=limit, unit=look.unit("HiResCAM"))


def draw_patches(question: Question, layer: str, channel: int, columns: list) -> None:
    chosen = question.chosen
    found = computing.patches(chosen.network.key, chosen.photo.key, layer, channel, chosen)
    for column, patch in zip(columns, found, strict=False):
        pixels = vizlib.render.thumbnail(patch.pixels, selection.THUMBNAIL)
        title = say("by_parts.patch.title", photo=patch.name, value=f"{patch.activation:.3g}")
        alt = say("by_parts.patch.alt", photo=patch.name, number=channel, layer=layer)
        controls.show_picture(pixels, as_written(title), alt=alt, column=column)
