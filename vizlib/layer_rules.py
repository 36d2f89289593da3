"""What a model file may say: its layer classes, their options and operations, as tables.

A check takes a value of the file and gives the value to use, made anew; it raises `WrongValue`
with what was expected. Whatever is not named in these tables is refused by `vizlib.vetting`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Check = Callable[[Any], Any]


class WrongValue(Exception):
    """A value that the table does not allow; the argument says what it does allow."""


class ForeignReference(Exception):
    """A reference to a class or function that is not on a list; the argument is its name."""


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


# ----------------------------------------------------------------------------- kinds of values

_MANY = 100_000  # the longest list of numbers
_HUGE = 1e30


def whole(low: int, high: int) -> Check:
    """A whole number within bounds; True and False are none."""

    def check(value: Any) -> int:
        value = plain(value)
        if type(value) is not int or not low <= value <= high:
            raise WrongValue(f"a whole number from {low} to {high}")
        return value

    return check


def number(low: float = -_HUGE, high: float = _HUGE) -> Check:
    """A finite number within bounds."""

    def check(value: Any) -> float:
        value = plain(value)
        if type(value) not in (int, float) or not low <= value <= high:
            raise WrongValue(f"a number from {low:g} to {high:g}")
        return value

    return check


def flag(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise WrongValue("true or false")
    return value


def choice(*allowed: str) -> Check:
    """One of a few words."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise WrongValue("one of " + ", ".join(allowed))
        return value

    return check


def optional(inner: Check) -> Check:
    """Nothing, or what another check allows."""
    return lambda value: None if value is None else inner(value)


def several(inner: Check, low: int, high: int) -> Check:
    """A list of `low` to `high` values of one kind."""

    def check(value: Any) -> list[Any]:
        value = plain(value)
        if not isinstance(value, list) or not low <= len(value) <= high:
            raise WrongValue(f"a list of {low} to {high} values")
        return [inner(item) for item in value]

    return check


def either(*checks: Check) -> Check:
    """What any of the checks allows."""

    def check(value: Any) -> Any:
        expected = []
        for one in checks:
            try:
                return one(value)
            except WrongValue as error:
                expected.append(str(error))
        raise WrongValue(" or ".join(expected))

    return check


def same(length: int, inner: Check) -> Check:
    """A list of a fixed length; a single value stands for all of them."""
    full = several(inner, length, length)
    return lambda value: full(value if isinstance(plain(value), list) else [value] * length)


def only(*allowed: Any) -> Check:
    """One of a few values that change nothing, so that the option can be left out."""

    def check(value: Any) -> None:
        if not any(type(value) is type(one) and value == one for one in allowed):
            raise WrongValue(" or ".join(map(repr, allowed)))

    return check


def anything(value: Any) -> None:
    """Left out whatever it is: nothing reads it."""


def plain(value: Any) -> Any:
    """Records of tuples, shapes and arrays as lists and numbers, anything else as it is."""
    if not isinstance(value, dict):
        return value
    kind = value.get("class_name")
    if kind in ("__tuple__", "TensorShape"):
        return value.get("items")
    if kind in ("__numpy__", "__tensor__"):
        inner = value.get("config")
        return inner.get("value") if isinstance(inner, dict) else None
    if kind in ("__ndarray__", "ndarray"):
        return value.get("value")
    return value


def numbers(value: Any) -> Any:
    """A finite number, or lists of them up to four deep."""
    checked = _numbers(value, 4)
    _rectangular(checked)
    return checked


def _numbers(value: Any, depth: int) -> Any:
    value = plain(value)
    if isinstance(value, list) and depth and 0 < len(value) <= _MANY:
        return [_numbers(item, depth - 1) for item in value]
    return number()(value)


