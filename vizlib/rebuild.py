"""A vetted architecture and plain arrays to a Keras model.

No part of a file reaches Keras: layers are made by calling their classes with vetted options, and
weights are matched to them by the names and the order under which Keras stores them.
"""

from __future__ import annotations

import contextlib
import math
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras.src.applications.convnext import LayerScale
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer
from keras.src.backend.common import global_state

from vizlib.budgets import (
    MAX_ACTIVATION_ELEMENTS,
    MAX_ACTIVATION_TOTAL,
    MAX_MULTIPLICATIONS,
    MAX_PARAMETERS,
)
from vizlib.errors import ModelLoadError, VizlibError
from vizlib.layer_rules import LAYERS, QUERIED, words
from vizlib.model_files import StoredModel
from vizlib.vetting import Json, vet
from vizlib.work import Call, Shape, held_between, multiplications

ASSUMED_SIDE = 224  # pixels, where the network leaves the side of its input open

_OWN_CLASSES = {"LayerScale": LayerScale, "CustomScaleLayer": CustomScaleLayer}
_NOT_RESTORED = ("seed_generator_state", "StateVar")
# Names of weights in old files; Keras 3 calls a depthwise_kernel that stands alone a kernel.
_KINDS = frozenset(
    words("kernel bias gamma beta moving_mean moving_variance depthwise_kernel pointwise_kernel")
)
_UNINITIALISED = "uninitialized_variables"


def model_from(stored: StoredModel) -> keras.Model:
    """The model that a file holds, checked, measured, built and given its weights.

    Raises
    ------
    UnsafeModelError
        If its architecture asks for code to be run.
    ModelLoadError
        If it is damaged, too large, or its weights do not fit.
    """
    architecture = vet(stored.config)
    measure(architecture)
    return rebuild(architecture, stored)


def rebuild(architecture: Json, stored: StoredModel) -> keras.Model:
    """The model of a vetted and measured architecture, with its weights."""
    model = _guarded(lambda: build(architecture))
    _assign(_matched(architecture, model, stored))
    _finish(model)
    return model


def _guarded(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except VizlibError:
        raise
    except RecursionError as error:
        raise ModelLoadError(
            "Expected a network of fewer layers one after the other than Keras can follow, about "
            "900. Received more. Use a smaller network."
        ) from error
    # Layers that do not fit together: Keras and TensorFlow raise anything.
    except Exception as error:
        reason = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())[:300].rstrip(".")
        raise ModelLoadError(
            f"Expected an architecture whose layers fit together. Building it failed: {reason}. "
            'Save the model again with model.save("model.keras") and load that.'
        ) from error


# ------------------------------------------------------------------------------ layers and calls


def _keras2_hard_sigmoid(x: Any) -> Any:
    # Keras 3 gave the name hard_sigmoid to another function.
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


_ACTIVATIONS = {"keras2_hard_sigmoid": _keras2_hard_sigmoid}
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "getitem": lambda x, key: operator.getitem(x, _key(key)),
    "resize": keras.ops.image.resize,
    "rgb_to_grayscale": keras.ops.image.rgb_to_grayscale,
    "keras2_hard_sigmoid": _keras2_hard_sigmoid,
    "identity": lambda x: keras.ops.add(x, 0),
}


def _key(key: list[Any]) -> tuple[Any, ...]:
    return tuple(
        slice(*one["slice"]) if isinstance(one, dict) else ... if one == "..." else one
        for one in key
    )


def _new_layer(layer: Json, name: str) -> keras.Layer:
    kind = layer["class"]
    options = {key: _option(value) for key, value in layer["options"].items()}
    if "activation" in options:
        options["activation"] = _activation(options["activation"])
    if kind == "Normalization":
        options = {key: value for key, value in options.items() if value is not None}
    zeros = dict.fromkeys(LAYERS[kind].zeroed, "zeros")
    maker = _OWN_CLASSES.get(kind) or getattr(keras.layers, kind)
    return maker(**options, **zeros, name=name)


def _option(value: Any) -> Any:
    # Keras compares some options with tuples.
    return tuple(_option(one) for one in value) if isinstance(value, list) else value


