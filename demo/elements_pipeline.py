"""A lab's pipeline of DataJoint Elements from PyPI, wired together the way their documentation says.

In: a server in ``dj.config``. Out: the modules ``lab``, ``subject``, ``session``, ``probe``, ``ephys`` and
``ephys_report`` with all their tables declared there. Nothing of the Elements is changed, and nothing here knows of
dj-sqlspy.
"""

from __future__ import annotations

import logging
import sys

logging.getLogger("datajoint").setLevel(logging.ERROR)  # Element Lab announces on import what it will remove

import datajoint as dj  # noqa: E402
from element_animal import subject  # noqa: E402
from element_array_ephys import ephys_acute as ephys  # noqa: E402
from element_array_ephys import ephys_report, probe  # noqa: E402
from element_lab import lab  # noqa: E402
from element_session import session_with_datetime as session  # noqa: E402

__all__ = ["SkullReference", "ephys", "ephys_report", "lab", "probe", "session", "subject"]

here = sys.modules[__name__]

# Names that the Elements look for in the module that links them.
Source, Lab, Protocol, User, Project = lab.Source, lab.Lab, lab.Protocol, lab.User, lab.Project
Experimenter = lab.User

lab.activate("demo_lab")
subject.activate("demo_subject", linking_module=here)
Subject = subject.Subject
session.activate("demo_session", linking_module=here)
Session = session.Session


@lab.schema
class SkullReference(dj.Lookup):
    definition = """
    skull_reference : varchar(60)
    """
    contents = zip(["Bregma", "Lambda"])


def get_ephys_root_data_dir() -> str:
    """Where raw recordings are: not needed here, where rows are synthetic."""
    return "/data/ephys"


def get_session_directory(session_key: dict[str, object]) -> str:
    """The folder of a session under the root."""
    return str((session.SessionDirectory & session_key).fetch1("session_dir"))


ephys.activate("demo_ephys", "demo_probe", linking_module=here)
