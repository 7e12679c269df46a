"""Statements: replays statements on the source and the slice, and compares the results.

In: a bundle's manifest, its source, and a server with the loaded bundle. Out: a `ReplayReport`: for each captured
statement whether its results on slice and source are equal, and if not, missing and extra rows; foreign keys without a
parent; missing parts. It changes neither side.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, ClassVar

from markupsafe import Markup
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from ..bundle.manifest import Replayed, not_replayable, replayable
from ..display import as_text, count, first, short
from ..errors import BundleError
from ..names import shown_name
from ..rules import EXCLUDED, LEFT_OUT, NOT_SENT, PSEUDONYM, ROUTINE, SKIPPED, WITHHELD
from ..servers import backend_of
from ..servers.backend import Replayer
from ..servers.results import RESULT_DIGITS, Digest, Forms
from ..servers.snapshot import ConnectionLost, Interrupted, Refused
from ..servers.tables import ForeignKey, orphans


@dataclass(frozen=True)
class StatementResult:
    """The result of replaying one statement.

    Attributes
    ----------
    sql : str
    numbers : tuple of int
        The captured statements with this text, which is replayed once.
    analyses, kinds : tuple of str
        Analyses and kinds of these statements.
    marks : frozenset of str
        Why its result can change by itself. Such a statement is reported separately.
    state : str
        ``equal``; ``differs``; ``error``; ``unchecked``: there is nothing to compare with; ``excluded``: not replayed,
        because it reads an excluded column or its values are not in the bundle.
    source_rows, slice_rows : int or None
        Number of rows of the result.
    missing, extra : int
        Number of rows that only the source, and only the slice returned, duplicates included.
    missing_rows, extra_rows : tuple of str
        Some of these rows.
    message : str
        What is different besides rows, or the server's error.
    received : bool or None
        True if the slice returns what the analysis received; None if that is unknown.
    """

    sql: str
    numbers: tuple[int, ...]
    analyses: tuple[str, ...]
    kinds: tuple[str, ...]
    marks: frozenset[str]
    state: str
    source_rows: int | None = None
    slice_rows: int | None = None
    missing: int = 0
    extra: int = 0
    missing_rows: tuple[str, ...] = ()
    extra_rows: tuple[str, ...] = ()
    message: str = ""
    received: bool | None = None

    @classmethod
    def about(cls, sql: str, entries: Sequence[Mapping[str, Any]]) -> StatementResult:
        """An ``equal`` result for the statements of a manifest with this text."""
        return cls(
            sql,
            tuple(entry["number"] for entry in entries),
            tuple(dict.fromkeys(entry["analysis"] for entry in entries)),
            tuple(dict.fromkeys(entry["kind"] for entry in entries)),
            frozenset(mark for entry in entries for mark in entry["marks"]),
            state="equal",
        )


@dataclass(frozen=True)
class KeyResult:
    """The check of a foreign key.

    ``orphans`` rows of the slice have no parent. For a part, ``lost`` rows of the source are not in the slice although
    their masters are.
    """

    child: str
    name: str
    parent: str
    orphans: int
    lost: int = 0


@dataclass(frozen=True, repr=False)
class ReplayReport:
    """The outcome of a replay; `equal` sums it up.

    ``not_taken`` are session settings of the source that the server of the slice does not know, in words.
    """

    statements: tuple[StatementResult, ...]
    keys: tuple[KeyResult, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    not_taken: tuple[str, ...] = ()

    title: ClassVar[str] = "Replay on the source and on the slice"

    @property
    def equal(self) -> bool:
        """True if every statement gave an equal result and no foreign key or part lacks rows.

        Statements whose results can change by themselves do not count.
        """
        return not self.different and not self.broken_keys

    @property
    def different(self) -> list[StatementResult]:
        """Statements that failed, or gave a different result that no mark explains."""
        return [
            result
            for result in self.statements
            if result.state == "error" or (result.state == "differs" and not result.marks)
        ]

    @property
    def broken_keys(self) -> list[KeyResult]:
        """Foreign keys with orphans, and parts that lack rows of their masters."""
        return [key for key in self.keys if key.orphans or key.lost]

    @property
    def orphans(self) -> int:
        """Number of rows of the slice without a parent, summed over all foreign keys."""
        return sum(key.orphans for key in self.keys)

    def __rich__(self) -> RenderableType:
        return Group(*self._renderables())

    def __repr__(self) -> str:
        return as_text(self._renderables())

    def _repr_html_(self) -> str:
        return Markup("<pre>{}</pre>").format(repr(self))

    def _renderables(self) -> Iterator[RenderableType]:
        table = RichTable(title=self.title)
        table.add_column("analysis")
        table.add_column("kind")
        for heading in ("statements", "distinct", "equal", "differ", "error"):
            table.add_column(heading, justify="right")
        apart: dict[str, list[StatementResult]] = {"": []}
        for result in self.statements:
            apart.setdefault(why_apart(result.marks), []).append(result)
        for why, results in apart.items():
            groups: dict[tuple[str, str], list[StatementResult]] = {}
            for result in results:
                name = ", ".join(result.analyses), ", ".join(result.kinds)
                groups.setdefault(name, []).append(result)
            for (analyses, kinds), members in groups.items():
                states = [member.state for member in members]
                counts = [f"{sum(len(member.numbers) for member in members):,}", f"{len(members):,}"]
                for state in ("equal", "differs", "error"):
                    counts.append("" if "excluded" in states else f"{states.count(state):,}")
                table.add_row(analyses, f"{kinds} ({why})" if why else kinds, *counts)
        yield table
        for key in self.broken_keys:
            child, parent = shown_name(key.child), shown_name(key.parent)
            if key.orphans:
                yield Text(f"{child}: {count(key.orphans, 'row')} whose {key.name} finds no row in {parent}")
            if key.lost:
                lost = f"{count(key.lost, 'row')} of masters in the slice ({parent})"
                yield Text(f"{child}: {lost} {'is' if key.lost == 1 else 'are'} not in it")
        bad = sorted(
            (result for result in self.statements if result.state in ("differs", "error")),
            key=lambda r: bool(r.marks),
        )
        yield from map(Text, first(bad, describe))
        times = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in self.seconds.items())
        yield Text(f"{self._verdict()}: {self._measure()}" + (f" ({times})" if times else ""))

    @property
    def compared_statements(self) -> int:
        """The number of captured statements behind the verdict.

        A marked statement that differs does not count, since its right result is unknown.
        """
        different = self.different
        return sum(len(one.numbers) for one in self.statements if one.state == "equal" or one in different)

    def _verdict(self) -> str:
        if not self.equal:
            return "NOT EQUAL"
        number = sum(len(result.numbers) for result in self.statements)
        if number and self.compared_statements == number:
            return "equal"
        return f"rows equal; {self.compared_statements:,} of {number:,} statements could be compared"

    def _measure(self) -> str:
        plain = sum(not result.marks for result in self.statements)
        return f"{plain} distinct statements, {len(self.keys)} foreign keys, {self.orphans} orphans"


def why_apart(marks: Collection[str]) -> str:
    """Why a statement with these marks is reported separately; "" without marks.

    >>> why_apart(["left-out", "now"]), why_apart([])
    ('needs rows that were left out', '')
    """
    whys = (why for mark, why in _APART.items() if mark in marks)
    return next(whys, "can change by itself" if marks else "")


# In the order in which they matter.
_APART = {
    EXCLUDED: "reads excluded columns, not replayed",
    WITHHELD: "stands without its values, not replayed",
    PSEUDONYM: "depends on values that have pseudonyms, not replayed",
    ROUTINE: "calls a stored function that the bundle does not have, not replayed",
    SKIPPED: "left out by the lab, not replayed",
    NOT_SENT: "not sent again, not replayed",
    LEFT_OUT: "needs rows that were left out",
}


def describe(result: StatementResult) -> str:
    """A result that is not equal, in words."""
    lines = [f"statement {', '.join(first(result.numbers))}: {short(result.sql, 600)}"]
    if result.marks:
        lines.append(f"    {why_apart(result.marks)}: {', '.join(sorted(result.marks))}")
    if result.message:
        lines.append(f"    {result.message}")
    if result.source_rows is not None:
        lines.append(f"    {result.source_rows} rows on the source, {result.slice_rows} on the slice")
    for what, number, rows in (
        ("missing", result.missing, result.missing_rows),
        ("too many", result.extra, result.extra_rows),
    ):
        if number:
            lines.append(f"    {number} {what}, such as:")
            lines += [f"        {row}" for row in rows]
    return "\n".join(lines)


def replay(
    manifest: Mapping[str, Any],
    source: Any,
    loaded: Any,
    progress: Callable[[int, int], None] | None = None,
    alike: bool = True,
) -> ReplayReport:
    """Replay the statements of a manifest on two servers.

    Parameters
    ----------
    manifest : mapping
        The manifest of a bundle.
    source, loaded : pymysql connection
        To the source, and to a server with the slice. Each is used for one read-only snapshot.
    progress : callable, optional
        Called with the number of statements done, and the total.
    alike : bool
        Whether both servers are of the same flavor and version. If not, values are compared in their fixed form (see
        `digests`), and statements that the other server does not understand are unchecked.

    Returns
    -------
    ReplayReport
    """
    groups = replayable(manifest)
    shown = set((manifest.get("pseudonyms") or {}).get("shown", ()))
    backend = backend_of(source)
    with backend.as_sent(source), backend.as_sent(loaded):
        not_taken = backend.match_sessions(source, loaded)
        with backend.one_moment(source), backend.one_moment(loaded):
            results = []
            with contextlib.closing(backend.replayer(source, loaded)) as replayer:
                for one, entries in groups.items():
                    if not shown.isdisjoint(entry["number"] for entry in entries):
                        # the source's result has other values; `digests.json` has the digest of this one
                        results.append(replace(StatementResult.about(one.sql, entries), state="unchecked"))
                        continue
                    results.append(_replay_one(replayer, one, entries, source, loaded, alike))
                    if progress is not None:
                        progress(len(results), len(groups))
            keys = check_keys(manifest, source, loaded)
    return ReplayReport((*results, *not_replayed(manifest)), tuple(keys), not_taken=tuple(not_taken))


def not_replayed(manifest: Mapping[str, Any]) -> list[StatementResult]:
    """Results of the statements that cannot be replayed, because something that they need was left out."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for entry in not_replayable(manifest):
        groups.setdefault(entry["sql"], []).append(entry)
    return [replace(StatementResult.about(sql, entries), state="excluded") for sql, entries in groups.items()]


