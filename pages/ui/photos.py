"""Choosing a photo: one of the samples, an upload or the camera."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image, ImageOps

import vizlib
from pages.ui import language, links, picking
from pages.ui.language import say
from pages.ui.tiles import Tiles, pick_tile

_SAMPLES = Path(__file__).parents[2] / "sample_images"
_THUMBNAIL, _COLUMNS = 96, 4
_KINDS = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"]
_LONGEST_SIDE_SHOWN = 960
_MOSAIC_KEY = "samples_mosaic"
SAMPLES, UPLOAD, CAMERA = "samples", "upload", "camera"


@dataclass(frozen=True)
class Photo:
    """A photo, a key that names its content, and a copy no larger than a page shows.

    ``source`` is the file that a script would load.
    """

    key: str
    title: str
    source: str
    image: np.ndarray
    small: np.ndarray

    @property
    def name(self) -> str:
        """What files about it are called, whoever reads the page: its own, without the ending."""
        return Path(self.source).stem


def choose() -> Photo | None:
    """Draw the controls; None while nothing is chosen."""
    source = st.segmented_control(
        say("photos.photo"),
        [SAMPLES, UPLOAD, CAMERA],
        default=SAMPLES,
        format_func=lambda source: say(f"photos.from.{source}"),
        required=True,
        key="photo_from",
    )
    if source == SAMPLES:
        return _sample()
    if source == UPLOAD:
        given = st.file_uploader(say("photos.file"), type=_KINDS, key="photo_file")
    else:
        given = st.camera_input(say("photos.take"), key="camera")
    if given is None:
        return None
    content = given.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    return Photo(digest, given.name, given.name, *_uploaded(digest, content))


# A file of some kilobytes can be a photo of 150 MB, so no more of them than one goes back and forth
# between.
@st.cache_resource(max_entries=2, show_spinner=False, scope="session")
def _uploaded(digest: str, _content: bytes) -> tuple[np.ndarray, np.ndarray]:
    image = vizlib.load_image(_content)
    return image, vizlib.render.thumbnail(image, _LONGEST_SIDE_SHOWN)


@st.cache_resource(max_entries=16, show_spinner=False)
def _decoded(digest: str, _content: bytes) -> tuple[np.ndarray, np.ndarray]:
    image = vizlib.load_image(_content)
    return image, vizlib.render.thumbnail(image, _LONGEST_SIDE_SHOWN)


def _sample() -> Photo:
    names = [path.stem for path in _sample_files()]
    key = picking.key("sample", _MOSAIC_KEY, names)
    links.follow("sample", names, key=key)
    name = st.selectbox(
        say("photos.sample_photo"),
        names,
        index=language.place(key, names),
        format_func=title,
        key=key,
        persist_state="session",
    )
    links.keep("sample", name)

    titles = [title(name) for name in names]
    pick_tile(
        Tiles(_mosaic(), _COLUMNS, _THUMBNAIL, _THUMBNAIL, gap=0, labels=titles),
        key=_MOSAIC_KEY,
        choice="sample",
        values=names,
        selected=name,
        alt=say("photos.alt_samples", titles=say("photos.comma").join(titles)),
    )
    return samples()[name]()


def samples() -> dict[str, Callable[[], Photo]]:
    """What opens each sample photo, by the photo's key."""
    return {path.stem: partial(_opened_sample, path) for path in _sample_files()}


def _opened_sample(path: Path) -> Photo:
    source = f"{path.parent.name}/{path.name}"
    return Photo(path.stem, title(path.stem), source, *_decoded(path.stem, path.read_bytes()))


def title(name: str) -> str:
    """What menus call a sample photo."""
    return say(f"photos.sample.{name}")


@st.cache_resource(show_spinner=False)
def _sample_files() -> list[Path]:
    files = sorted(p for p in _SAMPLES.iterdir() if p.suffix in {".jpg", ".png"})
    return sorted(files, key=lambda path: path.stem != "cat-and-dog")


@st.cache_resource(show_spinner=False)
def _mosaic() -> bytes:
    squares = [_square(vizlib.load_image(path)) for path in _sample_files()]
    return vizlib.render.to_png(vizlib.render.montage(squares, columns=_COLUMNS, gap=0))


def _square(image: np.ndarray) -> np.ndarray:
    return np.asarray(ImageOps.fit(Image.fromarray(image), (_THUMBNAIL, _THUMBNAIL)))
