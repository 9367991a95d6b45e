"""Statements that wait to be sent, and how several of them go as one: each message costs both sides time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from holdfast.stores.postgres.exchange import Sender
from holdfast.stores.postgres.queries import QUERIES

SAVEPOINT, RELEASE = b"SAVEPOINT holdfast_part", b"RELEASE SAVEPOINT holdfast_part"


class Statement(NamedTuple):
    """SQL and its parameters."""

    sql: bytes
    values: Sequence[Any] = ()


class Together:
    """Queries by name that become one statement. They read nothing that another one of them writes: PostgreSQL runs
    the parts of a statement on one snapshot, in an order that it does not promise.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._values: list[Any] = []

    def add(self, name: str, *values: Any) -> None:
        """One more query that writes."""
        self._names.append(name)
        self._values += values

    def clashes(self, other: Together) -> bool:
        """Whether both hold a query of one name: those write the same tables, one after the other."""
        return not set(self._names).isdisjoint(other._names)

    def join(self, other: Together) -> None:
        """Take in what another one holds."""
        self._names += other._names
        self._values += other._values

    def statement(self, last: str = "", *values: Any) -> Statement:
        """All of them; `last` is a query that only reads, such as one that calls a function."""
        return Statement(_joined((*self._names, last)), [*self._values, *values])

    def __len__(self) -> int:
        return len(self._names)


@lru_cache(maxsize=128)
def _joined(names: Sequence[str]) -> bytes:
    *written, last = names
    if not written:
        return QUERIES[last]
    if not last and len(written) == 1:
        return QUERIES[written[0]]
    parts = (b"\n%s AS (%s)" % (name.encode(), QUERIES[name]) for name in written)
    return b"WITH" + b",".join(parts) + b"\n" + (QUERIES[last] if last else b"SELECT")


class Waiting:
    """What is sent with the next exchange, at the latest with the commit."""

    def __init__(self) -> None:
        self._statements: list[Statement | Together] = []

    def __bool__(self) -> bool:
        return bool(self._statements)

    @property
    def writes(self) -> bool:
        """Whether there is more than savepoints."""
        return bool(self._without_savepoints())

    def _without_savepoints(self) -> list[Statement | Together]:
        return [one for one in self._statements if isinstance(one, Together) or one.sql not in (SAVEPOINT, RELEASE)]

    def add(self, *statements: Statement | Together) -> None:
        """Behind what waits already."""
        self._statements += statements

    def join(self, name: str, *values: Any) -> None:
        """A query that reads nothing of what the last one writes, with that one if it can be."""
        if not (self._statements and isinstance(self._statements[-1], Together)):
            self._statements.append(Together())
        together = self._statements[-1]
        assert isinstance(together, Together)
        together.add(name, *values)

    def savepoint(self) -> Statement:
        """Begin a part that may be undone alone."""
        savepoint = Statement(SAVEPOINT, list[Any]())  # like no other one
        self._statements.append(savepoint)
        return savepoint

    def release(self, savepoint: Statement) -> None:
        """The part is kept."""
        if self._statements and self._statements[-1] is savepoint:
            self._statements.pop()
        else:
            self._statements.append(Statement(RELEASE))

    def forget_since(self, savepoint: Statement) -> bool:
        """Forget the part; whether that undoes all of it. If not, some of it was sent: nothing waits now."""
        places = [place for place, statement in enumerate(self._statements) if statement is savepoint]
        del self._statements[places[0] if places else 0 :]
        return bool(places)

    def send(self, db: Sender) -> None:
        """Send all, in the pipeline of the caller."""
        statements, self._statements = self._statements, []
        for one in statements:
            sql, values = one.statement() if isinstance(one, Together) else one
            db.execute(sql, values)

    def send_last(self, db: Sender, last: Together, *news: Any) -> None:
        """Send all, with `last` joined to it and, if there is `news`, its announcement: the commit follows. No part can
        be undone alone any more, so savepoints are left out."""
        statements = self._without_savepoints()
        while statements and isinstance(together := statements[-1], Together) and not together.clashes(last):
            statements.pop()
            together.join(last)
            last = together
        self._statements = statements
        self.send(db)
        if last or news:
            sql, values = last.statement("announce", *news) if news else last.statement()
            db.execute(sql, values)
