"""The corpus: each recorded statement of DataJoint's two lines gets a lineage, or a stated fall-back.

The tables behind the corpus are gone (they are those of DataJoint's own tests). What they must have been is told
from the statements: DataJoint writes the columns of a table out, so the SELECTs of one table name them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlglot import exp

import dj_sqlspy as sqlspy
from dj_sqlspy.journal import Statement
from dj_sqlspy.lineage import analyse, named_tables
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.catalog import Catalog
from dj_sqlspy.servers.columns import Column
from dj_sqlspy.servers.expressions import Syntax
from dj_sqlspy.servers.mysql.dialect import MYSQL
from dj_sqlspy.servers.mysql.reading import MYSQL_SYNTAX
from dj_sqlspy.servers.mysql.snapshot import plain_decoders
from dj_sqlspy.servers.tables import Table
from dj_sqlspy.slices import make_slice
from tests.conftest import drop_schemas
from tests.exported import Twin

full_name, quote = MYSQL.full_name, MYSQL.quote

Columns = dict[tuple[str, str], dict[str, None]]


def statements(corpus: list[Path]) -> list[str]:
    """All texts, as the server gets them: the driver makes ``%%`` to ``%``."""
    lines = [line for path in corpus for line in path.read_text().splitlines()]
    return list(dict.fromkeys(json.loads(line)["sql"].replace("%%", "%") for line in lines))


def named(select: exp.Select) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    """The tables that stand in the FROM clause of one SELECT, the columns that it names itself, and those of USING."""
    from_ = select.args.get("from_")
    sources = [from_.this, *(join.this for join in select.args.get("joins") or ())] if from_ else []
    tables = [(node.db, node.name) for node in sources if isinstance(node, exp.Table) and node.db]
    inner = [node for node in select.find_all(exp.Select) if node is not select]
    hidden = {id(column) for node in inner for column in node.find_all(exp.Column)}
    columns = [column for column in select.find_all(exp.Column) if id(column) not in hidden]
    using = [name.name for join in select.args.get("joins") or () for name in join.args.get("using") or ()]
    names = [column.name for column in columns if not isinstance(column.this, exp.Star)]
    derived = {
        name.lower() for node in sources if isinstance(node, exp.Subquery) for name in node.this.named_selects
    }
    aliases = {item.alias.lower() for item in select.expressions if isinstance(item, exp.Alias)}
    return tables, [name for name in names if name.lower() not in derived | aliases], using


def tables_of(texts: list[str], syntax: Syntax = MYSQL_SYNTAX) -> Columns:
    """What columns the tables must have: those that SELECTs of one table name, then what joins name beside."""
    found: Columns = {}
    joined: list[tuple[list[tuple[str, str]], list[str]]] = []
    for text in texts:
        for name in named_tables(text, syntax=syntax):
            if name[0]:
                found.setdefault(name, {})  # type: ignore[arg-type]
        try:
            tree = syntax.parse(text)
        except Exception:  # it names its tables all the same
            continue
        for select in tree.find_all(exp.Select):
            tables, columns, using = named(select)
            for table in tables:
                found[table].update(dict.fromkeys(using))
            if len(tables) == 1:
                found[tables[0]].update(dict.fromkeys(columns))
            elif tables:
                joined.append((tables, columns))
    for tables, columns in joined:
        known = {name.lower() for table in tables for name in found[table]}
        found[tables[0]].update(dict.fromkeys(name for name in columns if name.lower() not in known))
    return found


def numbers_of(texts: list[str]) -> set[str]:
    """The names of columns that are compared with numbers, and never with texts."""
    met: dict[bool, set[str]] = {True: set(), False: set()}
    for text in texts:
        try:
            tree = MYSQL_SYNTAX.parse(text)
        except Exception:  # as above
            continue
        for node in tree.find_all(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In):
            sides = [
                side.unnest() for side in (node.this, node.args.get("expression"), *node.expressions) if side
            ]
            names = {side.name.lower() for side in sides if isinstance(side, exp.Column)}
            for side in sides:
                if isinstance(side, exp.Literal):
                    met[side.is_string] |= names
    return met[False] - met[True]


def catalog_of(found: Columns) -> Catalog:
    """Tables of texts, whose first column is the key."""
    tables = {}
    for (schema, name), columns in found.items():
        texts = tuple(Column(c, "varchar", "varchar(50)", True, None, "") for c in columns or ["id"])
        tables[full_name(schema, name)] = Table(schema, name, texts, (texts[0].name,))
    return Catalog(tables, ())


def kind(text: str) -> str:
    return "exists" if text.lstrip().upper().startswith("SELECT EXISTS") else "data"


# The statements that fall back to all rows of their tables, with the reason: there is none. sqlglot alone fails on
# one, `WHERE key=1`, which `resolve.parse` reads.
FALLBACKS: dict[str, str] = {}


def test_every_statement_has_a_lineage_or_a_reason(corpus: list[Path]) -> None:
    texts = statements(corpus)
    catalog = catalog_of(tables_of(texts))
    fallbacks = {}
    for text in texts:
        lineage = analyse(text, catalog, kind=kind(text))
        if lineage.fallback is not None:
            fallbacks[text] = lineage.fallback
        named_in = {table.full_name for table in lineage.tables}
        assert named_in == {full_name(*name) for name in named_tables(text)}, text  # type: ignore[arg-type]
        assert {leaf.table.full_name for leaf in lineage.leaves} <= named_in
    assert fallbacks == FALLBACKS
    assert len(texts) >= 345


@pytest.fixture
def made(corpus: list[Path], server: Server) -> Iterator[dict[str, Any]]:
    """The tables on a server, three rows in each, whose values meet and miss each other."""
    found, numbers = tables_of(statements(corpus)), numbers_of(statements(corpus))
    schemas = sorted({schema for schema, _ in found})
    with server.connect() as connection, connection.cursor() as cursor:
        for schema in schemas:
            cursor.execute(f"CREATE DATABASE {quote(schema)}")
        for number, ((schema, table), columns) in enumerate(found.items()):
            names = list(columns or ["id"])
            types = [
                "INT"
                if name.lower() in numbers
                else "VARBINARY(50)"
                if name.endswith("hash") or name == "item"
                else "VARCHAR(50)"
                for name in names
            ]
            declared = ", ".join(
                f"{quote(name)} {of_type}" for name, of_type in zip(names, types, strict=True)
            )
            cursor.execute(
                f"CREATE TABLE {full_name(schema, table)} ({declared}, PRIMARY KEY ({quote(names[0])}))"
            )
            values = [
                "(" + ", ".join(f"'{(row + column * number) % 3}'" for column in range(len(names))) + ")"
                for row in range(3)
            ]
            cursor.execute(f"INSERT INTO {full_name(schema, table)} VALUES {', '.join(values)}")
    yield found
    drop_schemas(server, schemas)


def accepted(texts: list[str], connection: Any) -> tuple[list[Statement], dict[str, str]]:
    """The statements that the server itself takes, as captured, and its word about the others."""
    captured, refused = [], {}
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = REPLACE(@@sql_mode, 'ONLY_FULL_GROUP_BY', '')")
        for number, text in enumerate(texts):
            try:
                cursor.execute(text)
                captured.append(Statement(sql=text, rows=cursor.rowcount, number=number, kind=kind(text)))
            except pymysql.MySQLError as error:
                refused[text] = str(error.args[-1])
    return captured, refused


# What MariaDB does not know: ->> and the types of JSON_VALUE. In 2.x they are sent only to MySQL.
ONLY_MYSQL = 6


def test_the_server_takes_every_rewritten_statement(
    corpus: list[Path], made: Columns, server: Server
) -> None:
    """The queries for keys and the count of each statement: what the server refuses would fall back."""
    with server.connect(conv=plain_decoders()) as connection:
        captured, refused = accepted(statements(corpus), connection)
        cut = make_slice(captured, connection)
    assert len(refused) == (ONLY_MYSQL if server.flavor == "mariadb" else 0), refused
    assert all("->>" in text or " returning " in text.lower() for text in refused)
    assert {report.sql: report.fallback for report in cut.fallbacks} == FALLBACKS
    assert [report.sql for report in cut.drifted] == []


@pytest.mark.slow
def test_each_statement_alone_from_its_slice(corpus: list[Path], made: Columns, server: Server) -> None:
    with server.connect(conv=plain_decoders()) as connection, server.connect() as plain:
        captured, _ = accepted(statements(corpus), connection)
        accepted([], plain)
        twin = Twin(plain, sorted({schema for schema, _ in made}))
        wrong = []
        for statement in captured:
            cut = make_slice([statement], connection)
            twin.load(cut)
            if any(report.marks for report in cut.statements):
                continue  # what the time is cannot be the same again
            wrong += twin.differences(cut)
        twin.drop()
    assert not wrong, "\n".join(wrong)


# DuckDB answers at least this part of what the server takes.
ANSWERED = 0.93


@pytest.mark.slow
@pytest.mark.line("2.x")  # which has the extra `open`
def test_duckdb_answers_the_corpus(
    corpus: list[Path], made: Columns, server: Server, dj_conn: Any, home: Path, tmp_path: Path
) -> None:
    """From the open copy, each statement has a view that returns what the server returned, or the reason why not."""
    with server.connect(conv=plain_decoders()) as connection:
        taken, _ = accepted(statements(corpus), connection)
    # DataJoint's tables of external files do not have the columns here that they have
    captured = [each for each in taken if not any("~external" in name for _, name in named_tables(each.sql))]
    mode = dj_conn.query("SELECT @@sql_mode").fetchone()[0]
    dj_conn.query(f"SET SESSION sql_mode = '{mode.replace('ONLY_FULL_GROUP_BY', '')}'")
    with sqlspy.export("corpus", "all", home=home):
        for statement in captured:
            dj_conn.query(statement.sql.replace("%", "%%")).fetchall()
    dj_conn.query(f"SET SESSION sql_mode = '{mode}'")
    paper = sqlspy.Paper("corpus", home=home)
    bundle = paper.write(tmp_path / "bundle")
    bundle.dump()
    opened = bundle.open_copy(tmp_path / "open")
    count = sum(one.count for one in opened.statements)
    print(f"{opened.equal} of {count}")
    assert count == sum(each.kind != "metadata" for each in paper.statements) > 300
    assert opened.equal >= ANSWERED * count
    assert all(bool(one.view) != bool(one.why_not) for one in opened.statements)
