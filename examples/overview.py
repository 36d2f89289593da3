"""Make the picture at the top of the README: `python examples/overview.py docs/overview.png`."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

import vizlib
from vizlib import render

SIDE = 448


def main(out: str) -> None:
    """Compute one picture for each question and set them side by side."""
    photo = vizlib.load_image(Path(__file__).parent.parent / "sample_images" / "parrot.jpg")
    seen = vizlib.load_convnet("squeezenet")
    maps = vizlib.activations(seen, photo, ["conv1"])["conv1"]
    strongest = np.argsort(-vizlib.channel_strength(maps))[:9]
    grid = render.palette("viridis")[render.activation_grid(maps[..., strongest], columns=3)]
    base = vizlib.load_convnet("vgg16-base")
    patterns = vizlib.filter_patterns(base, "block4_conv2", range(16), recipe="classic", size=128)
    classifier = vizlib.load_convnet("mobilenet-bundled")
    heatmap = vizlib.grad_cam(classifier, photo)
    pictures = [
        photo,
        grid,
        render.montage(patterns.best(9).images, columns=3),
        render.overlay(photo, heatmap.positive, alpha=0.5),
    ]
    tiles = [_tile(picture) for picture in pictures]
    Image.fromarray(render.montage(tiles, columns=4, gap=12)).save(out, optimize=True)


def _tile(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main(sys.argv[1])
