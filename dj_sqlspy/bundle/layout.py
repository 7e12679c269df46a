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

import networkx as nx

GAP = 18.0  # between boxes of a row
LANE_GAP = 9.0  # beside a lane
ROW_GAP = 46.0
SWEEPS = 12
NODES = 24_000  # of all sweeps together: a diagram of many boxes and lanes gets fewer sweeps

Point = tuple[float, float]
Rows = list[list[int]]  # nodes: the numbers of boxes, and behind these of lanes
Near = list[list[int]]  # the neighbours of each node on one side


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
    sizes = list(sizes)
    boxes = len(sizes)
    chains: dict[tuple[int, int], list[int]] = {}
    for a, b in graph.edges:
        passed = range(number[a] + 1, number[b])
        lanes = range(len(sizes), len(sizes) + len(passed))  # where the edge passes through rows
        sizes += [(0.0, 0.0)] * len(passed)
        chains[a, b] = chains[b, a] = [a, *lanes, b]
        for lane, row in zip(lanes, passed, strict=True):
            rows[row].append(lane)
    above: Near = [[] for _ in sizes]
    below: Near = [[] for _ in sizes]
    for a, b in graph.edges:
        for upper, lower in itertools.pairwise(chains[a, b]):
            below[upper].append(lower)
            above[lower].append(upper)
    sweeps = max(1, min(SWEEPS, NODES // max(1, len(sizes))))
    rows = _ordered(rows, above, below, sweeps)
    x = _columns(rows, above, below, sizes, boxes, sweeps)
    _straighten(rows, above, below, sizes, boxes, x)
    return _finished(rows, {pair: chains[pair] for pair in pairs}, sizes, boxes, x)


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


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _ordered(rows: Rows, above: Near, below: Near, sweeps: int) -> Rows:
    """Orders within rows with few crossings, by barycentres, downwards and upwards in turn."""
    tried = [rows]
    place = [0] * len(above)
    for sweep in range(sweeps):
        near, step = (above, 1) if sweep % 2 == 0 else (below, -1)
        for row in rows:
            for i, node in enumerate(row):
                place[node] = i
        fresh: Rows = []
        for row in rows[::step]:
            mean = {node: _mean([place[n] for n in near[node]] or [place[node]]) for node in row}
            fresh.append(sorted(row, key=mean.__getitem__))
            for i, node in enumerate(fresh[-1]):
                place[node] = i
        rows = fresh[::step]
        tried.append(rows)
    return min(tried, key=lambda rows: _crossings(rows, below))


def _crossings(rows: Rows, below: Near) -> int:
    count = 0
    for upper, lower in itertools.pairwise(rows):
        place = {node: i for i, node in enumerate(lower)}
        ends: list[int] = []  # of edges that start further left
        for node in upper:
            found = [place[n] for n in below[node]]
            count += sum(len(ends) - bisect.bisect_right(ends, end) for end in found)
            for end in found:
                bisect.insort(ends, end)
    return count


def _columns(
    rows: Rows, above: Near, below: Near, sizes: Sequence[Point], boxes: int, sweeps: int
) -> list[float]:
    """Centres of boxes and lanes, near the mean of their neighbours and as far apart as the order needs."""
    gaps = [[_apart(a, b, sizes, boxes) for a, b in itertools.pairwise(row)] for row in rows]
    spaced = list(zip(rows, gaps, strict=True))
    x = [0.0] * len(sizes)

    def put(row: Sequence[int], places: Iterable[float]) -> None:
        for node, place in zip(row, places, strict=True):
            x[node] = place

    for row, apart in spaced:
        put(row, itertools.accumulate(apart, initial=-sum(apart) / 2))
    both = [[*one, *other] for one, other in zip(above, below, strict=True)]
    for sweep in range(2 * sweeps):
        # from above, from below, and at the end from both sides
        near = both if sweep > sweeps else above if sweep % 2 == 0 else below
        for row, apart in spaced[:: 1 if sweep % 2 == 0 else -1]:
            wanted = [_mean([x[n] for n in near[node]] or [x[node]]) for node in row]
            heavy = [(len(near[node]) or 0.1) * (1 if node < boxes else 4) for node in row]
            put(row, _spread(wanted, heavy, apart))
    return x


def _apart(one: int, other: int, sizes: Sequence[Point], boxes: int) -> float:
    """The smallest distance between the centres of neighbours."""
    return (sizes[one][0] + sizes[other][0]) / 2 + (GAP if one < boxes and other < boxes else LANE_GAP)


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


def _straighten(
    rows: Rows, above: Near, below: Near, sizes: Sequence[Point], boxes: int, x: list[float]
) -> None:
    """Align nodes that are connected by a single edge vertically, if their neighbours leave room."""
    left = {b: a for row in rows for a, b in itertools.pairwise(row)}
    right = {a: b for b, a in left.items()}
    single = {node: near[0] for node, near in enumerate(below) if len(near) == 1 and len(above[near[0]]) == 1}
    for start in [node for node in single if len(above[node]) != 1 or above[node][0] not in single]:
        path = [start]
        while path[-1] in single:
            path.append(single[path[-1]])
        runs: list[tuple[list[int], float, float]] = []  # nodes, and the range in which all have room
        for node in path:
            low = x[left[node]] + _apart(left[node], node, sizes, boxes) if node in left else -math.inf
            high = x[right[node]] - _apart(node, right[node], sizes, boxes) if node in right else math.inf
            if runs and max(low, runs[-1][1]) <= min(high, runs[-1][2]):
                joined, lowest, highest = runs.pop()
                runs.append(([*joined, node], max(low, lowest), min(high, highest)))
            else:
                runs.append(([node], low, high))
        for nodes, low, high in runs:
            mean = _mean([x[node] for node in nodes])
            for node in nodes:
                x[node] = min(max(mean, low), high)


def _finished(
    rows: Rows,
    chains: Mapping[tuple[int, int], Sequence[int]],
    sizes: Sequence[Point],
    boxes: int,
    x: Sequence[float],
) -> Layout:
    half = [width / 2 for width, _ in sizes]
    left = min((place - wide for place, wide in zip(x, half, strict=True)), default=0.0)
    right = max((place + wide for place, wide in zip(x, half, strict=True)), default=0.0)
    upper: dict[int, Point] = {}
    lower: dict[int, Point] = {}
    y = 0.0
    for row in rows:
        high = max(sizes[node][1] for node in row if node < boxes)
        for node in row:
            upper[node] = (x[node] - left, y)
            lower[node] = (x[node] - left, y + (sizes[node][1] if node < boxes else high))
        y += high + ROW_GAP
    places = [(upper[box][0] - half[box], upper[box][1]) for box in range(boxes)]
    routes = {
        pair: [point for node in chain for point in (upper[node], lower[node])][1:-1]
        for pair, chain in chains.items()
    }
    return Layout(places, routes, right - left, max(0.0, y - ROW_GAP))
