"""A photo under a coloured map: how strong the map is, and where it ends, is moved in the browser.

The server hears of the opacity when it is let go.
"""

import base64
from collections.abc import Callable

import streamlit as st

_HTML = """
<div class="root">
  <div class="stage">
    <img class="photo"><img class="map">
    <div class="edge"><span></span></div>
  </div>
  <div class="controls">
    <div><label for="opacity">Opacity of the map</label><output for="opacity"></output>
      <input id="opacity" type="range" min="0" max="100" step="5"></div>
    <div><label for="edge">Photo alone, from the left</label><output for="edge"></output>
      <input id="edge" type="range" min="0" max="100" step="1" value="0"></div>
  </div>
</div>
"""

_CSS = """
.root { font: 0.875rem/1.6 var(--st-font); color: var(--st-text-color); }
.stage { position: relative; overflow: hidden; border-radius: 4px; line-height: 0;
  cursor: ew-resize; touch-action: pan-y; user-select: none; }
.stage img { display: block; width: 100%; height: 100%; }
.stage .map { position: absolute; inset: 0; clip-path: inset(0 0 0 var(--edge)); }
.stage .map:not([src]) { display: none; }
.edge { position: absolute; top: 0; bottom: 0; left: var(--edge); width: 2px; margin-left: -1px;
  background: #fff; box-shadow: 0 0 0 1px #0008; pointer-events: none; }
.edge span { position: absolute; top: 50%; left: -13px; width: 28px; height: 28px;
  margin-top: -14px; border-radius: 50%; background: #fff; box-shadow: 0 0 0 1px #0008; }
.edge span::after { content: "↔"; display: block; text-align: center; color: #222;
  font: 18px/28px sans-serif; }
.controls { display: flex; flex-wrap: wrap; gap: 0.25rem 2rem; margin-top: 0.5rem; }
.controls div { flex: 1 1 14rem; display: grid; grid-template-columns: 1fr auto; }
input { grid-column: 1 / 3; width: 100%; margin: 0.3rem 0; cursor: pointer;
  accent-color: var(--st-primary-color); }
input:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 4px;
  border-radius: 4px; }
output { font-variant-numeric: tabular-nums; }
"""

_JS = """
export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".root");
  const find = (selector) => root.querySelector(selector);
  const opacity = find("#opacity");
  const edge = find("#edge");
  const map = find(".map");
  const stage = find(".stage");
  const told = (input) => { input.previousElementSibling.value = input.value + " %"; };
  const draw = () => {
    map.style.opacity = opacity.value / 100;
    stage.style.setProperty("--edge", edge.value + "%");
    [opacity, edge].forEach(told);
  };
  const put = (image, png, alt) => {
    const source = png && "data:image/png;base64," + png;
    // What is there already is left alone, so that nothing flickers.
    if (source && image.src !== source) image.src = source;
    if (!source) image.removeAttribute("src");
    image.alt = alt;
  };
  put(find(".photo"), data.photo, data.photo_alt);
  put(map, data.map, data.map_alt);
  stage.style.aspectRatio = data.ratio;
  root.style.maxWidth = data.max_width + "px";

  // The server repeats what it was told, perhaps when the slider has moved on already.
  root.told ??= [];
  const heard = root.told.indexOf(data.opacity);
  if (heard >= 0) root.told.splice(0, heard + 1);
  else if (!root.told.length) opacity.value = data.opacity;
  draw();

  const move = (event) => {
    const box = stage.getBoundingClientRect();
    edge.value = (100 * (event.clientX - box.left)) / box.width;
    draw();
  };
  opacity.oninput = draw;
  edge.oninput = draw;
  opacity.onchange = () => {
    root.told.push(Number(opacity.value));
    setStateValue("opacity", Number(opacity.value));
  };
  stage.onpointerdown = (event) => { stage.setPointerCapture(event.pointerId); move(event); };
  stage.onpointermove = (event) => { if (stage.hasPointerCapture(event.pointerId)) move(event); };
}
"""

_blend = st.components.v2.component("vizlib_blend", html=_HTML, css=_CSS, js=_JS)


def lay_over(
    photo: bytes,
    coloured: bytes | None,
    *,
    size: tuple[int, int],
    alpha: float,
    on_alpha: Callable[[float], None],
    alts: tuple[str, str],
) -> None:
    """Show a map over a photo; call ``on_alpha(opacity)`` before the next run when it was moved.

    Parameters
    ----------
    photo, coloured : bytes
        PNG pictures of one size; no map leaves the photo alone.
    size : tuple of int
        Their height and width.
    alpha : float
        Opacity of the map from 0 to 1, as `vizlib.render.overlay` blends.
    on_alpha : callable
    alts : tuple of str
        What photo and map show, for those who do not see them.
    """
    key = "blend"
    _blend(
        key=key,
        data={
            "photo": base64.b64encode(photo).decode(),
            "map": coloured and base64.b64encode(coloured).decode(),
            "photo_alt": alts[0],
            "map_alt": alts[1],
            "ratio": f"{size[1]} / {size[0]}",
            "max_width": max(640, size[1]),
            "opacity": round(100 * alpha),
        },
        on_opacity_change=lambda: on_alpha(st.session_state[key].opacity / 100),
    )
