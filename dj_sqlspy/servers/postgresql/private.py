"""Private clusters: a temporary PostgreSQL for the length of a ``with`` block.

In: nothing, or settings of the server. Out: a running PostgreSQL on a temporary data directory, reachable at 127.0.0.1
and by a socket, with a random password. It and its data are deleted when the block ends, even if this process is
killed. It installs nothing and never touches a server or a data directory that it did not create.

PostgreSQL refuses to run as root. For root it runs as ``nobody``, who owns no other cluster.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ... import atomic, guarded, names
from ...errors import ServerError
from ..private import in_folder, made_once, require_short, started
from .driver import driver

USER = "tester"
DATABASE = "postgres"

# The folders where systems keep the server program, of the newest version first (`_folders`).
SERVER_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian
    "/usr/pgsql-*/bin",  # Red Hat
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
# The same on every machine: no text depends on its locale or time zone.
MADE_WITH = ("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--auth=reject", f"--username={USER}")
# Nobody needs this data after a crash.
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    # of tables that were just filled it expects many rows, and would compile queries of a few
    "jit": "off",
}
# The account of this process enters by the socket without a password, and sets one. All others need theirs.
_ACCESS = "local all {user} peer map=own\nhost all all 127.0.0.1/32 scram-sha-256\n"
# The longest path of a socket is 103 bytes on macOS, 107 on Linux; PostgreSQL adds its own name.
SOCKET_BYTES = 103 - len("/.s.PGSQL.65535")


@dataclass(frozen=True)
class Program:
    """A server program that can be started.

    Attributes
    ----------
    path : Path
        ``postgres``, with ``initdb`` beside it.
    version : str
        From ``--version``, e.g. ``15.18``.
    """

    path: Path
    version: str
    flavor: str = "postgresql"


@dataclass(frozen=True)
class Server:
    """A running private cluster.

    Attributes
    ----------
    host, port, socket : where it listens
        ``socket`` is the folder of its socket.
    user, password : an account with all privileges
    version : str
        Of the server, e.g. ``15.18``.
    datadir : Path
        Its data; deleted when it stops.
    programs : Path
        The folder of its programs.
    database : str
        The database to which `connect` connects.
    """

    host: str
    port: int
    socket: str
    user: str
    password: str = field(repr=False)
    version: str
    datadir: Path
    programs: Path
    database: str = DATABASE
    flavor: str = "postgresql"
    tls: bool = False

    def connect(self, **options: Any) -> Any:
        """Open a new psycopg2 connection, autocommit on; ``options`` go to ``psycopg2.connect``."""
        settings: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": self.database,
            "sslmode": "disable",
            "gssencmode": "disable",
        }
        opened = driver().connect(**{**settings, **options})
        opened.autocommit = True
        return opened

    def limited_to(self, schemas: Iterable[str]) -> Server:
        """The same server with a new account that may create schemas in the database, and owns what it makes.

        It has no right on what others made, on files and programs of the server, and on other databases.

        Raises
        ------
        ServerError
            If one of the schemas is the server's own.
        """
        for schema in sorted(set(schemas)):
            if schema == "information_schema" or schema.startswith("pg_"):
                raise ServerError(
                    f"Loading into the schema {schema}: it is the server's own, and no bundle's."
                )
        name, password = f"of_{secrets.token_hex(6)}", secrets.token_hex(16)
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
            database = names.quoted(self.database, '"')
            cursor.execute(f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {database} TO {name}")
        return replace(self, user=name, password=password)


def find_server() -> Program | None:
    """The first server program on PATH, else the newest in the usual folders, or None."""
    for folder in _folders():
        program = _identify(folder / "postgres")
        if program is not None:
            return program
    return None


def require_server() -> Program:
    """The program that `private_server` would start.

    Raises
    ------
    ServerError
        If there is none.
    """
    program = find_server()
    if program is None:
        raise ServerError(
            "Starting a private server: no PostgreSQL server program was found on PATH. Install one (Debian, Ubuntu:"
            " apt-get install postgresql; macOS: brew install postgresql; conda: conda install -c conda-forge"
            " postgresql)."
        )
    return program


@contextlib.contextmanager
def private_server(options: Sequence[str] = ()) -> Iterator[Server]:
    """Start a private cluster, and stop and delete it at the end.

    Parameters
    ----------
    options : sequence of str
        More settings of the server, as ``name=value``. They override the usual ones.

    Yields
    ------
    Server

    Raises
    ------
    ServerError
        If there is no such program, or it does not start. The message includes the end of its log.

    Examples
    --------
    >>> with private_server() as server:                        # doctest: +SKIP
    ...     server.connect().cursor().execute("SELECT 1")
    """
    driver()
    program = require_server()

    def start(base: Path) -> contextlib.AbstractContextManager[Server]:
        _let_in(base)
        data = base / "data"
        shutil.copytree(template(program), data)
        data.chmod(0o700)
        _give(data)
        return _started(program, base, options)

    with in_folder(start) as server:
        yield server


def template(program: Program) -> Path:
    """A fresh data directory of a program, made once and cached. Servers start on copies of it.

    Raises
    ------
    ServerError
        If the program cannot make one.
    """
    return made_once(program, MADE_WITH, lambda folder: _initialize(program, folder))


def _initialize(program: Program, folder: Path) -> None:
    with guarded.Folder() as work:  # not in the cache, into which another user may not look
        _let_in(work)
        inside = work / "made"
        inside.mkdir(mode=0o700)
        _give(inside)
        command = [str(program.path.parent / "initdb"), f"--pgdata={inside / 'data'}", *MADE_WITH]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, cwd="/", user=_other_user()
        )
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace").strip()
            raise ServerError(
                f"Making a data directory with {command[0]} failed ({done.returncode}):\n{said}"
            )
        shutil.copytree(inside / "data", folder / "data")


@contextlib.contextmanager
def _started(program: Program, base: Path, options: Sequence[str]) -> Iterator[Server]:
    data, place = base / "data", base / "socket"
    require_short(program, place, SOCKET_BYTES)
    place.mkdir(mode=0o700)
    _let_in(place)
    _give(place)
    _write(data / "pg_hba.conf", _ACCESS.format(user=USER))
    _write(data / "pg_ident.conf", f'own "{_this_user()}" {USER}\n')
    given = dict(option.split("=", 1) for option in options)

    def command(port: int, password: str) -> list[str]:
        settings = {**OPTIONS, "port": str(port), "unix_socket_directories": str(place), **given}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(program.path), "-D", str(data), *words]

    def ask(port: int, password: str) -> str:
        return _ask(place, port, password)

    # Its processes are in sessions of their own, so that no signal reaches them but by it. QUIT ends them at once.
    with started(
        program,
        base / "log",
        command,
        ask,
        (driver().OperationalError,),
        ending="QUIT",
        cwd="/",
        user=_other_user(),
    ) as (port, password, version):
        yield Server(
            host="127.0.0.1",
            port=port,
            socket=str(place),
            user=USER,
            password=password,
            version=version,
            datadir=data,
            programs=program.path.parent,
        )


def _ask(place: Path, port: int, password: str) -> str:
    """Set the password. Returns the server's version."""
    # the socket is in a folder of ours, so no other server answers
    opened = driver().connect(host=str(place), port=port, user=USER, dbname=DATABASE, connect_timeout=2)
    with contextlib.closing(opened):
        opened.autocommit = True
        with opened.cursor() as cursor:
            cursor.execute(f"ALTER ROLE {USER} PASSWORD '{password}'")
            cursor.execute("SHOW server_version")
            return str(cursor.fetchone()[0]).split()[0]


