"""Untrusted input: the files of a bundle, a home to merge, a shared log.

Anything invalid is refused in a sentence, before anything is read, written or run elsewhere.
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import json
import os
import re
import shutil
import socket
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pymysql
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy import compat
from dj_sqlspy.bundle import firstrows, reading
from dj_sqlspy.bundle import folder as bundle_folder
from dj_sqlspy.bundle.folder import BundleFolder, check_place
from dj_sqlspy.bundle.manifest import manifest_text
from dj_sqlspy.bundle.texts import refresh
from dj_sqlspy.cli import main
from dj_sqlspy.errors import BundleError, JournalError, ServerError
from dj_sqlspy.journal import Journal, journal_line, upkeep
from dj_sqlspy.paper import sharedlog
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.replay.digests import read_digests
from dj_sqlspy.rules import POLICIES
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql.connect import client_options
from dj_sqlspy.servers.shellwords import CALLS, calls
from tests.conftest import user_schemas
from tests.filled import FIRST_ROWS, INSPECTION, MANIFEST, REPLAY, leaves, put
from tests.test_shared_log import lab, log, read

pytestmark = pytest.mark.separately

__all__ = ["lab", "log"]

no_server = pytest.mark.flavor("mariadb")

HEX = "0" * 64
DIGESTS: dict[str, Any] = {
    "format": "dj-sqlspy digests",
    "format_version": 1,
    "created": "2026-01-04T03:04:05+00:00",
    "dump": {"size": 1, "sha256": HEX},
    "server": {"flavor": "mysql", "version": "9.0"},
    "session": {"time_zone": "+00:00"},
    "tables": [{"name": "`a`.`b`", "columns": ["c"], "forms": ["text"], "rows": 1, "digest": HEX}],
    "statements": [
        {
            "sql_sha256": HEX,
            "numbers": [1],
            "columns": ["c"],
            "forms": ["float"],
            "rows": 1,
            "digest": HEX,
            "ordered_digest": None,
        }
    ],
}
FILES = {
    "manifest.json": MANIFEST,
    "digests.json": DIGESTS,
    "replay.json": REPLAY,
    "inspection.json": INSPECTION,
    "first-rows.json": FIRST_ROWS,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle of which every file of JSON is there."""
    place = tmp_path / "bundle"
    for name in ("code", "source-data"):
        (place / name).mkdir(parents=True)
    for name, value in FILES.items():
        (place / name).write_text(manifest_text(value))
    return place


def look(folder: Path) -> None:
    """Read all that there is to read in a bundle."""
    bundle = BundleFolder(folder)
    read_digests(bundle.path)
    refresh(bundle.path, bundle.manifest)


# --- the files of a bundle -----------------------------------------------------------------------------------


@no_server
def test_a_bundle_as_dj_sqlspy_writes_it_is_read(folder: Path) -> None:
    look(folder)


@no_server
@pytest.mark.parametrize("name", FILES)
def test_another_type_in_any_field_is_refused(folder: Path, name: str) -> None:
    """Of every field of every file; nobody who reads them has to ask what is in it."""
    value: Any = FILES[name]
    for path, leaf in leaves(value):
        if path[-1] == "format":
            continue  # then it is no such file
        made = copy.deepcopy(value)
        put(made, path, {"in": [leaf]})
        (folder / name).write_text(json.dumps(made))
        with pytest.raises(BundleError, match=rf"{name}|format version"):
            look(folder)


