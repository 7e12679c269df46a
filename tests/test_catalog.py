"""The catalog, read from real servers: columns, keys, references, parts, views, and what an account cannot see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dj_sqlspy.errors import CatalogError
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql.catalog import read_catalog
from dj_sqlspy.servers.tables import ForeignKey

# nothing here depends on the line of DataJoint
pytestmark = pytest.mark.line("2.x")

SETUP = """
CREATE DATABASE {one};
CREATE DATABASE {two};
CREATE TABLE {one}.`#kind` (kind CHAR(3) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY);
CREATE TABLE {one}.master (id INT UNSIGNED, n SMALLINT, `up` SMALLINT NULL, `It's 5%` VARCHAR(9) NULL,
 twice INT AS (n * 2) VIRTUAL, u BINARY(16) NULL, w DECIMAL(5,2) DEFAULT 1.5, at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
 PRIMARY KEY (n, id), KEY (id, up), FOREIGN KEY (`up`, id) REFERENCES {one}.master (n, id));
CREATE TABLE {one}.master__part (id INT UNSIGNED, n SMALLINT, p INT, PRIMARY KEY (id, n, p), KEY (n, id),
 CONSTRAINT same_name FOREIGN KEY (n, id) REFERENCES {one}.master (n, id));
CREATE TABLE {one}.master__part__sub (id INT UNSIGNED, n SMALLINT, p INT, s INT, PRIMARY KEY (id, n, p, s),
 FOREIGN KEY (id, n, p) REFERENCES {one}.master__part (id, n, p));
CREATE TABLE {one}.master__through (id INT UNSIGNED, n SMALLINT, p INT, PRIMARY KEY (id, n, p),
 FOREIGN KEY (id, n, p) REFERENCES {one}.master__part (id, n, p));
CREATE TABLE {one}.master__loose (id INT PRIMARY KEY);
CREATE TABLE {two}.child (kind CHAR(3) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY,
 id INT UNSIGNED, n SMALLINT,
 CONSTRAINT other_name FOREIGN KEY (kind) REFERENCES {one}.`#kind` (kind),
 CONSTRAINT same_name2 FOREIGN KEY (n, id) REFERENCES {one}.master (n, id));
