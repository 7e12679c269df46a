"""Paper: what users call. A `Paper` has all analyses that were captured for it, and makes slice and bundle of them.

`captured` reads the journals; `sharedlog` and `sharedtables` are the log that several people share through a database;
`bundle` writes and checks what is published.
"""

from .paper import Paper, papers

__all__ = ["Paper", "papers"]
