"""report.html: its contents, their escaping, and the layout of its diagram."""

from __future__ import annotations

import doctest
import itertools
import json
import random
import re
import shutil
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dj_sqlspy.bundle import firstrows
from dj_sqlspy.bundle import texts as publish
from dj_sqlspy.bundle.diagram import boxes_of, draw
from dj_sqlspy.bundle.layout import GAP, lay_out
from dj_sqlspy.bundle.report import ALONG, report_html
from dj_sqlspy.cli import main
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.servers import Server
from tests import filled
from tests.reported import EVIL, make_bundle

pytestmark = pytest.mark.separately


class Page(HTMLParser):
    """Elements, links and text of a page; fails where an element is not closed."""

    VOID = {"meta", "input", "img", "br", "wbr", "link"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def made(server: Server, dj_conn: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    yield make_bundle(server, "report_", tmp_path_factory.mktemp("report") / "bundle")
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DROP DATABASE report_lab")


@pytest.fixture
def bundle(made: Bundle, tmp_path: Path) -> Bundle:
    return Bundle(shutil.copytree(made.path, tmp_path / "bundle"))


def page_of(bundle: Bundle) -> Page:
    return Page((bundle.path / "report.html").read_text())


def test_what_the_page_says(bundle: Bundle) -> None:
    text = page_of(bundle).text
    for warning in (
        "1 statement was not analysed",
        "The database changed between the analysis and this export",
        "1 statement can give another result each time",
        "The statements were not replayed yet",
    ):
        assert warning in text
    for table in ("Species", "Subject", "Subject. Line", "Recording", "Spikes", "Rig"):
        assert table in text
    assert "where it was measured" in text and "structure only" in text
    assert "1 \N{MULTIPLICATION SIGN} 3" in text  # the loop stands together
    assert "read by a statement" in text and "part of a master" in text


def test_everything_is_escaped(bundle: Bundle) -> None:
    text = (bundle.path / "report.html").read_text()
    assert EVIL not in text
    page = page_of(bundle)
    assert EVIL in page.text and 'odd <b>"name"' in page.text and "fig <1>" in page.text
    names = [tag for tag, _ in page.elements]
    assert names.count("script") == 1 and "img" not in names
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"https?://", text)


def test_links_lead_somewhere(bundle: Bundle) -> None:
    page = page_of(bundle)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {str(attributes["href"])[1:] for _, attributes in page.elements if attributes.get("href")}
    assert links and links <= set(ids)


def test_the_page_is_made_again_from_the_manifest(bundle: Bundle) -> None:
    page = bundle.path / "report.html"
    text = page.read_text()
    page.write_text("<script>of a stranger</script>")
    assert main(["report", str(bundle.path)]) == 0
    assert page.read_text() == text


def test_a_page_is_made_in_its_folder_only(bundle: Bundle, tmp_path: Path) -> None:
    """A symbolic link in a bundle of a stranger is refused, and what it leads to stays as it is."""
    (tmp_path / "private").write_text("mine")
    page = bundle.path / "report.html"
    page.unlink()
    page.symlink_to(tmp_path / "private")
    assert main(["report", str(bundle.path)]) == 1
    assert (tmp_path / "private").read_text() == "mine" and page.is_symlink()


def test_what_is_no_number_is_refused(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    text = (bundle.path / "report.html").read_text()
    manifest = json.loads(json.dumps(bundle.manifest))
    manifest["tables"][0]["rows"] = "<script>"
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))
    assert main(["report", str(bundle.path)]) == 1
    said = capsys.readouterr().err
    assert "data.tables[0].rows must be integer" in said and "Traceback" not in said
    assert (bundle.path / "report.html").read_text() == text


def test_a_replay_shows(bundle: Bundle, server: Server, dj_conn: Any) -> None:
    bundle.dump([f"--defaults-file={server.defaults_file()}"])
    report = bundle.verify()
    page = page_of(bundle)
    assert "not replayed" not in page.text
    replay = json.loads((bundle.path / "replay.json").read_text())
    assert replay["equal"] is report.equal
    assert set(replay) == set(filled.REPLAY) and names_of(replay) <= names_of(filled.REPLAY)
    states = {number: result["state"] for result in replay["statements"] for number in result["numbers"]}
    assert states == dict.fromkeys(range(1, 8), "equal")  # the last one calls a stored function
    assert "foreign keys, 0 orphans" in page.text and "statements, all equal when replayed" in page.text
    assert "gave another result when replayed" not in page.text
    rows = json.loads((bundle.path / "first-rows.json").read_text())
    assert set(rows) == set(filled.FIRST_ROWS) and names_of(rows) <= names_of(filled.FIRST_ROWS)
    labels = [about.get("aria-label") for tag, about in page.elements if tag == "svg"]
    histogram, line = "Histogram: 6 values from 1 to 6, most often 1 (1)", "Line of the values, from -1 to 1"
    assert labels.count(histogram) == 4 and labels.count(line) == 6  # of two tables; five rows, and a result
    assert page.text.count("float64, 3 \N{MULTIPLICATION SIGN} 1,000") == 6
    for text in ("The first 5 of 6 rows", "1 row", "a mouse NULL"):
        assert text in page.text
    # only rows of the slice, and of results that are of its rows alone
    tables = {one["name"].rpartition(".")[2]: one for one in rows["tables"]}
    assert tables["`subject`"]["rows"] == [["a", "mouse", None]] and "`rig`" not in tables
    assert [one["numbers"] for one in rows["results"]] == [[1], [4], [5], [7]]
    for _, about in page.elements:
        assert about.get("role") != "region" or (about["aria-label"] and about["tabindex"] == "0")


