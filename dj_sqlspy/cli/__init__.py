"""Command line: ``dj-sqlspy``, a thin layer over the library; a command for a method.

`main` has the parser and what looks at papers and bundles, `capture` what captures, `publish` what is published beside
the rows; `completion` answers the Tab key, `launch` runs programs, `notebook` has the magics of IPython, `terminal`
asks and shows.
"""

from .main import main

__all__ = ["main"]