def _rectangular(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        return ()
    shapes = {_rectangular(item) for item in value}
    if len(shapes) != 1:
        raise WrongValue("lists of numbers of equal length")
    shape = (len(value), *shapes.pop())
    if math.prod(shape) > _MANY:
        raise WrongValue(f"at most {_MANY} numbers")
    return shape


# ------------------------------------------------------------------- names of functions and types

ACTIVATIONS = frozenset(
    words("""relu relu6 softmax elu selu softplus softsign swish silu gelu tanh sigmoid exponential
    hard_sigmoid linear mish log_softmax leaky_relu celu glu squareplus soft_shrink hard_tanh
    hard_shrink tanh_shrink hard_swish hard_silu log_sigmoid sparse_plus sparsemax
    sparse_sigmoid threshold keras2_hard_sigmoid""")
)
ACTIVATION_LAYERS = frozenset({"ReLU", "LeakyReLU", "ELU", "Softmax"})
_INITIALISERS = """zeros zero ones one constant randomnormal normal randomuniform uniform
    truncatednormal variancescaling orthogonal identity glorotnormal glorotuniform henormal
    heuniform lecunnormal lecununiform orthogonalinitializer identityinitializer"""
_REGULARISERS = """l1 l2 l1l2 orthogonalregularizer
    l1l2regularizer weightregularizer activityregularizer eigenvalueregularizer"""
_CONSTRAINTS = "maxnorm nonneg unitnorm minmaxnorm"
# Named in a file, checked and left out: weights come from the file, and nothing is trained.
DROPPED_REFERENCES = {
    "_initializer": frozenset(_INITIALISERS.split()),
    "_regularizer": frozenset(_REGULARISERS.split()),
    "_constraint": frozenset(_CONSTRAINTS.split()),
}
_PACKAGES = frozenset({"keras", "tf_keras", "tensorflow", "tensorflow_core", "builtins"})
_DTYPES = words("float16 float32 float64 bfloat16 mixed_float16 mixed_bfloat16")
_ANY_DTYPES = [*_DTYPES[:4], *words("uint8 int8 int16 uint16 int32 int64 bool")]


def from_keras(record: dict[str, Any]) -> bool:
    """Whether a record names a module of Keras, or none."""
    module, registered = record.get("module"), record.get("registered_name")
    if isinstance(registered, str) and ">" in registered and registered not in SAME_AS:
        return False
    return module is None or (isinstance(module, str) and module.split(".")[0] in _PACKAGES)


def reference_name(value: Any) -> Any:
    """The name in a reference to a class or function, whichever way the file writes it."""
    if not isinstance(value, dict):
        return value
    name, inner = value.get("class_name"), value.get("config")
    if name == "function" and isinstance(inner, str):
        return inner
    if not from_keras(value):
        return f"{value.get('module')}.{name}"
    return name


def check_dropped_reference(key: str, value: Any) -> None:
    """Accept nothing but Keras' own initialisers, regularisers and constraints."""
    allowed = DROPPED_REFERENCES["_" + key.rsplit("_", 1)[1]]
    values = value if isinstance(value, list) else [value]
    for name in (reference_name(one) for one in values if one is not None):
        if not isinstance(name, str):
            raise WrongValue("the name of one of Keras' own")
        if name.replace("_", "").lower().removesuffix("v2") not in allowed:
            raise ForeignReference(name)


def activation(value: Any) -> Any:
    """The name of an activation function, or the record of a layer that is one."""
    if value is None:
        return "linear"
    if isinstance(value, dict) and "class" in value:
        return _activation_layer(value.get("class"), value.get("options"), converting=False)
    if isinstance(value, dict) and value.get("class_name") in ACTIVATION_LAYERS:
        return _activation_layer(value["class_name"], value.get("config"), converting=True)
    name = reference_name(value)
    if not isinstance(name, str):
        raise WrongValue("the name of an activation")
    if name.lower() not in ACTIVATIONS:
        raise ForeignReference(name)
    return name.lower()


def _activation_layer(name: Any, options: Any, *, converting: bool) -> dict[str, Any]:
    if name not in ACTIVATION_LAYERS or not isinstance(options, dict):
        raise WrongValue("the record of an activation layer")
    rule = LAYERS[name]
    known = {rule.renamed.get(key, key): value for key, value in options.items()}
    if not converting and set(known) - set(rule.options):
        raise WrongValue("the options of an activation layer")
    kept = {key: rule.options[key](known[key]) for key in rule.options if key in known}
    return {"class": name, "options": kept}


def dtype(value: Any) -> str:
    """The name of a number type or of a policy of several."""
    return choice(*_DTYPES)(_policy(value))


def any_dtype(value: Any) -> str:
    """The name of a number type of a tensor."""
    return choice(*_ANY_DTYPES)(_policy(value))


def _policy(value: Any) -> Any:
    if isinstance(value, dict):
        inner = value.get("config")
        if value.get("class_name") not in ("Policy", "DTypePolicy", "PolicyV1", "FloatDTypePolicy"):
            raise WrongValue("a number type without quantisation")
        value = inner.get("name") if isinstance(inner, dict) else inner
    return value


def batch_shape(value: Any) -> list[int | None]:
    """The shape of an input, its batch axis left open."""
    value = plain(value)
    if isinstance(value, list) and len(value) == 1 and isinstance(plain(value[0]), list):
        value = plain(value[0])
    shape = several(optional(whole(1, 1_000_000)), 1, 6)([None, *_items(value)[1:]])
    return [None, *shape[1:]]


def _items(value: Any) -> list[Any]:
    value = plain(value)
    if not isinstance(value, list) or not value:
        raise WrongValue("a shape")
    return value


def _slice_key(value: Any) -> list[Any]:
    value = plain(value)
    items = value if isinstance(value, list) else [value]
    if not 0 < len(items) <= 8:
        raise WrongValue("up to 8 slices")
    return [_one_slice(item) for item in items]


def _one_slice(item: Any) -> Any:
    end = optional(whole(-1_000_000, 1_000_000))
    if item is None or type(item) is int:
        return end(item)
    if item == "..." or (isinstance(item, dict) and item.get("class_name") == "__ellipsis__"):
        return "..."
    if isinstance(item, dict) and isinstance(item.get("config"), dict):
        item = item["config"]
    if not isinstance(item, dict):
        raise WrongValue("a slice")
    parts = item["slice"] if "slice" in item else [item.get(k) for k in ("start", "stop", "step")]
    start, stop, step = several(end, 3, 3)(parts)
    if step == 0:
        raise WrongValue("a slice with a step")
    return {"slice": [start, stop, step]}


# ----------------------------------------------------------------------------------- the tables


@dataclass(frozen=True)
class LayerRule:
    """What a class of layer may be told.

    Attributes
    ----------
    options : mapping of str to Check
        Options that are handed on.
    needed : tuple of str
        Those without a default.
    dropped : mapping of str to Check
        Options of older versions that are checked and left out.
    renamed : mapping of str to str
        Older names of options.
    zeroed : tuple of str
        Initialisers to set, so that nothing is drawn for weights that the file has.
    """

    options: dict[str, Check] = field(default_factory=dict)
    needed: tuple[str, ...] = ()
    dropped: dict[str, Check] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    zeroed: tuple[str, ...] = ()


_SEED = optional(whole(0, 2**32 - 1))
_COUNT = whole(1, 10_000_000)
_SIDE = whole(1, 4096)
_AXIS = whole(-8, 8)
_AXES = either(_AXIS, several(_AXIS, 1, 8))
_ONE_AXIS = either(_AXIS, lambda value: several(_AXIS, 1, 1)(value)[0])
_FORMAT = optional(choice("channels_last", "channels_first"))
_PADDING = choice("valid", "same")
_FILL = choice("constant", "reflect", "wrap", "nearest")
_RATE = number(0, 1)
_EPSILON = number(0, 1e6)
_FACTOR = either(number(-1e6, 1e6), several(number(-1e6, 1e6), 1, 3))
_NO = only(None, False)
_INTERPOLATION = choice(
    "nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area", "gaussian", "mitchellcubic"
)


def _edges(axes: int) -> Check:
    side = whole(0, 4096)
    pair = same(2, side)
    return either(lambda value: [[side(value)] * 2] * axes, several(pair, axes, axes))


def _conv(axes: int, *kinds: str, **more: Check) -> LayerRule:
    options: dict[str, Check] = {
        "kernel_size": same(axes, _SIDE),
        "strides": same(axes, _SIDE),
        "padding": choice("valid", "same", "causal") if axes == 1 else _PADDING,
        "data_format": _FORMAT,
        "dilation_rate": same(axes, _SIDE),
        "activation": activation,
        "use_bias": flag,
        **more,
    }
    needed = ("filters", "kernel_size") if "filters" in more else ("kernel_size",)
    dropped: dict[str, Check] = {} if "groups" in more else {"groups": only(1)}
    dropped |= {"input_dim": anything, "input_shape": anything}
    return LayerRule(options, needed, dropped, zeroed=tuple(f"{k}_initializer" for k in kinds))


def _pool(axes: int) -> LayerRule:
    size = same(axes, _SIDE)
    options: dict[str, Check] = {"pool_size": size, "strides": optional(size)}
    options |= {"padding": _PADDING, "data_format": _FORMAT}
    return LayerRule(options)


def _random(**options: Check) -> LayerRule:
    dropped = {"rng_type": anything, "force_generator": anything, "auto_vectorize": anything}
    return LayerRule(
        {"seed": _SEED, **options},
        tuple(name for name in options if name in ("factor", "height_factor")),
        {**dropped, "data_format": anything, "bounding_box_format": anything},
    )


_IMAGE = {"fill_mode": _FILL, "fill_value": number(), "interpolation": _INTERPOLATION}
_RANGE = {"value_range": same(2, number())}
_NORM: dict[str, Check] = {"epsilon": _EPSILON, "center": flag, "scale": flag}
_GLOBAL = LayerRule({"data_format": _FORMAT, "keepdims": flag})
_PLAIN = LayerRule()
_BATCH_NORM = LayerRule(
    {"axis": _ONE_AXIS, "momentum": number(), **_NORM},
    dropped={
        "fused": optional(flag),
        "renorm": _NO,
        "renorm_clipping": anything,
        "renorm_momentum": anything,
        "virtual_batch_size": only(None),
        "adjustment": only(None),
        "synchronized": anything,
        "mode": only(0),
    },
)
_DENSE_DROPS: dict[str, Check] = {
    "input_dim": anything,
    "lora_rank": only(None),
    "lora_alpha": anything,
    "quantization_config": only(None),
    "quantization_mode": only(None),
}
_DROPOUT: dict[str, Check] = {"rate": _RATE, "seed": _SEED}
_NOISE_SHAPE: dict[str, Check] = {
    "noise_shape": optional(several(optional(whole(-1, 1_000_000)), 1, 6))
}
_FILTERS = {"filters": _COUNT}
_RESIZE_EXTRAS: dict[str, Check] = {
    "crop_to_aspect_ratio": flag,
    "pad_to_aspect_ratio": flag,
    "antialias": flag,
    "data_format": _FORMAT,
}

LAYERS: dict[str, LayerRule] = {
    "InputLayer": LayerRule(
        {"batch_shape": batch_shape},
        ("batch_shape",),
        {
            "sparse": _NO,
            "ragged": _NO,
            "optional": _NO,
            "input_tensor": only(None),
            "type_spec": only(None),
            "batch_size": anything,
            "shape": anything,
        },
        {"batch_input_shape": "batch_shape"},
    ),
    "Conv1D": _conv(1, "kernel", groups=_COUNT, **_FILTERS),
    "Conv2D": _conv(2, "kernel", groups=_COUNT, **_FILTERS),
    "DepthwiseConv2D": _conv(2, "depthwise", depth_multiplier=_COUNT),
    "SeparableConv2D": _conv(2, "depthwise", "pointwise", depth_multiplier=_COUNT, **_FILTERS),
    "Conv2DTranspose": _conv(
        2, "kernel", output_padding=optional(same(2, whole(0, 4096))), **_FILTERS
    ),
    "MaxPooling1D": _pool(1),
    "AveragePooling1D": _pool(1),
    "MaxPooling2D": _pool(2),
    "AveragePooling2D": _pool(2),
    "GlobalAveragePooling1D": _GLOBAL,
    "GlobalMaxPooling1D": _GLOBAL,
    "GlobalAveragePooling2D": _GLOBAL,
    "GlobalMaxPooling2D": _GLOBAL,
    "AdaptiveAveragePooling2D": LayerRule(
        {"output_size": same(2, _SIDE), "data_format": _FORMAT}, ("output_size",)
    ),
    "AdaptiveMaxPooling2D": LayerRule(
        {"output_size": same(2, _SIDE), "data_format": _FORMAT}, ("output_size",)
    ),
    "ZeroPadding1D": LayerRule(
        {"padding": same(2, whole(0, 4096))}, dropped={"data_format": _FORMAT}
    ),
    "ZeroPadding2D": LayerRule({"padding": _edges(2), "data_format": _FORMAT}),
    "Cropping2D": LayerRule({"cropping": _edges(2), "data_format": _FORMAT}),
    "UpSampling1D": LayerRule({"size": whole(1, 4096)}),
    "UpSampling2D": LayerRule(
        {"size": same(2, _SIDE), "data_format": _FORMAT, "interpolation": _INTERPOLATION}
    ),
    "Dense": LayerRule(
        {"units": _COUNT, "activation": activation, "use_bias": flag},
        ("units",),
        _DENSE_DROPS,
        zeroed=("kernel_initializer",),
    ),
    "Embedding": LayerRule(
        {"input_dim": _COUNT, "output_dim": _COUNT},
        ("input_dim", "output_dim"),
        {
            **_DENSE_DROPS,
            "input_length": anything,
            "mask_zero": only(False),
            "weights": only(None),
            "sparse": anything,
        },
        zeroed=("embeddings_initializer",),
    ),
    "MultiHeadAttention": LayerRule(
        {
            "num_heads": whole(1, 4096),
            "key_dim": _COUNT,
            "value_dim": optional(_COUNT),
            "dropout": _RATE,
            "use_bias": flag,
            "output_shape": optional(either(_COUNT, several(_COUNT, 1, 4))),
            "attention_axes": optional(_AXES),
            "seed": _SEED,
        },
        ("num_heads", "key_dim"),
        {
            "use_gate": _NO,
            "sliding_window": only(None),
            **dict.fromkeys(
                words("query_shape key_shape value_shape softmax_robust_masking flash_attention"),
                anything,
            ),
        },
        zeroed=("kernel_initializer",),
    ),
    "Flatten": LayerRule({"data_format": _FORMAT}),
    "Reshape": LayerRule({"target_shape": several(whole(-1, 10**9), 0, 6)}, ("target_shape",)),
    "Permute": LayerRule({"dims": several(whole(1, 6), 1, 6)}, ("dims",)),
    "RepeatVector": LayerRule({"n": whole(1, 100_000)}, ("n",)),
    "Identity": _PLAIN,
    "Activation": LayerRule({"activation": activation}, ("activation",)),
    "ReLU": LayerRule(
        {"max_value": optional(number(0)), "negative_slope": number(0), "threshold": number(0)},
        renamed={"theta": "threshold"},
    ),
    "LeakyReLU": LayerRule({"negative_slope": number()}, renamed={"alpha": "negative_slope"}),
    "PReLU": LayerRule({"shared_axes": optional(several(whole(1, 6), 0, 6))}),
    "ELU": LayerRule({"alpha": number()}),
    "Softmax": LayerRule({"axis": _AXES}),
    "BatchNormalization": _BATCH_NORM,
    "LayerNormalization": LayerRule({"axis": _AXES, **_NORM}, dropped={"rms_scaling": only(False)}),
    "GroupNormalization": LayerRule({"groups": whole(-1, 10**6), "axis": _ONE_AXIS, **_NORM}),
    "UnitNormalization": LayerRule({"axis": _AXES}),
    "RMSNormalization": LayerRule({"axis": _AXES, "epsilon": _EPSILON}),
    "Normalization": LayerRule(
        {
            "axis": either(lambda value: several(_AXIS, 0, 6)(value), optional(_AXIS)),
            "mean": optional(numbers),
            "variance": optional(numbers),
            "invert": flag,
        }
    ),
    "Rescaling": LayerRule({"scale": numbers, "offset": numbers}, ("scale",)),
    "Resizing": LayerRule(
        {"height": _SIDE, "width": _SIDE, **_IMAGE, **_RESIZE_EXTRAS}, ("height", "width")
    ),
    "CenterCrop": LayerRule(
        {"height": _SIDE, "width": _SIDE, "data_format": _FORMAT}, ("height", "width")
    ),
    "Dropout": LayerRule({**_DROPOUT, **_NOISE_SHAPE}, ("rate",), renamed={"p": "rate"}),
    "SpatialDropout1D": LayerRule(_DROPOUT, ("rate",), {"noise_shape": only(None)}),
    "SpatialDropout2D": LayerRule(
        {**_DROPOUT, "data_format": _FORMAT}, ("rate",), {"noise_shape": only(None)}
    ),
    "AlphaDropout": LayerRule({**_DROPOUT, **_NOISE_SHAPE}, ("rate",)),
    "GaussianDropout": LayerRule(_DROPOUT, ("rate",)),
    "GaussianNoise": LayerRule({"stddev": number(0), "seed": _SEED}, ("stddev",)),
    "ActivityRegularization": LayerRule(dropped={"l1": anything, "l2": anything}),
    "Add": _PLAIN,
    "Subtract": _PLAIN,
    "Multiply": _PLAIN,
    "Average": _PLAIN,
    "Maximum": _PLAIN,
    "Minimum": _PLAIN,
    "Concatenate": LayerRule({"axis": _AXIS}),
    "Dot": LayerRule({"axes": _AXES, "normalize": flag}, ("axes",)),
    "RandomFlip": _random(mode=choice("horizontal", "vertical", "horizontal_and_vertical")),
    "RandomRotation": _random(factor=_FACTOR, **_IMAGE),
    "RandomZoom": _random(height_factor=_FACTOR, width_factor=optional(_FACTOR), **_IMAGE),
    "RandomTranslation": _random(height_factor=_FACTOR, width_factor=_FACTOR, **_IMAGE),
    # Keras writes factors that it does not read; none of these layers does anything when looking.
    "RandomShear": LayerRule(
        {"seed": _SEED},
        dropped=dict.fromkeys(
            ("x_factor", "y_factor", "data_format", "fill_value", "fill_mode", "interpolation"),
            anything,
        ),
    ),
    "RandomContrast": _random(factor=_FACTOR, **_RANGE),
    "RandomBrightness": _random(factor=_FACTOR, **_RANGE),
    "RandomHue": _random(factor=_FACTOR, **_RANGE),
    "RandomSaturation": _random(factor=_FACTOR, **_RANGE),
    "RandomSharpness": _random(factor=_FACTOR, **_RANGE),
    "RandomGrayscale": _random(factor=_FACTOR),
    "RandomColorJitter": _random(
        **dict.fromkeys(
            [f"{part}_factor" for part in ("brightness", "contrast", "saturation", "hue")],
            optional(_FACTOR),
        ),
        **_RANGE,
    ),
    "RandomCrop": LayerRule(
        {"height": _SIDE, "width": _SIDE, "seed": _SEED},
        ("height", "width"),
        {"rng_type": anything, "force_generator": anything, "data_format": anything},
    ),
    "LayerScale": LayerRule(
        {"init_values": number(), "projection_dim": _COUNT}, ("init_values", "projection_dim")
    ),
    "CustomScaleLayer": LayerRule({"scale": number()}, ("scale",)),
}

SAME_AS = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "Convolution2D": "Conv2D",
    "Convolution2DTranspose": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
    "MaxPool2D": "MaxPooling2D",
    "AvgPool2D": "AveragePooling2D",
    "GlobalAvgPool2D": "GlobalAveragePooling2D",
    "GlobalMaxPool2D": "GlobalMaxPooling2D",
    "ThresholdedReLU": "ReLU",
    "Custom>CustomScaleLayer": "CustomScaleLayer",
    "Custom>LayerScale": "LayerScale",
    "keras.applications>LayerScale": "LayerScale",
}
NETWORKS = frozenset({"Sequential", "Functional", "Model", "Network", "Container"})

