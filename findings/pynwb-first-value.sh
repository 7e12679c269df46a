#!/usr/bin/env bash
# pynwb writes a list as the type of its first value: 1, 2.5, 0.7 are 1, 2, 0 in the file, and nan after True is True.
#
# Guess: the file has the values that the object had, or write() refuses.
# Seen: TimeSeries(data=[0, 0.4, 0.9]) is 0, 0, 0 in the file, and so are nested lists, columns of trials (row by row
#   or at once), ragged columns and scratch. After a bool, nan, texts and other numbers are True, and a None is False
#   (a column given at once may have None, one filled row by row may not). The object in memory keeps the values, so
#   what was just made looks right. HDF5 and Zarr do the same; neither an error nor a warning; pynwb.validate and
#   nwbinspector have nothing to say. Right: columns whose type the schema fixes (start_time, spike_times), arrays of
#   numpy, and lists that begin with a float.
# Versions: pynwb 4.2.0, hdmf 6.2.0, hdmf-zarr 0.13.0, nwbinspector 0.7.2, h5py 3.16.0; pynwb 3.0.0 does it too.
# Why it matters: rows come from a database or a CSV file with 1 for 1.0, and a trial without an answer has nan. Delays,
#   amplitudes and answers in the published file are others than in the lab, and nothing tells which.
# Source: none found.
. "$(dirname "$0")/common.sh"
environment nwb pynwb==4.2.0 hdmf==6.2.0 hdmf-zarr==0.13.0 nwbinspector==0.7.2 h5py==3.16.0 numpy==2.4.6 pandas==3.1.1

cat >"$work/try.py" <<'END'
import sys
from datetime import datetime, timezone
from importlib.metadata import version

import numpy as np
from hdmf.common import DynamicTable, VectorData
from hdmf_zarr.nwb import NWBZarrIO
from nwbinspector import inspect_nwbfile
from pynwb import NWBHDF5IO, NWBFile, TimeSeries, validate

for name in ("pynwb", "hdmf", "hdmf-zarr", "nwbinspector", "h5py", "numpy"):
    print(name, version(name), file=sys.stderr)


def made():
    nwb = NWBFile("One session", "one", datetime(2026, 1, 1, tzinfo=timezone.utc))
    nwb.add_acquisition(TimeSeries(name="light", data=[0, 0.4, 0.9], unit="V", rate=1.0, description="Light"))
    nwb.add_acquisition(TimeSeries(name="light2", data=[[0, 0], [0.4, 0.6]], unit="V", rate=1.0, description="Light"))
    nwb.add_acquisition(TimeSeries(name="array", data=np.array([0, 0.4, 0.9]), unit="V", rate=1.0, description="Light"))
    for name in ("delay", "correct", "answer", "amplitudes"):
        nwb.add_trial_column(name, "One for each trial", index=name == "amplitudes")
    for start, delay, correct, answer, amplitudes in (
        (0.0, 1, True, True, [1, 2]), (1.5, 2.5, float("nan"), "late", [2.5]), (2.7, 0.7, False, "", [0.1, 0.9]),
    ):  # fmt: skip
        nwb.add_trial(start_time=start, stop_time=start + 1, delay=delay, correct=correct, answer=answer, amplitudes=amplitudes)
    columns = [VectorData(name=name, description="d", data=data) for name, data in
               (("once", [1, 2.5, 3]), ("choice", [True, None, False]), ("float_first", [0.5, 1, 3]))]  # fmt: skip
    nwb.add_scratch(DynamicTable(name="table", description="d", columns=columns))
    return nwb


def show(where, nwb):
    plain = lambda column: [x.tolist() if hasattr(x, "tolist") else x for x in column[:]]
    seen = {name: nwb.acquisition[name].data for name in ("light", "light2", "array")}
    seen |= {name: nwb.trials[name] for name in ("start_time", "delay", "correct", "answer", "amplitudes")}
    seen |= {name: nwb.scratch["table"][name] for name in ("once", "choice", "float_first")}
    for name, column in seen.items():
        print(f"{where}: {name} {plain(column)}")


show("made", made())
for where, path, io_class in (("HDF5", f"{sys.argv[1]}/one.nwb", NWBHDF5IO), ("Zarr", f"{sys.argv[1]}/one.zarr", NWBZarrIO)):
    with io_class(path, "w") as io:
        io.write(made())
    with io_class(path, "r") as io:
        show(where, io.read())
path = f"{sys.argv[1]}/one.nwb"
print("validate:", validate(path=path))
ours = {"light", "light2", "delay", "correct", "answer", "amplitudes", "once", "choice"}
print("nwbinspector:", [one.message for one in inspect_nwbfile(nwbfile_path=path) if one.object_name in ours])
END
see "$work/nwb/bin/python" -W ignore "$work/try.py" "$work"
compare <<'END'
made: light [0, 0.4, 0.9]
made: light2 [[0, 0], [0.4, 0.6]]
made: array [0.0, 0.4, 0.9]
made: start_time [0.0, 1.5, 2.7]
made: delay [1, 2.5, 0.7]
made: correct [True, nan, False]
made: answer [True, 'late', '']
made: amplitudes [[1, 2], [2.5], [0.1, 0.9]]
made: once [1, 2.5, 3]
made: choice [True, None, False]
made: float_first [0.5, 1, 3]
HDF5: light [0, 0, 0]
HDF5: light2 [[0, 0], [0, 0]]
HDF5: array [0.0, 0.4, 0.9]
HDF5: start_time [0.0, 1.5, 2.7]
HDF5: delay [1, 2, 0]
HDF5: correct [True, True, False]
HDF5: answer [True, True, False]
HDF5: amplitudes [[1, 2], [2], [0, 0]]
HDF5: once [1, 2, 3]
HDF5: choice [True, False, False]
HDF5: float_first [0.5, 1.0, 3.0]
Zarr: light [0, 0, 0]
Zarr: light2 [[0, 0], [0, 0]]
Zarr: array [0.0, 0.4, 0.9]
Zarr: start_time [0.0, 1.5, 2.7]
Zarr: delay [1, 2, 0]
Zarr: correct [True, True, False]
Zarr: answer [True, True, False]
Zarr: amplitudes [[1, 2], [2], [0, 0]]
Zarr: once [1, 2, 3]
Zarr: choice [True, False, False]
Zarr: float_first [0.5, 1.0, 3.0]
validate: []
nwbinspector: []
END
