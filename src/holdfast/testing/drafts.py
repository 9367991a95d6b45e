"""What people write in the simulator only to take it back: rows of every type, undo and redo, and what must hold then.

The ledger knows nothing of undo, so these transactions leave no entry there; they are named `draft 1`, `draft 2`, ...
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from holdfast.schema.rules import WHOLE_MERGES
from holdfast.testing.clock import MINUTE
from holdfast.testing.device import OK, SimulatedDevice
from holdfast.testing.hub_places import read_rows
from holdfast.testing.invariants import Violation
from holdfast.testing.tables import SCHEMA
from holdfast.testing.trial import EXPECTED_SQL, Trial

DRAFT = SCHEMA.by_name["draft"]
KEYS = ("k", "l")
WHOLE = tuple(column.name for column in DRAFT.cells if column.merge in WHOLE_MERGES)
WORDS = ("a", "é", "e\u0301", "🏗 up", "wall")
_LATEST = {
    "undo": "SELECT label FROM holdfast_step s WHERE state = 'done' AND kind IN ('do', 'redo')",
    "redo": "SELECT label FROM holdfast_step s WHERE state = 'done' AND kind = 'undo'",
}
_NOT_REFUSED = """ AND NOT EXISTS (SELECT 1 FROM holdfast_transaction t WHERE t.mark = s.mark AND t.state = 'refused')
                   ORDER BY step DESC LIMIT 1"""

Cells = dict[tuple[str, str], Any]
"""(key, column) -> value as SQLite has it, of all rows that are there."""


def do_draft(trial: Trial, dice: random.Random) -> str:
    """A device writes a draft: some columns by SQL, some in the documents."""
    device = trial.device(dice)
    trial.simulation.time.advance(dice.randrange(MINUTE))
    known = trial.drafts.setdefault(device.name, {})
    label = f"draft {sum(map(len, trial.drafts.values())) + 1}"
    before = _cells(device)
    outcome = device.attempt(lambda: _write(device, label, dice))
    trial.expect(outcome, EXPECTED_SQL, f"a draft on {device.name}")
    if outcome == OK:
        after = _cells(device)
        known[label] = {
            cell: (before.get(cell), after.get(cell))
            for cell in before.keys() | after.keys()
            if before.get(cell) != after.get(cell)
        }
    return f"{device.name} {label} {outcome}"


def _write(device: SimulatedDevice, label: str, dice: random.Random) -> None:
    replica, key = device.replica, dice.choice(KEYS)
    with replica.transaction(label):
        replica.execute("INSERT OR IGNORE INTO draft (id) VALUES (?)", (key,))
        if dice.random() < 0.1:
            replica.execute("DELETE FROM draft WHERE id = ?", (key,))
            return
        for _ in range(dice.randint(1, 4)):
            column, word = dice.choice(DRAFT.cells).name, dice.choice(WORDS)
            if column == "hits":
                replica.execute("UPDATE draft SET hits = hits + ? WHERE id = ?", (dice.randint(-5, 5), key))
            elif column == "tags":
                replica.execute("UPDATE draft SET tags = ? WHERE id = ?", (json.dumps(sorted({word})), key))
            elif column in ("story", "memo") and (column == "memo" or dice.random() < 0.4):
                edited = f"substr({column}, 1, ?1) || ?2 || substr({column}, ?1 + ?3)"
                replica.execute(
                    f"UPDATE draft SET {column} = {edited} WHERE id = ?4",
                    (dice.randint(0, 5), word, dice.randint(1, 3), key),
                )
            elif column == "story":
                text = replica.document("draft", key, "story")
                at = dice.randint(0, len(text))
                del text[at : at + dice.randint(0, 3)]
                text.insert(at, word)
            elif column == "setup":
                path = dice.choice(("$.a", "$.b", "$.b.c"))
                replica.execute("UPDATE draft SET setup = json_set(setup, ?, ?) WHERE id = ?", (path, word, key))
            else:
                replica.execute(f"UPDATE draft SET {column} = ? WHERE id = ?", (word, key))


def do_undo(trial: Trial, dice: random.Random) -> str:
    """A device takes its latest draft back."""
    return _reverse(trial, dice, "undo")


def do_redo(trial: Trial, dice: random.Random) -> str:
    """A device writes again what it took back."""
    return _reverse(trial, dice, "redo")


def _reverse(trial: Trial, dice: random.Random, kind: str) -> str:
    device = trial.device(dice)
    if not device.has_tables:
        return f"{device.name} nothing"
    trial.seal(device)
    with device.reading() as db:
        label = str(db.execute(_LATEST[kind] + _NOT_REFUSED).get).removeprefix("undo: ").removeprefix("redo: ")
        before = read_rows(db, device.schema)
    if not label.startswith("draft "):
        return f"{device.name} none"
    cells = _cells(device)
    done: list[Any] = []
    outcome = device.attempt(lambda: done.append(getattr(device.replica, kind)()))
    trial.expect(outcome, EXPECTED_SQL, f"{kind} on {device.name}")
    if outcome == OK and done[0] is not None:
        with device.reading() as db:
            after = read_rows(db, device.schema)
        others = [name for name in after if name != "draft" and _sorted(after[name]) != _sorted(before[name])]
        if others:
            raise Violation(22, f"{kind} of {label} on {device.name} changed {others}")
        _check_own(trial, device, kind, label, cells)
        trial.covered[f"{kind} {'left something' if done[0].left else 'whole'}"] += 1
    return f"{device.name} {label} {outcome}"


def _check_own(trial: Trial, device: SimulatedDevice, kind: str, label: str, before: Cells) -> None:
    """An undo changes what its transaction changed, and of that nothing that somebody has written since."""
    own = trial.drafts[device.name].get(label)
    if own is None:
        return  # the process died when it was written
    after = _cells(device)
    for cell in sorted(before.keys() | after.keys()):
        if before.get(cell) == after.get(cell):
            continue
        if cell not in own:
            raise Violation(22, f"{kind} of {label} on {device.name} changed {cell}, which {label} did not")
        # Where others have made the same row, a draft that made it leaves the default when it is taken back.
        mine = (*own[cell], DRAFT.column(cell[1]).default if own[cell][0] is None else None)
        if cell[1] in WHOLE and before.get(cell) not in mine:
            raise Violation(22, f"{kind} of {label} on {device.name} took {before.get(cell)!r} of another away: {cell}")


def _sorted(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    return sorted(map(repr, rows))


def _cells(device: SimulatedDevice) -> Cells:
    if not device.has_tables:
        return {}
    with device.reading() as db:
        rows = read_rows(db, device.schema)["draft"]
    return {(row[0], column.name): value for row in rows for column, value in zip(DRAFT.cells, row[1:], strict=True)}
