"""Replay: checks that the slice gives the same results as the source.

`statements` replays the captured statements on two servers and checks foreign keys. `digests` records results in the
bundle, for a comparison without the source. `verify` does all of it for a bundle, in a private server.
"""

from .statements import ReplayReport, describe, replay
from .verify import Verification, verify

__all__ = ["ReplayReport", "Verification", "describe", "replay", "verify"]
