"""Model files of users, and files of weights alone, to plain data, without trusting the files.

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
from vizlib.budgets import (
    CHILD_MEMORY_BYTES,
    MAX_FILE_BYTES,
    MAX_JSON_BYTES,
    MAX_LAYERS,
    MAX_NAME_LENGTH,
    MIB,
)
from vizlib.errors import ModelLoadError, VizlibError
from vizlib.hdf5_files import Hdf5Contents, inspect_hdf5
from vizlib.strict_json import read_json_object

ModelSource = str | os.PathLike[str] | bytes | BinaryIO
#: What is to be read: a whole model, the weights in any file that has some, an architecture alone.
Wanted = Literal["model", "weights", "architecture"]

ZIP_START, HDF5_START = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_KERAS_STARTS = (ZIP_START, HDF5_START)
_SAVE = 'Save the whole model with model.save("model.keras") and load that.'
_EXPECTED = {
    "model": "a Keras model file (.keras or .h5)",
    "weights": "a file with weights (.weights.h5, .h5 or .keras)",
    "architecture": "an architecture as JSON, as model.to_json() gives it",
}
_REMEDIES = {
    "model": _SAVE,
    "weights": 'Save them with model.save_weights("model.weights.h5") and load that.',
    "architecture": 'Write it with Path("model.json").write_text(model.to_json()).',
}
_WITH_WEIGHTS = (
    'Give it along with the weights: load_convnet("weights.h5", architecture="model.json").'
)
_JSON = "an architecture (JSON) without weights"
_LAYER_ROOTS = ("layers", "_layer_checkpoint_dependencies")
_STATES = ("optimizer", "optimizer_weights", "metrics")  # of training

# What people give instead, known by its first bytes, ...
_OTHER_STARTS = {
    b"PK\x05\x06": "an empty archive",
    b'{"metadata"': "the index of weights that are split into several files",
    b"{": _JSON,
    b'"': "a text inside JSON, as json.dump(model.to_json(), file) leaves",
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
    ".json": _JSON,
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
        The architecture as JSON gave it, or as `vetting` has written it anew. Empty where weights
        alone were wanted.
    layout : {"keras3", "legacy"}
        How the weights are addressed.
    weights : dict of str to numpy.ndarray
        By their path in ``model.weights.h5``, such as ``layers/conv2d/vars/0``; in the legacy
        layout by layer and weight, such as ``conv2d/conv2d/kernel:0``.
    legacy_order : tuple
        Layers and the names of their weights in stored order; empty for ``keras3``.
    listed : tuple
        Path and name ("" if not told) of each layer of a ``keras3`` file, those without weights
        included; only where weights alone were wanted.
    """

    config: dict[str, Any]
    layout: Literal["keras3", "legacy"]
    weights: dict[str, np.ndarray]
    legacy_order: tuple[tuple[str, tuple[str, ...]], ...] = ()
    listed: tuple[tuple[str, str], ...] = ()


def read_model_file(source: ModelSource, wanted: Wanted = "model") -> StoredModel:
    """Read a model file into plain data, in this process.

    Parameters
    ----------
    source : str, path, bytes or binary file
    wanted : {"model", "weights", "architecture"}
        What is read: a whole model, the weights of any file that has some, or JSON.

    Returns
    -------
    StoredModel
        Its ``config`` is not vetted yet.

    Raises
    ------
    ModelLoadError
        Whatever is wrong with the file.
    """
    with opened(source, wanted) as file:
        return read_opened(file, wanted)


def read_opened(file: BinaryIO, wanted: Wanted = "model") -> StoredModel:
    """Read a model file that has been opened; the file is all that is touched."""
    try:
        return _read(file, wanted)
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
def opened(source: ModelSource, wanted: Wanted = "model") -> Iterator[BinaryIO]:
    """Open a model file, or what was uploaded of one, as a nameless file of bounded size.

    Raises
    ------
    ModelLoadError
        If it cannot be read, is too large, or visibly is a file of another kind.
    """
    if isinstance(source, str | os.PathLike):
        with _open_path(Path(source)) as file:
            _check_start(file, Path(source).suffix.lower(), wanted)
            yield file
        return
    with tempfile.TemporaryFile() as file:
        _copy(source, file)
        _check_start(file, "", wanted)
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


def _check_start(file: BinaryIO, suffix: str, wanted: Wanted) -> None:
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
    json_wanted = wanted == "architecture"
    wrong = start.lstrip()[:1] != b"{" if json_wanted else not start.startswith(_KERAS_STARTS)
    if wrong:
        kind = _kind(start, suffix if not json_wanted else "")
        more = f"{_WITH_WEIGHTS} Or: " if kind == _JSON else ""
        raise ModelLoadError(
            f"Expected {_EXPECTED[wanted]}. Received {kind}. {more}{_REMEDIES[wanted]}"
        )


def _kind(start: bytes, suffix: str) -> str:
    if not start:
        return "an empty file"
    if start.startswith(_KERAS_STARTS):
        return "a file with a model or weights"
    if start[4:8] == b"TFL3":
        return "a TensorFlow Lite model"
    if suffix in _OTHER_NAMES:
        return _OTHER_NAMES[suffix]
    text = start.lstrip()
    return next(
        (kind for begin, kind in _OTHER_STARTS.items() if text.startswith(begin)),
        "a file of another kind, or a damaged one",
    )


def _read(file: BinaryIO, wanted: Wanted) -> StoredModel:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if wanted == "architecture":
        content = file.read(MAX_JSON_BYTES + 1)
        return StoredModel(read_json_object(content, "the architecture"), "keras3", {})
    if file.read(len(ZIP_START)) == ZIP_START:
        return _read_archive(file, size, wanted)
    contents = inspect_hdf5(file, size, size)
    return _read_legacy(contents) if wanted == "model" else _read_weights(contents)


