"""How does one number of a map come about? Convolution and pooling at one place, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import numpy as np

from vizlib.checks import checked_integer
from vizlib.convnet import ConvNet
from vizlib.errors import InvalidArgumentError
from vizlib.layers import LayerInfo
from vizlib.pointing import Box
from vizlib.sliding import Window, same_window
from vizlib.watching import operations_by_path, run_with_pre_activation

_CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)
_LOCAL_POOLINGS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
_GLOBAL_POOLINGS = (keras.layers.GlobalMaxPooling2D, keras.layers.GlobalAveragePooling2D)
_MAX_POOLINGS = (keras.layers.MaxPooling2D, keras.layers.GlobalMaxPooling2D)

#: Part of the terms' sizes by which two sums of them may differ: GPUs multiply float32 with the
#: 10 bits of TF32 unless told otherwise.
_ROUNDING = 1e-3
_HALF_PRECISION = {"float16": 2.0**-7, "bfloat16": 2.0**-4}


class _Patch(NamedTuple):
    """Where a window lies at one place, and what it takes of the input there."""

    place: tuple[int, int]
    rows: np.ndarray
    columns: np.ndarray
    padding: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class ConvolutionStep:
    """One number of a convolution's output, taken apart.

    ``(patch * kernel).sum() + bias`` is the number before the activation.

    Attributes
    ----------
    layer : str
    channel : int
        Of the output.
    place : (row, column)
        In the output.
    input_channels : range
        Channels of the input that this output channel reads: all of them, those of its group, or
        its own one. The last axis of `patch` and `kernel` goes through them.
    rows, columns : int arrays ``(kh,)`` and ``(kw,)``
        Of the input, that the window takes; below 0 or beyond its end in the padding.
    padding : bool array ``(kh, kw)``
        Where the window hangs over the edge.
    patch : float32 array ``(kh, kw, channels)``
        What the window takes of the input; 0 in the padding.
    kernel : float32 array ``(kh, kw, channels)``
        What it is multiplied by. Of a separable convolution, the product of its two kernels.
    bias : float
        0 where the layer has none.
    before : float
        What the network itself gives at this place, before the activation.
    output : float
        The same after the activation.
    """

    layer: str
    channel: int
    place: tuple[int, int]
    input_channels: range
    rows: np.ndarray
    columns: np.ndarray
    padding: np.ndarray
    patch: np.ndarray
    kernel: np.ndarray
    bias: float
    before: float
    output: float
    _rounding: float = field(repr=False, default=_ROUNDING)

    @property
    def box(self) -> Box:
        """The window in the input map, from its first row and column; padding included."""
        return _box(self.rows, self.columns)

    @property
    def products(self) -> np.ndarray:
        """Patch times kernel, float64 ``(kh, kw, channels)``."""
        return self.patch.astype("float64") * self.kernel

    @property
    def contributions(self) -> np.ndarray:
        """What each of `input_channels` adds, float64 ``(channels,)``."""
        return self.products.sum(axis=(0, 1))

    @property
    def total(self) -> float:
        """All contributions and the bias."""
        return float(self.contributions.sum()) + self.bias

    @property
    def gap(self) -> float:
        """What the network gives, less `total`; 0 up to rounding."""
        return self.before - self.total

    @property
    def diagnosis(self) -> str | None:
        """A sentence saying that the sum is not what the network gives, or None."""
        sizes = float(np.abs(self.products).sum()) + abs(self.bias)
        return _disagreement(self.layer, self.total, self.before, self._rounding * sizes)

    def strongest(self, count: int) -> list[int]:
        """Positions in `contributions` of those that add or take away most, in this order."""
        return [int(k) for k in np.argsort(-np.abs(self.contributions), kind="stable")[:count]]


@dataclass(frozen=True)
class PoolingStep:
    """One number of a pooling layer's output, taken apart.

    Attributes
    ----------
    layer : str
    channel : int
    place : (row, column)
        In the output.
    rows, columns : int arrays ``(kh,)`` and ``(kw,)``
        Of the input, that the window takes; below 0 or beyond its end in the padding.
    padding : bool array ``(kh, kw)``
        Where the window hangs over the edge. What lies there plays no part: it is no candidate for
        the maximum, and is not counted for the mean.
    patch : float32 array ``(kh, kw)``
        What the window takes of this channel; 0 in the padding.
    winner : (row, column) or None
        Where in the patch the maximum is, the first of equals; None for a mean.
    total : float
        The maximum, or the mean, of the patch without padding.
    output : float
        What the network itself gives at this place.
    """

    layer: str
    channel: int
    place: tuple[int, int]
    rows: np.ndarray
    columns: np.ndarray
    padding: np.ndarray
    patch: np.ndarray
    winner: tuple[int, int] | None
    total: float
    output: float
    _rounding: float = field(repr=False, default=_ROUNDING)

    @property
    def box(self) -> Box:
        """The window in the input map, from its first row and column; padding included."""
        return _box(self.rows, self.columns)

    @property
    def gap(self) -> float:
        """What the network gives, less `total`; 0 up to rounding."""
        return self.output - self.total

    @property
    def diagnosis(self) -> str | None:
        """A sentence saying that this is not what the network gives, or None."""
        largest = float(np.abs(self.patch).max())
        return _disagreement(self.layer, self.total, self.output, self._rounding * largest)


@dataclass(frozen=True)
class Convolution:
    """A convolution at work on one photo.

    Attributes
    ----------
    layer : str
    windows : (Window, Window)
        How the kernel slides: down and across.
    inputs : float32 array ``(h, w, channels)``
        What the layer takes.
    kernel : float32 array ``(kh, kw, channels // groups, filters)``
        Of a depthwise convolution, every input channel is a group of its own; of a separable one,
        the product of its two kernels.
    bias : float32 array ``(filters,)``
        Zeros where the layer has none.
    has_bias : bool
        Whether it has one.
    groups : int
        Into how many parts the input channels fall, each with filters of its own.
    before : float32 array ``(h', w', filters)``
        What the layer gives before its activation.
    outputs : float32 array ``(h', w', filters)``
        What it gives.
    activation : str or None
        Name of the activation inside the layer.
    """

    layer: str
    windows: tuple[Window, Window]
    inputs: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    has_bias: bool
    groups: int
    before: np.ndarray
    outputs: np.ndarray
    activation: str | None
    _rounding: float = field(repr=False, default=_ROUNDING)

    def at(self, channel: int, row: int, column: int) -> ConvolutionStep:
        """Take one number of the output apart.

        Parameters
        ----------
        channel, row, column : int
            Which one.

        Returns
        -------
        ConvolutionStep

        Raises
        ------
        InvalidArgumentError
            If the layer has no such channel, or its output no such place.
        """
        place = _checked_place(self.outputs.shape, channel, row, column)
        per_group = self.inputs.shape[2] // self.groups
        first = channel // (self.outputs.shape[2] // self.groups) * per_group
        read = range(first, first + per_group)
        patch = _patch(self.inputs[..., first : read.stop], self.windows, place)
        return ConvolutionStep(
            layer=self.layer,
            channel=int(channel),
            place=place,
            input_channels=read,
            rows=patch.rows,
            columns=patch.columns,
            padding=patch.padding,
            patch=patch.values,
            kernel=self.kernel[..., channel],
            bias=float(self.bias[channel]),
            before=float(self.before[*place, channel]),
            output=float(self.outputs[*place, channel]),
            _rounding=self._rounding,
        )


@dataclass(frozen=True)
class Pooling:
    """A pooling layer at work on one photo.

    Attributes
    ----------
    layer : str
    takes_maximum : bool
        Whether it takes the largest number of each window, or else their mean.
    windows : (Window, Window)
        How the window slides: down and across.
    inputs : float32 array ``(h, w, channels)``
        What the layer takes.
    outputs : float32 array ``(h', w', channels)``
        What it gives.
    """

    layer: str
    takes_maximum: bool
    windows: tuple[Window, Window]
    inputs: np.ndarray
    outputs: np.ndarray
    _rounding: float = field(repr=False, default=_ROUNDING)

    def at(self, channel: int, row: int, column: int) -> PoolingStep:
        """Take one number of the output apart.

        Parameters
        ----------
        channel, row, column : int
            Which one.

        Returns
        -------
        PoolingStep

        Raises
        ------
        InvalidArgumentError
            If the layer has no such channel, or its output no such place.
        """
        place = _checked_place(self.outputs.shape, channel, row, column)
        patch = _patch(self.inputs[..., channel], self.windows, place)
        total, winner = _pooled(patch, maximum=self.takes_maximum)
        return PoolingStep(
            layer=self.layer,
            channel=int(channel),
            place=place,
            rows=patch.rows,
            columns=patch.columns,
            padding=patch.padding,
            patch=patch.values,
            winner=winner,
            total=total,
            output=float(self.outputs[*place, channel]),
            _rounding=self._rounding,
        )


def convolution_layers(convnet: ConvNet) -> tuple[LayerInfo, ...]:
    """Layers that `convolution` can take apart, in the order they run."""
    return _layers_of(convnet, _CONVOLUTIONS)


def pooling_layers(convnet: ConvNet) -> tuple[LayerInfo, ...]:
    """Layers with maps that `pooling` can take apart, in the order they run."""
    return _layers_of(convnet, _LOCAL_POOLINGS + _GLOBAL_POOLINGS)


def convolution(convnet: ConvNet, image: np.ndarray, layer: str) -> Convolution:
    """Run a photo up to a convolution, so that every number it gives can be taken apart.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    layer : str
        A Conv2D, DepthwiseConv2D or SeparableConv2D.

    Returns
    -------
    Convolution
        ``.at(channel, row, column)`` gives each number as a sum.

    Raises
    ------
    UnknownLayerError
        If no layer, or more than one, has this name.
    InvalidArgumentError
        If the layer is none of these convolutions.

    References
    ----------
    V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    https://arxiv.org/abs/1603.07285; Z. J. Wang et al., "CNN Explainer: Learning Convolutional
    Neural Networks with Interactive Visualization", IEEE VIS 2020,
    https://arxiv.org/abs/2004.15004.
    """
    name = _checked_layer(convnet, layer, convolution_layers(convnet), "a convolution")
    seen = _watched(convnet, image, name)
    kernel, groups = _kernel(seen.operation)
    activation = _activation(seen.operation)
    return Convolution(
        layer=name,
        windows=_windows(seen),
        inputs=seen.inputs,
        kernel=kernel,
        bias=_bias(seen.operation, kernel.shape[-1]),
        has_bias=seen.operation.bias is not None,
        groups=groups,
        # Of a layer that goes on after an activation that changes nothing, what it gives counts.
        before=seen.outputs if activation is None else seen.before,
        outputs=seen.outputs,
        activation=activation,
        _rounding=_rounding(seen.operation),
    )


def pooling(convnet: ConvNet, image: np.ndarray, layer: str) -> Pooling:
    """Run a photo up to a pooling layer, so that every number it gives can be taken apart.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    layer : str
        A MaxPooling2D or AveragePooling2D, or a global one of them that keeps its maps.

    Returns
    -------
    Pooling
        ``.at(channel, row, column)`` gives each number with the window it comes from.

    Raises
    ------
    UnknownLayerError
        If no layer, or more than one, has this name.
    InvalidArgumentError
        If the layer is none of these.
    """
    name = _checked_layer(convnet, layer, pooling_layers(convnet), "a pooling layer")
    seen = _watched(convnet, image, name)
    return Pooling(
        layer=name,
        takes_maximum=isinstance(seen.operation, _MAX_POOLINGS),
        windows=_windows(seen),
        inputs=seen.inputs,
        outputs=seen.outputs,
        _rounding=_rounding(seen.operation),
    )


# What a layer is seen to do.


class _Seen(NamedTuple):
    """One call of a layer, channels last and without batch axis."""

    operation: Any
    inputs: np.ndarray
    before: np.ndarray
    outputs: np.ndarray


def _watched(convnet: ConvNet, image: np.ndarray, layer: str) -> _Seen:
    called = []

    def compute(operation: Any, inputs: Any, run: Any) -> Any:
        called.append(operation)
        outputs, before = run_with_pre_activation(operation, run)
        return keras.tree.flatten(inputs)[0], before, outputs

    batch = convnet.input_tensor(image)[None]
    tensors = convnet.layer_output(batch, layer, compute=compute)
    return _Seen(called[0], *(tensor[0].numpy() for tensor in tensors))


def _layers_of(convnet: ConvNet, kinds: tuple[type, ...]) -> tuple[LayerInfo, ...]:
    paths = {p for op, p in operations_by_path(convnet.model).items() if isinstance(op, kinds)}
    return tuple(layer for layer in convnet.layers if layer.name.partition(":")[0] in paths)


def _checked_layer(convnet: ConvNet, layer: str, known: tuple[LayerInfo, ...], wanted: str) -> str:
    info = convnet.layer(layer)
    if info not in known:
        names = ", ".join(one.name for one in known[:5]) or "none"
        more = ", ..." if len(known) > 5 else ""
        raise InvalidArgumentError(
            f"Expected {wanted}. Received: {info.name!r}, a {info.kind}. "
            f"This network has: {names}{more}."
        )
    return info.name


def _windows(seen: _Seen) -> tuple[Window, Window]:
    return _window(seen, axis=0), _window(seen, axis=1)


def _window(seen: _Seen, *, axis: int) -> Window:
    operation, length = seen.operation, seen.inputs.shape[axis]
    if isinstance(operation, _GLOBAL_POOLINGS):
        return Window(length, stride=1, dilation=1, before=0)
    pools = isinstance(operation, _LOCAL_POOLINGS)
    size = (operation.pool_size if pools else operation.kernel_size)[axis]
    dilation = 1 if pools else operation.dilation_rate[axis]
    window = Window(size, operation.strides[axis], dilation, before=0)
    if operation.padding == "same":
        return same_window(window, length, seen.outputs.shape[axis])
    return window


def _kernel(operation: Any) -> tuple[np.ndarray, int]:
    """Kernel ``(kh, kw, channels // groups, filters)`` as it is multiplied, and the groups."""
    if isinstance(operation, keras.layers.SeparableConv2D):
        depthwise = _as_computed(operation, operation.depthwise_kernel)
        pointwise = _as_computed(operation, operation.pointwise_kernel)[0, 0]
        channels, multiplier = depthwise.shape[2:]
        pointwise = pointwise.reshape(channels, multiplier, -1)
        return np.einsum("hwcm,cmo->hwco", depthwise, pointwise), 1
    kernel = _as_computed(operation, operation.kernel)
    if isinstance(operation, keras.layers.DepthwiseConv2D):
        height, width, channels, multiplier = kernel.shape
        return kernel.reshape(height, width, 1, channels * multiplier), channels
    return kernel, operation.groups


def _bias(operation: Any, filters: int) -> np.ndarray:
    if operation.bias is None:
        return np.zeros(filters, "float32")
    return _as_computed(operation, operation.bias)


def _as_computed(operation: Any, weight: Any) -> np.ndarray:
    """Weights in the precision that the layer computes with, as float32."""
    computed = keras.ops.cast(weight, operation.compute_dtype)
    return keras.ops.convert_to_numpy(keras.ops.cast(computed, "float32"))


def _activation(operation: Any) -> str | None:
    activation = operation.activation
    if activation is None or activation is keras.activations.linear:
        return None
    return getattr(activation, "__name__", type(activation).__name__)


def _rounding(operation: Any) -> float:
    return _HALF_PRECISION.get(operation.compute_dtype, _ROUNDING)


# One place.


def _checked_place(shape: tuple[int, ...], channel: int, row: int, column: int) -> tuple[int, int]:
    height, width, channels = shape
    checked_integer("channel", channel, low=0, high=channels - 1)
    return (
        checked_integer("row", row, low=0, high=height - 1),
        checked_integer("column", column, low=0, high=width - 1),
    )


def _patch(maps: np.ndarray, windows: tuple[Window, Window], place: tuple[int, int]) -> _Patch:
    """Take what a window sees of maps ``(h, w, ...)``, with zeros in the padding."""
    rows, columns = (window.taps(at) for window, at in zip(windows, place, strict=True))
    (height, width), others = maps.shape[:2], maps.shape[2:]
    down = np.flatnonzero((rows >= 0) & (rows < height))
    across = np.flatnonzero((columns >= 0) & (columns < width))
    values = np.zeros((len(rows), len(columns), *others), "float32")
    values[np.ix_(down, across)] = maps[np.ix_(rows[down], columns[across])]
    padding = np.ones((len(rows), len(columns)), bool)
    padding[np.ix_(down, across)] = False
    return _Patch(place, rows, columns, padding, values)


def _pooled(patch: _Patch, *, maximum: bool) -> tuple[float, tuple[int, int] | None]:
    if not maximum:
        return float(patch.values[~patch.padding].mean(dtype="float64")), None
    candidates = np.where(patch.padding, -np.inf, patch.values)
    row, column = np.unravel_index(candidates.argmax(), candidates.shape)
    return float(candidates[row, column]), (int(row), int(column))


def _box(rows: np.ndarray, columns: np.ndarray) -> Box:
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _disagreement(layer: str, ours: float, own: float, allowed: float) -> str | None:
    if np.isclose(own, ours, rtol=0, atol=allowed, equal_nan=True):
        return None
    return (
        f"Step by step the number comes to {ours:.5g}, the network itself gives {own:.5g}: "
        f"{layer!r} computes something else than its kind of layer does."
    )
