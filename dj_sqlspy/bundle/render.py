"""Render: fills templates so that no value of a bundle can become markup.

In: the name of a template, and values. Out: HTML or Markdown. Every value is escaped on output, for HTML by Jinja2, for
Markdown by `markdown`, except the results of our own filters and macros. Control characters are written out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..display import numbers_text, size_text, visible
from ..errors import BundleError
from .tablename import TableName


def render(template: str, **values: Any) -> str:
    """The text of a template with values.

    Parameters
    ----------
    template : str
        A file in ``templates/``. ``.md.j2`` is Markdown, all others are HTML.
    **values
        Variables of the template.

    Raises
    ------
    BundleError
        If a value that must be a number is not.
    """
    return _environment(template.endswith(".md.j2")).get_template(template).render(values)


@cache
def _environment(is_markdown: bool) -> Environment:
    made = Environment(
        loader=PackageLoader("dj_sqlspy.bundle"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=markdown if is_markdown else _shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "whole": whole,
        "numbers": numbers_text,
        "number": lambda value: f"{whole(value):,}",
        "count": count,
        "rows": rows,
        "size": lambda value: size_text(whole(value)),
        "cut": cut,
        "table": lambda name: TableName.of(name).shown,
        "code": code,
        "verbatim": verbatim,
    }
    return made


# ---------------------------------------------------------------- characters


def _shown(value: Any) -> Any:
    return value if isinstance(value, Markup) else visible(str(value))


def markdown(value: Any) -> Markup:
    r"""One line without any markup of Markdown or HTML.

    >>> print(markdown("- a_b\n1. <i>*x*</i>"), markdown("1. x"), markdown("1.5"))
    \- a\_b 1. &lt;i&gt;\*x\*&lt;/i&gt; 1\. x 1.5
    """
    if isinstance(value, Markup):
        return value
    text = visible(" ".join(str(value).split()))
    text = re.sub(r"([\\`*_\[\]#|~$])", r"\\\1", text)
    text = re.sub(r"^([-+=])", r"\\\1", text)  # a list, or a line below a heading
    text = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", text)  # a numbered list
    return Markup(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def code(value: Any) -> Markup:
    """A code span in Markdown, or plain text if a code span cannot contain it.

    >>> print(code("lab.session"), code("a`b|c"))
    `lab.session` a\\`b\\|c
    """
    text = str(value)
    plain = " ".join(text.split()) == text != "" and text.isprintable() and not set(text) & set("`|<>&[]")
    return Markup(f"`{text}`") if plain else markdown(text)


def verbatim(value: Any) -> Markup:
    """A part of a line in a fenced block of Markdown. The template must write something before it."""
    return Markup(visible(" ".join(str(value).split())))


# ---------------------------------------------------------------- numbers and small texts


def whole(value: Any) -> int:
    """A number from a bundle.

    Raises
    ------
    BundleError
        If it is not a number.
    """
    if type(value) is not int:
        raise BundleError(
            f"Making the report of a bundle: {value!r:.60} is not a whole number."
            " The bundle is damaged, or was made by something else."
        )
    return value


def known(value: Any) -> int | None:
    """A number from a bundle that may be left out."""
    return None if value is None else whole(value)


def total_of(values: Iterable[Any]) -> int | None:
    """The sum of numbers from a bundle; None if one is left out.

    >>> total_of([1, 2]), total_of([1, None])
    (3, None)
    """
    found = [known(value) for value in values]
    return None if None in found else sum(value or 0 for value in found)


def count(value: Any, one: str, many: str) -> str:
    """
    >>> count(1, "row", "rows"), count(2000, "row", "rows")
    ('1 row', '2,000 rows')
    """
    return f"{whole(value):,} {one if value == 1 else many}"


def rows(value: Any) -> str:
    """
    >>> rows(None), rows(1)
    ('unknown rows', '1 row')
    """
    return "unknown rows" if value is None else count(value, "row", "rows")


def cut(text: str, length: int) -> str:
    """A text, cut in the middle if it is too long."""
    if len(text) <= length:
        return text
    return (
        f"{text[: length * 2 // 3]} … ({len(text) - length:,} characters left out) … {text[-length // 3 :]}"
    )
