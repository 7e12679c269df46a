"""Private servers: a temporary MySQL or MariaDB for the length of a ``with`` block.

In: a flavor. Out: a running server on a temporary data directory, reachable at 127.0.0.1 and by a socket, with a random
password. The server and its data are deleted when the block ends, even if this process is killed. ``verify``,
``dj-sqlspy demo`` and the tests use such servers. It installs nothing and never touches a server, an option file or a
data directory that it did not create.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pymysql

from ... import atomic
from ...errors import ServerError
from ..private import cache_folder, end_of, in_folder, made_once, require_short, started
from .dialect import MYSQL

Flavor = Literal["mysql", "mariadb"]

# Debian and others install the server programs outside of an ordinary user's PATH.
SERVER_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/mysql/bin", "/opt/homebrew/bin")

# Nobody needs this data after a crash, so nothing is flushed, written twice or logged. Text is utf8mb4 on both flavors,
# as Debian sets it; MariaDB before 11.6 would use latin1. loose: servers that do not know the option ignore it.
OPTIONS = (
    "--skip-name-resolve",
    "--bind-address=127.0.0.1",
    "--character-set-server=utf8mb4",
    "--max-allowed-packet=1G",
    "--performance-schema=OFF",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--loose-innodb-flush-method=nosync",
)
FLAVOR_OPTIONS: dict[str, tuple[str, ...]] = {
    "mysql": ("--mysqlx=OFF", "--disable-log-bin", "--secure-file-priv=NULL"),
    "mariadb": ("--skip-log-bin", "--loose-sync-frm=OFF", "--loose-aria-sync-log-dir=NEVER"),
}
# Defaults that differ between versions of MariaDB, set to one value (unless `own_defaults`).
PINS: dict[str, tuple[str, ...]] = {
    "mysql": (),
    "mariadb": ("--collation-server=utf8mb4_general_ci", "--skip-ssl"),
}

# Programs that are looked for in a root (`root_programs`) of each flavor, the server first.
ROOT_PROGRAMS: dict[str, tuple[str, ...]] = {
    "mysql": (
        "usr/sbin/mysqld",
        *(f"usr/bin/{name}" for name in ("mysql", "mysqldump", "mysqladmin", "mysql_config_editor")),
    ),
    "mariadb": (
        "usr/sbin/mariadbd",
        *(f"usr/bin/{name}" for name in ("mariadb", "mariadb-dump", "my_print_defaults", "resolveip")),
    ),
}
# File sizes are fixed when a data directory is made; small files are quick to copy. loose: MySQL before 8.0.30 names
# the option differently, and keeps its default.
SIZE_OPTIONS: dict[str, tuple[str, ...]] = {
    "mysql": ("--loose-innodb-redo-log-capacity=64M",),
    "mariadb": ("--innodb-log-file-size=32M",),
}

# Options that a server needs both when its data directory is made and when it starts.
LASTING_OPTIONS = ("--lower-case-table-names=",)


@dataclass(frozen=True)
class Program:
    """A server program that can be started.

    Attributes
    ----------
    path : Path
        The ``mysqld`` or ``mariadbd``.
    flavor : "mysql" or "mariadb"
    version : str
        From ``--version``, e.g. ``10.11.19-MariaDB``.
    """

    path: Path
    flavor: Flavor
    version: str


@dataclass(frozen=True)
class Server:
    """A running private server.

    Attributes
    ----------
    host, port, socket : where it listens
    user, password : an account with all privileges
    flavor : "mysql" or "mariadb"
    version : str
        From ``SELECT VERSION()``.
    datadir : Path
        Its data; deleted when it stops.
    tls : bool
        Whether it accepts TLS, with a certificate that it made itself.
    """

    host: str
    port: int
    socket: str
    user: str
    password: str = field(repr=False)
    flavor: Flavor
    version: str
    datadir: Path
    tls: bool

    def connect(self, **options: Any) -> pymysql.connections.Connection[Any]:
        """Open a new pymysql connection, autocommit on; ``options`` go to `pymysql.connect`."""
        settings: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "charset": "utf8mb4",
            "autocommit": True,
            **_tls(self.tls),
        }
        settings.update(options)
        return pymysql.connect(**settings)

    def limited_to(self, schemas: Iterable[str]) -> Server:
        """The same server with a new account that has all privileges on these schemas, and no others.

        It has no global privilege such as FILE or SUPER.

        Raises
        ------
        ServerError
            If one of them is the server's own.
        """
        name, password = f"of_{secrets.token_hex(6)}", secrets.token_hex(16)
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE USER '{name}'@'%' IDENTIFIED BY '{password}'")
            for schema in sorted(set(schemas)):
                if schema.lower() in MYSQL.system_schemas:
                    raise ServerError(
                        f"Loading into the schema {schema}: it is the server's own, and no bundle's."
                    )
                pattern = MYSQL.quote(re.sub(r"([_%\\])", r"\\\1", schema))  # GRANT reads a pattern
                cursor.execute(f"GRANT ALL PRIVILEGES ON {pattern}.* TO '{name}'@'%'")
        return replace(self, user=name, password=password)

    def defaults_file(self) -> Path:
        """A client option file (readable by this user only) for ``mysql --defaults-extra-file=...``."""
        path = self.datadir.parent / "client.cnf"
        if not path.exists():
            text = (
                f"[client]\nhost={self.host}\nport={self.port}\nprotocol=TCP\n"
                f"user={self.user}\npassword={self.password}\n"
            )
            if not self.tls:  # MariaDB's clients from 11.4 on require it
                text += "[client-mariadb]\nskip-ssl\n"
            atomic.write(path, text)
        return path


def find_server(flavor: Flavor | None = None) -> Program | None:
    """The first server program of a flavor (None: any) on PATH or in the usual folders, or None.

    The program itself tells its flavor, since Debian's ``mysqld`` is MariaDB.
    """
    folders = [*os.environ.get("PATH", "").split(os.pathsep), *SERVER_FOLDERS]
    names = ("mariadbd", "mysqld") if flavor == "mariadb" else ("mysqld", "mariadbd")
    for folder in dict.fromkeys(folder for folder in folders if folder):
        for name in names:
            program = _identify(Path(folder, name))
            if program is not None and flavor in (None, program.flavor):
                return program
    return None


def require_server(flavor: Flavor | None = None, root: str | Path | None = None) -> Program:
    """The program that `private_server` would start.

    Raises
    ------
    ServerError
        If there is none.
    """
    program = _root_server(root) if root else find_server(flavor)
    if program is None or flavor not in (None, program.flavor):
        wanted = flavor or "MySQL or MariaDB"
        place = f"in {root}" if root else "on PATH"
        raise ServerError(
            f"Starting a private server: no {wanted} server program was found {place}. Install one"
            " (Debian, Ubuntu: apt-get install mariadb-server; macOS: brew install mariadb;"
            " conda: conda install -c conda-forge mysql-server)."
        )
    return program


@contextlib.contextmanager
def private_server(
    flavor: Flavor | None = None,
    root: str | Path | None = None,
    options: Sequence[str] = (),
    own_defaults: bool = False,
) -> Iterator[Server]:
    """Start a private server, and stop and delete it at the end.

    Parameters
    ----------
    flavor : "mysql", "mariadb" or None
        None takes any on PATH.
    root : path, optional
        A folder with a Debian system that contains a server, made by debootstrap (`root_programs`).
    options : sequence of str
        More options of the server program, such as ``--read-only=ON``. They override the usual ones.
    own_defaults : bool
        Keep the version's own defaults of collation and TLS.

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
    program = require_server(flavor, root)
    lasting = tuple(option for option in options if option.startswith(LASTING_OPTIONS))
    pins = () if own_defaults else PINS[program.flavor]

    def start(base: Path) -> contextlib.AbstractContextManager[Server]:
        shutil.copytree(template(program, lasting), base / "data")
        return _started(program, base, (*pins, *options))

    with in_folder(start) as server:
        yield server


