"""Which layers feed which, against edges known by hand and against what Keras has recorded."""

import keras
import nets
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import vizlib
from vizlib import ConvNet, LayerInfo, LayerNode
from vizlib.graph import LayerGraph


def edges(graph) -> set[tuple[str, str]]:
    return set(graph.edges)


def insides(graph) -> dict[str, tuple[str, ...]]:
    return {node.name: node.inside for node in graph.nodes}


def graph_of(output, image, **options) -> LayerGraph:
    return ConvNet(keras.Model(image, output, **options)).graph


CHAIN = {("c1", "pool"), ("pool", "c2"), ("c2", "gap"), ("gap", "out")}
KNOWN = {
    "functional": {("image", "c1"), *CHAIN},
    "sequential": {("photo", "c1"), *CHAIN},
    "channels_first": {("image", "c1"), *CHAIN},
    "subclassed": {("input", "c1"), *CHAIN},
    "subclassed_raw_softmax": {
        *(("input", "c1"), ("c1", "same"), ("same", "same:2"), ("same:2", "out")),
    },
    "shared_layer": {
        ("image", "c1"),
        ("c1", "c2"),
        ("c2", "c2:2"),
        ("c2:2", "gap"),
        ("gap", "out"),
    },
    "nested": {
        *(("image", "backbone/c1"), ("backbone/c1", "backbone/pool")),
        *(("backbone/pool", "backbone/c2"), ("backbone/c2", "gap"), ("gap", "out")),
    },
    "nested_in_sequential": {
        *(("photo", "backbone/c1"), ("backbone/c1", "backbone/pool")),
        *(("backbone/pool", "backbone/c2"), ("backbone/c2", "gap"), ("gap", "out")),
    },
    "doubly_nested": {
        *(("image", "outer/inner/c1"), ("outer/inner/c1", "outer/inner/pool")),
        *(("outer/inner/pool", "outer/inner/c2"), ("outer/inner/c2", "outer/c3")),
        *(("outer/c3", "gap"), ("gap", "out")),
    },
    "two_inputs": {
        *(("image", "c1"), ("c1", "pool"), ("pool", "c2"), ("c2", "gap")),
        *(("gap", "join"), ("vector", "join"), ("join", "out")),
    },
    "dict_inputs": {
        *(("photo", "c1"), ("c1", "pool"), ("pool", "c2"), ("c2", "gap")),
        *(("gap", "join"), ("extra", "join"), ("join", "out")),
    },
    "two_outputs": {
        *(("image", "c1"), *CHAIN, ("c2", "box_gap"), ("box_gap", "box")),
    },
    "batch_normalized": {
        *(("image", "c1"), ("c1", "bn"), ("bn", "relu"), ("relu", "c2"), ("c2", "gap")),
        ("gap", "out"),
    },
}


@pytest.mark.parametrize("kind", KNOWN)
def test_the_edges_of_tiny_networks(kind):
    graph = nets.open_net(kind).graph
    assert edges(graph) == KNOWN[kind]
    assert graph.diagnosis is None


@pytest.mark.parametrize("kind", nets.KINDS)
def test_every_layer_of_every_kind_is_in_the_order_it_runs(kind):
    convnet = nets.open_net(kind)
    graph = convnet.graph
    names = [node.name for node in graph.nodes]
    inputs = [node for node in graph.nodes if node.is_input]
    assert names[len(inputs) :] == [layer.name for layer in convnet.all_layers]
    assert graph.photo in names[: len(inputs)]
    assert all(names.index(source) < names.index(target) for source, target in graph.edges)
    assert all(node.fed_by for node in graph.nodes if not node.is_input)


def test_a_residual_branch_is_added():
    image = nets.image_input()
    x = nets.conv(4, "c1")(image)
    y = nets.conv(4, "c3")(nets.conv(4, "c2")(x))
    graph = graph_of(layers.Add(name="add")([x, y]), image)
    assert edges(graph) == {
        *(("image", "c1"), ("c1", "c2"), ("c2", "c3"), ("c1", "add"), ("c3", "add")),
    }
    assert graph.node("add").fed_by == ("c1", "c3")


