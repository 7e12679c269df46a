"""A small laboratory: animals of three projects, their sessions, trials with recorded traces.

In: a DataJoint connection and a prefix for schema names. Out: a `Pipeline` with declared and filled tables in two
schemas. It works with DataJoint 0.14 and 2.x, and does not use dj-sqlspy.
"""

from __future__ import annotations

import datetime
import random
from dataclasses import dataclass
from typing import Any

import datajoint as dj
import numpy as np

from ..compat import IS_V2

PROJECTS = ("attention", "memory", "reward")
ANIMALS, SESSIONS, TRIALS, SAMPLES = 4, 3, 40, 60  # per project, animal, session, trial

# The two lines name column types differently; in 2.x a blob without <> contains only bytes.
TYPES = (
    {"int": "int32", "float": "float64", "blob": "<blob>"}
    if IS_V2
    else {"int": "int", "float": "double", "blob": "longblob"}
)


@dataclass(frozen=True)
class Pipeline:
    """The table classes, as in a lab's module, and the schema for the user's own results."""

    Project: Any
    Animal: Any
    Session: Any
    Exclusion: Any
    Threshold: Any
    Response: Any
    schemas: tuple[str, ...]


def declare(connection: Any, prefix: str) -> Pipeline:
    """Declare the tables in the schemas ``<prefix>lab`` and ``<prefix>recording``."""
    lab = dj.Schema(f"{prefix}lab", connection=connection)
    recording = dj.Schema(f"{prefix}recording", connection=connection)

    @lab
    class Project(dj.Lookup):  # type: ignore[misc]
        definition = """
        project : varchar(16)
        """
        contents = [(name,) for name in PROJECTS] if not IS_V2 else [{"project": name} for name in PROJECTS]

    @lab
    class Animal(dj.Manual):  # type: ignore[misc]
        definition = """
        animal : varchar(8)
        ---
        -> Project
        sex : enum('F', 'M')
        """

    @recording
    class Session(dj.Manual):  # type: ignore[misc]
        definition = """
        -> Animal
        session_date : date
        """

        class Trial(dj.Part):  # type: ignore[misc]
            definition = """
            -> master
            trial : {int}
            ---
            outcome : enum('hit', 'miss')
            trace : {blob}   # what was recorded
            """.format(**TYPES)

    @recording
    class Exclusion(dj.Manual):  # type: ignore[misc]
        definition = """  # sessions that cannot be used
        -> Session
        ---
        reason : varchar(64)
        """

    @recording
    class Threshold(dj.Lookup):  # type: ignore[misc]
        definition = """
        threshold_id : {int}
        ---
        threshold : {float}
        """.format(**TYPES)
        contents = [{"threshold_id": 1, "threshold": 1.0}, {"threshold_id": 2, "threshold": 2.5}]

    @recording
    class Response(dj.Computed):  # type: ignore[misc]
        definition = """  # how often the trace of a trial crosses a threshold
        -> Session.Trial
        -> Threshold
        ---
        crossings : {int}
        """.format(**TYPES)

        def make(self, key: dict[str, Any]) -> None:
            trace = (Session.Trial() & key).fetch1("trace")
            above = trace > (Threshold() & key).fetch1("threshold")
            crossings = int(np.count_nonzero(above[1:] & ~above[:-1]))
            self.insert1({**key, "crossings": crossings})

    return Pipeline(
        Project, Animal, Session, Exclusion, Threshold, Response, (f"{prefix}lab", f"{prefix}recording")
    )


def fill(pipeline: Pipeline, seed: int = 1) -> None:
    """Insert synthetic rows; the same seed gives the same rows."""
    numbers, traces = random.Random(seed), np.random.default_rng(seed)
    for project in PROJECTS:
        for animal in range(1, ANIMALS + 1):
            name = f"{project[0].upper()}{animal:03d}"
            pipeline.Animal.insert1({"animal": name, "project": project, "sex": "FM"[animal % 2]})
            for day in range(SESSIONS):
                key = {"animal": name, "session_date": datetime.date(2024, 3, 4 + day)}
                pipeline.Session.insert1(key)
                pipeline.Session.Trial.insert(
                    {
                        **key,
                        "trial": trial,
                        "outcome": numbers.choice(("hit", "miss")),
                        "trace": traces.normal(0, 1, SAMPLES),
                    }
                    for trial in range(1, TRIALS + 1)
                )
                if day == 2 and animal % 2:
                    pipeline.Exclusion.insert1({**key, "reason": "the animal's harness 'slipped' (50%)"})
