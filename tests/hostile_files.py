"""Files that a stranger could send, one maker for each way of attacking; all payloads are harmless.

`FILES` lists them by name, each with a maker and with words of the sentence that refuses it. Every
file is made in the folder it is given, is small, and needs neither Keras nor TensorFlow.
"""

from __future__ import annotations

import base64
import io
import json
import marshal
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

MIB = 1024 * 1024
MARKER = "marker"  # what a payload would make in its folder, if it were run

Members = list[tuple[str, bytes]]
Change = Callable[[h5py.File], None]


@dataclass(frozen=True)
class HostileFile:
    """How to make a file, and what the sentence that refuses it says."""

    make: Callable[[Path], bytes]
    reason: str
    suffix: str = ".keras"


FILES: dict[str, HostileFile] = {}


def write(name: str, folder: Path) -> Path:
    path = folder / f"{name}{FILES[name].suffix}"
    path.write_bytes(FILES[name].make(folder))
    return path


# An honest network of three layers, to attack.


def layer(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": class_name,
        "config": {"name": name, "trainable": True, "dtype": "float32", **config},
        "registered_name": None,
    }


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "net", "trainable": True, "dtype": "float32", "layers": list(layers)},
        "registered_name": None,
    }


def network(*more: dict[str, Any], **conv: Any) -> dict[str, Any]:
    settings = {
        "filters": 4,
        "kernel_size": [3, 3],
        "strides": [1, 1],
        "padding": "same",
        "data_format": "channels_last",
        "dilation_rate": [1, 1],
        "groups": 1,
        "activation": "relu",
        "use_bias": True,
    } | conv
    entrance = layer("InputLayer", "entrance", batch_shape=[None, 16, 16, 3])
    del entrance["config"]["trainable"]
    pool = layer("GlobalAveragePooling2D", "pool", data_format="channels_last", keepdims=False)
    head = layer("Dense", "head", units=2, activation="softmax", use_bias=True)
    return sequential(entrance, layer("Conv2D", "conv", **settings), *more, pool, head)


WEIGHTS = {
    "layers/conv2d/vars/0": (3, 3, 3, 4),
    "layers/conv2d/vars/1": (4,),
    "layers/dense/vars/0": (4, 2),
    "layers/dense/vars/1": (2,),
}
LEGACY_NAMES = {"conv": ("conv/kernel:0", "conv/bias:0"), "head": ("head/kernel:0", "head/bias:0")}


def numbers(shape: tuple[int, ...]) -> np.ndarray:
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def hdf5(fill: Change, **options: Any) -> bytes:
    memory = io.BytesIO()
    with h5py.File(memory, "w", **options) as file:
        fill(file)
    return memory.getvalue()


def put_weights(file: h5py.File) -> None:
    for path, shape in WEIGHTS.items():
        file[path] = numbers(shape)


def put_legacy(file: h5py.File, config: dict[str, Any] | None = None) -> None:
    file.attrs["model_config"] = json.dumps(network() if config is None else config).encode()
    file.attrs["keras_version"] = b"3.15.1"
    group = file.create_group("model_weights")
    group.attrs["layer_names"] = [name.encode() for name in LEGACY_NAMES]
    shapes = iter(WEIGHTS.values())
    for name, weights in LEGACY_NAMES.items():
        inner = group.create_group(name)
        inner.attrs["weight_names"] = [weight.encode() for weight in weights]
        for weight in weights:
            inner[weight] = numbers(next(shapes))


def members(config: dict[str, Any] | bytes | None = None, weights: bytes | None = None) -> Members:
    text = (
        config
        if isinstance(config, bytes)
        else json.dumps(network() if config is None else config).encode()
    )
    version = json.dumps({"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"})
    return [
        ("metadata.json", version.encode()),
        ("config.json", text),
        ("model.weights.h5", hdf5(put_weights) if weights is None else weights),
    ]


def archive(content: Members, method: int = zipfile.ZIP_STORED) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", method) as target:
        for name, data in content:
            target.writestr(zipfile.ZipInfo(name), data, method)
    return memory.getvalue()


def honest_keras() -> bytes:
    return archive(members())


def honest_h5() -> bytes:
    return hdf5(put_legacy)


# Registering. Each decorator takes the words of the refusal.


def _file(name: str, reason: str, suffix: str = ".keras") -> Callable:
    def register(make: Callable[[Path], bytes]) -> Callable[[Path], bytes]:
        FILES[name] = HostileFile(make, reason, suffix)
        return make

    return register


