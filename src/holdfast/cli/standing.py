"""How a device stands, drawn for a terminal of any width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from holdfast.cli.terminal import Terminal, ago, listing, moment, number, size
from holdfast.replica.progress import Flow
from holdfast.replica.status import Look, Status
from holdfast.replica.sync_log import LogLine, Running
from holdfast.replica.verified import Verified

ACCESS = {"r": "read", "rw": "read and write", "": "not granted"}
NARROW = 60
STATES = {
    "connecting": "connecting",
    "connected": "connected",
    "offline": "offline",
    "paused": "paused: new credentials are needed",
    "blocked": "blocked: nothing helps but a change of the application or the hub",
    "syncing": "a sync is under way",
}


def headline(db: Path, found: Status) -> tuple[bool, str]:
    """Whether all is well, and how it stands in one sentence."""
    waiting = number(found.pending_count, "transaction")
    if found.refused_count:
        return False, f"{db}: {number(found.refused_count, 'transaction')} refused, {waiting} waiting"
    if found.pending_count:
        return False, f"{db}: {waiting} waiting for the next sync"
    if not found.has_synced:
        return True, f"{db}: nothing written, never synced"
    if not found.in_sync:
        return False, f"{db}: everything written here is on the hub; not everything of the hub is here"
    return True, f"{db}: everything written here is on the hub"


def facts(found: Look, now: int) -> Iterator[tuple[str, str]]:
    """Names and values."""
    status = found.status
    last = moment(status.last_synced_at)
    yield "Device", status.device
    yield "User", status.user or "not known before the first sync"
    if status.clock_jump:
        yield "Clock", f"jumped by {duration(abs(status.clock_jump) / 1000)} against the hub's; corrected"
    yield "Synced", f"{last}, {ago(status.last_synced_at or 0, now)}" if last else "never"
    if status.verified is not None:
        yield "Verified", verified(status.verified, now)
    if status.doubted:
        yield "Doubted", f"the hub counts other rows in {', '.join(status.doubted)}"
    if status.conflict_count:
        yield "Conflicts", f"{number(status.conflict_count)} to look at"
    room = f"{size(found.storage_used)} of {size(found.storage_budget)}"
    tight = [f"{name} {level}" for name, level in status.storage.items() if level != "ok"]
    yield "Storage", ", ".join([room, *tight])
    if found.running is not None:
        yield "Connection", connection(found.running, now)
    if status.download_error:
        yield "Trouble", status.download_error
    if status.upload_error and status.upload_error != status.download_error:
        yield "Held back", status.upload_error


def verified(found: Verified, now: int) -> str:
    """When this copy was compared with the hub last, and what was found."""
    parts = [f"{moment(found.at)}, {ago(found.at, now)}"]
    if found.repaired:
        parts.append(f"{number(found.repaired, 'row')} repaired")
    if found.lost:
        parts.append(f"{number(found.lost, 'row')} lost at the hub")
    return ", ".join(parts)


def connection(running: Running, now: int) -> str:
    """What the process that syncs is doing."""
    text = STATES.get(running.state, running.state)
    if running.state == "connected":
        text = f"{text} ({running.channel})"
    if running.url:
        text = f"{text}, {running.url}"
    if running.retry_at is not None and running.retry_at > now:
        text = f"{text}, again in {duration((running.retry_at - now) / 1000)}"
    return text


def duration(seconds: float) -> str:
    """Seconds for people."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def progress(terminal: Terminal, found: Look) -> Iterator[RenderableType]:
    """A bar for each direction that moves."""
    moving = found.status.progress
    if moving is None:
        return
    for name, flow, what in (("Upload  ", moving.upload, "change"), ("Download", moving.download, "row")):
        if flow.rows or flow.rows_total:
            yield bar(terminal, name, flow, what)


def bar(terminal: Terminal, name: str, flow: Flow, what: str) -> RenderableType:
    """One direction: how far, how much, how long still."""
    width = terminal.out.width
    total = flow.rows_total
    count = f"{number(flow.rows)} of {number(total, what)}" if total else number(flow.rows, what)
    left = f", {duration(flow.seconds_left)} left" if flow.seconds_left else ""
    words = Text(f"{count}, {size(flow.bytes)}{left}", style="dim")
    room = max(8, min(40, width - 14))
    full = room * min(flow.rows, total) // total if total else 0
    drawn = Text.assemble(("━" * full, "green"), ("━" * (room - full), "dim"))
    if not terminal.unicode:
        drawn = Text("#" * full + "-" * (room - full))
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(name, style="bold"), Group(drawn, words))
    return Padding(grid, (0, 0, 0, 2), expand=False)


def queue_table(found: Look, width: int, now: int) -> RenderableType | None:
    """What waits, by class; on a narrow terminal without bytes."""
    if not found.queues:
        return None
    wide = width >= NARROW
    heads = [("Queue", "left"), ("Waits", "right"), *([("Size", "right")] if wide else []), ("Oldest", "left")]
    parked = any(queue.parked for queue in found.queues)
    table = listing([*heads, ("Parked", "right")] if parked else heads)
    for queue in found.queues:
        oldest = ago(queue.oldest, now) if queue.oldest is not None else ""
        bytes_ = [size(queue.size)] if wide else []
        more = [number(queue.parked)] if parked else []
        table.add_row(queue.queue or "(not sealed)", number(queue.transactions), *bytes_, oldest, *more)
    return table


def space_table(found: Status) -> RenderableType | None:
    """The spaces."""
    if not found.spaces:
        return None
    table = listing([("Space", "left"), ("Access", "left"), ("Copy", "left")])
    for name, space in found.spaces.items():
        table.add_row(name, ACCESS[space["access"]], "complete" if space["ready"] else "first load not finished")
    return table


def log_table(lines: list[LogLine], width: int) -> RenderableType | None:
    """The latest rounds, newest first; on a narrow terminal without bytes and trigger."""
    if not lines:
        return None
    wide = width >= NARROW
    heads = [("Round", "left"), ("Why", "left"), ("Up", "right"), ("Down", "right"), ("Sent", "right")]
    heads += [("Received", "right"), ("Took", "right")]
    said = any(line.error or not line.complete for line in lines)
    table = listing([*(heads if wide else [heads[0], *heads[2:4], heads[6]]), *([("Result", "left")] if said else [])])
    for line in lines:
        sent = [size(line.bytes_sent), size(line.bytes_received)] if wide else []
        result = Text(line.error, style="red") if line.error else Text("" if line.complete else "more", style="dim")
        table.add_row(
            (moment(line.began) or "")[11:19],
            *([line.trigger] if wide else []),
            number(line.transactions),
            number(line.rows),
            *sent,
            f"{line.milliseconds} ms" if line.milliseconds < 10_000 else duration(line.milliseconds / 1000),
            *([result] if said else []),
        )
    return table


def drawing(terminal: Terminal, db: Path, found: Look, now: int) -> RenderableType:
    """Everything, for a display that is drawn again and again."""
    width = terminal.out.width
    well, text = headline(db, found.status)
    parts: list[RenderableType] = [terminal.signed(*((terminal.ok, "green") if well else ("!", "yellow")), text)]
    parts.append(terminal.fact_grid(facts(found, now)))
    parts += progress(terminal, found)
    for table in (queue_table(found, width, now), log_table(found.log, width)):
        if table is not None:
            parts += [Text(), Padding(table, (0, 0, 0, 2), expand=False)]
    return Group(*parts)
