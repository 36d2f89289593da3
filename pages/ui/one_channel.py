"""One channel: what it looks for, and what it answers to in real photos."""

import numpy as np
import streamlit as st

import vizlib
from pages.ui import computing, controls, jobs, links, scripts, selection
from pages.ui.language import say
from pages.ui.making import Making
from pages.ui.one_class import seen_of
from pages.ui.retelling import retold
from pages.ui.wording import as_written

PATCHES, VARIANTS = 6, 4


def show(chosen: selection.Selection, layer: vizlib.LayerInfo, making: Making) -> None:
    """Draw a channel's pattern, and the evidence beside it."""
    channel = choose_channel(layer)
    show_pattern(chosen, layer, channel, making)
    show_photo(chosen, layer, channel)
    show_patches(chosen, layer, channel)
    show_classes(chosen, layer, channel)
    show_more(chosen, layer, channel, making)
    controls.copy_as_python(scripts.channel(chosen, layer.name, channel, making.options))


def choose_channel(layer: vizlib.LayerInfo) -> int:
    key, last = f"filter_channel:{layer.name}:{layer.channels}", layer.channels - 1
    if last == 0:
        st.caption(say("one_channel.only_one"))
        return 0
    links.follow("channel", range(layer.channels), key=key)
    label = say("one_channel.channel")
    channel = st.number_input(label, 0, last, key=key, persist_state="session", width=200)
    links.keep("channel", channel)
    return channel


def show_pattern(
    chosen: selection.Selection, layer: vizlib.LayerInfo, channel: int, making: Making
) -> None:
    order = making.order(chosen.network.key, layer.name, (channel,))

    def compute(progress: jobs.Progress) -> vizlib.FilterPatterns:
        return vizlib.filter_patterns(
            chosen.convnet, layer.name, [channel], progress=progress, **making.options
        )

    title = say("one_channel.pattern", channel=channel, layer=layer.name)
    made = jobs.result("channel", jobs.Job(order, title), compute)
    if made is None:
        return
    picture, facts = st.columns([3, 2], gap="large")
    pixels = vizlib.render.faded(made.images[0], seen_of(made, 0))
    with picture:
        controls.show_picture(pixels, alt=title, width=max(384, pixels.shape[1]))
        name = controls.file_stem(chosen.convnet.name, layer.name, channel, making.recipe)
        controls.download_png(vizlib.render.to_png(pixels), name, key="channel_png")
    with facts:
        controls.show_channel_ascent(made.objective[0], made.diagnosis[0], channel)
        if made.diagnosis[0] is None:
            compare(chosen, layer, channel, float(made.objective[0, -1]))


def compare(
    chosen: selection.Selection, layer: vizlib.LayerInfo, channel: int, reached: float
) -> None:
    """Say how far the pattern drives the channel beyond real photos."""
    peaks = computing.peaks(chosen.network.key, chosen.photo.key, layer.name, chosen)
    largest = float(peaks.mean[:, channel].max())
    if largest > 0 and reached > 0:
        name = as_written(peaks.names[int(peaks.mean[:, channel].argmax())])
        photos, times = len(peaks.names), reached / largest
        st.caption(
            say("one_channel.reached", photos=photos, largest=largest, name=name, times=times)
        )
    st.caption(as_written(retold(peaks.describe(channel))))


def show_photo(chosen: selection.Selection, layer: vizlib.LayerInfo, channel: int) -> None:
    st.subheader(say("one_channel.in_photo"), anchor=False)
    maps = computing.maps(chosen.network.key, chosen.photo.key, layer.name, chosen)
    values = maps[..., channel]
    largest = float(np.abs(values).max())
    position = (values + largest) / 2 if values.min() < 0 else values
    picture = chosen.picture
    options = {"colormap": "viridis", "limit": largest or None}
    coloured = vizlib.render.colorize(position, size=picture.shape[:2], **options)
    blended = vizlib.render.overlay(picture, position, alpha=0.6, **options)
    shown = {"channel": channel, "layer": layer.name, "photo": chosen.photo.title}
    pictures = {"photo": picture, "map": coloured, "laid_over": blended}
    controls.side_by_side(
        [
            (pixels, say(f"one_channel.{name}", **shown), say(f"one_channel.{name}_alt", **shown))
            for name, pixels in pictures.items()
        ]
    )
    extremes = {"minimum": values.min(), "mean": values.mean(), "maximum": values.max()}
    st.caption(say("one_channel.values", **extremes, above=np.mean(values > 0)))


