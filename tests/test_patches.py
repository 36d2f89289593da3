"""The strongest patches of photos, on networks whose answers are known by hand."""

import keras
import numpy as np
import pytest
from keras import layers

import vizlib
from vizlib import ConvNet, layer_peaks, peak_patches, top_patches
from vizlib.pointing import Box


@pytest.fixture
def redness() -> ConvNet:
    """8x8 photos; channel 0 is the red in 2x2 pixels, channel 1 the blue, negative."""
    image = keras.Input((8, 8, 3))
    layer = layers.Conv2D(2, 2, strides=2, use_bias=False, name="maps")
    model = keras.Model(image, layer(image))
    kernel = np.zeros((2, 2, 3, 2), "float32")
    kernel[:, :, 0, 0], kernel[:, :, 2, 1] = 1, -1
    layer.set_weights([kernel])
    return ConvNet(model)


def black(height: int = 8, width: int = 8) -> np.ndarray:
    return np.zeros((height, width, 3), "uint8")


def spotted(*spots: tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> np.ndarray:
    """A black photo with red pixels ``(y, x, value)``."""
    photo = black(*size)
    for y, x, value in spots:
        photo[y, x, 0] = value
    return photo


def test_the_strongest_patch_by_hand(redness):
    photos = [("weak", spotted((1, 1, 30))), ("strong", spotted((5, 2, 90), (4, 3, 10)))]
    best, second = top_patches(redness, "maps", 0, photos)
    assert (best.name, best.image_index, best.position) == ("strong", 1, (2, 1))
    assert best.activation == 100
    assert best.box == Box(left=2, top=4, right=4, bottom=6)
    np.testing.assert_array_equal(best.pixels, photos[1][1][4:6, 2:4])
    assert (second.name, second.position, second.activation) == ("weak", (0, 0), 30)


def test_patches_are_cut_from_the_photo_itself(redness):
    """A photo of 24x16 is squeezed to 8x8: a box of 2x2 stands for 6x4 of its pixels."""
    photo = black(24, 16)
    photo[18:24, 4:8, 0] = 200
    (patch,) = top_patches(redness, "maps", 0, [("tall", photo)])
    assert patch.box == Box(left=4, top=18, right=8, bottom=24)
    assert (patch.pixels == (200, 0, 0)).all()


def test_a_patch_of_an_odd_photo_holds_every_pixel_it_rests_on(redness):
    (patch,) = top_patches(redness, "maps", 0, [("odd", black(13, 11))])
    assert patch.position == (0, 0)
    assert patch.box == Box(left=0, top=0, right=3, bottom=4)
    assert patch.pixels.shape == (4, 3, 3)


def test_a_patch_is_no_view_of_the_photo(redness):
    photo = spotted((0, 0, 9))
    (patch,) = top_patches(redness, "maps", 0, [("a", photo)])
    patch.pixels[:] = 77
    np.testing.assert_array_equal(photo, spotted((0, 0, 9)))


def test_no_more_than_asked_for_strongest_first(redness):
    photos = [(str(v), spotted((0, 0, v))) for v in (5, 50, 20, 50, 1)]
    found = top_patches(redness, "maps", 0, iter(photos), count=3)
    assert [(patch.name, patch.image_index) for patch in found] == [("50", 1), ("50", 3), ("20", 2)]


def test_several_from_one_photo_do_not_overlap():
    """3x3 windows at every pixel: the neighbours of the largest come second, but overlap."""
    image = keras.Input((8, 8, 3))
    layer = layers.Conv2D(1, 3, use_bias=False, name="maps")
    model = keras.Model(image, layer(image))
    layer.set_weights([np.ones((3, 3, 3, 1), "float32")])
    photo = spotted((1, 1, 100), (6, 6, 40))
    found = top_patches(ConvNet(model), "maps", 0, [("a", photo)], per_image=2)
    assert [patch.activation for patch in found] == [100, 40]
    assert found[0].box == Box(left=0, top=0, right=3, bottom=3)
    assert found[1].box == Box(left=4, top=4, right=7, bottom=7)
    assert len(top_patches(ConvNet(model), "maps", 0, [("a", photo)])) == 1


def test_where_every_place_sees_all_there_is_one_patch_of_everything():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(2, 17, padding="same", name="maps")(image)
    found = top_patches(ConvNet(keras.Model(image, x)), "maps", 0, [("a", black())], per_image=5)
    assert [patch.box for patch in found] == [Box(0, 0, 8, 8)]


def test_patches_from_peaks_are_the_same(redness):
    rng = np.random.default_rng(0)
    photos = {str(i): rng.integers(0, 256, (9, 12, 3), dtype="uint8") for i in range(6)}
    peaks = layer_peaks(redness, "maps", photos.items())
    asked = []

    def photo(name: str) -> np.ndarray:
        asked.append(name)
        return photos[name]

    for channel in range(2):
        found = peak_patches(redness, peaks, channel, photo, count=4)
        expected = top_patches(redness, "maps", channel, photos.items(), count=4)
        assert [(p.name, p.image_index, p.position, p.activation, p.box) for p in found] == [
            (p.name, p.image_index, p.position, p.activation, p.box) for p in expected
        ]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)
    assert len(asked) == 8


