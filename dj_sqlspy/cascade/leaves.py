"""Leaves: turns statements into demands for the cascade.

In: shapes of captured statements, the `Catalog` and a `Reader`. Out: for each statement a `StatementReport`, and the
`Demand`s of all: leaves and witness rules that the server has accepted. Lineage is computed once for a shape. If
possible, one query serves all of its bindings. Each statement is run once more, in its session, and its result is
compared with the digest of what the analysis received. Nothing is closed here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ..display import count, short
from ..errors import LineageError
from ..journal import Statement
from ..lineage import Leaf, Lineage, analyse
from ..lineage.analysis import analyse_levels, filled
from ..lineage.batch import Batch, batch
from ..lineage.generate import to_sql
from ..lineage.inside import narrowed
from ..lineage.levels import Levels, Texts
from ..lineage.tree import Block, Output, Query, Union
from ..lineage.witness import Witness, with_keys
from ..progress import Progress
from ..rules import NOT_SENT, SKIPPED
from ..servers.catalog import Catalog
from ..servers.dialect import LIST_BYTES
from ..servers.expressions import nesting
from ..servers.results import Answer, names_of
from ..servers.session import PLAIN, Session
from ..servers.snapshot import Refused
from ..shapes import Binding, Shape, fill
from .bindings import expected, keys_of, sent
from .fixpoint import Demand
from .inside import Inside
from .keysets import Columns, KeySet, length
from .reader import Reader


class StatementReport(NamedTuple):
    """The outcome for one captured statement.

    Attributes
    ----------
    statement : Statement
        The captured statement.
    sql : str
        The text to replay: the statement, or its SELECT (of INSERT … SELECT).
    marks : frozenset of str
        Why its result can change by itself (``now``, ``rand``, ``session``, ``variable``, ``limit``, ``place``), or why
        it is not replayed.
    ordered : bool
        True if ORDER BY is total, so that a replay is compared in order.
    fallback : str or None
        Why it was not analysed, so that all rows of its tables are exported.
    rows_then, rows_now : int or None
        Number of rows that it returned when it was captured, and now.
    tables : tuple of str
        Full names of the base tables that it reads.
    digest_now : str or None
        Digest of its present result.
    columns_now : tuple of str
        Names of the columns of its present result, if that has a digest.
    session : Session
        Session in which it was sent.
    own : bool
        True if ``sql`` is the text as captured.
    unsent : str
        Why it may not be sent to a server again, or "".
    """

    statement: Statement
    sql: str
    marks: frozenset[str] = frozenset()
    ordered: bool = False
    fallback: str | None = None
    rows_then: int | None = None
    rows_now: int | None = None
    tables: tuple[str, ...] = ()
    digest_now: str | None = None
    columns_now: tuple[str, ...] = ()
    session: Session = PLAIN
    own: bool = True
    unsent: str = ""

    @property
    def change(self) -> str:
        """How its result has changed, in words; "" if it has not, or can change by itself."""
        if self.marks or self.rows_now is None:
            return ""
        if self.rows_then is not None and self.rows_then != self.rows_now:
            return f"{self.rows_then} rows then, {self.rows_now} now"
        if self.digest_now is None or self.statement.digest is None:
            return ""
        names, now = names_of(self.statement.columns), self.columns_now
        # in a rewritten text, expressions without an alias have other names
        if names != now if self.own else len(names) != len(now):
            return f"columns {', '.join(names)} then, {', '.join(now)} now"
        if self.statement.digest != self.digest_now:
            return f"other values in {count(self.rows_now, 'row')} now"
        return ""

    @property
    def drifted(self) -> bool:
        """True if its present result differs from what the analysis received."""
        return bool(self.change)


class _Made(NamedTuple):
    """Statements with the same lineage, what they need, and the present result of each."""

    lineage: Lineage
    demand: Demand
    answers: Sequence[tuple[Statement, Answer | None]]


class Unanswered(NamedTuple):
    """Statements that prevent a slice, and why."""

    statements: tuple[Statement, ...]
    reason: str


@nesting()
def analyse_all(
    shapes: Sequence[Shape],
    catalog: Catalog,
    reader: Reader,
    strict: bool,
    progress: Progress,
    inside: Inside,
    texts: Texts,
    unanswered: Sequence[Unanswered] = (),
) -> tuple[list[StatementReport], list[Demand]]:
    """The reports and demands of all statements.

    ``texts`` may have the parsed statements. ``unanswered`` are statements whose tables are unknown.

    Raises
    ------
    LineageError
        One error for all statements that the slice cannot have, with what to do.
    """
    reports: list[StatementReport] = []
    demands: list[Demand] = []
    stopping = list(unanswered)
    known = {statement.number for each in unanswered for statement in each.statements}
    progress.expect("statements", sum(len(members) for s in shapes for members in s.bindings.values()))
    levels: dict[Session, Levels] = {}
    for shape in shapes:
        if shape.first.number in known:
            continue
        session = reader.snapshot.session(shape.state)
        if session not in levels:
            levels[session] = Levels(catalog, session, texts)
        for made in _of_shape(shape, levels[session], reader, inside, stopping.append):
            progress("statements", len(made.demand.numbers))
            if made.lineage.fallback and strict:
                raise LineageError(
                    f"Statement {made.demand.numbers[0]} cannot be analysed: {made.lineage.fallback}. With strict=True"
                    " this is an error; without, all rows of "
                    f"{', '.join(t.full_name for t in made.lineage.tables)} are exported:\n{made.lineage.sql}"
                )
            demands.append(made.demand)
            if made.lineage.sql:
                reports += _reports(made, session)
    require_all(stopping)
    return sorted(reports, key=lambda report: report.statement.number), demands


def require_all(stopping: Sequence[Unanswered]) -> None:
    """Raise if statements prevent a slice.

    Raises
    ------
    LineageError
        It names each statement, when and where it ran, and the reason.
    """
    if not stopping:
        return
    numbers = sorted(statement.number for each in stopping for statement in each.statements)
    lines = []
    for each in sorted(stopping, key=lambda each: each.statements[0].number):
        first, more = each.statements[0], len(each.statements) - 1
        also = f" (and {more} more of this text)" if more else ""
        lines.append(f"{first.where}{also}: {each.reason}:\n    {short(first.sql, 300)}")
    listed = ",".join(map(str, numbers))
    raise LineageError(
        f"Making a slice: {count(len(numbers), 'statement')} cannot be exported, and nothing was written.\n"
        + "\n".join(lines)
        + f"\nTo write the paper without {'it' if len(numbers) == 1 else 'them'}: skip_statements=[{listed}] or"
        f" --skip-statements {listed}; the report then says first that {'it is' if len(numbers) == 1 else 'they are'}"
        " missing."
    )


def skipped(statement: Statement) -> StatementReport:
    """The report of a statement that the user left out."""
    return StatementReport(statement, statement.sql, frozenset({SKIPPED}), unsent="it was left out")


def _reports(made: _Made, session: Session) -> Iterator[StatementReport]:
    lineage = made.lineage
    marks = lineage.marks | ({NOT_SENT} if lineage.unsent else frozenset())
    tables = tuple(table.full_name for table in lineage.tables)
    for statement, answer in made.answers:
        yield StatementReport(
            statement,
            statement.sql if lineage.own else lineage.sql,
            marks,
            lineage.ordered,
            lineage.fallback,
            statement.rows if lineage.answers else None,
            None if answer is None else answer.rows,
            tables,
            None if answer is None else answer.digest,
            () if answer is None else answer.names,
            session,
            lineage.own,
            lineage.unsent,
        )


def _of_shape(
    shape: Shape,
    levels: Levels,
    reader: Reader,
    inside: Inside,
    stop: Callable[[Unanswered], None],
) -> Iterator[_Made]:
    session = levels.session
    left: Collection[Binding] = shape.bindings
    loop = loop_of(shape, levels.catalog, session, levels.texts)
    if not isinstance(loop, str):
        made, done = _together(shape, *loop, session, reader, inside)
        yield from made
        left = [binding for binding in shape.bindings if binding not in done]
    common = analyse_levels(shape.marked, levels, shape.kind, inside) if left else None
    for binding in left:
        try:
            yield _alone(shape, binding, common, levels, reader, inside)
        except (LineageError, Refused) as error:
            stop(Unanswered(tuple(shape.bindings[binding]), str(error)))


# ---------------------------------------------------------------- one statement


def _alone(
    shape: Shape,
    binding: Binding,
    common: Lineage | None,
    levels: Levels,
    reader: Reader,
    inside: Inside,
) -> _Made:
    """The lineage of one binding (if it can be, from the ``common`` one of its shape), with queries that are accepted.

    If the server refuses a query, it was rewritten wrongly. Then the statement is analysed by itself; if that does not
    help, it falls back to whole tables, with the server's message as the reason.
    """
    members, session = shape.bindings[binding], levels.session
    numbers = tuple(s.number for s in members)
    lineage = lineage_of(shape, binding, common, levels, inside)
    try:
        # rules of one group have queries in common
        for sql in () if lineage.accepted else dict.fromkeys(_queries(lineage.leaves, lineage.witnesses)):
            reader.snapshot.require_accepted(_without_keys(sql), session)
    except Refused as error:
        if common is not None:
            return _alone(shape, binding, None, levels, reader, inside)
        whole = tuple(Leaf(table, None) for table in lineage.tables)
        reason = f"the server refuses the rewritten statement: {error}"
        lineage = dataclasses.replace(lineage, leaves=whole, witnesses=(), fallback=reason, query=None)
    answer = None
    if lineage.exists:
        lineage, answer = _existing(lineage, members, session, reader)
    if answer is None and lineage.sql and not lineage.unsent:
        try:
            answer = _answer(lineage, members, session, reader)
        except Refused as error:
            if not error.writes:
                raise LineageError(
                    f"the server refuses it now ({error}). A table or column may have been changed since"
                ) from error
            lineage = dataclasses.replace(lineage, unsent="it calls what writes")
    demand = Demand(numbers, lineage.leaves, lineage.witnesses)
    return _Made(lineage, demand, [(s, answer) for s in members])


def lineage_of(
    shape: Shape,
    binding: Binding,
    common: Lineage | None,
    levels: Levels,
    inside: Mapping[str, str] = MappingProxyType({}),
) -> Lineage:
    """The lineage of one binding, from the ``common`` one of its shape if there is one."""
    sql = shape.bindings[binding][0].sql
    if common is not None:
        return filled(common, sql, binding)
    return analyse(
        sql,
        levels.catalog,
        kind=shape.kind,
        default_schema=shape.database or None,
        inside=inside,
        session=levels.session,
        texts=levels.texts,
    )


def _queries(leaves: Iterable[Leaf], rules: Iterable[Witness]) -> Iterator[str]:
    # one query for leaves whose keys are read together
    texts = (leaf.sql if leaf.together is None else leaf.together.sql for leaf in leaves)
    yield from (text for text in texts if text is not None)
    for rule in rules:
        yield from (sql for sql, _ in rule.asks)
        if rule.group_sql:
            yield rule.group_sql


def _existing(
    lineage: Lineage, members: Sequence[Statement], session: Session, reader: Reader
) -> tuple[Lineage, Answer | None]:
    """The lineage of SELECT EXISTS (…) with the keys of its first leaf, and its result if these tell that.

    If there is a key, the result is 1. If that is what was captured, the statement need not be sent. More than `_SOME`
    keys are read later, by the cascade.
    """
    leaf, first = lineage.leaves[0], members[0]
    then = {(statement.rows, statement.digest, names_of(statement.columns)) for statement in members}
    known = leaf.sql is None or leaf.keys is not None or leaf.together is not None
    if known or len(then) > 1 or first.rows != 1 or not leaf.table.primary_key:
        return lineage, None
    if first.digest not in (None, reader.digest_of_true):
        return lineage, None
    try:
        keys = reader.keys(leaf.table, f"{leaf.sql} LIMIT {_SOME + 1}", leaf.session)
    except Refused:  # the cascade tells
        return lineage, None
    answer = Answer(1, first.digest, tuple(first.columns)) if length(keys) else None
    if length(keys) > _SOME:
        return lineage, answer
    leaves = (dataclasses.replace(leaf, keys=keys), *lineage.leaves[1:])
    return dataclasses.replace(lineage, leaves=leaves), answer


# Keys that are held for the cascade once they have told what EXISTS returns.
_SOME = 1_000


def _answer(
    lineage: Lineage, members: Sequence[Statement], session: Session, reader: Reader
) -> Answer | None:
    """The present result of a statement. Without a captured digest, just the number of rows if it is the same."""
    if not lineage.answers:
        reader.snapshot.require_accepted(lineage.sql, session)
        return None
    if (count_sql := counting(lineage, members)) is not None:
        now = _counted(count_sql, session, reader)
        if now is not None and now == members[0].rows:
            return Answer(now, None, ())
    if lineage.listed and (answer := _unchanged(lineage, members, session, reader)) is not None:
        return answer
    return reader.snapshot.answer(lineage.sql, session, own=lineage.own)


def _counted(count_sql: str, session: Session, reader: Reader) -> int | None:
    """The number that `counting` asks for; None if the server refuses that, so that the statement itself must tell."""
    try:
        return reader.snapshot.count(count_sql, session)
    except Refused:
        return None


def listing(lineage: Lineage) -> str:
    """SQL of a statement with lists of keys instead of long ORs (`Lineage.listed`)."""
    assert lineage.query is not None
    text = to_sql(lineage.query, lineage.tables[0].dialect)
    return fill(text, lineage.binding) if lineage.binding else text


def _unchanged(
    lineage: Lineage, members: Sequence[Statement], session: Session, reader: Reader
) -> Answer | None:
    """The result of a statement with lists of keys instead of long ORs if it is what was captured, else None.

    A server answers it much sooner. If it differs, the statement itself must tell.
    """
    try:
        answer = reader.snapshot.answer(listing(lineage), session, own=False)
    except Refused:
        return None
    then = {(statement.digest, names_of(statement.columns)) for statement in members}
    return answer if then == {(answer.digest, answer.names)} else None


# ---------------------------------------------------------------- all bindings of a loop


def loop_of(
    shape: Shape, catalog: Catalog, session: Session, texts: Texts | None = None
) -> tuple[Lineage, Batch] | str:
    """The lineage of a shape and the batch for all of its bindings, or why there is none."""
    if len(shape.bindings) < 2 or not next(iter(shape.bindings)):
        return "there is one binding"
    try:
        lineage = analyse(
            shape.marked,
            catalog,
            kind=shape.kind,
            default_schema=shape.database or None,
            session=session,
            texts=texts,
        )
    except LineageError as error:
        return str(error)
    if lineage.fallback or lineage.query is None:
        return lineage.fallback or "it reads nothing"
    if lineage.witnesses:
        return "rules keep other rows rejected"
    if not lineage.answers:
        return "its SELECT stands in another statement"
    found = batch(lineage.query, catalog.dialect)
    return found if isinstance(found, str) else (lineage, found)


def _together(
    shape: Shape, lineage: Lineage, found: Batch, session: Session, reader: Reader, inside: Inside
) -> tuple[list[_Made], set[Binding]]:
    """The lineage of a loop from common queries, and the bindings that these covered."""
    within: Batch | None = None
    if lineage.query is not None and any(table.full_name in inside for table in lineage.tables):
        asked_inside = batch(narrowed(lineage.query, inside), found.dialect)
        if isinstance(asked_inside, str):
            return [], set()
        within = asked_inside
    try:
        if found.leaves:
            # one binding is enough: explaining a long list takes the server as long as running it
            example = next(parts([next(iter(shape.bindings))], found)).condition
            reader.snapshot.require_accepted(with_keys(found.leaves[0], example), session)
        agreeing, answers = _agreeing(shape, lineage, found, session, reader)
        whole = [(part, _leaves_of(part, lineage, found)) for part in agreeing]
        apart = [whole] if within is None else list(_apart(agreeing, lineage, found, within, reader))
    except Refused:
        return [], set()
    made = []
    for some in apart:
        asked = [binding for part, _ in some for binding in part.bindings]
        members = [(s, answers[binding]) for binding in asked for s in shape.bindings[binding]]
        leaves = [leaf for _, leaves_of_part in some for leaf in leaves_of_part]
        demand = Demand(tuple([s.number for s, _ in members]), tuple(leaves), ())
        made.append(_Made(lineage, demand, members))
    return made, set(answers)


def _leaves_of(part: Part, lineage: Lineage, found: Batch) -> list[Leaf]:
    return [
        Leaf(leaf.table, with_keys(sql, part.condition), part.keys, session=leaf.session)
        for leaf, sql in zip(lineage.leaves, found.leaves, strict=True)
    ]


def _apart(
    agreeing: Sequence[Part], lineage: Lineage, found: Batch, within: Batch, reader: Reader
) -> Iterator[list[tuple[Part, list[Leaf]]]]:
    """The bindings whose statements depend only on rows inside, and each of the others by itself.

    A list in which some bindings depend on other rows is halved until these are found.
    """
    kept: list[tuple[Part, list[Leaf]]] = []
    pending = list(agreeing)[::-1]
    while pending:
        part = pending.pop()
        leaves, whole = [], True
        for leaf, sql in zip(_leaves_of(part, lineage, found), within.leaves, strict=True):
            keys = reader.keys(leaf.table, str(leaf.sql), leaf.session) if leaf.keys is None else leaf.keys
            asked = with_keys(sql, part.condition)
            there = KeySet(leaf.table, reader.coder)
            there.add(reader.keys(leaf.table, asked, leaf.session), 0)
            whole = whole and bool(there.among(keys).all())
            leaves.append(
                dataclasses.replace(leaf, keys=keys if leaf.table.primary_key else None, inside=asked)
            )
        if whole:
            kept.append((part, [dataclasses.replace(leaf, inside=None) for leaf in leaves]))
        elif len(part.bindings) == 1:
            yield [(part, leaves)]
        else:
            middle = len(part.bindings) // 2
            for half in (part.bindings[middle:], part.bindings[:middle]):
                pending += parts(half, found)
    if kept:
        yield kept


class Part(NamedTuple):
    """Some bindings of a shape: the condition that selects them, and the keys of the only leaf if known."""

    condition: str
    bindings: list[Binding]
    keys: Columns | None = None


def parts(bindings: Iterable[Binding], found: Batch) -> Iterator[Part]:
    """The bindings in lists of about `LIST_BYTES` at most."""
    rows: list[str] = []
    named: list[Binding] = []
    size = 0
    single = found.order[0] if len(found.order) == 1 else None
    for binding in bindings:
        row = binding[single] if single is not None else f"({', '.join([binding[i] for i in found.order])})"
        if rows and size + len(row) > LIST_BYTES:
            yield Part(found.dialect.returned(found.columns, rows), named)
            rows, named, size = [], [], 0
        rows.append(row)
        named.append(binding)
        size += len(row) + 2
    if rows:
        yield Part(found.dialect.returned(found.columns, rows), named)


# If more than one in _MANY bindings of a list have changed, each gets its own query.
_MANY = 8


def _agreeing(
    shape: Shape, lineage: Lineage, found: Batch, session: Session, reader: Reader
) -> tuple[list[Part], dict[Binding, Answer]]:
    """The bindings whose results have not changed, and their answers.

    One query returns the rows of many bindings, each row after the values that identify its binding. A list is accepted
    only if no result has changed and no row is left over. Otherwise it is halved until the bindings that need their
    own queries are found. (A row can be left over because different texts can be equal.)
    """
    then = {
        binding: wanted
        for binding, members in shape.bindings.items()
        if (wanted := expected(binding, found, members)) is not None
    }
    empty = reader.snapshot.answer(found.nothing, session, own=False) if found.nothing else None
    agreeing: list[Part] = []
    answers: dict[Binding, Answer] = {}
    names = names_of(shape.first.columns)
    pending = list(parts(then, found))[::-1]
    while pending:
        part = pending.pop()
        sums, columns = reader.snapshot.answers(
            with_keys(found.answers, part.condition), session, len(found.order)
        )
        if names and names != names_of(columns):
            return [], {}  # a column was renamed, or the rewritten text names an expression differently
        wrong = [b for b in part.bindings if not then[b].agrees(sums.get(then[b].first), empty)]
        if not wrong and len(sums) == sum(then[b].first in sums for b in part.bindings):
            agreeing.append(part._replace(keys=_keys(part, lineage, found, sums, reader)))
            answers.update((b, sent(sums.get(then[b].first), empty, columns)) for b in part.bindings)
        elif len(part.bindings) > 1 and len(wrong) * _MANY <= len(part.bindings):
            middle = len(part.bindings) // 2
            for half in (part.bindings[middle:], part.bindings[:middle]):
                pending += parts(half, found)
    return agreeing, answers


def _keys(
    part: Part, lineage: Lineage, found: Batch, sums: Mapping[bytes, tuple[int, int]], reader: Reader
) -> Columns | None:
    """The keys of the only leaf, if each binding is the primary key of an existing row."""
    if found.point is None or len(sums) < len(part.bindings):
        return None
    return keys_of(part.bindings, found.point, lineage.leaves[0].table, reader.coder)


def _without_keys(sql: str) -> str:
    return with_keys(sql, "TRUE")


def counting(lineage: Lineage, members: Iterable[Statement]) -> str | None:
    """SQL for the number of rows of a statement, if only their number is known from the capture.

    Its output names are made distinct, as a derived table needs.
    """
    if lineage.query is None or any(statement.digest is not None for statement in members):
        return None
    if isinstance(lineage.query, Block) and lineage.query.tree is None:
        return None  # it has one row at most
    if not lineage.tables:
        return None  # no table tells the dialect

    def renamed(inner: Query) -> Query:
        if isinstance(inner, Union):
            return dataclasses.replace(inner, branches=tuple(renamed(branch) for branch in inner.branches))
        assert isinstance(inner, Block)
        outputs = tuple(Output(f"c{i}", output.expr) for i, output in enumerate(inner.outputs))
        return dataclasses.replace(inner, outputs=outputs)

    query, dialect = renamed(lineage.query), lineage.tables[0].dialect
    if (
        query.limit is None
    ):  # then no number depends on the order, in which a subquery would differ from an output's
        query = dataclasses.replace(query, order=())
    text, alias = to_sql(query, dialect), dialect.quote("counted")
    return f"SELECT COUNT(*) FROM ({fill(text, lineage.binding) if lineage.binding else text}) AS {alias}"
