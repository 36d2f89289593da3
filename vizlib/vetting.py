"""The architecture of an untrusted model file to a description that is safe to build.

Nothing of the file is handed on. `vet` reads its JSON, in whichever dialect of Keras 1 to 3, and
writes a description anew from the tables of `vizlib.layer_rules`: classes, options, types and
ranges that are not there are refused. Nothing here imports Keras.

The description is plain JSON. A *network* is::

    {"format": "vizlib-architecture-1",            # the outermost network only
     "kind": "sequential" or "functional",
     "name": "vgg16", "stored": "vgg16",           # tidy name; the name in the file, cut to 300
     "layers": [layer, ...],
     "calls": [call, ...],                         # functional only, as are the next two
     "inputs": tensors, "outputs": tensors}

A *layer* is one of::

    {"name": ..., "stored": ..., "class": "Conv2D", "options": {"filters": 8, ...}}
    {"name": ..., "stored": ..., "network": network}
    {"name": ..., "stored": ..., "operation": "divide", "options": {}}

One layer of either of the first two kinds that stands in several networks, with the same weights in
all of them, has the same entry ``"shared": number`` wherever it stands.

A *call* ``{"layer": name, "inputs": tensors, "training": bool (optional)}`` feeds a layer of the
same network; calls stand in an order in which each finds its inputs made. An operation is called
once and takes a list of tensors and numbers; an `InputLayer` is never called. *Tensors* are
``{"tensor": [layer, number of its call, number of its output]}``, a list of tensors, or
``{"dict": {name: tensors}}``.

Given such a description, `vet` returns an equal one, so that whoever receives it can check it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vizlib.budgets import MAX_INPUT_SIDE, MAX_JSON_DEPTH, MAX_LAYERS, MAX_NESTING, MAX_NODES
from vizlib.dialects import (
    TENSORFLOW_CALLS,
    called_function,
    class_name,
    convert,
    damaged,
    foreign_references,
    inner_records,
    is_operation,
    stored_name,
    tidy,
    written_class,
)
from vizlib.errors import ModelLoadError, UnsafeModelError
from vizlib.keras1 import as_keras_2
from vizlib.layer_rules import (
    LAYERS,
    NETWORKS,
    ONE_INPUT,
    OPERATION_CLASSES,
    OPERATIONS,
    OTHER_LAYERS,
    QUERIED,
    ForeignReference,
    LayerRule,
    OperationRule,
    WrongValue,
    dtype,
    from_keras,
    numbers,
    whole,
)

FORMAT = "vizlib-architecture-1"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_STORED_LENGTH = 300
_MOST_LISTED = 200
_LARGEST_INDEX = 1000
_SHARED = whole(0, MAX_LAYERS)
_AWAY = ("compile_config", "training_config", "build_config", "optimizer_weights")

Json = dict[str, Any]


def vet(config: Any) -> Json:
    """The architecture written anew, in the format that this module describes.

    Parameters
    ----------
    config : dict
        JSON of ``config.json`` or ``model_config``, or what `vet` returned before.

    Raises
    ------
    UnsafeModelError
        If it names layers or functions that are not Keras' own; the message lists all of them.
    ModelLoadError
        Whatever else is wrong with it.
    """
    try:
        return _vet(config)
    except ModelLoadError:
        raise
    # The checks are meant to find everything; what they miss is refused too.
    except Exception as error:
        raise damaged("the architecture", "what Keras writes", type(error).__name__) from error


def _vet(config: Any) -> Json:
    if not isinstance(config, dict):
        raise damaged("the architecture", "a record of a model", config)
    config = {key: value for key, value in config.items() if key not in _AWAY}
    _check_json(config)
    if config.get("format") != FORMAT:
        config = as_keras_2(config)
        _refuse_other_objects(config)
        _refuse_foreign(config)
        config = convert(config)
    config = {key: value for key, value in config.items() if key != "format"}
    return {"format": FORMAT, **_network(config, str(config.get("name")), _Count(), 1)}


# ------------------------------------------------------------------------------------- raw JSON


def _check_json(config: Json) -> None:
    waiting: list[tuple[Any, int]] = [(config, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_JSON_DEPTH:
            raise ModelLoadError(
                f"Expected an architecture at most {MAX_JSON_DEPTH} levels deep. Received a deeper "
                "one. Flatten the nested models and save the model again."
            )
        if isinstance(value, dict):
            waiting += [(one, depth + 1) for one in _values(value)]
        elif isinstance(value, list):
            waiting += [(one, depth + 1) for one in value]
        else:
            _check_scalar(value)


def _values(record: Json) -> Iterator[Any]:
    for key, value in record.items():
        if not isinstance(key, str):
            raise damaged("the architecture", "texts as keys", key)
        yield value


def _check_scalar(value: Any) -> None:
    if value is None or isinstance(value, str | bool):
        return
    if type(value) is int and abs(value) < 2**63:
        return
    if type(value) is float and math.isfinite(value):
        return
    raise damaged("a value", "finite numbers of usual size, texts, true and false", str(value)[:80])


# ------------------------------------------------------------------------- classes that are refused


def _refuse_other_objects(config: Json) -> None:
    kind = config.get("class_name")
    if not isinstance(kind, str):
        raise damaged("the architecture", "a record with the class of the model", kind)
    if class_name(config) in {*LAYERS, *OTHER_LAYERS}:
        raise ModelLoadError(
            f"Expected a model. Received a single layer, {tidy(kind)}. Put it into a "
            'keras.Sequential and save that with model.save("model.keras").'
        )


@dataclass
class _Findings:
    unsafe: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    seen: int = 0


def _refuse_foreign(config: Json) -> None:
    findings = _Findings()
    _look_through(config, "", findings, 0)
    if findings.unsafe:
        raise UnsafeModelError(
            "Expected a model made of layers of Keras itself. This file asks for "
            f"{_listed(findings.unsafe)}. Code of others is not run. If the file is your own, open "
            "it in a script: vizlib.load_convnet(path, trusted=True)."
        )
    if findings.unsupported:
        raise ModelLoadError(
            "Expected an image network made of layers that can be rebuilt here. This file has "
            f"{_listed(findings.unsupported)}. If the file is your own, open it in a script: "
            "vizlib.load_convnet(path, trusted=True)."
        )


def _listed(found: list[str]) -> str:
    shown = "; ".join(found[:_MOST_LISTED])
    left = len(found) - _MOST_LISTED
    return f"{shown}; and {left} more" if left > 0 else shown


def _look_through(record: Json, parent: str, findings: _Findings, depth: int) -> None:
    where = f"{parent}/{tidy(stored_name(record))}" if parent else tidy(stored_name(record))
    findings.seen += 1
    _check_size(findings.seen, depth, where)
    shown = where.partition("/")[2] if parent else where
    _judge_class(record, shown if parent else "the top of the file", findings)
    config = record.get("config")
    if not isinstance(config, dict):
        config = {}
    if class_name(record) not in NETWORKS and not is_operation(record):
        for key, name in foreign_references(config):
            findings.unsafe.append(f"{_shown(name)} at {shown}/{tidy(key)}")
    if class_name(record) in NETWORKS or isinstance(config.get("layer"), dict):
        for inner in inner_records(record):
            _look_through(inner, where, findings, depth + 1)


def _judge_class(record: Json, where: str, findings: _Findings) -> None:
    kind = written_class(record)
    name = class_name(record)
    if is_operation(record):
        if kind not in OPERATION_CLASSES:
            findings.unsafe.append(f"{_shown(kind)} at {where}")
    elif kind in TENSORFLOW_CALLS:
        _judge_function(record, where, findings)
    elif not from_keras(record):
        findings.unsafe.append(f"{_shown(record.get('module'))}.{_shown(kind)} at {where}")
    elif name in OTHER_LAYERS:
        findings.unsupported.append(f"{name} at {where}")
    elif name not in LAYERS and name not in NETWORKS:
        findings.unsafe.append(f"{_shown(kind)} at {where}")


def _judge_function(record: Json, where: str, findings: _Findings) -> None:
    function, known = called_function(record)
    if not known:
        findings.unsafe.append(f"the function tf.{_shown(function)} at {where}")


def _shown(name: Any) -> str:
    return re.sub(r"[^A-Za-z0-9_.>-]", "_", str(name)[:80]) or "nothing"


# ------------------------------------------------------------------------------ the description


@dataclass
class _Count:
    layers: int = 0
    shared: dict[int, Json] = field(default_factory=dict)


def _check_size(layers: int, depth: int, where: str) -> None:
    if layers > MAX_LAYERS:
        raise ModelLoadError(
            f"Expected at most {MAX_LAYERS} layers. Received more, counted up to {tidy(where)}. "
            "Use a smaller network."
        )
    if depth > MAX_NESTING:
        raise ModelLoadError(
            f"Expected models nested at most {MAX_NESTING} deep. Received deeper ones. "
            "Flatten the nested models and save the model again."
        )


def _network(draft: Json, where: str, count: _Count, depth: int) -> Json:
    count.layers += 1
    _check_size(count.layers, depth, where)
    functional = draft.get("kind") == "functional"
    extra = {"calls", "inputs", "outputs"} if functional else set()
    _check_keys(draft, {"kind", "name", "layers"} | extra, {"stored"}, where)
    if draft["kind"] not in ("functional", "sequential"):
        raise damaged(where, "a known kind of network", draft["kind"])
    layers = _list(draft["layers"], where)
    network = {
        "kind": draft["kind"],
        **_naming(draft, where),
        "layers": [_layer(layer, where, count, depth) for layer in layers],
    }
    _check_layers(network, where)
    network |= _graph(draft, network["layers"], where) if functional else {}
    _check_expanded(network, where)
    return network


def _check_layers(network: Json, where: str) -> None:
    names = [layer["name"] for layer in network["layers"]]
    if len(set(names)) != len(names):
        raise damaged(where, "layers of different names", "one name twice")
    shared = [layer["shared"] for layer in network["layers"] if "shared" in layer]
    if len(set(shared)) != len(shared):
        raise damaged(where, "every layer once", "one layer twice")
    later = network["layers"][1:] if network["kind"] == "sequential" else []
    if not names or any(layer.get("class") == "InputLayer" for layer in later):
        raise damaged(where, "layers after one input", ", ".join(names[:5]))
    if network["kind"] == "sequential" and any("operation" in one for one in network["layers"]):
        raise damaged(where, "layers in a sequence", "an operation")


def _check_keys(record: Json, needed: set[str], allowed: set[str], where: str) -> None:
    missing, unknown = needed - set(record), set(record) - needed - allowed
    if missing:
        raise damaged(where, f"the entry {min(missing)}", "none")
    if unknown:
        raise damaged(where, "known entries", min(unknown))


def _naming(draft: Json, where: str) -> Json:
    name, stored = draft["name"], draft.get("stored", draft["name"])
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise damaged(where, "a name of plain letters", name)
    if not isinstance(stored, str):
        raise damaged(where, "a text as its name in the file", stored)
    stored = stored.encode("utf-8", "replace").decode("utf-8")[:_STORED_LENGTH]
    return {"name": name, "stored": stored}


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise damaged(where, "a list", value)
    return value


def _layer(draft: Any, parent: str, count: _Count, depth: int) -> Json:
    layer = _unshared_layer(draft, parent, count, depth)
    if "shared" not in draft:
        return layer
    where = f"{parent}/{layer['name']}"
    number = _option(_SHARED, draft["shared"], f"shared of {where}")
    if "operation" in layer or layer.get("class") == "InputLayer":
        raise damaged(where, "a layer, as it is in several networks", "an input or an operation")
    if count.shared.setdefault(number, layer) != layer:
        raise damaged(where, "the same layer in all networks that share it", "another one")
    return {**layer, "shared": number}


def _unshared_layer(draft: Any, parent: str, count: _Count, depth: int) -> Json:
    if not isinstance(draft, dict):
        raise damaged(parent, "records of layers", draft)
    kinds = {"class", "operation", "network"} & set(draft)
    if len(kinds) != 1:
        raise damaged(parent, "layers of one kind", " and ".join(sorted(kinds)))
    kind = kinds.pop()
    where = f"{parent}/{tidy(str(draft.get('name')))}"
    needed = {"name", kind} | (set() if kind == "network" else {"options"})
    _check_keys(draft, needed, {"stored", "shared"}, where)
    if kind == "network":
        inner = draft["network"]
        if not isinstance(inner, dict):
            raise damaged(where, "a network", inner)
        return {**_naming(draft, where), "network": _network(inner, where, count, depth + 1)}
    count.layers += 1
    _check_size(count.layers, depth, where)
    rules: Any = LAYERS if kind == "class" else OPERATIONS
    if not isinstance(draft[kind], str) or draft[kind] not in rules:
        raise damaged(where, f"{kind} on the list", draft[kind])
    options = _options(draft["options"], rules[draft[kind]], where)
    if draft[kind] == "InputLayer":
        _check_sides(options["batch_shape"], where)
    return {**_naming(draft, where), kind: draft[kind], "options": options}


def _check_sides(shape: list[int | None], where: str) -> None:
    sides = shape[1:] if len(shape) == 4 else []
    if any(side is not None and side > MAX_INPUT_SIDE for side in sides):
        raise ModelLoadError(
            f"Expected pictures of at most {MAX_INPUT_SIDE} pixels a side for {where}. Received "
            f"{' x '.join(map(str, sides))}. Use a smaller network."
        )


def _options(options: Any, rule: LayerRule | OperationRule, where: str) -> Json:
    if not isinstance(options, dict):
        raise damaged(where, "options", options)
    checks = {**rule.options, "dtype": dtype} if isinstance(rule, LayerRule) else rule.options
    _check_keys(options, set(rule.needed), set(checks), where)
    return {
        key: _option(check, options[key], f"{key} of {where}")
        for key, check in checks.items()
        if key in options
    }


def _option(check: Any, value: Any, where: str) -> Any:
    try:
        return check(value)
    except WrongValue as error:
        raise damaged(where, str(error), value) from error
    except ForeignReference as error:
        raise UnsafeModelError(
            f"Expected a function of Keras for {where}. Received {_shown(error)}. If the file is "
            "your own, open it in a script: vizlib.load_convnet(path, trusted=True)."
        ) from error


# -------------------------------------------------------------------------------------- graphs


def _graph(draft: Json, layers: list[Json], where: str) -> Json:
    known = {layer["name"]: layer for layer in layers}
    made = {name: int(layer.get("class") == "InputLayer") for name, layer in known.items()}
    calls = [_call(call, known, made, where) for call in _list(draft["calls"], where)]
    inputs = _tensors(draft["inputs"], made, where)
    for name, _, _ in _places(inputs):
        if known[name].get("class") != "InputLayer":
            raise damaged(f"the inputs of {where}", "input layers", name)
    return {"calls": calls, "inputs": inputs, "outputs": _tensors(draft["outputs"], made, where)}


def _call(draft: Any, known: dict[str, Json], made: dict[str, int], where: str) -> Json:
    if not isinstance(draft, dict):
        raise damaged(where, "records of calls", draft)
    _check_keys(draft, {"layer", "inputs"}, {"training"}, where)
    layer = known.get(draft["layer"]) if isinstance(draft["layer"], str) else None
    if layer is None or layer.get("class") == "InputLayer":
        raise damaged(where, "calls of layers that it has", draft["layer"])
    inputs = _inputs(draft["inputs"], layer, made, f"{where}/{layer['name']}")
    made[layer["name"]] += 1
    if "operation" in layer and made[layer["name"]] > 1:
        raise damaged(where, "operations that are called once", layer["name"])
    training = draft.get("training", False)
    if not isinstance(training, bool):
        raise damaged(f"training of {layer['name']}", "true or false", training)
    call = {"layer": layer["name"], "inputs": inputs}
    return {**call, "training": training} if "training" in draft else call


def _inputs(value: Any, layer: Json, made: dict[str, int], where: str) -> Any:
    if "operation" in layer:
        return _operands(value, OPERATIONS[layer["operation"]], made, where)
    tensors = _tensors(value, made, where)
    if layer.get("class") in ONE_INPUT and "tensor" not in tensors:
        raise damaged(where, "one tensor", "several")
    if layer.get("class") in QUERIED and not _are_few(tensors):
        raise damaged(where, "a query, a value and perhaps a key", "something else")
    return tensors


def _are_few(tensors: Any) -> bool:
    plain = isinstance(tensors, list) and all("tensor" in one for one in tensors)
    return plain and len(tensors) in (2, 3)


def _operands(value: Any, rule: OperationRule, made: dict[str, int], where: str) -> list[Any]:
    operands = _list(value, where)
    if (
        not operands
        or len(operands) > MAX_NODES
        or len(operands) != (rule.operands or len(operands))
    ):
        raise damaged(where, f"{rule.operands or 'one or more'} operands", f"{len(operands)}")
    checked = [_operand(one, made, where) for one in operands]
    if not any(isinstance(one, dict) for one in checked):
        raise damaged(where, "a tensor among the operands", "numbers only")
    return checked


def _operand(value: Any, made: dict[str, int], where: str) -> Any:
    if isinstance(value, dict) and "tensor" in value:
        return _tensors(value, made, where)
    return _option(numbers, value, f"a constant of {where}")


def _tensors(value: Any, made: dict[str, int], where: str) -> Any:
    if isinstance(value, list) and value:
        return [_tensors(one, made, where) for one in value]
    if not isinstance(value, dict) or len(value) != 1:
        raise damaged(where, "tensors of its layers", value)
    if "dict" in value and isinstance(value["dict"], dict) and value["dict"]:
        _check_names(value["dict"], where)
        return {"dict": {key: _tensors(one, made, where) for key, one in value["dict"].items()}}
    place = value.get("tensor")
    if not isinstance(place, list) or len(place) != 3 or not isinstance(place[0], str):
        raise damaged(where, "the place of a tensor", place)
    _check_place(place, made, where)
    return {"tensor": list(place)}


def _check_names(names: Json, where: str) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise damaged(where, "a name of plain letters", name)


def _check_place(place: list[Any], made: dict[str, int], where: str) -> None:
    name, call, index = place
    if type(call) is not int or not 0 <= call < made.get(name, 0):
        raise damaged(where, f"a call of {tidy(name)} that was made before", call)
    if type(index) is not int or not 0 <= index <= _LARGEST_INDEX:
        raise damaged(where, f"an output of {tidy(name)}", index)


def _places(tensors: Any) -> Iterator[list[Any]]:
    if isinstance(tensors, list):
        for one in tensors:
            yield from _places(one)
    elif "tensor" in tensors:
        yield tensors["tensor"]
    else:
        yield from _places(list(tensors["dict"].values()))


def _check_expanded(network: Json, where: str) -> None:
    steps = _steps(network)
    if steps > MAX_NODES:
        raise ModelLoadError(
            f"Expected at most {MAX_NODES} calls of layers. Received {steps} in {tidy(where)}, "
            "those inside nested models counted each time. Use a smaller network."
        )
    inputs = sum(1 for call in network.get("calls", ()) for _ in _sources(call["inputs"]))
    if inputs > 4 * MAX_NODES:
        raise ModelLoadError(
            f"Expected at most {4 * MAX_NODES} inputs of layers. Received {inputs} in "
            f"{tidy(where)}. Use a smaller network."
        )


def _sources(inputs: Any) -> Iterator[Any]:
    # The operands of an operation may be numbers.
    operands = inputs if isinstance(inputs, list) else [inputs]
    for one in operands:
        if isinstance(one, dict):
            yield from _places(one)


def _steps(network: Json) -> int:
    """Calls that building makes: those inside a nested model once to make it, and for each call."""
    making = sum(_steps(one["network"]) for one in network["layers"] if "network" in one)
    return making + _expanded(network)


def _expanded(network: Json) -> int:
    inside = {
        layer["name"]: _expanded(layer["network"]) if "network" in layer else 1
        for layer in network["layers"]
    }
    if network["kind"] == "sequential":
        return sum(inside.values())
    return sum(inside[call["layer"]] for call in network["calls"])