def test_branches_are_concatenated():
    image = nets.image_input()
    branches = [nets.conv(2, name)(image) for name in ("a", "b", "c")]
    graph = graph_of(layers.Concatenate(name="all")(branches[::-1]), image)
    # In the order they run, which Keras begins with what is asked for first.
    assert graph.node("all").fed_by == ("c", "b", "a")
    assert [node.name for node in graph.nodes] == ["image", "c", "b", "a", "all"]
    assert all(graph.node(name).fed_by == ("image",) for name in "abc")


def test_a_sum_with_itself_is_one_edge():
    image = nets.image_input()
    x = nets.conv(4, "c1")(image)
    assert graph_of(layers.Add(name="twice")([x, x]), image).node("twice").fed_by == ("c1",)


def test_a_layer_that_hands_its_input_on_stands_between_those_behind_it_only():
    """Dropout gives back the very tensor it takes, which another layer takes, too."""
    image = nets.image_input()
    x = nets.conv(4, "c1")(image)
    after = nets.conv(4, "after")(layers.Dropout(0.5, name="drop")(x))
    beside = nets.conv(4, "beside")(x)
    graph = graph_of(layers.Add(name="add")([after, beside]), image)
    assert graph.node("after").fed_by == ("drop",)
    assert graph.node("beside").fed_by == ("c1",)


def test_a_backbone_run_twice_is_two_groups():
    backbone = nets.backbone()
    left, right = nets.image_input(), keras.Input((nets.SIDE, nets.SIDE, 3), name="other")
    joined = layers.Concatenate(name="join")([backbone(left), backbone(right)])
    graph = graph_of(joined, [left, right])
    assert graph.node("join").fed_by == ("backbone/c2", "backbone/c2:2")
    assert graph.node("backbone/c1").fed_by == ("image",)
    assert graph.node("backbone/c1:2").fed_by == ("other",)
    assert insides(graph)["backbone/pool"] == ("backbone",)
    assert insides(graph)["backbone/pool:2"] == ("backbone:2",)
    assert graph.photo == "image"


def test_nested_models_are_groups_inside_groups():
    found = insides(nets.open_net("doubly_nested").graph)
    assert found["outer/inner/pool"] == ("outer", "outer/inner")
    assert found["outer/c3"] == ("outer",)
    assert found["gap"] == found["image"] == ()


class Block(layers.Layer):
    """Adds its input to its branch and cuts off what is negative, in ways Keras does not record."""

    def __init__(self, **options):
        super().__init__(**options)
        self.branch = nets.conv(4, "branch")

    def call(self, x, *, weight=None):
        y = x + self.branch(x)
        return tf.nn.relu(y if weight is None else y * weight)


class Blocks(keras.Model):
    """A model of which Keras records nothing, with operations between its layers."""

    def __init__(self):
        super().__init__(name="blocks")
        self.c1, self.gate, self.block = nets.conv(4, "c1"), nets.conv(4, "gate"), Block(name="b")

    def call(self, x):
        x = tf.sqrt(tf.nn.relu(self.c1(x)) + 1)
        return self.block(x, weight=self.gate(x))


def test_operations_between_layers_are_seen_through():
    model = Blocks()
    model(np.zeros((1, nets.SIDE, nets.SIDE, 3), "float32"))
    graph = ConvNet(model).graph
    assert graph.node("gate").fed_by == ("c1",)
    assert graph.node("b/branch").fed_by == ("c1",)
    assert graph.node("b").fed_by == ("c1", "gate", "b/branch")
    assert graph.node("b").inside == graph.node("b/branch").inside == ("b",)


def test_the_size_of_maps_is_no_connection():
    class LikeIt(layers.Layer):
        def call(self, inputs):
            x, like = inputs
            return tf.image.resize(x, tf.shape(like)[1:3])

    image = nets.image_input()
    x = nets.conv(4, "c1")(image)
    like = nets.conv(4, "like", strides=2)(image)
    assert graph_of(LikeIt(name="up")([x, like]), image).node("up").fed_by == ("c1",)


