"""One heatmap over its photo."""

import streamlit as st

import vizlib
from pages.ui import blend, controls, explanations, look, scripts
from pages.ui.explanations import Question
from pages.ui.language import say
from pages.ui.retelling import retold, visitors
from pages.ui.wording import as_written


def show(question: Question) -> None:
    """Draw the map of one question."""
    chosen = look.choose()
    found = answer(question)
    if found is None:
        return
    tell(found)
    picture, facts = st.columns([3, 2], gap="large")
    with picture:
        draw(question, found, chosen)
    with facts:
        state(question, found, chosen)
    controls.copy_as_python(scripts.heatmaps([question], chosen, [file_stem(question, found)]))


def answer(question: Question) -> vizlib.Heatmap | None:
    """Find or compute the map; None while it is at work, which is shown."""
    title = say("one_heatmap.job", method=question.method)
    found = explanations.answers("heatmap", [question], title)
    return None if found is None else found[0]


def tell(found: vizlib.Heatmap) -> None:
    """Say what must be known to read a map."""
    if found.diagnosis:
        st.warning(as_written(retold(found.diagnosis)), icon=":material/warning:")
    if found.caveat:
        st.info(as_written(retold(found.caveat)), icon=":material/info:")


def draw(question: Question, found: vizlib.Heatmap, chosen: look.Look) -> None:
    """Draw the map over the photo."""
    picture = question.chosen.picture
    coloured = chosen.coloured(picture, found, chosen.limit(found))
    blend.lay_over(
        picture,
        [blend.ColouredMap(coloured, explanations.described(question, found))],
        photo_alt=say("one_heatmap.photo", photo=question.chosen.photo.title),
        divided=True,
    )


def state(question: Question, found: vizlib.Heatmap, chosen: look.Look) -> None:
    """Say what the colours mean, and offer the picture and its numbers."""
    label = question.chosen.convnet.label(found.class_index)
    signs = "for_and_against" if chosen.signed else "for"
    shown = "class_free" if found.class_free else signs
    st.markdown(f"**{say(f'one_heatmap.shown.{shown}', label=as_written(label))}**")
    chosen.colour_bar(chosen.limit(found), look.unit(found.method))
    height, width = found.values.shape
    st.caption(
        say(
            "one_heatmap.numbers",
            label=as_written(label),
            score=f"{found.score:.4g}",
            method=found.method,
            layer=as_written(explanations.layer_of(found)),
            size=f"{width} x {height}",
            low=f"{found.values.min():.3g}",
            high=f"{found.values.max():.3g}",
        )
    )
    name, picture = file_stem(question, found), question.chosen.picture
    with st.container(horizontal=True):
        blended = chosen.overlay(picture, found, chosen.limit(found))
        controls.download_png(vizlib.render.to_png(blended), name, key="heatmap_png")
        controls.download_npz({"values": found.values}, name, key="heatmap_npz")
        offer_report(question, found, name)
    st.caption(say("one_heatmap.png"))


def file_stem(question: Question, found: vizlib.Heatmap) -> str:
    """Name files of a map after what it shows."""
    convnet, photo = question.chosen.convnet, question.chosen.photo.name
    label = convnet.label(found.class_index)
    return controls.file_stem(convnet.name, found.method, found.layer, label, photo)


def offer_report(question: Question, found: vizlib.Heatmap, name: str) -> None:
    """Offer a map with all that it rests on as a file."""
    convnet, image = question.chosen.convnet, question.chosen.image
    script, language = scripts.evidence(question), visitors()

    def report() -> str:
        return vizlib.heatmap_report(convnet, image, found, script=script, language=language)

    controls.download_report(report, name, key="heatmap_report")
