#!/usr/bin/env bash
# pynapple reads an NWB file without conversion and offset, and loses the spikes of units that have only one.
#
# Guess: the values that pynwb's get_data_in_units() has, and all spikes.
# Seen: all series have the numbers as they are stored, whatever conversion, offset and channel_conversion say, without
#   a warning. A TsGroup keeps what is between the first and the last spike of a unit with two or more; a unit whose
#   only spike is outside of that has none, and a rate of 0. Of this the warnings say "Some epochs have no duration".
# Versions: pynapple 0.11.4, pynwb 4.2.0, numpy 2.4.6.
# Why it matters: raw traces are stored as int16 with a conversion, and positions in pixels or cm with one to m. A
#   threshold in volts or a speed in m/s is applied to other numbers. A silent unit and one that fired once differ.
# Source: none found.
. "$(dirname "$0")/common.sh"
environment nap pynapple==0.11.4 pynwb==4.2.0 hdmf==6.2.0 numpy==2.4.6 pandas==3.1.1

cat >"$work/try.py" <<'END'
import sys
import warnings
from datetime import datetime, timezone
from importlib.metadata import version

import numpy as np
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.behavior import SpatialSeries
from pynwb.ecephys import ElectricalSeries

warnings.simplefilter("ignore")
import pynapple

for name in ("pynapple", "pynwb", "numpy"):
    print(name, version(name), file=sys.stderr)
path = f"{sys.argv[1]}/one.nwb"
nwb = NWBFile("One session", "one", datetime(2026, 1, 1, tzinfo=timezone.utc))
group = nwb.create_electrode_group("probe", description="One", location="V1", device=nwb.create_device("probe"))
for _ in range(2):
    nwb.add_electrode(group=group, location="V1")
same = {"starting_time": 10.0, "rate": 2.0}
nwb.add_acquisition(ElectricalSeries(
    name="lfp", data=np.array([[0, 100], [10, 200]], dtype="i2"), electrodes=nwb.create_electrode_table_region([0, 1], "Both"),
    conversion=1e-6, offset=-5e-6, channel_conversion=[1.0, 2.0], **same,
))  # fmt: skip
nwb.add_acquisition(TimeSeries(name="temperature", data=np.array([20, 21], dtype="i2"), unit="C", conversion=0.5, offset=25.0, **same))
nwb.add_acquisition(SpatialSeries(name="position", data=np.array([[0.0, 50], [100, 150]]), unit="m", conversion=0.01, reference_frame="Corner", **same))
for unit, spikes in {3: [], 7: [10.2, 10.9, 11.4], 9: [12.0], 11: [10.5]}.items():
    nwb.add_unit(id=unit, spike_times=spikes)
with NWBHDF5IO(path, "w") as io:
    io.write(nwb)
found = pynapple.load_file(path)
plain = lambda values: np.round(np.asarray(values, dtype=float), 9).tolist()
with NWBHDF5IO(path, "r") as io:
    nwb = io.read()
    for name in ("lfp", "temperature", "position"):
        series = nwb.acquisition[name]
        print(f"{name} in {series.unit}: pynwb {plain(series.get_data_in_units())}, pynapple {plain(found[name].values)}")
    units = found["units"]
    for number, unit in enumerate(nwb.units.id[:]):
        print(f"unit {unit}: pynwb {plain(nwb.units['spike_times'][number])}, pynapple {plain(units[unit].times())}")
    print("rates:", {int(unit): round(float(rate), 3) for unit, rate in units["rate"].items()})
END
see "$work/nap/bin/python" -W ignore "$work/try.py" "$work"
compare <<'END'
lfp in volts: pynwb [[-5e-06, 0.000195], [5e-06, 0.000395]], pynapple [[0.0, 100.0], [10.0, 200.0]]
temperature in C: pynwb [35.0, 35.5], pynapple [20.0, 21.0]
position in m: pynwb [[0.0, 0.5], [1.0, 1.5]], pynapple [[0.0, 50.0], [100.0, 150.0]]
unit 3: pynwb [], pynapple []
unit 7: pynwb [10.2, 10.9, 11.4], pynapple [10.2, 10.9, 11.4]
unit 9: pynwb [12.0], pynapple []
unit 11: pynwb [10.5], pynapple [10.5]
rates: {3: 0.0, 7: 2.5, 9: 0.0, 11: 0.833}
END