def _bytes(name: str, reason: str, content: Callable[[], bytes], suffix: str = ".keras") -> None:
    FILES[name] = HostileFile(lambda _folder: content(), reason, suffix)


# Archives.


def _with_member(name: str, content: bytes = b"harmless") -> bytes:
    return archive([*members(), (name, content)])


for _name, _path in {
    "traversal": "../../evil.txt",
    "traversal-backslash": "..\\..\\evil.txt",
    "absolute": "/tmp/evil.txt",
    "drive": "C:/evil.txt",
    "traversal-in-assets": "assets/../../evil.txt",
}.items():
    _bytes(f"zip-{_name}", "reaches out of the archive", lambda p=_path: _with_member(p))


@_file("zip-symlink", "symbolic link")
def _symlink(_folder: Path) -> bytes:
    memory = io.BytesIO(archive(members()))
    with zipfile.ZipFile(memory, "a") as target:
        info = zipfile.ZipInfo("assets")
        info.external_attr = 0o120777 << 16
        target.writestr(info, "/etc")
    return memory.getvalue()


@_file("zip-duplicate-config", "twice")
def _duplicate(_folder: Path) -> bytes:
    other = archive([*members()[:2], ("config.jsoX", b"{}"), members()[2]])
    return other.replace(b"config.jsoX", b"config.json")


def _directory_of(content: bytes) -> int:
    return struct.unpack("<L", content[-6:-2])[0]


def _patched(offset: int, value: bytes, *, directory: bool = True) -> bytes:
    """Change the entry of config.json, the second of the directory, or its local header."""
    content = bytearray(honest_keras())
    at = _directory_of(content) if directory else 0
    at = content.index(b"config.json", at) - (46 if directory else 30)
    content[at + offset : at + offset + len(value)] = value
    return bytes(content)


_bytes("zip-encrypted", "encrypted", lambda: _patched(8, b"\x01"))
_bytes("zip-local-name-differs", "another name", lambda: _patched(30, b"g", directory=False))
_bytes("zip-local-method-differs", "another name", lambda: _patched(8, b"\x08", directory=False))
_bytes("zip-odd-method", "compressed in a way", lambda: _patched(10, b"\x63"))
_bytes("zip-wrong-checksum", "checksum", lambda: _patched(16, b"\x00\x01\x02\x03"))
_bytes("zip-overlap", "another name", lambda: _patched(42, b"\0\0\0\0"))
_bytes("zip-far-member", "lies outside", lambda: _patched(42, b"\xff\xff\xff\x7f"))
_bytes(
    "zip-size-lies", "in a way that Keras does not use", lambda: _patched(24, b"\xff\xff\xff\x7f")
)
_bytes("zip-prefix", "another kind", lambda: b"MZ harmless" + honest_keras())
_bytes("zip-prefix-zip", "in front of it", lambda: archive([("a", b"b")]) + honest_keras())
_bytes("zip-trailing", "behind its end", lambda: honest_keras() + b"harmless")
_bytes("zip-truncated", "cut off", lambda: honest_keras()[:-100])
_bytes("zip-start-only", "cut off", lambda: honest_keras()[:40])
_bytes("zip-bzip2", "compressed in a way", lambda: archive(members(), zipfile.ZIP_BZIP2))
_bytes("zip-lzma", "compressed in a way", lambda: archive(members(), zipfile.ZIP_LZMA))
_bytes("zip-empty", "empty archive", lambda: archive([]))
_bytes("zip-without-weights", "without model.weights.h5", lambda: archive(members()[:2]))
_bytes("zip-without-metadata", "without metadata.json", lambda: archive(members()[1:]))
_bytes("zip-assets", "such as vocabularies", lambda: _with_member("assets/layers/text/words.txt"))
_bytes("zip-code", "such as vocabularies", lambda: _with_member("payload.py"))


@_file("zip-comment", "between its parts")
def _comment(_folder: Path) -> bytes:
    memory = io.BytesIO(honest_keras())
    with zipfile.ZipFile(memory, "a") as target:
        target.comment = honest_keras()[-22:]
    return memory.getvalue()


@_file("zip-gap", "gap")
def _gap(_folder: Path) -> bytes:
    content = honest_keras()
    at = _directory_of(content)
    end = content[at:-22] + content[-22:-6] + struct.pack("<L", at + 100) + content[-2:]
    return content[:at] + b"x" * 100 + end