def test_the_examples_in_docstrings() -> None:
    assert doctest.testmod(firstrows).failed == 0


def names_of(found: Any) -> set[Any]:
    """All names of fields."""
    return {key for path, _ in filled.leaves(found) for key in path if isinstance(key, str)}


def test_what_a_replay_finds_comes_first(bundle: Bundle) -> None:
    manifest = bundle.manifest
    result = {"numbers": [1], "state": "differs", "source_rows": 1, "slice_rows": 0, "missing": 1, "extra": 0}
    fk = manifest["foreign_keys"][0]
    key = {"child": fk["child"], "name": fk["name"], "parent": fk["parent"], "orphans": 2, "lost": 0}
    replay = {"created": "now", "equal": False, "statements": [{**result, "message": "<i>"}], "keys": [key]}
    text = Page(report_html(manifest, replay)).text
    first, second = text.index("1 statement gave another result"), text.index("parts are not whole")
    assert first < second < text.index("1 statement was not analysed")
    assert "statement 1 : <i>" in text and "2 orphans" in text


def test_files_that_are_not_as_they_should_be(bundle: Bundle) -> None:
    def file(number: int, state: str) -> dict[str, Any]:
        return {"store": "raw", "path": f"<{number}>", "kind": "blob", "size": 1 << 20, "state": state}

    states = ("ok", "missing", "missing", "changed", "outside", "unreachable")
    files = [file(number, state) for number, state in enumerate(states)]
    text = Page(report_html({**bundle.manifest, "files": files})).text
    assert "2 files are not in their stores." in text and "1 file is not as the database says." in text
    assert "1 file has a path that leads out of its store." in text and "raw/<4>" in text
    assert "6 files outside of the database, 6.0 MB" in text


def test_bytes_that_are_no_text(bundle: Bundle) -> None:
    manifest = json.loads(json.dumps(bundle.manifest))
    manifest["statements"][0]["sql"] = "SELECT _binary '\udcff\0'"
    publish.refresh(bundle.path, manifest)
    assert "\\udcff" in (bundle.path / "report.html").read_text()


def test_masters_that_are_parts_of_one_another(bundle: Bundle) -> None:
    """As no database has them, but a manifest can."""
    tables = bundle.manifest["tables"][:3]
    one, two, three = (table["name"] for table in tables)
    keys = [
        {"child": child, "parent": parent, "columns": ["a"], "part": True}
        for child, parent in ((one, two), (two, one), (three, three))
    ]
    assert [box.parts for box in boxes_of(tables, keys, ALONG)] == [(), (), ()]
    assert "<svg" in draw(tables, keys, ALONG)


def test_boxes_have_tiers_and_parts(bundle: Bundle) -> None:
    boxes = {
        box.label: box for box in boxes_of(bundle.manifest["tables"], bundle.manifest["foreign_keys"], ALONG)
    }
    tiers = {label: box.tier for label, box in boxes.items()}
    assert tiers["Species"] == "lookup" and tiers["Subject"] == "manual"
    assert tiers["Recording"] == "imported" and tiers["Spikes"] == "computed"
    assert [part.label for part in boxes["Subject"].parts] == ["Line"]
    assert (
        boxes["Rig"].classes == "table manual empty" and boxes["Recording"].classes == "table imported read"
    )
    svg = draw(bundle.manifest["tables"], bundle.manifest["foreign_keys"], ALONG)
    kinds = re.findall(r'class="edge (\w+)"', svg)
    assert sorted(kinds) == ["primary", "secondary", "secondary", "whole"]


# ---------------------------------------------------------------- layout


graphs = st.integers(1, 14).flatmap(
    lambda n: st.tuples(
        st.lists(st.tuples(st.floats(20, 200), st.floats(10, 120)), min_size=n, max_size=n),
        st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=3 * n),
    )
)


def check(sizes: list[tuple[float, float]], edges: list[tuple[int, int]], width: float) -> None:
    layout = lay_out(sizes, edges, width)
    assert len(layout.places) == len(sizes)
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(layout.places, sizes, strict=True)]
    for x, y, right, bottom in boxes:
        assert x >= -0.01 and y >= 0 and right <= layout.width + 0.01 and bottom <= layout.height + 0.01
    for one, other in itertools.combinations(boxes, 2):
        apart_x = max(one[0], other[0]) - min(one[2], other[2])
        apart_y = max(one[1], other[1]) - min(one[3], other[3])
        assert apart_x >= GAP - 0.01 or apart_y > 0, (one, other)
    assert set(layout.routes) == {(a, b) for a, b in edges if a != b}
    graph = nx.DiGraph(edge for edge in edges if edge[0] != edge[1])
    if nx.is_directed_acyclic_graph(graph):
        for (a, b), route in layout.routes.items():
            assert [y for _, y in route] == sorted(y for _, y in route)
            assert boxes[a][3] <= boxes[b][1]
            assert boxes[a][0] <= route[0][0] <= boxes[a][2] and boxes[b][0] <= route[-1][0] <= boxes[b][2]
            for x, y in route[1:-1]:  # an edge passes between boxes
                assert not [box for box in boxes if box[0] < x < box[2] and box[1] <= y <= box[3]]


@given(graphs, st.floats(100, 1200))
@settings(max_examples=60, deadline=None)
def test_boxes_do_not_overlap_and_edges_lead_down(graph: Any, width: float) -> None:
    check(*graph, width)


def test_the_layout_of_a_large_pipeline() -> None:
    random.seed(3)
    edges = [(random.randrange(max(0, b - 30), b), b) for b in range(1, 200) for _ in range(2)]
    started = time.perf_counter()
    check([(140.0, 50.0)] * 200, edges, 1160)
    assert time.perf_counter() - started < 20
    check([], [], 100)
