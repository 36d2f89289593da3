"""Measure how strong waves of each frequency and colour are in the sample photos.

    python scripts/photo_spectrum.py

The recipe "maco" of `vizlib.filter_patterns` holds its pictures to this spectrum. Photos are taken
where they are larger than a square, through a window without edges, with their mirror images.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import vizlib
from vizlib.filters.spectra import COLOURS, frequencies

ROOT = Path(__file__).parent.parent
FILE = ROOT / "vizlib" / "data" / "photo_spectrum.json"
SIDE = 128
#: Of the table, from frequency 0 to 1/2 in each direction.
CELLS = 32


def squares(photo: np.ndarray) -> Iterator[np.ndarray]:
    """Overlapping squares of a photo."""
    height, width = photo.shape[:2]
    for top in range(0, height - SIDE + 1, SIDE // 2):
        for left in range(0, width - SIDE + 1, SIDE // 2):
            yield photo[top : top + SIDE, left : left + SIDE]


def decorrelated(pixels: np.ndarray) -> np.ndarray:
    """Undo what the recipe does with its waves: sigmoid, then colours; ``(h, w, 3)``."""
    unit = np.clip(pixels / 255, 0.02, 0.98)
    return np.log(unit / (1 - unit)) @ np.linalg.inv(COLOURS.T)


def magnitudes(values: np.ndarray) -> np.ndarray:
    """Strength of each wave over the root of the area, ``(3, SIDE, SIDE // 2 + 1)``."""
    window = np.sin(np.pi * (np.arange(SIDE) + 0.5) / SIDE) ** 2
    weight = np.outer(window, window)[..., None]
    centred = values - (values * weight).sum((0, 1)) / weight.sum()
    waves = np.fft.rfft2(centred * weight, axes=(0, 1)) / np.sqrt((weight**2).sum())
    return np.abs(waves).transpose(2, 0, 1)


def mean_spectrum() -> np.ndarray:
    """Mean over photos, each counting alike; grey ones say nothing about colours."""
    photos = [vizlib.load_image(path) for path in sorted((ROOT / "sample_images").glob("*.jpg"))]
    return np.mean(
        [np.mean([magnitudes(decorrelated(s)) for s in squares(p)], axis=0) for p in photos], axis=0
    )


def whitened_quarter(spectrum: np.ndarray) -> np.ndarray:
    """Times the frequency, mirrored, in cells: ``(3, CELLS + 1, CELLS + 1)``."""
    flat = spectrum * frequencies(SIDE, SIDE)
    half = SIDE // 2
    mirrored = (flat[:, : half + 1] + flat[:, -np.arange(half + 1) % SIDE]) / 2
    mirrored[:, 0, 0] = (mirrored[:, 0, 1] + mirrored[:, 1, 0]) / 2
    step = half // CELLS
    padded = np.pad(mirrored, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    blurred = sum(
        padded[:, 1 + r : half + 2 + r, 1 + c : half + 2 + c] * (2 - abs(r)) * (2 - abs(c)) / 16
        for r in (-1, 0, 1)
        for c in (-1, 0, 1)
    )
    return blurred[:, ::step, ::step]


def main() -> None:
    """Write the file."""
    table = np.round(whitened_quarter(mean_spectrum()), 4)
    FILE.write_text(json.dumps({"whitened": table.tolist()}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
