"""The architecture in a model file, in any dialect of Keras 1 to 3, as a draft of our own format.

A draft has the shape that `vizlib.vetting` describes, but its values are those of the file. This
module understands; `vetting` decides. Nothing here imports Keras.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vizlib.errors import ModelLoadError
from vizlib.layer_rules import (
    LAYERS,
    NETWORKS,
    OPERATION_CLASSES,
    OPERATIONS,
    QUERIED,
    SAME_AS,
    TENSORFLOW,
    TENSORFLOW_NODES,
    ForeignReference,
    WrongValue,
    activation,
    anything,
    check_dropped_reference,
    only,
    plain,
    words,
)

Record = dict[str, Any]

_SAVE_AGAIN = 'Save the model again with model.save("model.keras") and load that.'
_OTHER_NODES = ("_CONSTANT_VALUE",)
_OPERAND_NAMES = ("x", "x1", "x2", "xs", "images")
# Written by Keras 3 for some operations; they repeat what is known.
_OPERATION_NOTES = ("name", "dtype", "fill_mode", "trainable", "initial")
_TENSORFLOW_TYPES = {"DT_HALF": "float16", "DT_FLOAT": "float32", "DT_DOUBLE": "float64"}
TENSORFLOW_CALLS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")

# Written by some version for every layer, and of no consequence here.
_COMMON = {
    **dict.fromkeys(
        words("""name trainable dtype batch_input_shape input_shape input_dtype dynamic autocast
        activity_regularizer"""),
        anything,
    ),
    "quantization_config": only(None),
    "quantization_mode": only(None),
}


def damaged(where: str, expected: str, received: Any) -> ModelLoadError:
    """The error for something that no version of Keras writes."""
    text = (
        repr(received)
        if isinstance(received, str | int | float | bool | None)
        else (f"a {type(received).__name__}")
    )
    text = text if len(text) <= 80 else text[:77] + "..."
    return ModelLoadError(f"Expected {expected} for {where}. Received {text}. {_SAVE_AGAIN}")


@dataclass(frozen=True)
class _Tensor:
    """Output `index` of call `call` of a layer, by the name that the file gives it."""

    layer: str
    call: int
    index: int


# ------------------------------------------------------------------------------- records of a file


def records(network: Record, where: str) -> list[Record]:
    """The records of the layers of a network, in the order of the file."""
    config = network.get("config")
    layers = config if isinstance(config, list) else _dict(config, where).get("layers")
    if not isinstance(layers, list):
        raise damaged(where, "a list of layers", layers)
    return [_dict(layer, where) for layer in layers]


def written_class(record: Record) -> str:
    """The class of a layer as the file has it."""
    name = record.get("class_name")
    return name if isinstance(name, str) else ""


def class_name(record: Record) -> str:
    """The class of a layer, under its present name."""
    return SAME_AS.get(written_class(record), written_class(record))


def stored_name(record: Record) -> str:
    """The name of a layer as the file has it, or its class."""
    config = record.get("config")
    inner = config.get("name") if isinstance(config, dict) else None
    for name in (record.get("name"), inner):
        if isinstance(name, str) and name:
            return name
    return class_name(record).lower() or "layer"


def is_operation(record: Record) -> bool:
    """Whether a record is one of Keras 3's operations, some of which are named like layers."""
    module = record.get("module")
    if isinstance(module, str):
        return module.startswith(("keras.src.ops", "keras.ops"))
    config = record.get("config")
    named_like = written_class(record) in OPERATION_CLASSES
    return named_like and isinstance(config, dict) and "trainable" not in config


def tidy(name: str) -> str:
    """A name of plain letters, at most 80 of them."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", name[:200])
    return re.sub(r"^[^A-Za-z0-9]+", "", name)[:80] or "layer"


def inner_records(record: Record) -> list[Record]:
    """The records inside another one: a network's layers, or what a wrapper wraps."""
    if class_name(record) in NETWORKS:
        return records(record, tidy(stored_name(record)))
    config = record.get("config")
    inside = config.get("layer") if isinstance(config, dict) else None
    return [inside] if isinstance(inside, dict) else []


def written_by_keras_2(network: Record) -> bool:
    """Whether a version before Keras 3 wrote the architecture, which renamed the input's shape."""
    config = network.get("config")
    if isinstance(config, dict) and "batch_input_shape" in config:
        return True
    return class_name(network) in NETWORKS and any(
        written_by_keras_2(record) for record in inner_records(network)
    )


