"""Which numbers of the photo does a number inside the network rest on?

A network traced for one photo is a list of TensorFlow operations with known shapes, whatever kind
of Keras model it was written as. `trace_dependence` turns each operation into a function from
places in its output to the places in its inputs that they are computed from, and
`Dependence.places` follows these functions from a layer back to the photo.

A block of places is one array of positions for each axis and means all their combinations. What
an operation mixes along an axis, it reads whole; an operation that is not known here reads
everything. So a block may come out too large, never too small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from vizlib.sliding import Window, same_window

#: Positions along one axis, sorted; None stands for the whole axis, however long.
Positions = np.ndarray | None
Block = tuple[Positions, ...]
#: ``read(block, bounded)`` gives the name of each tensor that is read, with the block read of it.
Read = Callable[[Block, bool], Iterable[tuple[str, Block]]]
#: For each axis that is not read as it is, ``map(positions, bounded)``.
Maps = dict[int, Callable[..., Positions]]

_ELEMENTWISE = {
    *("Abs", "Add", "AddN", "AddV2", "BroadcastTo", "Cast", "Ceil", "CheckNumerics"),
    *("ClipByValue", "Cos", "Div", "DivNoNan", "Elu", "Equal", "Erf", "Erfc", "Exp", "Expm1"),
    *("Floor", "FloorDiv", "FloorMod", "Greater", "GreaterEqual", "Identity", "Inv", "IsNan"),
    *("LeakyRelu", "Less", "LessEqual", "Log", "Log1p", "LogicalAnd", "LogicalNot", "LogicalOr"),
    *("Maximum", "Minimum", "Mul", "MulNoNan", "Neg", "NotEqual", "Pow", "PreventGradient"),
    *("RealDiv", "Reciprocal", "Relu", "Relu6", "Rint", "Round", "Rsqrt", "Select", "SelectV2"),
    *("Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Square"),
    *("SquaredDifference", "StopGradient", "Sub", "Tanh", "Xdivy", "Xlogy"),
}
_REDUCTIONS = {"All", "Any", "Max", "Mean", "Min", "Prod", "Sum"}
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
#: What these give depends on the shape of what they take, never on its numbers.
_SHAPES_ONLY = {"OnesLike", "Rank", "Shape", "ShapeN", "Size", "ZerosLike"}
_FIRST = np.zeros(1, "int64")


class _NotKnownError(Exception):
    """An operation, or a setting of one, of which it is not known here what it reads."""


@dataclass(frozen=True)
class Dependence:
    """How one tensor of a traced network depends on another.

    Attributes
    ----------
    target, source : str
        Names of the two.
    shapes : dict
        Shape of every tensor that depends on the source, None where it is not fixed.
    steps : tuple
        Name of every tensor between them, with what it reads, the last computed first.
    unknown : frozenset of str
        Kinds of operations between them that are taken to read everything.
    """

    target: str
    source: str
    shapes: dict[str, tuple[int, ...] | None]
    steps: tuple[tuple[str, Read], ...]
    unknown: frozenset[str]

    def places(self, block: Block, *, bounded: bool = True) -> Block | None:
        """Find what a block of the target is computed from.

        Parameters
        ----------
        block : tuple of int array or None
            Positions along each axis of the target.
        bounded : bool
            Whether every tensor ends where it does. If not, all are taken to go on for ever, as
            if there were no padding.

        Returns
        -------
        tuple of int array or None
            Positions along each axis of the source; None, when not bounded, for an axis that is
            read whole. No tuple if nothing of it is read.
        """
        wanted = {self.target: self._checked(self.target, block, bounded)}
        for name, read in self.steps:
            if name not in wanted:
                continue
            for below, part in read(wanted.pop(name), bounded):
                if below in self.shapes:
                    found = self._checked(below, part, bounded)
                    if all(along is None or along.size for along in found):
                        wanted[below] = _union(wanted.get(below), found)
        return wanted.get(self.source)

    def _checked(self, name: str, block: Block, bounded: bool) -> Block:
        shape = self.shapes[name]
        if shape is None or not bounded:
            return block
        pairs = zip(block, shape, strict=True)
        return tuple(np.arange(n) if p is None else p[(p >= 0) & (p < n)] for p, n in pairs)


def trace_dependence(source: Any, target: Any) -> Dependence:
    """Find how a tensor of a TensorFlow graph depends on an earlier one of the same graph.

    What an operation that is not known reads is taken to be all of the source.

    Parameters
    ----------
    source, target : graph tensors
    """
    tensors = _after(source)
    everything = (source.name, (None,) * source.shape.rank)
    needed, steps, unknown = {target.name}, [], set()
    for tensor in reversed(tensors):
        if tensor.name in needed:
            try:
                read = _reader(tensor)
                needed.update(name for name, _ in read((None,) * tensor.shape.rank, False))
            except _NotKnownError:
                unknown.add(tensor.op.type)
                read = _always(everything)
            steps.append((tensor.name, read))
    shapes = {tensor.name: _fixed_shape(tensor) for tensor in [source, *tensors, target]}
    return Dependence(target.name, source.name, shapes, tuple(steps), frozenset(unknown))


def tensor_key(tensor: Any) -> tuple[int, str]:
    """Tell a tensor from all others, those of other graphs included."""
    return id(tensor.graph), tensor.name


def nearest(target: Any, known: Mapping[tuple[int, str], str]) -> set[str]:
    """Find the closest of some known tensors that a tensor of a TensorFlow graph depends on.

    Parameters
    ----------
    target : graph tensor
        Counts itself if it is known.
    known : mapping of `tensor_key` to str

    Returns
    -------
    set of str
        What is known of those found; nothing beyond them is looked at.
    """
    found, seen, waiting = set(), set(), [target]
    while waiting:
        tensor = waiting.pop()
        key = tensor_key(tensor)
        if key in known:
            found.add(known[key])
        elif key not in seen:
            seen.add(key)
            waiting += _read_by(tensor)
    return found


def _read_by(tensor: Any) -> list[Any]:
    operation = tensor.op
    if operation.type in _SHAPES_ONLY:
        return []
    # What a function inside the graph takes from around it.
    captures = getattr(tensor.graph, "captures", ()) if operation.type == "Placeholder" else ()
    outer = [outside for outside, inside in captures if inside is tensor]
    return [*operation.inputs, *(one for one in outer if one.dtype != tf.resource)]


def _always(everything: tuple[str, Block]) -> Read:
    return lambda _block, _bounded: [everything]


def _fixed_shape(tensor: Any) -> tuple[int, ...] | None:
    return tuple(tensor.shape) if tensor.shape.is_fully_defined() else None


def _after(source: Any) -> list[Any]:
    """Give all tensors that depend on the source, in the order they are computed."""
    dependent, found = {source.name}, []
    for operation in source.graph.get_operations():
        reads = any(below.name in dependent for below in operation.inputs)
        if reads and operation.type not in _SHAPES_ONLY:
            dependent.update(output.name for output in operation.outputs)
            found += operation.outputs
    return found


def _union(one: Block | None, other: Block) -> Block:
    if one is None:
        return other
    pairs = zip(one, other, strict=True)
    return tuple(None if a is None or b is None else np.union1d(a, b) for a, b in pairs)


# What each kind of operation reads.


def _reader(tensor: Any) -> Read:
    kind = tensor.op.type
    if any(_fixed_shape(each) is None for each in (tensor, *tensor.op.inputs)):
        raise _NotKnownError
    if kind in _ELEMENTWISE:
        return _elementwise(tensor)
    if kind in _REDUCTIONS:
        return _reduction(tensor)
    if kind in _CALLS:
        return _call(tensor)
    if kind not in _RULES:
        raise _NotKnownError
    return _RULES[kind](tensor)


def _constant(tensor: Any) -> np.ndarray:
    value = tf.get_static_value(tensor)
    if value is None:
        raise _NotKnownError
    return np.asarray(value)


def _along_axes(below: Any, maps: Maps) -> Read:
    """Read each axis through its own map ``(positions, bounded) -> positions``, most unchanged."""

    def read(block: Block, bounded: bool) -> Iterator[tuple[str, Block]]:
        yield (
            below.name,
            tuple(
                maps[axis](along, bounded) if axis in maps and along is not None else along
                for axis, along in enumerate(block)
            ),
        )

    return read


def _elementwise(tensor: Any) -> Read:
    rank = tensor.shape.rank
    stretched = [
        (below.name, [own != n for own, n in _aligned(below, tensor)]) for below in tensor.op.inputs
    ]

    def read(block: Block, _bounded: bool) -> Iterator[tuple[str, Block]]:
        for name, single in stretched:
            last = block[rank - len(single) :]
            yield name, tuple(_FIRST if s else p for s, p in zip(single, last, strict=True))

    return read


def _aligned(below: Any, tensor: Any) -> list[tuple[int, int]]:
    shape = tuple(tensor.shape)[tensor.shape.rank - below.shape.rank :]
    return list(zip(below.shape, shape, strict=True))


def _first_input(tensor: Any) -> Read:
    name = tensor.op.inputs[0].name
    return lambda block, _bounded: [(name, block)]


def _same_index(tensor: Any) -> Read:
    name = tensor.op.inputs[tensor.value_index].name
    return lambda block, _bounded: [(name, block)]


def _normalization(tensor: Any) -> Read:
    if tensor.op.get_attr("is_training") or tensor.value_index > 0:
        raise _NotKnownError
    return _first_input(tensor)


def _whole_last_axis(tensor: Any) -> Read:
    name = tensor.op.inputs[0].name
    return lambda block, _bounded: [(name, (*block[:-1], None))]


def _reduction(tensor: Any) -> Read:
    below, axes = tensor.op.inputs[0], _constant(tensor.op.inputs[1])
    gone = {int(axis) % below.shape.rank for axis in axes.ravel()}
    kept = tensor.op.get_attr("keep_dims")

    def read(block: Block, _bounded: bool) -> Iterator[tuple[str, Block]]:
        left = iter([p for a, p in enumerate(block) if not (kept and a in gone)])
        yield below.name, tuple(None if a in gone else next(left) for a in range(below.shape.rank))

    return read


# Windows: convolutions and pooling.


def _reads(places: np.ndarray, _bounded: bool, *, window: Window) -> np.ndarray:
    return np.unique(window.taps(places))


def _reads_transposed(places: np.ndarray, _bounded: bool, *, window: Window) -> np.ndarray:
    taps = np.arange(window.size) * window.dilation
    hits = np.subtract.outer(places + window.before, taps)
    return np.unique(hits[hits % window.stride == 0] // window.stride)


def _windows(operation: Any, sizes: Iterable[int], large: Any, small: Any) -> dict[int, Window]:
    """Give the window along each axis of the image, which leads from large to small maps."""
    strides = operation.get_attr("strides")
    dilates = "dilations" in operation.node_def.attr
    dilations = operation.get_attr("dilations") if dilates else [1] * 4
    padding = operation.get_attr("padding")
    found = {}
    for axis, size in zip(_image_axes(operation), sizes, strict=True):
        window = Window(int(size), int(strides[axis]), int(dilations[axis]), before=0)
        if padding == b"SAME":
            window = same_window(window, large.shape[axis], small.shape[axis])
        elif padding != b"VALID":
            window = window._replace(before=int(operation.get_attr("explicit_paddings")[2 * axis]))
        found[axis] = window
    return found


def _image_axes(operation: Any) -> tuple[int, int]:
    return (2, 3) if operation.get_attr("data_format") == b"NCHW" else (1, 2)


def _channel_axis(operation: Any) -> int:
    return 1 if operation.get_attr("data_format") == b"NCHW" else 3


def _pool(tensor: Any) -> Read:
    operation, below = tensor.op, tensor.op.inputs[0]
    sizes = [operation.get_attr("ksize")[axis] for axis in _image_axes(operation)]
    found = _windows(operation, sizes, below, tensor)
    return _along_axes(below, {a: partial(_reads, window=window) for a, window in found.items()})


def _convolution(tensor: Any) -> Read:
    operation, (below, kernel) = tensor.op, tensor.op.inputs
    found = _windows(operation, kernel.shape[:2], below, tensor)
    maps: Maps = {a: partial(_reads, window=window) for a, window in found.items()}
    return _along_axes(below, maps | _channel_groups(tensor))


def _channel_groups(tensor: Any) -> Maps:
    """Which channels a convolution, grouped, depthwise or neither, reads for its own."""
    below, kernel = tensor.op.inputs
    axis = _channel_axis(tensor.op)
    if tensor.op.type == "DepthwiseConv2dNative":
        inside, per_group = 1, kernel.shape[3]
    else:
        inside = kernel.shape[2]
        per_group = tensor.shape[axis] * inside // below.shape[axis]

    def along(places: np.ndarray, _bounded: bool) -> np.ndarray:
        groups = np.unique(places // per_group)
        return np.add.outer(groups * inside, np.arange(inside)).ravel()

    return {axis: along}


def _transposed_convolution(tensor: Any) -> Read:
    operation, (_, kernel, below) = tensor.op, tensor.op.inputs
    found = _windows(operation, kernel.shape[:2], tensor, below)
    maps: Maps = {a: partial(_reads_transposed, window=window) for a, window in found.items()}
    maps[_channel_axis(operation)] = lambda _places, _bounded: None
    return _along_axes(below, maps)


def _dilated_convolution(tensor: Any) -> Read:
    """Read through the three steps in which TensorFlow makes some dilated convolutions.

    Each of ``block`` interleaved grids of pixels becomes a picture of its own, a convolution
    without dilation runs on all of them, and the results are interleaved again.
    """
    inner = tensor.op.inputs[0].op
    convolves = inner.type in ("Conv2D", "DepthwiseConv2dNative")
    if not convolves or inner.inputs[0].op.type != "SpaceToBatchND":
        raise _NotKnownError
    split, kernel = inner.inputs[0].op, inner.inputs[1]
    blocks, crops = (_constant(t) for t in tensor.op.inputs[1:])
    pads = _constant(split.inputs[2])
    found = _windows(inner, kernel.shape[:2], inner.inputs[0], tensor.op.inputs[0])
    if len(blocks) != 2 or any(window.stride != 1 for window in found.values()):
        raise _NotKnownError
    maps: Maps = {}
    for axis, block, pad, crop in zip((1, 2), blocks, pads, crops, strict=True):
        window, dilation = found[axis], int(block)
        before = int(pad[0] - crop[0]) + window.before * dilation
        maps[axis] = partial(_reads, window=Window(window.size, 1, dilation, before))
    return _along_axes(split.inputs[0], maps | _channel_groups(tensor.op.inputs[0]))


# Other sizes.


def _resize(tensor: Any, *, taps: Callable[[np.ndarray, bool], Any]) -> Read:
    operation, below = tensor.op, tensor.op.inputs[0]
    half, corners = (operation.get_attr(a) for a in ("half_pixel_centers", "align_corners"))

    def along(places: np.ndarray, bounded: bool, *, before: int, after: int) -> np.ndarray:
        scale = (before - 1) / (after - 1) if corners and after > 1 else before / after
        # Rounded, so that what falls on a pixel is not taken to lie beside it.
        at = np.round((places + 0.5) * scale - 0.5 if half else places * scale, 9)
        found = np.unique(np.concatenate(taps(at, corners)).astype("int64"))
        return np.unique(np.clip(found, 0, before - 1)) if bounded else found

    maps: Maps = {a: partial(along, before=below.shape[a], after=tensor.shape[a]) for a in (1, 2)}
    return _along_axes(below, maps)


def _nearest(tensor: Any) -> Read:
    half = tensor.op.get_attr("half_pixel_centers")

    def taps(at: np.ndarray, corners: bool) -> list[np.ndarray]:
        return [np.floor(at + 0.5 if half or corners else at)]

    return _resize(tensor, taps=taps)


def _bilinear(tensor: Any) -> Read:
    return _resize(tensor, taps=lambda at, _: [np.floor(at), np.ceil(at)])


def _padding(tensor: Any) -> Read:
    before = _constant(tensor.op.inputs[1])[:, 0]
    maps: Maps = {
        axis: partial(lambda places, _bounded, *, by: places - by, by=int(by))
        for axis, by in enumerate(before)
    }
    return _along_axes(tensor.op.inputs[0], maps)


def _mirror_padding(tensor: Any) -> Read:
    below, mode = tensor.op.inputs[0], tensor.op.get_attr("mode").decode().lower()

    def along(places: np.ndarray, bounded: bool, *, n: int, by: np.ndarray) -> np.ndarray:
        return np.unique(np.pad(np.arange(n), by, mode)[places]) if bounded else places - by[0]

    pads = _constant(tensor.op.inputs[1])
    maps: Maps = {
        a: partial(along, n=below.shape[a], by=by) for a, by in enumerate(pads) if by.any()
    }
    return _along_axes(below, maps)


# Numbers that only change their places.


def _reshape(tensor: Any) -> Read:
    below = tensor.op.inputs[0]
    if below.op.type == "MatMul" and below.op.inputs[0].op.type == "Reshape":
        around = below.op.inputs[0].op.inputs[0]
        if around.shape[:-1] == tensor.shape[:-1] and not below.op.get_attr("transpose_a"):
            return _dense_at_each_place(around)
    groups = list(_groups(tuple(below.shape), tuple(tensor.shape)))
    sizes, shape = tuple(below.shape), tuple(tensor.shape)

    def read(block: Block, _bounded: bool) -> Iterator[tuple[str, Block]]:
        found: list[Positions] = [_FIRST] * len(sizes)
        for own, out in groups:
            parts = _regrouped(
                [block[a] for a in out], [shape[a] for a in out], [sizes[a] for a in own]
            )
            for axis, part in zip(own, parts, strict=True):
                found[axis] = part
        yield below.name, tuple(found)

    return read


def _dense_at_each_place(around: Any) -> Read:
    """Read through a dense layer on maps, which TensorFlow flattens to one list of places."""
    return lambda block, _bounded: [(around.name, (*block[:-1], None))]


def _groups(before: tuple[int, ...], after: tuple[int, ...]) -> Iterator[tuple[list, list]]:
    """Split two shapes of one size into the shortest runs of axes that hold as many numbers."""
    own, out = (iter([a for a, n in enumerate(s) if n > 1]) for s in (before, after))
    for first in own:
        run, other = [first], [next(out)]
        while True:
            left, right = (math.prod(s[a] for a in r) for s, r in ((before, run), (after, other)))
            if left == right:
                break
            (run if left < right else other).append(next(own if left < right else out))
        yield run, other


def _regrouped(places: list[Positions], shape: list[int], wanted: list[int]) -> list[Positions]:
    if len(shape) == len(wanted) == 1 or all(along is None for along in places):
        return [places[0]] * len(wanted)
    flat = np.zeros(1, "int64")
    for i, (along, n) in enumerate(zip(places, shape, strict=True)):
        inside = np.arange(n) if along is None else along
        # Only the first axis of several can go on beyond its end.
        flat = np.add.outer(flat * n, inside[(inside >= 0) & (inside < n)] if i else inside).ravel()
    found: list[Positions] = []
    for n in wanted[:0:-1]:
        found.insert(0, np.unique(flat % n))
        flat = flat // n
    return [np.unique(flat), *found]


def _transpose(tensor: Any) -> Read:
    below, order = tensor.op.inputs[0], _constant(tensor.op.inputs[1])
    back = np.argsort(order)
    return lambda block, _bounded: [(below.name, tuple(block[axis] for axis in back))]


def _tile(tensor: Any) -> Read:
    def along(places: np.ndarray, _bounded: bool, *, n: int) -> np.ndarray:
        return np.unique(places % n)

    below = tensor.op.inputs[0]
    sizes = enumerate(zip(below.shape, tensor.shape, strict=True))
    return _along_axes(below, {a: partial(along, n=n) for a, (n, all_of) in sizes if n != all_of})


def _ending(places: Positions, n: int) -> Positions:
    """Keep positions on an axis that is put together by hand, which cannot go on for ever."""
    return None if places is None else np.unique(np.clip(places, 0, n - 1))


def _concatenation(tensor: Any) -> Read:
    *parts, axis = tensor.op.inputs
    along = int(_constant(axis)) % tensor.shape.rank
    starts = np.cumsum([0, *(part.shape[along] for part in parts)])
    named = [(part.name, starts[i], starts[i + 1]) for i, part in enumerate(parts)]

    def read(block: Block, _bounded: bool) -> Iterator[tuple[str, Block]]:
        places = _ending(block[along], starts[-1])
        for name, start, stop in named:
            inside = places
            if places is not None:
                inside = places[(places >= start) & (places < stop)] - start
            yield name, (*block[:along], inside, *block[along + 1 :])

    return read


def _stack(tensor: Any) -> Read:
    axis, names = tensor.op.get_attr("axis") % tensor.shape.rank, [t.name for t in tensor.op.inputs]

    def read(block: Block, _bounded: bool) -> Iterator[tuple[str, Block]]:
        places = _ending(block[axis], len(names))
        for place in range(len(names)) if places is None else places:
            yield names[place], (*block[:axis], *block[axis + 1 :])

    return read


def _unstack(tensor: Any) -> Read:
    below = tensor.op.inputs[0]
    axis, place = tensor.op.get_attr("axis") % below.shape.rank, np.array([tensor.value_index])
    return lambda block, _bounded: [(below.name, (*block[:axis], place, *block[axis:]))]


def _split(tensor: Any) -> Read:
    axis, below = tensor.op.inputs
    return _part(tensor, below, int(_constant(axis)))


def _split_unevenly(tensor: Any) -> Read:
    below, _, axis = tensor.op.inputs
    return _part(tensor, below, int(_constant(axis)))


def _part(tensor: Any, below: Any, axis: int) -> Read:
    along = axis % tensor.shape.rank
    start = sum(output.shape[along] for output in tensor.op.outputs[: tensor.value_index])
    axes = [(a, start if a == along else 0, 1) for a in range(tensor.shape.rank)]
    return _sliced(tensor, below, axes)


def _slice(tensor: Any) -> Read:
    starts = [int(start) for start in _constant(tensor.op.inputs[1])]
    axes = [(axis, start, 1) for axis, start in enumerate(starts)]
    return _sliced(tensor, tensor.op.inputs[0], axes)


def _strided_slice(tensor: Any) -> Read:
    """Write a slice as one ``(axis of the output or None, start, step)`` for each axis read."""
    operation, below = tensor.op, tensor.op.inputs[0]
    masks = {
        kind: operation.get_attr(f"{kind}_mask")
        for kind in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    if masks["new_axis"]:
        raise _NotKnownError
    begins, ends, steps = (_constant(t).tolist() for t in operation.inputs[1:])
    asked: list[Any] = []
    for i, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        if masks["ellipsis"] >> i & 1:
            asked += [slice(None)] * (below.shape.rank - len(begins) + 1)
        elif masks["shrink_axis"] >> i & 1:
            asked.append(begin)
        else:
            first = None if masks["begin"] >> i & 1 else begin
            asked.append(slice(first, None if masks["end"] >> i & 1 else end, step))
    asked += [slice(None)] * (below.shape.rank - len(asked))
    out = iter(range(tensor.shape.rank))
    axes: list[tuple[int | None, int, int]] = []
    for n, wanted in zip(below.shape, asked, strict=True):
        if isinstance(wanted, slice):
            start, _, step = wanted.indices(n)
            axes.append((next(out), start, step))
        else:
            axes.append((None, wanted % n, 1))
    return _sliced(tensor, below, axes)


def _sliced(tensor: Any, below: Any, axes: Sequence[tuple[int | None, int, int]]) -> Read:
    shape = tuple(tensor.shape)

    def along(block: Block, axis: int | None, start: int, step: int) -> Positions:
        if axis is None:
            return np.array([start])
        places = block[axis]
        if places is None:
            # A part of the channels, which come last, has an end; a part of an endless photo not.
            if axis < len(shape) - 1:
                return None
            places = np.arange(shape[axis])
        return np.sort(start + step * places)

    return lambda block, _bounded: [(below.name, tuple(along(block, *axis) for axis in axes))]


def _gather(tensor: Any) -> Read:
    below, indices, axis = tensor.op.inputs
    chosen, along = _constant(indices), int(_constant(axis)) % below.shape.rank
    if chosen.ndim > 1 or tensor.op.get_attr("batch_dims"):
        raise _NotKnownError

    def read(block: Block, _bounded: bool) -> Iterator[tuple[str, Block]]:
        if chosen.ndim == 0:
            yield below.name, (*block[:along], chosen[None], *block[along:])
            return
        places = _ending(block[along], len(chosen))
        inside = np.unique(chosen if places is None else chosen[places])
        yield below.name, (*block[:along], inside, *block[along + 1 :])

    return read


def _reversed(tensor: Any) -> Read:
    below = tensor.op.inputs[0]
    maps: Maps = {
        int(axis): partial(
            lambda places, _bounded, *, n: np.sort(n - 1 - places), n=below.shape[int(axis)]
        )
        for axis in _constant(tensor.op.inputs[1]) % below.shape.rank
    }
    return _along_axes(below, maps)


def _rolled(tensor: Any) -> Read:
    below = tensor.op.inputs[0]
    shifts, axes = (np.atleast_1d(_constant(t)) for t in tensor.op.inputs[1:])

    def along(places: np.ndarray, bounded: bool, *, by: int, n: int) -> np.ndarray:
        return np.sort((places - by) % n) if bounded else places - by

    maps: Maps = {
        int(axis): partial(along, by=int(by), n=below.shape[int(axis)])
        for axis, by in zip(axes % below.shape.rank, shifts, strict=True)
    }
    return _along_axes(below, maps)


# Products of matrices, as in dense layers and attention.


def _matrix_product(tensor: Any) -> Read:
    flipped = [tensor.op.get_attr(f"transpose_{side}") for side in "ab"]
    return _contraction(tensor, ["ki" if flipped[0] else "ik", "jk" if flipped[1] else "kj"], "ij")


def _batched_product(tensor: Any) -> Read:
    flipped = [tensor.op.get_attr(f"adj_{side}") for side in "xy"]
    sides = ["ki" if flipped[0] else "ik", "jk" if flipped[1] else "kj"]
    letters = "abcdefgh"[: tensor.shape.rank - 2]
    leads = [letters[len(letters) - (t.shape.rank - 2) :] for t in tensor.op.inputs]
    terms = [lead + side for lead, side in zip(leads, sides, strict=True)]
    return _contraction(tensor, terms, letters + "ij")


def _einsum(tensor: Any) -> Read:
    equation = tensor.op.get_attr("equation").decode()
    terms, _, result = equation.partition("->")
    if "." in equation or any(len(set(t)) < len(t) for t in [*terms.split(","), result]):
        raise _NotKnownError
    return _contraction(tensor, terms.split(","), result)


def _contraction(tensor: Any, terms: list[str], result: str) -> Read:
    """Read a product written in letters: an axis whose letter the result lacks is read whole."""
    sides = [
        (below.name, [(letter, below.shape[i]) for i, letter in enumerate(term)])
        for below, term in zip(tensor.op.inputs, terms, strict=True)
    ]
    length = dict(zip(result, tensor.shape, strict=True))

    def read(block: Block, _bounded: bool) -> Iterator[tuple[str, Block]]:
        places = dict(zip(result, block, strict=True))
        for name, axes in sides:
            yield (
                name,
                tuple(
                    _FIRST if letter in length and n != length[letter] else places.get(letter)
                    for letter, n in axes
                ),
            )

    return read


# Functions inside the graph.


def _call(tensor: Any) -> Read:
    operation = tensor.op
    body = operation.graph._get_function(operation.get_attr("f").name).graph
    found = [
        (outer.name, trace_dependence(inner, body.outputs[tensor.value_index]))
        for inner, outer in zip(body.inputs, operation.inputs, strict=True)
        if outer.dtype != tf.resource  # what a variable holds does not depend on the photo
    ]
    if any(inside.unknown for _, inside in found):
        raise _NotKnownError

    def read(block: Block, bounded: bool) -> Iterator[tuple[str, Block]]:
        for name, inside in found:
            places = inside.places(block, bounded=bounded)
            if places is not None:
                yield name, places

    return read


_RULES: dict[str, Callable[[Any], Read]] = {
    "AvgPool": _pool,
    "BatchMatMulV2": _batched_product,
    "BatchToSpaceND": _dilated_convolution,
    "BiasAdd": _first_input,
    "ConcatV2": _concatenation,
    "Conv2D": _convolution,
    "Conv2DBackpropInput": _transposed_convolution,
    "DepthwiseConv2dNative": _convolution,
    "Einsum": _einsum,
    "ExpandDims": _reshape,
    "FusedBatchNormV3": _normalization,
    "GatherV2": _gather,
    "IdentityN": _same_index,
    "LogSoftmax": _whole_last_axis,
    "MatMul": _matrix_product,
    "MaxPool": _pool,
    "MirrorPad": _mirror_padding,
    "Pack": _stack,
    "Pad": _padding,
    "PadV2": _padding,
    "Reshape": _reshape,
    "ResizeBilinear": _bilinear,
    "ResizeNearestNeighbor": _nearest,
    "ReverseV2": _reversed,
    "Roll": _rolled,
    "Slice": _slice,
    "Softmax": _whole_last_axis,
    "Split": _split,
    "SplitV": _split_unevenly,
    "Squeeze": _reshape,
    "StridedSlice": _strided_slice,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unpack": _unstack,
}
