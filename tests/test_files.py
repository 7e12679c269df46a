"""Files behind a slice, on real stores of both lines: listed, copied, and found by a pipeline that was loaded."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datajoint as dj
import numpy as np
import pymysql
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cli import main
from dj_sqlspy.errors import FilesError
from dj_sqlspy.external import File, files_of
from dj_sqlspy.external.copies import copy_files, file_list
from dj_sqlspy.external.linked import follow
from dj_sqlspy.external.stores import Stores
from dj_sqlspy.journal import Statement
from dj_sqlspy.paper.bundle import Bundle, write_bundle
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql.snapshot import plain_decoders
from dj_sqlspy.slices import Slice, make_slice
from tests.conftest import FLAVOR

pytestmark = pytest.mark.separately

V2 = not dj.__version__.startswith("0.")
os.environ["DJ_SUPPORT_FILEPATH_MANAGEMENT"] = "TRUE"  # 0.14 asks for it

COLUMNS_014 = """
    waves: blob@raw
    notes: attach@raw
    video: filepath@raw
    extra=null: blob@other
"""
COLUMNS_2 = """
    waves: <blob@raw>
    notes: <attach@raw>
    video: <filepath@raw>
    array: <npy@raw>
    single: <object@raw>
    folder: <object@raw>
    extra=null: <blob@other>
"""


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Two stores on the local disk, as DataJoint's configuration of the test."""
    yield from configured(
        {name: {"protocol": "file", "location": str(tmp_path / "lab" / name)} for name in ("raw", "other")},
        tmp_path,
    )


def configured(stores: dict[str, Any], tmp_path: Path) -> Iterator[dict[str, Any]]:
    (tmp_path / "stage").mkdir(parents=True)
    stores["raw"]["subfolding"] = (1, 3)
    stores["raw"]["stage"] = str(tmp_path / "stage")
    for spec in stores.values():
        if spec["protocol"] == "file":
            Path(spec["location"]).mkdir(parents=True)
    if V2:
        stores["default"] = "other"
    yield from use_stores(stores)


