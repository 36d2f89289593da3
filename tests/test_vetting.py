"""Nothing but what is on the lists comes out of `vet`, whatever goes in."""

import copy
import json
import random
import time
from pathlib import Path

import pytest

from tests.honest_models.reader import read
from vizlib.budgets import MAX_LAYERS, MAX_NESTING, MAX_NODES
from vizlib.errors import ModelLoadError, UnsafeModelError
from vizlib.layer_rules import ACTIVATIONS, LAYERS, OPERATIONS
from vizlib.vetting import FORMAT, vet

FOLDER = Path(__file__).parent / "honest_models"
HONEST = sorted(path for path in FOLDER.iterdir() if path.suffix in (".h5", ".keras"))


def layer(kind, name, inbound=None, **config):
    record = {"class_name": kind, "name": name, "config": {"name": name, **config}}
    return record if inbound is None else {**record, "inbound_nodes": inbound}


def entry(name="photo", shape=(None, 8, 8, 3)):
    return layer("InputLayer", name, [], batch_shape=list(shape), dtype="float32")


def chain(*layers, name="net"):
    return {"class_name": "Sequential", "config": {"name": name, "layers": [entry(), *layers]}}


def graph(*layers, output, name="net"):
    config = {"name": name, "layers": [entry(), *layers]}
    config |= {"input_layers": [["photo", 0, 0]], "output_layers": [[output, 0, 0]]}
    return {"class_name": "Functional", "config": config, "name": name}


def conv(name="conv", **options):
    return layer("Conv2D", name, **{"filters": 2, "kernel_size": [3, 3], **options})


def on(name, node=0):
    return [[[name, node, 0, {}]]]


# ------------------------------------------------------------------------------------ honest files


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.name)
def test_what_comes_out_goes_through_unchanged(path):
    architecture = vet(read(path).config)
    assert architecture["format"] == FORMAT
    assert vet(json.loads(json.dumps(architecture))) == architecture
    assert_on_the_lists(architecture)


def assert_on_the_lists(network):
    for one in network["layers"]:
        if "network" in one:
            assert_on_the_lists(one["network"])
        elif "class" in one:
            assert one["class"] in LAYERS
            assert set(one["options"]) <= {*LAYERS[one["class"]].options, "dtype"}
            found = one["options"].get("activation", "linear")
            assert isinstance(found, dict) or found in ACTIVATIONS
        else:
            assert one["operation"] in OPERATIONS


def test_arithmetic_of_early_tensorflow_2_is_understood():
    node = json.dumps({"name": "truediv", "op": "RealDiv", "attr": {"T": {"type": "DT_FLOAT"}}})
    options = {"node_def": node, "constants": {"1": 255.0}, "trainable": True}
    architecture = vet(graph(layer("TensorFlowOpLayer", "x", on("photo"), **options), output="x"))
    assert architecture["layers"][1]["operation"] == "divide"
    assert architecture["calls"][0]["inputs"] == [{"tensor": ["photo", 0, 0]}, 255.0]


def node(op, constants, *, sources=("photo",), **attributes):
    record = {"name": "x", "op": op, "attr": attributes}
    inbound = [[[name, 0, 0, {}] for name in sources]]
    options = {"node_def": record, "constants": constants, "trainable": True}
    return graph(layer("TensorFlowOpLayer", "x", inbound, **options), output="x")


SLICED = {
    "x[..., ::-1]": ([0, 0], [0, 0], [1, -1], {"ellipsis": 1, "begin": 2, "end": 2}),
    "x[:, 1:-2]": ([0, 1], [0, -2], [1, 1], {"begin": 1, "end": 1}),
    "x[:, 3]": ([0, 3], [0, 4], [1, 1], {"begin": 1, "end": 1, "shrink_axis": 2}),
    "x[:, None]": ([0, 0], [0, 0], [1, 1], {"begin": 1, "end": 1, "new_axis": 2}),
}
KEYS = {
    "x[..., ::-1]": ["...", {"slice": [None, None, -1]}],
    "x[:, 1:-2]": [{"slice": [None, None, 1]}, {"slice": [1, -2, 1]}],
    "x[:, 3]": [{"slice": [None, None, 1]}, 3],
    "x[:, None]": [{"slice": [None, None, 1]}, None],
}


