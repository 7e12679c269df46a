"""Catalog: what information_schema says about the tables of a slice.

In: a connection and the names of the tables that statements read. Out: a `Catalog` of tables, columns,
primary keys, foreign keys, parts and views, closed over the foreign keys (upstream, across schemas) and
parts, with the foreign keys compiled to a networkx graph. It reads the server's own catalog and not
``dj.Dependencies``: that leaves out ``~external_*`` tables, and its two lines shape renamed foreign keys
differently. It imports nothing of DataJoint.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import itemgetter
from typing import Any, NamedTuple

import networkx as nx
import pymysql

from .collector import held_off
from .errors import CatalogError
from .sql import full_name, split_full_name

# Where the integers, the texts and the bytes are. Anything else is written as the server prints it, quoted.
NUMERIC_TYPES = frozenset(
    [
        "tinyint",
        "smallint",
        "mediumint",
        "int",
        "integer",
        "bigint",
        "decimal",
        "numeric",
        "float",
        "double",
        "real",
        "year",
        "bit",
        "boolean",
    ]
)
INTEGER_TYPES = frozenset({"tinyint", "smallint", "mediumint", "int", "integer", "bigint", "year"})
BINARY_TYPES = frozenset(
    ["binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "bit", "geometry"]
)
TEXT_TYPES = frozenset(["char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"])

SYSTEM_SCHEMAS = frozenset({"information_schema", "mysql", "performance_schema", "sys"})


class Column(NamedTuple):
    """One column as information_schema describes it."""

    name: str
    data_type: str  # lower case, without length: "varchar"
    column_type: str  # with length and members: "varchar(8)"
    nullable: bool
    collation: str | None
    extra: str
    default: str | None = None
    charset: str | None = None

    @property
    def binary(self) -> bool:
        return self.data_type in BINARY_TYPES

    @property
    def numeric(self) -> bool:
        return self.data_type in NUMERIC_TYPES and self.data_type != "bit"

    @property
    def folds(self) -> bool:
        """True where two different values can be equal: text under a collation that is not binary."""
        return (
            self.collation is not None and not self.collation.endswith("_bin") and self.collation != "binary"
        )

    @property
    def generated(self) -> bool:
        return "GENERATED" in self.extra.upper() and "DEFAULT_GENERATED" not in self.extra.upper()


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key: ``columns`` of ``child`` refer to ``parent_columns`` of ``parent`` (full table names)."""

    name: str
    child: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    virtual: bool = False


