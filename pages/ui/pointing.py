"""Does one heatmap point at the thing? Its box and its brightest place, beside where it is."""

from typing import NamedTuple

import streamlit as st

import vizlib
from pages.ui import controls, explanations, links, look, selection
from pages.ui.explanations import Question
from pages.ui.language import say
from vizlib.faithfulness import Box, Pointing, bounding_box, overlap, pointing_game

SIDES = ("left", "top", "right", "bottom")
GIVEN = (255, 160, 0)
PERCENT = range(5, 101, 5)


class Aim(NamedTuple):
    """What a visitor has chosen; there may be no box."""

    threshold: float
    box: Box | None


def show(question: Question, found: vizlib.Heatmap) -> Aim:
    """Draw the box of a map, and hold it against the visitor's."""
    st.subheader(say("pointing.title"), anchor=False)
    image = question.chosen.image
    picture, facts = st.columns([3, 2], gap="large")
    with facts:
        aim = Aim(choose_threshold(), choose_box(question.chosen))
    box = bounding_box(image, found, threshold=aim.threshold)
    pointing = pointing_game(image, found, aim.box or (0, 0, *image.shape[1::-1]))
    with facts:
        tell(aim, box, pointing)
    with picture:
        draw(question, found, [(aim.box, GIVEN), (box, (255, 255, 255))], pointing)
    return aim


def choose_threshold() -> float:
    """Let the share of the largest value be chosen above which a map counts as high."""
    links.follow("threshold", PERCENT, key="threshold")
    percent = st.slider(
        say("pointing.threshold"),
        PERCENT[0],
        PERCENT[-1],
        20,
        PERCENT.step,
        format="%d %%",
        key="threshold",
        persist_state="session",
        help=say("pointing.help_threshold"),
    )
    links.keep("threshold", percent)
    return percent / 100


def choose_box(chosen: selection.Selection) -> Box | None:
    """Let the visitor say where the thing is; None until all four sides make a box."""
    height, width = chosen.image.shape[:2]
    st.markdown(say("pointing.where", width=width, height=height))
    with st.container(horizontal=True):
        sides = [
            choose_side(side, limit, chosen.photo.key)
            for side, limit in zip(SIDES, (width, height) * 2, strict=True)
        ]
    if None in sides:
        return None
    box = Box(*sides)
    if box.left < box.right and box.top < box.bottom:
        return box
    st.warning(say("pointing.no_box"), icon=":material/warning:")
    return None


def choose_side(side: str, limit: int, photo: str) -> int | None:
    key = f"box_{side}:{photo}"
    links.follow(side, range(limit + 1), key=key)
    place = st.number_input(
        say(f"pointing.side.{side}"),
        0,
        limit,
        None,
        1,
        key=key,
        persist_state="session",
        width=110,
    )
    links.keep(side, place)
    return place


def tell(aim: Aim, box: Box | None, pointing: Pointing) -> None:
    """Say where the map points, and how well that fits."""
    if box is None:
        st.info(say("pointing.nothing"), icon=":material/info:")
    else:
        threshold = f"{aim.threshold:.0%}"
        st.markdown(say("pointing.found", threshold=threshold, **box._asdict()))
    if len(pointing.points) == 1:
        x, y = pointing.points[0]
        st.markdown(say("pointing.brightest", x=f"{x:.0f}", y=f"{y:.0f}"))
    elif pointing.points:
        st.markdown(say("pointing.several", count=len(pointing.points)))
    if aim.box is None:
        st.caption(say("pointing.ask"))
        return
    judge(pointing)
    if box is not None:
        shared = f"{overlap(box, aim.box):.2f}"
        st.markdown(say("pointing.overlap", shared=shared), help=say("pointing.help_overlap"))


def judge(pointing: Pointing) -> None:
    """Tell the outcome of the pointing game."""
    words = say(f"pointing.{'hit' if pointing.hit else 'miss'}", chance=f"{pointing.chance:.0%}")
    if pointing.hit:
        st.success(words, icon=":material/check_circle:")
    else:
        st.warning(words, icon=":material/warning:")


def draw(
    question: Question,
    found: vizlib.Heatmap,
    boxes: list[tuple[Box | None, tuple[int, int, int]]],
    pointing: Pointing,
) -> None:
    """Draw boxes and brightest places over the map and its photo."""
    chosen = look.Look(signed=False, alpha=look.ALPHA, colormap=controls.HEAT)
    size = question.chosen.image.shape[:2]
    picture = chosen.overlay(question.chosen.picture, found, chosen.limit(found))
    for box, color in boxes:
        if box is not None:
            picture = vizlib.render.outlined(picture, box, color=color, size=size)
    for point in pointing.points:
        picture = vizlib.render.pointed(picture, point, size=size)
    alt = say("pointing.alt", map=explanations.described(question, found))
    controls.show_picture(picture, alt=alt)
