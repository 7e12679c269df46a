"""TPC-H and TPC-DS: their queries, tables and rows, from the packages that ship them, as MySQL and MariaDB take them.

In: DuckDB and its two extensions, which hold the query texts and the generators of the rows (extra ``tpc``). Out:
CREATE TABLE and INSERT statements, and the queries rewritten by sqlglot. Nothing of the benchmarks stands here but
the keys of the tables, as their specifications give them (TPC-H 1.4.2, TPC-DS 2.3 and 2.4).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

from dj_sqlspy.servers.mysql.dialect import MYSQL

columns, full_name, quote = MYSQL.columns, MYSQL.full_name, MYSQL.quote

References = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: the extension that ships it, its generator, the key of each table, and foreign keys by table.

    A foreign key is written ``columns -> table``; it refers to the table's primary key.
    """

    name: str
    generator: str
    keys: Mapping[str, str]
    references: References


TPCH = Benchmark(
    "tpch",
    "dbgen",
    # parents first
    {
        "region": "r_regionkey",
        "nation": "n_nationkey",
        "supplier": "s_suppkey",
        "customer": "c_custkey",
        "part": "p_partkey",
        "partsupp": "ps_partkey ps_suppkey",
        "orders": "o_orderkey",
        "lineitem": "l_orderkey l_linenumber",
    },
    {
        "nation": ("n_regionkey -> region",),
        "supplier": ("s_nationkey -> nation",),
        "customer": ("c_nationkey -> nation",),
        "partsupp": ("ps_partkey -> part", "ps_suppkey -> supplier"),
        "orders": ("o_custkey -> customer",),
        "lineitem": ("l_orderkey -> orders", "l_partkey l_suppkey -> partsupp"),
    },
)

TPCDS = Benchmark(
    "tpcds",
    "dsdgen",
    {
        "call_center": "cc_call_center_sk",
        "catalog_page": "cp_catalog_page_sk",
        "customer_address": "ca_address_sk",
        "customer_demographics": "cd_demo_sk",
        "date_dim": "d_date_sk",
        "income_band": "ib_income_band_sk",
        "household_demographics": "hd_demo_sk",
        "customer": "c_customer_sk",
        "item": "i_item_sk",
        "promotion": "p_promo_sk",
        "reason": "r_reason_sk",
        "ship_mode": "sm_ship_mode_sk",
        "store": "s_store_sk",
        "time_dim": "t_time_sk",
        "warehouse": "w_warehouse_sk",
        "web_site": "web_site_sk",
        "web_page": "wp_web_page_sk",
        "inventory": "inv_date_sk inv_item_sk inv_warehouse_sk",
        "catalog_sales": "cs_item_sk cs_order_number",
        "catalog_returns": "cr_item_sk cr_order_number",
        "store_sales": "ss_item_sk ss_ticket_number",
        "store_returns": "sr_item_sk sr_ticket_number",
        "web_sales": "ws_item_sk ws_order_number",
        "web_returns": "wr_item_sk wr_order_number",
    },
    {
        "household_demographics": ("hd_income_band_sk -> income_band",),
        "customer": (
            "c_current_cdemo_sk -> customer_demographics",
            "c_current_hdemo_sk -> household_demographics",
            "c_current_addr_sk -> customer_address",
        ),
        "inventory": ("inv_date_sk -> date_dim", "inv_item_sk -> item", "inv_warehouse_sk -> warehouse"),
        "catalog_sales": (
            "cs_sold_date_sk -> date_dim",
            "cs_item_sk -> item",
            "cs_bill_customer_sk -> customer",
        ),
        "catalog_returns": ("cr_returned_date_sk -> date_dim", "cr_item_sk cr_order_number -> catalog_sales"),
        "store_sales": ("ss_sold_date_sk -> date_dim", "ss_item_sk -> item", "ss_customer_sk -> customer"),
        "store_returns": ("sr_returned_date_sk -> date_dim", "sr_item_sk sr_ticket_number -> store_sales"),
        "web_sales": ("ws_sold_date_sk -> date_dim", "ws_item_sk -> item", "ws_bill_customer_sk -> customer"),
        "web_returns": ("wr_returned_date_sk -> date_dim", "wr_item_sk wr_order_number -> web_sales"),
    },
)

SCALE = 0.01  # the smallest at which every query of TPC-H returns rows
_TYPES = {"VARCHAR": "VARCHAR(200)", "INTEGER": "INT"}


