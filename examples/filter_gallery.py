"""Draw what a few filters of VGG16 look for, by each recipe: `python examples/filter_gallery.py`.

Writes ``docs/filters_<layer>.png``: a row for each recipe, a column for each channel, the same
channels in all rows. Names of other layers of VGG16 can be given; all three together take about
ten minutes on two cores.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).parent.parent))

import vizlib
from vizlib import render

DOCS = Path(__file__).parent.parent / "docs"
LAYERS = ("block1_conv1", "block3_conv1", "block5_conv1")
CHANNELS = (4, 12, 20, 28)
RECIPES = ("classic", "fourier", "maco", "maco-1/f")
SIDE = 128
GAP = 4
MARGIN = 88  # for the names of the recipes
HEADER = 26  # for the numbers of the channels


def main(layers: list[str]) -> None:
    """Write one sheet for each layer, and say where."""
    convnet = vizlib.load_convnet("vgg16-base")
    for layer in layers or LAYERS:
        pictures = [picture for recipe in RECIPES for picture in _row(convnet, layer, recipe)]
        out = DOCS / f"filters_{layer}.png"
        _labelled(pictures).save(out, optimize=True)
        print(f"{out}: {layer}, channels {', '.join(map(str, CHANNELS))}")


def _row(convnet: vizlib.ConvNet, layer: str, recipe: str) -> list[np.ndarray]:
    made = vizlib.filter_patterns(convnet, layer, CHANNELS, recipe=recipe, size=SIDE)
    seen = [None] * len(CHANNELS) if made.transparency is None else made.transparency
    return [render.faded(*of_one) for of_one in zip(made.images, seen, strict=True)]


def _labelled(pictures: list[np.ndarray]) -> Image.Image:
    grid = Image.fromarray(render.montage(pictures, columns=len(CHANNELS), gap=GAP))
    sheet = Image.new("RGB", (MARGIN + grid.width, HEADER + grid.height))
    sheet.paste(grid, (MARGIN, HEADER))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    middle, step = SIDE // 2, SIDE + GAP
    for column, channel in enumerate(CHANNELS):
        place = MARGIN + column * step + middle, HEADER // 2
        draw.text(place, f"channel {channel}", "white", font, anchor="mm")
    for row, recipe in enumerate(RECIPES):
        draw.text((MARGIN // 2, HEADER + row * step + middle), recipe, "white", font, anchor="mm")
    return sheet


if __name__ == "__main__":
    main(sys.argv[1:])
