"""PostgreSQL: what the spy does otherwise on a connection to PostgreSQL.

In: a statement that psycopg2 has sent, and its cursor. Out: whether it reads, whether it reads only bookkeeping, and
what the connection has sent that changes the meaning of later statements. As on MySQL, the text is not parsed, the
server is not asked, and in doubt a statement counts as reading data. A statement that returns rows reads, whatever its
first word; so FETCH and RETURNING are seen.

psycopg2 takes no attributes on its connections, so what one has sent is kept with DataJoint's connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..servers.postgresql import wire
from ..servers.postgresql.driver import name_of
from ..servers.postgresql.own import CATALOG, CATALOG_FUNCTIONS
from . import reads

# DataJoint's name of this kind of server.
NAME = "postgresql"

# First words of statements after which a transaction has begun or ended.
BOUNDARY = frozenset({"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT"})

# They return rows and read no table's.
_NO_READS = frozenset({"SHOW", "EXPLAIN"})
# They return none, and may read.
_ALWAYS = frozenset({"CALL", "EXECUTE", "REFRESH"})
_MAY_READ = frozenset({"INSERT", "CREATE", "DECLARE", "COPY", "DO", "SELECT", "WITH", "MERGE"})
_QUERIES = ("SELECT", "TABLE", "PERFORM", "VALUES", "USING")

_BOOKS = frozenset({"~log", "~jobs", "~lineage"})
_MARKS = ('"~', "pg_", "PG_", "nformation_schema", "NFORMATION_SCHEMA")

# Words of SELECTs that ask for the state of the session and read nothing.
_SESSION_STATE = frozenset(
    """
SELECT CURRENT_USER SESSION_USER USER CURRENT_ROLE CURRENT_CATALOG CURRENT_DATABASE CURRENT_SCHEMA CURRENT_SCHEMAS
CURRENT_SETTING CURRENT_TIMESTAMP CURRENT_DATE LOCALTIMESTAMP NOW VERSION PG_BACKEND_PID INET_SERVER_ADDR
INET_SERVER_PORT PG_IS_IN_RECOVERY PG_POSTMASTER_START_TIME PG_CATALOG TRUE FALSE AS 1 ( ) , ; .
""".split()  # noqa: SIM905
)

# Settings that change no statement's meaning.
_IRRELEVANT = frozenset(
    """
