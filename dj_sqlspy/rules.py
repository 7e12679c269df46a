"""Rules: the words for what statements of a kind export, why a row is in a slice, and how a statement is marked.

They stand together since many rooms use them, from the capture to the report.
"""

from __future__ import annotations

# What the statements of each kind export, which a session can choose. "rows": all rows that the result depends on;
# "witness": one of them. Data exports its rows and metadata nothing. The default first.
POLICY_CHOICES: dict[str, tuple[str, ...]] = {
    "preview": ("ignore", "rows"),
    "count": ("rows", "ignore"),  # a count is often a result (n = 37)
    "exists": ("witness", "rows", "ignore"),
}
POLICIES: dict[str, str] = {kind: choices[0] for kind, choices in POLICY_CHOICES.items()}

# Why a row is in a slice; rules of witnesses have reasons of their own.
READ = "read by a statement"
PARENT = "foreign key"
PART = "part of a master"
CHILD = "descends from a row read"
PICKED = "picked"
WHOLE = "all rows (statement not analysed)"
WHOLE_INSIDE = "all rows inside (statement not analysed)"  # of a table that a bound is about

# Marks of statements, beside those of lineage (``now``, ``rand`` …).
LEFT_OUT = "left-out"  # needs rows that a bound kept out
EXCLUDED = "excluded"  # reads a column whose contents are left out
ROUTINE = "routine"  # calls a stored function that the bundle does not have
NOT_SENT = "not-sent"  # more than a read, or a value of its session is gone
SKIPPED = "skipped"  # the user leaves it out
WITHHELD = "withheld"  # its values, which can tell of what was left out, are not in the bundle
NOT_REPLAYED = frozenset({EXCLUDED, ROUTINE, NOT_SENT, SKIPPED, WITHHELD})

# What a bundle can do without, and a lab may leave out: how many rows there are at the lab, comments of tables and
# columns, and the values of statements that need rows outside of bounds or hold a value of an excluded column.
LEAVE_OUT = ("totals", "comments", "values")

# Permissions that a bundle can have: for its owner to read, also for the group, or for all. Nobody else can change it.
MODES = (0o700, 0o750, 0o755)
