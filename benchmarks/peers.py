"""Ratios against other Keras libraries, each pair measured in turn in one run.

The same network (VGG16's shapes, random weights, no softmax at its end), the same photo, and the
same number of passes on both sides.

    pip install --no-deps -r benchmarks/requirements-peers.txt
    python benchmarks/peers.py                # all
    python benchmarks/peers.py heatmaps       # one of: heatmaps, patterns, memory
"""

import resource
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).parent.parent))

import vizlib
from benchmarks import book
from benchmarks.run import ratio, report
from vizlib import ConvNet

PHOTO = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype="uint8")
CLASS, SAMPLES, PATCH = 3, 16, 56
SIDE, CHANNELS, STEPS = 128, 8, 10


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
            pairs = 1 if method == "Score-CAM" else 3
            slow, fast, times = ratio(theirs, own[method], pairs=pairs)
            report(method, f"{name} {slow:.2f} s, ours {fast:.2f} s", times, 1.0)


def memory() -> None:
    """What Score-CAM of 512 channels takes beside the network, in a process of its own."""
    subject = Subject()
    vizlib.grad_cam(subject.convnet, PHOTO, class_index=CLASS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    vizlib.score_cam(subject.convnet, PHOTO, class_index=CLASS)
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6
    print(f"\nScore-CAM of 512 channels of VGG16: {more:.2f} GB more at its peak (target: below 1)")


def patterns() -> None:
    """Steps of gradient ascent on one layer, against the book's loop and tf-keras-vis."""
    model = keras.applications.VGG16(weights=None, include_top=False)
    convnet = ConvNet(model, preprocess="caffe", input_size=(SIDE, SIDE))
    print(f"\nFilter patterns, {CHANNELS} channels, {SIDE} px, {STEPS} steps")
    for layer, target in (("block3_conv3", 1.2), ("block5_conv3", 1.2), ("block1_conv2", 5.0)):
        extractor = keras.Model(model.input, model.get_layer(layer).output)
        for recipe in ("classic", "fourier"):
            for name, theirs in {
                "book": lambda e=extractor: book.filter_patterns(
                    e, range(CHANNELS), side=SIDE, steps=STEPS
                ),
                "tf-keras-vis": _maximised(extractor),
            }.items():
                slow, fast, times = ratio(
                    theirs,
                    lambda n=layer, r=recipe: vizlib.filter_patterns(
                        convnet, n, range(CHANNELS), recipe=r, size=SIDE, steps=STEPS
                    ),
                )
                detail = f"{recipe}: {name} {slow:.2f} s, ours {fast:.2f} s"
                report(layer, detail, times, target)


def _maximised(extractor: keras.Model) -> Callable[[], object]:
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.utils.scores import CategoricalScore

    maximise = ActivationMaximization(extractor, clone=False)
    seeds = np.random.default_rng(0).uniform(0, 255, (CHANNELS, SIDE, SIDE, 3))
    score = CategoricalScore(list(range(CHANNELS)))
    return lambda: maximise(
        score, seed_input=seeds, steps=STEPS, input_modifiers=[], regularizers=[]
    )


if __name__ == "__main__":
    parts = {"heatmaps": heatmaps, "patterns": patterns, "memory": memory}
    for name in sys.argv[1:] or parts:
        parts[name]()