def use_stores(stores: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if V2:
        before = dj.config.stores
        dj.config.stores = stores
    else:
        before = dj.config.get("stores", {})
        dj.config["stores"] = stores
    yield stores
    if V2:
        dj.config.stores = before
    else:
        dj.config["stores"] = before


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Two stores in an S3-compatible server that the test starts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (tmp_path / "moto.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}/moto-api/"
        for _ in range(300):
            if process.poll() is not None:
                pytest.fail((tmp_path / "moto.log").read_text())
            try:
                urllib.request.urlopen(address, timeout=1)
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        spec = {
            "protocol": "s3",
            "endpoint": f"127.0.0.1:{port}",
            "bucket": "lab",
            "access_key": "test",
            "secret_key": "testtest",
            "secure": False,
        }
        make_bucket(port)
        yield from configured(
            {name: {**spec, "location": f"data/{name}"} for name in ("raw", "other")}, tmp_path
        )
    finally:
        process.terminate()
        process.wait()


def make_bucket(port: int) -> None:
    if V2:
        import fsspec

        options = {
            "key": "test",
            "secret": "testtest",
            "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port}"},
        }
        fsspec.filesystem("s3", **options).mkdir("lab")
    else:
        minio_of(f"127.0.0.1:{port}").make_bucket("lab")


def minio_of(endpoint: str) -> Any:
    import minio

    return minio.Minio(endpoint, access_key="test", secret_key="testtest", secure=False)


def declare(name: str, connection: Any) -> Any:
    """The table with a column for each kind of file, in a schema that is there or not."""
    schema = (dj.Schema if V2 else dj.schema)(name, connection=connection)

    @schema
    class Recording(dj.Manual):
        definition = f"""
        recording: int
        ---
        {COLUMNS_2 if V2 else COLUMNS_014}
        """

    return Recording


def fill(table: Any, stores: dict[str, Any], tmp_path: Path) -> None:
    """Three recordings, and files behind each."""
    made = tmp_path / "made"
    made.mkdir()
    for n in range(3):
        notes = made / f"notes {n} ü.txt"
        notes.write_text(f"recording {n}\n" * (n + 1))
        row: dict[str, Any] = {
            "recording": n,
            "waves": np.arange(1000) * n,
            "notes": str(notes),
            "extra": None,
        }
        video = os.urandom(100_000)
        if V2:
            place_in_store(stores, f"videos/day {n}/v.avi", video)
            folder = made / f"folder{n}"
            (folder / "sub").mkdir(parents=True)
            (folder / "a.bin").write_bytes(os.urandom(50))
            (folder / "sub" / "b #1.bin").write_bytes(b"b" * n)
            row |= {"video": f"videos/day {n}/v.avi", "array": np.full((3, 2), n), "folder": str(folder)}
            row["single"] = (".dat", b"single %d" % n)
        else:
            staged = tmp_path / "stage" / "videos" / f"day {n}" / "v.avi"
            staged.parent.mkdir(parents=True)
            staged.write_bytes(video)
            row["video"] = str(staged)
        if n == 1:
            row["extra"] = {"text": "x" * 5000}
        table.insert1(row)
    shutil.rmtree(made)
    shutil.rmtree(tmp_path / "stage")
    (tmp_path / "stage").mkdir()


def place_in_store(stores: dict[str, Any], path: str, contents: bytes) -> None:
    from datajoint.hash_registry import get_store_backend

    get_store_backend("raw").put_buffer(contents, path)


def contents(table: Any, folder: Path, where: str = "TRUE") -> list[dict[str, Any]]:
    """Everything that a fetch gives, with bytes in the place of paths and references."""
    folder.mkdir(parents=True, exist_ok=True)
    if not V2:
        rows = (table & where).fetch(as_dict=True, order_by="recording", download_path=str(folder))
        for row in rows:
            for name in ("notes", "video"):
                row[name] = (Path(row[name]).name, Path(row[name]).read_bytes())
            row["waves"] = row["waves"].tobytes()
        return list(rows)
    with dj.config.override(download_path=str(folder)):
        rows = (table & where).to_dicts(order_by="recording")
    for row in rows:
        row["notes"] = (Path(row["notes"]).name, Path(row["notes"]).read_bytes())
        row["waves"] = row["waves"].tobytes()
        row["video"] = row["video"].read()
        row["array"] = row["array"].load().tobytes()
        row["single"] = row["single"].read()
        reference = row["folder"]
        assert reference.verify()
        target = folder / f"folder{row['recording']}"
        reference.download(target)
        row["folder"] = {
            path.relative_to(target).as_posix(): path.read_bytes()
            for path in sorted(target.rglob("*"))
            if path.is_file()
        }
    return list(rows)


def cut_of(server: Server, *statements: str) -> Slice:
    captured = [Statement(sql=sql, number=number) for number, sql in enumerate(statements, 1)]
    with server.connect(conv=plain_decoders()) as connection:
        return make_slice(captured, connection)


@dataclasses.dataclass
class Lab:
    table: Any
    server: Server
    name: str
    cut: Slice

    def files(self, **options: Any) -> list[File]:
        with self.server.connect() as connection:
            return files_of(self.cut, connection, Stores(), **options)


@pytest.fixture
def lab(server: Server, dj_conn: Any, prefix: str, stores: dict[str, Any], tmp_path: Path) -> Lab:
    return make_lab(server, dj_conn, prefix, stores, tmp_path)


@pytest.fixture
def lab_on_s3(server: Server, dj_conn: Any, prefix: str, s3: dict[str, Any], tmp_path: Path) -> Lab:
    return make_lab(server, dj_conn, prefix, s3, tmp_path)


@pytest.fixture(autouse=True)
def writes_files(dj_conn: Any) -> None:
    """What a lab with MariaDB needs to write columns of stores with DataJoint 2.3.

    It turns the description of a file into JSON only where the server calls the column ``json``. MariaDB says
    ``longtext``, and the driver gets a dict ("dict can not be used as parameter"). What it reads, it understands.
    """
    if V2 and FLAVOR == "mariadb":
        dj_conn._conn.encoders[dict] = lambda value, _: (
            f"'{pymysql.converters.escape_string(json.dumps(value))}'"
        )


def make_lab(server: Server, dj_conn: Any, prefix: str, stores: dict[str, Any], tmp_path: Path) -> Lab:
    """A filled table, and the slice of its recordings 1 and 2."""
    name = f"{prefix}lab"
    table = declare(name, dj_conn)
    fill(table, stores, tmp_path)
    cut = cut_of(server, f"SELECT * FROM `{name}`.`recording` WHERE recording >= 1")
    return Lab(table, server, name, cut)


def kinds(files: list[File]) -> dict[str, int]:
    out: dict[str, int] = {}
    for file in files:
        out[file.kind] = out.get(file.kind, 0) + 1
    return out


# two recordings; the folder has two files and the list of them
EXPECTED = {"blob": 3, "attach": 2, "filepath": 2} | ({"npy": 2, "object": 8} if V2 else {})


def test_files_of_the_rows_of_the_slice(lab: Lab) -> None:
    files = lab.files(check="contents")
    assert kinds(files) == EXPECTED
    assert {file.state for file in files} == {"ok"}
    assert {dict(row.key)["recording"] for file in files for row in file.needed_by} == {1, 2}
    assert {row.table for file in files for row in file.needed_by} == {f"`{lab.name}`.`recording`"}
    assert {file.store for file in files} == {"raw", "other"}
    for file in files:
        location = dj.config["stores"][file.store]["location"]
        data = Path(location, file.path).read_bytes()
        assert file.size == len(data)
        if file.checksum is not None:
            assert file.checksum == "md5:" + hashlib.md5(file.hashed_before + data).hexdigest()
    by_kind = {file.kind: file for file in files}
    assert by_kind["blob"].checksum and by_kind["attach"].checksum
    assert [f.needed_by[0].column for f in files if f.store == "other"] == ["extra"]


def restored(lab: Lab, scratch: Server, folder: Path, copied: Path) -> tuple[Any, Iterator[Any]]:
    """The slice loaded into the second server, and DataJoint pointed there and to the copies."""
    with lab.server.connect() as connection:
        bundle = write_bundle(lab.cut, folder / "bundle", connection=connection)
    bundle.dump([f"--defaults-file={lab.server.defaults_file()}"])
    Bundle(bundle.path).restore([f"--defaults-file={scratch.defaults_file()}"])
    stores = json.loads((copied / "stores.json").read_text())
    for spec in stores.values():
        if isinstance(spec, dict):
            spec.update({key: str(copied / spec[key]) for key in ("location", "stage") if key in spec})
    using = use_stores(stores)
    next(using)
    options = {"use_tls": False} if "use_tls" in dj.Connection.__init__.__code__.co_varnames else {}
    connection = dj.Connection(scratch.host, scratch.user, scratch.password, port=scratch.port, **options)
    return declare(lab.name, connection), using


def check_copy(lab: Lab, scratch: Server, tmp_path: Path, linked: bool) -> None:
    before = contents(lab.table, tmp_path / "before", "recording >= 1")
    assert len(before) == 2
    files = lab.files()
    counted: list[int] = []
    copied = copy_files(files, tmp_path / "copy", Stores(), progress=counted.append)
    assert copied.complete, str(copied)
    assert (copied.linked if linked else copied.copied) == len(files)
    assert sum(counted) == copied.bytes == sum(file.size or 0 for file in files)
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "copy", check=True)
    table, using = restored(lab, scratch, tmp_path, tmp_path / "copy")
    (tmp_path / "lab").rename(tmp_path / "gone") if (tmp_path / "lab").exists() else None
    try:
        assert len(table()) == 2
        assert contents(table, tmp_path / "after") == before
    finally:
        next(using, None)
        (tmp_path / "gone").rename(tmp_path / "lab") if (tmp_path / "gone").exists() else None
    again = copy_files(files, tmp_path / "copy", Stores())
    assert (again.kept, again.copied, again.linked) == (len(files), 0, 0)