@_file("zip-zip64-locator", "in front of it, or between")
def _locator(_folder: Path) -> bytes:
    content = honest_keras()
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    return content[:-22] + locator + content[-22:]


@_file("zip-many-members", "at most 64 members")
def _many_members(_folder: Path) -> bytes:
    return archive([*members(), *((f"assets/{place}", b"") for place in range(3000))])


@_file("zip-config-bomb", "config.json to be at most 16 MiB")
def _config_bomb(_folder: Path) -> bytes:
    text = b" " * (64 * MIB) + json.dumps(network()).encode()
    return archive(members(text), zipfile.ZIP_DEFLATED)


@_file("zip-config-ratio", "20 times its stored size")
def _config_ratio(_folder: Path) -> bytes:
    text = b" " * (15 * MIB) + json.dumps(network()).encode()
    return archive(members(text), zipfile.ZIP_DEFLATED)


@_file("zip-weights-bomb", "20 times its stored size")
def _weights_bomb(_folder: Path) -> bytes:
    return archive(members(weights=bytes(300 * MIB)), zipfile.ZIP_DEFLATED)


@_file("zip-bomb-that-lies", "does not unpack to")
def _lying_bomb(_folder: Path) -> bytes:
    """256 MiB that say they are 1000 bytes."""
    content = bytearray(archive(members(b" " * (256 * MIB)), zipfile.ZIP_DEFLATED))
    at = content.index(b"config.json", _directory_of(content)) - 46
    content[at + 24 : at + 28] = struct.pack("<L", 1000)
    return bytes(content)


@_file("zip-asset-bombs", "such as vocabularies")
def _asset_bombs(_folder: Path) -> bytes:
    extra = [(f"assets/{place}", bytes(8 * MIB)) for place in range(8)]
    return archive([*members(), *extra], zipfile.ZIP_DEFLATED)


# Files of other kinds.


def _npz(**arrays: np.ndarray) -> bytes:
    memory = io.BytesIO()
    np.savez(memory, **arrays)
    return memory.getvalue()


def _tar() -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as target:
        target.addfile(tarfile.TarInfo("saved_model.pb"))
    return memory.getvalue()


