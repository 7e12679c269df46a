"""Lineage: finds the base rows on which the result of a statement depends.

In: the text of one captured SELECT and the `Catalog`. Out: a `Lineage`: for each occurrence of a base table a
query for the primary keys of the rows that it needs (`Leaf`), rules for rows that keep others rejected
(`Witness`), and marks. It runs no query. In the order of the data's way:

    syntax (text -> expression)  ->  resolve (expression -> tree)  ->  simplify (tree -> tree)
        ->  derivation (tree -> keys of the rows behind the result)
        ->  rejection (tree -> rules for rejected rows)
        ->  order (does the statement determine its result, and its order?)

`analysis` runs them. Modules import in one direction, from `syntax` and `tree` up to `analysis`.
"""

from ..servers import interpreted as interpreted  # before anything that imports sqlglot

# isort: split
from .analysis import Leaf, Lineage, analyse
from .names import NamesOf, named_tables, names_or_guesses
from .witness import Witness

__all__ = ["Leaf", "Lineage", "NamesOf", "Witness", "analyse", "named_tables", "names_or_guesses"]