def _read_archive(file: BinaryIO, size: int, wanted: Wanted) -> StoredModel:
    members = read_directory(file, size)
    config = {}
    if wanted == "model":
        read_json_object(open_member(file, members[METADATA]).read(), METADATA)
        config = read_json_object(open_member(file, members[CONFIG]).read(), CONFIG)
    weights = members[WEIGHTS]
    with open_member(file, weights) as content:
        if content.read(len(HDF5_START)) != HDF5_START:
            raise ModelLoadError(
                f"Expected {WEIGHTS} to be an HDF5 file. Received something else. {_SAVE}"
            )
        contents = inspect_hdf5(content, weights.size, weights.packed)
        if wanted == "weights":
            return _read_paths(contents)
        paths = [path for path in contents.tensors if not path.startswith("optimizer/")]
        return StoredModel(config, "keras3", dict(contents.read(paths)))


def _read_legacy(contents: Hdf5Contents) -> StoredModel:
    config = contents.attribute("", "model_config")
    if config is None:
        raise _without_model(contents)
    if not isinstance(config, str | bytes):
        raise ModelLoadError(
            f"Expected model_config to be a text. Received {type(config).__name__}. {_SAVE}"
        )
    content = config.encode("utf-8", "surrogateescape") if isinstance(config, str) else config
    architecture = read_json_object(bytes(content), "model_config")
    if "model_weights" not in contents.groups:
        raise ModelLoadError(
            "Expected a file with a whole model. Received an architecture without weights. " + _SAVE
        )
    order = _legacy_order(contents, "model_weights")
    places = _legacy_places(contents, order, "model_weights")
    return StoredModel(architecture, "legacy", _legacy_weights(contents, places), order)


def _without_model(contents: Hdf5Contents) -> ModelLoadError:
    if not (_has_layers(contents) or _has_layer_names(contents)):
        return ModelLoadError(
            f"Expected a file with a whole model. Received an HDF5 file without a model. {_SAVE}"
        )
    return ModelLoadError(
        "Expected a file with a whole model. Received weights only, which do not say how their "
        "layers are connected. Say whose weights they are: load_convnet(path, "
        'architecture="vgg16", classes=2), or architecture="model.json" with what '
        f"model.to_json() gives. Or: {_SAVE}"
    )


def _has_layers(contents: Hdf5Contents) -> bool:
    return any(root in contents.groups for root in _LAYER_ROOTS)


def _has_layer_names(contents: Hdf5Contents) -> bool:
    names = ("layer_names", "layer_names0")
    return any(contents.attribute("", name) is not None for name in names)


def _read_weights(contents: Hdf5Contents) -> StoredModel:
    """Read the weights of a file of either layout, whether it has an architecture or not."""
    if "model_weights" in contents.groups:
        return _read_groups(contents, "model_weights")
    if _has_layer_names(contents):
        return _read_groups(contents, "")
    if _has_layers(contents):
        return _read_paths(contents)
    raise ModelLoadError(
        "Expected the weights of a Sequential or functional model. Received an HDF5 file without "
        f"such, as a model of a class of its own leaves. {_SAVE}"
    )


def _read_groups(contents: Hdf5Contents, root: str) -> StoredModel:
    order = _legacy_order(contents, root)
    places = _legacy_places(contents, order, root)
    _refuse_strays(set(contents.tensors) - set(places.values()))
    return StoredModel({}, "legacy", _legacy_weights(contents, places), order)


def _read_paths(contents: Hdf5Contents) -> StoredModel:
    paths = [path for path in contents.tensors if _root(path) in _LAYER_ROOTS]
    _refuse_strays(set(contents.tensors) - set(paths))
    listed = tuple(
        (path.removesuffix("/vars"), _layer_name(contents, path))
        for path in contents.groups
        if path.endswith("/vars") and _root(path) in _LAYER_ROOTS
    )
    return StoredModel({}, "keras3", dict(contents.read(paths)), listed=listed)


def _refuse_strays(paths: set[str]) -> None:
    left = sorted(path for path in paths if _root(path) not in _STATES)
    if left:
        raise ModelLoadError(
            "Expected the weights of a Sequential or functional model. This file has others, such "
            f"as {left[0][:80]!r}, as a model of a class of its own leaves. {_SAVE}"
        )


def _root(path: str) -> str:
    return path.partition("/")[0]


def _layer_name(contents: Hdf5Contents, group: str) -> str:
    name = contents.attribute(group, "name")
    return name[:MAX_NAME_LENGTH] if isinstance(name, str) else ""


def _legacy_order(contents: Hdf5Contents, root: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    order = []
    for layer in _names(contents, root, "layer_names"):
        group = _joined(root, layer)
        if group not in contents.groups:
            raise _missing(layer)
        order.append((layer, _names(contents, group, "weight_names")))
    return tuple(order)


def _legacy_weights(contents: Hdf5Contents, places: dict[str, str]) -> dict[str, np.ndarray]:
    names = {path: name for name, path in places.items()}
    return {names[path]: array for path, array in contents.read(list(names))}


def _legacy_places(
    contents: Hdf5Contents, order: tuple[tuple[str, tuple[str, ...]], ...], root: str
) -> dict[str, str]:
    """Where each weight is stored, by the name it goes by."""
    places: dict[str, str] = {}
    for layer, names in order:
        for name in names:
            path = _joined(root, layer, name)
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
