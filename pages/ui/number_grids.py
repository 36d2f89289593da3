"""Numbers in grids, coloured by their sign and size, and sums of them."""

import math
from collections.abc import Sequence
from html import escape

import numpy as np

import vizlib
from pages.ui.language import say

COLORMAP = "RdBu_r"
#: A grid of more is not written out: nobody would read it, and browsers would be slow.
MOST_CELLS = 21 * 21
#: Relative luminance above which black letters stand out more than white ones (WCAG 2, 1.4.3).
_BRIGHT = 0.179
_STYLE = """<style>
.numbers { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem .6rem;
  margin: .2rem 0 .9rem; --cell: 3.4rem; --letters: .8rem; }
.numbers .half { display: flex; align-items: center; gap: .5rem; max-width: 100%; }
.numbers figure { margin: 0; max-width: 100%; min-width: 0; }
.numbers figcaption { font-size: .8rem; opacity: .8; margin-bottom: .15rem; }
.numbers .grid { display: grid; gap: 1px; overflow-x: auto; max-width: 100%; padding: 3px; }
.numbers .small { --cell: 2.5rem; --letters: .65rem; }
.numbers .cell { font: 500 var(--letters)/1 "Source Code Pro", monospace; width: var(--cell);
  padding: .5rem 0; text-align: center; border-radius: 2px; white-space: nowrap; }
.numbers .padding { background-image:
  repeating-linear-gradient(45deg, #8886 0 3px, #fff0 3px 6px); }
.numbers .wins { box-shadow: inset 0 0 0 2px #000, inset 0 0 0 4px #fff; font-weight: 700; }
.numbers .asked { text-decoration: underline 2px; text-underline-offset: 3px; }
.numbers .sign { font-size: 1.3rem; opacity: .8; white-space: nowrap; }
.numbers .sum { font: 700 1.05rem/1 "Source Code Pro", monospace; white-space: nowrap; }
.sums { border-collapse: collapse; font-variant-numeric: tabular-nums; max-width: 100%; }
.sums td { padding: .25rem .6rem .25rem 0; border: none; }
.sums td.number { font-family: "Source Code Pro", monospace; text-align: right;
  white-space: nowrap; }
.sums .bar { width: 10rem; max-width: 25vw; }
.sums .bar div { height: .8rem; border-radius: 2px; }
.sums .total td { border-top: 2px solid currentColor; font-weight: 700; }
@media (width < 1200px) {
  .numbers { --cell: 2.75rem; --letters: .7rem; column-gap: .4rem; }
  .numbers .half { gap: .35rem; }
}
</style>"""


def page(*parts: str) -> str:
    """Join grids and sums into what `st.html` draws."""
    return _STYLE + "".join(parts)


def short(value: float) -> str:
    """Write a number in six characters or fewer."""
    size = abs(value)
    if not math.isfinite(value) or size == 0:
        return f"{value:g}".replace("-", "−").replace("−0", "0")
    decimals = max(0, min(3, 2 - math.floor(math.log10(size))))
    text = f"{value:.{decimals}f}" if 5e-4 <= size < 1e5 else f"{value:.0e}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("-", "−")


def plain(value: float) -> str:
    """Write a number with six digits."""
    return f"{value:.6g}".replace("-", "−")


def signed(value: float) -> str:
    """Write a term of a sum, with its sign."""
    return f"{value:+.5g}".replace("-", "−")


def grid(
    values: np.ndarray,
    *,
    title: str,
    limit: float,
    padding: np.ndarray | None = None,
    wins: tuple[int, int] | None = None,
    asked: tuple[int, int] | None = None,
) -> str:
    """Draw numbers ``(h, w)`` in cells; ``limit`` is the size drawn in the strongest colour.

    Cells of the padding are hatched, the one that wins and the one asked about are framed.
    """
    if values.size > MOST_CELLS:
        height, width = values.shape
        return _figure(title, say("number_grids.too_many", height=height, width=width))
    colours = vizlib.render.colorize(values, colormap=COLORMAP, limit=limit or None)
    hatched = np.zeros(values.shape, bool) if padding is None else padding
    cells, padded = [], escape(say("number_grids.padding"), quote=True)
    for place in np.ndindex(values.shape):
        classes = ["cell"]
        classes += ["padding"] * bool(hatched[place])
        classes += ["wins"] * (place == wins) + ["asked"] * (place == asked)
        note = padded if hatched[place] else f"{values[place]:.7g}"
        cells.append(_cell(values[place], colours[place], " ".join(classes), note))
    columns = values.shape[1]
    size = "grid small" if columns > 5 else "grid"
    style = f"grid-template-columns: repeat({columns}, max-content)"
    described = f'role="img" aria-label="{_spoken(values, title)}"'
    return _figure(title, f'<div class="{size}" style="{style}" {described}>{"".join(cells)}</div>')


def _figure(title: str, content: str) -> str:
    return f"<figure><figcaption>{escape(title)}</figcaption>{content}</figure>"


def _cell(value: float, colour: np.ndarray, classes: str, note: str) -> str:
    red, green, blue = (int(part) for part in colour)
    text = "#000" if _luminance(colour) > _BRIGHT else "#fff"
    style = f"background-color: rgb({red}, {green}, {blue}); color: {text}"
    return f'<div class="{classes}" style="{style}" title="{note}">{short(value)}</div>'


def _luminance(colour: np.ndarray) -> float:
    share = colour / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _spoken(values: np.ndarray, title: str) -> str:
    rows = "; ".join(" ".join(short(value) for value in row) for row in values)
    return escape(say("number_grids.spoken", title=title, rows=rows), quote=True)


def row(*parts: str) -> str:
    """Put grids and signs beside each other; where there is no room, a part goes below."""
    return f'<div class="numbers">{"".join(parts)}</div>'


def together(*parts: str) -> str:
    """Parts of a row that are never torn apart."""
    return f'<div class="half">{"".join(parts)}</div>'


def sign(text: str) -> str:
    """A sign between two grids."""
    return f'<span class="sign">{escape(text)}</span>'


def result(text: str) -> str:
    """What comes out at the end of a row."""
    return f'<span class="sum">{escape(text)}</span>'


def sums(terms: Sequence[tuple[str, float]], totals: Sequence[tuple[str, float]]) -> str:
    """Draw a sum: terms with bars, then lines below the stroke."""
    largest = max((abs(value) for _, value in terms), default=0) or 1
    ends = vizlib.render.palette(COLORMAP)[[40, 215]]
    lines = []
    for name, value in terms:
        red, green, blue = (int(part) for part in ends[int(value > 0)])
        bar = f"width: {100 * abs(value) / largest:.1f}%; background: rgb({red}, {green}, {blue})"
        lines.append(
            f'<tr><td>{escape(name)}</td><td class="number">{signed(value)}</td>'
            f'<td class="bar"><div style="{bar}"></div></td></tr>'
        )
    for number, (name, value) in enumerate(totals):
        stroke = ' class="total"' if number == 0 else ""
        cells = f'<td>{escape(name)}</td><td class="number">{plain(value)}</td><td></td>'
        lines.append(f"<tr{stroke}>{cells}</tr>")
    return f'<table class="sums">{"".join(lines)}</table>'
