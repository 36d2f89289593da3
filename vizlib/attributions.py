"""Heatmaps of pixels, from the gradient of a class score with respect to the network's input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vizlib.baselines import baseline_tensor
from vizlib.batches import Progress, in_batches
from vizlib.checks import checked_integer, checked_number
from vizlib.convnet import ConvNet
from vizlib.heatmaps import INPUT, Heatmap, chosen_class, doubted, heatmap

MOST_STEPS = 1000


def saliency(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
) -> Heatmap:
    """Show how much the class score changes with each pixel, in whichever direction.

    ``max_c |G_c|`` over colours, with ``G`` the gradient of the score with respect to the
    network's input. Noisy, and about small changes only: it tells which pixels the score is
    sensitive to, not which speak for the class. Costs one forward and one backward pass.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    class_index : int, optional
        The class with the highest score by default.
    layer : str, optional
        Not used; taken so that all methods can be called alike.

    Returns
    -------
    Heatmap
        At the network's input size, nothing below 0.

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier, or no gradient reaches its input.
    InvalidArgumentError
        If the class does not exist.

    References
    ----------
    K. Simonyan et al., "Deep Inside Convolutional Networks: Visualising Image Classification
    Models and Saliency Maps", 2013, https://arxiv.org/abs/1312.6034.
    """
    index, scores = chosen_class(convnet, image, class_index)
    gradient = convnet.tensor_gradients(convnet.input_tensor(image)[None], index)[0]
    return heatmap("Gradient", INPUT, strongest_colour(gradient), scores, index)


def gradient_times_input(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
) -> Heatmap:
    """Multiply each number the network receives by the gradient of the class score there.

    ``sum_c x_c G_c`` over colours, with ``x`` the preprocessed input. For a network of ReLUs
    without biases the values add up to the score; otherwise they are a rough `integrated_gradients`
    from the input that is zero everywhere. A pixel whose input is zero gets nothing, whatever it
    means to the network. Costs one forward and one backward pass.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    class_index : int, optional
        The class with the highest score by default.
    layer : str, optional
        Not used; taken so that all methods can be called alike.

    Returns
    -------
    Heatmap
        At the network's input size, signed.

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier, or no gradient reaches its input.
    InvalidArgumentError
        If the class does not exist.

    References
    ----------
    A. Shrikumar et al., "Not Just a Black Box: Learning Important Features Through Propagating
    Activation Differences", 2016, https://arxiv.org/abs/1605.01713.
    """
    index, scores = chosen_class(convnet, image, class_index)
    tensor = convnet.input_tensor(image)
    gradient = convnet.tensor_gradients(tensor[None], index)[0]
    return heatmap("Gradient x input", INPUT, summed_colours(tensor * gradient), scores, index)


def smooth_grad(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
    samples: int = 32,
    noise: float = 0.15,
    seed: int = 0,
    progress: Progress | None = None,
) -> Heatmap:
    """Average the gradient over noisy copies of the photo, so that its own noise drops out.

    ``max_c |mean(G_c(x + e))|`` over colours, with ``e`` normal noise. Every other copy has the
    noise of the one before with the signs changed, which leaves less noise in the mean of as many
    copies (antithetic variates). Cleaner than `saliency`, and to be read like it: which pixels
    the score is sensitive to. Costs ``samples`` forward and backward passes.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    class_index : int, optional
        The class with the highest score by default.
    layer : str, optional
        Not used; taken so that all methods can be called alike.
    samples : int
        Number of noisy copies.
    noise : float
        Standard deviation of the noise, as a share of the range of the network's input.
    seed : int
        Same seed, same noise.
    progress : callable, optional
        ``progress(done, total)``, counted in copies. Raising cancels.

    Returns
    -------
    Heatmap
        At the network's input size, nothing below 0.

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier, or no gradient reaches its input.
    InvalidArgumentError
        If the class does not exist, or an option is out of bounds.

    References
    ----------
    D. Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017,
    https://arxiv.org/abs/1706.03825.
    J. M. Hammersley and K. W. Morton, "A new Monte Carlo technique: antithetic variates",
    Mathematical Proceedings of the Cambridge Philosophical Society 52, 1956.
    """
    count = checked_integer("samples", samples, low=1)
    spread = checked_number("noise", noise, low=0, high=10)
    first = checked_integer("seed", seed, low=0)
    index, scores = chosen_class(convnet, image, class_index)
    tensor = convnet.input_tensor(image)
    deviation = np.float32(spread * np.ptp(tensor))

    def noisy(number: int) -> np.ndarray:
        # A generator for each pair: what it gets does not depend on the size of batches.
        pair, mirrored = divmod(number, 2)
        normal = np.random.default_rng((first, pair)).standard_normal(tensor.shape, "float32")
        return tensor + (-deviation if mirrored else deviation) * normal

    weights = np.full(count, 1 / count)
    gradient = weighted_gradient(convnet, index, weights, noisy, progress)
    return heatmap("SmoothGrad", INPUT, strongest_colour(gradient), scores, index)


def integrated_gradients(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
    steps: int = 64,
    baseline: str = "black",
    progress: Progress | None = None,
) -> Heatmap:
    """Share the difference in score between the photo and nothing out among the pixels.

    ``sum_c (x_c - b_c) * integral of G_c(b + t (x - b)) dt`` from 0 to 1, over colours, in the
    numbers the network receives; ``b`` is the baseline, preprocessed like a photo. The values add
    up to ``score(x) - score(b)``. What equals the baseline gets nothing: with black, dark pixels
    do not count. Costs ``steps`` forward and backward passes.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    class_index : int, optional
        The class with the highest score by default.
    layer : str, optional
        Not used; taken so that all methods can be called alike.
    steps : int
        Points of Gauss-Legendre quadrature between baseline and photo.
    baseline : {"black", "grey", "blurred"}
        The photo that shows nothing.
    progress : callable, optional
        ``progress(done, total)``, counted in steps. Raising cancels.

    Returns
    -------
    Heatmap
        At the network's input size, signed. Its ``diagnosis`` says so where the values miss the
        difference they should add up to.

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier, or no gradient reaches its input.
    InvalidArgumentError
        If the class does not exist, or an option is unknown or out of bounds.

    References
    ----------
    M. Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017,
    https://arxiv.org/abs/1703.01365.
    """
    count = checked_integer("steps", steps, low=1, high=MOST_STEPS)
    start = baseline_tensor(convnet, image, baseline)
    index, scores = chosen_class(convnet, image, class_index)
    way = convnet.input_tensor(image) - start
    points, weights = np.polynomial.legendre.leggauss(count)

    def between(number: int) -> np.ndarray:
        return start + np.float32((points[number] + 1) / 2) * way

    gradient = weighted_gradient(convnet, index, weights / 2, between, progress)
    values = summed_colours(way * gradient)
    rise = float(scores[index] - convnet.tensor_scores(start[None])[0, index])
    found = heatmap("Integrated Gradients", INPUT, values, scores, index)
    return doubted(found, missed_sum(float(values.sum()), rise))


def guided_backprop(
    convnet: ConvNet,
    image: np.ndarray,
    *,
    class_index: int | None = None,
    layer: str | None = None,
) -> Heatmap:
    """Follow the class score back to the pixels through what raises it at every ReLU.

    ``max_c |R_c|`` over colours, with ``R`` the gradient of the score with respect to the
    network's input in which every ReLU hands back ``relu(R)`` where it is open. Crisp, but mostly
    the edges of the photo: it looks alike for other classes and for networks with random weights,
    so it explains neither a class nor a network. Costs one forward and two backward passes.

    Parameters
    ----------
    convnet : ConvNet
    image : uint8 array ``(H, W, 3)``
    class_index : int, optional
        The class with the highest score by default.
    layer : str, optional
        Not used; taken so that all methods can be called alike.

    Returns
    -------
    Heatmap
        At the network's input size, nothing below 0. Its ``caveat`` says what the method fails,
        its ``diagnosis`` where the network has no ReLU to guide. A PReLU counts as two ReLUs;
        other activations pass the plain gradient.

    Raises
    ------
    UnsupportedModelError
        If the network is not a classifier, or no gradient reaches its input.
    InvalidArgumentError
        If the class does not exist.

    References
    ----------
    J. T. Springenberg et al., "Striving for Simplicity: The All Convolutional Net", 2014,
    https://arxiv.org/abs/1412.6806.
    J. Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018,
    https://arxiv.org/abs/1810.03292.
    """
    index, scores = chosen_class(convnet, image, class_index)
    tensor = convnet.input_tensor(image)[None]
    guided = convnet.tensor_gradients(tensor, index, guided=True)[0]
    plain = convnet.tensor_gradients(tensor, index)[0]
    unguided = bool(np.abs(guided - plain).max() <= 1e-4 * np.abs(plain).max())
    found = heatmap("Guided backpropagation", INPUT, strongest_colour(guided), scores, index)
    return replace(doubted(found, _UNGUIDED if unguided else None), caveat=_FAILS_SANITY_CHECKS)


_FAILS_SANITY_CHECKS = (
    "Guided backpropagation fails the sanity checks of Adebayo et al. (2018): its picture hardly "
    "changes when the network's weights are made random. Do not take it as evidence for a class."
)
_UNGUIDED = (
    "The picture is that of the plain gradient: this network has no ReLU that would hold anything "
    "back."
)

#: Every method that follows the gradient to the pixels.
ATTRIBUTIONS: dict[str, Callable[..., Heatmap]] = {
    "Gradient": saliency,
    "Gradient x input": gradient_times_input,
    "SmoothGrad": smooth_grad,
    "Integrated Gradients": integrated_gradients,
    "Guided backpropagation": guided_backprop,
}


# What they share.


def strongest_colour(gradient: np.ndarray) -> np.ndarray:
    """Largest absolute value over the colours of ``(h, w, c)``."""
    return np.abs(gradient).max(axis=2)


def summed_colours(shares: np.ndarray) -> np.ndarray:
    """Sum over the colours of ``(h, w, c)``."""
    return shares.sum(axis=2)


def weighted_gradient(
    convnet: ConvNet,
    class_index: int,
    weights: np.ndarray,
    tensor_at: Callable[[int], np.ndarray],
    progress: Progress | None,
) -> np.ndarray:
    """Add up the gradients at ``tensor_at(0)``, ``tensor_at(1)`` ... times their weights.

    Returns float64 ``(h, w, c)``.
    """
    total = np.zeros(())
    for numbers in in_batches(len(weights), convnet.batch_size, progress):
        tensors = np.stack([tensor_at(number) for number in numbers])
        gradients = convnet.tensor_gradients(tensors, class_index)
        total = total + np.tensordot(weights[numbers], gradients, axes=1)
    return total


def missed_sum(total: float, rise: float) -> str | None:
    """Say by how much attributions miss the rise in score that they should add up to."""
    if not np.isfinite(rise) or abs(total - rise) <= max(0.1 * abs(rise), 1e-3):
        return None
    return (
        f"The values add up to {total:.3g}, but the score rises by {rise:.3g} from the baseline to "
        "the photo. Take more steps."
    )
