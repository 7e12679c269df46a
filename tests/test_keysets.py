"""Key sets, compared with a dict of tuples for keys of all kinds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dj_sqlspy.cascade.keysets import Coder, KeySet, chosen, joined, length
from dj_sqlspy.servers.columns import Column
from dj_sqlspy.servers.dialect import Key
from dj_sqlspy.servers.keys import converted
from dj_sqlspy.servers.tables import Table

pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("mariadb")]

# A type of column, its values as keys have them, and as a server prints one.
TYPES: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "tinyint": ("tinyint", st.integers(-128, 127)),
    "int": ("int", st.integers(-(2**31), 2**31 - 1) | st.integers(0, 3)),
    "bigint": ("bigint", st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3)),
    "bigint unsigned": ("bigint unsigned", st.integers(0, 2**64 - 1)),
    "varchar": ("varchar(9)", st.text("aAé' ", max_size=3)),
    "binary": ("binary(2)", st.binary(max_size=2)),
    "bit": ("bit(9)", st.integers(0, 511)),
}


def table_of(types: list[str], keyed: bool = True) -> Table:
    names = tuple(f"c{i}" for i in range(len(types)))
    columns = [
        Column(name, TYPES[one][0].split("(")[0].split()[0], TYPES[one][0], not keyed, None, "")
        for name, one in zip(names, types, strict=True)
    ]
    return Table("s", "t", tuple(columns), names if keyed else ())


def printed(column: Column, value: Any) -> Any:
    if column.data_type == "bit" and value is not None:
        return value.to_bytes(2, "big")
    return str(value) if isinstance(value, int) else value


@st.composite
def batches(draw: st.DrawFn) -> tuple[Table, list[list[Key]]]:
    """A table, and lists of keys, of which some return."""
    keyed = draw(st.booleans())
    types = draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=4))
    values = [TYPES[one][1] for one in types]
    if not keyed:
        values = [st.none() | each for each in values]
    some = draw(st.lists(st.tuples(*values), min_size=1, max_size=12))
    return table_of(types, keyed), draw(st.lists(st.lists(st.sampled_from(some)), min_size=1, max_size=6))


@given(batches())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a machine with much to do
def test_a_key_set_is_a_dict(case: tuple[Table, list[list[Key]]]) -> None:
    table, lists = case
    coder, model = Coder(), dict[Key, int]()
    found = KeySet(table, coder)
    columns = [table.column(name) for name in table.key]
    for number, keys in enumerate(lists):
        there = found.among(coder.of(table, keys)).tolist()
        assert there == [key in model for key in keys]
        rows = [tuple(printed(c, v) for c, v in zip(columns, key, strict=True)) for key in keys]
        coded = coder.of(table, keys) if number % 2 else coder.read(table, rows)
        added = list(coder.keys(table, found.add(coded, number)))
        assert len(added) == len(set(added)) and set(added) == set(keys) - set(model)
        model.update(dict.fromkeys(added, number))
        assert dict(found.items()) == model and len(found) == len(model) and bool(found) == bool(model)
        assert all(key in found for key in model)
    for number in range(len(lists)):
        of_it = list(coder.keys(table, found.columns(number)))
        assert set(of_it) == {key for key, value in model.items() if value == number}
        assert found.counts().get(number, 0) == len(of_it)
    for width in range(1, len(columns)):
        prefixes = {key[:width] for key in model}
        few = found.prefixes(width, len(prefixes))
        assert few is not None and len(few) == len(prefixes) and set(few) == prefixes
        assert not prefixes or found.prefixes(width, len(prefixes) - 1) is None
    for keys in lists:
        assert dict(found.without(keys)) == {k: v for k, v in model.items() if k not in set(keys)}


def test_keys_wider_than_63_bits_together() -> None:
    """They are packed while they fit, then numbered. Neither form loses or confuses keys."""
    table, coder = table_of(["bigint", "bigint"]), Coder()
    found = KeySet(table, coder)
    first = [(n, -n) for n in range(100)]
    found.add(coder.of(table, first), 1)
    assert (2**40, 0) not in found and (5, -6) not in found
    wide = [(n * 2**55, 2**62 - n) for n in range(-100, 100)]
    found.add(coder.of(table, wide), 2)
    assert dict(found) == {**dict.fromkeys(first, 1), **dict.fromkeys(wide, 2)}
    assert (2**55, 2**62) not in found and (2**55, 2**62 - 1) in found


def test_looking_up_makes_no_room() -> None:
    table, coder = table_of(["int", "int"]), Coder()
    found = KeySet.of(table, coder, [(1, 1), (2, 2), (3, 0)])
    asked = [(3, 0), (0, 9), (2**31 - 1, -(2**31)), (1, 5), (5, 1), (2, 2)]
    assert found.among(coder.of(table, asked)).tolist() == [True, False, False, False, False, True]
    assert found.get((1, "x")) is None and found.get((1, None)) is None


def test_what_refers_to_a_key_that_is_coded_otherwise() -> None:
    """Columns of keys become keys of another table, also where its types differ; NULL refers to nothing."""
    coder = Coder()
    narrow, wide = table_of(["int", "varchar"]), table_of(["bigint unsigned"])
    keys = coder.of(narrow, [(7, "a"), (8, "b"), (7, "c")])
    assert list(coder.keys(wide, coder.projected(narrow, keys, [0], wide))) == [(7,), (8,), (7,)]
    loose = table_of(["int", "varchar"], keyed=False)
    keys = coder.of(loose, [(7, "a"), (None, "b"), (8, None)])
    assert list(coder.keys(wide, coder.projected(loose, keys, [0], wide))) == [(7,), (8,)]


def test_rows_of_null_are_no_keys() -> None:
    coder, table = Coder(), table_of(["int", "varchar"])
    read = coder.read(table, [("1", "a"), (None, None), ("2", "b")])
    assert list(coder.keys(table, read)) == [(1, "a"), (2, "b")]
    assert length(coder.read(table, ())) == 0 == length(coder.read(table, [(None, None)]))
    both = joined([read, coder.of(table, [(3, "c")])])
    assert list(coder.keys(table, chosen(both, both[0] != 2))) == [(1, "a"), (3, "c")]
    assert converted(table.columns[0], "12") == 12
