"""Filter patterns in PyTorch, as Lucent makes them, to measure against.

After Lucent and Lucid (waves weighed by 1/frequency, Adam 0.05, random moves, scales and turns);
own code. It stops at the layer, where Lucent runs the rest of the network too. PyTorch and
TensorFlow cannot be loaded into one process, so this is one of its own:

    python benchmarks/lucent.py LAYER CHANNELS SIDE FEW MORE    # prints the seconds of one step
"""

import math
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

RNG = np.random.default_rng(0)

#: Convolutions of VGG16 by block, each followed by pooling.
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def up_to(layer: str) -> nn.Module:
    """VGG16's shapes up to one of its convolutions, such as ``"block3_conv3"``, random weights."""
    block, conv = int(layer[5]), int(layer[-1])
    parts: list[nn.Module] = []
    before = 3
    for number, channels in enumerate(BLOCKS[:block], 1):
        for width in channels if number < block else channels[:conv]:
            parts += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        if number < block:
            parts.append(nn.MaxPool2d(2))
    return nn.Sequential(*parts).eval().requires_grad_(False)


def filter_patterns(network: nn.Module, count: int, *, side: int, steps: int) -> np.ndarray:
    """Pictures of the first ``count`` channels, all in one batch."""
    scale = _one_over_frequency(side)
    waves = (0.01 * torch.randn(count, 3, *scale.shape, 2)).requires_grad_()
    optimiser = torch.optim.Adam([waves], lr=0.05)
    own = torch.arange(count)
    for _ in range(steps):
        optimiser.zero_grad()
        maps = network(_seen(_picture(waves, scale, side)))
        (-maps[own, own].mean((1, 2)).sum()).backward()
        optimiser.step()
    with torch.no_grad():
        return _picture(waves, scale, side).numpy()


def _one_over_frequency(side: int) -> torch.Tensor:
    down, right = torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)[None]
    return 1 / torch.sqrt(down**2 + right**2).clamp(min=1 / side)


def _picture(waves: torch.Tensor, scale: torch.Tensor, side: int) -> torch.Tensor:
    spectrum = torch.view_as_complex(waves * scale[..., None])
    return torch.sigmoid(torch.fft.irfft2(spectrum, s=(side, side), norm="ortho") / 4)


def _seen(picture: torch.Tensor) -> torch.Tensor:
    padded = functional.pad(picture, (12,) * 4, mode="constant", value=0.5)
    moved = _jittered(padded, 8)
    factor = float(RNG.uniform(0.9, 1.1))
    scaled = functional.interpolate(moved, scale_factor=factor, mode="bilinear")
    turned = _turned(scaled, math.radians(RNG.uniform(-10, 10)))
    moved = _jittered(turned, 4)
    return functional.interpolate(moved, size=picture.shape[2:], mode="bilinear")


def _jittered(picture: torch.Tensor, most: int) -> torch.Tensor:
    down, right = RNG.integers(0, most, 2)
    height, width = picture.shape[2] - most, picture.shape[3] - most
    return picture[:, :, down : down + height, right : right + width]


def _turned(picture: torch.Tensor, angle: float) -> torch.Tensor:
    rows = [[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0]]
    turn = torch.tensor(rows).expand(len(picture), 2, 3)
    grid = functional.affine_grid(turn, list(picture.shape), align_corners=False)
    return functional.grid_sample(picture, grid, align_corners=False)


def seconds_of_one_step(layer: str, count: int, side: int, few: int, more: int) -> float:
    """What one more step takes, start left out."""
    network, seconds = up_to(layer), []
    for steps in (2, few, more):
        start = time.perf_counter()
        filter_patterns(network, count, side=side, steps=steps)
        seconds.append(time.perf_counter() - start)
    return (seconds[2] - seconds[1]) / (more - few)


if __name__ == "__main__":
    print(seconds_of_one_step(sys.argv[1], *map(int, sys.argv[2:])))