@pytest.mark.parametrize("case", SLICED)
def test_slices_of_early_tensorflow_2_are_understood(case):
    begin, end, strides, masks = SLICED[case]
    attributes = {f"{name}_mask": {"i": str(mask)} for name, mask in masks.items()}
    found = vet(node("StridedSlice", {"1": begin, "2": end, "3": strides}, **attributes))
    assert found["layers"][1]["options"]["key"] == KEYS[case]


HALF_PIXELS = {"half_pixel_centers": {"b": True}, "align_corners": {"b": False}}
OLD_NODES = {
    "a size": (node("ResizeBilinear", {"1": [4, 5]}, **HALF_PIXELS), {"size": [4, 5]}),
    "an axis": (node("Mean", {"1": [1, 2]}, keep_dims={"b": True}), {"axis": [1, 2]}),
    "axes to drop": (node("Squeeze", {}, squeeze_dims={"list": {"i": ["1"]}}), {"axis": [1]}),
    "a slope": (node("LeakyRelu", {}, alpha={"f": 0.25}), {"negative_slope": 0.25}),
    "a type": (node("Cast", {}, DstT={"type": "DT_HALF"}), {"dtype": "float16"}),
    "parts": (node("Split", {"0": -1}, num_split={"i": "3"}), {"indices_or_sections": 3}),
}


@pytest.mark.parametrize("case", OLD_NODES)
def test_options_of_nodes_are_understood(case):
    config, expected = OLD_NODES[case]
    assert expected.items() <= vet(config)["layers"][1]["options"].items()


WRONG_NODES = {
    "another resizing": node("ResizeBilinear", {"1": [4, 5]}, half_pixel_centers={"b": False}),
    "a size that is computed": node("Reshape", {}, sources=("photo", "photo")),
    "no size": node("Reshape", {}),
    "slices of unequal length": node("StridedSlice", {"1": [0], "2": [0, 0], "3": [1, 1]}),
    "slices of halves": node("StridedSlice", {"1": [0.5], "2": [1], "3": [1]}),
    "a mask of text": node("StridedSlice", {"1": [0], "2": [1], "3": [1]}, end_mask={"s": "x"}),
    "a computed slice": node("StridedSlice", {"2": [1], "3": [1]}, sources=("photo", "photo")),
    "a place with zeros": node("Add", {"01": 1.0}),
    "a place far away": node("Add", {"999": 1.0, "998": 1.0}),
    "a type for other data": node("Cast", {}, DstT={"type": "DT_STRING"}),
    "channels in front": node("BiasAdd", {"1": [1.0]}, data_format={"s": "TkNIVw=="}),
}


@pytest.mark.parametrize("case", WRONG_NODES)
def test_nodes_that_say_something_else_are_refused(case):
    with pytest.raises(ModelLoadError, match=r"Expected .* Received") as caught:
        vet(WRONG_NODES[case])
    assert caught.value.__cause__ is None or "for the architecture." not in str(caught.value)


def test_the_batch_axis_is_left_open():
    config = chain(conv())
    config["config"]["layers"][0] = entry(shape=(10**6, 8, 8, 3))
    assert vet(config)["layers"][0]["options"]["batch_shape"] == [None, 8, 8, 3]


def test_names_become_plain_and_different():
    config = chain(conv("a/b"), conv("a_b"), conv("<b>ü" + "x" * 500), conv("../../etc"))
    names = [one["name"] for one in vet(config)["layers"]]
    assert names == ["photo", "a_b", "a_b_1", "b__" + "x" * 77, "etc"]


def test_training_and_compilation_are_not_looked_at():
    config = {**chain(conv()), "compile_config": {"optimizer": object()}, "training_config": 1}
    assert vet(config) == vet(chain(conv()))


# ------------------------------------------------------------------------------------- Keras 1


def old_conv(name="conv", **options):
    found = {"nb_filter": 2, "nb_row": 3, "nb_col": 5, "dim_ordering": "tf", "bias": False}
    return layer("Convolution2D", name, **{**found, "border_mode": "same", **options})


