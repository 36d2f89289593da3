"""Heatmaps in PyTorch, by pytorch-grad-cam and captum, to measure against.

VGG16 as torchvision has it, random weights, which take the same time. PyTorch and TensorFlow cannot
be loaded into one process, so this is one of its own:

    python benchmarks/torch_heatmaps.py CLASS SAMPLES PATCH BATCH METHOD ...   # prints JSON
"""

import json
import sys
import time
from collections.abc import Callable

import torch
from captum.attr import IntegratedGradients, NoiseTunnel, Occlusion, Saliency
from pytorch_grad_cam import GradCAM, ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torchvision.models import vgg16


def methods(index: int, samples: int, patch: int, batch: int) -> dict[str, Callable[[], object]]:
    """Every method by our name, on one photo of 224 px."""
    torch.manual_seed(0)
    network = vgg16(weights=None).eval()
    photo = torch.randn(1, 3, 224, 224)
    target = [ClassifierOutputTarget(index)]
    last = [network.features[29]]
    grad_cam, score_cam = GradCAM(network, last), ScoreCAM(network, last)
    score_cam.batch_size = batch
    integrated = IntegratedGradients(network)
    smooth = NoiseTunnel(Saliency(network))
    occlusion = Occlusion(network)
    window = (3, patch, patch)

    def masked() -> object:
        return occlusion.attribute(
            photo, window, strides=window, target=index, perturbations_per_eval=batch
        )

    return {
        "Grad-CAM": lambda: grad_cam(photo, target),
        "Score-CAM": lambda: score_cam(photo, target),
        "Integrated Gradients": lambda: integrated.attribute(
            photo, target=index, n_steps=samples, internal_batch_size=batch
        ),
        "SmoothGrad": lambda: smooth.attribute(
            photo, target=index, nt_samples=samples, nt_samples_batch_size=batch, stdevs=0.15
        ),
        "Occlusion": masked,
    }


def seconds(run: Callable[[], object], *, warm: bool) -> float:
    """Time of one run."""
    if warm:
        run()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    numbers, names = map(int, sys.argv[1:5]), sys.argv[5:]
    known = methods(*numbers)
    # Score-CAM runs the network so often that nothing has to be warmed up.
    print(json.dumps({n: seconds(known[n], warm=n != "Score-CAM") for n in names}))
