"""Tables: the rows of one table in a slice.

In: the keys of the rows, and the condition that selects them. Out: `TableSlice`. It asks no server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from markupsafe import Markup

from ..display import html_table, one_line, visible
from ..names import shown_name
from ..servers.dialect import Key
from ..servers.tables import Table
from .restrict import Restriction


@dataclass
class TableSlice:
    """The rows of one table in the slice.

    Attributes
    ----------
    name : str
        Full name, as DataJoint's ``full_table_name``.
    table : Table
        Its catalog entry.
    rows, total_rows : int
        Number of rows in the slice, and in the database.
    reasons : dict of str to int
        For each rule, the number of rows that it was the first to bring.
    """

    name: str
    table: Table
    rows: int
    total_rows: int
    reasons: dict[str, int]
    keys: Mapping[Key, int] = field(repr=False)
    _restriction: Restriction = field(repr=False)

    @property
    def restriction(self) -> str:
        """The shortest known SQL condition that selects exactly these rows; "TRUE" for all, "FALSE" for none."""
        return self._restriction.text

    def conditions(self, max_bytes: int) -> list[str]:
        """Disjoint conditions of at most ``max_bytes`` each that together select exactly these rows.

        [] if no row is needed, ["TRUE"] if all are.
        """
        return self._restriction.conditions(max_bytes)

    @property
    def why(self) -> str:
        """Why its rows are in the slice, in words."""
        reasons = [
            rule if len(self.reasons) == 1 else f"{rule}: {rows:,}" for rule, rows in self.reasons.items()
        ]
        return "; ".join(reasons) or "structure only"

    def __str__(self) -> str:
        lines = [f"{shown_name(self.name)}: {self.rows:,} of {self.total_rows:,} rows"]
        lines += [f"    {rule}: {rows:,}" for rule, rows in self.reasons.items()]
        return visible("\n".join([*lines, f"    WHERE {one_line(self.restriction, 400)}"]))

    def _repr_html_(self) -> str:
        reasons = [(rule, f"{rows:,}") for rule, rows in self.reasons.items()]
        return Markup("<div><b>{}</b>: {:,} of {:,} rows{}<pre>WHERE {}</pre></div>").format(
            shown_name(self.name),
            self.rows,
            self.total_rows,
            html_table(("why", "rows"), reasons, numbers=(1,)) if reasons else "",
            one_line(self.restriction, 2000),
        )
