"""Files that lead to other files: HDF5, NWB and Zarr, made by their own libraries, and read again in a copy.

That a file opens proves little: HDF5 gives zeros for a virtual dataset whose source is gone, and pynwb an empty array
for a link. So each dataset of the copy is read, while the originals are out of reach, and compared.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datajoint as dj
import numpy as np
import pytest

from dj_sqlspy.external import File, files_of
from dj_sqlspy.external.copies import Copied, copy_files
from dj_sqlspy.external.file import Row
from dj_sqlspy.external.linked import follow
from dj_sqlspy.external.stores import LocalStore, Stores
from dj_sqlspy.paper.bundle import Bundle, write_bundle
from dj_sqlspy.servers import Server
from tests.test_files import cut_of, use_stores

pytestmark = pytest.mark.line("0.14")  # whose environment has the libraries; nothing else here depends on it

ROW = Row("`lab`.`nwbfile`", "nwb_file", (("nwb_file_name", "one"),))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Path]:
    """The folder with the stores ``raw`` and ``analysis``."""
    place = tmp_path / "lab"
    stores = {}
    for name in ("raw", "analysis"):
        (place / name).mkdir(parents=True)
        stores[name] = {"protocol": "file", "location": str(place / name), "stage": str(place / name)}
    yield_from = use_stores(stores)
    next(yield_from)
    yield place
    next(yield_from, None)


def looked(*paths: str, folder: str | None = None) -> dict[str, File]:
    """The files of a slice that needs these, by name."""
    start = []
    for path in paths:
        store, _, inside = path.partition("/")
        size = Path(dj.config["stores"][store]["location"], inside).stat().st_size
        start.append(File(store, inside, "filepath", size, needed_by=(ROW,), folder=folder))
    return {file.name: file for file in follow(start, Stores())}


def states(files: dict[str, File]) -> dict[str, str]:
    return {name: file.state for name, file in files.items()}


def h5_values(path: Path) -> dict[str, Any]:
    """Each dataset that a reader can reach from a file, through all links."""
    import h5py

    found: dict[str, Any] = {}

    def read(group: Any, above: tuple[Any, ...]) -> None:
        for name in group:
            one = group[name]
            if isinstance(one, h5py.Group) and one.id not in above:
                read(one, (*above, one.id))
            elif isinstance(one, h5py.Dataset):
                if one.external:  # for raw storage, HDF5 looks in the working directory
                    os.chdir(Path(one.file.filename).parent)
                value = one[()]
                os.chdir("/")
                found[f"{group.name} {name} {len(above)}"] = np.asarray(value).tolist()

    before = Path.cwd()
    try:
        with h5py.File(path) as file:
            read(file, (file.id,))
    finally:
        os.chdir(before)
    return found


def copied(files: dict[str, File], lab: Path, link: bool = True) -> tuple[Copied, Path]:
    """A copy of the files, with the originals out of reach; `lab_again` undoes that."""
    result = copy_files(list(files.values()), lab.parent / "copy", Stores(), link=link)
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=result.folder, check=True
    )
    sums = (result.folder / "SHA256SUMS").read_text()
    there = [path for path in result.folder.rglob("*") if path.is_file() and path.parent != result.folder]
    assert len(sums.splitlines()) == len(there)
    lab.rename(lab.with_name("gone"))
    return result, result.folder


def new_nwb(name: str) -> Any:
    import pynwb

    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    return pynwb.NWBFile(session_description="a session", identifier=name, session_start_time=start)


def series(name: str, data: Any) -> Any:
    import pynwb

    return pynwb.TimeSeries(name=name, data=data, unit="V", rate=1.0)


def make_nwb(lab: Path) -> None:
    """A raw file; one that links to it, as Spyglass makes one, and names two videos; one that links to that."""
    import pynwb
    from pynwb.image import ImageSeries

    (lab / "raw" / "videos").mkdir()
    raw = new_nwb("raw")
    raw.add_acquisition(series("e-series", np.arange(20.0).reshape(10, 2)))
    raw.add_acquisition(series("other", np.arange(5.0)))
    with pynwb.NWBHDF5IO(lab / "raw" / "X.nwb", "w") as io:
        io.write(raw)
    with pynwb.NWBHDF5IO(lab / "raw" / "X.nwb", "r") as io:
        found = io.read()
        linking = new_nwb("linking")
        linking.add_acquisition(found.acquisition["e-series"])
        linking.add_acquisition(
            series("data", pynwb.H5DataIO(found.acquisition["other"].data, link_data=True))
        )
        for number, path in enumerate(("videos/a.avi", "videos/gone.avi")):
            (lab / "raw" / path).write_bytes(path.encode()) if number == 0 else None
            film = {"external_file": [path], "format": "external", "starting_frame": [0]}
            linking.add_acquisition(ImageSeries(name=f"v{number}", unit="n", timestamps=[0.0], **film))
        with pynwb.NWBHDF5IO(lab / "raw" / "X_.nwb", "w", manager=io.manager) as out:
            out.write(linking, link_data=True)
    with pynwb.NWBHDF5IO(lab / "raw" / "X_.nwb", "r") as io:
        analysis = new_nwb("analysis")
        analysis.add_acquisition(io.read().acquisition["data"])
        with pynwb.NWBHDF5IO(lab / "analysis" / "A.nwb", "w", manager=io.manager) as out:
            out.write(analysis, link_data=True)


def nwb_values(path: Path) -> dict[str, Any]:
    import pynwb

    with warnings.catch_warnings(), pynwb.NWBHDF5IO(path, "r") as io:
        warnings.simplefilter("error")
        return {name: one.data[:].tolist() for name, one in io.read().acquisition.items()}


@pytest.mark.flavor("mariadb")
def test_nwb_files_with_links(server: Server, dj_conn: Any, prefix: str, lab: Path) -> None:
    """The database knows `A.nwb` and `X_.nwb`, and not the raw file and the videos that these need."""
    make_nwb(lab)
    schema = dj.schema(f"{prefix}lab")

    @schema
    class Nwbfile(dj.Manual):
        definition = """
        nwb_file_name: varchar(64)
        ---
        raw=null: filepath@raw
        analysis=null: filepath@analysis
        """

    os.environ["DJ_SUPPORT_FILEPATH_MANAGEMENT"] = "TRUE"
    Nwbfile.insert1({"nwb_file_name": "A", "analysis": str(lab / "analysis" / "A.nwb")})
    Nwbfile.insert1({"nwb_file_name": "X_", "raw": str(lab / "raw" / "X_.nwb")})
    cut = cut_of(server, f"SELECT * FROM {Nwbfile.full_table_name} WHERE nwb_file_name = 'A'")
    with server.connect() as connection:
        files = {file.name: file for file in files_of(cut, connection, Stores(), check="contents")}
        bundle = write_bundle(cut, lab.parent / "bundle", connection=connection)
    assert states(files) == {
        "analysis/A.nwb": "ok",
        "raw/X.nwb": "ok",
        "raw/X_.nwb": "ok",
        "raw/videos/a.avi": "ok",
        "raw/videos/gone.avi": "missing",
    }
    assert {file.kind for name, file in files.items() if name.startswith("raw")} == {"link"}
    assert {dict(row.key)["nwb_file_name"] for file in files.values() for row in file.needed_by} == {"A"}
    assert files["raw/X.nwb"].linked_from == ("raw/X_.nwb",)
    assert "v1/external_file of raw/X_.nwb" in files["raw/videos/gone.avi"].note
    listed = {one["path"]: one for one in Bundle(bundle.path).manifest["files"]}
    assert listed["X.nwb"]["linked_from"] == ["raw/X_.nwb"] and listed["X.nwb"]["rows"] == 1
    assert "1 file is not in its store" in (bundle.path / "report.html").read_text()
    before = {name: h5_values(lab / name) for name in files if name.endswith(".nwb")}
    seen = {name: nwb_values(lab / name) for name in before}
    result, place = copied(files, lab)
    assert [file.path for file, _ in result.failed] == ["videos/gone.avi"] and not result.also
    assert {name: h5_values(place / name) for name in before} == before
    assert {name: nwb_values(place / name) for name in before} == seen
    configured = json.loads((place / "stores.json").read_text())
    for spec in configured.values():
        spec.update({key: str(place / spec[key]) for key in ("location", "stage") if key in spec})
    dj.config["stores"] = configured
    reader = dj.create_virtual_module("reader", f"{prefix}lab")
    found = (reader.Nwbfile & {"nwb_file_name": "A"}).fetch1("analysis")  # DataJoint compares its checksum
    assert found == str(place / "analysis" / "A.nwb")
    assert seen["analysis/A.nwb"] == {"data": [0.0, 1.0, 2.0, 3.0, 4.0]}
    assert (place / "raw" / "videos" / "a.avi").read_bytes() == b"videos/a.avi"


def make_hdf5(lab: Path) -> None:
    """A file with every kind of link, to sources beside it, in folders, in another store, and by absolute paths."""
    import h5py

    raw, (day, deep) = lab / "raw", (lab / "raw" / "day", lab / "raw" / "day" / "deep")
    deep.mkdir(parents=True)
    (lab / "analysis" / "far").mkdir()
    numbers = np.arange(12)
    for number, place in enumerate(
        (day / "beside.h5", deep / "source.h5", lab / "analysis" / "far" / "far.h5")
    ):
        with h5py.File(place, "w") as file:
            file["d"] = numbers * (number + 1)
    for number in range(3):
        with h5py.File(day / f"part-{number}.h5", "w") as file:
            file["d"] = numbers + number
    with h5py.File(lab / "analysis" / "far" / "far.h5", "a") as file:
        file["further"] = h5py.ExternalLink("further.h5", "/d")
    with h5py.File(lab / "analysis" / "far" / "further.h5", "w") as file:
        file["d"] = numbers - 7
        file["back"] = h5py.ExternalLink(str(day / "all.h5"), "/own")
    (day / "raw.bin").write_bytes(numbers.astype("<i8").tobytes())
    with h5py.File(day / "all.h5", "w") as file:
        file["own"] = numbers
        file["soft"] = h5py.SoftLink("/relative")
        file["relative"] = h5py.ExternalLink("beside.h5", "/d")
        file["deep"] = h5py.ExternalLink("deep/source.h5", "/d")
        file["absolute"] = h5py.ExternalLink(str(deep / "source.h5"), "/d")
        file["store"] = h5py.ExternalLink("../../analysis/far/far.h5", "/further")
        file["absolute store"] = h5py.ExternalLink(str(lab / "analysis" / "far" / "far.h5"), "/further")
        file["itself"] = h5py.ExternalLink("all.h5", "/soft")
        for name, source in (("v", "beside.h5"), ("v absolute", str(deep / "source.h5"))):
            layout = h5py.VirtualLayout((12,), "<i8")
            layout[:] = h5py.VirtualSource(source, "d", (12,))
            file.create_virtual_dataset(f"group/{name}", layout)
        space = h5py.h5s.create_simple((12,), (h5py.h5s.UNLIMITED,))
        space.select_hyperslab((0,), (h5py.h5s.UNLIMITED,), (12,), (12,))
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_virtual(space, b"part-%b.h5", b"d", h5py.h5s.create_simple((12,)))
        h5py.h5d.create(file.id, b"parts", h5py.h5t.NATIVE_INT64, space, creation)
        file.create_dataset("raw", (12,), "<i8", external=[("raw.bin", 0, h5py.h5f.UNLIMITED)])
    assert raw.is_dir()


def test_every_link_of_hdf5(lab: Path) -> None:
    make_hdf5(lab)
    files = looked("raw/day/all.h5")
    beside = [f"raw/day/{name}" for name in ("all.h5", "beside.h5", "deep/source.h5", "raw.bin")]
    expected = [
        *beside,
        *(f"raw/day/part-{n}.h5" for n in range(3)),
        "analysis/far/far.h5",
        "analysis/far/further.h5",
    ]
    assert states(files) == dict.fromkeys(sorted(expected), "ok")
    assert all(file.needed_by == (ROW,) and not file.unread for file in files.values())
    assert files["raw/day/all.h5"].linked_from == ("analysis/far/further.h5",)
    before = {name: h5_values(lab / name) for name in expected if name.endswith(".h5")}
    assert before["raw/day/all.h5"]["/ parts 1"] == [n + part for part in range(3) for n in range(12)]
    result, place = copied(files, lab)
    assert result.complete, str(result)
    # absolute paths: HDF5 takes the file of that name beside the one with the link
    assert set(result.also) == {
        *(f"raw/day/{name}" for name in ("source.h5", "far.h5", "further.h5")),
        *(
            f"analysis/far/{name}"
            for name in ("all.h5", "beside.h5", "deep/source.h5", "source.h5", "raw.bin")
        ),
        *(f"analysis/far/part-{n}.h5" for n in range(3)),
    }
    assert {name: h5_values(place / name) for name in before} == before
    lab.with_name("gone").rename(lab)
    again = copy_files(list(files.values()), place, Stores())
    assert (again.kept, again.copied, again.linked, again.also) == (len(files), 0, 0, result.also)


def test_two_programs_put_a_file_at_its_second_place(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_hdf5(lab)
    files, copy = list(looked("raw/day/all.h5").values()), lab.parent / "copy"
    chunks, meeting, others = LocalStore.chunks, [True], list[Copied]()

    def meanwhile(store: LocalStore, path: str, offset: int = 0) -> Iterator[bytes]:
        if store.location == copy and meeting:
            meeting.clear()
            others.append(copy_files(files, copy, Stores(), link=False))
        yield from chunks(store, path, offset)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "chunks", meanwhile)
        result = copy_files(files, copy, Stores(), link=False)
    ((file, reason),) = others[0].failed
    assert "somebody else is copying it" in reason and file.name.split("/")[-1] in reason
    assert len(result.also) == len(others[0].also) + 1 == 11
    # what the other one put there is the same file, also if its list of checksums is lost
    assert result.complete, str(result)
    sums = (copy / "SHA256SUMS").read_text()
    (copy / "SHA256SUMS").unlink()
    assert copy_files(files, copy, Stores(), link=False).also == result.also
    assert (copy / "SHA256SUMS").read_text() == sums and len(sums.splitlines()) == len(files) + 11
    assert not list(copy.rglob(".partial*"))


def test_a_second_place_and_a_file_of_another_slice(lab: Path) -> None:
    """Both can come first into a folder. The file has its place, and the link that loses is named."""
    import h5py

    (lab / "raw" / "deep").mkdir()
    for place in ("s.h5", "deep/s.h5"):  # of the same size
        with h5py.File(lab / "raw" / place, "w") as file:
            file["d"] = len(place)
    with h5py.File(lab / "raw" / "x.h5", "w") as file:
        file["far"] = h5py.ExternalLink(str(lab / "raw" / "deep" / "s.h5"), "/d")
    linking, own = looked("raw/x.h5").values(), looked("raw/s.h5").values()
    for number, order in enumerate(((linking, own), (own, linking))):
        copy = lab.parent / f"copy-{number}"
        first, second = (copy_files(list(files), copy, Stores()) for files in order)
        assert first.complete and not second.complete
        ((file, reason),) = second.failed
        assert (file.path, reason) == (
            ("s.h5", "it replaced another file, to which links of an earlier copy lead"),
            ("deep/s.h5", "putting it at raw/s.h5 too, where a link leads: there is another file"),
        )[number]
        assert (copy / "raw" / "s.h5").read_bytes() == (lab / "raw" / "s.h5").read_bytes()
        subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=copy, check=True)


def test_links_that_lead_nowhere(lab: Path, tmp_path: Path) -> None:
    """Missing files and objects, circles, and ways out of the stores: named, never read, and nothing is put there."""
    import h5py

    secret = tmp_path / "outside" / "secret.h5"
    secret.parent.mkdir()
    with h5py.File(secret, "w") as file:
        file["d"] = 1
    (lab / "raw" / "way").symlink_to(secret.parent)
    (lab / "raw" / "found.h5").symlink_to(secret)
    links = {
        "missing": ("gone.h5", "/d"),
        "up": ("../../outside/secret.h5", "/d"),
        "absolute": (str(secret), "/d"),
        "symbolic": ("way/secret.h5", "/d"),
        "symbolic file": ("found.h5", "/d"),
        "top": ("../SHA256SUMS", "/d"),
        "folder": ("sub", "/d"),
        "store": (".", "/d"),
    }
    (lab / "raw" / "sub").mkdir()
    (lab / "raw" / "sub" / "of another project").write_text("")
    with h5py.File(lab / "raw" / "bad.h5", "w") as file:
        for name, (path, inside) in links.items():
            file[name] = h5py.ExternalLink(path, inside)
    with h5py.File(lab / "raw" / "circle.h5", "w") as file:
        file["a"] = h5py.ExternalLink("round.h5", "/a")
    with h5py.File(lab / "raw" / "round.h5", "w") as file:
        file["a"] = h5py.ExternalLink("circle.h5", "/a")
    with h5py.File(lab / "raw" / "dangling.h5", "w") as file:
        file["a"] = h5py.ExternalLink("object.h5", "soft/such")
    with h5py.File(lab / "raw" / "object.h5", "w") as file:
        file["no/other"] = 1
        file["soft"] = h5py.SoftLink("no")
        file.create_dataset("raw data", (1,), "<i8", external=[(str(lab / "raw" / "raw.bin"), 0, 8)])
    (lab / "raw" / "raw.bin").write_bytes(b"12345678")
    (lab / "raw" / "text.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    files = looked(*(f"raw/{name}.h5" for name in ("bad", "circle", "dangling", "object", "text")))
    named = states(files)
    assert {file.path: file.state for file in files.values() if file.kind == "link"} == {
        "gone.h5": "missing",
        "../../outside/secret.h5": "outside",
        str(secret): "outside",
        "way/secret.h5": "outside",
        "found.h5": "outside",
        "../SHA256SUMS": "outside",
        "sub": "missing",
        ".": "outside",
        "round.h5": "broken",
        "raw.bin": "ok",
    }
    assert named["raw/circle.h5"] == "broken" and "in a circle" in files["raw/circle.h5"].note
    assert "there is no /no/such in it (raw/object.h5)" in files["raw/dangling.h5"].note
    assert files["raw/text.h5"].unread.startswith("it cannot be read as HDF5")
    result, place = copied(files, lab)
    assert not result.complete
    why = {file.path: reason for file, reason in result.failed}
    assert set(why) == {
        "circle.h5",
        "object.h5",
        *(file.path for file in files.values() if file.state != "ok"),
    }
    assert "in a copy that is not raw/raw.bin" in why["object.h5"]  # HDF5 has no second way to raw storage
    copies = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert copies == {
        "SHA256SUMS",
        "stores.json",
        *(f"raw/{name}.h5" for name in ("bad", "circle", "dangling", "object", "round", "text")),
        "raw/raw.bin",
    }
    assert sorted(tmp_path.iterdir()) == sorted(tmp_path / name for name in ("copy", "gone", "outside"))


def test_a_second_place_is_inside_of_the_copy_and_nobody_elses(lab: Path) -> None:
    """The names of second places come from files, so they can be anything."""
    import h5py

    (lab / "raw" / "a").mkdir()
    for place in (lab / "raw" / "x.h5", lab / "raw" / "a" / "x.h5", lab / "raw" / "top.h5"):
        with h5py.File(place, "w") as file:
            file["d"] = str(place)
    with h5py.File(lab / "raw" / "two.h5", "w") as file:
        file["one"] = h5py.ExternalLink("x.h5", "/d")
        file["other"] = h5py.ExternalLink(str(lab / "raw" / "a" / "x.h5"), "/d")  # the same place beside it
    with h5py.File(lab / "analysis" / "up.h5", "w") as file:
        file["up"] = h5py.ExternalLink("../../lab/raw/top.h5", "/d")
        file["own"] = h5py.ExternalLink(str(lab / "raw" / "top.h5"), "/d")
    (lab.parent / "copy" / "analysis").mkdir(parents=True)
    (lab.parent / "copy" / "analysis" / "top.h5").write_text("mine")
    with h5py.File(lab / "raw" / "missing.h5", "w") as file:
        file["one"] = h5py.ExternalLink("gone.h5", "/d")
        file["other"] = h5py.ExternalLink(
            str(lab / "raw" / "a" / "gone.h5"), "/d"
        )  # where the other one should be
    (lab / "raw" / "a" / "gone.h5").write_bytes((lab / "raw" / "x.h5").read_bytes())
    files = looked("raw/two.h5", "analysis/up.h5", "raw/missing.h5")
    assert {name for name, state in states(files).items() if state != "ok"} == {"raw/gone.h5"}
    result = copy_files(list(files.values()), lab.parent / "copy", Stores())
    assert sorted((file.name, reason.split(",")[0]) for file, reason in result.failed) == [
        ("analysis/up.h5", "/up leads to '../../lab/raw/top.h5'"),
        (
            "raw/gone.h5",
            "it is not in the store; /one of raw/missing.h5 leads to it (external link 'gone.h5')",
        ),
        ("raw/missing.h5", "/other leads to raw/gone.h5 in the copy"),
        ("raw/top.h5", "putting it at analysis/top.h5 too"),
        ("raw/two.h5", "/other leads to raw/x.h5 in the copy"),
    ]
    assert (lab.parent / "copy" / "analysis" / "top.h5").read_text() == "mine"
    assert not result.also and not (lab.parent / "lab" / "lab").exists()


def test_what_is_read_of_a_file_is_bounded(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import h5py

    from dj_sqlspy.external import hdf5, linked

    with h5py.File(lab / "raw" / "wide.h5", "w") as file:
        for number in range(50):
            file[f"{number}"] = h5py.ExternalLink("wide.h5", "/")
        file["deep"] = h5py.SoftLink("/")
        group = file.create_group("g" + "/g" * 30)
        group["top"] = file["/"]  # a circle of hard links
    for number in range(5):
        with h5py.File(lab / "raw" / f"chain-{number}.h5", "w") as file:
            file["d"] = h5py.ExternalLink(f"chain-{number + 1}.h5", "/d") if number < 4 else 1
    place = hdf5.Place(Stores()["raw"], "wide.h5", (lab / "raw" / "wide.h5").stat().st_size)
    with hdf5.Readers() as readers:
        assert readers.links_of(place)[1] == ""
        for name, limit, words in (
            ("LINKS", 40, "more than 40 links"),
            ("OBJECTS", 40, "more than 40 objects"),
            ("LEVELS", 20, "more than 20 deep"),
            ("READ", 100, "MiB would have to be read"),
        ):
            with monkeypatch.context() as only:
                only.setattr(hdf5, name, limit)
                assert words in readers.links_of(place)[1]
        # a damaged file can end the process that reads it
        process = readers._idle[0]._program._process
        os.kill(process.pid, signal.SIGKILL)
        assert readers._idle[0]._program.connection.poll(5)  # its end is seen at once, also within an answer
        assert readers.links_of(place) == ([], "HDF5 crashes on it")
        assert len(readers.links_of(place)[0]) == 50
    assert len(looked("raw/chain-0.h5")) == 5
    monkeypatch.setattr(linked, "DEPTH", 3)
    chain = looked("raw/chain-0.h5")
    assert [bool(chain[name].unread) for name in sorted(chain)] == [False, False, False, True]


def test_zarr_folders_with_links(lab: Path) -> None:
    import zarr
    from hdmf_zarr import NWBZarrIO, ZarrDataIO

    raw, linking = str(lab / "raw" / "X.zarr"), lab / "analysis" / "a" / "A.zarr"
    linking.parent.mkdir()
    nwb = new_nwb("raw")
    nwb.add_acquisition(series("e-series", np.arange(20.0).reshape(10, 2)))
    nwb.add_acquisition(series("other", np.arange(5.0)))
    with NWBZarrIO(raw, "w") as io:
        io.write(nwb)
    with NWBZarrIO(raw, "r") as io:
        found = io.read()
        nwb = new_nwb("linking")
        nwb.add_acquisition(found.acquisition["e-series"])
        nwb.add_acquisition(series("data", ZarrDataIO(found.acquisition["other"].data, link_data=True)))
        with NWBZarrIO(str(linking), "w", manager=io.manager) as out:
            out.write(nwb, link_data=True)
    members = [path.relative_to(lab).as_posix() for path in linking.rglob("*") if path.is_file()]
    files = looked(*members, folder="a/A.zarr")
    assert set(states(files).values()) == {"ok"}
    targets = {name for name, file in files.items() if file.kind == "link"}
    assert targets == {path.relative_to(lab).as_posix() for path in Path(raw).rglob("*") if path.is_file()}
    assert all(
        file.folder == "X.zarr" and file.needed_by == (ROW,)
        for file in files.values()
        if file.name in targets
    )

    def values(place: Path) -> dict[str, Any]:
        with NWBZarrIO(str(place), "r") as io:
            return {name: one.data[:].tolist() for name, one in io.read().acquisition.items()}

    before = values(linking)
    assert set(before) == {"e-series", "data"}
    result, place = copied(files, lab)
    assert result.complete and not result.also, str(result)
    assert values(place / "analysis" / "a" / "A.zarr") == before
    assert zarr.open(str(place / "raw" / "X.zarr"), "r")["acquisition/other/data"].shape == (5,)
