"""Making: from captured statements to a slice.

In: statements and a connection to the database. Out: a `Slice`, or the `Plan` for one. It runs lineage and cascade in
one snapshot, and counts the rows of each table there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from ..cascade import Cascade, KeySets, Reader
from ..cascade.inside import Inside
from ..cascade.keysets import KeySet, chosen, length
from ..cascade.leaves import StatementReport, analyse_all, require_all, skipped
from ..cascade.options import Options
from ..cascade.plan import Plan, included_tables, plan
from ..display import count
from ..errors import LineageError, SliceError
from ..gc_pause import gc_paused
from ..journal import Statement
from ..lineage.levels import Texts
from ..names import split_full_name
from ..progress import Progress, shown
from ..rules import LEFT_OUT, POLICIES, POLICY_CHOICES, SKIPPED
from ..servers import backend_of, snapshot_of
from ..servers.catalog import Catalog
from ..servers.dialect import Dialect, Key
from ..servers.snapshot import reconnecting
from ..servers.syntaxes import syntax_of
from ..shapes import Shape, group
from .access import require_access
from .named import catalog_of
from .orphans import refuse_orphans
from .restrict import by_columns, shortest
from .slice import Slice
from .tables import TableSlice
from .where import require_one_server
from .why import texts_of

T = TypeVar("T")

Policies = Mapping[str, Mapping[str, str]]


@gc_paused()
def make_slice(
    statements: Sequence[Statement],
    connection: Any,
    *,
    policies: Policies | None = None,
    also: Mapping[str, Iterable[Key]] | None = None,
    progress: Callable[[str, int], None] | None = None,
    dj_connection: Any = None,
    **options: Any,
) -> Slice:
    """The slice that a list of captured statements needs.

    Parameters
    ----------
    statements : sequence of Statement
    connection : connection of the driver
        It returns values as the server prints them, and is used for one read-only snapshot.
    policies : mapping, optional
        For each analysis, the policies of its kinds: ``preview`` ("ignore", "rows"), ``count`` ("rows", "ignore"),
        ``exists`` ("witness", "rows", "ignore"). Default: `rules.POLICIES`.
    also : mapping, optional
        Keys of further rows for the slice, by full table name.
    progress : callable, optional
        Called with the name of the step and the number of parts that were done just now.
    dj_connection : datajoint.Connection, optional
        The connection of tables from the slice; default ``dj.conn()``.
    **options
        Of `Options`.

    Raises
    ------
    LineageError, CatalogError, SliceError
    """
    chosen = Options(**options)
    with shown(progress) as told, snapshot_of(connection) as snapshot:
        reader = Reader(snapshot)
        exported, left_out = _taken(_exported(statements, policies), chosen)
        if dj_connection is not None:
            require_one_server(exported, dj_connection)
        shapes = _shapes(exported, policies, snapshot.dialect)
        texts = Texts(syntax_of(snapshot.dialect))
        catalog, names, unanswered = catalog_of(shapes, snapshot, chosen, texts)
        require_access(catalog, names | {split_full_name(name) for name in also or {}}, snapshot, chosen)
        inside, guarded = (Inside(catalog, bounds, reader) for bounds in (chosen.only, chosen.guard))
        reports, demands = analyse_all(
            shapes, catalog, reader, chosen.strict, told, inside, texts, unanswered
        )
        reports = sorted([*reports, *map(skipped, left_out)], key=lambda report: report.statement.number)
        sets = Cascade(reader, catalog, chosen, told, inside).run(demands, also or {})
        if sets.refused:
            reports = [_refused(report, sets, chosen.strict) for report in reports]
        reports = [_cut(report) if report.statement.number in sets.cut else report for report in reports]
        refused = _outside(sets, guarded)
        result = _finished(reader, catalog, sets, reports, chosen, dj_connection, told, inside)
    if refused:
        raise SliceError(_refusal(result, refused))
    return result


@gc_paused()
def make_plan(
    statements: Sequence[Statement], connection: Any, *, policies: Policies | None = None, **options: Any
) -> Plan:
    """The queries that `make_slice` would send, in order; same arguments. It reads only the catalog."""
    chosen = Options(**options)
    with snapshot_of(connection) as snapshot:
        taken, _ = _taken(_exported(statements, policies), chosen)
        shapes = _shapes(taken, policies, snapshot.dialect)
        texts = Texts(syntax_of(snapshot.dialect))
        catalog, _, unanswered = catalog_of(shapes, snapshot, chosen, texts)
        require_all(unanswered)
        return plan(shapes, catalog, chosen, lambda shape: snapshot.session(shape.state), texts)


def on_server(dj_connection: Any, work: Callable[[Any], T]) -> T:
    """Do work on a separate connection to the server of a DataJoint connection; start again if it is lost."""
    return reconnecting(lambda: backend_of(dj_connection).connect(dj_connection, plain=True), work)


class _Algebra:
    """The operators of slices (`slice.Maker`)."""

    def union(self, one: Slice, other: Slice) -> Slice:
        """The slice that the statements of both need together (``one + other``)."""
        if set(one.only) != set(other.only):
            raise SliceError(
                "Adding slices that keep inside of different bounds: which of them would hold for what both bring? "
                "Make both with the same only=…"
            )
        reports = (*one.statements, *other.statements)
        statements = [
            report.statement._replace(number=number) for number, report in enumerate(reports, start=1)
        ]
        skip = [s.number for s, report in zip(statements, reports, strict=True) if SKIPPED in report.marks]
        parts = "all" if "all" in (one.parts, other.parts) else "referenced"
        also = {name: one.keys(name) | other.keys(name) for name in {*one.tables, *other.tables}}
        return on_server(
            one.connection,
            lambda raw: make_slice(
                statements,
                raw,
                parts=parts,
                also=also,
                only=one.only,
                skip_statements=skip,
                dj_connection=one.connection,
            ),
        )

    def rows_of(self, cut: Slice, keys: Mapping[str, Iterable[Key]]) -> Slice:
        """Some rows of a slice and what they refer to (``one & other``, ``one - other``).

        Its statements are those of ``cut``, marked ``left-out``: there is no promise that they replay.
        """

        def made(connection: Any) -> Slice:
            with shown() as told, snapshot_of(connection) as snapshot:
                reader, chosen = Reader(snapshot), Options(parts="referenced", only=cut.only)
                inside = Inside(cut.catalog, cut.only, reader)
                sets = Cascade(reader, cut.catalog, chosen, told, inside).from_keys(keys)
                reports = [_cut(report) for report in cut.statements]
                return _finished(reader, cut.catalog, sets, reports, chosen, cut.connection, told, inside)

        return on_server(cut.connection, made)


def _exported(statements: Sequence[Statement], policies: Policies | None) -> list[Statement]:
    """The statements of kinds that export rows."""
    policy = _policy_of(policies)
    return [s for s in statements if policy(s.analysis, s.kind) != "ignore"]


def _taken(
    statements: Sequence[Statement], options: Options
) -> tuple[Sequence[Statement], Sequence[Statement]]:
    """The statements of a slice, and those that the user left out."""
    skip = set(options.skip_statements)
    unknown = skip - {statement.number for statement in statements}
    if unknown:
        raise SliceError(
            f"Leaving out statement {min(unknown)}: no statement of the chosen analyses that exports rows has this"
            " number. `dj-sqlspy show PAPER --statements` lists them; a number is the same whichever analyses are"
            " chosen."
        )
    return [s for s in statements if s.number not in skip], [s for s in statements if s.number in skip]


def _shapes(statements: Sequence[Statement], policies: Policies | None, dialect: Dialect) -> list[Shape]:
    """The shapes of statements that export rows."""
    policy = _policy_of(policies)
    return group(
        statements,
        lambda s: "exists" if policy(s.analysis, s.kind) == "witness" else "data",
        dialect.literals,
    )


def _policy_of(policies: Policies | None) -> Callable[[str, str], str]:
    """A function that gives the policy for an analysis and a kind."""
    by_analysis = {analysis: _policies(chosen) for analysis, chosen in (policies or {}).items()}

    @cache
    def policy(analysis: str, kind: str) -> str:
        if kind == "metadata":
            return "ignore"
        return by_analysis.get(analysis, POLICIES).get(kind, "rows")

    return policy


def _policies(chosen: Mapping[str, str]) -> dict[str, str]:
    for kind, policy in chosen.items():
        if policy not in POLICY_CHOICES.get(kind, ()):
            raise SliceError(
                f"The policy for {kind!r} must be one of {POLICY_CHOICES.get(kind)}, not {policy!r}."
            )
    return {**POLICIES, **chosen}


def _refused(report: StatementReport, sets: KeySets, strict: bool) -> StatementReport:
    """The report of a statement, with the server's message if it refused a query for its rows."""
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


