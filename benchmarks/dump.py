"""Dump and restore: the scripts of a bundle, beside the client programs alone.

Baselines: the rows of the slice are copied into a database of their own; ``mysqldump | gzip`` of that, and
``gzip -dc | mysql`` of what it wrote, into a second server. The bytes of the blobs are the server's RANDOM_BYTES.
The dump is also made with mydumper, where the environment variable MYDUMPER names it.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from dj_sqlspy.servers import private_server

from .data import fresh_schema, numbers
from .measure import Figure, Place, give_room, in_process, peak_memory, seconds

SCHEMA = "bench_dump"
STAGED = "bench_dump_staged"
TABLES = ("recording", "unit", "spike")
CHOSEN = "recording % 2 = 1"
BLOB = 2_000  # bytes of each


def run(place: Place) -> list[Figure]:
    # rows of the slice, and how often each is measured
    sizes = [(2_000, 1)] if place.quick else [(10_000, 3), (100_000, 3), (1_000_000, 1)]
    found = []
    for rows, rounds in sizes:
        fill(place, rows)
        last = rows == sizes[-1][0] and not place.quick
        with tempfile.TemporaryDirectory() as folder, private_server(place.flavor) as target:  # type: ignore[arg-type]
            made = in_process("dump:bundle", place, folder=folder)
            give_room(target)
            options, into = client_file(place, folder, "source"), client_file(target, folder, "target")
            dumps, restores, by_mydumper = [], [], []
            for _ in range(rounds):
                plain = plain_dump(options, folder)
                if "MYDUMPER" in os.environ:
                    by_mydumper.append((plain, ours_dump(f"--engine=mydumper {options}", folder)))
                dumps.append((plain, ours_dump(options, folder)))
                restores.append((plain_restore(target, into, folder), ours_restore(target, into, folder)))
            written = Path(folder, "bundle", "dump.sql.gz").stat().st_size
        work = f"{rows:,} rows, {rows * BLOB / 2**20:,.0f} MiB of blobs"
        found += [
            figure(
                "dump",
                work,
                dumps,
                1.3 if last else None,
                made["memory"],
                f"file of {written / 2**20:,.0f} MiB",
                rows,
            ),
            *(
                [figure("dump --engine=mydumper", work, by_mydumper, note=mydumper_version(), size=rows)]
                if by_mydumper
                else []
            ),
            figure("restore", work, restores, 1.1 if last else None, None, "gzip and the client only", rows),
        ]
    with place.connect() as opened, opened.cursor() as cursor:
        for name in (SCHEMA, STAGED):
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
    return found


def figure(
    what: str,
    work: str,
    found: list[tuple[float, float]],
    limit: float | None = None,
    memory: int | None = None,
    note: str = "",
    size: int = 0,
) -> Figure:
    ratio = statistics.median(ours / plain for plain, ours in found)
    return Figure(
        what,
        work,
        statistics.median(plain for plain, _ in found),
        statistics.median(ours for _, ours in found),
        f"at most {limit} times" if limit else "",
        ratio <= limit if limit else None,
        ratio,
        memory,
        note,
        size,
    )


def fill(place: Place, rows: int) -> None:
    """Three tables; of each the rows of every other recording are in the slice, and staged."""
    recordings = max(rows // 1000, 2)
    with place.connect() as opened, opened.cursor() as cursor:
        for schema in (SCHEMA, STAGED):
            fresh_schema(cursor, schema)
            cursor.execute(
                f"CREATE TABLE {schema}.recording (recording INT PRIMARY KEY, note VARCHAR(40) NOT NULL)"
            )
            cursor.execute(
                f"CREATE TABLE {schema}.unit (recording INT, unit INT, rate DOUBLE NOT NULL,"
                f" PRIMARY KEY (recording, unit), FOREIGN KEY (recording) REFERENCES {schema}.recording (recording))"
            )
            cursor.execute(
                f"CREATE TABLE {schema}.spike (recording INT, unit INT, spike INT, waveform LONGBLOB NOT NULL,"
                f" PRIMARY KEY (recording, unit, spike),"
                f" FOREIGN KEY (recording, unit) REFERENCES {schema}.unit (recording, unit))"
            )
        numbers(cursor, SCHEMA, 2 * rows)
        every = f"FROM {SCHEMA}.numbers WHERE n < 2 *"
        cursor.execute(f"INSERT INTO {SCHEMA}.recording SELECT n, CONCAT('day ', n) {every} {recordings}")
        cursor.execute(f"INSERT INTO {SCHEMA}.unit SELECT n DIV 10, n % 10, n / 7 {every} {recordings * 10}")
        each = rows // (recordings * 10)
        for start in range(0, 2 * rows, 100_000):
            cursor.execute(
                f"INSERT INTO {SCHEMA}.spike SELECT n DIV {each} DIV 10, n DIV {each} % 10, n % {each},"
                f" CONCAT(RANDOM_BYTES({BLOB // 2}), RANDOM_BYTES({BLOB // 2})) {every} {rows}"
                f" AND n BETWEEN {start} AND {start + 99_999}"
            )
        for name in TABLES:
            cursor.execute(f"INSERT INTO {STAGED}.{name} SELECT * FROM {SCHEMA}.{name} WHERE {CHOSEN}")


def client_file(server: Any, folder: str, name: str) -> str:
    """Options for the client programs."""
    path = Path(folder, f"{name}.cnf")
    path.write_text(
        f"[client]\nhost={server.host}\nport={server.port}\nprotocol=TCP\nuser={server.user}\n"
        f"password={server.password}\n"
    )
    path.chmod(0o600)
    return f"--defaults-extra-file={path}"


def bundle(place: Place, folder: str) -> dict[str, Any]:
    """Write the bundle of a slice of every other recording."""
    from dj_sqlspy.journal import Statement
    from dj_sqlspy.paper.bundle import write_bundle
    from dj_sqlspy.servers.mysql.snapshot import plain_decoders
    from dj_sqlspy.slices import make_slice

    sql = f"SELECT `recording`,`unit`,`spike`,`waveform` FROM `{SCHEMA}`.`spike` WHERE ( ({CHOSEN}))"
    with place.connect(conv=plain_decoders()) as opened:
        cut = make_slice([Statement(sql, None, number=1)], opened)
        with place.connect() as plain:
            write_bundle(cut, Path(folder, "bundle"), connection=plain)
    return {"rows": {table.table.name: table.rows for table in cut.tables.values()}, "memory": peak_memory()}


def program(*names: str) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise RuntimeError(f"none of {', '.join(names)} is on PATH")
    return found


def shell(command: str) -> float:
    ended = []

    def once() -> None:
        ended.append(
            subprocess.run(["bash", "-c", f"set -eo pipefail; {command}"], capture_output=True, text=True)
        )

    taken = seconds(once)
    if ended[0].returncode:
        raise RuntimeError(f"{command}\n{ended[0].stderr}")
    return taken


def plain_dump(options: str, folder: str) -> float:
    dumper = program("mariadb-dump", "mysqldump")
    return shell(
        f"{dumper} {options} --single-transaction --hex-blob --no-tablespaces {STAGED} {' '.join(TABLES)}"
        f" | gzip -n > {folder}/plain.sql.gz"
    )


def ours_dump(options: str, folder: str) -> float:
    return shell(f"bash {folder}/bundle/dump.sh {options}")


def mydumper_version() -> str:
    told = subprocess.run([os.environ["MYDUMPER"], "--version"], capture_output=True, text=True, check=True)
    return told.stdout.partition(",")[0]


def plain_restore(target: Any, options: str, folder: str) -> float:
    with target.connect() as opened, opened.cursor() as cursor:
        fresh_schema(cursor, STAGED)
    client = program("mariadb", "mysql")
    taken = shell(f"gzip -dc {folder}/plain.sql.gz | {client} {options} {STAGED}")
    drop(target, STAGED)
    return taken


def ours_restore(target: Any, options: str, folder: str) -> float:
    taken = shell(f"bash {folder}/bundle/restore.sh {options}")
    drop(target, SCHEMA)
    return taken


def drop(server: Any, schema: str) -> None:
    with server.connect() as opened, opened.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {schema}")
