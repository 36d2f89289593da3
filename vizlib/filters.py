"""Which pattern does a channel look for? Gradient ascent in input space."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vizlib.checks import checked_integer, checked_size
from vizlib.convnet import ConvNet
from vizlib.errors import (
    InvalidArgumentError,
    UnsupportedModelError,
    VizlibError,
    first_reason,
)
from vizlib.layers import LayerInfo, is_activation
from vizlib.watching import run_with_pre_activation

Progress = Callable[[int, int], None]

#: Pictures optimised together; more costs memory and hardly gains time on a CPU.
BATCH = 8
MAX_SIDE = 1024


@dataclass(frozen=True)
class FilterPatterns:
    """What the channels of a layer look for.

    Attributes
    ----------
    images : uint8 array ``(n, H, W, 3)``
        RGB. Plain grey where a channel never fired.
    objective : float32 array ``(n, steps)``
        What each step started from: the mean of the channel, in the layer's own units. Where the
        channel does not fire at all, the mean before its activation, which is then below zero.
    diagnosis : tuple of (str or None)
        For each channel a sentence saying why its picture is empty, or None.
    layer : str
        Full path of the layer.
    channels : tuple of int
    """

    images: np.ndarray
    objective: np.ndarray
    diagnosis: tuple[str | None, ...]
    layer: str
    channels: tuple[int, ...]

    def best(self, count: int) -> FilterPatterns:
        """Keep the ``count`` patterns that the network answers to most, strongest first.

        Laid out with `render.montage` they make the *stitched filters* picture of F. Chollet,
        "How convolutional neural networks see the world", The Keras Blog, 2016.
        """
        fired = np.array([sentence is None for sentence in self.diagnosis])
        order = np.lexsort((-self.objective[:, -1], ~fired))[:count]
        return replace(
            self,
            images=self.images[order],
            objective=self.objective[order],
            diagnosis=tuple(self.diagnosis[i] for i in order),
            channels=tuple(self.channels[i] for i in order),
        )


@dataclass(frozen=True)
class FilterRecipe:
    """How pictures are made: a start, a step, and the way back to pixels.

    Attributes
    ----------
    title : str
        One sentence for menus.
    steps : int
        Steps taken unless asked otherwise.
    start : callable
        ``start(seed, channel, shape) -> float32 array``, pixels 0..255 ``(h, w, channels)``.
    ascend : callable
        ``ascend(pixels, gradient) -> pixels`` on a batch of tensors ``(n, h, w, channels)``.
    develop : callable
        ``develop(pixels) -> uint8 array`` of the same shape ``(h, w, channels)``.
    """

    title: str
    steps: int
    start: Callable[[int, int, tuple[int, ...]], np.ndarray]
    ascend: Callable[[Any, Any], Any]
    develop: Callable[[np.ndarray], np.ndarray]


def filter_patterns(
    convnet: ConvNet,
    layer: str,
    channels: Sequence[int],
    *,
    recipe: str = "classic",
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> FilterPatterns:
    """Make, for each channel, the picture that it answers to most.

    Parameters
    ----------
    convnet : ConvNet
    layer : str
    channels : sequence of int
    recipe : str
        A key of `FILTER_RECIPES`.
    size : int or (height, width), optional
        Of the pictures in pixels; the network's input size by default.
    steps : int, optional
        Steps of gradient ascent; the recipe's own number by default.
    seed : int
        Same seed, same pictures. A channel's picture does not depend on which others are made.
    progress : callable, optional
        ``progress(done, total)`` after each step, counted over all channels. Raising cancels.

    Returns
    -------
    FilterPatterns

    Raises
    ------
    UnknownLayerError
        If the layer does not exist.
    InvalidArgumentError
        If a channel, the recipe, the size or the number of steps does not fit.
    UnsupportedModelError
        If no gradient reaches the pixels of this network.

    References
    ----------
    D. Erhan et al., "Visualizing Higher-Layer Features of a Deep Network", 2009.
    F. Chollet, *Deep Learning with Python*, "Visualizing convnet filters".
    """
    info = convnet.layer(layer)
    chosen = _checked_channels(channels, info)
    made = recipe_named(recipe)
    shape = (
        *checked_size("size", convnet.input_size if size is None else size, high=MAX_SIDE),
        convnet.input_channels,
    )
    count = checked_integer("steps", made.steps if steps is None else steps, low=1)
    seed = checked_integer("seed", seed, low=0)
    batches = _batches(chosen, _batch_size(shape))
    step = _step(convnet, info.name, recipe, (len(batches[0]), *shape))
    climbs = []
    for number, batch in enumerate(batches):
        start = np.stack([made.start(seed, channel, shape) for channel in batch])
        tick = _ticker(progress, number * count, len(batches) * count)
        climbs.append(_climb(step, start, batch, steps=count, tick=tick))
    pixels, trace, fires = (
        np.concatenate(parts)[: len(chosen)] for parts in zip(*climbs, strict=True)
    )
    finite = np.isfinite(pixels).all(axis=(1, 2, 3)) & np.isfinite(trace).all(axis=1)
    diagnosis = tuple(map(_diagnosis, chosen, trace, fires, finite))
    images = [
        _grey(p) if d else _developed(made, p) for p, d in zip(pixels, diagnosis, strict=True)
    ]
    return FilterPatterns(
        images=np.stack(images),
        objective=trace,
        diagnosis=diagnosis,
        layer=info.name,
        channels=chosen,
    )


def _batches(channels: Sequence[int], size: int) -> list[list[int]]:
    """Split into batches of equal length, so that one compiled step serves all of them."""
    count = math.ceil(len(channels) / size)
    length = math.ceil(len(channels) / count)
    padded = [*channels, *[channels[-1]] * (count * length - len(channels))]
    return [padded[i : i + length] for i in range(0, len(padded), length)]


def _batch_size(shape: tuple[int, ...]) -> int:
    """As many pictures at once as keep the memory of the maps in bounds."""
    return max(1, min(BATCH, BATCH * 224 * 224 // (shape[0] * shape[1])))


def _climb(
    step: Any,
    start: np.ndarray,
    channels: Sequence[int],
    *,
    steps: int,
    tick: Callable[[int], None],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take all steps for one batch of ``n``.

    Returns pixels ``(n, h, w, c)``, objectives ``(n, steps)`` and whether each fires ``(n,)``.
    """
    pixels, wanted = tf.constant(start), tf.constant(channels, tf.int32)
    trace = []
    for done in range(1, steps + 1):
        pixels, objective, fires = step(pixels, wanted)
        trace.append(objective.numpy())
        tick(done)
    return pixels.numpy(), np.stack(trace, axis=1), fires.numpy()


