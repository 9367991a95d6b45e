"""What the triggers have captured, read back: cut into transactions, with the rows that REPLACE removed made plain."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple

import apsw

from holdfast.replica.confirmed import RowName
from holdfast.replica.tables import UserTables, quoted, text_or_bytes


class Captured(NamedTuple):
    """One change as SQLite saw it. `old` and `new` by slot, in SQL form; in an update a slot with both None did not
    change.
    """

    op: int
    kind: str
    name: RowName
    hlc: int
    old: tuple[Any, ...]
    new: tuple[Any, ...]


class LocalTransaction(NamedTuple):
    """The changes of one `with replica.transaction()` (`marked`), or of the programs that wrote between two of them."""

    label: str
    changes: list[Captured]
    mark: int | None = None
    after: Sequence[int] = ()

    @property
    def marked(self) -> bool:
        """Whether it is one `with replica.transaction()`."""
        return self.mark is not None


def read_captured(db: apsw.Connection) -> Generator[Captured, None, None]:
    """Everything captured, in order, streamed."""
    return _read(db, "ORDER BY op")


def read_first_touched(db: apsw.Connection) -> Generator[Captured, None, None]:
    """What was captured of rows that the hub has confirmed and that have no base yet: row by row, in order within each
    row, streamed; the order is ready before the first is given, so bases may be written meanwhile.
    """
    return _read(
        db,
        """WHERE EXISTS (SELECT 1 FROM holdfast_row r WHERE r.tbl = c.tbl AND r.key = c.key)
           AND NOT EXISTS (SELECT 1 FROM holdfast_base b WHERE b.tbl = c.tbl AND b.key = c.key)
           ORDER BY +tbl, key, op""",
    )


def read_captured_of(db: apsw.Connection, name: RowName) -> list[Captured]:
    """Everything captured of one row, in order."""
    return list(_read(db, "WHERE tbl = ? AND key = ? ORDER BY op", name))


def _read(db: apsw.Connection, rest: str, values: Sequence[Any] = ()) -> Generator[Captured, None, None]:
    for op, tbl, kind, key, hlc, _version, *cells in db.execute(f"SELECT c.* FROM holdfast_capture c {rest}", values):
        yield Captured(op, kind, (tbl, key), hlc, tuple(cells[::2]), tuple(cells[1::2]))


def local_transactions(db: apsw.Connection, changes: Iterator[Captured]) -> Iterator[LocalTransaction]:
    """Cut the changes at the marks. Changes between two marks were made by other programs: one transaction, a
    superset of theirs; sealing cuts it only where no request could carry it (decision record 7).
    """
    sql = "SELECT first, last, label, mark, after FROM holdfast_mark ORDER BY mark"
    found: list[Any] = db.execute(sql).fetchall()
    marks = iter(found)
    mark = next(marks, None)
    current = LocalTransaction("", [])
    inside = False
    for change in changes:
        while mark is not None and change.op > mark[1]:
            if inside:
                yield current
                current, inside = LocalTransaction("", []), False
            mark = next(marks, None)
        if mark is not None and change.op >= mark[0] and not inside:
            if current.changes:
                yield current
            current, inside = LocalTransaction(mark[2], [], mark[3], json.loads(mark[4]) if mark[4] else ()), True
        current.changes.append(change)
    if current.changes:
        yield current


def without_suspects(db: apsw.Connection, tables: UserTables, transaction: LocalTransaction) -> LocalTransaction:
    """Decide for each row that REPLACE may have removed whether it did.

    A suspect was removed if the next thing that was captured of its row is an insert, or if nothing was and the row
    is gone. It becomes a delete, except before an insert of the same row, which then reads as an overwriting of the
    row.
    """
    if not any(change.kind == "suspect" for change in transaction.changes):
        return transaction
    following: dict[RowName, str] = {}
    result: list[Captured] = []
    for change in reversed(transaction.changes):
        if change.kind != "suspect":
            result.append(change)
        elif change.name not in following and _vanished(db, tables, change):
            result.append(change._replace(kind="delete"))
        following[change.name] = change.kind
    result.reverse()
    return transaction._replace(changes=result)


def _vanished(db: apsw.Connection, tables: UserTables, suspect: Captured) -> bool:
    """Whether a suspect that its own transaction does not mention again was removed."""
    tbl, key = suspect.name
    sql = "SELECT kind FROM holdfast_capture WHERE op > ? AND tbl = ? AND key = ? ORDER BY op LIMIT 1"
    later = db.execute(sql, (suspect.op, tbl, key)).get
    if later is not None:
        return bool(later == "insert")
    return tables.by_number[tbl].read(db, key) is None


def make_readable(db: apsw.Connection, tables: UserTables) -> set[int]:
    """Text that is not UTF-8 becomes a BLOB of the same bytes in what was captured.

    SQLite takes such text from any program, but nobody can read it as text. As a BLOB in a text column it is refused
    like every other value of a wrong type. A row whose key is such text is deleted; its captured key is made readable.
    Gives the numbers of the changes with such keys.
    """
    columns = [str(name) for _, name, *_ in db.execute("PRAGMA table_info(holdfast_capture)")]
    changes: list[Any] = db.execute("SELECT op, tbl FROM holdfast_capture").fetchall()
    found = set()
    for op, tbl in changes:
        for column in _unreadable(db, op, columns):
            cell = quoted(column)
            if column != "key":
                db.execute(f"UPDATE holdfast_capture SET {cell} = CAST({cell} AS BLOB) WHERE op = ?", (op,))
                continue
            found.add(op)
            user = tables.by_number[tbl]
            own = "SELECT key FROM holdfast_capture WHERE op = ?"
            db.execute(f"DELETE FROM {quoted(user.table.name)} WHERE {user.odd_key} = ({own})", (op,))
            raw: bytes = db.execute("SELECT CAST(key AS BLOB) FROM holdfast_capture WHERE op = ?", (op,)).get
            db.execute("UPDATE holdfast_capture SET key = ? WHERE op = ?", (raw.decode("utf-8", "replace"), op))
    return found


def _unreadable(db: apsw.Connection, op: int, columns: Sequence[str]) -> list[str]:
    """The columns of a captured change that hold text which is not UTF-8."""
    cells = ", ".join(f"CASE typeof({quoted(c)}) WHEN 'text' THEN CAST({quoted(c)} AS BLOB) END" for c in columns)
    found = []
    for column, raw in zip(
        columns, db.execute(f"SELECT {cells} FROM holdfast_capture WHERE op = ?", (op,)).get, strict=True
    ):
        if isinstance(text_or_bytes(raw), bytes):
            found.append(column)
    return found
