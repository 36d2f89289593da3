"""A user's model file to a Keras model: read in a confined child, vetted, and built anew."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from vizlib.architectures import IMAGENET_CLASSES, json_source, named, preprocessing_of
from vizlib.confinement import run_confined
from vizlib.errors import ModelLoadError
from vizlib.model_files import ZIP_START, ModelSource, opened
from vizlib.rebuild import model_from, rebuild
from vizlib.vetting import vet
from vizlib.weights_alone import Head, with_named_architecture


@dataclass(frozen=True)
class LoadedWeights:
    """A network whose weights came from one side and whose architecture from another.

    Attributes
    ----------
    model : keras.Model
    preprocess : str or None
        What networks of its name are trained on; None where the architecture was JSON, or where
        pictures are grey, as in no published network.
    imagenet : bool
        Whether its classes are those of ImageNet.
    """

    model: keras.Model
    preprocess: str | None
    imagenet: bool


def load_model_file(source: ModelSource, *, trusted: bool = False) -> keras.Model:
    """Load a `.keras` or `.h5` file.

    Parameters
    ----------
    source : str, path, bytes or binary file
    trusted : bool
        False: nothing in the file is run, and only layers of Keras itself are accepted. True: Keras
        opens the file as it is, with the custom layers that are registered and **running the code
        that the file carries**. Only for files of your own.

    Raises
    ------
    UnsafeModelError
        If the file asks for code to be run, or for other files.
    ModelLoadError
        If it cannot be opened; the message gives the reason.
    """
    if trusted:
        return _load_trusted(source)
    return model_from(run_confined(source))


def load_weights_file(
    source: ModelSource,
    architecture: Any,
    *,
    classes: int | None = None,
    size: tuple[int, int] | None = None,
) -> LoadedWeights:
    """Load the weights of a file into an architecture that is given beside it.

    Parameters
    ----------
    source : str, path, bytes or binary file
        Weights alone, or a whole model, whose own architecture is not even read then.
    architecture : str, path or bytes
        A name in `vizlib.architectures.NETWORKS`, or JSON that ``model.to_json()`` gave.
    classes : int, optional
        How many there are; by default as many as the file has.
    size : (height, width), optional
        Pixels of the input, where a name leaves them open.

    Raises
    ------
    UnsafeModelError
        If the JSON asks for code to be run, or the weights for other files.
    ModelLoadError
        If one of the two cannot be read, or they do not fit together.
    """
    name = named(architecture)
    if name is None:
        described = run_confined(json_source(architecture), "architecture")
        stored = replace(run_confined(source, "weights"), config=described.config)
        found = LoadedWeights(model_from(stored), None, imagenet=False)
        _check_classes(_possible_heads(found.model), classes)
        return found
    stored, head = with_named_architecture(run_confined(source, "weights"), name, size)
    _check_classes([head.units] if head.units else [], classes)
    model = rebuild(vet(stored.config), stored)
    colour = model.inputs[0].shape[-1] == 3
    imagenet = head == Head(IMAGENET_CLASSES, own=True)
    return LoadedWeights(model, preprocessing_of(name) if colour else None, imagenet)


def _possible_heads(model: keras.Model) -> list[int]:
    """Units of every output that is a single list of numbers."""
    shapes = [one.shape for one in keras.tree.flatten(model.outputs)]
    return [shape[-1] for shape in shapes if all(side == 1 for side in shape[1:-1])]


def _check_classes(units: list[int], wanted: int | None) -> None:
    if wanted is None:
        return
    if not units:
        raise ModelLoadError(
            f"Expected the weights of a classifier, because classes={wanted} is given. Received "
            "those of a network without its head. Leave classes out to look at its layers."
        )
    # A single unit tells two classes apart.
    if wanted not in units and not (wanted == 2 and 1 in units):
        raise ModelLoadError(
            f"Expected weights for {wanted} classes, because classes={wanted} is given. Received "
            f"weights for {' or '.join(map(str, units))}. Leave classes out to take it from them."
        )


def _load_trusted(source: ModelSource) -> keras.Model:
    with tempfile.TemporaryDirectory() as folder:
        with opened(source) as file:
            suffix = ".keras" if file.read(len(ZIP_START)) == ZIP_START else ".h5"
            file.seek(0)
            copy = Path(folder) / f"model{suffix}"  # Keras goes by the name of a file
            with copy.open("wb") as target:
                shutil.copyfileobj(file, target)
        try:
            model = keras.saving.load_model(copy, compile=False, safe_mode=False)
        # Keras raises whatever the damaged or foreign part of the file leads to.
        except Exception as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise ModelLoadError(
                f"Expected a model file that this version of Keras can open. It says: {reason} "
                "Layers of your own have to be defined, or registered with "
                "keras.saving.register_keras_serializable, before the file is loaded."
            ) from error
    if not isinstance(model, keras.Model):
        raise ModelLoadError(f"Expected a Keras model. Received: {type(model).__name__}.")
    return model