def _step(convnet: ConvNet, layer: str, recipe: str, shape: tuple[int, ...]) -> Any:
    """One compiled step of ascent, traced once for each layer, recipe and batch shape."""
    made = recipe_named(recipe)

    def step(pixels: Any, channels: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(pixels)
            objective, fires = channel_means(convnet, layer, pixels, channels)
        gradient = tape.gradient(objective, pixels)
        if gradient is None:
            raise UnsupportedModelError(
                f"Expected a network whose pixels can be changed little by little. {layer!r} of "
                f"{convnet.name!r} passes no gradient back to them (whole-number input, or an "
                "operation without gradient)."
            )
        return made.ascend(pixels, gradient), objective, fires

    def trace() -> Any:
        signature = [tf.TensorSpec(shape, tf.float32), tf.TensorSpec(shape[:1], tf.int32)]
        compiled = tf.function(step, autograph=False, input_signature=signature)
        try:
            return compiled.get_concrete_function()
        except VizlibError:
            raise
        # Whatever a layer objects to in this size: Keras and TensorFlow use many types.
        except Exception as error:
            raise InvalidArgumentError(_size_refused(convnet, layer, shape, error)) from error

    return convnet.compiled((recipe, layer, shape), trace)


def channel_means(convnet: ConvNet, layer: str, pixels: Any, channels: Any) -> tuple[Any, Any]:
    """Mean of one channel for each picture of a batch, differentiable.

    Where a channel does not fire anywhere, its activation passes no gradient. There, the mean
    before the activation (where the layer has one) takes its place until it does.

    Parameters
    ----------
    convnet : ConvNet
    layer : str
    pixels : float32 tensor ``(n, h, w, c)``, 0..255
    channels : int32 tensor ``(n,)``

    Returns
    -------
    means : float32 tensor ``(n,)``
    fires : bool tensor ``(n,)``
    """

    def own_channels(operation: Any, inputs: Any, run: Callable[[], Any]) -> tuple[Any, Any]:
        if _convolves_channels_apart(operation):
            before = _convolve_own(operation, inputs, channels)
            return operation.activation(before), before
        if is_activation(operation) and tf.is_tensor(inputs):
            return run(), inputs
        return run_with_pre_activation(operation, run)

    tensor = convnet.preprocessing.apply(pixels)
    after, before = convnet.layer_output(tensor, layer, compute=own_channels)
    fired = _mean_of_own(after, channels)
    fires = tf.not_equal(fired, 0)
    return tf.where(fires, fired, tf.minimum(_mean_of_own(before, channels), 0)), fires


def _convolves_channels_apart(operation: Any) -> bool:
    return (
        type(operation) is keras.layers.Conv2D
        and operation.data_format == "channels_last"
        and operation.groups == 1
        and operation.activation in _ELEMENTWISE
    )


def _convolve_own(operation: Any, inputs: Any, channels: Any) -> Any:
    """Convolve each picture with the kernel of its own channel only, ``(n, h, w, 1)``.

    Of a layer with hundreds of channels one is wanted for each picture; with ``n`` kernels in
    place of all of them the last layer costs a fraction of itself.
    """
    kernel = keras.ops.take(operation.kernel, channels, axis=-1)
    maps = keras.ops.conv(
        inputs,
        kernel,
        strides=operation.strides,
        padding=operation.padding,
        data_format="channels_last",
        dilation_rate=operation.dilation_rate,
    )
    if operation.use_bias:
        maps += keras.ops.take(operation.bias, channels)
    own = tf.range(tf.shape(channels)[0])
    return tf.gather(maps, own, axis=3, batch_dims=1)[..., None]


def _mean_of_own(maps: Any, channels: Any) -> Any:
    """Mean over places of channel ``channels[i]`` in picture ``i``."""
    if maps.shape[-1] == 1:
        return tf.reduce_mean(maps, axis=(1, 2, 3))
    return tf.gather(tf.reduce_mean(maps, axis=(1, 2)), channels, axis=1, batch_dims=1)


_ELEMENTWISE = (
    *(keras.activations.linear, keras.activations.relu, keras.activations.relu6),
    *(keras.activations.sigmoid, keras.activations.tanh, keras.activations.elu),
    *(keras.activations.selu, keras.activations.silu, keras.activations.gelu),
    *(keras.activations.leaky_relu, keras.activations.softplus, keras.activations.softsign),
)


# The book's recipe.

#: Typical change of a pixel in one step, of 255: the book's step of 10 on a 0..1 picture of
#: 200 x 200 under the L2 norm.
_CLASSIC_STEP = 255 * 10 / math.sqrt(200 * 200 * 3)


def _grey_noise(seed: int, channel: int, shape: tuple[int, ...]) -> np.ndarray:
    noise = np.random.default_rng((seed, channel)).uniform(0.4, 0.6, shape)
    return (255 * noise).astype("float32")


def _normalized_step(pixels: Any, gradient: Any) -> Any:
    # Each picture by itself, so that those in a batch do not know of one another.
    mean_square = tf.reduce_mean(tf.square(gradient), axis=(1, 2, 3), keepdims=True)
    return pixels + _CLASSIC_STEP * gradient * tf.math.rsqrt(tf.maximum(mean_square, 1e-30))


def _standardized(pixels: np.ndarray) -> np.ndarray:
    centred = pixels - pixels.mean()
    return np.clip(np.rint(128 + 64 * centred / (pixels.std() + 1e-5)), 0, 255).astype("uint8")


#: Every recipe by name.
FILTER_RECIPES = {
    "classic": FilterRecipe(
        title="The book's: grey noise, normalised gradient, standardised colours",
        steps=30,
        start=_grey_noise,
        ascend=_normalized_step,
        develop=_standardized,
    ),
}


# From pictures to results, and checks.


def _developed(recipe: FilterRecipe, pixels: np.ndarray) -> np.ndarray:
    return np.broadcast_to(recipe.develop(pixels), (*pixels.shape[:2], 3))


def _grey(pixels: np.ndarray) -> np.ndarray:
    return np.full((*pixels.shape[:2], 3), 128, "uint8")


def _diagnosis(channel: int, trace: np.ndarray, fires: bool, finite: bool) -> str | None:
    if not finite:
        return f"Channel {channel} gives numbers that are not finite; check the network's weights."
    if not fires:
        return (
            f"Channel {channel} never fired in {len(trace)} steps, so there is no pattern to show: "
            "it may be dead, or need more steps."
        )
    return None


def _ticker(progress: Progress | None, before: int, total: int) -> Callable[[int], None]:
    if progress is None:
        return lambda _done: None
    return lambda done: progress(before + done, total)


def recipe_named(name: str) -> FilterRecipe:
    """Find a recipe in `FILTER_RECIPES`.

    Raises
    ------
    InvalidArgumentError
        With all names, if there is none of this name.
    """
    if name not in FILTER_RECIPES:
        raise InvalidArgumentError(
            f"Expected recipe to be one of {', '.join(FILTER_RECIPES)}. Received: {name!r}."
        )
    return FILTER_RECIPES[name]


def _checked_channels(channels: Sequence[int], layer: LayerInfo) -> tuple[int, ...]:
    name, last = f"each channel of {layer.name!r}", layer.channels - 1
    wanted = channels if isinstance(channels, Iterable) else [channels]
    chosen = tuple(checked_integer(name, channel, low=0, high=last) for channel in wanted)
    if not chosen:
        raise InvalidArgumentError(
            f"Expected at least one channel from 0 to {last} of {layer.name!r}. Received: none."
        )
    return chosen


def _size_refused(convnet: ConvNet, layer: str, shape: tuple[int, ...], error: Exception) -> str:
    return (
        f"Expected a size at which {convnet.name!r} can be run up to {layer!r}. Received: "
        f"{shape[1]} x {shape[2]}, which may be too small. Its own size is "
        f"{convnet.input_size[0]} x {convnet.input_size[1]}. The layers say: {first_reason(error)}"
    )