def options_of(record):
    return vet(chain(old_conv("other"), record))["layers"][2]


def test_options_of_keras_1_are_understood():
    found = vet(chain(old_conv(subsample=[2, 1], W_regularizer={"name": "L1L2Regularizer"})))
    assert found["layers"][1] == {
        "name": "conv",
        "stored": "conv",
        "class": "Conv2D",
        "options": {
            "filters": 2,
            "kernel_size": [3, 5],
            "strides": [2, 1],
            "padding": "same",
            "data_format": "channels_last",
            "use_bias": False,
            "dtype": "float32",
        },
    }
    assert options_of(layer("Dropout", "x", p=0.25))["options"]["rate"] == 0.25
    assert options_of(layer("Dense", "x", output_dim=7))["options"]["units"] == 7


@pytest.mark.parametrize(
    ("padding", "edges"),
    [
        ([1, 2], [[1, 1], [2, 2]]),
        ([1, 2, 3, 4], [[1, 2], [3, 4]]),
        ({"top_pad": 1, "right_pad": 4}, [[1, 0], [0, 4]]),
    ],
)
def test_edges_of_keras_1_are_understood(padding, edges):
    options = options_of(layer("ZeroPadding2D", "x", padding=padding))["options"]
    assert options["padding"] == edges
    assert options["data_format"] == "channels_last"  # as the other layers have it


def test_theanos_axes_are_kept():
    config = chain(old_conv(dim_ordering="th"), layer("UpSampling2D", "x", size=[2, 2]))
    for one in vet(config)["layers"][1:]:
        assert one["options"]["data_format"] == "channels_first"


MERGED = {"mode_type": "raw", "concat_axis": 3, "dot_axes": -1, "output_shape": None}
OLD = {
    "two orders of axes": chain(old_conv(), old_conv("other", dim_ordering="th")),
    "an unknown order": chain(old_conv(dim_ordering="default")),
    "an order that nothing tells": chain(
        layer("ZeroPadding2D", "x", padding=[1, 1]), layer("Dense", "d", output_dim=2, init="zero")
    ),
    "statistics of the batch": chain(old_conv(), layer("BatchNormalization", "x", mode=2, axis=-1)),
    "products of maps": chain(old_conv(), layer("Merge", "x", mode="dot", **MERGED)),
    "branches": chain(layer("Merge", "x", mode="sum", layers=[chain(old_conv())], **MERGED)),
    "another dilation": chain(old_conv(atrous_rate=[0, 2])),
    "a record for a padding": chain(
        old_conv(), layer("ZeroPadding2D", "x", padding={"top_pad": [1]})
    ),
    "Conv1D": chain(old_conv(), layer("Convolution1D", "x", nb_filter=3, filter_length=3)),
}


@pytest.mark.parametrize("case", OLD)
def test_what_keras_1_alone_had_is_refused(case):
    with pytest.raises(ModelLoadError, match=r"Expected .* Received|made of layers") as caught:
        vet(OLD[case])
    assert not isinstance(caught.value, UnsafeModelError)


def test_functions_of_files_of_keras_1_are_refused():
    merge = layer("Merge", "x", **{**MERGED, "mode": "4w", "mode_type": "lambda"})
    with pytest.raises(UnsafeModelError, match="Merge at x"):
        vet(chain(old_conv(), merge))
    with pytest.raises(UnsafeModelError, match="mine at conv/kernel_regularizer"):
        vet(chain(old_conv(W_regularizer={"name": "mine"})))


# --------------------------------------------------------- layers that several networks have


def arms(first, *others, **top):
    return chain(*(chain(one, name=f"arm{k}") for k, one in enumerate([first, *others])), **top)


def numbers_in(network):
    for one in network["layers"]:
        if "shared" in one:
            yield one["shared"]
        yield from numbers_in(one["network"]) if "network" in one else ()


def test_a_layer_of_several_networks_is_known_by_its_mark():
    marked = {**conv(), "shared_object_id": 77}
    assert list(numbers_in(vet(arms(conv(), marked, marked)))) == [0, 0, 0]  # as Keras 3 marks it
    assert list(numbers_in(vet(arms(marked, marked)))) == [0, 0]  # as Keras 2 does
    architecture = vet(arms(conv(), marked))
    assert vet(json.loads(json.dumps(architecture))) == architecture


