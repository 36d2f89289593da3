"""One heatmap as a page of HTML that needs nothing else: pictures, tests, and how it was made."""

from __future__ import annotations

import base64
import hashlib
import inspect
import io
import platform
from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from vizlib import render
from vizlib.convnet import ConvNet
from vizlib.faithfulness import (
    Box,
    Measure,
    PixelTest,
    Pointing,
    bounding_box,
    overlap,
    pointing_game,
    verdict,
)
from vizlib.heatmap_methods import HEATMAP_METHODS
from vizlib.heatmaps import Heatmap
from vizlib.version import VERSION

_LONGEST_SIDE = 960
_GIVEN = (255, 160, 0)
#: Colour of each curve and how it is drawn, as matplotlib and CSS both call it.
_LINES = (("#0b7a75", "solid"), ("#767676", "dashed"), ("#b86a10", "dotted"))
_LIBRARIES = ("keras", "tensorflow", "numpy", "opencv-python-headless", "pillow")
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
  color: #222; background: #fff; }
figure { display: inline-block; margin: 0 1rem 1rem 0; width: 31%; vertical-align: top; }
figure.wide { width: 47%; }
figure img { width: 100%; border-radius: 4px; }
figcaption { color: #555; font-size: 0.9rem; }
table { border-collapse: collapse; }
td, th { padding: 0.2rem 1rem 0.2rem 0; vertical-align: top; text-align: left; }
td:first-child { color: #555; } td:last-child { overflow-wrap: anywhere; }
:is(td, th):not(:last-child) { white-space: nowrap; }
.title, .axis, .legend { margin: 0; }
.title { font-weight: bold; }
.axis { color: #555; font-size: 0.85rem; }
.axis.share { margin-bottom: 0.3rem; text-align: right; }
.legend { display: flex; flex-wrap: wrap; gap: 0 1.5rem; padding: 0.2rem 0; list-style: none; }
.legend span { display: inline-block; width: 2.2rem; margin-right: 0.5rem; vertical-align: middle; }
"""

Tell = Callable[[str], str]


def _as_it_is(text: str) -> str:
    return text


class Language(NamedTuple):
    """What a report is written in.

    Attributes
    ----------
    code : str
        As browsers know it, such as ``"zh"``: they choose letters and voices by it.
    tell : callable
        ``tell(text)`` gives in this language what the library says in English: a word, a phrase
        or sentences. It is asked for everything but code, numbers, and names of classes, layers,
        networks and methods where they stand alone.
    """

    code: str = "en"
    tell: Tell = _as_it_is


ENGLISH = Language()


def heatmap_manifest(convnet: ConvNet, image: np.ndarray, heatmap: Heatmap) -> dict[str, Any]:
    """Say all that a heatmap rests on, so that it can be made again.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    heatmap : Heatmap
        Made with the method's own options.

    Returns
    -------
    dict
        Plain values that JSON can hold.
    """
    return {
        "network": convnet.name,
        "network digest": convnet.digest(),
        "preprocessing": convnet.preprocess,
        "input size": list(convnet.input_size),
        "photo digest": hashlib.sha256(image.tobytes()).hexdigest(),
        "photo size": list(image.shape[:2]),
        "method": heatmap.method,
        "options": _options(heatmap.method),
        "layer": heatmap.layer,
        "class": heatmap.class_index,
        "class name": convnet.label(heatmap.class_index),
        "score": heatmap.score,
        "versions": {"vizlib": VERSION, "python": platform.python_version()}
        | {library: version(library) for library in _LIBRARIES},
    }


def _options(method: str) -> dict[str, Any]:
    if method not in HEATMAP_METHODS:
        return {}
    parameters = inspect.signature(HEATMAP_METHODS[method]).parameters.values()
    chosen = ("class_index", "layer", "progress")
    return {
        one.name: one.default
        for one in parameters
        if one.kind is one.KEYWORD_ONLY and one.name not in chosen
    }


def heatmap_report(
    convnet: ConvNet,
    image: np.ndarray,
    heatmap: Heatmap,
    *,
    tests: Sequence[PixelTest] = (),
    measures: Sequence[Measure] = (),
    threshold: float | None = None,
    box: Sequence[int] | None = None,
    script: str | None = None,
    language: Language = ENGLISH,
) -> str:
    """Write a heatmap, what speaks for it and how it was made as one page of HTML.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    heatmap : Heatmap
    tests : sequence of PixelTest
        Deletion and insertion tests of this heatmap, drawn with their verdicts.
    measures : sequence of Measure
        What `faithfulness.measures` found.
    threshold : float, optional
        Draws the heatmap's box, as `faithfulness.bounding_box` finds it.
    box : (left, top, right, bottom), optional
        Where the thing is, in pixels of the photo: tells whether the heatmap points at it.
    script : str, optional
        Python that makes the heatmap again.
    language : Language
        English by default.

    Returns
    -------
    str
        The page; its pictures are inside it. Names of classes, layers and networks are escaped.

    Raises
    ------
    InvalidArgumentError
        If the threshold or the box is out of range.
    """
    label = convnet.label(heatmap.class_index)
    title, tell = f"{heatmap.method}: {label}", language.tell
    warnings = [tell(text) for text in (heatmap.diagnosis, heatmap.caveat) if text]
    parts = [
        f"<h1>{escape(title)}</h1>",
        *[f"<p><strong>{escape(text)}</strong></p>" for text in warnings],
        *_pictures(image, heatmap, label, tell),
        *[_tested(test, tell) for test in tests],
        *_boxed(image, heatmap, threshold, box, tell),
        _measured(measures, tell),
        _heading(tell("How it was made")),
        _table(heatmap_manifest(convnet, image, heatmap), tell),
        f"{_heading(tell('As Python'))}<pre>{escape(script)}</pre>" if script else "",
    ]
    head = f"<meta charset='utf-8'><title>{escape(title)}</title><style>{_STYLE}</style>"
    body = "\n".join(parts)
    opening = f"<!doctype html>\n<html lang='{escape(language.code)}'>"
    return f"{opening}<head>{head}</head>\n<body>\n{body}\n</body></html>\n"


def _heading(text: str) -> str:
    return f"<h2>{escape(text)}</h2>"


def _pictures(image: np.ndarray, heatmap: Heatmap, label: str, tell: Tell) -> list[str]:
    photo, values = render.thumbnail(image, _LONGEST_SIDE), heatmap.values
    limit = float(np.abs(values).max()) or None
    signed = render.colorize(
        values, colormap=render.DIVERGING[0], size=photo.shape[:2], limit=limit
    )
    return [
        _figure(render.to_png(photo), tell("The photo")),
        _figure(
            render.to_png(render.overlay(photo, heatmap.positive)),
            tell(f"What speaks for {label}, laid over the photo"),
        ),
        _figure(
            render.to_png(signed),
            tell(
                f"For and against {label}: the last colours stand for {-(limit or 0):.3g} and "
                f"{limit or 0:.3g}"
            ),
        ),
    ]


def _maps(tell: Tell) -> list[str]:
    """What stands beside one another in charts and tables."""
    return [tell("this map"), tell("random maps"), tell("blob in the middle")]


def _tested(test: PixelTest, tell: Tell) -> str:
    """The chart of a test. Its words stand around it: the reader has the fonts for them."""
    alt = tell(
        f"Chart of the {test.kind} test: the score of the class for this map, random maps and a "
        "blob in the middle"
    )
    names = zip(_LINES, _maps(tell), strict=True)
    keys = [f"<li>{_swatch(*line)}{escape(name)}</li>" for line, name in names]
    parts = (
        f"<p class='title'>{escape(tell(test.kind))}</p>",
        f"<ul class='legend'>{''.join(keys)}</ul>",
        f"<p class='axis'>{escape(tell('score of the class (logits)'))}</p>",
        _picture(_chart(test), alt),
        f"<p class='axis share'>{escape(tell('share of the photo'))}</p>",
        f"<figcaption>{escape(tell(verdict(test)))}</figcaption>",
    )
    return f"<figure class='wide'>{''.join(parts)}</figure>"


def _swatch(color: str, style: str) -> str:
    return f"<span style='border-top: 3px {style} {color}'></span>"


def _chart(test: PixelTest) -> bytes:
    random = np.mean([curve.scores for curve in test.random], axis=0)
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    curves = (test.heatmap.scores, random, test.centre.scores)
    for (color, style), scores in zip(_LINES, curves, strict=True):
        axes.plot(test.heatmap.fractions, scores, color=color, linestyle=style, linewidth=2)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def _measured(measures: Sequence[Measure], tell: Tell) -> str:
    if not measures:
        return ""
    head = ("", *_maps(tell), tell("better"), tell("what it says"))
    rows = [
        (
            tell(measure.name),
            *(f"{value:.2f}" for value in (measure.heatmap, measure.random, measure.centre)),
            tell("higher" if measure.higher_is_better else "lower"),
            tell(measure.meaning),
        )
        for measure in measures
    ]
    first = "".join(f"<th>{escape(title)}</th>" for title in head)
    others = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{cells}</tr>" for cells in (first, *others))
    return f"{_heading(tell('Other tests'))}<table>{body}</table>"


def _boxed(
    image: np.ndarray,
    heatmap: Heatmap,
    threshold: float | None,
    given: Sequence[int] | None,
    tell: Tell,
) -> list[str]:
    """The photo with the heatmap's box, the one that a person drew, and the brightest places."""
    if threshold is None and given is None:
        return []
    size = image.shape[:2]
    found = None if threshold is None else bounding_box(image, heatmap, threshold=threshold)
    pointing = pointing_game(image, heatmap, given or (0, 0, *size[::-1]))
    picture = render.overlay(render.thumbnail(image, _LONGEST_SIDE), heatmap.positive)
    if given is not None:
        picture = render.outlined(picture, Box(*given), color=_GIVEN, size=size)
    if found is not None:
        picture = render.outlined(picture, found, size=size)
    for point in pointing.points:
        picture = render.pointed(picture, point, size=size)
    words = [
        *([] if threshold is None else [_found_box(found, threshold)]),
        *([] if given is None else [_given_box(given, found, pointing)]),
    ]
    return [_figure(render.to_png(picture), tell(" ".join(words)), wide=True)]


def _found_box(found: Box | None, threshold: float) -> str:
    if found is None:
        return "Nothing speaks for the class, so there is no box around it."
    return f"White: the box around the largest area above {threshold:.0%}, {tuple(found)}."


def _given_box(given: Sequence[int], found: Box | None, pointing: Pointing) -> str:
    lies = "lies in it" if pointing.hit else "does not lie in it"
    words = (
        f"Orange: where the thing is, {tuple(given)}. The brightest point {lies}; a random one "
        f"does with {pointing.chance:.0%}."
    )
    if found is None:
        return words
    return f"{words} Intersection over union of both boxes: {overlap(found, given):.2f}."


def _figure(png: bytes, caption: str, *, wide: bool = False) -> str:
    kind = " class='wide'" if wide else ""
    words = f"<figcaption>{escape(caption)}</figcaption>"
    return f"<figure{kind}>{_picture(png, caption)}{words}</figure>"


def _picture(png: bytes, alt: str) -> str:
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return f"<img src='{source}' alt='{escape(alt)}'>"


def _table(facts: Mapping[str, Any], tell: Tell) -> str:
    rows = [
        f"<tr><td>{escape(tell(key))}</td><td>{_cell(value, tell)}</td></tr>"
        for key, value in facts.items()
    ]
    return f"<table>{''.join(rows)}</table>"


def _cell(value: Any, tell: Tell) -> str:
    if isinstance(value, Mapping):
        lines = [escape(f"{key} {one}") for key, one in value.items()]
        return "<br>".join(lines) or escape(tell("none"))
    if isinstance(value, list):
        return escape(" x ".join(map(str, value)))
    return escape(f"{value:.6g}" if isinstance(value, float) else str(value))
