#!/usr/bin/env bash
# add_trial(timeseries=[…]) of pynwb loses a sample of trials at sampled times, if the series has a rate.
#
# Guess (after a look at the source, which has int() of a product): the reference of a trial to a series has the
#   samples of start_time <= t < stop_time, whether the series has a rate or timestamps.
# Seen: with a rate, (time - starting_time) * rate is rounded toward zero. At 1 kHz from 1.2 s it is below the number of
#   the sample for one time in six, so a third of the trials of 100 samples have 99 or 101, and a sixth begin a sample
#   too early. Between two samples the one before start_time is included, which with timestamps it is not. A trial
#   that goes on after the last sample is written, and to read its reference is an IndexError; with timestamps it has
#   what there is. Neither an error nor a warning when the file is made, and pynwb.validate has nothing to say.
# Versions: pynwb 4.2.0, hdmf 6.2.0, numpy 2.4.6.
# Why it matters: the times and the references of one table disagree. Trials of the same length do not stack, and one
#   that does is aligned a sample off.
# Source: none found. That the references' timestamps were wrong by the rate's square was mended in August 2026 (pynwb
#   2245).
. "$(dirname "$0")/common.sh"
environment nwb pynwb==4.2.0 hdmf==6.2.0 h5py==3.16.0 numpy==2.4.6 pandas==3.1.1

cat >"$work/try.py" <<'END'
import collections
import sys
from datetime import datetime, timezone

import hdmf
import numpy as np
import pynwb
from pynwb import NWBHDF5IO, NWBFile, TimeSeries

print("pynwb", pynwb.__version__, "hdmf", hdmf.__version__, "numpy", np.__version__, file=sys.stderr)
COUNT, BEGIN, RATE = 3000, 1.2, 1000.0
times = [round(BEGIN + sample / RATE, 3) for sample in range(COUNT)]
path = f"{sys.argv[1]}/one.nwb"
trials = [(times[sample], times[sample + 100]) for sample in range(COUNT - 100)]
trials += [(1.3, 1.4), (1.3005, 1.4005), (4.1, 4.3)]
nwb = NWBFile("One session", "one", datetime(2026, 1, 1, tzinfo=timezone.utc))
series = [
    TimeSeries(name="rate", data=np.arange(COUNT), unit="V", starting_time=BEGIN, rate=RATE),
    TimeSeries(name="timestamps", data=np.arange(COUNT), unit="V", timestamps=times),
]
for one in series:
    nwb.add_acquisition(one)
for start, stop in trials:
    nwb.add_trial(start_time=start, stop_time=stop, timeseries=series)
with NWBHDF5IO(path, "w") as io:
    io.write(nwb)
print("validate:", pynwb.validate(path=path))
with NWBHDF5IO(path, "r") as io:
    references = io.read().trials["timeseries"][:]
    for number, one in enumerate(series):
        found = [row[number] for row in references]
        early = sum(reference.idx_start != sample for sample, reference in enumerate(found[: COUNT - 100]))
        counts = collections.Counter(int(reference.count) for reference in found[: COUNT - 100])
        print(f"{one.name}: of {COUNT - 100} trials of 100 samples {early} begin at another sample; counts {sorted(counts.items())}")
        for (start, stop), reference in list(zip(trials, found))[-3:]:
            try:
                data = reference.data
                print(f"{one.name}: from {start} to {stop}: samples {data[0]} to {data[-1]}")
            except IndexError as error:
                print(f"{one.name}: from {start} to {stop}: {error}")
END
see "$work/nwb/bin/python" -W ignore "$work/try.py" "$work"
compare <<'END'
validate: []
rate: of 2900 trials of 100 samples 521 begin at another sample; counts [(99, 514), (100, 1893), (101, 493)]
rate: from 1.3 to 1.4: samples 100 to 198
rate: from 1.3005 to 1.4005: samples 100 to 199
rate: from 4.1 to 4.3: 'idx_start + count' out of range for timeseries 'rate'
timestamps: of 2900 trials of 100 samples 0 begin at another sample; counts [(100, 2900)]
timestamps: from 1.3 to 1.4: samples 100 to 199
timestamps: from 1.3005 to 1.4005: samples 101 to 200
timestamps: from 4.1 to 4.3: samples 2900 to 2999
END