def test_layers_are_not_taken_for_one_that_may_be_two():
    marked = {**conv(), "shared_object_id": 77}
    assert not list(numbers_in(vet(arms(conv(), conv()))))
    assert not list(numbers_in(vet(arms(conv(), conv(), marked))))  # either may be the first
    assert not list(numbers_in(vet(arms(conv(filters=3), marked))))
    assert not list(numbers_in(vet(arms(conv("other"), marked))))


def wrongly_shared():
    other = vet(arms(conv(), {**conv(), "shared_object_id": 7}))
    other["layers"][2]["network"]["layers"][1]["options"]["filters"] = 3
    twice = vet(chain(conv("a"), conv("b")))
    twice["layers"][1]["shared"] = twice["layers"][2]["shared"] = 0
    entry_shared = vet(chain(conv()))
    entry_shared["layers"][0]["shared"] = 0
    number = vet(chain(conv()))
    number["layers"][1]["shared"] = "0"
    return [other, twice, entry_shared, number]


@pytest.mark.parametrize("architecture", wrongly_shared())
def test_what_cannot_be_shared_is_refused(architecture):
    with pytest.raises(ModelLoadError, match=r"Expected .* Received"):
        vet(architecture)


# ------------------------------------------------------------------------------- refused classes


FOREIGN = {
    "Lambda": layer("Lambda", "x", function={"class_name": "__lambda__", "config": {"code": "4w"}}),
    "TFSMLayer": layer("TFSMLayer", "x", filepath="/tmp/model"),
    "TorchModuleWrapper": layer("TorchModuleWrapper", "x", module="gASV"),
    "MyLayer": layer("MyLayer", "x"),
    "StringLookup": layer("StringLookup", "x", vocabulary="/etc/passwd"),
    "TextVectorization": layer("TextVectorization", "x", vocabulary="/etc/passwd"),
    "os.system": {**layer("system", "x"), "module": "os"},
    "mine.Conv2D": {**conv("x"), "module": "mine"},
    "tf.io.read_file": layer("TFOpLambda", "x", function="io.read_file", trainable=True),
    "tf.ReadFile": layer("TensorFlowOpLayer", "x", node_def='{"op": "ReadFile"}'),
    "deserialize": layer("deserialize", "x"),
}
REFERENCES = {
    "my_activation": {"activation": "my_activation"},
    "get_file": {"activation": {"class_name": "function", "config": "get_file", "module": "keras"}},
    "os.system": {"kernel_initializer": {"class_name": "system", "module": "os", "config": {}}},
    "MyNorm": {"kernel_constraint": {"class_name": "MyNorm", "config": {}}},
    "load_model": {"bias_regularizer": "load_model"},
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_classes_are_refused_with_their_place(name):
    with pytest.raises(UnsafeModelError, match="trusted=True") as caught:
        vet(chain(conv(), chain(FOREIGN[name], name="inner")))
    assert f"{name} at inner/x" in str(caught.value)


@pytest.mark.parametrize("name", REFERENCES)
def test_foreign_functions_are_refused_with_their_place(name):
    with pytest.raises(UnsafeModelError) as caught:
        vet(chain(conv("block", **REFERENCES[name])))
    assert f"{name} at block/{next(iter(REFERENCES[name]))}" in str(caught.value)


def test_every_refused_class_is_listed():
    with pytest.raises(UnsafeModelError) as caught:
        vet(chain(*FOREIGN.values()))
    assert all(f"{name} at x" in str(caught.value) for name in FOREIGN)


def test_a_wrapped_class_is_found():
    wrapper = layer("TimeDistributed", "w", layer=FOREIGN["Lambda"])
    with pytest.raises(UnsafeModelError, match="Lambda at w/x"):
        vet(chain(wrapper))


def test_layers_for_other_data_are_named():
    with pytest.raises(ModelLoadError, match="LSTM at words") as caught:
        vet(chain(layer("LSTM", "words", units=3)))
    assert not isinstance(caught.value, UnsafeModelError)


@pytest.mark.parametrize("kind", ["Adam", "MyModel", "deserialize"])
def test_the_top_must_be_a_model(kind):
    with pytest.raises(UnsafeModelError, match=f"{kind} at the top"):
        vet({"class_name": kind, "config": {}})


# ---------------------------------------------------------------------------------- wrong values


WRONG = {
    "a bool for a number": conv(filters=True),
    "a text for a number": conv(filters="2"),
    "a huge number": conv(filters=10**12),
    "a number beyond 64 bits": conv(filters=10**30),
    "zero filters": conv(filters=0),
    "a negative size": conv(kernel_size=[-1, 3]),
    "three sides": conv(kernel_size=[3, 3, 3]),
    "no filters": layer("Conv2D", "c", kernel_size=[3, 3]),
    "not a number": layer("Rescaling", "c", scale=float("nan")),
    "infinity": layer("Rescaling", "c", scale=float("inf")),
    "an unknown option": conv(path="/etc/passwd"),
    "an unknown padding": conv(padding="../"),
    "quantised": conv(quantization_config={"class_name": "x"}),
    "quantised numbers": conv(
        dtype={"class_name": "QuantizedDTypePolicy", "config": {"name": "x"}}
    ),
    "renormalised": layer("BatchNormalization", "c", renorm=True),
    "a wide margin": layer("ZeroPadding2D", "c", padding=50_000),
    "much enlarged": layer("UpSampling2D", "c", size=10_000),
    "uneven lists": layer("Rescaling", "c", scale=[[1], [1, 2]]),
    "a record for a shape": layer("Reshape", "c", target_shape={"a": 1}),
    "no record": 3,
    "a second input": entry("other"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_values_are_refused(case):
    with pytest.raises(ModelLoadError, match=r"Expected .* Received"):
        vet(chain(conv(), WRONG[case]))


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, {"class_name": 3}, {"config": {}}, {3: 4}])
def test_other_json_is_refused(value):
    with pytest.raises(ModelLoadError):
        vet(value)


def test_large_pictures_are_refused():
    config = {"class_name": "Sequential", "config": [entry(shape=(None, 20_000, 8, 3)), conv()]}
    with pytest.raises(ModelLoadError, match="1024"):
        vet(config)


# ---------------------------------------------------------------------------------- wrong graphs


def relu(name, source, node=0):
    return layer("ReLU", name, on(source, node))


GRAPHS = {
    "a cycle": graph(relu("a", "b"), relu("b", "a"), output="b"),
    "itself": graph(relu("a", "a"), output="a"),
    "a missing layer": graph(relu("a", "nothing"), output="a"),
    "a missing call": graph(relu("a", "photo"), relu("b", "a", 4), output="b"),
    "a negative call": graph(relu("a", "photo"), relu("b", "a", -1), output="b"),
    "a missing output": graph(relu("a", "photo"), output="b"),
    "one name twice": graph(relu("a", "photo"), relu("a", "photo"), output="a"),
    "calls of numbers": graph({**relu("a", "photo"), "inbound_nodes": [[3]]}, output="a"),
    "calls without list": graph({**relu("a", "photo"), "inbound_nodes": "x"}, output="a"),
}


def attention(*inputs):
    return layer("MultiHeadAttention", "a", list(inputs), num_heads=2, key_dim=3)


GRAPHS |= {
    "attention to nothing": graph(attention(*on("photo")), output="a"),
    "attention with a key alone": graph(
        attention([["photo", 0, 0, {"key": ["photo", 0, 0]}]]), output="a"
    ),
    "attention that looks back only": graph(
        attention([["photo", 0, 0, {"value": ["photo", 0, 0], "use_causal_mask": True}]]),
        output="a",
    ),
    "attention to two": graph(
        attention([["photo", 0, 0, {"value": [["photo", 0, 0], ["photo", 0, 0]]}]]), output="a"
    ),
    "attention through a mask": graph(
        attention([["photo", 0, 0, {"value": ["photo", 0, 0], "attention_mask": ["photo", 0, 0]}]]),
        output="a",
    ),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_wrong_graphs_are_refused(case):
    with pytest.raises(ModelLoadError):
        vet(GRAPHS[case])


def deep(levels):
    config = chain(conv())
    for k in range(levels):
        config = chain(config, name=f"level{k}")
    return config


def test_depth_is_limited():
    assert vet(deep(MAX_NESTING - 2))
    with pytest.raises(ModelLoadError, match=f"{MAX_NESTING}|deep"):
        vet(deep(MAX_NESTING + 2))
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ModelLoadError, match="levels deep"):
        vet(chain(conv(strides=value)))


def test_the_number_of_layers_is_limited():
    with pytest.raises(ModelLoadError, match=str(MAX_LAYERS)):
        vet(chain(*[layer("ReLU", f"r{k}") for k in range(MAX_LAYERS + 1)]))


def test_the_number_of_calls_is_limited():
    calls = [["photo", 0, 0, {}]], *([["a", k, 0, {}]] for k in range(MAX_NODES))
    config = graph({**relu("a", "photo"), "inbound_nodes": list(calls)}, output="a")
    with pytest.raises(ModelLoadError, match=str(MAX_NODES)):
        vet(config)


def test_calls_of_calls_are_counted():
    config = graph(relu("a", "photo"), output="a")
    for k in range(8):
        calls = [[["photo", 0, 0, {}]], *([["m", k + 1, 0, {}]] for k in range(9))]
        inner = {**config, "name": "m", "inbound_nodes": calls}
        config = graph(inner, output="m", name=f"n{k}")
        config["config"]["output_layers"] = [["m", 10, 0]]
    with pytest.raises(ModelLoadError, match="counted each time"):
        vet(config)


def test_a_chain_told_backwards_is_sorted_quickly():
    names = [f"r{k}" for k in range(2000)]
    layers = [relu(one, before) for before, one in zip(["photo", *names], names, strict=False)]
    start = time.process_time()
    architecture = vet(graph(*reversed(layers), output=names[-1]))
    assert time.process_time() - start < 5
    assert [call["layer"] for call in architecture["calls"]] == names


# ------------------------------------------------------------------------------------- mutations


POOL = [
    *(None, True, False, 0, -1, 1, 3, 10**9, 10**40, 0.5, float("nan"), float("inf")),
    *("", "x", "Lambda", "relu", "os.system", "../../x", "photo", "channels_first"),
    *("Sequential", "Functional", [], {}, [None], [[]], [1, 2, 3], {"a": 1}),
    *({"class_name": "Lambda"}, {"class_name": "Conv2D", "config": {}}),
    {"class_name": "__tuple__", "items": [1, 1]},
]


def places(value, found):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in items:
        found.append((value, key))
        if isinstance(one, dict | list):
            places(one, found)
    return found


def mutated(config, chance):
    config = copy.deepcopy(config)
    for _ in range(chance.randint(1, 3)):
        everywhere = places(config, [])
        holder, key = chance.choice(everywhere)
        other, other_key = chance.choice(everywhere)
        action = chance.randrange(6)
        if action <= 1:
            holder[key] = copy.deepcopy(chance.choice(POOL))
        elif action == 2:
            holder[key] = copy.deepcopy(other[other_key])
        elif action == 3:
            del holder[key]
        elif action == 4 and isinstance(holder, dict):
            holder[chance.choice(["name", "config", "class_name", "dtype", "path"])] = holder.pop(
                key
            )
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
    return config


@pytest.mark.parametrize("vetted", [False, True])
def test_of_mutants_only_what_is_on_the_lists_comes_out(vetted):
    configs = [read(path).config for path in HONEST]
    configs = [vet(config) for config in configs] if vetted else configs
    chance = random.Random(11)
    passed, missed = 0, []
    for number in range(1200):
        try:
            architecture = vet(mutated(configs[number % len(configs)], chance))
        except ModelLoadError as error:
            if "for the architecture. Received" in str(error) and error.__cause__ is not None:
                missed.append(repr(error.__cause__))
            continue
        passed += 1
        assert_on_the_lists(architecture)
        assert vet(json.loads(json.dumps(architecture))) == architecture
    assert not set(missed)  # refused, but not by the check that should have
    assert 50 < passed < 1200
