"""Where the application has its say: before a write is accepted, and after it was committed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from holdfast.hub.identity import Identity

log = logging.getLogger("holdfast.hub")


class Refuse(Exception):
    """Raised by a `before_write` hook: the whole transaction is refused with this reason.

    `reason` is for the person who wrote it; `code` is the application's own stable word for it.
    """

    def __init__(self, reason: str, code: str = "refused") -> None:
        # The result is stored and sent: whatever a hook hands over here must be text that can go over the wire.
        self.reason, self.code = _wire_text(reason), _wire_text(code)
        super().__init__(self.reason)


def _wire_text(given: object) -> str:
    return str(given).encode("utf-8", "replace").decode("utf-8")


class Change(NamedTuple):
    """One row before and after. `old` and `new` map column -> value in wire form; None when the row is not there."""

    table: str
    key: str
    kind: Literal["insert", "update", "delete"]
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None


class Context(NamedTuple):
    """Who writes: identity and device. `space` is the row's space, `now` in milliseconds since 2020-01-01 UTC."""

    identity: Identity
    device: str
    space: str
    now: int


BeforeWrite = Callable[[Change, Context], None]
AfterCommit = Callable[[Sequence[Change], Context], None]


class Hooks:
    """The hooks of one hub."""

    def __init__(self) -> None:
        self._before: dict[str, list[BeforeWrite]] = {}
        self._after: list[AfterCommit] = []

    def add_before(self, tables: Sequence[str], hook: BeforeWrite) -> None:
        """Call `hook` for each row of the tables (none named: of every table) before it is written."""
        for table in tables or ("",):
            self._before.setdefault(table, []).append(hook)

    def add_after(self, hook: AfterCommit) -> None:
        """Call `hook` after a commit with the changes of each transaction."""
        self._after.append(hook)

    def wants_before(self, table: str) -> bool:
        """Whether any hook looks at writes of the table."""
        return bool(self._before) and (table in self._before or "" in self._before)

    @property
    def wants_after(self) -> bool:
        """Whether any hook waits for commits."""
        return bool(self._after)

    def before(self, change: Change, context: Context) -> None:
        """Ask all hooks of the table. Raises what they raise."""
        for hook in (*self._before.get(change.table, ()), *self._before.get("", ())):
            hook(change, context)

    def after(self, changes: Sequence[Change], context: Context) -> None:
        """Tell all hooks. What they raise is logged: the commit stands."""
        for hook in self._after:
            try:
                hook(changes, context)
            except Exception:
                log.exception("an after_commit hook failed; the write stands")