def _cut(report: StatementReport) -> StatementReport:
    return report._replace(marks=report.marks | {LEFT_OUT})


def _finished(
    reader: Reader,
    catalog: Catalog,
    sets: KeySets,
    reports: Sequence[StatementReport],
    options: Options,
    dj_connection: Any,
    progress: Progress,
    inside: Inside,
) -> Slice:
    """The slice of given key sets, with totals and restrictions from the same snapshot."""
    names = included_tables(catalog, sets.keys, reports, options.parts) if options.closed else sets.keys
    each = catalog.in_order(names)
    progress.expect("tables counted", len(each))
    catalog.read_columns(each)  # now, because the slice may be used later without this connection
    totals: dict[str, int] = {}
    for name, total in zip(each, reader.totals(each), strict=True):
        totals[name] = total
        progress("tables counted")
    refuse_orphans(reader, [catalog.tables[name] for name in each], sets, progress)
    tables = {name: _table(catalog, sets, name, totals[name], reader, inside) for name in each}
    return Slice(
        catalog,
        sets,
        tables,
        reports,
        reader.snapshot.state()._asdict(),
        _Algebra(),
        parts=options.parts,
        only=options.only,
        left_out={name: len(rows) for name, rows in sets.left_out.items()},
        connection=dj_connection,
    )


