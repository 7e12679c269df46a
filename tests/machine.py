"""Installs what the tests and the demo need, if it is missing.

In: nothing but python3 (3.10 or later), pip and, on Debian, root or sudo. Out: a MariaDB server program, a
folder with a real MySQL 9, and a Python environment for each DataJoint line with this checkout installed.
What is there already is taken as it is, so a second call costs a second. It starts no service and changes no
option file. Only the standard library is used: this runs before there is an environment.

    python3 tests/machine.py python 0.14      # prints the path of an environment's interpreter
    python3 tests/machine.py mysql            # prints the folder with MySQL
    python3 tests/machine.py mariadb          # prints the server program
    python3 tests/machine.py mariadb trixie   # prints a folder with the MariaDB of that Debian
    python3 tests/machine.py postgresql       # prints the folder of PostgreSQL's server program
    python3 tests/machine.py postgresql trixie  # prints the folder of the programs of PostgreSQL of that Debian
    python3 tests/machine.py chromium         # prints the browser's
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dj-sqlspy"

# DataJoint line -> what pip installs beside the package and its test requirements
LINES: dict[str, list[str]] = {
    "0.14": ["datajoint>=0.14.10,<0.15", f"{CHECKOUT}[test,demo,clusters,nwb,dandi]"],
    "2.x": ["datajoint>=2.3,<3", f"{CHECKOUT}[test,dev,docs,s3,clusters,tpc,open,excel,croissant]"],
}
SERVER_FOLDERS = ("/usr/sbin", "/usr/local/sbin")
ATTEMPTS = 3


class Missing(RuntimeError):
    """Something is not there and could not be got."""


def say(text: str) -> None:
    """Tell what is going on; standard output is for the answer."""
    sys.stderr.write(f"== {text}\n")  # one write: several threads speak


def find(*names: str) -> str | None:
    """The first of these programs that is there."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *SERVER_FOLDERS])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def as_root(*command: str) -> list[str]:
    """The command as the superuser runs it."""
    if os.geteuid() == 0:
        return list(command)
    if find("sudo") is None:
        raise Missing(f"This needs root or sudo: {' '.join(command)}")
    return ["sudo", "--preserve-env=http_proxy,https_proxy,DEBIAN_FRONTEND", *command]