CREATE TABLE {two}.keyless (a INT, b INT);
CREATE VIEW {two}.seen AS SELECT kind FROM {two}.child
"""


@pytest.fixture
def schemas(connection: Any, prefix: str) -> Iterator[tuple[str, str]]:
    one, two = f"{prefix}one", f"{prefix}two"
    with connection.cursor() as cursor:
        for statement in SETUP.replace("{one}", f"`{one}`").replace("{two}", f"`{two}`").split(";\n"):
            cursor.execute(statement)
    yield one, two


def test_columns_and_keys(connection: Any, schemas: tuple[str, str]) -> None:
    catalog = read_catalog(connection, schemas[:1])
    master = catalog.tables[f"`{schemas[0]}`.`master`"]
    assert master.primary_key == master.key == ("n", "id")
    assert [c.name for c in master.columns] == ["id", "n", "up", "It's 5%", "twice", "u", "w", "at"]
    by_name = master.by_name
    assert by_name["id"].numeric and by_name["id"].column_type.endswith("unsigned")
    assert by_name["id"].data_type == "int" and not by_name["id"].nullable and by_name["up"].nullable
    assert by_name["twice"].generated and not by_name["at"].generated and not by_name["w"].generated
    assert by_name["u"].binary and not by_name["u"].folds and by_name["it's 5%"].folds
    assert not catalog.tables[f"`{schemas[0]}`.`#kind`"].column("KIND").folds
    assert master.column("W").default in ("1.50", "1.5")
    assert master.engine == "InnoDB" and not master.is_view


def test_foreign_keys_lead_to_other_schemas(connection: Any, schemas: tuple[str, str]) -> None:
    one, two = schemas
    catalog = read_catalog(connection, [two])
    child, master, kind = f"`{two}`.`child`", f"`{one}`.`master`", f"`{one}`.`#kind`"
    assert [(fk.name, fk.columns, fk.parent, fk.parent_columns) for fk in catalog.parents(child)] == [
        ("other_name", ("kind",), kind, ("kind",)),
        ("same_name2", ("n", "id"), master, ("n", "id")),
    ]
    assert catalog.graph.has_edge(child, master) and catalog.graph.has_edge(master, master)
    assert catalog.ancestors([child]) == {child, master, kind}
    order = catalog.in_order(catalog.tables)
    assert order.index(kind) < order.index(child) and order.index(master) < order.index(child)
    assert len(order) == len(set(order)) == 8  # views have no place in it
    assert {fk.child for fk in catalog.children(master)} >= {child, f"`{one}`.`master__part`"}


def test_parts(connection: Any, schemas: tuple[str, str]) -> None:
    one = schemas[0]
    catalog = read_catalog(connection, [one])
    masters = {
        fk.child.split("`")[3]: (fk.parent.split("`")[3], fk.columns) for fk in catalog.masters.values()
    }
    assert masters == {
        "master__part": ("master", ("n", "id")),
        "master__part__sub": ("master__part", ("id", "n", "p")),
        "master__through": ("master", ("n", "id")),  # composed: it refers to the other part only
    }
    assert {fk.child.split("`")[3] for fk in catalog.parts(f"`{one}`.`master`")} == {
        "master__part",
        "master__through",
    }


def test_views_and_tables_without_a_key(connection: Any, schemas: tuple[str, str]) -> None:
    two = schemas[1]
    catalog = read_catalog(connection, [two])
    view, keyless = catalog.tables[f"`{two}`.`seen`"], catalog.tables[f"`{two}`.`keyless`"]
    assert (
        view.is_view
        and "select" in (view.view_sql or "").lower()
        and [c.name for c in view.columns] == ["kind"]
    )
    assert keyless.primary_key == () and keyless.key == ("a", "b")


def test_names_of_statements(connection: Any, schemas: tuple[str, str]) -> None:
    one, two = schemas
    catalog = read_catalog(connection, [two])
    child = catalog.tables[f"`{two}`.`child`"]
    assert catalog.find(two, "child") is catalog.find(None, "child", two) is child
    assert catalog.find(None, "child") is child  # the only one of that name
    assert catalog.find(one, "child") is None and catalog.find(two, "gone") is None
    assert (catalog.find(two, "CHILD") is child) == catalog.folds_table_names


def test_virtual_references(connection: Any, schemas: tuple[str, str]) -> None:
    one, two = schemas
    good = ForeignKey("v", f"`{two}`.`keyless`", ("a",), f"`{one}`.`master__loose`", ("id",), virtual=True)
    catalog = read_catalog(connection, [two], [good])
    assert catalog.parents(good.child) == (good,)
    bad = ForeignKey("bad", f"`{two}`.`keyless`", ("zzz",), f"`{one}`.`master__loose`", ("id",), virtual=True)
    with pytest.raises(CatalogError, match=r"virtual reference 'bad' names .*keyless.*zzz"):
        read_catalog(connection, [two], [bad])


def test_schemas_that_are_not_there(connection: Any, schemas: tuple[str, str]) -> None:
    with pytest.raises(CatalogError, match=r"`not_there_at_all` has no table.*GRANT SELECT"):
        read_catalog(connection, ["not_there_at_all"])
    assert read_catalog(connection, ["information_schema"]).tables == {}


def test_a_parent_that_the_account_cannot_see(
    connection: Any, schemas: tuple[str, str], server: Server
) -> None:
    one, two = schemas
    user = f"{one}_half"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE USER '{user}'@'%' IDENTIFIED BY 'half-blind 1'")
        try:
            cursor.execute(f"GRANT SELECT ON `{two}`.* TO '{user}'@'%'")
            with (
                server.connect(user=user, password="half-blind 1") as half,
                pytest.raises(CatalogError, match="GRANT SELECT"),
            ):
                read_catalog(half, [two])
            cursor.execute(f"GRANT SELECT ON `{one}`.* TO '{user}'@'%'")
            with server.connect(user=user, password="half-blind 1") as whole:
                seen = read_catalog(whole, [two])
        finally:
            cursor.execute(f"DROP USER '{user}'@'%'")
    everything = read_catalog(connection, [two])
    assert {n for n, t in seen.tables.items() if not t.is_view} == {
        n for n, t in everything.tables.items() if not t.is_view
    }
    assert set(seen.foreign_keys) == set(everything.foreign_keys)


def test_more_columns_than_fit_into_a_packet(server: Server, connection: Any, prefix: str) -> None:
    """Each schema's columns come as one text; what the server would cut off is read row by row."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{prefix}wide`")
        for number in range(3):
            columns = ", ".join(f"column_with_a_long_name_{n} INT" for n in range(150))
            cursor.execute(f"CREATE TABLE `{prefix}wide`.t{number} (id INT PRIMARY KEY, {columns})")
        cursor.execute("SELECT @@max_allowed_packet")
        (usual,) = cursor.fetchone()
        whole = read_catalog(connection, [f"{prefix}wide"])
        cursor.execute("SET GLOBAL max_allowed_packet = 16384")
        try:
            with server.connect() as narrow:
                assert read_catalog(narrow, [f"{prefix}wide"]) == whole
                with narrow.cursor() as asked:
                    asked.execute("SELECT @@group_concat_max_len, @@max_allowed_packet")
                    longest, most = asked.fetchone()
        finally:
            cursor.execute(f"SET GLOBAL max_allowed_packet = {usual}")
        cursor.execute("SELECT @@group_concat_max_len")
        assert cursor.fetchone() == (longest,) and most == 16384  # the session is as it was
    assert [len(table.columns) for table in whole.tables.values()] == [151] * 3


def test_columns_that_are_read_later(server: Server, connection: Any, schemas: tuple[str, str]) -> None:
    one, two = schemas
    whole = read_catalog(connection, [two])
    with server.connect() as opened:
        later = read_catalog(opened, [two], columns=False)
        assert not any("columns" in vars(table) for table in later.tables.values())
        assert later.in_order(later.tables) == whole.in_order(whole.tables) and later.masters == whole.masters
        child = later.tables[f"`{two}`.`child`"]
        assert child.key == ("kind",) and child.column("n").data_type == "smallint"
        read = {name for name, table in later.tables.items() if "columns" in vars(table)}
        assert read == {name for name in later.tables if name.startswith(f"`{two}`.")}  # a schema at once
        with opened.cursor() as cursor:
            cursor.execute(f"ALTER TABLE `{two}`.keyless ADD COLUMN c INT")
        assert len(later.tables[f"`{two}`.`keyless`"].columns) == 2  # and once
    with pytest.raises(CatalogError, match=f"columns of {one}.*closed"):
        _ = later.tables[f"`{one}`.`master`"].columns
    with pytest.raises(AttributeError):
        _ = child.colour  # type: ignore[attr-defined]
    with server.connect() as opened:
        again = read_catalog(opened, [one], columns=False)
        again.read_columns(again.tables)
    assert again == read_catalog(connection, [one])
