#!/usr/bin/env bash
# A file of NWB whose link leads to a missing file opens, with less in it and with other units.
#
# Guess (after word of empty arrays): reading the series is an error, or gives an empty array and keeps the rest.
# Seen: a series that is a link is not there at all; one with linked data has an empty array, the unit "unknown" in the
#   place of V, and the conversion 1 in the place of 2, since HDF5 keeps these with the data. A BrokenLinkWarning each, and
#   no error. pynwb.validate names the second, and not the first. export() writes this state into a new file without
#   any link, which stays so when the missing file is back.
# Versions: pynwb 4.2.0, hdmf 6.2.0, h5py 3.16.0.
# Why it matters: a copy of a Spyglass file without the file that it links to can be opened, analysed and exported.
# Source: warnings in the place of errors were asked for in July 2023 (pynwb 1742). None found for the units, nor for export.
. "$(dirname "$0")/common.sh"
environment nwb pynwb==4.2.0 hdmf==6.2.0 h5py==3.16.0 numpy==2.4.6 pandas==3.1.1

cat >"$work/try.py" <<'END'
import sys
import warnings
from datetime import datetime, timezone
from pathlib import Path

import h5py
import hdmf
import numpy as np
import pynwb
from pynwb import H5DataIO, NWBHDF5IO, NWBFile, TimeSeries

print("pynwb", pynwb.__version__, "hdmf", hdmf.__version__, "h5py", h5py.__version__, file=sys.stderr)
work = Path(sys.argv[1])
raw, linking, exported = work / "X.nwb", work / "X_.nwb", work / "exported.nwb"


def nwb(*series):
    made = NWBFile("One session", "one", datetime(2026, 1, 1, tzinfo=timezone.utc))
    for one in series:
        made.add_acquisition(one)
    return made


def show(text, file):
    found = {name: (np.asarray(one.data).tolist(), one.unit, float(one.conversion)) for name, one in sorted(file.acquisition.items())}
    print(f"{text}: {found}")


def say(path):
    print(f"validate: {[str(error) for error in pynwb.validate(path=path)]}")


about = {"unit": "V", "conversion": 2.0, "rate": 1.0}
with NWBHDF5IO(raw, "w") as io:
    io.write(nwb(*(TimeSeries(name=name, data=np.arange(3).tolist(), **about) for name in ("whole", "data"))))
with NWBHDF5IO(raw, "r") as io:
    found = io.read().acquisition
    data = H5DataIO(found["data"].data, link_data=True)
    with NWBHDF5IO(linking, "w", manager=io.manager) as out:
        out.write(nwb(found["whole"], TimeSeries(name="data", data=data, **about)), link_data=True)
with h5py.File(linking) as file:
    for name in ("whole", "data/data"):
        print(name, "is a link to", file["acquisition"].get(name, getlink=True).filename)
raw.rename(work / "away")
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    with NWBHDF5IO(linking, "r") as io:
        found = io.read()
        show("without it", found)
        with NWBHDF5IO(exported, "w") as out:
            out.export(io, found)
print("told:", sorted(f"{one.category.__name__} {str(one.message).split()[-1]}" for one in told))
say(linking)
(work / "away").rename(raw)
say(linking)
for text, path in (("it is back", linking), ("exported", exported)):
    with NWBHDF5IO(path, "r") as io:
        show(text, io.read())
END
see "$work/nwb/bin/python" -W ignore "$work/try.py" "$work"
compare <<'END'
whole is a link to X.nwb
data/data is a link to X.nwb
without it: {'data': ([], 'unknown', 1.0)}
told: ['BrokenLinkWarning /acquisition/data/data', 'BrokenLinkWarning /acquisition/whole']
validate: ['TimeSeries/data (acquisition/data): argument missing']
validate: []
it is back: {'data': ([0, 1, 2], 'V', 2.0), 'whole': ([0, 1, 2], 'V', 2.0)}
exported: {'data': ([], 'unknown', 1.0)}
END
