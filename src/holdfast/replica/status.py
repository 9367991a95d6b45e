"""How a device stands: what its file says, and what its sync is doing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from holdfast import one_sqlite
from holdfast.replica.budgets import Level, Storage
from holdfast.replica.file import check, connect, snapshot
from holdfast.replica.progress import Progress
from holdfast.replica.queued import Refused, refused
from holdfast.replica.sqlite_errors import sqlite_errors
from holdfast.replica.sync_log import LogLine, Running, read_log, read_running
from holdfast.replica.usage import in_use, read_kept, size_of
from holdfast.replica.verified import Plan, Verified, read_plan
from holdfast.schema.emit.sqlite_states import UNSETTLED
from holdfast.schema.model import Schema

LOOK_TIMEOUT_MS = 1_000
"""Who only looks waits so long at most, where another program has locked the whole file."""


class Status(NamedTuple):
    """How a replica stands. Counts are of transactions; times in milliseconds since 2020-01-01 UTC.

    `connected`: the loop runs and its last exchange went well, or a `sync()` is under way; `uploading` from when a
    request with transactions goes out until its answer begins, `downloading` while rows come. `pending_count` counts
    sealed transactions and, as one each, the marked ones that no sync has sealed yet; `pending_bytes` are those of the
    sealed ones, `conflict_count` counts the conflicts that wait for a decision and those in which a value of this
    device lost and that nobody has resolved, `parked_count` those among them that are held back until somebody decides.
    `download_error` says what holds up news: the failure of the last exchange. `upload_error` says what holds up what
    waits here: that failure, or the hub's trouble with transactions that are held back; nothing waits: None.
    `in_sync`: nothing waits here, and the last exchange ended whole with every cursor at the hub's head; without a
    connection that is of `last_synced_at`. `spaces` maps space -> {"access", "ready"}. `clock_offset` is what the
    hub's clock is ahead of the device's, in milliseconds; stamps are corrected by it. `clock_jump` is by how much the
    device's clock has moved against the hub's when it last jumped, by more than a minute (0: never). `state` is that
    of the loop: "stopped", "syncing", "connecting", "connected", "offline", "paused" or "blocked". `storage` maps
    "total" and each class to "ok", "warning", "critical" or "full", as last measured. `verified` is the last comparison
    with the hub that came to its end, `verify_due` when the next one is planned, `doubted` are spaces of which the hub
    says another total.
    """

    device: str
    user: str
    connected: bool
    connecting: bool
    uploading: bool
    downloading: bool
    pending_count: int
    refused_count: int
    conflict_count: int
    has_synced: bool
    last_synced_at: int | None
    upload_error: str | None
    download_error: str | None
    progress: Progress | None
    clock_offset: int
    spaces: dict[str, dict[str, Any]]
    pending_bytes: int
    parked_count: int
    in_sync: bool
    state: str
    storage: dict[str, Level]
    clock_jump: int = 0
    verified: Verified | None = None
    verify_due: int | None = None
    doubted: Sequence[str] = ()


class Standing(NamedTuple):
    """What the file alone says, in one snapshot. `operations` and `size` count what is sealed and waits, `captured`
    what no sync has sealed yet; `settled`: every granted space has arrived whole and nothing is staged; `held`: why
    transactions are held back, "" if none is.
    """

    device: str
    user: str
    sealed: int
    captured: int
    size: int
    refused: int
    parked: int
    conflicts: int
    last_synced: int | None
    clock_offset: int
    spaces: dict[str, dict[str, Any]]
    settled: bool
    last_round: LogLine | None
    storage: dict[str, Level]
    storage_used: int
    storage_budget: int
    held: str = ""
    jump: int = 0
    plan: Plan = Plan(None, None, [])

    def upload_error(self, last: str | None) -> str | None:
        """What holds up what waits, where `last` is how the last exchange failed."""
        return (last or self.held or None) if self.pending else None

    @property
    def pending(self) -> int:
        """The transactions that wait."""
        return self.sealed + self.captured


_STATE = f"""
SELECT device, user, last_synced, clock_offset,
    (SELECT count(*) FROM holdfast_mark) + EXISTS (SELECT 1 FROM holdfast_capture
        WHERE op > coalesce((SELECT max(last) FROM holdfast_mark), 0)),
    (SELECT count(*) FROM holdfast_conflict c WHERE {UNSETTLED}),
    EXISTS (SELECT 1 FROM holdfast_stage),
    (SELECT error FROM holdfast_transaction WHERE state IN ('pending', 'parked') AND error <> '' ORDER BY txn LIMIT 1)
