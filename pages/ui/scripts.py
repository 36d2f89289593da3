"""The Python that makes what a page shows once more, without the page."""

from collections.abc import Iterable, Sequence
from pprint import pformat
from typing import Any

import vizlib
from pages.ui.computing import Order
from pages.ui.explanations import Question
from pages.ui.look import PIXEL_SHARE, Look
from pages.ui.selection import Selection

_WIDTH = 100


def answers(chosen: Selection, count: int) -> str:
    """The most likely classes."""
    head = _head(chosen, ["vizlib"])
    if not chosen.convnet.is_classifier:
        return _text([*head, "print([layer.name for layer in convnet.layers])"])
    line = "print(f'{prediction.label}: {prediction.probability:.1%}')"
    return _text([*head, f"for prediction in convnet.top(image, {count}):", f"    {line}"])


def architecture(chosen: Selection) -> str:
    """Every layer with what feeds it, and the channel that answers most to the photo."""
    return _text(
        [
            *_head(chosen, ["vizlib"]),
            "strongest = vizlib.strongest_channels(convnet, image)",
            "for node in convnet.graph.nodes:",
            "    fed_by = ', '.join(node.fed_by)",
            "    channel = strongest[node.name].channel if node.name in strongest else None",
            "    print(node.name, node.layers[0].kind, node.layers[0].shape, fed_by, channel)",
        ]
    )


def activation_grid(
    chosen: Selection, layer: str, *, by_strength: bool, name: str, **options: Any
) -> str:
    """All maps of a layer; the options are those of `render.activation_grid` and the colours."""
    colormap = options.pop("colormap")
    strongest = "maps = maps[..., np.argsort(-vizlib.channel_strength(maps), kind='stable')]"
    return _text(
        [
            *_head(chosen, ["pathlib", *["numpy"] * by_strength, "vizlib", "render"]),
            f"maps = vizlib.activations(convnet, image, [{layer!r}])[{layer!r}]",
            *[strongest] * by_strength,
            _call("grid = render.activation_grid", "maps", options),
            _call("picture = render.to_png", "grid", {"colormap": colormap}),
            _save(name),
        ]
    )


def patterns(chosen: Selection, order: Order, *, best: int | None, name: str, **layout: int) -> str:
    """Filter patterns in a grid; ``best`` keeps that many of the strongest."""
    channels = ", ".join([f"convnet, {order.layer!r}", pformat(list(order.channels), _WIDTH)])
    options = {key: getattr(order, key) for key in ("recipe", "size", "steps", "seed")}
    return _text(
        [
            *_head(chosen, ["pathlib", "vizlib", "render"], photo=False),
            _call("patterns = vizlib.filter_patterns", channels, options),
            *[f"patterns = patterns.best({best})"] * (best is not None),
            _call("grid = render.montage", "patterns.images", layout),
            "picture = render.to_png(grid)",
            _save(name),
        ]
    )


def pictures(chosen: Selection, objectives: str, options: dict[str, Any], name: str) -> str:
    """The first picture of some objectives."""
    return _text(
        [
            *_head(chosen, ["pathlib", "vizlib", "render"], photo=False),
            _call("patterns = vizlib.optimize", f"convnet, {objectives}", options),
            "faded = patterns.transparency is not None",
            "seen = patterns.transparency[0] if faded else None",
            "picture = render.to_png(render.faded(patterns.images[0], seen))",
            _save(name),
        ]
    )


def channel(chosen: Selection, layer: str, index: int, options: dict[str, Any]) -> str:
    """The pattern of a channel and the evidence beside it."""
    objectives = f"[vizlib.objectives.channel({layer!r}, {index})]"
    name = f"{layer}_{index}".replace("/", "-")
    peaks = f"convnet, {layer!r}, {index}, vizlib.images_in('sample_images')"
    evidence = [
        "",
        f"for patch in vizlib.top_patches({peaks}):",
        "    print(patch.name, patch.box, f'{patch.activation:.3g}')",
    ]
    fed = f"print(vizlib.classes_fed(convnet, {layer!r}, {index}))"
    last = [fed] if chosen.convnet.is_classifier else []
    return pictures(chosen, objectives, options, name) + _text([*evidence, *last])


