#!/usr/bin/env bash
# A unit that pynwb refuses to append to a file makes the whole file unreadable.
#
# Guess: a unit can be added to a file that was opened with mode "a", and written; or it is refused, and the file stays as
#   it was, since io.write() was not called.
# Seen: rows are written at once, column by column. The index of a ragged column (spike_times) begins with 8 bits for
#   each opened file, and cannot be widened in it: as soon as there are more than 255 spikes in all, add_unit is a
#   ValueError (its text not filled in), also if the index of the file has 16 bits already. The columns before it have
#   the new row by then, and the rest do not: from then on read() says "Columns must be the same length", for all of
#   the file. With fewer spikes the unit is appended well.
# Versions: pynwb 4.2.0, hdmf 6.2.0, h5py 3.16.0.
# Why it matters: to add curated units to a file is usual, and examples are small. The data of the whole session, not just
#   of this table, cannot be read with pynwb any more. Copy the file first.
# Source: none found for this (hdmf's issue 630 of 2021 is about the widening in memory).
. "$(dirname "$0")/common.sh"
environment nwb pynwb==4.2.0 hdmf==6.2.0 h5py==3.16.0 numpy==2.4.6

cat >"$work/try.py" <<'END'
import sys
from datetime import datetime, timezone
from importlib.metadata import version

import numpy as np
from pynwb import NWBHDF5IO, NWBFile

for name in ("pynwb", "hdmf", "h5py", "numpy"):
    print(name, version(name), file=sys.stderr)


def attempt(what, function):
    try:
        print(what, function())
    except Exception as error:
        print(what, type(error).__name__, "/", str(error.__cause__ or error)[:70])


def made(path, spikes):
    nwb = NWBFile("One session", "one", datetime(2026, 1, 1, tzinfo=timezone.utc))
    nwb.add_unit_column("quality", "One for each unit")
    for unit in range(2):
        nwb.add_unit(spike_times=np.arange(float(spikes)) + 1000 * unit, quality="good")
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)


def append(path, spikes):
    with NWBHDF5IO(path, "a") as io:
        nwb = io.read()
        nwb.add_unit(spike_times=np.arange(float(spikes)) + 5000, quality="new")
        io.write(nwb)
    return "appended"


def read(path):
    with NWBHDF5IO(path, "r") as io:
        units = io.read().units
        return [(units["quality"][n], len(units.get_unit_spike_times(n))) for n in range(len(units.id))]


for before, after in ((100, 50), (100, 100), (1000, 100)):
    path = f"{sys.argv[1]}/{before}-{after}.nwb"
    made(path, before)
    attempt(f"2 units of {before}:", lambda: read(path))
    attempt(f"2 units of {before}, one of {after} to append:", lambda: append(path, after))
    attempt("  the file is now:", lambda: read(path))
END
see "$work/nwb/bin/python" -W ignore "$work/try.py" "$work"
compare <<'END'
2 units of 100: [('good', 100), ('good', 100)]
2 units of 100, one of 50 to append: appended
  the file is now: [('good', 100), ('good', 100), ('new', 50)]
2 units of 100: [('good', 100), ('good', 100)]
2 units of 100, one of 100 to append: ValueError / ('cannot adjust precision of type %s to %s', (<class 'h5py._hl.dataset
  the file is now: ConstructError / Columns must be the same length
2 units of 1000: [('good', 1000), ('good', 1000)]
2 units of 1000, one of 100 to append: ValueError / ('cannot adjust precision of type %s to %s', (<class 'h5py._hl.dataset
  the file is now: ConstructError / Columns must be the same length
END
