"""Files and folders appear whole or not at all, also for concurrent readers and after a kill of the writer."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from dj_sqlspy import atomic


def partial(folder: Path) -> list[str]:
    return [entry.name for entry in folder.rglob("*") if entry.name.startswith(atomic.PARTIAL)]


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic.write(path, "grün \udcff")
    assert path.read_bytes() == b"gr\xc3\xbcn \xff" and path.stat().st_mode & 0o777 == 0o600
    atomic.write(path, b"\0\xff", mode=0o755)
    assert path.read_bytes() == b"\0\xff" and path.stat().st_mode & 0o777 == 0o755
    assert os.listdir(tmp_path) == ["file"]


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("mine")
    (tmp_path / "file").symlink_to(tmp_path / "private")
    atomic.write(tmp_path / "file", "new")
    assert (tmp_path / "private").read_text() == "mine" and not (tmp_path / "file").is_symlink()


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        atomic.write(path, "\ud800")
    (tmp_path / "folder" / "in").mkdir(parents=True)
    with pytest.raises(OSError):
        atomic.write(tmp_path / "folder", "a file cannot replace a folder")
    with pytest.raises(OSError):
        atomic.write_folder(tmp_path / "folder", {"new": "1", "new/er": "2"})
    assert path.read_text() == "old" and os.listdir(tmp_path / "folder") == ["in"]
    assert partial(tmp_path) == []


@pytest.mark.parametrize("exchanged", [True, False])
def test_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanged: bool) -> None:
    if not exchanged:  # as on a system without it
        monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    path = tmp_path / "new" / "folder"
    for files in ({"a": "1", "in/b": b"2"}, {"a": "3"}):
        atomic.write_folder(path, files)
        found = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
        assert found == set(files)
        assert {entry.stat().st_mode & 0o077 for entry in (path, *path.rglob("*"))} == {0}
    assert (path / "a").read_text() == "3"
    assert os.listdir(path.parent) == ["folder"]


def write_forever(path: Path, kind: str) -> None:
    for letter in itertools.cycle("ab"):
        if kind == "file":
            atomic.write(path, letter * 1_000_000)
        else:
            atomic.write_folder(path, {"one": letter, "in/two": letter * 1000})


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_readers_and_kills_find_it_whole(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "there"
    seen = set()
    for number in range(20):
        writer = multiprocessing.get_context("fork").Process(target=write_forever, args=(path, kind))
        writer.start()
        while not path.exists():
            assert writer.is_alive()
        end = time.monotonic() + 0.05 + number / 1000
        while time.monotonic() < end:
            seen.add(whole(path, kind))
        writer.kill()
        writer.join()
        seen.add(whole(path, kind))
    assert seen == {"a", "b"}


def whole(path: Path, kind: str) -> str:
    """The letter that all of it is of. Of a folder, one that is open stays the same while it is read."""
    if kind == "file":
        (letter,) = set(path.read_text())
        return str(letter)
    folder = os.open(path, os.O_RDONLY)
    try:
        with open(os.open("one", os.O_RDONLY, dir_fd=folder)) as file:
            return file.read()
    except FileNotFoundError:  # it was replaced and removed since it was opened
        return whole(path, kind)
    finally:
        os.close(folder)


# --- what killed processes leave ---------------------------------------------------------------------------------


def test_a_folder_that_was_moved_away_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a kill between the two renames, where the system cannot exchange folders."""
    monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    path = tmp_path / "folder"
    atomic.write_folder(path, {"a": "1"})

    def killed(fresh: Path, target: Path) -> None:
        os.rename(target, atomic._place_of_old(target))
        os._exit(9)

    def write() -> None:
        atomic._replace = killed  # in the child only
        atomic.write_folder(path, {"a": "2"})

    writer = multiprocessing.get_context("fork").Process(target=write)
    writer.start()
    writer.join()
    assert writer.exitcode == 9 and not path.exists()
    atomic.recover(path)
    assert (path / "a").read_text() == "1"
    atomic.recover(path)
    atomic.write_folder(path, {"a": "3"})
    assert (path / "a").read_text() == "3" and os.listdir(tmp_path) == ["folder"]


def test_what_was_being_written_is_deleted_by_the_next(tmp_path: Path) -> None:
    writer = multiprocessing.get_context("fork").Process(
        target=write_forever, args=(tmp_path / "a", "folder")
    )
    for number in range(30):
        writer = multiprocessing.get_context("fork").Process(
            target=write_forever, args=(tmp_path / "a", "folder")
        )
        writer.start()
        time.sleep(0.02 + number / 1000)
        writer.kill()
        writer.join()
        assert len(partial(tmp_path)) <= 2  # it may be one, with a file in it
    atomic.write_folder(tmp_path / "b", {"one": "1"})
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_what_another_process_is_writing_stays(tmp_path: Path) -> None:
    with atomic._fresh_folder(tmp_path) as fresh:
        writer = multiprocessing.get_context("fork").Process(
            target=atomic.write_folder, args=(tmp_path / "b", {"one": "1"})
        )
        writer.start()
        writer.join()
        assert fresh.is_dir()
    assert os.listdir(tmp_path) == ["b"]