class OneByOne(layers.Layer):
    """Runs a convolution on two copies of its input, in a loop of TensorFlow's."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inner = nets.conv(4, "inner")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        copies = tf.concat([x, x], axis=0)
        return tf.map_fn(lambda one: self.inner(one[None])[0], copies)[:1]


def test_what_runs_in_a_loop_is_told():
    image = nets.image_input()
    x = OneByOne(name="loop")(nets.conv(4, "c1")(image))
    graph = graph_of(nets.conv(4, "c2")(x), image)
    # Run step by step, the loop calls its layer twice; traced, once for all rounds.
    assert "1 of the layers" in graph.diagnosis
    assert "loop/inner:2" in graph.diagnosis
    assert graph.node("loop/inner:2").fed_by == ()
    assert graph.node("loop/inner").fed_by == graph.node("loop").fed_by == ("c1",)
    assert graph.node("c2").fed_by == ("loop",)


def test_a_network_that_cannot_be_traced_says_so():
    class OnlyNow(layers.Layer):
        def call(self, x):
            return tf.constant(x.numpy()) if tf.executing_eagerly() else x.numpy()

        def compute_output_shape(self, shape):
            return shape

    model = keras.Sequential([nets.conv(4, "c1"), OnlyNow(name="now"), nets.conv(4, "c2")])
    model(np.zeros((1, nets.SIDE, nets.SIDE, 3), "float32"))
    graph = ConvNet(model).graph
    assert "cannot trace" in graph.diagnosis
    assert [node.name for node in graph.nodes if not node.is_input] == ["c1", "now", "c2"]


def test_names_of_inputs_are_never_those_of_layers():
    image = keras.Input((nets.SIDE, nets.SIDE, 3), name="same")
    vector = keras.Input((4,), name="photo")
    x = layers.GlobalAveragePooling2D(name="gap")(nets.body(image))
    model = keras.Model([image, vector], layers.Concatenate(name="join")([x, vector]))
    nets.inner(model, "c1").name = "same"
    graph = ConvNet(model).graph
    assert graph.photo == "same (input)"
    assert graph.node("same").fed_by == ("same (input)",)


def recorded(model) -> set[tuple[str, str]]:
    """The edges of a flat functional model, as its configuration has them."""
    found = set()
    for layer in model.get_config()["layers"]:
        for node in layer["inbound_nodes"]:
            for tensor in keras.tree.flatten(
                keras.tree.traverse(
                    lambda x: (
                        x["config"]["keras_history"][0]
                        if isinstance(x, dict) and x.get("class_name") == "__keras_tensor__"
                        else None
                    ),
                    node["args"],
                )
            ):
                if isinstance(tensor, str):
                    found.add((tensor, layer["name"]))
    return found


@pytest.mark.parametrize("name", ["squeezenet", "mobilenet-bundled"])
def test_a_published_network_is_as_keras_has_recorded_it(name):
    convnet = vizlib.load_convnet(name)
    photo = next(layer.name for layer in convnet.model.layers if "input" in layer.name)
    found = {(source, target) for source, target in convnet.graph.edges}
    expected = {
        (convnet.graph.photo if source == photo else source, target)
        for source, target in recorded(convnet.model)
    }
    assert found == expected
    assert len(found) >= len(convnet.all_layers)


# Folding.


def test_normalisation_and_activation_are_folded_into_their_convolution():
    graph = nets.open_net("batch_normalized").graph
    folded = graph.folded()
    names = [[layer.name for layer in node.layers] for node in folded.nodes]
    assert names == [["image"], ["c1", "bn", "relu"], ["c2"], ["gap"], ["out"]]
    assert [node.fed_by for node in folded.nodes] == [(), ("image",), ("relu",), ("c2",), ("gap",)]
    assert folded.node("bn") is folded.node("c1") is folded.node("relu")
    assert len(graph.nodes) == 7


def chain(*layers_of: tuple[str, str, tuple[str, ...]], inside: tuple[str, ...] = ()):
    nodes = [
        LayerNode((LayerInfo(name, kind, (4, 4, 2)),), fed_by, inside)
        for name, kind, fed_by in layers_of
    ]
    return LayerGraph(
        (LayerNode((LayerInfo("image", "InputLayer", (4, 4, 3)),), (), ()), *nodes), "image"
    )


def folded_names(graph) -> list[str]:
    return ["+".join(layer.name for layer in node.layers) for node in graph.folded().nodes[1:]]


def test_what_others_take_too_is_not_folded():
    graph = chain(
        ("c", "Conv2D", ("image",)),
        ("bn", "BatchNormalization", ("c",)),
        ("relu", "ReLU", ("bn",)),
        ("add", "Add", ("c", "relu")),
        ("last", "Activation", ("add",)),
    )
    assert folded_names(graph) == ["c", "bn+relu", "add+last"]
    assert set(graph.folded().edges) == {
        *(("image", "c"), ("c", "relu"), ("c", "last"), ("relu", "last")),
    }


def test_the_input_takes_nothing_in_and_pooling_is_never_folded():
    graph = chain(("bn", "BatchNormalization", ("image",)), ("pool", "MaxPooling2D", ("bn",)))
    assert folded_names(graph) == ["bn", "pool"]


def test_nothing_is_folded_across_the_edge_of_a_group():
    inner = chain(("c", "Conv2D", ("image",)), inside=("backbone",)).nodes[1]
    relu = LayerNode((LayerInfo("relu", "ReLU", (4, 4, 2)),), ("c",), ())
    graph = LayerGraph((chain().nodes[0], inner, relu), "image")
    assert folded_names(graph) == ["c", "relu"]


def test_folding_keeps_every_layer_and_the_order():
    graph = vizlib.load_convnet("mobilenet-bundled").graph
    folded = graph.folded()
    assert sorted(layer.name for node in folded.nodes for layer in node.layers) == sorted(
        node.name for node in graph.nodes
    )
    names = [node.name for node in folded.nodes]
    assert all(names.index(source) < names.index(target) for source, target in folded.edges)
    assert len(folded.nodes) < len(graph.nodes) / 2


def test_a_node_is_found_by_the_tail_of_its_path_and_nonsense_is_told():
    graph = nets.open_net("nested").graph
    assert graph.node("pool") is graph.node("backbone/pool")
    with pytest.raises(vizlib.UnknownLayerError, match=r"poool.*backbone/pool"):
        graph.node("poool")


# What each layer's strongest channel gives.


@pytest.mark.parametrize("kind", ["functional", "nested", "shared_layer", "channels_first"])
def test_the_strongest_channel_is_that_of_the_activations(kind, photo):
    convnet = nets.open_net(kind)
    found = vizlib.strongest_channels(convnet, photo)
    maps = vizlib.activations(convnet, photo)
    assert list(found) == list(maps)
    for name, one in found.items():
        strength = np.abs(maps[name].astype("float64")).mean(axis=(0, 1))
        assert one.channel == strength.argmax()
        np.testing.assert_allclose(one.strength, strength.max(), rtol=1e-5)
        np.testing.assert_array_equal(one.map, maps[name][..., one.channel])
        assert one.signed == (maps[name].min() < 0)


def test_negative_activations_count_as_strong(photo):
    convnet = nets.open_net("batch_normalized")
    maps = convnet.maps(photo, ["bn"])["bn"]
    found = vizlib.strongest_channels(convnet, photo, "bn")
    assert list(found) == ["bn"]
    assert found["bn"].signed
    assert found["bn"].channel == vizlib.channel_strength(maps).argmax()


def test_one_layer_is_kept_at_a_time(photo):
    convnet = nets.open_net("functional")
    runs = []
    found = convnet.read_maps(
        photo, ["c2", "c1"], lambda maps: runs.append(maps.shape) or maps.sum()
    )
    assert runs == [(16, 16, 4), (8, 8, 6)]
    assert found == {name: maps.sum() for name, maps in convnet.maps(photo, ["c1", "c2"]).items()}
