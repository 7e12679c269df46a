"""Plan: the queries of a cascade in order, before any is sent.

In: shapes of captured statements and the `Catalog`. Out: a `Plan`, a list of steps with their queries, for printing.
The number of keys is still unknown. A query that is sent once for each list of new keys (`dialect.LIST_BYTES`) says so,
and is sent only if there are any.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from ..display import visible
from ..lineage import Lineage
from ..lineage.analysis import analyse_levels
from ..lineage.levels import Levels, Texts
from ..lineage.witness import Witness, with_keys
from ..servers.catalog import Catalog
from ..servers.dialect import LIST_BYTES
from ..servers.session import Session
from ..shapes import Shape
from .follow import has_chains, to_ancestors, to_children, to_parent, whole_keys
from .leaves import StatementReport, counting, lineage_of, listing, loop_of
from .options import Options
from .reader import EXISTING

ONCE = "once"
NEVER = "no query"
EACH_LIST = f"once for every {LIST_BYTES // 1000} kB of new keys"


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes
    ----------
    what : str
    how_often : str
        How often ``sql`` is sent.
    sql : tuple of str
        Queries, with ``…`` in place of keys or values.
    """

    what: str
    how_often: str
    sql: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The steps of a cascade in order."""

    steps: tuple[Step, ...]

    def __str__(self) -> str:
        lines = []
        for number, step in enumerate(self.steps, 1):
            lines.append(f"{number:3}. {step.what}: {step.how_often}")
            lines += [f"       {' '.join(sql.split())}" for sql in step.sql]
        return visible("\n".join(lines))


def plan(
    shapes: Sequence[Shape],
    catalog: Catalog,
    options: Options,
    session_of: Callable[[Shape], Session],
    texts: Texts | None = None,
) -> Plan:
    """The plan of the slice of some statements.

    Parameters
    ----------
    shapes : sequence of Shape
    catalog : Catalog
    options : Options
    session_of : callable
        The session of a shape's statements.
    texts : Texts, optional
        It may have the parsed statements.
    """
    steps = list(_to_begin(catalog))
    found: list[tuple[Shape, Lineage]] = []
    levels: dict[Session, Levels] = {}
    for shape in shapes:
        session = session_of(shape)
        if session not in levels:
            levels[session] = Levels(catalog, session, texts)
        lineage, step = _of_shape(shape, levels[session], catalog)
        found.append((shape, lineage))
        steps.append(step)
    if any(lineage.exists for _, lineage in found):
        what = (
            "ask what EXISTS returns where there is a row; statements of which a key tells that are not sent"
        )
        steps.append(Step(what, ONCE, (EXISTING,)))
    rules = [(shape, rule) for shape, lineage in found for rule in lineage.witnesses]
    steps += [_for_no_row(shape, rule) for shape, rule in rules if rule.rowless]
    reached = {leaf.table.full_name for _, lineage in found for leaf in lineage.leaves}
    steps += _to_follow(catalog, reached, rules, options)
    named = {table.full_name for _, lineage in found for table in lineage.tables}
    included = catalog.in_order(included_tables(catalog, reached | named, (), options.parts))
    steps += _to_count(catalog, included, reached)
    return Plan(tuple(steps))


def _to_begin(catalog: Catalog) -> Iterator[Step]:
    dialect = catalog.dialect
    schemas = sorted({table.schema for table in catalog.tables.values()})
    yield Step(f"read {dialect.described_in} of {', '.join(schemas)}", "done already, for this plan too")
    yield Step("open a snapshot", ONCE, (dialect.snapshot,))
    yield Step("try whether the account may read the tables that it can lead to", "together")


def _to_follow(
    catalog: Catalog, reached: set[str], rules: Sequence[tuple[Shape, Witness]], options: Options
) -> Iterator[Step]:
    """The steps that follow foreign keys and rules from the tables in ``reached``, to which it adds all others."""
    done: set[int] = set()
    seen: set[str] = set()
    while reached - seen:
        yield from _closure(catalog, reached, seen, options.parts)
        for number, (shape, rule) in enumerate(rules):
            if number not in done and any(base.table.full_name in reached for base in rule.outer):
                done.add(number)
                yield _of_rule(shape, rule)
                reached |= {base.table.full_name for base in rule.wanted}
    if options.only:
        what = "ask the above, of tables that `only` names or that descend from them, also of the rows inside alone"
        yield Step(what, "as often")
    if options.guard:
        yield Step("look for rows outside of `guard`", EACH_LIST)


def _to_count(catalog: Catalog, included: Sequence[str], reached: Collection[str]) -> Iterator[Step]:
    """The steps that count the rows of the slice and find the conditions of the dump."""
    several = "together with others"
    for name in included:
        counts = dict.fromkeys((catalog.dialect.few(name), f"SELECT COUNT(*) FROM {name}"))
        yield Step(f"count {name}", several, tuple(counts))
    for name in included:
        if any(fk.child in reached for fk in catalog.children(name)):
            what = f"look up the rows of {name} that foreign keys led to"
            yield Step(what, f"{EACH_LIST}, {several}", (f"SELECT COUNT(*) FROM {name} WHERE …",))
    wide = [name for name in included if len(catalog.tables[name].primary_key) > 1]
    if wide:
        what = f"count the rows for conditions on leading key columns of {', '.join(wide)}"
        yield Step(what, "once for each condition that is tried")


def included_tables(
    catalog: Catalog, filled: Collection[str], reports: Sequence[StatementReport], parts: str
) -> set[str]:
    """Tables with rows, tables that statements name, their ancestors, and the parts of all these."""
    names = set(filled) | {name for report in reports for name in report.tables}
    while True:
        more = catalog.ancestors(names)
        if parts == "all":
            more |= {fk.child for name in more for fk in catalog.parts(name)}
        if more <= names:
            return names
        names = names | more


def _of_shape(shape: Shape, levels: Levels, catalog: Catalog) -> tuple[Lineage, Step]:
    """The lineage of a shape, and the step that reads its leaves."""
    session = levels.session
    bindings, loop = len(shape.bindings), loop_of(shape, catalog, session, levels.texts)
    common = analyse_levels(shape.marked, levels, shape.kind) if isinstance(loop, str) else None
    lineage = lineage_of(shape, next(iter(shape.bindings)), common, levels)
    what = f"rows that {_numbers(shape)} depend{'s' if len(shape.numbers) == 1 else ''} on"
    if not isinstance(loop, str):
        found = loop[1]
        leaves = () if found.point else found.leaves  # the answer already tells the keys
        often = f"once for every {LIST_BYTES // 1000} kB of its {bindings:,} lists of values"
        return lineage, Step(what, often, tuple(_shown(text) for text in (found.answers, *leaves)))
    often = ONCE if bindings == 1 else f"once for each of its {bindings:,} lists of values ({loop}), such as"
    asked = [
        leaf.together.sql if leaf.together is not None else leaf.sql or whole_keys(leaf.table)
        for leaf in lineage.leaves
    ]
    asked = list(dict.fromkeys(asked))
    if lineage.answers and not lineage.unsent:
        asked.append(
            counting(lineage, [shape.first]) or (listing(lineage) if lineage.listed else lineage.sql)
        )
    why = f" (not analysed: {lineage.fallback})" if lineage.fallback else ""
    return lineage, Step(f"{what}{why}", often, tuple(asked))


def _closure(catalog: Catalog, reached: set[str], seen: set[str], parts: str) -> Iterator[Step]:
    """The steps that close the rows of the tables in ``reached``, to which it adds those that they lead to."""
    while reached - seen:
        name = max(reached - seen, key=catalog.position)
        seen.add(name)
        for fk in catalog.parents(name):
            way = to_parent(catalog, fk)
            reached.add(fk.parent)
            what = f"{fk.child} refers to {fk.parent} (`{fk.name}`)"
            if way.projection is not None:
                yield Step(f"{what}, whose key is part of its own", NEVER)
            else:
                chains = (to_ancestors(catalog, fk).sql,) if has_chains(catalog, fk) else ()
                yield Step(what, EACH_LIST, tuple(map(_shown, (way.sql, *chains))))
        for fk in catalog.parts(name) if parts == "all" else ():
            reached.add(fk.child)
            yield Step(
                f"parts of {fk.parent} in {fk.child}",
                EACH_LIST,
                (_shown(to_children(catalog, fk).sql),),
            )


def _for_no_row(shape: Shape, rule: Witness) -> Step:
    what = f"rule of {_numbers(shape)}, for no row at all ({rule.reason})"
    return Step(what, ONCE, (_shown(rule.asks[0][0]),))


def _of_rule(shape: Shape, rule: Witness) -> Step:
    tables = ", ".join(dict.fromkeys(base.table.full_name for base in rule.outer))
    sql = tuple(dict.fromkeys(_shown(text) for text, _ in rule.asks))
    if rule.group_sql:
        sql = (*sql, _shown(rule.group_sql))
    return Step(f"rule of {_numbers(shape)} for rows of {tables} ({rule.reason})", EACH_LIST, sql)


def _numbers(shape: Shape) -> str:
    numbers = shape.numbers
    if len(numbers) == 1:
        return f"statement {numbers[0]}"
    return f"{len(numbers):,} statements ({numbers[0]} and others like it)"


def _shown(sql: str) -> str:
    return with_keys(sql, "…")
