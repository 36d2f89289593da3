"""What a model takes: which of its inputs is the photo, and how the tensor is laid out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vizlib.checks import checked_size
from vizlib.errors import InvalidArgumentError, UnsupportedModelError
from vizlib.watching import operations_by_path

#: Side used where a network takes any size and none was chosen.
DEFAULT_SIDE = 224
MAX_SIDE = 4096


@dataclass(frozen=True)
class ImageInput:
    """Where the photo goes in.

    Attributes
    ----------
    index : int
        Position among the model's inputs.
    size : tuple of int
        ``(height, width)`` that the network is run at.
    free : bool
        Whether the model itself leaves the size open.
    channels : int
        1 or 3.
    channels_first : bool
        Whether the tensor is ``(n, channels, h, w)``.
    channel_axis : bool
        False for models that take ``(n, h, w)``.
    fixed_batch : bool
        Whether the model itself fixes the number of photos in a batch.
    """

    index: int
    size: tuple[int, int]
    free: bool
    channels: int
    channels_first: bool
    channel_axis: bool
    fixed_batch: bool

    def arrange(self, batch: Any) -> Any:
        """Bring ``(n, h, w, channels)`` into the layout that the model takes."""
        if not self.channel_axis:
            return batch[..., 0]
        return tf.transpose(batch, (0, 3, 1, 2)) if self.channels_first else batch


@dataclass(frozen=True)
class _Declared:
    """One input as the model declares it."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


def declared_inputs(model: keras.Model) -> list[_Declared]:
    """List the inputs of a built model in the order of its flattened input structure."""
    if getattr(model, "inputs", None):
        return [_Declared(x.name, tuple(x.shape), str(x.dtype)) for x in model.inputs]
    shapes = _shapes_built_with(model)
    if not shapes:
        raise UnsupportedModelError(
            f"Expected a built model with an image input. Received {model.name!r}, which has no "
            "known input shape. Call it once on a batch of images, or give it a keras.Input."
        )
    return [_Declared(name, tuple(shape), "float32") for name, shape in shapes]


def _shapes_built_with(model: keras.Model) -> list[tuple[str, Any]]:
    # Subclassed models know no tensors, only the shapes that build() once received.
    config = model.get_build_config() or {}
    shapes = config.get("shapes_dict") or {"input": config.get("input_shape")}
    return [(name, shape) for name, shape in shapes.items() if shape]


def find_image_input(
    model: keras.Model, *, size: int | tuple[int, int] | None = None
) -> ImageInput:
    """Find the first input that takes an image.

    Raises
    ------
    UnsupportedModelError
        If there is none; the message lists what was found.
    InvalidArgumentError
        If ``size`` contradicts a size fixed by the model.
    """
    declared = declared_inputs(model)
    prefers_first = _declares_channels_first(model)
    for index, candidate in enumerate(declared):
        layout = _layout(candidate.shape, prefers_first=prefers_first)
        if layout is not None:
            height, width, channels, channels_first = layout
            return ImageInput(
                index=index,
                size=_chosen_size((height, width), size),
                free=None in (height, width),
                channels=channels,
                channels_first=channels_first,
                channel_axis=len(candidate.shape) == 4,
                fixed_batch=_fixes_batch(model, candidate.shape),
            )
    found = ", ".join(f"{d.name} {d.shape}" for d in declared)
    raise UnsupportedModelError(
        "Expected an image input: (batch, height, width, 1 or 3), the same with channels first, "
        f"or (batch, height, width). Received a model that takes {found}."
    )


def _layout(
    shape: tuple[int | None, ...], *, prefers_first: bool
) -> tuple[int | None, int | None, int, bool] | None:
    if len(shape) == 3 and None not in shape[1:]:
        return shape[1], shape[2], 1, False
    if len(shape) != 4:
        return None
    first, last = shape[1], shape[3]
    if first in (1, 3) and (prefers_first or last not in (1, 3)):
        return shape[2], shape[3], first, True
    if last in (1, 3):
        return shape[1], shape[2], last, False
    return None


def _fixes_batch(model: keras.Model, shape: tuple[int | None, ...]) -> bool:
    # What was built by a call has the shape of that call: that says nothing.
    built_by_call = isinstance(model, keras.Sequential) or not getattr(model, "inputs", None)
    return shape[0] is not None and not built_by_call


def _declares_channels_first(model: keras.Model) -> bool:
    formats = (getattr(operation, "data_format", None) for operation in operations_by_path(model))
    return next((f for f in formats if f is not None), None) == "channels_first"


def _chosen_size(
    declared: tuple[int | None, int | None], wanted: int | tuple[int, int] | None
) -> tuple[int, int]:
    chosen = checked_size("input_size", DEFAULT_SIDE if wanted is None else wanted, high=MAX_SIDE)
    height, width = (own or side for own, side in zip(declared, chosen, strict=True))
    if wanted is not None and (height, width) != chosen:
        raise InvalidArgumentError(
            f"Expected input_size to agree with the size the model fixes, {declared}. "
            f"Received: {chosen}. Leave input_size out."
        )
    return height, width


class OtherInputs:
    """Fills the inputs that are not the photo: with what was given, else with zeros."""

    def __init__(self, model: keras.Model, image: ImageInput, given: Mapping[str, Any]) -> None:
        self._declared = declared_inputs(model)
        self._image = image
        self._structure = getattr(model, "input", None) if hasattr(model, "inputs") else None
        names = [d.name for i, d in enumerate(self._declared) if i != image.index]
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise InvalidArgumentError(
                f"Expected other_inputs to name inputs other than the photo: {names}. "
                f"Received: {unknown}."
            )
        self._values = {
            d.name: _value(d, given.get(d.name)) for d in self._declared if d.name in names
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all inputs, the photo's included, in the order the model takes them."""
        return tuple(declared.name for declared in self._declared)

    def beside(self, photos: Any) -> Any:
        """Join a batch of photos, laid out for the model, with the other inputs."""
        if not self._values:
            flat = [photos]
        else:
            flat = [
                photos if i == self._image.index else self._repeated(d.name, photos.shape[0])
                for i, d in enumerate(self._declared)
            ]
        if self._structure is not None:
            return keras.tree.pack_sequence_as(self._structure, flat)
        return flat[0] if len(flat) == 1 else flat

    def _repeated(self, name: str, count: int) -> Any:
        return tf.repeat(tf.constant(self._values[name])[None], count, axis=0)


def _value(declared: _Declared, given: Any) -> np.ndarray:
    """Check what was given for an input beside the photo; zeros where nothing was."""
    if given is None:
        ones = (1 if axis is None else axis for axis in declared.shape[1:])
        return np.zeros(tuple(ones), dtype=declared.dtype)
    value = np.asarray(given, dtype=declared.dtype)
    fits = len(value.shape) == len(declared.shape) - 1 and all(
        own in (None, axis) for own, axis in zip(declared.shape[1:], value.shape, strict=True)
    )
    if not fits:
        raise InvalidArgumentError(
            f"Expected other_inputs[{declared.name!r}] of shape {declared.shape[1:]}, without "
            f"batch axis. Received: {value.shape}."
        )
    return value
