"""Kills write, dump, restore, verify, files --copy and share at random points, and looks for leftovers.

In: how many, a seed and a server. Out: the table of what was left; exit code 0 only if that is nothing. A command runs
on a bundle, a home, stores and servers of this program's own and gets a signal at a random moment; then everything is
looked through.

    python -m tests.kills --kills 200 --seed 7
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datajoint as dj
import numpy as np
from pymysql.converters import escape_string
from rich.console import Console
from rich.table import Table

import dj_sqlspy as sqlspy
from dj_sqlspy import atomic, servers
from dj_sqlspy.bundle.folder import FILES, check_place
from dj_sqlspy.errors import SpyError
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.servers import backend_of
from tests.lab import ROOT, V2

COMMANDS = ("write", "dump", "restore", "verify", "files", "share")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
FAULTS = ("password file", "stray process", "refused write", "lost bundle", "half a load", "left in TMPDIR")
SECONDS = 30.0  # that what is being ended may take
SCHEMA, LOG = "kills_lab", "kills_log"
PROGRAM = [sys.executable, "-W", "ignore", "-m", "dj_sqlspy"]


@dataclass
class Place:
    """Where the commands run.

    Attributes
    ----------
    folder : Path
    server, target
        The source, and what bundles are restored into: private servers.
    password : str
        Of the account on both that the commands use.
    mark : str
        In the environment of every process that they start.
    """

    folder: Path
    server: Any
    target: Any
    password: str
    mark: str
    client: str  # the option with which a client program reaches the target

    @property
    def postgresql(self) -> bool:
        return bool(self.server.flavor == "postgresql")

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DJ_PASS": self.password,
            "DJ_SQLSPY_HOME": str(self.folder / "home"),
            "DJ_SQLSPY_KILLS": self.mark,
            "DJ_SUPPORT_FILEPATH_MANAGEMENT": "TRUE",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.temporary),
        }

    def start(self, command: str) -> subprocess.Popen[bytes]:
        words = {
            "write": ["write", "paper", "-o", "bundle"],
            "dump": ["dump", "bundle", *([] if self.postgresql else ["--jobs=2"])],
            "restore": ["restore", "bundle", self.client],
            "verify": ["verify", "bundle"],
            "files": ["files", "paper", "--copy", "files"],
            "share": ["share", "paper"],
        }[command]
        settings = self.environment()
        if command == "share":
            settings["DJ_SQLSPY_SCHEMA"] = LOG
        return subprocess.Popen(
            [*PROGRAM, *words],
            cwd=self.folder,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


@contextlib.contextmanager
def place(flavor: Any) -> Iterator[Place]:
    """Servers, a captured paper that needs files, and its bundle."""
    with (
        tempfile.TemporaryDirectory(prefix="kills-") as name,
        private_server(flavor) as server,
        private_server(flavor) as target,
        client_option(target) as client,
    ):
        folder = Path(name)
        made = Place(folder, server, target, f"pw-{secrets.token_hex(12)}", secrets.token_hex(12), client)
        folder.chmod(0o711)  # PostgreSQL, which verify runs as another user for root, has to pass
        for each in ("tmp", "store", "stage"):
            (folder / each).mkdir()
        for sql in (
            (f"CREATE USER lab PASSWORD '{made.password}'", "GRANT CREATE ON DATABASE postgres TO lab")
            if made.postgresql
            else (
                f"CREATE USER 'lab'@'%' IDENTIFIED BY '{made.password}'",
                "GRANT ALL PRIVILEGES ON *.* TO 'lab'@'%'",
            )
        ):
            asked(server, sql)
        configure(made)
        with in_this_process(made):
            capture(made)
            sqlspy.Paper("paper").write(made.bundle)
            Bundle(made.bundle).dump()
            yield made


def private_server(flavor: Any) -> contextlib.AbstractContextManager[Any]:
    return servers.private_postgresql() if flavor == "postgresql" else servers.private_server(flavor)


@contextlib.contextmanager
def client_option(target: Any) -> Iterator[str]:
    """The option with which client programs reach a server as its own account."""
    if target.flavor != "postgresql":
        yield f"--defaults-extra-file={target.defaults_file()}"
        return
    with (
        contextlib.closing(target.connect()) as connection,
        backend_of(connection).client_options(connection) as (option,),
    ):
        yield option


def asked(server: Any, sql: str) -> Sequence[tuple[Any, ...]]:
    """The rows of a statement, if it returns any."""
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else ()


def configure(made: Place) -> None:
    """The configuration of DataJoint in the folder that the commands run in."""
    stores = {"raw": {"protocol": "file", "location": str(made.folder / "store")}}
    stores["raw"]["stage"] = str(made.folder / "stage")
    values: dict[str, Any] = {"host": made.server.host, "port": made.server.port, "user": "lab"}
    values["use_tls"] = None if made.server.tls else False
    if made.postgresql:
        values |= {"backend": "postgresql", "name": made.server.database}
    if V2:
        text = json.dumps({"database": values, "stores": {**stores, "default": "raw"}})
    else:
        text = json.dumps({**{f"database.{key}": value for key, value in values.items()}, "stores": stores})
    (made.folder / ("datajoint.json" if V2 else "dj_local_conf.json")).write_text(text)


@contextlib.contextmanager
def in_this_process(made: Place) -> Iterator[None]:
    """The same account, home and stores for what this process does between the kills."""
    names = ["database.host", "database.port", "database.user", "database.password", "database.use_tls"]
    if V2:
        names += ["database.backend", "database.name"]
    before = {name: dj.config[name] for name in names}
    stores = dj.config.stores if V2 else dj.config.get("stores")
    home = os.environ.get("DJ_SQLSPY_HOME")
    account = [made.server.host, made.server.port, "lab", made.password, None if made.server.tls else False]
    if V2:
        account += ["postgresql", made.server.database] if made.postgresql else ["mysql", None]
    for name, value in zip(names, account, strict=True):
        dj.config[name] = value
    own = {"raw": {"protocol": "file", "location": str(made.folder / "store")}}
    own["raw"]["stage"] = str(made.folder / "stage")
    if V2:
        dj.config.stores = {**own, "default": "raw"}
    else:
        dj.config["stores"] = own
    os.environ["DJ_SQLSPY_HOME"] = str(made.folder / "home")
    dj.conn(reset=True)
    try:
        yield
    finally:
        for name, value in before.items():
            dj.config[name] = value
        if V2:
            dj.config.stores = stores
        else:
            dj.config["stores"] = stores or {}
        os.environ.pop("DJ_SQLSPY_HOME")
        if home is not None:
            os.environ["DJ_SQLSPY_HOME"] = home
        if before["database.user"] is not None:
            dj.conn(reset=True)


def capture(made: Place) -> None:
    """A paper of which each command has work for a second or so."""
    schema = (dj.Schema if V2 else dj.schema)(SCHEMA, create_tables=True)

    @schema
    class Recording(dj.Manual):
        definition = f"""
        recording : int
        ---
        notes : varchar(2000)
        trace : {"<blob@raw>" if V2 else "blob@raw"}
        """

    if not made.postgresql:  # as in test_files: on MariaDB, DataJoint 2.3 hands the driver a dict
        dj.conn()._conn.encoders[dict] = lambda value, _: f"'{escape_string(json.dumps(value))}'"
    numbers = np.random.default_rng(1)
    Recording.insert((number, numbers.bytes(700).hex(), numbers.normal(size=20_000)) for number in range(100))
    with sqlspy.export("paper", "fig"):
        assert len(Recording & "recording < 90") == 90
        for number in range(200):
            assert len((Recording & {"recording": number % 50}).proj("notes")) == 1


# --- one kill ------------------------------------------------------------------------------------------------


def kill(made: Place, command: str, seconds: float, number: int) -> tuple[str, list[str]]:
    """Run a command, send a signal after some time, and look at what is left.

    Returns
    -------
    str
        ``killed``, or ``ended`` before that.
    list of str
        Of `FAULTS`, with details.
    """
    process = made.start(command)
    with contextlib.suppress(subprocess.TimeoutExpired):
        said = process.communicate(timeout=seconds)[0]
        # a restore of what is there already is refused, which is no fault
        assert process.returncode == 0, f"{command}: {said.decode(errors='replace')}"
    outcome = "ended" if process.returncode is not None else "killed"
    process.send_signal(number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=SECONDS)
    return outcome, list(left_behind(made, command))


def left_behind(made: Place, command: str) -> Iterator[str]:
    deadline = time.monotonic() + SECONDS
    while (stray := marked(made.mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid, words in stray:
        yield f"stray process: {pid} {words}"
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for entry in sorted(made.temporary.iterdir()):
        yield f"left in TMPDIR: {entry.name}"
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()  # is named once
    for path in sorted(made.folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and made.password.encode() in path.read_bytes():
            yield f"password file: {path.relative_to(made.folder)}"
    yield from of_bundle(made)
    if command == "restore":
        yield from of_load(made)


def marked(mark: str) -> list[tuple[int, str]]:
    """The processes whose environment has a mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended
                if mark.encode() in (entry / "environ").read_bytes():
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")[:100]
                    found.append((int(entry.name), words.decode(errors="replace")))
    return found


