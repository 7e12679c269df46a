"""Journal: the append-only record of captured statements; survives SIGKILL.

In: statements with their row counts. Out: one file a process and run, which `runs` reads back. It does not
know SQL and does not know DataJoint.

Format, version 2
-----------------
::

    HOME/<paper>/<analysis>/<run>/<pid>-<8 hex digits>.journal       (directories 0700, files 0600)

Paper and analysis are percent-encoded (`encode_name`). A run is one time that the analysis was run; its name
is ``<6 digits>-<UTC time to the microsecond>-<4 hex digits>``, where the first digits count the runs of this
analysis, so that the newest run is known even where a clock went backwards. The newest run of an analysis is the
one that counts. A run that independent processes add to under a name (``append="…"``) has ``+<name>`` at the end
of its own, percent-encoded.

Each process of a run appends to a file of its own. A line is ``<CRC-32, 8 hex digits> <JSON object in
ASCII>``, and is handed to the operating system with one write before the analysis gets the result of the
statement. So a process that is killed leaves at most one line cut off, the one whose result it had not yet
received. A statement may be written before it has ended; how many rows it returned then stands in a later record.
Which record a line is, is told by its first key:

``format``
    The header, the first line. ``format`` (int), ``dj_sqlspy``, ``datajoint``, ``python`` (versions),
    ``paper``, ``analysis``, ``run``, ``process`` ("first", "fork" or "joined"), ``pid``, ``host``, ``user``,
    ``time`` (seconds since the epoch), ``started`` (the same for people, UTC), ``policies`` (kind to policy),
    ``program`` (``path`` and ``sha256`` of the script or notebook; only where there is one, see `programs`).
``number``
    A statement. ``number`` (from 1 in each file), ``time`` (when it was sent or had ended), ``rows`` (int or null;
    only where it had ended) and then ``digest`` and ``columns`` (the number of their definition) where there is a
    digest, ``kind``, ``server`` ("host:port"), ``transaction`` (0 outside; else equal for statements of one
    transaction), ``sql``; ``database`` only where it is known; ``sessions`` (list of int) only where not the session
    that started the run received it; ``state`` (the number of its definition) only where the connection had set
    something; ``before`` only where statements before it have ended since the last record: a list of their numbers and
    rows, and where there is one their digest and the number of the definition of their columns.
``define``
    A value that other records of the file refer to by this number: ``value``.
``ended``
    Statements that have ended, as in ``before``; for those that failed, which do not count, "failed" is in the
    place of rows.
``fault``
    A statement could not be recorded, and why. The run is incomplete.
``end``
    The session ended: time, and ``error``: the type of the exception that ended it, or null.

Where a fault can't be written (a full disk), the file is renamed from ``.journal`` to ``.incomplete``.

History: 1, first version. 2: digests, columns, and what a connection had set.
"""

from .places import (
    INCOMPLETE,
    SUFFIX,
    analysis_folder,
    encode_name,
    folders,
    make_folder,
    run_folders,
    run_order,
)
from .statement import Statement
from .writer import FORMAT, Journal, failures, journal_line, versions

__all__ = [
    "FORMAT",
    "INCOMPLETE",
    "SUFFIX",
    "Journal",
    "Statement",
    "analysis_folder",
    "encode_name",
    "failures",
    "folders",
    "journal_line",
    "make_folder",
    "run_folders",
    "run_order",
    "versions",
]
