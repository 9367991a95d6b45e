"""Members of a JSON document that two devices wrote at once: what was lost when they merged (`spec/merge.md`, 14).

A document merges by itself, and forgets the values that lose. The writer's edit says what he had seen: it deletes what
it replaces, and names the neighbour on which it was made. What stands here instead is what he had not seen.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from holdfast.hub.json_parts import Id, Parent, Part, Parts
from holdfast.kernel.documents.content import NOTHING, Content
from holdfast.kernel.documents.library import library
from holdfast.kernel.values import check
from holdfast.protocol.members import ABSENT, END, alike, member, pointer

Home = tuple[Parent, str | None]
"""Where a part hangs: its parent, and its name if that is an object."""


class Met(NamedTuple):
    """One member that both wrote: its JSON pointer, the values, `ABSENT` where it is not there, and who stays.

    `base` is what the operation's writer had seen. `by` is who wrote `theirs`, None when nobody knows any more.
    """

    path: str
    base: Any
    mine: Any
    theirs: Any
    by: Any
    winner: str


class Past:
    """The edits of a document before this one, newest first, read as far as somebody asks: who wrote it, its bytes.
    Before all of them stands the declared default, which nobody wrote.
    """

    def __init__(self, edits: Iterator[tuple[Any, bytes]], default: bytes = NOTHING) -> None:
        self._edits = edits
        self._default: bytes | None = default
        self._read: list[tuple[Any, Parts]] = []
        self._written: dict[int, list[tuple[int, int]]] = {}
        """Client -> (first clock, negative so that the newest stands first; which edit), in order."""

    def _more(self) -> bool:
        following = next(self._edits, None)
        if following is not None:
            by, parts = following[0], Parts(following[1])
        elif self._default is not None:
            by, parts, self._default = None, _parts_of_default(self._default), None
        else:
            return False
        for part in parts:
            if part.kind != "gone":
                insort(self._written.setdefault(part.client, []), (-part.clock, len(self._read)))
        self._read.append((by, parts))
        return True

    def _edit_of(self, name: Id) -> tuple[Any, Parts] | None:
        while True:
            known = self._written.get(name[0], [])
            place = bisect_left(known, (-name[1], -1))
            if place < len(known) and self._read[known[place][1]][1].find(name) is not None:
                return self._read[known[place][1]]
            if not self._more():
                return None

    def find(self, name: Id) -> Part | None:
        """The part as it was written; None when nobody knows any more."""
        edit = self._edit_of(name)
        return None if edit is None else edit[1].find(name)

    def writer(self, name: Id) -> Any:
        """Who wrote that part; None when nobody knows any more."""
        edit = self._edit_of(name)
        return None if edit is None else edit[0]

    def deleter(self, name: Id) -> Any:
        """Who deleted it; None when nobody knows any more."""
        place = 0
        while place < len(self._read) or self._more():
            by, parts = self._read[place]
            if parts.deletes_it(name):
                return by
            place += 1
        return None


def met_members(before: bytes, update: bytes, after: bytes, shown: Any, past: Past) -> list[Met]:
    """What was lost when `update` came into the document `before` and made it `after`, which shows the JSON `shown`."""
    return _Meeting(before, update, after, shown, past).found()


@lru_cache(maxsize=64)
def _parts_of_default(data: bytes) -> Parts:
    """A schema has few defaults, and each conflict asks for one."""
    return Parts(data)


class _Meeting:
    """One update and the document that it met. An id is *here* when the document had it before."""

    def __init__(self, before: bytes, update: bytes, after: bytes, shown: Any, past: Past) -> None:
        self._here, self._new, self._past = Parts(before), Parts(update), past
        self._shown, self._states = shown, (before, after)
        self._homes: dict[Id, Home | None] = {}
        self._contents: dict[bool, Content] = {}
        self._inside: dict[Parent, list[Id]] | None = None
        self._made: dict[Parent, list[Id]] | None = None
        self._replaced: dict[Parent, list[Id]] | None = None
        self._standing: dict[Home, Id] = {}
        gone = self._here.deletes
        for part in self._here:
            if part.kind == "gone" or (part.client in gone and not self._here.lives(part.id)):
                continue
            if part.key is not None and part.parent is not None:
                self._standing[part.parent, part.key] = part.id
            elif part.size == 1 and (place := self._home(part)) is not None and place[1] is not None:
                self._standing[place] = part.id
        self._kind = self._value_at(self._standing.get(("value", "kind"))) or "object"
        self._kind_after = "object" if isinstance(shown, dict) else "array" if isinstance(shown, list) else "value"

    def found(self) -> list[Met]:
        """All that was lost, in the order of the paths."""
        written = self._written()
        met = [*self._of_written(written), *self._of_deleted(written), *self._inside_deleted(), *self._elements()]
        return sorted(met, key=lambda one: one.path)

    # What the update does.

    def _written(self) -> dict[Home, list[Part]]:
        """The members that the update writes into what it has not made itself, each with its parts in order."""
        found: dict[Home, list[Part]] = {}
        for part in self._new:
            if part.kind == "gone" or self._here.find(part.id) is not None:
                continue
            place = self._home(part)
            if place is not None and place[1] is not None and not self._is_new(place[0]):
                found.setdefault(place, []).append(part)
        return found

    def _of_written(self, written: dict[Home, list[Part]]) -> Iterator[Met]:
        for place, parts in written.items():
            parent = place[0]
            alive = [part for part in parts if not self._new.deletes_it(part.id)]
            mine = self._value(alive[-1].id, self._new) if alive else ABSENT
            seen = parts[0].origin
            while seen is not None and self._here.find(seen) is None and (part := self._new.find(seen)) is not None:
                seen = part.origin
            saw = seen if seen is not None and self._new.deletes_it(seen) else None
            if place == ("value", "kind") or self._deletes_above(parent):
                continue
            if not self._counts(parent):
                if mine is not ABSENT:
                    yield from self._met(place, saw, mine, None, self._who_took(parent))
                continue
            stands = self._standing.get(place)
            if stands is not None and stands == seen:
                continue
            if saw is not None or stands is not None or (mine is not ABSENT and not self._stands(place, mine)):
                deleted = saw or seen
                yield from self._met(place, saw, mine, stands, self._past.deleter(deleted) if deleted else None)

    def _of_deleted(self, written: dict[Home, list[Part]]) -> Iterator[Met]:
        """Members that the update only deletes, and that somebody else has written meanwhile."""
        for name in self._here.deleted_by(self._new.deletes):
            place = self._place(name) if not self._here.lives(name) else None
            if place is None or place[1] is None or place in written or place == ("value", "kind"):
                continue
            stands = self._standing.get(place)
            if stands is not None and self._counts(place[0]) and not self._deletes_above(place[0]):
                yield from self._met(place, name, ABSENT, stands, None)

    def _inside_deleted(self) -> Iterator[Met]:
        """What stands in an object or array that the update deletes, and was not there for its writer."""
        deleted: list[Parent] = [name for name in self._here.deleted_by(self._new.deletes) if self._holds(name)]
        if self._kind_after != self._kind:
            deleted.append(self._kind)
        for parent in deleted:
            unseen = [name for name in self._children(parent) if not self._new.deletes_it(name)]
            elements = [name for name in unseen if (self._place(name) or ("", None))[1] is None]
            for name in unseen:
                place = self._place(name)
                if place is None or place[1] is None or place == ("value", "kind"):
                    continue
                part = self._here.find(name)
                mine = self._shown if place[0] == "value" else ABSENT
                yield from self._met(place, self._seen_before(part), mine, name, None)
            if elements:
                values = [self._value(name, self._here) for name in self._in_order(elements)]
                writer = self._past.writer(elements[0])
                yield Met(self._path(parent, None), ABSENT, ABSENT, values, writer, "mine")

    def _elements(self) -> Iterator[Met]:
        """Elements that the update puts into an array that is not there any more."""
        lost: dict[Parent, list[Id]] = {}
        for part in self._new:
            place = self._home(part) if part.kind != "gone" and self._here.find(part.id) is None else None
            if place is None or place[1] is not None or self._is_new(place[0]) or self._counts(place[0]):
                continue
            lost.setdefault(place[0], []).extend(name for name in _ids(part) if not self._new.deletes_it(name))
        for parent, names in lost.items():
            if names:
                values = [self._value(name, self._new) for name in names]
                path = self._path(parent, None)
                theirs = member(self._shown, path) if isinstance(parent, str) else ABSENT
                yield Met(path, ABSENT, values, theirs, self._who_took(parent), "theirs")

    def _met(self, place: Home, saw: Id | None, mine: Any, stands: Id | None, by: Any) -> Iterator[Met]:
        """What met there, unless both are the same; `by` is who deleted what does not stand."""
        theirs = self._value(stands, self._here) if stands is not None else ABSENT
        if stands is None and place[0] == "value":
            theirs = self._shown  # the whole is an object or an array now
        if alike(mine, theirs):
            return
        base = self._value_seen(saw) if saw is not None else ABSENT
        path = self._path(*place)
        winner = "mine" if self._stands(place, mine) else "theirs"
        yield Met(path, base, mine, theirs, self._past.writer(stands) if stands is not None else by, winner)

    def _seen_before(self, part: Part | None) -> Id | None:
        """What the update's writer had seen where this part stands now: the nearest before it that he deletes."""
        while part is not None and part.origin is not None:
            if self._new.deletes_it(part.origin):
                return part.origin
            part = self._here.find(part.origin)
        return None

    def _holds(self, name: Id) -> bool:
        """Whether that is a living object or array of the document before."""
        part = self._here.find(name)
        return part is not None and part.kind in ("map", "array") and self._here.lives(name)

    # Where things are.

    def _find(self, name: Id | None) -> Part | None:
        part = self._here.find(name) or self._new.find(name)
        if name is not None and (part is None or part.homeless):
            return self._past.find(name) or part
        return part

    def _home(self, part: Part | None) -> Home | None:
        """The parent of a part and its name there; None when nobody knows any more."""
        chain: list[Id] = []
        found: Home | None = None
        while part is not None:
            if part.id in self._homes:
                found = self._homes[part.id]
                break
            chain.append(part.id)
            if part.parent is not None:
                found = part.parent, part.key
                break
            part = self._find(part.origin) or self._find(part.right)
        self._homes.update(dict.fromkeys(chain, found))
        return found

    def _place(self, name: Id) -> Home | None:
        return self._home(self._find(name))

    def _is_new(self, parent: Parent) -> bool:
        """Whether the update makes that object or array itself."""
        return not isinstance(parent, str) and self._here.find(parent) is None

    def _counts(self, parent: Parent) -> bool:
        """Whether what is written there can be seen after the merge, for all that others did."""
        while not isinstance(parent, str):
            if not self._here.lives(parent):
                return False
            place = self._place(parent)
            if place is None:
                return False
            parent = place[0]
        return parent == self._kind_after

    def _deletes_above(self, parent: Parent) -> bool:
        """Whether the update deletes that object or array, or one around it."""
        while not isinstance(parent, str):
            place = self._place(parent)
            if self._new.deletes_it(parent):
                return True
            if place is None:
                return False
            parent = place[0]
        return self._kind_after != self._kind and parent == self._kind

    def _who_took(self, parent: Parent) -> Any:
        """Who deleted the object or array because of which something is not there any more, or wrote the document's
        kind."""
        gone = None
        while not isinstance(parent, str):
            gone = parent if not self._here.lives(parent) else gone
            place = self._place(parent)
            if place is None:
                break
            parent = place[0]
        if gone is not None:
            return self._past.deleter(gone)
        kind = self._standing.get(("value", "kind"))
        return self._past.writer(kind) if kind is not None else None

    def _path(self, parent: Parent, key: str | None) -> str:
        steps: list[str | int] = [] if key is None or parent == "value" else [key]
        while not isinstance(parent, str):
            place = self._place(parent)
            if place is None:
                steps.append(END)
                break
            steps.append(place[1] if place[1] is not None else self._index(parent))
            parent = place[0]
        return pointer(reversed(steps))

    def _index(self, name: Id) -> int | str:
        """The place of an element after the merge; `END` when it is not there."""
        if not self._here.lives(name) or self._new.deletes_it(name):
            return END
        return self._offset(name, after=True)

    def _offset(self, name: Id, *, after: bool) -> int:
        content = self._contents.get(after)
        if content is None:
            content = self._contents[after] = Content(text=False)
            content.load(self._states[after])
        sticky = library().StickyIndex.from_json({"item": {"client": name[0], "clock": name[1]}, "assoc": 0})
        with content.doc.transaction() as transaction:
            return int(sticky.get_index(transaction))

    def _in_order(self, names: list[Id]) -> list[Id]:
        return sorted(names, key=lambda name: self._offset(name, after=False)) if len(names) > 1 else names

    def _stands(self, place: Home, value: Any) -> bool:
        """Whether the document shows that value there after the merge."""
        found = member(self._shown, self._path(*place)) if self._counts(place[0]) else ABSENT
        return alike(found, value)

    # What things are.

    def _value_at(self, name: Id | None) -> Any:
        return self._value(name, self._here) if name is not None else None

    def _value(self, name: Id, parts: Parts) -> Any:
        """The value of a member or element in `parts`: in the document before, or in the update alone."""
        part = parts.find(name)
        if part is None or part.kind == "gone":
            return ABSENT
        if part.kind == "value":
            return check("json", [part.values[name[1] - part.clock]])[0]
        children = self._children(name) if parts is self._here else self._made_in(name)
        if part.kind == "map":
            pairs = [((self._place(child) or ("", None))[1], self._value(child, parts)) for child in children]
            return {key: value for key, value in pairs if key is not None}
        ordered = self._in_order(children) if parts is self._here else children
        return [self._value(child, parts) for child in ordered]

    def _children(self, parent: Parent) -> list[Id]:
        """What lives in an object or array of the document before."""
        if self._inside is None:
            self._inside = {}
            for part in self._here:
                place = self._home(part) if part.kind != "gone" else None
                if place is not None:
                    names = [name for name in _ids(part) if self._here.lives(name)]
                    self._inside.setdefault(place[0], []).extend(names)
        return self._inside.get(parent, [])

    def _made_in(self, parent: Id) -> list[Id]:
        """The living members or elements of something that the update makes, elements in order: one writer puts each
        just behind the one that it names.
        """
        if self._made is None:
            self._made = {}
            for part in self._new:
                place = self._home(part) if part.kind != "gone" else None
                if place is not None:
                    names = self._made.setdefault(place[0], [])
                    last = len(names) if names and names[-1] == part.origin else None
                    at = last if last is not None else names.index(part.origin) + 1 if part.origin in names else 0
                    names[at:at] = _ids(part)
        return [name for name in self._made.get(parent, ()) if not self._new.deletes_it(name)]

    def _value_seen(self, name: Id) -> Any:
        """The value that the update's writer saw there: of an object or array with the parts that he deletes."""
        part = self._here.find(name)
        if part is None or part.kind == "gone":
            part = self._past.find(name)
        if part is None or part.kind == "gone":
            return ABSENT
        if part.kind == "value":
            return check("json", [part.values[name[1] - part.clock]])[0]
        inside = self._replaced_in(name)
        if part.kind == "map":
            return {(self._place(child) or ("", ""))[1] or "": self._value_seen(child) for child in inside}
        return [self._value_seen(child) for child in inside]

    def _replaced_in(self, parent: Id) -> list[Id]:
        """What the update deletes of an object or array, whether it lives or not."""
        if self._replaced is None:
            self._replaced = {}
            for name in self._deleted_ids():
                place = self._place(name)
                if place is not None:
                    self._replaced.setdefault(place[0], []).append(name)
        return self._replaced.get(parent, [])

    def _deleted_ids(self) -> Iterator[Id]:
        for client, ranges in self._new.deletes.items():
            for first, count in ranges:
                clock = first
                while clock < first + count and (part := self._find((client, clock))) is not None:
                    yield client, clock
                    clock = clock + 1 if part.kind == "value" else part.clock + part.size


def _ids(part: Part) -> list[Id]:
    """The names of the members or elements in a part."""
    return [(part.client, part.clock + place) for place in range(part.size)]
