"""A mosaic of tiles in which each can be picked with the mouse or the arrow keys."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from pages.ui.language import say
from pages.ui.picking import listen

_HTML = """
<div class="root">
  <div class="mosaic" tabindex="0" role="application">
    <img>
    <div class="clip"><div class="lines"></div></div>
    <div class="mark picked"></div>
    <div class="mark hovered"></div>
  </div>
  <div class="label" aria-live="polite"></div>
</div>
"""

_CSS = """
.mosaic { position: relative; outline-offset: 2px; cursor: pointer; line-height: 0; }
.mosaic img { width: 100%; height: 100%; image-rendering: var(--rendering); border-radius: 4px; }
.clip { position: absolute; inset: 0; overflow: hidden; pointer-events: none; }
.lines {
  position: absolute;
  background-image:
    linear-gradient(to right, var(--st-background-color) 1px, transparent 1px),
    linear-gradient(to bottom, var(--st-background-color) 1px, transparent 1px);
}
.mark { position: absolute; box-sizing: border-box; pointer-events: none; }
.picked { border: 3px solid var(--st-primary-color); box-shadow: 0 0 0 1px #fff, 0 0 0 2px #000; }
.hovered { border: 1px solid #fff; box-shadow: 0 0 0 1px #000; }
.label {
  font: 0.8rem/1.4 var(--st-font); color: var(--st-text-color); opacity: 0.8;
  min-height: 1.4em; margin-top: 0.25rem; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis;
}
"""

_JS = """
export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".root");
  const [mosaic, label] = root.children;
  const [image, clip, picked, hovered] = mosaic.children;
  const lines = clip.firstElementChild;
  const rows = Math.ceil(data.count / data.columns);
  mosaic.setAttribute("aria-roledescription", data.role);
  mosaic.setAttribute("aria-label", data.alt);
  mosaic.style.setProperty("--rendering", data.smooth ? "auto" : "pixelated");
  lines.style.backgroundSize = `calc(100% / ${data.columns}) calc(100% / ${rows})`;
  // What is there already is left alone: a click may be under way.
  const source = "data:image/png;base64," + data.png;
  if (image.src !== source) image.src = source;
  image.alt = data.alt;

  // Tiles stand this far apart, in pixels of the picture; lines run through the middle of gaps.
  const across = data.width + data.gap;
  const down = data.height + data.gap;
  const width = data.columns * across - data.gap;
  const height = rows * down - data.gap;
  lines.style.left = (-50 * data.gap) / width + "%";
  lines.style.top = (-50 * data.gap) / height + "%";
  lines.style.width = (100 * data.columns * across) / width + "%";
  lines.style.height = (100 * rows * down) / height + "%";
  root.style.maxWidth = data.max_width + "px";
  // Known before the picture is decoded, so that nothing below it jumps.
  mosaic.style.aspectRatio = `${width} / ${height}`;
  let current = data.selected;

  const place = (mark, index) => {
    mark.style.display = index === null || index < 0 ? "none" : "block";
    const column = index % data.columns;
    const row = Math.floor(index / data.columns);
    mark.style.left = (100 * column * across) / width + "%";
    mark.style.top = (100 * row * down) / height + "%";
    mark.style.width = (100 * data.width) / width + "%";
    mark.style.height = (100 * data.height) / height + "%";
  };
  const say = (index) => {
    label.textContent = index === null || index < 0 ? data.hint : data.labels[index];
  };
  const pick = (index) => {
    if (index < 0 || index >= data.count) return;
    current = index;
    place(picked, index);
    say(index);
    setStateValue("picked", [data.choice, data.values[index], Date.now()]);
  };
  const under = (event) => {
    const box = image.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width;
    const y = ((event.clientY - box.top) / box.height) * height;
    const column = Math.floor((x + data.gap / 2) / across);
    const row = Math.floor((y + data.gap / 2) / down);
    const index = row * data.columns + column;
    return column >= 0 && column < data.columns && index < data.count ? index : -1;
  };
  const steps = {
    ArrowLeft: -1, ArrowRight: 1, ArrowUp: -data.columns, ArrowDown: data.columns,
  };
  mosaic.onmousemove = (event) => { const i = under(event); place(hovered, i); say(i); };
  mosaic.onmouseleave = () => { place(hovered, -1); say(current); };
  mosaic.onclick = (event) => pick(under(event));
  mosaic.onkeydown = (event) => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    pick(Math.max(0, current) + steps[event.key]);
  };
  place(picked, current);
  place(hovered, -1);
  say(current);
}
"""

_mosaic = st.components.v2.component("vizlib_mosaic", html=_HTML, css=_CSS, js=_JS)


@dataclass(frozen=True)
class Tiles:
    """A picture made of tiles of one size, ``columns`` in a row, ``gap`` pixels apart."""

    png: bytes
    columns: int
    height: int
    width: int
    gap: int
    labels: Sequence[str]


def pick_tile(
    tiles: Tiles,
    *,
    key: str,
    choice: str,
    values: Sequence[str | int],
    selected: str | int,
    alt: str,
    max_width: int = 1400,
) -> None:
    """Show a mosaic; `picking` tells which tile is picked.

    Parameters
    ----------
    tiles : Tiles
    key : str
        Of the component.
    choice : str
        What is chosen.
    values : sequence
        What each tile stands for.
    selected : str or int
        The value whose tile is marked.
    alt : str
        What the picture shows, for those who do not see it.
    max_width : int
        CSS pixels; the mosaic is never wider than its column.
    """
    _mosaic(
        key=key,
        data={
            "png": base64.b64encode(tiles.png).decode(),
            "columns": tiles.columns,
            "height": tiles.height,
            "width": tiles.width,
            "gap": tiles.gap,
            "count": len(tiles.labels),
            "labels": list(tiles.labels),
            "choice": choice,
            "values": list(values),
            "selected": list(values).index(selected),
            "smooth": tiles.width > 32,
            "alt": alt,
            "hint": say("tiles.hint"),
            "role": say("tiles.role"),
            "max_width": max_width,
        },
        on_picked_change=listen,
    )
