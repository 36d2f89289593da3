"""The picture that a class score answers to most."""

import numpy as np
import streamlit as st

import vizlib
from pages.ui import computing, controls, jobs, links, scripts, selection
from pages.ui.language import say
from pages.ui.making import Making
from pages.ui.wording import as_written


def show(chosen: selection.Selection, making: Making) -> None:
    """Let a class be chosen, and make its picture."""
    convnet = chosen.convnet
    if not convnet.is_classifier:
        st.info(say("one_class.no_classes"), icon=":material/info:")
        return
    index = choose_class(chosen)
    label = convnet.label(index)
    objective = vizlib.objectives.class_logit(index)

    def compute(progress: jobs.Progress) -> vizlib.FilterPatterns:
        return vizlib.optimize(convnet, [objective], progress=progress, **making.options)

    key = making.order(chosen.network.key, "class", (index,))
    made = jobs.result("class", jobs.Job(key, say("one_class.job", label=label)), compute)
    if made is None:
        return
    picture, facts = st.columns([3, 2], gap="large")
    pixels = vizlib.render.faded(made.images[0], seen_of(made, 0))
    with picture:
        alt = say("one_class.picture", label=label)
        controls.show_picture(pixels, alt=alt, width=512)
        name = controls.file_stem(convnet.name, label, making.recipe, f"seed{making.seed}")
        controls.download_png(vizlib.render.to_png(pixels), name, key="class_png")
    with facts:
        title = say("one_class.score", label=label)
        controls.show_ascent(made.objective[0], made.diagnosis[0], title)
        photo = computing.logits(chosen.network.key, chosen.photo.key, chosen)[index]
        st.caption(say("one_class.explanation", label=as_written(label), score=photo))
    controls.copy_as_python(
        scripts.pictures(chosen, f"[vizlib.objectives.class_logit({index})]", making.options, name)
    )


def seen_of(made: vizlib.FilterPatterns, index: int) -> np.ndarray | None:
    """How much each place of a picture counts, if the recipe tells."""
    return None if made.transparency is None else made.transparency[index]


def choose_class(chosen: selection.Selection) -> int:
    probabilities = computing.scores(chosen.network.key, chosen.photo.key, chosen)
    ranked = [int(i) for i in np.argsort(-probabilities, kind="stable")]
    key = f"filter_class:{chosen.network.key}:{chosen.photo.key}"
    links.follow("class", ranked, key=key)
    index = st.selectbox(
        say("one_class.class"),
        ranked,
        format_func=controls.class_titles(chosen.convnet, probabilities).__getitem__,
        key=key,
        persist_state="session",
        help=say("one_class.help_class"),
    )
    links.keep("class", index)
    return index
