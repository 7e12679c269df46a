"""Statement: one captured SELECT."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

# Name of a column of a result, its type as the protocol numbers it, and its number of decimals.
Column: TypeAlias = "tuple[str, int, int]"


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
    state : tuple of str
        What the connection had sent before that changes the meaning of a statement (``SET …``, temporary tables), in
        order.
    digest : str or None
        Of the rows that it returned, whatever their order (`servers.mysql.wire`); None where they were not read to
        their end, or digests are switched off.
    columns : tuple of (str, int, int)
        Of its result, where it has a digest.
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
    state: tuple[str, ...] = ()
    digest: str | None = None
    columns: tuple[Column, ...] = ()
