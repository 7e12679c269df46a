"""Whole: a program of its own, which copies an HDF5 file together with the data that its links lead to.

In: requests on a socket, which is its standard output: a file in a folder with all files that it leads to. Out: a file
that leads to no other one, and how many datasets of it were compared with what a reader of the original sees. h5py does
it, and nothing of dj_sqlspy is imported (see `inside`).

==============================  ============================================================================
``source``, ``copy``, ``top``   a request: the file, where to write its copy, the folder that none leads out of
``media``                       for ``external_file`` of NWB, by the object in the copy and path: another path
``{"datasets": n, …}``          an answer: datasets that were compared, of all those that can be reached; and
                                ``brought``, the places of what the original does not show, and linked data need
``{"refused": "…"}``            an answer: why there is no copy
==============================  ============================================================================

An object keeps the place at which the original shows it. Where a second link shows the same object, the copy has a soft
link, as NWB has. A reference or a soft link in linked data can mean a further object of that other file. It comes to
the same place in the copy, unless the file itself has an equal object there (but for NWB's ``object_id``). References
are written anew, since they are addresses inside of a file. What cannot be brought along is refused.
"""

from __future__ import annotations

import contextlib
import json
import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

BLOCK = 16 << 20  # bytes that are read at once
HOPS = 16  # links in a row


class Refused(Exception):
    """A file cannot be copied with all that it leads to."""