@no_server
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_json_or_is_too_deep_or_too_large_is_refused(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for text, why in (
        ("{", "not JSON"),
        ('"\\ud800', "not JSON"),
        ('"\\ud800"', "not JSON"),
        (f"[1{'0' * 20}]", "too large a number"),
        ('{"a": NaN}', "NaN"),
        ("[" * 100_000, "too deep"),
    ):
        (folder / name).write_text(text)
        with pytest.raises(BundleError, match=why):
            look(folder)
    (folder / name).write_bytes(b"\xff")
    with pytest.raises(BundleError, match="not JSON"):
        look(folder)
    monkeypatch.setattr(reading, "LARGEST", 5 << 20)
    with (folder / name).open("wb") as file:
        file.truncate((5 << 20) + 1)  # takes no place on the disk
    with pytest.raises(BundleError, match="larger than 5 MiB"):
        look(folder)
    if name != "digests.json":
        assert main(["report", str(folder)]) == 1
        said = capsys.readouterr().err
        assert "larger than" in said and "Traceback" not in said


@no_server
@pytest.mark.parametrize(
    ("way", "most"),
    [
        (("tables",), firstrows.ENTRIES),
        (("results",), firstrows.ENTRIES),
        (("tables", 0, "rows"), firstrows.ROWS),
        (("tables", 0, "rows", 0), firstrows.COLUMNS),
        (("results", 0, "columns"), firstrows.COLUMNS),
        (("results", 0, "columns", 1, "histogram", "counts"), firstrows.BINS),
        (("tables", 0, "rows", 0, 2, "line", "points"), firstrows.POINTS),
        (("tables", 0, "rows", 0, 0), firstrows.CHARACTERS + 2),
        (("tables", 0, "rows", 0, 2, "text"), firstrows.CHARACTERS + 2),
    ],
    ids=lambda given: "-".join(map(str, given)) if isinstance(given, tuple) else "",
)
def test_first_rows_are_few(folder: Path, way: tuple[Any, ...], most: int) -> None:
    """The page has at most as much of each as dj-sqlspy writes, whatever a bundle says."""
    for size, fits in ((most, True), (2 * most, False)):
        made = copy.deepcopy(FIRST_ROWS)
        inner: Any = made
        for key in way:
            inner = inner[key]
        put(made, way, "x" * size if isinstance(inner, str) else inner[:1] * size)
        (folder / "first-rows.json").write_text(json.dumps(made))
        with (
            contextlib.nullcontext()
            if fits
            else pytest.raises(BundleError, match=r"first-rows\.json: it does")
        ):
            look(folder)


@no_server
def test_paths_stay_inside(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("mine")
    for path in ("code/../../private", "code/..", "code/.", "private", f"{tmp_path}/private", "code/a\0"):
        manifest = copy.deepcopy(MANIFEST)
        manifest["code"][0]["path"] = path
        (folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(BundleError, match="path must match pattern"):
            look(folder)


@no_server
def test_a_key_of_a_table_that_is_not_there(folder: Path) -> None:
    manifest = copy.deepcopy(MANIFEST)
    manifest["foreign_keys"][0]["parent"] = "`other`.`table`"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="does not fit the tables"):
        look(folder)
    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    digests = copy.deepcopy(DIGESTS)
    digests["statements"][0]["forms"] *= 2
    (folder / "digests.json").write_text(json.dumps(digests))
    with pytest.raises(BundleError, match="not as many"):
        look(folder)


@no_server
@pytest.mark.parametrize(
    "name",
    [*FILES, "dump.sh", "restore.sh", "dump.sql.gz", "README.md", "code/fig.py", "source-data/SHA256SUMS"],
)
@pytest.mark.parametrize("kind", ["link", "pipe", "socket"])
def test_links_and_special_files_are_refused(folder: Path, tmp_path: Path, name: str, kind: str) -> None:
    """None is opened: a pipe that nobody writes to would be waited for forever."""
    file = folder / name
    assert name != "code/fig.py" or name in {one["path"] for one in MANIFEST["code"]}
    (tmp_path / "private").write_text(file.read_text() if file.exists() else "mine")
    file.unlink(missing_ok=True)
    if kind == "link":
        file.symlink_to(tmp_path / "private")
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        here = os.open(folder / name.rpartition("/")[0], os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as made:  # a short path, which is all that sockets take
            made.bind(f"/proc/self/fd/{here}/{file.name}")
        os.close(here)
    with pytest.raises(BundleError, match="symbolic link" if kind == "link" else "special file"):
        look(folder)
    assert file.is_symlink() is (kind == "link") and (tmp_path / "private").exists()


@no_server
@pytest.mark.parametrize("name", ["code", "source-data"])
def test_a_folder_that_is_elsewhere(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).rmdir()
    (tmp_path / "lab").mkdir()
    (folder / name).symlink_to(tmp_path / "lab")
    with pytest.raises(BundleError, match="symbolic link"):
        look(folder)


@no_server
def test_what_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": "of another program"}')
    with pytest.raises(BundleError, match="neither empty nor a bundle"):
        check_place(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match="not JSON"):
        check_place(tmp_path)


# --- a home to merge -----------------------------------------------------------------------------------------


def captured(home: Path, analysis: str = "fig") -> Path:
    made = Journal(home, "p", analysis, POLICIES)
    made.start()
    made.statement("SELECT 1", 1, "data", "", 0)
    made.end()
    assert made.path is not None
    return made.path


@no_server
@pytest.mark.parametrize("level", ["file", "run", "analysis", "paper"])
def test_merge_takes_regular_files_only(tmp_path: Path, level: str) -> None:
    private, there, here = tmp_path / "private", tmp_path / "there", tmp_path / "here"
    captured(private)
    journal = captured(there)
    depth = ("file", "run", "analysis", "paper").index(level)
    place = (journal, *journal.parents)[depth]
    original = next(private.rglob("*.journal"))
    place.rename(tmp_path / "away")
    place.symlink_to((original, *original.parents)[depth])
    with pytest.raises(JournalError, match="symbolic link"):
        upkeep.merge(there, here)
    assert not list(here.rglob("*.journal"))


@no_server
def test_merge_opens_no_pipe(tmp_path: Path) -> None:
    journal = captured(tmp_path / "there")
    journal.unlink()
    os.mkfifo(journal)
    with pytest.raises(JournalError, match="special file"):
        upkeep.merge(tmp_path / "there", tmp_path / "here")


@no_server
def test_code_is_taken_where_it_was_captured_here(home: Path, tmp_path: Path) -> None:
    """A journal that came from elsewhere names a private file of this machine, which stays where it is."""
    private, mine = tmp_path / "private", tmp_path / "mine.py"
    private.write_text("secret")
    mine.write_text("pass")

    def naming(path: Path, program: Path) -> None:
        lines = path.read_bytes().splitlines(keepends=True)
        header = json.loads(lines[0][9:]) | {"program": {"path": str(program), "sha256": None}}
        path.write_bytes(b"".join([journal_line(header), *lines[1:]]))

    naming(captured(tmp_path / "there", "theirs"), private)
    naming(captured(home, "mine"), mine)
    upkeep.merge(tmp_path / "there")
    found = {one.path: (one.state, one.text) for one in sqlspy.Paper("p").code}
    assert found == {"code/mine.py": ("unknown", b"pass"), "code/private": ("elsewhere", None)}
    upkeep.merge(tmp_path / "there")
    assert sqlspy.Paper("p").code[1].state == "elsewhere"
    (run,) = (tmp_path / "there" / "p" / "theirs").iterdir()
    os.rename(
        run / next(run.iterdir()).name, run / "1-00000000.journal"
    )  # beside what is here, in the same run
    upkeep.merge(tmp_path / "there")
    assert sqlspy.Paper("p").code[1].state == "elsewhere"


# --- a shared log ----------------------------------------------------------------------------------------------


@no_server
def test_a_block_holds_no_more_than_it_says() -> None:
    for text in (b"a line\n", b"a line\n" * 10_000):
        assert compat.unpacked(compat.packed(text), len(text)) == text
        with pytest.raises(ValueError, match="more than the"):
            compat.unpacked(compat.packed(text), len(text) - 1)
    large = b"mYm\0\6" + (50 << 20).to_bytes(8, "little") + bytes(50 << 20)
    block = b"ZL123\0" + len(large).to_bytes(8, "little") + zlib.compress(large)
    with pytest.raises(ValueError, match="more than the 1,000 bytes"):
        compat.unpacked(block, 1000)
    for other in (b"", b"mYm\0\6", b"ZL123\0" + bytes(20), compat.packed(b"x")[:-1], b"dj0\0\5" + bytes(9)):
        with pytest.raises(ValueError):
            compat.unpacked(other, 1000)


@pytest.fixture
def shared(lab: SimpleNamespace, log: str, tmp_path: Path) -> Callable[[str], sqlspy.Paper]:
    """A log in which a stranger has changed a row; who reads it, with an empty home."""
    read(lab, "fig1", 1, 2)

    def change(sql: str) -> sqlspy.Paper:
        connection = lab.connection
        connection.query("SET FOREIGN_KEY_CHECKS = 0")
        connection.query(sql.format(log=log))
        return sqlspy.Paper("paper", home=tmp_path / "empty")

    return change


@pytest.mark.parametrize(
    "name", ["../../../../x", "/tmp/x", "000001-20260102T030405678901-ab12/../../../x", "..", "", "a"]
)
@pytest.mark.parametrize("column", ["run", "journal"])
def test_names_in_a_shared_log_are_names(
    shared: Any, tmp_path: Path, column: str, name: str, capsys: Any, log: str
) -> None:
    table = "export_selection" if column == "run" else "export_selection__statement"
    paper = shared(f"UPDATE `{{log}}`.`{table}` SET `{column}` = '{name}'")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(JournalError, match="not all of these are names"):
        _ = paper.statements
    assert sorted(tmp_path.rglob("*")) == before
    assert main(["show", "paper"]) == 1 and "Traceback" not in capsys.readouterr().err
    paper.forget()  # as the message says
    assert paper.statements == []


def test_blocks_of_a_shared_log_are_bounded(shared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    paper = shared("UPDATE `{log}`.export_selection__statement SET size = 10")
    with pytest.raises(JournalError, match="more than the 10 bytes"):
        _ = paper.statements
    monkeypatch.setattr(sharedlog, "LARGEST", 5)
    with pytest.raises(JournalError, match="reads up to 0"):
        _ = paper.statements


# --- what is run, and where ------------------------------------------------------------------------------------


@pytest.fixture
def bundle(lab: SimpleNamespace, tmp_path: Path) -> Bundle:
    read(lab, "fig1", 1, 2)
    made = sqlspy.Paper("paper").write(tmp_path / "bundle")
    made.dump()
    return made


def test_scripts_that_differ_are_not_run(
    bundle: Bundle, clean_scratch: Server, tmp_path: Path, capsys: Any
) -> None:
    """Of a script the words and the SQL can be a stranger's; what runs is the package's."""
    mark = tmp_path / "mark"
    script = bundle.path / "restore.sh"
    text = script.read_text()
    with clean_scratch.connect() as connection, client_options(connection) as options:
        for old, new in (
            ("set -euo pipefail", f"touch {mark}; set -euo pipefail"),
            ("schemas() {\n", f"schemas() {{\n    touch {mark}\n"),
            ("Loaded: ", f"$(touch {mark})Loaded: "),
            ("-- Rows.\n}", f"-- Rows.\n}}\ntouch {mark}"),
            ('    "$@" \'', f'    "$@" $(touch {mark}) \''),
        ):
            changed = text.replace(old, new, 1)
            assert changed != text
            script.write_text(changed)
            for run in (lambda: bundle.restore(options), lambda: bundle.verify(alone=True), bundle.inspect):
                with pytest.raises(BundleError, match=r"(?s)restore\.sh: it is not what .* changed it since"):
                    run()
        script.write_text(text)
        (bundle.path / "dump.sh").write_text(f"touch {mark}\n")
        with pytest.raises(BundleError, match=r"dump\.sh: it is not what"):
            bundle.dump(options)
        assert (
            main(["dump", str(bundle.path), "--host=127.0.0.1"]) == 1
            and "is not run" in capsys.readouterr().err
        )
        assert not mark.exists() and user_schemas(clean_scratch) == []
        bundle.restore(options)
    assert user_schemas(clean_scratch) != []


@no_server
def test_words_of_scripts_that_are_odd_are_still_words() -> None:
    odd = ("it's\n", "\\", "`$(x)`", "\x01\x7f", "a'\\''b", "-- Rows.", "ü\u2028")
    lines = calls([odd, odd])
    assert re.fullmatch(CALLS, lines)
    for other in ("    x", '    "$@" a', "    \"$@\" 'a' && x", '    "$@" "a"', "    \"$@\" $'\\x41'"):
        assert not re.fullmatch(CALLS, other)


def test_a_stranger_s_bundle_names_no_source(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: SimpleNamespace
) -> None:
    """Its tables are on the server of dj.config, which is sent nothing; where it was written, it is the source."""
    assert bundle.verify().from_source
    away = Bundle(shutil.copytree(bundle.path, tmp_path / "away"))
    assert away.verify().from_source  # it is the same bundle
    (away.path / "digests.json").unlink()
    manifest = json.loads((away.path / "manifest.json").read_text())
    manifest["problems"].append("of a stranger")
    (away.path / "manifest.json").write_text(json.dumps(manifest))
    statements = Statements(lab.connection)
    report = Bundle(away.path).verify()
    assert not report.from_source and "was not written here" in " ".join(report.unchecked)
    with pytest.raises(BundleError, match="was not written here"):
        Bundle(away.path).dump()
    assert statements.sent() == []
    assert Bundle(away.path).verify(source=lab.connection).from_source  # named
    for condition in (
        "TRUE) UNION (SELECT 1",
        "TRUE) ORDER BY (1",
        "TRUE) FOR UPDATE -- ",
        "TRUE) -- ",
        "SLEEP(0) = 0 AND @mark := 1",
        "EXISTS (SELECT 1)",
        "TRUE; SELECT 1",
    ):
        manifest["tables"][0]["restriction"] = condition
        (away.path / "manifest.json").write_text(json.dumps(manifest))
        statements = Statements(lab.connection)
        with pytest.raises(BundleError, match=r"the restriction of .* is not sent to the source"):
            Bundle(away.path).verify(source=lab.connection)
        assert not [text for text in statements.sent() if condition in text]
    monkeypatch.setenv("DJ_SQLSPY_HOME", str(tmp_path / "other home"))
    assert not bundle.verify().from_source


class Statements:
    """What others send to a server while one looks, by its general log."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        for sql in (
            "SET GLOBAL log_output = 'TABLE'",
            "TRUNCATE mysql.general_log",
            "SET GLOBAL general_log = 1",
        ):
            connection.query(sql)

    def sent(self) -> list[str]:
        self.connection.query("SET GLOBAL general_log = 0")
        own = self.connection.query("SELECT CONNECTION_ID()").fetchone()[0]
        found = self.connection.query(
            "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE thread_id <> %s", (own,)
        )
        return [text for (text,) in found.fetchall()]


@pytest.mark.parametrize("look", [lambda bundle: bundle.verify(alone=True), Bundle.inspect])
def test_a_dump_does_not_fill_the_disk(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, look: Callable[[Bundle], Any]
) -> None:
    """A few lines of SQL that double a table again and again are stopped, while one of them runs."""
    lines = gzip.decompress(bundle.dump_file.read_bytes()).decode().splitlines()
    name = bundle.manifest["tables"][0]["name"].split(".")[0] + ".big"
    doubling = [f"INSERT INTO {name} SELECT * FROM {name};"] * 40
    made = [f"CREATE TABLE {name} (t LONGTEXT);", f"INSERT INTO {name} VALUES (REPEAT('x', 1000000));"]
    place = lines.index("-- Rows.")
    text = "\n".join([*lines[: place + 1], *made, *doubling, *lines[place + 1 :], ""])
    bundle.dump_file.write_bytes(gzip.compress(text.encode()))
    disk = shutil.disk_usage(tempfile.gettempdir())
    more = 600 << 20  # a server takes some of it
    monkeypatch.setattr(bundle_folder, "KEPT_FREE", disk.free - more)
    monkeypatch.setattr(bundle_folder, "KEPT_PART", 1)
    with pytest.raises(BundleError, match="nearly full"):
        look(bundle)
    monkeypatch.setattr(bundle_folder, "LARGEST", 100)
    with pytest.raises(BundleError, match="structure is larger"):
        bundle_folder._require_structure(bundle.dump_file)


def test_a_dump_can_do_nothing_else(bundle: Bundle, tmp_path: Path) -> None:
    """Neither the account that `verify`, `inspect` and `source_data` load it by nor the client lets it."""
    text = gzip.decompress(bundle.dump_file.read_bytes())
    name = bundle.manifest["tables"][0]["name"]
    (tmp_path / "private").write_text("1")
    mark = tmp_path / "mark"
    with (
        bundle_folder.server_for(bundle.manifest) as private,
        contextlib.closing(private.connect()) as connection,
    ):
        for line in (
            "CREATE DATABASE another;",
            "CREATE USER another;",
            "SET GLOBAL max_connections = 7;",
            f"SELECT 1 INTO OUTFILE '{mark}';",
            f"LOAD DATA LOCAL INFILE '{tmp_path}/private' INTO TABLE {name};",
            f"\\! touch {mark}",
        ):
            changed = text.replace(b"-- Rows.\n", f"-- Rows.\n{line}\n".encode(), 1)
            assert changed != text
            bundle.dump_file.write_bytes(gzip.compress(changed))
            with pytest.raises(BundleError, match=r"(?s)ERROR.*has been removed again"):
                bundle.load(connection)
        bundle.dump_file.write_bytes(gzip.compress(text))
        bundle.load(connection)
    assert not mark.exists()


def test_results_do_not_fill_the_disk(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does what a statement makes of a few rows."""
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    (first, *_) = manifest["statements"]
    numbers = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 900)"
    large = {"sql": f"{numbers} SELECT REPEAT('x', 2000000) AS t FROM n", "analysis": "z"}
    manifest["statements"] = [first, {**first, **large, "number": 2}]
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))

    def now_it_is_nearly_full(done: int, of: int) -> None:
        monkeypatch.setattr(bundle_folder, "KEPT_FREE", shutil.disk_usage(tmp_path).free - (50 << 20))
        monkeypatch.setattr(bundle_folder, "KEPT_PART", 1)

    with pytest.raises(BundleError, match="nearly full"):
        Bundle(bundle.path).source_data(tmp_path / "out", progress=now_it_is_nearly_full)
    assert not (tmp_path / "out").exists()


def test_the_account_that_loads_can_write_its_own_schemas_only(scratch: Server, tmp_path: Path) -> None:
    limited = scratch.limited_to(["own_1", "od`d"])
    with scratch.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE own21")
        cursor.execute("CREATE TABLE own21.kept AS SELECT 1 AS n")
        cursor.execute("SELECT @@secure_file_priv")
        ((place,),) = cursor.fetchall()
        assert place == "NULL" or list(Path(place).iterdir()) == []
    mark = tmp_path / "mark"
    with limited.connect() as connection, connection.cursor() as cursor:
        for sql in (
            "DELETE FROM own21.kept",
            "DROP DATABASE own21",
            f"SELECT 1 INTO OUTFILE '{mark}'",
            "SET GLOBAL max_connections = 7",
            "CREATE USER other",
            "DELETE FROM mysql.user",
            "CREATE DATABASE another",
        ):
            with pytest.raises(pymysql.MySQLError):
                cursor.execute(sql)
        cursor.execute("CREATE DATABASE own_1")
        cursor.execute("CREATE DATABASE `od``d`")
        cursor.execute("SELECT LOAD_FILE('/etc/hostname')")
        assert cursor.fetchall() == ((None,),)
        cursor.execute("DROP DATABASE own_1")
        cursor.execute("DROP DATABASE `od``d`")
    with scratch.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT n FROM own21.kept")
        assert cursor.fetchall() == ((1,),) and not mark.exists()
        cursor.execute("DROP DATABASE own21")
        cursor.execute(f"DROP USER '{limited.user}'@'%'")
    with pytest.raises(ServerError, match="server's own"):
        scratch.limited_to(["MySQL"])
