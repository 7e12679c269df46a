"""Structure: compares a loaded bundle's structure with the manifest.

In: a manifest, and the catalog of a server with the loaded bundle. Out: wrong tables, columns, primary and foreign
keys, in words. Details of a type that only one version or flavor prints do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..servers.catalog import Catalog


def structure(manifest: Mapping[str, Any], catalog: Catalog) -> Iterator[str]:
    """Tables, columns, primary and foreign keys that differ from the manifest, in words."""
    for entry in manifest["tables"]:
        name = entry["name"]
        table = catalog.tables.get(name)
        if table is None:
            yield f"{name}: there is no such table"
            continue
        if table.is_view:
            continue
        found = {column.name: (_plain_type(column.column_type), column.nullable) for column in table.columns}
        wanted = {
            column["name"]: (_plain_type(column["type"]), column["nullable"])
            for column in entry.get("columns", ())
        }
        if wanted and list(found) != list(wanted):
            yield f"{name}: its columns are {', '.join(found)}, and should be {', '.join(wanted)}"
        for column in wanted.keys() & found.keys():
            if wanted[column] != found[column]:
                is_now, should_be = _in_words(found[column]), _in_words(wanted[column])
                yield f"{name}: column {column} is {is_now}, and should be {should_be}"
        if list(table.primary_key) != entry.get("primary_key", list(table.primary_key)):
            key = ", ".join(entry["primary_key"])
            yield f"{name}: its primary key is ({', '.join(table.primary_key)}), and should be ({key})"
    held = {(fk.child, fk.columns, fk.parent, fk.parent_columns) for fk in catalog.foreign_keys}
    for fk in manifest["foreign_keys"]:
        if (fk["child"], tuple(fk["columns"]), fk["parent"], tuple(fk["parent_columns"])) not in held:
            yield f"{fk['child']}: there is no foreign key {fk['name']} to {fk['parent']}"


def _plain_type(text: str) -> str:
    """A type without details that only one version or flavor prints.

    >>> _plain_type("int(11) unsigned"), _plain_type("decimal(8,3)"), _plain_type("json")
    ('int unsigned', 'decimal(8,3)', 'longtext')
    """
    plain = re.sub(r"^((?:tiny|small|medium|big)?int|year)\(\d+\)", r"\1", text.lower())
    return "longtext" if plain == "json" else plain


def _in_words(column: tuple[str, bool]) -> str:
    return column[0] if column[1] else f"{column[0]} NOT NULL"
