"""Command line: ``dj-sqlspy``, a thin layer over the library; a command for a method.

`main` has the parser and the commands for papers and bundles, `capture` those that capture, `publish` the others.
`completion` answers the Tab key, `launch` runs programs, `notebook` has the magics of IPython, `terminal` asks and
shows.
"""

from .main import main

__all__ = ["main"]
