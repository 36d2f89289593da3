"""Which preprocessing was a network trained with? Read from what the network itself holds.

Fed otherwise prepared photos, a network still answers, often plausibly, and every picture made of
it is a picture of nothing. Four kinds of evidence, the strongest first:

1. Batch normalisation keeps the statistics of the numbers it saw in training. The preprocessing
   under which a photo gives the same statistics is the one that was used.
2. Layers in front of the first convolution that rescale pixels show which range they expect.
3. Published architectures were published with a preprocessing; first kernels that still are the
   published ones show that the weights were, too.
4. Scores thousands apart are those of a network that expects smaller numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vizlib.convnet import ConvNet, Prediction
from vizlib.layers import LayerInfo
from vizlib.preprocessing import PREPROCESSINGS

_DATA = Path(__file__).parent / "data"

#: Misfits, in nats, that differ by less than this are no evidence for the better one.
_ALIKE = 0.15
#: A misfit above this means that the stored statistics are of other things than photos.
_NO_FIT = 1.5
#: Spread of the scores beyond which they are not those of a trained network, and a usual range.
_ABSURD, _USUAL = 60.0, (0.3, 30.0)
#: Mean and standard deviation of what first convolutions usually receive: 0..1, -1..1,
#: standardised, and 0..255 minus the mean.
_USUAL_INPUT = ((0.45, 0.25), (-0.1, 0.5), (0.0, 1.1), (0.0, 62.0))


class Family(NamedTuple):
    """A published architecture: what it was trained with, and layers to know it by.

    Attributes
    ----------
    name : str
    preprocess : str
    landmarks : mapping of str to int
        Last part of a layer's path, and the number of its channels.
    """

    name: str
    preprocess: str
    landmarks: Mapping[str, int]


# As `keras.applications` names and publishes them; SqueezeNet as its Caffe weights are converted.
_FAMILIES = (
    Family("VGG19", "caffe", {"block1_conv1": 64, "block3_conv4": 256, "block5_conv4": 512}),
    Family("VGG16", "caffe", {"block1_conv1": 64, "block3_conv3": 256, "block5_conv3": 512}),
    Family("ResNet", "caffe", {"conv1_bn": 64, "conv2_block1_1_conv": 64, "conv2_block1_out": 256}),
    Family("ResNet", "caffe", {"bn_conv1": 64, "res2a_branch2a": 64, "res2a_branch2c": 256}),
    Family("ResNetV2", "tf", {"conv2_block1_preact_bn": 64, "conv2_block1_1_conv": 64}),
    Family("MobileNet", "tf", {"conv_dw_1": 32, "conv_pw_1": 64}),
    Family("MobileNet", "tf", {"conv_dw_1_bn": 0, "conv_pw_13_bn": 0}),
    Family("MobileNetV2", "tf", {"Conv1": 0, "block_1_expand": 0, "block_16_project": 0}),
    Family("InceptionV3", "tf", {"mixed0": 256, "mixed8": 1280, "mixed10": 2048}),
    Family("InceptionResNetV2", "tf", {"block35_1_mixed": 96, "block17_1_mixed": 384}),
    Family("Xception", "tf", {"block1_conv1": 32, "block2_sepconv1": 128}),
    Family("DenseNet", "torch", {"conv2_block1_1_conv": 128, "conv2_block1_concat": 96}),
    Family("NASNet", "tf", {"stem_conv1": 0, "stem_bn1": 0}),
    Family("EfficientNet", "raw", {"stem_conv": 0, "block1a_dwconv": 0}),
    Family("EfficientNetV2", "raw", {"stem_conv": 0, "block1a_project_conv": 0}),
    Family("SqueezeNet", "caffe", {"fire2_squeeze1x1": 16, "fire9_expand3x3": 256}),
)


@dataclass(frozen=True)
class Reading:
    """What becomes of one photo under one preprocessing.

    Attributes
    ----------
    preprocess : str
    prediction : Prediction or None
        The most probable class; None for a network without classes.
    received : tuple of float
        Smallest and largest number that reaches the first layer with learned weights.
    misfit : float or None
        How far the photo's statistics are from those stored by the first batch normalisation: the
        Kullback-Leibler divergence of two normal distributions in nats, its median over channels.
    """

    preprocess: str
    prediction: Prediction | None
    received: tuple[float, float]
    misfit: float | None


@dataclass(frozen=True)
class StoredStatistics:
    """What a batch normalisation remembers of its input in training.

    Attributes
    ----------
    layer : str
    mean, variance : float32 arrays ``(channels,)``
    """

    layer: str
    mean: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True)
class PreprocessingReport:
    """Which preprocessing suits a network, and why.

    Attributes
    ----------
    recommended : str
        A key of `PREPROCESSINGS`.
    certain : bool
        Whether the network itself shows it. False: it is a guess, however good.
    reason : str
        Why, in a sentence.
    evidence : tuple of str
        Everything found, a sentence each.
    family : str or None
        The published architecture that the network is, or has inside.
    rescaling : bool
        Whether layers of the network itself change the numbers before the first learned layer.
    statistics : StoredStatistics or None
        Of the first batch normalisation, if it ever saw data.
    readings : tuple of Reading
        One for each preprocessing that the network can be used with.
    """

    recommended: str
    certain: bool
    reason: str
    evidence: tuple[str, ...]
    family: str | None
    rescaling: bool
    statistics: StoredStatistics | None
    readings: tuple[Reading, ...]


class _Verdict(NamedTuple):
    preprocess: str
    certain: bool
    reason: str


def inspect_preprocessing(convnet: ConvNet, image: np.ndarray) -> PreprocessingReport:
    """Find out how photos have to be prepared for a network.

    Parameters
    ----------
    convnet : ConvNet
        Its own `preprocess` plays no part.
    image : uint8 array ``(H, W, 3)``
        A photo of the kind that the network was trained on. Statistics are compared on it.

    Returns
    -------
    PreprocessingReport

    Raises
    ------
    InvalidArgumentError
        If the image is not an RGB image.
    """
    tensors = _prepared(convnet, image)
    entry = _entry(convnet)
    statistics = _stored_statistics(convnet)
    misfits = _misfits(convnet, tensors, statistics)
    noise = _misfits(convnet, _prepared(convnet, photo_like_noise(convnet.input_size)), statistics)
    inside = _Inside.of(convnet, entry)
    family = recognise(convnet.all_layers)
    published = family is not None and _has_published_kernels(convnet, family)
    verdicts = [
        _from_statistics(misfits, noise, inside, family),
        _from_inside(inside),
        _from_family(family, published, tensors),
    ]
    found = [verdict for verdict in verdicts if verdict is not None]
    best = found[0] if found else _from_scores(convnet, tensors)
    return PreprocessingReport(
        recommended=best.preprocess,
        certain=best.certain,
        reason=best.reason,
        evidence=tuple(verdict.reason for verdict in found) or (best.reason,),
        family=family.name if family else None,
        rescaling=inside.changes,
        statistics=statistics,
        readings=tuple(
            Reading(
                preprocess=name,
                prediction=_prediction(convnet, tensor),
                received=_range(_received(convnet, tensor, entry)),
                misfit=misfits.get(name),
            )
            for name, tensor in tensors.items()
        ),
    )


def recommended_preprocessing(convnet: ConvNet) -> str:
    """Choose a preprocessing for a network of which no photo is at hand.

    Photos are stood in for by noise that shares their colours and their spectrum.
    """
    tensors = _prepared(convnet, photo_like_noise(convnet.input_size))
    inside = _Inside.of(convnet, _entry(convnet))
    family = recognise(convnet.all_layers)
    misfits = _misfits(convnet, tensors, _stored_statistics(convnet))
    best = (
        _from_statistics(misfits, misfits, inside, family)
        or _from_inside(inside)
        or _from_family(family, False, tensors)
        or _from_scores(convnet, tensors)
    )
    return best.preprocess


def photo_like_noise(size: tuple[int, int], *, seed: int = 0) -> np.ndarray:
    """Make noise with the colours and the spectrum of photos.

    Parameters
    ----------
    size : (height, width)
    seed : int

    Returns
    -------
    uint8 array ``(height, width, 3)``
        With ImageNet's mean and standard deviation, colours that go together, and amplitudes that
        fall with 1/frequency: D. J. Field, "Relations between the statistics of natural images and
        the response properties of cortical cells", JOSA A 4, 1987.
    """
    height, width = size
    noise = np.random.default_rng(seed).normal(size=(4, height, width))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    amplitude = 1 / np.maximum(frequency, 1 / max(height, width))
    waves = np.fft.ifft2(np.fft.fft2(noise) * amplitude).real
    waves -= waves.mean(axis=(1, 2), keepdims=True)
    waves /= np.maximum(waves.std(axis=(1, 2), keepdims=True), 1e-9)
    # Nine tenths of the variance is brightness, which all colours share.
    colours = np.sqrt(0.9) * waves[:1] + np.sqrt(0.1) * waves[1:]
    usual = PREPROCESSINGS["torch"]
    pixels = (np.moveaxis(colours, 0, -1) * usual.std + usual.mean) * 255
    return np.clip(np.rint(pixels), 0, 255).astype("uint8")


def _candidates(convnet: ConvNet) -> dict[str, ConvNet]:
    colour = convnet.input_channels == 3
    return {
        name: convnet.reading(name)
        for name, known in PREPROCESSINGS.items()
        if colour or not known.needs_colour
    }


def _prepared(convnet: ConvNet, image: np.ndarray) -> dict[str, np.ndarray]:
    """What `ConvNet.input_tensor` gives under each candidate; the photo is made small once."""
    pixels = convnet.input_image(image).astype("float32")
    return {name: net.preprocessing.apply(pixels) for name, net in _candidates(convnet).items()}


def _prediction(convnet: ConvNet, tensor: np.ndarray) -> Prediction | None:
    if not convnet.is_classifier:
        return None
    return convnet.ranked(convnet.probabilities(_scores(convnet, tensor)), 1)[0]


def _scores(convnet: ConvNet, tensor: np.ndarray) -> np.ndarray:
    # What is compiled for scores begins behind the preprocessing, so one graph is enough for all.
    return convnet.tensor_scores(tensor[None])[0]


def _range(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


# What arrives at the first layers.


def _entry(convnet: ConvNet) -> str | None:
    """Path of the first layer whose weights were learned from the data by gradient descent."""
    fixed = ("Normalization", "BatchNormalization")
    learned = (x for x in convnet.all_layers if x.parameters and x.kind not in fixed)
    return next((layer.name for layer in learned), None)


def _received(convnet: ConvNet, tensor: np.ndarray, layer: str | None) -> np.ndarray:
    """What a layer receives for one input ``(h, w, channels)``, float64, batch axis dropped.

    A photo that is only laid out in one row before keeps its shape.
    """
    if layer is None:
        return np.asarray(tensor, "float64")
    seen = convnet.layer_output(
        tensor[None], layer, compute=lambda _operation, inputs, _run: inputs
    )
    while isinstance(seen, list | tuple | dict):
        seen = next(iter(seen.values() if isinstance(seen, dict) else seen))
    values = np.asarray(seen, "float64")[0]
    flattened = values.ndim == 1 and values.size == tensor.size
    return values.reshape(tensor.shape) if flattened else values


def _operation(convnet: ConvNet, layer: str) -> Any:
    """The Keras layer behind a path."""
    found: list[Any] = []

    def note(operation: Any, inputs: Any, _run: Callable[[], Any]) -> Any:
        found.append(operation)
        return inputs

    blank = np.zeros((1, *convnet.input_size, convnet.input_channels), "float32")
    convnet.layer_output(blank, layer, compute=note)
    return found[0]


# 1. Stored statistics.


def _stored_statistics(convnet: ConvNet) -> StoredStatistics | None:
    """Of the first batch normalisation, unless it still has the numbers it was made with."""
    normalises = (x for x in convnet.all_layers if x.kind == "BatchNormalization")
    first = next(normalises, None)
    if first is None:
        return None
    layer = _operation(convnet, first.name)
    mean, variance = (
        np.asarray(weight.numpy(), "float32")
        for weight in (layer.moving_mean, layer.moving_variance)
    )
    untouched = not mean.any() and (variance == 1).all()
    return None if untouched else StoredStatistics(first.name, mean, variance)


def _misfits(
    convnet: ConvNet, tensors: Mapping[str, np.ndarray], statistics: StoredStatistics | None
) -> dict[str, float]:
    if statistics is None:
        return {}
    return {
        name: divergence(_received(convnet, tensor, statistics.layer), statistics)
        for name, tensor in tensors.items()
    }


def divergence(values: np.ndarray, statistics: StoredStatistics) -> float:
    """Kullback-Leibler divergence of observed maps from stored statistics.

    Parameters
    ----------
    values : array ``(..., channels)``
    statistics : StoredStatistics

    Returns
    -------
    float
        In nats, of normal distributions, the median over channels.
    """
    pixels = values.reshape(-1, values.shape[-1])
    mean, variance = pixels.mean(axis=0), pixels.var(axis=0)
    floor = 1e-6 * float(np.median(statistics.variance)) + 1e-12
    ratio = (variance + floor) / (statistics.variance + floor)
    shift = (mean - statistics.mean) ** 2 / (statistics.variance + floor)
    return float(np.median(0.5 * (ratio + shift - 1 - np.log(ratio))))


def _from_statistics(
    photo: Mapping[str, float],
    noise: Mapping[str, float],
    inside: _Inside,
    family: Family | None,
) -> _Verdict | None:
    if not photo or min(photo.values()) > _NO_FIT:
        return None
    # A dark photo looks like another preprocessing of a usual one; noise is as usual as can be.
    misfits = {name: (photo[name] + noise[name]) / 2 for name in photo}
    ordered = sorted(misfits, key=misfits.__getitem__)
    alike = [name for name in ordered if misfits[name] <= misfits[ordered[0]] + _ALIKE]
    others = [inside.best, family.preprocess if family else None]
    agreed = next((name for name in others if name in alike), None)
    chosen = agreed or ordered[0]
    if agreed or (len(alike) == 1 and photo[chosen] == min(photo.values())):
        return _Verdict(
            chosen,
            True,
            f"Prepared as {chosen!r}, photos give the statistics that the first batch "
            "normalisation remembers from training.",
        )
    close = sorted({*alike, min(photo, key=photo.__getitem__)} - {chosen})
    return _Verdict(
        chosen,
        False,
        f"Prepared as {chosen!r}, photos come closest to the statistics that the first batch "
        f"normalisation remembers from training, but {_listed(close)} is nearly as close.",
    )


# 2. Rescaling inside the network.


@dataclass(frozen=True)
class _Inside:
    """What a network does to pixels before its first learned layer.

    Attributes
    ----------
    changes : bool
    levels : bool
        Whether black and white arrive as the same numbers: every photo is standardised by itself.
    fits : dict
        How unusual what arrives is, for each preprocessing, in nats.
    received : dict
        What black and white become under each of them.
    """

    changes: bool
    levels: bool
    fits: Mapping[str, float]
    received: Mapping[str, tuple[float, float]]

    @classmethod
    def of(cls, convnet: ConvNet, entry: str | None) -> _Inside:
        raw = convnet.reading("raw")
        probes = [_constant(raw, colour) for colour in _PROBES]
        seen = [_typical(_received(raw, probe, entry)) for probe in probes]
        sent = [_typical(probe) for probe in probes]
        changes = not all(map(_same, seen, sent))
        fits, received = {}, {}
        if changes:
            nets = _candidates(convnet)
            noise = photo_like_noise(convnet.input_size)
            for name, net in nets.items():
                fits[name] = _unusual(_received(net, net.input_tensor(noise), entry))
                black, white = (_received(net, _constant(net, c), entry) for c in _PROBES[:2])
                received[name] = (float(np.median(black)), float(np.median(white)))
        return cls(changes, changes and _same(seen[0], seen[1]), fits, received)

    @property
    def best(self) -> str | None:
        """The preprocessing under which the most usual numbers arrive."""
        return min(self.fits, key=self.fits.__getitem__) if self.fits else None


_PROBES = ((0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255))


def _constant(convnet: ConvNet, colour: tuple[int, ...]) -> np.ndarray:
    return convnet.input_tensor(np.full((*convnet.input_size, 3), colour, "uint8"))


def _typical(values: np.ndarray) -> np.ndarray:
    # The median leaves out what padding adds at the border.
    return np.median(values.reshape(-1, values.shape[-1]), axis=0)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, atol=0.5))


def _unusual(values: np.ndarray) -> float:
    mean, deviation = values.mean(axis=(0, 1)), values.std(axis=(0, 1))
    return min(_gap(mean, deviation, *usual) for usual in _USUAL_INPUT)


def _gap(mean: np.ndarray, deviation: np.ndarray, usual: float, spread: float) -> float:
    ratio = (deviation**2 + 1e-12) / spread**2
    shift = (mean - usual) ** 2 / spread**2
    return float(np.mean(0.5 * (ratio + shift - 1 - np.log(ratio))))


def _from_inside(inside: _Inside) -> _Verdict | None:
    chosen = inside.best
    if chosen is None:
        return None
    if inside.levels:
        reason = "The network standardises every photo itself, so the range hardly matters."
        return _Verdict("raw", True, reason)
    fits = sorted(inside.fits.values())
    black, white = inside.received[chosen]
    reason = (
        f"The network itself rescales what it is given: prepared as {chosen!r}, black and white "
        f"reach its first learned layer as {black:.3g} and {white:.3g}."
    )
    return _Verdict(chosen, fits[0] < 1 and fits[1] - fits[0] > _ALIKE, reason)


# 3. Published architectures.


def recognise(layers: Sequence[LayerInfo]) -> Family | None:
    """Find the published architecture that a network is or has inside, by names and channels."""
    channels = {layer.name.rsplit("/", 1)[-1]: layer.channels for layer in layers}

    def fits(family: Family) -> bool:
        return all(
            name in channels and count in (0, channels[name])
            for name, count in family.landmarks.items()
        )

    return next(filter(fits, _FAMILIES), None)


@cache
def _published_norms() -> dict[str, dict[str, Any]]:
    content = (_DATA / "first_kernels.json").read_text(encoding="utf-8")
    return json.loads(content)["networks"]


def first_kernel_norms(convnet: ConvNet, name: str) -> np.ndarray:
    """Length of every kernel of a convolution: float64 ``(channels,)``.

    Neither the order of the colours nor small changes in training alter them much.
    """
    path = next(x.name for x in convnet.all_layers if x.name.rsplit("/", 1)[-1] == name)
    kernel = np.asarray(_operation(convnet, path).kernel.numpy(), "float64")
    return np.sqrt(np.square(kernel).sum(axis=(0, 1, 2)))


def _has_published_kernels(convnet: ConvNet, family: Family) -> bool:
    known = _published_norms().get(family.name)
    if known is None:
        return False
    norms, published = first_kernel_norms(convnet, known["layer"]), np.asarray(known["norms"])
    # Fine-tuning moves them by some percent.
    return bool(np.abs(norms - published).mean() < 0.1 * published.mean())


def _from_family(
    family: Family | None, published: bool, candidates: Container[str]
) -> _Verdict | None:
    if family is None or family.preprocess not in candidates:
        return None
    name = f"{family.name}, which was published with {family.preprocess!r}"
    if published:
        reason = f"Its layers, and its first kernels, are those of {name}."
        return _Verdict(family.preprocess, True, reason)
    reason = (
        f"Its layers are named as in {name}. That holds if the published weights were the start; "
        "trained from scratch, it is whatever the training code did."
    )
    return _Verdict(family.preprocess, False, reason)


# 4. Scores.


def _from_scores(convnet: ConvNet, tensors: Mapping[str, np.ndarray]) -> _Verdict:
    if not convnet.is_classifier:
        return _Verdict("raw", False, "Nothing in the network tells how photos were prepared.")
    raw, unit = (float(np.std(_scores(convnet, tensors[name]))) for name in ("raw", "unit"))
    if raw > _ABSURD and _USUAL[0] < unit < _USUAL[1]:
        reason = (
            f"Under 'raw' its scores lie {raw:,.0f} apart, under 'unit' {unit:.1f}, as those of "
            "trained networks do. Nothing else in the network tells how photos were prepared."
        )
        return _Verdict("unit", False, reason)
    return _Verdict("raw", False, "Nothing in the network tells how photos were prepared.")


def _listed(names: Sequence[str]) -> str:
    return " and ".join(repr(name) for name in names)
