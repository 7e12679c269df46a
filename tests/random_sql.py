"""Random SELECTs over a random schema.

In: `Choices`, a `Schema` and the flavor of the server. Out: text of one SELECT, with ``SCHEMA_A`` and ``SCHEMA_B``
for the database schemas. It is the grammar of what MySQL and MariaDB read; each production has the chance to
stand at every level. What a server would answer differently from one run to the next for reasons of its own is
not generated:

- window functions and LIMIT below the top have a total order, ROWS frames too; GROUP_CONCAT has one;
- sums of floating point numbers depend on the order of the rows;
- window functions are no output of a subquery that IN, ANY or ALL compares with: MariaDB 10.11 turns
  ``0 IN (SELECT ROW_NUMBER() OVER (…) …)`` into EXISTS with a HAVING, and answers NULL where it is 0;
- ROLLUP stands in no subquery of a condition: both servers give results that depend on the plan for
  ``NOT IN (… WITH ROLLUP)``, since the index lookup that they turn it into does not see the rolled-up rows;
- ROLLUP stands in no branch of MySQL's INTERSECT and EXCEPT: the NULLs that it makes are compared as 0 or '' where
  the first branch has no NULL;
- INTERSECT and EXCEPT are not compared with by IN, ANY or ALL: both servers put the comparison into the branches, which
  is wrong where NULL is compared: ``0 IN (SELECT NULL INTERSECT SELECT …)`` is NULL where the second side is empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.random_schema import DOMAIN, Choices, Column, Schema, Table, View

COMPARISONS = ("=", "<", ">", "<>", "<=", ">=", "<=>", "!=")
Named = tuple[str, str]  # name of a column, class of its values


@dataclass
class Source:
    """A source in FROM: how its columns can be qualified, its columns, and those that order it totally."""

    alias: str
    columns: list[Named]
    total: list[str] = field(default_factory=list)  # [] where nothing tells its rows apart
    table: Table | None = None


Environment = list[Source]


class Grammar:
    """Productions. ``depth`` is how many levels of subqueries are left."""

    comparisons = COMPARISONS
    null_safe = "<=>"
    connectives = ("AND", "OR", "AND", "OR", "XOR", "&&", "||")
    negations = ("NOT ", "NOT ", "! ")
    of_nulls = ("COALESCE", "IFNULL", "NULLIF")

    def __init__(self, choices: Choices, schema: Schema, flavor: str) -> None:
        self.choices, self.schema, self.flavor = choices, schema, flavor
        self.count = 0
        self.ctes: list[tuple[str, list[Named]]] = []
        self.in_condition = 0
        self.compared = False  # in the outermost SELECT of a subquery of IN, ANY or ALL

    def statement(self, depth: int) -> str:
        """A SELECT as a user would send it."""
        choices = self.choices
        kinds = [choices.one("iiiitd") for _ in range(1 + choices.upto(2))]
        sql = self.query(depth, kinds, top=True)
        if choices.chance(6) and sql.startswith("SELECT"):
            sql = f"SELECT EXISTS({sql}) AS found"
        elif choices.chance(4):
            sql = self.bare(depth)
        elif choices.chance(4) and not sql.startswith("("):
            sql += choices.one([" FOR UPDATE", " LOCK IN SHARE MODE"])
        if choices.chance(4):
            sql = choices.one(["/* mine; not yours */ ", "-- a 'comment'\n", "# one\n", "\n\t"]) + sql
        return sql

    def bare(self, depth: int) -> str:
        """A statement without SELECT: VALUES or (MySQL) TABLE."""
        choices = self.choices
        if self.flavor == "mysql" and choices.chance(30):
            return f"TABLE {choices.one(self.schema.tables).full}"
        sql = self.values(None, depth)
        return f"{sql} ORDER BY 1, 2 LIMIT 1" if self.flavor == "mysql" and choices.chance(20) else sql

    def values(self, outer: Environment | None, depth: int, columns: int = 2) -> str:
        """Rows of VALUES, of numbers and of subqueries (MySQL 9.7 adds up an aggregate there more than once)."""
        choices = self.choices
        row = "ROW" if self.flavor == "mysql" else ""
        rows = []
        for _ in range(1 + choices.upto(2)):
            items = [
                f"({self.scalar_query(outer or [], 'i', depth)})"
                if depth > 0 and self.flavor != "mysql" and choices.chance(25)
                else str(choices.upto(4))
                for _ in range(columns)
            ]
            rows.append(f"{row}({', '.join(items)})")
        return f"VALUES {', '.join(rows)}"

    # -------------------------------------------------- sources

    def alias(self) -> str:
        self.count += 1
        return f"q{self.count}"

    def source(self, depth: int, lateral: Environment | None = None) -> tuple[str, Source]:
        choices = self.choices
        if depth > 0 and choices.chance(25):
            return self.derived(depth, lateral)
        if self.ctes and choices.chance(60):
            name, columns = choices.one(self.ctes)
            alias = self.alias()
            return f"{name} AS {alias}", Source(alias, columns)
        if choices.chance(4):
            return self.literal_rows(lateral, depth)
        if self.flavor == "mysql" and choices.chance(3):
            table, alias = choices.one(self.schema.tables), self.alias()
            columns = [(column.name, column.kind) for column in table.columns]
            return f"(TABLE {table.full}) AS {alias}", Source(alias, columns)
        relations: list[Table | View] = [
            *self.schema.tables,
            *(self.schema.views if choices.chance(30) else ()),
        ]
        relation = choices.one(relations)
        alias = self.alias()
        columns = [(column.name, column.kind) for column in relation.columns]
        total = list(relation.key) if isinstance(relation, Table) else []
        name = relation.full if choices.chance(85) else relation.full.replace("`", "")
        hint = self.hint() if isinstance(relation, Table) and relation.key and choices.chance(3) else ""
        shown = f"{name} {choices.one(['AS ', 'AS ', ''])}{alias}{hint}"
        return shown, Source(alias, columns, total, relation if isinstance(relation, Table) else None)

    def hint(self) -> str:
        """What stands behind a table and changes no result."""
        return self.choices.one([" USE INDEX (PRIMARY)", " IGNORE INDEX FOR JOIN (PRIMARY)"])

    def derived(self, depth: int, lateral: Environment | None) -> tuple[str, Source]:
        choices = self.choices
        kinds = [choices.one("iiitd") for _ in range(1 + choices.upto(2))]
        names = [f"c{i}" for i in range(len(kinds))]
        alias = self.alias()
        columns = list(zip(names, kinds, strict=True))
        compared, self.compared = self.compared, False
        try:
            return self.derived_as(alias, columns, depth, lateral)
        finally:
            self.compared = compared

    def derived_as(
        self, alias: str, columns: list[Named], depth: int, lateral: Environment | None
    ) -> tuple[str, Source]:
        choices = self.choices
        names, kinds = [name for name, _ in columns], [kind for _, kind in columns]
        if lateral and self.flavor != "mariadb" and choices.chance(35):
            sql = self.query(depth - 1, kinds, names, outer=lateral)
            return f"LATERAL ({sql}) AS {alias}", Source(alias, columns)
        return f"({self.query(depth - 1, kinds, names)}) AS {alias}", Source(alias, columns)

    def literal_rows(self, lateral: Environment | None, depth: int) -> tuple[str, Source]:
        choices, alias = self.choices, self.alias()
        if choices.chance(50):
            document = f"'[{', '.join(str(choices.upto(4)) for _ in range(1 + choices.upto(2)))}]'"
            json = self.column(lateral, "j") if lateral else None
            if json is not None and choices.chance(70):
                document = json
            elif self.flavor == "mariadb" and choices.chance(50):
                document = f"({self.scalar_query(lateral or [], 'j', 1)})"
            sql = f"JSON_TABLE({document}, '$[*]' COLUMNS (o FOR ORDINALITY, c0 INT PATH '$')) AS {alias}"
            return sql, Source(alias, [("c0", "i"), ("o", "i")])
        values = self.values(None, depth)
        if self.flavor == "mysql":
            return f"({values}) AS {alias} (c0, c1)", Source(alias, [("c0", "i"), ("c1", "i")])
        sql = f"(WITH v{alias}(c0, c1) AS ({values}) SELECT * FROM v{alias}) AS {alias}"
        return sql, Source(alias, [("c0", "i"), ("c1", "i")])

    def from_clause(self, depth: int) -> tuple[str, Environment]:
        choices = self.choices
        sql, first = self.source(depth)
        environment = [first]
        for _ in range(choices.one([0, 0, 0, 1, 1, 1, 2, 2])):
            if choices.chance(6):
                sql = self.around(sql)
            sql = self.join(sql, environment, depth)
        return self.around(sql) if choices.chance(4) else sql, environment

    def around(self, sources: str) -> str:
        """Sources of FROM in parentheses."""
        return f"({sources})"

    def join(self, left: str, environment: Environment, depth: int) -> str:
        """One more source, joined to what is there; the environment gets it."""
        choices = self.choices
        right, source = self.source(depth, environment)
        if depth > 0 and choices.chance(6):  # parentheses around joined tables
            inner: Environment = [source]
            right = f"({self.join(right, inner, 0)})"
            added = inner
        else:
            added = [source]
        lateral = any(word in right for word in ("LATERAL", "JSON_TABLE", "ROWS FROM"))
        form = choices.upto(99)
        if form >= 90 and not lateral:
            common = self.common(environment, added)
            if common and choices.chance(60):
                columns = ", ".join(choices.some(common)[:2])
                side = choices.one(["", "LEFT ", "RIGHT ", "INNER "])
                environment += added
                return f"{left} {side}JOIN {right} USING ({columns})"
            side = choices.one(["", "", "LEFT ", "RIGHT "])
            environment += added
            return f"{left} NATURAL {side}JOIN {right}"
        condition = self.on(environment, added)
        environment += added
        if form < 10:
            return f"{left} CROSS JOIN {right}"
        if form < 16:
            return f"{left}, {right}"
        if form < 20:
            return f"{left} {self.seldom_join(lateral)} {right} ON {condition}"
        side = ""
        if form >= 50:
            side = choices.one(["LEFT ", "LEFT OUTER ", "LEFT ", "RIGHT "] if not lateral else ["LEFT "])
        return f"{left} {side}JOIN {right} ON {condition}"

    def seldom_join(self, lateral: bool) -> str:
        return "STRAIGHT_JOIN"

    @staticmethod
    def common(environment: Environment, added: Environment) -> list[str]:
        ours = [name for source in environment for name, _ in source.columns]
        theirs = [name for source in added for name, _ in source.columns]
        return [name for name in dict.fromkeys(ours) if ours.count(name) == theirs.count(name) == 1]

    def on(self, environment: Environment, added: Environment) -> str:
        """A condition between the new source and the others: mostly along a foreign key, else any equality."""
        choices = self.choices
        source = added[0]
        parts: list[str] = []
        if source.table is not None and choices.chance(60):
            for other in environment:
                parts = parts or _along(source, other) or _along(other, source)
        if not parts:
            kinds = {kind for each in environment for _, kind in each.columns} & {
                k for _, k in source.columns
            }
            if not kinds:
                return "TRUE"
            kind = choices.one(sorted(kinds))
            ours, theirs = self.column(environment, kind), self.column([source], kind)
            parts = [f"{ours} {choices.one(['=', '=', '=', '=', '<=', self.null_safe])} {theirs}"]
        if choices.chance(20):
            parts.append(self.condition([*environment, *added], None, 0))
        return choices.one([" AND ", " AND ", " AND ", " OR "] if len(parts) == 2 else [" AND "]).join(parts)

    # -------------------------------------------------- expressions

    def column(self, environment: Environment | None, kind: str) -> str | None:
        """A qualified column of one kind, or None."""
        found = [
            (source.alias, name)
            for source in environment or ()
            for name, its in source.columns
            if its == kind or kind == "*"
        ]
        if not found:
            return None
        alias, name = self.choices.one(found)
        if self.choices.chance(8):
            return f"{alias}.`{name.upper()}`"
        return f"{alias}.{name}"

    def literal(self, kind: str) -> str:
        choices = self.choices
        if kind == "i":
            return str(choices.upto(4))
        if kind == "d":
            return f"DATE {choices.one(DOMAIN['day'][2])}"
        of_kind = [literals for _, its, literals in DOMAIN.values() if its == kind]
        text = choices.one(of_kind[0]) if of_kind else "NULL"
        return text.upper() if kind == "t" and choices.chance(20) else text

    def value(self, environment: Environment, kind: str, depth: int, outer: Environment | None = None) -> str:
        """A scalar expression of one kind."""
        choices = self.choices
        where = outer if outer and choices.chance(25) else environment
        form = choices.upto(99)
        plain = self.column(where, kind) or self.literal(kind)
        if form < 60:
            return plain
        if form < 70:
            return self.literal(kind)
        if form < 76:
            return f"{choices.one(self.of_nulls)}({plain}, {self.literal(kind)})"
        if form < 82:
            test = self.condition(environment, outer, min(depth, choices.upto(1)))
            return self.either(test, plain, self.column(environment, kind) or self.literal(kind))
        if form < 90 and depth > 0:
            return f"({self.scalar_query(environment, kind, depth)})"
        return self.computed(
            where, kind, plain, self.condition(environment, outer, min(depth, choices.upto(1)))
        )

    def either(self, test: str, one: str, other: str) -> str:
        """One of two values."""
        if self.choices.chance(40):
            return f"IF({test}, {one}, {other})"
        return f"CASE WHEN {test} THEN {one} ELSE {other} END"

    def computed(self, environment: Environment, kind: str, plain: str, test: str) -> str:
        """A value that is computed from another one, or is that of a condition."""
        choices = self.choices
        other = self.column(environment, kind) or self.literal(kind)
        if kind == "i":
            return choices.one(
                [
                    f"({plain} + {choices.upto(2)})",
                    f"ABS({plain} - {choices.upto(3)})",
                    f"GREATEST({plain}, {other})",
                    f"({test})",
                    f"MOD({plain}, 2)",
                ]
            )
        if kind == "t":
            return choices.one([f"UPPER({plain})", f"CONCAT({plain}, 'x')", f"LEFT({plain}, 1)"])
        return f"LEAST({plain}, {other})" if kind == "d" else plain

    def scalar_query(self, outer: Environment, kind: str, depth: int) -> str:
        """A query of one row and column."""
        choices = self.choices
        outer_or_none = outer if choices.chance(60) else None
        self.in_condition += 1
        sql, environment = self.from_clause(depth - 1)
        where = self.where(environment, outer_or_none, depth - 1)
        self.in_condition -= 1
        column = self.column(environment, kind)
        total = _total(environment)
        if column is not None and total and choices.chance(20):
            return f"SELECT {column} FROM {sql}{where} ORDER BY {', '.join(total)} LIMIT 1"
        if kind == "i" and (column is None or choices.chance(40)):
            return f"SELECT {self.aggregate(environment)} FROM {sql}{where}"
        return f"SELECT {choices.one(['MAX', 'MIN'])}({column or self.literal(kind)}) FROM {sql}{where}"

    def aggregate(self, environment: Environment, kind: str = "i") -> str:
        choices = self.choices
        column = self.column(environment, kind)
        if kind != "i":
            return f"{choices.one(['MAX', 'MIN'])}({column or self.literal(kind)})"
        anything = self.column(environment, "*")
        if column is None or choices.chance(30):
            return choices.one(["COUNT(*)", f"COUNT({anything})", f"COUNT(DISTINCT {anything})"])
        return choices.one(
            [
                f"MAX({column})",
                f"MIN({column})",
                f"SUM({column})",
                f"SUM(DISTINCT {column})",
                f"AVG({column})",
                f"CAST(BIT_OR(COALESCE({column}, 0)) AS SIGNED)",
                f"SUM({column} > {choices.upto(3)})",
                f"LENGTH(GROUP_CONCAT({column} ORDER BY {column} SEPARATOR ','))",
                f"COUNT(DISTINCT {column}, {anything})",
            ]
        )

    def window(self, environment: Environment, kind: str) -> str:
        """A window function that its rows determine."""
        choices = self.choices
        column = self.column(environment, kind) or self.literal(kind)
        partition = self.column(environment, choices.one("iit"))
        parts = [f"PARTITION BY {partition}"] if partition and choices.chance(70) else []
        total = _total(environment)
        if kind == "i" and choices.chance(50):
            function = choices.one(["RANK()", "DENSE_RANK()", f"SUM({column})", f"COUNT({column})"])
        else:
            function = f"{choices.one(['MAX', 'MIN'])}({column})"
        if total and choices.chance(50):
            parts.append(f"ORDER BY {', '.join(total)}")
            if kind == "i" and choices.chance(30):
                function = choices.one(["ROW_NUMBER()", "NTILE(2)"])
            elif choices.chance(40):
                function = f"{choices.one(['LAG', 'LEAD', 'FIRST_VALUE', 'LAST_VALUE'])}({column})"
            if function.startswith(("SUM", "MAX", "FIRST", "LAST")) and choices.chance(60):
                parts.append(
                    choices.one(["ROWS 1 PRECEDING", "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING"])
                )
        elif partition is None or "RANK" in function or choices.chance(30):
            parts.append(f"ORDER BY {self.column(environment, 'i') or 'NULL'}")
        return f"{function} OVER ({' '.join(parts)})"

    # -------------------------------------------------- conditions

    def condition(self, environment: Environment, outer: Environment | None, depth: int) -> str:
        choices = self.choices
        form = choices.upto(99)
        kind = choices.one("iiiitd")
        left = self.value(environment, kind, 0, outer)
        if depth > 0 and form >= 60:
            return self.with_subquery(environment, depth)
        if form < 30:
            return f"{left} {choices.one(self.comparisons)} {self.value(environment, kind, depth, outer)}"
        if form < 38:
            return f"{self.column(environment, '*')} IS {choices.one(['', 'NOT '])}NULL"
        if form < 50:
            one, other = (self.condition(environment, outer, depth) for _ in range(2))
            return f"({one}) {choices.one(self.connectives)} ({other})"
        if form < 56:
            return f"{choices.one(self.negations)}({self.condition(environment, outer, depth)})"
        if form < 60:
            test = self.condition(environment, outer, depth)
            return f"({test}) IS {choices.one(['TRUE', 'NOT TRUE', 'FALSE', 'NOT FALSE', 'UNKNOWN'])}"
        literals = [self.literal(kind) for _ in range(2)]
        return choices.one(
            [
                f"{left} IN ({', '.join(literals)})",
                f"{left} NOT IN ({', '.join(literals)})",
                f"{left} BETWEEN {literals[0]} AND {literals[1]}",
                f"({left}, {left}) = ({', '.join(literals)})",
                f"{self.column(environment, 't') or self.literal('t')} LIKE 'A%'",
            ]
        )

    def with_subquery(self, environment: Environment, depth: int) -> str:
        """A condition with a subquery, correlated or not."""
        choices = self.choices
        kind = choices.one("iiitd")
        left = self.value(environment, kind, 0)
        outer = environment if choices.chance(35) else None
        form = choices.upto(99)
        self.in_condition += 1
        compared, self.compared = self.compared, not 45 <= form < 75
        try:
            if form < 4 and kind == "i":
                return f"{left} {choices.one(['IN', 'NOT IN'])} ({self.values(outer, depth - 1, 1)})"
            if form < 35:
                query = self.query(depth - 1, [kind], outer=outer, limited=False)
                return f"{left} {choices.one(['IN', 'NOT IN'])} ({query})"
            if form < 45:
                other = choices.one("iit")
                query = self.query(depth - 1, [kind, other], outer=outer, limited=False)
                row = f"({left}, {self.value(environment, other, 0)})"
                return f"{row} {choices.one(['IN', 'NOT IN'])} ({query})"
            if form < 75:
                query = self.query(depth - 1, [kind], outer=environment if choices.chance(75) else None)
                return f"{choices.one(['', 'NOT '])}EXISTS ({query})"
            if form < 88:
                query = self.query(depth - 1, [kind], outer=outer, limited=False)
                comparison = choices.one(["=", "<>", "<", ">", ">="])
                return f"{left} {comparison} {choices.one(['ANY', 'ALL', 'SOME'])} ({query})"
        finally:
            self.in_condition -= 1
            self.compared = compared
        if form < 92:
            return f"{left} BETWEEN {self.literal(kind)} AND ({self.scalar_query(environment, kind, depth)})"
        comparison = choices.one(self.comparisons)
        return f"{left} {comparison} ({self.scalar_query(environment, kind, depth)})"

    def where(self, environment: Environment, outer: Environment | None, depth: int) -> str:
        if not self.choices.chance(70):
            return ""
        condition = self.condition(environment, outer, depth)
        if outer is not None and self.choices.chance(60):
            kinds = {k for s in environment for _, k in s.columns} & {k for s in outer for _, k in s.columns}
            if kinds:
                kind = self.choices.one(sorted(kinds))
                equal = f"{self.column(environment, kind)} = {self.column(outer, kind)}"
                condition = equal if self.choices.chance(40) else f"{equal} AND ({condition})"
        return f" WHERE {condition}"

    # -------------------------------------------------- queries

    def query(
        self,
        depth: int,
        kinds: Sequence[str],
        names: Sequence[str] | None = None,
        outer: Environment | None = None,
        limited: bool = True,
        top: bool = False,
    ) -> str:
        """A query of columns of the given kinds, named ``c0``, ``c1`` …"""
        choices = self.choices
        names = names or [f"c{i}" for i in range(len(kinds))]
        if depth > 0 and choices.chance(10):
            return self.set_operation(depth, kinds, names, outer, limited)
        if depth > 0 and choices.chance(10) and (top or not self.in_condition):
            return self.with_cte(depth, kinds, names, top)
        sql, environment = self.from_clause(depth)
        where = self.where(environment, outer, depth)
        form = choices.upto(99)
        if form >= 92:
            shown = ", ".join(
                f"{self.aggregate(environment, k)} AS {n}" for n, k in zip(names, kinds, strict=True)
            )
            having = (
                f" HAVING {self.aggregate(environment)} {choices.one(self.comparisons)} {choices.upto(2)}"
            )
            return f"SELECT {shown} FROM {sql}{where}{having if choices.chance(20) else ''}"
        if form >= 68:
            return self.grouped(environment, sql + where, kinds, names, limited, depth)
        return self.plain(environment, sql + where, kinds, names, limited, depth, top)

    def plain(
        self,
        environment: Environment,
        rest: str,
        kinds: Sequence[str],
        names: Sequence[str],
        limited: bool,
        depth: int,
        top: bool,
    ) -> str:
        choices = self.choices
        if top and choices.chance(12):
            star = choices.one(["*", f"{environment[0].alias}.*"])
            return f"SELECT {star} FROM {rest}"
        windows = choices.chance(12) and not self.compared
        shown = []
        for name, kind in zip(names, kinds, strict=True):
            if windows and kind in "itd" and choices.chance(60):
                value = self.window(environment, kind)
            else:
                value = self.value(environment, kind, depth if choices.chance(30) else 0)
            shown.append(f"{value} {choices.one(['AS ', 'AS ', ''])}{name}")
        distinct = choices.one(["DISTINCT ", "DISTINCTROW "]) if choices.chance(15) else ""
        hints = ["STRAIGHT_JOIN ", "SQL_NO_CACHE ", "/*+ NO_ICP(q1) */ ", *(["ALL "] if not distinct else [])]
        hint = choices.one(hints) if choices.chance(4) else ""
        # SQL_NO_CACHE and STRAIGHT_JOIN stand after DISTINCT, a hint before
        head = hint + distinct if hint.startswith("/*") else distinct + hint
        sql = f"SELECT {head}{', '.join(shown)} FROM {rest}"
        if not windows and not distinct and choices.chance(4):
            sql += f" HAVING {names[0]} IS NOT NULL"
        total = [str(i + 1) for i in range(len(names))] if distinct else _total(environment)
        if limited and choices.chance(14) and (total or top):
            sql += self.limit(total if total and not (top and choices.chance(10)) else [names[0]])
        elif top and total and choices.chance(20):
            sql += f" ORDER BY {', '.join(total)}"
        return sql

    def limit(self, total: Sequence[str]) -> str:
        choices = self.choices
        order = ", ".join(f"{key}{choices.one(['', '', ' DESC', ' ASC'])}" for key in total)
        count, skipped = 1 + choices.upto(3), choices.upto(2)
        return f" ORDER BY {order} " + choices.one(
            [
                f"LIMIT {count}",
                f"LIMIT {count}",
                f"LIMIT {count} OFFSET {skipped}",
                f"LIMIT {skipped}, {count}",
                f"LIMIT {count}"
                if self.flavor == "mysql"
                else f"OFFSET {skipped} ROWS FETCH NEXT {count} ROWS ONLY",
            ]
        )

    def grouped(
        self,
        environment: Environment,
        rest: str,
        kinds: Sequence[str],
        names: Sequence[str],
        limited: bool,
        depth: int,
    ) -> str:
        choices = self.choices
        keys: list[tuple[str, str]] = []
        for _ in range(1 + choices.upto(1)):
            kind = choices.one("iit")
            keys.append((self.column(environment, kind) or self.column(environment, "*") or "1", kind))
        shown, group = [], [key for key, _ in keys]
        for position, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            fitting = [key for key, its in keys if its == kind and "." in key]
            if fitting and choices.chance(60):
                key = choices.one(fitting)
                shown.append(f"{key} AS {name}")
                if key in group and choices.chance(20):  # GROUP BY the position, or the alias
                    group[group.index(key)] = choices.one([str(position + 1), name])
            else:
                shown.append(f"{self.aggregate(environment, kind)} AS {name}")
        sql = f"SELECT {', '.join(shown)} FROM {rest} GROUP BY {', '.join(group)}"
        rollup = choices.chance(8) and not self.in_condition
        if rollup:
            sql += " WITH ROLLUP"
        if choices.chance(45):
            sql += f" HAVING {self.having(environment, shown, names, kinds, keys, depth)}"
        if limited and not rollup and choices.chance(10):
            sql += self.limit([key for key, _ in keys])
        return sql

    def having(
        self,
        environment: Environment,
        shown: Sequence[str],
        names: Sequence[str],
        kinds: Sequence[str],
        keys: Sequence[tuple[str, str]],
        depth: int,
    ) -> str:
        choices = self.choices
        number = self.aggregate(environment)
        by_alias = [n for n, k in zip(names, kinds, strict=True) if k == "i"]
        if by_alias and choices.chance(35):
            number = choices.one(by_alias)
        right = str(choices.upto(3))
        if depth > 0 and choices.chance(15):
            right = f"({self.scalar_query([], 'i', depth)})"
        condition = f"{number} {choices.one(self.comparisons)} {right}"
        if choices.chance(25):
            key, kind = choices.one(keys)
            other = f"{key} {choices.one(['<', '>=', '='])} {self.literal(kind)}"
            condition = choices.one(
                [f"{condition} AND {other}", f"{other} OR {condition}", f"NOT ({condition})"]
            )
        return condition

    def set_operation(
        self,
        depth: int,
        kinds: Sequence[str],
        names: Sequence[str],
        outer: Environment | None,
        limited: bool,
    ) -> str:
        choices = self.choices
        operators = [
            "UNION",
            "UNION ALL",
            "UNION DISTINCT",
            "INTERSECT",
            "EXCEPT",
            "INTERSECT ALL",
            "EXCEPT ALL",
        ]
        branches = [
            self.query(depth - 1, kinds, names, outer=outer if choices.chance(70) else None, limited=False)
            for _ in range(2 + choices.chance(25))
        ]
        nested = any(
            f" {word} " in branch for branch in branches for word in ("UNION", "INTERSECT", "EXCEPT")
        )
        if self.flavor == "mysql" and (nested or len(branches) > 2):
            # MySQL 9.7.4 itself ends with signal 11 at some statements with INTERSECT or EXCEPT of such a branch, also
            # where no parentheses show it: A EXCEPT ALL B INTERSECT C
            operators = operators[:3]
        if self.flavor == "mysql" and any("ROLLUP" in branch for branch in branches):
            operators = operators[:3]
        if self.compared:
            operators = operators[:3]
        bare = not any(" LIMIT " in branch or branch.startswith(("(", "WITH")) for branch in branches)
        bare = bare and choices.chance(30)
        sql = branches[0] if bare else f"({branches[0]})"
        for branch in branches[1:]:
            sql += f" {choices.one(operators)} {branch if bare else f'({branch})'}"
        if limited and choices.chance(15):
            sql += self.limit([str(i + 1) for i in range(len(names))])
        return sql

    def with_cte(self, depth: int, kinds: Sequence[str], names: Sequence[str], top: bool) -> str:
        choices = self.choices
        before = list(self.ctes)
        definitions = []
        recursive = False
        for _ in range(1 + choices.chance(30)):
            name = f"w{self.alias()}"
            if choices.chance(25):
                recursive = True
                definitions.append(self.recursive(name))
                self.ctes.append((name, [("n", "i")]))
                continue
            inner = [choices.one("iit") for _ in range(1 + choices.upto(1))]
            columns = [f"c{i}" for i in range(len(inner))]
            shown = f" ({', '.join(columns)})" if choices.chance(30) else ""
            definitions.append(f"{name}{shown} AS ({self.query(depth - 1, inner, columns)})")
            self.ctes.append((name, list(zip(columns, inner, strict=True))))
        body = self.query(depth - 1, kinds, names, top=top)
        self.ctes = before
        if body.startswith("WITH"):
            return body if not definitions else f"SELECT * FROM ({body}) AS {self.alias()}"
        return f"WITH {'RECURSIVE ' if recursive else ''}{', '.join(definitions)} {body}"

    def recursive(self, name: str) -> str:
        """A closure: of a table's reference to itself where there is one, else of numbers."""
        choices = self.choices
        table = choices.one([table for table in self.schema.tables])
        integers = [column.name for column in table.columns if column.type == "int"]
        if len(integers) >= 2:
            a, b = choices.one(integers), choices.one(integers)
            start = f"SELECT r.{a} AS n FROM {table.full} AS r WHERE r.{b} = {choices.upto(3)}"
            step = f"SELECT s.{b} FROM {table.full} AS s JOIN {name} ON s.{a} = {name}.n"
            return f"{name} AS ({start} UNION {step})"
        return f"{name} AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM {name} WHERE n < {choices.upto(3)})"


