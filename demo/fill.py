"""Synthetic rows for the lab's pipeline: three projects, 36 sessions, 116,000 rows.

In: the declared pipeline. Out: the number of rows. The rows are what acquisition and spike sorting would have left
there; they are made from a fixed seed, so every run gives the same. Rows of one project are never referred to by
another one; users, protocols, probes and the other look-up rows are shared by all, as in a lab.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
from element_interface.utils import dict_to_uuid

from .elements_pipeline import SkullReference, ephys, ephys_report, lab, probe, session, subject

Row = dict[str, Any]

PROJECTS = {
    "place-cells": "Remapping of place cells in CA1",
    "reward-vta": "Reward prediction in the ventral tegmental area",
    "v1-tuning": "Orientation tuning in V1 across learning",
}
SUBJECTS_PER_PROJECT = 4
SESSIONS_PER_SUBJECT = 3
INSERTIONS_PER_SESSION = 2
UNITS_PER_INSERTION = 80
ELECTRODES_PER_UNIT = 14  # that the waveform of a unit is stored for
CHANNELS = 384
LFP_CHANNELS = 24
PARAMSETS = (0, 1)  # two spike sorters; each recording is sorted by one
CHUNK = 4000


def insert(table: Any, rows: Iterable[Row]) -> int:
    """Insert in pieces that a server takes in one packet; also into tables that are computed otherwise."""
    count = 0
    rows = iter(rows)
    while piece := list(itertools.islice(rows, CHUNK)):
        table.insert(piece, allow_direct_insert=True)
        count += len(piece)
    return count


def fill(seed: int = 20240229) -> int:
    """Fill the pipeline; returns how many rows that were."""
    rng = np.random.default_rng(seed)
    with lab.schema.connection.transaction:  # one commit
        return fill_lab() + fill_subjects() + fill_probes() + fill_sessions(rng)


def fill_lab() -> int:
    """People, protocols, projects."""
    users = ["ada", "bela", "chen", "dora", "emil", "fatima"]
    count = insert(lab.Organization, [{"organization": "INST", "org_name": "Institute of Neuroscience"}])
    count += insert(
        lab.Lab,
        [
            {
                "lab": name,
                "lab_name": f"{name.title()} lab",
                "address": "1 Main Street",
                "time_zone": "Europe/Berlin",
            }
            for name in ("hippo", "basal")
        ],
    )
    count += insert(
        lab.Lab.Organization, [{"lab": name, "organization": "INST"} for name in ("hippo", "basal")]
    )
    count += insert(lab.Location, [{"lab": "hippo", "location": f"rig {i}"} for i in range(4)])
    count += insert(lab.UserRole, [{"user_role": role} for role in ("PI", "Postdoc", "PhD student")])
    count += insert(
        lab.User, [{"user": u, "user_email": f"{u}@example.org", "user_fullname": u.title()} for u in users]
    )
    count += insert(
        lab.LabMembership,
        [{"lab": "hippo", "user": u, "user_role": None if u == "emil" else "Postdoc"} for u in users],
    )
    count += insert(lab.ProtocolType, [{"protocol_type": "IACUC"}])
    count += insert(
        lab.Protocol, [{"protocol": f"2023-{i:03d}", "protocol_type": "IACUC"} for i in range(1, 4)]
    )
    count += insert(lab.Source, [{"source": "JAX", "source_name": "Jackson Laboratory"}])
    count += insert(lab.Device, [{"device": f"npx-{i}", "modality": "ephys"} for i in range(3)])
    count += insert(
        lab.Project, [{"project": p, "project_description": text} for p, text in PROJECTS.items()]
    )
    count += insert(lab.ProjectUser, [{"project": p, "user": u} for p in PROJECTS for u in users[:4]])
    count += insert(
        lab.ProjectKeywords, [{"project": p, "keyword": k} for p in PROJECTS for k in p.split("-")]
    )
    return count


def subjects_of(project: str) -> list[str]:
    """Names of a project's animals."""
    letter = project[0].upper()
    return [f"{letter}{number:03d}" for number in range(1, SUBJECTS_PER_PROJECT + 1)]


