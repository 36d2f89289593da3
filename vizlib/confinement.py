"""A child process that reads a stranger's model file and can do nothing else.

This is a second wall. The first is that the file is read by strict readers and is never executed;
the second holds if one of the libraries under them (libhdf5, zlib) has a hole.

The child gets the file as its standard input and writes its answer to its standard output. It
imports what it needs, gives up every right, and only then looks at the first byte: from there on it
can open no file, not even for reading, reach no network, start no process and take only so much
memory and time. Its answer is JSON and raw numbers, which the parent checks like any upload.
"""

from __future__ import annotations

import json
import math
import os
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vizlib import errors
from vizlib.budgets import (
    CHILD_CPU_SECONDS,
    CHILD_WALL_SECONDS,
    MAX_HDF5_OBJECTS,
    MAX_JSON_BYTES,
    MAX_JSON_DEPTH,
    MAX_TENSOR_RANK,
    MAX_WEIGHT_BYTES,
)
from vizlib.errors import ModelLoadError, VizlibError
from vizlib.hdf5_files import all_finite
from vizlib.model_files import ModelSource, StoredModel, Wanted, opened, read_opened
from vizlib.rights import give_up_rights
from vizlib.strict_json import read_json_object

# `import vizlib` would load TensorFlow, so the child gets a bare package of that name: the modules
# of the folder, without what __init__.py imports.
_START = """
import json, sys, types
sys.path[:] = json.loads(sys.argv[1])
package = types.ModuleType("vizlib")
package.__path__ = [sys.argv[2]]
sys.modules["vizlib"] = package
from vizlib.confinement import answer_as_child
answer_as_child()
"""
# Nothing of the environment reaches the child except what is needed to start Python.
_KEPT_VARIABLES = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_SET_VARIABLES = {
    "HDF5_PLUGIN_PRELOAD": "::",  # no plug-ins
    "HDF5_USE_FILE_LOCKING": "FALSE",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}

_MAGIC = b"VIZMODEL"
_HEADER = struct.Struct("<8sQ")
_DTYPES = {np.dtype(f"{kind}{size}").str for kind in "iu" for size in (1, 2, 4, 8)} | {
    np.dtype(f"f{size}").str for size in (2, 4, 8)
}
_REFUSALS = {
    kind.__name__: kind
    for kind in (errors.ModelLoadError, errors.UnsafeModelError, errors.UnsupportedModelError)
}
_REASON_LENGTH = 2000  # characters of a refusal

# Parent.


def run_confined(source: ModelSource, wanted: Wanted = "model") -> StoredModel:
    """Read and vet a model file in a child process.

    Parameters
    ----------
    source : str, path, bytes or binary file
    wanted : {"model", "weights", "architecture"}
        What is read: a whole model, the weights of any file that has some, or JSON.

    Returns
    -------
    StoredModel
        With a vetted configuration, where one was wanted. Who builds it vets it again, which
        changes nothing.

    Raises
    ------
    ModelLoadError
        The child's own refusal, or that it broke a limit.
    """
    with opened(source, wanted) as file, tempfile.TemporaryFile() as answer:
        code = _run_child(file, answer, wanted)
        header = _read_header(answer, code)
        _raise_refusal(header)
        return _stored_model(header, answer)


@cache
def confinement_layers() -> tuple[str, ...]:
    """Name the layers of confinement that work on this system, the child's own account of it."""
    with tempfile.TemporaryFile() as nothing, tempfile.TemporaryFile() as answer:
        header = _read_header(answer, _run_child(nothing, answer))
    layers = (str(name) for name in header.get("layers", ()))
    return ("separate process", "time limit", *layers)


