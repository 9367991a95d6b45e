"""Whether a hub's file is the one that was closed last, and not a copy that was put in its place.

When a hub closes its file it leaves a note beside it, `FILE-closed`: which file that was, to the moment of its last
change, and the name under which it counted. The next hub takes the note. After a crash there is none, and a file that
was put back from a backup is another one: its time of change cannot be set by any program. Then increments are counted
under a new name, so that those that the backup lacks can come back and none is counted twice.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path


def take_name(path: str) -> str | None:
    """The name of the note, which is gone afterwards; None when there is none, or it is about another file."""
    note = Path(f"{path}-closed")
    try:
        named = json.loads(note.read_text())
        note.unlink()
        known = isinstance(named, dict) and named.get("file") == _file(path)
        return str(named["counts"]) if known else None
    except (OSError, ValueError, KeyError):
        return None


def leave_name(path: str, counts: str) -> None:
    """Leave the note. Where that cannot be done the next hub takes a new name, which is right in any case."""
    with suppress(OSError):
        Path(f"{path}-closed").write_text(json.dumps({"counts": counts, "file": _file(path)}))


def _file(path: str) -> list[int]:
    found = Path(path).stat()
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
