"""The layers of a network as a person browses them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from vizlib.errors import UnknownLayerError

_ACTIVATIONS = {
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Relu", "Relu6", "LeakyRelu"),
    *("Elu", "Selu", "Gelu", "Silu", "HardSilu", "HardSwish", "Tanh", "Softplus", "Mish"),
}
_MERGES = {
    *("Add", "Concatenate", "Multiply", "Average", "Maximum", "Minimum", "Subtract"),
    "Where",
}
# What networks put behind a layer without a second thought.
_FOLLOW_UPS = {
    *_ACTIVATIONS,
    *("Softmax", "Sigmoid", "BatchNormalization", "LayerNormalization", "GroupNormalization"),
    *("Dropout", "SpatialDropout2D", "AlphaDropout", "GaussianDropout", "GaussianNoise"),
    "ActivityRegularization",
}
# The projections inside attention, of three axes too: places, heads and channels.
_NOT_MAPS = {"EinsumDense"}

_PLAIN = (int, float, str, bool, type(None))
_WITHOUT_EFFECT = ("name", "dtype", "trainable", "initializer", "regularizer", "constraint", "seed")


@dataclass(frozen=True)
class LayerInfo:
    """One call of one layer.

    Attributes
    ----------
    name : str
        Path through nested models, such as ``"vgg16/block5_conv3"``; the second call of a shared
        layer ends in ``":2"``.
    kind : str
        Class of the layer, such as ``"Conv2D"``.
    shape : tuple of int
        Shape of the output for one image: ``(h, w, channels)`` for maps, channels last.
    parameters : int
        Numbers the layer has learned, counted at its first call only.
    settled : bool
        Whether the output comes after an activation or a merge, and not before one.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int = 0
    settled: bool = False

    @property
    def is_maps(self) -> bool:
        """Whether the output is a stack of maps."""
        return len(self.shape) == 3 and self.kind not in _NOT_MAPS

    @property
    def channels(self) -> int:
        """Number of channels (of units, for a vector)."""
        return self.shape[-1]

    @property
    def is_follow_up(self) -> bool:
        """Whether it only normalises, activates or drops what the layer before it gives."""
        return self.kind in _FOLLOW_UPS


def is_activation(operation: Any) -> bool:
    """Whether an operation is nothing but an activation."""
    return type(operation).__name__ in _ACTIVATIONS


def is_settled(operation: Any) -> bool:
    """Whether an operation's output comes after an activation or a merge."""
    activation = getattr(operation, "activation", None)
    if activation is not None:
        return activation is not keras.activations.linear
    # A custom block or a nested model ends where its author wanted it to.
    is_block = isinstance(operation, keras.Layer) and bool(_inner_layers(operation))
    return is_activation(operation) or type(operation).__name__ in _MERGES or is_block


def own_parameters(operation: Any) -> int:
    """Count the weights of a layer without those of the layers inside it."""
    if not isinstance(operation, keras.Layer) or not operation.built:
        return 0
    inside = sum(layer.count_params() for layer in _inner_layers(operation) if layer.built)
    return max(0, operation.count_params() - inside)


def _inner_layers(operation: keras.Layer) -> list[keras.Layer]:
    return operation._flatten_layers(include_self=False, recursive=False)


def plain_options(operation: Any) -> tuple[Any, ...]:
    """Class, precision and options of an operation, as far as they are numbers and words.

    Names are left out: Keras counts them on, so that the same network has others the next time.
    So is what only matters in training.
    """
    try:
        config = operation.get_config()
    # Custom layers that were never meant to be saved.
    except (NotImplementedError, TypeError, ValueError, AttributeError):
        config = {}
    plain = {
        key: value
        for key, value in config.items()
        if not key.endswith(_WITHOUT_EFFECT)
        and all(isinstance(v, _PLAIN) for v in keras.tree.flatten(value))
    }
    precision = getattr(operation, "compute_dtype", None)
    return type(operation).__name__, precision, sorted(plain.items())


def find_layer(layers: Sequence[LayerInfo], name: str) -> LayerInfo:
    """Find a layer by its path, or by a tail of its path that no other layer shares.

    Raises
    ------
    UnknownLayerError
        With close matches, or with all paths that end in ``name``.
    """
    exact = [layer for layer in layers if layer.name == name]
    matches = exact or [layer for layer in layers if layer.name.endswith(f"/{name}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        paths = ", ".join(layer.name for layer in matches)
        raise UnknownLayerError(f"Expected one layer named {name!r}. Received several: {paths}.")
    raise UnknownLayerError(_no_such_layer([layer.name for layer in layers], str(name)))


def _no_such_layer(names: list[str], wanted: str) -> str:
    tails = {name.rsplit("/", 1)[-1]: name for name in names} | {name: name for name in names}
    close = difflib.get_close_matches(wanted, tails, n=5, cutoff=0.4) or list(tails)[-5:]
    options = ", ".join(dict.fromkeys(tails[name] for name in close))
    return (
        "Expected the name of a layer whose output is a stack of maps. "
        f"Received: {wanted!r}. Close matches: {options}."
    )


def default_layers(layers: Sequence[LayerInfo]) -> list[LayerInfo]:
    """Order layers by how well they suit a class-activation heatmap, best first.

    The best is the last one whose maps are larger than 1x1 and come after an activation or a
    merge. Judged by the output, not the class: the last convolution would be a 1x1 convolution
    in MobileNet, and one of several branches in Inception.
    """
    latest_first = layers[::-1]
    large = [layer for layer in latest_first if layer.shape[0] * layer.shape[1] > 1]
    settled = [layer for layer in large if layer.settled]
    return list(dict.fromkeys([*settled, *large, *latest_first]))
