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
    """Centres of all items, so that edges that pass through layers are straight (Brandes and Köpf, 2002).

    Four times, towards each of the corners, each item is aligned with the median of its neighbours, and what is
    aligned is packed; the position is the mean of the two middle ones of the four.
    """
    crossing = _conflicts(rows, items)
    found: list[dict[int, float]] = []
    for down in (True, False):
        for left in (True, False):
            turned = [list(row) if left else list(row)[::-1] for row in (rows if down else rows[::-1])]
            near = {i: item.up if down else item.down for i, item in enumerate(items)}
            xs = _packed(turned, items, _aligned(turned, near, crossing))
            found.append(xs if left else {item: -x for item, x in xs.items()})
    widths = [max(xs.values(), default=0.0) - min(xs.values(), default=0.0) for xs in found]
    narrowest = found[widths.index(min(widths))]
    for number, xs in enumerate(found):
        # those packed to the left begin where the narrowest one does, the others end there
        end = min if number % 2 == 0 else max
        shift = end(narrowest.values(), default=0.0) - end(xs.values(), default=0.0)
        found[number] = {item: x + shift for item, x in xs.items()}
    for i, item in enumerate(items):
        item.x = sum(sorted(xs[i] for xs in found)[1:3]) / 2


def _conflicts(rows: Sequence[Sequence[int]], items: Sequence[_Item]) -> set[tuple[int, int]]:
    """Ends of edges that cross an edge on its way between two lanes: that one is kept straight."""
    out = set()
    for upper, lower in itertools.pairwise(rows):
        position = {item: i for i, item in enumerate(upper)}
        inner: list[tuple[int, int, int, int]] = []
        others: list[tuple[int, int, int, int]] = []
        for place, item in enumerate(lower):
            for above in items[item].up:
                lanes = items[item].box is None and items[above].box is None
                (inner if lanes else others).append((position[above], place, above, item))
        for a, b, above, item in others:
            if any((a - c) * (b - d) < 0 for c, d, _, _ in inner):
                out.add((above, item))
        for one, other in itertools.combinations(inner, 2):
            if (one[0] - other[0]) * (one[1] - other[1]) < 0:
                out.add(other[2:])
    return out


def _aligned(
    rows: Sequence[Sequence[int]], near: Mapping[int, Sequence[int]], crossing: set[tuple[int, int]]
) -> dict[int, int]:
    """For each item the first one of the block that it is aligned with."""
    root = {item: item for row in rows for item in row}
    aligned = set()
    position: dict[int, int] = {}
    for row in rows:
        last = -1
        for item in row:
            above = sorted(near[item], key=position.__getitem__)
            middle = (len(above) - 1) / 2
            for index in sorted({int(middle), int(middle + 0.5)}) if above else ():
                other = above[index]
                free = root[item] == item and other not in aligned and position[other] > last
                if free and not {(item, other), (other, item)} & crossing:
                    root[item] = root[other]
                    aligned.add(other)
                    last = position[other]
        position.update({item: i for i, item in enumerate(row)})
    return root


def _packed(
    rows: Sequence[Sequence[int]], items: Sequence[_Item], root: Mapping[int, int]
) -> dict[int, float]:
    """Positions of all items: each block as far to the left as those beside it allow, then close to its right."""
    blocks = nx.DiGraph()
    blocks.add_nodes_from(root.values())
    for row in rows:
        for one, other in itertools.pairwise(row):
            a, b = root[one], root[other]
            apart = max(_apart(items[one], items[other]), blocks.get_edge_data(a, b, {"apart": 0.0})["apart"])
            blocks.add_edge(a, b, apart=apart)
    xs: dict[int, float] = {}
    order = list(nx.topological_sort(blocks))
    for block in order:
        xs[block] = max((xs[a] + d["apart"] for a, _, d in blocks.in_edges(block, data=True)), default=0.0)
    for block in reversed(order):
        right = [xs[b] - d["apart"] for _, b, d in blocks.out_edges(block, data=True)]
        if right:
            xs[block] = max(xs[block], min(right))
    return {item: xs[block] for item, block in root.items()}


def _apart(one: _Item, other: _Item) -> float:
    """How far apart the centres of neighbours have to be."""
    boxes = (one.box is not None) + (other.box is not None)
    return (one.width + other.width) / 2 + (2.0, 9.0, GAP)[boxes]


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
