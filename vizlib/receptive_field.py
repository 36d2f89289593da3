"""Which pixels can a place in a layer's maps see at all?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import tensorflow as tf

from vizlib.checks import checked_integer
from vizlib.convnet import ConvNet
from vizlib.dependence import Dependence, trace_dependence
from vizlib.errors import InvalidArgumentError
from vizlib.pointing import Box

#: Stands for "without end" in a table of boxes.
_ENDLESS = 2**40
_NOTHING = Box(0, 0, 0, 0)


@dataclass(frozen=True)
class ReceptiveField:
    """The pixels that each place of a layer's maps is computed from.

    All pixels are those of the image as the network receives it, `ConvNet.input_size`. A place of
    the photo itself lies at the same share of its height and width.

    Attributes
    ----------
    layer : str
    channel : int or None
        The channel asked about; None for all of them together.
    image_size, map_size : (height, width)
        Of the image in pixels, of the layer's maps in places.
    size : (height, width)
        Pixels that a place would see if the photo went on beyond its borders: the number that is
        published for a network. Taken in the middle of the maps, as it differs by a pixel or two
        from place to place after upsampling. The image's own where a layer looks at everything.
    stride : (down, right)
        Pixels from one place to the next, below 1 after upsampling; 0 where a layer looks at
        everything.
    offset : (top, left)
        First pixel of the first place, below 0 by what padding adds.
    diagnosis : str or None
        Why every place sees the whole image, where that is so by the kind of the layer, or what
        is not known exactly.
    """

    layer: str
    channel: int | None
    image_size: tuple[int, int]
    map_size: tuple[int, int]
    size: tuple[int, int]
    stride: tuple[float, float]
    offset: tuple[int, int]
    diagnosis: str | None
    # Boxes of what all places of each row, and of each column, see together.
    _real: tuple[np.ndarray, np.ndarray] = field(repr=False)
    _endless: tuple[np.ndarray, np.ndarray] = field(repr=False)

    @property
    def centre(self) -> tuple[float, float]:
        """``(y, x)`` of the middle of the first place's box; 0.5 is the middle of a pixel."""
        return self.offset[0] + self.size[0] / 2, self.offset[1] + self.size[1] / 2

    def box(self, y: int, x: int, *, clipped: bool = True) -> Box:
        """Give the smallest box around the pixels that one place is computed from.

        Parameters
        ----------
        y, x : int
            Row and column in the layer's maps.
        clipped : bool
            Whether only pixels count that exist and reach the place: the exact answer. Otherwise
            the box of a photo without borders, which may begin below 0 and end outside.

        Returns
        -------
        Box
            Without area where a place sees padding alone.

        Raises
        ------
        InvalidArgumentError
            If the maps have no such place.
        """
        row = checked_integer("y", y, low=0, high=self.map_size[0] - 1)
        column = checked_integer("x", x, low=0, high=self.map_size[1] - 1)
        tables = self._real if clipped else self._endless
        one, other = tables[0][row], tables[1][column]
        common = *np.maximum(one, other)[:2].tolist(), *np.minimum(one, other)[2:].tolist()
        return _within(Box(*common), self.image_size)


