"""A small lab on either line of DataJoint, and analyses of it that run in processes of their own.

In: a DataJoint connection or a server, and a schema name. Out: declared and filled tables with the same
contents on both lines, and scripts that find the same lab again.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datajoint as dj

V2 = not dj.__version__.startswith("0.")
SUBJECTS = 6
ROOT = Path(__file__).resolve().parent.parent


def make_lab(name: str, connection: Any) -> SimpleNamespace:
    """Declare the lab in schema ``name``, and fill it.

    Six subjects with two sessions each; ``Mean`` computes with an ordinary make, ``Total`` with a make in
    three parts; ``Copy`` is empty.
    """
    schema = (dj.Schema if V2 else dj.schema)(name, connection=connection)

    @schema
    class Subject(dj.Manual):
        definition = """
        subject : int
        ---
        label : varchar(60)
        """

    @schema
    class Copy(dj.Manual):
        definition = """
        subject : int
        ---
        label : varchar(60)
        """

    @schema
    class Session(dj.Manual):
        definition = """
        -> Subject
        session : int
        ---
        score : int
        """

    @schema
    class Mean(dj.Computed):
        definition = """
        -> Subject
        ---
        mean : float
        """

        def make(self, key: dict[str, Any]) -> None:
            scores = rows((Session & key).proj("score"))
            len(Session & key)
            assert key not in self
            self.insert1({**key, "mean": sum(row["score"] for row in scores) / len(scores)})

    @schema
    class Total(dj.Computed):
        definition = """
        -> Subject
        ---
        total : int
        """

        def make_fetch(self, key: dict[str, Any]) -> Any:
            return ([row["score"] for row in rows(Session & key)],)

        def make_compute(self, key: dict[str, Any], scores: list[int]) -> Any:
            return (sum(scores),)

        def make_insert(self, key: dict[str, Any], total: int) -> None:
            self.insert1({**key, "total": total})

    Subject.insert([(n, f"subject {n}") for n in range(SUBJECTS)], skip_duplicates=True)
    Session.insert([(n, s, 10 * n + s) for n in range(SUBJECTS) for s in (1, 2)], skip_duplicates=True)
    tables = {table.__name__: table for table in (Subject, Copy, Session, Mean, Total)}
    return SimpleNamespace(schema=schema, name=name, connection=connection, **tables)


def rows(expression: Any, **options: Any) -> list[dict[str, Any]]:
    """Fetch as dicts, with the call that each line has for it; options are those of both (``limit`` …)."""
    if V2:
        return expression.to_dicts(**options)  # type: ignore[no-any-return]
    return expression.fetch(as_dict=True, **options)  # type: ignore[no-any-return]


def keys(expression: Any) -> list[dict[str, Any]]:
    """Fetch the primary keys."""
    return expression.keys() if V2 else expression.fetch("KEY")  # type: ignore[no-any-return]


def arrays(expression: Any, *attributes: str) -> Any:
    """Fetch attributes as arrays."""
    return expression.to_arrays(*attributes) if V2 else expression.fetch(*attributes)


def frame(expression: Any) -> Any:
    """Fetch as a pandas data frame."""
    return expression.to_pandas() if V2 else expression.fetch(format="frame")


def aggr(table: Any, group: Any, *attributes: Any, unmatched: bool = False, **computed: str) -> Any:
    """``table.aggr(group, …)``; ``unmatched`` keeps the rows that have none in the group."""
    option = {"exclude_nonmatching": not unmatched} if V2 else {"keep_all_rows": unmatched}
    return table.aggr(group, *attributes, **option, **computed)


def typed(definition: str) -> str:
    """A definition in 0.14's words, as this line reads it: the type of a serialized blob has another name."""
    return definition.replace("longblob", "<blob>") if V2 else definition


def connect(host: str, port: int, user: str, password: str, database: str | None = None) -> Any:
    """Point DataJoint to a server, as a script does; a ``database`` is one of PostgreSQL."""
    dj.config["database.host"] = host
    dj.config["database.port"] = port
    dj.config["database.user"] = user
    dj.config["database.password"] = password
    dj.config["database.use_tls"] = False
    if database is not None:
        dj.config["database.backend"], dj.config["database.name"] = "postgresql", database
    dj.config["safemode"] = False
    dj.logger.setLevel("ERROR")
    return dj.conn()


PRELUDE = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
import datajoint as dj
from tests import lab as lab_module
from tests.lab import rows
def connect():
    s = json.loads(os.environ["LAB_SERVER"])
    return lab_module.connect(*s[:4], *s[5:])
def open_lab():
    return lab_module.make_lab(json.loads(os.environ["LAB_SERVER"])[4], connect())
"""


def start_script(code: str, server: Any, schema: str, home: Path, folder: Path, **options: Any) -> Any:
    """Start a Python process that runs ``code`` after `PRELUDE`, from a file, so that workers can import it."""
    script = folder / "script.py"
    script.write_text(PRELUDE + textwrap.dedent(code))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DJ_SQLSPY")}
    where = [server.host, server.port, server.user, server.password, schema]
    where += [server.database] if hasattr(server, "database") else []
    environment |= {
        "LAB_SERVER": json.dumps(where),
        "DJ_SQLSPY_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        **options.pop("environment", {}),
    }
    return subprocess.Popen(
        [sys.executable, str(script)],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run_script(code: str, server: Any, schema: str, home: Path, folder: Path, **options: Any) -> str:
    """Run a script to its end; what it printed."""
    process = start_script(code, server, schema, home, folder, **options)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return str(out)


def fork(program: Callable[[], object], streams: Sequence[int]) -> Any:
    """Start a fork of this process, which need not import DataJoint again; ``streams`` become its standard ones."""

    def run() -> None:
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            os.dup2(streams[number], number)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
        program()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def forked(program: Callable[[], object]) -> subprocess.CompletedProcess[str]:
    """Run a function in a fork of this process; its exit code and what it wrote."""
    with (
        open(os.devnull) as nothing,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        process = fork(program, [file.fileno() for file in (nothing, out, err)])
        process.join()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(program, process.exitcode, out.read(), err.read())