def atlas(chosen: Selection, layer: str, options: dict[str, Any]) -> str:
    """The patterns of all channels of a layer."""
    name = f"atlas_{layer}".replace("/", "-")
    return _text(
        [
            *_head(chosen, ["pathlib", "vizlib", "render"], photo=False),
            _call("atlas = vizlib.filter_atlas", f"convnet, {layer!r}", options),
            "patterns = atlas.fill().patterns()",
            "picture = render.to_png(render.montage(patterns.images))",
            _save(name),
        ]
    )


def convolution(chosen: Selection, layer: str, place: tuple[int, int, int], count: int) -> str:
    """One number of a convolution as a sum."""
    return _text(
        [
            *_head(chosen, ["vizlib"]),
            f"step = vizlib.convolution(convnet, image, {layer!r}).at{place}",
            f"for k in step.strongest({count}):",
            "    print(f'input channel {step.input_channels[k]}: {step.contributions[k]:+.5g}')",
            "    print(step.patch[..., k], '*', step.kernel[..., k], sep='\\n')",
            "print(f'all channels: {step.contributions.sum():+.5g}, bias: {step.bias:+.5g}')",
            "print(f'sum: {step.total:.5g}, the network itself: {step.before:.5g}')",
            "print(f'after the activation: {step.output:.5g}')",
        ]
    )


def pooling(chosen: Selection, layer: str, place: tuple[int, int, int]) -> str:
    """One number of a pooling layer with the window it comes from."""
    return _text(
        [
            *_head(chosen, ["vizlib"]),
            f"step = vizlib.pooling(convnet, image, {layer!r}).at{place}",
            "print(step.patch)",
            "print(f'step by step: {step.total:.5g}, the network itself: {step.output:.5g}')",
        ]
    )


def heatmaps(questions: Sequence[Question], look: Look, names: Iterable[str]) -> str:
    """Heatmaps over their photos, each on its own scale of colours."""
    lines = _imports(["pathlib", *["numpy"] * _marks_pixels(questions), "vizlib", "render"])
    before = None
    for question, name in zip(questions, names, strict=True):
        opening = _opening(question.chosen)
        lines += ["", *opening] if opening != before else [""]
        lines += [*_heatmap(question), *_overlay(question, look), _save(name)]
        before = opening
    return _text(lines)


def evidence(question: Question) -> str:
    """Tests of one heatmap."""
    head = _head(question.chosen, ["vizlib", "faithfulness"])
    tests = [
        f"print(faithfulness.verdict(faithfulness.{test}(convnet, image, heatmap)))"
        for test in ("deletion", "insertion")
    ]
    shuffled = [
        "check = faithfulness.randomization_check(convnet, image, heatmap)",
        "print(check.diagnosis or 'The map depends on what the network has learned.')",
    ]
    return _text([*head, *_heatmap(question), *tests, *shuffled])


def layer_sweep(question: Question) -> str:
    """The same method on every layer."""
    method = f"vizlib.HEATMAP_METHODS[{question.method!r}]"
    sweep = f"convnet, image, {method}, class_index={question.class_index}"
    return _text(
        [
            *_head(question.chosen, ["vizlib", "faithfulness"]),
            f"sweep = faithfulness.layer_sweep({sweep})",
            "for layer in sweep.layers:",
            "    print(f'{layer.heatmap.layer}: {layer.score:.3g}')",
            "print('best:', sweep.best.heatmap.layer)",
        ]
    )