def _dict(value: Any, where: str) -> Record:
    if not isinstance(value, dict):
        raise damaged(where, "a record", value)
    return value


# ------------------------------------------------------------------------------------ networks


@dataclass(frozen=True)
class _Origin:
    """What has to be known of the whole file to read one of its records."""

    old: bool  # whether a version before Keras 3 wrote it
    shared: dict[int, int]  # the number of a layer that several networks have, by `id` of a record


def convert(network: Record) -> Record:
    """The draft of a whole model."""
    origin = _Origin(written_by_keras_2(network), _shared_layers(network))
    return _network(network, tidy(stored_name(network)), origin)


def _shared_layers(network: Record) -> dict[int, int]:
    """Number the layers of which there are several records.

    Keras notes the identity of an object where it writes it; Keras 3 does so from the second time
    on, so that the first record has to be found by what it says.
    """
    groups: dict[int, list[Record]] = {}
    unmarked: dict[_Essence, list[Record]] = {}
    essences: dict[int, int] = {}
    for record in _layer_records(network):
        config = _essence(record.get("config"), essences)
        essence, identity = (class_name(record), stored_name(record), config), _identity(record)
        if identity is None:
            unmarked.setdefault(essence, []).append(record)
            continue
        if identity not in groups:
            earlier = unmarked.get(essence, [])
            # Of several, nothing tells which one it is.
            groups[identity] = [earlier.pop()] if len(earlier) == 1 else []
        groups[identity].append(record)
    several = [group for group in groups.values() if _is_one(group, essences)]
    return {id(record): number for number, group in enumerate(several) for record in group}


_Essence = tuple[str, str, int]


def _identity(record: Record) -> int | None:
    identity = record.get("shared_object_id")
    return identity if type(identity) is int else None


def _is_one(group: list[Record], essences: dict[int, int]) -> bool:
    kinds = {
        (class_name(record), stored_name(record), _essence(record.get("config"), essences))
        for record in group
    }
    return len(group) > 1 and len(kinds) == 1


def _layer_records(network: Record) -> Iterator[Record]:
    for record in inner_records(network):
        if class_name(record) in NETWORKS:
            yield record
            yield from _layer_records(record)
        elif class_name(record) != "InputLayer" and not _is_call(record):
            yield record


def _essence(value: Any, known: dict[int, int]) -> int:
    """Hash what two records of one layer agree in, each part of a file once."""
    if not isinstance(value, dict | list):
        return hash(repr(value))
    if id(value) not in known:
        parts: list[Any] = (
            [_essence(one, known) for one in value]
            if isinstance(value, list)
            else [
                (key, _essence(one, known))
                for key, one in sorted(value.items())
                if key != "shared_object_id"
            ]
        )
        known[id(value)] = hash((type(value).__name__, *parts))
    return known[id(value)]


def _network(record: Record, where: str, origin: _Origin) -> Record:
    functional = isinstance(record.get("config"), dict) and "output_layers" in record["config"]
    draft = _graph(record, where, origin) if functional else _chain(record, where, origin)
    stored = stored_name(record)
    return {"name": tidy(stored), "stored": stored, **draft}


def _chain(record: Record, where: str, origin: _Origin) -> Record:
    inside = records(record, where)
    names = _names(inside, where, unique=False)
    layers = [
        _layer(layer, name, f"{where}/{name}", origin)
        for layer, name in zip(inside, names, strict=True)
    ]
    if layers and layers[0].get("class") != "InputLayer":
        layers = [*_missing_input(record, inside[0], layers[0]), *layers]
    return {"kind": "sequential", "layers": layers}


def _missing_input(record: Record, first: Record, draft: Record) -> list[Record]:
    # Keras up to 2.2 wrote the shape into the first layer, or nowhere if it is a model itself.
    shape = _config(first).get("batch_input_shape") or _own_input(draft)
    shape = shape or _config(record).get("build_input_shape") or _built(first)
    if not shape:
        return []
    name = f"{draft['name']}_input"[-80:]
    return [{"name": tidy(name), "class": "InputLayer", "options": {"batch_shape": shape}}]


def _config(record: Record) -> Record:
    config = record.get("config")
    return config if isinstance(config, dict) else {}


