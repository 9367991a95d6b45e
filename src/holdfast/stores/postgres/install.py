"""Taking the steps of a plan: one transaction each by the command, or all at once by a hub on a database of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from psycopg import errors

from holdfast.errors import HoldfastError
from holdfast.stores.migrating import Phase, Step
from holdfast.stores.postgres.ahead import LOCK_SPACE
from holdfast.stores.postgres.exchange import Connection
from holdfast.stores.postgres.plan import Plan, removal
from holdfast.stores.postgres.queries import QUERIES

LOCK_WAIT = 10_000
"""Milliseconds that a step waits for a table that another program uses. Everybody who wants the table after us waits
behind us for as long, so it may not be for ever."""


class Installer:
    """Makes the database of `db` ready. `place` is what messages call it; `plan` says each time what is still to do."""

    def __init__(self, db: Connection, place: str, plan: Callable[[], Plan]) -> None:
        self._db = db
        self._place = place
        self.plan = plan

    def start(self, install: bool | None) -> None:
        """What a hub does when it starts, in the transaction of the caller: it makes a database of its own ready, and
        asks for the command where a table of an application, or a running hub, would feel it. `install`: True: take
        every step; False: none.

        Raises `store_migrate`, and what `Plan` raises.
        """
        if not self._wanted(self.plan()):
            return
        self._lock()
        # What the application's query reads can be watched only when it is there: hence another look.
        for _ in range(3):
            plan = self.plan()
            steps = self._wanted(plan)
            if not steps:
                return
            if install is False or (install is None and plan.needs_a_person):
                self._ask(steps)
            for step in steps:
                self._run(step)

    def migrate(self, phases: Collection[Phase], done: Callable[[Step], None]) -> None:
        """Take every step of these phases, each in a transaction of its own. Raises `migrate_locked` when a table is
        in use for too long, and what `Plan` raises."""
        while True:
            self._db.execute(QUERIES["begin_write"])
            self._lock()
            step = next((step for step in self.plan().steps if step.phase in phases), None)
            if step is None:
                self._db.execute(b"ROLLBACK")
                return
            self._run(step)
            self._db.execute(b"COMMIT")
            done(step)

    def _wanted(self, plan: Plan) -> list[Step]:
        return [step for step in plan.steps if step.phase == "before"]

    def _lock(self) -> None:
        """Two that start at once: the second waits, then finds everything there."""
        self._db.execute(QUERIES["lock_installation"], (LOCK_SPACE,))

    def _run(self, step: Step) -> None:
        run_step(self._db, step, self._place)

    def _ask(self, steps: Sequence[Step]) -> None:
        titles = [step.title for step in steps]
        shown = "; ".join(titles[:6]) + (f"; and {len(titles) - 6} more" if len(titles) > 6 else "")
        message = f"{self._place} is not ready for this hub; still to do: {shown}."
        raise HoldfastError("store_migrate", message, database=self._place, steps=titles)


def script(steps: Sequence[Step]) -> str:
    """The steps as SQL for `psql`: the very statements that `migrate` and `remove` run, transaction by transaction."""
    lines = []
    for number, step in enumerate(steps, 1):
        lines += [f"-- {number}. {step.title} ({step.phase} the deployment)", QUERIES["begin_write"].decode() + ";"]
        lines.append(QUERIES["lock_installation"].decode().replace("%s", str(LOCK_SPACE)) + ";")
        lines.append(QUERIES["lock_wait"].decode().replace("%s", f"'{LOCK_WAIT}ms'") + ";")
        lines += [f"{statement};" for statement in step.statements]
        lines += ["COMMIT;", ""]
    return "\n".join(lines)


def run_step(db: Connection, step: Step, place: str) -> None:
    """Run the statements of one step in the transaction of the caller. Raises `migrate_locked`."""
    db.execute(QUERIES["lock_wait"], (f"{LOCK_WAIT}ms",))
    try:
        for statement in step.statements:
            db.execute(statement.encode())
    except errors.LockNotAvailable as error:
        message = (
            f"{place}: {step.title}: a transaction of another program has held the table for more than "
            f"{LOCK_WAIT // 1000} seconds. This step changed nothing."
        )
        raise HoldfastError("migrate_locked", message, step=step.title, database=place) from error


def remove(db: Connection, place: str) -> list[Step]:
    """Take everything of Holdfast out, in one transaction. Raises `migrate_locked`."""
    db.execute(QUERIES["begin_write"])
    db.execute(QUERIES["lock_installation"], (LOCK_SPACE,))
    steps = removal(db)
    for step in steps:
        run_step(db, step, place)
    db.execute(b"COMMIT")
    return steps