# Layers of Keras that are safe but for other data than images, or not understood here.
OTHER_LAYERS = frozenset(
    words("""LSTM GRU SimpleRNN RNN Bidirectional TimeDistributed ConvLSTM1D ConvLSTM2D ConvLSTM3D
    CuDNNLSTM CuDNNGRU LSTMCell GRUCell SimpleRNNCell StackedRNNCells Conv3D Conv3DTranspose
    Conv1DTranspose SeparableConv1D DepthwiseConv1D MaxPooling3D AveragePooling3D
    GlobalAveragePooling3D GlobalMaxPooling3D ZeroPadding3D Cropping1D Cropping3D UpSampling3D
    Attention AdditiveAttention GroupQueryAttention GroupedQueryAttention
    EinsumDense Masking SpatialDropout3D SpectralNormalization LocallyConnected1D
    LocallyConnected2D MaxoutDense Highway CategoryEncoding Discretization Hashing
    HashedCrossing RandomHeight RandomWidth RandomErasing RandomInvert RandomPosterization
    RandomGaussianBlur RandomPerspective RandomElasticTransform MixUp CutMix RandAugment
    AugMix AutoContrast Equalization Solarization MaxNumBoundingBoxes MelSpectrogram
    STFTSpectrogram ReversibleEmbedding Convolution1D AtrousConvolution1D Convolution3D
    Deconvolution2D ParametricSoftplus SReLU""")
)