def _built(record: Record) -> Any:
    built = record.get("build_config")
    return built.get("input_shape") if isinstance(built, dict) else None


def _own_input(draft: Record) -> Any:
    while "network" in draft and draft["network"]["layers"]:
        network = draft["network"]
        inputs = network.get("inputs")
        name = inputs["tensor"][0] if isinstance(inputs, dict) and "tensor" in inputs else None
        if name is None and network["kind"] == "functional":
            return None
        same = [layer for layer in network["layers"] if layer["name"] == name]
        draft = same[0] if same else network["layers"][0]
    return draft["options"].get("batch_shape") if draft.get("class") == "InputLayer" else None


def _names(inside: list[Record], where: str, *, unique: bool) -> list[str]:
    stored = [stored_name(record) for record in inside]
    if unique and len(set(stored)) != len(stored):
        twice = next(name for name in stored if stored.count(name) > 1)
        raise damaged(where, "layers of different names", twice)
    taken: set[str] = set()
    return [_free_name(tidy(name), taken) for name in stored]


def _free_name(name: str, taken: set[str]) -> str:
    found, count = name, 0
    while found in taken:
        count += 1
        found = f"{name[:70]}_{count}"
    taken.add(found)
    return found


# -------------------------------------------------------------------------------------- layers


def _layer(record: Record, name: str, where: str, origin: _Origin) -> Record:
    kind = class_name(record)
    draft: Record = {"name": name, "stored": stored_name(record)}
    if id(record) in origin.shared:
        draft["shared"] = origin.shared[id(record)]
    if kind in NETWORKS:
        return {**draft, "network": _network(record, where, origin)}
    if kind not in LAYERS:
        raise damaged(where, "a layer that is on the list", kind)
    options = _options(kind, _dict(record.get("config", {}), where), where, origin.old)
    return {**draft, "class": kind, "options": options}


def _options(kind: str, config: Record, where: str, old: bool) -> Record:
    rule, options = LAYERS[kind], {}
    dropped = {**_COMMON, **rule.dropped}
    for key, value in config.items():
        known = rule.renamed.get(key, key)
        if known in rule.options:
            options[known] = value
        elif key.endswith(("_initializer", "_regularizer", "_constraint")):
            pass  # checked by `foreign_references`
        else:
            _drop(dropped, key, value, where)
    options["dtype"] = config.get("dtype") or "float32"
    if old and "activation" in options:
        options["activation"] = _old_activation(options["activation"])
    return options


def _drop(dropped: dict[str, Any], key: str, value: Any, where: str) -> None:
    if key not in dropped:
        raise damaged(where, "options that Keras has", key)
    try:
        dropped[key](value)
    except WrongValue as error:
        raise damaged(f"{tidy(key)} of {where}", str(error), value) from error


def _old_activation(value: Any) -> Any:
    # Keras 3 gave the name to another function.
    name = value.get("config") if isinstance(value, dict) else value
    return "keras2_hard_sigmoid" if name == "hard_sigmoid" else value


def foreign_references(config: Record) -> Iterator[tuple[str, str]]:
    """Options of a layer that refer to functions or classes of others, and what they name."""
    for key, value in config.items():
        try:
            if key == "activation":
                activation(value)
            elif key.endswith(("_initializer", "_regularizer", "_constraint")):
                check_dropped_reference(key, value)
        except ForeignReference as error:
            yield key, str(error)
        except WrongValue:
            yield key, "something that is not a name"


# --------------------------------------------------------------------------------------- graphs


@dataclass
class _Graph:
    """A network of the functional kind while it is converted."""

    where: str
    records: dict[str, Record]  # by stored name
    names: dict[str, str]  # stored to tidy
    calls: dict[str, list[Record]]  # by stored name


def _graph(record: Record, where: str, origin: _Origin) -> Record:
    inside = records(record, where)
    names = _names(inside, where, unique=True)
    by_name = {stored_name(one): one for one in inside}
    graph = _Graph(where, by_name, dict(zip(by_name, names, strict=True)), {})
    for stored in by_name:
        graph.calls[stored] = [_call(graph, stored, node) for node in _nodes(graph, stored)]
    ends = {key: _ends(graph, _config(record).get(f"{key}_layers")) for key in ("input", "output")}
    _number_from_zero(graph, ends)
    order = _sorted_calls(graph)
    layers = [draft for stored in by_name for draft in _drafts(graph, stored, origin)]
    return {
        "kind": "functional",
        "layers": layers,
        "calls": [_final_call(graph, stored, k) for stored, k in order],
        "inputs": _final(graph, ends["input"]),
        "outputs": _final(graph, ends["output"]),
    }