def _table(
    catalog: Catalog, sets: KeySets, name: str, total: int, reader: Reader, inside: Inside
) -> TableSlice:
    table, keys = catalog.tables[name], sets.rows(name)
    reasons: dict[str, int] = {}
    for index, number in keys.counts().items():
        rule = sets.reasons[index].rule
        reasons[rule] = reasons.get(rule, 0) + number
    # a table without a key may have equal rows, and the slice has all or none of them
    rows = len(keys) if table.primary_key or not keys else total
    restriction = shortest(table, keys, total, reader.snapshot.count)
    if keys and not table.primary_key and name in inside:
        columns, asked = inside.columns(name)
        found = reader.snapshot.rows(asked)
        restriction, rows = by_columns(table, columns, found, total, reader.snapshot.count)
    return TableSlice(name, table, rows, total, reasons, keys, restriction)


def _outside(sets: KeySets, inside: Inside) -> dict[str, KeySet]:
    """The rows outside of the bounds, by full table name."""
    found: dict[str, KeySet] = {}
    for name, rows in sets.keys.items():
        if name in inside:
            keys, kept = rows.columns(), KeySet(rows.table, sets.coder)
            kept.add(inside.among(rows.table, keys), 0)
            others = chosen(keys, ~kept.among(keys))
            if length(others):
                found[name] = KeySet(rows.table, sets.coder)
                found[name].add(others, 0)
    return found


def _refusal(result: Slice, refused: Mapping[str, KeySet]) -> str:
    """The message of a guard: rows outside of it, each with the reason that it is in the slice."""
    lines = [
        f"Making a slice: {sum(map(len, refused.values()))} rows lie outside of the guard, so nothing is written. "
        "Leave them out with only=… (--only), or forget the statements that read them:"
    ]
    texts = texts_of(result.statements)
    for name, rows in refused.items():
        lines.append(f"{name}: {count(len(rows), 'row')}")
        for key in sorted(rows, key=repr)[:3]:
            lines += [f"    {step}" for step in result.explain(name, key, texts)]
    return "\n".join(lines)
