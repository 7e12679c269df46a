"""Statement: one captured SELECT."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import NamedTuple

from ..servers.results import Column

# The kind of server that statements are for, unless the journal says another one.
MYSQL = "mysql"


class Statement(NamedTuple):
    """One captured SELECT.

    Attributes
    ----------
    sql : str
        The statement as the server received it (arguments merged).
    rows : int or None
        Number of rows that it returned; None if the driver could not tell, or the process was killed before.
    time : float
        When it was sent or had ended, seconds since the epoch (UTC).
    kind : str
        ``data``, ``count``, ``exists``, ``preview`` or ``metadata``.
    server : str
        ``host:port`` of the connection it ran on; on PostgreSQL ``host:port/database``.
    transaction : int
        0 outside a transaction, else a number that statements of one transaction share.
    analysis : str
        The analysis it belongs to.
    number : int
        Position, from 1: of the statements of a `Paper`, in the order of all its analyses, whichever are chosen; of
        those of a session, in the session.
    database : str
        The default schema (``USE schema``), or "" if it is unknown.
    state : tuple of str
        What the connection had sent before that changes the meaning of statements (``SET …``, temporary tables), in
        order.
    digest : str or None
        Digest of the returned rows in any order (`servers.mysql.wire`, `servers.postgresql.wire`).
        None if they were not read to their end, or digests are switched off.
    columns : tuple of (str, int, int)
        Columns of its result, if it has a digest.
    backend : str
        DataJoint's name of the kind of server that it was sent to: ``mysql`` (also MariaDB) or ``postgresql``.
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
    backend: str = MYSQL

    @property
    def where(self) -> str:
        """The statement's number, analysis, time and server, in words.

        >>> Statement("SELECT 1", server="db:3306", analysis="fig2", number=3, time=1767225600.0).where
        'statement 3 (fig2, 2026-01-01 00:00:00 UTC, db:3306)'
        """
        day = datetime.fromtimestamp(self.time, timezone.utc)
        ran = f"{day:%Y-%m-%d %H:%M:%S} UTC" if self.time else ""
        return f"statement {self.number} ({', '.join(filter(None, (self.analysis, ran, self.server)))})"
