"""The picture that a class score answers to most."""

import numpy as np
import streamlit as st

import vizlib
from pages.ui import computing, controls, jobs, links, scripts, selection
from pages.ui.making import Making
from pages.ui.wording import as_written


def show(chosen: selection.Selection, making: Making) -> None:
    """Let a class be chosen, and make its picture."""
    convnet = chosen.convnet
    if not convnet.is_classifier:
        st.info(
            "This network has no classes. Its channels can be looked at.", icon=":material/info:"
        )
        return
    index = choose_class(chosen)
    label = convnet.label(index)
    objective = vizlib.objectives.class_logit(index)

    def compute(progress: jobs.Progress) -> vizlib.FilterPatterns:
        return vizlib.optimize(convnet, [objective], progress=progress, **making.options)

    key = making.order(chosen.network.key, "class", (index,))
    made = jobs.result("class", jobs.Job(key, f"What {label} looks like to the network"), compute)
    if made is None:
        return
    picture, facts = st.columns([3, 2], gap="large")
    pixels = vizlib.render.faded(made.images[0], seen_of(made, 0))
    with picture:
        st.image(
            pixels, width=512, output_format="PNG", alt=f"What raises the score of {label} most"
        )
        name = controls.file_stem(convnet.name, label, making.recipe, f"seed{making.seed}")
        controls.download_png(vizlib.render.to_png(pixels), name, key="class_png")
    with facts:
        controls.show_ascent(made.objective[0], made.diagnosis[0], f"Score of {label}")
        photo = computing.logits(chosen.network.key, chosen.photo.key, chosen)[index]
        st.caption(
            f"The score of {as_written(label)} for your photo is {photo:.4g}. A picture that "
            "scores higher than any photo is not a better example: it is what the score rewards."
        )
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
        "Class, most likely first",
        ranked,
        format_func=controls.class_titles(chosen.convnet, probabilities).__getitem__,
        key=key,
        persist_state="session",
        help="Type a name to search all classes.",
    )
    links.keep("class", index)
    return index
