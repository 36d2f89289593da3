"""The steps from a start to a picture, for a batch of pictures at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from vizlib.convnet import ConvNet
from vizlib.errors import (
    InvalidArgumentError,
    UnsupportedModelError,
    VizlibError,
    first_reason,
)
from vizlib.filters.objectives import Objective
from vizlib.filters.parameterisations import Shape
from vizlib.filters.readings import read
from vizlib.filters.recipes import FilterRecipe
from vizlib.filters.transforms import Shown, by_turns, look, shown, window
from vizlib.filters.windows import parts_a_side
from vizlib.input_gradients import redirected

#: The first step that wakes what has been silent until then.
_PATIENCE = 9


class Wanted(NamedTuple):
    """A batch of ``n`` pictures to make, all read off the network in one way."""

    reading: Objective
    channels: np.ndarray  # int32 (n, k)
    weights: np.ndarray  # float32 (n, k)
    starts: list[tuple[int, ...]]  # what, beside the seed, each start is drawn from


class Climbed(NamedTuple):
    """What all steps gave for a batch of ``n``."""

    pixels: np.ndarray  # (n, h, w, c), 0..255
    trace: np.ndarray  # (n, steps), the objective that each step started from
    fired: np.ndarray  # (n,), whether it fired in any step
    importance: np.ndarray  # (n, h, w), how much the objective rested on each place


class _State(NamedTuple):
    """What a step changes."""

    parameters: Any
    moments: tuple[Any, ...]
    importance: Any


class _Seeing(NamedTuple):
    """What every step does with the network."""

    reading: Objective
    shape: Shape
    parts: int  # windows a side that the picture is cut into, of which a step shows one
    waking: bool = False  # whether ReLUs that are silent pass what would wake them

    @property
    def view(self) -> tuple[int, int]:
        """Size of what the network is shown."""
        return window(self.shape[:2], self.parts)


class _Draw(NamedTuple):
    """What is new in each step, the same for all pictures."""

    factors: Any
    view: Shown | tuple[()]
    noise: Any  # the seed of the noise, int32 (2,)


def climb(
    convnet: ConvNet,
    recipe: FilterRecipe,
    shape: Shape,
    wanted: Wanted,
    *,
    steps: int,
    seed: int,
    tick: Callable[[int], None],
) -> Climbed:
    """Take all steps for one batch; ``tick(done)`` after each."""
    state = _start(recipe, shape, wanted, seed)
    asked = tf.constant(wanted.channels, tf.int32), tf.constant(wanted.weights, tf.float32)
    parts = parts_a_side(convnet, recipe, wanted.reading, shape[:2])
    seeing = _Seeing(wanted.reading, shape, parts)
    first = state, _draw(recipe, seeing, seed, 1), *asked
    step = _compiled_step(convnet, recipe, seeing, first)
    trace, fired = [], np.zeros(len(wanted.starts), bool)
    for done in range(1, steps + 1):
        if done == _PATIENCE and not fired.all():
            step = _compiled_step(convnet, recipe, seeing._replace(waking=True), first)
        state, values, fires = step(state, _draw(recipe, seeing, seed, done), *asked)
        trace.append(values.numpy())
        fired |= fires.numpy()
        tick(done)
    pixels = recipe.parameterisation.picture(state.parameters, shape).numpy()
    return Climbed(pixels, np.stack(trace, axis=1), fired, state.importance.numpy())


def _start(recipe: FilterRecipe, shape: Shape, wanted: Wanted, seed: int) -> _State:
    drawn = [
        recipe.parameterisation.start(np.random.default_rng((seed, *start)), shape)
        for start in wanted.starts
    ]
    parameters = tf.constant(np.stack(drawn))
    moments = tuple(tf.zeros_like(parameters) for _ in range(recipe.optimiser.moments))
    return _State(parameters, moments, tf.zeros((len(drawn), *shape[:2])))


def _draw(recipe: FilterRecipe, seeing: _Seeing, seed: int, step: int) -> _Draw:
    # Not the generator of the starts: a channel's number is no number of a step.
    rng = np.random.default_rng((seed, step, 1))
    view: Shown | tuple[()] = ()
    if recipe.view is not None:
        size = seeing.shape[:2]
        matrix = recipe.view(rng, seeing.view)
        if recipe.roams and seeing.reading.same_everywhere:
            matrix = by_turns(seed, step, size, seeing.parts) @ matrix
        view = shown(matrix, size, seeing.view)
    noise = rng.integers(2**31, size=2, dtype="int32")
    drawn = _Draw(recipe.optimiser.factors(step), view, noise)
    return tf.nest.map_structure(tf.convert_to_tensor, drawn)


def _compiled_step(
    convnet: ConvNet, recipe: FilterRecipe, seeing: _Seeing, arguments: tuple[Any, ...]
) -> Any:
    """One step, traced once for each recipe, layer, way to read it, and shape of the batch."""
    signature = tf.nest.map_structure(tf.TensorSpec.from_tensor, arguments)
    step = _step(convnet, recipe, seeing)

    def trace() -> Any:
        try:
            return tf.function(step, autograph=False).get_concrete_function(*signature)
        except VizlibError:
            raise
        # Whatever a layer objects to in this size: Keras and TensorFlow use many types.
        except Exception as error:
            raise InvalidArgumentError(_size_refused(convnet, seeing, error)) from error

    asked = arguments[-1].shape
    return convnet.compiled(("filters", recipe, recipe.rounded, seeing, *asked), trace)


def _step(convnet: ConvNet, recipe: FilterRecipe, seeing: _Seeing) -> Any:
    reading = seeing.reading

    def step(state: _State, draw: _Draw, channels: Any, weights: Any) -> Any:
        waking = redirected(state.parameters.graph) if seeing.waking else nullcontext()
        with waking:
            picture = recipe.parameterisation.picture(state.parameters, seeing.shape)
            view = _view(recipe, picture, draw, seeing.view)
            seen = read(convnet, reading, view, channels, weights, rounded=recipe.rounded)
        gradient, by_pixel = tf.gradients(seen.target, [state.parameters, picture])
        if gradient is None:
            raise UnsupportedModelError(_no_gradient(convnet, reading))
        parameters, moments = recipe.optimiser.ascend(
            state.parameters, gradient, state.moments, draw.factors
        )
        if seeing.parts > 1:
            # Gradients of several windows partly cancel one another.
            parameters = state.parameters + seeing.parts * (parameters - state.parameters)
        importance = state.importance
        if recipe.transparency:
            importance += tf.reduce_sum(tf.abs(by_pixel), axis=3)
        return _State(parameters, moments, importance), seen.values, seen.fires

    return step


def _view(recipe: FilterRecipe, picture: Any, draw: _Draw, size: tuple[int, int]) -> Any:
    seen = look(picture, draw.view, size) if draw.view else picture
    if recipe.noise:
        # One noise for all, so that a picture does not depend on its place in the batch.
        seen += recipe.noise * tf.random.stateless_normal(seen.shape[1:], draw.noise)
    return seen


def _no_gradient(convnet: ConvNet, reading: Objective) -> str:
    where = "The class scores" if reading.layer is None else repr(reading.layer)
    return (
        f"Expected a network whose pixels can be changed little by little. {where} of "
        f"{convnet.name!r} passes no gradient back to them (whole-number input, or an "
        "operation without gradient)."
    )


def _size_refused(convnet: ConvNet, seeing: _Seeing, error: Exception) -> str:
    reading, shape = seeing.reading, seeing.shape
    where = "its class scores" if reading.layer is None else repr(reading.layer)
    return (
        f"Expected a size at which {convnet.name!r} can be run up to {where}. Received: "
        f"{shape[0]} x {shape[1]}, which may be too small. Its own size is "
        f"{convnet.input_size[0]} x {convnet.input_size[1]}. The layers say: {first_reason(error)}"
    )