def _drafts(graph: _Graph, stored: str, origin: _Origin) -> list[Record]:
    record, name = graph.records[stored], graph.names[stored]
    calls = graph.calls[stored]
    if calls and "operation" in calls[0]:
        return [
            {
                "name": _call_name(graph, stored, k),
                "stored": stored,
                "operation": call["operation"],
                "options": call["options"],
            }
            for k, call in enumerate(calls)
        ]
    if _is_call(record):
        return []
    return [_layer(record, name, f"{graph.where}/{name}", origin)]


def _is_call(record: Record) -> bool:
    return is_operation(record) or written_class(record) in TENSORFLOW_CALLS


def _call_name(graph: _Graph, stored: str, k: int) -> str:
    name = graph.names[stored]
    if k == 0:
        return name
    taken = set(graph.names.values())
    return _free_name(f"{name[:70]}.{k}", taken)


def _nodes(graph: _Graph, stored: str) -> list[Any]:
    nodes = graph.records[stored].get("inbound_nodes", [])
    if not isinstance(nodes, list):
        raise damaged(f"{graph.where}/{graph.names[stored]}", "a list of calls", nodes)
    return nodes


def _ends(graph: _Graph, value: Any) -> Any:
    found = _tensors(graph, value)
    while isinstance(found, list) and len(found) == 1:
        found = found[0]
    return found


def _call(graph: _Graph, stored: str, node: Any) -> Record:
    where = f"{graph.where}/{graph.names[stored]}"
    args, kwargs, modern = _arguments(graph, node, where)
    record = graph.records[stored]
    if is_operation(record):
        call = _operation(record, args, kwargs, where)
    elif written_class(record) in TENSORFLOW_CALLS:
        node = written_class(record) == "TensorFlowOpLayer"
        call = (
            _tensorflow_node(record, args, where)
            if node
            else _tensorflow(record, args, kwargs, where)
        )
    else:
        call = _layer_call(record, args, kwargs, where)
    return {**call, "modern": modern}


def _arguments(graph: _Graph, node: Any, where: str) -> tuple[list[Any], Record, bool]:
    if isinstance(node, dict) and "args" in node:
        args = plain(node["args"])
        if not isinstance(args, list):
            raise damaged(where, "a list of arguments", args)
        kwargs = _dict(node.get("kwargs") or {}, where)
        return (
            [_tensors(graph, one) for one in args],
            {key: _tensors(graph, value) for key, value in kwargs.items()},
            True,
        )
    kwargs = {}
    inputs = _old_tensors(graph, node, kwargs)
    if isinstance(inputs, list) and len(inputs) == 1:
        inputs = inputs[0]
    return [inputs], {key: _tensors(graph, value) for key, value in kwargs.items()}, False


def _old_tensors(graph: _Graph, node: Any, kwargs: Record) -> Any:
    node = plain(node)
    if _is_reference(node):
        if len(node) == 4 and isinstance(node[3], dict):
            kwargs.update(node[3])
        return node[2] if node[0] in _OTHER_NODES else _Tensor(*node[:3])
    if isinstance(node, list):
        return [_old_tensors(graph, one, kwargs) for one in node]
    if isinstance(node, dict):
        return {key: _old_tensors(graph, one, kwargs) for key, one in node.items()}
    raise damaged(graph.where, "calls that name layers", node)


def _is_reference(value: Any) -> bool:
    if not isinstance(value, list) or len(value) not in (3, 4):
        return False
    if not isinstance(value[0], str) or type(value[1]) is not int:
        return False
    return value[0] in _OTHER_NODES or type(value[2]) is int


def _tensors(graph: _Graph, value: Any) -> Any:
    value = plain(value)
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        history = plain(_config(value).get("keras_history"))
        if not _is_reference(history):
            raise damaged(graph.where, "the place of a tensor", history)
        return _Tensor(*history[:3])
    if _is_reference(value):
        return _Tensor(*value[:3])
    if isinstance(value, list):
        return [_tensors(graph, one) for one in value]
    if isinstance(value, dict) and "class_name" not in value:
        return {key: _tensors(graph, one) for key, one in value.items()}
    return value


