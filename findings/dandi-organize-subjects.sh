#!/usr/bin/env bash
# dandi organize puts the subjects A_1, A-1 and A.1 into one folder, sub-A-1, as if they were one animal.
#
# Guess: a folder for each subject, or an error that says which of them share a name.
# Seen: one folder. The names of the files differ only by a checksum (_obj-…), as those of one subject's sessions do, also
#   where the sessions have ids of their own. The exit code is 0, nothing warns, and dandi validate finds no error.
# Versions: dandi 0.81.0, dandischema 0.14.0, pynwb 4.2.0, hdmf 6.2.0, nwbinspector 0.7.2; dandi 0.76.6 replaces the same signs.
# Why it matters: a lab that names animals 1.1 and 11 is safe, one with 1.1 and 1-1, or M_1 and M-1 (two cohorts), publishes
#   them as one. Who counts subjects by folder, as one reads a dandiset, counts too few; only the files tell.
# Source: none found.
. "$(dirname "$0")/common.sh"
environment nwb dandi==0.81.0 dandischema==0.14.0 pynwb==4.2.0 hdmf==6.2.0 nwbinspector==0.7.2 h5py==3.16.0 numpy==2.4.6 pandas==3.1.1
export HOME=$work DANDI_NO_ET=1 # its logs, and no question whether there is a newer version

cat >"$work/make.py" <<'END'
import sys
from datetime import datetime, timezone
from importlib.metadata import version

from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.file import Subject

for name in ("dandi", "dandischema", "pynwb", "hdmf", "nwbinspector"):
    print(name, version(name), file=sys.stderr)
for number, subject in enumerate(("A_1", "A-1", "A.1", "B1")):
    nwb = NWBFile("One session", f"file {number}", datetime(2026, 1, 1 + number, 12, tzinfo=timezone.utc), session_id="first")
    nwb.subject = Subject(subject_id=subject, species="Rattus norvegicus", sex="M", age="P90D")
    nwb.add_acquisition(TimeSeries(name="light", data=[1.0, 2.0], unit="V", rate=1.0, description="Light"))
    with NWBHDF5IO(f"{sys.argv[1]}/{number}.nwb", "w") as io:
        io.write(nwb)
END
cat >"$work/show.py" <<'END'
import sys
from pathlib import Path

import h5py

for folder in sorted(Path(sys.argv[1]).glob("sub-*")):
    found = []
    for path in folder.glob("*.nwb"):
        with h5py.File(path) as file:
            found.append(file["general/subject/subject_id"].asstr()[()])
    print(f"{folder.name}: the subjects {', '.join(sorted(found))}")
END
mkdir "$work/files" "$work/dandiset"
printf "identifier: '000001'\nname: n\ndescription: d\n" >"$work/dandiset/dandiset.yaml"
"$work/nwb/bin/python" -W ignore "$work/make.py" "$work/files"
code=0
"$work/nwb/bin/dandi" organize -d "$work/dandiset" -f copy "$work"/files/*.nwb >"$work/organize.log" 2>&1 || code=$?
see echo "dandi organize: exit code $code, $(grep -c WARNING "$work/organize.log" || true) warnings"
see "$work/nwb/bin/python" "$work/show.py" "$work/dandiset"
see "$work/nwb/bin/dandi" validate "$work/dandiset" 2>/dev/null
compare <<'END'
dandi organize: exit code 0, 0 warnings
sub-A-1: the subjects A-1, A.1, A_1
sub-B1: the subjects B1
No errors found.
END
