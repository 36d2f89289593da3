"""Model files from strangers: hostile ones are refused, each for its reason, honest ones read."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import h5py
import hostile_files as hostile
import keras
import numpy as np
import pytest

import vizlib
from vizlib import ModelLoadError, UnsafeModelError, budgets
from vizlib.confinement import run_confined
from vizlib.model_files import StoredModel, read_model_file
from vizlib.user_models import load_model_file

SECONDS = 5
PEAK_BYTES = 1.5e9
ADDRESS_SPACE = 12 << 30
MUTANTS = 2400
BUNDLED = Path(vizlib.__file__).parent.parent / "sample_models"
# What only the network as a whole can show, seen when it is built.
FILE_LEVEL = sorted(name for name in hostile.FILES if not name.startswith("config-"))


@pytest.fixture(autouse=True, scope="module")
def _little_address_space():
    """A guard that fails must not take the machine down."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def temp_folder(tmp_path_factory, monkeypatch):
    """A folder for temporary files of its own, empty again at the end."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def computing_seconds() -> float:
    """Of this process and its children; unlike a clock, no busy machine makes it longer."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("name", sorted(hostile.FILES))
def test_a_hostile_file_is_refused_for_its_own_reason(name, tmp_path, temp_folder):
    path = hostile.write(name, tmp_path)
    start = computing_seconds()
    with pytest.raises(ModelLoadError, match=hostile.FILES[name].reason) as refusal:
        load_model_file(path)
    assert computing_seconds() - start < SECONDS
    assert "Expected" in str(refusal.value)
    assert not (tmp_path / hostile.MARKER).exists()
    assert keras.config.floatx() == "float32"
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", FILE_LEVEL)
def test_the_readers_refuse_without_the_confinement_too(name, tmp_path, temp_folder):
    path = hostile.write(name, tmp_path)
    with pytest.raises(ModelLoadError, match=hostile.FILES[name].reason):
        read_model_file(path)
    assert not (tmp_path / hostile.MARKER).exists()


@pytest.mark.parametrize(
    "name",
    ["zip-traversal", "zip-symlink", "hdf5-external-link", "hdf5-virtual", "config-lambda-code"],
)
def test_what_reaches_out_of_the_file_is_called_unsafe(name, tmp_path):
    with pytest.raises(UnsafeModelError):
        load_model_file(hostile.write(name, tmp_path))


@pytest.mark.slow
def test_memory_is_back_after_the_whole_corpus(tmp_path, temp_folder):
    sizes = []
    for _ in range(2):
        for name in sorted(hostile.FILES)[::6]:
            with contextlib.suppress(ModelLoadError):
                load_model_file(hostile.write(name, tmp_path))
        sizes.append(resident_bytes())
    assert sizes[1] - sizes[0] < 50e6


