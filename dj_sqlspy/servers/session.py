"""Session: what a connection had set before a statement, as far as it changes what the statement means.

A server's own `mysql.state` makes one from the texts that were captured. It is part of a statement on its whole way:
parsed, analysed, asked for and replayed is each statement in its session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Session:
    """The session of a statement.

    Attributes
    ----------
    texts : tuple of str
        As captured.
    settings : tuple of str
        Statements that set it again, in order; each passed the gate.
    modes : frozenset of str
        Of its modes those that change how a text is read (``ANSI_QUOTES`` and others), in upper case.
    temporary : frozenset of (schema or None, table)
        Temporary tables, in lower case.
    unknown : mapping of str to str
        User variables whose value cannot be had, in lower case, and why.
    problem : str
        Why it cannot be set again; else "".
    encoding : str
        In which the driver sent texts.
    """

    texts: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    modes: frozenset[str] = frozenset()
    temporary: frozenset[tuple[str | None, str]] = frozenset()
    unknown: Mapping[str, str] = field(default_factory=dict, hash=False)
    problem: str = ""
    encoding: str = "utf-8"


PLAIN = Session()