def main(connection: Connection) -> None:
    """Answer requests until the other side hangs up."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            return
        answer: dict[str, Any] = {}
        try:
            if "source" in request:
                with _Copy(request["copy"], request["top"]) as copy:
                    answer["datasets"] = copy.make(request["source"])
                    answer["brought"] = copy.brought
            if request.get("media"):
                _rename(request["copy"], request["media"])
        except Refused as error:
            answer = {"refused": str(error)}
        except Exception as error:  # h5py has no class of its own
            answer = {"refused": f"HDF5 cannot copy it: {error}"}
        connection.send_bytes(json.dumps(answer).encode())


@dataclass(frozen=True)
class _Seen:
    """An object as the original shows it: its file, the path there, and the object."""

    file: Any
    at: str
    id: Any

    @property
    def key(self) -> tuple[int, int]:
        import h5py

        about = h5py.h5o.get_info(self.id)
        return about.fileno, about.addr

    def __str__(self) -> str:
        return f"{self.at} of {os.path.basename(self.file.filename)}"


class _Copy:
    """A copy that is being made."""

    def __init__(self, path: str, top: str) -> None:
        import h5py

        self._top = os.path.realpath(top)
        self._stack = contextlib.ExitStack()
        self._opened: dict[str, Any] = {}
        self._file = self._stack.enter_context(h5py.File(path, "x"))
        self._utf8 = h5py.h5p.create(h5py.h5p.LINK_CREATE)
        self._utf8.set_char_encoding(h5py.h5t.CSET_UTF8)
        self._places: dict[tuple[int, int], str] = {}  # where an object is in the copy
        self.brought: list[str] = []  # places of what linked data need
        self._datasets = 0
        self._links: list[tuple[_Seen, str, str]] = []  # not followed yet: group, name in it, place
        self._references: list[tuple[_Seen, str, bytes | None]] = []  # with the name of an attribute

    def __enter__(self) -> _Copy:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def make(self, source: str) -> int:
        """Copy all that can be reached from a file, and compare it. Returns the number of datasets."""
        root = self._root(source)
        self._main = root.file
        self._places[root.key] = "/"
        self._attributes(root, "/")
        self._members(root, "/")
        while self._links or self._references:
            while self._links:
                self._follow(*self._links.pop(0))
            while self._references and not self._links:
                self._refer(*self._references.pop(0))
        return self._compare(root)

    # ------------------------------------------------------------ what the original shows

    def _root(self, path: str) -> _Seen:
        import h5py

        real = os.path.realpath(path)
        if real == os.path.realpath(self._file.filename):
            return _Seen(self._file, "/", h5py.h5g.open(self._file.id, b"/"))
        if not real.startswith(f"{self._top}{os.sep}"):
            raise Refused(f"a link leads to {path}, which is outside of what was copied")
        if real not in self._opened:
            self._opened[real] = self._stack.enter_context(h5py.File(real, "r", locking=False))
        file = self._opened[real]
        return _Seen(file, "/", h5py.h5g.open(file.id, b"/"))

    def _find(self, file: Any, path: str) -> _Seen | None:
        """The object at a path, through all links; None if a soft link leads nowhere."""
        import h5py

        for _ in range(HOPS):
            seen = self._root(file.filename)
            names = [name for name in path.split("/") if name not in ("", ".")]
            for number, name in enumerate(names):
                raw, rest = _bytes(name), "/".join(names[number + 1 :])
                if not isinstance(seen.id, h5py.h5g.GroupID) or not seen.id.links.exists(raw):
                    return None
                kind = seen.id.links.get_info(raw).type
                if kind == h5py.h5l.TYPE_SOFT:
                    path = posixpath.join(seen.at, _text(seen.id.links.get_val(raw)), rest)
                    break
                if kind == h5py.h5l.TYPE_EXTERNAL:
                    text, inside = map(_text, seen.id.links.get_val(raw))
                    text = posixpath.basename(text) if os.path.isabs(text) else text
                    beside = os.path.join(os.path.dirname(seen.file.filename), text)
                    if not os.path.isfile(beside):
                        raise Refused(f"{posixpath.join(seen.at, name)} leads to {text}, which is not there")
                    file, path = self._root(beside).file, posixpath.join(inside, rest)
                    break
                seen = _Seen(seen.file, posixpath.join(seen.at, name), h5py.h5o.open(seen.id, raw))
            else:
                return seen
        raise Refused(f"its links lead in a circle, or through more than {HOPS} names")

    @staticmethod
    def _names(group: Any) -> list[tuple[bytes, int]]:
        found: list[tuple[bytes, int]] = []
        group.links.iterate(lambda name, info: found.append((name, info.type)), info=True)
        return sorted(found)

    # ------------------------------------------------------------ copying

    def _members(self, group: _Seen, to: str) -> None:
        import h5py

        for raw, kind in self._names(group.id):
            name = _text(raw)
            place = posixpath.join(to, name)
            if kind == h5py.h5l.TYPE_HARD:
                member = _Seen(group.file, posixpath.join(group.at, name), h5py.h5o.open(group.id, raw))
                known = self._places.get(member.key)
                if known is None:
                    self._object(member, place)
                else:
                    self._file.id.links.create_hard(_bytes(place), self._file.id, _bytes(known), self._utf8)
            else:
                self._links.append((group, name, place))

    def _object(self, seen: _Seen, to: str) -> None:
        import h5py

        self._places[seen.key] = to
        if isinstance(seen.id, h5py.h5g.GroupID):
            h5py.h5g.create(self._file.id, _bytes(to), self._utf8)
            self._attributes(seen, to)
            self._members(seen, to)
            return
        if isinstance(seen.id, h5py.h5d.DatasetID):
            about = seen.id.get_create_plist()
            if about.get_layout() == h5py.h5d.VIRTUAL or about.get_external_count():
                self._unfold(seen, to)
            else:
                h5py.h5o.copy(seen.id, b".", self._file.id, _bytes(to), lcpl=self._utf8)
            if _refers(seen.id.get_type(), seen):
                self._references.append((seen, to, None))
            self._attributes(seen, to)
        else:
            h5py.h5o.copy(seen.id, b".", self._file.id, _bytes(to), lcpl=self._utf8)

    def _unfold(self, seen: _Seen, to: str) -> None:
        """A dataset with its data elsewhere becomes one with the data in it."""
        import h5py

        values = h5py.Dataset(seen.id)
        space = h5py.h5s.create_simple(values.shape) if values.shape else h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5d.create(self._file.id, _bytes(to), seen.id.get_type(), space, lcpl=self._utf8)
        out = self._file[to]
        for part in _parts(values):
            out[part] = values[part]

    def _attributes(self, seen: _Seen, to: str) -> None:
        """Attributes that HDF5 has not copied. References in any have to wait."""
        import h5py

        there = h5py.h5o.open(self._file.id, _bytes(to))
        for number in range(h5py.h5a.get_num_attrs(seen.id)):
            one = h5py.h5a.open(seen.id, index=number)
            if _refers(one.get_type(), seen):
                self._references.append((seen, to, one.name))
            elif not h5py.h5a.exists(there, one.name):
                _write(there, one, _value(one))

    def _follow(self, group: _Seen, name: str, to: str) -> None:
        """A soft or external link."""
        import h5py

        raw, place = _bytes(name), _bytes(to)
        soft = group.id.links.get_info(raw).type == h5py.h5l.TYPE_SOFT
        found = self._find(group.file, posixpath.join(group.at, name))
        if found is None and not soft:
            raise Refused(f"{posixpath.join(group.at, name)} leads to no data")
        if found is None or (soft and group.file is self._main):
            self._file.id.links.create_soft(place, group.id.links.get_val(raw), self._utf8)
            return
        if soft and found.key not in self._places:
            self._bring(found)
        if found.key in self._places:
            self._file.id.links.create_soft(place, _bytes(self._places[found.key]), self._utf8)
        elif to in self._file:
            raise Refused(f"{found} belongs at {to}, where another object is")
        else:
            self._object(found, to)

    def _bring(self, seen: _Seen) -> None:
        """An object that linked data mean, to the place that it has in its own file.

        pynwb gives some objects of a file that links to another one an id of their own, such as the table of
        electrodes, and links their contents. So an object of the file itself stands for one that differs from it
        in nothing else.
        """
        import h5py

        if seen.at not in self._file:
            above = "/"
            for name in seen.at.split("/")[1:-1]:
                above = posixpath.join(above, name)
                if above in self._file and not isinstance(self._file[above], h5py.Group):
                    raise Refused(f"linked data need {seen}, and another object is at {above}")
                if above not in self._file:
                    self.brought.append(above)
                    h5py.h5g.create(self._file.id, _bytes(above), self._utf8)
                    parent = self._find(seen.file, above)
                    assert parent is not None
                    self._attributes(parent, above)
            self.brought.append(seen.at)
            self._object(seen, seen.at)
            return
        own = self._find(self._main, seen.at)
        different = self._difference(seen, own) if own else f"{seen.at} is of yet another file"
        if different:
            raise Refused(f"linked data need {seen}, and another object is at this place: {different}")
        self._places[seen.key] = seen.at

    def _refer(self, seen: _Seen, to: str, attribute: bytes | None) -> None:
        """Write the references in a dataset or an attribute."""
        import h5py
        import numpy as np

        there = h5py.h5o.open(self._file.id, _bytes(to))
        if attribute is None:
            values, out = h5py.Dataset(seen.id), h5py.Dataset(there)
            for part in _parts(values):
                out[part] = self._translated(np.array(values[part], dtype=values.dtype), seen)
            return
        one = h5py.h5a.open(seen.id, attribute)
        if h5py.h5a.exists(there, attribute):
            h5py.h5a.delete(there, attribute)
        values = _value(one)
        _write(there, one, values if values is None else self._translated(values, seen))

    def _translated(self, values: Any, seen: _Seen) -> Any:
        import h5py
        import numpy as np

        if values.dtype.fields:
            out = values.copy()
            for name in values.dtype.names:
                out[name] = self._translated(values[name], seen)
            return out
        if h5py.check_ref_dtype(values.dtype) is None:
            return values
        out = np.empty_like(values)
        for index in np.ndindex(values.shape):
            out[index] = self._reference(values[index], seen)
        return out

    def _reference(self, reference: Any, seen: _Seen) -> Any:
        import h5py

        if not reference:
            return reference
        target = self._meant(reference, seen)
        if target.key not in self._places:
            self._bring(target)
        return h5py.h5r.create(self._file.id, _bytes(self._places[target.key]), h5py.h5r.OBJECT)

    @staticmethod
    def _meant(reference: Any, seen: _Seen) -> _Seen:
        import h5py

        try:
            target = h5py.h5r.dereference(reference, seen.file.id)
            name = h5py.h5i.get_name(target)
        except Exception as error:  # h5py has no class of its own
            raise Refused(f"a reference in {seen} leads to no object: {error}") from error
        if name is None:
            raise Refused(f"a reference in {seen} leads to an object without a name")
        return _Seen(seen.file, _text(name), target)

    # ------------------------------------------------------------ comparing

    def _compare(self, root: _Seen) -> int:
        """Compare all that a reader can reach from the original with the copy; the number of datasets."""
        self._datasets = 0
        there = self._root(self._file.filename)
        different = self._difference(root, there, strict=True)
        if different:
            raise Refused(f"the copy is not equal to the file: {different}")
        return self._datasets

    def _difference(self, one: _Seen, other: _Seen, strict: bool = False) -> str:
        """What differs between two objects and all below them; "" if nothing. Unless strict, ids of NWB may."""
        waiting, done = [(one, other)], set()
        while waiting:
            old, new = waiting.pop()
            pair = old.key, new.key
            if pair in done or (not strict and pair[0] == pair[1]):
                continue
            done.add(pair)
            if type(old.id) is not type(new.id):
                return f"{new} is of another kind than {old}"
            different = self._attribute_that_differs(old, new, strict) or self._data_that_differ(
                old, new, strict
            )
            if different:
                return different
            members = [self._shown(each) for each in (old, new)]
            more = {posixpath.join(new.at, name) for name in members[1].keys() - members[0].keys()}
            if members[0].keys() - members[1].keys() or more - (set(self.brought) if strict else set()):
                return f"{new} has not the members of {old}"
            for name, member in members[0].items():
                there = members[1][name]
                if (member is None) != (there is None):
                    return f"{name} of {old} leads nowhere in one of the two"
                if member is not None and there is not None:
                    waiting.append((member, there))
        return ""

    def _shown(self, group: _Seen) -> dict[str, _Seen | None]:
        """The members of a group, as a reader finds them."""
        import h5py

        if not isinstance(group.id, h5py.h5g.GroupID):
            return {}
        names = [_text(raw) for raw, _ in self._names(group.id)]
        return {name: self._find(group.file, posixpath.join(group.at, name)) for name in names}

    def _attribute_that_differs(self, one: _Seen, other: _Seen, strict: bool) -> str:
        import h5py

        attributes = []
        for each in (one, other):
            opened = [h5py.h5a.open(each.id, index=n) for n in range(h5py.h5a.get_num_attrs(each.id))]
            attributes.append({a.name: a for a in opened if strict or a.name != b"object_id"})
        if attributes[0].keys() != attributes[1].keys():
            return f"{other} has not the attributes of {one}"
        for name, old in attributes[0].items():
            new = attributes[1][name]
            equal = old.get_type() == new.get_type() and old.shape == new.shape
            values, there = _value(old), _value(new)
            if values is None or there is None:
                equal = equal and values is there
            else:
                equal = equal and self._equal(values, there, one, other, strict)
            if not equal:
                return f"the attribute {_text(name)} of {other} is not that of {one}"
        return ""

    def _data_that_differ(self, one: _Seen, other: _Seen, strict: bool) -> str:
        import h5py
        import numpy as np

        if not isinstance(one.id, h5py.h5d.DatasetID):
            return ""
        self._datasets += 1
        old, new = h5py.Dataset(one.id), h5py.Dataset(other.id)
        equal = one.id.get_type() == other.id.get_type() and old.shape == new.shape
        for part in _parts(old) if equal else ():
            pair = [np.array(each[part], dtype=each.dtype) for each in (old, new)]
            equal = equal and self._equal(pair[0], pair[1], one, other, strict)
        return "" if equal else f"the values of {other} are not those of {one}"

    def _equal(self, old: Any, new: Any, one: _Seen, other: _Seen, strict: bool) -> bool:
        import h5py
        import numpy as np

        if old.dtype.fields:
            return all(self._equal(old[name], new[name], one, other, strict) for name in old.dtype.names)
        if not old.dtype.hasobject:
            return bool(old.tobytes() == new.tobytes())
        pairs = zip(old.flat, new.flat, strict=True)
        if h5py.check_ref_dtype(old.dtype) is None:
            return all(
                np.asarray(a).dtype == np.asarray(b).dtype
                and np.asarray(a).tobytes() == np.asarray(b).tobytes()
                if isinstance(a, np.ndarray)
                else a == b
                for a, b in pairs
            )
        return all(
            bool(a) == bool(b) and (not a or self._same_target(a, b, one, other, strict)) for a, b in pairs
        )

    def _same_target(self, old: Any, new: Any, one: _Seen, other: _Seen, strict: bool) -> bool:
        import h5py

        meant, there = self._meant(old, one), self._meant(new, other)
        if not strict:
            return meant.at == there.at
        place = self._places.get(meant.key)
        return place is not None and h5py.h5o.get_info(self._file[place].id).addr == there.key[1]


# ---------------------------------------------------------------- pieces


def _parts(values: Any) -> Iterator[Any]:
    """Selections of a dataset, each of no more than some memory."""
    if values.shape is None:
        return
    if not values.shape:
        yield ()
        return
    row = max(1, values.dtype.itemsize)
    for length in values.shape[1:]:
        row *= max(1, length)
    rows = max(1, BLOCK // row)
    if values.chunks:
        rows = -(-rows // values.chunks[0]) * values.chunks[0]
    for start in range(0, values.shape[0] if values.size else 0, rows):
        yield slice(start, start + rows)


def _value(attribute: Any) -> Any:
    """The value of an attribute; None if its space is empty."""
    import h5py
    import numpy as np

    if attribute.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        return None
    values = np.empty(attribute.shape, dtype=attribute.dtype)
    attribute.read(values)
    return values


def _write(there: Any, like: Any, value: Any) -> None:
    """An attribute of an object with the name, type and space of another one."""
    import h5py

    made = h5py.h5a.create(there, like.name, like.get_type(), like.get_space())
    if value is not None:
        made.write(value)


def _refers(kind: Any, seen: _Seen) -> bool:
    """Whether a type has references to objects.

    Raises
    ------
    Refused
        If it has some of another kind, whose places nobody could correct.
    """
    import h5py

    if isinstance(kind, h5py.h5t.TypeReferenceID):
        if kind != h5py.h5t.STD_REF_OBJ:
            raise Refused(f"{seen} has references to parts of datasets, which are not brought along")
        return True
    if isinstance(kind, h5py.h5t.TypeCompoundID):
        return any([_refers(kind.get_member_type(n), seen) for n in range(kind.get_nmembers())])
    inner = isinstance(kind, (h5py.h5t.TypeVlenID, h5py.h5t.TypeArrayID)) and _refers(kind.get_super(), seen)
    if inner:
        raise Refused(f"{seen} has lists of references, which are not brought along")
    return False


def _rename(copy: str, media: dict[str, dict[str, str]]) -> None:
    """Write other paths into `external_file` of a copy."""
    import h5py

    with h5py.File(copy, "r+", locking=False) as file:
        for at, names in media.items():
            values = file[at]
            if h5py.check_string_dtype(values.dtype) is None or h5py.check_string_dtype(values.dtype).length:
                raise Refused(f"{at} has paths of a fixed length, which cannot be written anew")
            told = values.asstr()[()]
            if values.shape:
                values[...] = [names.get(text, text) for text in told]
            else:
                values[()] = names.get(told, told)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


if __name__ == "__main__":
    os.environ["HDF5_EXTFILE_PREFIX"] = "${ORIGIN}"  # raw storage is beside the file, as for `linked`
    os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
    connection = Connection(os.dup(1))
    os.dup2(2, 1)  # what a library prints is no answer
    main(connection)
