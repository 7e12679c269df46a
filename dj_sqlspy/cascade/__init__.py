"""Cascade: leaves closed over foreign keys, parts and negative witnesses, to a fixpoint.

In: the `Lineage` of each statement, the `Catalog` and a snapshot. Out: for each table the set of keys of its
rows in the slice, each with the rule that brought it first. It reads keys only, and needs no right but SELECT. It does
not know how the rows will be dumped.

`leaves` decides which keys the statements need, `fixpoint` closes them, `follow` goes along one foreign key, `reader`
reads keys from the server, `keysets` holds them, and `plan` prints what will be asked before anything is.
"""

from .fixpoint import Cascade, Demand, KeySets, Reason
from .reader import Reader

__all__ = ["Cascade", "Demand", "KeySets", "Reader", "Reason"]
