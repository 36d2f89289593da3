"""`python -m vizlib atlas NETWORK LAYER`: the patterns of all channels of a layer, as pictures."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import vizlib
from vizlib import render
from vizlib.atlas import FilterAtlas


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    wanted = _parser().parse_args(arguments)
    try:
        return _atlas(wanted)
    except vizlib.VizlibError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped. The same command goes on from here.\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vizlib", description=vizlib.__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    atlas = commands.add_parser(
        "atlas",
        help="the patterns of all channels of a layer, as pictures",
        description="Make the patterns of all channels of a layer. What is finished is kept, so "
        "that a run that was stopped goes on, and a second one is instant.",
    )
    atlas.add_argument("network", metavar="NETWORK", help="a name in the zoo, or a model file")
    atlas.add_argument("layer", metavar="LAYER", help="path of a layer, or the end of one")
    atlas.add_argument("--recipe", default="fourier", choices=vizlib.FILTER_RECIPES)
    atlas.add_argument("--size", type=int, help="side in pixels; the network's own by default")
    atlas.add_argument("--steps", type=int, help="the recipe's own number by default")
    atlas.add_argument("--seed", type=int, default=0)
    atlas.add_argument("--preprocess", choices=vizlib.PREPROCESSINGS, help="of your own model")
    atlas.add_argument("--out", type=Path, metavar="DIR", help="where the pictures go")
    return parser


def _atlas(wanted: argparse.Namespace) -> int:
    convnet = vizlib.load_convnet(wanted.network, preprocess=wanted.preprocess)
    atlas = vizlib.filter_atlas(
        convnet,
        wanted.layer,
        recipe=wanted.recipe,
        size=wanted.size,
        steps=wanted.steps,
        seed=wanted.seed,
    )
    there = len(atlas.finished)
    sys.stderr.write(f"{there} of {atlas.channels} channels are there already.\n")
    atlas.fill(_teller())
    folder = wanted.out or Path(f"{convnet.name}_{atlas.layer.replace('/', '-')}_{wanted.recipe}")
    sys.stderr.write("\n")
    sys.stdout.write(f"{_save(atlas, folder)}\n")
    return 0


def _save(atlas: FilterAtlas, folder: Path) -> Path:
    """Write one sheet of all channels, and each by itself; returns the sheet."""
    patterns = atlas.patterns()
    sheet = folder / "atlas.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for channel, image in zip(patterns.channels, patterns.images, strict=True):
            (folder / f"channel_{channel:04d}.png").write_bytes(render.to_png(image))
        sheet.write_bytes(render.to_png(render.montage(patterns.images)))
    except OSError as error:
        raise vizlib.VizlibError(f"Cannot write to {folder}: {error.strerror or error}.") from error
    for channel, sentence in zip(patterns.channels, patterns.diagnosis, strict=True):
        if sentence:
            sys.stderr.write(f"channel {channel}: {sentence}\n")
    return sheet


def _teller() -> Callable[[int, int], None]:
    """Tell the progress and the time left, on one line."""
    start = time.monotonic()

    def tell(done: int, total: int) -> None:
        left = (time.monotonic() - start) / done * (total - done)
        sys.stderr.write(f"\r{done / total:6.1%}, about {left:.0f} s left ")
        sys.stderr.flush()

    return tell


if __name__ == "__main__":
    sys.exit(main())