def show_patches(chosen: selection.Selection, layer: vizlib.LayerInfo, channel: int) -> None:
    st.subheader(say("one_channel.where"), anchor=False)
    found = computing.patches(chosen.network.key, chosen.photo.key, layer.name, channel, chosen)
    field = computing.receptive_field(chosen.network.key, layer.name, chosen)
    height, width = field.size
    diagnosis = retold(field.diagnosis or "")
    st.caption(say("one_channel.where_explained", width=width, height=height, diagnosis=diagnosis))
    for column, patch in zip(st.columns(PATCHES), found[:PATCHES], strict=False):
        pixels = vizlib.render.thumbnail(patch.pixels, selection.THUMBNAIL)
        title = say("one_channel.patch", photo=patch.name, activation=patch.activation)
        alt = say("one_channel.patch_alt", photo=patch.name, channel=channel, layer=layer.name)
        controls.show_picture(pixels, as_written(title), alt=alt, column=column)


def show_classes(chosen: selection.Selection, layer: vizlib.LayerInfo, channel: int) -> None:
    if not chosen.convnet.is_classifier:
        return
    st.subheader(say("one_channel.classes"), anchor=False)
    fed = computing.classes_fed(chosen.network.key, layer.name, channel, chosen)
    if fed.diagnosis:
        st.caption(as_written(retold(fed.diagnosis)))
    if fed.top:
        st.dataframe(
            [{"class": one.label, "rise": one.weight} for one in fed.top],
            hide_index=True,
            width="content",
            column_config={name: say(f"one_channel.column.{name}") for name in ("class", "rise")},
            alt=say("one_channel.classes_alt", channel=channel, layer=layer.name),
        )
        st.caption(say("one_channel.classes_explained"))


def show_more(
    chosen: selection.Selection, layer: vizlib.LayerInfo, channel: int, making: Making
) -> None:
    """Make, when asked, what the channel dislikes and several pictures that it likes."""
    st.subheader(say("one_channel.more"), anchor=False)
    objective = vizlib.objectives.channel(layer.name, channel)
    wanted = [
        vizlib.objectives.negative(objective),
        vizlib.objectives.diverse(objective, VARIANTS),
    ]

    def compute(progress: jobs.Progress) -> vizlib.FilterPatterns:
        return vizlib.optimize(chosen.convnet, wanted, progress=progress, **making.options)

    key = (making.order(chosen.network.key, layer.name, (channel,)), "more")
    there = jobs.queue().result(key) is not None or jobs.asked("channel_more", key)
    label = say("one_channel.make_more", count=VARIANTS)
    if not there and not st.button(label, key="channel_make_more", icon=":material/play_arrow:"):
        return
    made = jobs.result("channel_more", jobs.Job(key, label), compute)
    if made is None:
        return
    drives = (say("one_channel.drives", number=i + 1) for i in range(VARIANTS))
    titles = [say("one_channel.silences"), *drives]
    for column, title, pixels, index in zip(
        st.columns(len(titles)), titles, made.images, range(len(titles)), strict=True
    ):
        shown = vizlib.render.faded(pixels, seen_of(made, index))
        alt = say("one_channel.more_alt", title=title, channel=channel, layer=layer.name)
        controls.show_picture(shown, title, alt=alt, column=column)
        if made.diagnosis[index]:
            column.caption(as_written(retold(made.diagnosis[index])))
    st.caption(say("one_channel.more_explained"))
