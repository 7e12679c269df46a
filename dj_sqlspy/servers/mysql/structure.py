"""Structure: what a dump needs to know of a MySQL or MariaDB source besides the tables of the slice.

In: a connection to the source, and the tables. Out: a `Source`: schemas, definitions of tables and views for servers of
either flavor, rows of DataJoint's ``~lineage``, settings of the session. Of the lab's rows it only looks for
TIMESTAMPs that some servers cannot store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ...errors import BundleError
from ...names import split_full_name
from ..catalog import Catalog
from ..dialect import LIST_BYTES
from ..snapshot import Refused
from ..source import Created, Demand, Rows, Schema, Source, Structure, Thing, View
from ..tables import Table
from .checksums import GEOMETRY
from .collations import NEARLY, Flavor, becomes, is_near
from .definition import Definition, parse_definition, without_comments
from .dialect import MYSQL
from .probes import collations_named, of_call, of_function, of_view, reads
from .snapshot import flavor_of, told
from .syntax import Unsupported, tokens_of
from .translate import translate
from .translated import CHANGING, Translated, calls_of, is_row_time

# DataJoint 2.x describes the tables of a schema in this one. The dump has the rows about exported tables.
LINEAGE_TABLE = "~lineage"

# Settings of the replay session that are recorded.
SETTINGS = (
    "sql_mode",
    "time_zone",
    "system_time_zone",
    "character_set_server",
    "collation_connection",
    "group_concat_max_len",
    "lower_case_table_names",
)

Conditions = Callable[[int], Sequence[str]]


def read_source(
    connection: Any,
    tables: Sequence[Table],
    catalog: Catalog,
    views: Sequence[str],
    functions: Sequence[Created],
    filled: Mapping[str, Conditions],
    comments: bool = True,
) -> Source:
    """Read what the scripts need to know about the source.

    Parameters
    ----------
    connection : pymysql connection to the source
    tables : sequence of Table
        The base tables of the slice.
    catalog : Catalog
    views : sequence of str
        Views to create, each after those that it reads.
    functions : sequence of Created
        Stored functions to create.
    filled : mapping
        For each table with rows in the slice, by full name: a function that returns conditions which select these rows,
        none longer than a given number of bytes.
    comments : bool
        Whether to keep comments of tables, columns, keys and partitions.

    Raises
    ------
    BundleError
        If not even a server like the source can have one of the tables.
    """
    seen = [catalog.tables[name] for name in views]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT VERSION(), {', '.join(f'@@{name}' for name in SETTINGS)}")
        version, *settings = map(str, cursor.fetchone())
        # the settings with which definitions are printed here and run again later
        cursor.execute("SET SESSION time_zone = '+00:00', sql_mode = ''")
        flavor = flavor_of(version)
        lineage = _lineage_rows(cursor, tables, catalog, sorted({table.schema for table in tables}))
        described = [*tables, *(rows.table for rows in lineage)]
        definitions = {table.full_name: read_definition(cursor, table.full_name) for table in described}
        if not comments:
            definitions = {name: without_comments(one) for name, one in definitions.items()}
        late = [] if flavor == "mysql" else list(_late_times(cursor, tables, filled))
        globes = list(_on_the_globe(cursor, tables, filled, flavor))
        translated = {
            target: list(_translated(described, definitions, flavor, target))
            for target in (flavor, _OTHER[flavor])
        }
        sequences = _sequences(cursor, translated[flavor])
        made = [
            *functions,
            *(_create_view(view, _literals(cursor, view), catalog, functions) for view in seen),
        ]
        asked = _asked(cursor, flavor, translated, functions, seen, catalog)
        names = {table.schema for table in (*described, *seen)}
        names |= {one.schema for one in (*functions, *sequences)}
        schemas = _schemas(cursor, sorted(names))
        before = dict(zip(SETTINGS, settings, strict=True))
        cursor.execute("SET SESSION time_zone = %s, sql_mode = %s", (before["time_zone"], before["sql_mode"]))
    structures = [
        _structure(
            target,
            flavor,
            schemas,
            work,
            sequences if target == "mariadb" else [],
            made,
            late,
            asked[target],
            () if target == flavor else globes,
        )
        for target, work in translated.items()
    ]
    own = structures[0]
    if own.refused:
        raise BundleError(f"Writing the slice: no server could load {', '.join(own.refused)}.")
    return Source(
        flavor,
        version,
        schemas,
        lineage,
        tuple(View(view.full_name, view.schema, view.name, view.view_sql or "") for view in seen),
        tuple(structures),
        before,
        generated={name: _settled(one) for name, one in definitions.items()},
    )


_OTHER: Mapping[Flavor, Flavor] = {"mysql": "mariadb", "mariadb": "mysql"}


def _schemas(cursor: Any, names: Sequence[str]) -> tuple[Schema, ...]:
    cursor.execute(
        "SELECT schema_name, default_character_set_name, default_collation_name FROM information_schema.schemata"
        f" WHERE schema_name IN ({', '.join(['%s'] * len(names))}) ORDER BY 1",
        names,
    )
    return tuple(Schema(*map(str, row)) for row in cursor.fetchall())


def read_definition(cursor: Any, table: str) -> Definition:
    """The definition of a table from SHOW CREATE TABLE; information_schema cannot hold four-byte characters.

    It may contain the raw bytes of a default, so the driver must not decode it.
    """
    connection = cursor.connection
    before, connection.use_unicode = connection.use_unicode, False
    try:
        cursor.execute(f"SHOW CREATE TABLE {table}")
        text = bytes(cursor.fetchone()[1]).decode("utf-8", "surrogateescape")
    finally:
        connection.use_unicode = before
    try:
        return parse_definition(text)
    except (ValueError, IndexError, StopIteration) as error:
        raise BundleError(f"Reading the definition of {table}: it cannot be parsed ({error}).") from error


def _translated(
    tables: Sequence[Table], definitions: Mapping[str, Definition], source: Flavor, target: Flavor
) -> Iterable[Translated]:
    taken: dict[str, set[str]] = {}
    for table in tables:
        names = taken.setdefault(table.schema, set())
        yield translate(definitions[table.full_name], table, source, target, definitions, names)


def _structure(
    target: Flavor,
    source: Flavor,
    schemas: Sequence[Schema],
    work: Sequence[Translated],
    sequences: Sequence[Created],
    made: Sequence[Created],
    late: Sequence[str],
    asked: Sequence[Demand],
    globes: Sequence[Demand],
) -> Structure:
    """The structure for servers of a flavor.

    ``made`` are functions and views.
    ``late`` names columns with TIMESTAMPs after 2038. ``asked`` are probes of expressions, views and functions.
    ``globes`` are columns of places on the globe.
    """
    created = [*sequences]
    finish = []
    for one in work:
        text = str(one.definition)
        created.append(Created("TABLE", one.table.schema, one.table.name, text, tuple(one.before)))
        if one.finish:
            finish.append(f"ALTER TABLE {one.table.full_name}\n  " + ",\n  ".join(one.finish))
    created += made
    refused = [text for one in work for text in one.refused]
    demands = [*(Demand(*demand) for one in work for demand in one.demands), *asked]
    for what in late:
        if target == "mysql":
            refused.append(what)
        else:
            demands.append(Demand(what, "SELECT 1 FROM DUAL WHERE FROM_UNIXTIME(4102444800) IS NOT NULL"))
    collations = {column.collation for one in work for column in one.table.columns}
    collations |= {one.table.collation for one in work} | {schema.collation for schema in schemas}
    for thing, own in [(made_one.thing, own) for made_one in made for own in made_one.collations]:
        if becomes(own, source, target):
            collations.add(own)
        else:
            name = MYSQL.full_name(thing.schema, thing.name)
            demands.append(Demand(f"{name}: the collation {own} of its texts", of=thing))
    alike = {name: becomes(name, source, target) for name in sorted(filter(None, collations))}
    notes = [note for one in work for note in one.notes]
    notes += [
        f"{others[0]} finds the same texts equal as {name}, {NEARLY}"
        for name, others in alike.items()
        if others and is_near(name, others[0])
    ]
    return Structure(
        target,
        tuple(created),
        tuple(finish),
        tuple((name, *others) for name, others in alike.items()),
        tuple(dict.fromkeys(demands)),
        tuple(refused),
        tuple(notes),
        tuple(globes),
    )


def _asked(
    cursor: Any,
    source: Flavor,
    translated: Mapping[Flavor, Sequence[Translated]],
    functions: Iterable[Created],
    views: Iterable[Table],
    catalog: Catalog,
) -> dict[Flavor, list[Demand]]:
    """The probes of expressions, functions and views for servers of each flavor.

    One that the source itself does not answer tells nothing of others: it has what is asked about.
    """
    asked = {
        target: [Demand(*question) for one in work for question in one.asked]
        for target, work in translated.items()
    }
    asked[source] = [question for question in asked[source] if _answers(cursor, question.query)]
    for function in functions:
        name = MYSQL.full_name(function.schema, function.name)
        calls = [Demand(f"{name}: its {call}", of_call(call), function.thing) for call in function.calls]
        calls = [question for question in calls if _answers(cursor, question.query)]
        calls.append(Demand(f"{name}: its definition", of_function(function), function.thing))
        for questions in asked.values():
            questions += calls
    for view in views:
        own = of_view(view, catalog, source)
        if own is None or not _answers(cursor, own):
            continue
        for target, questions in asked.items():
            probe = own if target == source else of_view(view, catalog, target)
            if probe is not None:
                thing = Thing("VIEW", view.schema, view.name)
                questions.append(Demand(f"{view.full_name}: its definition", probe, thing))
    return asked


def _answers(cursor: Any, query: str) -> bool:
    try:
        with told():
            cursor.execute(query)
    except Refused:
        return False
    return bool(cursor.fetchall())


def _create_view(view: Table, collation: str, catalog: Catalog, functions: Iterable[Created]) -> Created:
    """CREATE VIEW with column names, which MySQL's information_schema leaves out of the definition."""
    names = MYSQL.columns(column.name for column in view.columns)
    definition = view.view_sql or ""
    sql = f"CREATE SQL SECURITY INVOKER VIEW {MYSQL.quote(view.name)} ({names}) AS {definition}"
    try:
        tokens = tokens_of(definition)
    except Unsupported:  # of which lineage has told already
        tokens = []
    return Created(
        "VIEW",
        view.schema,
        view.name,
        sql,
        (f"SET SESSION sql_mode = '', collation_connection = {collation}",),
        reads(view, catalog, functions),
        collations=(collation, *collations_named(tokens)),
    )