transaction characteristics constraints statement_timeout lock_timeout idle_in_transaction_session_timeout
idle_session_timeout transaction_timeout application_name client_min_messages synchronous_commit commit_delay work_mem
maintenance_work_mem temp_buffers effective_io_concurrency log_statement log_min_messages log_duration
session_replication_role tcp_keepalives_idle tcp_user_timeout password_encryption default_tablespace temp_tablespaces
""".split()  # noqa: SIM905
)
# First words of statements that may matter to later ones.
_STATE = BOUNDARY | {"SET", "RESET", "DISCARD", "CREATE", "DROP", "CALL", "DO", "SELECT", "WITH", "EXECUTE"}
# The letters that `state.may_matter` compares, once there is a connection to PostgreSQL.
LETTERS = frozenset(head[:3] for head in _STATE - {"SELECT", "WITH"})
_LONGEST = 20_000

_HEAD = re.compile(r"(?:[\s(;]+|--[^\n]*(?:\n|$))*")
_WORD = re.compile(r"[A-Za-z]+")
_TEMPORARY = frozenset({"TEMP", "TEMPORARY"})


def head(query: str) -> str:
    """The first word of a statement, in upper case; empty if there is none. Comments are nested.

    >>> head("/* a /* b */ c */ -- d\\n (select 1)"), head("")
    ('SELECT', '')
    """
    place = 0
    while True:
        found = _HEAD.match(query, place)
        place = found.end() if found is not None else place
        if not query.startswith("/*", place):
            break
        place = _after_comment(query, place)
    word = _WORD.match(query, place)
    return word.group().upper() if word is not None else ""


def _after_comment(query: str, place: int) -> int:
    """The position after a comment, which may contain comments."""
    depth = 0
    while place < len(query):
        two = query[place : place + 2]
        depth += {"/*": 1, "*/": -1}.get(two, 0)
        place += 2 if two in ("/*", "*/") else 1
        if not depth:
            break
    return place


def reads_rows(first: str, sql: str, returned: bool) -> bool:
    """Whether a statement may read rows.

    Parameters
    ----------
    first : str
        Its `head`.
    sql : str
    returned : bool
        Whether it returned a set of rows.

    Examples
    --------
    >>> reads_rows("FETCH", "FETCH 2 FROM c", True), reads_rows("SHOW", "SHOW search_path", True)
    (True, False)
    >>> reads_rows("INSERT", "INSERT INTO a SELECT 1", False), reads_rows("INSERT", "INSERT INTO a VALUES ('x')", False)
    (True, False)
    """
    if first in _NO_READS:
        return False
    if returned or first in _ALWAYS:
        return True
    if first not in _MAY_READ:
        return False
    upper = sql.upper()
    if first == "INSERT":  # VALUES there is no query
        return any(word in upper and _says(sql, word) for word in ("SELECT", "TABLE"))
    if first == "CREATE" and "SELECT" not in upper and "VALUES" not in upper and " AS " not in upper:
        return False
    if first == "COPY":
        return _copies_out(sql)
    return any(word in upper for word in _QUERIES)


def counts_rows_read(first: str, sql: str) -> bool:
    """Whether the number of rows that an INSERT … SELECT stored equals the number that it read."""
    return first == "INSERT" and "CONFLICT" not in sql.upper()


def _says(sql: str, word: str) -> bool:
    """Whether a word is one of a text, outside of quotes."""
    found = tokens(sql)
    return found is None or word in [reads.word_of(token) for token in found]


def _copies_out(sql: str) -> bool:
    """Whether COPY reads: what is copied stands before TO, in parentheses if it is a query or a list of columns."""
    depth = 0
    for word in map(reads.word_of, tokens(sql) or ()):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if not depth and word in ("TO", "FROM"):
            return word == "TO"
    return True


def is_bookkeeping(sql: str) -> bool:
    """Whether a SELECT reads only bookkeeping tables of DataJoint or the server.

    False if the statement names any other table, or could.

    >>> is_bookkeeping('SELECT lineage FROM "lab"."~lineage"'), is_bookkeeping('SELECT 1 FROM "lab"."~lineage", a')
    (True, False)
    >>> is_bookkeeping("SELECT indexdef FROM pg_indexes WHERE schemaname = 'lab'"), is_bookkeeping("SELECT mine()")
    (True, False)
    >>> is_bookkeeping("SELECT current_user"), is_bookkeeping("SELECT pg_x.a FROM pg_x")
    (True, False)
    >>> [is_bookkeeping(f"SELECT set_config('timezone', {value}, false)") for value in ("'UTC'", "mine()")]
    [True, False]
    """
    if " FROM " not in sql and " from " not in sql and len(sql) < 200 and _is_session_state(sql):
        return True
    return any(mark in sql for mark in _MARKS) and _reads_only(sql, _is_book)


def is_of_log(sql: str, schema: str) -> bool:
    """Whether a SELECT reads only the shared log in a schema.

    >>> is_of_log('SELECT * FROM "log"."__export"', "log"), is_of_log('SELECT mine() FROM "log"."__export"', "log")
    (True, False)
    """
    if '"export_selection' not in sql and '"__export' not in sql:
        return False
    return _reads_only(sql, lambda name: reads.is_log_table(name, schema))


@lru_cache(maxsize=10_000)
def tables(sql: str, schema: str = "") -> frozenset[tuple[str, str]]:
    """Schema and name of the tables that a statement reads, as written. For counts only, not for an export.

    >>> sorted(tables("SELECT * FROM \\"lab\\".\\"#a\\" JOIN (SELECT 'FROM x' FROM b) y USING (n)", "mine"))
    [('lab', '#a'), ('mine', 'b')]
    """
    names = reads.tables_of(tokens(sql) or [], CATALOG_FUNCTIONS)
    return frozenset((name.schema or schema, name.table) for name in names if name is not None)


def _is_session_state(sql: str) -> bool:
    found = tokens(sql) or ()
    words = [reads.word_of(token) for token in found]
    if _configures(found):
        return True
    return words[:1] == ["SELECT"] and words.count("SELECT") == 1 and _SESSION_STATE.issuperset(words)


def _configures(found: Sequence[Any]) -> list[str]:
    """Name, value and scope in SELECT set_config(…), if all are literals; [] for anything else."""
    kept = [token for token in found if token.text != ";"]
    if [token.text.lower() for token in kept[1:3]] == ["pg_catalog", "."]:
        kept[1:3] = []
    texts = [token.text for token in kept]
    if [text.lower() for text in texts[:3]] != ["select", "set_config", "("] or len(texts) != 9:
        return []
    name, value, local = (token.token_type.name for token in kept[3:8:2])
    literal = name == value == "STRING" and local in ("TRUE", "FALSE")
    return texts[3:8:2] if literal and texts[4::2] == [",", ",", ")"] else []


def _configured(found: Sequence[Any]) -> str:
    """The setting that SELECT set_config(…) makes for the session; "" for anything else."""
    name, _, local = _configures(found) or ("", "", "")
    return name.lower() if local.lower() == "false" else ""


def _reads_only(sql: str, meets: Callable[[reads.Name], bool]) -> bool:
    """Whether all tables that a query reads are known and meet a condition."""
    if head(sql) not in ("SELECT", "WITH", "TABLE"):
        return False
    found = tokens(sql)
    if found is None:
        return False
    names = list(reads.tables_of(found, CATALOG_FUNCTIONS))
    return bool(names) and all(name is not None and meets(name) for name in names)


def _is_book(name: reads.Name) -> bool:
    schema, table = name.schema.lower(), name.table
    if schema:
        return schema in ("pg_catalog", "information_schema") or table in _BOOKS or table.startswith("~~")
    return table.lower() in CATALOG


def tokens(sql: str) -> list[Any] | None:
    """The tokens of a text; None if a quote is not closed."""
    return reads.tokens_of(sql, "postgres")


# --- what a connection has sent -------------------------------------------------------------------------------


@dataclass
class Sent:
    """What one connection of the driver has sent that matters.

    Attributes
    ----------
    raw : psycopg2 connection
    server : (name, version, kind)
        The name is host, port and database, as `Statement.server` has it.
    texts : tuple of str
        In order.
    schema : str
        The only schema of search_path; "" if it is not known, or there are several.
    before : (texts, schema) or None
        As they were when the open transaction began: PostgreSQL takes settings back with it.
    """

    raw: Any
    server: tuple[str, str, str]
    texts: tuple[str, ...] = ()
    schema: str = ""
    before: tuple[tuple[str, ...], str] | None = None


def sent_by(connection: Any) -> Sent:
    """What a DataJoint connection has sent on its present connection of the driver."""
    known: Sent | None = connection.__dict__.get("_dj_sqlspy_sent")
    if known is None or known.raw is not connection._conn:
        known = connection._dj_sqlspy_sent = Sent(connection._conn, _server(connection))
    return known


def state_of(connection: Any) -> tuple[str, ...]:
    """The texts that matter, in order, and what the driver tells of the session if it is not as usual.

    The driver sets DateStyle to ISO when it connects. RESET and DISCARD take back what it set, too.
    """
    raw, texts = connection._conn, sent_by(connection).texts
    style = raw.get_parameter_status("DateStyle")
    if style and not style.startswith("ISO") and not any(_name_in(text) == "datestyle" for text in texts):
        texts = (f"SET datestyle TO '{style}'", *texts)
    return texts if raw.encoding == "UTF8" else (f"SET client_encoding TO '{raw.encoding}'", *texts)


def may_matter(query: Any) -> bool:
    """Whether a statement may have to be noted (`note`): another one may follow it, or it calls ``set_config``."""
    return isinstance(query, str) and (
        query.find(";", 0, -1) >= 0 or "set_config" in query or "SET_CONFIG" in query
    )


def note(connection: Any, sql: str) -> None:
    """Note a successful statement, if it matters."""
    first, known = head(sql), sent_by(connection)
    if first not in _STATE and ";" not in sql:
        return
    found = tokens(sql[:_LONGEST]) or []
    words = [token.text.upper() for token in found]
    ends = [token for token in found if token.token_type.name == "SEMICOLON"]
    if ends and ends[0] is not found[-1] and first != "CREATE":  # a function may hold statements
        for start, end in zip(
            [0, *(one.end + 1 for one in ends)], [*(one.start for one in ends), None], strict=True
        ):
            note(connection, sql[start:end])
        return
    if first not in _STATE:
        return
    if first in BOUNDARY:
        _transaction(known, first, words, sql)
    elif first == "DISCARD":
        if words[1:2] == ["ALL"]:
            known.texts, known.schema = (), ""
    elif first in ("SET", "RESET"):
        _set(known, first, [_as_read(token) for token in found], sql)
    elif first in ("CREATE", "DROP"):
        made = first == "CREATE" and not _TEMPORARY.isdisjoint(words[1:5])
        # a temporary table is dropped like another
        if made or (first == "DROP" and any(head(text) == "CREATE" for text in known.texts)):
            known.texts = (*known.texts, sql[:_LONGEST])
    else:
        lower = sql.lower()
        into = "into" in lower and "INTO" in words and not _TEMPORARY.isdisjoint(words)
        if "set_config" in lower or into or (first == "DO" and "set " in lower):
            name = _configured(found)
            if not into and name in ("", "search_path"):  # which schema it may be is not followed
                known.schema = ""
            same = {sql} if not name else {text for text in known.texts if _name_in(text) == name}
            known.texts = (*(text for text in known.texts if text not in same), sql[:_LONGEST])


def _as_read(token: Any) -> str:
    """The text of a token; a word without quotes as the server reads it."""
    return str(token.text if token.token_type.name in ("STRING", "IDENTIFIER") else token.text.lower())


def _transaction(known: Sent, first: str, words: Sequence[str], sql: str) -> None:
    if first in ("BEGIN", "START"):
        known.before = known.texts, known.schema
        return
    before, known_before = known.before, known.before is not None
    if first in ("ROLLBACK", "ABORT") and "TO" in words:
        if known_before and before != (known.texts, known.schema):
            known.texts = (*known.texts, sql)  # which of them it takes back is not followed
        return
    if known_before and before is not None:
        if first in ("ROLLBACK", "ABORT"):
            known.texts, known.schema = before
        else:
            known.texts = tuple(text for text in known.texts if not _is_local(text))
    known.before = None


def _is_local(text: str) -> bool:
    words = [token.text.upper() for token in (tokens(text) or ())[:2]]
    return words == ["SET", "LOCAL"]


def _set(known: Sent, first: str, words: Sequence[str], sql: str) -> None:
    """SET, RESET: the last one of a setting counts."""
    rest = list(words[1:])
    scope = rest[0].upper() if rest else ""
    local = scope == "LOCAL"
    if scope in ("SESSION", "LOCAL") and len(rest) > 1:
        rest = rest[1:]
    name, values = _name(rest)
    if name in _IRRELEVANT:
        return
    if first == "RESET" and name == "all":
        kept = (text for text in known.texts if head(text) != "SET" and not _name_in(text))
        known.texts, known.schema = tuple(kept), ""
        return
    reset = first == "RESET" or [value.upper() for value in values] == ["DEFAULT"]
    if not local:
        known.texts = tuple(text for text in known.texts if _name_in(text) != name)
    schema = ""
    if name == "search_path":
        single = (
            not local and not reset and len(values) == 1 and "$" not in values[0] and "," not in values[0]
        )
        schema = values[0] if single else ""
        known.schema = schema
    if not reset and not schema:
        known.texts = (*known.texts, sql[:_LONGEST])


def _name(words: Sequence[str]) -> tuple[str, list[str]]:
    """The setting that SET names, in lower case, and its values."""
    lower = [word.lower() for word in words if word != ";"]
    if lower[:2] == ["time", "zone"]:
        return "timezone", list(words[2:])
    if lower[:1] == ["schema"]:
        return "search_path", list(words[1:])
    if lower[:1] == ["names"]:
        return "client_encoding", list(words[1:])
    values = [word for word in words[1:] if word not in ("=", ";") and word.upper() != "TO"]
    return (lower[0] if lower else ""), values


def _name_in(text: str) -> str:
    """The setting of a text of SET without LOCAL, or of ``set_config`` for the session; "" for any other."""
    found = tokens(text) or ()
    words = [token.text for token in found]
    if [word.upper() for word in words[:1]] == ["SELECT"]:
        return _configured(found)
    if [word.upper() for word in words[:1]] != ["SET"] or [w.upper() for w in words[1:2]] == ["LOCAL"]:
        return ""
    rest = words[2:] if words[1:2] and words[1].upper() == "SESSION" and len(words) > 2 else words[1:]
    return _name(rest)[0]


# --- what the server received -----------------------------------------------------------------------------------


def text_sent(connection: Any, query: Any, args: Any, cursor: Any) -> str:
    """The statement as the server received it, with the arguments merged by the driver.

    psycopg2 keeps it. The cursor of DataJoint's query cache does not, so there the driver merges the arguments again.
    """
    raw = connection._conn
    sent = getattr(cursor, "query", None)
    if sent is None:
        sent = raw.cursor().mogrify(query, args)
    return sent if isinstance(sent, str) else bytes(sent).decode(wire.encoding_of(raw), "surrogateescape")


def in_transaction(raw: Any) -> bool:
    """Whether a connection is in a transaction."""
    return bool(raw.get_transaction_status() == 2)  # libpq's PQTRANS_INTRANS


def _server(connection: Any) -> tuple[str, str, str]:
    version = connection._conn.info.parameter_status("server_version") or ""
    return name_of(connection), f"PostgreSQL {version}".strip(), NAME