class _Marker:
    """Writes the marker when unpickled."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / MARKER

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


@_file("kind-pickle", "pickle", ".h5")
def _pickle(folder: Path) -> bytes:
    return pickle.dumps(_Marker(folder))


@_file("kind-pickle-weights", "NumPy archive")
def _pickle_weights(folder: Path) -> bytes:
    memory = io.BytesIO()
    np.savez(memory, weights=np.array([_Marker(folder)], dtype=object))
    return archive([*members()[:2], ("model.weights.npz", memory.getvalue())])


_bytes("kind-npz", "NumPy archive", lambda: _npz(a=np.zeros(3)))
_bytes("kind-npy", "NumPy array", lambda: b"\x93NUMPY\x01\x00")
_bytes(
    "kind-saved-model", "SavedModel", lambda: archive([("m/saved_model.pb", b"\x08\x01")]), ".zip"
)
_bytes("kind-pytorch", "PyTorch", lambda: archive([("archive/data.pkl", b"\x80\x02}.")]), ".pt")
_bytes("kind-packed-keras", "inside", lambda: archive([("my/model.keras", honest_keras())]), ".zip")
_bytes("kind-tar", "gzip", _tar, ".tar.gz")
_bytes("kind-json", "without weights", lambda: json.dumps(network()).encode(), ".json")
_bytes("kind-json-as-h5", "without weights", lambda: json.dumps(network()).encode(), ".h5")
_bytes("kind-tflite", "Lite", lambda: b"\x1c\0\0\0TFL3" + bytes(100), ".tflite")
_bytes("kind-onnx", "ONNX", lambda: b"\x08\x07\x12\x07pytorch", ".onnx")
_bytes("kind-protobuf", "SavedModel", lambda: b"\x08\x01\x12", ".pb")
_bytes("kind-page", "web page", lambda: b"<!DOCTYPE html><script>alert(1)</script>")
_bytes("kind-lfs", "Git LFS", lambda: b"version https://git-lfs.github.com/spec/v1\n")
_bytes("kind-photo", "photo", lambda: b"\xff\xd8\xff\xe0" + bytes(100))
_bytes("kind-empty", "empty file", lambda: b"")
_bytes("kind-zeros", "another kind", lambda: bytes(10_000))
_bytes("kind-random", "another kind", lambda: np.random.default_rng(1).bytes(10_000))
_bytes("kind-text", "another kind", lambda: b"print('hello')")


# JSON.


def _config(text: bytes) -> Callable[[], bytes]:
    return lambda: archive(members(text))


def _json_with(entry: str) -> Callable[[], bytes]:
    return _config((json.dumps(network())[:-1] + f', "more": {entry}' + "}").encode())


_bytes("json-nan", "not a number", _json_with("NaN"))
_bytes("json-infinity", "not a number", _json_with("-Infinity"))
_bytes("json-huge-float", "too large", _json_with("1e999"))
_bytes("json-huge-integer", "digits", _json_with("9" * 10_000))
_bytes("json-duplicate-key", "comes twice", _json_with('{"a": 1, "a": 2}'))
_bytes("json-deep", "60 levels", _json_with("[" * 100 + "]" * 100))
_bytes("json-very-deep", "60 levels", _json_with("[" * 1_000_000 + "]" * 1_000_000))
_bytes("json-many-parts", "2,000,000", _json_with("[" + "{}," * 2_000_000 + "{}]"))
_bytes("json-many-quotes", "strict JSON", _config(b'{"a": "' + b'\\"' * 4_000_000))
_bytes("json-surrogate", "strict JSON", _json_with('"\\ud800"'))
_bytes("json-utf16", "strict JSON", _config(json.dumps(network()).encode("utf-16")))
_bytes("json-latin1", "strict JSON", _config('{"class_name": "é"}'.encode("latin-1")))
_bytes("json-truncated", "strict JSON", _config(json.dumps(network()).encode()[:-40]))
_bytes("json-list", "Received a list", _config(b"[]"))
_bytes("json-text", "Received a str", _config(b'"model"'))
_bytes("json-empty", "strict JSON", _config(b""))
_bytes("json-binary", "strict JSON", _config(bytes(range(256))))


# HDF5: each change is tried in the weights of a .keras file and in an .h5 file.


def _hdf5(name: str, reason: str, change: Change, **options: Any) -> None:
    def in_archive() -> bytes:
        return archive(members(weights=hdf5(lambda f: (put_weights(f), change(f)), **options)))

    def legacy() -> bytes:
        return hdf5(lambda f: (put_legacy(f), change(f)), **options)

    _bytes(f"hdf5-{name}", reason, in_archive)
    _bytes(f"hdf5-{name}-legacy", reason, legacy, ".h5")


def _set(path: str, value: Any) -> Change:
    return lambda file: file.__setitem__(path, value)


def _dataset(**options: Any) -> Change:
    return lambda file: file.create_dataset("layers/more/vars/0", **options)


def _attribute(value: Any) -> Change:
    return lambda file: file.attrs.__setitem__("more", value)


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
    file.create_virtual_dataset("more", layout)


def _unlimited_virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4", maxshape=(None,))
    source = h5py.VirtualSource("/etc/hostname", "x", (4,), maxshape=(None,))
    layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
    file.create_virtual_dataset("more", layout)


def _alias(file: h5py.File) -> None:
    first = next(path for path in _tensor_paths(file))
    file["more"] = file[first]


def _cycle(file: h5py.File) -> None:
    file.create_group("more")["again"] = file["/"]


def _tensor_paths(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visititems(lambda p, item: found.append(p) if isinstance(item, h5py.Dataset) else None)
    return found


def _gzip_bomb(file: h5py.File) -> None:
    """512 MiB of zeros, packed once and stored 128 times."""
    side = MIB  # numbers in a chunk, 4 MiB
    bomb = file.create_dataset("more", (128 * side,), "f4", chunks=(side,), compression="gzip")
    packed = zlib.compress(bytes(4 * side), 9)
    for place in range(128):
        bomb.id.write_direct_chunk((place * side,), packed)


def _forty(file: h5py.File) -> None:
    for place in range(40):
        file.create_dataset(f"more/{place}", (256 * MIB,), "f4")


def _many_small(file: h5py.File) -> None:
    """Each below the floor, together 8 GiB."""
    for place in range(2000):
        file.create_dataset(f"more/{place}", (MIB,), "f4")


def _deep(file: h5py.File) -> None:
    file.create_group("/".join(["a"] * 60))


def _many_groups(file: h5py.File) -> None:
    for place in range(20_001):
        file.create_group(f"more/{place}")


def _unknown_filter(file: h5py.File) -> None:
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((4,))
    made.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple((4,))
    h5py.h5d.create(file.id, b"more", h5py.h5t.IEEE_F32LE, space, made)


def _shared_storage(file: h5py.File) -> None:
    """A type stored by name, which is neither group nor tensor."""
    file["more"] = np.dtype("f4")


def _named_text(file: h5py.File) -> None:
    file.attrs.create("more", ["x"] * 10, dtype=h5py.string_dtype())


def _many_attributes(file: h5py.File) -> None:
    group = file.create_group("more", track_order=True)
    for place in range(1000):
        inner = group.create_group(str(place))
        for index in range(51):
            h5py.h5a.create(
                inner.id,
                str(index).encode(),
                h5py.h5t.STD_I8LE,
                h5py.h5s.create(h5py.h5s.SCALAR),
            )


_SPARSE = {"shape": (975 * MIB,), "dtype": "f4"}
_hdf5("soft-link", "link", _set("more", h5py.SoftLink("/layers")))
_hdf5("dangling-link", "link", _set("more", h5py.SoftLink("/nowhere")))
_hdf5("external-link", "link", _set("more", h5py.ExternalLink("/etc/passwd", "/")))
_hdf5(
    "external-link-relative", "link", _set("layers2/x/y", h5py.ExternalLink("../secret.h5", "/x"))
)
_hdf5(
    "external-storage",
    "external storage",
    _dataset(shape=(16,), dtype="u1", external=[("/etc/hostname", 0, 16)]),
)
_hdf5("virtual", "virtual storage", _virtual)
_hdf5("virtual-unlimited", "virtual storage", _unlimited_virtual)
_hdf5("alias", "another name", _alias)
_hdf5("cycle", "another name", _cycle)
_hdf5("user-block", "another kind|Received something else", lambda file: None, userblock_size=512)
_hdf5("sparse-bomb", "20 times", _dataset(**_SPARSE))
_hdf5("fill-bomb", "20 times", _dataset(**_SPARSE, fillvalue=1.5))
_hdf5("chunk-bomb", "20 times", _dataset(**_SPARSE, chunks=(975 * MIB,)))
_hdf5("gzip-bomb", "20 times", _gzip_bomb)
_hdf5("forty-bombs", "20 times", _forty)
_hdf5("complex", "usual type", _set("more", np.zeros(3, "c8")))
_hdf5("compound", "usual type", _set("more", np.zeros(3, [("a", "f4"), ("b", "i4")])))
_hdf5("enumeration", "usual type", _set("more", np.zeros(3, bool)))
_hdf5("opaque", "usual type", _set("more", np.zeros(3, "V8")))
_hdf5("texts", "usual type", _set("more", ["a", "b"]))
_hdf5("fixed-texts", "usual type", _set("more", np.array([b"a", b"b"])))
_hdf5("sequences", "usual type", _dataset(shape=(3,), dtype=h5py.vlen_dtype(np.dtype("f4"))))
_hdf5("references", "usual type", _dataset(shape=(3,), dtype=h5py.ref_dtype))
_hdf5("region-references", "usual type", _dataset(shape=(3,), dtype=h5py.regionref_dtype))
_hdf5("arrays", "usual type", _dataset(shape=(3,), dtype=np.dtype("(3,)f4")))
_hdf5("long-double", "usual type", _set("more", np.zeros(3, np.longdouble)))
_hdf5("stored-type", "stored type", _shared_storage)
_hdf5("nothing", "no numbers", _set("more", h5py.Empty("f4")))
_hdf5("lzf", "than gzip", _dataset(shape=(10,), dtype="f4", compression="lzf"))
_hdf5("scale-offset", "than gzip", _dataset(shape=(10,), dtype="i4", scaleoffset=4))
_hdf5("plug-in-filter", "than gzip", _unknown_filter)
_hdf5("rank", "axes of one tensor", _dataset(shape=(1,) * 9, dtype="f4"))
_hdf5("deep", "levels of groups", _deep)
_hdf5("long-name", "characters of one name", lambda file: file.create_group("n" * 2000))
_hdf5("attribute-reference", "neither text nor", lambda f: f.attrs.__setitem__("more", f.ref))
_hdf5("attribute-compound", "neither text nor", _attribute(np.zeros(2, [("a", "f4")])))
_bytes(
    "hdf5-many-groups",
    "20,000 groups and tensors",
    lambda: archive(members(weights=hdf5(lambda f: (put_weights(f), _many_groups(f))))),
)
_bytes(
    "hdf5-many-attributes",
    "50,000 attributes",
    lambda: archive(members(weights=hdf5(lambda f: (put_weights(f), _many_attributes(f))))),
)
_bytes(
    "hdf5-many-small-bombs",
    "weights of at most 640 MiB",
    lambda: archive(members(weights=hdf5(lambda f: (put_weights(f), _many_small(f))))),
)
_bytes("hdf5-not-hdf5", "to be an HDF5 file", lambda: archive(members(weights=b"harmless")))
_bytes("hdf5-empty", "to be an HDF5 file", lambda: archive(members(weights=b"")))
_bytes("hdf5-cut", "damaged", lambda: archive(members(weights=hdf5(put_weights)[:2000])))
_bytes("hdf5-cut-legacy", "damaged", lambda: honest_h5()[:2000], ".h5")


def _first(value: float) -> Change:
    def change(file: h5py.File) -> None:
        file[_tensor_paths(file)[0]][0] = value

    return change


for _name, _value in {"nan": np.nan, "infinity": np.inf, "minus-infinity": -np.inf}.items():
    _hdf5(f"{_name}-weights", "NaN or infinity", _first(_value))


# The legacy layout.


def _legacy(name: str, reason: str, change: Change) -> None:
    _bytes(f"legacy-{name}", reason, lambda: hdf5(lambda f: (put_legacy(f), change(f))), ".h5")


def _group_attribute(name: str, value: Any, group: str = "model_weights") -> Change:
    return lambda file: file[group].attrs.__setitem__(name, value)


def _text_bomb(file: h5py.File) -> None:
    """One long text, listed very often."""
    group = file["model_weights"]
    del group.attrs["layer_names"]
    group.attrs.create("layer_names", ["x" * 60_000] * 4000, dtype=h5py.string_dtype())


def _delete(path: str) -> Change:
    return lambda file: file.__delitem__(path)


_legacy(
    "weights-only",
    "weights only",
    lambda f: (f.attrs.__delitem__("model_config"), f.attrs.__setitem__("layer_names", [b"conv"])),
)
_legacy("no-model", "without a model", lambda f: f.attrs.__delitem__("model_config"))
_legacy("no-weights", "without weights", _delete("model_weights"))
_legacy("layer-missing", "missing", _delete("model_weights/conv"))
_legacy("weight-missing", "missing", _delete("model_weights/conv/conv/bias:0"))
_legacy("layer-twice", "twice", _group_attribute("layer_names", [b"conv"] * 1000))
_legacy(
    "weight-twice",
    "twice",
    _group_attribute("weight_names", [b"k"] * 0 + [b"conv/bias:0"] * 9, "model_weights/conv"),
)
_legacy(
    "same-place",
    "twice",
    lambda f: (
        f["model_weights"].attrs.__setitem__("layer_names", [b"conv", b"conv/conv"]),
        f["model_weights/conv/conv"].attrs.__setitem__("weight_names", [b"bias:0"]),
    ),
)
_legacy("upwards", "missing", _group_attribute("layer_names", [b"../model_weights/conv"]))
_legacy(
    "config-number", "model_config to be a text", lambda f: f.attrs.__setitem__("model_config", 3)
)
_legacy("config-list", "Received a list", lambda f: f.attrs.__setitem__("model_config", b"[]"))
_legacy("config-not-json", "strict JSON", lambda f: f.attrs.__setitem__("model_config", b"{"))
_legacy("config-nan", "not a number", lambda f: f.attrs.__setitem__("model_config", b'{"a": NaN}'))
_legacy("text-bomb", "larger, or can be", _text_bomb)


# Configurations that run code, read files or take memory.


def _code(folder: Path) -> str:
    code = compile(f"open({str(folder / MARKER)!r}, 'w')", "payload", "eval")
    return base64.b64encode(marshal.dumps(code)).decode()


def _function(api: str) -> dict[str, Any]:
    module, name = api.rsplit(".", 1)
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": name,
    }


def _lambda(**config: Any) -> dict[str, Any]:
    return network(layer("Lambda", "payload", **config))


def _lambda_code(folder: Path) -> dict[str, Any]:
    return {
        "class_name": "__lambda__",
        "config": {
            "code": _code(folder),
            "defaults": None,
            "closure": None,
        },
    }


def _of(class_name: str, module: str, /, **config: Any) -> dict[str, Any]:
    return network(layer(class_name, "payload", **config) | {"module": module})


_API = {
    "os": "os.system",
    "builtins": "builtins.exec",
    "subprocess": "subprocess.check_call",
    "keras-internal": "keras.src.utils.file_utils.get_file",
    "keras-denied": "keras.utils.get_file",
    "floatx": "keras.config.set_floatx",
    "unsafe": "keras.config.enable_unsafe_deserialization",
}


# Networks of few parameters that would compute for minutes to days, or hold gigabytes meanwhile.


def _photo(*layers: dict[str, Any], shape: tuple[int, ...] = (1000, 1000, 3)) -> dict[str, Any]:
    return sequential(layer("InputLayer", "photo", batch_shape=[None, *shape]), *layers)


def _chain(class_name: str, count: int, **config: Any) -> list[dict[str, Any]]:
    return [layer(class_name, f"hard_{place}", **config) for place in range(count)]


def _graph(*steps: tuple[dict[str, Any], list[str]]) -> dict[str, Any]:
    """Layers with the names of what they are called on; the last gives the output."""
    photo = layer("InputLayer", "photo", batch_shape=[None, 1000, 1000, 1])
    layers = [photo | {"name": "photo", "inbound_nodes": []}]
    for one, inputs in steps:
        nodes = [[[name, 0, 0, {}] for name in inputs]]
        layers.append(one | {"name": one["config"]["name"], "inbound_nodes": nodes})
    config = {
        "name": "net",
        "layers": layers,
        "input_layers": [["photo", 0, 0]],
        "output_layers": [[layers[-1]["name"], 0, 0]],
    }
    return {"class_name": "Functional", "config": config, "name": "net"}


def _hidden_batch() -> dict[str, Any]:
    """A reshape moves all pixels to the axis of the images."""
    net = _graph(
        (layer("TFOpLambda", "pixels", function="reshape"), ["photo"]),
        (layer("RepeatVector", "many", n=100_000), ["pixels"]),
    )
    net["config"]["layers"][1]["inbound_nodes"] = [["photo", 0, 0, {"shape": [-1, 1]}]]
    return net


_SAME = {"padding": "same", "strides": [1, 1]}
_COMPUTED = "multiplications for one image.*up to hard"
_HELD = "64,000,000 numbers.*inside hard"
_HARD: dict[str, tuple[dict[str, Any], str]] = {
    "convolutions": (
        _photo(
            layer("Conv2D", "wide", filters=512, kernel_size=[1, 1]),
            *_chain("Conv2D", 3, filters=512, kernel_size=[3, 3], **_SAME),
            shape=(256, 256, 3),
        ),
        f"{_COMPUTED}_1",
    ),
    "kernel": (
        _photo(layer("Conv2D", "hard", filters=1, kernel_size=[1000, 1000], **_SAME)),
        _COMPUTED,
    ),
    "depthwise": (
        _photo(layer("DepthwiseConv2D", "hard", kernel_size=[999, 999], **_SAME)),
        _COMPUTED,
    ),
    "separable": (
        _photo(layer("SeparableConv2D", "hard", filters=1, kernel_size=[999, 999], **_SAME)),
        _COMPUTED,
    ),
    "transposed": (
        _photo(layer("Conv2DTranspose", "hard", filters=1, kernel_size=[1000, 1000], **_SAME)),
        _COMPUTED,
    ),
    "dense": (_photo(*_chain("Dense", 3, units=4000), shape=(128, 120, 3)), f"{_COMPUTED}_2"),
    "windows": (
        _photo(layer("MaxPooling2D", "hard", pool_size=[1000, 1000], **_SAME)),
        _COMPUTED,
    ),
    "averages": (
        _photo(*_chain("AveragePooling2D", 60, pool_size=[50, 50], **_SAME)),
        f"{_COMPUTED}_33",
    ),
    "adaptive": (
        _graph(
            (layer("Conv2D", "wide", filters=60, kernel_size=[1, 1]), ["photo"]),
            *((one, ["wide"]) for one in _chain("AdaptiveMaxPooling2D", 20, output_size=[2, 2])),
        ),
        f"{_COMPUTED}_8",
    ),
    "product": (
        _graph(
            (layer("UpSampling2D", "large", size=[7, 7]), ["photo"]),
            (layer("Reshape", "matrix", target_shape=[7000, 7000]), ["large"]),
            (layer("Dot", "hard", axes=[2, 2]), ["matrix", "matrix"]),
        ),
        _COMPUTED,
    ),
    "sum-of-thousands": (
        _graph(
            (layer("UpSampling2D", "large", size=[7, 8]), ["photo"]),
            (layer("Add", "hard"), ["large"] * 4900),
        ),
        _COMPUTED,
    ),
    "held-by-padding": (
        _photo(layer("Resizing", "hard", height=4096, width=1, pad_to_aspect_ratio=True)),
        _HELD,
    ),
    "held-by-resizing": (
        _photo(
            layer("Reshape", "flat", target_shape=[1, 1_000_000, 3]),
            layer("Resizing", "hard", height=4096, width=1, antialias=True),
        ),
        _HELD,
    ),
    "hidden-in-the-batch": (_hidden_batch(), "64,000,000 numbers.*in the output of many"),
}

# Makers of configurations, and the words of the refusal.
CONFIGS: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "lambda-code": (lambda f: _lambda(function=_lambda_code(f)), "Lambda"),
    "lambda-output-shape": (
        lambda f: _lambda(function=_function("keras.ops.abs"), output_shape=_lambda_code(f)),
        "Lambda",
    ),
    "lambda-mask": (
        lambda f: _lambda(function=_function("keras.ops.abs"), mask=_lambda_code(f)),
        "Lambda",
    ),
    **{
        f"lambda-{name}": (
            lambda f, api=api: _lambda(function=_function(api), arguments={"value": "float16"}),
            "Lambda",
        )
        for name, api in _API.items()
    },
    "lambda-foreign-graph": (
        lambda f: _lambda(
            function={
                "module": "keras.layers",
                "class_name": "TFSMLayer",
                "config": {"filepath": str(f)},
                "registered_name": None,
            },
        ),
        "Lambda",
    ),
    "foreign-graph": (lambda f: _of("TFSMLayer", "keras.layers", filepath=str(f)), "TFSMLayer"),
    "torch": (
        lambda f: _of("TorchModuleWrapper", "keras.layers", module="gASV"),
        "TorchModuleWrapper",
    ),
    "activation-api": (
        lambda f: network(
            layer("Activation", "payload", activation=_function("keras.config.set_floatx"))
        ),
        "set_floatx at payload/activation",
    ),
    "activation-text": (
        lambda f: network(layer("Activation", "payload", activation="keras.config.set_floatx")),
        "set_floatx at payload/activation",
    ),
    "conv-activation-api": (
        lambda f: network(activation=_function("os.system")),
        "system at conv/activation",
    ),
    "custom-layer": (
        lambda f: network(
            layer("Attention42", "payload")
            | {"module": "my_package.layers", "registered_name": "My>Attention42"}
        ),
        "Attention42",
    ),
    "os-class": (lambda f: _of("system", "os", command=f"touch {f / MARKER}"), "system"),
    "builtins-class": (lambda f: _of("eval", "builtins", value="1"), "eval"),
    "vocabulary": (
        lambda f: _of("StringLookup", "keras.layers", vocabulary="/etc/passwd"),
        "StringLookup",
    ),
    "not-a-model": (
        lambda f: {
            "module": "keras.optimizers",
            "class_name": "Adam",
            "config": {"learning_rate": 0.001},
            "registered_name": None,
        },
        "Adam",
    ),
    "dense-bomb": (
        lambda f: network(layer("Dense", "bomb", units=10**9, activation="relu", use_bias=True)),
        "1000000000",
    ),
    "filters-bomb": (lambda f: network(filters=10**8), "100000000"),
    "padding-bomb": (
        lambda f: network(
            layer("ZeroPadding2D", "bomb", padding=[[50_000] * 2] * 2, data_format="channels_last")
        ),
        "padding of net/bomb",
    ),
    "upsampling-bomb": (
        lambda f: network(
            layer(
                "UpSampling2D",
                "bomb",
                size=[10_000, 10_000],
                data_format="channels_last",
                interpolation="nearest",
            )
        ),
        "size of net/bomb",
    ),
    **{f"hard-{name}": (lambda f, net=net: net, why) for name, (net, why) in _HARD.items()},
    "no-config": (lambda f: {"class_name": "Sequential"}, "record"),
    "empty": (lambda f: {}, "Expected"),
}


def _register_configs() -> None:
    for name, (make, reason) in CONFIGS.items():
        FILES[f"config-{name}"] = HostileFile(
            lambda folder, make=make: archive(members(make(folder))), reason
        )
        FILES[f"config-{name}-legacy"] = HostileFile(
            lambda folder, make=make: hdf5(lambda file: put_legacy(file, make(folder))),
            reason,
            ".h5",
        )


_register_configs()