def _literals(cursor: Any, view: Table) -> str:
    """The collation of texts in the definition of a view."""
    cursor.execute(
        "SELECT collation_connection FROM information_schema.views WHERE table_schema = %s AND table_name = %s",
        (view.schema, view.name),
    )
    return str(cursor.fetchone()[0])


def _sequences(cursor: Any, work: Iterable[Translated]) -> list[Created]:
    """The sequences that defaults need, with their initial values."""
    out = []
    for name in dict.fromkeys(name for one in work for name in one.sequences):
        schema, sequence = split_full_name(name)
        try:
            with told():
                cursor.execute(f"SHOW CREATE SEQUENCE {name}")
        except Refused as error:
            raise BundleError(
                f"Writing the slice: a default takes its values from the sequence {name}, and {error}. Ask for GRANT"
                f" SELECT ON {name}."
            ) from error
        out.append(Created("SEQUENCE", schema, sequence, str(cursor.fetchone()[1])))
    return out


# The last second that a TIMESTAMP can store, except in MariaDB from 11.5 on.
_LAST_SECOND = 2**31 - 1


def _late_times(cursor: Any, tables: Iterable[Table], filled: Mapping[str, Conditions]) -> Iterable[str]:
    """Columns with a TIMESTAMP after 2038 in a row of the slice, in words."""
    for table in tables:
        names = [column.name for column in table.columns if column.data_type == "timestamp"]
        if not names or table.full_name not in filled:
            continue
        latest = ", ".join(f"MAX(UNIX_TIMESTAMP({MYSQL.quote(name)}))" for name in names)
        cursor.execute(f"SELECT {latest} FROM {table.full_name}")
        late = [
            name
            for name, value in zip(names, cursor.fetchone(), strict=True)
            if (value or 0) >= _LAST_SECOND + 1
        ]
        for name in late:
            column = MYSQL.quote(name)
            for condition in filled[table.full_name](LIST_BYTES):
                cursor.execute(
                    f"SELECT 1 FROM {table.full_name} WHERE UNIX_TIMESTAMP({column}) >= {_LAST_SECOND + 1}"
                    f" AND ({condition}) LIMIT 1"
                )
                if cursor.fetchone():
                    yield f"{table.full_name} {column}: TIMESTAMP after 2038"
                    break


