"""Where layers are drawn: properties of every drawing, and small ones known by hand."""

from itertools import combinations, pairwise

import keras
import nets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import vizlib
from vizlib import ConvNet, LayerInfo, LayerNode, graph_layout
from vizlib.graph import LayerGraph
from vizlib.layout import Spacing

SMALL = Spacing(node=(10, 20), rank_gap=6, node_gap=4, title=8, margin=2)


def graph_of(fed_by: dict[str, str], inside: dict[str, tuple[str, ...]] | None = None):
    """A graph in short: the letters that feed each letter, and what each is inside of."""
    return LayerGraph(
        tuple(
            LayerNode(
                (LayerInfo(name, "Conv2D", (4, 4, 2)),),
                tuple(sources),
                (inside or {}).get(name, ()),
            )
            for name, sources in fed_by.items()
        ),
        next(iter(fed_by)),
    )


def overlap(one, other) -> bool:
    across = one.left < other.right and other.left < one.right
    return across and one.top < other.bottom and other.top < one.bottom


def within(inner, outer) -> bool:
    across = outer.left <= inner.left and inner.right <= outer.right
    return across and outer.top <= inner.top and inner.bottom <= outer.bottom


def assert_drawn_well(graph, layout, spacing):
    height, width = layout.size
    assert set(layout.nodes) == {node.name for node in graph.nodes}
    for box in layout.nodes.values():
        assert (box.bottom - box.top, box.right - box.left) == spacing.node
        assert within(box, type(box)(0, 0, width, height))
    assert not any(overlap(a, b) for a, b in combinations(layout.nodes.values(), 2))
    assert_framed(graph, layout)
    assert set(layout.routes) == set(graph.edges)
    for (source, target), points in layout.routes.items():
        above, below = layout.nodes[source], layout.nodes[target]
        assert points[0] == ((above.left + above.right) // 2, above.bottom)
        assert points[-1] == ((below.left + below.right) // 2, below.top)
        assert above.bottom < below.top
        assert all(one[1] <= other[1] for one, other in pairwise(points))


def assert_framed(graph, layout):
    for frame, box in layout.frames.items():
        for node in graph.nodes:
            own = layout.nodes[node.name]
            is_inside = node.inside[: len(frame)] == frame
            assert within(own, box) if is_inside else not overlap(own, box)
    for one, other in combinations(layout.frames, 2):
        related = one[: len(other)] == other or other[: len(one)] == one
        assert related or not overlap(layout.frames[one], layout.frames[other])


def crossings_of_nodes(layout) -> int:
    """How many pieces of edges that run straight down run over a card."""
    return sum(
        box.left < x < box.right and top < box.bottom and box.top < bottom
        for points in layout.routes.values()
        for (x, top), (other, bottom) in pairwise(points)
        if x == other
        for box in layout.nodes.values()
    )


def test_a_chain_is_one_column():
    layout = graph_layout(graph_of({"a": "", "b": "a", "c": "b"}), spacing=SMALL)
    assert layout.size == (42, 20)
    assert layout.nodes == {"a": (0, 0, 20, 10), "b": (0, 16, 20, 26), "c": (0, 32, 20, 42)}
    assert layout.routes == {("a", "b"): ((10, 10), (10, 16)), ("b", "c"): ((10, 26), (10, 32))}


def test_two_branches_stand_beside_each_other_and_meet_in_the_middle():
    layout = graph_layout(graph_of({"a": "", "b": "a", "c": "a", "d": "bc"}), spacing=SMALL)
    assert layout.size == (42, 44)
    assert layout.nodes == {
        "a": (12, 0, 32, 10),
        "b": (0, 16, 20, 26),
        "c": (24, 16, 44, 26),
        "d": (12, 32, 32, 42),
    }


def test_an_edge_that_passes_a_layer_goes_around_it():
    layout = graph_layout(graph_of({"a": "", "b": "a", "c": "b", "d": "ac"}), spacing=SMALL)
    points = layout.routes["a", "d"]
    lane = points[1][0]
    assert all(lane > layout.nodes[name].right for name in "bc")
    assert [point[1] for point in points] == [10, 16, 26, 32, 42, 48]
    assert {point[0] for point in points[1:-1]} == {lane}


def test_branches_are_ordered_so_that_edges_do_not_cross():
    # Straight across, each of b and c would feed the layer below the other.
    layout = graph_layout(
        graph_of({"a": "", "b": "a", "c": "a", "d": "c", "e": "b", "f": "de"}), spacing=SMALL
    )
    b, c, d, e = (layout.nodes[name].left for name in "bcde")
    assert (b < c) == (e < d)


def test_a_group_is_framed_with_room_for_its_name():
    graph = graph_of({"a": "", "b": "a", "c": "b", "d": "c"}, {"b": ("g",), "c": ("g",)})
    layout = graph_layout(graph, spacing=SMALL)
    frame, b, c = layout.frames["g",], layout.nodes["b"], layout.nodes["c"]
    assert (b.top - frame.top, b.left - frame.left) == (SMALL.title, SMALL.margin)
    assert (frame.bottom - c.bottom, frame.right - c.right) == (SMALL.margin, SMALL.margin)
    assert layout.routes["a", "b"] == ((12, 10), (12, frame.top), (12, b.top))
    assert layout.routes["c", "d"] == ((12, c.bottom), (12, frame.bottom), (12, frame.bottom + 6))


@pytest.mark.parametrize(
    ("option", "changed"),
    [
        ({"node": (12, 30)}, 6 + 12),
        ({"rank_gap": 9}, 2 * 3),
        ({"title": 18}, 10),
        ({"margin": 7}, 5),
        ({"node_gap": 9}, 0),
    ],
)
def test_every_size_is_heeded(option, changed):
    graph = graph_of({"a": "", "b": "a", "c": "a", "d": "bc"}, {"b": ("g",), "c": ("g",)})
    before = graph_layout(graph, spacing=SMALL)
    after = graph_layout(graph, spacing=Spacing(**{**vars(SMALL), **option}))
    assert after.size != before.size
    if "node" not in option:
        assert after.size[0] - before.size[0] == changed


@st.composite
def networks(draw) -> LayerGraph:
    """Networks in which each layer is fed by some before it, and some in a row are in groups."""
    count = draw(st.integers(1, 14))
    names = [f"n{i}" for i in range(count)]
    fed_by = {
        name: tuple(sorted(draw(st.sets(st.sampled_from(names[:i]), max_size=3)))) if i else ()
        for i, name in enumerate(names)
    }
    cuts = sorted(draw(st.lists(st.integers(0, count), min_size=4, max_size=4)))
    inside = dict.fromkeys(names, ())
    for name in names[cuts[0] : cuts[3]]:
        inside[name] = ("outer",)
    for name in names[cuts[1] : cuts[2]]:
        inside[name] = ("outer", "outer/inner")
    return LayerGraph(
        tuple(
            LayerNode((LayerInfo(name, "Conv2D", (4, 4, 2)),), fed_by[name], inside[name])
            for name in names
        ),
        names[0],
    )


@settings(max_examples=60, deadline=None)
@given(networks())
def test_every_network_is_drawn_downwards_without_overlap(graph):
    layout = graph_layout(graph, spacing=SMALL)
    assert_drawn_well(graph, layout, SMALL)
    assert graph_layout(graph, spacing=SMALL) == layout


@pytest.mark.parametrize("kind", ["nested", "doubly_nested", "two_inputs", "two_outputs"])
def test_tiny_networks_are_drawn_well(kind):
    graph = nets.open_net(kind).graph
    assert_drawn_well(graph, graph_layout(graph), Spacing())


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("name", ["squeezenet", "mobilenet-bundled"])
def test_published_networks_are_drawn_well(name, folded):
    graph = vizlib.load_convnet(name).graph
    graph = graph.folded() if folded else graph
    layout = graph_layout(graph)
    assert_drawn_well(graph, layout, Spacing())
    assert crossings_of_nodes(layout) == 0
    middle = layout.size[1] // 2
    alone = [n for n in graph.nodes if not any(kind in n.name for kind in ("expand1", "expand3"))]
    for node in alone:
        box = layout.nodes[node.name]
        assert abs((box.left + box.right) // 2 - middle) <= 1


def test_a_residual_network_keeps_its_branches_straight():
    image = nets.image_input()
    x = nets.conv(4, "c0")(image)
    for block in "ab":
        y = x
        for number in range(3):
            y = nets.conv(4, f"{block}{number}")(y)
        x = layers.Add(name=f"{block}_add")([x, y])
    graph = ConvNet(keras.Model(image, x)).graph
    layout = graph_layout(graph)
    assert_drawn_well(graph, layout, Spacing())
    assert crossings_of_nodes(layout) == 0
    for block in "ab":
        lefts = [layout.nodes[f"{block}{number}"].left for number in range(3)]
        assert max(lefts) - min(lefts) <= 1
