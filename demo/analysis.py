"""The analysis of a paper on place cells, as its author wrote it, without dj-sqlspy.

In: the lab's pipeline, with the rows of all its projects. Out: numbers on standard output, and a computed table of
the author's own, in a schema of their own.
"""

from __future__ import annotations

import datajoint as dj
import numpy as np

from demo.elements_pipeline import ephys, lab, probe, session, subject

schema = dj.Schema("demo_placecells")

PAPER = {"project": "place-cells"}
GOOD = 'cluster_quality_label = "good" AND isi_violation < 0.6'


@schema
class SpikeTrainStatistics(dj.Computed):
    definition = """  # regularity of firing
    -> ephys.CuratedClustering.Unit
    ---
    mean_interval : float   # (s)
    cv            : float   # coefficient of variation of the intervals
    """

    def make(self, key):
        times = (ephys.CuratedClustering.Unit & key).fetch1("spike_times")
        intervals = np.diff(times)
        mean = float(intervals.mean())
        self.insert1({**key, "mean_interval": mean, "cv": float(intervals.std() / mean)})


def main():
    # which sessions: those of the paper, without the ones that were excluded by hand
    sessions = session.Session * session.ProjectSession & PAPER
    usable = sessions - (session.SessionNote & 'session_note LIKE "excluded%"')
    print(f"{len(usable)} usable sessions of {len(sessions)}")

    # who was recorded
    animals = (subject.Subject * subject.Subject.Strain * subject.Subject.User & usable).proj(
        "sex", "strain", experimenter="user"
    )
    for animal in animals.fetch(as_dict=True, order_by="subject"):
        print("{subject}  {sex}  {strain}  trained by {experimenter}".format(**animal))

    # how many good units in each session, and how they fire
    units = ephys.CuratedClustering.Unit * ephys.QualityMetrics.Cluster & usable & GOOD
    table = session.Session.aggr(units, units="count(*)", rate="avg(firing_rate)")
    for row in table.fetch(as_dict=True, order_by="subject, session_datetime", limit=3):
        print("{subject}  {session_datetime}  {units} good units, {rate:.2f} Hz".format(**row))

    # over which probes they are spread
    probes = dj.U("probe").aggr(ephys.ProbeInsertion * units, n="count(*)") * probe.Probe
    print({row["probe"]: row["n"] for row in probes.fetch(as_dict=True)})
    print(
        "labels:",
        list(
            (dj.U("cluster_quality_label") & (ephys.CuratedClustering.Unit & usable)).fetch(
                "cluster_quality_label"
            )
        ),
    )

    # where each probe was, one insertion after the other
    depths = []
    for key in (ephys.ProbeInsertion & usable).fetch("KEY"):
        depth, reference = (ephys.InsertionLocation & key).fetch1("depth", "skull_reference")
        rate = (ephys.EphysRecording & key).fetch1("sampling_rate")
        files = (ephys.EphysRecording.EphysFile & key).fetch("file_path")
        depths.append((float(depth), reference, rate, len(files)))
    print(f"{len(depths)} insertions, mean depth {np.mean([d for d, *_ in depths]):.0f} um")

    # the mean waveform of good units
    waveforms = (ephys.WaveformSet.PeakWaveform & units).fetch("peak_electrode_waveform")
    print(f"{len(waveforms)} waveforms, mean trough {np.mean([w.min() for w in waveforms]):.1f} uV")

    # regularity of firing, in a table of our own
    SpikeTrainStatistics.populate(units.proj(), display_progress=False)
    regular = SpikeTrainStatistics & units & "cv < 1"
    print(f"{len(regular)} of {len(SpikeTrainStatistics & units)} units fire regularly")

    # the people to thank
    print(
        "thanks to",
        ", ".join(sorted((lab.User & (session.SessionExperimenter & usable)).fetch("user_fullname"))),
    )


if __name__ == "__main__":
    main()
