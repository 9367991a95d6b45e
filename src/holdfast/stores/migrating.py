"""Making a database ready for a hub, and taking everything out of it again, step by step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from holdfast.schema.model import Schema

Phase = Literal["before", "after"]
"""Of a migration: before a new release or schema is deployed, while the old one still runs; or after nothing of the old
one is left."""


class Step(NamedTuple):
    """One step of a migration, one transaction. `statements` are the very SQL. `asks`: it changes what is not the
    hub's alone, such as a table of an application, so a hub does not take it by itself when it starts.
    """

    title: str
    phase: Phase
    statements: tuple[str, ...]
    asks: bool


@runtime_checkable
class Migrating(Protocol):
    """A store on a database that an application may own: it is made ready by a command, step by step. `grant` names a
    role of the database that gets the rights that a hub needs."""

    def plan(self, schema: Schema, grant: str | None) -> list[Step]:
        """What is still to be done for the schema, in order; nothing is changed. Raises what `migrate` raises."""
        ...

    def migrate(
        self, schema: Schema, phases: Collection[Phase], grant: str | None, done: Callable[[Step], None]
    ) -> None:
        """Take the steps of these phases, each in a transaction of its own, and call `done` after each. What was done
        is never done again, so it may be run any number of times, also after it was interrupted. Raises
        `HoldfastError`."""
        ...

    def removal(self) -> list[Step]:
        """The step that takes everything of Holdfast out again; none when nothing is there."""
        ...

    def remove(self) -> list[Step]:
        """Take everything of Holdfast out of the database and leave its tables and their rows as they are. Feeds,
        history and results are gone then. Gives the steps taken."""
        ...

    def script(self, steps: Sequence[Step]) -> str:
        """The steps as SQL text: the very statements that would run, transaction by transaction."""
        ...