FROM holdfast_state"""


def read_standing(db: apsw.Connection, storage: Storage | None = None) -> Standing:
    """How the file stands; `db` is inside a transaction, so that everything is of one moment. `storage` are the
    budgets; without them those that the file remembers.
    """
    device, user, last_synced, offset, captured, conflicts, staged, held = db.execute(_STATE).get
    sql = "SELECT state, count(*), total(size) FROM holdfast_transaction GROUP BY 1"
    counts: dict[str, tuple[int, int]] = {name: (count, int(size)) for name, count, size in db.execute(sql)}
    spaces = {
        name: ({"access": access, "ready": bool(ready)}, ready and not lost)
        for name, access, ready, lost in db.execute(
            "SELECT name, access, ready, lost FROM holdfast_space ORDER BY name"
        )
    }
    settled = not staged and all(whole for space, whole in spaces.values() if space["access"])
    latest = read_log(db.filename, 1)
    kept = read_kept(db)
    budgets = storage or (Storage.from_json(kept.budgets) if kept is not None else Storage())
    used = in_use(db) + size_of(f"{db.filename}-wal")
    levels = {**(kept.levels if kept is not None else {}), "total": budgets.level(used, budgets.total)}
    waiting = [found for name, found in counts.items() if name != "refused"]
    return Standing(
        device,
        user,
        sum(count for count, _ in waiting),
        captured,
        sum(size for _, size in waiting),
        counts.get("refused", (0, 0))[0],
        counts.get("parked", (0, 0))[0],
        conflicts,
        last_synced,
        offset,
        {name: space for name, (space, _) in spaces.items()},
        settled,
        latest[0] if latest else None,
        levels,
        used,
        budgets.total,
        held or "",
        read_jump(db),
        read_plan(db),
    )


def read_jump(db: apsw.Connection) -> int:
    """The last jump of the clock; 0 in a file of an earlier release, which nobody has opened since."""
    known = db.execute("SELECT 1 FROM pragma_table_info('holdfast_state') WHERE name = 'clock_jump'").get
    return int(db.execute("SELECT clock_jump FROM holdfast_state").get) if known else 0


def waiting_operations(db: apsw.Connection) -> int:
    """How many sealed operations the hub has not answered."""
    sql = """SELECT count(*) FROM holdfast_operation
             WHERE txn NOT IN (SELECT txn FROM holdfast_transaction WHERE state = 'refused')"""
    return int(db.execute(sql).get)


class Waiting(NamedTuple):
    """What waits in one class of the upload queue: sealed transactions, their bytes, the time of the oldest, how many
    are parked. The class is empty for what no sync has sealed yet."""

    queue: str
    transactions: int
    size: int
    oldest: int | None
    parked: int


class Look(NamedTuple):
    """What somebody sees who only looks at a file: its standing, what was refused, the latest log lines, what waits by
    class, what the process that syncs says of itself, and the bytes that the file takes and may take."""

    status: Status
    refused: list[Refused]
    log: list[LogLine]
    queues: list[Waiting]
    running: Running | None
    storage_used: int
    storage_budget: int


@contextmanager
def looking(path: str | Path, schema: Schema) -> Iterator[apsw.Connection]:
    """A connection that only reads, to a device file of that schema: it waits for no writer and no sync, changes
    nothing, and seals nothing. Raises what opening a replica raises, and `busy` after a second where another program
    has locked the whole file.
    """
    guarded = one_sqlite.enter(str(path))
    try:
        with sqlite_errors(str(path)):
            db = connect(str(path), read_only=True, busy_ms=LOOK_TIMEOUT_MS)
            try:
                check(db, str(path), schema)
                yield db
            finally:
                db.close()
    finally:
        one_sqlite.leave(guarded)


def look(db: apsw.Connection, *, lines: int) -> Look:
    """How a file stands that `looking` has opened, with so many lines of its log."""
    with snapshot(db):
        standing = read_standing(db)
        found, room = at_rest(standing), (standing.storage_used, standing.storage_budget)
        running = read_running(db.filename)
        if running is not None:
            found = found._replace(
                state=running.state,
                connected=running.state in ("connected", "syncing"),
                connecting=running.state == "connecting",
                uploading=running.uploading,
                downloading=running.downloading,
                upload_error=standing.upload_error(running.upload_error),
                download_error=running.download_error or None,
                progress=with_waiting(running.progress, waiting_operations(db), standing.size),
            )
        return Look(found, refused(db), read_log(db.filename, lines), queues(db, standing), running, *room)


def with_waiting(progress: Progress | None, operations: int, size: int) -> Progress | None:
    """The progress that another process tells, with what waits in the file now."""
    if progress is None:
        return None
    up = progress.upload
    return progress._replace(upload=up._replace(rows_total=up.rows + operations, bytes_total=up.bytes + size))


def queues(db: apsw.Connection, standing: Standing) -> list[Waiting]:
    """What waits, by class."""
    sql = """SELECT queue, count(*), total(size), min(captured), total(state = 'parked') FROM holdfast_transaction
             WHERE state <> 'refused' GROUP BY queue ORDER BY min(txn)"""
    found = [
        Waiting(name, count, int(size), oldest, int(parked)) for name, count, size, oldest, parked in db.execute(sql)
    ]
    return [*found, Waiting("", standing.captured, 0, None, 0)] if standing.captured else found


def at_rest(standing: Standing) -> Status:
    """The status that the file alone gives: of somebody else's replica, or one that never connected."""
    latest = standing.last_round
    error = f"{latest.error}: {latest.message}" if latest is not None and latest.error else None
    whole = standing.settled and (latest is None or latest.complete)
    return Status(
        device=standing.device,
        user=standing.user,
        connected=False,
        connecting=False,
        uploading=False,
        downloading=False,
        pending_count=standing.pending,
        refused_count=standing.refused,
        conflict_count=standing.conflicts,
        has_synced=standing.last_synced is not None,
        last_synced_at=_last_synced(standing),
        upload_error=standing.upload_error(error),
        download_error=error,
        progress=None,
        clock_offset=standing.clock_offset,
        spaces=standing.spaces,
        pending_bytes=standing.size,
        parked_count=standing.parked,
        in_sync=whole and standing.pending == 0 and standing.last_synced is not None,
        state="stopped",
        storage=standing.storage,
        clock_jump=standing.jump,
        verified=standing.plan.last,
        verify_due=standing.plan.due,
        doubted=tuple(standing.plan.doubted),
    )


def _last_synced(standing: Standing) -> int | None:
    """A round that brought nothing is in the log alone: it writes nothing else."""
    latest = standing.last_round
    if standing.last_synced is None or latest is None or not latest.complete:
        return standing.last_synced
    return max(standing.last_synced, latest.began + standing.clock_offset)