def run(
    command: Sequence[str],
    attempts: int = 1,
    before_retry: Callable[[], None] | None = None,
    errors_only: bool = False,
) -> None:
    """Run a command with its output on standard error, again if it fails; raise `Missing` in the end.

    ``errors_only``: of its output only what it says on standard error.
    """
    for attempt in range(1, attempts + 1):
        code = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if errors_only else sys.stderr,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        ).returncode
        if code == 0:
            return
        if attempt < attempts:
            say(f"failed ({code}), again in {5 * attempt} s: {' '.join(command)}")
            time.sleep(5 * attempt)
            if before_retry is not None:
                before_retry()
    raise Missing(f"This failed with code {code}: {' '.join(command)}")


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Hold a lock, so that two calls do not make the same thing."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def packages(*names: str) -> None:
    """Install Debian packages."""
    if find("apt-get") is None:
        raise Missing(f"Please install {' and '.join(names)}: this machine has no apt-get to do it with.")
    say(f"installing {' '.join(names)}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    stamp = CACHE / "apt-updated"

    def update() -> None:
        run(as_root("apt-get", "-qq", "-o", "Acquire::Retries=3", "update"), attempts=ATTEMPTS)
        stamp.touch()

    if not stamp.exists() or time.time() - stamp.stat().st_mtime > 3600:
        update()
    run(
        as_root(
            "apt-get",
            "-qq",
            "-y",
            "-o",
            "Acquire::Retries=3",
            "-o",
            "DPkg::Lock::Timeout=300",
            "install",
            "--no-install-recommends",
            *names,
        ),
        attempts=ATTEMPTS,
        before_retry=update,
        errors_only=True,  # dpkg names each package three times
    )


def mariadb() -> str:
    """The MariaDB server program. Debian's ``mariadb-server-core`` is the server without the service."""
    with one_at_a_time("packages"):
        if find("mariadbd") is None or find("mariadb-dump") is None or find("mariadb-install-db") is None:
            try:
                packages("mariadb-server-core", "mariadb-client")
            except Missing:
                # older releases have the version in that name; RUNLEVEL keeps the service of this one stopped
                os.environ["RUNLEVEL"] = "1"
                packages("mariadb-server")
    program = find("mariadbd")
    if program is None:
        raise Missing("mariadb-server was installed, and there is no mariadbd.")
    return program


def tools() -> None:
    """Programs that tests look at processes with, and that copy what lists name; a small Debian has none."""
    wanted = {"ps": "procps", "rsync": "rsync", "rclone": "rclone"}
    with one_at_a_time("packages"):
        missing = [package for program, package in wanted.items() if find(program) is None]
        if missing:
            packages(*missing)


def mysql() -> Path:
    """A folder with a Debian that holds MySQL 9: Debian has it in no release but its unstable branch."""
    place = Path(os.environ.get("SQLSPY_MYSQL_ROOT") or CACHE / "mysql-root")
    return debian("sid", "mysql-server-core,mysql-client-core", "mysqld", place)


def mariadb_of(suite: str) -> Path:
    """A folder with the Debian of that name and its MariaDB, to have a version that is not this machine's."""
    return debian(suite, "mariadb-server-core,mariadb-client", "mariadbd", CACHE / f"mariadb-{suite}")


def debian(suite: str, contents: str, server: str, place: Path) -> Path:
    """A folder with a small Debian that holds these packages, made by debootstrap where it is not there."""
    with one_at_a_time(place.name):
        if not (place / "usr/sbin" / server).exists():
            say(f"getting {server} of Debian {suite} into {place} (debootstrap, 650 MB, about a minute)")
            with debootstrapped(suite, contents, place) as work:
                work.rename(place)
    return place


@contextmanager
def debootstrapped(suite: str, contents: str, place: Path, *options: str) -> Iterator[Path]:
    """A folder beside a place, filled by debootstrap. It is removed at the end, unless it is renamed."""
    if find("debootstrap") is None:
        packages("debootstrap")
    debootstrap = find("debootstrap")
    assert debootstrap is not None
    place.parent.mkdir(parents=True, exist_ok=True)
    work = place.with_name(f"{place.name}.making-{os.getpid()}")
    log = CACHE / f"debootstrap-{suite}.log"

    def remove() -> None:
        subprocess.run(as_root("rm", "-rf", "--one-file-system", str(work)), check=False)

    command = [debootstrap, "--variant=minbase", *options, f"--include={contents}", suite, str(work)]
    command += filter(None, [os.environ.get("SQLSPY_DEBIAN_MIRROR")])
    try:
        with log.open("w") as out:
            for attempt in range(ATTEMPTS):
                if attempt:
                    say(f"debootstrap failed, again (log: {log})")
                    time.sleep(10 * attempt)
                    remove()
                done = subprocess.run(as_root(*command), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
                if done.returncode == 0:
                    break
            else:
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise Missing(f"debootstrap failed {ATTEMPTS} times. The end of {log}:\n{tail}")
        yield work
    finally:
        remove()


def postgresql_of(suite: str) -> Path:
    """The folder with the programs of PostgreSQL of the Debian of that name, for a version that is not this machine's.

    Its packages are only unpacked: installed, they would start a server. PostgreSQL does not run as root, so for root
    they are where every user can read them.
    """
    cache = Path("/var/cache/dj-sqlspy") if os.geteuid() == 0 else CACHE
    place = cache / f"postgresql-{suite}"
    with one_at_a_time(place.name):
        if not place.exists():
            say(f"getting PostgreSQL of Debian {suite} into {place} (debootstrap, 500 MB, about a minute)")
            with debootstrapped(suite, "postgresql", place, "--download-only") as work:
                files = sorted((work / "var/cache/apt/archives").glob("*.deb"))
                root = work.with_name(f"{work.name}-unpacked")
                try:
                    for file in files:
                        run(["dpkg-deb", "--extract", str(file), str(root)])
                    root.chmod(0o755)
                    for programs in root.glob("usr/lib/postgresql/*/bin"):
                        run_by_own_loader(programs, root, place)
                    root.rename(place)
                finally:
                    shutil.rmtree(root, ignore_errors=True)
    return next(place.glob("usr/lib/postgresql/*/bin"))


def run_by_own_loader(programs: Path, root: Path, place: Path) -> None:
    """Replace programs by scripts that run them with the loader and the libraries of their root, once that is in place.

    By its own name a program finds its files and the other programs.
    """
    loader = next(root.glob("usr/lib*/ld-linux-*.so.*")).relative_to(root)
    libraries = next(root.glob("usr/lib/*-linux-gnu")).relative_to(root)
    binaries = programs.rename(programs.with_name("binaries"))
    programs.mkdir()
    for binary in binaries.iterdir():
        script, program = (
            place / (folder / binary.name).relative_to(root) for folder in (programs, binaries)
        )
        words = [place / loader, "--argv0", script, "--library-path", place / libraries, program]
        (programs / binary.name).write_text(f'#!/bin/sh\nexec {shlex.join(map(str, words))} "$@"\n')
        (programs / binary.name).chmod(0o755)


def postgresql() -> Path:
    """The folder with PostgreSQL's server program, which Debian has on no path, and with initdb."""
    with one_at_a_time("packages"):
        if not (found := sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))):
            os.environ["RUNLEVEL"] = "1"  # keeps its service stopped
            packages("postgresql")
            found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    program = find("postgres") or (found[-1] if found else None)
    if program is None:
        raise Missing("postgresql was installed, and there is no /usr/lib/postgresql/*/bin/postgres.")
    return Path(program).resolve().parent