@dataclass(frozen=True)
class Table:
    """A base table or a view. Where a `Catalog` was read without columns, they are read when they are asked for."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    engine: str | None = None
    view_sql: str | None = None

    @classmethod
    def without_columns(cls, read: Callable[[str], None], **fields: Any) -> Table:
        """A table of which the columns are not known yet; ``read(schema)`` reads them."""
        table = cls.__new__(cls)
        table.__dict__.update(fields, _read=read)
        return table

    def __getattr__(self, name: str) -> Any:
        read = self.__dict__.get("_read")
        if name != "columns" or read is None:
            raise AttributeError(name)
        read(self.schema)
        return self.__dict__["columns"]

    @cached_property
    def full_name(self) -> str:
        return full_name(self.schema, self.name)

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by lower-case name (column names ignore case on both servers)."""
        return {column.name.lower(): column for column in self.columns}

    def column(self, name: str) -> Column:
        return self.by_name[name.lower()]

    @property
    def is_view(self) -> bool:
        return self.view_sql is not None

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns that name a row: the primary key, or every column of a table that has none."""
        return self.primary_key or tuple(column.name for column in self.columns)


@dataclass(frozen=True)
class Catalog:
    """Tables by full name, and the foreign keys between them.

    Attributes
    ----------
    tables : mapping of full table name to `Table`
    foreign_keys : tuple of `ForeignKey`
    folds_table_names : bool
        True where the server compares table names without case (``lower_case_table_names`` of 1 or 2).
    hidden : tuple of `ForeignKey`
        Those whose parent this account cannot see.
    """

    tables: Mapping[str, Table]
    foreign_keys: tuple[ForeignKey, ...]
    folds_table_names: bool = False
    hidden: tuple[ForeignKey, ...] = ()
    _later: _Columns | None = field(default=None, repr=False, compare=False)

    @classmethod
    @held_off()
    def read(
        cls,
        connection: Any,
        schemas: Iterable[str],
        virtual: Sequence[ForeignKey] = (),
        down: bool = False,
        partial: bool = False,
        columns: bool = True,
    ) -> Catalog:
        """Read the catalog of the given schemas and of every schema that they refer to.

        Parameters
        ----------
        connection : pymysql connection
            An account that may only SELECT is enough.
        schemas : iterable of str
            Unquoted schema names; those that foreign keys point to are followed and added.
        virtual : sequence of ForeignKey
            References declared in configuration, treated as foreign keys; those of schemas that are not read are left
            out.
        down : bool
            Follow foreign keys also to the schemas that refer to these.
        partial : bool
            Take what this account can see, and leave the rest to the caller (`slices.access`).
        columns : bool
            False leaves the columns for later: they are read with `read_columns`, or where one is asked for, on the
            same connection.

        Raises
        ------
        CatalogError
            If a schema is not there or not visible to this account.
        """
        wanted = {schema for schema in schemas if schema.lower() not in SYSTEM_SCHEMAS}
        tables: dict[str, Table] = {}
        foreign_keys: list[ForeignKey] = []
        later = _Columns(connection, tables)
        with connection.cursor() as cursor, _long_texts(cursor):
            cursor.execute("SELECT @@lower_case_table_names")
            folds = int(cursor.fetchone()[0]) != 0
            done: set[str] = set()

            def schema_of(name: str) -> str:
                schema = split_full_name(name)[0]
                return schema.lower() if folds else schema

            while wanted := {schema.lower() if folds else schema for schema in wanted} - done:
                batch = sorted(wanted)
                found, new_keys = _read_schemas(cursor, batch, later)
                seen = {table.schema.lower() if folds else table.schema for table in found}
                for schema in batch:
                    if not partial and schema not in seen:
                        raise CatalogError(
                            f"Reading the catalog: schema `{schema}` has no table that this account can see. "
                            f"Either it does not exist on this server, or the account needs "
                            f"GRANT SELECT ON `{schema}`.* (ask the administrator for it)."
                        )
                tables.update((table.full_name, table) for table in found)
                foreign_keys += new_keys
                done |= set(batch)
                declared = [key for key in virtual if schema_of(key.child) in done]
                parents = {key.parent for key in (*new_keys, *declared)} - tables.keys()
                wanted |= {schema_of(parent) for parent in parents}
                if down:
                    wanted |= _referring_schemas(cursor, batch)
        virtual = [key for key in virtual if schema_of(key.child) in done]
        if folds:  # a foreign key may name its parent in other letters than the parent has
            stored = {name.lower(): name for name in tables}
            virtual = [_as_stored(key, stored) for key in virtual]
            foreign_keys = [_as_stored(key, stored) for key in foreign_keys]
        if columns:
            later.read({table.schema for table in tables.values()})
        for key in virtual:
            for name, names in ((key.child, key.columns), (key.parent, key.parent_columns)):
                if name not in tables or any(c.lower() not in tables[name].by_name for c in names):
                    raise CatalogError(
                        f"The virtual reference {key.name!r} names {name} ({', '.join(names)}), which is not in "
                        "the database, or not visible to this account. Correct it in sqlspy.references, or where it "
                        "was given as virtual=…."
                    )
        hidden = tuple(key for key in foreign_keys if key.parent not in tables)
        if hidden and not partial:
            key = hidden[0]
            raise CatalogError(
                f"Following foreign key `{key.name}` of {key.child}: its parent {key.parent} is not visible to "
                f"this account. Ask for GRANT SELECT ON {key.parent}."
            )
        visible = (key for key in foreign_keys if key.parent in tables)
        return cls(tables, (*visible, *virtual), folds, hidden, later)

    def read_columns(self, names: Iterable[str]) -> None:
        """Read the columns of the given tables at once, with those of the others of their schemas."""
        if self._later is not None:
            self._later.read({self.tables[name].schema for name in names})

    @cached_property
    def graph(self) -> nx.MultiDiGraph:
        """Foreign keys as edges from child to parent, each with its `ForeignKey` as ``fk``."""
        graph = nx.MultiDiGraph()
        graph.add_nodes_from(name for name, table in self.tables.items() if not table.is_view)
        for fk in self.foreign_keys:
            graph.add_edge(fk.child, fk.parent, key=fk.name, fk=fk)
        return graph

    @cached_property
    def _by_child(self) -> dict[str, tuple[ForeignKey, ...]]:
        out: dict[str, list[ForeignKey]] = {}
        for fk in self.foreign_keys:
            out.setdefault(fk.child, []).append(fk)
        return {child: tuple(fks) for child, fks in out.items()}

    def parents(self, name: str) -> tuple[ForeignKey, ...]:
        """Foreign keys of the table ``name``."""
        return self._by_child.get(name, ())

    @cached_property
    def _by_parent(self) -> dict[str, tuple[ForeignKey, ...]]:
        out: dict[str, list[ForeignKey]] = {}
        for fk in self.foreign_keys:
            out.setdefault(fk.parent, []).append(fk)
        return {parent: tuple(fks) for parent, fks in out.items()}

    def children(self, name: str) -> tuple[ForeignKey, ...]:
        """Foreign keys that refer to the table ``name``, of the schemas in the catalog."""
        return self._by_parent.get(name, ())

    @cached_property
    def masters(self) -> dict[str, ForeignKey]:
        """For each part table, the foreign key to its master.

        A table is a part if its name is another table's of the same schema, two underscores and a word, and it
        has a foreign key to that table (DataJoint ``user_tables.Part``), or to another part that has one: then
        the two are composed. The longest such name is the master, so that parts of parts work.
        """
        out: dict[str, ForeignKey] = {}
        for name, table in self.tables.items():
            positions = [i for i in range(1, len(table.name) - 2) if table.name.startswith("__", i)]
            for position in reversed(positions):
                master = full_name(table.schema, table.name[:position])
                key = self._key_to_master(name, master)
                if key is not None:
                    out[name] = key
                    break
        return out

    def _key_to_master(
        self, name: str, master: str, below: frozenset[str] = frozenset()
    ) -> ForeignKey | None:
        """The foreign key of a table to its master, or one composed through other parts (not those ``below``)."""
        below |= {name}
        keys = [fk for fk in self.parents(name) if fk.parent == master and not fk.virtual]
        if not keys:
            for fk in self.parents(name):
                if fk.virtual or fk.parent in below or not fk.parent.startswith(f"{master[:-1]}__"):
                    continue
                up = self._key_to_master(fk.parent, master, below)
                own = dict(zip((c.lower() for c in fk.parent_columns), fk.columns, strict=True))
                if up is not None and all(c.lower() in own for c in up.columns):
                    columns = tuple(own[c.lower()] for c in up.columns)
                    keys.append(ForeignKey(fk.name, name, columns, master, up.parent_columns))
        # a part refers to its master with its primary key; prefer that key where there are several
        primary = set(self.tables[name].primary_key)
        return min(keys, key=lambda fk: (not set(fk.columns) <= primary, fk.name), default=None)

    @cached_property
    def _parts(self) -> dict[str, tuple[ForeignKey, ...]]:
        out: dict[str, list[ForeignKey]] = {}
        for fk in self.masters.values():
            out.setdefault(fk.parent, []).append(fk)
        return {master: tuple(fks) for master, fks in out.items()}

    def parts(self, name: str) -> tuple[ForeignKey, ...]:
        """Foreign keys of the parts of master ``name``, each from the part to the master."""
        return self._parts.get(name, ())

    def ancestors(self, names: Iterable[str]) -> set[str]:
        """The tables themselves, and all that they refer to, directly or not."""
        out: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in out:
                out.add(name)
                todo += [fk.parent for fk in self.parents(name)]
        return out

    def in_order(self, names: Iterable[str]) -> list[str]:
        """The given tables, parents before children; tables of a cycle stand together."""
        wanted = set(names)
        return [name for name in self._order if name in wanted]

    def position(self, name: str) -> int:
        """The place of a table in the order of `in_order`, from 0."""
        return self._positions[name]

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self._order)}

    @cached_property
    def _order(self) -> tuple[str, ...]:
        """All tables in the order of `in_order`: of those that could come next, the first by name."""
        alone = [[name] for name, table in self.tables.items() if not table.is_view]
        order = self._sorted(alone)
        if len(order) < len(alone):  # there are cycles
            order = self._sorted([sorted(c) for c in nx.strongly_connected_components(self.graph)])
        return tuple(order)

    def _sorted(self, groups: list[list[str]]) -> list[str]:
        """The tables of groups, each after those that it refers to (Kahn, 1962); without the groups of a cycle."""
        first_of = {name: names[0] for names in groups for name in names}
        by_first = {names[0]: names for names in groups}
        missing: dict[str, set[str]] = {first: set() for first in by_first}
        for fk in self.foreign_keys:
            one, other = first_of[fk.child], first_of[fk.parent]
            if one != other:
                missing[one].add(other)
        children: dict[str, list[str]] = {}
        for first, parents in missing.items():
            for parent in parents:
                children.setdefault(parent, []).append(first)
        ready = [first for first, parents in missing.items() if not parents]
        heapq.heapify(ready)
        order: list[str] = []
        while ready:
            first = heapq.heappop(ready)
            order += by_first[first]
            for child in children.get(first, ()):
                missing[child].discard(first)
                if not missing[child]:
                    heapq.heappush(ready, child)
        return order

    def find(self, schema: str | None, name: str, default_schema: str | None = None) -> Table | None:
        """The table that a statement names, or None."""
        schema = schema or default_schema
        if schema is None:
            matches = [table for table in self.tables.values() if self._same(table.name, name)]
            return matches[0] if len(matches) == 1 else None
        found = self.tables.get(full_name(schema, name))
        if found is None and self.folds_table_names:
            return next(
                (
                    t
                    for t in self.tables.values()
                    if self._same(t.schema, schema) and self._same(t.name, name)
                ),
                None,
            )
        return found

    def name_of(self, name: str) -> str:
        """A full table name as the catalog has it; where there is none, the same."""
        if name in self.tables or not self.folds_table_names:
            return name
        found = self.find(*split_full_name(name))
        return name if found is None else found.full_name

    def _same(self, one: str, other: str) -> bool:
        return one.lower() == other.lower() if self.folds_table_names else one == other


def _marks(values: Sequence[Any]) -> str:
    return ", ".join(["%s"] * len(values))


# Bytes of a schema's columns in one text; a server's max_allowed_packet, which holds too, is 1 GiB at most.
_LONGEST = 1 << 30


def _rows(
    cursor: Any, source: str, columns: str, schemas: Sequence[str], condition: str = "TRUE"
) -> list[list[Any]]:
    """Columns of the rows of information_schema that are about the given schemas.

    A schema's rows come as one text, an array in JSON: for thousands of rows of ten short columns, the driver would
    take longer to read them than the server to find them. Where a text is longer than the server sends, and so is
    cut, they come one by one.
    """
    where = f"FROM information_schema.{source} WHERE table_schema IN ({_marks(schemas)}) AND {condition}"
    cursor.execute(
        f"SELECT COUNT(*), GROUP_CONCAT(JSON_ARRAY({columns})) {where} GROUP BY table_schema", schemas
    )
    out: list[list[Any]] = []
    for count, text in cursor.fetchall():
        try:
            rows = json.loads(f"[{_text(text)}]")
        except ValueError:
            rows = []
        if len(rows) != int(count):
            cursor.execute(f"SELECT JSON_ARRAY({columns}) {where}", schemas)
            return [json.loads(_text(row)) for (row,) in cursor.fetchall()]
        out += rows
    return out


def _by_table(rows: Iterable[Sequence[Any]]) -> dict[tuple[str, str], list[Sequence[Any]]]:
    """Rows that start with schema and table, in order of what follows these."""
    out: dict[tuple[str, str], list[Sequence[Any]]] = {}
    for row in rows:
        out.setdefault((row[0], row[1]), []).append(row)
    for members in out.values():
        members.sort(key=itemgetter(2, 3))
    return out


@contextmanager
def _long_texts(cursor: Any) -> Iterator[None]:
    """Let the server put together long texts, in a block: what statements return may depend on the setting."""
    cursor.execute("SELECT @@group_concat_max_len")
    longest = int(cursor.fetchone()[0])
    cursor.execute(f"SET SESSION group_concat_max_len = {_LONGEST}")
    try:
        yield
    finally:
        cursor.execute(f"SET SESSION group_concat_max_len = {longest}")


class _Columns:
    """Reads the columns of the tables of whole schemas, each schema once."""

    def __init__(self, connection: Any, tables: Mapping[str, Table]) -> None:
        self._connection = connection
        self._tables = tables
        self._done: set[str] = set()

    def read_schema(self, schema: str) -> None:
        self.read({schema})

    def read(self, schemas: set[str]) -> None:
        wanted = sorted(schemas - self._done)
        if not wanted:
            return
        try:
            with self._connection.cursor() as cursor, _long_texts(cursor):
                rows = _rows(
                    cursor,
                    "columns",
                    "table_schema, table_name, ordinal_position, column_name, data_type, column_type, is_nullable,"
                    " collation_name, extra, column_default, character_set_name",
                    wanted,
                )
        except pymysql.InterfaceError as error:
            raise CatalogError(
                f"Reading the columns of {', '.join(wanted)}: the connection that the catalog was read on is closed. "
                "A slice knows those of its own tables only."
            ) from error
        columns = _by_table(rows)
        for table in self._tables.values():
            if table.schema in schemas and table.schema not in self._done:
                own = columns.get((table.schema, table.name), ())
                table.__dict__["columns"] = tuple([_column(row) for row in own])
                table.__dict__.pop("_read", None)
        self._done.update(wanted)


def _read_schemas(
    cursor: Any, schemas: Sequence[str], later: _Columns
) -> tuple[list[Table], list[ForeignKey]]:
    """The tables and views of the given schemas, without their columns, and the foreign keys of these tables."""
    heads = _rows(
        cursor,
        "tables",
        "table_schema, table_name, table_type, engine",
        schemas,
        "table_type IN ('BASE TABLE', 'VIEW')",
    )
    keys = _by_table(
        _rows(
            cursor,
            "key_column_usage",
            "table_schema, table_name, constraint_name, ordinal_position, column_name, referenced_table_schema,"
            " referenced_table_name, referenced_column_name",
            schemas,
            "(constraint_name = 'PRIMARY' OR referenced_table_name IS NOT NULL)",
        )
    )
    views: dict[tuple[str, str], str] = {}
    if any(kind == "VIEW" for _, _, kind, _ in heads):
        cursor.execute(
            f"SELECT table_schema, table_name, view_definition FROM information_schema.views"
            f" WHERE table_schema IN ({_marks(schemas)})",
            schemas,
        )
        views = {(schema, table): _text(sql or "") for schema, table, sql in cursor.fetchall()}
    tables: list[Table] = []
    foreign_keys: list[ForeignKey] = []
    for schema, name, kind, engine in sorted(heads, key=itemgetter(0, 1)):
        primary, foreign = _keys_of(full_name(schema, name), keys.get((schema, name), ()))
        view = views.get((schema, name), "") if kind == "VIEW" else None
        about = {"schema": schema, "name": name, "primary_key": primary, "engine": engine, "view_sql": view}
        tables.append(Table.without_columns(later.read_schema, **about))
        foreign_keys += foreign
    return tables, foreign_keys


def _column(row: Sequence[Any]) -> Column:
    _, _, _, name, data_type, column_type, nullable, collation, extra, default, charset = row
    return Column(
        name, data_type.lower(), column_type, nullable == "YES", collation, extra or "", default, charset
    )


def _keys_of(table: str, rows: Iterable[Sequence[Any]]) -> tuple[tuple[str, ...], list[ForeignKey]]:
    """The primary key and the foreign keys of a table, from its rows of key_column_usage in order."""
    primary: list[str] = []
    foreign: dict[tuple[str, str, str], tuple[list[str], list[str]]] = {}
    for _, _, name, _, column, parent_schema, parent, parent_column in rows:
        if parent is None:
            primary.append(column)
        else:
            pairs = foreign.setdefault((name, parent_schema, parent), ([], []))
            pairs[0].append(column)
            pairs[1].append(parent_column)
    keys = [
        ForeignKey(name, table, tuple(own), full_name(schema, parent), tuple(theirs))
        for (name, schema, parent), (own, theirs) in foreign.items()
    ]
    return tuple(primary), keys


def _as_stored(key: ForeignKey, stored: Mapping[str, str]) -> ForeignKey:
    child, parent = (stored.get(name.lower(), name) for name in (key.child, key.parent))
    return replace(key, child=child, parent=parent)


def _referring_schemas(cursor: Any, schemas: Sequence[str]) -> set[str]:
    cursor.execute(
        "SELECT DISTINCT table_schema FROM information_schema.key_column_usage"
        f" WHERE referenced_table_schema IN ({_marks(schemas)})",
        schemas,
    )
    return {schema for (schema,) in cursor.fetchall()}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


# --- what DataJoint's names say ----------------------------------------------------------------------------

_TIERS = (("__", "computed"), ("_", "imported"), ("#", "lookup"), ("~", "hidden"))


def tier_of(table: str) -> str:
    """The tier of a table, from its name without the schema.

    >>> tier_of("session"), tier_of("#species"), tier_of("_ephys"), tier_of("__psth"), tier_of("~external_raw")
    ('manual', 'lookup', 'imported', 'computed', 'hidden')
    """
    return next((tier for prefix, tier in _TIERS if table.startswith(prefix)), "manual")


def class_name(table: str) -> str:
    """The name of a table's class in Python, from its name without the schema.

    >>> class_name("#probe_type__electrode"), class_name("__psth"), class_name("~external_raw")
    ('ProbeType.Electrode', 'Psth', '~external_raw')
    """
    if table.startswith("~") or not re.fullmatch(r"[#\w]+", table):
        return table  # not a name that DataJoint gives to a class
    words = re.split(r"(?<=\w)__(?=\w)", table.lstrip("#_~"))
    return ".".join(re.sub(r"(?:^|[_\W])+([a-zA-Z0-9])", lambda m: m[1].upper(), word) for word in words)
