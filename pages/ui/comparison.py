"""Several heatmaps side by side: of methods, classes, layers, photos or two networks."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import streamlit as st

import vizlib
from pages.ui import (
    blend,
    computing,
    controls,
    explanations,
    language,
    links,
    look,
    networks,
    one_heatmap,
    photos,
    scripts,
)
from pages.ui.explanations import IN_LOGITS, Question
from pages.ui.language import say
from pages.ui.retelling import retold
from pages.ui.wording import as_written

COLUMNS = 4
MOST = 8
#: Pixels of a picture's longer side: half of a wide screen.
SIDE = 640
#: A question with the title it is shown under.
Panel = tuple[str, Question]
Option = TypeVar("Option", str, int)


def show(question: Question) -> None:
    """Let the visitor choose what differs, and draw one map for each."""
    links.follow("comparison", CHOICES, key="comparison")
    what = st.segmented_control(
        say("comparison.what"),
        list(CHOICES),
        default="methods",
        required=True,
        key="comparison",
        format_func=lambda name: say(f"comparison.choice.{name}"),
        persist_state="session",
    )
    links.keep("comparison", what)
    panels = CHOICES[what](question)
    if not panels:
        return
    chosen = look.choose()
    titles = say("comparison.job", titles=", ".join(title for title, _ in panels))
    found = explanations.answers("comparison", [q for _, q in panels], titles[:120])
    if found is None:
        return
    draw(panels, found, chosen)
    questions = [question for _, question in panels]
    stems = map(one_heatmap.file_stem, questions, found)
    names = [f"{number}_{stem}" for number, stem in enumerate(stems, 1)]
    controls.copy_as_python(scripts.heatmaps(questions, chosen, names))


# What can differ.


def methods(question: Question) -> list[Panel]:
    """Let methods be chosen; the others than the current one are quick ones at first."""
    quick = ["Grad-CAM", "HiResCAM", "LayerCAM", *vizlib.PIXEL_METHODS]
    first = dict.fromkeys([question.method, *quick])
    names = choose_several("methods", list(vizlib.HEATMAP_METHODS), list(first)[:4])
    layer = question.layer or question.chosen.convnet.default_layer
    return [
        (name, replace(question, method=name, layer=layer if name in vizlib.LAYER_METHODS else ""))
        for name in names
    ]


def classes(question: Question) -> list[Panel]:
    chosen = question.chosen
    probabilities = computing.scores(chosen.network.key, chosen.photo.key, chosen)
    ranked = [int(i) for i in np.argsort(-probabilities, kind="stable")]
    titles = controls.class_titles(chosen.convnet, probabilities)
    first = list(dict.fromkeys([question.class_index, *ranked[:3]]))[:3]
    picked = choose_several("classes", ranked, first, titles.__getitem__)
    return [(titles[index], replace(question, class_index=index)) for index in picked]


def layers(question: Question) -> list[Panel]:
    if question.method in vizlib.PIXEL_METHODS:
        words = say("comparison.pixels", method=question.method)
        st.info(words, icon=":material/info:")
        return []
    names = [layer.name for layer in question.chosen.convnet.layers if layer.settled]
    names = names if question.layer in names else [*names, question.layer]
    places = np.linspace(0, len(names) - 1, min(4, len(names))).astype(int)
    first = list(dict.fromkeys([question.layer, *(names[place] for place in places)]))[:4]
    picked = choose_several("layers", names, sorted(first, key=names.index))
    return [(name, replace(question, layer=name)) for name in picked]


def several_photos(question: Question) -> list[Panel]:
    """Let samples be chosen beside the current photo; the class stays the same."""
    current = question.chosen.photo
    others = {key: photo for key, photo in photos.samples().items() if key != current.key}
    picked = choose_several("photos", list(others), list(others)[:2])
    shown = [current, *(others[key]() for key in picked)]
    return [
        (photo.title, replace(question, chosen=replace(question.chosen, photo=photo)))
        for photo in shown
    ]


def two_networks(question: Question) -> list[Panel]:
    own = question.chosen.network
    names = [name for name in networks.at_hand() if name != own.key]
    if not names:
        st.info(say("comparison.no_other"), icon=":material/info:")
        return []
    links.follow("other", names, key="other_network")
    name = st.selectbox(
        say("comparison.other_network"),
        names,
        index=language.place("other_network", names),
        format_func=networks.title,
        key="other_network",
        persist_state="session",
    )
    links.keep("other", name)
    other = replace(question.chosen, network=networks.named(name))
    index = same_class(question, other.convnet)
    if index is None:
        label = as_written(question.chosen.convnet.label(question.class_index))
        words = say("comparison.no_such_class", network=other.network.title, label=label)
        st.info(words, icon=":material/info:")
        probabilities = computing.scores(other.network.key, other.photo.key, other)
        index = int(np.argmax(probabilities))
    layer = other.convnet.default_layer if question.layer else ""
    second = Question(other, question.method, layer, index)
    return [(own.title, question), (other.network.title, second)]


def same_class(question: Question, other: vizlib.ConvNet) -> int | None:
    """Find the class of the same name in another network."""
    label = question.chosen.convnet.label(question.class_index).casefold()
    names = [name.casefold() for name in other.labels or ()]
    return names.index(label) if label in names else None


CHOICES: dict[str, Callable[[Question], list[Panel]]] = {
    "methods": methods,
    "classes": classes,
    "layers": layers,
    "photos": several_photos,
    "networks": two_networks,
}


def choose_several(
    what: str,
    options: list[Option],
    first: list[Option],
    format_func: Callable[[Option], str] = str,
) -> list[Option]:
    key = f"comparison:{what}"
    links.follow_several(what, options, key=key, most=MOST)
    picked = st.multiselect(
        say(f"comparison.several.{what}"),
        options,
        first,
        format_func=format_func,
        max_selections=MOST,
        key=key,
        persist_state="session",
    )
    links.keep_several(what, picked)
    return picked


# How they are drawn.


def draw(panels: list[Panel], found: list[vizlib.Heatmap], chosen: look.Look) -> None:
    asked = {one.method for one in found}
    comparable = len(asked) == 1 or asked <= IN_LOGITS
    shared = choose_scale(comparable)
    limits = [chosen.limit(one) for one in found]
    limits = [max(limits)] * len(limits) if shared else limits
    for start in range(0, len(panels), COLUMNS):
        columns = st.columns(min(COLUMNS, max(3, len(panels))))
        places = range(start, min(start + COLUMNS, len(panels)))
        for column, place in zip(columns, places, strict=False):
            with column:
                draw_map(panels[place][1], found[place], chosen, limits[place], f"blend_{place}")
                tell(panels[place][0], found[place])
    if shared:
        with st.columns([1, 2])[0]:
            chosen.colour_bar(limits[0], look.unit(found[0].method))
    if comparable and len(panels) == 2:
        draw_difference(panels, found)


def choose_scale(comparable: bool) -> bool:
    shared = st.toggle(
        say("comparison.one_scale"),
        value=True,
        key="one_scale",
        disabled=not comparable,
        help=say("comparison.help_one_scale"),
    )
    return shared and comparable


def draw_map(
    question: Question, found: vizlib.Heatmap, chosen: look.Look, limit: float, key: str
) -> None:
    photo = vizlib.render.thumbnail(question.chosen.picture, SIDE)
    coloured = chosen.coloured(photo, found, limit)
    alt = explanations.described(question, found)
    blend.lay_over(photo, [blend.ColouredMap(coloured, alt)], key=key)


def tell(title: str, found: vizlib.Heatmap) -> None:
    st.markdown(f"**{as_written(title)}**")
    st.caption(
        say(
            "comparison.numbers",
            method=found.method,
            layer=as_written(explanations.short(explanations.layer_of(found))),
            score=f"{found.score:.4g}",
            low=f"{found.values.min():.3g}",
            high=f"{found.values.max():.3g}",
        )
    )
    if found.diagnosis:
        st.warning(as_written(retold(found.diagnosis)), icon=":material/warning:")
    if found.caveat:
        st.caption(as_written(retold(found.caveat)))


def draw_difference(panels: list[Panel], found: list[vizlib.Heatmap]) -> None:
    """Draw the first map minus the second, at the size of the first photo."""
    (first, question), (second, _) = panels
    picture = question.chosen.picture
    one, other = (vizlib.render.resize_map(f.values, picture.shape[:2]) for f in found)
    difference = one - other
    limit = float(np.abs(difference).max())
    st.subheader(say("comparison.difference"), anchor=False)
    left, right = st.columns([1, 1])
    colormap = vizlib.render.DIVERGING[0]
    coloured = vizlib.render.colorize(difference, colormap=colormap, limit=limit or None)
    with left:
        title = say("comparison.minus", first=first, second=second)
        alt = say("comparison.difference_of", photo=question.chosen.photo.title, title=title)
        shown = blend.ColouredMap(coloured if limit else None, alt)
        blend.lay_over(picture, [shown], key="blend_difference")
    with right:
        st.markdown(f"**{as_written(title)}**")
        controls.colour_bar(colormap, low=-limit, high=limit, unit=look.unit(found[0].method))
        same = np.corrcoef(one.ravel(), other.ravel())[0, 1] if one.std() and other.std() else 0.0
        st.caption(say("comparison.correlation", same=f"{same:.2f}"))
