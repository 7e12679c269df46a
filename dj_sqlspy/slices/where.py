"""Where: checks that statements were sent to the server of the slice.

In: captured statements, and the connection for the slice. Out: nothing, or an error that names the servers and
statements. Other names of one server (a tunnel, a replica) are declared in ``sqlspy.same_server``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .. import settings
from ..display import count, first, short
from ..errors import SliceError
from ..journal import Statement
from ..servers import server_name

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def servers_of(statements: Iterable[Statement]) -> dict[str, list[Statement]]:
    """The statements by their server, as the connection named it."""
    found: dict[str, list[Statement]] = {}
    for statement in statements:
        if statement.server:
            found.setdefault(statement.server, []).append(statement)
    return found


def require_one_server(statements: Sequence[Statement], connection: Any) -> None:
    """Raise if statements were sent to another server than that of a connection.

    Raises
    ------
    SliceError
        The message lists the servers and some statements of each.
    """
    here, found = server_name(connection), servers_of(statements)
    groups = [frozenset(map(_plain, group)) for group in settings.get("same_server")]

    def is_here(server: str) -> bool:
        one, other = _plain(server), _plain(here)
        return one == other or any(one in group and other in group for group in groups)

    elsewhere = {server: members for server, members in found.items() if not is_here(server)}
    if not elsewhere:
        return
    lines = [
        f"    {server}: {count(len(members), 'statement')}, such as {_shown(members)}"
        for server, members in sorted(found.items())
    ]
    raise SliceError(
        f"Making a slice on {here}: statements were sent to another server, whose rows are not here:\n"
        + "\n".join(lines)
        + "\nMake the slice on the server that was read (Paper(…, connection=…), or dj.config), leave these "
        "statements out, or, where these are names of one server, declare it: "
        f'dj.config["sqlspy.same_server"] = [["{here}", "{next(iter(elsewhere))}"]].'
    )


def _plain(server: str) -> str:
    """One spelling for all names of this machine. A database of PostgreSQL is a part of the name.

    >>> _plain("localhost:3306"), _plain("Db1:5432/Lab")
    ('127.0.0.1:3306', 'db1:5432/Lab')
    """
    host, _, port = server.rpartition(":")
    host = host.lower()
    return f"{'127.0.0.1' if host in _LOOPBACK else host}:{port}"


def _shown(members: Sequence[Statement]) -> str:
    return "; ".join(first(members, lambda each: f"{each.number} ({short(each.sql, 60)})", 3))
