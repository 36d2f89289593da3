"""All channels of a layer on disk: resumed, shared, and the same bytes however they were made."""

import warnings

import keras
import nets
import numpy as np
import pytest
from keras import layers
from PIL import Image

import vizlib
from vizlib import ConvNet, InvalidArgumentError, UnknownLayerError, VizlibError, filter_atlas
from vizlib.__main__ import main
from vizlib.atlas import PART

CHANNELS = 2 * PART + 3
OPTIONS = {"recipe": "classic", "size": 12, "steps": 3}


class Stopped(Exception):
    """Raised from a progress callback."""


def small_net(seed=0, **options):
    keras.utils.set_random_seed(seed)
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(CHANNELS, 3, name="conv", **options)(image)
    x = layers.Dropout(0.1, name="drop")(x)
    x = layers.Dense(3, activation="softmax", name="head")(layers.GlobalAveragePooling2D()(x))
    return ConvNet(nets.randomize_biases(keras.Model(image, x, name="small")), preprocess="unit")


@pytest.fixture
def convnet():
    return small_net()


@pytest.fixture
def atlas(convnet, tmp_path):
    return filter_atlas(convnet, "conv", folder=tmp_path, **OPTIONS)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stopping_at(step):
    def progress(done, _total):
        if done == step:
            raise Stopped

    return progress


def refuse(*_arguments, **_options):
    raise AssertionError("made again")


# What is on disk.


def test_nothing_is_made_before_it_is_filled(atlas, tmp_path):
    assert atlas.finished == ()
    assert atlas.patterns().images.shape == (0, 12, 12, 3)
    assert contents(tmp_path) == {}


def test_a_full_atlas_holds_what_each_channel_gives_by_itself(atlas, convnet):
    patterns = atlas.fill().patterns()
    assert patterns.channels == atlas.finished == tuple(range(CHANNELS))
    for channel in (0, PART, CHANNELS - 1):
        alone = vizlib.filter_patterns(convnet, "conv", [channel], **OPTIONS)
        np.testing.assert_allclose(patterns.objective[channel], alone.objective[0], rtol=1e-4)
        assert np.abs(patterns.images[channel].astype(int) - alone.images[0]).max() <= 1


def test_silent_channels_are_told_from_disk_too(convnet, tmp_path):
    convnet = small_net(activation="relu")
    kernel, bias = convnet.model.get_layer("conv").get_weights()
    bias[:] = 5
    kernel[..., 4], bias[4] = 0, -1
    convnet.model.get_layer("conv").set_weights([kernel, bias])
    patterns = filter_atlas(convnet, "conv", folder=tmp_path, **OPTIONS).fill().patterns()
    assert "Channel 4 never fired" in patterns.diagnosis[4]
    assert (patterns.images[4] == 128).all()
    assert patterns.diagnosis[0] is None


@pytest.mark.parametrize("step", [1, 4, 3 * 3 - 1])
def test_a_resumed_atlas_is_the_same_byte_for_byte(convnet, tmp_path, step):
    whole = filter_atlas(convnet, "conv", folder=tmp_path / "whole", **OPTIONS).fill()
    resumed = filter_atlas(convnet, "conv", folder=tmp_path / "resumed", **OPTIONS)
    with pytest.raises(Stopped):
        resumed.fill(stopping_at(step))
    assert len(resumed.finished) == (step - 1) // 3 * PART
    again = filter_atlas(small_net(), "conv", folder=tmp_path / "resumed", **OPTIONS).fill()
    assert contents(again.folder) == contents(whole.folder)


def test_what_is_finished_is_not_made_again(atlas, monkeypatch):
    before = contents(atlas.fill().folder)
    monkeypatch.setattr("vizlib.atlas.filter_patterns", refuse)
    assert contents(atlas.fill().folder) == before


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a whole archive", b"text"])
def test_a_damaged_part_is_made_again(atlas, damage):
    before = contents(atlas.fill().folder)
    name = f"channels_{PART:04d}-{2 * PART - 1:04d}.npz"
    (atlas.folder / name).write_bytes(damage)
    assert len(atlas.patterns().channels) == CHANNELS - PART
    assert contents(atlas.fill().folder) == before


def test_progress_counts_the_missing_parts_only(atlas):
    with pytest.raises(Stopped):
        atlas.fill(stopping_at(4))
    seen = []
    atlas.fill(lambda done, total: seen.append((done, total)))
    assert seen == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize("recipe", ["fourier", "maco"])
def test_atlases_of_other_recipes(convnet, tmp_path, recipe):
    options = OPTIONS | {"recipe": recipe, "size": 16}
    whole = filter_atlas(convnet, "conv", folder=tmp_path / "whole", **options).fill()
    found, alone = whole.patterns(), vizlib.filter_patterns(convnet, "conv", range(8), **options)
    np.testing.assert_array_equal(found.images[:8], alone.images)
    assert (found.transparency is None) == (recipe == "fourier")
    if recipe == "maco":
        np.testing.assert_array_equal(found.transparency[:8], alone.transparency)
        assert found.transparency.shape == (CHANNELS, 16, 16)


