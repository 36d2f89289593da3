"""Uploads of strangers, one after the other in one session: a sentence each, and the rest stays."""

# ruff: noqa: TID251 - these tests are about the pages.

import contextlib
import gc
import os
import re
import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import hostile_files as hostile
import numpy as np
import pytest
import test_images as images
from app_driver import captions, fade, pictures, png, upload_model, visit
from PIL import Image
from streamlit.testing.v1 import AppTest

from vizlib import confinement

# What one session may grow by: less than the largest model, 229 MiB, and more than the heap does.
KEPT_BYTES = 150e6
# Of these only the name tells what they are, and the uploader does not take that name.
KNOWN_BY_NAME = ("kind-onnx", "kind-protobuf")
EVERY_FIFTH = sorted(hostile.FILES)[::5]


@pytest.fixture
def untouched(tmp_path, monkeypatch) -> Iterator[None]:
    """In the end no payload has run, and there is no child and no temporary file."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = children()
    yield
    assert not (tmp_path / hostile.MARKER).exists()
    assert list(folder.iterdir()) == []
    assert children() <= before


def children() -> set[str]:
    found: set[str] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError):  # the thread has ended meanwhile
            found.update(task.read_text().split())
    return found


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def give_model(app: AppTest, content: bytes, name: str = "model.keras") -> None:
    app.sidebar.file_uploader[0].set_value((name, content, "application/octet-stream"))
    app.run()
    assert not app.exception


def give_photo(app: AppTest, content: bytes, name: str = "photo.png") -> None:
    app.sidebar.file_uploader[-1].set_value((name, content, "image/png"))
    app.run()
    assert not app.exception


def refusal(app: AppTest) -> str:
    """The one sentence told, and told beside the controls."""
    assert [error.value for error in app.main.error] == []
    (error,) = app.sidebar.error
    assert error.value.startswith("Expected")
    return unescaped(error.value)


def unescaped(text: str) -> str:
    """Markdown as it is read."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text).replace("\u2060", "")


# Models.


def refuse_all(app: AppTest, names: Iterable[str], folder: Path) -> None:
    before = pictures(app)
    for name in names:
        file = hostile.FILES[name]
        suffix = file.suffix if file.suffix in (".keras", ".h5") else ".keras"
        give_model(app, file.make(folder), f"{name}{suffix}")
        reason = "another kind" if name in KNOWN_BY_NAME else file.reason
        assert re.search(reason, refusal(app)), (name, refusal(app))
        assert any("Meanwhile the pages show the network" in text for text in captions(app))
        assert pictures(app) == before


def test_hostile_models_in_one_session_and_an_honest_one_after_them(dashboard, untouched, tmp_path):
    app = dashboard("heatmaps")
    app.sidebar.selectbox(key="network").set_value("own").run()
    before = pictures(app)
    refuse_all(app, EVERY_FIFTH, tmp_path)
    give_model(app, hostile.honest_keras())
    assert not app.sidebar.error
    assert len(pictures(app)) == len(before)
    assert pictures(app)[1:] != before[1:]


@pytest.mark.slow
def test_the_whole_corpus_in_one_session(dashboard, untouched, tmp_path):
    app = dashboard("heatmaps")
    app.sidebar.selectbox(key="network").set_value("own").run()
    refuse_all(app, EVERY_FIFTH, tmp_path)
    warm = resident_bytes()
    refuse_all(app, sorted(hostile.FILES), tmp_path)
    assert resident_bytes() - warm < KEPT_BYTES
    app.sidebar.selectbox(key="network").set_value("squeezenet").run()
    assert not app.error
    assert len(pictures(app)) == 3


def test_a_refused_file_is_read_once_however_often_is_clicked(dashboard, tmp_path, monkeypatch):
    started: list[int] = []
    run = confinement._run_child
    monkeypatch.setattr(confinement, "_run_child", lambda *files: started.append(1) or run(*files))
    app = upload_model(dashboard(), hostile.FILES["zip-assets"].make(tmp_path))
    told = refusal(app)
    started.clear()
    visit(app, "heatmaps")
    fade(app, 0.2)
    assert refusal(app) == told
    assert started == []
    give_model(app, hostile.FILES["zip-assets"].make(tmp_path))
    assert started == [1]


# Photos.


def flat_png(width: int, height: int, shade: int = 0) -> bytes:
    """Black and white, one bit a pixel."""
    row = b"\0" + bytes([255 * (shade % 2)]) * (-(-width // 8))
    return images.png(width, height, 1, 0, row * height + bytes(shade))


def scans(count: int) -> bytes:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype="uint8"))
    data = images.saved(noise, "JPEG", progressive=True)
    return data[:-2] + b"\xff\xda\x00\x08\x01\x01\x00\x01\x05\x00" * count + b"\xff\xd9"


def palette(**options) -> bytes:
    picture = Image.fromarray(np.arange(12, dtype="uint8").reshape(3, 4), "L").convert("P")
    picture.putpalette([shade for index in range(12) for shade in (index, 0, 255 - index)])
    return images.saved(picture, "PNG", **options)


def frames(count: int) -> bytes:
    made = [Image.new("P", (9, 9), index % 200) for index in range(count)]
    return images.saved(made[0], "GIF", save_all=True, append_images=made[1:])


