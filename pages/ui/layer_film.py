"""The same method on every layer, each map put to the test."""

import streamlit as st

import vizlib
from pages.ui import controls, explanations, jobs, look, scripts
from pages.ui.explanations import Question
from pages.ui.language import say
from pages.ui.wording import as_written

COLUMNS = 5


def show(question: Question) -> None:
    """Draw the maps of every layer in the order they run, and recommend one."""
    if question.method in vizlib.PIXEL_METHODS:
        others = say("layer_film.comma").join(vizlib.LAYER_METHODS)
        st.info(
            say("layer_film.pixels", method=question.method, others=others),
            icon=":material/info:",
        )
        return
    st.caption(say("layer_film.explanation"))
    chosen = look.choose()
    sweep = jobs.result("layer_film", job(question), lambda tick: compute(question, tick))
    if sweep is not None:
        recommend(sweep)
        draw(question, sweep, chosen)
        controls.copy_as_python(scripts.layer_sweep(question))


def job(question: Question) -> jobs.Job:
    network, photo, method, _, class_index = question.key
    title = say("layer_film.job", method=method, network=question.chosen.network.title)
    return jobs.Job(("layers", network, photo, method, class_index), title)


def compute(question: Question, progress: jobs.Progress) -> vizlib.faithfulness.LayerSweep:
    return vizlib.faithfulness.layer_sweep(
        question.chosen.convnet,
        question.chosen.image,
        vizlib.HEATMAP_METHODS[question.method],
        class_index=question.class_index,
        progress=progress,
    )


def recommend(sweep: vizlib.faithfulness.LayerSweep) -> None:
    best = sweep.best
    st.success(
        say(
            "layer_film.best",
            layer=as_written(best.heatmap.layer),
            score=f"{best.score:.3g}",
        ),
        icon=":material/star:",
    )


def draw(question: Question, sweep: vizlib.faithfulness.LayerSweep, chosen: look.Look) -> None:
    for start in range(0, len(sweep.layers), COLUMNS):
        for column, tested in zip(
            st.columns(COLUMNS), sweep.layers[start : start + COLUMNS], strict=False
        ):
            found = tested.heatmap
            picture = chosen.overlay(question.chosen.thumbnail, found, chosen.limit(found))
            mark = ":material/star: " if tested is sweep.best else ""
            layer, score = explanations.short(found.layer), f"{tested.score:.3g}"
            title = say("layer_film.tested", layer=layer, score=score)
            alt = explanations.described(question, found)
            controls.show_picture(picture, mark + as_written(title), alt=alt, column=column)
    st.caption(say("layer_film.scales"))
    names = [found.heatmap.layer for found in sweep.layers]
    layer, logits = say("layer_film.layer"), say("layer_film.logits")
    st.bar_chart(
        {layer: names, logits: [tested.score for tested in sweep.layers]},
        x=layer,
        y=logits,
        sort=False,
        height=240,
        alt=say("layer_film.chart", method=question.method),
    )
