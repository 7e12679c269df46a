"""Virtual foreign keys: references that the database does not declare, as a lab writes them in its settings.

In: texts such as ``lab.session (rig) -> lab.rig (rig)``. Out: virtual `ForeignKey`s, which the cascade follows like
those of the database. It does not check that the tables exist; `servers.mysql.catalog` does.
"""

from __future__ import annotations

from collections.abc import Iterable

from .errors import SpyError
from .servers.mysql.dialect import MYSQL
from .servers.tables import ForeignKey

FORM = "schema.table (column, …) -> schema.table (column, …), with backticks around names that need them"


def reference(text: str) -> ForeignKey:
    """The reference that a text declares.

    Parameters
    ----------
    text : str
        ``child (columns) -> parent (columns)``; tables with their schema, names quoted as in SQL.

    Raises
    ------
    SpyError
        If the text does not have this form.

    Examples
    --------
    >>> found = reference("lab.session (rig_name) -> `lab`.`#rig` (rig)")
    >>> found.child, found.columns, found.parent, found.parent_columns
    ('`lab`.`session`', ('rig_name',), '`lab`.`#rig`', ('rig',))
    """
    words = _Words(text)
    child, columns = words.table()
    words.take("->")
    parent, parent_columns = words.table()
    words.end()
    if len(columns) != len(parent_columns):
        raise words.error(f"{len(columns)} columns refer to {len(parent_columns)}")
    return ForeignKey(text, child, columns, parent, parent_columns, virtual=True)


def references(given: Iterable[str | ForeignKey]) -> tuple[ForeignKey, ...]:
    """References from texts; `ForeignKey`s stay as they are."""
    return tuple(reference(each) if isinstance(each, str) else each for each in given)


class _Words:
    """The tokens of one declaration, taken from the left."""

    def __init__(self, text: str) -> None:
        from sqlglot.dialects.mysql import (
            MySQL,
        )  # takes a while to import, and most labs declare no reference
        from sqlglot.errors import TokenError

        self.text = text
        try:
            tokens = MySQL().tokenize(text)
        except TokenError:
            raise self.error("a quote is not closed") from None
        # keep the source beside the token: only its quotes tell a quoted name from a sign
        self.words = [(text[token.start : token.end + 1], token.text) for token in tokens]

    def error(self, problem: str) -> SpyError:
        return SpyError(
            f"The reference {self.text!r} cannot be read: {problem}. Write it as {FORM}; a name such as #rig needs "
            "backticks."
        )

    def take(self, sign: str) -> None:
        found = self.words.pop(0)[0] if self.words else "its end"
        if found != sign:
            raise self.error(f"{sign!r} was expected instead of {found}")

    def name(self) -> str:
        source, name = self.words.pop(0) if self.words else ("its end", "")
        if not name or not (source.startswith("`") or name.replace("$", "_").isidentifier()):
            raise self.error(f"a name was expected instead of {source}")
        return name

    def table(self) -> tuple[str, tuple[str, ...]]:
        schema = self.name()
        self.take(".")
        table = self.name()
        self.take("(")
        columns = [self.name()]
        while self.words and self.words[0][0] == ",":
            self.take(",")
            columns.append(self.name())
        self.take(")")
        return MYSQL.full_name(schema, table), tuple(columns)

    def end(self) -> None:
        if self.words:
            raise self.error(f"nothing was expected after that, but there is {self.words[0][0]}")