def fill_subjects() -> int:
    """Animals, with their parts."""
    count = insert(
        subject.Strain, [{"strain": s, "strain_standard_name": s} for s in ("C57Bl/6", "Ai14", "DAT-Cre")]
    )
    count += insert(
        subject.Allele,
        [{"allele": a, "allele_standard_name": a} for a in ("Cre", "tdTomato", "ChR2 'H134R'")],
    )
    count += insert(
        subject.Allele.Source, [{"allele": "Cre", "source": "JAX", "source_identifier": "006660"}]
    )
    count += insert(
        subject.Line, [{"line": n, "species": "Mus musculus", "is_active": 1} for n in ("DAT-Cre", "Ai14")]
    )
    count += insert(
        subject.Line.Allele,
        [{"line": "DAT-Cre", "allele": "Cre"}, {"line": "Ai14", "allele": "tdTomato"}],
    )
    for index, project in enumerate(PROJECTS):
        names = subjects_of(project)
        count += insert(
            subject.Subject,
            [
                {
                    "subject": name,
                    "subject_nickname": f"{name}'s \\ nick #{i}",
                    "sex": "MFU"[i % 3],
                    "subject_birth_date": datetime.date(2023, 1 + i, 10 + index),
                    "subject_description": f"100% of the {project} cohort",
                }
                for i, name in enumerate(names)
            ],
        )
        protocol = f"2023-{index + 1:03d}"
        count += insert(subject.Subject.Protocol, [{"subject": n, "protocol": protocol} for n in names])
        count += insert(subject.Subject.User, [{"subject": n, "user": "ada"} for n in names])
        count += insert(subject.Subject.Lab, [{"subject": n, "lab": "hippo"} for n in names])
        count += insert(subject.Subject.Strain, [{"subject": n, "strain": "C57Bl/6"} for n in names])
        count += insert(subject.Subject.Line, [{"subject": n, "line": "DAT-Cre"} for n in names[:2]])
        count += insert(subject.Subject.Source, [{"subject": n, "source": "JAX"} for n in names])
        count += insert(
            subject.Zygosity, [{"subject": n, "allele": "Cre", "zygosity": "Heterozygous"} for n in names]
        )
        count += insert(
            subject.SubjectDeath, [{"subject": names[0], "death_date": datetime.date(2024, 2, 1)}]
        )
    return count


PROBE_TYPE = "neuropixels 1.0 - 3B"
BANKS = range(2)  # which 384 of the 960 sites are recorded


def config_key(bank: int) -> Row:
    """Key of the configuration that records a bank of sites."""
    return {"electrode_config_hash": dict_to_uuid({"probe_type": PROBE_TYPE, "bank": bank})}


def fill_probes() -> int:
    """Probes; their types are made by the Element itself."""
    count = len(probe.ProbeType()) + len(probe.ProbeType.Electrode())
    count += insert(probe.Probe, [{"probe": f"1841{i:04d}", "probe_type": PROBE_TYPE} for i in range(6)])
    for bank in BANKS:
        key = config_key(bank)
        count += insert(
            probe.ElectrodeConfig,
            [{**key, "probe_type": PROBE_TYPE, "electrode_config_name": f"bank {bank}"}],
        )
        count += insert(
            probe.ElectrodeConfig.Electrode,
            [{**key, "probe_type": PROBE_TYPE, "electrode": bank * CHANNELS + i} for i in range(CHANNELS)],
        )
    count += len(SkullReference()) + len(ephys.AcquisitionSoftware())
    count += len(ephys.ClusteringMethod()) + len(ephys.ClusterQualityLabel())
    for index in PARAMSETS:
        method = ("kilosort2", "kilosort2.5")[index]
        ephys.ClusteringParamSet.insert_new_params(
            clustering_method=method,
            paramset_idx=index,
            paramset_desc=f"{method} as it comes",
            params={"threshold": 10 - index},
        )
        count += 1
    cutoffs = {"amplitude_cutoff_maximum": 0.1, "presence_ratio_minimum": 0.9, "isi_violations_maximum": 0.5}
    ephys_report.QualityMetricCutoffs.insert_new_cutoffs(cutoffs_id=1, **cutoffs)
    return count + len(ephys_report.QualityMetricCutoffs())


def fill_sessions(rng: np.random.Generator) -> int:
    """Sessions of every project, with their recordings and what spike sorting found in them."""
    count = 0
    for number, project in enumerate(PROJECTS):
        for place, (name, day) in enumerate(
            itertools.product(subjects_of(project), range(SESSIONS_PER_SUBJECT))
        ):
            start = datetime.datetime(2023, 6, 1, 9, 30) + datetime.timedelta(days=30 * number + place)
            key = {"subject": name, "session_datetime": start}
            count += insert(session.Session, [key])
            count += insert(
                session.Session.Attribute,
                [
                    {
                        **key,
                        "attribute_name": "task",
                        "attribute_value": "linear track",
                        "attribute_blob": None,
                    },
                    {
                        **key,
                        "attribute_name": "position",
                        "attribute_value": "(x, y)",
                        "attribute_blob": rng.random((200, 2)),
                    },
                ],
            )
            folder = f"{project}/{name}/{start:%Y%m%d}"
            count += insert(session.SessionDirectory, [{**key, "session_dir": folder}])
            count += insert(session.SessionExperimenter, [{**key, "user": "chen" if day else "bela"}])
            count += insert(session.ProjectSession, [{**key, "project": project}])
            if day == 2:
                text = (
                    "excluded: the animal slept" if place % 2 else "50% of the trials; tracking 'lost' twice"
                )
                count += insert(session.SessionNote, [{**key, "session_note": text}])
            for insertion in range(INSERTIONS_PER_SESSION):
                count += fill_recording(
                    rng, {**key, "insertion_number": insertion}, start, folder, bank=insertion
                )
    return count


