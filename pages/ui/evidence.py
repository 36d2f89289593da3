"""Tests of whether one heatmap may be believed."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import streamlit as st

import vizlib
from pages.ui import (
    controls,
    explanations,
    jobs,
    look,
    measures,
    one_heatmap,
    pointing,
    scripts,
)
from pages.ui.explanations import Question
from pages.ui.language import say
from pages.ui.retelling import retold, visitors
from pages.ui.wording import as_written
from vizlib import faithfulness

# Told apart by everybody: the map itself, and what it is held against.
COLOURS = ["#0b7a75", "#8c8c8c", "#d98218"]
Test = Callable[..., faithfulness.PixelTest]
#: Methods whose values promise to add up to the score.
ADDS_UP = ("Integrated Gradients", "HiResCAM")
TESTS: dict[str, Test] = {
    "deletion": faithfulness.deletion,
    "insertion": faithfulness.insertion,
}


class Tested(NamedTuple):
    """What came of the tests; empty while they are at work."""

    curves: list[faithfulness.PixelTest]
    measures: tuple[faithfulness.Measure, ...]
    aim: pointing.Aim


def show(question: Question) -> None:
    """Put one map to every test."""
    found = one_heatmap.answer(question)
    if found is None:
        return
    one_heatmap.tell(found)
    tested = Tested(
        show_pixel_tests(question, found),
        measures.show(question, found),
        pointing.show(question, found),
    )
    show_sum(question, found)
    show_shuffled(question, found)
    script = scripts.evidence(question) + scripts.measures() + scripts.pointing(*tested.aim)
    if tested.curves:
        offer_report(question, found, tested, script)
    controls.copy_as_python(script)


def show_pixel_tests(question: Question, found: vizlib.Heatmap) -> list[faithfulness.PixelTest]:
    st.subheader(say("evidence.looks_there"), anchor=False)

    def compute(progress: jobs.Progress) -> dict[str, faithfulness.PixelTest]:
        convnet, image = question.chosen.convnet, question.chosen.image
        return {
            name: test(convnet, image, found, progress=jobs.share(progress, number, len(TESTS)))
            for number, (name, test) in enumerate(TESTS.items())
        }

    key = ("evidence", *question.key)
    results = jobs.result("evidence", jobs.Job(key, say("evidence.job")), compute)
    if results is None:
        return []
    for column, (name, test) in zip(st.columns(2, gap="large"), results.items(), strict=True):
        with column:
            show_pixel_test(name, test)
    return list(results.values())


def show_pixel_test(name: str, test: faithfulness.PixelTest) -> None:
    title, explanation = (say(f"evidence.{name}.{part}") for part in ("title", "explanation"))
    st.markdown(f"**{title}**", help=explanation)
    believed = test.beaten == len(test.random)
    (st.success if believed else st.warning)(
        retold(faithfulness.verdict(test)),
        icon=":material/check_circle:" if believed else ":material/warning:",
    )
    randomly = np.mean([curve.scores for curve in test.random], axis=0)
    curves = {
        say("evidence.this_map"): test.heatmap.scores,
        say("evidence.random_maps"): randomly,
        say("evidence.blob"): test.centre.scores,
    }
    share = say("evidence.share")
    st.line_chart(
        {share: test.heatmap.fractions} | curves,
        x=share,
        y=list(curves),
        color=COLOURS,
        y_label=say("evidence.score"),
        height=300,
        alt=say("evidence.chart", title=title),
    )
    st.caption(say("evidence.areas", explanation=explanation, **areas(test)))


def areas(test: faithfulness.PixelTest) -> dict[str, object]:
    """What the words below a chart are filled with."""
    return {
        "own": f"{test.heatmap.area:.3f}",
        "random": f"{np.mean([curve.area for curve in test.random]):.3f}",
        "blob": f"{test.centre.area:.3f}",
        "beaten": test.beaten,
        "count": len(test.random),
        "passes": test.passes,
    }


def offer_report(question: Question, found: vizlib.Heatmap, tested: Tested, script: str) -> None:
    """Offer the map and its tests as a file."""
    convnet, image, language = question.chosen.convnet, question.chosen.image, visitors()

    def report() -> str:
        return vizlib.heatmap_report(
            convnet,
            image,
            found,
            tests=tested.curves,
            measures=tested.measures,
            threshold=tested.aim.threshold,
            box=tested.aim.box,
            script=script,
            language=language,
        )

    name = one_heatmap.file_stem(question, found)
    controls.download_report(report, name, key="heatmap_report")


def show_sum(question: Question, found: vizlib.Heatmap) -> None:
    if found.method not in ADDS_UP:
        return
    st.subheader(say("evidence.adds_up"), anchor=False)
    chosen = question.chosen
    total = faithfulness.completeness(chosen.convnet, chosen.image, found)
    nothing = "black" if question.layer == "" else "zeros"
    st.markdown(
        say(
            f"evidence.sum.{'much' if total.gap > 0 else 'little'}",
            total=f"{total.total:.4g}",
            expected=f"{total.expected:.4g}",
            nothing=say(f"evidence.nothing.{nothing}"),
            gap=f"{total.gap:+.3g}",
        )
    )


def show_shuffled(question: Question, found: vizlib.Heatmap) -> None:
    st.subheader(say("evidence.about_this"), anchor=False)
    st.caption(say("evidence.shuffling"))

    def compute(progress: jobs.Progress) -> faithfulness.RandomizationCheck:
        convnet, image = question.chosen.convnet, question.chosen.image
        return faithfulness.randomization_check(convnet, image, found, progress=progress)

    key = ("shuffled", *question.key)
    job = jobs.Job(key, say("evidence.forgets", method=found.method))
    wanted = jobs.queue().result(key) is not None or jobs.asked("shuffled", key)
    words, icon = say("evidence.shuffle"), ":material/shuffle:"
    if not wanted and not st.button(words, key="shuffle", icon=icon):
        return
    check = jobs.result("shuffled", job, compute)
    if check is not None:
        draw_shuffled(question, check)


def draw_shuffled(question: Question, check: faithfulness.RandomizationCheck) -> None:
    if check.diagnosis:
        st.warning(as_written(retold(check.diagnosis)), icon=":material/warning:")
    else:
        st.success(say("evidence.depends"), icon=":material/check_circle:")
    chosen = look.Look(signed=False, alpha=0.5, colormap=controls.HEAT)
    columns = st.columns(max(4, len(check.layers)))
    for column, layer, found, same in zip(
        columns, check.layers, check.heatmaps, check.rank_correlation, strict=False
    ):
        picture = chosen.overlay(question.chosen.thumbnail, found, chosen.limit(found))
        title = say("evidence.from_on", layer=explanations.short(layer), same=f"{same:.2f}")
        alt = say("evidence.shuffled", map=explanations.described(question, found), title=title)
        controls.show_picture(picture, as_written(title), alt=alt, column=column)
    st.caption(say("evidence.correlations"))
