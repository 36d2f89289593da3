"""Tests of whether one heatmap may be believed."""

from collections.abc import Callable

import numpy as np
import streamlit as st

import vizlib
from pages.ui import controls, explanations, jobs, look, one_heatmap, scripts
from pages.ui.explanations import Question
from pages.ui.wording import as_written
from vizlib import faithfulness

# Told apart by everybody: the map itself, and what it is held against.
COLOURS = ["#0b7a75", "#8c8c8c", "#d98218"]
Test = Callable[..., faithfulness.PixelTest]
#: Methods whose values promise to add up to the score.
ADDS_UP = ("Integrated Gradients", "HiResCAM")
TESTS: dict[str, tuple[Test, str, str]] = {
    "deletion": (
        faithfulness.deletion,
        "Taking out what it marks",
        "The pixels that the map marks most turn black first. The lower the curve, the better.",
    ),
    "insertion": (
        faithfulness.insertion,
        "Showing only what it marks",
        "From a blurred photo, what the map marks most turns sharp first. The higher, the better.",
    ),
}


def show(question: Question) -> None:
    """Put one map to every test."""
    title = f"{question.method}: the photo many times"
    found = explanations.answers("heatmap", [question], title)
    if found is None:
        return
    one_heatmap.tell(found[0])
    show_pixel_tests(question, found[0])
    show_sum(question, found[0])
    show_shuffled(question, found[0])
    controls.copy_as_python(scripts.evidence(question))


def show_pixel_tests(question: Question, found: vizlib.Heatmap) -> None:
    st.subheader("Does the network look where the map says?", anchor=False)

    def compute(progress: jobs.Progress) -> dict[str, faithfulness.PixelTest]:
        convnet, image = question.chosen.convnet, question.chosen.image
        return {
            name: test(convnet, image, found, progress=jobs.share(progress, number, len(TESTS)))
            for number, (name, (test, *_)) in enumerate(TESTS.items())
        }

    key = ("evidence", *question.key)
    results = jobs.result("evidence", jobs.Job(key, "Changing the photo, bit by bit"), compute)
    if results is None:
        return
    for column, (name, test) in zip(st.columns(2, gap="large"), results.items(), strict=True):
        with column:
            show_pixel_test(name, test)
    convnet, label = question.chosen.convnet, question.chosen.convnet.label(found.class_index)
    name = controls.file_stem(convnet.name, found.method, label, question.chosen.photo.title)
    one_heatmap.offer_report(question, found, name, tuple(results.values()))


def show_pixel_test(name: str, test: faithfulness.PixelTest) -> None:
    _, title, explanation = TESTS[name]
    st.markdown(f"**{title}**", help=explanation)
    believed = test.beaten == len(test.random)
    (st.success if believed else st.warning)(
        faithfulness.verdict(test),
        icon=":material/check_circle:" if believed else ":material/warning:",
    )
    randomly = np.mean([curve.scores for curve in test.random], axis=0)
    curves = {
        "this map": test.heatmap.scores,
        "random maps": randomly,
        "blob in the middle": test.centre.scores,
    }
    share = {"share of the photo": test.heatmap.fractions}
    st.line_chart(
        share | curves,
        x="share of the photo",
        y=list(curves),
        color=COLOURS,
        y_label="score of the class (logits)",
        height=300,
        alt=f"{title}: score of the class for this map, random maps and a blob in the middle",
    )
    st.caption(
        f"{explanation} Area under the probability: {test.heatmap.area:.3f}; random maps "
        f"{np.mean([curve.area for curve in test.random]):.3f}; blob {test.centre.area:.3f}. "
        f"Beats {test.beaten} of {len(test.random)} random maps, which have its own values at "
        f"random places. {test.passes} photos were shown to the network."
    )


def show_sum(question: Question, found: vizlib.Heatmap) -> None:
    if found.method not in ADDS_UP:
        return
    st.subheader("Does it add up to the score?", anchor=False)
    chosen = question.chosen
    total = faithfulness.completeness(chosen.convnet, chosen.image, found)
    nothing = "a black photo" if question.layer == "" else "maps of zeros"
    st.markdown(
        f"The values add up to **{total.total:.4g}**; the score is **{total.expected:.4g}** above "
        f"that of {nothing}: **{total.gap:+.3g}** too {'much' if total.gap > 0 else 'little'}."
    )


def show_shuffled(question: Question, found: vizlib.Heatmap) -> None:
    st.subheader("Is it about this network at all?", anchor=False)
    st.caption(
        "What the network has learned is shuffled from the head down, and the map is made again "
        "each time. A map that stays the same shows edges of the photo, whoever looks at it."
    )

    def compute(progress: jobs.Progress) -> faithfulness.RandomizationCheck:
        convnet, image = question.chosen.convnet, question.chosen.image
        return faithfulness.randomization_check(convnet, image, found, progress=progress)

    key = ("shuffled", *question.key)
    job = jobs.Job(key, f"{found.method} while the network forgets")
    wanted = jobs.queue().result(key) is not None or jobs.asked("shuffled", key)
    if not wanted and not st.button("Shuffle the network", icon=":material/shuffle:"):
        return
    check = jobs.result("shuffled", job, compute)
    if check is not None:
        draw_shuffled(question, check)


def draw_shuffled(question: Question, check: faithfulness.RandomizationCheck) -> None:
    if check.diagnosis:
        st.warning(as_written(check.diagnosis), icon=":material/warning:")
    else:
        st.success(
            "The map becomes another one: it depends on what the network has learned.",
            icon=":material/check_circle:",
        )
    chosen = look.Look(signed=False, alpha=0.5, colormap=controls.HEAT)
    columns = st.columns(max(4, len(check.layers)))
    for column, layer, found, same in zip(
        columns, check.layers, check.heatmaps, check.rank_correlation, strict=False
    ):
        picture = chosen.overlay(question.chosen.thumbnail, found, chosen.limit(found))
        title = f"from {explanations.short(layer)} on: {same:.2f}"
        column.image(
            picture,
            as_written(title),
            width="stretch",
            output_format="PNG",
            alt=f"{explanations.described(question, found)}, shuffled {title}",
        )
    st.caption("The numbers are rank correlations with the map of the network as it is.")