def contributions(question: Question, layer: str, count: int) -> str:
    """A class score as a sum over channels."""
    options = f"class_index={question.class_index}, layer={layer!r}"
    return _text(
        [
            *_head(question.chosen, ["vizlib"]),
            f"parts = vizlib.channel_contributions(convnet, image, {options})",
            f"for channel in parts.strongest({count}):",
            "    print(f'channel {channel}: {parts.channels[channel]:+.4f}')",
            "print(f'all channels: {parts.channels.sum():.4f}, bias: {parts.bias:.4f}')",
            "print(f'score: {parts.score:.4f}, left over: {parts.gap:.4f}')",
        ]
    )


# Pieces of scripts.

_IMPORTS = {
    "pathlib": "from pathlib import Path\n",
    "numpy": "import numpy as np\n",
    "vizlib": "import vizlib",
    "render": "from vizlib import render",
    "faithfulness": "from vizlib import faithfulness",
}


def _imports(wanted: list[str]) -> list[str]:
    return [line for module, line in _IMPORTS.items() if module in wanted]


def _head(chosen: Selection, imports: list[str], *, photo: bool = True) -> list[str]:
    opening = _opening(chosen)
    return [*_imports(imports), "", *(opening if photo else opening[:1])]


def _opening(chosen: Selection) -> list[str]:
    return [
        _call("convnet = vizlib.load_convnet", repr(chosen.network.source), chosen.network.options),
        f"image = vizlib.load_image({chosen.photo.source!r})",
    ]


def _heatmap(question: Question) -> list[str]:
    options = {"class_index": question.class_index}
    options |= {"layer": question.layer} if question.layer else {}
    method = f"heatmap = vizlib.HEATMAP_METHODS[{question.method!r}]"
    return [_call(method, "convnet, image", options)]


def _overlay(question: Question, look: Look) -> list[str]:
    values = "heatmap.values" if look.signed else "heatmap.positive"
    options = {"alpha": look.alpha, "colormap": look.colormap}
    photo = "image"
    if question.chosen.picture is not question.chosen.image:
        photo = f"render.thumbnail(image, {max(question.chosen.picture.shape)})"
    highest = f"abs({values}).max()"
    if _marks_pixels([question]):
        highest = f"np.percentile(abs({values}), {PIXEL_SHARE})"
    arguments = f"{photo}, {values}, limit={highest}"
    return [_call("picture = render.overlay", arguments, options), _ENCODE]


_ENCODE = "picture = render.to_png(picture)"


def _marks_pixels(questions: Sequence[Question]) -> bool:
    return any(question.method in vizlib.PIXEL_METHODS for question in questions)


def _save(name: str) -> str:
    return f"Path({f'{name}.png'!r}).write_bytes(picture)"


def _call(function: str, first: str, options: dict[str, Any]) -> str:
    """A call, on one line where it fits."""
    arguments = [first, *(f"{key}={value!r}" for key, value in options.items())]
    line = f"{function}({', '.join(arguments)})"
    if len(line) <= _WIDTH:
        return line
    return "\n    ".join([f"{function}(", *(f"{one}," for one in arguments)]) + "\n)"


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


# Lines that go on with the heatmap of a script.


def measures() -> str:
    """Measures of the heatmap, each beside those of maps that know nothing."""
    numbers = "{one.heatmap:.2f}, random {one.random:.2f}, centre {one.centre:.2f}"
    return _text(
        [
            "for one in faithfulness.measures(convnet, image, heatmap):",
            f"    print(f'{{one.name}}: {numbers}')",
        ]
    )


def pointing(threshold: float, thing: Sequence[int] | None) -> str:
    """The box of the heatmap, held against where the thing is if that is known."""
    box = f"box = faithfulness.bounding_box(image, heatmap, threshold={threshold})"
    lines = [box, "print('box:', box)"]
    if thing is not None:
        lines += [
            f"thing = {tuple(thing)}",
            "print('hit:', faithfulness.pointing_game(image, heatmap, thing).hit)",
            "print('overlap:', box and faithfulness.overlap(box, thing))",
        ]
    return _text(lines)
