"""Graph: the catalog of a large lab, and the cascade of an ordinary analysis over many tables with few rows.

Baselines: DataJoint's own ``dependencies.load()``, and in DataJoint 2.x ``Diagram.trace`` for each leaf, with counts.
"""

from __future__ import annotations

import random
from typing import Any

from .data import SEED, fresh_schema
from .measure import Figure, Place, pairs, peak_memory

PREFIX = "bench_graph"
LAYER = 20


def run(place: Place) -> list[Figure]:
    sizes = [(50, 4)] if place.quick else [(5, 1), (50, 4), (500, 40)]
    found = [catalog(place, tables, schemas) for tables, schemas in sizes]
    found += cascade(place, *((60, 3) if place.quick else (140, 10)))
    remove(place)
    return found


def remove(place: Place) -> None:
    with place.connect() as opened, opened.cursor() as cursor:
        cursor.execute("SHOW DATABASES")
        names = [name for (name,) in cursor.fetchall() if name.startswith(PREFIX)]
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        for name in names:
            cursor.execute(f"DROP DATABASE `{name}`")


def fill(place: Place, tables: int, schemas: int, rows: int) -> list[tuple[str, str]]:
    """Tables in layers of twenty, as a lab's pipeline has them.

    Each refers to a table of the layer before, one in three of these also to another earlier one. Every other
    first reference is in the primary key.
    """
    chooser = random.Random(SEED)
    made: list[tuple[str, str, list[str]]] = []
    with place.connect() as opened, opened.cursor() as cursor:
        for number in range(schemas):
            fresh_schema(cursor, f"{PREFIX}{number}")
        for number in range(tables):
            schema, name, own = f"{PREFIX}{number * schemas // tables}", f"table{number}", f"id{number}"
            layer = number // LAYER * LAYER
            parents = [chooser.choice(made[layer - LAYER : layer])] if layer else []
            if layer and chooser.random() < 0.33:
                parents.append(chooser.choice([other for other in made[:layer] if other not in parents]))
            key, columns, references = [own], {own: "INT NOT NULL"}, []
            for position, (parent_schema, parent, parent_key) in enumerate(parents):
                columns.update(dict.fromkeys(parent_key, "INT NOT NULL"))
                if position == 0 and number % 2:
                    key += [column for column in parent_key if column not in key]
                names = ", ".join(parent_key)
                references.append(f"FOREIGN KEY ({names}) REFERENCES `{parent_schema}`.`{parent}` ({names})")
            parts = [f"{column} {kind}" for column, kind in columns.items()]
            parts += ["value DOUBLE NOT NULL", f"PRIMARY KEY ({', '.join(key)})", *references]
            cursor.execute(f"CREATE TABLE `{schema}`.`{name}` ({', '.join(parts)})")
            # every key column of row n is n, so that each reference finds its row
            lines = [f"({', '.join([str(n)] * len(columns))}, {n / 7})" for n in range(rows)]
            if rows:
                cursor.execute(f"INSERT INTO `{schema}`.`{name}` VALUES {', '.join(lines)}")
            made.append((schema, name, key))
    return [(schema, name) for schema, name, _ in made]


def activate(connection: Any, schemas: int) -> None:
    """Make the schemas known to DataJoint, as an import of the pipeline does."""
    for number in range(schemas):
        connection.schemas[f"{PREFIX}{number}"] = object()


def catalog(place: Place, tables: int, schemas: int) -> Figure:
    from dj_sqlspy.servers.mysql.catalog import read_catalog

    fill(place, tables, schemas, rows=0)
    connection = place.datajoint()
    activate(connection, schemas)
    names = [f"{PREFIX}{number}" for number in range(schemas)]
    opened = place.connect()

    def ours() -> None:
        # as a slice does: what refers to what, and the columns only of the schemas that it comes to
        read = read_catalog(opened, names, columns=False)
        assert len(read.tables) == tables and len(read.graph) == tables
        assert read.masters == {}
        read.in_order(read.tables)

    def without() -> None:
        connection.dependencies.load(force=True)
        assert len([name for name in connection.dependencies.nodes if not name.isdigit()]) >= tables

    found = pairs(without, ours, rounds=3 if place.quick else 41)
    opened.close()
    connection.schemas.clear()
    return Figure(
        "catalog and compiled graph",
        f"{tables} tables in {schemas} schemas",
        found.baseline,
        found.ours,
        "faster" if tables >= 500 else "",
        found.ratio < 1 if tables >= 500 else None,
        found.ratio,
        peak_memory(),
        size=tables,
    )


def cascade(place: Place, tables: int, schemas: int) -> list[Figure]:
    import datajoint

    from dj_sqlspy.journal import Statement
    from dj_sqlspy.servers.mysql.snapshot import plain_decoders
    from dj_sqlspy.slices import make_slice

    if not hasattr(datajoint.Diagram, "trace"):
        return []
    made = fill(place, tables, schemas, rows=30)
    connection = place.datajoint()
    activate(connection, schemas)
    chosen = made[-10:]
    leaves = [
        (datajoint.FreeTable(connection, f"`{schema}`.`{name}`") & "`value` < 1") for schema, name in chosen
    ]
    statements = []
    for number, leaf in enumerate(leaves, 1):
        sql = leaf.make_sql()
        statements.append(Statement(sql, len(leaf), number=number))
    opened = place.connect(conv=plain_decoders())
    cuts: list[Any] = []
    traced: dict[str, int] = {}

    def ours() -> None:
        cuts.append(make_slice(statements, opened))

    def without() -> None:
        for leaf in leaves:
            for name, count in datajoint.Diagram.trace(leaf).counts().items():
                traced[name] = max(traced.get(name, 0), count)

    connection.dependencies.load(force=True)
    rounds = 2 if place.quick else 5
    found = pairs(without, ours, rounds)
    got = {name: table.rows for name, table in cuts[-1].tables.items()}
    if got != traced:
        raise RuntimeError(f"the cascade and Diagram.trace differ: {got} {traced}")
    opened.close()
    connection.schemas.clear()
    return [
        Figure(
            "cascade of 10 leaves, to a slice",
            f"{tables}-table graph, {len(got)} tables and {sum(got.values())} rows in the slice",
            found.baseline,
            found.ours,
            "" if place.quick else "1/10",
            None if place.quick else found.ratio <= 0.1,
            found.ratio,
            peak_memory(),
            "the catalog is read each time; DataJoint has loaded its dependencies before",
        )
    ]
