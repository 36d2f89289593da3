"""The networks of `keras.applications`: their names, their preprocessing, and how they are made.

They are made without memory here, and as in a fresh process; `vizlib.rebuild` gives them numbers.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import keras
from keras.src.backend.common import global_state

from vizlib.errors import InvalidArgumentError, first_reason
from vizlib.rebuild import ASSUMED_SIDE, build, without_memory
from vizlib.vetting import Json, vet

#: Every network of `keras.applications`, by its name in lower case.
NETWORKS: dict[str, Callable[..., keras.Model]] = {
    name.lower(): make
    for name, make in vars(keras.applications).items()
    if inspect.isfunction(make)
}

#: What the networks of a family were trained on, a name in `PREPROCESSINGS`. A family is the start
#: of a name; the longest counts. "raw" where the network rescales by itself.
FAMILY_PREPROCESSING: dict[str, str] = {
    "vgg": "caffe",
    "resnet": "caffe",
    "resnet50v2": "tf",
    "resnet101v2": "tf",
    "resnet152v2": "tf",
    "inception": "tf",
    "xception": "tf",
    "mobilenet": "tf",
    "mobilenetv3": "raw",
    "nasnet": "tf",
    "densenet": "torch",
    "efficientnet": "raw",
    "convnext": "raw",
}

IMAGENET_CLASSES = 1000

Size = tuple[int, int]
Shape = tuple[int, ...]

# The variance that EfficientNet's ImageNet weights bring: standard deviations, by mistake.
PRETRAINED_VARIANCE = (0.229, 0.224, 0.225)
_NAME_UIDS = "object_name_uids"  # where Keras counts the layers that it names itself


def available_architectures() -> tuple[str, ...]:
    """Names of the architectures that weights alone can be loaded into."""
    return tuple(sorted(NETWORKS))


def preprocessing_of(name: str) -> str:
    """Give the preprocessing that a network of `keras.applications` was trained with.

    Parameters
    ----------
    name : str
        Its name, such as ``"vgg16"``, ``"ResNet50V2"`` or ``"mobilenetv2_1.00_224"``.

    Returns
    -------
    str
        A name in `PREPROCESSINGS`, as the network's own ``preprocess_input`` in Keras has it.

    Raises
    ------
    InvalidArgumentError
        For the name of another network.
    """
    plain = plain_name(name)
    families = [family for family in FAMILY_PREPROCESSING if plain.startswith(family)]
    if not families:
        raise InvalidArgumentError(
            f"Expected a network of {', '.join(FAMILY_PREPROCESSING)}. Received: {name!r}."
        )
    return FAMILY_PREPROCESSING[max(families, key=len)]


def named(architecture: Any) -> str | None:
    """Tell the name of a network from an architecture as JSON, which gives None.

    Raises
    ------
    InvalidArgumentError
        For a name that is not known; the message lists close ones.
    """
    if isinstance(architecture, bytes | bytearray | os.PathLike):
        return None
    if not isinstance(architecture, str):
        raise InvalidArgumentError(
            "Expected architecture to be the name of a network, or JSON as a path, text or bytes. "
            f"Received: {type(architecture).__name__}."
        )
    if architecture.lower() in NETWORKS:
        return architecture.lower()
    if _is_json(architecture):
        return None
    close = difflib.get_close_matches(plain_name(architecture), NETWORKS, n=5, cutoff=0.5)
    raise InvalidArgumentError(
        "Expected architecture to be a network of keras.applications, or the JSON that "
        f"model.to_json() gives, as a path or text. Received: {architecture[:80]!r}. "
        f"Close names: {', '.join(close or sorted(NETWORKS))}."
    )


def json_source(architecture: Any) -> bytes | Path:
    """Tell the text of an architecture from the path of one."""
    if isinstance(architecture, str) and architecture.lstrip().startswith("{"):
        return architecture.encode("utf-8", "surrogatepass")
    is_bytes = isinstance(architecture, bytes | bytearray)
    return bytes(architecture) if is_bytes else Path(architecture)


def _is_json(text: str) -> bool:
    if text.lstrip().startswith("{") or text.lower().endswith(".json"):
        return True
    with contextlib.suppress(OSError, ValueError):  # for what cannot be a path
        return Path(text).is_file()
    return False


def plain_name(name: str) -> str:
    """A name without capitals and signs, as the table spells it."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


# ------------------------------------------------------------------------ networks without memory


@dataclass(frozen=True)
class Network:
    """A network of the table with its options."""

    name: str
    size: Size
    channels: int = 3
    options: dict[str, Any] = field(default_factory=dict)
    scaled: bool = False  # EfficientNet as it is with ImageNet weights

    @cached_property
    def base(self) -> keras.Model:
        """The network without its head."""
        return self._made(include_top=False)

    def whole(self, classes: int) -> keras.Model:
        """The network with its own head; a single unit gets a sigmoid."""
        activation = "softmax" if classes > 1 else "sigmoid"
        return self._made(classes=classes, classifier_activation=activation)

    def _made(self, **options: Any) -> keras.Model:
        shape = (*self.size, self.channels)
        with without_memory(), names_from_zero():
            try:
                model = NETWORKS[self.name](
                    weights=None, input_shape=shape, **self.options, **options
                )
            except ValueError as error:
                raise InvalidArgumentError(
                    f"Expected an input_size that {self.name} can be built for. Received "
                    f"{self.size}: {first_reason(error)}."
                ) from error
            return build(_with_scaling(described(model))) if self.scaled else model


@contextlib.contextmanager
def names_from_zero() -> Iterator[None]:
    """Let Keras name layers as in a fresh process."""
    before = global_state.get_global_attribute(_NAME_UIDS)
    try:
        global_state.set_global_attribute(_NAME_UIDS, None)
        yield
    finally:
        global_state.set_global_attribute(_NAME_UIDS, before)


def described(model: keras.Model) -> Json:
    """The vetted architecture of a network."""
    return vet(json.loads(model.to_json()))


@cache
def usual_size(name: str) -> Size:
    """Pixels that a network takes if it is not told."""
    with without_memory(), names_from_zero():
        height, width = NETWORKS[name](weights=None).input_shape[1:3]
    return height or ASSUMED_SIDE, width or ASSUMED_SIDE


def _with_scaling(network: Json) -> Json:
    """EfficientNet with the second rescaling that Keras adds for ImageNet weights only.

    These bring standard deviations where variances belong, which it makes up for.
    """
    after, new = "normalization", "rescaling_1"
    options = {"scale": [1 / math.sqrt(value) for value in PRETRAINED_VARIANCE], "offset": 0.0}
    layers, calls = [], []
    for layer in network["layers"]:
        more = {"name": new, "stored": new, "class": "Rescaling", "options": options}
        layers += [layer, more] if layer["name"] == after else [layer]
    for call in network["calls"]:
        if call["layer"] == after:
            calls += [call, {"layer": new, "inputs": {"tensor": [after, 0, 0]}}]
        elif call["inputs"] == {"tensor": [after, 0, 0]}:
            calls.append({**call, "inputs": {"tensor": [new, 0, 0]}})
        else:
            calls.append(call)
    return vet({**network, "layers": layers, "calls": calls})