def receptive_field(convnet: ConvNet, layer: str, *, channel: int | None = None) -> ReceptiveField:
    """Compute which pixels each place of a layer's maps can depend on, exactly.

    The network is traced, and each of its operations followed back to the places that it reads:
    kernels, strides, dilation and padding as TensorFlow lays them out, branches joined, nested
    and subclassed models alike. Weights and the photo play no part: what is multiplied by a zero
    weight counts as seen.

    Parameters
    ----------
    convnet : ConvNet
    layer : str
    channel : int, optional
        Count only what this channel depends on, which is less where branches of different reach
        are concatenated. All channels by default.

    Returns
    -------
    ReceptiveField
        Never too small. The whole image where a layer looks at everything (global pooling,
        attention, a factor computed from all of the photo) or where the network uses an
        operation that is not known here; its ``diagnosis`` says so.

    Raises
    ------
    UnknownLayerError
        If no layer, or more than one, has this name.
    InvalidArgumentError
        If there is no such channel, or the layer does not depend on the photo.

    References
    ----------
    A. Araujo, W. Norris, J. Sim, "Computing Receptive Fields of Convolutional Neural Networks",
    Distill 2019, https://distill.pub/2019/computing-receptive-fields/. Followed from place to
    place here instead of by its closed formulas, so that clipping at borders inside the network,
    upsampling and branches that are not aligned come out exactly, too.
    """
    info = convnet.layer(layer)
    if channel is not None:
        channel = checked_integer("channel", channel, low=0, high=info.channels - 1)
    paths = convnet.compiled(("dependence", info.name), lambda: _traced(convnet, info.name))
    if not paths.steps:
        raise InvalidArgumentError(
            f"Expected a layer that depends on the photo. Received: {info.name!r}, which depends "
            "on other inputs alone."
        )
    see = partial(_seen, paths, None if channel is None else np.array([channel]))
    height, width = info.shape[:2]
    beyond = partial(see, bounded=False)
    first, middle, after = (
        _within(beyond(y, x), convnet.input_size)
        for y, x in ((0, 0), (height // 2, width // 2), (height, width))
    )
    return ReceptiveField(
        layer=info.name,
        channel=channel,
        image_size=convnet.input_size,
        map_size=(height, width),
        size=(middle.bottom - middle.top, middle.right - middle.left),
        stride=((after.top - first.top) / height, (after.left - first.left) / width),
        offset=(first.top, first.left),
        diagnosis=_diagnosis(paths, everywhere=_ENDLESS in beyond(0, 0)),
        _real=_boxes(partial(see, bounded=True), (height, width)),
        _endless=_boxes(beyond, (height, width)),
    )


def _traced(convnet: ConvNet, layer: str) -> Dependence:
    spec = tf.TensorSpec((1, *convnet.input_size, convnet.input_channels))
    trace = tf.function(lambda tensor: convnet.layer_output(tensor, layer), autograph=False)
    graph = trace.get_concrete_function(spec).graph
    return trace_dependence(graph.inputs[0], graph.outputs[0])


def _seen(
    paths: Dependence, channels: np.ndarray | None, y: int | None, x: int | None, *, bounded: bool
) -> Box:
    """Box of what a place sees; of what a whole column or row sees where y or x is None."""
    place = (None if at is None else np.array([at]) for at in (y, x))
    block = paths.places((np.zeros(1, "int64"), *place, channels), bounded=bounded)
    if block is None:
        return _NOTHING
    (top, bottom), (left, right) = (
        (-_ENDLESS, _ENDLESS) if along is None else (int(along[0]), int(along[-1]) + 1)
        for along in block[1:3]
    )
    return Box(left, top, right, bottom)


def _boxes(see: Callable[..., Box], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of what every row sees, ``(h, 4)``, and of what every column sees, ``(w, 4)``.

    What one place sees lies in both.
    """
    height, width = size
    rows = [see(y, None) for y in range(height)]
    columns = [see(None, x) for x in range(width)]
    return np.array(rows), np.array(columns)


def _within(box: Box, size: tuple[int, int]) -> Box:
    """Replace what has no end by the size of the image."""
    height, width = size
    left, right = (0, width) if box.right == _ENDLESS else (box.left, box.right)
    top, bottom = (0, height) if box.bottom == _ENDLESS else (box.top, box.bottom)
    return Box(left, top, right, bottom) if left < right and top < bottom else _NOTHING


def _diagnosis(paths: Dependence, *, everywhere: bool) -> str | None:
    if paths.unknown:
        kinds = ", ".join(sorted(paths.unknown))
        return (
            f"What each place sees is not known exactly: the network computes it with {kinds}, "
            "which is taken to look at the whole photo. The boxes can be too large."
        )
    if everywhere:
        return (
            "Every place of this layer sees the whole image: something before it looks at all "
            "places at once, such as global pooling, a dense layer or attention."
        )
    return None
