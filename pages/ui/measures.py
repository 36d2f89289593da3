"""How one heatmap does by the measures that papers report, beside maps that know nothing."""

import streamlit as st

import vizlib
from pages.ui import jobs
from pages.ui.explanations import Question
from pages.ui.language import say
from pages.ui.retelling import retold
from vizlib.faithfulness import Measure, measures


def show(question: Question, found: vizlib.Heatmap) -> tuple[Measure, ...]:
    """Draw the table; nothing is given back while it is at work, which is shown."""
    st.subheader(say("measures.title"), anchor=False)

    def compute(progress: jobs.Progress) -> tuple[Measure, ...]:
        return measures(question.chosen.convnet, question.chosen.image, found, progress=progress)

    job = jobs.Job(("measures", *question.key), say("measures.job"))
    taken = jobs.result("measures", job, compute)
    if taken is None:
        return ()
    st.caption(say("measures.explanation"))
    draw(taken)
    return taken


def draw(taken: tuple[Measure, ...]) -> None:
    """Draw the numbers, and what each says."""
    st.table(
        [row(measure) for measure in taken],
        border="horizontal",
        hide_index=True,
        width="content",
        alt=say("measures.title"),
    )
    for measure in taken:
        name, meaning = retold(measure.name), retold(measure.meaning)
        st.caption(say("measures.says", name=name, meaning=meaning))


def row(measure: Measure) -> dict[str, str]:
    """One line of the table; the check mark stands where the map beats both baselines."""
    mark = " :material/check_circle:" if measure.beats_both else ""
    direction = "higher" if measure.higher_is_better else "lower"
    return {
        say("measures.measure"): retold(measure.name),
        say("evidence.this_map"): f"{measure.heatmap:.2f}{mark}",
        say("evidence.random_maps"): f"{measure.random:.2f}",
        say("evidence.blob"): f"{measure.centre:.2f}",
        say("measures.better"): say(f"measures.{direction}"),
    }