def test_peaks_by_hand(redness):
    blue = black()
    blue[:, :, 2] = 3
    peaks = layer_peaks(redness, "maps", [("red", spotted((5, 6, 80))), ("blue", blue)])
    assert (peaks.layer, peaks.names) == ("maps", ("red", "blue"))
    np.testing.assert_array_equal(peaks.activation, [[80, 0], [0, -12]])
    np.testing.assert_array_equal(peaks.position, [[[2, 3], [0, 0]], [[0, 0], [0, 0]]])
    np.testing.assert_array_equal(peaks.mean, [[5, 0], [0, -12]])
    np.testing.assert_array_equal(peaks.largest, [80, 0])
    assert peaks.activation.dtype == peaks.mean.dtype == np.float32


def test_the_evidence_in_a_sentence(redness):
    peaks = layer_peaks(redness, "maps", [("a", spotted((5, 6, 80))), ("b", black())])
    assert peaks.describe(0) == (
        "Channel 0 fires on 1 of the 2 photos. The largest activation is 80, on a, the mean over "
        "all places and photos 2.5."
    )
    assert peaks.describe(1) == (
        "Channel 1 fires on none of the 2 photos: the largest activation is 0."
    )


def test_progress_is_told_and_can_cancel(redness):
    photos = [(str(i), black()) for i in range(3)]
    told = []
    layer_peaks(redness, "maps", photos, progress=told.append)
    top_patches(redness, "maps", 0, photos, progress=told.append)
    assert told == [1, 2, 3, 1, 2, 3]

    def cancel(done: int) -> None:
        raise KeyboardInterrupt

    for ask in (layer_peaks, lambda *a, **k: top_patches(*a[:2], 0, a[2], **k)):
        with pytest.raises(KeyboardInterrupt):
            ask(redness, "maps", photos, progress=cancel)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channel": 2}, "channel.*from 0 to 1"),
        ({"channel": None}, "channel.*from 0 to 1"),
        ({"count": 0}, "count.*at least 1"),
        ({"per_image": 0}, "per_image.*at least 1"),
        ({"images": []}, "at least one photo"),
        ({"images": [("a", np.zeros((8, 8)))]}, "RGB image"),
    ],
)
def test_what_cannot_be_asked(redness, options, message):
    asked = {"channel": 0, "images": [("a", black())]} | options
    with pytest.raises(vizlib.InvalidArgumentError, match=message):
        top_patches(redness, "maps", **asked)


def test_peaks_of_nothing_are_refused(redness):
    with pytest.raises(vizlib.InvalidArgumentError, match="at least one photo"):
        layer_peaks(redness, "maps", [])
    peaks = layer_peaks(redness, "maps", [("a", black())])
    with pytest.raises(vizlib.InvalidArgumentError, match="from 0 to 1"):
        peak_patches(redness, peaks, 2, {"a": black()}.__getitem__)
    with pytest.raises(vizlib.InvalidArgumentError, match="from 0 to 1"):
        peaks.describe(-1)


# Photos from a folder.


@pytest.fixture
def folder(tmp_path):
    for name, value in (("b.png", 2), ("a.PNG", 1), ("c.bmp", 3)):
        content = vizlib.render.to_png(np.full((4, 5, 3), value, "uint8"))
        (tmp_path / name).write_bytes(content)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "inside.png").mkdir()
    return tmp_path


def test_pictures_are_read_in_the_order_of_their_names(folder):
    found = list(vizlib.images_in(folder))
    assert [name for name, _ in found] == [str(folder / n) for n in ("a.PNG", "b.png", "c.bmp")]
    assert [image[0, 0, 0] for _, image in found] == [1, 2, 3]
    for name, image in found:
        np.testing.assert_array_equal(vizlib.load_image(name), image)


def test_damaged_pictures_are_passed_over_and_named(folder):
    (folder / "aa.jpg").write_bytes(b"not a picture")
    told = []
    found = vizlib.images_in(folder, skipped=lambda path, error: told.append((path, error)))
    assert [image[0, 0, 0] for _, image in found] == [1, 2, 3]
    ((path, error),) = told
    assert path == str(folder / "aa.jpg")
    assert isinstance(error, vizlib.UnreadableImageError)


def test_damaged_pictures_are_errors_where_nobody_listens(folder):
    (folder / "aa.jpg").write_bytes(b"not a picture")
    with pytest.raises(vizlib.UnreadableImageError, match=r"aa\.jpg: Expected a picture"):
        list(vizlib.images_in(folder))


def test_a_folder_that_is_none_is_refused(folder):
    for path in (folder / "absent", folder / "notes.txt"):
        with pytest.raises(vizlib.UnreadableImageError, match="Expected a folder with pictures"):
            next(vizlib.images_in(path))
