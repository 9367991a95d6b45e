"""What a damaged device file still says, as rows of an SQLite database in memory that has the same engine tables.

Each row is put there by itself: what breaks a type or a CHECK cannot be what was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from holdfast.replica.file import LOST_TABLE
from holdfast.replica.salvage.pages import RawFile
from holdfast.replica.salvage.records import INDEX_BRANCH, INDEX_LEAF, TABLE_LEAF, Found, rows
from holdfast.schema.emit.sqlite_capture import capture_table, done_tables

QUEUE = ("holdfast_transaction", "holdfast_operation", "holdfast_capture", "holdfast_mark")
"""Where unsent work stands: what is not readable there is told."""
WANTED = (
    *QUEUE, "holdfast_state", "holdfast_table", "holdfast_own", "holdfast_use", "holdfast_after",
    "holdfast_subscription", "holdfast_step", "holdfast_done",
    "holdfast_lost",
)  # fmt: skip
KINDS = frozenset({"insert", "update", "delete", "suspect"})
CELL = re.compile(r"(old|new)_[0-9]+\Z")
_OPERATION = '{"op":"'
_STAMPS = re.compile(r"[0-9a-f,:*-]*\Z")


class Page(NamedTuple):
    """A page that may hold rows. `owner` is the table or index whose tree leads to it, "" when none does."""

    number: int
    content: bytes
    owner: str


class Remains:
    """What was read. `problems` says of the queue, in words, what was not."""

    def __init__(self, path: Path, width: int) -> None:
        self.db = apsw.Connection(":memory:")
        self.problems: list[str] = []
        self.older: set[int] = set()
        """Transactions of which the file has an earlier state only."""
        self._file = RawFile(path)
        try:
            self._read(width)
        finally:
            self._file.close()

    def _read(self, width: int) -> None:
        schema = {name: (root, sql) for name, root, sql in self._schema()}
        self._make_tables({name: sql for name, (_, sql) in schema.items()}, width)
        owners = self._file.owned({name: root for name, (root, _) in schema.items()})
        pages = [Page(n, content, owners.get(n, "")) for n, content in self._file.in_use(owners)]
        # What a tree leads to goes over what none does, and what is of now over what is older.
        pages.sort(key=lambda page: (bool(page.owner), page.number not in self._file.stale))
        for table in WANTED:
            self._take(table, pages)
        if self.db.execute("SELECT EXISTS (SELECT 1 FROM holdfast_capture)").get:
            self._take("holdfast_row", pages)
            self._take("holdfast_base", pages)
        if self._file.cut:
            self.problems.append("the end of the write-ahead log cannot be read: the last transaction may be missing")
        if self._file.stale:
            self.problems.append(f"{len(self._file.stale)} pages of the write-ahead log cannot be read")

    def _schema(self) -> Iterator[tuple[str, int, str]]:
        """(name, root page, SQL) of the tables and indexes, as far as page 1 and those below it can be read."""
        for number in sorted(self._file.owned({"sqlite_schema": 1})):
            page = self._file.page(number) or b""
            for row in self._rows(page, 100 if number == 1 else 0):
                if row is None or len(row.values) != 5 or row.values[0] not in ("table", "index"):
                    continue
                _, name, _, root, sql = row.values
                if isinstance(name, str) and isinstance(root, int) and isinstance(sql, str | None):
                    yield name, root, sql or ""

    def _make_tables(self, known: dict[str, str], width: int) -> None:
        """The engine tables with the columns that they have in the file."""
        self.db.execute(resources.files("holdfast.replica").joinpath("file.sql").read_text("utf-8"))
        for statement in (LOST_TABLE, capture_table(width), *done_tables(width)):
            self.db.execute(statement)
        for table in (*WANTED, "holdfast_row", "holdfast_base"):
            columns = self._columns(known.get(table, ""), table)
            # A damaged text names what nobody knows: that of this release does.
            if (
                table in known
                and columns
                and all(name in self._columns("", table) or CELL.match(name) for name in columns)
            ):
                self.db.execute(f"DROP TABLE {table}; {known[table]}")

    def _columns(self, sql: str, table: str) -> list[str]:
        """The columns that a statement would give a table; without one those that it has. None for one that fails."""
        try:
            with apsw.Connection(":memory:") as db:
                if sql:
                    db.execute(sql)
                found: list[Any] = (db if sql else self.db).execute(f"PRAGMA table_info({table})").fetchall()
        except apsw.Error:
            return []
        return [name for _, name, *_ in found]

    def _rows(self, page: bytes, start: int) -> Iterator[Found | None]:
        return rows(page, start, self._file.usable, self._file.page)

    def _take(self, table: str, pages: Sequence[Page]) -> None:
        columns: list[Any] = self.db.execute(f"PRAGMA table_info({table})").fetchall()
        has_rowid = "WITHOUT ROWID" not in str(
            self.db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).get
        )
        names = [name for _, name, *_ in columns]
        wanted = (TABLE_LEAF,) if has_rowid else (INDEX_LEAF, INDEX_BRANCH)
        kinds = (*wanted, 5) if has_rowid else wanted
        lost_pages = lost_rows = 0
        for page in pages:
            if page.owner not in (table, ""):
                continue
            start = 100 if page.number == 1 else 0
            if page.owner and page.content[start] not in kinds:
                lost_pages += 1
            if page.content[start] not in wanted:
                continue
            for row in self._rows(page.content, start):
                if row is not None and self._is_of(table, row, len(names), sure=bool(page.owner)):
                    lost_rows += not self._put(table, names, row, page) and bool(page.owner)
                elif page.owner:
                    lost_rows += 1
        if table in QUEUE and (lost_pages or lost_rows):
            self.problems.append(f"{table}: {lost_rows} rows and {lost_pages} pages cannot be read")

    def _is_of(self, table: str, row: Found, width: int, *, sure: bool) -> bool:
        """Whether a row looks like one of the table; of a page that no tree leads to, only what nothing else can be."""
        values = row.values
        if not 2 <= len(values) <= width and table != "holdfast_own":
            return False
        if table == "holdfast_operation":
            return len(values) >= 5 and isinstance(values[4], str) and values[4].startswith(_OPERATION)
        if table == "holdfast_capture":
            return len(values) == width and values[2] in KINDS
        if table == "holdfast_row":
            return len(values) >= 5 and isinstance(values[4], str) and bool(_STAMPS.match(values[4]))
        if table == "holdfast_transaction":
            return len(values) >= 10 and isinstance(values[9], int)
        if table == "holdfast_base":
            image = values[-1]
            return len(values) == width and (image is None or (isinstance(image, bytes) and image[:1] == b"["))
        if table == "holdfast_state":
            return row.rowid == 1 and len(values) >= 12
        return sure

    def _put(self, table: str, names: Sequence[str], row: Found, page: Page) -> bool:
        """Keep a row; gives whether it fits."""
        values = list(row.values)
        if row.rowid is not None and table != "holdfast_done":
            values[0] = row.rowid
        given = ", ".join(f'"{name}"' for name in names[: len(values)])
        marks = ", ".join("?" * len(values))
        try:
            self.db.execute(f"INSERT OR REPLACE INTO {table} ({given}) VALUES ({marks})", values)
        except apsw.Error:
            return False
        if table == "holdfast_transaction":
            (self.older.add if page.number in self._file.stale else self.older.discard)(values[0])
        return True

    def one(self, sql: str) -> Any:
        """The only value of a query."""
        return self.db.execute(sql).get
