"""Strict reading of HDF5 files: plain groups and tensors of numbers, and nothing outside the file.

HDF5 can point to other files in several ways, and libhdf5 has no switch against it. So every link,
object and attribute is looked at, used or not, before the first number is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, BinaryIO

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5fd, h5g, h5l, h5o, h5p, h5s, h5t, h5z

from vizlib.budgets import (
    EXPANSION_FLOOR,
    MAX_EXPANSION,
    MAX_HDF5_ATTRIBUTES,
    MAX_HDF5_DEPTH,
    MAX_HDF5_OBJECTS,
    MAX_NAME_LENGTH,
    MAX_TENSOR_RANK,
    MAX_TEXT_BYTES,
    MAX_TEXT_ESTIMATE,
    MAX_WEIGHT_BYTES,
    MIB,
)
from vizlib.errors import ModelLoadError, UnsafeModelError

_FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}
_LAYOUTS = {h5d.COMPACT, h5d.CONTIGUOUS, h5d.CHUNKED}
_NUMBERS = {np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)} | {
    np.dtype(f"f{size}") for size in (2, 4, 8)
}
_ATTRIBUTE_TYPES = {h5t.INTEGER, h5t.FLOAT, h5t.STRING, h5t.ENUM}
_BFLOAT16 = (15, 7, 8, 0, 7)  # places of sign, exponent (and its length), mantissa (and its length)
_LINK_KINDS = {h5l.TYPE_SOFT: "soft", h5l.TYPE_EXTERNAL: "external"}
_HEAP = re.compile(rb"GCOL\x01...(.{8})", re.DOTALL)
_HEAP_HEADER = 16  # bytes that the pattern takes
_TEXT_HEADER = 16  # bytes in front of each text of a collection
_SCAN_BLOCK = 1 << 22  # bytes looked through at a time
_FINITE_BLOCK = 1 << 20  # numbers checked at a time


@dataclass
class Tensor:
    """One tensor of an HDF5 file, not read yet.

    Attributes
    ----------
    source : h5py.h5d.DatasetID
    shape : tuple of int
    dtype : numpy.dtype
    """

    source: h5d.DatasetID
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def size(self) -> int:
        """Bytes once read."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass
class Hdf5Contents:
    """What an HDF5 file holds; groups and tensors by their path, "" being the root.

    Attributes
    ----------
    file : binary file
    size : int
        Its length in bytes.
    stored : int
        Bytes it was received in, which limit what it may unpack to.
    groups : dict of str to h5py.h5g.GroupID
    tensors : dict of str to Tensor
    """

    file: BinaryIO
    size: int
    stored: int
    groups: dict[str, h5g.GroupID] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    _text_bytes: int = 0

    @cached_property
    def _longest_text(self) -> int:
        return _longest_text(self.file, self.size)

    def attribute(self, group: str, name: str) -> Any:
        """Read an attribute of texts or numbers; None if there is none.

        A text of free length can be stored once and listed any number of times, so what a list
        can amount to is estimated before it is read, and what all have amounted to is counted.
        """
        item = self.groups[group]
        if not h5a.exists(item, name.encode()):
            return None
        attribute = h5a.open(item, name.encode())
        kind, count = attribute.get_type(), attribute.get_space().get_simple_extent_npoints()
        free = isinstance(kind, h5t.TypeStringID) and kind.is_variable_str()
        largest = count * (self._longest_text if free else kind.get_size())
        nowhere = free and count > 0 and not self._longest_text
        if nowhere or largest > (MAX_TEXT_ESTIMATE if free else MAX_TEXT_BYTES):
            raise _too_much_text(name)
        value = h5py.AttributeManager(h5py.Group(item))[name]
        self._text_bytes += (
            sum(len(text) for text in np.atleast_1d(value).flat) if free else largest
        )
        if self._text_bytes > MAX_TEXT_BYTES:
            raise _too_much_text(name)
        return value

    def read(self, paths: list[str]) -> Iterator[tuple[str, np.ndarray]]:
        """Read tensors, after having checked that all of them together are not too much."""
        total = sum(self.tensors[path].size for path in paths)
        limit = min(MAX_WEIGHT_BYTES, max(EXPANSION_FLOOR, MAX_EXPANSION * self.stored))
        if total > limit:
            raise ModelLoadError(
                f"Expected weights of at most {MAX_WEIGHT_BYTES // MIB} MiB, and of at most "
                f"{MAX_EXPANSION} times the file. Received {total / MIB:,.0f} MiB in a file of "
                f"{self.stored / MIB:,.1f} MiB. Use a smaller network, or save in float32."
            )
        for path in paths:
            yield path, _numbers(path, self.tensors[path])


