"""Slice: the exact set of rows to export, and why.

In: captured statements and a connection to the database. Out: a `Slice`: for each table the number of its rows in
the slice and in all, the conditions that read exactly these rows, and for each row the reason that it is there.
It drives lineage and cascade, and copies no row.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import tee
from typing import Any

from .. import compat, display
from ..cascade import PARENT, Asker, Cascade, KeySets, noticing_loss, plain_decoders
from ..cascade.demands import StatementReport, analyse_all, count, counts
from ..cascade.keys import Key, condition, expressions, key_columns
from ..cascade.plan import Plan, included_tables, plan
from ..catalog import Catalog, ForeignKey, Table
from ..collector import held_off
from ..errors import LineageError, SliceError
from ..journal import Statement
from ..lineage import named_tables
from ..policies import POLICIES, POLICY_CHOICES
from ..progress import Progress, shown
from ..shapes import Shape, group
from ..sql import full_name, split_full_name
from .access import require_access
from .bounds import Bound, affected, outside, without
from .readers import Ask
from .restrict import Restriction, shortest
from .why import explain, stored_key

LEFT_OUT = "left-out"  # the mark of a statement that needs rows which a bound kept out


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

    def __str__(self) -> str:
        return display.table_text(self)

    def _repr_html_(self) -> str:
        return display.table_html(self)

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
    left_out : dict of str to int
        Rows that a bound (``only``) kept out, by full table name; the statements that would need them are marked
        ``left-out``.
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
        self.left_out: dict[str, int] = {}
        self._sets = sets
        self.connection = connection
        self.tables: dict[str, TableSlice] = {}
        for name in catalog.in_order(totals):
            keys = sets.rows(name)
            reasons: dict[str, int] = {}
            for index, number in keys.counts().items():
                rule = sets.reasons[index].rule
                reasons[rule] = reasons.get(rule, 0) + number
            table = catalog.tables[name]
            # rows of a table without a key may be equal, and are in the slice all or none
            rows = len(keys) if table.primary_key or not keys else totals[name]
            self.tables[name] = TableSlice(name, table, rows, totals[name], reasons, keys, find)

    def __repr__(self) -> str:
        rows = sum(table.rows for table in self.tables.values())
        return f"<Slice: {rows} rows of {sum(t.rows > 0 for t in self.tables.values())} tables>"

    def __str__(self) -> str:
        return display.slice_text(self)

    def _repr_html_(self) -> str:
        return display.slice_html(self)

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

        connection = self.connection or datajoint.conn()
        return [
            datajoint.FreeTable(connection, name) & table.restriction
            for name, table in self.tables.items()
            if table.rows
        ]

    # -------------------------------------------------- algebra

    def keys(self, name: str) -> set[Key]:
        """The primary keys of the rows of one table in the slice (integers, texts as the server prints them, bytes)."""
        return set(self._sets.keys.get(self.catalog.name_of(name), ()))

    def __add__(self, other: Slice) -> Slice:
        """The slice of the statements of both."""
        from .pick import union

        return union(self, other)

    def __and__(self, other: Slice) -> Slice:
        """The rows that are in both, and what they refer to."""
        from .pick import rows_of

        return rows_of(self, {name: self.keys(name) & other.keys(name) for name in self.tables})

    def __sub__(self, other: Slice) -> Slice:
        """The rows that are not in the other slice, and what they refer to."""
        from .pick import rows_of

        return rows_of(self, {name: self.keys(name) - other.keys(name) for name in self.tables})

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
            One line a step: the row, and the rule that brought it; the last step names the statements that read the
            row (at most five).

        Raises
        ------
        SliceError
            If the table is not part of the slice, or the row is not.
        """
        table = self.catalog.name_of(table)
        if table not in self.tables:
            raise SliceError(
                f"Explaining a row: {table} is not part of the slice; it has {', '.join(self.tables)}."
            )
        with self._asking() as ask:
            return self.explain(table, stored_key(self.tables[table].table, key, self._sets.rows(table), ask))

    def explain(self, name: str, found: Key) -> list[str]:
        """`why` for a key in the form that key sets have."""
        with self._asking() as ask:
            return explain(self.catalog, self._sets, self.statements, ask, name, found)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[Ask]:
        """A way to ask the server, connected to only where it is asked; without a connection it knows nothing."""
        opened: list[Any] = []

        def ask(sql: str, arguments: Sequence[Any] | None = None) -> Sequence[tuple[Any, ...]]:
            if self.connection is None:
                return ()
            if not opened:
                opened.append(compat.raw_connection(self.connection, conv=plain_decoders()))
            with opened[0].cursor() as cursor:
                cursor.execute(sql, arguments)
                rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
                return rows

        try:
            yield ask
        finally:
            for connection in opened:
                connection.close()