def _root_server(root: str | Path) -> Program | None:
    folder = root_programs(root)
    return _identify(folder / "mysqld") or _identify(folder / "mariadbd")


def template(program: Program, options: Sequence[str] = ()) -> Path:
    """A fresh data directory of a program, made once and cached. Servers start on copies of it.

    Parameters
    ----------
    program : Program
    options : sequence of str
        More options to make it with (`LASTING_OPTIONS`).

    Raises
    ------
    ServerError
        If the program cannot make one.
    """
    made_with = (*SIZE_OPTIONS[program.flavor], *options)
    return made_once(program, made_with, lambda work: _initialize(program, work, made_with))


def root_programs(root: str | Path) -> Path:
    """A folder of small scripts that run the programs inside of a debootstrap root, to be put on PATH.

    A script starts the root's dynamic loader with the root's libraries. So no chroot is needed, which only the
    superuser may do, and the data directory can be anywhere.

    Parameters
    ----------
    root : path
        Made by ``debootstrap --variant=minbase --include=mysql-server-core,mysql-client-core sid ROOT``, or for
        MariaDB with ``--include=mariadb-server-core,mariadb-client trixie``.

    Raises
    ------
    ServerError
        If ``root`` is not such a folder.
    """
    root = Path(root).resolve()
    loaders = sorted(root.glob("usr/lib*/ld-linux-*.so.*")) or sorted(root.glob("usr/lib/*/ld-linux-*.so.*"))
    libraries = sorted(root.glob("usr/lib/*-linux-gnu"))
    flavors = [name for name, (server, *_) in ROOT_PROGRAMS.items() if (root / server).exists()]
    if not loaders or not libraries or not flavors:
        raise ServerError(
            f"Using the server in {root}: there is no usr/sbin/mysqld or mariadbd and dynamic loader in it. Make it"
            f" by: debootstrap --variant=minbase --include=mysql-server-core,mysql-client-core sid {root}"
        )
    flavor = flavors[-1]  # in a MariaDB root, mysqld is another name of mariadbd
    folder = cache_folder() / "bin" / hashlib.sha256(f"{flavor} {root}".encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    share = root / "usr/share" / flavor
    for name in ROOT_PROGRAMS[flavor]:
        program = root / name
        loader = [loaders[0], "--argv0", program, "--library-path", libraries[0], program]
        # options with the server's places come last, since --no-defaults must be the first
        places = [
            f"--basedir={root / 'usr'}",
            f"--lc-messages-dir={share}",
            f"--character-sets-dir={share / 'charsets'}",
            f"--plugin-dir={root / 'usr/lib/mysql/plugin'}",
        ]
        options = shlex.join(places) if name == ROOT_PROGRAMS[flavor][0] else ""
        _write_script(folder / program.name, f'exec {shlex.join(map(str, loader))} "$@" {options}')
    if flavor == "mariadb":  # its installer is a script that needs everything in one folder
        for name, target in (("bin", folder), ("sbin", folder), ("share", root / "usr/share")):
            if not (folder / name).is_symlink():
                with contextlib.suppress(FileExistsError):  # another process was first
                    (folder / name).symlink_to(target)
        installer = shlex.quote(str(root / "usr/bin/mariadb-install-db"))
        _write_script(
            folder / "mariadb-install-db",
            f'exec /bin/sh {installer} "$@" {shlex.quote(f"--basedir={folder}")}',
        )
    return folder


def _write_script(script: Path, command: str) -> None:
    text = f"#!/bin/sh\n{command}\n"
    if not script.exists() or script.read_text() != text:
        atomic.write(script, text, 0o755)


@functools.lru_cache(maxsize=64)
def _identify(path: Path) -> Program | None:
    if not (path.is_file() and os.access(path, os.X_OK)):
        return None
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30)
    version = re.search(r"Ver\s+(\S+)", answer.stdout)
    if answer.returncode or version is None:
        return None
    # "10.11.19-MariaDB-0+deb12u1" and "9.7.4-2", without the distribution's suffix
    number = re.match(r"[\d.]+(-MariaDB)?", version[1])
    flavor: Flavor = "mariadb" if "MariaDB" in version[1] else "mysql"
    return Program(path, flavor, number[0] if number else version[1])