# ------------------------------------------------------------------------------ kinds of calls


def _layer_call(record: Record, args: list[Any], kwargs: Record, where: str) -> Record:
    kwargs = dict(kwargs)
    if class_name(record) in QUERIED:
        args = [_queried(args, kwargs, where), *args[3:]]
    inputs = args[0] if args else kwargs.pop("inputs", None)
    rest = [value for value in args[1:] if value is not None]
    if len(rest) == 1 and isinstance(rest[0], bool):
        kwargs["training"] = rest[0]
    elif rest:
        raise damaged(where, "a layer that is called on its inputs only", rest[0])
    training = kwargs.pop("training", None)
    for key, value in kwargs.items():
        if not _empty(value):
            raise damaged(f"{tidy(key)} of {where}", "nothing", value)
    if class_name(record) in NETWORKS and isinstance(inputs, list) and len(inputs) == 1:
        inputs = inputs[0]
    call = {"inputs": inputs}
    return call if training is None else {**call, "training": training}


def _queried(args: list[Any], kwargs: Record, where: str) -> list[Any]:
    """Take query, value and key, if there is one, out of a call."""
    names = ("query", "value", "key")
    given = dict(zip(names, args, strict=False))
    given |= {name: kwargs.pop(name) for name in names if name in kwargs}
    for name in ("use_causal_mask", "return_attention_scores"):
        if kwargs.get(name) is False:
            kwargs.pop(name)
    if given.get("query") is None or given.get("value") is None:
        raise damaged(where, "a query and a value", "one of them at most")
    return [given[name] for name in names if given.get(name) is not None]


def _empty(value: Any) -> bool:
    # Keras 3 writes a mask of nothing for each of several inputs.
    if isinstance(value, list | dict):
        return all(_empty(one) for one in (value.values() if isinstance(value, dict) else value))
    return value is None


def _operation(record: Record, args: list[Any], kwargs: Record, where: str) -> Record:
    operation = OPERATION_CLASSES.get(written_class(record), "")
    rule = OPERATIONS.get(operation)
    if rule is None:
        raise damaged(where, "an operation that is on the list", written_class(record))
    given = {**_config(record), **kwargs}
    count = max(1, rule.operands)
    operands, more = args[:count], args[count:]
    operands += [given.pop(name) for name in _OPERAND_NAMES if name in given]
    given.update(zip(rule.options, more, strict=False))
    return _as_call(operation, operands, given, where)


def called_function(record: Record) -> tuple[str, bool]:
    """The function of TensorFlow that a record of Keras 2 calls, and whether it is on the list."""
    config = _config(record)
    if written_class(record) == "TensorFlowOpLayer":
        kind = _node(record).get("op")
        return str(kind), isinstance(kind, str) and kind in TENSORFLOW_NODES
    function = config.get("function")
    return str(function), isinstance(function, str) and function in TENSORFLOW


def _node(record: Record) -> Record:
    """The node of a graph in a `TensorFlowOpLayer`, empty if it cannot be read."""
    node = _config(record).get("node_def")
    if isinstance(node, str):
        try:
            node = json.loads(node)
        except (ValueError, RecursionError):
            return {}
    return node if isinstance(node, dict) else {}


def _tensorflow_node(record: Record, args: list[Any], where: str) -> Record:
    node, rule = _node(record), TENSORFLOW_NODES[called_function(record)[0]]
    inputs = _node_inputs(record, args, where)
    attributes = _dict(node.get("attr") or {}, where)
    for name in rule.required:
        _drop(rule.required, name, _attribute(attributes, name), where)
    places = {place + len(inputs) * (place < 0): name for place, name in rule.inputs.items()}
    options = {name: inputs[place] for place, name in places.items() if place < len(inputs)}
    if any(_references(list(options.values()))):
        raise damaged(where, "constants beside the tensors", "tensors")
    options |= {key: _attribute(attributes, name) for name, key in rule.attributes.items()}
    operands = [one for place, one in enumerate(inputs) if place not in places]
    if rule.operation == "getitem":
        options = {"key": _slices(options, where)}
    return _as_call(rule.operation, operands, {**rule.fixed, **options}, where)