def _on_the_globe(
    cursor: Any, tables: Iterable[Table], filled: Mapping[str, Conditions], source: Flavor
) -> Iterable[Demand]:
    """Columns with a geographic SRID in a row of the slice: the other flavor reads their coordinates otherwise.

    MariaDB does not know which SRIDs are geographic, so there a MySQL as target is asked.
    """
    for table in tables:
        names = [column.name for column in table.columns if column.data_type in GEOMETRY]
        for name in names if table.full_name in filled else ():
            column, found = MYSQL.quote(name), set()
            for condition in filled[table.full_name](LIST_BYTES):
                cursor.execute(
                    f"SELECT DISTINCT ST_SRID({column}) FROM {table.full_name} WHERE ST_SRID({column}) <> 0"
                    f" AND ({condition})"
                )
                found |= {int(srid) for (srid,) in cursor.fetchall()}
            for srid in sorted(found):
                what = (
                    f"{table.full_name} {column}: places with the SRID {srid}; MySQL computes on the globe, and X is"
                    " the latitude (or it does not know them), MariaDB on a plane, and X is the longitude"
                )
                known = (
                    f"SELECT 1 FROM information_schema.st_spatial_reference_systems WHERE srs_id = {srid}"
                    " AND definition NOT LIKE 'GEOGCS%'"
                )
                if source == "mariadb":
                    yield Demand(what, known)
                    continue
                cursor.execute(known)
                if not cursor.fetchone():
                    yield Demand(what)


