"""Where in the photo does a class score come from?"""

import inspect

import numpy as np
import streamlit as st

import vizlib
from pages.ui import (
    by_parts,
    comparison,
    computing,
    controls,
    evidence,
    layer_film,
    links,
    one_heatmap,
    selection,
)
from pages.ui.explanations import Question
from pages.ui.language import say
from pages.ui.retelling import retold

VIEWS = {
    "one": one_heatmap.show,
    "compare": comparison.show,
    "parts": by_parts.show,
    "layers": layer_film.show,
    "evidence": evidence.show,
}


def show() -> None:
    chosen = selection.current()
    controls.heading(say("heatmaps.title"), say("heatmaps.explanation"))
    if not chosen.convnet.is_classifier:
        st.info(say("heatmaps.no_classes"), icon=":material/info:")
        return
    question = choose_question(chosen)
    links.follow("view", VIEWS, key="view")
    view = st.segmented_control(
        say("heatmaps.views"),
        list(VIEWS),
        default="one",
        required=True,
        key="view",
        format_func=lambda name: say(f"heatmaps.view.{name}"),
        persist_state="session",
        label_visibility="collapsed",
    )
    links.keep("view", view)
    VIEWS[view](question)


def choose_question(chosen: selection.Selection) -> Question:
    convnet = chosen.convnet
    probabilities = computing.scores(chosen.network.key, chosen.photo.key, chosen)
    ranked = [int(i) for i in np.argsort(-probabilities, kind="stable")]
    class_key = f"class:{chosen.network.key}:{chosen.photo.key}"
    links.follow("class", ranked, key=class_key)
    links.follow("method", vizlib.HEATMAP_METHODS, key="heatmap_method")
    left, middle, right = st.columns([3, 2, 3])
    class_index = left.selectbox(
        say("heatmaps.class"),
        ranked,
        format_func=controls.class_titles(convnet, probabilities).__getitem__,
        key=class_key,
        persist_state="session",
        help=say("heatmaps.help_class"),
    )
    method = middle.selectbox(
        say("heatmaps.method"),
        list(vizlib.HEATMAP_METHODS),
        key="heatmap_method",
        persist_state="session",
        help=say("heatmaps.help_method"),
    )
    links.keep("class", class_index)
    links.keep("method", method)
    st.caption(retold(summary(method)))
    if method in vizlib.PIXEL_METHODS:
        return Question(chosen, method, "", class_index)
    with right:
        layer = controls.choose_layer(convnet, key="heatmap", default=convnet.default_layer)
    return Question(chosen, method, layer.name, class_index)


def summary(method: str) -> str:
    """First sentence of a method's documentation."""
    return (inspect.getdoc(vizlib.HEATMAP_METHODS[method]) or "").partition("\n")[0]


show()
