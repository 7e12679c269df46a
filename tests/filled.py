"""A bundle in which every field that there can be holds something, and the paths of these fields.

In: nothing. Out: a manifest, what a replay gave and what an inspection found, as JSON has them, and a walk through
such JSON. No server is needed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

SUBJECT, LINE, RECORDING, RIG = (f"`lab`.`{name}`" for name in ("subject", "subject__line", "_rec", "#rig"))
Path = tuple[str | int, ...]


def table(name: str, rows: int, restriction: str, reasons: dict[str, int]) -> dict[str, Any]:
    column = {"name": "subject", "type": "varchar(8)", "nullable": False, "comment": "its name"}
    return {
        "name": name,
        "rows": rows,
        "total_rows": 9,
        "restriction": restriction,
        "reasons": reasons,
        "primary_key": ["subject"],
        "comment": "of the lab",
        "columns": [column, {**column, "name": "note", "nullable": True}],
    }


def foreign_key(child: str, parent: str, part: bool = False) -> dict[str, Any]:
    names = ["subject"] if part else ["subject", "n"]
    return {
        "name": f"fk {child}",
        "child": child,
        "columns": names,
        "parent": parent,
        "parent_columns": names,
        "part": part,
    }


def statement(number: int, sql: str, *marks: str, **more: Any) -> dict[str, Any]:
    return {
        "number": number,
        "analysis": "fig 1",
        "kind": "data",
        "sql": sql,
        "rows_then": 3,
        "rows_now": 3,
        "ordered": False,
        "marks": list(marks),
        "fallback": None,
        "tables": [RECORDING, SUBJECT],
        **more,
    }


def file(name: str, state: str) -> dict[str, Any]:
    return {
        "store": "raw",
        "path": name,
        "kind": "blob",
        "size": 2048,
        "checksum": f"md5:{'0' * 32}",
        "state": state,
        "columns": [f"{SUBJECT}.`note`"],
        "rows": 2,
        "linked_from": ["raw/a/first"],
        "unread": True,
    }


def code(name: str, state: str) -> dict[str, Any]:
    return {
        "path": f"code/{name}",
        "analyses": ["fig 1", "fig 2"],
        "size": 12,
        "sha256": "0" * 64,
        "state": state,
        "git": {"commit": "0" * 40, "dirty": True},
    }


MANIFEST: dict[str, Any] = {
    "format": "dj-sqlspy bundle",
    "format_version": 1,
    "paper": "place cells",
    "about": {
        "title": "Place cells remember",
        "description": "What 12 mice did.",
        "license": "CC-BY-4.0",
        "doi": "10.1000/xyz",
        "url": "https://lab.org/paper",
        "citation": "Lovelace A (1843)",
        "keywords": ["hippocampus", "mouse"],
        "authors": [
            {"name": "Ada Lovelace", "orcid": "0000-0002-1825-0097", "affiliation": "Analytical Society"},
            {"name": "Charles Babbage"},
        ],
    },
    "complete": False,
    "problems": ["a journal is damaged"],
    "created": "2026-01-02T03:04:05+00:00",
    "versions": {
        "dj-sqlspy": "0.1.0",
        "python": "3.11.7",
        "datajoint": "2.3.5",
        "pymysql": "1.2.4",
        "sqlglot": "30.30.0",
        "networkx": "3.6.1",
    },
    "environments": [
        {
            "python": python,
            "implementation": "CPython",
            "system": "Linux x86_64",
            "packages": {"numpy": "2.0", "ours": "1"},
            "own": ["ours"],
            "conda": [{"name": "mkl", "version": "1", "build": "h1", "channel": "conda-forge"}],
            "analyses": [
                {
                    "name": name,
                    "git": [{"commit": "0" * 40, "dirty": dirty}],
                    "servers": ["8"],
                    "imported": ["numpy"],
                }
                for name in names
            ],
        }
        for python, names, dirty in (("3.11.7", ["fig1", None], True), ("3.12", ["fig2"], False))
    ],
    "server": {"flavor": "mariadb", "version": "10.11.19-MariaDB", "character_set_server": "utf8mb4"},
    "parts": "referenced",
    "schemas": [{"name": "lab", "charset": "utf8mb4", "collation": "utf8mb4_bin"}],
    "tables": [
        table(RIG, 0, "FALSE", {}),
        table(SUBJECT, 3, "`subject` IN ('a', 'b', 'c')", {"read by a statement": 2, "foreign key": 1}),
        table(LINE, 2, "TRUE", {"part of a master": 2}),
        table(RECORDING, 4, "TRUE", {"all rows (statement not analysed)": 1, "an odd rule": 3}),
    ],
    "lineage_tables": [{"name": "`lab`.`~lineage`", "rows": 3}],
    "views": [{"name": "`lab`.`view`", "definition": "SELECT 1 AS one"}],
    "views_left_out": ["`lab`.`other view`"],
    "foreign_keys": [
        foreign_key(SUBJECT, RIG),
        foreign_key(LINE, SUBJECT, part=True),
        foreign_key(RECORDING, SUBJECT),
    ],
    "statements": [
        *(statement(n, f"SELECT * FROM lab._rec WHERE n = {n}") for n in (1, 2)),
        statement(3, "SELECT now()", "now", captured="SELECT  now()", analysis="fig 2", kind="preview"),
        statement(4, "SELECT note FROM lab.subject", "excluded"),
        statement(5, "SELECT subject FROM lab.subject", "left-out", "odd mark"),
        statement(6, "SELECT odd(subject) FROM lab.subject", fallback="odd() is unknown", rows_now=None),
        statement(7, "SELECT DISTINCT subject FROM lab.subject", rows_then=4),
        statement(
            *(8, "SELECT max(subject) FROM lab.subject", "not-sent"),
            **{"time": 1.5, "state": ["SET @a = 1"], "digest": "0" * 16, "unsent": "it sets a variable"},
        ),
    ],
    "drift": [{"number": 7, "then": 4, "now": 3, "change": "other rows"}, {"number": 8, "then": 4, "now": 3}],
    "unfinished": [
        {
            "analysis": "fig 3",
            "state": "failed",
            "statements": 4,
            "started": "2026-01-02T03:04:05+00:00",
        }
    ],
    "excluded": [{"table": SUBJECT, "column": "note", "value": "NULL", "statements": [4], "held": [8]}],
    "pseudonyms": {
        "columns": [
            {"table": SUBJECT, "column": "subject", "digits": 16},
            {"table": RIG, "column": "note", "range": [1, 65535]},
            {"table": LINE, "column": "note", "uuid": True},
        ],
        "statements": [5],
        "shown": [7],
        "held": [{"where": f"{RECORDING}.`note`", "values": 2}],
    },
    "code": [code("fig.py", "changed"), code("fig.ipynb", "missing")],
    "first_rows": True,
    "files": [file(f"a/{state}", state) for state in ("ok", "missing", "changed", "outside", "unreachable")],
}


def result(state: str, *numbers: int, message: str = "") -> dict[str, Any]:
    return {
        "numbers": list(numbers),
        "state": state,
        "source_rows": 3,
        "slice_rows": 2,
        "missing": 1,
        "extra": 0,
        "message": message,
    }


REPLAY: dict[str, Any] = {
    "created": "2026-01-03T03:04:05+00:00",
    "equal": True,
    "structure": ["a table is missing"],
    "tables": [{"name": SUBJECT, "message": "another checksum"}],
    "statements": [
        *(result("equal", 1, 3), result("excluded", 4), result("error", 6, message="no such function")),
        *(result("differs", 2, 7), result("differs", 8, message="other columns: a")),
    ],
    "keys": [{"child": RECORDING, "name": "fk", "parent": SUBJECT, "orphans": 2, "lost": 1}],
}

INSPECTION: dict[str, Any] = {
    "created": "2026-01-04T03:04:05+00:00",
    "columns": 3,
    "findings": [
        {"where": f"{SUBJECT}.`note`", "what": "person", "values": 2, "rows": 3},
        {"where": "code/fig.py", "what": "path", "values": 1, "rows": None},
        {"where": SUBJECT, "what": "comments", "values": 2, "rows": None},
    ],
    "unread": [f"{RECORDING}.`subject`"],
    "cut": [f"{SUBJECT}.`subject`"],
}

HISTOGRAM: dict[str, Any] = {"low": 0, "high": 12, "width": 5, "counts": [1, 0, 2], "rows": 3}
LINE: dict[str, Any] = {"low": -1, "high": 1, "points": [0, 1000, None, 500]}
FIRST: dict[str, Any] = {
    "columns": [{"name": "subject"}, {"name": "n", "histogram": HISTOGRAM}, {"name": "note"}],
    "rows": [["a", "0", {"text": "float64, 2 × 50", "line": LINE}], ["b", None, {"text": "{}"}]],
    "of": 3,
    "hidden": 1,
    "more": 2,
}
FIRST_ROWS: dict[str, Any] = {
    "created": "2026-01-03T03:04:05+00:00",
    "tables": [{"name": SUBJECT, **FIRST}],
    "results": [{"numbers": [1, 2], **copy.deepcopy(FIRST)}],
    "left_out": 4,
}

BUNDLE: dict[str, Any] = {
    "manifest": MANIFEST,
    "replay": REPLAY,
    "inspection": INSPECTION,
    "first_rows": FIRST_ROWS,
}


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every text, number and truth value, with the way to it."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    elif value is not None:
        yield path, value


def changed(value: Any, change: Callable[[Path, Any], Any]) -> Any:
    """A copy with other leaves."""
    made = copy.deepcopy(value)
    for path, leaf in leaves(value):
        put(made, path, change(path, leaf))
    return made


def put(value: Any, path: Path, leaf: Any) -> None:
    """Set one leaf."""
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = leaf
