"""Everything vizlib raises on purpose; each message says what was expected, received, and to do."""

import re


class VizlibError(Exception):
    """Base of all errors that vizlib raises on purpose."""


class InvalidArgumentError(VizlibError, ValueError):
    """An argument has the wrong type, shape or range."""


class UnsupportedModelError(VizlibError):
    """The model cannot answer the question asked of it."""


class UnknownLayerError(VizlibError, LookupError):
    """No layer, or more than one, has the given name."""


class UnreadableImageError(VizlibError):
    """The bytes are not an image that can be shown."""


class ModelLoadError(VizlibError):
    """A network could not be loaded."""


class UnsafeModelError(ModelLoadError):
    """The model file asks for code to be run."""


class WeightsUnavailableError(ModelLoadError):
    """Pretrained weights could not be fetched, checked or stored."""


def first_reason(error: Exception) -> str:
    """Find the line that says what went wrong in an error of Keras or TensorFlow.

    Keras wraps it in where it happened, which arguments were passed, and codes for bold type.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).partition("Arguments received by")[0]
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    reasons = [line for line in lines if not line.startswith("Exception encountered when calling")]
    return (reasons[0] if reasons else type(error).__name__)[:300].rstrip(".")