def fill_recording(
    rng: np.random.Generator, key: Row, start: datetime.datetime, folder: str, bank: int
) -> int:
    """One probe's recording: LFP, units, waveforms, metrics."""
    site = {**config_key(bank), "probe_type": PROBE_TYPE}
    duration = 600.0
    count = insert(ephys.ProbeInsertion, [{**key, "probe": f"1841{int(rng.integers(6)):04d}"}])
    location = {"ap_location": -2000 + bank, "ml_location": 1500, "depth": 2300 + 10 * bank, "theta": 10}
    count += insert(ephys.InsertionLocation, [{**key, **location, "skull_reference": "Bregma"}])
    recording = {
        "acq_software": "SpikeGLX",
        "sampling_rate": 30000.0,
        "recording_datetime": start,
        "recording_duration": duration,
        **config_key(bank),
    }
    count += insert(ephys.EphysRecording, [{**key, **recording}])
    files = [f"{folder}/imec{bank}/g0_t0.imec{bank}.{band}.bin" for band in ("ap", "lf")]
    count += insert(ephys.EphysRecording.EphysFile, [{**key, "file_path": path} for path in files])
    lfp = rng.normal(0, 40, (LFP_CHANNELS, 250)).astype(np.float32)
    means = {
        "lfp_sampling_rate": 250.0,
        "lfp_time_stamps": np.arange(250) / 250,
        "lfp_mean": lfp.mean(axis=0),
    }
    count += insert(ephys.LFP, [{**key, **means}])
    count += insert(
        ephys.LFP.Electrode,
        [{**key, **site, "electrode": bank * CHANNELS + 16 * i, "lfp": trace} for i, trace in enumerate(lfp)],
    )
    task = {**key, "paramset_idx": PARAMSETS[bank]}
    count += insert(
        ephys.ClusteringTask, [{**task, "clustering_output_dir": f"{folder}/ks", "task_mode": "load"}]
    )
    count += insert(ephys.Clustering, [{**task, "clustering_time": start, "package_version": "2.5"}])
    curation = {**task, "curation_id": 1}
    about = {
        "curation_time": start,
        "curation_output_dir": f"{folder}/ks",
        "quality_control": 1,
        "manual_curation": 1,
    }
    count += insert(ephys.Curation, [{**curation, **about, "curation_note": "by hand"}])
    count += insert(ephys.CuratedClustering, [curation])
    count += insert(ephys.WaveformSet, [curation])
    count += insert(ephys.QualityMetrics, [curation])
    return count + fill_units(rng, curation, site, bank, duration)


def fill_units(rng: np.random.Generator, curation: Row, site: Row, bank: int, duration: float) -> int:
    """The units of a sorted recording."""
    units, peaks, waves, metrics, shapes = [], [], [], [], []
    for number in range(UNITS_PER_INSERTION):
        unit = {**curation, "unit": number}
        channel = int(rng.integers(CHANNELS - ELECTRODES_PER_UNIT))
        electrode = {**site, "electrode": bank * CHANNELS + channel}
        rate = float(rng.gamma(2.0, 0.2))
        times = np.sort(rng.random(max(2, int(rng.poisson(rate * duration))))) * duration
        label = ("good", "mua", "noise")[int(rng.choice(3, p=[0.45, 0.4, 0.15]))]
        units.append(
            {
                **unit,
                **electrode,
                "cluster_quality_label": label,
                "spike_count": len(times),
                "spike_times": times,
                "spike_sites": np.full(len(times), electrode["electrode"], dtype=np.int16),
                "spike_depths": np.full(len(times), 10.0 * channel, dtype=np.float32),
            }
        )
        wave = rng.normal(0, 5, (ELECTRODES_PER_UNIT, 41)).astype(np.float32)
        peaks.append({**unit, "peak_electrode_waveform": wave[0] * 10})
        waves += [
            {**unit, **site, "electrode": electrode["electrode"] + i, "waveform_mean": wave[i]}
            for i in range(ELECTRODES_PER_UNIT)
        ]
        firing = len(times) / duration
        quality = {
            "firing_rate": firing,
            "snr": float(rng.gamma(4.0, 1.0)),
            "isi_violation": float(rng.random()),
        }
        metrics.append(
            {**unit, **quality, "presence_ratio": float(rng.uniform(0.5, 1)), "amplitude_cutoff": 0.05}
        )
        shapes.append(
            {**unit, "amplitude": float(rng.gamma(5.0, 20.0)), "duration": float(rng.uniform(0.2, 0.9))}
        )
    return (
        insert(ephys.CuratedClustering.Unit, units)
        + insert(ephys.WaveformSet.PeakWaveform, peaks)
        + insert(ephys.WaveformSet.Waveform, waves)
        + insert(ephys.QualityMetrics.Cluster, metrics)
        + insert(ephys.QualityMetrics.Waveform, shapes)
    )