class Source:
    """A benchmark as DuckDB makes it at a scale factor (0: tables without rows)."""

    def __init__(self, benchmark: Benchmark, scale: float) -> None:
        duckdb = importlib.import_module("duckdb")
        package = importlib.import_module(f"duckdb_extension_{benchmark.name}")
        (extension,) = Path(package.__file__ or "").parent.rglob("*.duckdb_extension")
        self.benchmark = benchmark
        self.connection: Any = duckdb.connect()
        self.connection.execute(f"LOAD '{extension}'")
        self.connection.execute(f"CALL {benchmark.generator}(sf={scale})")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What DuckDB itself answers."""
        rows: list[tuple[Any, ...]] = self.connection.execute(sql).fetchall()
        return rows

    def text(self, number: int) -> str:
        """A query as the package ships it."""
        ((text,),) = self.rows(f"SELECT query FROM {self.benchmark.name}_queries() WHERE query_nr = {number}")
        return str(text)

    def queries(self, flavor: str) -> dict[int, str]:
        """The queries by number, rewritten for a server."""
        numbers = self.rows(f"SELECT query_nr FROM {self.benchmark.name}_queries()")
        return {number: rewritten(self.text(number), flavor) for (number,) in numbers}

    def create(self, cursor: Any, schema: str) -> None:
        """Make the schema and its tables."""
        cursor.execute(f"CREATE DATABASE {quote(schema)}")
        for sql in self._tables(schema):
            cursor.execute(sql)

    def _tables(self, schema: str) -> Iterator[str]:
        """CREATE TABLE statements, parents first."""
        for table, key in self.benchmark.keys.items():
            known = self.rows(
                "SELECT column_name, data_type, is_nullable FROM duckdb_columns()"
                f" WHERE table_name = '{table}' ORDER BY column_index"
            )
            lines = [
                f"{quote(name)} {_TYPES.get(data_type, data_type)}"
                + ("" if nullable and name not in key.split() else " NOT NULL")
                for name, data_type, nullable in known
            ]
            lines.append(f"PRIMARY KEY ({columns(key.split())})")
            for reference in self.benchmark.references.get(table, ()):
                own, parent = reference.split(" -> ")
                target = columns(self.benchmark.keys[parent].split())
                lines.append(
                    f"FOREIGN KEY ({columns(own.split())}) REFERENCES {full_name(schema, parent)} ({target})"
                )
            yield f"CREATE TABLE {full_name(schema, table)} ({', '.join(lines)})"

    def fill(self, cursor: Any, schema: str) -> dict[str, int]:
        """Insert the rows of all tables, and have the server count them; how many each has."""
        counts = {}
        for table in self.benchmark.keys:
            rows = self.rows(f"SELECT * FROM {table}")
            if rows:
                marks = ", ".join(["%s"] * len(rows[0]))
                cursor.executemany(f"INSERT INTO {full_name(schema, table)} VALUES ({marks})", rows)
            counts[table] = len(rows)
        cursor.execute(f"ANALYZE TABLE {', '.join(full_name(schema, table) for table in counts)}")
        return counts


def rewritten(text: str, flavor: str) -> str:
    """A query of DuckDB's dialect for MySQL or MariaDB.

    Beside what sqlglot does: names in lower case, since those of tables are told apart by case; NULLs where the
    server sorts them; ``*`` after other columns qualified. MariaDB has WITH ROLLUP in place of ROLLUP (…), not
    together with ORDER BY, and names the columns of a derived table only inside of it.
    """
    tree = normalize_identifiers(sqlglot.parse_one(text, read="duckdb"), dialect="duckdb")
    for ordered in tree.find_all(exp.Ordered):
        ordered.set("nulls_first", not ordered.args.get("desc"))
    for select in tree.find_all(exp.Select):
        for item in select.expressions[1:]:
            if isinstance(item, exp.Star):
                item.replace(exp.Column(this=exp.Star(), table=exp.to_identifier(_only_source(select))))
    if flavor == "mariadb":
        tree = exp.Subquery(this=tree)  # so that the outermost SELECT can be replaced
        _for_mariadb(tree)
        tree = tree.this
    return tree.sql(dialect="mysql")


def _for_mariadb(tree: exp.Expression) -> None:
    for group in list(tree.find_all(exp.Group)):
        if len(group.expressions) == 1 and isinstance(group.expressions[0], exp.Rollup):
            group.set("expressions", group.expressions[0].expressions)
            group.set("rollup", [exp.Rollup()])
            _ordered_around(group.parent)
    for source in tree.find_all(exp.Subquery):
        alias = source.args.get("alias")
        names = alias.args.get("columns") if alias is not None else None
        if names:
            items = zip(source.this.expressions, names, strict=True)
            source.this.set("expressions", [exp.alias_(item.unalias(), name) for item, name in items])
            alias.set("columns", None)


def _ordered_around(select: exp.Expression | None) -> None:
    """Put ORDER BY and LIMIT of a SELECT into one around it."""
    assert isinstance(select, exp.Select)
    if select.args.get("order") is None:
        return
    around = exp.select("*")
    for word in ("order", "limit", "with_"):
        around.set(word, select.args.get(word))
        select.set(word, None)
    select.replace(around)
    around.set(
        "from_",
        exp.From(this=exp.Subquery(this=select, alias=exp.TableAlias(this=exp.to_identifier("rolled")))),
    )


def _only_source(select: exp.Select) -> str:
    assert not select.args.get("joins"), select.sql()
    return str(select.args["from_"].this.alias_or_name)
