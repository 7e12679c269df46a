"""Statement: one captured SELECT."""

from __future__ import annotations

from typing import NamedTuple


class Statement(NamedTuple):
    """One captured SELECT.

    Attributes
    ----------
    sql : str
        The statement as the server received it (arguments merged).
    rows : int or None
        Rows that it returned; None where the driver could not tell, or the process was killed before it could.
    time : float
        When it was sent or had ended, seconds since the epoch (UTC).
    kind : str
        ``data``, ``count``, ``exists``, ``preview`` or ``metadata``.
    server : str
        ``host:port`` of the connection it ran on.
    transaction : int
        0 outside a transaction, else a number that statements of one transaction share.
    analysis : str
        The analysis it belongs to.
    number : int
        Position in its session's order, from 1 (unique within a paper once combined).
    database : str
        The schema that names without one were looked up in (``USE schema``), where that is known; else empty.
    """

    sql: str
    rows: int | None = None
    time: float = 0.0
    kind: str = "data"
    server: str = ""
    transaction: int = 0
    analysis: str = ""
    number: int = 0
    database: str = ""