def _run_child(file: BinaryIO, answer: BinaryIO, wanted: Wanted = "model") -> int:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    folders = json.dumps([str(Path(folder).resolve()) for folder in sys.path])
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", _START]
    try:
        child = subprocess.Popen(
            [*command, folders, str(Path(__file__).parent), wanted],
            stdin=file,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            env={**kept, **_SET_VARIABLES},
            start_new_session=True,
        )
    except OSError as error:
        raise ModelLoadError(
            f"Expected to start a process that reads the file. The system refuses: {error}. "
            "Close other programs and try again."
        ) from error
    with child:
        try:
            return child.wait(CHILD_WALL_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ModelLoadError(
                f"Expected a model file that is read within {CHILD_WALL_SECONDS} seconds. This one "
                "takes longer. Use a smaller network, or try again when the computer is less busy."
            ) from error
        finally:
            child.kill()


def _read_header(answer: BinaryIO, code: int) -> dict[str, Any]:
    answer.seek(0)
    start = answer.read(_HEADER.size)
    if code or len(start) < _HEADER.size:
        raise _broken(code)
    magic, length = _HEADER.unpack(start)
    if magic != _MAGIC or length > MAX_JSON_BYTES:
        raise _broken(code)
    return read_json_object(answer.read(length), "the reader's answer", levels=2 * MAX_JSON_DEPTH)


def _broken(code: int) -> ModelLoadError:
    seconds = getattr(signal, "SIGXCPU", None)
    if seconds is not None and code == -seconds:
        what = f"needs more than {CHILD_CPU_SECONDS} seconds of computing"
    else:
        what = "makes its reader stop, as damaged or hostile files do"
    return ModelLoadError(
        f"Expected a model file that can be read. This one {what}. "
        'Save the model again with model.save("model.keras").'
    )


def _raise_refusal(header: Mapping[str, Any]) -> None:
    if "refused" in header:
        kind = _REFUSALS.get(str(header["refused"]), ModelLoadError)
        reason = str(header.get("reason"))[:_REASON_LENGTH]
        raise kind("".join(mark if mark.isprintable() or mark == "\n" else "?" for mark in reason))


def _stored_model(header: Mapping[str, Any], answer: BinaryIO) -> StoredModel:
    config, layout, entries = header.get("config"), header.get("layout"), header.get("weights")
    order = header.get("legacy_order")
    if not (isinstance(config, dict) and layout in ("keras3", "legacy")):
        raise _broken(0)
    if not (isinstance(entries, list) and len(entries) <= MAX_HDF5_OBJECTS):
        raise _broken(0)
    weights: dict[str, np.ndarray] = {}
    left = MAX_WEIGHT_BYTES
    for entry in entries:
        name, array = _array(entry, answer, left)
        left -= array.nbytes
        weights[name] = array
    if answer.read(1) or len(weights) != len(entries):
        raise _broken(0)
    return StoredModel(
        config, layout, weights, _order(order, weights), _listed(header.get("listed"))
    )


def _array(entry: Any, answer: BinaryIO, left: int) -> tuple[str, np.ndarray]:
    """Read one array; its description was written by the child and proves nothing."""
    if not (isinstance(entry, list) and len(entry) == 3):
        raise _broken(0)
    name, dtype, shape = entry
    if not (isinstance(name, str) and isinstance(dtype, str) and isinstance(shape, list)):
        raise _broken(0)
    sides = all(type(side) is int and 0 <= side <= left for side in shape)
    if dtype not in _DTYPES or len(shape) > MAX_TENSOR_RANK or not sides:
        raise _broken(0)
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > left:
        raise _broken(0)
    content = answer.read(size)
    if len(content) != size:
        raise _broken(0)
    try:
        array = np.frombuffer(content, dtype).reshape(shape)
    except ValueError as error:  # no numbers along one side, and too many along others
        raise _broken(0) from error
    if not all_finite(array):
        raise _broken(0)
    return name, array


def _order(
    value: Any, weights: Mapping[str, np.ndarray]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    try:
        order = tuple((layer, tuple(names)) for layer, names in value)
    except (TypeError, ValueError) as error:
        raise _broken(0) from error
    if not all(isinstance(text, str) for layer, names in order for text in (layer, *names)):
        raise _broken(0)
    if not all(f"{layer}/{name}" in weights for layer, names in order for name in names):
        raise _broken(0)
    return order


def _listed(value: Any) -> tuple[tuple[str, str], ...]:
    try:
        listed = tuple((path, name) for path, name in value)
    except (TypeError, ValueError) as error:
        raise _broken(0) from error
    if len(listed) > MAX_HDF5_OBJECTS or not all(
        isinstance(t, str) for pair in listed for t in pair
    ):
        raise _broken(0)
    return listed


# Child.


def answer_as_child() -> None:
    """Read the model file on standard input, confined, and answer on standard output."""
    from vizlib.vetting import vet  # before the doors close

    wanted: Any = sys.argv[3]
    layers = give_up_rights()
    header: dict[str, Any] = {"layers": layers}
    weights: dict[str, np.ndarray] = {}
    try:
        stored = read_opened(sys.stdin.buffer, wanted)
        config = {} if wanted == "weights" else vet(stored.config)
        weights = stored.weights
        header |= {"config": config, "layout": stored.layout}
        header |= {"legacy_order": stored.legacy_order, "listed": stored.listed}
    except VizlibError as error:
        header |= {"refused": type(error).__name__, "reason": str(error)}
    _write_answer(header, weights)


def _write_answer(header: dict[str, Any], weights: Mapping[str, np.ndarray]) -> None:
    header["weights"] = [[name, array.dtype.str, array.shape] for name, array in weights.items()]
    text = json.dumps(header).encode()
    out = sys.stdout.buffer
    out.write(_HEADER.pack(_MAGIC, len(text)) + text)
    for array in weights.values():
        if array.size:
            out.write(np.ascontiguousarray(array).data.cast("B"))
    out.flush()
