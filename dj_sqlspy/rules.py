"""Rules: the words for policies (what a kind of statement exports), reasons (why a row is in a slice) and marks.

They are together because many rooms use them, from the capture to the report.
"""

from __future__ import annotations

# Policies a session can choose for each kind, the default first. "rows": all rows that the result depends on;
# "witness": one of them. Statements of kind data always export their rows, metadata never.
POLICY_CHOICES: dict[str, tuple[str, ...]] = {
    "preview": ("ignore", "rows"),
    "count": ("rows", "ignore"),  # a count is often a result (n = 37)
    "exists": ("witness", "rows", "ignore"),
}
POLICIES: dict[str, str] = {kind: choices[0] for kind, choices in POLICY_CHOICES.items()}

# Why a row is in a slice. The rules of witnesses have further reasons.
READ = "read by a statement"
PARENT = "foreign key"
PART = "part of a master"
CHILD = "descends from a row read"
PICKED = "picked"
WHOLE = "all rows (statement not analysed)"
WHOLE_INSIDE = "all rows inside (statement not analysed)"  # of a table that a bound is about

# Marks of statements, beside those of lineage (``now``, ``rand`` …).
LEFT_OUT = "left-out"  # needs rows outside of the bounds
EXCLUDED = "excluded"  # reads an excluded column
ROUTINE = "routine"  # calls a stored function that the bundle does not have
NOT_SENT = "not-sent"  # does more than read, or a value of its session cannot be restored
SKIPPED = "skipped"  # the user left it out
WITHHELD = "withheld"  # its values are not in the bundle, since they can reveal what was left out
PSEUDONYM = "pseudonym"  # depends on values that have pseudonyms in the bundle
NOT_REPLAYED = frozenset({EXCLUDED, ROUTINE, NOT_SENT, PSEUDONYM, SKIPPED, WITHHELD})

# What a lab may leave out of a bundle: how many rows its tables have, the comments in their definitions, the
# values of statements that need rows outside of the bounds or contain a value of an excluded column, the
# environments of the analyses, and the first rows that the report shows.
LEAVE_OUT = ("totals", "comments", "values", "environment", "first-rows")

# Permissions that a bundle can have: for its owner to read, also for the group, or for all. Nobody else can change it.
MODES = (0o700, 0o750, 0o755)