@contextlib.contextmanager
def timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Note the duration of a block."""
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start


def _replay_one(
    replayer: Replayer,
    one: Replayed,
    entries: Sequence[Mapping[str, Any]],
    source: Any,
    loaded: Any,
    alike: bool,
    forms: Forms | None = None,
) -> StatementResult:
    sql = one.sql
    about = StatementResult.about(sql, entries)
    digits = None if alike else RESULT_DIGITS
    sides: dict[str, Digest] = {}
    for side, connection in (("source", source), ("slice", loaded)):
        try:
            sides[side] = replayer.digest(connection, sql, one.state, own=one.own, digits=digits, forms=forms)
        except ConnectionLost as error:
            raise BundleError(
                f"Replaying a statement on the {side}: the connection was lost ({error}).\n{short(sql)}"
            ) from error
        except (Refused, Interrupted) as error:
            state = "unchecked" if error.lacking and not alike and side == "slice" else "error"
            return replace(about, state=state, message=f"error on the {side}: {error}")
    there, here = sides["source"], sides["slice"]
    if not alike and there.forms != here.forms and len(there.forms) == len(here.forms):
        # JSON is a type in MySQL, but a text in MariaDB
        both = zip(there.forms, here.forms, strict=True)
        common = [mine if other == "text" else other for mine, other in both]
        return _replay_one(replayer, one, entries, source, loaded, alike, common)
    about = replace(
        about,
        source_rows=there.rows,
        slice_rows=here.rows,
        received=as_received(entries, here.received),
    )
    if there.columns != here.columns:
        columns = f"{', '.join(there.columns)} on the source, {', '.join(here.columns)} on the slice"
        return replace(about, state="differs", message=f"other columns: {columns}")
    if (there.rows, there.multiset) != (here.rows, here.multiset):
        missing, extra = backend_of(source).difference(source, loaded, sql)
        return replace(
            about,
            state="differs",
            missing=missing.rows,
            extra=extra.rows,
            missing_rows=missing.shown,
            extra_rows=extra.shown,
        )
    if all(entry["ordered"] for entry in entries) and there.ordered != here.ordered:
        return replace(about, state="differs", message="the same rows in another order")
    return about


def received_note(manifest: Mapping[str, Any], results: Sequence[StatementResult]) -> list[str]:
    """How many statements return on the slice what the analysis received, and when; [] if unknown for all."""
    told = [result for result in results if result.received is not None and not result.marks]
    if not told:
        return []
    times = [entry["time"] for entry in manifest["statements"] if "digest" in entry and "time" in entry]
    days = sorted({f"{datetime.fromtimestamp(each, timezone.utc):%Y-%m-%d}" for each in times})
    when = f" on {days[0]}" if len(days) == 1 else f" from {days[0]} to {days[-1]}" if days else ""
    all_of_them = sum(len(result.numbers) for result in told)
    same = sum(len(result.numbers) for result in told if result.received)
    return [
        f"The loaded slice returns what the analysis received{when}: {same:,} of {count(all_of_them, 'statement')}"
        " with a digest."
    ]


def as_received(entries: Sequence[Mapping[str, Any]], digest: str) -> bool | None:
    """Whether a result has the digest that each statement received; None if none has a digest."""
    known = {entry["digest"] for entry in entries if "digest" in entry}
    return known == {digest} if known else None


# ---------------------------------------------------------------- foreign keys


def check_keys(manifest: Mapping[str, Any], source: Any, loaded: Any) -> Iterator[KeyResult]:
    """Count orphans and lost parts of a loaded slice; without a source (None) only orphans."""
    restrictions = {table["name"]: table["restriction"] for table in manifest["tables"]}
    for entry in manifest["foreign_keys"]:
        fk = ForeignKey(
            entry["name"],
            entry["child"],
            tuple(entry["columns"]),
            entry["parent"],
            tuple(entry["parent_columns"]),
        )
        backend = backend_of(loaded)
        orphaned = backend.number(loaded, f"SELECT COUNT(*) FROM {orphans(fk, backend.dialect)}")
        lost = 0
        if (
            source is not None
            and entry["part"]
            and manifest["parts"] == "all"
            and restrictions[fk.parent] not in ("FALSE", None)
        ):
            on = backend.dialect.equal(fk.columns, "p", fk.parent_columns, "m")
            masters = f"SELECT {backend.dialect.columns(fk.parent_columns)} FROM {fk.parent}"
            of_slice = f"{masters} WHERE {restrictions[fk.parent]}"
            part, master = backend.dialect.quote("p"), backend.dialect.quote("m")
            count = f"SELECT COUNT(*) FROM {fk.child} AS {part} JOIN"
            there = backend.number(source, f"{count} ({of_slice}) AS {master} ON {on}")
            lost = max(0, there - backend.number(loaded, f"{count} ({masters}) AS {master} ON {on}"))
        yield KeyResult(fk.child, fk.name, fk.parent, orphaned, lost)
