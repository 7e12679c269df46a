"""External: the files outside of the database that rows of a slice need.

`needed` reads from the database which files are needed, `look` finds them in their stores, `linked` follows the links
in them to other files, `copies` copies them.
"""

from .file import File, Link, Row, total
from .needed import files_of

__all__ = ["File", "Link", "Row", "files_of", "total"]