def chromium() -> str:
    """A browser, for the tests of pages."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next(filter(None, map(find, names)), None)
    if program is None:
        packages("chromium")
        program = find("chromium")
    if program is None:
        raise Missing("chromium was installed, and there is no chromium on PATH.")
    return program


def python(line: str) -> Path:
    """The interpreter of the environment for a DataJoint line, with this checkout installed editable."""
    if sys.version_info < (3, 10):  # noqa: UP036 - this file runs before pip could refuse
        raise Missing(f"Python 3.10 or later is needed; {sys.executable} is {sys.version.split()[0]}.")
    folder = CHECKOUT / f".venv-{line}"
    interpreter, stamp = folder / "bin" / "python", folder / "made-of"
    contents = f"{sys.version} {LINES[line]} {(CHECKOUT / 'pyproject.toml').read_text()}"
    made_of = hashlib.sha256(contents.encode()).hexdigest()
    with one_at_a_time(f"venv-{line}"):
        if interpreter.exists() and stamp.exists() and stamp.read_text() == made_of:
            return interpreter
        with one_at_a_time("packages"):
            need_venv()
        say(f"making {folder} (DataJoint {line})")
        if not _runs_this_python(interpreter):
            venv.create(folder, with_pip=True, clear=True)
        install(interpreter, LINES[line])
        stamp.write_text(made_of)
    return interpreter


def install(interpreter: Path, requirements: Sequence[str]) -> None:
    """Install a DataJoint and the checkout into an environment.

    With uv, which resolves in seconds what takes pip of some releases half an hour (an S3 client and an S3 server that
    disagree about what they share); where uv cannot, as behind an index that only pip is told of, with pip.
    """
    pip = [str(interpreter), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--retries", "10"]
    wanted = [requirements[0], "-e", requirements[1]]
    try:
        run([*pip, "uv"], attempts=ATTEMPTS)
        uv = [str(interpreter), "-m", "uv", "pip", "install", "-q", "--python", str(interpreter)]
        run([*uv, *wanted], attempts=ATTEMPTS)
    except Missing as error:
        say(f"{error} Trying pip.")
        run([*pip, "--no-compile", *wanted], attempts=ATTEMPTS)


def _runs_this_python(interpreter: Path) -> bool:
    """Whether an environment is there, whole, and of this very Python: pip then only has to bring it up to date."""
    if not interpreter.exists():
        return False
    question = [str(interpreter), "-c", "import pip, sys; print(sys.version)"]
    return subprocess.run(question, capture_output=True, text=True).stdout.strip() == sys.version.strip()


def need_venv() -> None:
    """Debian keeps what ``python3 -m venv`` needs in a package of its own."""
    if subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True).returncode:
        packages("python3-venv")


def main(arguments: Sequence[str]) -> int:
    """Get what the arguments name, and print where it is."""
    try:
        if len(arguments) == 2 and arguments[0] == "python" and arguments[1] in LINES:
            print(python(arguments[1]))
        elif list(arguments) == ["mysql"]:
            print(mysql())
        elif list(arguments) == ["mariadb"]:
            print(mariadb())
        elif len(arguments) == 2 and arguments[0] == "mariadb":
            print(mariadb_of(arguments[1]))
        elif list(arguments) == ["postgresql"]:
            print(postgresql())
        elif len(arguments) == 2 and arguments[0] == "postgresql":
            print(postgresql_of(arguments[1]))
        elif list(arguments) == ["chromium"]:
            print(chromium())
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except Missing as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