def _other_user() -> str | None:
    """Whom the server runs as, if not as this user."""
    return "nobody" if os.geteuid() == 0 else None


def _this_user() -> str:
    """The name by which the server knows the user of this process."""
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def _let_in(folder: Path) -> None:
    """Let the server's user through a folder, who sees nothing in it by that."""
    if _other_user() is not None:
        folder.chmod(0o711)
        above = next((each for each in folder.parents if not each.stat().st_mode & 0o001), None)
        if above is not None:
            raise ServerError(
                f"Starting a private server: PostgreSQL does not run as root, and {_other_user()}, as whom it would "
                f"run, may not enter {above}. Set TMPDIR to a folder that everybody can enter, such as /tmp."
            )


def _give(folder: Path) -> None:
    """Give a folder and what is in it to the server's user."""
    user = _other_user()
    if user is not None:
        for place in (folder, *folder.rglob("*")):
            shutil.chown(place, user)


def _write(path: Path, text: str) -> None:
    """Write a file of the server's user."""
    atomic.write(path, text)
    _give(path)


def _folders() -> list[Path]:
    """Folders that may have the programs."""
    on_path = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    usual = [found for pattern in SERVER_FOLDERS for found in Path("/").glob(pattern.lstrip("/"))]
    return [*on_path, *sorted(usual, key=_number_in, reverse=True)]


def _number_in(folder: Path) -> int:
    number = re.search(r"\d+", str(folder))
    return int(number[0]) if number else 0


@functools.lru_cache(maxsize=64)
def _identify(path: Path) -> Program | None:
    path = path.resolve()  # initdb and the clients are beside it
    if not (path.is_file() and os.access(path, os.X_OK) and (path.parent / "initdb").exists()):
        return None
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30)
    version = re.search(r"PostgreSQL\)\s+(\S+)", answer.stdout)
    return None if answer.returncode or version is None else Program(path, version[1])
