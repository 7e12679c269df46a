"""Objects: what pg_catalog says of the tables of a slice, and what a slice cannot hold.

In: a cursor in the transaction of a snapshot, tables and views. Out: `Objects`: their types, sequences, comments and
collations, the entries that ``pg_dump`` must write, and an error that names each thing that a slice cannot hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ...errors import BundleError
from ..source import Created, Demand
from ..tables import Table
from .dialect import POSTGRESQL

# Types whose values mean the same in another database, and enumerations, which are created. Not among them: those that
# refer to objects of the database (oid, regclass …), money, which depends on its locale, and all types of extensions.
TYPES = frozenset(
    """
bool int2 int4 int8 float4 float8 numeric text varchar bpchar char name bytea date time timetz timestamp timestamptz
interval uuid json jsonb xml bit varbit inet cidr macaddr macaddr8 point line lseg box path polygon circle tsvector
tsquery int4range int8range numrange tsrange tstzrange daterange int4multirange int8multirange nummultirange
tsmultirange tstzmultirange datemultirange
""".split()  # noqa: SIM905
)

# What initdb did not make has a larger number.
FIRST_OWN = 16384


def names_of(table: Table) -> str:
    """Schema and name of a table, as a row of texts."""
    schema, name = POSTGRESQL.string(table.schema), POSTGRESQL.string(table.name)
    return f"({schema}::text, {name}::text)"


class Objects:
    """The objects of a slice in

    Attributes
    ----------
    numbers : mapping of oid to `Table`
    sequences : mapping of oid to (full name, table, column, lowest, highest value)
        Those of serial and identity columns.
    views : list of Created
    """

    def __init__(self, cursor: Any, tables: Sequence[Table], views: Sequence[Table]) -> None:
        self.cursor = cursor
        self.tables = {table.full_name: table for table in tables}
        relations = self._relations([*tables, *views])
        self.numbers = {
            number: table for number, table in relations.items() if table.full_name in self.tables
        }
        self._views = {number: table for number, table in relations.items() if number not in self.numbers}
        self.list = ", ".join(map(str, self.numbers)) or "0"
        self.sequences = {
            int(number): (POSTGRESQL.full_name(schema, name), int(table), column, int(low), int(high))
            for number, schema, name, table, column, low, high in self._all(
                "SELECT c.oid::text, n.nspname, c.relname, d.refobjid::text, a.attname, s.seqmin::text, s.seqmax::text"
                " FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'S'"
                " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
                " JOIN pg_sequence AS s ON s.seqrelid = c.oid"
                " JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
                " WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass"
                f" AND d.deptype IN ('a', 'i') AND d.refobjid IN ({self.list}) ORDER BY c.oid"
            )
        }
        self._enums = {
            int(number): (schema, name)
            for number, schema, name in self._all(
                "SELECT DISTINCT t.oid::text, n.nspname, t.relname FROM pg_attribute AS a"
                " JOIN pg_type AS of ON of.oid = a.atttypid"
                " JOIN LATERAL (SELECT oid, typname AS relname, typnamespace FROM pg_type"
                " WHERE typtype = 'e' AND oid IN (of.oid, of.typelem)) AS t ON true"
                " JOIN pg_namespace AS n ON n.oid = t.typnamespace"
                f" WHERE a.attrelid IN ({self.list}) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 2, 3"
            )
        }
        self.views = [self._view(number, table) for number, table in self._views.items()]

    def _all(self, query: str) -> list[tuple[Any, ...]]:
        self.cursor.execute(query)
        return list(self.cursor.fetchall())

    def _relations(self, tables: Sequence[Table]) -> dict[int, Table]:
        by_name = {(table.schema, table.name): table for table in tables}
        found = self._all(
            "SELECT c.oid::text, n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n"
            f" ON n.oid = c.relnamespace WHERE (n.nspname, c.relname) IN (VALUES {', '.join(map(names_of, tables))})"
        )
        numbers = {(schema, name): int(number) for number, schema, name in found}
        for key, table in by_name.items():
            if key not in numbers:
                raise BundleError(f"Writing the slice: {table.full_name} is not there any more.")
        return {numbers[key]: table for key, table in by_name.items()}

    # ------------------------------------------------------------ what is refused

    def require_whole(self) -> None:
        """Raise `BundleError` with the name of each thing that a slice cannot hold."""
        faults = [*self._faults()]
        if faults:
            raise BundleError(
                "Writing the slice: it cannot hold, on PostgreSQL,\n    " + "\n    ".join(sorted(set(faults)))
            )

    def _faults(self) -> Iterable[str]:
        for number, kind, security, partition, method in self._all(
            "SELECT c.oid::text, c.relkind, (c.relrowsecurity OR c.relforcerowsecurity)::text, c.relispartition::text,"
            " COALESCE(m.amname, 'heap') FROM pg_class AS c LEFT JOIN pg_am AS m ON m.oid = c.relam"
            f" WHERE c.oid IN ({self.list})"
        ):
            name = self.numbers[int(number)].full_name
            if kind != "r":
                yield f"{name}: it is {_KINDS.get(kind, 'no ordinary table')}"
            if partition == "true":
                yield f"{name}: it is a partition of another table"
            if security == "true":
                yield f"{name}: it has row-level security, by which an account may see a part of the rows"
            if method != "heap":
                yield f"{name}: it is stored by the access method {method}"
        for number, table in self._views.items():
            ((kind,),) = self._all(f"SELECT relkind FROM pg_class WHERE oid = {number}")
            if kind != "v":
                yield f"{table.full_name}: it is {_KINDS.get(kind, 'no ordinary view')}"
        for child, parent in self._all(
            f"SELECT inhrelid::text, inhparent::text FROM pg_inherits WHERE inhrelid IN ({self.list})"
            f" OR inhparent IN ({self.list})"
        ):
            for number in (int(child), int(parent)):
                if number in self.numbers:
                    yield f"{self.numbers[number].full_name}: it inherits from a table, or a table from it"
        for number, rule in self._all(
            f"SELECT ev_class::text, rulename FROM pg_rewrite WHERE ev_class IN ({self.list})"
        ):
            yield f"{self.numbers[int(number)].full_name}: the rule {POSTGRESQL.quote(rule)}"
        for number, name in self._all(
            f"SELECT conrelid::text, conname FROM pg_constraint WHERE conrelid IN ({self.list})"
            " AND NOT convalidated"
        ):
            yield (
                f"{self.numbers[int(number)].full_name}: the constraint {POSTGRESQL.quote(name)}, which is NOT VALID,"
                " so rows may break it"
            )
        for number, column, type_ in self._all(
            "SELECT a.attrelid::text, a.attname, format_type(a.atttypid, a.atttypmod)"
            " FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid"
            " LEFT JOIN pg_type AS e ON e.oid = t.typelem AND t.typcategory = 'A'"
            f" WHERE a.attrelid IN ({self.list}) AND a.attnum > 0 AND NOT a.attisdropped"
            " AND COALESCE(e.typtype, t.typtype) <> 'e' AND NOT (COALESCE(e.typnamespace, t.typnamespace) ="
            " 'pg_catalog'::regnamespace AND COALESCE(e.typname, t.typname) IN"
            f" ({', '.join(map(POSTGRESQL.string, sorted(TYPES)))}))"
        ):
            yield f"{self.numbers[int(number)].full_name} {POSTGRESQL.quote(column)}: the type {type_}"
        yield from self._needed()

    def _needed(self) -> Iterable[str]:
        """Functions, operators, collations, extensions and other tables that the objects need."""
        views = ", ".join(map(str, self._views)) or "0"
        held = ", ".join(map(str, [*self.numbers, *self._views, *self.sequences]))
        types = ", ".join(map(str, self._enums)) or "0"
        for one, needed in self._all(
            f"""
            WITH own (class, number) AS (
                SELECT 'pg_class'::regclass, oid FROM pg_class WHERE oid IN ({held})
                UNION ALL SELECT 'pg_attrdef'::regclass, oid FROM pg_attrdef
                    WHERE adrelid IN ({self.list})
                UNION ALL SELECT 'pg_constraint'::regclass, oid FROM pg_constraint
                    WHERE conrelid IN ({self.list}) AND contype <> 't'
                UNION ALL SELECT 'pg_class'::regclass, indexrelid FROM pg_index
                    WHERE indrelid IN ({self.list})
                UNION ALL SELECT 'pg_rewrite'::regclass, oid FROM pg_rewrite
                    WHERE ev_class IN ({views})
                UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE oid IN ({types})
            )
            SELECT DISTINCT pg_describe_object(d.classid, d.objid, 0),
                pg_describe_object(d.refclassid, d.refobjid, 0)
            FROM own JOIN pg_depend AS d ON d.classid = own.class AND d.objid = own.number
            WHERE d.refobjid >= {FIRST_OWN}
                AND d.refclassid NOT IN ('pg_namespace'::regclass, 'pg_constraint'::regclass)
                AND NOT (d.refclassid = 'pg_type'::regclass AND d.refobjid IN (
                    SELECT unnest(ARRAY[oid, typarray]) FROM pg_type WHERE oid IN ({types})))
                AND NOT (d.refclassid = 'pg_type'::regclass AND EXISTS (
                    SELECT 1 FROM pg_type AS t WHERE t.oid = d.refobjid AND t.typrelid IN ({held})))
                AND NOT (d.refclassid = 'pg_class'::regclass AND (d.refobjid IN ({held}) OR EXISTS (
                    SELECT 1 FROM pg_index AS i
                    WHERE i.indexrelid = d.refobjid AND i.indrelid IN ({self.list}))))
            """
        ):
            yield f"{one}: it needs {needed}"

    def left_out(self) -> Iterable[str]:
        """What works on changes of rows only, in words. A slice does not need it."""
        for number, name in self._all(
            f"SELECT tgrelid::text, tgname FROM pg_trigger WHERE tgrelid IN ({self.list}) AND NOT tgisinternal"
            " ORDER BY 2"
        ):
            yield f"{self.numbers[int(number)].full_name}: without the trigger {POSTGRESQL.quote(name)}"

    # ------------------------------------------------------------ what is created

    def types(self) -> list[Created]:
        """The enumerations."""
        out = []
        for number, (schema, name) in self._enums.items():
            labels = self._all(
                f"SELECT enumlabel FROM pg_enum WHERE enumtypid = {number} ORDER BY enumsortorder"
            )
            values = ", ".join(POSTGRESQL.string(label) for (label,) in labels)
            full_name = POSTGRESQL.full_name(schema, name)
            out.append(Created("TYPE", schema, name, f"CREATE TYPE {full_name} AS ENUM ({values});"))
        return out

    def _view(self, number: int, table: Table) -> Created:
        ((definition,),) = self._all(f"SELECT pg_get_viewdef({number})")
        names = POSTGRESQL.columns(column.name for column in table.columns)
        sql = f"CREATE VIEW {table.full_name} ({names}) AS {definition}"
        return Created("VIEW", table.schema, table.name, sql)

    def entries(self) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
        """What ``pg_dump`` must and may write, by catalog and number."""
        must = {(CLASS, number) for number in (*self.numbers, *self.sequences)}
        must |= {
            (CONSTRAINT, int(number))
            for (number,) in self._all(
                f"SELECT oid::text FROM pg_constraint WHERE conrelid IN ({self.list})"
                " AND contype IN ('p', 'u', 'x', 'f')"
            )
        }
        must |= {
            (CLASS, int(number))
            for (number,) in self._all(
                f"SELECT indexrelid::text FROM pg_index WHERE indrelid IN ({self.list}) AND indisvalid"
                " AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid"
                " AND contype IN ('p', 'u', 'x'))"
            )
        }
        may = {
            (DEFAULT, int(number))
            for (number,) in self._all(f"SELECT oid::text FROM pg_attrdef WHERE adrelid IN ({self.list})")
        }
        may |= {
            (CONSTRAINT, int(number))
            for (number,) in self._all(
                f"SELECT oid::text FROM pg_constraint WHERE conrelid IN ({self.list}) AND contype IN ('c', 'n')"
            )
        }
        return must, may

    def comments(self, whole: bool) -> list[str]:
        """COMMENT ON for tables, columns, constraints, indexes and types; else only DataJoint's types of columns."""
        out = []
        for number, column, text in self._all(
            "SELECT d.objoid::text, a.attname, d.description FROM pg_description AS d"
            " LEFT JOIN pg_attribute AS a ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0"
            " WHERE d.classoid = 'pg_class'::regclass"
            f" AND d.objoid IN ({self.list}) ORDER BY d.objoid, d.objsubid"
        ):
            name = self.numbers[int(number)].full_name
            if column is None:
                out.append((f"TABLE {name}", text if whole else ""))
            else:
                type_ = re.match(r":[^:]*:", text)
                kept = text if whole else type_[0] if type_ else ""
                out.append((f"COLUMN {name}.{POSTGRESQL.quote(column)}", kept))
        if whole:
            for number, constraint, text in self._all(
                "SELECT c.conrelid::text, c.conname, d.description FROM pg_description AS d"
                " JOIN pg_constraint AS c ON c.oid = d.objoid WHERE c.contype <> 't'"
                f" AND d.classoid = 'pg_constraint'::regclass AND c.conrelid IN ({self.list}) ORDER BY c.oid"
            ):
                on = self.numbers[int(number)].full_name
                out.append((f"CONSTRAINT {POSTGRESQL.quote(constraint)} ON {on}", text))
            for index, text in self._all(
                "SELECT i.indexrelid::regclass::text, d.description FROM pg_description AS d"
                " JOIN pg_index AS i ON i.indexrelid = d.objoid"
                f" WHERE d.classoid = 'pg_class'::regclass AND i.indrelid IN ({self.list}) ORDER BY 1"
            ):
                out.append((f"INDEX {index}", text))
            for number, text in self._all(
                "SELECT objoid::text, description FROM pg_description"
                " WHERE classoid = 'pg_type'::regclass"
                f" AND objoid IN ({', '.join(map(str, self._enums)) or '0'}) ORDER BY objoid"
            ):
                out.append((f"TYPE {POSTGRESQL.full_name(*self._enums[int(number)])}", text))
        return [f"COMMENT ON {what} IS {POSTGRESQL.string(text)};" for what, text in out if text]

    def sequence_values(self) -> list[str]:
        """Statements that set the sequences of serial and identity columns behind the largest value in the slice."""
        out = []
        for name, number, column, low, high in self.sequences.values():
            table, quoted = self.numbers[number], POSTGRESQL.quote(column)
            out.append(
                f"SELECT setval({POSTGRESQL.string(name)}, max({quoted})) FROM {table.full_name}"
                f" HAVING max({quoted}) BETWEEN {low} AND {high};"
            )
        return out

    def collations(self, missing: bool) -> list[Demand]:
        """Questions whether a server has the collations of columns and indexes, and in the same version."""
        out = []
        for name, version in self._all(
            "SELECT DISTINCT l.collname, COALESCE(pg_collation_actual_version(l.oid), '')"
            " FROM pg_collation AS l WHERE l.collname <> 'default'"
            f" AND l.oid < {FIRST_OWN} AND (l.oid IN (SELECT attcollation FROM pg_attribute WHERE attrelid IN"
            f" ({self.list})) OR l.oid IN (SELECT unnest(indcollation) FROM pg_index WHERE indrelid IN"
            f" ({self.list}))) ORDER BY 1"
        ):
            query = (
                "SELECT 1 FROM pg_collation WHERE collnamespace = 'pg_catalog'::regnamespace AND collname ="
                f" {POSTGRESQL.string(name)} AND collencoding IN (-1, (SELECT encoding FROM pg_database WHERE"
                " datname = current_database()))"
            )
            if missing:
                out.append(Demand(f"the collation {POSTGRESQL.quote(name)}", query))
            elif version:
                same = f" AND pg_collation_actual_version(oid) = {POSTGRESQL.string(version)}"
                what = f"the collation {POSTGRESQL.quote(name)}: the source has it in version {version}"
                out.append(Demand(what, query + same))
        return out


_KINDS = {
    "p": "partitioned",
    "f": "a foreign table",
    "m": "a materialized view",
    "v": "a view",
}

# Numbers of catalogs in every server (`pg_class`, `pg_constraint`, `pg_attrdef`), as ``pg_restore -l`` lists them.
CLASS, CONSTRAINT, DEFAULT = 1259, 2606, 2604
