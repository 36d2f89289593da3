"""Heatmaps from what the network says of changed photos and maps; no gradient is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np

from vizlib.baselines import baseline_tensor
from vizlib.batches import Progress, in_batches
from vizlib.cam_rules import weighted_sum
from vizlib.checks import checked_integer, checked_size
from vizlib.convnet import ConvNet
from vizlib.errors import InvalidArgumentError
from vizlib.heads import softmax
from vizlib.heatmaps import INPUT, Heatmap, chosen_class, chosen_layer, doubted, heatmap

_PATCHES_ACROSS = 8
_NOTHING = (slice(0), slice(0))  # the patch that leaves the photo whole
_ENOUGH_AGREEMENT = 0.5
#: ``stack_of(numbers) -> float32 array``: the changed inputs, or maps, of those numbers.
Stack = Callable[[range], np.ndarray]


def score_cam(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
    baseline: str = "grey",
    progress: Progress | None = None,
) -> Heatmap:
    """Weigh each map of a layer by the score of the photo seen through that map.

    ``sum_k w_k A_k`` with ``w = softmax_k(score(b + M_k (x - b)))``; ``M_k`` is the map, resized
    to the photo and stretched to 0..1. Free of gradients and their noise. The weights are above
    0: after a ReLU it does not tell what speaks against, and channels with large scores drown the
    others. Costs one forward pass for each channel of the layer.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    class_index : int, optional
        The class with the highest score by default.
    layer : str, optional
        `ConvNet.default_layer` by default.
    baseline : {"grey", "black", "blurred"}
        What is seen where a map is zero.
    progress : callable, optional
        ``progress(done, total)``, counted in channels. Raising cancels.

    Returns
    -------
    Heatmap

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier.
    UnknownLayerError, InvalidArgumentError
        If the layer, the class or the baseline does not exist.

    References
    ----------
    H. Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural
    Networks", CVPR Workshops 2020, https://arxiv.org/abs/1910.01279.
    """
    name = chosen_layer(convnet, layer)
    blank = baseline_tensor(convnet, image, baseline)
    index, scores = chosen_class(convnet, image, class_index)
    maps = convnet.maps(image, [name])[name]
    shown = convnet.input_tensor(image) - blank

    def through_maps(channels: range) -> np.ndarray:
        masks = np.stack([stretched(maps[..., k], convnet.input_size) for k in channels])
        return blank + masks[..., None] * shown

    seen = _class_scores(convnet, index, maps.shape[2], through_maps, progress)
    return heatmap("Score-CAM", name, weighted_sum(maps, softmax(seen)), scores, index)


def ablation_cam(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
    progress: Progress | None = None,
) -> Heatmap:
    """Weigh each map of a layer by how much the class score drops without it.

    ``sum_k w_k A_k`` with ``w_k = score - score without map k``. Free of gradients, which vanish
    where a network is sure. The published drop is relative to the score, which scales the picture
    and, for a score below 0, would turn its signs round. Costs one run of the layers behind the
    chosen one for each channel.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    class_index : int, optional
        The class with the highest score by default.
    layer : str, optional
        `ConvNet.default_layer` by default.
    progress : callable, optional
        ``progress(done, total)``, counted in channels that are not silent. Raising cancels.

    Returns
    -------
    Heatmap
        With signed values.

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier.
    UnknownLayerError, InvalidArgumentError
        If the layer or the class does not exist.

    References
    ----------
    S. Desai and H. G. Ramaswamy, "Ablation-CAM: Visual Explanations for Deep Convolutional Network
    via Gradient-free Localization", WACV 2020, https://doi.org/10.1109/WACV45572.2020.9093360.
    """
    name = chosen_layer(convnet, layer)
    index, scores = chosen_class(convnet, image, class_index)
    maps = convnet.maps(image, [name])[name]
    drops = np.zeros(maps.shape[2])
    heard = np.flatnonzero(maps.any(axis=(0, 1)))
    whole = convnet.scores_with_maps(image, name, maps[None])[0, index]
    for numbers in in_batches(len(heard), convnet.batch_size, progress):
        channels = heard[numbers]
        without = convnet.scores_with_maps(image, name, silenced(maps, channels))
        drops[channels] = whole - without[:, index]
    return heatmap("Ablation-CAM", name, weighted_sum(maps, drops), scores, index)


def occlusion(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
    patch: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    baseline: str = "grey",
    progress: Progress | None = None,
) -> Heatmap:
    """Cover the photo patch by patch and show how much the class score drops.

    The value of a pixel is the mean of ``score - score with the patch covered`` over the patches
    that cover it. Needs nothing but scores, so it holds for every network; but a covered patch is
    a new thing to see, and what is shown twice in the photo is missed. Costs one forward pass for
    each patch, 225 by default.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    class_index : int, optional
        The class with the highest score by default.
    layer : str, optional
        Not used; taken so that all methods can be called alike.
    patch : int or (height, width), optional
        In pixels of the network's input; an eighth of the shorter side by default.
    stride : int or (height, width), optional
        Pixels between patches; half a patch by default.
    baseline : {"grey", "black", "blurred"}
        What patches are covered with.
    progress : callable, optional
        ``progress(done, total)``, one for each patch and one without. Raising cancels.

    Returns
    -------
    Heatmap
        At the network's input size, signed.

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier.
    InvalidArgumentError
        If the class does not exist, or an option is unknown or out of bounds.

    References
    ----------
    M. D. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014,
    https://arxiv.org/abs/1311.2901.
    """
    size = convnet.input_size
    sides = _patch_sides(size, patch)
    patches = [_NOTHING, *patches_over(size, sides, _strides(sides, stride))]
    blank = baseline_tensor(convnet, image, baseline)
    wanted = None if class_index is None else convnet.class_index(class_index)
    tensor = convnet.input_tensor(image)

    def covered(numbers: range) -> np.ndarray:
        tensors = np.repeat(tensor[None], len(numbers), axis=0)
        for one, number in zip(tensors, numbers, strict=True):
            one[patches[number]] = blank[patches[number]]
        return tensors

    scores, *seen = _scores(convnet, len(patches), covered, progress)
    index = int(scores.argmax()) if wanted is None else wanted
    drops = scores[index] - np.array(seen)[:, index]
    values = mean_over_patches(drops, patches[1:], size)
    return heatmap("Occlusion", INPUT, values, scores, index)


def rise(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
    samples: int = 1000,
    cells: int = 7,
    seed: int = 0,
    progress: Progress | None = None,
) -> Heatmap:
    """Show the photo through random masks and tell which pixels a high class score needs.

    ``cov(score, M) / var(M)`` over the masks, for each pixel: how many logits the score rises
    where the pixel is seen. It is the published mean of score times mask, less what every pixel
    gets alike. Needs nothing but scores, so it holds for every network; it is blurred, and noisy
    unless samples are many. Costs ``samples`` forward passes.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    class_index : int, optional
        The class with the highest score by default.
    layer : str, optional
        Not used; taken so that all methods can be called alike.
    samples : int
        Number of masks; the paper takes 4000 and more.
    cells : int
        Of a mask, along each side. Each is seen or grey with equal odds, at random offsets and
        with soft borders.
    seed : int
        Same seed, same masks.
    progress : callable, optional
        ``progress(done, total)``, counted in masks. Raising cancels.

    Returns
    -------
    Heatmap
        At the network's input size, signed. Its ``diagnosis`` says so where two halves of the
        masks do not agree on the picture.

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier.
    InvalidArgumentError
        If the class does not exist, or an option is out of bounds.

    References
    ----------
    V. Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC
    2018, https://arxiv.org/abs/1806.07421.
    """
    count = checked_integer("samples", samples, low=2)
    side = checked_integer("cells", cells, low=1, high=min(convnet.input_size))
    first = checked_integer("seed", seed, low=0)
    index, scores = chosen_class(convnet, image, class_index)
    blank = baseline_tensor(convnet, image, "grey")
    shown = convnet.input_tensor(image) - blank

    def mask(number: int) -> np.ndarray:
        # A generator for each mask: what it gets does not depend on the size of batches.
        return random_mask(np.random.default_rng((first, number)), side, convnet.input_size)

    def masked(numbers: range) -> np.ndarray:
        return blank + np.stack([mask(number) for number in numbers])[..., None] * shown

    seen = _class_scores(convnet, index, count, masked, progress)
    values, half, other = (
        slope_where_seen(seen[part], map(mask, range(count)[part]))
        for part in (slice(None), slice(0, None, 2), slice(1, None, 2))
    )
    found = heatmap("RISE", INPUT, values, scores, index)
    return doubted(found, disagreement(half, other))


#: Methods that weigh the maps of a layer, and those that look at pixels.
LAYER_PERTURBATIONS: dict[str, Callable[..., Heatmap]] = {
    "Score-CAM": score_cam,
    "Ablation-CAM": ablation_cam,
}
PIXEL_PERTURBATIONS: dict[str, Callable[..., Heatmap]] = {"Occlusion": occlusion, "RISE": rise}


def _class_scores(
    convnet: ConvNet, class_index: int, count: int, stack_of: Stack, progress: Progress | None
) -> np.ndarray:
    """Logits of one class for ``count`` changed inputs, ``(count,)``."""
    return _scores(convnet, count, stack_of, progress)[:, class_index]


def _scores(convnet: ConvNet, count: int, stack_of: Stack, progress: Progress | None) -> np.ndarray:
    """Logits of all classes, ``(count, classes)``."""
    batches = in_batches(count, convnet.batch_size, progress)
    return np.concatenate([convnet.tensor_scores(stack_of(numbers)) for numbers in batches])


# Pure steps.


def stretched(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a map to ``size`` and stretch it to 0..1; zeros where it is the same everywhere."""
    height, width = size
    resized = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    span = np.ptp(resized)
    return (resized - resized.min()) / span if span > 0 else np.zeros_like(resized)


