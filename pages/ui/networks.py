"""Choosing a network: one that has a name, or the visitor's own model file."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

import vizlib
from pages.ui import language, links
from pages.ui.language import say
from pages.ui.retelling import retold
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
    options = [*names, OWN]
    name = st.selectbox(
        say("networks.network"),
        options,
        index=language.place("network", options),
        format_func=title,
        key="network",
        help=say("networks.help_network"),
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
    called = retold(known.title)
    with st.spinner(say("networks.loading", title=called)):
        return Network(name, called, _zoo_network(name), name)


def title(name: str) -> str:
    """What menus call a network."""
    if name == OWN:
        return say("networks.own")
    known = vizlib.ZOO[name]
    origin = say(f"networks.origin.{known.origin}")
    return say("networks.named", title=retold(known.title), origin=origin)


def _fetched(name: str) -> bool:
    """Fetch weights when the visitor asks for it; returns whether they are here now."""
    known = vizlib.ZOO[name]
    size = known.megabytes
    st.info(say("networks.not_here", title=retold(known.title), megabytes=size))
    download = say("networks.download", megabytes=size)
    if not st.button(download, key="download", icon=":material/download:", type="primary"):
        return False
    bar = st.progress(0.0, text=say("networks.connecting"))

    def progress(done: int, total: int) -> None:
        bar.progress(done / total, text=say("networks.fetched", done=done / 1e6, total=total / 1e6))

    try:
        known.fetch(progress)
    finally:
        bar.empty()
    return True


@st.cache_resource(max_entries=3, show_spinner=False)
def _zoo_network(name: str) -> vizlib.ConvNet:
    return vizlib.load_convnet(name)


def _own_network() -> Network | None:
    upload = st.file_uploader(say("networks.file"), type=["keras", "h5", "hdf5"], key="model_file")
    architecture, classes = _architecture()
    readings = [AUTOMATIC, *vizlib.PREPROCESSINGS]
    preprocess = st.selectbox(
        say("networks.preprocessing"),
        readings,
        index=language.place("preprocess", readings),
        format_func=_preprocessing_title,
        key="preprocess",
        help=say("networks.help_preprocessing"),
    )
    labels = _class_names()
    if upload is None:
        walls = say("networks.comma").join(retold(wall) for wall in vizlib.confinement_layers())
        st.caption(say("networks.about_files", walls=walls))
        return None
    content = upload.getvalue()
    key = f"{hashlib.sha256(content).hexdigest()}:{architecture}:{classes}"
    with st.spinner(say("networks.opening", title=as_written(upload.name, longest=60))):
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
    with st.expander(say("networks.weights_alone")):
        ways = [WHOLE, *vizlib.available_architectures(), JSON]
        name = st.selectbox(
            say("networks.whose"),
            ways,
            index=language.place("architecture", ways),
            format_func=_architecture_title,
            key="architecture",
            help=say("networks.help_whose"),
        )
        if name == WHOLE:
            return None, None
        if name != JSON:
            count = st.number_input(
                say("networks.classes"),
                0,
                100_000,
                key="classes",
                help=say("networks.help_classes"),
            )
            return name, count or None
        file = st.file_uploader(
            say("networks.architecture"), type=["json"], key="architecture_file"
        )
        return (file.getvalue() if file is not None else None), None


def _architecture_title(name: str) -> str:
    return say(f"networks.architecture_in.{name}") if name in (WHOLE, JSON) else name


def read_as(preprocess: str) -> None:
    """Switch how the visitor's own network is read; for callbacks."""
    st.session_state["preprocess"] = preprocess


def _preprocessing_title(name: str) -> str:
    if name == AUTOMATIC:
        return say("networks.automatic")
    description = retold(vizlib.PREPROCESSINGS[name].description)
    return say("networks.preprocessing_named", name=name, description=description)


def _class_names() -> tuple[str, ...]:
    with st.expander(say("networks.names")):
        text = st.text_area(
            say("networks.paste"),
            key="class_names",
            placeholder=say("networks.example"),
            help=say("networks.help_names"),
        )
        file = st.file_uploader(say("networks.names_file"), type=["txt", "json"], key="class_file")
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
