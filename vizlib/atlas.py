"""Patterns of every channel of a layer, made part by part and kept on disk."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from vizlib.batches import Progress, share
from vizlib.cache import atlas_folder, written_at_once
from vizlib.checks import checked_integer, checked_size
from vizlib.convnet import ConvNet
from vizlib.errors import InvalidArgumentError, VizlibError
from vizlib.filters.patterns import MAX_SIDE, FilterPatterns, filter_patterns
from vizlib.filters.recipes import filter_recipe
from vizlib.version import VERSION

#: Channels made and stored together. Always the same ones, whatever was there before, so that an
#: atlas that was interrupted ends as the same bytes as one that was not.
PART = 8


@dataclass(frozen=True)
class FilterAtlas:
    """The patterns of all channels of one layer, as far as they are on disk.

    Attributes
    ----------
    convnet : ConvNet
    layer : str
        Full path of the layer.
    recipe : str
    size : tuple of int
        Height and width of each picture in pixels.
    steps : int
    seed : int
    folder : Path
        Where the parts are.
    """

    convnet: ConvNet
    layer: str
    recipe: str
    size: tuple[int, int]
    steps: int
    seed: int
    folder: Path

    @property
    def channels(self) -> int:
        """How many the layer has."""
        return self.convnet.layer(self.layer).channels

    @property
    def finished(self) -> tuple[int, ...]:
        """Channels whose pictures are on disk."""
        return tuple(c for part in self._parts() if self._file(part).exists() for c in part)

    def fill(self, progress: Progress | None = None) -> FilterAtlas:
        """Make what is missing. What was made stays when this is interrupted.

        Parameters
        ----------
        progress : callable, optional
            ``progress(done, total)`` after each step of the missing parts. Raising cancels.

        Returns
        -------
        FilterAtlas
            This one.

        Raises
        ------
        VizlibError
            If the folder cannot be written, or the patterns cannot be made.
        """
        missing = [part for part in self._parts() if self._read(part) is None]
        for number, part in enumerate(missing):
            self._write(part, self._made(part, share(progress, number, len(missing))))
        return self

    def patterns(self, channels: Collection[int] | None = None) -> FilterPatterns:
        """Read the pictures that are on disk, in the order of the channels.

        All of them, or those of ``channels``; there may be none.
        """
        wanted = range(self.channels) if channels is None else channels
        parts = [part for part in self._parts() if any(channel in wanted for channel in part)]
        read = [found for part in parts if (found := self._read(part)) is not None]
        arrays = _joined([self._none(), *read])
        chosen = np.isin(arrays["channels"], list(wanted))
        return _patterns({name: one[chosen] for name, one in arrays.items()}, self.layer)

    def _parts(self) -> list[range]:
        return [
            range(start, min(start + PART, self.channels))
            for start in range(0, self.channels, PART)
        ]

    def _file(self, part: range) -> Path:
        return self.folder / f"channels_{part[0]:04d}-{part[-1]:04d}.npz"

    def _none(self) -> FilterPatterns:
        images, objective = np.zeros((0, *self.size, 3), "uint8"), np.zeros((0, self.steps), "f4")
        seen = np.zeros((0, *self.size), "f4") if filter_recipe(self.recipe).transparency else None
        return FilterPatterns(images, objective, (), self.layer, (), seen)

    def _made(self, part: range, progress: Progress | None) -> FilterPatterns:
        return filter_patterns(
            self.convnet,
            self.layer,
            part,
            recipe=self.recipe,
            size=self.size,
            steps=self.steps,
            seed=self.seed,
            progress=progress,
        )

    def _write(self, part: range, patterns: FilterPatterns) -> None:
        try:
            if not self.folder.exists():
                self.folder.mkdir(parents=True)
                (self.folder / "about.json").write_text(self._about(), encoding="utf-8")
            with written_at_once(self._file(part)) as file:
                np.savez(file, allow_pickle=False, **_arrays(patterns))
        except OSError as error:
            raise VizlibError(
                f"Expected room to keep an atlas in {self.folder}. Received: "
                f"{error.strerror or error}. Free some space, or give another folder."
            ) from error

    def _about(self) -> str:
        about = {
            "network": self.convnet.name,
            "layer": self.layer,
            "recipe": self.recipe,
            "size": self.size,
            "steps": self.steps,
            "seed": self.seed,
            "version": VERSION,
        }
        return json.dumps(about, indent=1)

    def _read(self, part: range) -> FilterPatterns | None:
        """Give what is stored of a part; what is damaged counts as missing."""
        try:
            with self._file(part).open("rb") as file, np.load(file) as stored:
                return _patterns(dict(stored), self.layer)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None


def filter_atlas(
    convnet: ConvNet,
    layer: str,
    *,
    recipe: str = "fourier",
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
) -> FilterAtlas:
    """Find the atlas of a layer on disk. Nothing is computed until it is filled.

    Parameters
    ----------
    convnet : ConvNet
    layer : str
    recipe, size, steps, seed
        As for `filter_patterns`.
    folder : path, optional
        Where atlases are kept, ``~/.keras/vizlib-atlases`` by default. Each has its own folder in
        there, named by the digest of the network and by all that makes its pictures.

    Returns
    -------
    FilterAtlas

    Raises
    ------
    UnknownLayerError
        If the layer does not exist.
    InvalidArgumentError
        If the recipe, the size or the number of steps does not fit.

    Examples
    --------
    >>> atlas = filter_atlas(convnet, "block3_conv1").fill()  # doctest: +SKIP
    >>> atlas.patterns().images.shape  # doctest: +SKIP
    (256, 224, 224, 3)
    """
    path = convnet.layer(layer).name
    own = filter_recipe(recipe)
    sides = checked_size("size", convnet.input_size if size is None else size, high=MAX_SIDE)
    count = checked_integer("steps", own.steps if steps is None else steps, low=1)
    seed = checked_integer("seed", seed, low=0)
    root = atlas_folder() if folder is None else Path(folder).expanduser()
    if root.exists() and not root.is_dir():
        raise InvalidArgumentError(f"Expected folder to be a folder. Received the file {root}.")
    numbers = "bfloat16" if own.rounded else "float32"
    made = f"{recipe}_{sides[0]}x{sides[1]}_{count}-steps_seed-{seed}_{numbers}_{VERSION}"
    own_folder = root / convnet.digest()[:32] / quote(path, safe="") / quote(made, safe="")
    return FilterAtlas(convnet, path, recipe, sides, count, seed, own_folder)


def _arrays(patterns: FilterPatterns) -> dict[str, np.ndarray]:
    arrays = {
        "images": patterns.images,
        "objective": patterns.objective,
        "diagnosis": np.array([sentence or "" for sentence in patterns.diagnosis]),
        "channels": np.array(patterns.channels),
    }
    seen = patterns.transparency
    return arrays if seen is None else arrays | {"transparency": seen}


def _patterns(arrays: dict[str, np.ndarray], layer: str) -> FilterPatterns:
    return FilterPatterns(
        images=arrays["images"],
        objective=arrays["objective"],
        diagnosis=tuple(str(sentence) or None for sentence in arrays["diagnosis"]),
        layer=layer,
        channels=tuple(int(channel) for channel in arrays["channels"]),
        transparency=arrays.get("transparency"),
    )


def _joined(parts: list[FilterPatterns]) -> dict[str, np.ndarray]:
    arrays = [_arrays(part) for part in parts]
    return {name: np.concatenate([one[name] for one in arrays]) for name in arrays[0]}