def test_no_bomb_takes_much_memory(tmp_path):
    """In a process of its own: the peak of a child starts at what its parent had.

    For the same reason the process asks for the peak of its own memory, not of its resource usage.
    """
    bombs = [str(hostile.write(name, tmp_path)) for name in sorted(hostile.FILES) if "bomb" in name]
    assert len(bombs) > 20
    script = """if True:
        import contextlib, pathlib, resource, sys
        from vizlib import ModelLoadError
        from vizlib.user_models import load_model_file
        for path in sys.argv[1:]:
            with contextlib.suppress(ModelLoadError):
                load_model_file(path)
                print("loaded", path)
        status = pathlib.Path("/proc/self/status").read_text()
        print(int(status.partition("VmHWM:")[2].split()[0]) * 1024)
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)"""
    answer = subprocess.run(
        [sys.executable, "-c", script, *bombs],
        cwd=BUNDLED.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(int(peak) < PEAK_BYTES for peak in answer.stdout.split()), answer.stdout


def test_a_limit_appears_in_the_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("vizlib.model_files.MAX_FILE_BYTES", budgets.MIB)
    with pytest.raises(ModelLoadError, match="at most 1 MiB"):
        read_model_file(b"PK\x03\x04" + bytes(2 * budgets.MIB))


def test_a_file_larger_than_allowed_is_not_read(tmp_path):
    path = tmp_path / "huge.keras"
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(budgets.MAX_FILE_BYTES * 2)
    with pytest.raises(ModelLoadError, match="at most 600 MiB"):
        load_model_file(path)


@pytest.mark.parametrize("path", ["/dev/zero", "/nowhere/model.keras", "a\0b.keras", "/" * 5000])
def test_what_is_no_file_is_refused(path):
    with pytest.raises(ModelLoadError):
        load_model_file(Path(path))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.keras")
    with pytest.raises(ModelLoadError, match="pipe"):
        load_model_file(tmp_path / "pipe.keras")


def test_a_folder_gets_advice(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ModelLoadError, match="SavedModel"):
        load_model_file(tmp_path)


@pytest.mark.parametrize("source", [None, 3, io.StringIO("text"), ["a"]])
def test_other_sources_are_refused(source):
    with pytest.raises(ModelLoadError):
        load_model_file(source)


# Honest files.


def small_model() -> keras.Model:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def save(model: keras.Model, path: Path) -> None:
    with warnings.catch_warnings():  # Keras has some to give about its own formats
        warnings.simplefilter("ignore")
        model.save(path)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    model = small_model()
    model.compile("adam", "categorical_crossentropy")
    return model


@pytest.fixture(scope="module", params=["keras", "h5"])
def saved(request, model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("saved") / f"model.{request.param}"
    save(model, path)
    return path


@pytest.mark.parametrize("read", [read_model_file, run_confined])
def test_an_honest_file_is_read_exactly(read, saved, model):
    stored = read(saved)
    assert stored.layout == ("keras3" if saved.suffix == ".keras" else "legacy")
    assert isinstance(stored.config, dict)
    left = [np.asarray(weight) for weight in model.weights]
    for array in stored.weights.values():
        place = next(i for i, weight in enumerate(left) if np.array_equal(weight, array))
        left.pop(place)
    assert left == []


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "memory", "file"])
def test_every_kind_of_source_gives_the_same(kind, saved):
    content = saved.read_bytes()
    with saved.open("rb") as file:
        sources = {
            "path": saved,
            "text": str(saved),
            "bytes": content,
            "memory": io.BytesIO(content),
            "file": file,
        }
        assert same(run_confined(sources[kind]), run_confined(saved))


def same(one: StoredModel, other: StoredModel) -> bool:
    return (
        (one.config, one.layout, one.legacy_order)
        == (other.config, other.layout, other.legacy_order)
        and list(one.weights) == list(other.weights)
        and all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights)
    )


def test_the_name_does_not_matter(saved, tmp_path):
    renamed = tmp_path / "network.txt"
    renamed.write_bytes(saved.read_bytes())
    assert same(read_model_file(renamed), read_model_file(saved))


def test_a_loaded_model_computes_the_same(saved, model, temp_folder):
    image = np.random.default_rng(0).random((1, 16, 16, 3), dtype=np.float32)
    loaded = load_model_file(saved)
    np.testing.assert_allclose(loaded(image), model(image), atol=1e-6)
    assert getattr(loaded, "optimizer", None) is None


@pytest.mark.parametrize("name", ["squeezenet.keras", "cats-vs-dogs.keras"])
def test_bundled_models_compute_the_same(name):
    plain = keras.saving.load_model(BUNDLED / name, compile=False)
    image = np.random.default_rng(0).random((1, *plain.input_shape[1:]), dtype=np.float32) * 255
    loaded = load_model_file(BUNDLED / name)
    expected = plain(image, training=False)
    np.testing.assert_allclose(loaded(image, training=False), expected, rtol=1e-5, atol=1e-6)


