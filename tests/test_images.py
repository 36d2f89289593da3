"""Picture files of every kind, good, odd, damaged and hostile."""

import io
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

import vizlib
from vizlib import UnreadableImageError
from vizlib.images import MAX_JPEG_SCANS, MAX_MEGABYTES

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (8, 6, 3), dtype="uint8")


# Generators.


def saved(picture: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def photo_file(kind: str, **options) -> bytes:
    """A smooth picture, 48 x 32, so that lossy formats keep its pixels."""
    return saved(Image.fromarray(smooth()), kind, **options)


def smooth() -> np.ndarray:
    y, x = np.mgrid[:32, :48]
    return np.stack([4 * x, 6 * y, 250 - 2 * x - 3 * y], axis=-1).astype("uint8")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG by hand; ``colour`` 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def interlaced_png(pixels: np.ndarray) -> bytes:
    """RGB in the seven passes of Adam7."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    rows = b""
    for top, left, down, right in [*passes, (1, 0, 2, 1)]:
        for row in pixels[top::down, left::right]:
            rows += b"\0" + row.tobytes() if len(row) else b""
    height, width = pixels.shape[:2]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1))
    body = header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def grey_tiff(data: bytes, *, width: int, bits: int, kind: int = 1, photometric: int = 1) -> bytes:
    """One row of grey; ``kind`` 1 unsigned, 2 signed, 3 float; ``photometric`` 0: zero is white."""
    tags = {256: width, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: 1}
    tags |= {279: len(data), 339: kind}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHIHH", t, 3, 1, v, 0) for t, v in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


def exif(orientation: int) -> Image.Exif:
    notes = Image.Exif()
    notes[0x0112] = orientation
    return notes


def load(data: bytes) -> np.ndarray:
    """Load, and check what holds for every picture."""
    image = vizlib.load_image(data)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.flags.c_contiguous
    assert image.flags.writeable
    return image


def refusal(source) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        vizlib.load_image(source)
    message = str(caught.value)
    assert message.endswith(".")
    assert len(message) < 400
    return message


def grey(*shades: int) -> np.ndarray:
    return np.repeat(np.array(shades, "uint8")[None, :, None], 3, axis=2)


# Good files.


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_files_keep_every_pixel(kind):
    assert np.array_equal(load(saved(Image.fromarray(PIXELS), kind)), PIXELS)


def test_lossless_webp_keeps_every_pixel():
    data = saved(Image.fromarray(PIXELS), "WEBP", lossless=True)
    assert np.array_equal(load(data), PIXELS)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
def test_compressed_tiffs_keep_every_pixel(compression):
    data = saved(Image.fromarray(PIXELS), "TIFF", compression=compression)
    assert np.array_equal(load(data), PIXELS)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("WEBP", {"quality": 95}),
        ("MPO", {"quality": 95}),
    ],
)
def test_lossy_files_come_close(kind, options):
    image = load(photo_file(kind, **options))
    assert image.shape == smooth().shape
    assert np.abs(image.astype(int) - smooth()).mean() < 4


ORIENTED = {
    1: lambda p: p,
    2: np.fliplr,
    3: lambda p: np.rot90(p, 2),
    4: np.flipud,
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", ORIENTED)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_orientation_is_applied(kind, orientation):
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(Image.fromarray(PIXELS), kind, exif=exif(orientation), **options)
    assert np.array_equal(load(data), ORIENTED[orientation](PIXELS))


@pytest.mark.parametrize("orientation", ORIENTED)
def test_orientation_of_jpegs_is_applied(orientation):
    plain = load(photo_file("JPEG"))
    turned = load(photo_file("JPEG", exif=exif(orientation)))
    assert np.array_equal(turned, ORIENTED[orientation](plain))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "notes",
    [
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\0ab\0\0\0\0\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x02\0\0\0\xff\0\0\0\0",
    ],
)
def test_damaged_notes_of_the_camera_do_not_spoil_the_picture(kind, notes):
    assert np.array_equal(load(photo_file(kind, exif=notes)), load(photo_file(kind)))


def test_palettes_become_colours():
    picture = Image.fromarray(np.array([[0, 1], [2, 1]], "uint8"), "L").convert("P")
    picture.putpalette([10, 20, 30, 200, 0, 0, 0, 0, 250])
    expected = [[[10, 20, 30], [200, 0, 0]], [[0, 0, 250], [200, 0, 0]]]
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        assert load(saved(picture, kind)).tolist() == expected


def test_a_transparent_palette_colour_is_white():
    picture = Image.fromarray(np.array([[0, 1]], "uint8"), "L").convert("P")
    picture.putpalette([10, 20, 30, 200, 0, 0])
    for kind in ("PNG", "GIF"):
        assert load(saved(picture, kind, transparency=1)).tolist() == [[[10, 20, 30], [255] * 3]]


def test_alpha_is_laid_over_white():
    # 51/255 = 0.2 of the colour, 0.8 of white: 0.2 * 100 + 0.8 * 255 = 224.
    rows = b"\0" + bytes([100, 0, 255, 51, 7, 8, 9, 0, 1, 2, 3, 255])
    expected = [[[224, 204, 255], [255, 255, 255], [1, 2, 3]]]
    assert load(png(3, 1, 8, 6, rows)).tolist() == expected
    rgba = Image.fromarray(np.array([[[100, 0, 255, 51]]], "uint8"))
    for kind, options in (("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        assert load(saved(rgba, kind, **options)).tolist() == [[[224, 204, 255]]]


def test_grey_with_alpha_is_laid_over_white():
    assert np.array_equal(load(png(2, 1, 8, 4, bytes([0, 100, 51, 40, 255]))), grey(224, 40))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png(2, 1, 8, 0, b"\0\x64\x32", chunk(b"tRNS", b"\0\x64")), [[255] * 3, [50] * 3]),
        (
            png(2, 1, 8, 2, b"\0\1\2\3\4\5\6", chunk(b"tRNS", b"\0\1\0\2\0\3")),
            [[255] * 3, [4, 5, 6]],
        ),
        (
            png(2, 1, 16, 0, b"\0" + struct.pack(">HH", 25700, 257), chunk(b"tRNS", b"\x64\x64")),
            [[255] * 3, [1] * 3],
        ),
    ],
    ids=["grey", "rgb", "grey of 16 bits"],
)
def test_one_colour_marked_transparent_is_white(data, expected):
    assert load(data).tolist() == [expected]


def test_bits_are_black_and_white():
    assert np.array_equal(load(png(4, 1, 1, 0, b"\0\x50")), grey(0, 255, 0, 255))
    bits = Image.fromarray(np.array([[True, False]]))
    for kind in ("PNG", "BMP", "TIFF"):
        assert np.array_equal(load(saved(bits, kind)), grey(255, 0))


def test_two_and_four_bits_fill_the_range():
    assert np.array_equal(load(png(4, 1, 2, 0, b"\0\x1b")), grey(0, 85, 170, 255))
    assert np.array_equal(load(png(2, 1, 4, 0, b"\0\x1f")), grey(17, 255))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind):
    values = RNG.integers(0, 65536, (8, 6)).astype("uint16")
    image = load(saved(Image.fromarray(values), kind))
    assert np.array_equal(image, np.repeat(np.rint(values / 257)[..., None], 3, axis=2))


def test_sixteen_bit_grey_is_turned_upright_too():
    values = RNG.integers(0, 65536, (8, 6)).astype("uint16")
    image = load(saved(Image.fromarray(values), "PNG", exif=exif(6)))
    assert np.array_equal(image[..., 0], np.rot90(np.rint(values / 257), -1))


def test_sixteen_bit_colour_is_scaled():
    image = load(png(2, 1, 16, 2, b"\0" + struct.pack(">6H", 65535, 257 * 3, 257 * 128, 0, 1, 2)))
    assert image.tolist() == [[[255, 3, 128], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (grey_tiff(b"\x00\xff", width=2, bits=8, photometric=0), (255, 0)),
        (grey_tiff(b"\x40", width=2, bits=1, photometric=0), (255, 0)),
        (
            grey_tiff(struct.pack("<3H", 0, 25700, 65535), width=3, bits=16, photometric=0),
            (255, 155, 0),
        ),
        (grey_tiff(struct.pack("<2f", 1, 3), width=2, bits=32, kind=3, photometric=0), (255, 0)),
        (grey_tiff(b"\xff\xf0\x00", width=2, bits=12), (255, 0)),
    ],
    ids=["8 bits", "1 bit", "16 bits", "float", "12 bits, zero black"],
)
def test_tiffs_whose_zero_is_white_or_whose_white_is_not_65535(data, expected):
    assert np.array_equal(load(data), grey(*expected))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[-5, 95, 45]], "int32"), (0, 255, 128)),
        (np.array([[-0.5, 0.5, 0.1]], "float32"), (0, 255, 153)),
        (np.array([[3e38, -3e38]], "float32"), (255, 0)),
        (np.array([[7.0, 7.0]], "float32"), (0, 0)),
    ],
)
def test_wide_grey_is_stretched(values, expected):
    assert np.array_equal(load(saved(Image.fromarray(values), "TIFF")), grey(*expected))


def test_signed_sixteen_bit_grey_is_stretched():
    data = grey_tiff(struct.pack("<3h", -100, 100, 0), width=3, bits=16, kind=2)
    assert np.array_equal(load(data), grey(0, 255, 128))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(bad):
    values = np.array([[0, 1, bad]], "float32")
    assert "finite" in refusal(saved(Image.fromarray(values), "TIFF"))


def test_cmyk_becomes_rgb():
    picture = Image.fromarray(smooth()).convert("CMYK")
    assert np.array_equal(load(saved(picture, "TIFF")), smooth())
    image = load(saved(picture, "JPEG", quality=95))
    assert np.abs(image.astype(int) - smooth()).mean() < 4


def test_adobe_ycck_jpeg_is_not_shown_as_a_negative():
    # Adobe's marker says that the four channels are inverted YCCK (transform 2).
    white = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    data = saved(white, "JPEG")
    assert load(data).min() > 250
    place = data.index(b"Adobe") + 11
    assert data[place] in (0, 2)
    ycck = data[:place] + bytes([2 - data[place]]) + data[place + 1 :]
    expected = np.asarray(Image.open(io.BytesIO(ycck)).convert("RGB"))
    assert np.array_equal(load(ycck), expected)


def test_ycbcr_tiff():
    picture = Image.fromarray(smooth()).convert("YCbCr")
    assert np.abs(load(saved(picture, "TIFF")).astype(int) - smooth()).max() <= 4


def test_lab_tiff_is_converted_by_colour_science():
    # L* 50, a* 0, b* 0 is middle grey, sRGB 119; L* 100 is white; a* +60 is reddish.
    channels = [[128, 255, 128], [128, 128, 188], [128, 128, 128]]
    lab = [Image.fromarray(np.array([channel], "uint8")) for channel in channels]
    middle, white, red = load(saved(Image.merge("LAB", lab), "TIFF"))[0].astype(int)
    assert np.abs(middle - 119).max() <= 2
    assert white.min() >= 253
    assert red[0] > red[1] + 80


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_taken(kind):
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert np.array_equal(load(data), np.full((3, 4, 3), [255, 0, 0]))


def test_of_the_two_pictures_of_a_3d_camera_the_first_is_taken():
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert load(data)[0, 0].tolist() == [254, 0, 0]


def test_interlaced_png():
    assert np.array_equal(load(interlaced_png(PIXELS)), PIXELS)
    assert np.array_equal(load(interlaced_png(PIXELS[:1, :1])), PIXELS[:1, :1])


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_sizes_at_the_edge(size):
    image = load(saved(Image.new("RGB", size, (1, 2, 3)), "PNG"))
    assert image.shape == (size[1], size[0], 3)
    assert (image == [1, 2, 3]).all()


# Where they come from.


def test_every_kind_of_source(tmp_path):
    data = saved(Image.fromarray(PIXELS), "PNG")
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    with path.open("rb") as file:
        sources = [path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), file]
        for source in sources:
            assert np.array_equal(vizlib.load_image(source), PIXELS)


def test_the_result_is_the_callers_own():
    data = saved(Image.fromarray(PIXELS), "PNG")
    load(data)[:] = 0
    assert np.array_equal(load(data), PIXELS)


def test_a_file_is_read_from_where_it_stands_and_left_open():
    data = saved(Image.fromarray(PIXELS), "PNG")
    file = io.BytesIO(b"head" + data)
    file.seek(4)
    assert np.array_equal(vizlib.load_image(file), PIXELS)
    assert not file.closed
    assert "empty" in refusal(file)


@pytest.mark.parametrize("suffix", [".jpg", ".txt", ".h5", ""])
def test_the_content_counts_not_the_name(tmp_path, suffix):
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(saved(Image.fromarray(PIXELS), "PNG"))
    assert np.array_equal(vizlib.load_image(path), PIXELS)


def test_a_name_that_promises_too_much(tmp_path):
    path = tmp_path / "photo.png"
    path.write_text("not a photo")
    assert "Expected a picture" in refusal(path)


class Odd:
    def __init__(self, read):
        self.read = read


def closed_file() -> io.BytesIO:
    file = io.BytesIO(b"x")
    file.close()
    return file


def raising(_count: int) -> bytes:
    raise RuntimeError("no connection")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "NoneType"),
        (5, "int"),
        (["photo.png"], "list"),
        (np.zeros((4, 4, 3), "uint8"), "ndarray"),
        (io.StringIO("text"), "binary mode"),
        (closed_file(), "closed file"),
        (Odd(None), "not callable"),
        (Odd(lambda: b""), "takes 0 positional arguments"),
        (Odd(raising), "no connection"),
        (Odd(lambda _count: None), "NoneType"),
        ("no/such/photo.png", "No such file"),
        ("", "directory"),
        ("a\0b", "null"),
        ("x" * 5000, "too long"),
    ],
)
def test_sources_that_cannot_be_read(source, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        vizlib.load_image(source)


def test_a_folder_is_no_picture(tmp_path):
    assert "directory" in refusal(tmp_path)


# Not pictures.


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("photo.txt", "hello")
    return file.getvalue()


def hdf5() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        made["x"] = [1, 2]
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello, this is a text", "something else"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "something else"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\n <?xml version='1.0'?><svg/>", "SVG"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        (archive(), "ZIP"),
        (hdf5(), "Keras"),
        (b"\0\0\0\x20ftypheic\0\0\0\0" + bytes(64), "HEIC"),
        (b"\0\0\0\x20ftypavif\0\0\0\0" + bytes(64), "AVIF"),
        (RNG.bytes(5000), "something else"),
        (bytes(5000), "something else"),
        (saved(Image.new("RGB", (16, 16)), "PPM"), "something else"),
        (saved(Image.new("RGB", (16, 16)), "TGA"), "something else"),
        (saved(Image.new("RGB", (16, 16)), "ICO"), "something else"),
        (saved(Image.new("RGB", (16, 16)), "JPEG2000"), "something else"),
        (saved(Image.new("RGB", (16, 16)), "PCX"), "something else"),
    ],
)
def test_other_files_are_named_for_what_they_are(data, reason):
    assert reason in refusal(data)


def test_postscript_never_reaches_an_interpreter(monkeypatch, tmp_path):
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("interpreted"))
    data = saved(Image.new("RGB", (4, 4)), "EPS")
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    for source in (data, path):
        assert "Expected a picture" in refusal(source)


# Damaged files.

ROUGH = Image.fromarray(smooth() // 2 + RNG.integers(0, 100, (32, 48, 3), dtype="uint8"))
GOOD = {
    "jpeg": saved(ROUGH, "JPEG"),
    "progressive": saved(ROUGH, "JPEG", progressive=True),
    "png": saved(ROUGH, "PNG"),
    "gif": saved(ROUGH, "GIF"),
    "webp": saved(ROUGH, "WEBP"),
    "lossless webp": saved(ROUGH, "WEBP", lossless=True),
    "tiff": saved(ROUGH, "TIFF"),
    "lzw tiff": saved(ROUGH, "TIFF", compression="tiff_lzw"),
    "bmp": saved(ROUGH, "BMP"),
}


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9])
def test_truncated_files_are_refused(kind, part):
    data = GOOD[kind]
    assert "damaged" in refusal(data[: max(3, int(part * len(data)))])


def test_bad_checksum():
    data = bytearray(GOOD["png"])
    data[data.index(b"IDAT") + 10] ^= 0xFF
    assert "damaged" in refusal(bytes(data))


def mutated(data: bytes, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    changed = bytearray(data)
    for place in rng.integers(0, len(data), rng.integers(1, 6)):
        changed[place] = rng.integers(0, 256)
    kept = rng.integers(1, len(data)) if seed % 4 == 0 else len(data)
    start = rng.integers(0, len(data))
    middle = rng.bytes(int(rng.integers(1, 40))) if seed % 4 == 1 else b""
    return bytes(changed[:start] + middle + changed[start:])[:kept]


def outcome(data: bytes) -> str:
    try:
        load(data)
    except UnreadableImageError as error:
        return str(error)
    return "a picture"


@pytest.mark.parametrize("kind", GOOD)
def test_damage_gives_a_picture_or_a_reason(kind):
    outcomes = {outcome(mutated(GOOD[kind], seed)) for seed in range(300)}
    assert "" not in outcomes
    assert any("damaged" in reason for reason in outcomes)
    # A fuzz test that meets one kind of outcome only would not be one; PNG checks every byte.
    assert "a picture" in outcomes or kind == "png"


def test_garbage_in_the_middle_of_a_jpeg():
    data = GOOD["jpeg"]
    middle = (data.index(b"\xff\xda") + len(data)) // 2
    noises = [np.random.default_rng(seed).bytes(30) for seed in range(20)]
    outcomes = {outcome(data[:middle] + noise + data[middle + 30 :]) for noise in noises}
    assert all(reason == "a picture" or "damaged" in reason for reason in outcomes)


# Hostile files.


@pytest.fixture
def quickly() -> Iterator[None]:
    """The computing that a refusal may take: far less than decoding would."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 5


@pytest.mark.parametrize("size", [(10_000, 6_000), (14_000, 12_800), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_before_decoding(size, quickly):
    assert "50 megapixels" in refusal(png(*size, 1, 0, bytes(100)))


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP", "JPEG"])
def test_too_many_pixels_in_other_formats(kind, quickly):
    # Above 50 and below 89 megapixels Pillow says nothing at all.
    data = bytearray(saved(Image.new("L", (300, 200)), kind))
    wide, high = 9000, 8000
    if kind == "GIF":
        data[6:10] = struct.pack("<HH", wide, high)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", wide, high)
    elif kind == "TIFF":
        data = grey_tiff(bytes(10), width=wide, bits=8)
        data = data.replace(
            struct.pack("<HHIHH", 257, 3, 1, 1, 0), struct.pack("<HHIHH", 257, 3, 1, high, 0)
        )
    elif kind == "WEBP":
        place = data.index(b"\x9d\x01\x2a") + 3
        data[place : place + 4] = struct.pack("<HH", wide, high)
    else:
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = struct.pack(">HH", high, wide)
    assert "50 megapixels" in refusal(bytes(data))


def test_exactly_the_permitted_number_of_pixels_is_read():
    data = saved(Image.new("1", (10_000, 5_000), 1), "PNG")
    assert load(data).shape == (5000, 10_000, 3)
    more = png(10_000, 5_001, 1, 0, bytes(100))
    assert "50 megapixels" in refusal(more)


@pytest.mark.parametrize(
    ("kind", "start"), [(b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")]
)
def test_compressed_notes_are_not_unpacked_without_end(kind, start, quickly):
    bomb = chunk(kind, start + zlib.compress(bytes(100_000_000), 1))
    assert "too large" in refusal(png(1, 1, 8, 2, b"\0\1\2\3", bomb))


def test_pixels_beyond_the_declared_size_are_not_unpacked(quickly):
    assert load(png(10, 10, 8, 2, bytes(100_000_000))).shape == (10, 10, 3)


def test_thousands_of_scans_are_refused_at_once(quickly):
    noise = Image.fromarray(RNG.integers(0, 256, (512, 512), dtype="uint8"))
    data = saved(noise, "JPEG", progressive=True, quality=30)
    scans = data.count(b"\xff\xda")
    assert 1 < scans <= MAX_JPEG_SCANS
    assert load(data).shape == (512, 512, 3)
    header, last = data[:-2], b"\xff\xda\x00\x08\x01\x01\x00\x01\x05\x00"
    assert "Received one of 2000" in refusal(header + last * (2000 - scans) + b"\xff\xd9")


def test_large_files_are_not_read_to_the_end(tmp_path, quickly):
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.write(GOOD["jpeg"])
        file.truncate(10**10)
    assert f"{MAX_MEGABYTES} MB" in refusal(path)
    with path.open("rb") as file:
        assert f"{MAX_MEGABYTES} MB" in refusal(file)
        assert file.tell() <= MAX_MEGABYTES * 10**6 + 1
    assert f"{MAX_MEGABYTES} MB" in refusal(bytes(MAX_MEGABYTES * 10**6 + 1))


def test_a_file_of_the_permitted_size_is_read():
    data = GOOD["bmp"]
    assert np.array_equal(load(data + bytes(MAX_MEGABYTES * 10**6 - len(data))), load(data))


# The photos that come along.


def test_the_upright_portrait_is_shown_upright():
    folder = Path(__file__).parent.parent / "sample_images"
    assert vizlib.load_image(folder / "dog-portrait.jpg").shape == (488, 366, 3)
    plain = vizlib.load_image(folder / "cameraman-grayscale.png")
    assert np.array_equal(plain[..., 0], plain[..., 2])
