"""Where to draw each layer of a graph, so that everything flows downwards.

After K. Sugiyama, S. Tagawa, M. Toda, "Methods for Visual Understanding of Hierarchical System
Structures", IEEE Trans. SMC 11(2), 1981: layers stand in ranks by the longest path that leads to
them, edges that pass a rank get a place in it, ranks are ordered by barycentres to avoid crossings,
and places in a rank are those closest to what they are connected with. What is inside a nested
model is laid out by itself and then stands in its frame as one large node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import NamedTuple

from vizlib.graph import LayerGraph
from vizlib.pointing import Box

#: What a frame is inside of and its own name; empty for the whole drawing.
Frame = tuple[str, ...]
Point = tuple[int, int]
_SWEEPS = 12
_LANE = 12  # pixels that an edge takes where it passes a rank
#: How much more a chain is kept straight than its ends are drawn to where they lead: first it finds
#: its place, then it is straightened.
_STRAIGHT = (20.0, 2000.0)


@dataclass(frozen=True)
class Spacing:
    """Sizes in pixels of a drawing at its full size."""

    node: tuple[int, int] = (60, 232)
    rank_gap: int = 34
    node_gap: int = 20
    title: int = 44  # above what is inside a frame
    margin: int = 20  # around it


@dataclass(frozen=True)
class GraphLayout:
    """Places of all parts of a drawing, in pixels from its top left corner.

    Attributes
    ----------
    size : (height, width)
    nodes : dict of str to Box
    frames : dict of tuple of str to Box
        Nested models and blocks, by what they are inside of and their own name.
    routes : dict of (str, str) to tuple of (x, y)
        The corners of each edge, from the lower side of its source to the upper side of its target;
        no corner is higher than the one before.
    """

    size: tuple[int, int]
    nodes: dict[str, Box]
    frames: dict[Frame, Box]
    routes: dict[tuple[str, str], tuple[Point, ...]]


class _Framed(NamedTuple):
    """All that is inside a frame, as one item of what is around it."""

    frame: Frame


class _Port(NamedTuple):
    """Where an edge from one source crosses a frame."""

    source: str
    enters: bool


class _Lane(NamedTuple):
    """A piece of an edge, where it passes a rank."""

    edge: _Edge
    rank: int


_Item = str | _Framed | _Port | _Lane
_Edge = tuple[str | _Framed | _Port, str | _Framed | _Port]
_Size = tuple[int, int]


def graph_layout(graph: LayerGraph, *, spacing: Spacing | None = None) -> GraphLayout:
    """Find places for all layers of a network, its branches and its nested models.

    Parameters
    ----------
    graph : LayerGraph
    spacing : Spacing, optional

    Returns
    -------
    GraphLayout
        The same for the same graph, always. No two nodes overlap, no frame overlaps what is not
        inside it, and every edge leads downwards.
    """
    frames = _Frames(graph, spacing or Spacing())
    size = frames.place(())
    frames.settle(())
    return GraphLayout(
        size=size,
        nodes=frames.nodes,
        frames=frames.frames,
        routes={edge: frames.route(*edge) for edge in graph.edges},
    )


class _Frames:
    """Lays out frames from the inside to the outside, then settles them from the outside in."""

    def __init__(self, graph: LayerGraph, spacing: Spacing) -> None:
        self.nodes: dict[str, Box] = {}
        self.frames: dict[Frame, Box] = {}
        self._graph = graph
        self._spacing = spacing
        self._inside = {node.name: node.inside for node in graph.nodes}
        self._boxes: dict[Frame, dict[_Item, Box]] = {}

    def place(self, frame: Frame) -> _Size:
        """Lay out a frame with all frames inside it; returns its size."""
        sizes: dict[_Item, _Size] = {}
        for name in self._inside:
            item = self._item(name, frame)
            if isinstance(item, str):
                sizes[item] = self._spacing.node
            elif item is not None and item not in sizes:
                sizes[item] = self.place(item.frame)
        edges = list(dict.fromkeys(self._edges(frame)))
        sizes |= {port: (0, _LANE) for edge in edges for port in edge if isinstance(port, _Port)}
        boxes = _ranked(sizes, edges, self._spacing)
        self._boxes[frame] = _framed(boxes, self._spacing) if frame else boxes
        return _extent(self._boxes[frame], 0 if not frame else self._spacing.margin)

    def _item(self, name: str, frame: Frame) -> str | _Framed | None:
        """What a node is in a frame: itself, part of a frame inside it, or not there."""
        inside = self._inside[name]
        if inside[: len(frame)] != frame:
            return None
        return name if inside == frame else _Framed(inside[: len(frame) + 1])

    def _part(self, source: str, target: str, frame: Frame) -> _Edge | None:
        """What an edge of the network is within one frame, if it is anything there."""
        start, end = self._item(source, frame), self._item(target, frame)
        if start == end:
            return None
        return start or _Port(source, enters=True), end or _Port(source, enters=False)

    def _edges(self, frame: Frame) -> Iterable[_Edge]:
        parts = (self._part(*edge, frame) for edge in self._graph.edges)
        return (part for part in parts if part is not None)

    def settle(self, frame: Frame, left: int = 0, top: int = 0) -> None:
        """Turn places within frames into places in the drawing."""
        boxes = {item: _moved(box, left, top) for item, box in self._boxes[frame].items()}
        self._boxes[frame] = boxes
        for item, box in boxes.items():
            if isinstance(item, str):
                self.nodes[item] = box
            elif isinstance(item, _Framed):
                self.frames[item.frame] = box
                self.settle(item.frame, box.left, box.top)

    def route(self, source: str, target: str) -> tuple[Point, ...]:
        """Join what an edge is in all the frames that it passes."""
        start, end = self._inside[source], self._inside[target]
        common = sum(start[:n] == end[:n] for n in range(1, min(len(start), len(end)) + 1))
        outwards = [start[:depth] for depth in range(len(start), common, -1)]
        inwards = [end[:depth] for depth in range(common, len(end) + 1)]
        points = [_foot(self.nodes[source])]
        for frame in [*outwards, *inwards]:
            points += self._corners(source, target, frame)
        return (*points, _top(self.nodes[target]))

    def _corners(self, source: str, target: str, frame: Frame) -> list[Point]:
        edge = self._part(source, target, frame)
        if edge is None:
            return []
        boxes = self._boxes[frame]
        first, last = ([boxes[end]] if isinstance(end, _Port) else [] for end in edge)
        ranks = sorted(i.rank for i in boxes if isinstance(i, _Lane) and i.edge == edge)
        lanes = [boxes[_Lane(edge, rank)] for rank in ranks]
        return [point for box in (*first, *lanes, *last) for point in _ends(box)]


def _foot(box: Box) -> Point:
    return (box.left + box.right) // 2, box.bottom


def _top(box: Box) -> Point:
    return (box.left + box.right) // 2, box.top


def _ends(box: Box) -> list[Point]:
    return [_top(box), _foot(box)] if box.top < box.bottom else [_top(box)]


def _moved(box: Box, left: int, top: int) -> Box:
    return Box(box.left + left, box.top + top, box.right + left, box.bottom + top)


def _extent(boxes: Mapping[_Item, Box], margin: int) -> _Size:
    return (
        max(box.bottom for box in boxes.values()),
        max(box.right for box in boxes.values()) + margin,
    )


def _framed(boxes: Mapping[_Item, Box], spacing: Spacing) -> dict[_Item, Box]:
    """Leave room around what is inside a frame, with the ports on its upper and lower side."""
    inside = [box for item, box in boxes.items() if not isinstance(item, _Port)]
    down = spacing.title - min(box.top for box in inside)
    bottom = max(box.bottom for box in inside) + down + spacing.margin
    found = {}
    for item, box in boxes.items():
        moved = _moved(box, spacing.margin, down)
        if isinstance(item, _Port):
            level = 0 if item.enters else bottom
            moved = Box(moved.left, level, moved.right, level)
        found[item] = moved
    return found


# One frame: ranks, the order in each, and places.


def _ranked(
    sizes: Mapping[_Item, _Size], edges: Sequence[_Edge], spacing: Spacing
) -> dict[_Item, Box]:
    ranks = _ranks(sizes, edges)
    pieces = _pieces(ranks, edges)
    rows: list[list[_Item]] = [[] for _ in range(max(ranks.values()) + 1)]
    for item in dict.fromkeys([*sizes, *(end for piece in pieces for end in piece)]):
        rows[item.rank if isinstance(item, _Lane) else ranks[item]].append(item)
    all_sizes = {i: sizes.get(i, (0, _LANE)) for row in rows for i in row}
    above, below = _neighbours(pieces)
    rows = _uncrossed(rows, above, below)
    middles = _middles(rows, {i: size[1] for i, size in all_sizes.items()}, above, below, spacing)
    return _boxes(rows, all_sizes, middles, spacing)


def _ranks(items: Iterable[_Item], edges: Sequence[_Edge]) -> dict[_Item, int]:
    """Give each item the length of the longest path to it; ports stand first and last."""
    before: dict[_Item, list[_Item]] = {item: [] for item in items}
    for start, end in edges:
        before[end].append(start)
    first = int(any(isinstance(item, _Port) and item.enters for item in before))
    ranks = dict.fromkeys(before, 0)
    # In the order they run, so that what feeds an item has its rank already.
    for item, sources in before.items():
        if not isinstance(item, _Port):
            ranks[item] = max([first, *(ranks[source] + 1 for source in sources)])
    last = max(ranks.values()) + 1
    return ranks | {p: last for p in before if isinstance(p, _Port) and not p.enters}


def _pieces(ranks: Mapping[_Item, int], edges: Sequence[_Edge]) -> list[tuple[_Item, _Item]]:
    """Cut edges where they pass ranks."""
    pieces: list[tuple[_Item, _Item]] = []
    for edge in edges:
        start, end = edge
        lanes = [_Lane(edge, rank) for rank in range(ranks[start] + 1, ranks[end])]
        pieces += pairwise([start, *lanes, end])
    return pieces


_Neighbours = dict[_Item, list[_Item]]


def _neighbours(pieces: Sequence[tuple[_Item, _Item]]) -> tuple[_Neighbours, _Neighbours]:
    above: _Neighbours = {}
    below: _Neighbours = {}
    for start, end in pieces:
        above.setdefault(end, []).append(start)
        below.setdefault(start, []).append(end)
    return above, below


def _uncrossed(
    rows: list[list[_Item]], above: _Neighbours, below: _Neighbours
) -> list[list[_Item]]:
    """Order each row by where its neighbours stand, and keep the best order met."""
    best, fewest = rows, _crossings(rows, below)
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        neighbours = below if sweep % 2 else above
        rows = _sweep(rows, neighbours, upwards=bool(sweep % 2))
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _sweep(rows: list[list[_Item]], neighbours: _Neighbours, *, upwards: bool) -> list[list[_Item]]:
    place: dict[_Item, float] = {}
    found = []
    for row in reversed(rows) if upwards else rows:
        own = {item: float(number) for number, item in enumerate(row)}
        for item in row:
            others = [place[other] for other in neighbours.get(item, ())]
            own[item] = sum(others) / len(others) if others else own[item]
        ordered = sorted(row, key=own.__getitem__)
        place |= {item: float(number) for number, item in enumerate(ordered)}
        found.append(ordered)
    return found[::-1] if upwards else found


def _crossings(rows: list[list[_Item]], below: _Neighbours) -> int:
    place = {item: number for row in rows for number, item in enumerate(row)}
    count = 0
    for row in rows:
        ends = [(place[item], place[end]) for item in row for end in below.get(item, ())]
        count += sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in combinations(ends, 2))
    return count


def _middles(
    rows: list[list[_Item]],
    widths: Mapping[_Item, int],
    above: _Neighbours,
    below: _Neighbours,
    spacing: Spacing,
) -> dict[_Item, float]:
    """Find where each item stands, close to its neighbours; what is alone in a row stands at 0."""
    rooms = [_room(row, widths, spacing) for row in rows]
    middles: dict[_Item, float] = {}
    for row, room in zip(rows, rooms, strict=True):
        middles |= {item: at - room[-1] / 2 for item, at in zip(row, room, strict=True)}
    several = [(row, room) for row, room in zip(rows, rooms, strict=True) if len(row) > 1]
    for straight in _STRAIGHT:
        pulls = _pulls(above, below, straight)
        for sweep in range(2 * _SWEEPS):
            for row, room in several[::-1] if sweep % 2 else several:
                wanted = [_wanted(item, pulls.get(item, []), middles) for item in row]
                middles |= dict(zip(row, _apart(wanted, room), strict=True))
    return middles


def _pulls(
    above: _Neighbours, below: _Neighbours, straight: float
) -> dict[_Item, list[tuple[_Item, float]]]:
    """List what draws each item to its neighbours, and how much."""
    found: dict[_Item, list[tuple[_Item, float]]] = {}
    for start, ends in below.items():
        for end in ends:
            pull = straight if len(ends) == len(above[end]) == 1 else 1.0
            found.setdefault(start, []).append((end, pull))
            found.setdefault(end, []).append((start, pull))
    return found


def _room(row: Sequence[_Item], widths: Mapping[_Item, int], spacing: Spacing) -> list[float]:
    """Where the middles of a row are when it stands as close as it may."""
    room = [0.0]
    for one, other in pairwise(row):
        room.append(room[-1] + (widths[one] + widths[other]) / 2 + spacing.node_gap)
    return room[: len(row)]


def _wanted(
    item: _Item, pulls: Sequence[tuple[_Item, float]], middles: Mapping[_Item, float]
) -> tuple[float, float]:
    """Where an item would best be, and how much that counts."""
    total = sum(pull for _, pull in pulls)
    if not pulls:
        return middles[item], 0.01
    return sum(pull * middles[other] for other, pull in pulls) / total, total


def _apart(wanted: Sequence[tuple[float, float]], room: Sequence[float]) -> list[float]:
    """Stand as close to what is wanted as can be, in least squares, without overlap.

    Isotonic regression by pooling adjacent violators.
    """
    pools: list[list[float]] = []  # place, weight, number of items
    for (place, weight), offset in zip(wanted, room, strict=True):
        pools.append([place - offset, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, m, i), (b, n, j) = pools[-2:]
            pools[-2:] = [[(a * m + b * n) / (m + n), m + n, i + j]]
    places = [place for place, _, count in pools for _ in range(int(count))]
    return [place + offset for place, offset in zip(places, room, strict=True)]


def _boxes(
    rows: list[list[_Item]],
    sizes: Mapping[_Item, _Size],
    middles: Mapping[_Item, float],
    spacing: Spacing,
) -> dict[_Item, Box]:
    edge = min(middles[item] - sizes[item][1] / 2 for row in rows for item in row)
    found, top = {}, 0
    for row in rows:
        height = max(sizes[item][0] for item in row)
        for item in row:
            own, width = sizes[item]
            left = round(middles[item] - width / 2 - edge)
            # An edge that passes goes on to where the row ends.
            bottom = top + (height if isinstance(item, _Lane) else own)
            found[item] = Box(left, top, left + width, bottom)
        top += height + spacing.rank_gap
    return found