# What an atlas is known by.


def test_everything_that_changes_the_pictures_has_a_folder_of_its_own(convnet, tmp_path):
    def folder(network=convnet, layer="conv", **changed):
        return filter_atlas(network, layer, folder=tmp_path, **OPTIONS | changed).folder

    others = [
        folder(),
        folder(size=13),
        folder(size=(12, 13)),
        folder(steps=4),
        folder(seed=1),
        folder(small_net(1)),
        folder(small_net(activation="relu")),
        folder(small_net(padding="same")),
        folder(convnet.reading("tf")),
        folder(layer="drop"),
    ]
    assert len(set(others)) == len(others)
    assert folder(small_net()) == folder()


def test_names_that_keras_counts_on_do_not_count():
    assert small_net().digest() == small_net().digest()
    one, other = small_net(), small_net()
    assert [x.name for x in one.model.layers] != [x.name for x in other.model.layers]
    weights = other.model.get_layer("head").get_weights()
    other.model.get_layer("head").set_weights([weights[0] + 1e-6, weights[1]])
    assert one.digest() != other.digest()


def test_no_layer_leaves_the_folder(tmp_path):
    inner = keras.Sequential([keras.Input((12, 12, 3)), layers.Conv2D(4, 3, name="conv")], name="b")
    image = keras.Input((12, 12, 3))
    model = keras.Model(image, layers.GlobalAveragePooling2D()(inner(image)))
    atlas = filter_atlas(ConvNet(model, "unit"), "b/conv", folder=tmp_path, **OPTIONS).fill()
    assert atlas.folder.parent.parent.parent == tmp_path
    assert len(atlas.patterns().channels) == 4


# What cannot be done.


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"layer": "nothing"}, UnknownLayerError),
        ({"recipe": "nothing"}, InvalidArgumentError),
        ({"size": 0}, InvalidArgumentError),
        ({"steps": 0}, InvalidArgumentError),
        ({"seed": -1}, InvalidArgumentError),
    ],
)
def test_bad_options_are_told_at_once(convnet, tmp_path, changed, error):
    options = {"layer": "conv", "folder": tmp_path} | OPTIONS | changed
    with pytest.raises(error, match="Expected"):
        filter_atlas(convnet, options.pop("layer"), **options)


def test_a_folder_that_cannot_be_written(convnet, tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(VizlibError, match="folder"):
        filter_atlas(convnet, "conv", folder=tmp_path / "file", **OPTIONS)
    with pytest.raises(VizlibError, match="Expected room"):
        filter_atlas(convnet, "conv", folder=tmp_path / "file" / "in", **OPTIONS).fill()


# Without a browser.


@pytest.fixture
def command(convnet, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    path = tmp_path / "small.keras"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras has some to give about its own format
        convnet.model.save(path)

    def run(*arguments):
        common = ["--recipe", "classic", "--size", "12", "--steps", "2", "--preprocess", "unit"]
        return main(["atlas", str(path), *common, *arguments])

    return run


def test_the_command_writes_a_sheet_and_every_channel(command, tmp_path, capsys):
    out = tmp_path / "out"
    assert command("conv", "--out", str(out)) == 0
    assert capsys.readouterr().out.strip() == str(out / "atlas.png")
    assert len(list(out.glob("channel_*.png"))) == CHANNELS
    sheet = np.asarray(Image.open(out / "atlas.png"))
    last = np.asarray(Image.open(out / f"channel_{CHANNELS - 1:04d}.png"))
    row, column = divmod(CHANNELS - 1, 5)
    assert (sheet[14 * row : 14 * row + 12, 14 * column : 14 * column + 12] == last).all()


def test_the_command_goes_on_where_it_was_stopped(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vizlib.__main__._teller", lambda: interrupting)
    assert command("conv", "--out", str(tmp_path / "out")) == 130
    assert "goes on from here" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    assert command("conv", "--out", str(tmp_path / "out")) == 0
    assert f"{PART} of {CHANNELS} channels are there" in capsys.readouterr().err


def interrupting(done, _total):
    if done == 3:
        raise KeyboardInterrupt


def test_options_of_the_command_reach_the_pictures(command, tmp_path):
    for name, more in {"a": [], "b": ["--seed", "5"], "c": ["--steps", "3"]}.items():
        assert command("conv", *more, "--out", str(tmp_path / name)) == 0
    sheets = {(tmp_path / name / "atlas.png").read_bytes() for name in "abc"}
    assert len(sheets) == 3


def test_the_command_tells_what_is_wrong(command, tmp_path, capsys):
    assert command("nothing") == 2
    assert "Close matches: conv" in capsys.readouterr().err
    (tmp_path / "file").write_text("a file")
    assert command("conv", "--out", str(tmp_path / "file")) == 2
    assert "Cannot write to" in capsys.readouterr().err