PICTURES = {
    "many pixels": flat_png(7000, 7000),
    "grey of 16 bits": images.saved(
        Image.fromarray(np.arange(0, 60_000, 100, dtype="uint16").reshape(20, 30)), "PNG"
    ),
    "float grey": images.saved(Image.fromarray(np.linspace(-1, 9, 60).reshape(6, 10)), "TIFF"),
    "palette": palette(),
    "transparent palette": palette(transparency=3),
    "alpha": images.png(2, 1, 8, 6, b"\0" + bytes([100, 0, 255, 51, 7, 8, 9, 0])),
    "cmyk": images.saved(Image.new("CMYK", (16, 16), (9, 8, 7, 6)), "JPEG"),
    "interlaced": images.interlaced_png(images.PIXELS),
    "turned": images.photo_file("JPEG", exif=images.exif(6)),
    "broken notes": images.photo_file("PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
    "one pixel": png(1, 1),
    "one row": png(4000, 1),
    "one column": png(1, 4000),
    "many frames": frames(300),
    "archive behind it": images.photo_file("JPEG") + images.archive(),
    "page inside": images.photo_file("JPEG", comment=b"<script>alert(1)</script><?php 1 ?>"),
    "web page behind it": images.photo_file("GIF") + b"<html><script>alert(1)</script>",
    "pixels behind its end": images.png(10, 10, 8, 2, bytes(20_000_000)),
    "tiff": images.photo_file("TIFF", compression="tiff_lzw"),
}
REFUSED = {
    "scan bomb": (scans(2000), "at most 40 scans"),
    "pixel bomb": (images.png(30_000, 30_000, 1, 0, bytes(100)), "50 megapixels"),
    "greatest size": (images.png(2**31 - 1, 2**31 - 1, 1, 0, bytes(100)), "50 megapixels"),
    "text bomb": (
        images.png(
            1, 1, 8, 2, b"\0\1\2\3", images.chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**7)))
        ),
        "too large",
    ),
    "colours bomb": (
        images.png(
            1, 1, 8, 2, b"\0\1\2\3", images.chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**7)))
        ),
        "too large",
    ),
    "large file": (images.GOOD["bmp"] + bytes(21_000_000), "at most 20 MB"),
    "wrong checksum": (images.GOOD["png"].replace(b"IDAT", b"IDAT\0", 1), "damaged"),
    "not finite": (
        images.saved(Image.fromarray(np.array([[0, np.nan]], "float32")), "TIFF"),
        "finite",
    ),
    "drawing": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "SVG"),
    "drawing with entities": (b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]>', "SVG"),
    "heic": (b"\0\0\0\x20ftypheic" + bytes(64), "HEIC"),
    "avif": (b"\0\0\0\x20ftypavif" + bytes(64), "AVIF"),
    "postscript": (images.saved(Image.new("RGB", (4, 4)), "EPS"), "something else"),
    "icon": (images.saved(Image.new("RGB", (16, 16)), "ICO"), "something else"),
    "web page": (b"<!DOCTYPE html><script>alert(1)</script>", "something else"),
    "pickle": (hostile.FILES["kind-pickle"].make(Path("/nowhere")), "something else"),
    "model": (hostile.honest_keras(), "ZIP"),
    "old model": (hostile.honest_h5(), "HDF5"),
    "document": (b"%PDF-1.7\n", "PDF"),
    "zeros": (bytes(5000), "something else"),
    "nothing": (b"", "empty"),
    "gif of giant size": (
        images.GOOD["gif"][:6] + struct.pack("<HH", 9000, 8000) + images.GOOD["gif"][10:],
        "50 megapixels",
    ),
    **{
        f"cut {kind}": (content[: len(content) // 2], "damaged")
        for kind, content in images.GOOD.items()
    },
}


def test_photos_in_one_session_give_a_picture_or_a_sentence(dashboard, untouched):
    app = dashboard(sample="parrot")
    app.sidebar.button_group(key="photo_from").set_value("upload").run()
    sizes = []
    for _ in range(2):
        show_all_pictures(app)
        refuse_all_others(app)
        sizes.append(resident_bytes())
    assert sizes[1] - sizes[0] < KEPT_BYTES


def show_all_pictures(app: AppTest) -> None:
    for name, content in PICTURES.items():
        give_photo(app, content, f"{name}.png")
        assert not app.error, name
        assert any(text.startswith(f"{name}.png, ") for text in map(unescaped, captions(app)))


def refuse_all_others(app: AppTest) -> None:
    before = pictures(app)
    for name, (content, reason) in REFUSED.items():
        give_photo(app, content, f"{name}.png")
        assert re.search(reason, refusal(app)), (name, refusal(app))
        assert any("Meanwhile the pages show the photo" in text for text in captions(app))
        assert pictures(app) == before, name


def test_giant_photos_do_not_pile_up(dashboard):
    """Each is a file of some kilobytes, and 147 MB once it is unpacked."""
    app = dashboard()
    app.sidebar.button_group(key="photo_from").set_value("upload").run()
    before = resident_bytes()
    for shade in range(8):
        give_photo(app, flat_png(7000, 7000, shade))
        assert not app.error
    assert resident_bytes() - before < 5 * 147e6
