"""Several statements in one exchange, said to libpq itself: an object for each one would cost as much as the statement.

Prepared statements are made at their first use, in the exchange that uses them, and kept for the session; where a
session belongs to nobody, behind a pooler, there are none.
"""

from __future__ import annotations

import itertools
import re
from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import psycopg
from psycopg import errors, pq
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus
from psycopg.waiting import Ready, Wait

Connection = psycopg.Connection[tuple[Any, ...]]

MOST_PREPARED = 300
"""So many statements are kept prepared on a connection; beyond that the one goes that was used the longest ago."""

_TEXT, _INT, _BIGINT, _BYTES = 0, 23, 20, 17
"""Types of parameters. 0: PostgreSQL finds it by the place of the parameter."""
_ORDINARY = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK, ExecStatus.EMPTY_QUERY)


class Answer:
    """What a statement gave, once its exchange is over."""

    __slots__ = ("_db", "result")

    def __init__(self, db: Connection) -> None:
        self._db = db
        self.result: pq.abc.PGresult | None = None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows."""
        assert self.result is not None
        reader = Transformer(self._db)
        reader.set_pgresult(self.result)
        return reader.load_rows(0, self.result.ntuples, tuple)


class Sender(Protocol):
    """Whoever takes statements: an exchange."""

    def execute(self, sql: bytes, values: Sequence[Any] = (), *, binary: bool = False) -> Answer:
        """One statement; `binary`: in which form its rows come."""
        ...


class _Asked(NamedTuple):
    """A statement on its way; `name` is that under which it is prepared."""

    sql: bytes
    values: Sequence[bytes | None]
    types: tuple[int, ...]
    binary: bool
    answer: Answer


_Key = tuple[bytes, tuple[int, ...]]
"""A statement and the types of its parameters."""


class _Prepared:
    """The statements that a connection has prepared."""

    def __init__(self) -> None:
        self.names: OrderedDict[_Key, bytes] = OrderedDict()
        self.count = 0


_prepared: WeakKeyDictionary[Connection, _Prepared] = WeakKeyDictionary()


def keep_session(db: Connection, patience: float) -> None:
    """The session belongs to this connection: what is prepared there stays, and so does the time, in seconds, that a
    statement outside of a transaction waits for a lock. psycopg must prepare nothing itself then
    (`prepare_threshold`): it deallocates everything when something is rolled back."""
    _prepared[db] = _Prepared()
    db.execute(b"SELECT set_config('lock_timeout', %s, false)", (f"{int(patience * 1000)}ms",))


class Exchange:
    """Statements that are sent together, when the block of `exchange` ends."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._asked: list[_Asked] = []

    def execute(self, sql: bytes, values: Sequence[Any] = (), *, binary: bool = False) -> Answer:
        """One statement; `binary`: in which form its rows come."""
        answer = Answer(self._db)
        given = [_dumped(value) for value in values]
        types = tuple(kind for kind, _ in given)
        sql = _numbered(sql) if values else sql
        self._asked.append(_Asked(sql, [value for _, value in given], types, binary, answer))
        return answer

    def send(self) -> None:
        """Send all and take the answers. Raises the error of the first statement that failed: those behind it were
        skipped, and if no transaction was begun, all of them are undone."""
        if self._asked:
            with self._db.lock:
                self._db.wait(self._talk())

    def _talk(self) -> Generator[Wait, Ready | int, None]:
        pgconn = self._db.pgconn
        if pgconn.status != pq.ConnStatus.OK:
            raise errors.OperationalError("the connection is closed")
        pgconn.enter_pipeline_mode()
        try:
            expected = [self._queue(pgconn, asked) for asked in self._asked]
            spare = self._spare(pgconn)
            pgconn.pipeline_sync()
            results = yield from _results(pgconn)
        except BaseException:
            pgconn.finish()  # nobody knows what is still under way on it
            raise
        pgconn.exit_pipeline_mode()
        try:
            self._take(expected, results)
        except BaseException:
            self._keep(spare)  # what stands behind a statement that failed was skipped
            raise

    def _queue(self, pgconn: pq.abc.PGconn, asked: _Asked) -> _Key | None:
        """Queue one statement; gives the key of one that is prepared with it."""
        sql, values, types, binary, _ = asked
        formats, form = [int(kind == _BYTES) for kind in types], int(binary)
        kept = _prepared.get(self._db)
        if kept is None:
            pgconn.send_query_params(sql, values, types, formats, form)
            return None
        name, key = kept.names.get((sql, types)), None
        if name is None:
            key = (sql, types)
            kept.count += 1
            name = b"holdfast_%d" % kept.count
            kept.names[key] = name
            pgconn.send_prepare(name, sql, types)
        else:
            kept.names.move_to_end((sql, types))
        pgconn.send_query_prepared(name, values, formats, form)
        return key

    def _take(self, expected: Sequence[_Key | None], results: Iterator[pq.abc.PGresult]) -> None:
        failed: pq.abc.PGresult | None = None
        for asked, prepares in zip(self._asked, expected, strict=True):
            if prepares is not None:
                result = next(results)
                if result.status not in _ORDINARY:
                    failed = failed or result
                    _prepared[self._db].names.pop(prepares, None)
            asked.answer.result = result = next(results)
            if result.status not in _ORDINARY:
                asked.answer.result = None
                failed = failed or result
        if failed is not None:
            raise errors.error_from_result(failed, self._db.info.encoding)

    def _spare(self, pgconn: pq.abc.PGconn) -> list[tuple[_Key, bytes]]:
        """Let go, at the end of this exchange, of what is prepared beyond measure and has not been used for longest."""
        kept, found = _prepared.get(self._db), list[tuple[_Key, bytes]]()
        while kept is not None and len(kept.names) > max(MOST_PREPARED, len(self._asked)):
            found.append(kept.names.popitem(last=False))
            pgconn.send_query_params(b"DEALLOCATE " + found[-1][1], None)
        return found

    def _keep(self, spare: Sequence[tuple[_Key, bytes]]) -> None:
        """Keep what could not be let go."""
        for key, name in reversed(spare):
            _prepared[self._db].names[key] = name
            _prepared[self._db].names.move_to_end(key, last=False)


