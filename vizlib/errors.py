"""Everything vizlib raises on purpose; each message says what was expected, received, and to do."""


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