# ---------------------------------------------------------------- making one


@held_off()
def make_slice(
    statements: Sequence[Statement],
    connection: Any,
    *,
    parts: str = "all",
    strict: bool = False,
    closed: bool = True,
    policies: Mapping[str, Mapping[str, str]] | None = None,
    virtual: Sequence[ForeignKey] = (),
    only: Sequence[Bound] = (),
    guard: Sequence[Bound] = (),
    down: bool = False,
    also: Mapping[str, Iterable[Key]] | None = None,
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
        "ignore"), ``exists`` ("witness", "rows", "ignore"); `policies.POLICIES` where it says nothing.
    virtual : sequence of ForeignKey
        References that the database does not declare.
    only : sequence of Bound
        Leave out the rows of the bounded tables that these do not name, and all that descends from them.
    guard : sequence of Bound
        Refuse where such rows are in the slice.
    down : bool
        Take also all rows that refer to rows that were read, and so on down.
    also : mapping, optional
        For full table names, keys of rows to take whatever the statements read.
    progress : callable, optional
        Called with what is being done and how much of it was done now.

    Raises
    ------
    LineageError, CatalogError, SliceError
    """
    asker = Asker(connection)
    with shown(progress) as told, asker.snapshot():
        shapes = _shapes(statements, policies)
        catalog, names = _catalog_of(shapes, asker, virtual, down)
        starts = names | {split_full_name(name) for name in also or {}}
        require_access(catalog, starts, asker, closed=closed, parts=parts, down=down)
        reports, demands = analyse_all(shapes, catalog, asker, strict, told)
        sets = Cascade(asker, catalog, parts=parts, progress=told).run(
            demands, closed=closed, down=down, also=also or {}
        )
        if sets.refused:
            reports = [_refused(report, sets, strict) for report in reports]
        left_out = outside(catalog, sets, only, asker) if only else {}
        if left_out:
            sets = without(sets, left_out)
            numbers = affected(demands, left_out, asker)
            reports = [_cut(report) if report.statement.number in numbers else report for report in reports]
        refused = outside(catalog, sets, guard, asker) if guard else {}
        included = included_tables(catalog, sets.keys, reports, parts) if closed else set(sets.keys)
        result = _finished(asker, catalog, sets, reports, included, dj_connection, told)
    result.parts = parts
    result.left_out = {name: len(rows) for name, rows in left_out.items()}
    if refused:
        raise SliceError(_refusal(result, refused))
    return result


@held_off()
def make_plan(
    statements: Sequence[Statement],
    connection: Any,
    *,
    parts: str = "all",
    policies: Mapping[str, Mapping[str, str]] | None = None,
    virtual: Sequence[ForeignKey] = (),
    only: Sequence[Bound] = (),
    guard: Sequence[Bound] = (),
) -> Plan:
    """What `make_slice` would ask of the server, in which order; the arguments are its own. It reads the catalog."""
    asker = Asker(connection)
    with asker.snapshot():
        shapes = _shapes(statements, policies)
        catalog, _ = _catalog_of(shapes, asker, virtual, False)
    return plan(shapes, catalog, parts, bounded=bool([*only, *guard]))


def _shapes(statements: Sequence[Statement], policies: Mapping[str, Mapping[str, str]] | None) -> list[Shape]:
    """The shapes of the statements that export rows."""
    by_analysis = {analysis: _policies(chosen) for analysis, chosen in (policies or {}).items()}

    @cache
    def policy(analysis: str, kind: str) -> str:
        if kind == "metadata":
            return "ignore"
        return by_analysis.get(analysis, POLICIES).get(kind, "rows")

    def kind(statement: Statement) -> str:
        return "exists" if policy(statement.analysis, statement.kind) == "witness" else "data"

    return group([s for s in statements if policy(s.analysis, s.kind) != "ignore"], kind)


_Names = set[tuple[str | None, str]]


def _catalog_of(
    shapes: Sequence[Shape], asker: Asker, virtual: Sequence[ForeignKey], down: bool
) -> tuple[Catalog, _Names]:
    """The catalog, with the columns of the schemas that the statements can lead to; and the tables that they name."""
    names, guessed = _named(shapes, asker)
    schemas = {schema for schema, _ in names | guessed if schema is not None}
    catalog = _read_catalog(asker, schemas, names | guessed, virtual, down)
    named = {full_name(schema, name) for schema, name in names if schema is not None}
    if named <= catalog.tables.keys():
        catalog.read_columns(catalog.ancestors(named))
    return catalog, names


def _refused(report: StatementReport, sets: KeySets, strict: bool) -> StatementReport:
    """The report of a statement, with what the server said where it refused a query for its rows."""
    error = sets.refused.get(report.statement.number)
    if error is None:
        return report
    reason = f"the server refuses the rewritten statement: {error}"
    if strict:
        raise LineageError(
            f"Statement {report.statement.number} cannot be analysed: {reason}. With strict=True this is an error; "
            f"without, all rows of the tables concerned are exported:\n{report.sql}"
        )
    return report._replace(fallback=reason)


def _finished(
    asker: Asker,
    catalog: Catalog,
    sets: KeySets,
    reports: Sequence[StatementReport],
    names: set[str],
    dj_connection: Any,
    progress: Progress,
) -> Slice:
    """The slice of given key sets, with its totals and restrictions read in the same snapshot."""
    progress.expect("tables counted", len(names))
    totals: dict[str, int] = {}
    each = catalog.in_order(names)
    catalog.read_columns(each)  # whoever looks at the slice later has another connection, or none
    for name, total in zip(
        each, counts(asker, (f"SELECT COUNT(*) FROM {name}" for name in each)), strict=True
    ):
        totals[name] = total
        progress("tables counted")
    _refuse_orphans(asker, [catalog.tables[name] for name in each], sets, progress)
    restrictions = {
        name: shortest(catalog.tables[name], sets.rows(name), totals[name], lambda sql: count(asker, sql))
        for name in each
    }
    version, comment = asker.rows("SELECT @@version, @@version_comment")[0]
    charset, zone = asker.rows("SELECT @@character_set_server, @@time_zone")[0]
    server = {
        "version": version,
        "flavor": "mariadb" if "mariadb" in (version + comment).lower() else "mysql",
        "charset": charset,
        "time_zone": zone,
    }
    return Slice(catalog, sets, totals, reports, lambda t: restrictions[t.name], server, dj_connection)


def _refuse_orphans(asker: Asker, tables: Iterable[Table], sets: KeySets, progress: Progress) -> None:
    """Raise where a row of the slice refers to a row that the database does not have.

    The cascade derives keys of parents from keys of children without asking. A foreign key that was violated while
    FOREIGN_KEY_CHECKS was off would make it count a row that is not there, for which another one could leave.
    """

    def lists() -> Iterator[tuple[Table, list[Key]]]:
        for table in tables:
            keys = sets.rows(table.full_name)
            for reason in keys.counts():
                if sets.reasons[reason].rule == PARENT:
                    followed = asker.coder.lists(table, keys.columns(reason))
                    yield from ((table, chunk) for chunk in followed)

    def counted(table: Table, keys: Sequence[Key]) -> str:
        columns = key_columns(table)
        return (
            f"SELECT COUNT(*) FROM {table.full_name} WHERE {condition(expressions(columns), columns, keys)}"
        )

    asked, found = tee(lists())
    for (table, keys), number in zip(found, counts(asker, (counted(*one) for one in asked)), strict=True):
        progress("keys looked up", len(keys))
        if number != len(keys):
            _refuse(asker, table, keys, sets)


def _refuse(asker: Asker, table: Table, keys: Sequence[Key], sets: KeySets) -> None:
    columns = key_columns(table)
    names = expressions(columns)
    sql = f"SELECT {names} FROM {table.full_name} WHERE {condition(names, columns, keys)}"
    stored = set(asker.coder.keys(table, asker.keys(table, sql)))
    missing = [key for key in keys if key not in stored]
    fk = sets.reasons[sets.rows(table.full_name)[missing[0]]].foreign_key
    example = ", ".join(f"{c.name}={v!r}" for c, v in zip(columns, missing[0], strict=True))
    raise SliceError(
        f"Following foreign keys to {table.full_name}: {len(missing)} of its rows that {fk.child if fk else '?'} "
        f"refers to are not in the database, such as ({example}). The foreign key is violated there already (rows "
        "were changed while FOREIGN_KEY_CHECKS was off). Repair these rows, or forget the statements that read "
        "them."
    )


def only_keys(cut: Slice, keys: Mapping[str, Iterable[Key]], connection: Any) -> Slice:
    """A slice of given rows of another one, and of what they refer to.

    Its statements are those of ``cut``, marked ``left-out``: they are not promised to replay.
    """
    asker = Asker(connection)
    with shown() as progress, asker.snapshot():
        sets = Cascade(asker, cut.catalog, parts="referenced", progress=progress).from_keys(keys)
        reports = [_cut(report) for report in cut.statements]
        names = included_tables(cut.catalog, sets.keys, (), "referenced")
        result = _finished(asker, cut.catalog, sets, reports, names, cut.connection, progress)
    result.parts = "referenced"
    return result


def _cut(report: StatementReport) -> StatementReport:
    return report._replace(marks=report.marks | {LEFT_OUT})


def _refusal(result: Slice, refused: Mapping[str, set[Key]]) -> str:
    """What a guard found: rows outside of it, each with the reason that it is in the slice."""
    lines = [
        f"Making a slice: {sum(map(len, refused.values()))} rows lie outside of the guard, so nothing is written. "
        "Leave them out with only=…, or forget the statements that read them:"
    ]
    for name, rows in refused.items():
        lines.append(f"{name}: {len(rows)} rows")
        for key in sorted(rows, key=repr)[:3]:
            lines += [f"    {step}" for step in result.explain(name, key)]
    return "\n".join(lines)


def _policies(chosen: Mapping[str, str]) -> dict[str, str]:
    for kind, policy in chosen.items():
        if policy not in POLICY_CHOICES.get(kind, ()):
            raise SliceError(
                f"The policy for {kind!r} must be one of {POLICY_CHOICES.get(kind)}, not {policy!r}."
            )
    return {**POLICIES, **chosen}


def _named(
    shapes: Iterable[Shape], asker: Asker
) -> tuple[set[tuple[str | None, str]], set[tuple[str | None, str]]]:
    """The tables that statements name, in the schema of USE where they name none; and those that they may name.

    The latter are, of a statement that cannot be parsed, ``x.y`` where x is a schema.
    """
    names: set[tuple[str | None, str]] = set()
    guessed: set[tuple[str | None, str]] = set()
    for shape in shapes:
        found = None
        for text in (shape.marked, shape.first.sql):
            with contextlib.suppress(LineageError):
                found = found or named_tables(text, guess=False)
        if found is None:
            guessed.update(named_tables(shape.first.sql))
        else:
            names.update((schema or shape.database or None, name) for schema, name in found)
    if guessed:
        schemas = {
            row[0].lower() for row in asker.rows("SELECT schema_name FROM information_schema.schemata")
        }
        guessed = {(schema, name) for schema, name in guessed if schema and schema.lower() in schemas}
    return names, guessed


def _read_catalog(
    asker: Asker,
    schemas: set[str],
    names: set[tuple[str | None, str]],
    virtual: Sequence[ForeignKey],
    down: bool,
) -> Catalog:
    """The catalog of all named schemas, and of those that views among the tables name in turn."""
    while True:
        with noticing_loss():
            catalog = Catalog.read(asker.connection, schemas, virtual, down=down, partial=True, columns=False)
        more = _behind_views(catalog, {name for _, name in names})
        if more <= schemas:
            return catalog
        schemas = schemas | more


def _behind_views(catalog: Catalog, names: Iterable[str]) -> set[str]:
    """The schemas that the views of these names read, themselves or through other views."""
    views: dict[str, list[str]] = {}
    for table in catalog.tables.values():
        if table.view_sql:
            views.setdefault(table.name.lower(), []).append(table.view_sql)
    todo, done, schemas = {name.lower() for name in names}, set[str](), set[str]()
    while todo:
        name = todo.pop()
        done.add(name)
        for sql in views.get(name, ()):
            found = named_tables(sql)
            schemas |= {schema for schema, _ in found if schema is not None}
            todo |= {other.lower() for _, other in found} - done
    return schemas


__all__ = [
    "Slice",
    "StatementReport",
    "TableSlice",
    "make_slice",
]