def _results(pgconn: pq.abc.PGconn) -> Generator[Wait, Ready | int, Iterator[pq.abc.PGresult]]:
    """Send what is queued and take everything up to the end of the pipeline."""
    while pgconn.flush():
        if (yield Wait.RW) & Ready.R:
            pgconn.consume_input()
    found: list[pq.abc.PGresult] = []
    while True:
        while pgconn.is_busy():
            yield Wait.R
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            continue  # the end of one statement
        if result.status == ExecStatus.PIPELINE_SYNC:
            return iter(found)
        if pgconn.status != pq.ConnStatus.OK:
            raise errors.error_from_result(result)
        found.append(result)


@contextmanager
def exchange(db: Connection) -> Iterator[Exchange]:
    """Statements of the block go in one exchange at its end. If the block raises, nothing is sent."""
    one = Exchange(db)
    yield one
    one.send()


def _dumped(value: Any) -> tuple[int, bytes | None]:
    """Type and bytes of a parameter: a text, a number, bytes, None, or a list of texts or numbers."""
    if isinstance(value, str):
        return _TEXT, _encoded(value)
    if value is None:
        return _TEXT, None
    if isinstance(value, int):
        return _INT if -(2**31) <= value < 2**31 else _BIGINT, b"%d" % value
    if isinstance(value, bytes):
        return _BYTES, value
    return _TEXT, _encoded("{" + ",".join(map(_member, value)) + "}")


def _encoded(text: str) -> bytes:
    """libpq takes a text to end with the first NUL."""
    if "\0" in text:
        raise errors.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return text.encode()


def _member(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@lru_cache(maxsize=1_024)
def _numbered(sql: bytes) -> bytes:
    """The statement with `$1`, `$2` in place of `%s` and `%b`, and `%` in place of `%%`."""
    number = itertools.count(1)
    return re.sub(b"%[sb%]", lambda found: b"%" if found[0] == b"%%" else b"$%d" % next(number), sql)
