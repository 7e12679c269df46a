"""Fixpoint: leaves closed over foreign keys, parts and negative witnesses, until nothing is new.

Queries. A statement needs a query for the keys of each table that it reads, a check of these queries if the server may
refuse one, and one more execution for its present result. Statements that differ only in literals share these queries
where possible; if they select rows by key, the keys need no query, nor do those of a table whose rows are all in the
slice. Of semijoins that are nested along foreign keys, one query reads the keys of all tables. A foreign key within the
child's primary key needs no query: the parent's key is a projection of the child's (keys that can equal others, as
texts do, are looked up once). Other foreign keys, and parts, need one query for each list of new keys
(`dialect.LIST_BYTES`). A long chain of rows of one table is one recursive query. Children are followed first, so
without cycles each table is followed once, with all of its keys. A witness rule needs one query for each list of new
keys of each outer table, unless all rows that it can want are in the slice. Each key is used once: rules see only what
is new since they last ran (semi-naive evaluation: Bancilhon, 1986). At the end the rows of each table, and those that
foreign keys led to, are counted. `plan` prints all of this.
Memory: at most 12 bytes a key, and as many as the values of its columns need while it is still to be followed
(`keysets`). Answers are read in blocks.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from ..errors import CatalogError
from ..lineage import Leaf, Witness
from ..lineage.witness import KEYS, with_keys
from ..progress import Progress
from ..rules import CHILD, PARENT, PART, PICKED, READ, WHOLE, WHOLE_INSIDE
from ..servers.catalog import CORRECT, Catalog
from ..servers.dialect import Key
from ..servers.keys import convert, converted, key_columns
from ..servers.session import PLAIN, Session
from ..servers.snapshot import Refused
from ..servers.tables import ForeignKey, Table
from .follow import has_chains, is_among, keys_among, to_ancestors, to_children, to_parent, whole_keys
from .inside import Inside
from .keysets import Coder, Columns, Integers, KeySet, chosen, joined, length
from .options import Options
from .reader import Reader

# Levels of a table that refers to itself that are queried one by one; then one query asks for all that remain.
LEVELS = 8


@dataclass(frozen=True)
class Reason:
    """Why rows are in the slice: a rule and its origin.

    Attributes
    ----------
    rule : str
        `READ`, `WHOLE`, `PARENT`, `PART`, or the reason of a witness rule.
    statements : tuple of int
        Numbers of the statements behind it (leaves and witnesses).
    foreign_key : ForeignKey or None
        The foreign key that was followed (parents and parts).
    """

    rule: str
    statements: tuple[int, ...] = ()
    foreign_key: ForeignKey | None = None


@dataclass
class KeySets:
    """Keys of the slice's rows by full table name; the number of a key is its position in ``reasons``.

    ``refused``: by statement number, why the server refused a query for it. Then the slice has all rows of the query's
    tables. ``left_out``: rows that statements, rules or masters need and that are outside of the bounds. ``cut``:
    numbers of the statements that need such rows.
    """

    catalog: Catalog
    coder: Coder
    keys: dict[str, KeySet] = field(default_factory=dict)
    reasons: list[Reason] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    left_out: dict[str, KeySet] = field(default_factory=dict)
    cut: set[int] = field(default_factory=set)

    def rows(self, name: str) -> KeySet:
        """The keys of one table, perhaps none."""
        found = self.keys.get(name)
        return KeySet(self.catalog.tables[name], self.coder) if found is None else found


@dataclass(frozen=True)
class Demand:
    """Leaves and rules of one or more statements (``numbers``) that share them."""

    numbers: tuple[int, ...]
    leaves: tuple[Leaf, ...]
    witnesses: tuple[Witness, ...]


# Parts of keys that are added together, at most.
_TOGETHER = 100_000

# Needed rows that may be outside of the bounds: the statements that need them, the table, the keys.
_Missed: TypeAlias = "tuple[tuple[int, ...], Table, Columns]"


class Cascade:
    """One evaluation. `run` returns the key sets.

    Parameters
    ----------
    reader : Reader
    catalog : Catalog
    options : Options
    progress : Progress, optional
    inside : Inside, optional
        For ``options.only``.
    """

    def __init__(
        self,
        reader: Reader,
        catalog: Catalog,
        options: Options,
        progress: Progress | None = None,
        inside: Inside | None = None,
    ) -> None:
        self.reader, self.catalog, self.options = reader, catalog, options
        self.inside = inside or Inside(catalog, (), reader)
        self.sets = KeySets(catalog, reader.coder)
        self.progress = progress or Progress()
        self._reason_index: dict[Reason, int] = {}
        self._pending: dict[str, list[Columns]] = {}  # new since foreign keys and parts were followed
        self._outer: set[str] = set()  # tables to whose rows witness rules apply
        self._unwitnessed: dict[str, list[Columns]] = {}  # of these, new since witness rules ran
        self._groups_done: dict[tuple[int, bool], set[tuple[Any, ...]]] = {}
        self._missed: list[_Missed] = []
        self._levels: Counter[ForeignKey] = Counter()  # how often each was followed to the parents
        self._complete: dict[ForeignKey, KeySet] = {}  # rows whose ancestors by that reference are all there
        self._along: dict[str, list[tuple[Columns, int]]] = {}  # parts of keys, and the reasons for them
        self._waiting = 0  # number of these
        self._named: set[str] = set()  # tables that statements read

    def from_keys(self, keys: Mapping[str, Iterable[Key]]) -> KeySets:
        """The closure of given keys, without statements."""
        self._pick(keys)
        self._close()
        return self.sets

    def run(
        self, demands: Iterable[Demand], also: Mapping[str, Iterable[Key]] = MappingProxyType({})
    ) -> KeySets:
        """Evaluate to the fixpoint.

        Parameters
        ----------
        demands : iterable of Demand
        also : mapping
            Keys of further rows, by full table name.
        """
        demands = list(demands)
        witnesses = (rule for demand in demands for rule in demand.witnesses)
        self._outer = {base.table.full_name for rule in witnesses for base in rule.outer}
        rules = self._leaves(demands)
        if self.options.down:
            self._descend()
        self._pick(also)
        if self.options.closed:
            self._fixpoint(rules)
        self._tell_missed()
        return self.sets

    def _fixpoint(self, rules: Sequence[tuple[Witness, int]]) -> None:
        for number, (rule, reason) in enumerate(rules):
            if rule.rowless:
                self._rowless(number, rule, reason)
        self._add_along()
        by_table: dict[str, list[tuple[int, Witness, int]]] = {}
        for number, (rule, reason) in enumerate(rules):
            for name in {base.table.full_name for base in rule.outer}:
                by_table.setdefault(name, []).append((number, rule, reason))
        while self._pending or self._unwitnessed:
            self._close()
            new, self._unwitnessed = self._unwitnessed, {}
            for name, keys in new.items():
                rules_here = by_table.get(name, ())
                for chunk in self.reader.lists(self.catalog.tables[name], joined(keys)) if rules_here else ():
                    among = self._among(self.catalog.tables[name], chunk)
                    for number, rule, reason in rules_here:
                        self._witness(number, rule, reason, name, among)
            self._add_along()

    def _leaves(self, demands: Sequence[Demand]) -> list[tuple[Witness, int]]:
        """Add the rows that statements read. Returns their witness rules, each with its reason."""
        rules: list[tuple[Witness, int]] = []
        self.progress.expect("leaves", sum(len(demand.numbers) for demand in demands))
        self._named = {leaf.table.full_name for demand in demands for leaf in demand.leaves}
        for demand in demands:
            last: tuple[Table, Columns] | None = None
            alone = all(leaf.along is None for leaf in demand.leaves)
            for leaf in self._read_together(demand.leaves):
                if alone and self._has_all(leaf):
                    self._reason(Reason(READ, demand.numbers))
                elif leaf.along is None:
                    keys = self._leaf(leaf, demand.numbers)
                    last = None if keys is None else (leaf.table, keys)
                elif last is None:  # the server refused the query
                    self._leaf(Leaf(leaf.table, None), demand.numbers)
                else:
                    self._put_along(*last, leaf.along, leaf.table, self._reason(Reason(READ, demand.numbers)))
            rules += [(rule, self._reason(Reason(rule.reason, demand.numbers))) for rule in demand.witnesses]
            self.progress("leaves", len(demand.numbers))
        self._add_along()
        return rules

    def _pick(self, keys: Mapping[str, Iterable[Key]]) -> None:
        reason = self._reason(Reason(PICKED))
        for name, members in keys.items():
            table = self.catalog.tables[name]
            self._add(table, self.inside.among(table, self.reader.coder.of(table, members)), reason)

    # -------------------------------------------------- sets

    def _reason(self, reason: Reason) -> int:
        if reason not in self._reason_index:
            self._reason_index[reason] = len(self.sets.reasons)
            self.sets.reasons.append(reason)
        return self._reason_index[reason]

    def _add(self, table: Table, keys: Columns, reason: int | Integers) -> Columns:
        """Put rows into the slice, for one reason or one for each; returns those that were not in it."""
        name = table.full_name
        known = self.sets.keys.setdefault(name, self.sets.rows(name))
        if not table.primary_key and length(keys):
            # its rows cannot be distinguished, so one of them brings all
            if known:
                return self.reader.coder.of(table, ())
            keys = self.reader.keys(table, whole_keys(table, self.inside.get(name)))
        new = known.add(keys, reason)
        if length(new):
            self._pending.setdefault(name, []).append(new)
            if name in self._outer:
                self._unwitnessed.setdefault(name, []).append(new)
        return new

    # -------------------------------------------------- bounds

    def _kept(
        self,
        table: Table,
        keys: Columns,
        inside: str,
        numbers: tuple[int, ...],
        session: Session = PLAIN,
    ) -> Columns:
        """The keys that a second query, for rows inside only, returns too. The others are noted."""
        there = KeySet(table, self.reader.coder)
        there.add(self.reader.keys(table, inside, session), 0)
        kept = there.among(keys)
        if kept.all():
            return keys
        self._missed.append((numbers, table, chosen(keys, ~kept)))
        return chosen(keys, kept)

    def _tell_missed(self) -> None:
        """Note rows outside of the bounds as left out, unless something else brought them."""
        for numbers, table, keys in self._missed:
            missing = chosen(keys, ~self.sets.rows(table.full_name).among(keys))
            if length(missing):
                self.sets.cut.update(numbers)
                left_out = self.sets.left_out.setdefault(table.full_name, KeySet(table, self.reader.coder))
                left_out.add(missing, 0)

    # -------------------------------------------------- leaves

    def _read_together(self, leaves: Sequence[Leaf]) -> Iterator[Leaf]:
        """The leaves; with their keys, if one query returns those of several."""
        for together, some in groupby(leaves, lambda leaf: leaf.together):
            if together is None:
                yield from some
                continue
            session = (group := list(some))[0].session
            if all(map(self._has_all, group)):
                yield from group
                continue
            try:
                found = self.reader.together(together.tables, together.sql, session)
            except Refused:
                yield from group  # each by itself
                continue
            for leaf, keys in zip(group, found, strict=True):
                yield replace(leaf, keys=keys)

    def _has_all(self, leaf: Leaf) -> bool:
        """Whether the slice has all rows of a leaf's table, so that no query need ask for them."""
        asked = leaf.sql is not None and leaf.keys is None and leaf.inside is None
        return asked and self._is_complete(leaf.table)

    def _is_complete(self, table: Table) -> bool:
        """Whether the slice has all rows of a table."""
        name = table.full_name
        if not table.primary_key or name not in self.sets.keys:
            return False
        # in the end all tables that statements name are counted
        return len(self.sets.keys[name]) == self.reader.total(name, self._named)

    def _leaf(self, leaf: Leaf, numbers: tuple[int, ...]) -> Columns | None:
        """Add the rows of a leaf. Returns their keys; None if the server refused the query, and all rows were added."""
        table, rows = leaf.table, self.inside.get(leaf.table.full_name)
        whole = WHOLE if rows is None else WHOLE_INSIDE
        reason = self._reason(Reason(whole if leaf.sql is None else READ, numbers))
        try:
            if leaf.sql is None:
                keys = self.reader.keys(table, whole_keys(table))
                if rows is not None:
                    keys = self._kept(table, keys, whole_keys(table, rows), numbers)
            elif table.primary_key or leaf.inside is not None:
                keys = self.reader.keys(table, leaf.sql, leaf.session) if leaf.keys is None else leaf.keys
                if leaf.inside is not None:
                    keys = self._kept(table, keys, leaf.inside, numbers, leaf.session)
            if not table.primary_key:
                keys = self.reader.keys(table, whole_keys(table, rows))
            self._add(table, keys, reason)
            return keys
        except Refused as error:
            if leaf.sql is None:
                raise
            self._refused((table,), numbers, error)
            return None

    def _put_along(self, of: Table, keys: Columns, places: Sequence[int], table: Table, reason: int) -> None:
        """Note rows of a table whose keys are parts of given keys. Those of many statements are added together."""
        parts = self.reader.coder.projected(of, keys, places, table)
        self._along.setdefault(table.full_name, []).append((parts, reason))
        self._waiting += length(parts)
        if self._waiting > _TOGETHER:
            self._add_along()

    def _add_along(self) -> None:
        """Add the rows that were noted, with their keys as the tables store them."""
        waiting, self._along, self._waiting = self._along, {}, 0
        for name, parts in waiting.items():
            table = self.catalog.tables[name]
            keys = joined([each for each, _ in parts])
            reasons = np.concatenate([np.full(length(each), reason, np.int32) for each, reason in parts])
            if not all(column.exact for column in key_columns(table)):
                stored = KeySet(table, self.reader.coder)
                stored.add(self._stored(table, keys, virtual=True), 0)
                there = self.sets.rows(name).among(keys) | stored.among(keys)
                for reason in np.unique(reasons[~there]).tolist():
                    other = chosen(keys, ~there & (reasons == reason))
                    self._add(table, self._stored(table, other, virtual=True), reason)
                keys, reasons = chosen(keys, there), reasons[there]
            self._add(table, keys, reasons)

    # -------------------------------------------------- foreign keys and parts

    def _descend(self) -> None:
        pending = {name: [keys.columns()] for name, keys in self.sets.keys.items()}
        while pending:
            name, parts = pending.popitem()
            for fk in self.catalog.children(name):
                new = self._referring(fk, joined(parts), self._reason(Reason(CHILD, (), fk)))
                if new:
                    pending.setdefault(fk.child, []).extend(new)

    def _close(self) -> None:
        while self._pending:
            # children first, so that most tables are complete when they are followed
            name = max(self._pending, key=self.catalog.position)
            keys = joined(self._pending.pop(name))
            self.progress("keys of rows", length(keys))
            for fk in self.catalog.parents(name):
                self._parents(fk, keys)
            if self.options.parts == "all":
                for fk in self.catalog.parts(name):
                    self._referring(fk, keys, self._reason(Reason(PART, (), fk)))

    def _parents(self, fk: ForeignKey, keys: Columns) -> None:
        """Add the rows to which given rows refer. Parents of a row inside are inside too."""
        child, parent = self.catalog.tables[fk.child], self.catalog.tables[fk.parent]
        reason = self._reason(Reason(PARENT, (), fk))
        self._levels[fk] += 1
        if self._levels[fk] > LEVELS and has_chains(self.catalog, fk):
            self._ancestors(fk, keys, reason)
            return
        follow = to_parent(self.catalog, fk)
        if follow.projection is not None:
            found = iter([self.reader.coder.projected(child, keys, follow.projection, parent)])
        else:
            found = (self.reader.keys(parent, follow.ask(chunk)) for chunk in self.reader.lists(child, keys))
        with _comparing(fk):
            for each in found:
                self._add(parent, each if follow.stored else self._stored(parent, each, fk.virtual), reason)

    def _ancestors(self, fk: ForeignKey, keys: Columns, reason: int) -> None:
        """Add all rows to which given rows of the same table refer, directly or through others."""
        table, follow = self.catalog.tables[fk.child], to_ancestors(self.catalog, fk)
        complete = self._complete.setdefault(fk, KeySet(table, self.reader.coder))
        for chunk in self.reader.lists(table, chosen(keys, ~complete.among(keys))):
            found = self.reader.keys(table, follow.ask(chunk), self.catalog.dialect.endless)
            complete.add(found, 0)
            self._add(table, found, reason)

    def _stored(self, table: Table, keys: Columns, virtual: bool) -> Columns:
        """The keys as the table itself stores them.

        A reference may differ from the parent's key that it equals ("Ann" and "ann", "Ann" and "Ann ", 0 and -0). A
        virtual reference may have no parent.
        """
        columns = key_columns(table)
        if not virtual and all(column.exact for column in columns):
            return keys
        unknown = KeySet(table, self.reader.coder).add(
            chosen(keys, ~self.sets.rows(table.full_name).among(keys)), 0
        )
        found = [
            self.reader.keys(table, keys_among(table, chunk)) for chunk in self.reader.lists(table, unknown)
        ]
        if found and not virtual:
            found.append(self._not_there(table, unknown, found))
        return joined(found) if found else unknown

    def _not_there(self, table: Table, keys: Columns, found: Sequence[Columns]) -> Columns:
        """The keys that equal none of those found, since the database violates a foreign key."""
        there = KeySet(table, self.reader.coder)
        there.add(joined(found), 0)
        others = chosen(keys, ~there.among(keys))
        counts = self.reader.snapshot.counts(
            f"SELECT COUNT(*) FROM {table.full_name} WHERE {is_among(table, [key])}"
            for key in self.reader.coder.keys(table, others)
        )
        return chosen(others, np.fromiter(counts, int, length(others)) == 0)

    def _referring(self, fk: ForeignKey, keys: Columns, reason: int) -> list[Columns]:
        """Add the rows of the child that refer to given rows of the parent. Returns the new ones."""
        child, added = self.catalog.tables[fk.child], []
        follow = to_children(self.catalog, fk)
        inside = None if self.inside.follows(fk) else to_children(self.catalog, fk, self.inside[fk.child])
        for chunk in self.reader.lists(self.catalog.tables[fk.parent], keys):
            found = self.reader.keys(child, follow.ask(chunk))
            if inside is not None:
                found = self._kept(child, found, inside.ask(chunk), ())
            added.append(self._add(child, found, reason))
        return [new for new in added if length(new)]

    # -------------------------------------------------- witnesses

    def _rowless(self, number: int, rule: Witness, reason: int) -> None:
        """Query the combination without rows, to which no new key leads."""

        def asked(rule: Witness) -> str:
            names = [name for _, columns in rule.asks for name in columns.split(", ") if name]
            none = " AND ".join(f"{name} IS NULL" for name in names) or "TRUE"
            return with_keys(rule.asks[0][0], none)

        self._answer(number, rule, reason, asked)

    def _among(self, table: Table, keys: Sequence[Key]) -> Callable[[str], str]:
        """A function from the names of key columns to the condition that they have one of these keys."""
        columns, dialect = key_columns(table), self.catalog.dialect
        if any(None in key for key in keys):  # each name is compared by itself
            return lambda names: dialect.condition(names, columns, keys)
        before, _, after = dialect.condition(f"`{KEYS}`", columns, keys).partition(f"`{KEYS}`")
        return lambda names: f"{before}{names}{after}"

    def _witness(
        self, number: int, rule: Witness, reason: int, name: str, among: Callable[[str], str]
    ) -> None:
        for place, base in enumerate(rule.outer):
            if base.table.full_name == name:

                def asked(rule: Witness, place: int = place) -> str:
                    sql, names = rule.asks[place]
                    return with_keys(sql, among(names))

                self._answer(number, rule, reason, asked)

    def _answer(self, number: int, rule: Witness, reason: int, asked: Callable[[Witness], str]) -> None:
        """Add the rows that a rule wants; with bounds, only those that it wants inside."""
        wanted_tables = [base.table for base in (*rule.wanted, *(each.base for each in rule.along))]
        if rule.inside is None and all(map(self._is_complete, wanted_tables)):
            return
        numbers = self.sets.reasons[reason].statements
        try:
            wanted = self._wanted((number, False), rule, asked(rule))
            if rule.inside is not None:
                needed, wanted = wanted, self._wanted((number, True), rule.inside, asked(rule.inside))
                missed = list(set(needed).difference(wanted))
                self._missed += [(numbers, table, keys) for table, keys in self._keys_in(rule, missed)]
                self._missed += [(numbers, table, keys) for table, keys in self._keys_along(rule, missed)]
        except Refused as error:
            self._refused(dict.fromkeys(wanted_tables), numbers, error)
            return
        for table, keys in self._keys_in(rule, wanted):
            self._add(table, keys, reason)
            for each in rule.along:
                self._put_along(table, keys, each.places, each.base.table, reason)

    def _keys_in(self, rule: Witness, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[Table, Columns]]:
        """The keys of wanted rows in an answer, by table."""
        start = 0
        for base in rule.wanted if rows else ():
            end = start + len(base.table.key)
            yield base.table, self.reader.coder.read(base.table, [row[start:end] for row in rows])
            start = end

    def _keys_along(self, rule: Witness, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[Table, Columns]]:
        """The keys of wanted rows that are parts of those in an answer, by table."""
        for table, keys in self._keys_in(rule, rows) if rule.along else ():
            for each in rule.along:
                parts = self.reader.coder.projected(table, keys, each.places, each.base.table)
                yield each.base.table, self._stored(each.base.table, parts, virtual=True)

    def _refused(self, tables: Iterable[Table], numbers: tuple[int, ...], error: Refused) -> None:
        """Add all rows of tables, because the server refused a query that it had accepted before."""
        self.sets.refused.update(dict.fromkeys(numbers, str(error)))
        for table in tables:
            self._leaf(Leaf(table, None), numbers)

    def _wanted(self, rule_id: tuple[int, bool], rule: Witness, sql: str) -> Sequence[tuple[Any, ...]]:
        """Keys of the rows that a rule wants for combinations in the slice, one combination a row."""
        rows = self._available(rule, self.reader.snapshot.rows(sql, session=rule.session))
        if rule.group_sql:
            return self._groups(rule_id, rule, rows)
        start = sum(len(base.table.key) for base in rule.outer)
        return [tuple(row[start:]) for row in rows]

    def _available(self, rule: Witness, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """The rows of an answer whose outer rows are all in the slice."""
        start = 0
        for base in rule.outer:
            table, end = base.table, start + len(base.table.key)
            columns = key_columns(table)
            told = {row[start:end]: convert(columns, row[start:end]) for row in rows}
            asked = [key for key in told.values() if key is not None]
            there = self.sets.rows(table.full_name).among(self.reader.coder.of(table, asked)).tolist()
            held = {None, *(key for key, is_there in zip(asked, there, strict=True) if is_there)}
            rows = [row for row in rows if told[row[start:end]] in held]
            start = end
        return rows

    def _groups(
        self, rule_id: tuple[int, bool], rule: Witness, rows: Sequence[Sequence[Any]]
    ) -> list[tuple[Any, ...]]:
        """All rows of the groups of given combinations, each group once."""
        done = self._groups_done.setdefault(rule_id, set())
        columns = [column for base in rule.outer for column in key_columns(base.table)]
        representatives = []
        for row in rows:
            group = tuple(row[len(columns) :])
            if group not in done:
                done.add(group)
                representatives.append(
                    tuple(converted(column, value) for column, value in zip(columns, row, strict=False))
                )
        dialect, found = self.catalog.dialect, list[tuple[Any, ...]]()
        for chunk in dialect.chunks(columns, representatives):
            which = dialect.condition(rule.group_columns, columns, chunk) if columns else "TRUE"
            found += self.reader.snapshot.rows(with_keys(rule.group_sql, which), session=rule.session)
        return found


@contextlib.contextmanager
def _comparing(fk: ForeignKey) -> Iterator[None]:
    """In a block, say of a virtual reference that the server refuses to compare its columns."""
    try:
        yield
    except Refused as error:
        if not fk.virtual:
            raise
        raise CatalogError(
            f"Following the virtual reference {fk.name!r}: the server does not compare its columns: {error}. {CORRECT}"
        ) from error
