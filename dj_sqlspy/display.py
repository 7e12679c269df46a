"""Display: how sizes are written for people.

In: numbers. Out: text.
"""

from __future__ import annotations


def size_text(count: float) -> str:
    """
    >>> size_text(512), size_text(2048), size_text(5_000_000)
    ('512 B', '2.0 KB', '4.8 MB')
    """
    for unit in ("B", "KB", "MB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GB"