def of_bundle(made: Place) -> Iterator[str]:
    try:
        bundle = Bundle(made.bundle)
        if bundle.dump_file.exists():
            with gzip.open(bundle.dump_file) as file:
                assert file.read().endswith(b"-- The slice ends here.\n")
    except (SpyError, OSError, EOFError, AssertionError) as error:
        yield f"lost bundle: {error!r}"
        return
    for file in made.bundle.iterdir():
        known = file.name in FILES or file.name.startswith(atomic.PARTIAL)
        if not known or file.stat().st_mode & 0o077:
            yield f"lost bundle: {file.name} with mode {file.stat().st_mode:o}"
    try:
        check_place(made.bundle)
    except SpyError as error:
        yield f"refused write: {error}"


def of_load(made: Place) -> Iterator[str]:
    """Of a restore there is everything or nothing; then it is taken away for the next."""
    catalog = "FROM information_schema"
    if asked(made.target, f"SELECT 1 {catalog}.schemata WHERE schema_name = '{SCHEMA}'"):
        found = asked(made.target, f"SELECT table_name {catalog}.tables WHERE table_schema = '{SCHEMA}'")
        tables = [name for (name,) in found]
        rows = 0
        if "recording" in tables:
            ((rows,),) = asked(made.target, f"SELECT COUNT(*) FROM {SCHEMA}.recording")
        if rows != 90:
            yield f"half a load: {tables}, {rows} rows"
        asked(made.target, f"DROP SCHEMA {SCHEMA} CASCADE" if made.postgresql else f"DROP DATABASE {SCHEMA}")


