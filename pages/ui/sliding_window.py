"""Pictures side by side in which one window slides: over what a layer takes and what it gives."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from pages.ui.language import say
from pages.ui.picking import listen

_CSS = """
.root { container-type: inline-size; }
.panels { display: grid; gap: 0.75rem 1rem; align-items: start; max-width: 78rem; }
.panels { grid-template-columns: repeat(2, minmax(0, 1fr)); }
.panels[data-count="2"] { max-width: 52rem; }
@container (width < 32rem) { .panels[data-count="3"] figure:last-child { grid-column: 1 / -1; } }
@container (width >= 32rem) {
  .panels[data-count="3"] { grid-template-columns: repeat(3, minmax(0, 1fr)); }
}
@container (width >= 52rem) {
  .panels[data-count="4"] { grid-template-columns: repeat(4, minmax(0, 1fr)); }
}
figure { min-width: 0; margin: 0; }
figcaption {
  font: 0.85rem/1.35 var(--st-font); color: var(--st-text-color); margin-bottom: 0.3rem;
  min-height: 2.7em; display: flex; align-items: flex-end;
}
.view {
  position: relative; overflow: hidden; border-radius: 4px; outline-offset: 2px;
  background: repeating-linear-gradient(45deg, #8888 0 3px, #ccc8 3px 6px);
}
.view img { position: absolute; max-width: none; }
.pixels { image-rendering: pixelated; }
.pickable { cursor: crosshair; touch-action: manipulation; }
.mark {
  position: absolute; box-sizing: border-box; pointer-events: none; border-radius: 2px;
  transform: translate(-50%, -50%); border: 2px solid var(--st-primary-color);
  box-shadow: 0 0 0 1px #fff, 0 0 0 2px #000, inset 0 0 0 1px #fff;
}
.tap {
  position: absolute; box-sizing: border-box; border: 1px solid #fff; outline: 1px solid #000;
}
.label {
  font: 0.85rem/1.4 var(--st-font); color: var(--st-text-color); min-height: 1.4em;
  margin-top: 0.3rem; font-variant-numeric: tabular-nums;
}
"""

_JS = """
export default function ({ data, parentElement, setStateValue }) {
  const before = parentElement.querySelector(".root");
  const focused = before?.contains(before.getRootNode().activeElement) ?? false;
  const made = (kind, name, parent) => {
    const element = document.createElement(kind);
    element.className = name;
    parent?.append(element);
    return element;
  };
  const root = made("div", "root");
  const row_of_panels = made("div", "panels", root);
  row_of_panels.dataset.count = data.panels.length;
  let [row, column] = data.place;

  const panels = data.panels.map((panel) => {
    const figure = made("figure", "", row_of_panels);
    made("figcaption", "", figure).textContent = panel.title;
    const view = made("div", "view", figure);
    const image = made("img", panel.smooth ? "" : "pixels", view);
    image.src = "data:image/png;base64," + panel.png;
    image.alt = panel.alt;
    const mark = made("div", "mark", view);
    for (const down of panel.taps?.[0] ?? []) {
      for (const across of panel.taps[1]) {
        const [height, width] = panel.taps.map((taps) => taps.at(-1) + 1);
        const tap = made("div", "tap", mark);
        tap.style.left = (100 * across) / width + "%";
        tap.style.top = (100 * down) / height + "%";
        tap.style.width = 100 / width + "%";
        tap.style.height = 100 / height + "%";
      }
    }
    return { ...panel, figure, view, image, mark };
  });

  // The part of a picture that is in view, in its own cells, padding included.
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const inView = (panel, y, x) => {
    const [top, bottom, left, right] = panel.padding;
    const whole = { top: -top, left: -left };
    whole.height = panel.height + top + bottom;
    whole.width = panel.width + left + right;
    if (!panel.closeup) return whole;
    const height = Math.min(panel.closeup, whole.height);
    const width = Math.min(panel.closeup, whole.width);
    return {
      height, width,
      top: clamp(y - height / 2, whole.top, whole.top + whole.height - height),
      left: clamp(x - width / 2, whole.left, whole.left + whole.width - width),
    };
  };
  const slide = (r, c) => {
    for (const panel of panels) {
      const [top, bottom] = panel.down[r];
      const [left, right] = panel.across[c];
      const y = (top + bottom) / 2, x = (left + right) / 2;
      const seen = inView(panel, y, x);
      panel.image.style.left = (-100 * seen.left) / seen.width + "%";
      panel.image.style.top = (-100 * seen.top) / seen.height + "%";
      panel.image.style.width = (100 * panel.width) / seen.width + "%";
      panel.image.style.height = (100 * panel.height) / seen.height + "%";
      panel.view.style.aspectRatio = panel.aspect ?? seen.width / seen.height;
      panel.mark.style.left = (100 * (x - seen.left)) / seen.width + "%";
      panel.mark.style.top = (100 * (y - seen.top)) / seen.height + "%";
      panel.mark.style.width = `max(${(100 * (right - left)) / seen.width}%, 9px)`;
      panel.mark.style.height = `max(${(100 * (bottom - top)) / seen.height}%, 9px)`;
    }
    const value = data.values[r * data.columns + c];
    label.textContent = (value === undefined ? data.said.place : data.said.value)
      .replace("{row}", r).replace("{column}", c).replace("{value}", value);
  };

  const output = panels.at(-1);
  const label = made("div", "label", output.figure);
  label.setAttribute("aria-live", "polite");
  output.view.classList.add("pickable");
  output.view.tabIndex = 0;
  output.view.setAttribute("role", "application");
  output.view.setAttribute("aria-roledescription", data.said.moves);
  output.view.setAttribute("aria-label", output.alt);
  const pick = (r, c) => {
    if (r < 0 || c < 0 || r >= data.rows || c >= data.columns) return;
    [row, column] = [r, c];
    slide(r, c);
    setStateValue("picked", [data.choice, r * data.columns + c, Date.now()]);
  };
  const under = (event) => {
    const box = output.image.getBoundingClientRect();
    const at = (share, count) => clamp(Math.floor(share * count), 0, count - 1);
    return [
      at((event.clientY - box.top) / box.height, data.rows),
      at((event.clientX - box.left) / box.width, data.columns),
    ];
  };
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  output.view.onmousemove = (event) => slide(...under(event));
  output.view.onmouseleave = () => slide(row, column);
  output.view.onclick = (event) => pick(...under(event));
  output.view.onkeydown = (event) => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    const [down, across] = steps[event.key];
    pick(row + down, column + across);
  };
  slide(row, column);
  before ? before.replaceWith(root) : parentElement.append(root);
  if (focused) output.view.focus({ preventScroll: true });
}
"""

#: Values of larger maps are not told under the mouse: they would take seconds to send.
_MOST_VALUES = 2**17
_sliding = st.components.v2.component("vizlib_sliding_window", css=_CSS, js=_JS)
#: Where a window begins, and where the first cell after it is.
Span = tuple[int, int]


@dataclass(frozen=True)
class Panel:
    """A picture with a window in it for every place of the output.

    ``size`` is that of the picture in the cells that windows are counted in, ``down`` and
    ``across`` the window's span for each row and column of the output. ``padding``, in cells, is
    drawn around the picture: above, below, left and right. With ``closeup`` so many cells around
    the window are shown, with the cells ``taps`` of it that count.
    """

    title: str
    alt: str
    png: bytes
    size: tuple[int, int]
    down: Sequence[Span]
    across: Sequence[Span]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    smooth: bool = False
    aspect: float | None = None
    closeup: int | None = None
    taps: tuple[Sequence[int], Sequence[int]] | None = None

    @property
    def data(self) -> dict[str, object]:
        """What the browser is given."""
        given = {name: getattr(self, name) for name in ("title", "alt", "padding", "smooth")}
        given |= {name: getattr(self, name) for name in ("aspect", "closeup", "taps")}
        given |= {"down": list(self.down), "across": list(self.across)}
        height, width = self.size
        return given | {
            "png": base64.b64encode(self.png).decode(),
            "height": height,
            "width": width,
        }


def slide(
    panels: Sequence[Panel],
    values: np.ndarray,
    *,
    key: str,
    choice: str,
    place: tuple[int, int],
) -> None:
    """Show panels, the last of which is the output; `picking` tells which place is picked.

    The windows in all of them follow the mouse, and the arrow keys move the one that is picked.

    Parameters
    ----------
    panels : sequence of Panel
    values : float array ``(rows, columns)``
        Of the output.
    key : str
        Of the component.
    choice : str
        What is chosen: ``row * columns + column``.
    place : (row, column)
        That is marked.
    """
    rows, columns = values.shape
    told = values.size <= _MOST_VALUES
    _sliding(
        key=key,
        data={
            "panels": [panel.data for panel in panels],
            "values": [f"{value:.4g}" for value in values.ravel()] if told else [],
            "rows": rows,
            "columns": columns,
            "choice": choice,
            "place": list(place),
            # The browser puts the numbers in.
            "said": {
                name: say(f"sliding_window.{name}", row="{row}", column="{column}", value="{value}")
                for name in ("moves", "place", "value")
            },
        },
        on_picked_change=listen,
    )
