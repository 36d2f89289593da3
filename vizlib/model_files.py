"""Model files of users to plain data, without trusting the files.

Nothing of a file is given to Keras as it is. Three readers of our own take it apart (`archives`,
`strict_json`, `hdf5_files`) in a child process that may do nothing else (`confinement`); what comes
back is a configuration that `vetting` has written anew, and arrays. `rebuild` makes the network of
these. Importing this module loads neither TensorFlow nor Keras, so that the child starts quickly.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from vizlib.archives import CONFIG, METADATA, WEIGHTS, open_member, read_directory
from vizlib.budgets import CHILD_MEMORY_BYTES, MAX_FILE_BYTES, MAX_LAYERS, MIB
from vizlib.errors import ModelLoadError, VizlibError
from vizlib.hdf5_files import Hdf5Contents, inspect_hdf5
from vizlib.strict_json import read_json_object

ModelSource = str | os.PathLike[str] | bytes | BinaryIO

ZIP_START, HDF5_START = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_SAVE = 'Save the whole model with model.save("model.keras") and load that.'

# What people give instead, known by its first bytes, ...
_OTHER_STARTS = {
    b"PK\x05\x06": "an empty archive",
    b"{": "an architecture (JSON) without weights",
    b"\x1f\x8b": "a packed archive (gzip): unpack it first",
    b"\x80": "a Python pickle, which is never opened",
    b"\x93NUMPY": "a NumPy array",
    b"<": "a web page, as a failed download leaves",
    b"version https://git-lfs": "a pointer to a file in Git LFS: run 'git lfs pull' first",
    b"GGUF": "a language model",
    b"\xff\xd8\xff": "a photo",
    b"\x89PNG": "a photo",
}
# ... or by its name.
_OTHER_NAMES = {
    ".json": "an architecture (JSON) without weights",
    ".pb": "a TensorFlow SavedModel",
    ".tflite": "a TensorFlow Lite model",
    ".onnx": "an ONNX model",
    ".pt": "a PyTorch model",
    ".pth": "a PyTorch model",
    ".safetensors": "weights without an architecture",
}


@dataclass(frozen=True)
class StoredModel:
    """What a model file holds: plain data, nothing of Keras.

    Attributes
    ----------
    config : dict
        The architecture as JSON gave it, or as `vetting` has written it anew.
    layout : {"keras3", "legacy"}
        How the weights are addressed.
    weights : dict of str to numpy.ndarray
        By their path in ``model.weights.h5``, such as ``layers/conv2d/vars/0``; in the legacy
        layout by layer and weight, such as ``conv2d/conv2d/kernel:0``.
    legacy_order : tuple
        Layers and the names of their weights in stored order; empty for ``keras3``.
    """

    config: dict[str, Any]
    layout: Literal["keras3", "legacy"]
    weights: dict[str, np.ndarray]
    legacy_order: tuple[tuple[str, tuple[str, ...]], ...] = ()


def read_model_file(source: ModelSource) -> StoredModel:
    """Read a model file into plain data, in this process.

    Parameters
    ----------
    source : str, path, bytes or binary file

    Returns
    -------
    StoredModel
        Its ``config`` is not vetted yet.

    Raises
    ------
    ModelLoadError
        Whatever is wrong with the file.
    """
    with opened(source) as file:
        return read_opened(file)


def read_opened(file: BinaryIO) -> StoredModel:
    """Read a model file that has been opened; the file is all that is touched."""
    try:
        return _read(file)
    except VizlibError:
        raise
    except MemoryError as error:
        raise ModelLoadError(
            f"Expected a model that is read within {CHILD_MEMORY_BYTES // MIB} MiB of memory. "
            "This one needs more. Use a smaller network."
        ) from error
    # libhdf5 and NumPy raise anything, depending on where a file is damaged.
    except Exception as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise ModelLoadError(
            f"Expected a whole model file. This one is damaged ({reason}). "
            "Download or copy it again."
        ) from error


@contextlib.contextmanager
def opened(source: ModelSource) -> Iterator[BinaryIO]:
    """Open a model file, or what was uploaded of one, as a nameless file of bounded size.

    Raises
    ------
    ModelLoadError
        If it cannot be read, is too large, or visibly is a file of another kind.
    """
    if isinstance(source, str | os.PathLike):
        with _open_path(Path(source)) as file:
            _check_start(file, Path(source).suffix.lower())
            yield file
        return
    with tempfile.TemporaryFile() as file:
        _copy(source, file)
        _check_start(file, "")
        yield file


def _open_path(path: Path) -> BinaryIO:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise _folder(path)
        if not stat.S_ISREG(mode):
            raise ModelLoadError(f"Expected a file. Received {path}, which is a device or pipe.")
        return path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelLoadError(f"Cannot read {path}: {reason}.") from error


def _folder(path: Path) -> ModelLoadError:
    kind = "a TensorFlow SavedModel" if (path / "saved_model.pb").exists() else "a folder"
    return ModelLoadError(
        f"Expected a .keras or .h5 file. Received {kind}: {path}. A SavedModel can be converted "
        'with the Keras that wrote it: keras.models.load_model(folder).save("model.keras").'
    )


def _copy(source: bytes | BinaryIO, file: BinaryIO) -> None:
    if isinstance(source, bytes | bytearray | memoryview):
        file.write(memoryview(source)[: MAX_FILE_BYTES + 1])
    elif hasattr(source, "read"):
        _copy_file(source, file)
    else:
        raise ModelLoadError(
            "Expected a path, bytes or a file opened in binary mode. "
            f"Received: {type(source).__name__}."
        )


def _copy_file(source: BinaryIO, file: BinaryIO) -> None:
    try:
        while file.tell() <= MAX_FILE_BYTES and (block := source.read(MIB)):
            file.write(block)
    # Text, closed files, objects of somebody's own: they raise anything.
    except Exception as error:
        reason = str(error).rstrip(".")
        raise ModelLoadError(
            f"Expected a file opened in binary mode. Reading the one received failed: {reason}."
        ) from error


def _check_start(file: BinaryIO, suffix: str) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size > MAX_FILE_BYTES:
        raise ModelLoadError(
            f"Expected a model file of at most {MAX_FILE_BYTES // MIB} MiB. Received "
            f"{'more' if size == MAX_FILE_BYTES + 1 else f'{size / MIB:,.0f} MiB'}. "
            "Save the model without its optimizer: model.save(path, include_optimizer=False)."
        )
    start = file.read(32)
    file.seek(0)
    if not start.startswith((ZIP_START, HDF5_START)):
        raise ModelLoadError(
            f"Expected a Keras model file (.keras or .h5). Received {_kind(start, suffix)}. {_SAVE}"
        )


def _kind(start: bytes, suffix: str) -> str:
    if not start:
        return "an empty file"
    if start[4:8] == b"TFL3":
        return "a TensorFlow Lite model"
    if suffix in _OTHER_NAMES:
        return _OTHER_NAMES[suffix]
    text = start.lstrip()
    return next(
        (kind for begin, kind in _OTHER_STARTS.items() if text.startswith(begin)),
        "a file of another kind, or a damaged one",
    )


def _read(file: BinaryIO) -> StoredModel:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    archive = file.read(len(ZIP_START)) == ZIP_START
    return _read_archive(file, size) if archive else _read_legacy(file, size)


def _read_archive(file: BinaryIO, size: int) -> StoredModel:
    members = read_directory(file, size)
    read_json_object(open_member(file, members[METADATA]).read(), METADATA)
    config = read_json_object(open_member(file, members[CONFIG]).read(), CONFIG)
    weights = members[WEIGHTS]
    with open_member(file, weights) as content:
        if content.read(len(HDF5_START)) != HDF5_START:
            raise ModelLoadError(
                f"Expected {WEIGHTS} to be an HDF5 file. Received something else. {_SAVE}"
            )
        contents = inspect_hdf5(content, weights.size, weights.packed)
        paths = [path for path in contents.tensors if not path.startswith("optimizer/")]
        return StoredModel(config, "keras3", dict(contents.read(paths)))


def _read_legacy(file: BinaryIO, size: int) -> StoredModel:
    contents = inspect_hdf5(file, size, size)
    config = contents.attribute("", "model_config")
    if config is None:
        raise _without_model(contents)
    if not isinstance(config, str | bytes):
        raise ModelLoadError(
            f"Expected model_config to be a text. Received {type(config).__name__}. {_SAVE}"
        )
    content = config.encode("utf-8", "surrogateescape") if isinstance(config, str) else config
    architecture = read_json_object(bytes(content), "model_config")
    order = _legacy_order(contents)
    places = _legacy_places(contents, order)
    names = {path: name for name, path in places.items()}
    weights = {names[path]: array for path, array in contents.read(list(names))}
    return StoredModel(architecture, "legacy", weights, order)


def _without_model(contents: Hdf5Contents) -> ModelLoadError:
    groups = contents.groups
    layers = {"layers", "_layer_checkpoint_dependencies"} & set(groups)
    weights = bool(layers) or contents.attribute("", "layer_names") is not None
    what = (
        "weights only, which do not say how their layers are connected"
        if weights
        else "an HDF5 file without a model"
    )
    return ModelLoadError(f"Expected a file with a whole model. Received {what}. {_SAVE}")


def _legacy_order(contents: Hdf5Contents) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if "model_weights" not in contents.groups:
        raise ModelLoadError(
            "Expected a file with a whole model. Received an architecture without weights. " + _SAVE
        )
    order = []
    for layer in _names(contents, "model_weights", "layer_names"):
        group = _joined("model_weights", layer)
        if group not in contents.groups:
            raise _missing(layer)
        order.append((layer, _names(contents, group, "weight_names")))
    return tuple(order)


def _legacy_places(
    contents: Hdf5Contents, order: tuple[tuple[str, tuple[str, ...]], ...]
) -> dict[str, str]:
    """Where each weight is stored, by the name it goes by."""
    places: dict[str, str] = {}
    for layer, names in order:
        for name in names:
            path = _joined("model_weights", layer, name)
            if path not in contents.tensors:
                raise _missing(f"{layer}/{name}")
            places[f"{layer}/{name}"] = path
    if len(set(places.values())) != sum(len(names) for _, names in order):
        raise ModelLoadError(
            "Expected every weight of a layer under a name of its own. Received the same weight "
            f"twice. {_SAVE}"
        )
    return places


def _names(contents: Hdf5Contents, group: str, attribute: str) -> tuple[str, ...]:
    """Read a list of names; long ones are stored in numbered pieces."""
    whole = contents.attribute(group, attribute)
    pieces = [] if whole is None else [whole]
    while whole is None and len(pieces) < MAX_LAYERS:
        piece = contents.attribute(group, f"{attribute}{len(pieces)}")
        if piece is None:
            break
        pieces.append(piece)
    names = [name for piece in pieces for name in np.atleast_1d(piece).tolist()]
    if not pieces:
        raise _missing(attribute)
    return tuple(name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in names)


def _joined(*parts: str) -> str:
    return "/".join(part for part in "/".join(parts).split("/") if part and part != ".")


def _missing(name: str) -> ModelLoadError:
    return ModelLoadError(
        f"Expected a whole model file. In this one {name[:80]!r} is missing. "
        "Download or copy it again."
    )
