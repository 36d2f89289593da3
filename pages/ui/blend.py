"""Photos under coloured maps: how strong the maps are, and where one ends, is moved in the browser.

One slider fades all maps of a page; the server hears of the opacity when it is let go.
"""

import base64
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import streamlit as st

import vizlib
from pages.ui.language import say

# The opacity stands in the document, where every map finds it, and is told by an event.
_OPACITY_HTML = """
<div class="root slider">
  <label for="opacity"></label><output for="opacity"></output>
  <input id="opacity" type="range" min="0" max="1" step="0.05">
</div>
"""

_SLIDER_CSS = """
.root { font: 0.875rem/1.6 var(--st-font); color: var(--st-text-color); }
.slider { display: grid; grid-template-columns: 1fr auto; }
input { grid-column: 1 / 3; width: 100%; margin: 0.3rem 0; cursor: pointer;
  accent-color: var(--st-primary-color); }
input:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 4px;
  border-radius: 4px; }
output { font-variant-numeric: tabular-nums; }
"""

_OPACITY_JS = """
export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".root");
  const [label, output, input] = root.children;
  const fade = () => {
    output.value = Number(input.value).toFixed(2);
    const { style } = document.documentElement;
    if (style.getPropertyValue("--map-opacity") === input.value) return;
    style.setProperty("--map-opacity", input.value);
    document.dispatchEvent(new Event("map-opacity"));
  };
  label.textContent = data.label;
  input.title = data.help;

  // The server repeats what it was told, perhaps when the slider has moved on already.
  root.told ??= [];
  const heard = root.told.indexOf(data.opacity);
  if (heard >= 0) root.told.splice(0, heard + 1);
  else if (!root.told.length) input.value = data.opacity;
  fade();
  input.oninput = fade;
  input.onchange = () => {
    root.told.push(Number(input.value));
    setStateValue("opacity", Number(input.value));
  };
}
"""

_MAPS_HTML = """
<div class="root">
  <div class="maps">
    <figure>
      <div class="stage">
        <img class="photo"><img class="map" hidden><canvas role="img"></canvas>
        <div class="edge"><span></span></div>
      </div>
      <figcaption></figcaption>
    </figure>
  </div>
  <div class="slider">
    <label for="edge"></label><output for="edge"></output>
    <input id="edge" type="range" min="0" max="100" step="1" value="0">
  </div>
</div>
"""

_MAPS_CSS = """
.maps { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); }
figure { margin: 0; }
figcaption { overflow-wrap: anywhere; opacity: 0.8; text-align: center; }
.stage { position: relative; overflow: hidden; border-radius: 4px; line-height: 0; }
.photo, canvas { position: absolute; width: 100%; height: 100%; }
.root:not(.divided) :is(.edge, .slider) { display: none; }
.divided .slider { margin-top: 0.5rem; }
.divided .stage { cursor: ew-resize; touch-action: pan-y; user-select: none; }
.divided canvas { clip-path: inset(0 0 0 var(--edge)); }
.edge { position: absolute; inset: 0; pointer-events: none; }
.edge::before { content: ""; position: absolute; top: 0; bottom: 0; left: var(--edge); width: 2px;
  margin-left: -1px; background: #fff; box-shadow: 0 0 0 1px #0008; }
.edge span { position: absolute; top: 50%; width: 28px; height: 28px; margin-top: -14px;
  left: clamp(2px, calc(var(--edge) - 14px), calc(100% - 30px));
  border-radius: 50%; background: #fff; box-shadow: 0 0 0 1px #0008; }
.edge span::after { content: "↔"; display: block; text-align: center; color: #222;
  font: 18px/28px sans-serif; }
"""

