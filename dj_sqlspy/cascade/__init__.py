"""Cascade: leaves closed over foreign keys, parts and negative witnesses, to a fixpoint.

In: the `Lineage` of each statement, the `Catalog` and a snapshot. Out: for each table the keys of its rows in the
slice, each with the rule that brought it first. It reads only keys, and needs only the SELECT privilege. It does not
know how the rows will be dumped.

`leaves` decides which keys the statements need, `fixpoint` closes them, `follow` goes along one foreign key, `reader`
reads keys from the server, `keysets` stores them, and `plan` prints all queries before any is sent.
"""

from .fixpoint import Cascade, Demand, KeySets, Reason
from .reader import Reader

__all__ = ["Cascade", "Demand", "KeySets", "Reader", "Reason"]
