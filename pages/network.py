"""What is this network, what does it get to see, and what does it say?"""

import numpy as np
import streamlit as st

import vizlib
from pages.ui import computing, controls, networks, scripts, selection
from pages.ui.wording import as_written

TOP = 5


def show() -> None:
    chosen = selection.current()
    controls.heading(
        "What does the network say?",
        "The classes it holds most likely, and the photo exactly as it receives it. "
        "A plausible answer does not prove that the preprocessing is right.",
    )
    left, right = st.columns([1, 1], gap="large")
    with left:
        show_photo(chosen)
    with right:
        show_answer(chosen)
    show_input(chosen)
    show_preprocessing(chosen)
    controls.copy_as_python(scripts.answers(chosen, TOP))


def show_photo(chosen: selection.Selection) -> None:
    st.image(
        chosen.picture, width="stretch", output_format="PNG", alt=f"Photo: {chosen.photo.title}"
    )
    height, width = chosen.image.shape[:2]
    st.caption(f"{as_written(chosen.photo.title, longest=60)}, {width} x {height} pixels")


def show_answer(chosen: selection.Selection) -> None:
    convnet = chosen.convnet
    st.subheader("Most likely classes", anchor=False)
    if not convnet.is_classifier:
        st.info(
            "This network has no classes: it ends in maps. Its activations and filter patterns "
            "are on the other pages.",
            icon=":material/info:",
        )
        return
    probabilities = computing.scores(chosen.network.key, chosen.photo.key, chosen)
    for index in np.argsort(-probabilities, kind="stable")[:TOP]:
        share = float(probabilities[index])
        label = as_written(convnet.label(int(index)))
        st.progress(min(1.0, max(0.0, share)), text=f"{label} · {share:.1%}")


def show_input(chosen: selection.Selection) -> None:
    convnet = chosen.convnet
    st.subheader("What it receives", anchor=False)
    left, right = st.columns([1, 2], gap="large")
    height, width = convnet.input_size
    seen = convnet.input_image(chosen.image)
    values = convnet.input_tensor(chosen.image)
    left.image(
        seen.repeat(3, axis=2) if seen.shape[2] == 1 else seen,
        width=min(320, max(160, seen.shape[1])),
        output_format="PNG",
        alt=f"{chosen.photo.title} at {width} x {height} pixels, as {convnet.name} receives it",
    )
    colours = "grey" if convnet.input_channels == 1 else "colour"
    right.markdown(
        f"**Size**: {width} x {height} pixels, {colours}. The whole photo is squeezed to this "
        "size; nothing is cropped.\n\n"
        f"**Preprocessing**: `{convnet.preprocess}`, {convnet.preprocessing.description}."
    )
    right.dataframe(
        _ranges(values, controls.input_channels(convnet)),
        hide_index=True,
        alt="Range of the numbers in each input channel",
    )


def _ranges(values: np.ndarray, names: list[str]) -> list[dict[str, object]]:
    return [
        {
            "input channel": name,
            "minimum": float(values[..., i].min()),
            "mean": float(values[..., i].mean()),
            "maximum": float(values[..., i].max()),
        }
        for i, name in enumerate(names)
    ]


def show_preprocessing(chosen: selection.Selection) -> None:
    st.subheader("Is it read the right way?", anchor=False)
    report = computing.preprocessing(chosen.network.key, chosen.photo.key, chosen)
    used = chosen.convnet.preprocess
    if not chosen.network.own:
        st.caption(
            f"This network was trained with `{used}`: that is known. For comparison, what it would "
            "say of the same photo prepared in other ways. It often stays plausible."
        )
    elif report.recommended != used:
        st.warning(_contradiction(report, used), icon=":material/warning:")
    elif report.certain:
        st.success(report.reason, icon=":material/check:")
    else:
        st.warning(
            f"`{used}` is a guess. {report.reason} Compare what it says of a photo that you know.",
            icon=":material/help:",
        )
    for column, reading in zip(st.columns(5), report.readings, strict=False):
        with column.container(border=True):
            show_reading(reading, used=reading.preprocess == used, own=chosen.network.own)
    more = [sentence for sentence in report.evidence if sentence != report.reason]
    if chosen.network.own and more:
        st.caption("Found besides: " + " ".join(more))


def _contradiction(report: vizlib.PreprocessingReport, used: str) -> str:
    strength = "shows" if report.certain else "rather suggests"
    return (
        f"The network is read as `{used}`, but it {strength} `{report.recommended}`. "
        f"{report.reason}"
    )


def show_reading(reading: vizlib.Reading, *, used: bool, own: bool) -> None:
    name, (low, high) = reading.preprocess, reading.received
    st.markdown(f"**`{name}`**" + (" · in use" if used else ""))
    if reading.prediction is not None:
        label = as_written(reading.prediction.label)
        st.markdown(f"{label} · {reading.prediction.probability:.1%}")
    st.caption(f"First learned layer receives {low:.3g} to {high:.3g}")
    if own and not used:
        st.button(
            f"Read it as {name}", key=f"read_as:{name}", on_click=networks.read_as, args=[name]
        )


show()