def inspect_hdf5(file: BinaryIO, size: int, stored: int) -> Hdf5Contents:
    """List a whole HDF5 file, refusing whatever is not plain groups and tensors.

    Parameters
    ----------
    file : binary file
        Kept in use: tensors are read from it later.
    size : int
        Its length in bytes.
    stored : int
        The length it was received with, smaller than ``size`` if it came compressed.
    """
    _refuse_endless_heaps(file, size)
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fileobj_driver(h5fd.fileobj_driver, file)
    root = h5f.open(b"model", h5f.ACC_RDONLY, access)
    if root.get_create_plist().get_userblock():
        raise ModelLoadError(
            "Expected an HDF5 file as Keras writes it. This one has room for something else in "
            'front. Save the model again with model.save("model.keras").'
        )
    contents = Hdf5Contents(file, size, stored)
    _Walk(contents, size).run(h5g.open(root, b"/"))
    return contents


def _longest_text(file: BinaryIO, size: int) -> int:
    """Bytes that one text of free length can have: the largest heap where HDF5 keeps these."""
    return max((min(length, size) for _, length in _heaps(file, size)), default=0)


def _heaps(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Place and stated length of every collection of texts, in use or not."""
    for at in range(0, size, _SCAN_BLOCK):
        file.seek(at)
        block = file.read(_SCAN_BLOCK + _HEAP_HEADER - 1)
        for found in _HEAP.finditer(block):
            yield at + found.start(), int.from_bytes(found[1], "little")


def _refuse_endless_heaps(file: BinaryIO, size: int) -> None:
    """Refuse collections in which libhdf5 would step from a text to itself, for ever."""
    total = 0
    for at, length in list(_heaps(file, size)):
        length = min(length, size - at)
        total += length
        if total > MAX_TEXT_BYTES:
            raise _too_much_text("texts")
        file.seek(at)
        if not _ends(file.read(length)):
            raise ModelLoadError(
                "Expected a whole model file. In this one the texts of the HDF5 file are damaged. "
                "Download or copy it again."
            )


def _ends(heap: bytes) -> bool:
    """Whether stepping through the texts of a collection comes to its end."""
    at = _HEAP_HEADER
    while at + _TEXT_HEADER <= len(heap):
        index = int.from_bytes(heap[at : at + 2], "little")
        length = int.from_bytes(heap[at + 8 : at + 16], "little")
        # Number 0 is what is left over, and counts its own header.
        step = length if index == 0 else _TEXT_HEADER + -(-length // 8) * 8
        if step < _TEXT_HEADER or at + step > len(heap):
            return False
        at += step
    return True


class _Walk:
    """One visit of every object of a file."""

    def __init__(self, contents: Hdf5Contents, size: int) -> None:
        self._contents, self._size = contents, size
        self._seen: set[int] = set()
        self._attributes = self._stored = 0

    def run(self, root: h5g.GroupID) -> None:
        self._visit("", root)
        waiting = [("", root, 0)]
        while waiting:
            path, group, depth = waiting.pop()
            for name in _linked_names(group, path):
                child = h5o.open(group, name.encode())
                inside = f"{path}/{name}" if path else name
                self._visit(inside, child)
                if isinstance(child, h5g.GroupID):
                    waiting.append((inside, child, depth + 1))
            if depth > MAX_HDF5_DEPTH:
                raise _too_many("levels of groups", MAX_HDF5_DEPTH)

    def _visit(self, path: str, item: h5o.ObjectID) -> None:
        address = h5o.get_info(item).addr
        if address in self._seen:
            raise ModelLoadError(
                f"Expected every tensor under one name. In this file {path!r} leads to something "
                'that has another name too. Save the model again with model.save("model.keras").'
            )
        self._seen.add(address)
        if len(self._seen) > MAX_HDF5_OBJECTS:
            raise _too_many("groups and tensors", MAX_HDF5_OBJECTS)
        if isinstance(item, h5d.DatasetID):
            self._contents.tensors[path] = self._tensor(path, item)
        elif isinstance(item, h5g.GroupID):
            self._contents.groups[path] = item
        else:
            raise _unsuitable(path, "a stored type")
        self._check_attributes(path, item)

    def _tensor(self, path: str, item: h5d.DatasetID) -> Tensor:
        _check_storage(path, item.get_create_plist())
        dtype = _number_type(path, item.get_type())
        space = item.get_space()
        if space.get_simple_extent_ndims() > MAX_TENSOR_RANK:
            raise _too_many("axes of one tensor", MAX_TENSOR_RANK)
        if space.get_simple_extent_type() == h5s.NULL:
            raise _unsuitable(path, "no numbers")
        tensor = Tensor(item, item.shape, dtype)
        self._check_expansion(path, tensor)
        return tensor

    def _check_expansion(self, path: str, tensor: Tensor) -> None:
        stored = tensor.source.get_storage_size()
        self._stored += stored
        if self._stored > self._size:
            raise _unsuitable(path, "more bytes than the file has")
        limit = max(EXPANSION_FLOOR, MAX_EXPANSION * stored)
        if max(tensor.size, _chunk_bytes(tensor)) > limit:
            raise ModelLoadError(
                f"Expected stored tensors of at most {MAX_EXPANSION} times the bytes they take in "
                f"the file. In this one {path!r} declares {tensor.size:,} bytes and stores "
                f"{stored:,}. Save the model again without compression."
            )

    def _check_attributes(self, path: str, item: h5o.ObjectID) -> None:
        count = h5a.get_num_attrs(item)
        self._attributes += count
        if self._attributes > MAX_HDF5_ATTRIBUTES:
            raise _too_many("attributes", MAX_HDF5_ATTRIBUTES)
        for index in range(count):
            if h5a.open(item, index=index).get_type().get_class() not in _ATTRIBUTE_TYPES:
                raise _unsuitable(path, "an attribute that is neither text nor numbers")


def _linked_names(group: h5g.GroupID, path: str) -> list[str]:
    if group.get_num_objs() > MAX_HDF5_OBJECTS:
        raise _too_many("groups and tensors", MAX_HDF5_OBJECTS)
    links: list[tuple[bytes, int]] = []
    group.links.iterate(lambda name, info: links.append((name, info.type)), info=True)
    for name, kind in links:
        if kind != h5l.TYPE_HARD:
            raise UnsafeModelError(
                "Expected a file that is complete in itself. Received one with a link "
                f"({_LINK_KINDS.get(kind, 'of its own kind')}) at {path!r}, which can lead to "
                "other files. Ask for a copy saved with Keras."
            )
        if len(name) > MAX_NAME_LENGTH:
            raise _too_many("characters of one name", MAX_NAME_LENGTH)
    return [name.decode("utf-8") for name, _ in links]


def _check_storage(path: str, made: h5p.PropDCID) -> None:
    if made.get_external_count() or made.get_layout() not in _LAYOUTS:
        kind = "external" if made.get_external_count() else "virtual"
        raise UnsafeModelError(
            f"Expected a file that is complete in itself. Received one with {kind} storage at "
            f"{path!r}, which reads other files. Ask for a copy saved with Keras."
        )
    filters = {made.get_filter(index)[0] for index in range(made.get_nfilters())}
    if not filters <= _FILTERS:
        raise _unsuitable(path, "numbers compressed in another way than gzip")


def _number_type(path: str, kind: h5t.TypeID) -> np.dtype:
    if kind.get_class() == h5t.FLOAT and kind.get_size() == 2 and kind.get_fields() == _BFLOAT16:
        return np.dtype(np.float32)
    if kind.get_class() in (h5t.INTEGER, h5t.FLOAT):
        dtype = kind.dtype
        if dtype.newbyteorder("=") in _NUMBERS and h5t.py_create(dtype) == kind:
            return dtype.newbyteorder("=")
    raise _unsuitable(path, "something other than numbers of a usual type")


def _chunk_bytes(tensor: Tensor) -> int:
    made = tensor.source.get_create_plist()
    if made.get_layout() != h5d.CHUNKED:
        return 0
    return math.prod(made.get_chunk()) * tensor.dtype.itemsize


def _numbers(path: str, tensor: Tensor) -> np.ndarray:
    array = np.empty(tensor.shape, tensor.dtype)
    tensor.source.read(h5s.ALL, h5s.ALL, array)
    if not all_finite(array):
        raise ModelLoadError(
            f"Expected weights that are numbers. In this file {path!r} holds NaN or infinity: its "
            "training has diverged. Train the model again with a smaller learning rate."
        )
    return array


def all_finite(array: np.ndarray) -> bool:
    """Whether an array has no NaN and no infinity, found without much memory."""
    flat = array.reshape(-1)
    blocks = range(0, flat.size, _FINITE_BLOCK)
    return all(bool(np.isfinite(flat[at : at + _FINITE_BLOCK]).all()) for at in blocks)


def _too_much_text(name: str) -> ModelLoadError:
    return ModelLoadError(
        f"Expected names and architecture of at most {MAX_TEXT_BYTES // MIB} MiB together. In this "
        f'file {name} is larger, or can be. Save the model again with model.save("model.keras").'
    )


def _too_many(what: str, limit: int) -> ModelLoadError:
    return ModelLoadError(
        f"Expected an HDF5 file with at most {limit:,} {what}. Received more. "
        'Save the model again with model.save("model.keras").'
    )


def _unsuitable(path: str, what: str) -> ModelLoadError:
    return ModelLoadError(
        f"Expected an HDF5 file of numbers only. In this one {path!r} declares {what}. "
        'Save the model again with model.save("model.keras").'
    )
