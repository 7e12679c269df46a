"""Journal: the append-only record of captured statements; survives SIGKILL.

In: statements with their row counts. Out: one file a process and run, which `runs` reads back. It does not
know SQL and does not know DataJoint.

Format, version 2
-----------------
::

    HOME/<paper>/<analysis>/<run>/<pid>-<8 hex digits>.journal       (directories 0700, files 0600)

Paper and analysis are percent-encoded (`encode_name`). A run is one execution of the analysis. Its name is
``<6 digits>-<UTC time to the microsecond>-<4 hex digits>``. The first digits count the runs of this analysis, so the
newest run is known even if a clock went backwards. The newest run of an analysis counts. The name of a run to which
independent processes add (``append="…"``) ends with ``+<name>``, percent-encoded.

Each process of a run appends to its own file. A line is ``<CRC-32, 8 hex digits> <JSON object in ASCII>``. It is given
to the operating system with one write before the analysis gets the result of the statement. So a killed process leaves
at most one incomplete line, for a statement whose result it had not received. A statement may be written before it has
ended; its number of rows is then in a later record.
The first key of a line tells the kind of the record:

``format``
    The header, the first line. ``format`` (int), ``dj_sqlspy``, ``datajoint``, ``python`` (versions),
    ``paper``, ``analysis``, ``run``, ``process`` ("first", "fork" or "joined"), ``pid``, ``host``, ``user``,
    ``time`` (seconds since the epoch), ``started`` (the same for people, UTC), ``policies`` (kind to policy),
    ``program`` (``path`` and ``sha256`` of the script or notebook, if there is one; see `programs`), ``git``
    (``commit`` and ``dirty``, of the repository with the program when the session began; see `git`).
``environment``
    The digest of the environment of the process, and what there is ``about`` it (see `environment`), unless another
    file of the run has that. The last one counts.
``modules``
    The names of the modules that the first process had imported in the end.
``server``
    The name of a server, and its ``version``, as it told when the connection was made. ``kind`` if it is neither MySQL
    nor MariaDB: ``postgresql``.
``number``
    A statement. ``number`` (from 1 in each file), ``time`` (when it was sent or had ended), ``rows`` (int or null; only
    if it had ended), then ``digest`` and ``columns`` (the number of their definition) if there is a digest, ``kind``,
    ``server`` ("host:port", on PostgreSQL "host:port/database"), ``transaction`` (0 outside; else equal for statements
    of one transaction), ``sql``.
    Optional: ``database`` if it is known; ``sessions`` (list of int) if not just the session that started the run
    received it; ``state`` (the number of its definition) if the connection had set something; ``before`` if earlier
    statements have ended since the last record: a list of their numbers and rows, and of their digest and the number
    of their columns' definition if there is a digest.
``define``
    A number and its ``value``, to which other records of the file refer.
``ended``
    Statements that have ended, as in ``before``. Those that failed do not count; they have "failed" instead of rows.
``fault``
    A statement could not be recorded, and why. The run is incomplete.
``end``
    The session ended: time, and ``error``: the type of the exception that ended it, or null.

If a fault cannot be written (a full disk), the file is renamed from ``.journal`` to ``.incomplete``.

Records of unknown kinds are left out.

History: 1, first version. 2: digests, columns, and what a connection had set; later environments and servers.
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