def _along(child: Source, parent: Source) -> list[str]:
    """The equalities of a foreign key from one source to another."""
    if child.table is None or parent.table is None:
        return []
    for reference in child.table.references:
        if reference.parent == parent.table.name:
            return [
                f"{child.alias}.{c} = {parent.alias}.{p}"
                for c, p in zip(reference.columns, reference.parent_columns, strict=True)
            ]
    return []


def _total(environment: Environment) -> list[str]:
    """Columns that order the rows of a FROM clause totally; [] where none do."""
    if not all(source.total for source in environment):
        return []
    return [f"{source.alias}.{name}" for source in environment for name in source.total]


def looped(choices: Choices, schema: Schema) -> list[str]:
    """Statements that differ in literals only, as a loop of ``fetch1`` sends them."""
    table = choices.one(schema.tables)
    columns: list[Column] = [c for c in table.columns if c.kind in "itd"]
    if not columns:
        return []
    wanted = choices.some(columns)[:2]
    form = choices.one(
        [
            "SELECT * FROM {0} WHERE {1}",
            "SELECT * FROM {0} AS r WHERE {1}",
            "SELECT COUNT(*) FROM {0} WHERE {1}",
            "SELECT * FROM {0} WHERE (NOT EXISTS (SELECT 1 FROM {2} AS o WHERE o.{3} > 1)) AND {1}",
            "SELECT * FROM {0} NATURAL JOIN {2} AS o WHERE {1}",
        ]
    )
    other = choices.one(schema.tables)
    out = []
    for _ in range(2 + choices.upto(2)):
        parts = []
        for column in wanted:
            literal = choices.one(DOMAIN[column.type][2])
            parts.append(f"`{column.name}` = {literal.upper() if choices.chance(20) else literal}")
        out.append(form.format(table.full, " AND ".join(parts), other.full, other.columns[0].name))
    return out