_MAPS_JS = """
export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".root");
  const [maps, edge] = [root.querySelector(".maps"), root.querySelector("#edge")];
  const opacity = () =>
    Number(getComputedStyle(document.documentElement).getPropertyValue("--map-opacity"));

  // As the server blends for the file to download. An array of this type rounds as NumPy does.
  const blend = (figure) => {
    if (!figure.layers) return;
    const [under, over] = figure.layers;
    const mixed = new ImageData(under.width, under.height);
    const share = opacity();
    for (let i = 0; i < mixed.data.length; i++) {
      mixed.data[i] = (1 - share) * under.data[i] + share * over.data[i];
    }
    figure.querySelector("canvas").getContext("2d").putImageData(mixed, 0, 0);
  };
  const pixels = (image) => {
    const sheet = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
    sheet.drawImage(image, 0, 0);
    return sheet.getImageData(0, 0, image.naturalWidth, image.naturalHeight);
  };
  const put = (image, png) => {
    const source = "data:image/png;base64," + png;
    if (image.src !== source) image.src = source;
  };
  const paint = async (figure, png) => {
    // What is there already is left alone, so that nothing flickers.
    const shown = [data.photo, png].join();
    if (figure.shown === shown) return;
    figure.shown = shown;
    const [photo, map, canvas] = figure.querySelectorAll("img, canvas");
    canvas.hidden = !png;
    put(photo, data.photo);
    if (png) put(map, png);
    await Promise.all([photo.decode(), png && map.decode()]);
    if (figure.shown !== shown || !png) return;
    [canvas.width, canvas.height] = [photo.naturalWidth, photo.naturalHeight];
    figure.layers = [pixels(photo), pixels(map)];
    blend(figure);
  };
  const show = (figure, { png, alt, title }) => {
    const [photo, , canvas] = figure.querySelectorAll("img, canvas");
    photo.alt = data.photo_alt || (png ? "" : alt);
    canvas.ariaLabel = alt;
    figure.querySelector(".stage").style.aspectRatio = data.ratio;
    figure.querySelector("figcaption").textContent = title;
    paint(figure, png);
  };
  while (maps.children.length > data.maps.length) maps.lastElementChild.remove();
  while (maps.children.length < data.maps.length) {
    maps.append(maps.firstElementChild.cloneNode(true));
  }
  data.maps.forEach((one, number) => show(maps.children[number], one));
  root.style.maxWidth = data.max_width + "px";

  root.classList.toggle("divided", Boolean(data.divider));
  root.querySelector("label").textContent = data.divider;
  const divide = () => {
    root.querySelector("output").value = edge.value + " %";
    root.style.setProperty("--edge", edge.value + "%");
  };
  const move = (event) => {
    const box = maps.getBoundingClientRect();
    edge.value = (100 * (event.clientX - box.left)) / box.width;
    divide();
  };
  divide();
  edge.oninput = divide;
  const stage = root.querySelector(".stage");
  stage.onpointerdown = (event) => {
    if (!data.divider) return;
    stage.setPointerCapture(event.pointerId);
    move(event);
  };
  stage.onpointermove = (event) => { if (stage.hasPointerCapture(event.pointerId)) move(event); };

  // Streamlit lets only the latest run clean up after itself.
  document.removeEventListener("map-opacity", root.fade);
  const fade = root.fade = () => [...maps.children].forEach(blend);
  document.addEventListener("map-opacity", fade);
  return () => document.removeEventListener("map-opacity", fade);
}
"""

_opacity = st.components.v2.component(
    "vizlib_opacity", html=_OPACITY_HTML, css=_SLIDER_CSS, js=_OPACITY_JS
)
_maps = st.components.v2.component(
    "vizlib_blend", html=_MAPS_HTML, css=_SLIDER_CSS + _MAPS_CSS, js=_MAPS_JS
)


class ColouredMap(NamedTuple):
    """A map in colours, of the size of the photo below it; None leaves the photo alone.

    ``alt`` says what it shows, for those who do not see it.
    """

    pixels: np.ndarray | None
    alt: str
    title: str = ""


def choose_opacity(first: float) -> float:
    """Draw the slider that fades all maps of the page; returns where it was let go.

    0 shows photos alone, 1 the maps alone, as `vizlib.render.overlay` blends.
    """

    def keep() -> None:
        st.session_state["alpha"] = float(st.session_state["opacity"].opacity)

    alpha = st.session_state.setdefault("alpha", first)
    words = {"label": say("blend.opacity"), "help": say("blend.help_opacity")}
    _opacity(key="opacity", data={"opacity": alpha} | words, on_opacity_change=keep)
    return alpha


def lay_over(
    photo: np.ndarray,
    maps: Sequence[ColouredMap],
    *,
    key: str = "blend",
    photo_alt: str = "",
    divided: bool = False,
) -> None:
    """Show maps over a photo, beside each other where there are several.

    Parameters
    ----------
    photo : np.ndarray
        ``(H, W, 3)``, uint8.
    maps : sequence of ColouredMap
    key : str
        Starts with "blend"; another one for each call of a run.
    photo_alt : str
        What the photo shows, where it is looked at alone.
    divided : bool
        Whether a line can be moved that the map ends at.
    """
    height, width = photo.shape[:2]
    shown = [{"png": _encoded(one.pixels), "alt": one.alt, "title": one.title} for one in maps]
    _maps(
        key=key,
        data={
            "photo": _encoded(photo),
            "photo_alt": photo_alt,
            "maps": shown,
            "divider": say("blend.edge") if divided else "",
            "ratio": f"{width} / {height}",
            "max_width": len(maps) * max(640, width),
        },
    )


def _encoded(pixels: np.ndarray | None) -> str | None:
    return None if pixels is None else base64.b64encode(vizlib.render.to_png(pixels)).decode()