def _node_inputs(record: Record, args: list[Any], where: str) -> list[Any]:
    # The inputs are the tensors of the call, with the constants put in between.
    inputs = list(args[0]) if args and isinstance(args[0], list) else list(args)
    constants = _dict(_config(record).get("constants") or {}, where)
    places = sorted(int(place) for place in constants if re.fullmatch("0|[1-9][0-9]{0,2}", place))
    if len(places) != len(constants):
        raise damaged(where, "constants by their place", "others")
    for place in places:
        inputs.insert(place, constants[str(place)])
    return inputs


def _attribute(attributes: Record, name: str) -> Any:
    """Read an attribute as the JSON of a protocol buffer has it: {"i": "3"}, {"b": true}, ..."""
    value = attributes.get(name)
    if not isinstance(value, dict) or len(value) != 1:
        return None
    kind, found = next(iter(value.items()))
    if kind == "list" and isinstance(found, dict):
        found = found.get("i") or None
        return [_whole(one) for one in found] if isinstance(found, list) else None
    if kind == "s" and isinstance(found, str):
        return {"TkhXQw==": "NHWC"}.get(found, found)  # base64
    if kind == "type":
        return _TENSORFLOW_TYPES.get(str(found), found)
    return _whole(found) if kind == "i" else found


def _whole(value: Any) -> Any:
    # Protocol buffers write whole numbers of 64 bits as texts.
    return int(value) if isinstance(value, str) and re.fullmatch("-?[0-9]{1,18}", value) else value


def _slices(options: Record, where: str) -> list[Any]:
    """Put the slices of a StridedSlice, whose masks have a bit for each, as Python does."""
    ends = [options.get(name) for name in ("begin", "end", "strides")]
    masks = {key: value or 0 for key, value in options.items() if key.endswith("_mask")}
    listed = [one for one in ends if isinstance(one, list)]
    if len(listed) != 3 or len({len(one) for one in listed}) != 1:
        raise damaged(where, "begin, end and strides of equal length", "others")
    if any(type(one) is not int for one in [*masks.values(), *itertools.chain(*listed)]):
        raise damaged(where, "whole numbers for slices", "others")
    return [
        _masked_slice({name: mask >> k & 1 for name, mask in masks.items()}, *one)
        for k, one in enumerate(zip(*listed, strict=True))
    ]


def _masked_slice(masked: dict[str, int], begin: int, end: int, stride: int) -> Any:
    if masked["ellipsis_mask"]:
        return "..."
    if masked["new_axis_mask"]:
        return None
    if masked["shrink_axis_mask"]:
        return begin
    start = None if masked["begin_mask"] else begin
    return {"slice": [start, None if masked["end_mask"] else end, stride]}


def _tensorflow(record: Record, args: list[Any], kwargs: Record, where: str) -> Record:
    function, known = called_function(record)
    if not known:
        raise damaged(where, "an operation that is on the list", function)
    rule = TENSORFLOW[function]
    operands, options = list(args), dict(rule.fixed)
    places = sorted((rule.operands[key], key) for key in kwargs if key in rule.operands)
    operands += [kwargs[key] for _, key in places]
    for key, value in kwargs.items():
        if key in rule.options:
            options[rule.options[key]] = value
        elif key in rule.ignored:
            _drop(rule.ignored, key, value, where)
        elif key not in rule.operands and value is not None and key != "name":
            raise damaged(where, "arguments that are known", key)
    return _as_call(rule.operation, operands, options, where)


def _as_call(operation: str, operands: list[Any], given: Record, where: str) -> Record:
    rule = OPERATIONS[operation]
    if rule.operands == 0 and len(operands) == 1 and isinstance(operands[0], list):
        operands = operands[0]
    given = {key: value for key, value in given.items() if value is not None}
    options = {key: value for key, value in given.items() if key in rule.options}
    unknown = set(given) - set(options) - set(_OPERATION_NOTES)
    if unknown:
        raise damaged(where, "options that are known", min(unknown))
    return {"operation": operation, "inputs": operands, "options": options}


# ---------------------------------------------------------------------------- order and numbers


def _references(value: Any) -> Iterator[_Tensor]:
    if isinstance(value, _Tensor):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _references(one)


