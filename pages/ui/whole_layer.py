"""The patterns of every channel of a layer: kept on disk, shown as they are finished."""

import streamlit as st

import vizlib
from pages.ui import controls, jobs, scripts, selection
from pages.ui.computing import atlas_of
from pages.ui.making import Making
from pages.ui.tiles import Tiles, pick_tile

SLOT = "atlas"
TILE = 96  # pixels of a thumbnail


def show(chosen: selection.Selection, layer: vizlib.LayerInfo, making: Making) -> None:
    """Show what is there of a layer's atlas, and make the rest when asked."""
    atlas = atlas_of(making.order(chosen.network.key, layer.name, ()), chosen)
    if len(atlas.finished) < atlas.channels:
        offer(chosen, atlas, making)
    draw(chosen, atlas)
    controls.copy_as_python(scripts.atlas(chosen, layer.name, making.options))


def offer(chosen: selection.Selection, atlas: vizlib.FilterAtlas, making: Making) -> None:
    key = making.order(chosen.network.key, atlas.layer, ("all",))
    title = f"All {atlas.channels} patterns of {atlas.layer} ({chosen.network.title})"
    label = "Go on" if atlas.finished else "Make all"
    busy = jobs.running(SLOT) and jobs.asked(SLOT, key)
    if not busy and st.button(label, type="primary", icon=":material/play_arrow:"):
        jobs.start(SLOT, jobs.Job(key, title), atlas.fill)
        st.rerun()
    jobs.show(SLOT)


def draw(chosen: selection.Selection, atlas: vizlib.FilterAtlas) -> None:
    """Show the sheet, growing by itself while the rest is made."""
    every = 2.0 if jobs.running(SLOT) else None
    st.fragment(sheet, run_every=every)(chosen, atlas)


def sheet(chosen: selection.Selection, atlas: vizlib.FilterAtlas) -> None:
    channels = atlas.finished
    st.caption(
        f"**{len(channels)} of {atlas.channels}** channels are made. What is finished is kept on "
        "disk, so that it can be stopped and gone on with at any time."
    )
    if not channels:
        return
    tiles = thumbnails((str(atlas.folder), channels), atlas)
    key = f"atlas_channel:{atlas.folder}"
    picked = st.session_state.get(key)
    picked = picked if picked in channels else channels[0]

    def pick(index: int) -> None:
        st.session_state[key] = channels[index]

    pick_tile(
        tiles,
        key="atlas",
        selected=channels.index(picked),
        on_pick=pick,
        alt=f"Patterns of {len(channels)} channels of {atlas.layer}",
        max_width=max(900, tiles.columns * 48),
    )
    large(chosen, atlas, picked)


def large(chosen: selection.Selection, atlas: vizlib.FilterAtlas, channel: int) -> None:
    patterns = atlas.patterns((channel,))
    picture, facts = st.columns([3, 2], gap="large")
    with picture:
        title = f"Pattern of channel {channel} of {atlas.layer}"
        st.image(patterns.images[0], width=384, output_format="PNG", alt=title)
    with facts:
        controls.show_channel_ascent(patterns.objective[0], patterns.diagnosis[0], channel)
    name = controls.file_stem(chosen.convnet.name, atlas.layer, atlas.recipe, "all")
    with st.container(horizontal=True):
        png = thumbnails((str(atlas.folder), atlas.finished), atlas).png
        controls.download_png(png, name, key="atlas_png")


@st.cache_resource(max_entries=4, show_spinner=False)
def thumbnails(content: tuple[str, tuple[int, ...]], _atlas: vizlib.FilterAtlas) -> Tiles:
    """All pictures that are there, small, in one sheet; the folder and the channels name them."""
    patterns = _atlas.patterns(content[1])
    small = [vizlib.render.thumbnail(image, TILE) for image in patterns.images]
    columns = min(len(small), max(8, round(_atlas.channels**0.5)))
    height, width = small[0].shape[:2]
    return Tiles(
        png=vizlib.render.to_png(vizlib.render.montage(small, columns=columns, gap=2)),
        columns=columns,
        height=height,
        width=width,
        gap=2,
        labels=[
            f"channel {c}" + (f" · {sentence}" if sentence else f" · objective {trace[-1]:.4g}")
            for c, sentence, trace in zip(
                patterns.channels, patterns.diagnosis, patterns.objective, strict=True
            )
        ],
    )
