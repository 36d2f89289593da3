"""A photo under a coloured map: how strong the map is, and where it ends, is moved in the browser.

The server hears of the opacity when it is let go.
"""

import base64
from collections.abc import Callable

import streamlit as st

from pages.ui.language import say

_HTML = """
<div class="root">
  <div class="stage">
    <img class="photo"><img class="map" hidden><canvas role="img"></canvas>
    <div class="edge"><span></span></div>
  </div>
  <div class="controls">
    <div><label for="opacity"></label><output for="opacity"></output>
      <input id="opacity" type="range" min="0" max="100" step="5"></div>
    <div><label for="edge"></label><output for="edge"></output>
      <input id="edge" type="range" min="0" max="100" step="1" value="0"></div>
  </div>
</div>
"""

_CSS = """
.root { font: 0.875rem/1.6 var(--st-font); color: var(--st-text-color); }
.stage { position: relative; overflow: hidden; border-radius: 4px; line-height: 0;
  cursor: ew-resize; touch-action: pan-y; user-select: none; }
.photo, canvas { position: absolute; width: 100%; height: 100%; }
canvas { clip-path: inset(0 0 0 var(--edge)); }
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
  const [opacity, edge] = [find("#opacity"), find("#edge")];
  const [photo, map, canvas, stage] = [".photo", ".map", "canvas", ".stage"].map(find);
  const pen = canvas.getContext("2d", { willReadFrequently: true });

  // As the server blends for the file to download. An array of this type rounds as NumPy does.
  const blend = () => {
    if (!root.layers) return;
    const [under, over, mixed] = root.layers;
    const share = opacity.value / 100;
    for (let i = 0; i < mixed.data.length; i++) {
      mixed.data[i] = (1 - share) * under.data[i] + share * over.data[i];
    }
    pen.putImageData(mixed, 0, 0);
  };
  const tell = (input) => { input.previousElementSibling.value = input.value + " %"; };
  const fade = () => { tell(opacity); blend(); };
  const divide = () => { tell(edge); stage.style.setProperty("--edge", edge.value + "%"); };
  const pixels = (image) => {
    const sheet = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
    sheet.drawImage(image, 0, 0);
    return sheet.getImageData(0, 0, image.naturalWidth, image.naturalHeight);
  };
  const put = (image, png) => {
    const source = "data:image/png;base64," + png;
    if (image.src !== source) image.src = source;
  };
  const show = async () => {
    // What is there already is left alone, so that nothing flickers.
    const shown = [data.photo, data.map].join();
    if (root.shown === shown) return;
    root.shown = shown;
    canvas.hidden = !data.map;
    put(photo, data.photo);
    if (data.map) put(map, data.map);
    await Promise.all([photo.decode(), data.map && map.decode()]);
    if (root.shown !== shown || !data.map) return;
    [canvas.width, canvas.height] = [photo.naturalWidth, photo.naturalHeight];
    root.layers = [pixels(photo), pixels(map), pixels(photo)];
    blend();
  };
  show();
  for (const [name, text] of Object.entries(data.labels)) {
    find(`label[for=${name}]`).textContent = text;
  }
  photo.alt = data.photo_alt;
  canvas.ariaLabel = data.map_alt;
  stage.style.aspectRatio = data.ratio;
  root.style.maxWidth = data.max_width + "px";

  // The server repeats what it was told, perhaps when the slider has moved on already.
  root.told ??= [];
  const heard = root.told.indexOf(data.opacity);
  if (heard >= 0) root.told.splice(0, heard + 1);
  else if (!root.told.length) opacity.value = data.opacity;
  fade();
  divide();

  const move = (event) => {
    const box = stage.getBoundingClientRect();
    edge.value = (100 * (event.clientX - box.left)) / box.width;
    divide();
  };
  opacity.oninput = fade;
  edge.oninput = divide;
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
            "labels": {"opacity": say("blend.opacity"), "edge": say("blend.edge")},
            "photo_alt": alts[0],
            "map_alt": alts[1],
            "ratio": f"{size[1]} / {size[0]}",
            "max_width": max(640, size[1]),
            "opacity": round(100 * alpha),
        },
        on_opacity_change=lambda: on_alpha(st.session_state[key].opacity / 100),
    )