def _activation(value: Any) -> Any:
    if isinstance(value, dict):
        return getattr(keras.layers, value["class"])(**value["options"])
    return _ACTIVATIONS.get(value, value)


def _operate(layer: Json, operands: list[Any]) -> Any:
    name = layer["operation"]
    function = _OPERATIONS.get(name) or getattr(keras.ops, name)
    options = {key: _option(value) for key, value in layer["options"].items()}
    dtype = next(one.dtype for one in operands if not isinstance(one, int | float | list))
    operands = [_constant(one, dtype) for one in operands]
    if name in ("concatenate", "stack"):
        return function(operands, **options)
    if name == "split" and isinstance(options["indices_or_sections"], tuple):
        options["indices_or_sections"] = list(options["indices_or_sections"])
    return function(*operands, **options)


def _constant(value: Any, dtype: str) -> Any:
    if not isinstance(value, list):
        return value
    return np.asarray(value, dtype if "float" in dtype else "float32")


def _fetch(tensors: Any, made: dict[tuple[str, int], Any]) -> Any:
    if isinstance(tensors, list):
        return [_fetch(one, made) for one in tensors]
    if not isinstance(tensors, dict):
        return tensors
    if "dict" in tensors:
        return {key: _fetch(one, made) for key, one in tensors["dict"].items()}
    name, call, index = tensors["tensor"]
    outputs = keras.tree.flatten(made[name, call])
    if index >= len(outputs):
        raise ModelLoadError(
            f"Expected one of the {len(outputs)} outputs of {name}. Received the number {index}. "
            'Save the model again with model.save("model.keras") and load that.'
        )
    return outputs[index]


def _operands_of(call: Json, made: dict[tuple[str, int], Any]) -> list[Any]:
    return [_fetch(one, made) if isinstance(one, dict) else one for one in call["inputs"]]


# --------------------------------------------------------------------------------- real models


def build(architecture: Json) -> keras.Model:
    """The model of a vetted architecture, its weights not set yet."""
    return _build(architecture, {})


_Shared = dict[int, Any]  # layers that several networks have, by their number


def _build(architecture: Json, shared: _Shared) -> keras.Model:
    if architecture["kind"] == "sequential":
        layers = [_built(layer, shared) for layer in architecture["layers"]]
        return keras.Sequential(layers, name=architecture["name"])
    made = {
        (layer["name"], 0): _new_input(layer)
        for layer in architecture["layers"]
        if layer.get("class") == "InputLayer"
    }
    _make_calls(architecture, made, shared)
    inputs, outputs = (_fetch(architecture[key], made) for key in ("inputs", "outputs"))
    return keras.Model(inputs, outputs, name=architecture["name"])


def _built(layer: Json, shared: _Shared) -> Any:
    number = layer.get("shared")
    if number in shared:
        return shared[number]
    if "network" in layer:
        made = _build({**layer["network"], "name": layer["name"]}, shared)
    else:
        made = _new_layer(layer, layer["name"])
    if number is not None:
        shared[number] = made
    return made


def _make_calls(network: Json, made: dict[tuple[str, int], Any], shared: _Shared) -> None:
    records = {layer["name"]: layer for layer in network["layers"]}
    layers = {
        name: _built(record, shared)
        for name, record in records.items()
        if "operation" not in record and record.get("class") != "InputLayer"
    }
    counts = dict.fromkeys(records, 0)
    for call in network["calls"]:
        name = call["layer"]
        made[name, counts[name]] = _called(call, records[name], layers, made)
        counts[name] += 1


def _new_input(layer: Json) -> Any:
    options = layer["options"]
    shape = tuple(options["batch_shape"])
    return keras.Input(batch_shape=shape, dtype=options.get("dtype"), name=layer["name"])


def _called(
    call: Json, record: Json, layers: dict[str, Any], made: dict[tuple[str, int], Any]
) -> Any:
    if "operation" in record:
        result = _operate(record, _operands_of(call, made))
        _name_operation(result, record["name"])
        return result
    options = {"training": call["training"]} if "training" in call else {}
    return _applied(layers[record["name"]], record, _fetch(call["inputs"], made), options)


