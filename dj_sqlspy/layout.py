"""Layout: where the boxes of a diagram go, so that every edge leads down.

In: sizes of boxes, and edges between them. Out: a place for each box and the points that each edge runs through.
The steps are those of Sugiyama, Tagawa and Toda (1981): layers, an order within each layer with few crossings,
and positions that keep to the order. It draws nothing and knows nothing of tables.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import networkx as nx

GAP = 18.0  # between boxes of a layer
LAYER_GAP = 46.0
LANE = 7.0  # the width of an edge that passes through a layer
SWEEPS = 12

Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """Where everything is; x to the right, y down.

    Attributes
    ----------
    places : list of (float, float)
        The upper left corner of each box.
    routes : dict of (int, int) to list of (float, float)
        For each edge the points that it runs through, its upper end first.
    width, height : float
    """

    places: list[Point]
    routes: dict[tuple[int, int], list[Point]]
    width: float
    height: float


@dataclass
class _Item:
    """A box, or the place where an edge passes through a layer."""

    width: float
    height: float
    box: int | None = None
    up: list[int] = field(default_factory=list)
    down: list[int] = field(default_factory=list)
    x: float = 0.0  # of the centre
    y: float = 0.0  # of the upper side


def lay_out(
    sizes: Sequence[tuple[float, float]], edges: Iterable[tuple[int, int]], width: float = 1200.0
) -> Layout:
    """Place boxes in layers.

    Parameters
    ----------
    sizes : sequence of (width, height)
    edges : iterable of (upper box, lower box)
        May hold cycles: some edges of one then lead up.
    width : float
        That a layer should not exceed; one with more is split.

    >>> layout = lay_out([(10, 5), (10, 5)], [(0, 1)])
    >>> layout.places[0][1] < layout.places[1][1]
    True
    """
    pairs = sorted({(a, b) for a, b in edges if a != b})
    graph = _acyclic(len(sizes), pairs)
    layers = _layers(graph, sizes, width)
    layer_of = {box: number for number, layer in enumerate(layers) for box in layer}
    items = [_Item(w, h, box) for box, (w, h) in enumerate(sizes)]
    rows: list[list[int]] = [list(layer) for layer in layers]
    chains: dict[tuple[int, int], list[int]] = {}
    for upper, lower in graph.edges:
        chain = [upper]
        for number in range(layer_of[upper] + 1, layer_of[lower]):
            items.append(_Item(LANE, 0.0))
            rows[number].append(len(items) - 1)
            chain.append(len(items) - 1)
        chain.append(lower)
        chains[upper, lower] = chain
        for one, other in itertools.pairwise(chain):
            items[one].down.append(other)
            items[other].up.append(one)
    rows = _ordered(rows, items)
    _position(rows, items)
    return _finished(rows, items, chains, pairs, len(sizes))


def _acyclic(count: int, pairs: Sequence[tuple[int, int]]) -> nx.DiGraph:
    """The graph with those edges turned round that close a cycle."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from(pairs)
    position: dict[int, int] = {}
    for component in nx.topological_sort(condensed := nx.condensation(graph)):
        for box in sorted(condensed.nodes[component]["members"]):
            position[box] = len(position)
    straight = nx.DiGraph()
    straight.add_nodes_from(range(count))
    straight.add_edges_from((a, b) if position[a] < position[b] else (b, a) for a, b in pairs)
    return straight


def _layers(graph: nx.DiGraph, sizes: Sequence[tuple[float, float]], width: float) -> list[list[int]]:
    """Boxes by layer: each below all that lead to it, and not far above what it leads to."""
    depth: dict[int, int] = {}
    order = list(nx.lexicographical_topological_sort(graph))
    for box in order:
        depth[box] = max((depth[upper] + 1 for upper in graph.predecessors(box)), default=0)
    for box in reversed(order):
        below = [depth[lower] for lower in graph.successors(box)]
        if below and graph.out_degree(box) > graph.in_degree(box):
            depth[box] = max(depth[box], min(below) - 1)
    alone = [box for box in order if graph.degree(box) == 0]
    layers: list[list[int]] = []
    for number in range(max(depth.values(), default=-1) + 1):
        layer = [box for box in order if depth[box] == number and box not in alone]
        # what leads nowhere stands above, near to what leads to it
        layers += _split(sorted(layer, key=lambda box: graph.out_degree(box) > 0), sizes, width)
    return layers + _split(alone, sizes, width)


