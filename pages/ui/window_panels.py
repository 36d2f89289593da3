"""The pictures of the convolution page: photo, what a layer takes, a close-up, what it gives."""

from collections.abc import Sequence

import numpy as np

import vizlib
from pages.ui import computing, controls
from pages.ui.language import say
from pages.ui.number_grids import COLORMAP
from pages.ui.selection import Selection
from pages.ui.sliding_window import Panel, Span

#: Layers before the first convolution after which a channel is still a colour.
_KEEP_COLOURS = {
    *("Rescaling", "Normalization", "ZeroPadding2D", "Resizing", "CenterCrop"),
    *("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomCrop"),
    *("RandomContrast", "RandomBrightness", "GaussianNoise", "Dropout"),
}
#: Cells in view in the close-up, at least, and for each cell of the window.
_FEWEST_CELLS, _CELLS_AROUND = 9, 4


def before(convnet: vizlib.ConvNet, layer: vizlib.LayerInfo) -> tuple[vizlib.LayerInfo, ...]:
    """All layers that run before one."""
    return convnet.all_layers[: convnet.all_layers.index(layer)]


def colours(
    convnet: vizlib.ConvNet, layer: vizlib.LayerInfo, work: vizlib.Convolution | vizlib.Pooling
) -> list[str] | None:
    """Names of the channels that a layer takes, where these are still the photo's colours."""
    names = controls.input_channels(convnet)
    kept = all(one.kind in _KEEP_COLOURS for one in before(convnet, layer))
    # A network can have other inputs beside the photo.
    return names if kept and len(names) == work.inputs.shape[2] else None


def panels(
    chosen: Selection,
    layer: vizlib.LayerInfo,
    work: vizlib.Convolution | vizlib.Pooling,
    channels: tuple[int, int],
) -> list[Panel]:
    """Give all panels; ``channels`` are those shown of the input and of the output."""
    seen, given = channels
    height, width, count = work.inputs.shape
    names = colours(chosen.convnet, layer, work)
    reads = names is not None and (height, width) == chosen.convnet.input_size
    what = names[seen] if names else say("window_panels.takes_channel", channel=seen, count=count)
    if reads:
        what = say("window_panels.takes_photo", width=width, height=height)
    picture = chosen.convnet.input_image(chosen.image) if reads else coloured(work.inputs, seen)
    taken = _input_panel(work, picture, what)
    return [
        *([] if reads else [_photo_panel(chosen, layer)]),
        taken,
        *_closeup(work, taken),
        _output_panel(work, layer, given),
    ]


def coloured(maps: np.ndarray, channel: int) -> np.ndarray:
    """Colour one channel as grids of numbers are: white is zero."""
    return vizlib.render.colorize(maps[..., channel], colormap=COLORMAP)


def _photo_panel(chosen: Selection, layer: vizlib.LayerInfo) -> Panel:
    field = computing.receptive_field(chosen.network.key, layer.name, chosen)
    rows, columns = field.map_size
    boxes = [field.box(row, 0) for row in range(rows)]
    height, width = chosen.thumbnail.shape[:2]
    return Panel(
        title=say("window_panels.photo"),
        alt=say("window_panels.photo_alt"),
        png=vizlib.render.to_png(chosen.thumbnail),
        size=field.image_size,
        down=[(box.top, box.bottom) for box in boxes],
        across=[(box.left, box.right) for box in (field.box(0, c) for c in range(columns))],
        smooth=True,
        aspect=width / height,
    )


def _input_panel(
    work: vizlib.Convolution | vizlib.Pooling, picture: np.ndarray, what: str
) -> Panel:
    pixels = picture[..., 0] if picture.shape[2] == 1 else picture
    (down, across), lengths = work.windows, work.inputs.shape[:2]
    rows, columns = work.outputs.shape[:2]
    return Panel(
        title=say("window_panels.takes", what=what),
        alt=say("window_panels.takes_alt", what=what),
        png=vizlib.render.to_png(pixels),
        size=lengths,
        down=_spans(down, rows),
        across=_spans(across, columns),
        padding=padding(work),
    )


def padding(work: vizlib.Convolution | vizlib.Pooling) -> tuple[int, int, int, int]:
    """Padding above, below, left and right of a layer's input."""
    (down, across), (height, width) = work.windows, work.inputs.shape[:2]
    rows, columns = work.outputs.shape[:2]
    vertical = down.before, down.after(height, rows)
    return *vertical, across.before, across.after(width, columns)


def _spans(window: vizlib.Window, places: int) -> list[Span]:
    taps = window.taps(np.arange(places))
    return [(int(first), int(last) + 1) for first, last in taps[:, [0, -1]]]


def _closeup(work: vizlib.Convolution | vizlib.Pooling, taken: Panel) -> Sequence[Panel]:
    """The input once more around the window, where the window would be hard to see."""
    cells = max(_FEWEST_CELLS, _CELLS_AROUND * max(window.reach for window in work.windows))
    if cells * 1.5 > min(taken.size):
        return []
    down, across = (window._replace(before=0).taps(0).tolist() for window in work.windows)
    title = say("window_panels.closeup")
    return [
        Panel(
            title=title,
            alt=title,
            png=taken.png,
            size=taken.size,
            down=taken.down,
            across=taken.across,
            padding=taken.padding,
            closeup=cells,
            taps=(down, across),
        )
    ]


def _output_panel(
    work: vizlib.Convolution | vizlib.Pooling, layer: vizlib.LayerInfo, channel: int
) -> Panel:
    rows, columns = work.outputs.shape[:2]
    shown = {"channel": channel, "layer": layer.name, "count": layer.channels}
    return Panel(
        title=say("window_panels.gives", **shown),
        alt=say("window_panels.gives_alt", **shown, width=columns, height=rows),
        png=vizlib.render.to_png(coloured(work.outputs, channel)),
        size=(rows, columns),
        down=[(row, row + 1) for row in range(rows)],
        across=[(column, column + 1) for column in range(columns)],
    )
