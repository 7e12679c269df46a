"""dj-sqlspy: export exactly the rows that a DataJoint analysis stands on.

Importing this package makes DataJoint's connections observable; nothing is recorded until a session is open.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import capture, settings
from .capture import Session, export, start_export, stop_export
from .errors import SpyError
from .paper import sharedlog
from .spy import observe, patches, session
from .spy.session import paused
from .version import __version__

if TYPE_CHECKING:
    from .paper import Paper, papers
    from .paper.bundle import Bundle
    from .shared_tables import Export, ExportSelection
    from .slices.pick import slice

__all__ = [
    "Bundle",
    "Export",
    "ExportSelection",
    "Paper",
    "Session",
    "SpyError",
    "__version__",
    "export",
    "papers",
    "paused",
    "slice",
    "start_export",
    "stop_export",
]

# These need sqlglot, networkx or rich, so they are imported on first use.
_LAZY = {
    "Bundle": "paper.bundle",
    "Paper": "paper",
    "papers": "paper",
    "slice": "slices.pick",
    "Export": "shared_tables",
    "ExportSelection": "shared_tables",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext dj_sqlspy``: the magics of `cli.notebook`."""
    from .cli import notebook

    notebook.load(shell)


patches.install()
session.on_end.append(sharedlog.after_session)
session.join(os.environ.get(session.ENVIRONMENT))  # before the settings, which may ask for this same session
settings.on_change += [observe.follow_settings, capture.follow_settings]
patches.attach_config()