def _number_from_zero(graph: _Graph, ends: dict[str, Any]) -> None:
    """Count the calls of nested models from 0, as those of layers are.

    Keras 2 takes the making of a nested model for its call number 0; Keras 3 does so where it names
    the outputs of a network, and only there.
    """
    calls = [call for calls in graph.calls.values() for call in calls]
    modern = any(call["modern"] for call in calls)
    inputs = [] if modern else [call["inputs"] for call in calls]
    shifted = _counted_from_one(graph, [ends["output"], *inputs], modern)
    for call in calls:
        call["inputs"] = _shift(call["inputs"], set() if modern else shifted)
    ends["output"] = _shift(ends["output"], shifted)


def _counted_from_one(graph: _Graph, places: list[Any], modern: bool) -> set[str]:
    seen: dict[str, set[int]] = {}
    for tensor in _references(places):
        if class_name(graph.records.get(tensor.layer, {})) in NETWORKS:
            seen.setdefault(tensor.layer, set()).add(tensor.call)
    return {name for name, numbers in seen.items() if _from_one(graph, name, numbers, modern)}


def _from_one(graph: _Graph, name: str, numbers: set[int], modern: bool) -> bool:
    if modern and written_class(graph.records[name]) != "Sequential":
        return min(numbers) >= 1
    # Every call is used somewhere, or it would not have been saved.
    return min(numbers) == 1 and max(numbers) == len(graph.calls[name])


def _shift(value: Any, shifted: set[str]) -> Any:
    if isinstance(value, _Tensor):
        return _Tensor(value.layer, value.call - (value.layer in shifted), value.index)
    if isinstance(value, list):
        return [_shift(one, shifted) for one in value]
    if isinstance(value, dict):
        return {key: _shift(one, shifted) for key, one in value.items()}
    return value


def _sorted_calls(graph: _Graph) -> list[tuple[str, int]]:
    waiting: dict[tuple[str, int], int] = {}
    followers: dict[tuple[str, int], list[tuple[str, int]]] = {}
    for stored, calls in graph.calls.items():
        for k, call in enumerate(calls):
            before = {_source(graph, tensor) for tensor in _references(call["inputs"])}
            needed = [one for one in before if one is not None]
            waiting[stored, k] = len(needed)
            for one in needed:
                followers.setdefault(one, []).append((stored, k))
    ready = deque(one for one, count in waiting.items() if count == 0)
    order = []
    while ready:
        order.append(ready.popleft())
        for one in followers.get(order[-1], ()):
            waiting[one] -= 1
            if waiting[one] == 0:
                ready.append(one)
    if len(order) != len(waiting):
        stuck = next(stored for (stored, _), count in waiting.items() if count)
        raise damaged(graph.where, "layers that do not feed themselves", graph.names[stuck])
    return order


def _source(graph: _Graph, tensor: _Tensor) -> tuple[str, int] | None:
    calls = graph.calls.get(tensor.layer)
    if calls is None:
        raise damaged(graph.where, "calls on layers of the network", tensor.layer)
    if written_class(graph.records[tensor.layer]) == "InputLayer" and not calls:
        return None
    if not 0 <= tensor.call < len(calls):
        what = f"calls of {graph.names[tensor.layer]} in {graph.where} that exist"
        raise damaged("an input", what, tensor.call)
    return tensor.layer, tensor.call


def _final_call(graph: _Graph, stored: str, k: int) -> Record:
    call = graph.calls[stored][k]
    operation = "operation" in call
    name = _call_name(graph, stored, k) if operation else graph.names[stored]
    inputs = call["inputs"]
    found = {"layer": name, "inputs": _final(graph, inputs)}
    return {**found, "training": call["training"]} if "training" in call else found


def _final(graph: _Graph, value: Any) -> Any:
    if isinstance(value, _Tensor):
        calls = graph.calls.get(value.layer, [])
        if value.layer not in graph.names:
            raise damaged(graph.where, "tensors of layers of the network", value.layer)
        if 0 <= value.call < len(calls) and "operation" in calls[value.call]:
            return {"tensor": [_call_name(graph, value.layer, value.call), 0, value.index]}
        return {"tensor": [graph.names[value.layer], value.call, value.index]}
    if isinstance(value, list):
        return [_final(graph, one) for one in value]
    if isinstance(value, dict):
        return {"dict": {tidy(key): _final(graph, one) for key, one in value.items()}}
    return value