def silenced(maps: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Copies of ``maps (h, w, k)``, each with another one of the channels at zero."""
    copies = np.repeat(maps[None], len(channels), axis=0)
    copies[np.arange(len(channels)), :, :, channels] = 0
    return copies


def patches_over(
    size: tuple[int, int], patch: tuple[int, int], stride: tuple[int, int]
) -> list[tuple[slice, slice]]:
    """Patches that cover a photo, row by row; the last ones of a row or column are moved in."""
    rows, columns = (
        [*range(0, side - length, step), side - length]
        for side, length, step in zip(size, patch, stride, strict=True)
    )
    height, width = patch
    return [(slice(r, r + height), slice(c, c + width)) for r in rows for c in columns]


def mean_over_patches(
    values: np.ndarray, patches: list[tuple[slice, slice]], size: tuple[int, int]
) -> np.ndarray:
    """Mean, for each pixel, of the values of the patches that cover it; float32 ``size``."""
    total, times = np.zeros(size), np.zeros(size)
    for value, patch in zip(values, patches, strict=True):
        total[patch] += value
        times[patch] += 1
    return np.asarray(total / times, "float32")


def random_mask(rng: np.random.Generator, cells: int, size: tuple[int, int]) -> np.ndarray:
    """A mask with values 0..1: cells at random 0 or 1, blurred into one another and shifted."""
    height, width = (-(-side // cells) for side in size)
    grid = rng.integers(0, 2, (cells + 1, cells + 1)).astype("float32")
    wide = (width * (cells + 1), height * (cells + 1))
    mask = cv2.resize(grid, wide, interpolation=cv2.INTER_LINEAR)
    top, left = rng.integers(0, height), rng.integers(0, width)
    return mask[top : top + size[0], left : left + size[1]]


def slope_where_seen(scores: np.ndarray, masks: Iterable[np.ndarray]) -> np.ndarray:
    """How much the score rises with what is seen of each pixel: ``cov(score, mask) / var(mask)``.

    Parameters
    ----------
    scores : array ``(n,)``
        Of the photo through each mask.
    masks : iterable of ``n`` float arrays ``(h, w)``
        One after the other, as all of them would not fit into memory.

    Returns
    -------
    float32 array ``(h, w)``
        0 for a pixel that is seen alike through all masks.
    """
    seen = squares = together = np.zeros(())
    for deviation, mask in zip(scores - scores.mean(), masks, strict=True):
        seen = seen + mask.astype("float64")
        squares = squares + np.square(mask, dtype="float64")
        together = together + deviation * mask.astype("float64")
    variance = squares / len(scores) - np.square(seen / len(scores))
    # Where nothing varies there is nothing above the line either.
    return np.asarray(together / len(scores) / np.where(variance > 1e-9, variance, 1), "float32")


def disagreement(half: np.ndarray, other: np.ndarray) -> str | None:
    """Say so where the pictures from two halves of the masks do not look alike."""
    if np.ptp(half) == 0 or np.ptp(other) == 0:
        return None
    correlation = np.corrcoef(half.ravel(), other.ravel())[0, 1]
    if correlation >= _ENOUGH_AGREEMENT:
        return None
    return (
        "Two halves of the masks give pictures that hardly agree (correlation "
        f"{correlation:.2f}), so much of this one is chance. Take more samples, or fewer cells."
    )


# Checks.


def _patch_sides(size: tuple[int, int], patch: int | tuple[int, int] | None) -> tuple[int, int]:
    if patch is None:
        side = max(1, min(size) // _PATCHES_ACROSS)
        return side, side
    return _fitting("patch", patch, size, "the network's input")


def _strides(sides: tuple[int, int], stride: int | tuple[int, int] | None) -> tuple[int, int]:
    if stride is None:
        return max(1, sides[0] // 2), max(1, sides[1] // 2)
    return _fitting("stride", stride, sides, "the patch, so that no pixel is left out")


def _fitting(
    name: str, wanted: int | tuple[int, int], most: tuple[int, int], whose: str
) -> tuple[int, int]:
    sides = checked_size(name, wanted, high=max(most))
    if sides[0] > most[0] or sides[1] > most[1]:
        raise InvalidArgumentError(
            f"Expected {name} to be at most {most[0]} x {most[1]} pixels, the size of {whose}. "
            f"Received: {wanted!r}."
        )
    return sides
