"""One heatmap beside its photo."""

from collections.abc import Sequence

import streamlit as st

import vizlib
from pages.ui import controls, explanations, look, scripts
from pages.ui.explanations import Question
from pages.ui.wording import as_written


def show(question: Question) -> None:
    """Draw the map of one question."""
    chosen = look.choose()
    found = explanations.answers("heatmap", [question], f"{question.method}: the photo many times")
    if found is None:
        return
    tell(found[0])
    draw(question, found[0], chosen)


def tell(found: vizlib.Heatmap) -> None:
    """Say what must be known to read a map."""
    if found.diagnosis:
        st.warning(as_written(found.diagnosis), icon=":material/warning:")
    if found.caveat:
        st.info(as_written(found.caveat), icon=":material/info:")


def draw(question: Question, found: vizlib.Heatmap, chosen: look.Look) -> None:
    picture, convnet = question.chosen.picture, question.chosen.convnet
    limit, label = chosen.limit(found), convnet.label(found.class_index)
    coloured = vizlib.render.colorize(
        chosen.values(found),
        colormap=chosen.colormap,
        size=picture.shape[:2],
        limit=limit or None,
    )
    blended = chosen.overlay(picture, found, limit)
    evidence = f"Evidence for{' and against' if chosen.signed else ''} {label}"
    if found.class_free:
        evidence = "What stands out, for any class"
    controls.side_by_side(
        [(picture, "The photo"), (coloured, evidence), (blended, "Laid over the photo")]
    )
    left, right = st.columns([1, 2])
    with left:
        chosen.colour_bar(limit, look.unit(found.method))
    height, width = found.values.shape
    right.caption(
        f"Score of {as_written(label)} before the activation: {found.score:.4g}. "
        f"{found.method} of {as_written(found.layer)}, {width} x {height}, "
        f"from {found.values.min():.3g} to {found.values.max():.3g}."
    )
    photo = question.chosen.photo.title
    name = controls.file_stem(convnet.name, found.method, found.layer, label, photo)
    with right.container(horizontal=True):
        controls.download_png(vizlib.render.to_png(blended), name, key="heatmap_png")
        controls.download_npz({"values": found.values}, name, key="heatmap_npz")
        offer_report(question, found, name)
    controls.copy_as_python(scripts.heatmaps([question], chosen, [name]))


def offer_report(
    question: Question,
    found: vizlib.Heatmap,
    name: str,
    tests: Sequence[vizlib.faithfulness.PixelTest] = (),
) -> None:
    """Offer a map with all that it rests on as a file."""
    convnet, image = question.chosen.convnet, question.chosen.image
    script = scripts.evidence(question)

    def report() -> str:
        return vizlib.heatmap_report(convnet, image, found, tests=tests, script=script)

    controls.download_report(report, name, key="heatmap_report")
