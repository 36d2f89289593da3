"""The architecture that a version of Keras 1 wrote, in the words of Keras 2.

Nothing is decided here: what has no equal is left as it is, for `vizlib.vetting` to refuse. Nothing
here imports Keras. Source: ``get_config`` of the layers of Keras 1.2.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vizlib.dialects import Record, damaged, stored_name, tidy, written_class
from vizlib.errors import ModelLoadError
from vizlib.layer_rules import words

# Options that no later version has.
_TELLING = frozenset(
    words("nb_filter border_mode dim_ordering subsample init W_regularizer pool_length mode_type")
)
_CLASSES = {
    "AtrousConvolution2D": "Conv2D",
    "TimeDistributedDense": "Dense",
}
_OPTIONS = {
    "nb_filter": "filters",
    "output_dim": "units",
    "border_mode": "padding",
    "subsample": "strides",
    "stride": "strides",
    "atrous_rate": "dilation_rate",
    "pool_length": "pool_size",
    "length": "size",
    "dim_ordering": "data_format",
    "bias": "use_bias",
    "p": "rate",
    "sigma": "stddev",
    "init": "kernel_initializer",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
}
_FORMATS = {"tf": "channels_last", "th": "channels_first"}
_WITHOUT_ORDERING = frozenset(words("ZeroPadding2D Cropping2D UpSampling2D SpatialDropout2D"))
_MERGES = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "concat": "Concatenate",
}


def as_keras_2(network: Record) -> Record:
    """The record of a model as Keras 2 would have written it; one of a later version as it is.

    Raises
    ------
    ModelLoadError
        If it merges in a way of Keras 1 only, or does not say which axis its channels are on.
    """
    configs = [config for record in _layers(network) if (config := _config(record))]
    if not any(_TELLING & set(config) for config in configs):
        return network
    return _network(network, _format(configs, tidy(stored_name(network))))


def _inside(network: Record) -> list[Any]:
    config = network.get("config")
    layers = config if isinstance(config, list) else _config(network).get("layers")
    return layers if isinstance(layers, list) else []


def _layers(network: Record) -> Iterator[Record]:
    for record in _inside(network):
        if isinstance(record, dict):
            yield record
            yield from _layers(record)


def _config(record: Record) -> Record:
    config = record.get("config")
    return config if isinstance(config, dict) else {}


def _format(configs: list[Record], where: str) -> str | None:
    told = {str(config["dim_ordering"]) for config in configs if "dim_ordering" in config}
    if len(told) > 1 or not told <= set(_FORMATS):
        raise damaged(where, "one dim_ordering, tf or th", " and ".join(sorted(told)))
    return _FORMATS[told.pop()] if told else None


def _network(network: Record, data_format: str | None) -> Record:
    layers = [
        _record(one, data_format) if isinstance(one, dict) else one for one in _inside(network)
    ]
    config = network.get("config")
    return {
        **network,
        "config": {**config, "layers": layers} if isinstance(config, dict) else layers,
    }


def _record(record: Record, data_format: str | None) -> Record:
    kind, config = written_class(record), _config(record)
    if kind == "Merge":
        return _merge(record, config)
    if _inside(record):
        return _network(record, data_format)
    if not config:
        return record
    where = tidy(stored_name(record))
    options = {_OPTIONS.get(key, key): _value(key, value) for key, value in config.items()}
    options.pop("input_length", None)
    if "nb_row" in options and "nb_col" in options:
        options["kernel_size"] = [options.pop("nb_row"), options.pop("nb_col")]
    if "padding" in options:
        options["padding"] = _edges(options["padding"])
    if kind in _WITHOUT_ORDERING:
        options["data_format"] = _needed(data_format, where)
    return {**record, "class_name": _CLASSES.get(kind, kind), "config": options}


def _value(key: str, value: Any) -> Any:
    if key == "dim_ordering":
        return _FORMATS[value]
    if key.endswith(("_regularizer", "_constraint")) and isinstance(value, dict):
        return value.get("name", value)
    return value


def _edges(padding: Any) -> Any:
    if isinstance(padding, dict):
        sides = [padding.get(f"{side}_pad", 0) for side in ("top", "bottom", "left", "right")]
        padding = sides if {"top_pad", "bottom_pad"} & set(padding) else sides[2:]
    if isinstance(padding, list) and len(padding) == 4:
        return [padding[:2], padding[2:]]
    return padding


def _needed(data_format: str | None, where: str) -> str:
    if data_format is None:
        raise ModelLoadError(
            f"Expected a network of Keras 1 that says which axis the channels of {where} are on. "
            'Received none with a dim_ordering. Save it again with Keras 2 or later, as "model.h5".'
        )
    return data_format


def _merge(record: Record, config: Record) -> Record:
    if config.get("mode_type", "raw") != "raw":
        return record  # a function of the file
    where, mode = tidy(stored_name(record)), config.get("mode")
    if "layers" in config:
        raise damaged(where, "a Sequential model of one branch, or a functional model", "branches")
    if not isinstance(mode, str) or mode not in _MERGES:
        raise damaged(where, f"tensors merged by {', '.join(_MERGES)}", mode)
    axis = {"axis": config.get("concat_axis", -1)} if mode == "concat" else {}
    options = {"name": config.get("name", where), "trainable": True, **axis}
    return {**record, "class_name": _MERGES[mode], "config": options}
