"""A user's model file to a Keras model: read in a confined child, vetted, and built anew."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import keras

from vizlib.confinement import run_confined
from vizlib.errors import ModelLoadError
from vizlib.model_files import ZIP_START, ModelSource, opened
from vizlib.rebuild import model_from


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
