"""Whether a device file is whole, as SQLite sees it: asked at every opening, answered when there is a reason to doubt.

A program that ends without closing leaves its write-ahead log behind; the last one that closes removes it. So a log
without anybody who has the file open is the mark of a crash.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw

from holdfast.errors import HoldfastError
from holdfast.replica.salvage.salvage import check_finished
from holdfast.replica.sqlite_errors import sqlite_errors

MOST = 20
"""So many problems are named."""


def check_at_open(path: str, *, asked: bool) -> None:
    """Check the file when somebody has `asked` (the whole of it, indexes too), or after a crash (its pages).

    Others may have it open. Raises `file_damaged`; what else is wrong with the file is for whoever opens it to say.
    """
    check_finished(path)
    file, log = Path(path), Path(f"{path}-wal")
    crashed = log.is_file() and log.stat().st_size > 0
    if not (asked or crashed) or not file.is_file() or not file.stat().st_size:
        return
    with sqlite_errors(path):
        db = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            if not asked:
                db.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
            problems = problems_of(db, whole=asked)
        except (apsw.BusyError, apsw.NotADBError, apsw.ReadOnlyError):
            return  # somebody has it open, so nobody has left it; or it is no database
        finally:
            db.close()
    if problems:
        message = f"{path} is damaged: {'; '.join(problems)}. Salvage it: nothing was changed"
        raise HoldfastError("file_damaged", message, file=path, problems=problems)


def problems_of(db: apsw.Connection, *, whole: bool) -> list[str]:
    """What SQLite finds wrong: of the `whole` file with its indexes, or of its pages."""
    try:
        rows: list[Any] = db.execute(f"PRAGMA {'integrity_check' if whole else 'quick_check'}({MOST})").fetchall()
    except apsw.CorruptError as error:
        return [str(error)]
    return [str(text) for (text,) in rows if text != "ok"]