def _tls(has_it: bool) -> dict[str, Any]:
    # At an account's first login, MySQL's default authentication needs TLS or the package `cryptography`. A dict that
    # is not empty makes pymysql use TLS without checking the certificate.
    return {"ssl": {"check_hostname": False}} if has_it else {"ssl_disabled": True}


def _run_as() -> tuple[str, ...]:
    # A server refuses to run as root without this option.
    return ("--user=root",) if os.getuid() == 0 else ()


def _initialize(program: Program, work: Path, options: Sequence[str]) -> None:
    data, log = work / "data", work / "log"
    if program.flavor == "mysql":
        command = [str(program.path), "--no-defaults", *_run_as(), "--initialize-insecure"]
    else:
        command = [
            _installer(program),
            "--no-defaults",
            *_run_as(),
            "--auth-root-authentication-method=normal",
        ]
        command += ["--skip-test-db", "--skip-name-resolve"]
    command += [f"--datadir={data}", *options]
    with log.open("wb") as out:
        code = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=300
        ).returncode
    if code:
        raise ServerError(f"Making a data directory with {command[0]} failed ({code}):\n{end_of(log)}")
    (data / "auto.cnf").unlink(missing_ok=True)  # holds the server's UUID, which no two servers may share


def _installer(program: Program) -> str:
    places = [program.path.parent, program.path.parent.parent / "bin", program.path.parent.parent / "scripts"]
    for name in ("mariadb-install-db", "mysql_install_db"):
        found = shutil.which(name, path=os.pathsep.join(map(str, places))) or shutil.which(name)
        if found:
            return found
    raise ServerError(
        f"Making a data directory for {program.path}: mariadb-install-db is neither beside it nor on PATH."
        " It comes with the same package as the server (Debian: mariadb-server)."
    )