def _split(layer: Sequence[int], sizes: Sequence[tuple[float, float]], width: float) -> list[list[int]]:
    """A layer as one or more layers of about the same width, none wider than allowed if a box is not."""
    total = sum(sizes[box][0] + GAP for box in layer)
    count = max(1, int(-(-total // width)))
    out: list[list[int]] = []
    filled = total  # so that the first box opens a layer
    for box in layer:
        wide = sizes[box][0] + GAP
        if filled + wide / 2 > total / count or filled + wide > width:
            out.append([])
            filled = 0.0
        out[-1].append(box)
        filled += wide
    return out


def _ordered(rows: list[list[int]], items: Sequence[_Item]) -> list[list[int]]:
    """Orders within the rows with few crossings: barycentres, downwards and upwards in turn."""
    best, fewest = [list(row) for row in rows], _crossings(rows, items)
    for sweep in range(SWEEPS):
        position = {item: i for row in rows for i, item in enumerate(row)}
        for row in rows if sweep % 2 == 0 else rows[::-1]:

            def key(item: int, down: bool = sweep % 2 == 0) -> float:
                near = items[item].up if down else items[item].down
                return sum(position[n] for n in near) / len(near) if near else position[item]  # noqa: B023

            row.sort(key=key)
            position.update({item: i for i, item in enumerate(row)})
        crossings = _crossings(rows, items)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _crossings(rows: Sequence[Sequence[int]], items: Sequence[_Item]) -> int:
    count = 0
    for upper, lower in itertools.pairwise(rows):
        position = {item: i for i, item in enumerate(lower)}
        ends: list[int] = []
        for item in upper:
            ends += sorted(position[n] for n in items[item].down if n in position)
        # inversions, counted with a Fenwick tree
        tree = [0] * (len(lower) + 1)
        for seen, end in enumerate(ends):
            i, smaller = end + 1, 0
            while i:
                smaller += tree[i]
                i &= i - 1
            count += seen - smaller
            i = end + 1
            while i < len(tree):
                tree[i] += 1
                i += i & -i
    return count


def _position(rows: Sequence[Sequence[int]], items: Sequence[_Item]) -> None:
    """Centres of all items: near to those of their neighbours, in the order of the row, not overlapping."""
    for row in rows:
        x = 0.0
        for item in row:
            items[item].x = x + items[item].width / 2
            x += items[item].width + GAP
        for item in row:
            items[item].x -= x / 2
    for sweep in range(2 * SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted, weights = [], []
            for item in row:
                near = items[item].up + items[item].down
                if sweep < SWEEPS:
                    near = (items[item].up if sweep % 2 == 0 else items[item].down) or near
                wanted.append(sum(items[n].x for n in near) / len(near) if near else items[item].x)
                # a straight edge matters more than a box that is not quite in the middle
                weights.append(4.0 if items[item].box is None else 1.0)
            apart = [_apart(items[a], items[b]) for a, b in itertools.pairwise(row)]
            for item, x in zip(row, _spaced(wanted, apart, weights), strict=True):
                items[item].x = x


def _apart(one: _Item, other: _Item) -> float:
    """How far apart the centres of neighbours have to be."""
    boxes = (one.box is not None) + (other.box is not None)
    return (one.width + other.width) / 2 + (2.0, 9.0, GAP)[boxes]


def _spaced(wanted: Sequence[float], apart: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Positions nearest to those wanted (least squares) that keep the order and the distances.

    With the distances taken off this is isotonic regression, solved by pooling adjacent violators.

    >>> _spaced([0.0, 0.0], [10.0], [1.0, 1.0])
    [-5.0, 5.0]
    """
    offsets = [0.0]
    for distance in apart:
        offsets.append(offsets[-1] + distance)
    blocks: list[tuple[float, float, int]] = []  # mean, weight, members
    for want, offset, weight in zip(wanted, offsets, weights, strict=False):
        mean, members = want - offset, 1
        while blocks and blocks[-1][0] >= mean:
            other, heavy, count = blocks.pop()
            mean = (mean * weight + other * heavy) / (weight + heavy)
            weight, members = weight + heavy, members + count
        blocks.append((mean, weight, members))
    means = [mean for mean, _, members in blocks for _ in range(members)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]


def _finished(
    rows: Sequence[Sequence[int]],
    items: Sequence[_Item],
    chains: Mapping[tuple[int, int], Sequence[int]],
    pairs: Sequence[tuple[int, int]],
    boxes: int,
) -> Layout:
    left = min((item.x - item.width / 2 for item in items), default=0.0)
    right = max((item.x + item.width / 2 for item in items), default=0.0)
    y = 0.0
    for row in rows:
        height = max((items[item].height for item in row), default=0.0)
        for item in row:
            items[item].y = y
            if items[item].box is None:
                items[item].height = height
        y += height + LAYER_GAP
    routes = {}
    for a, b in pairs:
        chain = chains.get((a, b)) or chains[b, a]
        first, *between, last = (items[item] for item in chain)
        points = [(first.x - left, first.y + first.height)]
        for lane in between:
            points += [(lane.x - left, lane.y), (lane.x - left, lane.y + lane.height)]
        points.append((last.x - left, last.y))
        routes[a, b] = points
    places = [(items[box].x - items[box].width / 2 - left, items[box].y) for box in range(boxes)]
    return Layout(places, routes, right - left, max(0.0, y - LAYER_GAP))
