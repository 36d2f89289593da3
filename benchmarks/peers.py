"""Ratios against other Keras libraries, each pair measured in turn in one run.

The same network (VGG16's shapes, random weights, no softmax at its end), the same photo, and the
same number of passes on both sides.

    pip install --no-deps -r benchmarks/requirements-peers.txt
    pip install torch torchvision captum grad-cam    # only for the part "pytorch"
    python benchmarks/peers.py                # all
    python benchmarks/peers.py heatmaps       # one of: heatmaps, accuracy, pytorch, memory
"""

import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).parent.parent))

import vizlib
from benchmarks.run import clock, ratio, report
from vizlib import ConvNet

PHOTO = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype="uint8")
CLASS, SAMPLES, PATCH = 3, 16, 56
QUICK = ("Grad-CAM", "SmoothGrad", "Integrated Gradients", "Occlusion")
PAIRS, PAIRS_OF_COPIES = 3, 32
SAMPLES_FOLDER = Path(__file__).parent.parent / "sample_images"


class Subject:
    """The network, as both sides take it."""

    @cached_property
    def model(self) -> keras.Model:
        """Without softmax: peers would explain probabilities otherwise."""
        return keras.applications.VGG16(weights=None, classifier_activation=None)

    @cached_property
    def convnet(self) -> ConvNet:
        """As our methods take it."""
        return ConvNet(self.model, preprocess="caffe")

    @cached_property
    def batch(self) -> np.ndarray:
        """As peers take the photo, ``(1, 224, 224, 3)``."""
        return self.convnet.input_tensor(PHOTO)[None]


