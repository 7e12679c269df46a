"""External: the files outside of the database that rows of a slice need.

`needed` finds them by what the database says, `look` looks for them in their stores, `copies` copies them.
"""

from .file import File, Row, total
from .needed import files_of

__all__ = ["File", "Row", "files_of", "total"]
