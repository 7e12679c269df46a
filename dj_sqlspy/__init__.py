"""dj-sqlspy: export exactly the rows that a DataJoint analysis stands on.

Importing this package makes DataJoint's connections observable; nothing is recorded until a session is open.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

from . import compat
from .errors import SpyError
from .journal import sharedlog
from .spy import export, paused, session, start_export, stop_export
from .spy.session import Session

if TYPE_CHECKING:
    from .journal.sharedtables import Export, ExportSelection
    from .paper import Paper, papers
    from .slices.pick import slice

__all__ = [
    "Export",
    "ExportSelection",
    "Paper",
    "Session",
    "SpyError",
    "export",
    "papers",
    "paused",
    "slice",
    "start_export",
    "stop_export",
]

# What needs sqlglot, networkx or rich is imported where it is first used.
_LAZY = {
    "Paper": "paper",
    "papers": "paper",
    "slice": "slices.pick",
    "Export": "journal.sharedtables",
    "ExportSelection": "journal.sharedtables",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext dj_sqlspy``: the magics of `notebook`."""
    from .spy import notebook

    notebook.load(shell)


compat.install()
session.on_end.append(sharedlog.after_session)
session.join(os.environ.get(session.ENVIRONMENT))  # before the settings: what they ask for may be this
compat.attach_config()
