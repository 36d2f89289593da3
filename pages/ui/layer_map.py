"""The layers of a network as cards, each with what its strongest channel sees, joined by lines."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import streamlit as st

import vizlib
from pages.ui import links
from pages.ui.language import say
from pages.ui.tiles import Tiles

_LONGEST = 48  # pixels of a thumbnail
_COLUMNS = 16
_PHOTO = -1  # in the place of a tile's number
_HERE = Path(__file__)
_map = st.components.v2.component(
    "vizlib_layer_map",
    css=_HERE.with_suffix(".css").read_text(encoding="utf-8"),
    js=_HERE.with_suffix(".js").read_text(encoding="utf-8"),
)

#: What cards are coloured by, and words in the names of kinds that tell it; the first that fits.
_FAMILIES = {
    "input": ("InputLayer",),
    "convolution": ("Conv",),
    "pooling": ("Pool",),
    "merge": ("Add", "Concatenate", "Multiply", "Average", "Maximum", "Minimum", "Subtract"),
    "dense": ("Dense",),
}
#: What is said around the cards. The numbers of what is found are put in by the browser.
_SAID = ("full_size", "smaller", "larger", "width", "help_width", "all", "help_all")
_SAID += ("find", "help_find", "found", "none")
_SHORT = {"BatchNormalization": "BN", "LayerNormalization": "LN", "GroupNormalization": "GN"}

Strongest = Mapping[str, vizlib.StrongestChannel]


@dataclass(frozen=True)
class LayerMap:
    """A graph with the places of its parts and their pictures, and the photo as received."""

    graph: vizlib.LayerGraph
    layout: vizlib.GraphLayout
    strongest: Strongest
    thumbnails: Tiles
    photo: np.ndarray


def draw(found: LayerMap, *, key: str, alt: str) -> None:
    """Draw the map; a click on a card, or Enter, opens the activations of its layer."""
    data = {
        "height": found.layout.size[0],
        "width": found.layout.size[1],
        "alt": alt,
        "said": {
            name: say(f"layer_map.{name}", number="{number}", count="{count}") for name in _SAID
        },
        "photo": _encoded(vizlib.render.to_png(_small(found.photo))),
        "tiles": {
            "png": _encoded(found.thumbnails.png),
            "columns": found.thumbnails.columns,
            "height": found.thumbnails.height,
            "width": found.thumbnails.width,
        },
        "nodes": _cards(found),
        "edges": _lines(found),
        "frames": [
            {"title": frame[-1], "box": _place(box)} for frame, box in found.layout.frames.items()
        ],
    }
    shape = [data[part] for part in ("height", "width", "edges")]
    data |= {"content": _digest(data), "shape": _digest(shape)}
    _map(key=f"{key}_layer_map", data=data)


def thumbnails(strongest: Strongest, photo: np.ndarray, colormap: str) -> Tiles:
    """One picture with a tile for each layer, all of the proportions of the photo as received."""
    height, width = photo.shape[:2]
    share = _LONGEST / max(height, width)
    size = max(1, round(height * share)), max(1, round(width * share))
    tiles = [
        vizlib.render.activation_tile(one.map, size=size, signed=one.signed)
        for one in strongest.values()
    ]
    columns = min(len(tiles), _COLUMNS)
    png = vizlib.render.to_png(
        vizlib.render.montage(tiles, columns=columns, gap=0), colormap=colormap
    )
    return Tiles(png, columns, *size, gap=0, labels=list(strongest))


def _small(photo: np.ndarray) -> np.ndarray:
    colour = photo.repeat(3, axis=2) if photo.shape[2] == 1 else photo
    return vizlib.render.thumbnail(colour, 2 * _LONGEST)


def _cards(found: LayerMap) -> list[dict[str, Any]]:
    # A map of one place is a number, and no picture.
    numbers = {
        name: number
        for number, (name, one) in enumerate(found.strongest.items())
        if one.map.size > 1
    }
    return [_card(found, node, numbers.get(node.name)) for node in found.graph.nodes]


def _card(found: LayerMap, node: vizlib.LayerNode, tile: int | None) -> dict[str, Any]:
    first, last = node.layers[0], node.layers[-1]
    title = first.name.removeprefix(f"{node.inside[-1]}/" if node.inside else "")
    kinds = " + ".join(_SHORT.get(layer.kind, layer.kind) for layer in node.layers)
    facts = " x ".join(map(str, last.shape))
    link, strongest = None, found.strongest.get(node.name)
    if strongest is not None:
        facts = say("layer_map.channel", shape=facts, channel=strongest.channel)
        query = links.beside(layer=node.name, channel=strongest.channel)
        link = f"activations?{urlencode(query)}"
    received = node.name == found.graph.photo
    return {
        "title": title,
        "kinds": say("layer_map.received") if received else kinds,
        "facts": facts,
        "words": " ".join(f"{layer.name} {layer.kind}" for layer in node.layers),
        "alt": _alt(node, strongest),
        "family": family(first.kind),
        "box": _place(found.layout.nodes[node.name]),
        "tile": _PHOTO if received else tile,
        "href": link,
    }


def _alt(node: vizlib.LayerNode, strongest: vizlib.StrongestChannel | None) -> str:
    layers = (say("layer_map.alt.layer", name=one.name, kind=one.kind) for one in node.layers)
    parts = [say("layer_map.alt.then").join(layers)]
    parts.append(say("layer_map.alt.gives", shape=" x ".join(map(str, node.layers[-1].shape))))
    if node.fed_by:
        parts.append(say("layer_map.alt.fed_by", layers=", ".join(node.fed_by)))
    if strongest is not None:
        parts.append(say("layer_map.alt.strongest", channel=strongest.channel))
    return say("layer_map.alt.and").join(parts)


def family(kind: str) -> str:
    """What a card is coloured by."""
    found = (name for name, words in _FAMILIES.items() if any(word in kind for word in words))
    return next(found, "other")


def _lines(found: LayerMap) -> list[dict[str, Any]]:
    numbers = {node.name: number for number, node in enumerate(found.graph.nodes)}
    return [
        {"from": numbers[source], "to": numbers[target], "points": points}
        for (source, target), points in found.layout.routes.items()
    ]


def _place(box: Any) -> tuple[int, int, int, int]:
    return box.left, box.top, box.right - box.left, box.bottom - box.top


def _encoded(png: bytes) -> str:
    return base64.b64encode(png).decode()


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()
