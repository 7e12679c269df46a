"""Replay: does the slice give the results that the source gives?

`statements` replays the captured statements on two servers and checks foreign keys; `digests` are what a bundle holds
to compare with where there is no source; `verify` does all of it for a bundle, in a private server.
"""

from .statements import ReplayReport, describe, replay
from .verify import Verification, verify

__all__ = ["ReplayReport", "Verification", "describe", "replay", "verify"]
