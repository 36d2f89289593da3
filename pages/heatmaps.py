"""Where in the photo does a class score come from?"""

import numpy as np
import streamlit as st

import vizlib
from pages.ui import computing, controls, selection

BOTH_SIGNS = "RdBu_r"


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
        format_func=lambda i: f"{convnet.label(i)}  ·  {probabilities[i]:.1%}",
        key=f"class:{chosen.network.key}:{chosen.photo.key}",
        persist_state="session",
        help="Type a name to search all classes.",
    )
    with right:
        layer = controls.choose_layer(convnet, key="heatmap", default=convnet.default_layer)
    return class_index, layer


def show_heatmap(chosen: selection.Selection, found: vizlib.Heatmap) -> None:
    signed, alpha, colormap = choose_look()
    values = found.values if signed else found.positive
    limit = float(np.abs(values).max()) or None
    image = chosen.image
    coloured = vizlib.render.colorize(values, colormap=colormap, size=image.shape[:2], limit=limit)
    blended = vizlib.render.overlay(image, values, alpha=alpha, colormap=colormap, limit=limit)
    label = chosen.convnet.label(found.class_index)
    pictures = [
        (image, "The photo"),
        (coloured, f"Evidence for {label}"),
        (blended, "Laid over the photo"),
    ]
    for column, (picture, title) in zip(st.columns(3), pictures, strict=True):
        column.image(picture, title, width="stretch", output_format="PNG", alt=title)
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
    left, middle, right = st.columns([1, 2, 1], vertical_alignment="bottom")
    signed = left.toggle(
        "Evidence against, too",
        key="signed",
        persist_state="session",
        help="Red speaks for the class, blue against it.",
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
    if signed:
        right.caption("Colours: red for, blue against")
        return True, alpha, BOTH_SIGNS
    with right:
        return False, alpha, controls.choose_colormap(key="heatmap_colours", default="jet")


show()
