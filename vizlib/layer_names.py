"""Names that Keras gives to layers: their kinds, their numbers, and how old versions spell them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from vizlib.model_files import StoredModel


def with_own_names(stored: StoredModel, own: set[str]) -> StoredModel:
    """A legacy file with its layers renamed as they are called here.

    Keras counts the layers that it names itself through a whole process, so the file may have
    ``conv2d_94`` and on where the network has ``conv2d`` and on; and Keras 2 had slashes in names.
    """
    order = [
        (layer, [weight.rpartition("/") for weight in names])
        for layer, names in stored.legacy_order
    ]
    told = {layer for layer, _ in order} | {place for _, names in order for place, _, _ in names}
    new = _own_names(told, own)
    groups, weights = [], {}
    for (layer, names), (_, old) in zip(order, stored.legacy_order, strict=True):
        renamed = [f"{new.get(place, place)}{slash}{name}" for place, slash, name in names]
        groups.append((new.get(layer, layer), tuple(renamed)))
        for name, before in zip(renamed, old, strict=True):
            weights[f"{groups[-1][0]}/{name}"] = stored.weights[f"{layer}/{before}"]
    unique = len(weights) == len(stored.weights) and len(dict(groups)) == len(groups)
    return replace(stored, legacy_order=tuple(groups), weights=weights) if unique else stored


def _own_names(told: set[str], own: set[str]) -> dict[str, str]:
    """What the layers of a file are called here, for those that can be told."""
    numbered, own_numbered = _numbered(told), _numbered(own)
    spelled = {_spelled(name): name for name in own}
    found: dict[str, str] = {}
    for stem, names in numbered.items():
        if len(names) == len(own_numbered.get(stem, ())):
            found |= dict(zip(names, own_numbered[stem], strict=True))
        else:
            found |= {n: spelled[_spelled(n)] for n in names if _spelled(n) in spelled}
    return found


def _numbered(names: set[str]) -> dict[str, list[str]]:
    """Names that differ in their last number only, in order of it; by what is before."""
    found: dict[str, list[str]] = {}
    for name in sorted(names, key=natural_order):
        found.setdefault(kind_of(name), []).append(name)
    return found


def _spelled(name: str) -> str:
    # MobileNetV3 and DenseNet have had slashes, capitals and whole words in Keras 2.
    return name.lower().replace("/", "_").replace("batchnorm", "bn")


def natural_order(path: str) -> list[Any]:
    """What to sort by so that layer_10 comes after layer_9."""
    parts = re.split(r"([0-9]+)", path)
    return [(int(part) if k % 2 else -1, part) for k, part in enumerate(parts)]


def kind_of(path: str) -> str:
    """The last name of a path without its number: conv2d of layers/conv2d_3."""
    return re.sub(r"_\d+$", "", path.rpartition("/")[2])
