"""Syntax: converts SQL text to a sqlglot expression and back without changing its meaning in MySQL and MariaDB.

In: the text of a statement. Out: its expression in the dialect `Exact`, and the tables that it names. It has no catalog
and resolves no name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from .. import interpreted as interpreted  # before anything that imports sqlglot

# isort: split
from sqlglot import exp
from sqlglot.dialects.mysql import MySQL
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from ..expressions import CommaJoins, is_row
from ..expressions import Expr as Expr
from ..expressions import Unsupported as Unsupported
from ..expressions import function_name as function_name
from ..expressions import identifier as identifier
from ..expressions import nesting as nesting
from ..expressions import nodes_of as nodes_of
from ..lists import Cut, Listed, folded, put_back, shortened, unfolded

# ---------------------------------------------------------------- the dialect


# Functions that lineage or the grammar must know. All others keep their names and arguments: sqlglot would replace many
# of them by one that it considers equal (LOG10(x) by LOG(10, x), which rounds differently), or take a stored function
# for a function of another database.
_KNOWN_FUNCTIONS = frozenset({"AVG", "COUNT", "MAX", "MIN", "SUM"})
_KNOWN_UNITS = frozenset({"DATE_ADD", "DATE_SUB", "TIMESTAMPADD", "TIMESTAMPDIFF"})
_KNOWN_SYNTAX = frozenset(
    {
        "CAST",
        "CHAR",
        "CONVERT",
        "EXTRACT",
        "GROUP_CONCAT",
        "JSON_TABLE",
        "JSON_VALUE",
        "POSITION",
        "TRIM",
    }
    | {"SUBSTR", "SUBSTRING"}
)

# The words before literals of dates and times, by sqlglot's type.
_TIME_LITERALS = {exp.DType.DATE: "DATE", exp.DType.TIME: "TIME", exp.DType.TIMESTAMPTZ: "TIMESTAMP"}

# What INTERVAL can count.
_UNITS = frozenset(
    {"MICROSECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR", "YEAR_MONTH"}
    | {"DAY_HOUR", "DAY_MINUTE", "DAY_SECOND", "DAY_MICROSECOND", "HOUR_MINUTE", "HOUR_SECOND"}
    | {"HOUR_MICROSECOND", "MINUTE_SECOND", "MINUTE_MICROSECOND", "SECOND_MICROSECOND"}
)

# What may follow the text of MATCH … AGAINST, the longest first.
_SEARCHES = (
    ("IN", "NATURAL", "LANGUAGE", "MODE", "WITH", "QUERY", "EXPANSION"),
    ("IN", "NATURAL", "LANGUAGE", "MODE"),
    ("IN", "BOOLEAN", "MODE"),
    ("WITH", "QUERY", "EXPANSION"),
)


class Exact(MySQL):
    """MySQL's dialect, written so that MySQL and MariaDB both read the meaning that was parsed."""

    class Tokenizer(MySQL.Tokenizer):
        # sqlglot's REAL is a FLOAT
        KEYWORDS = {**MySQL.Tokenizer.KEYWORDS, "REAL": TokenType.DOUBLE}

    class Parser(CommaJoins, MySQL.Parser):  # type: ignore[misc, valid-type]
        FUNCTIONS = {
            name: f for name, f in MySQL.Parser.FUNCTIONS.items() if name in _KNOWN_FUNCTIONS | _KNOWN_UNITS
        }
        FUNCTION_PARSERS = {n: f for n, f in MySQL.Parser.FUNCTION_PARSERS.items() if n in _KNOWN_SYNTAX}
        # VALUES (3) is a row, except in ON DUPLICATE KEY UPDATE
        FUNC_TOKENS = MySQL.Parser.FUNC_TOKENS - {TokenType.VALUES}
        # joins may follow a LATERAL that comes first in parentheses
        MODIFIABLES = (*MySQL.Parser.MODIFIABLES, exp.Lateral)
        # keep TIME '10:00:00.5': sqlglot's CAST('10:00:00.5' AS TIME) rounds
        TYPE_LITERAL_PARSERS = {
            type_: lambda self, this, _, word=word: exp.Introducer(this=exp.Var(this=word), expression=this)
            for type_, word in _TIME_LITERALS.items()
        }

        NO_PAREN_FUNCTION_PARSERS = {
            **MySQL.Parser.NO_PAREN_FUNCTION_PARSERS,
            "MATCH": lambda self: self._parse_match(),
        }

        def _parse_interval(
            self, require_interval: bool = True, parse_function_unit: bool = True
        ) -> Expr | None:
            """Keep a number a number and a text a text: 1.5 HOUR are two hours, '1.5' HOUR is one."""
            start = self._index
            if not self._match(TokenType.INTERVAL):
                return None
            if self._match(TokenType.L_PAREN):
                thresholds = self._parse_csv(self._parse_disjunction)
                if len(thresholds) > 1 and self._match(TokenType.R_PAREN):
                    return exp.Anonymous(this="INTERVAL", expressions=thresholds)
                self._retreat(start + 1)
            value = self._parse_disjunction()
            unit = self._parse_var(any_token=True, upper=True)
            if value is None or unit is None or unit.name not in _UNITS:
                self.raise_error("Expecting a value and a unit after INTERVAL")
            return exp.Interval(this=value, unit=unit)

        def _parse_group_concat(self) -> exp.GroupConcat:
            """Keep several values apart: DISTINCT and the numbers in ORDER BY mean them, not what is joined."""
            distinct = self._match(TokenType.DISTINCT)
            values = self._parse_csv(self._parse_disjunction)
            joined: Expr = exp.Concat(expressions=values, safe=True, coalesce=False)
            if distinct or len(values) == 1:
                joined = exp.Distinct(expressions=values) if distinct else values[0]
            this = self._parse_order(joined)
            separator = self._parse_field() if self._match(TokenType.SEPARATOR) else None
            limited = self._parse_limit(this)  # MariaDB
            if isinstance(limited, exp.Limit) and self._match(TokenType.OFFSET):
                limited.set("offset", self._parse_term())
            return exp.GroupConcat(this=limited, separator=separator)

        def _parse_match(self) -> exp.MatchAgainst:
            """Also without parentheses around the columns, as servers print it in the definition of a view."""
            opened = self._match(TokenType.L_PAREN)
            columns = self._parse_csv(self._parse_column)
            if opened:
                self._match_r_paren()
            if not self._match_text_seq("AGAINST"):
                self.raise_error("Expecting AGAINST")
            self._match_l_paren()
            text = self._parse_bitwise()
            search = next((words for words in _SEARCHES if self._match_text_seq(*words)), ())
            self._match_r_paren()
            return exp.MatchAgainst(this=text, expressions=columns, modifier=" ".join(search))

        def _values_to_select(self, values: exp.Values) -> Expr:
            """Keep VALUES in a CTE: as a derived table, MariaDB would name its columns after the values of a row."""
            if any(values.args.get(modifier) for modifier in exp.QUERY_MODIFIERS):
                select: Expr = super()._values_to_select(values)
                return select
            return values

    class Generator(MySQL.Generator):  # type: ignore[misc, valid-type]
        TRANSFORMS = {
            # without the rewriting of other databases' SELECTs, which walks every query several times
            **{n: f for n, f in MySQL.Generator.TRANSFORMS.items() if n not in (exp.Select, exp.GroupConcat)},
            # REGEXP_LIKE() is unknown to MariaDB; RLIKE is the same on both
            exp.RegexpLike: lambda self, e: self.binary(e, "RLIKE"),
            Listed: lambda self, e: e.args["terms"].written(self.sql(e, "this")),
        }

        VALUES_AS_TABLE = WRAP_DERIVED_VALUES = True

        def tuple_sql(self, expression: exp.Tuple) -> str:
            """Write a ROW (…) of VALUES without further parentheses."""
            items = expression.expressions
            row = len(items) == 1 and isinstance(expression.parent, exp.Values) and is_row(items[0])
            text: str = self.sql(items[0]) if row else super().tuple_sql(expression)
            return text

        def groupconcat_sql(self, expression: exp.GroupConcat) -> str:
            this, order, limit = expression.this, "", ""
            if isinstance(this, exp.Limit):
                counts = [this.args["offset"]] if this.args.get("offset") else []
                limit = " LIMIT " + ", ".join(self.sql(count) for count in [*counts, this.expression])
                this = this.this
            if isinstance(this, exp.Order):
                order = f" {self.op_expressions('ORDER BY', this, flat=True).lstrip()}"
                this = this.this
            values = self.expressions(this, flat=True) if isinstance(this, exp.Concat) else self.sql(this)
            separator = self.sql(expression, "separator") or "','"
            return f"GROUP_CONCAT({values}{order} SEPARATOR {separator}{limit})"

        def lateral_sql(self, expression: exp.Lateral) -> str:
            """Write a LATERAL with the joins that follow it in parentheses."""
            followed: str = self.query_modifiers(expression, super().lateral_sql(expression))
            return followed

        def jsonvalue_sql(self, expression: exp.JSONValue) -> str:
            """As in sqlglot, but RETURNING takes the types of CAST."""
            returning = expression.args.get("returning")
            if isinstance(returning, exp.DataType) and returning.this in self.CAST_MAPPING:
                returning.set("this", self.CAST_MAPPING[returning.this])
            text: str = super().jsonvalue_sql(expression)
            return text


