"""Patterns of several channels of a layer, in one grid."""

import math
import re
from collections.abc import Sequence

import numpy as np
import streamlit as st

import vizlib
from pages.ui import computing, controls, jobs, picking, scripts, selection
from pages.ui.computing import Order
from pages.ui.language import say
from pages.ui.making import Making
from pages.ui.retelling import retold
from pages.ui.tiles import Tiles, pick_tile

WAYS = ("first", "range", "list", "random", "strongest")
# Chinese keyboards have marks of their own.
BETWEEN = re.compile(r"[,;，；、]")
PART = re.compile(r"(\d{1,6})\s*(?:[-–—－]\s*(\d{1,6}))?")
SLOT, MOSAIC_KEY = "filters", "patterns_mosaic"
MAX_MEGAPIXELS = 16


def show(chosen: selection.Selection, layer: vizlib.LayerInfo, making: Making) -> None:
    """Let channels be chosen, and make their patterns when asked."""
    channels = choose_channels(chosen, layer, making.seed)
    order = None
    if channels and not told_too_many(len(channels), making.size):
        order = making.order(chosen.network.key, layer.name, channels)
    pressed = st.button(
        say("several_channels.make"),
        key="filter_make",
        type="primary",
        icon=":material/play_arrow:",
        disabled=order is None,
    )
    if pressed and order is not None:
        begin(chosen, order)
    jobs.show(SLOT)
    shown = finished(chosen)
    if shown is not None:
        show_patterns(chosen, *shown)
    elif not jobs.running(SLOT):
        st.info(say("several_channels.choose"), icon=":material/info:")


def told_too_many(count: int, side: int) -> bool:
    most = MAX_MEGAPIXELS * 10**6 // side**2
    if count <= most:
        return False
    limits = {"most": most, "side": side, "megapixels": MAX_MEGAPIXELS}
    st.error(say("several_channels.too_many", count=count, **limits), icon=":material/error:")
    return True


def choose_channels(
    chosen: selection.Selection, layer: vizlib.LayerInfo, seed: int
) -> tuple[int, ...]:
    last = layer.channels - 1
    if last == 0:
        st.caption(say("several_channels.only_one"))
        return (0,)
    way = st.segmented_control(
        say("several_channels.channels"),
        WAYS,
        default="first",
        required=True,
        key="filter_way",
        format_func=lambda way: say(f"several_channels.way.{way}"),
        persist_state="session",
    )
    if way == "list":
        text = st.text_input(say("several_channels.numbers"), "0-7", key="filter_list")
        return listed(text, last)
    if way == "range":
        ends = (0, min(15, last))
        key = f"filter_range:{layer.name}:{last}"
        low, high = st.slider(say("several_channels.ends"), 0, last, ends, key=key)
        return tuple(range(low, high + 1))
    most = min(64, last + 1)
    key = f"filter_count:{layer.name}:{last}"
    count = st.slider(say("several_channels.count"), 1, most, min(16, most), key=key)
    return tuple(int(channel) for channel in some_channels(chosen, layer, way, count, seed))


def some_channels(
    chosen: selection.Selection, layer: vizlib.LayerInfo, way: str, count: int, seed: int
) -> Sequence[int]:
    if way == "random":
        rng = np.random.default_rng(seed)
        return np.sort(rng.permutation(layer.channels)[:count])
    if way == "strongest":
        maps = computing.maps(chosen.network.key, chosen.photo.key, layer.name, chosen)
        return computing.ranking(maps)[:count]
    return range(count)


def listed(text: str, last: int) -> tuple[int, ...]:
    """Read ``"3, 17, 40-44"``; what cannot be read is told."""
    found: list[int] = []
    parts = [part.strip() for part in BETWEEN.split(text)]
    for part in [part for part in parts if part] or [""]:
        numbers = PART.fullmatch(part)
        low, high = (int(n or numbers[1]) for n in numbers.groups()) if numbers else (0, -1)
        if not low <= high <= last:
            tell_unreadable(part, last)
            return ()
        found.extend(range(low, high + 1))
    return tuple(dict.fromkeys(found))


def tell_unreadable(part: str, last: int) -> None:
    example = "3, 17, 40-44" if last >= 44 else f"0-{last}"
    given = part[:40] or say("several_channels.nothing")
    sentence = say("several_channels.unreadable", last=last, example=example, part=given)
    st.error(sentence, icon=":material/error:")


def begin(chosen: selection.Selection, order: Order) -> None:
    st.session_state["filter_order"] = order
    if jobs.queue().result(order) is not None:
        jobs.clear(SLOT)
        return
    convnet = chosen.convnet

    def compute(progress: jobs.Progress) -> vizlib.FilterPatterns:
        return vizlib.filter_patterns(
            convnet,
            order.layer,
            order.channels,
            recipe=order.recipe,
            size=order.size,
            steps=order.steps,
            seed=order.seed,
            progress=progress,
        )

    title = counted("job", order.channels, layer=order.layer, network=chosen.network.title)
    jobs.start(SLOT, jobs.Job(order, title), compute)


