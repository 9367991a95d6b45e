"""Editing traces replayed through the public API: one writer, and two who write at once.

The files are those of josephg/editing-traces, in `../shared/data/traces` or where HOLDFAST_SHARED points. A machine
without them replays traces of the same shape that are made here.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import holdfast as hf

SHARED = Path(os.environ.get("HOLDFAST_SHARED", Path(__file__).resolve().parents[2] / "shared"))
Patch = tuple[int, int, str]
"""(place, code points deleted there, text inserted there)."""


class Note(hf.Table, space="notes"):
    """One text."""

    id: str
    body: hf.Text


SCHEMA = hf.Schema(Note, version=1)
WRITER = hf.Identity("writer", spaces={"notes": "rw"})


class Sequential(NamedTuple):
    """Edits of one writer, and the text that they make."""

    name: str
    patches: list[Patch]
    text: str


class Step(NamedTuple):
    """Edits of one of two writers; `seen` is the last step of the other one that he had seen, -1 for none."""

    writer: int
    seen: int
    patches: list[Patch]


class Concurrent(NamedTuple):
    """Steps of two writers in an order in which they can have happened, and the text that they make."""

    name: str
    steps: list[Step]
    text: str


def sequential(name: str = "automerge-paper") -> Sequential:
    """A trace of one writer."""
    path = SHARED / "data" / "traces" / f"{name}.json.gz"
    if not path.exists():
        return made_sequential()
    form = json.loads(gzip.decompress(path.read_bytes()))
    return Sequential(name, [tuple(p) for t in form["txns"] for p in t["patches"]], form["endContent"])


def made_sequential(count: int = 20_000) -> Sequential:
    """Somebody who types words, goes back and corrects."""
    rng = random.Random(1)
    text, patches, place = "", [], 0
    for _ in range(count):
        kind = rng.random()
        if kind < 0.05:
            place = rng.randint(0, len(text))
        removed = min(rng.randint(1, 3), len(text) - place) if kind > 0.85 else 0
        typed = "" if removed else rng.choice("abcdefgh é😀 ")
        patches.append((place, removed, typed))
        text = text[:place] + typed + text[place + removed :]
        place += len(typed)
    return Sequential("made here", patches, text)


def concurrent(name: str = "friendsforever") -> Concurrent:
    """A trace of two writers; where there is none, the first trace cut in two."""
    path = SHARED / "data" / "traces" / f"{name}.json.gz"
    if not path.exists():
        return made_concurrent()
    form = json.loads(gzip.decompress(path.read_bytes()))
    known: list[list[int]] = []
    steps: list[Step] = []
    for number, entry in enumerate(form["txns"]):
        writer, seen = entry["agent"], [-1, -1]
        for parent in entry["parents"]:
            seen = [max(a, b) for a, b in zip(seen, known[parent], strict=True)]
        steps.append(Step(writer, seen[1 - writer], [tuple(p) for p in entry["patches"]]))
        seen[writer] = number
        known.append(seen)
    return Concurrent(name, steps, form["endContent"])


def made_concurrent(count: int = 2_000) -> Concurrent:
    """Two who type, each at the end of what is his, and hear of each other every third turn of seven letters."""
    steps: list[Step] = []
    heard, typed, latest = [-1, -1], ["", ""], [-1, -1]
    for number in range(count):
        writer = number // 7 % 2
        if number % 21 == 0:
            heard[writer] = latest[1 - writer]
        others = sum(1 for step in steps[: heard[1] + 1] if step.writer == 0) if writer else 0
        steps.append(Step(writer, heard[writer], [(others + len(typed[writer]), 0, "ab"[writer])]))
        typed[writer] += "ab"[writer]
        latest[writer] = number
    return Concurrent("made here", steps, typed[0] + typed[1])


def write(device: hf.Replica, patches: Sequence[Patch]) -> None:
    """Make the edits on a device, in one transaction."""
    with device.transaction():
        edit(device.document("note", "1", "body"), patches)


def edit(body: Any, patches: Sequence[Patch]) -> None:
    """Make the edits in an open document."""
    for place, removed, typed in patches:
        if removed:
            del body[place : place + removed]
        if typed:
            body.insert(place, typed)


def shown(device: hf.Replica) -> str:
    """The text as SQL shows it."""
    return str(device.execute("SELECT body FROM note WHERE id = '1'")[0][0])


def replay(trace: Concurrent, devices: tuple[hf.Replica, hf.Replica], commit_every: int = 500) -> None:
    """Two devices without a network write the steps of two writers, and pass each other what the writers had seen.

    Both sync afterwards. A commit on both devices after so many turns.
    """
    devices[0].execute("INSERT INTO note (id) VALUES ('1')")
    for device in devices:
        device.sync()
    made: tuple[dict[int, bytes], dict[int, bytes]] = ({}, {})
    waiting = list(turns(trace))
    for start in range(0, len(waiting), commit_every):
        with devices[0].transaction(), devices[1].transaction():
            bodies = [device.document("note", "1", "body") for device in devices]
            for last, writer, seen, patches in waiting[start : start + commit_every]:
                body, others = bodies[writer], made[1 - writer]
                for step in sorted(step for step in others if step <= seen):
                    body.apply_update(others.pop(step))
                before = body.get_state()
                edit(body, patches)
                made[writer][last] = body.get_update(before)
    for device in (*devices, *devices):
        device.sync()


def turns(trace: Concurrent) -> Iterator[tuple[int, int, int, list[Patch]]]:
    """(last step, writer, seen, edits): steps of one writer in a row between which nobody had to see anything."""
    wanted = {step.seen for step in trace.steps}
    last, patches, current = -1, list[Patch](), (-1, -1)
    for number, step in enumerate(trace.steps):
        if patches and ((step.writer, step.seen) != current or last in wanted):
            yield last, current[0], current[1], patches
            patches = []
        last, current = number, (step.writer, step.seen)
        patches.extend(step.patches)
    yield last, current[0], current[1], patches


def in_order(devices: tuple[hf.Replica, hf.Replica]) -> tuple[hf.Replica, hf.Replica]:
    """The devices in the order in which the library puts what both insert at one place: that of their numbers."""
    numbers = []
    for device in devices:
        with device.transaction():
            device.execute("INSERT INTO note (id) VALUES ('order')")
            numbers.append(device.document("note", "order", "body").doc.client_id)
            device.execute("DELETE FROM note WHERE id = 'order'")
    return devices if numbers[0] < numbers[1] else (devices[1], devices[0])
