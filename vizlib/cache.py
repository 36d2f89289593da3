"""Where what was fetched or computed once is kept on disk, and how it is written."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def weights_folder() -> Path:
    """Folder in which Keras keeps pretrained weights, ``~/.keras/models`` unless configured."""
    return _keras_home() / "models"


def atlas_folder() -> Path:
    """Folder in which atlases of filter patterns are kept, beside the weights."""
    return _keras_home() / "vizlib-atlases"


def _keras_home() -> Path:
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()


@contextlib.contextmanager
def written_at_once(destination: Path) -> Iterator[Any]:
    """Give a file to write to, which appears under its name only once it is complete.

    Raises
    ------
    OSError
        If the folder cannot be written, or the disk is full.
    """
    # Beside the destination: only within one file system is a rename at once.
    file = tempfile.NamedTemporaryFile(dir=destination.parent, delete=False)  # noqa: SIM115
    try:
        with file:
            yield file
        Path(file.name).replace(destination)
    finally:
        Path(file.name).unlink(missing_ok=True)
