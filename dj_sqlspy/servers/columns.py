"""Columns of tables, as the server's own catalog describes them.

In: rows of the catalog. Out: `Column`, and which types hold numbers, texts and bytes.
"""

from __future__ import annotations

from typing import NamedTuple

# Types of integers, texts and bytes. Values of any other type are written as the server prints them, quoted.
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
FLOAT_TYPES = frozenset({"float", "double"})
INTEGER_TYPES = frozenset({"tinyint", "smallint", "mediumint", "int", "integer", "bigint", "year"})
BINARY_TYPES = frozenset(
    ["binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "bit", "geometry"]
)
TEXT_TYPES = frozenset(["char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"])
_VARYING = TEXT_TYPES | {"character varying"}


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
    comment: str = ""
    generation: str = ""  # of a generated column, its expression

    @property
    def binary(self) -> bool:
        return self.data_type in BINARY_TYPES or self.data_type == "bytea"

    @property
    def numeric(self) -> bool:
        return self.data_type in NUMERIC_TYPES and self.data_type != "bit"

    @property
    def form(self) -> str:
        """How values are written: columns with the same form write values that compare equal alike, but for texts."""
        if self.data_type in INTEGER_TYPES:
            return "integer"
        return "text" if self.data_type in _VARYING else self.column_type

    @property
    def folds(self) -> bool:
        """True if texts that differ in case or accents can compare equal."""
        return self.collation is not None and not self.collation.endswith(("_bin", "binary"))

    @property
    def pads(self) -> bool:
        """True if texts that differ in spaces at their end compare equal, as in most collations."""
        name = self.collation
        return name is not None and name != "binary" and "_0900_" not in name and "nopad" not in name

    @property
    def exact(self) -> bool:
        """True if values that compare equal are the same. A float has two zeros."""
        return not (self.folds or self.pads or self.data_type in FLOAT_TYPES)

    @property
    def invisible(self) -> bool:
        """True if ``*`` and NATURAL JOIN leave it out."""
        return "INVISIBLE" in self.extra.upper()

    @property
    def generated(self) -> bool:
        return "GENERATED" in self.extra.upper() and "DEFAULT_GENERATED" not in self.extra.upper()