# --- many ----------------------------------------------------------------------------------------------------


def run(flavor: Any, kills: int, seed: int) -> tuple[dict[str, Counter[str]], list[str]]:
    """Kill so many commands; what became of each command, and all faults in words."""
    chance = random.Random(seed)
    counts: dict[str, Counter[str]] = {}
    faults: list[str] = []

    def note(command: str, found: Sequence[str]) -> None:
        counts[command].update({fault.partition(":")[0]: 1 for fault in found})
        faults.extend(f"{command}: {fault}" for fault in found)

    with place(flavor) as made:
        lasting = {}
        counts.update({command: Counter() for command in COMMANDS})
        for command in COMMANDS:
            start = time.perf_counter()
            outcome, found = kill(made, command, 600, signal.SIGKILL)
            lasting[command] = time.perf_counter() - start
            assert outcome == "ended"
            note(command, found)
        for number in range(kills):
            command = COMMANDS[number % len(COMMANDS)]
            if command in ("restore", "verify"):
                Bundle(made.bundle).dump()
            after = chance.uniform(0.2, 1.0) * lasting[command]
            outcome, found = kill(made, command, after, chance.choice(SIGNALS))
            counts[command][outcome] += 1
            note(command, found)
            if command in ("write", "dump"):
                try:
                    sqlspy.Paper("paper").write(made.bundle)
                except SpyError as error:
                    note(command, [f"refused write: {error}"])
        for command in COMMANDS:  # and each of them goes on as if nothing had been
            if command in ("restore", "verify"):
                Bundle(made.bundle).dump()
            note(command, kill(made, command, 600, signal.SIGKILL)[1])
    return counts, faults


def as_table(counts: dict[str, Counter[str]]) -> Table:
    table = Table("command", title="Kills at random points")
    for column in ("killed", "ended", *FAULTS):
        table.add_column(column, justify="right")
    for command, found in counts.items():
        table.add_row(command, *(str(found[column]) for column in ("killed", "ended", *FAULTS)))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", choices=("mariadb", "mysql", "postgresql"), default="mariadb")
    options = parser.parse_args(arguments)
    # what a shell starts in the background ignores these two, and so would the commands
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    counts, faults = run(options.server, options.kills, options.seed)
    Console(width=120).print(as_table(counts))
    print("\n".join(faults) or "Nothing was left behind.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
