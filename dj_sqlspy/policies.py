"""Policies: what the statements of each kind export, which a session can choose.

"rows": all rows that the result depends on; "witness": one of them. Of the kinds that are not here, data exports its
rows and metadata nothing.
"""

from __future__ import annotations

# The default first.
POLICY_CHOICES: dict[str, tuple[str, ...]] = {
    "preview": ("ignore", "rows"),
    "count": ("rows", "ignore"),  # a count is often a result (n = 37)
    "exists": ("witness", "rows", "ignore"),
}
POLICIES: dict[str, str] = {kind: choices[0] for kind, choices in POLICY_CHOICES.items()}