def _applied(layer: Any, record: Json, tensors: Any, options: Json) -> Any:
    if record.get("class") in QUERIED:
        return layer(*tensors, **options)
    return layer(tensors, **options)


def _name_operation(result: Any, name: str) -> None:
    # Functions of keras.ops take no name; two of the same name cannot be in one model.
    for tensor in keras.tree.flatten(result)[:1]:
        tensor._keras_history.operation.name = name


# ------------------------------------------------------------------------------------ measuring


@dataclass
class Measured:
    """What a network needs, found without taking the memory or the time.

    Attributes
    ----------
    parameters : int
    activations : int
        Numbers in all layers' outputs for one image.
    largest : int
        Numbers in the largest of them, or that a layer holds meanwhile.
    multiplications : int
        For one image; see `vizlib.work.multiplications`.
    """

    parameters: int = 0
    activations: int = 0
    largest: int = 0
    multiplications: int = 0


def measure(architecture: Json) -> Measured:
    """Count what a network stores, gives and computes, and refuse what exceeds the budgets.

    Raises
    ------
    ModelLoadError
        If it is too large, or its layers do not fit together.
    """
    with without_memory():
        ruler = _Ruler()
        _guarded(lambda: ruler.run(architecture))
        return ruler.measured


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Let layers be made and called on tensors without values, their weights never."""
    before = list(global_state.get_global_attribute(_UNINITIALISED) or [])
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        # Keras would make all variables that it has noted when the next such scope ends.
        global_state.set_global_attribute(_UNINITIALISED, before)


@dataclass
class _Ruler:
    """Calls every layer on tensors without values."""

    measured: Measured = field(default_factory=Measured)
    layers: dict[int | tuple[int, str], Any] = field(default_factory=dict)

    def run(self, network: Json) -> None:
        inputs = [
            keras.KerasTensor(_assumed(layer["options"]["batch_shape"]), _input_dtype(layer))
            for layer in _input_layers(network)
        ]
        if not inputs:
            raise ModelLoadError(
                "Expected a model that knows the shape of its input. Received one without. Call it "
                'on an image once, then save it again with model.save("model.keras").'
            )
        for layer, tensor in zip(_input_layers(network), inputs, strict=True):
            self._seen(layer, tensor)
        self._network(network, inputs)

    def _network(self, network: Json, inputs: list[Any]) -> list[Any]:
        if network["kind"] == "sequential":
            return self._chain(network, inputs)
        names = [layer["name"] for layer in _input_layers(network)]
        made = {(name, 0): tensor for name, tensor in zip(names, inputs, strict=True)}
        counts = {layer["name"]: 0 for layer in network["layers"]}
        records = {layer["name"]: layer for layer in network["layers"]}
        for call in network["calls"]:
            name = call["layer"]
            made[name, counts[name]] = self._call(network, records[name], call, made)
            counts[name] += 1
        return keras.tree.flatten(_fetch(network["outputs"], made))

    def _chain(self, network: Json, inputs: list[Any]) -> list[Any]:
        tensors: Any = inputs[0] if len(inputs) == 1 else inputs
        for layer in network["layers"]:
            if layer.get("class") != "InputLayer":
                tensors = self._layer(network, layer, tensors, {})
                tensors = tensors[0] if len(tensors) == 1 else tensors
        return keras.tree.flatten(tensors)

    def _call(self, network: Json, layer: Json, call: Json, made: dict[Any, Any]) -> list[Any]:
        if "operation" in layer:
            operands = _operands_of(call, made)
            return self._worked(layer, operands, _operate(layer, operands))
        options = {"training": call["training"]} if "training" in call else {}
        return self._layer(network, layer, _fetch(call["inputs"], made), options)

    def _layer(self, network: Json, layer: Json, tensors: Any, options: Json) -> list[Any]:
        if "network" in layer:
            return self._network(layer["network"], keras.tree.flatten(tensors))
        key = layer.get("shared", (id(network), layer["name"]))
        new = key not in self.layers
        if new:
            self.layers[key] = _new_layer(layer, layer["name"])
        outputs = _applied(self.layers[key], layer, tensors, options)
        if new:
            self._count(layer, self.layers[key])
        return self._worked(layer, keras.tree.flatten(tensors), outputs, self.layers[key])

    def _count(self, layer: Json, made: keras.Layer) -> None:
        self.measured.parameters += sum(math.prod(weight.shape) for weight in made.weights)
        if self.measured.parameters > MAX_PARAMETERS:
            raise _too_large(
                "parameters", MAX_PARAMETERS, self.measured.parameters, f"up to {layer['name']}"
            )

    def _worked(
        self, layer: Json, inputs: list[Any], outputs: Any, made: keras.Layer | None = None
    ) -> list[Any]:
        weights = made.weights if made is not None else []
        call = Call(
            layer.get("operation") or layer["class"],
            [_shape(one) for one in inputs],
            [_shape(one) for one in keras.tree.flatten(outputs)],
            layer["options"],
            [tuple(one.shape) for one in weights if one.name.endswith("kernel")],
        )
        self._held(held_between(call), f"inside {layer['name']}")
        self.measured.multiplications += multiplications(call)
        if self.measured.multiplications > MAX_MULTIPLICATIONS:
            raise _too_large(
                "multiplications for one image",
                MAX_MULTIPLICATIONS,
                self.measured.multiplications,
                f"up to {layer['name']}",
            )
        return self._seen(layer, outputs)

    def _held(self, size: int, where: str) -> None:
        self.measured.largest = max(size, self.measured.largest)
        if size > MAX_ACTIVATION_ELEMENTS:
            raise _too_large("numbers", MAX_ACTIVATION_ELEMENTS, size, where)

    def _seen(self, layer: Json, outputs: Any) -> list[Any]:
        found = keras.tree.flatten(outputs)
        for tensor in found:
            size = math.prod(_shape(tensor))
            self.measured.activations += size
            self._held(size, f"in the output of {layer['name']}")
        if self.measured.activations > MAX_ACTIVATION_TOTAL:
            raise _too_large(
                "numbers in the outputs of all layers",
                MAX_ACTIVATION_TOTAL,
                self.measured.activations,
                f"up to {layer['name']}",
            )
        return found


def _too_large(what: str, limit: int, found: int, where: str) -> ModelLoadError:
    return ModelLoadError(
        f"Expected at most {limit:,} {what}. Received {found:,} {where}. "
        "Use a smaller network or a smaller input."
    )


def _input_layers(network: Json) -> list[Json]:
    by_name = {layer["name"]: layer for layer in network["layers"]}
    if network["kind"] == "functional":
        return [by_name[name] for name in _order(network["inputs"])]
    first = network["layers"][0]
    if "network" in first:
        return _input_layers(first["network"])
    return [first] if first.get("class") == "InputLayer" else []


def _order(tensors: Any) -> list[str]:
    # As keras.tree.flatten goes through the tensors themselves.
    if isinstance(tensors, list):
        return [name for one in tensors for name in _order(one)]
    if "dict" in tensors:
        return [name for _, one in sorted(tensors["dict"].items()) for name in _order(one)]
    return [tensors["tensor"][0]]


def _assumed(shape: list[int | None]) -> Shape:
    # One image. Were their number left open, a reshape could hide others in it.
    return (1, *(side or ASSUMED_SIDE for side in shape[1:]))


def _shape(value: Any) -> Shape:
    shape = np.shape(value) if isinstance(value, int | float | list) else value.shape
    return tuple(ASSUMED_SIDE if side is None else side for side in shape)


def _input_dtype(layer: Json) -> str:
    name = layer["options"].get("dtype", "float32")
    return {"mixed_float16": "float32", "mixed_bfloat16": "float32"}.get(name, name)


# -------------------------------------------------------------------------------------- weights


@dataclass
class _Own:
    """One layer that has weights of its own."""

    path: str  # for people
    stored: str  # its name in the file
    variables: list[Any]  # those that training changes first, as files have them
    trainable: int  # how many of them training changes


_Match = list[tuple[Any, np.ndarray, str]]


def _matched(architecture: Json, model: keras.Model, stored: StoredModel) -> _Match:
    if stored.layout == "keras3":
        return _by_path(model, stored)
    return _by_order(architecture, model, stored)


def _variables(layer: keras.Layer) -> list[Any]:
    found = [*layer.trainable_weights, *layer.non_trainable_weights]
    return [one for one in found if one.name not in _NOT_RESTORED]


def _is_network(layer: Any) -> bool:
    return isinstance(layer, keras.Model)


def _by_path(model: keras.Model, stored: StoredModel) -> _Match:
    left = stored_paths(stored)
    matches: _Match = []
    missing: list[str] = []
    for path, variable in _paths(model, "", set()):
        found = next((one for one in _spellings(path) if one in left), None)
        if found is None:
            missing.append(path)
        else:
            matches.append((variable, left.pop(found), found))
    if missing:
        raise ModelLoadError(
            f"Expected weights for {_some(missing)}, as the architecture has it. Received none in "
            "the file. Where several nested models share a layer, Keras stores its weights once "
            "and does not always say which layers are one: model.save('model.h5') stores all."
        )
    _refuse_unmatched([], list(left))
    return matches


def weight_paths(model: keras.Model) -> dict[str, Any]:
    """Every variable of a network by the path that a file of Keras 3 has it under."""
    return dict(_paths(model, "", set()))


def stored_paths(stored: StoredModel) -> dict[str, np.ndarray]:
    """The weights of layers in a file of Keras 3, by path."""
    return {path: array for path, array in stored.weights.items() if _is_weight(path)}


def _is_weight(path: str) -> bool:
    # Beside the layers there are states of the optimizer, of metrics and of random numbers.
    parts = path.split("/")
    return parts[0] in ("layers", "_layer_checkpoint_dependencies") and not (
        {"seed_generator", "random_generator"} & set(parts)
    )


def _spellings(path: str) -> tuple[str, ...]:
    # Before Keras 3, the parts of a layer were stored by the names that nobody else uses.
    parts = re.sub(r"/(query|key|value|output)_dense/", r"/_\1_dense/", path)
    old = re.sub(r"(^|/)layers/", r"\1_layer_checkpoint_dependencies/", parts)
    return path, parts, old


def _paths(model: keras.Model, prefix: str, visited: set[Any]) -> Iterator[tuple[str, Any]]:
    # Keras writes what stands in several places once, where it comes to it first.
    counts: dict[str, int] = {}
    for layer in model.layers:
        name = _snake_case(type(layer).__name__)
        count = counts[name] = counts.get(name, -1) + 1
        path = f"{prefix}layers/{name}" + (f"_{count}" if count else "")
        if layer in visited:
            continue
        visited.add(layer)
        if _is_network(layer):
            yield from _paths(layer, f"{path}/", visited)
        else:
            parts = _parts(layer) or {"": layer}
            for part, owner in parts.items():
                for k, variable in enumerate(_variables(owner)):
                    yield f"{path}{part and '/'}{part}/vars/{k}", variable


def _parts(layer: Any) -> dict[str, keras.Layer]:
    """The layers inside a layer, by the names that a file of Keras 3 has them under."""
    if not isinstance(layer, keras.layers.MultiHeadAttention):
        return {}
    names = ("query_dense", "key_dense", "value_dense", "output_dense")
    return {name: getattr(layer, name) for name in names}


def _snake_case(name: str) -> str:
    # As keras.src.utils.naming does.
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _by_order(architecture: Json, model: keras.Model, stored: StoredModel) -> _Match:
    layers = [(name, own) for name, own in _top_layers(architecture, model) if own]
    groups = stored_groups(stored)
    if len(groups) != len(layers):
        _refuse_unmatched(
            [name for name, _ in layers if name not in dict(groups)],
            [name for name, _ in groups if name not in dict(layers)],
        )
        raise _misfit(f"{len(layers)} layers with weights", f"{len(groups)} layers")
    by_name = dict(groups)
    if set(by_name) == {name for name, _ in layers}:
        groups = [(name, by_name[name]) for name, _ in layers]
    matches: _Match = []
    first = _has_channels_first(architecture)
    for (_, own), (group, names) in zip(layers, groups, strict=True):
        arrays = [
            (f"{group}/{name}", _present_kernel(name, stored.weights[f"{group}/{name}"], first))
            for name in names
        ]
        matches += _within(own, arrays, [_present_name(name, own) for name in names])
    return matches


# conv_W:0, in a graph that knew the name already conv_W_1:0; Theano's names have no number.
_KERAS_1_NAME = re.compile(
    r"(?P<layer>.+)_(?P<kind>W|b|gamma|beta|running_mean|running_std)(_\d+)?(?P<output>:0)?"
)


def _present_name(name: str, owners: list[_Own]) -> str:
    """Put the name of a layer before a slash; what other tools call W may be anything."""
    found = _KERAS_1_NAME.fullmatch(name)
    if found is None or found["layer"] not in {own.stored for own in owners}:
        return name
    return f"{found['layer']}/{found['kind']}"


def _present_kernel(name: str, array: np.ndarray, channels_first: bool) -> np.ndarray:
    """The kernel of a convolution as Keras keeps it since version 2; anything else as it is."""
    found = _KERAS_1_NAME.fullmatch(name)
    if array.ndim != 4 or (found is None and not re.fullmatch(r"param_\d+", name)):
        return array
    if found is None or found["output"] is None:
        raise ModelLoadError(
            "Expected convolutions that Keras 1 computed with TensorFlow. Received "
            f"{_some([name])}, as Theano names them, which turns kernels round and fills borders "
            "in another way. Save the model again with Keras 2 and TensorFlow."
        )
    return array.transpose(2, 3, 1, 0) if channels_first and found["kind"] == "W" else array


def _has_channels_first(network: Json) -> bool:
    return any(
        _has_channels_first(layer["network"])
        if "network" in layer
        else layer["options"].get("data_format") == "channels_first"
        for layer in network["layers"]
    )


def stored_groups(stored: StoredModel) -> list[tuple[str, list[str]]]:
    """Layers of a legacy file that have weights to restore, and the names of these, in order."""
    groups = [(name, _kept(names)) for name, names in stored.legacy_order]
    return [(name, names) for name, names in groups if names]


def _kept(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name.split("/")[-1].split(":")[0] not in _NOT_RESTORED]


def _top_layers(architecture: Json, model: keras.Model) -> Iterator[tuple[str, list[_Own]]]:
    names = _stored_names(architecture)
    for layer in model.layers:
        if layer.name in names:
            stored, inner = names[layer.name]
            yield stored, list(_owners(layer, stored, inner, layer.name))


def _stored_names(network: Json) -> dict[str, tuple[str, Json | None]]:
    return {layer["name"]: (layer["stored"], layer.get("network")) for layer in network["layers"]}


def _owners(layer: Any, stored: str, network: Json | None, path: str) -> Iterator[_Own]:
    for part in _parts(layer).values():
        yield from _owners(part, f"{stored}/{part.name}", None, f"{path}/{part.name}")
    if _parts(layer):
        return
    if network is None:
        variables = _variables(layer)
        trainable = len(layer.trainable_weights)
        if variables:
            yield _Own(path, stored, variables, trainable)
        return
    names = _stored_names(network)
    for inner in layer.layers:
        if inner.name in names:
            yield from _owners(inner, *names[inner.name], f"{path}/{inner.name}")


_Arrays = list[tuple[str, np.ndarray]]


def _within(owners: list[_Own], arrays: _Arrays, names: list[str]) -> _Match:
    count = sum(len(own.variables) for own in owners)
    if count != len(arrays):
        raise _misfit(f"{count} weights in {owners[0].path}", f"{len(arrays)}")
    candidates = [_in_file_order(owners), [v for own in owners for v in own.variables]]
    if len(owners) > 1:
        named = _named(owners, names)
        candidates = [named, *candidates] if named else candidates
    for variables in candidates:
        if all(_suits(v, *entry) for v, entry in zip(variables, arrays, strict=True)):
            return [(v, array, name) for v, (name, array) in zip(variables, arrays, strict=True)]
    pairs = zip(candidates[0], arrays, strict=True)
    wrong, entry = next(pair for pair in pairs if not _suits(pair[0], *pair[1]))
    expected = f"the weights {wrong.name} of the shape {tuple(wrong.shape)} in {owners[0].path}"
    raise _misfit(expected, f"{entry[1].shape} in {_some([entry[0]])}")


def _suits(variable: Any, name: str, array: np.ndarray) -> bool:
    kind = name.rpartition("/")[2].partition(":")[0]
    told = kind in _KINDS and variable.name in _KINDS
    return _fits(variable, array) and (not told or kind.endswith(variable.name))


def _fits(variable: Any, array: np.ndarray) -> bool:
    return tuple(variable.shape) == array.shape


def _in_file_order(owners: list[_Own]) -> list[Any]:
    # A nested model lists what training changes in all of its layers first.
    return [
        *(v for own in owners for v in own.variables[: own.trainable]),
        *(v for own in owners for v in own.variables[own.trainable :]),
    ]


def _named(owners: list[_Own], names: list[str]) -> list[Any] | None:
    """The variables in the order of the arrays, by the names of their layers, if these are told.

    Within a layer the order is always the same; which layers come first depends on what was frozen.
    """
    prefixes = [name.rpartition("/")[0] for name in names]
    by_end = _by_end(prefixes)
    places: dict[str, int] = {}
    for k, own in enumerate(owners):
        found = by_end.get(own.stored, set())
        if len(found) != 1 or min(found) in places:
            return None
        places[min(found)] = k
    waiting = [iter(own.variables) for own in owners]
    if set(prefixes) != set(places):
        return None
    ordered = [next(waiting[places[prefix]], None) for prefix in prefixes]
    return None if any(one is None for one in ordered) else ordered


def _by_end(prefixes: list[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for prefix in set(prefixes):
        parts = prefix.split("/")
        for k in range(min(len(parts), 30)):
            found.setdefault("/".join(parts[-1 - k :]), set()).add(prefix)
    return found


def _refuse_unmatched(missing: list[str], left: list[str]) -> None:
    if missing:
        raise _misfit(f"weights for {_some(missing)}", "none")
    if left:
        raise _misfit("weights of the layers only", f"others too: {_some(left)}")


def _some(names: list[str]) -> str:
    more = len(names) - 5
    shown = ", ".join(re.sub(r"[^A-Za-z0-9_.:/-]", "_", name[:120]) for name in names[:5])
    return f"{shown} and {more} more" if more > 0 else shown


def _misfit(expected: str, received: str) -> ModelLoadError:
    return ModelLoadError(
        f"Expected {expected}, as the architecture has it. Received {received} in the file. "
        'Save the model again with model.save("model.keras") and load that.'
    )


def _assign(matches: _Match) -> None:
    assigned: dict[int, np.ndarray] = {}
    for variable, array, name in matches:
        # Older files hold the weights of a shared layer in each of its places.
        first = assigned.setdefault(id(variable), array)
        if first is not array and not np.array_equal(first, array):
            raise _misfit(
                "the same weights wherever a layer is shared", f"others in {_some([name])}"
            )
        if not _fits(variable, array):
            expected = f"weights of the shape {tuple(variable.shape)}"
            raise _misfit(expected, f"{array.shape} in {_some([name])}")
        variable.assign(_checked(array, variable, name))


def _checked(array: np.ndarray, variable: Any, name: str) -> np.ndarray:
    numeric = array.dtype.kind in "fiub" or array.dtype.name == "bfloat16"
    with np.errstate(over="ignore"):
        wide = variable.dtype == "bfloat16"
        array = (
            array.astype("float32" if wide else variable.dtype, copy=False) if numeric else array
        )
    if not numeric or not np.isfinite(array).all():
        raise ModelLoadError(
            f"Expected finite numbers as weights. Received others in {_some([name])}. "
            "The training diverged or the file is damaged: use an earlier state of the model."
        )
    return array


def _finish(model: keras.Model) -> None:
    for layer in model.layers:
        if _is_network(layer):
            _finish(layer)
        elif isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