# Called with a query, a value and perhaps a key, one after the other.
QUERIED = frozenset({"MultiHeadAttention"})
ONE_INPUT = frozenset(LAYERS) - {
    *QUERIED,
    *words("Add Subtract Multiply Average Maximum Minimum Concatenate Dot CustomScaleLayer"),
}


@dataclass(frozen=True)
class OperationRule:
    """An operation between layers.

    Attributes
    ----------
    operands : int
        Tensors and constants that it takes; 0 for one list of any number of them.
    options : mapping of str to Check
    needed : tuple of str
    """

    operands: int
    options: dict[str, Check] = field(default_factory=dict)
    needed: tuple[str, ...] = ()


_ONE, _TWO = OperationRule(1), OperationRule(2)
_REDUCTION = OperationRule(1, {"axis": optional(_AXES), "keepdims": flag})
_SHAPE = several(whole(-1, 10**9), 0, 6)
_MANY_TENSORS = OperationRule(0, {"axis": _AXIS})

# By the name of the function of keras.ops.
OPERATIONS: dict[str, OperationRule] = {
    **dict.fromkeys(
        words("add subtract multiply divide true_divide power maximum minimum matmul"), _TWO
    ),
    **dict.fromkeys(
        words(
            """negative absolute sqrt rsqrt square exp log log1p relu relu6 sigmoid silu tanh
            softplus softsign selu hard_sigmoid hard_silu log_sigmoid keras2_hard_sigmoid identity
            """
        ),
        _ONE,
    ),
    **dict.fromkeys(words("mean max min sum var std"), _REDUCTION),
    **dict.fromkeys(words("softmax log_softmax"), OperationRule(1, {"axis": _AXIS})),
    "elu": OperationRule(1, {"alpha": number()}),
    "leaky_relu": OperationRule(1, {"negative_slope": number()}),
    "gelu": OperationRule(1, {"approximate": flag}),
    "getitem": OperationRule(1, {"key": _slice_key}, ("key",)),
    "reshape": OperationRule(1, {"newshape": _SHAPE}, ("newshape",)),
    "transpose": OperationRule(1, {"axes": optional(several(whole(0, 6), 1, 6))}),
    "expand_dims": OperationRule(1, {"axis": _AXES}, ("axis",)),
    "squeeze": OperationRule(1, {"axis": optional(_AXES)}),
    "flip": OperationRule(1, {"axis": optional(_AXES)}),
    "clip": OperationRule(1, {"x_min": number(), "x_max": number()}, ("x_min", "x_max")),
    "cast": OperationRule(1, {"dtype": any_dtype}, ("dtype",)),
    "pad": OperationRule(
        1,
        {
            "pad_width": several(same(2, whole(0, 4096)), 1, 6),
            "mode": choice("constant", "reflect", "symmetric"),
        },
        ("pad_width",),
    ),
    "split": OperationRule(
        1,
        {
            "indices_or_sections": either(whole(1, 64), several(whole(1, 10**6), 1, 64)),
            "axis": _AXIS,
        },
        ("indices_or_sections",),
    ),
    "normalize": OperationRule(
        1, {"axis": _AXIS, "order": whole(1, 8), "epsilon": optional(_EPSILON)}
    ),
    "concatenate": _MANY_TENSORS,
    "stack": _MANY_TENSORS,
    "resize": OperationRule(
        1,
        {
            "size": same(2, _SIDE),
            "interpolation": _INTERPOLATION,
            "fill_value": number(),
            **_RESIZE_EXTRAS,
        },
        ("size",),
    ),
    "rgb_to_grayscale": OperationRule(1, {"data_format": _FORMAT}),
}


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