def test_what_is_stored_packed_is_read_too():
    def change(file: h5py.File) -> None:
        hostile.put_legacy(file)
        del file["model_weights/conv/conv/kernel:0"]
        file.create_dataset(
            "model_weights/conv/conv/kernel:0",
            data=hostile.numbers((3, 3, 3, 4)),
            compression="gzip",
            shuffle=True,
            fletcher32=True,
        )

    plain = read_model_file(hostile.honest_h5())
    assert same(read_model_file(hostile.hdf5(change)), plain)
    deflated = hostile.archive(hostile.members(), zipfile.ZIP_DEFLATED)
    assert same(read_model_file(deflated), read_model_file(hostile.honest_keras()))


def test_long_lists_of_names_come_in_pieces():
    def change(file: h5py.File) -> None:
        hostile.put_legacy(file)
        attributes = file["model_weights"].attrs
        names = list(attributes.pop("layer_names"))
        attributes["layer_names0"], attributes["layer_names1"] = names[:1], names[1:]

    whole, pieces = read_model_file(hostile.honest_h5()), read_model_file(hostile.hdf5(change))
    assert same(whole, pieces)


def test_texts_of_free_length_are_read():
    def change(file: h5py.File) -> None:
        hostile.put_legacy(file)
        file.attrs["model_config"] = json.dumps(hostile.network())

    assert same(read_model_file(hostile.hdf5(change)), read_model_file(hostile.honest_h5()))


def test_training_settings_are_ignored():
    def change(file: h5py.File) -> None:
        hostile.put_legacy(file)
        file.attrs["training_config"] = b'{"loss": {"class_name": "__lambda__"}, "lr": NaN}'
        file["optimizer_weights/iterations:0"] = 7

    assert same(read_model_file(hostile.hdf5(change)), read_model_file(hostile.honest_h5()))


def test_half_precision_is_kept():
    def change(file: h5py.File) -> None:
        for path, shape in hostile.WEIGHTS.items():
            file[path] = hostile.numbers(shape).astype(np.float16)

    stored = run_confined(hostile.archive(hostile.members(weights=hostile.hdf5(change))))
    assert {array.dtype.str for array in stored.weights.values()} == {"<f2"}


def test_brain_floats_become_single_precision():
    """bfloat16 is single precision cut in half, and a type that HDF5 does not name."""
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(15, 7, 8, 0, 7)
    kind.set_size(2)
    kind.set_ebias(127)

    def change(file: h5py.File) -> None:
        hostile.put_weights(file)
        space = h5py.h5s.create_simple((2,))
        item = h5py.h5d.create(file.id, b"layers/more", kind, space)
        item.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([1.5, -2], "f4"))

    stored = read_model_file(hostile.archive(hostile.members(weights=hostile.hdf5(change))))
    assert stored.weights["layers/more"].tolist() == [1.5, -2]


# The owner's own files.


def test_the_owner_can_open_custom_layers(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(2, 3),
            keras.layers.Lambda(lambda x: x * 2),
        ]
    )
    path = tmp_path / "own.keras"
    save(model, path)
    with pytest.raises(UnsafeModelError, match="Lambda"):
        vizlib.load_convnet(path)
    image = np.ones((1, 8, 8, 3), np.float32)
    np.testing.assert_allclose(load_model_file(path, trusted=True)(image), model(image))
    assert vizlib.load_convnet(path, trusted=True).model is not None


def test_a_damaged_file_of_the_owner_is_explained(tmp_path):
    path = tmp_path / "own.keras"
    path.write_bytes(hostile.honest_keras()[:500])
    with pytest.raises(ModelLoadError, match="Keras can open"):
        load_model_file(path, trusted=True)


# Mutants.


def _truncated(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content))]


def _flipped(content: bytes, dice: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 4, 32))):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def _overwritten(content: bytes, dice: random.Random) -> bytes:
    """Numbers that are often a length, a count or a place."""
    changed = bytearray(content)
    at = dice.randrange(len(changed) - 8)
    value = dice.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1, len(content), at))
    size = dice.choice((2, 4, 8))
    changed[at : at + size] = struct.pack("<Q", value)[:size]
    return bytes(changed)


