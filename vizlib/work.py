"""How much one call of a layer computes, and what it holds meanwhile, by the shapes alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """One call of a layer or an operation.

    Attributes
    ----------
    kind : str
        Class of the layer, or name of the operation.
    inputs, outputs : list of tuple of int
        Shapes with the axis of the images.
    options : mapping of str to object
        As a vetted architecture has them.
    kernels : list of tuple of int
        Shapes of the weights that the layer multiplies with at every place.
    """

    kind: str
    inputs: list[Shape]
    outputs: list[Shape]
    options: dict[str, Any] = field(default_factory=dict)
    kernels: list[Shape] = field(default_factory=list)


def multiplications(call: Call) -> int:
    """Count what is multiplied and added, or compared, in one call.

    A kernel that reaches over the edge counts as if it did not. Where there is neither a kernel nor
    a window nor a product of tensors, every number that is read or written counts once.
    """
    return _WORK.get(call.kind, _once)(call)


def held_between(call: Call) -> int:
    """Count the numbers that a call holds beside its inputs and outputs."""
    return _BETWEEN[call.kind](call) if call.kind in _BETWEEN else 0


def _once(call: Call) -> int:
    read, written = (sum(map(math.prod, shapes)) for shapes in (call.inputs, call.outputs))
    return max(read, written)


def _by_kernels(places: Shape, call: Call) -> int:
    channels = places[1 if _channels_first(call) else -1]
    return math.prod(places) // max(channels, 1) * sum(map(math.prod, call.kernels))


def _everywhere(call: Call) -> int:
    return _by_kernels(call.outputs[0], call)


def _spread(call: Call) -> int:
    # A transposed convolution puts its kernel down at every place of the input.
    return _by_kernels(call.inputs[0], call)


def _windows(call: Call) -> int:
    axes = 1 if call.kind.endswith("1D") else 2
    size = call.options.get("pool_size", [2] * axes)
    window = [min(pair) for pair in zip(size, _sides(call.inputs[0], call), strict=True)]
    return math.prod(call.outputs[0]) * math.prod(window)


def _adaptive(call: Call) -> int:
    """Rows, then columns, are pooled at every place by two windows, of which Keras then chooses."""
    (height, width), (rows, columns) = (
        _sides(shape, call) for shape in (call.inputs[0], call.outputs[0])
    )
    others = math.prod(call.inputs[0]) // max(height * width, 1)
    return others * (_two_windows(height, rows) * width + rows * _two_windows(width, columns))


def _two_windows(side: int, wanted: int) -> int:
    small = math.ceil(side / wanted)
    return sum(max(side - window + 1, 0) * window for window in (small, small + 1))


def _merged(call: Call) -> int:
    return len(call.inputs) * math.prod(call.outputs[0])


def _matmul(call: Call) -> int:
    return math.prod(call.outputs[0]) * call.inputs[0][-1]


def _dot(call: Call) -> int:
    a, b = call.inputs
    axes = call.options["axes"]
    summed = a[axes[0] if isinstance(axes, list) else axes]
    return math.prod(a) * math.prod(b) // max(a[0] * summed, 1)


def _attention(call: Call) -> int:
    """Three projections and one back, and the scores made and used."""
    options, places = call.options, max(math.prod(shape[:-1]) for shape in call.inputs)
    width = options["key_dim"] + (options.get("value_dim") or options["key_dim"])
    return _attention_scores(call) * width + places * sum(map(math.prod, call.kernels))


def _attention_scores(call: Call) -> int:
    """How much each place looks at each other one, for every head."""
    query, value = call.inputs[:2]
    given = call.options.get("attention_axes")
    axes = (
        range(1, len(value) - 1) if given is None else [given] if isinstance(given, int) else given
    )
    return call.options["num_heads"] * math.prod(query[:-1]) * math.prod(value[k] for k in axes)


_REACHES = {
    **dict.fromkeys(("nearest", "bilinear", "area"), 1),
    **dict.fromkeys(("bicubic", "mitchellcubic", "gaussian"), 2),
    "lanczos3": 3,
    "lanczos5": 5,
}


def _resized(call: Call) -> int:
    """Rows, then columns, are weighed with a window that antialiasing makes wider."""
    given, wanted = _padded_sides(call), _sides(call.outputs[0], call)
    reach = _REACHES[call.options.get("interpolation", "bilinear")]
    wider = call.options.get("antialias", False) or call.options.get("interpolation") == "area"
    spans = [
        2 * reach * max(1, math.ceil(old / max(new, 1)) if wider else 1) + 1
        for old, new in zip(given, wanted, strict=True)
    ]
    others = math.prod(call.outputs[0]) // max(math.prod(wanted), 1)
    return others * wanted[0] * (given[1] * spans[0] + wanted[1] * spans[1])


def _between_resizing(call: Call) -> int:
    (height, width), wanted = _padded_sides(call), _sides(call.outputs[0], call)
    others = math.prod(call.outputs[0]) // max(math.prod(wanted), 1)
    padded = height * width if call.options.get("pad_to_aspect_ratio") else 0
    return others * max(padded, wanted[0] * width)


def _padded_sides(call: Call) -> Shape:
    height, width = _sides(call.inputs[0], call)
    if not call.options.get("pad_to_aspect_ratio"):
        return height, width
    rows, columns = _sides(call.outputs[0], call)
    return max(height, width * rows // columns), max(width, height * columns // rows)


def _channels_first(call: Call) -> bool:
    return call.options.get("data_format") == "channels_first"


def _sides(shape: Shape, call: Call) -> Shape:
    axes = 1 if call.kind.endswith("1D") else 2
    return shape[-axes:] if _channels_first(call) else shape[-1 - axes : -1]


_RESIZED = ("Resizing", "UpSampling2D", "resize")
_WORK: dict[str, Callable[[Call], int]] = {
    **dict.fromkeys(("Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv2D"), _everywhere),
    "Dense": _everywhere,
    "Conv2DTranspose": _spread,
    **{f"{name}Pooling{axes}D": _windows for name in ("Max", "Average") for axes in (1, 2)},
    **{f"Adaptive{name}Pooling2D": _adaptive for name in ("Max", "Average")},
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"), _merged),
    **dict.fromkeys(_RESIZED, _resized),
    "MultiHeadAttention": _attention,
    "matmul": _matmul,
    "Dot": _dot,
}
_BETWEEN: dict[str, Callable[[Call], int]] = {
    **dict.fromkeys(_RESIZED, _between_resizing),
    "MultiHeadAttention": _attention_scores,
}
