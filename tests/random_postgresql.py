"""Random SELECTs as PostgreSQL reads them: the grammar of `random_sql`, with the constructs of this server.

In and out: as `random_sql`, with names in the quotes of MySQL (`trial_postgresql` writes them). Of its own: FULL JOIN,
DISTINCT ON, FILTER, ROLLUP, CUBE and GROUPING SETS, WITH TIES, LATERAL, functions that return sets, row values, arrays,
JSON operators, IS DISTINCT FROM, LIMIT and OFFSET apart, TABLE and VALUES anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.random_sql import Environment, Grammar, Source, _along, _total


class PostgreSQLGrammar(Grammar):
    """The productions that differ."""

    comparisons = ("=", "<", ">", "<>", "<=", ">=", "IS NOT DISTINCT FROM", "!=", "IS DISTINCT FROM")
    null_safe = "IS NOT DISTINCT FROM"
    connectives = ("AND", "OR")
    negations = ("NOT ",)
    of_nulls = ("COALESCE", "NULLIF")

    def statement(self, depth: int) -> str:
        choices = self.choices
        kinds = [choices.one("iiiitd") for _ in range(1 + choices.upto(2))]
        sql = self.query(depth, kinds, top=True)
        if choices.chance(6) and sql.startswith("SELECT"):
            sql = f"SELECT EXISTS({sql}) AS found"
        elif choices.chance(4):
            sql = choices.one([f"TABLE {choices.one(self.schema.tables).full}", self.values(None, depth)])
        elif choices.chance(2) and not any(word in sql for word in ("GROUP", "DISTINCT", "UNION", "EXCEPT")):
            sql += choices.one([" FOR UPDATE", " FOR SHARE"])
        if choices.chance(4):
            sql = choices.one(["/* mine; /* not */ yours */ ", "-- a 'comment'\n", "\n\t"]) + sql
        return sql

    # -------------------------------------------------- sources

    def hint(self) -> str:
        return ""

    def literal_rows(self, lateral: Environment | None, depth: int) -> tuple[str, Source]:
        choices, alias = self.choices, self.alias()
        form = choices.upto(99)
        integer = self.integer(lateral)
        if form < 35:
            first = integer if integer is not None and choices.chance(50) else str(choices.upto(2))
            sql = f"generate_series({first}, {choices.upto(4)}) AS {alias} (c0)"
            return sql, Source(alias, [("c0", "i")])
        if form < 50:
            items = ", ".join([*(str(choices.upto(4)) for _ in range(2)), *([integer] if integer else [])])
            return f"unnest(ARRAY[{items}]) AS {alias} (c0)", Source(alias, [("c0", "i")])
        json = self.column(lateral, "j") if lateral else None
        if json is not None:
            return f"jsonb_array_elements_text({json}) AS {alias} (c0)", Source(alias, [("c0", "t")])
        return f"({self.values(None, depth)}) AS {alias} (c0, c1)", Source(alias, [("c0", "i"), ("c1", "i")])

    def around(self, sources: str) -> str:
        """Only a join can stand in parentheses."""
        depth, joined, comma = 0, False, False
        for i, letter in enumerate(sources):
            depth += (letter == "(") - (letter == ")")
            joined = joined or (depth == 0 and sources.startswith(" JOIN ", i))
            comma = comma or (depth == 0 and letter == ",")
        return f"({sources})" if joined and not comma else sources

    def integer(self, environment: Environment | None) -> str | None:
        """A column of type integer."""
        for source in environment or ():
            for column in source.table.columns if source.table is not None else ():
                if column.type == "int":
                    return f"{source.alias}.{column.name}"
        return None

    def seldom_join(self, lateral: bool) -> str:
        return "JOIN" if lateral else "FULL JOIN"

    def join(self, left: str, environment: Environment, depth: int) -> str:
        choices = self.choices
        if not choices.chance(6):
            return super().join(left, environment, depth)
        right, source = self.source(depth)
        common = self.common(environment, [source])
        if common and choices.chance(40):
            environment.append(source)
            return f"{left} FULL JOIN {right} USING ({choices.one(common)})"
        parts = [part for other in environment for part in _along(source, other)]
        kinds = (
            {k for each in environment for _, k in each.columns} & {k for _, k in source.columns} & set("itd")
        )
        if not parts and kinds:
            kind = choices.one(sorted(kinds))
            parts = [f"{self.column(environment, kind)} = {self.column([source], kind)}"]
        if choices.chance(25):
            parts.append(self.condition([source], None, 0))
        environment.append(source)
        return f"{left} FULL JOIN {right} ON {' AND '.join(parts) or 'TRUE'}"

    # -------------------------------------------------- expressions

    def column(self, environment: Environment | None, kind: str) -> str | None:
        found = super().column(environment, kind)
        return found.replace("`", "") if found is not None else None  # names without quotes have no case

    def either(self, test: str, one: str, other: str) -> str:
        return f"CASE WHEN {test} THEN {one} ELSE {other} END"

    def computed(self, environment: Environment, kind: str, plain: str, test: str) -> str:
        choices = self.choices
        other = self.column(environment, kind) or self.literal(kind)
        if kind == "i":
            return choices.one(
                [
                    f"({plain} + {choices.upto(2)})",
                    f"ABS({plain} - {choices.upto(3)})",
                    f"GREATEST({plain}, {other})",
                    f"CAST(({test}) AS integer)",
                    f"MOD({plain}, 2)",
                    f"(ARRAY[{plain}, {other}, 3])[{1 + choices.upto(2)}]",
                    f"COALESCE(array_length(ARRAY[{plain}, {other}], 1), 0)",
                    f"round({plain}::numeric)::integer",
                ]
            )
        if kind == "t":
            json = self.column(environment, "j") or "'[1, 2]'::jsonb"
            return choices.one(
                [
                    f"UPPER({plain})",
                    f"CONCAT({plain}, 'x')",
                    f"LEFT({plain}, 1)",
                    f"({plain} || 'x')",
                    f"({json} ->> {choices.upto(1)})",
                    f"({json} #>> '{{0}}')",
                ]
            )
        return f"LEAST({plain}, {other})" if kind == "d" else plain

    def aggregate(self, environment: Environment, kind: str = "i") -> str:
        choices = self.choices
        plain = self._aggregate(environment, kind)
        if choices.chance(15) and not plain.startswith(("CAST", "LENGTH", "array_length")):
            return f"{plain} FILTER (WHERE {self.condition(environment, None, 0)})"
        return plain

    def _aggregate(self, environment: Environment, kind: str) -> str:
        choices = self.choices
        column = self.column(environment, kind)
        if kind != "i":
            return f"{choices.one(['MAX', 'MIN'])}({column or self.literal(kind)})"
        anything = self.column(environment, "*") or "1"
        if column is None or choices.chance(30):
            return choices.one(["COUNT(*)", f"COUNT({anything})", f"COUNT(DISTINCT {anything})"])
        return choices.one(
            [
                f"MAX({column})",
                f"MIN({column})",
                f"SUM({column})",
                f"SUM(DISTINCT {column})",
                f"AVG({column})",
                f"BIT_OR(COALESCE({column}, 0)::integer)",
                f"CAST(BOOL_AND({column} > {choices.upto(3)}) AS integer)",
                f"LENGTH(STRING_AGG({column}::text, ',' ORDER BY {column}))",
                f"COUNT(DISTINCT ({column}, {anything}))",
                f"array_length(array_agg(DISTINCT {column}), 1)",
                f"percentile_disc(0.5) WITHIN GROUP (ORDER BY {column})",
            ]
        )

    # -------------------------------------------------- conditions

    def condition(self, environment: Environment, outer: Environment | None, depth: int) -> str:
        choices = self.choices
        if choices.chance(8):
            left, other = (self.value(environment, "i", 0, outer) for _ in range(2))
            json = self.column(environment, "j")
            found = [
                f"({left}, {other}) {choices.one(['=', '<', '>=', '<>'])} ({choices.upto(3)}, {choices.upto(3)})",
                f"{left} = ANY (ARRAY[{choices.upto(3)}, {choices.upto(3)}])",
                f"{left} <> ALL (ARRAY[{choices.upto(3)}, NULL])",
                f"ARRAY[{left}, {other}]::numeric[] && ARRAY[{choices.upto(3)}]::numeric[]",
                f"ARRAY[{left}]::numeric[] @> ARRAY[{choices.upto(3)}]::numeric[]",
                f"{left} BETWEEN SYMMETRIC {choices.upto(3)} AND {choices.upto(3)}",
                f"({left} > 1) IS DISTINCT FROM ({other} > 2)",
            ]
            if json is not None:
                found += [f"{json} @> '[{choices.upto(2)}]'", f"({json} ->> 0)::integer > {choices.upto(2)}"]
            return choices.one(found)
        return super().condition(environment, outer, depth)

    # -------------------------------------------------- queries

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
            return f"SELECT {choices.one(['*', f'{environment[0].alias}.*'])} FROM {rest}"
        windows = choices.chance(12) and not self.compared
        shown = []
        for name, kind in zip(names, kinds, strict=True):
            if windows and choices.chance(60):
                value = self.window(environment, kind)
            elif kind == "i" and not self.compared and not self.in_condition and choices.chance(4):
                value = self.returning_rows(environment)
            else:
                value = self.value(environment, kind, depth if choices.chance(30) else 0)
            shown.append(f"{value} AS {name}")
        total = [] if any(map(_returns_rows, shown)) else _total(environment)
        form = choices.upto(99)
        if form < 8 and total and limited:
            first = [self.column(environment, choices.one("iit")) or "1" for _ in range(1 + choices.upto(1))]
            first = [key for key in first if "." in key] or total[:1]
            order = ", ".join(
                f"{key}{choices.one(['', ' DESC', ' NULLS FIRST'])}"
                for key in dict.fromkeys([*first, *total])
            )
            sql = f"SELECT DISTINCT ON ({', '.join(first)}) {', '.join(shown)} FROM {rest} ORDER BY {order}"
            return sql + f" LIMIT {1 + choices.upto(2)}" * choices.chance(15)
        distinct = "DISTINCT " if form < 22 else "ALL " if form < 24 else ""
        sql = f"SELECT {distinct}{', '.join(shown)} FROM {rest}"
        if distinct == "DISTINCT ":
            total = [str(i + 1) for i in range(len(names))]
        if limited and choices.chance(14) and (total or top):
            if not windows and choices.chance(20):
                return f"{sql} ORDER BY 1 FETCH FIRST {1 + choices.upto(2)} ROWS WITH TIES"
            sql += self.limit(total if total and not (top and choices.chance(10)) else [names[0]])
        elif top and total and choices.chance(20):
            sql += f" ORDER BY {', '.join(total)}"
        return sql

    def returning_rows(self, environment: Environment) -> str:
        """A call of a function that returns rows, in SELECT or GROUP BY."""
        choices, most = self.choices, 1 + self.choices.upto(2)
        column = self.integer(environment)
        if column is None or choices.chance(30):
            return f"generate_series(1, {most})"
        return choices.one(
            [
                f"generate_series({column}, {most})",
                f"unnest(ARRAY[{column}, {most}])",
                f"{most} + unnest(ARRAY[{column}])",
            ]
        )

    def limit(self, total: Sequence[str]) -> str:
        choices = self.choices
        order = ", ".join(
            f"{key}{choices.one(['', '', ' DESC', ' ASC', ' NULLS FIRST', ' DESC NULLS LAST'])}"
            for key in total
        )
        count, skipped = 1 + choices.upto(3), choices.upto(2)
        return f" ORDER BY {order} " + choices.one(
            [
                f"LIMIT {count}",
                f"LIMIT {count}",
                f"LIMIT {count} OFFSET {skipped}",
                f"OFFSET {skipped} LIMIT {count}",
                f"OFFSET {skipped} ROWS FETCH NEXT {count} ROWS ONLY",
                f"OFFSET {skipped}",
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
            column = self.column(environment, kind)
            if column is not None:
                keys.append((column, kind))
        if not self.compared and not self.in_condition and choices.chance(4):
            keys = [(self.returning_rows(environment), "i")]
            limited = False
        group = list(dict.fromkeys(key for key, _ in keys))
        shown = []
        for position, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            fitting = [key for key, its in keys if its == kind]
            if fitting and choices.chance(60):
                key = choices.one(fitting)
                shown.append(f"{key} AS {name}")
                if key in group and choices.chance(10):
                    group[group.index(key)] = str(position + 1)
            else:
                shown.append(f"{self.aggregate(environment, kind)} AS {name}")
        sets = bool(group) and choices.chance(12)
        if sets:
            each = ", ".join(group)
            by = choices.one(
                [f"ROLLUP ({each})", f"CUBE ({each})", f"GROUPING SETS (({each}), ({group[0]}), ())",
                 f"GROUPING SETS (({group[-1]}), ({group[0]}))", f"{group[0]}, ROLLUP ({group[-1]})"]
            )  # fmt: skip
        else:
            by = ", ".join(group)
        sql = f"SELECT {', '.join(shown)} FROM {rest}{f' GROUP BY {by}' * bool(by)}"
        if choices.chance(45):
            right = (
                f"({self.scalar_query([], 'i', depth)})" if depth and choices.chance(15) else choices.upto(3)
            )
            sql += f" HAVING {self.aggregate(environment)} {choices.one(self.comparisons)} {right}"
            if keys and not _returns_rows(keys[0][0]) and choices.chance(25):
                key, kind = choices.one(keys)
                sql += f" {choices.one(['AND', 'OR'])} {key} {choices.one(['<', '>=', '='])} {self.literal(kind)}"
        if limited and not sets and group and choices.chance(10):
            sql += self.limit([key for key, _ in keys])
        return sql

    def window(self, environment: Environment, kind: str) -> str:
        found = super().window(environment, kind)
        if found.startswith(("SUM(", "COUNT(", "MAX(")) and self.choices.chance(15):
            return found.replace(" OVER ", f" FILTER (WHERE {self.condition(environment, None, 0)}) OVER ", 1)
        return found


def _returns_rows(expression: str) -> bool:
    return "generate_series(" in expression or "unnest(" in expression