@contextlib.contextmanager
def _started(program: Program, base: Path, options: Sequence[str] = ()) -> Iterator[Server]:
    datadir, sock, init = base / "data", base / "sock", base / "init.sql"
    require_short(program, sock)
    # a starting server deletes all temporary tables in its tmpdir, also those of other servers
    temporary = base / "tmp"
    temporary.mkdir(exist_ok=True)
    # statements may read and write files only in an empty folder, or nowhere if the server has that option
    nowhere = base / "nowhere"
    nowhere.mkdir(mode=0o500, exist_ok=True)

    def command(port: int, password: str) -> list[str]:
        atomic.write(init, _accounts(program.flavor, password))
        return [
            str(program.path),
            "--no-defaults",
            *_run_as(),
            f"--datadir={datadir}",
            f"--tmpdir={temporary}",
            f"--socket={sock}",
            f"--pid-file={base / 'pid'}",
            f"--port={port}",
            f"--init-file={init}",
            f"--secure-file-priv={nowhere}",
            *OPTIONS,
            *FLAVOR_OPTIONS[program.flavor],
            *SIZE_OPTIONS[program.flavor],
            *options,
        ]

    def ask(port: int, password: str) -> tuple[str, bool]:
        return _ask(port, password, program)

    # killed at the end: the data is deleted next, so an orderly shutdown (one to two seconds) would gain nothing
    with started(
        program, base / "log", command, ask, (pymysql.MySQLError, OSError), ending="KILL", cwd=base
    ) as (port, password, (version, tls)):
        init.unlink()
        yield Server(
            host="127.0.0.1",
            port=port,
            socket=str(sock),
            user="root",
            password=password,
            flavor=program.flavor,
            version=version,
            datadir=datadir,
            tls=tls,
        )


def _ask(port: int, password: str, program: Program) -> tuple[str, bool]:
    """Its version and whether it has TLS."""
    # The password is new, so only this server accepts it, not another on the same port. Another program could accept
    # the connection and stay silent, hence the timeouts.
    with pymysql.connect(
        host="127.0.0.1",
        port=port,
        user="root",
        password=password,
        connect_timeout=2,
        read_timeout=2,
        **_tls(program.flavor == "mysql"),
    ) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT VERSION()")
        version = str(cursor.fetchone()[0])
        # MySQL 9 has no such variable, and always has TLS
        cursor.execute("SHOW GLOBAL VARIABLES LIKE 'have_ssl'")
        return version, (cursor.fetchone() or ("", "YES"))[1] == "YES"


def _accounts(flavor: Flavor, password: str) -> str:
    # One statement a line, as --init-file requires. Names are not resolved, so TCP needs an account for any host. In
    # MariaDB, root without password at 127.0.0.1 would match first.
    lines = [f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';"]
    if flavor == "mariadb":
        lines.append("DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1';")
    lines += [
        f"CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '{password}';",
        f"ALTER USER 'root'@'%' IDENTIFIED BY '{password}';",
        "GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;",
    ]
    return "\n".join(lines) + "\n"