def counted(key: str, things: Sequence[object], **values: str) -> str:
    """Say how many there are, of one thing or of several."""
    number = "one" if len(things) == 1 else "many"
    return say(f"several_channels.{key}.{number}", count=len(things), **values)


def finished(chosen: selection.Selection) -> tuple[Order, vizlib.FilterPatterns] | None:
    """Find the patterns ordered last, or those shown before while the order is worked on."""
    for slot in ("filter_order", "filter_shown"):
        order = st.session_state.get(slot)
        if order is None or order.network_key != chosen.network.key:
            continue
        patterns = jobs.queue().result(order)
        if patterns is not None:
            st.session_state["filter_shown"] = order
            return order, patterns
    return None


def show_patterns(
    chosen: selection.Selection, order: Order, patterns: vizlib.FilterPatterns
) -> None:
    st.subheader(counted("title", patterns.channels, layer=order.layer), anchor=False)
    tell_silent(patterns)
    laid_out, columns, gap = lay_out(patterns)
    grid = computing.pattern_grid(order, columns, gap, pictures_of(laid_out))
    choice = f"pattern:{order}"
    key = picking.key(choice, MOSAIC_KEY, laid_out.channels)
    channel = st.session_state.get(key)
    channel = channel if channel in laid_out.channels else laid_out.channels[0]
    show_grid(laid_out, channel, choice, tiles_of(laid_out, columns, gap, grid))
    name = controls.file_stem(chosen.convnet.name, order.layer, order.recipe, f"seed{order.seed}")
    with st.container(horizontal=True):
        controls.download_png(grid, name, key="patterns_png")
        controls.download_npz(arrays_of(patterns), name, key="patterns_npz")
    best = len(laid_out.channels) if laid_out is not patterns else None
    controls.copy_as_python(
        scripts.patterns(chosen, order, best=best, name=name, columns=columns, gap=gap)
    )
    show_pattern(laid_out, channel, key, name)


def tell_silent(patterns: vizlib.FilterPatterns) -> None:
    silent = [sentence for sentence in patterns.diagnosis if sentence]
    if silent:
        with st.expander(counted("silent", silent), key="filter_silent"):
            st.markdown("\n".join(f"- {retold(sentence)}" for sentence in silent))


def show_grid(patterns: vizlib.FilterPatterns, channel: int, choice: str, tiles: Tiles) -> None:
    channels = ", ".join(map(str, patterns.channels))
    pick_tile(
        tiles,
        key=MOSAIC_KEY,
        choice=choice,
        values=patterns.channels,
        selected=channel,
        alt=say("several_channels.grid", channels=channels, layer=patterns.layer),
        max_width=tiles.columns * max(160, tiles.width),
    )


def tiles_of(patterns: vizlib.FilterPatterns, columns: int, gap: int, png: bytes) -> Tiles:
    height, width = patterns.images.shape[1:3]
    labels = [
        say("several_channels.tile", channel=c, objective=trace[-1])
        for c, trace in zip(patterns.channels, patterns.objective, strict=True)
    ]
    return Tiles(png=png, columns=columns, height=height, width=width, gap=gap, labels=labels)


def arrays_of(patterns: vizlib.FilterPatterns) -> dict[str, np.ndarray]:
    return {
        "images": patterns.images,
        "objective": patterns.objective,
        "channels": np.array(patterns.channels),
    }


def pictures_of(patterns: vizlib.FilterPatterns) -> np.ndarray:
    """The pictures as they are drawn: faded where a recipe tells that they do not count."""
    if patterns.transparency is None:
        return patterns.images
    seen = zip(patterns.images, patterns.transparency, strict=True)
    return np.stack([vizlib.render.faded(image, share) for image, share in seen])


def lay_out(patterns: vizlib.FilterPatterns) -> tuple[vizlib.FilterPatterns, int, int]:
    """Let the visitor choose between all in order and the best, stitched; with columns and gap."""
    largest = math.isqrt(len(patterns.channels))
    stitched = largest > 1 and st.toggle(
        say("several_channels.stitch"),
        key="stitched",
        persist_state="session",
        help=say("several_channels.help_stitch"),
    )
    if stitched:
        return patterns.best(largest**2), largest, 5
    return patterns, min(8, len(patterns.channels)), 2


def show_pattern(patterns: vizlib.FilterPatterns, channel: int, key: str, name: str) -> None:
    st.subheader(say("several_channels.one_large"), anchor=False)
    picture, facts = st.columns([3, 2], gap="large")
    with facts:
        st.session_state[key] = channel
        channel = st.selectbox(
            say("several_channels.channel"),
            patterns.channels,
            key=key,
            help=say("several_channels.help_channel"),
        )
        index = patterns.channels.index(channel)
        trace, diagnosis = patterns.objective[index], patterns.diagnosis[index]
        controls.show_channel_ascent(trace, diagnosis, channel)
    pixels = pictures_of(patterns)[index]
    with picture:
        width = min(512, max(256, 3 * pixels.shape[1]))
        alt = say("several_channels.pattern", channel=channel, layer=patterns.layer)
        controls.show_picture(pixels, alt=alt, width=width)
        png = vizlib.render.to_png(pixels)
        controls.download_png(png, f"{name}_channel{channel}", key="pattern_png")