# By the class that Keras 3 writes into its files.
OPERATION_CLASSES = {
    **{_camel(name): name for name in OPERATIONS},
    "GetItem": "getitem",
    "Divide": "divide",
    "Abs": "absolute",
    "Swish": "silu",
    "Identity": "identity",
    "RGBToGrayscale": "rgb_to_grayscale",
    "Normalize": "normalize",
}

_XY = {"y": 1}


@dataclass(frozen=True)
class TensorFlowRule:
    """How a function of TensorFlow, kept in files of Keras 2, is said with keras.ops.

    Attributes
    ----------
    operation : str
    operands : mapping of str to int
        Arguments that are tensors or constants, and their place.
    options : mapping of str to str
        Arguments that are options, and their name there.
    fixed : mapping of str to object
        Options that the function implies.
    ignored : mapping of str to Check
        Arguments that change nothing.
    """

    operation: str
    operands: dict[str, int] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)
    ignored: dict[str, Check] = field(default_factory=dict)


def _reduced(name: str) -> TensorFlowRule:
    return TensorFlowRule(name, options={"axis": "axis", "keepdims": "keepdims"})


_AXIS_ONLY = {"axis": "axis"}
TENSORFLOW: dict[str, TensorFlowRule] = {
    **{
        name: TensorFlowRule(operation, _XY)
        for operation, names in {
            "add": "math.add __operators__.add add",
            "subtract": "math.subtract __operators__.sub subtract",
            "multiply": "math.multiply __operators__.mul multiply",
            "divide": "math.truediv math.divide __operators__.truediv truediv divide",
            "power": "math.pow pow __operators__.pow",
            "maximum": "math.maximum maximum",
            "minimum": "math.minimum minimum",
        }.items()
        for name in names.split()
    },
    **{
        name: TensorFlowRule(operation)
        for operation, names in {
            "relu": "nn.relu",
            "relu6": "nn.relu6",
            "sigmoid": "math.sigmoid nn.sigmoid sigmoid",
            "tanh": "math.tanh nn.tanh tanh",
            "selu": "nn.selu",
            "elu": "nn.elu",
            "softplus": "math.softplus nn.softplus",
            "softsign": "nn.softsign",
            "silu": "nn.silu nn.swish",
            "sqrt": "math.sqrt sqrt",
            "rsqrt": "math.rsqrt",
            "square": "math.square square",
            "absolute": "math.abs abs",
            "exp": "math.exp exp",
            "log": "math.log",
            "negative": "math.negative negative __operators__.neg",
            "identity": "identity",
        }.items()
        for name in names.split()
    },
    **{
        f"{prefix}reduce_{name}": _reduced(operation)
        for operation, name in {
            "mean": "mean",
            "max": "max",
            "min": "min",
            "sum": "sum",
            "var": "variance",
            "std": "std",
        }.items()
        for prefix in ("math.", "")
    },
    "nn.bias_add": TensorFlowRule(
        "add", {"bias": 1, "value": 0}, ignored={"data_format": only(None, "NHWC", "N..C")}
    ),
    "nn.softmax": TensorFlowRule("softmax", options=_AXIS_ONLY),
    "nn.log_softmax": TensorFlowRule("log_softmax", options=_AXIS_ONLY),
    "nn.leaky_relu": TensorFlowRule("leaky_relu", options={"alpha": "negative_slope"}),
    "nn.gelu": TensorFlowRule("gelu", {"features": 0}, options={"approximate": "approximate"}),
    "__operators__.getitem": TensorFlowRule("getitem", options={"slice_spec": "key"}),
    "reshape": TensorFlowRule("reshape", options={"shape": "newshape"}),
    "transpose": TensorFlowRule(
        "transpose", options={"perm": "axes"}, ignored={"conjugate": only(False)}
    ),
    "expand_dims": TensorFlowRule("expand_dims", options=_AXIS_ONLY),
    "squeeze": TensorFlowRule("squeeze", options=_AXIS_ONLY),
    "reverse": TensorFlowRule("flip", options=_AXIS_ONLY),
    "concat": TensorFlowRule("concatenate", options=_AXIS_ONLY),
    "stack": TensorFlowRule("stack", options=_AXIS_ONLY),
    "cast": TensorFlowRule("cast", options={"dtype": "dtype"}),
    "clip_by_value": TensorFlowRule(
        "clip", options={"clip_value_min": "x_min", "clip_value_max": "x_max"}
    ),
    "pad": TensorFlowRule("pad", options={"paddings": "pad_width"}),
    "split": TensorFlowRule(
        "split", options={"num_or_size_splits": "indices_or_sections", **_AXIS_ONLY}
    ),
    "image.resize": TensorFlowRule(
        "resize",
        options={"size": "size", "method": "interpolation", "antialias": "antialias"},
        fixed={"data_format": "channels_last"},
        ignored={"preserve_aspect_ratio": only(False)},
    ),
    "image.rgb_to_grayscale": TensorFlowRule(
        "rgb_to_grayscale", {"images": 0}, fixed={"data_format": "channels_last"}
    ),
    **{
        name: TensorFlowRule(
            "normalize", options={**_AXIS_ONLY, "epsilon": "epsilon"}, fixed={"epsilon": 1e-12}
        )
        for name in ("math.l2_normalize", "linalg.l2_normalize", "nn.l2_normalize")
    },
}


