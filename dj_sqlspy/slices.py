"""Slice: the exact set of rows to export, and why.

In: captured statements and a connection to the database. Out: a `Slice`: for each table the number of its rows in
the slice and in all, the conditions that read exactly these rows, and for each row the reason that it is there.
It drives lineage and cascade, and copies no row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pymysql

from .cascade import PARENT, PART, Asker, Cascade, Demand, KeySets, Reason
from .catalog import Catalog, ForeignKey, Table
from .errors import LineageError, SliceError
from .journal import Statement
from .keys import LIST_BYTES, Key, from_python, key_columns
from .lineage import Leaf, Lineage, analyse, named_tables
from .lineage.batch import Batch, batch
from .lineage.tree import Block, Output, Query, Union, to_sql
from .lineage.witness import KEYS
from .restrict import Restriction, shortest
from .shapes import Shape, group

# Kinds that export rows, by the policies that a session can set.
DEFAULT_POLICIES: Mapping[str, str] = {"preview": "ignore", "count": "rows", "exists": "witness"}
_CHOICES = {
    "preview": ("ignore", "rows"),
    "count": ("rows", "ignore"),
    "exists": ("witness", "rows", "ignore"),
}


@dataclass(frozen=True)
class StatementReport:
    """What became of one captured statement.

    Attributes
    ----------
    statement : Statement
        As captured.
    sql : str
        The SELECT to replay (of INSERT … SELECT, its SELECT part).
    marks : frozenset of str
        Why its result can change by itself (``now``, ``rand``, ``session``, ``variable``, ``limit``).
    ordered : bool
        True if it orders its result totally: a replay is compared as a list.
    fallback : str or None
        Why it was not analysed and all rows of its tables are exported.
    rows_then, rows_now : int or None
        Rows that it returned when it was captured, and now.
    tables : tuple of str
        Full names of the base tables that it reads.
    """

    statement: Statement
    sql: str
    marks: frozenset[str] = frozenset()
    ordered: bool = False
    fallback: str | None = None
    rows_then: int | None = None
    rows_now: int | None = None
    tables: tuple[str, ...] = ()

    @property
    def drifted(self) -> bool:
        """True where it returns another number of rows now than it did when it was captured."""
        return (
            self.rows_then is not None
            and self.rows_now is not None
            and self.rows_then != self.rows_now
            and not self.marks
        )


@dataclass
class TableSlice:
    """The rows of one table in the slice.

    Attributes
    ----------
    name : str
        Full name, as DataJoint's ``full_table_name``.
    table : Table
        Its catalog entry.
    rows, total_rows : int
        Rows in the slice, and in the database.
    reasons : dict of str to int
        For each rule, the number of rows that it brought first.
    """

    name: str
    table: Table
    rows: int
    total_rows: int
    reasons: dict[str, int]
    keys: Mapping[Key, int] = field(repr=False)
    _find: Callable[[TableSlice], Restriction] = field(repr=False)

    @cached_property
    def _restriction(self) -> Restriction:
        return self._find(self)

    @property
    def restriction(self) -> str:
        """The shortest SQL condition found that selects exactly these rows; "TRUE" for all, "FALSE" for none."""
        return self._restriction.text

    def conditions(self, max_bytes: int) -> list[str]:
        """Disjoint conditions of at most ``max_bytes`` each that together select exactly these rows.

        [] where no row is needed, ["TRUE"] where all are.
        """
        return self._restriction.conditions(max_bytes)


class Slice:
    """The outcome of a cascade. Make one with `Paper.slice` or `dj_sqlspy.slice`.

    Attributes
    ----------
    tables : dict of str to TableSlice
        By full table name, parents before children, with the tables that are needed for their structure only.
    catalog : Catalog
    statements : list of StatementReport
        Every captured statement of a kind that exports rows, in order.
    """

    def __init__(
        self,
        catalog: Catalog,
        sets: KeySets,
        totals: Mapping[str, int],
        statements: Sequence[StatementReport],
        find: Callable[[TableSlice], Restriction],
        server: Mapping[str, str],
        connection: Any = None,
    ) -> None:
        self.catalog = catalog
        self.statements = list(statements)
        self.server = dict(server)
        self.parts = "all"
        self._sets = sets
        self._connection = connection
        self.tables: dict[str, TableSlice] = {}
        for name in catalog.in_order(totals):
            keys = sets.rows(name)
            reasons: dict[str, int] = {}
            for index in keys.values():
                rule = sets.reasons[index].rule
                reasons[rule] = reasons.get(rule, 0) + 1
            self.tables[name] = TableSlice(
                name, catalog.tables[name], len(keys), totals[name], reasons, keys, find
            )

    def __repr__(self) -> str:
        rows = sum(table.rows for table in self.tables.values())
        return f"<Slice: {rows} rows of {sum(t.rows > 0 for t in self.tables.values())} tables>"

    @property
    def fallbacks(self) -> list[StatementReport]:
        """Statements that were not analysed, whose tables are exported whole."""
        return [report for report in self.statements if report.fallback]

    @property
    def drifted(self) -> list[StatementReport]:
        """Statements that return another number of rows now than when they were captured."""
        return [report for report in self.statements if report.drifted]

    def free_tables(self) -> list[Any]:
        """Restricted ``dj.FreeTable`` objects, parents first, of the tables that have rows in the slice."""
        import datajoint

        connection = self._connection or datajoint.conn()
        return [
            datajoint.FreeTable(connection, name) & table.restriction
            for name, table in self.tables.items()
            if table.rows
        ]

    # -------------------------------------------------- why

    def why(self, table: str, key: Mapping[str, Any]) -> list[str]:
        """The chain of rules that brought a row into the slice, the row itself first.

        Parameters
        ----------
        table : str
            Full table name.
        key : dict
            Primary key of the row.

        Returns
        -------
        list of str
            One line a step: the row, and the rule that brought it; the last step names a statement.

        Raises
        ------
        SliceError
            If the table is not part of the slice, or the row is not.
        """
        name, found = self._key(table, key)
        lines = []
        seen: set[tuple[str, Key]] = set()
        while (name, found) not in seen:
            seen.add((name, found))
            reason = self._sets.reasons[self._sets.keys[name][found]]
            lines.append(f"{self._show(name, found)}: {self._explain(reason)}")
            step = self._came_from(name, found, reason)
            if step is None:
                break
            name, found = step
        return lines

    def _key(self, table: str, key: Mapping[str, Any]) -> tuple[str, Key]:
        if table not in self.tables:
            raise SliceError(
                f"Explaining a row: {table} is not part of the slice; it has {', '.join(self.tables)}."
            )
        columns = key_columns(self.tables[table].table)
        given = {name.lower(): value for name, value in key.items()}
        missing = [column.name for column in columns if column.name.lower() not in given]
        if missing:
            raise SliceError(f"Explaining a row of {table}: the key lacks {', '.join(missing)}.")
        wanted = tuple(from_python(column, given[column.name.lower()]) for column in columns)
        if wanted not in self._sets.rows(table):
            raise SliceError(f"Explaining a row of {table}: {dict(key)!r} is not in the slice.")
        return table, wanted

    def _show(self, name: str, key: Key) -> str:
        columns = self.catalog.tables[name].key
        return f"{name} ({', '.join(f'{c}={v!r}' for c, v in zip(columns, key, strict=True))})"

    def _explain(self, reason: Reason) -> str:
        if reason.foreign_key is not None:
            other = reason.foreign_key.child if reason.rule == PARENT else reason.foreign_key.parent
            return f"{reason.rule} of {other}" if reason.rule == PARENT else f"part of {other}"
        texts = {report.statement.number: report.statement.sql for report in self.statements}
        shown = ", ".join(str(number) for number in reason.statements[:5])
        more = f" and {len(reason.statements) - 5} more" if len(reason.statements) > 5 else ""
        first = " ".join(texts.get(reason.statements[0], "").split())[:200] if reason.statements else ""
        return f"{reason.rule} (statement {shown}{more}: {first})"

    def _came_from(self, name: str, key: Key, reason: Reason) -> tuple[str, Key] | None:
        fk = reason.foreign_key
        if fk is None:
            return None
        table = self.catalog.tables[name]
        if reason.rule == PART:
            columns, order = (
                self.catalog.tables[fk.parent].key,
                dict(zip(fk.parent_columns, fk.columns, strict=True)),
            )
            positions = {c.lower(): i for i, c in enumerate(table.key)}
            if all(c in order and order[c].lower() in positions for c in columns):
                master = tuple(key[positions[order[c].lower()]] for c in columns)
                if master in self._sets.rows(fk.parent):
                    return fk.parent, master
            return None
        child = self.catalog.tables[fk.child]
        order = dict(zip(fk.parent_columns, fk.columns, strict=True))
        positions = {c.lower(): i for i, c in enumerate(child.key)}
        if all(c in order and order[c].lower() in positions for c in table.key):
            picked = [positions[order[c].lower()] for c in table.key]
            candidates = [k for k in self._sets.rows(fk.child) if tuple(k[i] for i in picked) == key]
            if candidates:
                # the child that was read by a statement gives the shortest chain
                direct = [
                    k for k in candidates if not self._sets.reasons[self._sets.keys[fk.child][k]].foreign_key
                ]
                return fk.child, (direct or candidates)[0]
        return None


# ---------------------------------------------------------------- making one


def make_slice(
    statements: Sequence[Statement],
    connection: Any,
    *,
    parts: str = "all",
    strict: bool = False,
    closed: bool = True,
    policies: Mapping[str, Mapping[str, str]] | None = None,
    virtual: Sequence[ForeignKey] = (),
    progress: Callable[[str, int], None] | None = None,
    dj_connection: Any = None,
) -> Slice:
    """The slice that a list of captured statements needs.

    Parameters
    ----------
    statements : sequence of Statement
    connection : pymysql connection
        Opened with ``conv=cascade.plain_decoders()``; used for one read-only snapshot.
    parts : {"all", "referenced"}
        Whether a master brings all of its parts.
    strict : bool
        Raise where a statement cannot be analysed, instead of exporting its tables whole.
    closed : bool
        False leaves out the cascade: only the rows that statements read.
    policies : mapping, optional
        For each analysis, what its statements of a kind export: ``preview`` ("ignore", "rows"), ``count`` ("rows",
        "ignore"), ``exists`` ("witness", "rows", "ignore"); `DEFAULT_POLICIES` where it says nothing.
    virtual : sequence of ForeignKey
        References that the database does not declare.
    progress : callable, optional
        Called with what is being done and how much of it was done now.

    Raises
    ------
    LineageError, CatalogError, SliceError
    """
    by_analysis = {analysis: _policies(chosen) for analysis, chosen in (policies or {}).items()}

    def policy(statement: Statement) -> str:
        if statement.kind == "metadata":
            return "ignore"
        return by_analysis.get(statement.analysis, DEFAULT_POLICIES).get(statement.kind, "rows")

    def kind(statement: Statement) -> str:
        return "exists" if policy(statement) == "witness" else "data"

    wanted = [statement for statement in statements if policy(statement) != "ignore"]
    names = _named(wanted)
    schemas = {schema for schema, _ in names if schema is not None}
    asker = Asker(connection)
    asker.start()
    try:
        catalog = _read_catalog(asker, schemas, names, virtual)
        reports, demands = _analyse_all(group(wanted, kind), catalog, asker, strict)
        sets = Cascade(asker, catalog, parts=parts, progress=progress).run(demands, closed)
        included = _included(catalog, sets, reports, parts) if closed else set(sets.keys)
        totals = {name: _count(asker, f"SELECT COUNT(*) FROM {name}") for name in sorted(included)}
        restrictions = {}
        for name in included:
            keys = sets.rows(name)
            restrictions[name] = shortest(
                catalog.tables[name], keys, totals[name], lambda sql: _count(asker, sql)
            )
        version, comment = asker.rows("SELECT @@version, @@version_comment")[0]
        charset, zone = asker.rows("SELECT @@character_set_server, @@time_zone")[0]
    finally:
        asker.stop()
    server = {
        "version": version,
        "flavor": "mariadb" if "mariadb" in (version + comment).lower() else "mysql",
        "charset": charset,
        "time_zone": zone,
    }
    result = Slice(catalog, sets, totals, reports, lambda t: restrictions[t.name], server, dj_connection)
    result.parts = parts
    return result


def _policies(chosen: Mapping[str, str]) -> dict[str, str]:
    for kind, policy in chosen.items():
        if policy not in _CHOICES.get(kind, ()):
            raise SliceError(f"The policy for {kind!r} must be one of {_CHOICES.get(kind)}, not {policy!r}.")
    return {**DEFAULT_POLICIES, **chosen}


def _named(statements: Iterable[Statement]) -> set[tuple[str | None, str]]:
    names: set[tuple[str | None, str]] = set()
    for sql in {statement.sql for statement in statements}:
        names.update(named_tables(sql))
    return names


def _read_catalog(
    asker: Asker, schemas: set[str], names: set[tuple[str | None, str]], virtual: Sequence[ForeignKey]
) -> Catalog:
    """The catalog of all named schemas, and of those that views among the tables name in turn."""
    while True:
        catalog = Catalog.read(asker.connection, schemas, virtual)
        more: set[str] = set()
        for table in catalog.tables.values():
            if table.is_view and table.view_sql and any(name == table.name for _, name in names):
                found = named_tables(table.view_sql)
                names = names | set(found)
                more |= {schema for schema, _ in found if schema is not None}
        if more <= schemas:
            return catalog
        schemas = schemas | more


def _analyse_all(
    shapes: Sequence[Shape], catalog: Catalog, asker: Asker, strict: bool
) -> tuple[list[StatementReport], list[Demand]]:
    """Lineage of all statements: compiled once for a shape, asked in one query for its bindings where possible."""
    reports: list[StatementReport] = []
    demands: list[Demand] = []
    for shape in shapes:
        made = _whole_shape(shape, catalog, asker)
        if made is None:
            made = [_one_by_one(shape, binding, catalog, asker) for binding in shape.bindings]
        for lineage, demand, counted in made:
            if lineage.fallback and strict:
                raise LineageError(
                    f"Statement {demand.numbers[0]} cannot be analysed: {lineage.fallback}. With strict=True this is "
                    f"an error; without, all rows of {', '.join(t.full_name for t in lineage.tables)} are "
                    f"exported:\n{lineage.sql}"
                )
            demands.append(demand)
            for statement, now in counted:
                if lineage.sql:
                    reports.append(_report(statement, lineage, now))
    return sorted(reports, key=lambda report: report.statement.number), demands


_Made = tuple[Lineage, Demand, "list[tuple[Statement, int | None]]"]


def _report(statement: Statement, lineage: Lineage, now: int | None) -> StatementReport:
    whole = lineage.reads_whole
    return StatementReport(
        statement,
        statement.sql if whole else lineage.sql,
        lineage.marks,
        lineage.ordered,
        lineage.fallback,
        statement.rows if whole else None,
        now if whole else None,
        tuple(table.full_name for table in lineage.tables),
    )


def _one_by_one(shape: Shape, binding: tuple[str, ...], catalog: Catalog, asker: Asker) -> _Made:
    members = shape.bindings[binding]
    lineage = analyse(members[0].sql, catalog, kind=shape.kind)
    lineage, now = _checked(lineage, asker)
    numbers = tuple(s.number for s in members)
    return lineage, Demand(numbers, lineage.leaves, lineage.witnesses), [(s, now) for s in members]


def _whole_shape(shape: Shape, catalog: Catalog, asker: Asker) -> list[_Made] | None:
    """The lineage of a shape, asked for all bindings at once; None if they must be asked one by one."""
    if len(shape.bindings) < 2 or not next(iter(shape.bindings)):
        return None
    try:
        lineage = analyse(shape.marked, catalog, kind=shape.kind)
    except LineageError:
        return None
    if lineage.fallback or lineage.query is None or lineage.witnesses or not lineage.reads_whole:
        return None
    found = batch(lineage.query)
    if found is None:
        return None
    tables = [leaf.table for leaf in lineage.leaves]
    lists = list(_binding_lists(shape, found))
    leaves = tuple(
        Leaf(table, sql.replace(f"`{KEYS}`", f"({found.columns}) IN ({text})"))
        for table, sql in zip(tables, found.leaves, strict=True)
        for text in lists
    )
    try:
        asker.rows(f"EXPLAIN {leaves[0].sql}") if leaves else None
        counts = _batch_counts(shape, found, lists, asker)
    except pymysql.MySQLError:
        return None
    if counts is None:
        return None
    return [(lineage, Demand(shape.numbers, leaves, ()), counts)]


def _binding_lists(shape: Shape, found: Batch) -> Iterator[str]:
    """The bindings as lists of rows, each of at most about `keys.LIST_BYTES`."""
    rows: list[str] = []
    size = 0
    for binding in shape.bindings:
        values = ", ".join(binding[i] for i in found.order)
        row = f"({values})" if len(found.order) > 1 else values
        if rows and size + len(row) > LIST_BYTES:
            yield ", ".join(rows)
            rows, size = [], 0
        rows.append(row)
        size += len(row) + 2
    yield ", ".join(rows)


def _batch_counts(
    shape: Shape, found: Batch, lists: Sequence[str], asker: Asker
) -> list[tuple[Statement, int | None]] | None:
    """Rows of each statement now, told from the sum over all; None where the sum differs or does not tell."""
    members = [s for bound in shape.bindings.values() for s in bound]
    if found.single:
        return [(s, 1) for s in members]
    if found.count is None or any(s.rows is None for s in members):
        return None
    now = sum(
        _count(asker, found.count.replace(f"`{KEYS}`", f"({found.columns}) IN ({text})")) for text in lists
    )
    then = [{s.rows for s in bound} for bound in shape.bindings.values()]
    if any(len(rows) > 1 for rows in then) or now != sum(rows.pop() or 0 for rows in then):
        return None
    return [(s, s.rows) for s in members]


def _checked(lineage: Lineage, asker: Asker) -> tuple[Lineage, int | None]:
    """The lineage after the server has accepted its queries, and the number of rows of the statement now.

    A query that the server refuses was rewritten wrongly: the statement falls back to whole tables, with the
    server's word as the reason.
    """
    if not lineage.sql:
        return lineage, None
    try:
        for leaf in lineage.leaves:
            if leaf.sql is not None:
                asker.rows(f"EXPLAIN {leaf.sql}")
        for rule in lineage.witnesses:
            for sql, _ in rule.asks:
                asker.rows(f"EXPLAIN {_without_keys(sql)}")
            if rule.group_sql:
                asker.rows(f"EXPLAIN {_without_keys(rule.group_sql)}")
        if lineage.query is not None:
            return lineage, _count(asker, f"SELECT COUNT(*) FROM ({_numbered(lineage.query)}) AS `counted`")
    except pymysql.MySQLError as error:
        whole = tuple(Leaf(table, None) for table in lineage.tables)
        reason = f"the server refuses the rewritten statement: {error.args[-1]}"
        lineage = dataclasses.replace(lineage, leaves=whole, witnesses=(), fallback=reason, query=None)
    try:
        return lineage, len(asker.rows(lineage.sql))
    except pymysql.MySQLError as error:
        raise LineageError(
            f"Running a captured statement again: the server refuses it now ({error.args[-1]}). A table or column "
            f"may have been changed since the analysis ran:\n{lineage.sql}"
        ) from error


def _without_keys(sql: str) -> str:
    return sql.replace(f"`{KEYS}`", "TRUE")


def _numbered(query: Query) -> str:
    """The statement with output names that differ, so that it can be a derived table."""

    def renamed(inner: Query) -> Query:
        if isinstance(inner, Union):
            return dataclasses.replace(inner, branches=tuple(renamed(branch) for branch in inner.branches))
        assert isinstance(inner, Block)
        outputs = tuple(Output(f"c{i}", output.expr) for i, output in enumerate(inner.outputs))
        return dataclasses.replace(inner, outputs=outputs)

    return to_sql(renamed(query))


def _included(catalog: Catalog, sets: KeySets, reports: Sequence[StatementReport], parts: str) -> set[str]:
    """Tables with rows, tables that statements name, what these refer to, and the parts of them."""
    names = {name for name, keys in sets.keys.items() if keys}
    names |= {name for report in reports for name in report.tables}
    while True:
        more = catalog.ancestors(names)
        if parts == "all":
            more |= {fk.child for name in more for fk in catalog.parts(name)}
        if more <= names:
            return names
        names = names | more


def _count(asker: Asker, sql: str) -> int:
    return int(asker.rows(sql)[0][0])


__all__ = [
    "DEFAULT_POLICIES",
    "Slice",
    "StatementReport",
    "TableSlice",
    "make_slice",
]
