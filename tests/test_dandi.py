"""NWB files as pynwb makes them, laid out for DANDI, and read again with the originals out of reach.

dandi and nwbinspector are the real ones; they ask no server here.
"""

from __future__ import annotations

import datetime
import json
import shutil
import signal
import subprocess
import threading
import warnings
from pathlib import Path
from typing import Any

import datajoint as dj
import numpy as np
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cli import main
from dj_sqlspy.errors import FilesError
from dj_sqlspy.external import File, whole
from dj_sqlspy.external.apart import Program
from dj_sqlspy.external.dandi import DandiCopies, DandiCopy, dandi_copies
from dj_sqlspy.servers import Server

from .test_links import h5_values, lab, looked, make_hdf5

# the environment of this line has the packages; nothing else here depends on it, and nothing on a server
pytestmark = [pytest.mark.line("0.14"), pytest.mark.flavor("mariadb")]

__all__ = ["lab"]

RAT = {"species": "Rattus norvegicus", "sex": "M", "age": "P90D"}


def new_nwb(name: str, session: str | None = None, **subject: str) -> Any:
    import pynwb

    start = datetime.datetime(2020, 1, 1, 12, tzinfo=datetime.timezone.utc)
    made = pynwb.NWBFile(
        session_description="a session", identifier=name, session_start_time=start, session_id=session
    )
    made.subject = pynwb.file.Subject(**subject) if subject else None
    return made


def write(place: Path, made: Any, manager: Any = None) -> None:
    import pynwb

    with warnings.catch_warnings(), pynwb.NWBHDF5IO(place, "w", manager=manager) as out:
        warnings.simplefilter("ignore")
        out.write(made, link_data=True)


def make_linked(lab: Path) -> None:
    """`X.nwb`; `X_.nwb`, all links to it, as Spyglass has it; `A.nwb`, which has own data on electrodes of it."""
    import pynwb
    from pynwb.base import ExternalImage, Images
    from pynwb.ecephys import ElectricalSeries
    from pynwb.image import ImageSeries

    raw = new_nwb("raw", "one", subject_id="rat 1", **RAT)
    group = raw.create_electrode_group(
        "g", description="d", location="CA1", device=raw.create_device("probe")
    )
    for _ in range(3):
        raw.add_electrode(location="CA1", group=group)
    region = raw.create_electrode_table_region([0, 2], "two")
    data = np.arange(20.0).reshape(10, 2)
    raw.add_acquisition(ElectricalSeries(name="e-series", data=data, electrodes=region, rate=1000.0))
    write(lab / "raw" / "X.nwb", raw)
    for name in ("film.avi", "still.png"):
        (lab / "raw" / name).write_bytes(name.encode())
    with pynwb.NWBHDF5IO(lab / "raw" / "X.nwb", "r") as io:
        linking = io.read().copy()
        film = {"external_file": [str(lab / "raw" / "film.avi")], "format": "external", "starting_frame": [0]}
        linking.add_acquisition(ImageSeries(name="film", unit="n", timestamps=[0.0], **film))
        still = ExternalImage(name="still", data="still.png", image_format="PNG")
        linking.add_acquisition(Images(name="stills", images=[still], description="d"))
        write(lab / "raw" / "X_.nwb", linking, io.manager)
    with pynwb.NWBHDF5IO(lab / "raw" / "X_.nwb", "r") as io:
        analysis = io.read()
        for name in list(analysis.acquisition):
            analysis.acquisition.pop(name)
        analysis.generate_new_id()
        with pynwb.NWBHDF5IO(lab / "analysis" / "A.nwb", "w", manager=io.manager) as out:
            out.export(src_io=io, nwbfile=analysis)
    with pynwb.NWBHDF5IO(lab / "analysis" / "A.nwb", "a") as io:
        analysis = io.read()
        region = analysis.create_electrode_table_region([1], "one", name="electrodes")
        lfp = ElectricalSeries(name="lfp", data=np.arange(5.0).reshape(5, 1), electrodes=region, rate=1000.0)
        analysis.add_scratch(lfp)
        io.write(analysis)


