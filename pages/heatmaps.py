"""Where in the photo does a class score come from?"""

from collections import Counter

import numpy as np
import streamlit as st

import vizlib
from pages.ui import computing, controls, selection


def show() -> None:
    chosen = selection.current()
    controls.heading(
        "Where does the score come from?",
        "Grad-CAM: the maps of a layer, weighed by how much the class score rises with them. "
        "It tells where, not what, and no finer than the layer's own resolution.",
    )
    if not chosen.convnet.is_classifier:
        st.info(
            "This network has no classes, so there is no score to explain. Choose one with "
            "classes, or look at its activations and filters.",
            icon=":material/info:",
        )
        return
    class_index, layer = choose_question(chosen)
    found = computing.heatmap(
        chosen.network.key, chosen.photo.key, "Grad-CAM", layer.name, class_index, chosen
    )
    if found.diagnosis:
        st.warning(found.diagnosis, icon=":material/warning:")
    show_heatmap(chosen, found)


def choose_question(chosen: selection.Selection) -> tuple[int, vizlib.LayerInfo]:
    convnet = chosen.convnet
    probabilities = computing.scores(chosen.network.key, chosen.photo.key, chosen)
    ranked = [int(i) for i in np.argsort(-probabilities, kind="stable")]
    left, right = st.columns(2)
    class_index = left.selectbox(
        "Class, most likely first",
        ranked,
        format_func=class_titles(convnet, probabilities).__getitem__,
        key=f"class:{chosen.network.key}:{chosen.photo.key}",
        persist_state="session",
        help="Type a name to search all classes.",
    )
    with right:
        layer = controls.choose_layer(convnet, key="heatmap", default=convnet.default_layer)
    return class_index, layer


def class_titles(convnet: vizlib.ConvNet, probabilities: np.ndarray) -> list[str]:
    """Name and probability of each class, and its number where two have the same name."""
    names = [convnet.label(i) for i in range(convnet.classes)]
    times = Counter(names)
    unique = [name if times[name] == 1 else f"{name} ({i})" for i, name in enumerate(names)]
    return [f"{name}  ·  {p:.1%}" for name, p in zip(unique, probabilities, strict=True)]


def show_heatmap(chosen: selection.Selection, found: vizlib.Heatmap) -> None:
    signed, alpha, colormap = choose_look()
    values = found.values if signed else found.positive
    limit = float(np.abs(values).max()) or None
    image = chosen.picture
    coloured = vizlib.render.colorize(values, colormap=colormap, size=image.shape[:2], limit=limit)
    blended = vizlib.render.overlay(image, values, alpha=alpha, colormap=colormap, limit=limit)
    label = chosen.convnet.label(found.class_index)
    evidence = f"Evidence for{' and against' if signed else ''} {label}"
    controls.side_by_side(
        [(image, "The photo"), (coloured, evidence), (blended, "Laid over the photo")]
    )
    left, right = st.columns([1, 2])
    with left:
        high = limit or 0.0
        controls.colour_bar(colormap, low=-high if signed else 0.0, high=high, unit="logit units")
    height, width = found.values.shape
    right.caption(
        f"Score of {label} before the activation: {found.score:.4g}. Maps of {found.layer}, "
        f"{width} x {height}, from {found.values.min():.3g} to {found.values.max():.3g}."
    )
    name = controls.file_stem(chosen.convnet.name, found.layer, label, chosen.photo.title)
    with right.container(horizontal=True):
        controls.download_png(vizlib.render.to_png(blended), name, key="heatmap_png")
        controls.download_npz({"values": found.values}, name, key="heatmap_npz")


def choose_look() -> tuple[bool, float, str]:
    left, middle, right = st.columns([4, 4, 3], vertical_alignment="bottom")
    signed = left.toggle(
        "Evidence against, too",
        key="signed",
        persist_state="session",
        help="Show what speaks against the class in colours of its own.",
    )
    alpha = middle.slider(
        "Opacity",
        0.0,
        1.0,
        0.5,
        0.05,
        key="alpha",
        persist_state="session",
        help="0 shows the photo alone, 1 the map alone.",
    )
    with right:
        if signed:
            return True, alpha, controls.choose_signed_colormap(key="heatmap_signed_colours")
        return False, alpha, controls.choose_colormap(key="heatmap_colours", default="jet")


show()
