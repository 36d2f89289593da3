"""Which layers feed which: the network as a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from vizlib.layers import LayerInfo, find_layer

#: Kind of the nodes that stand for what the network takes, as Keras calls them.
INPUT = "InputLayer"


@dataclass(frozen=True)
class LayerNode:
    """One call of one layer, or several in a row that are shown as one.

    Attributes
    ----------
    layers : tuple of LayerInfo
        In the order they run; the last one gives what the node gives.
    fed_by : tuple of str
        Names of the nodes that it takes its numbers from, in the order they run.
    inside : tuple of str
        Nested models and blocks that it is a part of, outermost first.
    """

    layers: tuple[LayerInfo, ...]
    fed_by: tuple[str, ...]
    inside: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the last layer."""
        return self.layers[-1].name

    @property
    def is_input(self) -> bool:
        """Whether it is something that the network takes, and no layer."""
        return self.layers[0].kind == INPUT


@dataclass(frozen=True)
class LayerGraph:
    """Every layer of a network with what feeds it.

    Attributes
    ----------
    nodes : tuple of LayerNode
        The inputs, then the layers in the order they run: what feeds a node comes before it.
    photo : str
        Name of the input that takes the photo.
    diagnosis : str or None
        What is not known, where anything is.
    """

    nodes: tuple[LayerNode, ...]
    photo: str
    diagnosis: str | None = None

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """Names of each two nodes of which the first feeds the second."""
        return tuple((source, node.name) for node in self.nodes for source in node.fed_by)

    def node(self, name: str) -> LayerNode:
        """Find the node that a layer is in, by the layer's path or an unambiguous tail of it.

        Raises
        ------
        UnknownLayerError
            With close matches.
        """
        nodes = {layer.name: node for node in self.nodes for layer in node.layers}
        layers = [layer for node in self.nodes for layer in node.layers]
        return nodes[find_layer(layers, name).name]

    def folded(self) -> LayerGraph:
        """Put normalisation, activation and dropout into one node with the layer before them.

        Only where nothing else takes what that layer gives, so that no edge is lost.
        """
        takers = Counter(source for source, _ in self.edges)
        nodes: list[LayerNode] = []
        places: dict[str, int] = {}
        for node in self.nodes:
            alone = len(node.fed_by) == 1 and takers[node.fed_by[0]] == 1
            place = places[node.fed_by[0]] if alone else len(nodes)
            if alone and _continues(node, nodes[place]):
                # Where the first of them was, which keeps the order.
                nodes[place] = replace(nodes[place], layers=nodes[place].layers + node.layers)
            else:
                place = len(nodes)
                nodes.append(node)
            places[node.name] = place
        return replace(self, nodes=tuple(nodes))


def _continues(node: LayerNode, before: LayerNode) -> bool:
    follows = all(layer.is_follow_up for layer in node.layers)
    return follows and node.inside == before.inside and not before.is_input


def layer_nodes(
    inputs: Sequence[LayerInfo],
    layers: Sequence[LayerInfo],
    *,
    fed_by: Mapping[str, Collection[str]],
    inside: Mapping[str, tuple[str, ...]],
) -> tuple[LayerNode, ...]:
    """Join layers with what is known of each by name.

    A layer that others are inside of, such as a block that adds its branches up, is part of its own
    group.
    """
    order = [info.name for info in (*inputs, *layers)]
    groups = {name for outer in inside.values() for name in outer}
    nodes = [LayerNode((info,), (), ()) for info in inputs]
    for info in layers:
        sources = fed_by.get(info.name, ())
        outer = inside.get(info.name, ())
        own = (info.name,) if info.name in groups else ()
        ordered = tuple(name for name in order if name in sources)
        nodes.append(LayerNode((info,), ordered, outer + own))
    return tuple(nodes)
