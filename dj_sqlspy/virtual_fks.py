"""Virtual foreign keys: references that the database does not declare, as a lab writes them in its settings.

In: texts such as ``lab.session (rig) -> lab.rig (rig)``. Out: virtual `ForeignKey`s, which the cascade follows like
those of the database. It does not look for the tables; `servers.catalog` finds them, also by the names of their
classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .errors import SpyError
from .servers.mysql.dialect import MYSQL
from .servers.tables import ForeignKey

FORM = (
    "schema.table (column, …) -> schema.ClassName (column, …), with backticks or double quotation marks around names "
    "that need them"
)


def reference(text: str) -> ForeignKey:
    """The reference that a text declares.

    Parameters
    ----------
    text : str
        ``child (columns) -> parent (columns)``. Tables have their schema, and are named as they are printed:
        ```schema`.`table```, ``"schema"."table"``, ``schema.table`` or ``schema.ClassName``.

    Raises
    ------
    SpyError
        If the text does not have this form.

    Examples
    --------
    >>> found = reference("lab.session (rig_name) -> `lab`.`#rig` (rig)")
    >>> found.child, found.columns, found.parent, found.parent_columns
    ('`lab`.`session`', ('rig_name',), '`lab`.`#rig`', ('rig',))
    >>> reference("lab.Session.Member (probe, port) -> lab.#probe__port (probe, port)").child
    '`lab`.`Session.Member`'
    >>> reference('"lab"."session" (rig) -> "lab"."#rig" (rig)').parent
    '`lab`.`#rig`'
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


# Quoted names, the signs of a declaration, names without quotes, and signs that do not belong there.
_WORD = re.compile(r"""`(?:[^`]|``)+`|"(?:[^"]|"")+"|->|[^\s`".(),>-]+|\S""")


class _Words:
    """The words of one declaration, taken from the left."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = _WORD.findall(text)

    def error(self, problem: str) -> SpyError:
        return SpyError(f"The reference {self.text!r} cannot be read: {problem}. Write it as {FORM}.")

    def take(self, sign: str) -> None:
        found = self.words.pop(0) if self.words else "its end"
        if found != sign:
            raise self.error(f"{sign!r} was expected instead of {found}")

    def name(self) -> str:
        word = self.words.pop(0) if self.words else "its end"
        if len(word) > 1 and word[0] in '`"':
            return word[1:-1].replace(2 * word[0], word[0])
        if not word.lstrip("#~").replace("$", "_").isidentifier():
            raise self.error(f"a name was expected instead of {word}")
        return word

    def names(self, sign: str) -> list[str]:
        """Names with a sign between them."""
        found = [self.name()]
        while self.words and self.words[0] == sign:
            self.take(sign)
            found.append(self.name())
        return found

    def table(self) -> tuple[str, tuple[str, ...]]:
        schema = self.name()
        self.take(".")
        table = ".".join(self.names("."))  # of a class of a part, two
        self.take("(")
        columns = self.names(",")
        self.take(")")
        return MYSQL.full_name(schema, table), tuple(columns)

    def end(self) -> None:
        if self.words:
            raise self.error(f"nothing was expected after that, but there is {self.words[0]}")
