"""Which parts of real photos does a channel answer to most?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from vizlib.checks import checked_integer
from vizlib.convnet import ConvNet
from vizlib.errors import InvalidArgumentError
from vizlib.pointing import Box
from vizlib.receptive_field import ReceptiveField, receptive_field

#: Photos by name, one after the other, as `vizlib.images_in` gives them.
NamedImages = Iterable[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Patch:
    """A part of a photo that a channel answers to.

    Attributes
    ----------
    name : str
        Of the photo.
    image_index : int
        The photo's place among those given.
    position : (y, x)
        Place in the layer's maps.
    activation : float
        What the channel gives there.
    box : Box
        The pixels of the original photo that this place can depend on.
    pixels : uint8 array ``(H, W, 3)``
        These pixels.
    """

    name: str
    image_index: int
    position: tuple[int, int]
    activation: float
    box: Box
    pixels: np.ndarray


@dataclass(frozen=True)
class LayerPeaks:
    """What all channels of a layer give on some photos, in numbers that are quick to keep.

    Attributes
    ----------
    layer : str
    names : tuple of str
        Of the photos.
    activation : float32 array ``(photos, channels)``
        Largest activation.
    position : int32 array ``(photos, channels, 2)``
        ``(y, x)`` of the first place that gives it.
    mean : float32 array ``(photos, channels)``
        Mean over all places.
    """

    layer: str
    names: tuple[str, ...]
    activation: np.ndarray
    position: np.ndarray
    mean: np.ndarray

    @property
    def largest(self) -> np.ndarray:
        """Largest activation of each channel on any of the photos, float32 ``(channels,)``."""
        return self.activation.max(axis=0)

    def describe(self, channel: int) -> str:
        """Say in one sentence what a channel gives on the photos."""
        index, count = self.channel(channel), len(self.names)
        peaks = self.activation[:, index]
        best = int(peaks.argmax())
        if peaks[best] <= 0:
            return (
                f"Channel {index} fires on none of the {count} photos: the largest activation is "
                f"{peaks[best]:.3g}."
            )
        return (
            f"Channel {index} fires on {np.count_nonzero(peaks > 0)} of the {count} photos. The "
            f"largest activation is {peaks[best]:.3g}, on {self.names[best]}, the mean over all "
            f"places and photos {self.mean[:, index].mean():.3g}."
        )

    def channel(self, channel: int) -> int:
        """Check that a channel exists.

        Raises
        ------
        InvalidArgumentError
            If it does not.
        """
        return checked_integer("channel", channel, low=0, high=self.activation.shape[1] - 1)


def layer_peaks(
    convnet: ConvNet,
    layer: str,
    images: NamedImages,
    *,
    progress: Callable[[int], None] | None = None,
) -> LayerPeaks:
    """Find where every channel of a layer is largest on each photo, in one pass.

    Parameters
    ----------
    convnet : ConvNet
    layer : str
    images : iterable of (name, uint8 array ``(H, W, 3)``)
        Held one at a time, so it may be a generator over any number of files.
    progress : callable, optional
        ``progress(done)`` after each photo; raising from it cancels.

    Returns
    -------
    LayerPeaks

    Raises
    ------
    InvalidArgumentError
        If there are no photos, or one is no image.
    UnknownLayerError
        If no layer, or more than one, has this name.
    """
    info = convnet.layer(layer)
    names, peaks, positions, means = [], [], [], []
    for name, image in images:
        maps = convnet.maps(image, [info.name])[info.name]
        flat = maps.reshape(-1, info.channels)
        first = flat.argmax(axis=0)
        names.append(name)
        peaks.append(flat.max(axis=0))
        positions.append(np.stack(np.unravel_index(first, maps.shape[:2]), axis=-1))
        means.append(flat.mean(axis=0))
        if progress is not None:
            progress(len(names))
    if not names:
        raise InvalidArgumentError("Expected at least one photo. Received none.")
    return LayerPeaks(
        layer=info.name,
        names=tuple(names),
        activation=np.array(peaks, "float32"),
        position=np.array(positions, "int32"),
        mean=np.array(means, "float32"),
    )


def peak_patches(
    convnet: ConvNet,
    peaks: LayerPeaks,
    channel: int,
    photo: Callable[[str], np.ndarray],
    *,
    count: int = 9,
) -> tuple[Patch, ...]:
    """Cut out what one channel answered to most, from peaks that are known, one to a photo.

    Parameters
    ----------
    convnet : ConvNet
        The network that the peaks are of.
    peaks : LayerPeaks
    channel : int
    photo : callable
        ``photo(name)`` gives a photo again: `vizlib.load_image` where names are paths,
        ``photos.__getitem__`` where they are kept. Called for the patches that are given only.
    count : int
        Largest number of patches.

    Returns
    -------
    tuple of Patch
        Strongest first; of equal ones the earlier photo first.

    Raises
    ------
    InvalidArgumentError
        If there is no such channel, or ``count`` is below 1.
    """
    index = peaks.channel(channel)
    wanted = checked_integer("count", count, low=1)
    field = receptive_field(convnet, peaks.layer, channel=index)
    best = np.argsort(-peaks.activation[:, index], kind="stable")[:wanted]
    return tuple(
        _patch(
            (peaks.names[i], int(i), photo(peaks.names[i])),
            field,
            _place(peaks.position[i, index]),
            float(peaks.activation[i, index]),
        )
        for i in best
    )


def top_patches(
    convnet: ConvNet,
    layer: str,
    channel: int,
    images: NamedImages,
    *,
    count: int = 9,
    per_image: int = 1,
    progress: Callable[[int], None] | None = None,
) -> tuple[Patch, ...]:
    """Find the parts of photos that a channel answers to most, and cut them out.

    Parameters
    ----------
    convnet : ConvNet
    layer : str
    channel : int
    images : iterable of (name, uint8 array ``(H, W, 3)``)
        Held one at a time.
    count : int
        Largest number of patches.
    per_image : int
        Largest number from one photo. They do not overlap, so that there is only one where the
        channel sees all of the photo from every place.
    progress : callable, optional
        ``progress(done)`` after each photo; raising from it cancels.

    Returns
    -------
    tuple of Patch
        Strongest first; of equal ones the earlier photo first.

    Raises
    ------
    InvalidArgumentError
        If there is no such channel, no photo, or a number below 1.
    UnknownLayerError
        If no layer, or more than one, has this name.

    References
    ----------
    M. D. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014,
    https://arxiv.org/abs/1311.2901: the strongest patches beside what a channel looks for.
    """
    info = convnet.layer(layer)
    index = checked_integer("channel", channel, low=0, high=info.channels - 1)
    wanted = checked_integer("count", count, low=1)
    each = checked_integer("per_image", per_image, low=1)
    field = receptive_field(convnet, info.name, channel=index)
    best: list[Patch] = []
    done = 0
    for done, (name, image) in enumerate(images, start=1):
        values = convnet.maps(image, [info.name])[info.name][..., index]
        found = _separate_peaks(values, field, each)
        best += [_patch((name, done - 1, image), field, p, float(values[p])) for p in found]
        best = sorted(best, key=lambda patch: -patch.activation)[:wanted]
        if progress is not None:
            progress(done)
    if not done:
        raise InvalidArgumentError("Expected at least one photo. Received none.")
    return tuple(best)


def _separate_peaks(values: np.ndarray, field: ReceptiveField, count: int) -> list[tuple[int, int]]:
    """Take the largest place, then the largest that sees nothing of what was seen, and so on."""
    found: list[tuple[int, int]] = []
    boxes: list[Box] = []
    for flat in np.argsort(-values, axis=None, kind="stable"):
        place = _place(np.unravel_index(flat, values.shape))
        box = field.box(*place)
        if not any(_overlap(box, other) for other in boxes):
            found.append(place)
            boxes.append(box)
        if len(found) == count:
            break
    return found


def _overlap(one: Box, other: Box) -> bool:
    beside = one.right <= other.left or other.right <= one.left
    return not (beside or one.bottom <= other.top or other.bottom <= one.top)


def _place(position: Iterable[np.integer]) -> tuple[int, int]:
    y, x = position
    return int(y), int(x)


def _patch(
    photo: tuple[str, int, np.ndarray],
    field: ReceptiveField,
    place: tuple[int, int],
    activation: float,
) -> Patch:
    name, index, image = photo
    box = _in_photo(field.box(*place), field.image_size, image.shape[:2])
    pixels = image[box.top : box.bottom, box.left : box.right].copy()
    return Patch(name, index, place, activation, box, pixels)


def _in_photo(box: Box, size: tuple[int, int], photo: tuple[int, int]) -> Box:
    """Find the pixels of a photo that were squeezed into a box of the network's input."""
    (height, width), (down, across) = size, photo
    return Box(
        left=box.left * across // width,
        top=box.top * down // height,
        right=-(-box.right * across // width),
        bottom=-(-box.bottom * down // height),
    )
