"""The patterns of every channel of a layer: kept on disk, shown as they are finished."""

from dataclasses import replace

import streamlit as st

import vizlib
from pages.ui import controls, jobs, picking, scripts, selection
from pages.ui.computing import atlas_of
from pages.ui.language import say
from pages.ui.making import Making
from pages.ui.retelling import retold
from pages.ui.tiles import Tiles, pick_tile

SLOT, MOSAIC_KEY = "atlas", "atlas_mosaic"
TILE = 96  # pixels of a thumbnail
#: A channel, why its picture shows nothing, and what its objective has reached.
Found = tuple[int, str | None, float]


def show(chosen: selection.Selection, layer: vizlib.LayerInfo, making: Making) -> None:
    """Show what is there of a layer's atlas, and make the rest when asked."""
    atlas = atlas_of(making.order(chosen.network.key, layer.name, ()), chosen)
    if len(atlas.finished) < atlas.channels:
        offer(chosen, atlas, making)
    draw(chosen, atlas)
    controls.copy_as_python(scripts.atlas(chosen, layer.name, making.options))


def offer(chosen: selection.Selection, atlas: vizlib.FilterAtlas, making: Making) -> None:
    key = making.order(chosen.network.key, atlas.layer, ("all",))
    network = chosen.network.title
    title = say("whole_layer.job", count=atlas.channels, layer=atlas.layer, network=network)
    label = say("whole_layer.go_on" if atlas.finished else "whole_layer.make_all")
    busy = jobs.running(SLOT) and jobs.asked(SLOT, key)
    if not busy and st.button(
        label, key="atlas_make", type="primary", icon=":material/play_arrow:"
    ):
        jobs.start(SLOT, jobs.Job(key, title), atlas.fill)
        st.rerun()
    jobs.show(SLOT)


def draw(chosen: selection.Selection, atlas: vizlib.FilterAtlas) -> None:
    """Show the sheet, growing by itself while the rest is made."""
    every = 2.0 if jobs.running(SLOT) else None
    st.fragment(sheet, run_every=every)(chosen, atlas)


def sheet(chosen: selection.Selection, atlas: vizlib.FilterAtlas) -> None:
    channels = atlas.finished
    st.caption(say("whole_layer.made", finished=len(channels), count=atlas.channels))
    if not channels:
        return
    tiles = labelled(*thumbnails((str(atlas.folder), channels), atlas))
    choice = f"atlas_channel:{atlas.folder}"
    pick = picking.latest(choice, MOSAIC_KEY, channels)
    picked = pick.value if pick.times else channels[0]
    pick_tile(
        tiles,
        key=MOSAIC_KEY,
        choice=choice,
        values=channels,
        selected=picked,
        alt=say("whole_layer.grid", count=len(channels), layer=atlas.layer),
        max_width=max(900, tiles.columns * 48),
    )
    large(chosen, atlas, picked)


def large(chosen: selection.Selection, atlas: vizlib.FilterAtlas, channel: int) -> None:
    patterns = atlas.patterns((channel,))
    picture, facts = st.columns([3, 2], gap="large")
    with picture:
        alt = say("whole_layer.pattern", channel=channel, layer=atlas.layer)
        controls.show_picture(patterns.images[0], alt=alt, width=384)
    with facts:
        controls.show_channel_ascent(patterns.objective[0], patterns.diagnosis[0], channel)
    name = controls.file_stem(chosen.convnet.name, atlas.layer, atlas.recipe, "all")
    with st.container(horizontal=True):
        tiles, _found = thumbnails((str(atlas.folder), atlas.finished), atlas)
        controls.download_png(tiles.png, name, key="atlas_png")


@st.cache_resource(max_entries=4, show_spinner=False)
def thumbnails(
    content: tuple[str, tuple[int, ...]], _atlas: vizlib.FilterAtlas
) -> tuple[Tiles, list[Found]]:
    """All pictures that are there, small, in one sheet; the folder and the channels name them."""
    patterns = _atlas.patterns(content[1])
    small = [vizlib.render.thumbnail(image, TILE) for image in patterns.images]
    columns = min(len(small), max(8, round(_atlas.channels**0.5)))
    height, width = small[0].shape[:2]
    png = vizlib.render.to_png(vizlib.render.montage(small, columns=columns, gap=2))
    reached = patterns.objective[:, -1].tolist()
    found = list(zip(patterns.channels, patterns.diagnosis, reached, strict=True))
    return Tiles(png, columns, height, width, gap=2, labels=()), found


def labelled(tiles: Tiles, found: list[Found]) -> Tiles:
    """Say of each tile what it shows, which is not kept: others read other languages."""
    return replace(tiles, labels=[title_of(*one) for one in found])


def title_of(channel: int, diagnosis: str | None, objective: float) -> str:
    if diagnosis:
        return say("whole_layer.tile_diagnosed", channel=channel, diagnosis=retold(diagnosis))
    return say("whole_layer.tile", channel=channel, objective=objective)
