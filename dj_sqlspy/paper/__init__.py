"""Paper: the interface for users. A `Paper` has all captured analyses, and makes a slice and a bundle from them.

`captured` reads the journals. `sharedlog` and `sharedschema` are the log that several people share through a database.
`bundle` writes and checks bundles.
"""

from .paper import Paper, papers

__all__ = ["Paper", "papers"]
