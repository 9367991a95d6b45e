"""Changes that no sync had seen: a transaction of which some cannot be read, or were altered, is not half sent.

What the library wrote stands twice in the file, as captured and as the copy with which it can be undone. So a change
that cannot be read in the one is taken from the other, and one that differs has been altered by the damage.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import apsw

_COPY = """SELECT d.op, d.tbl, d.kind, d.key, d.hlc, d.version{cells}
           FROM holdfast_done d JOIN holdfast_step s USING (step) WHERE s.mark = ? AND d.op BETWEEN ? AND ?"""


class Mended(NamedTuple):
    """`lost` says in words what was taken out because it is not whole. Of the transactions with the marks `unsure` the
    file says two things: one of the two was altered.
    """

    lost: list[str]
    unsure: list[int]


def mend_captured(db: apsw.Connection) -> Mended:
    """Complete what was captured from the copies, and take out what is not whole."""
    here: list[Any] = db.execute("PRAGMA table_info(holdfast_capture)").fetchall()
    cells = "".join(f", d.{name}" for _, name, *_ in here[6:])
    marks: list[Any] = db.execute("SELECT mark, first, last, label FROM holdfast_mark ORDER BY mark").fetchall()
    mended = Mended([], [])
    for mark, first, last, label in marks:
        sql = "SELECT * FROM holdfast_capture WHERE op BETWEEN ? AND ?"
        captured = {row[0]: row for row in db.execute(sql, (first, last))}
        copies = {row[0]: row for row in db.execute(_COPY.format(cells=cells), (mark, first, last))}
        for op, copy in copies.items():
            if op not in captured:
                captured[op] = copy
                db.execute(f"INSERT INTO holdfast_capture VALUES ({', '.join('?' * len(copy))})", copy)
        if len(captured) < last - first + 1:
            left = "; ".join(
                f"{row[2]} {row[3]}: {[value for value in row[6:] if value is not None]}" for row in captured.values()
            )
            named = f"a transaction{f' {label!r}' if label else ''} that no sync had seen"
            mended.lost.append(f"{named}: not all of its changes can be read; left of it: {left}")
            db.execute("DELETE FROM holdfast_capture WHERE op BETWEEN ? AND ?", (first, last))
            db.execute("DELETE FROM holdfast_mark WHERE mark = ?", (mark,))
        elif any(captured[op] != copy for op, copy in copies.items() if "suspect" not in (captured[op][2], copy[2])):
            mended.unsure.append(mark)
    return mended
