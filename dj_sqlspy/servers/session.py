"""Session: the settings of a connection that change what its statements mean.

`mysql.state` makes one from the captured texts. Each statement is parsed, analysed, queried and replayed in its
session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# A word of sql_mode that changes how values of keys are printed.
PADDED = "PAD_CHAR_TO_FULL_LENGTH"


@dataclass(frozen=True)
class Session:
    """The session of a statement.

    Attributes
    ----------
    texts : tuple of str
        The captured texts.
    settings : tuple of str
        Statements that restore it, in order; each passed the gate.
    names : frozenset of str
        The session variables that these set, in lower case.
    modes : frozenset of str
        The words of its sql_mode, in upper case, if they differ from those of a session without settings.
    limit : int or None
        How many rows a SELECT returns at most.
    temporary : frozenset of (schema or None, table)
        Temporary tables, in lower case.
    variables : frozenset of str
        User variables that ``settings`` set, in lower case.
    unknown : mapping of str to str
        User variables whose value cannot be restored, in lower case, and why. ``*`` means all that are not in
        ``variables``.
    problem : str
        Why the session cannot be restored, or "".
    encoding : str
        The encoding in which the driver sent texts.
    printed : str
        Defaults of the connection under which values are turned into texts in another form than in rewritten
        queries, in words; "" if there are none.
    """

    texts: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    modes: frozenset[str] = frozenset()
    limit: int | None = None
    temporary: frozenset[tuple[str | None, str]] = frozenset()
    variables: frozenset[str] = frozenset()
    unknown: Mapping[str, str] = field(default_factory=dict, hash=False)
    problem: str = ""
    encoding: str = "utf-8"
    printed: str = field(default="", compare=False)  # the same for all sessions of a connection

    def why_unknown(self, variable: str) -> str | None:
        """Why the value of a user variable cannot be restored; None if it can, or is NULL."""
        name = variable.lower()
        return self.unknown.get(name) or (None if name in self.variables else self.unknown.get("*"))

    def is_temporary(self, schema: str | None, table: str) -> bool:
        """Whether a name is that of a temporary table; without a schema, in any schema."""
        return any(
            name == table.lower() and (schema is None or of is None or of == schema.lower())
            for of, name in self.temporary
        )


PLAIN = Session()
