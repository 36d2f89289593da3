"""Model files of users to Keras models."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import h5py
import keras

from vizlib.errors import ModelLoadError, UnsafeModelError

ModelSource = str | os.PathLike[str] | bytes | BinaryIO

_SUFFIXES = {b"PK\x03\x04": ".keras", b"\x89HDF": ".h5"}
_ACCEPTED = {".keras": {".keras"}, ".h5": {".h5", ".hdf5"}}
_OTHER_FILES = {
    ".json": "an architecture without weights",
    ".pb": "a TensorFlow SavedModel",
    ".tflite": "a TensorFlow Lite model",
    ".onnx": "an ONNX model",
    ".pt": "a PyTorch model",
    ".pth": "a PyTorch model",
    ".safetensors": "weights without an architecture",
}


def load_model_file(source: ModelSource) -> keras.Model:
    """Load a `.keras` or `.h5` file without running code that it carries.

    Raises
    ------
    UnsafeModelError
        If the file asks for code to be run, as a `Lambda` layer does.
    ModelLoadError
        If it cannot be opened; the message gives the reason.
    """
    with _as_path(source) as path:
        _refuse_weights_only(path)
        try:
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
        # Keras raises whatever the damaged or foreign part of the file leads to.
        except Exception as error:
            raise _explained(error) from error
    if not isinstance(model, keras.Model):
        raise ModelLoadError(f"Expected a Keras model. Received: {type(model).__name__}.")
    return model


@contextlib.contextmanager
def _as_path(source: ModelSource) -> Iterator[str]:
    if isinstance(source, str | os.PathLike):
        with _named_by_content(Path(source)) as path:
            yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        with path.open("wb") as file:
            _copy(source, file)
        with _named_by_content(path) as named:
            yield str(named)


def _copy(source: bytes | BinaryIO, file: BinaryIO) -> None:
    if isinstance(source, bytes | bytearray | memoryview):
        file.write(source)
    elif hasattr(source, "read"):
        _copy_file(source, file)
    else:
        raise ModelLoadError(
            "Expected a path, bytes or a file opened in binary mode. "
            f"Received: {type(source).__name__}."
        )


def _copy_file(source: BinaryIO, file: BinaryIO) -> None:
    try:
        shutil.copyfileobj(source, file)
    # Text, closed files, objects of somebody's own: they raise anything.
    except Exception as error:
        reason = str(error).rstrip(".")
        raise ModelLoadError(
            f"Expected a file opened in binary mode. Reading the one received failed: {reason}."
        ) from error


@contextlib.contextmanager
def _named_by_content(path: Path) -> Iterator[Path]:
    # Keras goes by the name of a file; people rename them.
    suffix = _suffix(path)
    if path.suffix.lower() in _ACCEPTED[suffix] and path.suffix == path.suffix.lower():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / f"model{suffix}"
        shutil.copyfile(path, named)
        yield named


def _suffix(path: Path) -> str:
    if _is_folder(path):
        raise ModelLoadError(
            f"Expected a .keras or .h5 file. Received the folder {path}. A TensorFlow SavedModel "
            'can be converted with the Keras that wrote it: model.save("model.keras").'
        )
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelLoadError(f"Cannot read {path}: {reason}.") from error
    if start not in _SUFFIXES:
        kind = _OTHER_FILES.get(path.suffix.lower(), "a file of another kind, or a damaged one")
        raise ModelLoadError(
            f"Expected a Keras model file (.keras or .h5). Received {kind}. "
            'Save the whole model with model.save("model.keras") and load that.'
        )
    return _SUFFIXES[start]


def _is_folder(path: Path) -> bool:
    with contextlib.suppress(OSError):  # raised for names that are too long
        return path.is_dir()
    return False


def _refuse_weights_only(path: str) -> None:
    has_model = _has_config if _suffix(Path(path)) == ".keras" else _has_model_config
    try:
        whole = has_model(path)
    # Damaged archives raise BadZipFile, OSError, RuntimeError ... depending on the place.
    except Exception:
        whole = False
    if not whole:
        raise ModelLoadError(
            "Expected a file with a whole model. This one is damaged, or holds weights only and "
            'does not say which layers they belong to. Save with model.save("model.keras").'
        )


def _has_config(path: str) -> bool:
    with zipfile.ZipFile(path) as archive:
        return "config.json" in archive.namelist()


def _has_model_config(path: str) -> bool:
    with h5py.File(path, "r") as file:
        return "model_config" in file.attrs


def _explained(error: Exception) -> ModelLoadError:
    text = str(error)
    if "Lambda" in text or "safe_mode" in text or "unsafe" in text.lower():
        return UnsafeModelError(
            "Expected a model made of Keras layers only. This file carries code of its own, such "
            "as a Lambda layer, which is not run. Load it yourself in a script and pass the model: "
            "vizlib.ConvNet(model)."
        )
    reason = " ".join(text.split())[:300] or type(error).__name__
    return ModelLoadError(
        "Expected a model file that this version of Keras can open. It says: "
        f"{reason} If the model has layers of your own, load it in a script and pass it to "
        "vizlib.ConvNet."
    )
