"""A day of decisions and of taking back, killed at each point: `python -m tests.integration.crash.decisions KIND FOLDER
EVERY`. Hub and device die together, are opened again, and go on with what was not done. One line of JSON a death.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import holdfast as hf
from holdfast.edge.local import LocalTransport
from tests.integration.crash.nursery import child, killed, teller, told
from tests.integration.crash.points import Points


class Note(hf.Table, space="s"):
    title: str = ""
    stage: hf.Review[Literal["draft", "sent", "closed"]] = "draft"
    hits: hf.Counter = 0
    story: hf.Text = "once"
    memo: hf.MergeText = "one two"
    config: hf.Json = {"a": 1, "b": {"c": 2}}  # noqa: RUF012 (a declaration)


SCHEMA = hf.Schema(Note)
ANN, BEN, OFFICE = (hf.Identity(user, {"s": "rw"}) for user in ("ann", "ben", "office"))
BEFORE = (0, "once", "one two", {"a": 1, "b": {"c": 7}})
AFTER = (5, "once upon", "one 2 two", {"a": 9, "b": {"c": 7}})


class World(NamedTuple):
    """A hub and Ann's device."""

    server: hf.Server
    ann: hf.Replica

    def conflict(self, column: str) -> hf.Conflict:
        (found,) = [one for one in self.ann.conflicts() if one.column == column]
        return found

    def written(self) -> tuple[Any, ...]:
        hits, story, memo, config = self.ann.execute("select hits, story, memo, config from note where id = 'k'")[0]
        return hits, story, memo, json.loads(config)

    def title(self) -> str:
        return str(self.ann.execute("select title from note where id = 'k'")[0][0])


def serve(folder: Path) -> hf.Server:
    return hf.Server(f"sqlite:///{folder / 'hub.db'}", SCHEMA)


def prepare(folder: Path) -> None:
    """The evening before: Ann and Ben have met in a title, a stage and a member of JSON."""
    with serve(folder) as server:
        devices = [
            hf.Replica(folder / f"{who.user}.db", SCHEMA, transport=LocalTransport(server, who)) for who in (ANN, BEN)
        ]
        ann, ben = devices
        ann.execute("insert into note (id) values ('k')")
        ann.sync(), ben.sync()
        for device, title, stage, value in ((ann, "A", "sent", 7), (ben, "B", "closed", 8)):
            device.execute(
                "update note set title = ?, stage = ?, config = json_set(config, '$.b.c', ?) where id = 'k'",
                (title, stage, value),
            )
        ann.sync(), ben.sync(), ann.sync()
        for found in ann.conflicts():
            if found.column == "config":
                ann.resolve(found, "mine")
        ann.sync(), ben.sync(), ann.sync()
        for device in devices:
            device.close()


def type_draft(world: World) -> None:
    with world.ann.transaction("draft"):
        world.ann.execute(
            """update note set hits = hits + 5, memo = 'one 2 two', config = json_set(config, '$.a', 9)
               where id = 'k'"""
        )
        text = world.ann.document("note", "k", "story")
        text.insert(4, " upon")


def decide_title(world: World) -> None:
    world.ann.resolve(world.conflict("title"), "C")


def title_is_decided(world: World) -> bool:
    done = world.conflict("title").state == "resolved"
    assert (world.title() == "C") == done, "a conflict is decided, and its row does not show it"
    return done


def decide_stage(world: World) -> None:
    waiting = world.server.conflicts(open=True)
    world.server.resolve(waiting[0], "closed", OFFICE)


def stage_is_decided(world: World) -> bool:
    done = world.server.conflicts(open=True) == []
    (shown,) = [one for one in world.server.conflicts() if one.column == "stage"]
    row = world.server.as_of("note", "k", 2**40)
    assert row is not None
    assert (row["stage"] == "closed") == done == (shown.state == "resolved")
    return done