def _settled(definition: Definition) -> tuple[str, ...]:
    """The generated columns with values that do not change by themselves."""
    generated = ((one, one.get("GENERATED ALWAYS AS")) for one in definition.columns)
    return tuple(
        one.name
        for one, clause in generated
        if clause is not None and not is_row_time(one) and not CHANGING & set(calls_of(clause.tokens))
    )


def _lineage_rows(
    cursor: Any, tables: Sequence[Table], catalog: Catalog, schemas: Sequence[str]
) -> tuple[Rows, ...]:
    held = {table.full_name for table in tables}
    out = []
    for schema in schemas:
        table = catalog.tables.get(MYSQL.full_name(schema, LINEAGE_TABLE))
        if table is None or table.full_name in held:
            continue
        names = sorted(one.name for one in tables if one.schema == schema)
        batches = [names[i : i + 500] for i in range(0, len(names), 500)]
        conditions = [f"`table_name` IN ({', '.join(map(MYSQL.string, batch))})" for batch in batches]
        rows = [_count(cursor, f"{table.full_name} WHERE {condition}") for condition in conditions]
        kept = tuple(condition for condition, count in zip(conditions, rows, strict=True) if count)
        out.append(Rows(table, sum(rows), kept))
    return tuple(out)


def unique_columns(connection: Any, table: Table) -> list[tuple[str, str]]:
    """Pairs of a unique key's name and one of its columns (in MySQL also expressions), without the primary key."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        maria = flavor_of(str(cursor.fetchone()[0])) == "mariadb"
        on = "column_name" if maria else "COALESCE(column_name, expression)"
        cursor.execute(
            f"SELECT index_name, {on} FROM information_schema.statistics"
            " WHERE table_schema = %s AND table_name = %s AND non_unique = 0 AND index_name <> 'PRIMARY'",
            (table.schema, table.name),
        )
        return [(str(index), str(on)) for index, on in cursor.fetchall()]


def fill_key_table(connection: Any, name: str, table: Table, conditions: Sequence[str], rows: int) -> int:
    """Create a table of the keys of some rows, unless it exists with the same number. Returns its number of rows.

    Parameters
    ----------
    connection : pymysql connection
    name : str
        Name of the table of keys.
    table : Table
        The table with the rows. The ``conditions`` select parts of them, together ``rows`` rows.

    Raises
    ------
    Refused
        If the server refuses it.
    """
    keys = MYSQL.columns(table.primary_key)
    with told(), connection.cursor() as cursor:
        # with the same types, character sets and collations
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS {name} (PRIMARY KEY ({keys})) SELECT {keys} FROM {table.full_name} LIMIT 0"
        )
        if _count(cursor, name) != rows:
            # else MariaDB (innodb_snapshot_isolation) takes no row that changed since it was counted
            connection.commit()
            cursor.execute(f"DELETE FROM {name}")
            for condition in conditions:
                cursor.execute(f"INSERT INTO {name} SELECT {keys} FROM {table.full_name} WHERE {condition}")
            connection.commit()
        return _count(cursor, name)


def missing_tables(connection: Any, names: Sequence[str]) -> list[str]:
    """Full names of the tables and views that the account does not see."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            f" WHERE table_schema IN ({', '.join(['%s'] * len(names))})",
            [split_full_name(name)[0] for name in names],
        )
        seen = {MYSQL.full_name(schema, table).lower() for schema, table in cursor.fetchall()}
    return [name for name in names if name.lower() not in seen]


def _count(cursor: Any, name: str) -> int:
    cursor.execute(f"SELECT COUNT(*) FROM {name}")
    return int(cursor.fetchone()[0])
