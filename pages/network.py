"""What is this network, what does it get to see, and what does it say?"""

import numpy as np
import streamlit as st

import vizlib
from pages.ui import computing, controls, networks, scripts, selection
from pages.ui.language import say
from pages.ui.retelling import retold
from pages.ui.wording import as_written

TOP = 5


def show() -> None:
    chosen = selection.current()
    controls.heading(say("network.title"), say("network.explanation"))
    left, right = st.columns([1, 1], gap="large")
    with left:
        show_photo(chosen)
    with right:
        show_answer(chosen)
    show_input(chosen)
    show_preprocessing(chosen)
    controls.copy_as_python(scripts.answers(chosen, TOP))


def show_photo(chosen: selection.Selection) -> None:
    alt = say("network.photo", photo=chosen.photo.title)
    controls.show_picture(chosen.picture, alt=alt)
    height, width = chosen.image.shape[:2]
    title = as_written(chosen.photo.title, longest=60)
    st.caption(say("network.photo_size", photo=title, width=width, height=height))


def show_answer(chosen: selection.Selection) -> None:
    convnet = chosen.convnet
    st.subheader(say("network.classes"), anchor=False)
    if not convnet.is_classifier:
        st.info(say("network.no_classes"), icon=":material/info:")
        return
    probabilities = computing.scores(chosen.network.key, chosen.photo.key, chosen)
    for index in np.argsort(-probabilities, kind="stable")[:TOP]:
        share = float(probabilities[index])
        label = as_written(convnet.label(int(index)))
        st.progress(min(1.0, max(0.0, share)), text=f"{label} · {share:.1%}")


def show_input(chosen: selection.Selection) -> None:
    convnet = chosen.convnet
    st.subheader(say("network.received"), anchor=False)
    left, right = st.columns([1, 2], gap="large")
    height, width = convnet.input_size
    size = {"width": width, "height": height}
    seen = convnet.input_image(chosen.image)
    values = convnet.input_tensor(chosen.image)
    controls.show_picture(
        seen[..., 0] if seen.shape[2] == 1 else seen,
        alt=say("network.received_photo", photo=chosen.photo.title, network=convnet.name, **size),
        width=min(320, max(160, seen.shape[1])),
        column=left,
    )
    grey = convnet.input_channels == 1
    description = retold(convnet.preprocessing.description)
    right.markdown(
        say("network.received_grey" if grey else "network.received_colour", **size)
        + "\n\n"
        + say("network.preprocessing", name=convnet.preprocess, description=description)
    )
    right.dataframe(
        _ranges(values, controls.input_channels(convnet)),
        hide_index=True,
        alt=say("network.ranges"),
    )


def _ranges(values: np.ndarray, names: list[str]) -> list[dict[str, object]]:
    return [
        {
            say("network.column.channel"): name,
            say("network.column.minimum"): _told(values[..., i].min()),
            say("network.column.mean"): _told(values[..., i].mean()),
            say("network.column.maximum"): _told(values[..., i].max()),
        }
        for i, name in enumerate(names)
    ]


def _told(value: float) -> float:
    """To as many digits as tell anything."""
    return float(f"{value:.4g}")


def show_preprocessing(chosen: selection.Selection) -> None:
    st.subheader(say("network.right_way"), anchor=False)
    report = computing.preprocessing(chosen.network.key, chosen.photo.key, chosen)
    used = chosen.convnet.preprocess
    if not chosen.network.own:
        st.caption(say("network.known", used=used))
    elif report.recommended != used:
        st.warning(_contradiction(report, used), icon=":material/warning:")
    elif report.certain:
        st.success(retold(report.reason), icon=":material/check:")
    else:
        guess = say("network.guess", used=used, reason=retold(report.reason))
        st.warning(guess, icon=":material/help:")
    for column, reading in zip(st.columns(5), report.readings, strict=False):
        with column.container(border=True):
            show_reading(reading, used=reading.preprocess == used, own=chosen.network.own)
    more = [sentence for sentence in report.evidence if sentence != report.reason]
    if chosen.network.own and more:
        st.caption(say("network.besides", sentences=retold(" ".join(more))))


def _contradiction(report: vizlib.PreprocessingReport, used: str) -> str:
    return say(
        f"network.contradiction.{'certain' if report.certain else 'likely'}",
        used=used,
        recommended=report.recommended,
        reason=retold(report.reason),
    )


def show_reading(reading: vizlib.Reading, *, used: bool, own: bool) -> None:
    name, (low, high) = reading.preprocess, reading.received
    st.markdown(f"**`{name}`**" + (f" · {say('network.in_use')}" if used else ""))
    if reading.prediction is not None:
        label = as_written(reading.prediction.label)
        st.markdown(f"{label} · {reading.prediction.probability:.1%}")
    st.caption(say("network.first_layer", low=low, high=high))
    if own and not used:
        label = say("network.read_as", name=name)
        st.button(label, key=f"read_as:{name}", on_click=networks.read_as, args=[name])


show()
