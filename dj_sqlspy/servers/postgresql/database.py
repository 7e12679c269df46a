"""Database: what a database of PostgreSQL is, and how it sorts and compares texts.

That belongs to the database and stands in no definition, so it is recorded, compared before a load, and made for a
private server. In: a cursor, or what was recorded. Out: facts by name, questions for ``restore.sh``, a database.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...errors import BundleError
from ..snapshot import Refused
from ..source import Demand
from .dialect import POSTGRESQL
from .told import told

# The beginning of the names of recorded facts in a manifest.
RECORDED = "database_"

# How a database sorts and compares texts, and by what.
_COMPARED = {
    "provider": "d.row ->> 'datlocprovider'",
    "collate": "datcollate",
    "ctype": "datctype",
    "locale": "COALESCE(d.row ->> 'datlocale', d.row ->> 'daticulocale', '')",
    "collation_version": "COALESCE(pg_database_collation_actual_version(oid), '')",
}
_FACTS = {
    "version": "split_part(current_setting('server_version'), ' ', 1)",
    "number": "current_setting('server_version_num')",
    "encoding": "pg_encoding_to_char(encoding)",
    **_COMPARED,
}
_OF_DATABASE = (
    "FROM pg_database, LATERAL (SELECT to_jsonb(pg_database.*) AS row) AS d"
    " WHERE datname = current_database()"
)

# Settings of a source's session that are recorded, since results depend on them.
SETTINGS = (
    "timezone",
    "datestyle",
    "intervalstyle",
    "extra_float_digits",
    "bytea_output",
    "default_text_search_config",
)
# The name of a database that is made for a slice.
NAME = "slice"

_PROVIDERS = {"c": "libc", "i": "ICU", "b": "builtin"}


def read_database(cursor: Any) -> dict[str, str]:
    """What the database is and how it compares texts. It belongs to the database and stands in no definition."""
    cursor.execute(f"SELECT {', '.join(_FACTS.values())} {_OF_DATABASE}")
    found = dict(zip(_FACTS, map(str, cursor.fetchone()), strict=True))
    if int(found["number"]) < 150000:
        raise BundleError(
            f"Writing the slice: the server is PostgreSQL {found['version']}; dj-sqlspy works with 15 and later."
        )
    if found["encoding"] == "SQL_ASCII":
        raise BundleError(
            "Writing the slice: the database has the encoding SQL_ASCII, so nothing says what its texts are. Copy"
            " it into a database with the encoding UTF8 first."
        )
    return found


def demands(database: Mapping[str, str]) -> list[Demand]:
    """What only a newer server than this one, or a database of the same encoding, has."""
    major = int(database["number"]) // 10000
    known = "SELECT 1 FROM pg_database WHERE datname = current_database()"
    return [
        Demand(
            f"PostgreSQL {major} or later",
            f"SELECT 1 WHERE current_setting('server_version_num')::int >= {major}0000",
        ),
        Demand(
            f"a database with the encoding UTF8 or {database['encoding']}",
            f"{known} AND pg_encoding_to_char(encoding) IN ('UTF8', {POSTGRESQL.string(database['encoding'])})",
        ),
    ]


def locale(database: Mapping[str, str]) -> Demand:
    """A question whether a database sorts and compares texts like the source."""
    provider = database["provider"]
    name = database["locale"] if provider != "c" else database["collate"]
    version = database["collation_version"]
    what = (
        f"the order and the cases of texts: the source has {_PROVIDERS.get(provider, provider)} {name}"
        f"{f' in version {version}' if version else ''}"
        f"{', with ' + database['ctype'] if database['ctype'] != database['collate'] else ''}"
    )
    same = [f" AND {fact} = {POSTGRESQL.string(database[name])}" for name, fact in _COMPARED.items()]
    return Demand(what, f"SELECT 1 {_OF_DATABASE}{''.join(same)}")


def like_source(server: Any, recorded: Mapping[str, Any]) -> Any:
    """A private server with a new database that sorts and compares texts as the source did, if this machine can.

    If not, it stays as it is, and ``restore.sh`` says so.

    Parameters
    ----------
    server : private.Server
    recorded : mapping
        The server in a manifest, which may be a stranger's.
    """
    sql = created_like(recorded)
    if not sql:
        return server
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        try:
            with told():
                cursor.execute(sql)
        except Refused:  # the load says what differs
            return server
    return replace(server, database=NAME)


def created_like(recorded: Mapping[str, Any]) -> str:
    """SQL that makes a database which sorts and compares texts as a source did; "" if that is not known.

    Parameters
    ----------
    recorded : mapping
        The server in a manifest, which may be a stranger's.
    """
    string = POSTGRESQL.string
    found = {name: str(recorded.get(f"{RECORDED}{name}", "")) for name in _COMPARED}
    provider = _PROVIDERS.get(found["provider"])
    if provider is None or not found["collate"] or not found["ctype"]:
        return ""
    words = (
        f"LOCALE_PROVIDER {provider} LC_COLLATE {string(found['collate'])} LC_CTYPE {string(found['ctype'])}"
    )
    if found["locale"]:
        words += f" {provider}_LOCALE {string(found['locale'])}"
    return f"CREATE DATABASE {NAME} TEMPLATE template0 ENCODING 'UTF8' {words}"
