"""The total of each space (`spec/merge.md`, section 7) on a device, kept as confirmed rows change.

SQLite tells of every row that changes (its preupdate hook), whoever changes it in a transaction of the engine; so no
part of the engine has to think of totals. A space whose total is not known has none: it is counted when the space
has arrived, in a small file, and by each comparison with the hub.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import apsw

from holdfast.kernel import digest

FOLLOWS = hasattr(apsw.Connection, "preupdate_hook")
"""Whether this SQLite tells of rows that change; it is so in the wheels of APSW. Else nothing is kept, and scheduled
comparisons count."""
ROWS = frozenset({"holdfast_row", "holdfast_unseen"})
_NAME, _KEY, _SPACE, _LIFE, _STAMPS = range(5)
"""The first columns of both tables; the name of a table is a number in `holdfast_row`."""


@contextmanager
def keeping(db: apsw.Connection) -> Iterator[None]:
    """Inside, in a transaction of the engine, totals that are known follow the rows. What a savepoint of it undoes must
    not touch confirmed rows.
    """
    known = {space for (space,) in db.execute("SELECT id FROM holdfast_space WHERE total IS NOT NULL")}
    if not FOLLOWS and known:
        db.execute("UPDATE holdfast_space SET total = NULL")  # nobody would move them on
    if not (known and FOLLOWS):
        yield
        return
    changes: list[tuple[str, Any, Any]] = []

    def changed(update: apsw.PreUpdate) -> None:
        if update.table_name in ROWS:
            changes.append((update.table_name, update.old, update.new))

    db.preupdate_hook(changed)
    try:
        yield
    finally:
        db.preupdate_hook(None)
    if changes:
        _move(db, known, changes)


def _move(db: apsw.Connection, known: set[Any], changes: list[tuple[str, Any, Any]]) -> None:
    names: dict[Any, str] = dict(db.execute("SELECT id, name FROM holdfast_table"))
    key: bytes = db.execute("SELECT hub FROM holdfast_state").get.encode()
    moved: dict[Any, int] = {}
    for table, old, new in changes:
        for row, count in ((old, digest.sub), (new, digest.add)):
            if row is not None and row[_LIFE] % 2 and row[_SPACE] in known:
                name = names[row[_NAME]] if table == "holdfast_row" else row[_NAME]
                leaf = digest.leaf(key, name, row[_KEY], row[_LIFE], row[_STAMPS])
                moved[row[_SPACE]] = count(moved.get(row[_SPACE], 0), leaf)
    for space, change in moved.items():
        total: str | None = db.execute("SELECT total FROM holdfast_space WHERE id = ?", (space,)).get
        if total is not None and change:
            said = f"{digest.add(int(total, 16), change):032x}"
            db.execute("UPDATE holdfast_space SET total = ? WHERE id = ?", (said, space))


def save(db: apsw.Connection, totals: Mapping[str, int]) -> None:
    """These are the totals of the rows that are here."""
    if not FOLLOWS:
        return
    sql = "UPDATE holdfast_space SET total = ? WHERE name = ? AND ready AND NOT lost"
    db.executemany(sql, [(f"{total:032x}", name) for name, total in totals.items()])


def weigh(db: apsw.Connection, said: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Spaces of which the hub says another total than this file has, and that were not doubted before; and those that
    were doubted and are right."""
    sql = "SELECT name, total, doubt FROM holdfast_space WHERE total IS NOT NULL"
    found: list[Any] = db.execute(sql).fetchall() if said else []
    wrong = [name for name, total, doubt in found if name in said and said[name] != total and not doubt]
    return wrong, [name for name, total, doubt in found if said.get(name) == total and doubt]


def doubt(db: apsw.Connection, names: list[str], degree: int) -> None:
    """How much these spaces are doubted: 0 not, 1 they are to be compared, 2 they were."""
    db.executemany("UPDATE holdfast_space SET doubt = ? WHERE name = ?", [(degree, name) for name in names])
