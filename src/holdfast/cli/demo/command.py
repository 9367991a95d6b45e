"""`holdfast demo`: the whole of Holdfast in half a minute."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

from holdfast.cli.demo import forms, inspections
from holdfast.cli.demo.display import Display
from holdfast.cli.demo.proof import Proof
from holdfast.cli.demo.story import Story
from holdfast.cli.demo.world import World
from holdfast.cli.failures import Exit
from holdfast.cli.options import AsJson
from holdfast.cli.serve import require_packages
from holdfast.cli.terminal import Terminal, number
from holdfast.errors import HoldfastError

FEWEST, MOST = 4, 60
FEWEST_ROWS, MOST_ROWS = 60, 200_000


def demo(
    *,
    data: Path | None = None,
    devices: int | None = None,
    rows: int = 1_200,
    keep: Path | None = None,
    as_json: AsJson = False,
) -> int:
    """Run a hub and several devices that go offline, edit the same rows, crash, come back and agree.

    Everything is real: processes, HTTP on the loopback interface, SIGKILL.

    At the end every copy is compared with the hub row by row. Exits with 0 when all are equal.

    Example: holdfast demo --devices 6

    Parameters
    ----------
    data
        A folder with facility.csv, code.csv, inspection.csv and violation.csv: the tables are then those, and every
        inspector is a device. Without it the demo makes forms of a building firm.
    devices
        How many devices, the office among them. 6 without --data, all inspectors with it.
    rows
        How many filled-in forms there are to begin with. Not with --data.
    keep
        A new folder for the databases and logs, which is kept. Otherwise they are removed at the end.
    """
    require_packages()
    terminal = Terminal(as_json=as_json)
    world = chosen_world(data, devices, rows)
    display = Display(terminal)
    facts = f"{number(len(world.devices), 'device')}, one hub, {number(world.rows, 'row')}"
    display.opening(world.title, facts, world.note)
    started = time.monotonic()
    with ended_in_order(), working_folder(keep) as folder, closing(Story(world, folder, display)) as story:
        proof = story.play()
    seconds = time.monotonic() - started
    display.verdict(not proof.differences, seconds)
    if terminal.as_json:
        terminal.document(as_document(world, story, proof, seconds))
    return Exit.FAILURE if proof.differences else Exit.OK


def chosen_world(data: Path | None, devices: int | None, rows: int) -> World:
    """The world for the options. Raises `demo_data`."""
    if devices is not None and not FEWEST <= devices <= MOST:
        raise HoldfastError("demo_data", f"--devices {devices}: the story needs {FEWEST} to {MOST} devices")
    if data is not None:
        if not data.is_dir():
            raise HoldfastError("demo_data", f"{data} is not a folder")
        world = inspections.world(data, devices)
        if len(world.devices) < FEWEST:
            raise HoldfastError("demo_data", f"{data} has {len(world.devices) - 1} inspectors; the story needs 3")
        return world
    if not FEWEST_ROWS <= rows <= MOST_ROWS:
        raise HoldfastError("demo_data", f"--rows {rows}: it must be from {FEWEST_ROWS} to {MOST_ROWS}")
    return forms.world(devices or 6, rows)


def as_document(world: World, story: Story, proof: Proof, seconds: float) -> dict[str, object]:
    """The run for machines."""
    return {
        "equal": not proof.differences,
        "seconds": round(seconds, 1),
        "title": world.title,
        "rows": world.rows,
        "devices": [record.as_document() for record in story.records.values()],
        "proof": {
            "rows_compared": proof.rows,
            "digests_compared": proof.digests,
            "expected": dict(proof.expected),
            "differences": proof.differences,
        },
    }


@contextmanager
def working_folder(keep: Path | None) -> Iterator[Path]:
    """A folder that goes away at the end, or the new one to keep. Raises `demo_data`."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="holdfast-demo-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
        return
    try:
        keep.mkdir(parents=True)
    except OSError as error:
        raise HoldfastError("demo_data", f"--keep {keep}: {error.strerror}; name a new folder") from error
    yield keep


@contextmanager
def ended_in_order() -> Iterator[None]:
    """A termination signal ends the demo like Ctrl-C: processes and folder go away."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
