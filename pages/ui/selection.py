"""Which network and which photo the visitor looks at: the sidebar, and what pages read of it."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import streamlit as st
from PIL import Image, ImageOps

import vizlib
from pages.ui.errors import told
from pages.ui.tiles import Tiles, pick_tile

Chosen = TypeVar("Chosen")

OWN = "own"
_SAMPLES = Path(__file__).parents[2] / "sample_images"
_THUMBNAIL = 96
_LONGEST_SIDE_SHOWN = 960


@dataclass(frozen=True)
class Network:
    """A loaded network, and a key that names its content."""

    key: str
    title: str
    convnet: vizlib.ConvNet


@dataclass(frozen=True)
class Photo:
    """A photo, a key that names its content, and a copy no larger than a page shows."""

    key: str
    title: str
    image: np.ndarray
    small: np.ndarray


@dataclass(frozen=True)
class Selection:
    """What every page works on."""

    network: Network
    photo: Photo

    @property
    def convnet(self) -> vizlib.ConvNet:
        """The network."""
        return self.network.convnet

    @property
    def image(self) -> np.ndarray:
        """The photo, uint8 RGB ``(H, W, 3)``."""
        return self.photo.image

    @property
    def picture(self) -> np.ndarray:
        """The photo as pages show it: the same, or smaller."""
        return self.photo.small


def current() -> Selection:
    """Return what the visitor looks at; start over where a page was opened without the frame."""
    if "selection" not in st.session_state:
        st.switch_page("dashboard.py")
    return st.session_state["selection"]


def choose() -> bool:
    """Draw the sidebar; returns whether there is a network and a photo to look at.

    What cannot be loaded is told, and what was chosen before stays.
    """
    with st.sidebar:
        network = _latest("chosen_network", _choose_network, "network")
        photo = _latest("chosen_photo", _choose_photo, "photo")
    if network is None or photo is None:
        return False
    st.session_state["selection"] = Selection(network, photo)
    return True


def _latest(key: str, choose_one: Callable[[], Chosen | None], kind: str) -> Chosen | None:
    chosen = None
    with told():
        chosen = choose_one()
        if chosen is not None:
            st.session_state[key] = chosen
    latest = st.session_state.get(key)
    if chosen is None and latest is not None:
        st.caption(f"Meanwhile the pages show the {kind} chosen before: **{latest.title}**.")
    return latest


# Links, such as /?network=mobilenet-bundled&sample=parrot. Streamlit's own binding of widgets to
# the address goes by the titles shown, which are longer and may change.


def _follow_link(key: str, options: Sequence[str]) -> None:
    """Take the first choice of a visitor from the address; what it cannot mean is ignored."""
    wanted = st.query_params.get(key)
    if key not in st.session_state and wanted in options:
        st.session_state[key] = wanted


def _keep_link(key: str, name: str, options: Sequence[str]) -> None:
    """Note a choice in the address, so that it can be sent to others and survives a reload."""
    if name not in options:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != name:
        st.query_params[key] = name


# The network.


def _choose_network() -> Network | None:
    names = vizlib.available_convnets()
    _follow_link("network", names)
    name = st.selectbox(
        "Network",
        [*names, OWN],
        format_func=_network_title,
        key="network",
        help="Bundled networks open at once. Others fetch their weights first, if you say so.",
    )
    _keep_link("network", name, names)
    if name == OWN:
        return _own_network()
    known = vizlib.ZOO[name]
    if not known.file().exists() and not _fetched(name):
        return None
    with st.spinner(f"Loading {known.title} …"):
        return Network(name, known.title, _zoo_network(name))


def _network_title(name: str) -> str:
    if name == OWN:
        return "Your own model …"
    known = vizlib.ZOO[name]
    return f"{known.title} ({known.origin})"


def _fetched(name: str) -> bool:
    """Fetch weights when the visitor asks for it; returns whether they are here now."""
    known = vizlib.ZOO[name]
    st.info(f"The weights of {known.title} are not on this computer: {known.megabytes} MB.")
    if not st.button(f"Download {known.megabytes} MB", icon=":material/download:", type="primary"):
        return False
    bar = st.progress(0.0, text="Connecting … (any other click stops it)")

    def progress(done: int, total: int) -> None:
        bar.progress(done / total, text=f"{done / 1e6:.0f} of {total / 1e6:.0f} MB")

    try:
        known.fetch(progress)
    finally:
        bar.empty()
    return True


@st.cache_resource(max_entries=3, show_spinner=False)
def _zoo_network(name: str) -> vizlib.ConvNet:
    return vizlib.load_convnet(name)


def _own_network() -> Network | None:
    upload = st.file_uploader("Model file", type=["keras", "h5", "hdf5"], key="model_file")
    preprocess = st.selectbox(
        "Preprocessing",
        list(vizlib.PREPROCESSINGS),
        format_func=lambda name: f"{name}: {vizlib.PREPROCESSINGS[name].description}",
        key="preprocess",
        help="What your training code did to the pixels. Choose raw if the model rescales itself.",
    )
    names = st.text_area(
        "Class names, one a line (optional)",
        key="class_names",
        placeholder="cat\ndog",
        help="In the order of the outputs. A single sigmoid unit has two: those for 0 and for 1.",
    )
    if upload is None:
        walls = ", ".join(vizlib.confinement_layers())
        st.caption(
            "Whole models saved with `model.save`, by Keras 2 or 3. Nothing in a file is run; it "
            f"is read behind these walls: {walls}."
        )
        return None
    content = upload.getvalue()
    labels = tuple(line.strip() for line in names.splitlines() if line.strip())
    digest = hashlib.sha256(content).hexdigest()
    with st.spinner(f"Opening {upload.name} …"):
        convnet = _uploaded_network(digest, preprocess, labels, content)
    return Network(f"{digest}:{preprocess}:{labels}", upload.name, convnet)


@st.cache_resource(max_entries=2, show_spinner=False, scope="session")
def _uploaded_network(
    digest: str, preprocess: str, labels: tuple[str, ...], _content: bytes
) -> vizlib.ConvNet:
    return vizlib.load_convnet(_content, preprocess=preprocess, labels=labels or None)


# The photo.


def _choose_photo() -> Photo | None:
    source = st.segmented_control(
        "Photo",
        ["Samples", "Upload", "Camera"],
        default="Samples",
        required=True,
        key="photo_from",
    )
    if source == "Samples":
        return _sample()
    if source == "Upload":
        given = st.file_uploader(
            "Photo file", type=["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"]
        )
    else:
        given = st.camera_input("Take a photo")
    if given is None:
        return None
    content = given.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    return Photo(digest, given.name, *_decoded(digest, content))


@st.cache_resource(max_entries=16, show_spinner=False)
def _decoded(digest: str, _content: bytes) -> tuple[np.ndarray, np.ndarray]:
    image = vizlib.load_image(_content)
    return image, _small(image)


def _small(image: np.ndarray) -> np.ndarray:
    if max(image.shape[:2]) <= _LONGEST_SIDE_SHOWN:
        return image
    picture = Image.fromarray(image)
    picture.thumbnail((_LONGEST_SIDE_SHOWN, _LONGEST_SIDE_SHOWN))
    return np.asarray(picture)


def _sample() -> Photo:
    names = [path.stem for path in _sample_files()]
    _follow_link("sample", names)
    name = st.selectbox("Sample photo", names, format_func=_title, key="sample")
    _keep_link("sample", name, names)

    def pick(index: int) -> None:
        st.session_state["sample"] = names[index]

    pick_tile(
        _thumbnails(),
        key="samples",
        selected=names.index(name),
        on_pick=pick,
        alt="Sample photos to choose from: " + ", ".join(_title(n) for n in names),
    )
    path = next(path for path in _sample_files() if path.stem == name)
    return Photo(name, _title(name), *_decoded(name, path.read_bytes()))


def _title(name: str) -> str:
    return name.replace("-", " ").capitalize()


@st.cache_resource(show_spinner=False)
def _sample_files() -> list[Path]:
    files = sorted(p for p in _SAMPLES.iterdir() if p.suffix in {".jpg", ".png"})
    return sorted(files, key=lambda path: path.stem != "cat-and-dog")


@st.cache_resource(show_spinner=False)
def _thumbnails() -> Tiles:
    squares = [_square(vizlib.load_image(path)) for path in _sample_files()]
    return Tiles(
        png=vizlib.render.to_png(vizlib.render.montage(squares, columns=4, gap=0)),
        columns=4,
        height=_THUMBNAIL,
        width=_THUMBNAIL,
        gap=0,
        labels=[_title(path.stem) for path in _sample_files()],
    )


def _square(image: np.ndarray) -> np.ndarray:
    return np.asarray(ImageOps.fit(Image.fromarray(image), (_THUMBNAIL, _THUMBNAIL)))
