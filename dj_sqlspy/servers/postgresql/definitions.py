"""Definitions: what creates the tables of a slice, as ``pg_dump`` writes it.

In: a connection to the source, the `Objects` of a slice, and the name of a snapshot. Out: SQL to run before and after
the rows are loaded. It knows no type and no constraint itself.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ... import guarded
from ...errors import BundleError
from .connect import client_options, environment
from .objects import Objects


def definitions(connection: Any, found: Objects, snapshot: str) -> tuple[str, str]:
    """What creates the tables, before and after their rows, as ``pg_dump`` writes it: only what was asked for.

    By ``--table`` alone it would also write triggers without their functions, policies and rules.
    """
    must, may = found.entries()
    with guarded.Folder() as folder, client_options(connection) as options:
        archive, wanted = folder / "structure", folder / "list"
        _run(
            "pg_dump",
            *options,
            f"--snapshot={snapshot}",
            "--schema-only",
            "--format=custom",
            "--no-comments",
            "--no-owner",
            "--no-privileges",
            "--no-tablespaces",
            "--no-publications",
            "--no-subscriptions",
            "--no-security-labels",
            "--strict-names",
            f"--file={archive}",
            # in quotes, no character of a pattern means anything else
            *(f"--table={table.full_name}" for table in found.numbers.values()),
            variables=environment(options),
        )
        kept = []
        for line in _run("pg_restore", "--list", archive).splitlines():
            entry = re.match(r"\d+; (\d+) (\d+) (.*)", line)
            number = (int(entry[1]), int(entry[2])) if entry else None
            if entry and (number in must or number in may or entry[3].startswith("SEQUENCE OWNED BY ")):
                kept.append(line)
                must.discard(number or (0, 0))
        if must:
            raise BundleError(
                f"Writing the slice: pg_dump has not written the definitions of {len(must)} of its tables, sequences,"
                " indexes and constraints. Use the pg_dump of the server's version (PG_DUMP=/path/to/pg_dump)."
            )
        wanted.write_text("".join(f"{line}\n" for line in kept))
        sections = [
            _run("pg_restore", "--no-owner", f"--section={name}", f"--use-list={wanted}", "--file=-", archive)
            for name in ("pre-data", "post-data")
        ]
    return _statements(sections[0]), _statements(sections[1])


def _statements(text: str) -> str:
    r"""A section of pg_dump without its first and last lines, which set the session and restrict psql.

    >>> head, tail = "--\n\n\\restrict a1\n\nSET row_security = off;\n\n", "\n\n--\n-- z\n--\n\n\\unrestrict a1\n"
    >>> _statements(head + "--\n-- Name: t\n--\n\nX;" + tail)
    '--\n-- Name: t\n--\n\nX;'
    """
    start = re.search(r"^--\n-- Name: ", text, re.MULTILINE)
    if start is None:
        return ""
    head, body = text[: start.start()], text[start.start() :]
    key = re.search(r"^\\restrict (\S+)$", head, re.MULTILINE)
    if key is not None:
        body = body[: body.rindex(f"\n\\unrestrict {key[1]}\n")]
    return body[: body.rindex("\n--\n-- ")].rstrip()


def _run(program: str, *words: str | Path, variables: Mapping[str, str] = os.environ) -> str:
    """Run a client program of PostgreSQL; what it prints."""
    command = os.environ.get(program.upper(), program)
    try:
        done = subprocess.run(
            [command, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**variables, "LC_ALL": "C"},
        )
    except OSError as error:
        raise BundleError(
            f"Writing the slice: {command} does not run ({error.strerror}). Install the client of PostgreSQL (Debian,"
            f" Ubuntu: apt-get install postgresql-client), or name it: {program.upper()}=/path/to/{program}"
        ) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        advice = (
            f" Name that of the server's version: {program.upper()}=/path/to/{program}"
            if "server version mismatch" in said
            else ""
        )
        raise BundleError(f"Writing the slice: {said or f'{command} ended with {done.returncode}'}.{advice}")
    return done.stdout.decode()
