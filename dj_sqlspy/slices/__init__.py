"""Slices: the exact set of rows to export, and why.

`making` drives lineage and cascade; `slice` is what comes out of it; `pick` makes slices of hand-picked rows.
"""

from ..cascade.leaves import StatementReport
from .making import make_plan, make_slice
from .slice import Slice
from .tables import TableSlice

__all__ = ["Slice", "StatementReport", "TableSlice", "make_plan", "make_slice"]
