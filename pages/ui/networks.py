"""Choosing a network: one that has a name, or the visitor's own model file."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

import vizlib
from pages.ui import links
from pages.ui.wording import as_written

OWN = "own"
#: The preprocessing that the network itself tells.
AUTOMATIC = "automatic"
#: What an upload can be besides the weights of a network of keras.applications.
WHOLE, JSON = "whole", "json"


@dataclass(frozen=True)
class Network:
    """A loaded network, and a key that names its content.

    ``source`` and ``options`` are what a script would give to `vizlib.load_convnet`.
    """

    key: str
    title: str
    convnet: vizlib.ConvNet
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    own: bool = False


def choose() -> Network | None:
    """Draw the controls; None while nothing is chosen or at hand."""
    names = vizlib.available_convnets()
    links.follow("network", names)
    name = st.selectbox(
        "Network",
        [*names, OWN],
        format_func=title,
        key="network",
        help="Bundled networks open at once. Others fetch their weights first, if you say so.",
    )
    links.keep("network", name if name in names else None)
    if name == OWN:
        return _own_network()
    if name not in at_hand() and not _fetched(name):
        return None
    return named(name)


def at_hand() -> list[str]:
    """Networks of the zoo whose weights are on this computer."""
    return [name for name in vizlib.available_convnets() if vizlib.ZOO[name].file().exists()]


def named(name: str) -> Network:
    """Load a network of the zoo."""
    known = vizlib.ZOO[name]
    with st.spinner(f"Loading {known.title} …"):
        return Network(name, known.title, _zoo_network(name), name)


def title(name: str) -> str:
    """What menus call a network."""
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
    architecture, classes = _architecture()
    preprocess = st.selectbox(
        "Preprocessing",
        [AUTOMATIC, *vizlib.PREPROCESSINGS],
        format_func=_preprocessing_title,
        key="preprocess",
        help="What your training code did to the pixels, if the network itself does not tell. "
        "The network page shows what speaks for which.",
    )
    labels = _class_names()
    if upload is None:
        walls = ", ".join(vizlib.confinement_layers())
        st.caption(
            "Whole models saved with `model.save`, by Keras 2 or 3, or weights alone. Nothing in a "
            f"file is run; it is read behind these walls: {walls}."
        )
        return None
    content = upload.getvalue()
    key = f"{hashlib.sha256(content).hexdigest()}:{architecture}:{classes}"
    with st.spinner(f"Opening {as_written(upload.name, longest=60)} …"):
        opened = _opened(upload.file_id, key, architecture, classes, content)
        if isinstance(opened, vizlib.VizlibError):
            raise opened
        convnet = _read(key, preprocess, labels, opened)
    key = f"{key}:{convnet.preprocess}:{labels}"
    options = _options(architecture, classes, convnet.preprocess, labels)
    return Network(key, upload.name, convnet, upload.name, options, own=True)


def _options(
    architecture: str | bytes | None, classes: int | None, preprocess: str, labels: tuple[str, ...]
) -> dict[str, Any]:
    name = "model.json" if isinstance(architecture, bytes) else architecture
    given = {"architecture": name, "classes": classes, "preprocess": preprocess, "labels": labels}
    return {key: value for key, value in given.items() if value}


def _architecture() -> tuple[str | bytes | None, int | None]:
    """Let the visitor say what weights alone do not: whose they are, and of how many classes."""
    with st.expander("Only weights, no architecture?"):
        name = st.selectbox(
            "Whose weights",
            [WHOLE, *vizlib.available_architectures(), JSON],
            format_func=lambda name: {WHOLE: "a whole model", JSON: "a .json file …"}.get(
                name, name
            ),
            key="architecture",
            help="For files made by `model.save_weights`: the network of keras.applications that "
            "they belong to, or the architecture that `model.to_json()` gave.",
        )
        if name == WHOLE:
            return None, None
        if name != JSON:
            count = st.number_input(
                "Classes", 0, 100_000, key="classes", help="0: as many as the file has."
            )
            return name, count or None
        file = st.file_uploader("Architecture", type=["json"], key="architecture_file")
        return (file.getvalue() if file is not None else None), None


def read_as(preprocess: str) -> None:
    """Switch how the visitor's own network is read; for callbacks."""
    st.session_state["preprocess"] = preprocess


def _preprocessing_title(name: str) -> str:
    if name == AUTOMATIC:
        return "automatic: from the network"
    return f"{name}: {vizlib.PREPROCESSINGS[name].description}"


def _class_names() -> tuple[str, ...]:
    with st.expander("Class names (optional)"):
        text = st.text_area(
            "Paste them",
            key="class_names",
            placeholder="cat\ndog",
            help="One a line in the order of the outputs, a JSON list, or the class indices of the "
            "training data, {'cat': 0, 'dog': 1}. A single sigmoid unit has two: for 0 and for 1.",
        )
        file = st.file_uploader("Or upload a file of them", type=["txt", "json"], key="class_file")
    given = file.getvalue() if file is not None else text
    return vizlib.parse_labels(given) if given.strip() else ()


# The file is read once, however it is looked at afterwards.
@st.cache_resource(max_entries=2, show_spinner=False, scope="session")
def _opened(
    upload: str,
    key: str,
    architecture: str | bytes | None,
    classes: int | None,
    _content: bytes,
) -> vizlib.ConvNet | vizlib.VizlibError:
    """Open an upload, or keep why it cannot be; uploading it again is another try."""
    try:
        return vizlib.load_convnet(_content, architecture=architecture, classes=classes)
    except vizlib.VizlibError as error:
        # Without what led to it: the frames behind that hold the file.
        return type(error)(*error.args)


@st.cache_resource(max_entries=4, show_spinner=False, scope="session")
def _read(
    key: str, preprocess: str, labels: tuple[str, ...], _opened: vizlib.ConvNet
) -> vizlib.ConvNet:
    wanted = _opened.preprocess if preprocess == AUTOMATIC else preprocess
    return vizlib.ConvNet(
        _opened.model, preprocess=wanted, labels=labels or None, name=_opened.name
    )