def _cut_out(content: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(content))
    return content[:start] + content[start + dice.randrange(1, 2000) :]


def _doubled(content: bytes, dice: random.Random) -> bytes:
    start, to = dice.randrange(len(content)), dice.randrange(len(content))
    return content[:to] + content[start : start + dice.randrange(1, 2000)] + content[to:]


def _swapped(_content: bytes, dice: random.Random) -> bytes:
    names = [name for name, _ in hostile.members()]
    contents = [data for _, data in hostile.members()]
    dice.shuffle(contents)
    return hostile.archive(list(zip(names, contents, strict=True)))


def _reshaped(_content: bytes, dice: random.Random) -> bytes:
    def fill(file: h5py.File) -> None:
        for path in hostile.WEIGHTS:
            shape = tuple(dice.randrange(5) for _ in range(dice.randrange(5)))
            kind = dice.choice(("f2", "f4", "f8", "i4", "c8", "S3", "?"))
            file[path] = np.zeros(shape, kind)

    return hostile.archive(hostile.members(weights=hostile.hdf5(fill)))


def _inside(content: bytes, dice: random.Random) -> bytes:
    """A whole archive around damaged weights, so that the damage reaches libhdf5."""
    change = dice.choice((_flipped, _overwritten, _truncated, _cut_out))
    return hostile.archive(hostile.members(weights=change(hostile.hdf5(hostile.put_weights), dice)))


def _renamed(_content: bytes, dice: random.Random) -> bytes:
    text = json.dumps(hostile.network()).encode()
    damaged = dice.choice((_flipped, _cut_out, _doubled))(text, dice)
    return hostile.archive(hostile.members(damaged))


CHANGES = (
    _truncated,
    _flipped,
    _overwritten,
    _cut_out,
    _doubled,
    _swapped,
    _reshaped,
    _inside,
    _renamed,
)


def mutants(count: int) -> list[tuple[str, bytes]]:
    dice = random.Random(8)
    honest = (hostile.honest_keras(), hostile.honest_h5())
    changes = [(dice.choice(CHANGES), dice.choice(honest)) for _ in range(count)]
    return [(change.__name__, change(content, dice)) for change, content in changes]


def test_of_damaged_files_only_refusals_come_out(temp_folder):
    before, refused = resident_bytes(), 0
    for _, content in mutants(MUTANTS):
        try:
            read_model_file(content)
        except ModelLoadError:
            refused += 1
    assert refused > MUTANTS / 2
    assert resident_bytes() - before < 200e6


def test_damaged_files_are_refused_in_the_child_too(temp_folder):
    for _, content in mutants(40):
        with contextlib.suppress(ModelLoadError):
            run_confined(content)


@pytest.mark.slow
def test_damaged_files_build_a_network_or_are_refused(temp_folder):
    for _, content in mutants(300):
        with contextlib.suppress(ModelLoadError):
            load_model_file(content)


def test_texts_that_step_on_the_spot_are_refused(tmp_path):
    """A rest of length 0 in a collection of texts keeps libhdf5 busy for ever."""
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"
    whole = path.read_bytes()
    heap = whole.index(b"GCOL\x01")
    text = heap + 16
    rest = text + 16 + 8  # a text of two bytes takes eight
    left = int.from_bytes(whole[rest + 8 : rest + 16], "little")
    assert (whole[rest : rest + 2], rest + left) == (b"\0\0", heap + 4096)
    for length in (0, 8, left + 8):
        damaged = whole[: rest + 8] + length.to_bytes(8, "little") + whole[rest + 16 :]
        with pytest.raises(ModelLoadError, match="texts of the HDF5 file are damaged"):
            read_model_file(damaged)
    with pytest.raises(ModelLoadError, match="without weights"):
        read_model_file(whole)