def states(lab: Path) -> dict[str, tuple[int, bytes]]:
    """What is at the lab, to see that nothing of it changes."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in lab.rglob("*") if path.is_file()
    }


def laid_out(files: dict[str, File], place: Path, *fix: str) -> tuple[DandiCopies, dict[str, DandiCopy]]:
    made = dandi_copies(list(files.values()), place, fix=fix)
    assert not list(place.parent.glob("dj-sqlspy-*"))
    return made, {copy.file: copy for copy in made.copies}


def test_linked_files(lab: Path) -> None:
    import h5py
    import pynwb

    make_linked(lab)
    before, place = states(lab), lab.parent / "dandiset"
    files = looked("raw/X_.nwb", "analysis/A.nwb")
    assert {name for name, file in files.items() if file.kind == "link"} == {
        "raw/X.nwb",
        "raw/film.avi",
        "raw/still.png",
    }
    seen = {name: h5_values(lab / name) for name in ("raw/X_.nwb", "analysis/A.nwb")}
    made, copies = laid_out(files, place)
    assert states(lab) == before
    assert made.valid, str(made)
    assert {copy.path.split("/")[0] for copy in made.copies} == {"sub-rat-1"}
    assert all("the same subject rat 1 and session one" in copy.told[0] for copy in made.copies)
    assert all(copy.compared > 10 and not copy.changed for copy in made.copies)
    assert dict(made.left_out)["raw/X.nwb"].startswith("only other files lead to it")
    lab.rename(lab.with_name("gone"))
    for name, copy in copies.items():
        found = h5_values(place / copy.path)
        references = "/general/extracellular_ephys/electrodes group 4"  # read by pynwb below
        assert len(found.pop(references)) == len(seen[name].pop(references)) == 3
        media = {
            key
            for key in found
            if "film external_file" in key or key.startswith("/acquisition/stills still ")
        }
        assert len(media) == (2 if name == "raw/X_.nwb" else 0)
        assert {key: value for key, value in found.items() if key not in media} == {
            key: value for key, value in seen[name].items() if key not in media
        }
        with h5py.File(place / copy.path) as file:
            assert file["general/subject/subject_id"][()] == b"rat 1"
            for key in media:
                (path,) = np.atleast_1d(file["/".join(key.split(" ")[:2])].asstr()[()])
                assert ((place / copy.path).parent / path).read_bytes() in (b"film.avi", b"still.png")
        with pynwb.NWBHDF5IO(place / copy.path, "r") as io:
            read = io.read()
            series = read.scratch["lfp"] if name == "analysis/A.nwb" else read.acquisition["e-series"]
            assert series.electrodes.table is read.electrodes
            assert set(read.electrodes["group"][:]) == {read.electrode_groups["g"]}
    listed = {one["file"]: one for one in json.loads((place / "copies.json").read_text())}
    for name, one in listed.items():
        check = subprocess.check_output(["sha256sum", place / one["path"]], text=True)
        assert check.split()[0] == one["sha256"] == copies[name].sha256 != one["original_sha256"]


def test_every_link_of_hdf5(lab: Path) -> None:
    """Whatever leads elsewhere is in the copy: also virtual datasets, raw storage, chains, links to itself."""
    make_hdf5(lab)
    source, copy = lab / "raw" / "day" / "all.h5", lab.parent / "whole.h5"
    seen = h5_values(source)
    for path in ("deep/source.h5", "../../analysis/far/far.h5", "../../analysis/far/further.h5"):
        shutil.copy(source.parent / path, source.parent)  # where links by absolute paths find them in a copy
    shutil.copy(source, lab / "analysis" / "far")
    with Program(whole.__file__) as program:
        said = program.ask(source=str(source), copy=str(copy), top=str(lab))
        outside = program.ask(source=str(source), copy=f"{copy}-2", top=str(source.parent))
    assert said["datasets"] >= 10, said
    assert "outside of what was copied" in outside["refused"] and not said["brought"]
    lab.rename(lab.with_name("gone"))
    assert h5_values(copy) == seen


def test_linked_data_that_need_more(lab: Path) -> None:
    """What references and soft links of linked data mean comes along. Circles and odd types stay what they are."""
    import h5py

    source, copy = lab / "raw" / "s.h5", lab.parent / "whole.h5"
    with h5py.File(source, "w") as file:
        group = file.create_group("g")
        file["far/x"], file["far/y"], file["far/not"] = [1], [2], [3]
        file["far"].attrs["typed"] = 1
        group["soft"], group["nowhere"] = h5py.SoftLink("/far/x"), h5py.SoftLink("/gone")
        group["itself"], group["texts"], group["empty"] = group, np.array([b"ab", b"c"]), h5py.Empty("i4")
        group["pairs"] = np.array([(1, b"x", 2 + 1j)], dtype=[("a", "i4"), ("b", "S2"), ("c", "c16")])
        group["nan"], group["flags"], group["type"] = (
            np.array([np.nan, -0.0]),
            np.array([True]),
            np.dtype("f8"),
        )
        group["means"] = np.array([group.ref, file["far/y"].ref, h5py.Reference()], dtype=h5py.ref_dtype)
        group.attrs["one"], group.attrs["none"] = file["far/y"].ref, h5py.Empty("S3")
    with h5py.File(lab / "raw" / "r.h5", "w") as file:
        file["deep/a"], file["b"] = h5py.ExternalLink("s.h5", "/g"), h5py.ExternalLink("s.h5", "/g")
    with Program(whole.__file__) as program:
        said = program.ask(source=str(lab / "raw" / "r.h5"), copy=str(copy), top=str(lab))
        with h5py.File(lab / "raw" / "r.h5", "a") as file:
            file["far"] = 5
        refused = program.ask(source=str(lab / "raw" / "r.h5"), copy=f"{copy}-2", top=str(lab))
    lab.rename(lab.with_name("gone"))
    assert said["brought"] == ["/far", "/far/x", "/far/y"], said
    assert "linked data need /far/x of s.h5, and another object is at /far" in refused["refused"]
    with h5py.File(copy) as file:
        assert file["deep/a"] == file["b"] == file["b/itself"] == file[file["b/means"][0]]
        assert file[file["b/means"][1]] == file[file["b"].attrs["one"]] == file["far/y"]
        assert not file["b/means"][2] and file["b/soft"][()] == [1] and sorted(file["far"]) == ["x", "y"]
        assert file["far"].attrs["typed"] == 1 and file["b"].get("nowhere") is None


def test_what_dandi_requires(lab: Path) -> None:
    """What is missing is told, and changed only where asked; a name that cannot be given is refused."""
    import h5py

    raw = lab / "raw"
    write(raw / "bare.nwb", new_nwb("bare", "s", subject_id="r.1", sex="M"))
    write(raw / "long.nwb", new_nwb("long", "s", subject_id="l" * 300, **RAT))
    write(raw / "control.nwb", new_nwb("control", "s", subject_id="a\x1b[31m", **RAT))
    write(raw / "slash.nwb", new_nwb("slash", "s", subject_id="../a/b", **RAT))
    write(raw / "line.nwb", new_nwb("line", "s", subject_id=".._a_b", **RAT))
    write(raw / "nobody.nwb", new_nwb("nobody"))
    (raw / "no.nwb").write_bytes(b"no HDF5")
    with h5py.File(raw / "bare.nwb", "a") as file:
        file["general/subject/sex"][()] = "Male"
        file["general/subject/species"] = "Rat"
    shutil.copy(raw / "bare.nwb", raw / "twin.nwb")
    with h5py.File(raw / "twin.nwb", "a") as file:
        file["extra"] = 1
    names = ("bare", "long", "control", "slash", "line", "nobody", "no", "twin")
    files = looked(*(f"raw/{name}.nwb" for name in names))
    before, place = states(lab), lab.parent / "dandiset"
    made, copies = laid_out(files, place)
    assert not made.valid and states(lab) == before
    refused = {name: copies[f"raw/{name}.nwb"].refused for name in names if copies[f"raw/{name}.nwb"].refused}
    assert "longer than 255 bytes" in refused.pop("long")
    assert "its name would be" in refused.pop("control") and "subject_id" in refused.pop("nobody")
    assert "would share the folder sub----a-b" in refused.pop("line")
    assert "the same object_id, subject and session" in refused.pop("twin")
    assert refused.pop("no") and not refused
    bare = copies["raw/bare.nwb"]
    assert {one.id for one in bare.said if one.severity == "CRITICAL"} >= {
        "check_subject_sex",
        "check_subject_species_form",
        "check_subject_age",
    }
    assert (
        len(bare.missing) == 4
        and "raw/twin.nwb has the same" in bare.missing[3]
        and not bare.changed
        and not bare.valid
    )
    assert copies["raw/slash.nwb"].path.startswith("sub----a-b/sub----a-b")
    assert sorted(path.name for path in place.iterdir() if not path.name.startswith("sub-")) == [
        "copies.json"
    ]
    assert "missing: " in str(made) and "refused: " in str(made) and "\x1b" not in str(made)
    with pytest.raises(FilesError, match="Name a new folder"):
        laid_out(files, place)
    for wrong in ("age", "colour=red", "object-ids=1"):
        with pytest.raises(FilesError, match="no fix is"):
            laid_out(files, lab.parent / "never", wrong)


def test_the_command_line_fixes(
    server: Server,
    dj_conn: Any,
    prefix: str,
    home: Path,
    lab: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import h5py

    write(lab / "raw" / "bare.nwb", new_nwb("bare", "s", subject_id="r.1", sex="M"))
    with h5py.File(lab / "raw" / "bare.nwb", "a") as file:
        file["general/subject/sex"][()] = "Male"
        file["general/subject/species"] = "Rat"
    shutil.copy(lab / "raw" / "bare.nwb", lab / "raw" / "twin.nwb")
    schema = dj.schema(f"{prefix}lab")

    @schema
    class Nwbfile(dj.Manual):
        definition = """
        name: varchar(64)
        ---
        file: filepath@raw
        """

    monkeypatch.setenv("DJ_SUPPORT_FILEPATH_MANAGEMENT", "TRUE")
    for name in ("bare", "twin"):
        Nwbfile.insert1({"name": name, "file": str(lab / "raw" / f"{name}.nwb")})
    with sqlspy.export("paper", "fig1", home=home):
        Nwbfile.proj().fetch()
    before, place = states(lab), lab.parent / "fixed"
    line = ["--home", str(home), "files", "paper", "--dandi", str(place)]
    fixes = ("sex", "species", "age=P1Y", "r.1.age=P90D", "object-ids")
    assert main(line + [word for fix in fixes for word in ("--fix", fix)]) == 0
    assert states(lab) == before
    said = capsys.readouterr().out
    for change in ("sex: Male -> M", "species: Rat -> Rattus norvegicus", "age: nothing -> P90D"):
        assert said.count(f"changed: {change}") == 2
    assert said.count("changed: object_id: ") == 1 and "2 with all that DANDI requires" in said
    made = [h5py.File(place / one["path"]) for one in json.loads((place / "copies.json").read_text())]
    assert len({file.attrs["object_id"] for file in made}) == 2
    assert {file["general/subject/age"][()] for file in made} == {b"P90D"}
    for file in made:
        file.close()
    assert main(line) == 1
    assert "Name a new folder" in capsys.readouterr().err
    monkeypatch.setattr("dj_sqlspy.external.dandi.TOOLS", ("h5py", "not_there"))
    assert main(line) == 1
    assert 'not_there not installed: pip install "dj-sqlspy[dandi]"' in capsys.readouterr().err


def test_ctrl_c_leaves_nothing(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder, no work of it, and no process."""
    write(lab / "raw" / "one.nwb", new_nwb("one", "s", subject_id="r1", **RAT))
    files = looked("raw/one.nwb")
    ask = Program.ask
    asked: list[Program] = []

    def interrupted(program: Program, **request: Any) -> Any:
        if request["task"] == "metadata":
            asked.append(program)
            threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
        return ask(program, **request)

    monkeypatch.setattr(Program, "ask", interrupted)
    before = sorted(lab.parent.iterdir())
    with pytest.raises(KeyboardInterrupt):
        laid_out(files, lab.parent / "dandiset")
    assert asked[0]._process.returncode is not None
    assert sorted(lab.parent.iterdir()) == before
