"""Translate: translates a table's definition for a MySQL or MariaDB target.

In: the source's `Definition`, the `Table` of the catalog, and the flavor of the target. Out: a `Translated`: the
definition, the statements to run after the load, and notes for people: what changed, what the target must support, and
what it cannot have. Each pass changes one thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..tables import Table
from .anywhere import (
    ask_expressions,
    ask_for_keys,
    check_references,
    check_texts,
    check_types,
    choose_engine,
    find_sequences,
    forget_history,
    leave_places,
    name_collations,
    write_bytes,
)
from .collations import Flavor
from .definition import Definition
from .elsewhere import (
    change_checks,
    change_defaults,
    change_generated,
    change_invisible,
    change_keys,
    change_options,
    change_stored,
    change_texts,
    change_types,
    check_collations,
    forget_periods,
)
from .translated import Translated

Pass = Callable[[Translated], None]

_ALWAYS: Sequence[Pass] = (
    leave_places,
    forget_history,
    choose_engine,
    write_bytes,
    name_collations,
    find_sequences,
    check_texts,
)
_FIRST_ELSEWHERE: Sequence[Pass] = (change_types, change_defaults, change_checks, change_texts, change_keys)
_ELSEWHERE: Sequence[Pass] = (
    forget_periods,
    change_invisible,
    change_options,
    change_stored,
    change_generated,
    check_collations,
)
_LAST: Sequence[Pass] = (check_types, check_references, ask_for_keys)


def translate(
    definition: Definition,
    table: Table,
    source: Flavor,
    target: Flavor,
    definitions: Mapping[str, Definition],
    taken: set[str],
) -> Translated:
    """A definition for a server of a flavor. The arguments are those of `Translated`."""
    work = Translated(definition, table, source, target, definitions, taken)
    first, others = (_FIRST_ELSEWHERE, _ELSEWHERE) if work.elsewhere else ((), ())
    for each in (*_ALWAYS, *first, ask_expressions, *others, *_LAST):
        each(work)
    return work
