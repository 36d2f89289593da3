"""Ratios against the book's recipes, each pair measured in turn in one run.

Networks have VGG16's shapes; their weights are random, which takes the same time. Every figure is
the median of several pairs: on a noisy machine only the ratio of neighbours means anything.

    python benchmarks/run.py            # all
    python benchmarks/run.py patterns   # one of: patterns, gradcam, grids
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import book
from vizlib import ConvNet, activations, filter_patterns, grad_cam, render

PAIRS = 3
SIDE, CHANNELS, STEPS = 128, 32, 10


def ratio(
    theirs: Callable[[], object], ours: Callable[[], object], *, pairs: int = PAIRS
) -> tuple[float, float, float]:
    """Median seconds of both, and the median of their ratio, pair by pair, after a warm-up."""
    theirs()
    ours()
    seconds = [(clock(theirs), clock(ours)) for _ in range(pairs)]
    slow, fast = (statistics.median(column) for column in zip(*seconds, strict=True))
    return slow, fast, statistics.median(a / b for a, b in seconds)


def clock(function: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def patterns() -> None:
    """Filter patterns per second: ours against the book's loop, one filter at a time."""
    model = keras.applications.VGG16(weights=None, include_top=False)
    convnet = ConvNet(model, preprocess="caffe", input_size=(SIDE, SIDE))
    print(f"\nFilter patterns, {CHANNELS} channels, {SIDE} px, {STEPS} steps")
    for layer, target in (("block3_conv1", 2.2), ("block1_conv2", 4.0)):
        extractor = keras.Model(model.input, model.get_layer(layer).output)
        slow, fast, times = ratio(
            lambda e=extractor: book.filter_patterns(e, range(CHANNELS), side=SIDE, steps=STEPS),
            lambda name=layer: filter_patterns(
                convnet, name, range(CHANNELS), recipe="classic", size=SIDE, steps=STEPS
            ),
        )
        report(
            layer,
            f"book {CHANNELS / slow:6.2f} patterns/s, ours {CHANNELS / fast:6.2f} patterns/s",
            times,
            target,
        )


def gradcam() -> None:
    """Grad-CAM in units of a plain forward pass."""
    model = keras.applications.VGG16(weights=None)
    convnet = ConvNet(model, preprocess="caffe")
    photo = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype="uint8")
    batch = convnet.input_tensor(photo)[None]
    layer = convnet.default_layer
    print("\nGrad-CAM on VGG16, 224 px, against a plain forward pass")
    slow, fast, times = ratio(
        lambda: grad_cam(convnet, photo, layer=layer),
        lambda: model(batch, training=False).numpy(),
        pairs=9,
    )
    report(layer, f"Grad-CAM {slow:.3f} s, forward {fast:.3f} s", times, 1.6, at_most=True)


def grids() -> None:
    """All activation grids of VGG16: ours against the book's matplotlib loop."""
    model = keras.applications.VGG16(weights=None, include_top=False)
    convnet = ConvNet(model, preprocess="caffe")
    photo = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype="uint8")
    maps = activations(convnet, photo)
    print(f"\nGrids of all {len(maps)} layers of VGG16 as PNG files")
    slow, fast, times = ratio(
        lambda: [book.activation_grid(m) for m in maps.values()],
        lambda: [
            render.to_png(render.activation_grid(m), colormap="viridis") for m in maps.values()
        ],
    )
    report("all grids", f"book {slow:.2f} s, ours {fast:.2f} s", times, 20.0)


def report(
    name: str, detail: str, times: float, target: float | None, *, at_most: bool = False
) -> None:
    """Print one line."""
    sign = "at most" if at_most else "at least"
    aim = f"   target: {sign} {target}" if target else ""
    print(f"  {name:14s} {times:6.2f} x   ({detail}){aim}")


if __name__ == "__main__":
    chosen = sys.argv[1:] or ["patterns", "gradcam", "grids"]
    for name in chosen:
        {"patterns": patterns, "gradcam": gradcam, "grids": grids}[name]()
