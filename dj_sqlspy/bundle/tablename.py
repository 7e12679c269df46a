"""Names of tables and places in texts for people.

In: a full table name, or the place of a finding. Out: the parts that are shown.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ..errors import BundleError
from ..names import class_name, split_column, split_full_name


@dataclass(frozen=True)
class TableName:
    """A table.

    Attributes
    ----------
    full : str
        ```schema`.`table```.
    schema, table : str
    label : str
        The name of its class.
    """

    full: str
    schema: str
    table: str
    label: str

    @classmethod
    def of(cls, full: str) -> TableName:
        """
        >>> TableName.of("`lab`.`#species`").label
        'Species'

        Raises
        ------
        BundleError
            If it is not a table name.
        """
        try:
            schema, table = split_full_name(full)
        except (ValueError, AttributeError) as error:
            raise BundleError(f"Reading a bundle: {full!r:.60} is not the full name of a table.") from error
        return cls(full, schema, table, class_name(table))

    @property
    def shown(self) -> str:
        """As a person reads and types it."""
        return f"{self.schema}.{self.label}"

    @property
    def anchor(self) -> str:
        """The identifier of its section on the page."""
        return f"t-{hashlib.sha256(self.full.encode('utf-8', 'backslashreplace')).hexdigest()[:10]}"


@dataclass(frozen=True)
class Place:
    """The place of a finding: a column of a table, or (``table`` is None) a file, a table or a view."""

    table: str | None
    name: str

    @classmethod
    def of(cls, where: str) -> Place:
        """
        >>> Place.of("`lab`.`subject`.`name`"), Place.of("code/fig.py")
        (Place(table='`lab`.`subject`', name='name'), Place(table=None, name='code/fig.py'))
        """
        return cls(*(split_column(where) or (None, where)))