@dataclass(frozen=True)
class NodeRule:
    """How a node of a graph, which TensorFlow 2.0 to 2.3 kept for arithmetic, is said here.

    Attributes
    ----------
    operation : str
    inputs : mapping of int to str
        Inputs that are options, by their place; all others are operands.
    attributes : mapping of str to str
        Attributes that are options, and their name there.
    fixed : mapping of str to object
        Options that the node implies.
    required : mapping of str to Check
        Attributes that have to have one value, because the operation has no such option.
    """

    operation: str
    inputs: dict[int, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)
    required: dict[str, Check] = field(default_factory=dict)


def _resized(interpolation: str) -> NodeRule:
    return NodeRule(
        "resize",
        {1: "size"},
        fixed={"interpolation": interpolation, "data_format": "channels_last"},
        required={"half_pixel_centers": only(True), "align_corners": only(None, False)},
    )


_MASKS = [f"{name}_mask" for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")]
TENSORFLOW_NODES: dict[str, NodeRule] = {
    **{
        name: NodeRule(operation)
        for operation, names in {
            "add": "Add AddV2",
            "subtract": "Sub",
            "multiply": "Mul",
            "divide": "RealDiv",
            "power": "Pow",
            "maximum": "Maximum",
            "minimum": "Minimum",
            "relu": "Relu",
            "relu6": "Relu6",
            "sigmoid": "Sigmoid",
            "tanh": "Tanh",
            "softmax": "Softmax",
            "log_softmax": "LogSoftmax",
            "elu": "Elu",
            "selu": "Selu",
            "softplus": "Softplus",
            "softsign": "Softsign",
            "sqrt": "Sqrt",
            "rsqrt": "Rsqrt",
            "square": "Square",
            "absolute": "Abs",
            "exp": "Exp",
            "log": "Log",
            "negative": "Neg",
            "identity": "Identity",
        }.items()
        for name in names.split()
    },
    **{
        name: NodeRule(name.lower(), {1: "axis"}, {"keep_dims": "keepdims"})
        for name in ("Mean", "Sum", "Max", "Min")
    },
    "LeakyRelu": NodeRule("leaky_relu", attributes={"alpha": "negative_slope"}),
    "BiasAdd": NodeRule("add", required={"data_format": only(None, "NHWC")}),
    "Cast": NodeRule("cast", attributes={"DstT": "dtype"}),
    "Reshape": NodeRule("reshape", {1: "newshape"}),
    "Transpose": NodeRule("transpose", {1: "axes"}),
    "ExpandDims": NodeRule("expand_dims", {1: "axis"}),
    "Squeeze": NodeRule("squeeze", attributes={"squeeze_dims": "axis"}),
    "ReverseV2": NodeRule("flip", {1: "axis"}),
    "ConcatV2": NodeRule("concatenate", {-1: "axis"}),
    "Pack": NodeRule("stack", attributes={"axis": "axis"}),
    "Split": NodeRule("split", {0: "axis"}, {"num_split": "indices_or_sections"}),
    "Pad": NodeRule("pad", {1: "pad_width"}),
    "ResizeBilinear": _resized("bilinear"),
    "ResizeNearestNeighbor": _resized("nearest"),
    "StridedSlice": NodeRule(
        "getitem",
        {1: "begin", 2: "end", 3: "strides"},
        dict(zip(_MASKS, _MASKS, strict=True)),
    ),
}