def is_written(wanted: tuple[Any, ...]) -> Callable[[World], bool]:
    def check(world: World) -> bool:
        assert world.written() in (BEFORE, AFTER), "half of a transaction, or of what takes it back"
        return world.written() == wanted

    return check


class Step(NamedTuple):
    """`done` tells from the files whether it has happened, whole; None: it may happen again."""

    name: str
    run: Callable[[World], object]
    done: Callable[[World], bool] | None = None


STEPS = (
    Step("decide", decide_title, title_is_decided),
    Step("draft", type_draft, is_written(AFTER)),
    Step("undo", lambda world: world.ann.undo(), is_written(BEFORE)),
    Step("redo", lambda world: world.ann.redo(), is_written(AFTER)),
    Step("sync", lambda world: world.ann.sync()),
    Step("decide at the hub", decide_stage, stage_is_decided),
    Step("undo what is synced", lambda world: world.ann.undo(), is_written(BEFORE)),
    Step("last sync", lambda world: world.ann.sync()),
)


def live(folder: Path, points: Points | None) -> None:
    """The day, or what is left of it. A step that had returned has happened; one that had not is whole or is not."""
    finished, tell = told(folder), teller(folder)
    if points is not None:
        points.install()
    with serve(folder) as server, hf.Replica(folder / "ann.db", SCHEMA, transport=LocalTransport(server, ANN)) as ann:
        world = World(server, ann)
        if points is not None:
            points.arm()
        for place, step in enumerate(STEPS):
            if step.name in finished:
                last = [one.name for one in STEPS if one.name in finished][-1] == step.name
                assert not last or step.done is None or step.done(world) or is_next_done(world, place), step.name
            elif step.done is None or not step.done(world):
                step.run(world)
            if step.name not in finished:
                tell(step.name)


def is_next_done(world: World, place: int) -> bool:
    """Whether the step after this one had happened when the process died, before it was told."""
    following = STEPS[place + 1] if place + 1 < len(STEPS) else None
    return following is not None and following.done is not None and following.done(world)


def check(folder: Path) -> None:
    """Everything once, and the same at the hub and on both devices."""
    with serve(folder) as server:
        shown = []
        for who in (ANN, BEN):
            with hf.Replica(folder / f"{who.user}.db", SCHEMA, transport=LocalTransport(server, who)) as device:
                for _ in range(3):
                    device.sync()
                world = World(server, device)
                decided = sorted((one.column, one.state, str(one.result)) for one in device.conflicts())
                shown.append((world.title(), world.written(), decided, device.digest("s")))
                assert device.pending() == [] and device.refused() == []
        assert shown[0] == shown[1]
        decided = [("config", "resolved", "7"), ("stage", "resolved", "closed"), ("title", "resolved", "C")]
        assert shown[0][:3] == ("C", BEFORE, decided), shown[0]
        labels = [entry.label for entry in server.history("note", "k")]
        taken = [label for label in labels if label.endswith("draft")]
        assert taken == [name for name in ("draft", "undo: draft", "redo: draft", "undo: draft") for _ in range(2)]


def main(kind: str, folder: Path, every: int) -> None:
    evening = folder / "evening"
    evening.mkdir()
    prepare(evening)
    names: list[str] = []
    k = 0
    while k <= len(names):
        place = folder / str(k)
        shutil.copytree(evening, place)
        points, failure = Points(kind, k, place / "points"), ""
        died = killed(child(lambda place=place, points=points: live(place, points)))  # type: ignore[misc]
        try:
            if died:
                live(place, None)
            check(place)
        except Exception:  # noqa: BLE001 - told to the test
            failure = traceback.format_exc()[-2000:]
        if k == 0:
            names = (place / "points").read_text().splitlines()
        line = json.dumps({"k": k, "point": names[k - 1] if k else "", "killed": died, "failure": failure})
        os.write(1, f"{line}\n".encode())
        shutil.rmtree(place)
        k += every if k else 1


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
