"""What a transaction will be asked for first, read in the exchange that begins it: a hub asks much of a far server."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from holdfast.stores.base import HubState, Need, Origin, Space, StoredRow
from holdfast.stores.postgres.exchange import Answer, Connection, Sender, exchange
from holdfast.stores.postgres.feeds import Spaces
from holdfast.stores.postgres.memory import Expected, Memory
from holdfast.stores.postgres.native import BusyTables
from holdfast.stores.postgres.queries import QUERIES
from holdfast.stores.postgres.user_tables import as_json, can_hold, text_array

LOCK_SPACE = 0x486F6C64
"""First half of the numbers of our advisory locks, so that they are not those of another program ("Hold")."""
FEED_AHEAD = 50
"""So many rows of a feed are read ahead: an ordinary round brings few, and a long one reads pages. They are fewer, but
not less than `_LEAST_AHEAD`, where the feeds are many."""
_FEEDS_AHEAD, _LEAST_AHEAD = 4, 4
_STRIPES = 4_096
_MOST_STRIPES = 64
"""A transaction that would lock more stripes of origins locks all of them at once: PostgreSQL's table of locks is
small."""

Names = Sequence[tuple[str, str]]
Rows = dict[tuple[str, str], StoredRow]
_decode = msgspec.json.Decoder(list[tuple[Any, ...]]).decode


def stripes_of(origins: Collection[str]) -> list[int]:
    """The numbers of the locks of origins, in order."""
    return sorted({zlib.crc32(origin.encode()) % _STRIPES for origin in origins})


def lock_origins(db: Sender, origins: Collection[str]) -> None:
    """Send for the locks of origins, which a writer holds to its end, whether they are known or not."""
    stripes = stripes_of(origins)
    if len(stripes) > _MOST_STRIPES:
        db.execute(QUERIES["lock_all_origins"], (LOCK_SPACE,))
    else:
        db.execute(QUERIES["lock_origins"], (stripes, LOCK_SPACE))


def ask_origins(db: Sender, origins: Sequence[str], *, write: bool) -> Answer:
    """Send the question for origins; a writer holds them until its end, known or not."""
    if write:
        lock_origins(db, origins)
    return db.execute(QUERIES["origins"], (text_array(origins),))


def ask_rows(db: Sender, ids: Mapping[str, int], names: Names, *, write: bool) -> Answer | None:
    """Send the question for feed rows; a writer locks them, in key order. None when there is nothing to ask."""
    wanted = [{"tbl": ids[table], "key": key} for table, key in sorted(set(names)) if table in ids and can_hold(key)]
    if not wanted:
        return None
    return db.execute(QUERIES["lock_rows" if write else "rows"], (as_json(wanted),), binary=True)


def ask_dirty(db: Sender, tables: str, limit: int) -> Answer:
    """Send for the notes of other programs, to be the only one in all processes who takes them until the end."""
    db.execute(QUERIES["lock_dirty"], (LOCK_SPACE,))
    return db.execute(QUERIES["dirty"], (tables, limit), binary=True)


def rows_of(found: Answer | None, ids: Mapping[str, int]) -> Rows | None:
    """What `ask_rows` has found, by (table, key). None when a space was made meanwhile: it must be asked again."""
    tables = {number: name for name, number in ids.items()}
    rows: Rows = {}
    for number, key, space, *rest in found.fetchall() if found is not None else ():
        if space is None:
            return None
        rows[tables[number], key] = StoredRow(tables[number], key, space, *rest)
    return rows


PLACE = (
    b"concat_ws('.', (SELECT system_identifier FROM pg_control_system()), "
    b"left(pg_walfile_name(pg_current_wal_lsn()), 8), h.tableoid)"
)
"""Where the hub is kept. A server that does not tell its timeline is asked for the table only."""


def counted_under(hub: str, place: str) -> str:
    """The name under which the hub counts increments, as long as it is kept there."""
    return hashlib.blake2s(f"{hub} {place}".encode(), digest_size=6).hexdigest()


class Ahead:
    """The beginning of a transaction, and the answers to `need`. `tables` are those of the schema, `ids` the numbers of
    earlier ones too; `settings` are those of a writer, None for a reader.

    Origins and rows are given out once: later ones may be others in a write transaction.
    """

    def __init__(
        self,
        need: Need,
        tables: Collection[str],
        ids: Mapping[str, int],
        busy: BusyTables,
        settings: tuple[str, str] | None,
        memory: Memory | None = None,
        *,
        tells_place: bool = True,
    ) -> None:
        self._need = need
        self._tables = text_array(tables)
        self._free = text_array(busy.without(tables))
        self._ids = ids
        self._settings = settings
        self._tells_place = tells_place
        self._asked: dict[str, Answer | None] = {}
        self._rows_asked: frozenset[tuple[str, str]] = frozenset()
        self._origins: dict[str, Origin] | None = None
        self._spaces: dict[str, Space] | None = None
        self._written = False
        self._stood: dict[str, str | None] = {}
        self._most = max(_LEAST_AHEAD, FEED_AHEAD * _FEEDS_AHEAD // max(_FEEDS_AHEAD, len(need.after)))
        self._feeds: dict[str, list[tuple[int, bytes]]] = {}
        self.counters: Spaces = {}
        """The counters of the spaces that a writer named, as they stood before it locked any."""
        self.state = HubState("", 0, "")
        self.has_dirty = self.has_aside = False
        self._memory = memory
        self.remembered = memory is not None and memory.covers(need)
        """Nothing was asked: it begins with the commit, which finds out whether everything is as it was remembered."""
        self._taken = False
        self._chains: dict[tuple[str, int], str] = {}
        self.consulted: set[str] = set()
        """The spaces of which a writer has asked where they stand."""

    @property
    def only(self) -> bool:
        """Whether nothing else will be asked."""
        return self._need.only

    @property
    def at_once(self) -> bool:
        """Whether errors of what is written may come with the commit."""
        return self._need.at_once

    def begin(self, db: Connection) -> None:
        """Begin, and ask: one exchange. A transaction that asks nothing else and for no more than one statement gives
        has ended with it."""
        need = self._need
        if self._taken:
            return
        if self.remembered:
            assert self._memory is not None
            self.state, self._origins = self._memory.state, self._memory.origins(need.origins)
            self.counters = self._memory.spaces(need.spaces)
        elif self.is_look:
            with exchange(db) as to:
                found = self.look(to)
            self.take_look(found)
        elif self._settings is None:
            with exchange(db) as to:
                to.execute(QUERIES["begin_read"])
                found = self.look(to)
                if need.origins:
                    self._asked["origins"] = ask_origins(to, need.origins, write=False)
                if need.rows:
                    self._rows_asked = frozenset(need.rows)
                    self._asked["rows"] = ask_rows(to, self._ids, need.rows, write=False)
                if need.only:
                    to.execute(b"COMMIT")
            self.take_look(found)
        else:
            with exchange(db) as to:
                self.send_begin(to)
                heads = as_json([{"name": name, "head": head} for name, head in need.heads])
                named = (self._tables, text_array(need.origins), text_array(need.spaces), heads)
                found = to.execute(self._with_place("state"), named, binary=True)
                if need.dirty:
                    self._asked["dirty"] = ask_dirty(to, self._free, need.dirty)
                if need.rows:
                    self.ask_rows(to, need.rows)
            self._take_state(found)

    def _with_place(self, name: str) -> bytes:
        return QUERIES[name] if self._tells_place else QUERIES[name].replace(PLACE, b"h.tableoid::text")

    def send_begin(self, to: Sender) -> None:
        """Send what begins a write transaction."""
        to.execute(QUERIES["begin_write"])
        settings, stripes = self._settings or (), stripes_of(self._need.origins)
        if 0 < len(stripes) <= _MOST_STRIPES:
            to.execute(QUERIES["settings_and_origins"], (*settings, stripes, LOCK_SPACE))
            return
        to.execute(QUERIES["settings"], settings)
        if stripes:
            lock_origins(to, self._need.origins)

    @property
    def expected(self) -> Expected:
        """What was not read but remembered."""
        if not self.remembered or self._memory is None:
            return Expected()
        spaces = [self.counters[name] for name in sorted(self.consulted)]
        return Expected([*self._memory.origins(self._need.origins).values()], spaces)

    @property
    def is_look(self) -> bool:
        """Whether one statement tells everything that will be asked."""
        return self._need.only and not (self._need.origins or self._need.rows) and self._settings is None

    def look(self, db: Sender) -> Answer:
        """Send for what a snapshot tells in one statement."""
        need = self._need
        wanted = []
        for name in sorted({*need.spaces, *need.after}):
            seq, head = need.after.get(name, (_NEVER, 0))
            wanted.append({"name": name, "after": seq, "head": head, "patches": seq == head})
        return db.execute(self._with_place("look"), (self._free, as_json(wanted), self._most), binary=True)

    def take_look(self, answer: Answer) -> None:
        """Take the answer to `look`."""
        self._taken = True
        found = answer.fetchall()
        hub, hlc, self.has_dirty, self.has_aside, place = found[0][:5]
        self.state = HubState(hub, hlc or 0, counted_under(hub, place))
        spaces, feeds = dict[str, Space](), self._feeds
        for _, _, _, _, _, name, epoch, head, chain, floor, stood, seq, image in found:
            if name is None:
                break
            if name not in spaces:
                spaces[name], self._stood[name] = Space(name, epoch, head, chain, floor), stood
                feeds[name] = []
            if seq is not None:
                feeds[name].append((seq, image))
        self._spaces = spaces
        for feed in feeds.values():
            feed.sort()

    def _take_state(self, cursor: Answer) -> None:
        ((hub, hlc, self.has_dirty, self.has_aside, place, origins, counters, chains),) = cursor.fetchall()
        self.state = HubState(hub, hlc or 0, counted_under(hub, place))
        if self._need.origins:
            self._origins = {row[0]: Origin(*row) for row in _decode(origins or b"[]")}
        self.counters = {space[0]: (number, Space(*space)) for number, *space in _decode(counters or b"[]")}
        self._chains = {(name, head): chain for name, head, chain in _decode(chains or b"[]")}
        if self._memory is not None:
            quiet = not (self.has_dirty or self.has_aside)
            self._memory.read(self.state, self._origins or {}, self.counters, self._chains, quiet=quiet)

    def origins(self, wanted: Sequence[str]) -> dict[str, Origin] | None:
        """Known origins among those named; None when they were not foreseen."""
        found, self._origins = self._origins, None
        asked = self._asked.pop("origins", None)
        if asked is not None:
            found = {row[0]: Origin(*row) for row in asked.fetchall()}
        if found is None or not set(wanted) <= set(self._need.origins):
            return None
        names = set(wanted)
        return {name: origin for name, origin in found.items() if name in names}

    def dirty(self, limit: int) -> list[tuple[Any, ...]] | None:
        """Notes of other programs; None when they were not foreseen."""
        asked = self._asked.pop("dirty", None)
        return asked.fetchall() if asked is not None and limit == self._need.dirty else None

    def ask_rows(self, db: Sender, names: Names) -> None:
        """Send for feed rows that a writer will ask for next, in the pipeline of the caller."""
        self._rows_asked = frozenset(names)
        self._asked["rows"] = ask_rows(db, self._ids, names, write=True)

    def rows(self, wanted: Names) -> Rows | None:
        """Feed rows by (table, key); None when they were not foreseen."""
        if self.remembered and not self._written and set(self._need.rows).issuperset(wanted):
            return {}
        if "rows" not in self._asked or not self._rows_asked.issuperset(wanted):
            return None
        names, found = set(wanted), rows_of(self._asked.pop("rows"), self._ids)
        return None if found is None else {name: row for name, row in found.items() if name in names}

    def forget(self) -> None:
        """Rows will be written."""
        self._asked.pop("rows", None)
        self._written = True

    def spaces(self, wanted: Sequence[str]) -> dict[str, Space] | None:
        """Heads of spaces; None when they were not foreseen."""
        if not set(wanted) <= {*self._need.spaces, *self._need.after}:
            return None
        names = set(wanted)
        if self._settings is not None and not self._written:
            if self.remembered and not names <= self.counters.keys():
                return None
            self.consulted |= names
            return {name: space for name, (_, space) in self.counters.items() if name in names and space.head}
        if self._spaces is None:
            return None
        return {name: space for name, space in self._spaces.items() if name in names}

    def chain(self, space: str, head: int) -> tuple[str | None] | None:
        """The chain of the space at that head, None inside: it never stood there; None when it was not foreseen."""
        if self._memory is not None:
            return self._written_chain(self._memory, space, head)
        if self._spaces is None or self._need.after.get(space, (0, 0))[1] != head:
            return None
        return (self._stood.get(space),)

    def _written_chain(self, memory: Memory, space: str, head: int) -> tuple[str | None] | None:
        if self.remembered:
            known = memory.chain(space, head)
            return None if known is None else (known,)
        return (self._chains.get((space, head)),) if (space, head) in self._need.heads and not self._written else None

    def feed(self, space: str, after: int, until: int, *, patches: bool) -> tuple[list[tuple[int, bytes]], bool]:
        """The first rows of a feed, and whether more may follow."""
        seq, head = self._need.after.get(space, (0, 0))
        # Read from an earlier place, a patch that would do may be missing: the image in its stead does as well.
        if self._spaces is None or space not in self._need.after or after < seq or patches != (seq == head):
            return [], True
        rows = self._feeds.get(space, [])
        more = len(rows) == self._most and rows[-1][0] < until
        return [row for row in rows if after < row[0] <= until], more


_NEVER = 2**62
"""A place in a feed behind all rows."""


def pages(first: list[tuple[int, bytes]], rest: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """What was read ahead, then the rest."""
    yield from first
    yield from rest