def test_a_loaded_pipeline_finds_the_copies(lab: Lab, clean_scratch: Server, tmp_path: Path) -> None:
    check_copy(lab, clean_scratch, tmp_path, linked=True)


def test_a_loaded_pipeline_finds_copies_from_s3(
    lab_on_s3: Lab, clean_scratch: Server, tmp_path: Path, s3: dict[str, Any]
) -> None:
    files = lab_on_s3.files(check="contents")
    assert kinds(files) == EXPECTED
    assert {file.state for file in files} == {"ok"}
    check_copy(lab_on_s3, clean_scratch, tmp_path, linked=False)
    lines = file_list(files, "s5cmd", Stores(), "copy").splitlines()
    assert len(lines) == len(files)
    assert all(line.startswith("cp --raw 's3://lab/data/") or "s3://lab/data/" in line for line in lines)
    # s5cmd takes the list, and has the same bytes
    (tmp_path / "s5cmd.list").write_text("".join(f"{line}\n" for line in lines))
    s5cmd = Path(sys.executable).with_name("s5cmd")
    endpoint = f"--endpoint-url=http://{s3['raw']['endpoint']}"
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "testtest", "AWS_REGION": "us-east-1"}
    (tmp_path / "s5cmd").mkdir()
    subprocess.run(
        [s5cmd, endpoint, "run", tmp_path / "s5cmd.list"],
        cwd=tmp_path / "s5cmd",
        env={**os.environ, **keys},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    same_files(files, tmp_path / "copy", tmp_path / "s5cmd" / "copy")
    if importlib.util.find_spec("h5py"):
        check_links_on_s3(s3, tmp_path)


def check_links_on_s3(s3: dict[str, Any], tmp_path: Path) -> None:
    """An HDF5 file is looked into where it is, and the file that it leads to comes along."""
    import h5py

    size = 0
    for name in ("source", "links"):
        made = io.BytesIO()
        with h5py.File(made, "w") as file:
            file["d"] = np.arange(5) if name == "source" else h5py.ExternalLink("../source.h5", "/d")
            file["out"] = h5py.ExternalLink("/etc/none.h5" if name == "source" else "../../none.h5", "/d")
        size = len(made.getvalue())
        path = "source.h5" if name == "source" else "day/links.h5"
        if V2:
            place_in_store(s3, path, made.getvalue())
        else:
            client = minio_of(s3["raw"]["endpoint"])
            client.put_object("lab", f"data/raw/{path}", io.BytesIO(made.getvalue()), size)
    files = follow([File("raw", "day/links.h5", "filepath", size)], Stores())
    assert {file.path: file.state for file in files} == {
        "../none.h5": "outside",
        "day/links.h5": "ok",
        "none.h5": "missing",
        "source.h5": "ok",
    }
    copied = copy_files(files, tmp_path / "linked", Stores())
    assert {file.path for file, _ in copied.failed} == {"../none.h5", "none.h5"}
    with h5py.File(tmp_path / "linked" / "raw" / "day" / "links.h5") as file:
        assert file["d"][()].tolist() == [0, 1, 2, 3, 4]


def location(file: File) -> Path:
    return Path(dj.config["stores"][file.store]["location"], file.path)


def test_missing_and_changed_files_are_reported(lab: Lab, tmp_path: Path) -> None:
    files = lab.files()
    gone = next(file for file in files if file.kind == "attach")
    longer = next(file for file in files if file.kind == "blob" and file.store == "raw")
    other = next(file for file in files if file.kind == "blob" and file.store == "other")
    location(gone).unlink()
    location(longer).write_bytes(b"much longer" * 1000)
    location(other).write_bytes(b"y" * (other.size or 0))  # the same size
    states = {(file.store, file.path): file.state for file in lab.files()}
    assert states[gone.store, gone.path] == "missing"
    assert states[longer.store, longer.path] == "changed"
    assert states[other.store, other.path] == "ok"
    states = {(file.store, file.path): file.state for file in lab.files(check="contents")}
    assert states[other.store, other.path] == "changed"
    copied = copy_files(lab.files(), tmp_path / "copy", Stores())
    failed = {(file.store, file.path): reason for file, reason in copied.failed}
    assert set(failed) == {(file.store, file.path) for file in (gone, longer, other)}
    assert "checksum" in failed[other.store, other.path]
    assert copied.copied + copied.linked == len(files) - 3
    assert not list((tmp_path / "copy").rglob(".partial*"))
    assert not (tmp_path / "copy" / other.store / other.path).exists()


def test_a_store_that_cannot_be_reached(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "lab" / "other").rename(tmp_path / "lab" / "unmounted")
    del dj.config["stores"]["raw"]
    files = lab.files()
    assert {file.state for file in files} == {"unreachable"}
    notes = {file.store: file.note for file in files}
    assert "not configured" in notes["raw"] and "unmounted" not in notes["other"]
    assert "is not there" in notes["other"]
    copied = copy_files(files, tmp_path / "copy", Stores())
    assert not copied.complete and not copied.copied


def test_a_copy_goes_on_where_it_ended(lab: Lab, tmp_path: Path) -> None:
    files = lab.files()
    video = next(file for file in files if file.kind == "filepath")
    copy_files(files, tmp_path / "copy", Stores(), link=False)
    place = tmp_path / "copy" / video.store / video.path
    contents = place.read_bytes()
    place.unlink()
    # what is left when a copy is killed
    stat = Stores()[video.store].stat(video.path)
    assert stat is not None
    mark = hashlib.sha256(f"{stat.size} {stat.version}".encode()).hexdigest()[:8]
    partial = place.with_name(f".partial-{mark}-{hashlib.sha256(place.name.encode()).hexdigest()[:12]}")
    partial.write_bytes(contents[:60_000])
    again = copy_files(files, tmp_path / "copy", Stores(), link=False)
    assert (again.copied, again.kept) == (1, len(files) - 1)
    assert place.read_bytes() == contents and not partial.exists()
    # a part with other bytes than the original's is not taken for the file
    if video.checksum is not None:
        place.unlink()
        partial.write_bytes(b"?" * 60_000)
        again = copy_files(files, tmp_path / "copy", Stores(), link=False)
        assert [file.path for file, _ in again.failed] == [video.path]
        assert copy_files(files, tmp_path / "copy", Stores(), link=False).complete
        assert place.read_bytes() == contents


@pytest.mark.line("2.x")  # nothing here depends on it
def test_ctrl_c_ends_a_copy_within_a_file(lab: Lab, tmp_path: Path) -> None:
    """What it has copied stays, for the next copy."""
    large = next(file for file in lab.files() if file.kind == "filepath")
    with location(large).open("r+b") as out:
        out.truncate(40 << 20)
    file = File(large.store, large.path, "filepath", 40 << 20)

    heard: list[int] = []

    def interrupt(count: int) -> None:
        if not heard:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        heard.append(count)
        time.sleep(0.1)  # forty times, if nobody hears it

    place = tmp_path / "copy" / file.store / file.path
    with pytest.raises(KeyboardInterrupt):
        copy_files([file], tmp_path / "copy", Stores(), link=False, progress=interrupt)
    assert [path.name.startswith(".partial-") for path in place.parent.iterdir()] == [True]
    assert copy_files([file], tmp_path / "copy", Stores(), link=False).complete
    assert place.read_bytes() == location(file).read_bytes()


@pytest.mark.line("2.x")  # nothing here depends on it
def test_nothing_is_written_after_ctrl_c(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it comes while the pool starts a thread, which the pool then does not know."""
    (large, *_) = [file for file in lab.files() if file.kind == "filepath"]
    with location(large).open("r+b") as out:
        out.truncate(8 << 20)
    file = File(large.store, large.path, "filepath", 8 << 20)
    start, heard = threading.Thread.start, threading.Event()

    def starts(thread: threading.Thread) -> None:
        start(thread)
        for _ in range(1000):
            time.sleep(0.01)

    def interrupt(count: int) -> None:
        if not heard.is_set():
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            heard.set()
        time.sleep(0.2)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(threading.Thread, "start", starts)
        copy_files([file], tmp_path / "copy", Stores(), link=False, progress=interrupt)
    (partial,) = (tmp_path / "copy" / file.store / file.path).parent.iterdir()
    size = partial.stat().st_size
    time.sleep(0.5)
    assert partial.stat().st_size == size < 8 << 20


@pytest.mark.line("2.x")  # nothing here depends on it
def test_two_do_not_copy_one_file(lab: Lab, tmp_path: Path) -> None:
    file = next(file for file in lab.files() if file.kind == "filepath")
    others = []

    def meanwhile(_: int) -> None:
        if not others:
            others.append(copy_files([file], tmp_path / "copy", Stores(), link=False))

    assert copy_files([file], tmp_path / "copy", Stores(), link=False, progress=meanwhile).complete
    ((_, reason),) = others[0].failed
    assert "somebody else" in reason
    place = tmp_path / "copy" / file.store / file.path
    assert place.read_bytes() == location(file).read_bytes()
    # a link is no partial copy for another program, and both add to the list of checksums
    other = next(each for each in lab.files() if each.kind == "attach")
    others.clear()

    def linking(_: int) -> None:
        if not others:
            others.append(copy_files([file, other], tmp_path / "linked", Stores()))

    copied = copy_files([file], tmp_path / "linked", Stores(), progress=linking)
    assert copied.complete and copied.linked == 1 and others[0].complete and others[0].linked == 2
    sums = (tmp_path / "linked" / "SHA256SUMS").read_text()
    assert file.name in sums and other.name in sums
    assert not list((tmp_path / "linked").rglob(".partial*"))


def test_hard_links_and_copies(lab: Lab, tmp_path: Path) -> None:
    files = lab.files()
    copy_files(files, tmp_path / "linked", Stores())
    copy_files(files, tmp_path / "copied", Stores(), link=False)
    for file in files:
        original = location(file).stat()
        copy = (tmp_path / "copied" / file.store / file.path).stat()
        assert copy.st_ino != original.st_ino
        assert (tmp_path / "linked" / file.store / file.path).read_bytes() == location(file).read_bytes()


def test_lists_for_other_programs(lab: Lab, tmp_path: Path) -> None:
    files = lab.files()
    raw = [file for file in files if file.store == "raw"]
    with pytest.raises(FilesError, match="choose one"):
        file_list(files, "rsync", Stores())
    with pytest.raises(FilesError, match="S3"):
        file_list(files, "s5cmd", Stores())
    with pytest.raises(FilesError, match="programs are"):
        file_list(files, "scp", Stores())
    assert file_list(raw, "rclone", Stores()) == "".join(f"{file.path}\n" for file in raw)
    listed = file_list(raw, "rsync", Stores())
    assert listed == "".join(f"./{file.path}\n" for file in raw)
    odd = [dataclasses.replace(raw[0], path="a\nb")]
    with pytest.raises(FilesError, match="newline"):
        file_list(odd, "rsync", Stores())


def same_files(files: list[File], one: Path, other: Path) -> None:
    for file in files:
        path = Path(file.store, file.path)
        assert (one / path).read_bytes() == (other / path).read_bytes()
    found = [path for path in other.rglob("*") if path.is_file()]
    assert len(found) == len({(file.store, file.path) for file in files})


def test_other_programs_take_the_lists(lab: Lab, tmp_path: Path) -> None:
    """rsync and rclone, with blanks, # and umlauts in names."""
    files = lab.files()
    for store in ("raw", "other"):
        some = [file for file in files if file.store == store]
        place = dj.config["stores"][store]["location"]
        for program, command in (
            ("rsync", ["rsync", "-a", "--files-from=LIST", f"{place}/"]),
            ("rclone", ["rclone", "--config=", "copy", "--files-from-raw=LIST", place]),
        ):
            (tmp_path / "list").write_text(file_list(some, program, Stores()))
            words = [word.replace("LIST", str(tmp_path / "list")) for word in command]
            target = tmp_path / program / store
            target.mkdir(parents=True)
            subprocess.run([*words, str(target)], check=True)
    for program in ("rsync", "rclone"):
        same_files(files, tmp_path / "lab", tmp_path / program)


def test_paths_that_lead_out_of_the_store_are_not_copied(lab: Lab, connection: Any, tmp_path: Path) -> None:
    if V2:
        path = "JSON_SET(video, '$.path', '../../../etc/passwd')"
        change = f"UPDATE `{lab.name}`.`recording` SET video = {path} WHERE recording = 1"
    else:
        path, table = "'../../../etc/passwd'", f"`{lab.name}`.`~external_raw`"
        change = f"UPDATE {table} SET filepath = {path} WHERE filepath LIKE '%1/v.avi'"
    with connection.cursor() as cursor:
        assert cursor.execute(change) == 1
    outside = [file for file in lab.files() if file.state == "outside"]
    assert [file.path for file in outside] == ["../../../etc/passwd"]
    copied = copy_files(lab.files(), tmp_path / "copy", Stores())
    assert [file.path for file, _ in copied.failed] == ["../../../etc/passwd"]


@pytest.mark.line("0.14")
def test_two_schemas_can_share_a_file(
    server: Server, dj_conn: Any, prefix: str, stores: dict[str, Any], tmp_path: Path
) -> None:
    """As in Spyglass: ``~external_raw`` and ``~external_analysis`` with paths that are no hashes."""
    stores["analysis"] = {
        "protocol": "file",
        "location": str(tmp_path / "nwb"),
        "stage": str(tmp_path / "nwb"),
    }
    (tmp_path / "nwb" / "sub").mkdir(parents=True)
    file = tmp_path / "nwb" / "sub" / "session_1_.nwb"
    file.write_bytes(b"nwb")
    tables = []
    for name in ("common_nwbfile", "analysis_nwbfile"):
        schema = dj.schema(f"{prefix}{name}")

        @schema
        class Nwbfile(dj.Manual):
            definition = """
            nwb_file_name: varchar(64)
            ---
            nwb_file_abs_path: filepath@analysis
            """

        Nwbfile.insert1(("session_1_.nwb", str(file)))
        tables.append(Nwbfile.full_table_name)
    cut = cut_of(server, *(f"SELECT * FROM {table}" for table in tables))
    with server.connect() as connection:
        files = files_of(cut, connection, Stores(), check="contents")
    assert [(f.path, f.kind, f.state, len(f.needed_by)) for f in files] == [
        ("sub/session_1_.nwb", "filepath", "ok", 2)
    ]
    copied = copy_files(files, tmp_path / "copy", Stores())
    assert (
        copied.complete and (tmp_path / "copy" / "analysis" / "sub" / "session_1_.nwb").read_bytes() == b"nwb"
    )
    assert json.loads((tmp_path / "copy" / "stores.json").read_text()) == {
        "analysis": {"protocol": "file", "location": "analysis", "subfolding": [2, 2], "stage": "analysis"}
    }


@pytest.mark.line("0.14")
def test_a_blob_migrated_from_datajoint_0_11_is_where_it_was(lab: Lab, connection: Any) -> None:
    blob = next(file for file in lab.files() if file.kind == "blob" and file.store == "other")
    moved = location(blob).with_name("old-name")
    location(blob).rename(moved)
    assert "missing" in {file.state for file in lab.files()}
    relative = moved.relative_to(dj.config["stores"]["other"]["location"]).as_posix()
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE `{lab.name}`.`~external_other` SET filepath = %s", (relative,))
    found = next(file for file in lab.files(check="contents") if file.store == "other")
    assert (found.kind, found.state, found.path) == ("blob", "ok", relative)


@pytest.mark.line("2.x")
def test_folders_are_compared_with_their_lists(lab: Lab, tmp_path: Path) -> None:
    members = [file for file in lab.files() if file.folder is not None]
    assert len(members) == 6
    assert {file.path.rsplit("/", 1)[1] for file in members} >= {"a.bin", "b #1.bin"}
    one, other = (file for file in members if file.path.endswith("a.bin"))
    location(one).unlink()
    (location(other).parent / "added.bin").write_bytes(b"added")
    now = {file.path: file for file in lab.files()}
    assert now[one.path].state == "missing"
    assert now[other.path].state == "changed" and "folder has" in now[other.path].note
    shutil.rmtree(location(one).parent)
    (location(one).parent.parent / (location(one).parent.name + ".manifest.json")).unlink()
    states = {file.path: file.state for file in lab.files()}
    assert states[str(one.folder)] == "missing"


@pytest.mark.line("2.x")
@pytest.mark.parametrize("named", ["null", "''"])
def test_the_default_store(lab: Lab, connection: Any, named: str) -> None:
    """Written by hand: DataJoint 2.3 looks for a store named "" where a column is declared as ``<blob@>``."""
    with connection.cursor() as cursor:
        store = "JSON_EXTRACT('[null]', '$[0]')" if named == "null" else named
        cursor.execute(f"UPDATE `{lab.name}`.`recording` SET extra = JSON_SET(extra, '$.store', {store})")
    assert [(f.store, f.state) for f in lab.files() if f.needed_by[0].column == "extra"] == [("other", "ok")]
    del dj.config["stores"]["default"]
    unnamed = next(file for file in lab.files() if file.state != "ok")
    assert unnamed.state == "unreachable" and "default" in unnamed.note


@pytest.mark.line("2.x")
def test_all_kinds_without_a_named_store(lab: Lab, connection: Any) -> None:
    """As ``<blob@>``, ``<attach@>``, ``<npy@>`` and ``<object@>`` are stored; they are in the default store."""
    columns = ("waves", "notes", "array", "single", "folder")
    named = {(f.needed_by[0].column, f.path) for f in lab.files() if f.needed_by[0].column in columns}
    assert {column for column, _ in named} == set(columns)
    with connection.cursor() as cursor:
        for column in columns:
            changed = f"`{column}` = JSON_SET(`{column}`, '$.store', JSON_EXTRACT('[null]', '$[0]'))"
            cursor.execute(f"UPDATE `{lab.name}`.`recording` SET {changed}")
    dj.config["stores"]["default"] = "raw"
    found = [file for file in lab.files() if file.needed_by[0].column in columns]
    assert {(file.needed_by[0].column, file.path) for file in found} == named
    assert {(file.store, file.state) for file in found} == {("raw", "ok")}


@pytest.mark.line("2.x")
def test_files_of_a_codec_of_the_labs_own(
    server: Server, dj_conn: Any, prefix: str, stores: dict[str, Any]
) -> None:
    class Graph(dj.Codec):
        name = f"{prefix}graph"

        def get_dtype(self, is_store: bool) -> str:
            return "<blob@raw>"

        def encode(self, value: Any, *, key: Any = None, context: Any = None, store_name: Any = None) -> Any:
            return {"edges": value}

        def decode(self, stored: Any, *, key: Any = None, context: Any = None) -> Any:
            return stored["edges"]

    schema = dj.Schema(f"{prefix}lab")

    @schema
    class Network(dj.Manual):
        definition = f"""
        network: int
        ---
        graph: <{prefix}graph>
        plain: json
        """

    Network.insert1((1, [(1, 2), (2, 3)], {"path": "no/file", "store": "raw"}))
    cut = cut_of(server, f"SELECT * FROM {Network.full_table_name}")
    with server.connect() as connection:
        files = files_of(cut, connection, Stores(), check="contents")
    assert [(file.kind, file.state, file.store) for file in files] == [(f"{prefix}graph", "ok", "raw")]


def test_no_files(server: Server, dj_conn: Any, prefix: str, tmp_path: Path) -> None:
    schema = (dj.Schema if V2 else dj.schema)(f"{prefix}plain")

    @schema
    class Plain(dj.Manual):
        definition = """
        plain: int
        ---
        text: varchar(100)
        """

    Plain.insert1((1, ":blob@raw:"))
    cut = cut_of(server, f"SELECT * FROM {Plain.full_table_name}")
    with server.connect() as connection:
        assert files_of(cut, connection, Stores()) == []
        with pytest.raises(FilesError, match="check"):
            files_of(cut, connection, Stores(), check="nothing")
    assert copy_files([], tmp_path / "copy", Stores()).complete


def test_the_command_line(lab: Lab, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlspy.export("paper", "fig1", home=home):
        rows = lab.table & "recording >= 1"
        rows.proj().to_dicts() if V2 else rows.proj().fetch()
    assert main(["--home", str(home), "files", "paper"]) == 0
    listed = capsys.readouterr().out
    assert "raw" in listed and "other" in listed and "ok" in listed
    assert main(["--home", str(home), "files", "paper", "--copy", str(tmp_path / "copy"), "--all"]) == 0
    out = capsys.readouterr().out
    assert "0 failed" in out and "raw/videos/day 1/v.avi" in out
    assert main(["--home", str(home), "files", "paper", "--list", "rsync", "--store", "other"]) == 0
    listed = capsys.readouterr().out
    assert (tmp_path / "lab" / "other" / listed.removesuffix("\n")).is_file()
    lacking = importlib.util.find_spec("dandi") is None
    assert main(["--home", str(home), "files", "paper", "--dandi", str(tmp_path / "dandi")]) == lacking
    said = "".join(capsys.readouterr())
    assert ('pip install "dj-sqlspy[dandi]"' if lacking else "No row of the slice needs an NWB file") in said
    assert main(["--home", str(home), "files", "paper", "--fix", "sex=F"]) == 1
    assert "--fix changes the copies of --dandi DIR" in capsys.readouterr().err
    assert main(["--home", str(home), "files", "paper", "--dandi", "d", "--copy", "c"]) == 1
    assert "leave out --copy and --list" in capsys.readouterr().err
    video = location(next(file for file in lab.files() if file.kind == "filepath"))
    video.write_bytes(b"\x89HDF\r\n\x1a\n".ljust(video.stat().st_size))
    assert main(["--home", str(home), "files", "paper"]) == 1
    listed = capsys.readouterr().out
    why = "it cannot be read as HDF5" if importlib.util.find_spec("h5py") else "h5py is not installed: pip"
    assert f"1 file not looked into for links to other files: {why}" in listed
    video.unlink()
    assert main(["--home", str(home), "files", "paper", "--check", "contents"]) == 1
    assert "missing" in capsys.readouterr().out
    assert main(["--home", str(home), "files", "paper", "--list", "scp"]) == 1
