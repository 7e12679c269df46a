"""Layout: places the boxes of a diagram so that every edge leads down.

In: sizes of boxes, and edges between them. Out: a place for each box, and the points of each edge.
The steps are those of Sugiyama, Tagawa and Toda (1981): rows, an order within each row with few crossings, and
positions that keep the order. It draws nothing and knows nothing of tables.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import networkx as nx

GAP = 18.0  # between boxes of a row
LANE_GAP = 9.0  # beside a lane
ROW_GAP = 46.0
SWEEPS = 12

Point = tuple[float, float]
Lane = tuple[int, int, int]  # where an edge passes through a row: upper box, lower box, row
Node = int | Lane  # an integer is the number of a box
Rows = list[list[Node]]


@dataclass(frozen=True)
class Layout:
    """The coordinates of boxes and edges; x to the right, y down.

    Attributes
    ----------
    places : list of (float, float)
        The upper left corner of each box.
    routes : dict of (int, int) to list of (float, float)
        The points of each edge, its upper end first.
    width, height : float
    """

    places: list[Point]
    routes: dict[tuple[int, int], list[Point]]
    width: float
    height: float


def lay_out(sizes: Sequence[Point], edges: Iterable[tuple[int, int]], width: float = 1200.0) -> Layout:
    """Place boxes in rows.

    Parameters
    ----------
    sizes : sequence of (width, height)
    edges : iterable of (upper box, lower box)
        They may form cycles, in which some edges then lead up.
    width : float
        Largest width of a row; a wider row is split.

    >>> layout = lay_out([(10, 5), (10, 5)], [(0, 1)])
    >>> layout.places[0][1] < layout.places[1][1]
    True
    """
    pairs = sorted({(a, b) for a, b in edges if a != b})
    graph = _acyclic(len(sizes), pairs)
    rows = _rows(graph, sizes, width)
    number = {box: row for row, boxes in enumerate(rows) for box in boxes}
    ways = nx.DiGraph()
    ways.add_nodes_from(number)
    chains: dict[tuple[int, int], list[Node]] = {}
    for a, b in graph.edges:
        lanes: list[Lane] = [(a, b, row) for row in range(number[a] + 1, number[b])]
        chains[a, b] = chains[b, a] = [a, *lanes, b]
        nx.add_path(ways, chains[a, b])
        for lane in lanes:
            rows[lane[2]].append(lane)
    rows = _ordered(rows, ways)
    x = _columns(rows, ways, sizes)
    _straighten(rows, ways, sizes, x)
    return _finished(rows, {pair: chains[pair] for pair in pairs}, sizes, x)


def _acyclic(count: int, pairs: Sequence[tuple[int, int]]) -> nx.DiGraph:
    """The graph with the edges that close a cycle reversed."""
    condensed = nx.condensation(nx.DiGraph(pairs))
    order = [
        box for part in nx.topological_sort(condensed) for box in sorted(condensed.nodes[part]["members"])
    ]
    position = {box: place for place, box in enumerate(order)}
    straight = nx.DiGraph()
    straight.add_nodes_from(range(count))
    straight.add_edges_from(sorted(pair, key=position.__getitem__) for pair in pairs)
    return straight


def _rows(graph: nx.DiGraph, sizes: Sequence[Point], width: float) -> Rows:
    """Boxes by row: each below its predecessors, and not far above its successors."""
    generations = [sorted(boxes) for boxes in nx.topological_generations(graph)]
    depth = {box: row for row, boxes in enumerate(generations) for box in boxes}
    for box in itertools.chain(*generations[::-1]):
        if graph.out_degree(box) > graph.in_degree(box):
            depth[box] = min(depth[lower] for lower in graph.successors(box)) - 1
    found: dict[float, list[int]] = {}
    for box in sorted(depth):
        found.setdefault(depth[box] if graph.degree(box) else math.inf, []).append(box)
    # if a row is split, boxes without successors come first, near their predecessors
    ordered = [sorted(found[row], key=lambda box: graph.out_degree(box) > 0) for row in sorted(found)]
    return [part for row in ordered for part in _split(row, sizes, width)]


def _split(row: Sequence[int], sizes: Sequence[Point], width: float) -> Rows:
    """A row as one or more rows of about the same width."""
    wide = [sizes[box][0] + GAP for box in row]
    middles = [end - w / 2 for end, w in zip(itertools.accumulate(wide), wide, strict=True)]
    share = sum(wide) / math.ceil(sum(wide) / width)
    groups = itertools.groupby(zip(row, middles, strict=True), key=lambda pair: pair[1] // share)
    return [[box for box, _ in group] for _, group in groups]


def _ordered(rows: Rows, ways: nx.DiGraph) -> Rows:
    """Orders within rows with few crossings, by barycentres, downwards and upwards in turn."""
    tried = [rows]
    for sweep in range(SWEEPS):
        near, step = (ways.pred, 1) if sweep % 2 == 0 else (ways.succ, -1)
        place = {node: i for row in rows for i, node in enumerate(row)}
        fresh: Rows = []
        for row in rows[::step]:
            mean = {node: fmean([place[n] for n in near[node]] or [place[node]]) for node in row}
            fresh.append(sorted(row, key=mean.__getitem__))
            place.update({node: i for i, node in enumerate(fresh[-1])})
        rows = fresh[::step]
        tried.append(rows)
    return min(tried, key=lambda rows: _crossings(rows, ways))


def _crossings(rows: Rows, ways: nx.DiGraph) -> int:
    count = 0
    for upper, lower in itertools.pairwise(rows):
        place = {node: i for i, node in enumerate(lower)}
        ends: list[int] = []  # of edges that start further left
        for node in upper:
            found = [place[n] for n in ways.succ[node]]
            count += sum(len(ends) - bisect.bisect_right(ends, end) for end in found)
            ends = sorted(ends + found)
    return count


def _columns(rows: Rows, ways: nx.DiGraph, sizes: Sequence[Point]) -> dict[Node, float]:
    """Centres of boxes and lanes, near the mean of their neighbours and as far apart as the order needs."""
    gaps = [[_apart(a, b, sizes) for a, b in itertools.pairwise(row)] for row in rows]
    spaced = list(zip(rows, gaps, strict=True))
    x: dict[Node, float] = {}
    for row, apart in spaced:
        x |= zip(row, itertools.accumulate(apart, initial=-sum(apart) / 2), strict=True)
    for sweep in range(2 * SWEEPS):
        # from above, from below, and at the end from both sides
        sides = (ways.pred, ways.succ) if sweep > SWEEPS else (ways.pred,) if sweep % 2 == 0 else (ways.succ,)
        for row, apart in spaced[:: 1 if sweep % 2 == 0 else -1]:
            near = [[x[n] for side in sides for n in side[node]] for node in row]
            wanted = [fmean(places or [x[node]]) for node, places in zip(row, near, strict=True)]
            heavy = [
                (len(n) or 0.1) * (1 if isinstance(node, int) else 4)
                for node, n in zip(row, near, strict=True)
            ]
            x |= zip(row, _spread(wanted, heavy, apart), strict=True)
    return x


def _apart(one: Node, other: Node, sizes: Sequence[Point]) -> float:
    """The smallest distance between the centres of neighbours."""
    boxes = [node for node in (one, other) if isinstance(node, int)]
    return sum(sizes[box][0] for box in boxes) / 2 + (GAP if len(boxes) == 2 else LANE_GAP)


def _spread(wanted: Sequence[float], weights: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """Positions at least the gaps apart and nearest to the wanted ones, by the sum of weighted squares.

    That is isotonic regression, by pooling of adjacent violators (Ayer and others, 1955).

    >>> _spread([0, 0, 10], [1, 1, 1], [4, 4])
    [-2.0, 2.0, 10.0]
    """
    shifts = list(itertools.accumulate(gaps, initial=0.0))
    pools: list[tuple[float, float, int]] = []  # mean, weight, members
    for want, weight, shift in zip(wanted, weights, shifts, strict=True):
        mean, count = want - shift, 1
        while pools and pools[-1][0] > mean:
            left, heavy, more = pools.pop()
            mean = (mean * weight + left * heavy) / (weight + heavy)
            weight, count = weight + heavy, count + more
        pools.append((mean, weight, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + shift for mean, shift in zip(means, shifts, strict=True)]


def _straighten(rows: Rows, ways: nx.DiGraph, sizes: Sequence[Point], x: dict[Node, float]) -> None:
    """Align nodes that are connected by a single edge vertically, if their neighbours leave room."""
    left = {b: a for row in rows for a, b in itertools.pairwise(row)}
    right = {a: b for b, a in left.items()}
    links = nx.DiGraph((a, b) for a, b in ways.edges if ways.out_degree(a) == ways.in_degree(b) == 1)
    for path in map(links.subgraph, list(nx.weakly_connected_components(links))):
        runs: list[tuple[list[Node], float, float]] = []  # nodes, and the range in which all have room
        for node in nx.topological_sort(path):
            low = x[left[node]] + _apart(left[node], node, sizes) if node in left else -math.inf
            high = x[right[node]] - _apart(node, right[node], sizes) if node in right else math.inf
            if runs and max(low, runs[-1][1]) <= min(high, runs[-1][2]):
                above, lowest, highest = runs.pop()
                runs.append(([*above, node], max(low, lowest), min(high, highest)))
            else:
                runs.append(([node], low, high))
        for nodes, low, high in runs:
            mean = fmean(x[node] for node in nodes)
            x |= dict.fromkeys(nodes, min(max(mean, low), high))


def _finished(
    rows: Rows,
    chains: Mapping[tuple[int, int], Sequence[Node]],
    sizes: Sequence[Point],
    x: Mapping[Node, float],
) -> Layout:
    half = {node: sizes[node][0] / 2 if isinstance(node, int) else 0.0 for node in x}
    left = min((x[node] - half[node] for node in x), default=0.0)
    right = max((x[node] + half[node] for node in x), default=0.0)
    upper: dict[Node, Point] = {}
    lower: dict[Node, Point] = {}
    y = 0.0
    for row in rows:
        high = max(sizes[node][1] for node in row if isinstance(node, int))
        for node in row:
            upper[node] = (x[node] - left, y)
            lower[node] = (x[node] - left, y + (sizes[node][1] if isinstance(node, int) else high))
        y += high + ROW_GAP
    places = [(upper[box][0] - half[box], upper[box][1]) for box in range(len(sizes))]
    routes = {
        pair: [point for node in chain for point in (upper[node], lower[node])][1:-1]
        for pair, chain in chains.items()
    }
    return Layout(places, routes, right - left, max(0.0, y - ROW_GAP))