# ---------------------------------------------------------------- modes

# Words of sql_mode that change how a text is parsed.
SYNTAX_MODES = frozenset(
    {"ANSI_QUOTES", "HIGH_NOT_PRECEDENCE", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT", "REAL_AS_FLOAT"}
)
# Words of sql_mode with a different grammar altogether (MariaDB).
_OTHER_GRAMMARS = frozenset({"ORACLE", "MSSQL", "DB2", "POSTGRESQL", "MAXDB"})


@lru_cache(maxsize=32)
def _dialect_of(modes: frozenset[str]) -> Exact:
    """The dialect that parses texts of a session with these modes. It writes them for a session without modes."""
    if other := modes & _OTHER_GRAMMARS:
        raise Unsupported(f"its session had the sql_mode {', '.join(sorted(other))}")
    if not modes & SYNTAX_MODES:
        return Exact()

    class Tokens(Exact.Tokenizer):
        if "REAL_AS_FLOAT" in modes:
            KEYWORDS = MySQL.Tokenizer.KEYWORDS
        if "ANSI_QUOTES" in modes:
            QUOTES, IDENTIFIERS = ["'"], ["`", '"']
        if "NO_BACKSLASH_ESCAPES" in modes:
            STRING_ESCAPES = ["'", '"']

    class Parser(Exact.Parser):
        if "PIPES_AS_CONCAT" in modes:
            DISJUNCTION = {t: node for t, node in Exact.Parser.DISJUNCTION.items() if t != TokenType.DPIPE}
        if "HIGH_NOT_PRECEDENCE" in modes:
            UNARY_PARSERS = {
                **Exact.Parser.UNARY_PARSERS,
                TokenType.NOT: lambda self: exp.Paren(this=exp.Not(this=self._parse_unary())),
            }

        def _parse_exponent(self) -> Expr | None:
            """As concatenation, ``||`` binds tighter than ``^``."""
            this = self._concatenated()
            while self._match_set(self.EXPONENT):
                node = self.EXPONENT[self._prev.token_type]
                this = self.expression(node(this=this, expression=self._concatenated()))
            return this

        def _concatenated(self) -> Expr | None:
            this: Expr | None = self._parse_unary()
            while "PIPES_AS_CONCAT" in modes and self._match(TokenType.DPIPE):
                this = exp.Anonymous(this="CONCAT", expressions=[this, self._parse_unary()])
            return this

    class Moded(Exact):
        Tokenizer = Tokens

    Moded.Parser = Moded.parser_class = Parser  # type: ignore[misc]
    return Moded()


# ---------------------------------------------------------------- parsing


# Types of tokens that are values.
LITERALS = frozenset(
    {
        TokenType.STRING,
        TokenType.NUMBER,
        TokenType.HEX_STRING,
        TokenType.BIT_STRING,
        TokenType.BYTE_STRING,
        TokenType.NATIONAL_STRING,
    }
)


def tokens_of(sql: str, modes: Collection[str] = ()) -> list[Token]:
    """The tokens of a text, each with the comments around it.

    Raises
    ------
    Unsupported
        If a quote is not closed.
    """
    try:
        found: list[Token] = _dialect_of(frozenset(modes)).tokenize(sql)
    except SqlglotError as error:
        raise Unsupported(f"sqlglot cannot read it: {str(error).splitlines()[0]}") from error
    return found


def parse(sql: str, modes: Collection[str] = ()) -> Expr:
    """Parse one statement as MySQL.

    It also accepts the unquoted column name ``key``, which MySQL reserves and MariaDB accepts in some places.

    Parameters
    ----------
    sql : str
    modes : collection of str
        Words of sql_mode that change how a text is parsed, in upper case.

    Raises
    ------
    Unsupported
        If it cannot be parsed, or is not one statement.

    Examples
    --------
    >>> parse("SELECT a FROM t WHERE key=1").sql("mysql")
    'SELECT a FROM t WHERE `key` = 1'
    >>> parse('SELECT "a" || b', {"ANSI_QUOTES", "PIPES_AS_CONCAT"}).sql("mysql")
    'SELECT CONCAT(`a`, b)'
    """
    statements = statements_of(sql, modes)
    if len(statements) != 1:
        raise Unsupported(f"it holds {len(statements)} statements")
    return statements[0]


@nesting()
def statements_of(sql: str, modes: Collection[str] = ()) -> list[Expr]:
    """The statements of a text, which may be several.

    Raises
    ------
    Unsupported
        If it cannot be parsed.
    """
    short, cuts = shortened(sql)
    found = _statements_of(short, modes, cuts)
    if found is None:  # what was cut out belongs to no list
        found = _statements_of(sql, modes, ())
    assert found is not None
    return found


def _statements_of(sql: str, modes: Collection[str], cuts: Sequence[Cut]) -> list[Expr] | None:
    """The statements of a text from which terms were cut out; None if they cannot be put back."""
    dialect = _dialect_of(frozenset(modes))
    tokens, into = _without_into([_plain_hexadecimal(token, sql) for token in tokens_of(sql, modes)])
    folded_tokens, found = folded(tokens, _quoted)
    lists = put_back(found, cuts)
    if lists is None:
        return None
    try:
        parsed = _parsed(dialect, list(folded_tokens), sql)
    except SqlglotError as error:
        raise Unsupported(f"sqlglot cannot parse it: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise Unsupported("it is nested too deeply") from error
    statements = [statement for statement in parsed if statement is not None]
    if "DUAL" in sql.upper():
        for statement in statements:
            _name_dual(statement)
    for statement in statements:
        unfolded(statement, lists)
    if into and statements:
        targets = [exp.Parameter(this=name) for name in into]
        statements[-1].set("into", exp.Into(this=exp.Tuple(expressions=targets)))
    return statements


def _quoted(text: str) -> str:
    """A text as SQL."""
    written: str = Exact().generate(exp.Literal.string(text))
    return written


def _name_dual(statement: Expr) -> None:
    """Mark DUAL, which is no table: it cannot be quoted and has no schema."""
    for table in nodes_of(statement, exp.Table):
        name = table.this
        if (
            isinstance(name, exp.Identifier)
            and not name.quoted
            and not table.db
            and name.name.upper() == "DUAL"
        ):
            table.set("this", exp.Var(this="DUAL"))


def _plain_hexadecimal(token: Token, sql: str) -> Token:
    """Keep ``0x…``: sqlglot would write ``x'…'``, which in MariaDB is never a number."""
    if token.token_type == TokenType.HEX_STRING and sql[token.start : token.start + 2] == "0x":
        text = f"0x{token.text}"
        return Token(TokenType.NUMBER, text, token.line, token.col, token.start, token.end)
    return token


def _without_into(tokens: list[Token]) -> tuple[list[Token], list[str]]:
    """The tokens without a final ``INTO @a, @b``, which sqlglot does not parse, and the variables."""
    depth, start = 0, None
    for place, token in enumerate(tokens):
        depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
        if depth == 0 and token.token_type == TokenType.INTO:
            start = place
    if start is None or tokens[0].token_type not in (TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN):
        return tokens, []
    rest = [token.text for token in tokens[start + 1 :]]
    targets = [rest[i : i + 3] for i in range(0, len(rest), 3)]
    if not rest or not all(len(t) > 1 and t[0] == "@" and t[2:] in ([","], []) for t in targets):
        return tokens, []
    return tokens[:start], [target[1] for target in targets]


class _Updating(Exact.Parser):
    """Parses VALUES (…) as the function of ON DUPLICATE KEY UPDATE."""

    FUNC_TOKENS = MySQL.Parser.FUNC_TOKENS
    FUNCTION_PARSERS = {
        **Exact.Parser.FUNCTION_PARSERS,
        "VALUES": MySQL.Parser.FUNCTION_PARSERS["VALUES"],
    }


def _parsed(dialect: Exact, tokens: list[Token], sql: str) -> list[Expr | None]:
    """The statements from the first parser that finds no error; else the error of the first parser."""
    first: SqlglotError | None = None
    own = type(dialect).Parser
    for parser in (own, _Updating) if own is Exact.Parser else (own,):
        for key_is_reserved in (True, False):
            try:
                read = tokens if key_is_reserved else [_plain_name(token) for token in tokens]
                found: list[Expr | None] = parser(dialect=dialect).parse(read, sql)
                return found
            except SqlglotError as error:
                first = first or error
    assert first is not None
    raise first


def _plain_name(token: Token) -> Token:
    if token.text.upper() == "KEY" and token.token_type != TokenType.IDENTIFIER:
        return Token(TokenType.VAR, token.text, token.line, token.col, token.start, token.end)
    return token