def tf_keras_vis(subject: Subject) -> dict[str, Callable[[], object]]:
    """Methods of tf-keras-vis by our names."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.scorecam import Scorecam
    from tf_keras_vis.utils.scores import CategoricalScore

    score, batch = CategoricalScore(CLASS), subject.batch
    gradcam, scorecam, saliency = (
        kind(subject.model, clone=False) for kind in (Gradcam, Scorecam, Saliency)
    )
    layer = subject.convnet.default_layer
    return {
        "Grad-CAM": lambda: gradcam(score, batch, penultimate_layer=layer),
        "Score-CAM": lambda: scorecam(score, batch, penultimate_layer=layer),
        "SmoothGrad": lambda: saliency(score, batch, smooth_samples=SAMPLES, smooth_noise=0.15),
    }


def xplique(subject: Subject) -> dict[str, Callable[[], object]]:
    """Methods of xplique by our names."""
    from xplique.attributions import GradCAM, IntegratedGradients, Occlusion, SmoothGrad

    batch = subject.batch
    target = tf.one_hot([CLASS], 1000)
    model = subject.model
    size = subject.convnet.batch_size
    gradcam = GradCAM(model, conv_layer=subject.convnet.default_layer, batch_size=size)
    integrated = IntegratedGradients(model, steps=SAMPLES, batch_size=size)
    smooth = SmoothGrad(model, nb_samples=SAMPLES, noise=0.15, batch_size=size)
    occlusion = Occlusion(model, patch_size=PATCH, patch_stride=PATCH, batch_size=size)
    return {
        "Grad-CAM": lambda: gradcam(batch, target),
        "Integrated Gradients": lambda: integrated(batch, target),
        "SmoothGrad": lambda: smooth(batch, target),
        "Occlusion": lambda: occlusion(batch, target),
    }


def ours(subject: Subject) -> dict[str, Callable[[], object]]:
    """Our methods, with as many samples and steps as the peers take."""
    options = {
        "SmoothGrad": {"samples": SAMPLES},
        "Integrated Gradients": {"steps": SAMPLES},
        "Occlusion": {"patch": PATCH, "stride": PATCH},
    }

    def asked(method: str) -> Callable[[], object]:
        ask = vizlib.HEATMAP_METHODS[method]
        more = options.get(method, {})
        return lambda: ask(subject.convnet, PHOTO, class_index=CLASS, **more)

    return {method: asked(method) for method in vizlib.HEATMAP_METHODS}


def heatmaps() -> None:
    """Heatmaps of one photo, against every peer that has the method."""
    subject = Subject()
    own = ours(subject)
    print(f"\nHeatmaps of VGG16 at 224 px, {SAMPLES} samples or steps, patches of {PATCH} px")
    for name, peer in (("tf-keras-vis", tf_keras_vis), ("xplique", xplique)):
        for method, theirs in peer(subject).items():
            # Score-CAM runs the network so often that nothing has to be warmed up.
            slow, fast, times = (once if method == "Score-CAM" else ratio)(theirs, own[method])
            report(method, f"{name} {slow:.2f} s, ours {fast:.2f} s", times, 1.0)


def once(theirs: Callable[[], object], ours: Callable[[], object]) -> tuple[float, float, float]:
    """Seconds of both, and their ratio."""
    slow, fast = clock(theirs), clock(ours)
    return slow, fast, slow / fast


def accuracy() -> None:
    """What as many passes come to: sums that are missed, and noise that is left."""
    from xplique.attributions import IntegratedGradients

    convnet = vizlib.load_convnet("mobilenet-bundled")
    photos = [vizlib.load_image(path) for path in sorted(SAMPLES_FOLDER.glob("*.[jp][pn]g"))]
    logits = keras.Model(convnet.model.input, convnet.model.layers[-2].output)
    print(f"\nIntegrated Gradients of MobileNet from black, {len(photos)} photos, the rise missed")
    for steps in (16, 32, 48, 64):
        # Black is -1 in what this network receives.
        peer = IntegratedGradients(logits, steps=steps, baseline_value=-1.0, reducer="sum")
        missed = [_missed(convnet, photo, steps, peer) for photo in photos]
        theirs, own = (statistics.mean(column) for column in zip(*missed, strict=True))
        print(f"  {steps:2d} steps: xplique {theirs:.1%}, ours {own:.1%}")
    left = statistics.median(_noise_left(convnet, photo) for photo in photos)
    print(
        f"SmoothGrad of the same: variance of as many single copies {left:.2f} times that of pairs"
    )


def _noise_left(convnet: ConvNet, photo: np.ndarray) -> float:
    """Variance of the mean gradient of two copies with noise of their own, to that of a pair."""
    tensor, index = convnet.input_tensor(photo), int(convnet.scores(photo).argmax())
    noise = np.random.default_rng(0).standard_normal((PAIRS_OF_COPIES, *tensor.shape), "float32")
    noise *= np.float32(0.15 * np.ptp(tensor))
    more, less = (convnet.tensor_gradients(tensor + sign * noise, index) for sign in (1, -1))
    mean = (more + less) / 2
    middle = mean.mean(axis=0)
    return float(np.square(more - middle).mean() / 2 / np.square(mean - middle).mean())


def _missed(
    convnet: ConvNet, photo: np.ndarray, steps: int, peer: Callable[..., Any]
) -> tuple[float, float]:
    """The share of the rise in score that the values of xplique, and ours, do not add up to."""
    scores, black = convnet.scores(photo), convnet.scores(np.zeros_like(photo))
    index = int(scores.argmax())
    rise = float(scores[index] - black[index])
    target = tf.one_hot([index], len(scores))
    theirs = float(np.sum(peer(convnet.input_tensor(photo)[None], target)))
    own = vizlib.integrated_gradients(convnet, photo, class_index=index, steps=steps)
    return abs(theirs / rise - 1), abs(float(own.values.sum()) / rise - 1)


def memory() -> None:
    """What Score-CAM of 512 channels takes beside the network, in a process of its own."""
    subject = Subject()
    vizlib.grad_cam(subject.convnet, PHOTO, class_index=CLASS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    vizlib.score_cam(subject.convnet, PHOTO, class_index=CLASS)
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6
    print(f"\nScore-CAM of 512 channels of VGG16: {more:.2f} GB more at its peak (target: below 1)")


def pytorch() -> None:
    """The same against pytorch-grad-cam and captum, each time in a process of their own."""
    subject = Subject()
    own = ours(subject)
    print("\nHeatmaps of VGG16 at 224 px against PyTorch")
    for names, pairs in ((QUICK, PAIRS), (("Score-CAM",), 1)):
        for name in names:
            own[name]()
        rounds = [(_in_pytorch(subject, names), _seconds(own, names)) for _ in range(pairs)]
        for name in names:
            slow, fast = (statistics.median(one[side][name] for one in rounds) for side in (0, 1))
            times = statistics.median(theirs[name] / fast[name] for theirs, fast in rounds)
            report(name, f"PyTorch {slow:.2f} s, ours {fast:.2f} s", times, 0.9)


def _in_pytorch(subject: Subject, names: Sequence[str]) -> dict[str, float]:
    program = str(Path(__file__).with_name("torch_heatmaps.py"))
    numbers = map(str, (CLASS, SAMPLES, PATCH, subject.convnet.batch_size))
    command = [sys.executable, program, *numbers, *names]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _seconds(own: dict[str, Callable[[], object]], names: Sequence[str]) -> dict[str, float]:
    return {name: clock(own[name]) for name in names}


if __name__ == "__main__":
    parts = {"heatmaps": heatmaps, "accuracy": accuracy, "pytorch": pytorch, "memory": memory}
    for name in sys.argv[1:] or parts:
        parts[name]()
