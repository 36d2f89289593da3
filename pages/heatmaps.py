"""Where in the photo does a class score come from?"""

import inspect
from collections import Counter

import numpy as np
import streamlit as st

import vizlib
from pages.ui import computing, controls, selection
from pages.ui.wording import as_written

#: Methods whose values are parts of the class score.
IN_LOGITS = {
    *("Grad-CAM", "HiResCAM", "XGrad-CAM", "Finer-CAM", "Gradient x input"),
    *("Integrated Gradients", "Occlusion", "RISE"),
}


def show() -> None:
    chosen = selection.current()
    controls.heading(
        "Where does the score come from?",
        "Each method has its own way of asking, and none shows more than it asked: where, not "
        "what, and no finer than the maps it looks at.",
    )
    if not chosen.convnet.is_classifier:
        st.info(
            "This network has no classes, so there is no score to explain. Choose one with "
            "classes, or look at its activations and filters.",
            icon=":material/info:",
        )
        return
    class_index, method, layer = choose_question(chosen)
    found = computing.heatmap(
        chosen.network.key, chosen.photo.key, method, layer, class_index, chosen
    )
    if found.diagnosis:
        st.warning(found.diagnosis, icon=":material/warning:")
    if found.caveat:
        st.info(found.caveat, icon=":material/info:")
    show_heatmap(chosen, found)


def choose_question(chosen: selection.Selection) -> tuple[int, str, str]:
    convnet = chosen.convnet
    probabilities = computing.scores(chosen.network.key, chosen.photo.key, chosen)
    ranked = [int(i) for i in np.argsort(-probabilities, kind="stable")]
    left, middle, right = st.columns([3, 2, 3])
    class_index = left.selectbox(
        "Class, most likely first",
        ranked,
        format_func=class_titles(convnet, probabilities).__getitem__,
        key=f"class:{chosen.network.key}:{chosen.photo.key}",
        persist_state="session",
        help="Type a name to search all classes.",
    )
    method = middle.selectbox(
        "Method",
        list(vizlib.HEATMAP_METHODS),
        key="heatmap_method",
        persist_state="session",
        help="Those from Gradient on look at pixels. Score-CAM, occlusion and RISE take a while.",
    )
    st.caption(summary(method))
    if method in vizlib.PIXEL_METHODS:
        return class_index, method, ""
    with right:
        layer = controls.choose_layer(convnet, key="heatmap", default=convnet.default_layer)
    return class_index, method, layer.name


def summary(method: str) -> str:
    """First sentence of a method's documentation."""
    return (inspect.getdoc(vizlib.HEATMAP_METHODS[method]) or "").partition("\n")[0]


def class_titles(convnet: vizlib.ConvNet, probabilities: np.ndarray) -> list[str]:
    """Name and probability of each class, and its number where two have the same name."""
    names = [convnet.label(i) for i in range(convnet.classes)]
    times = Counter(names)
    unique = [name if times[name] == 1 else f"{name} ({i})" for i, name in enumerate(names)]
    return [f"{name}  ·  {p:.1%}" for name, p in zip(unique, probabilities, strict=True)]


def show_heatmap(chosen: selection.Selection, found: vizlib.Heatmap) -> None:
    signed, alpha, colormap = choose_look()
    values = found.values if signed else found.positive
    limit = highest(found.method, values) or None
    image = chosen.picture
    coloured = vizlib.render.colorize(values, colormap=colormap, size=image.shape[:2], limit=limit)
    blended = vizlib.render.overlay(image, values, alpha=alpha, colormap=colormap, limit=limit)
    label = chosen.convnet.label(found.class_index)
    evidence = f"Evidence for{' and against' if signed else ''} {label}"
    if found.class_free:
        evidence = "What stands out, for any class"
    controls.side_by_side(
        [(image, "The photo"), (coloured, evidence), (blended, "Laid over the photo")]
    )
    left, right = st.columns([1, 2])
    with left:
        high = limit or 0.0
        unit = "logit units" if found.method in IN_LOGITS else "no unit"
        controls.colour_bar(colormap, low=-high if signed else 0.0, high=high, unit=unit)
    height, width = found.values.shape
    right.caption(
        f"Score of {as_written(label)} before the activation: {found.score:.4g}. "
        f"{found.method} of {found.layer}, {width} x {height}, "
        f"from {found.values.min():.3g} to {found.values.max():.3g}."
    )
    name = controls.file_stem(
        chosen.convnet.name, found.method, found.layer, label, chosen.photo.title
    )
    with right.container(horizontal=True):
        controls.download_png(vizlib.render.to_png(blended), name, key="heatmap_png")
        controls.download_npz({"values": found.values}, name, key="heatmap_npz")


def highest(method: str, values: np.ndarray) -> float:
    """Value drawn in the last colour: of pixels a few stand so far out that they hide the rest."""
    share = 99.5 if method in vizlib.PIXEL_METHODS else 100
    sizes = np.abs(values)
    return float(np.percentile(sizes, share)) or float(sizes.max())


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
