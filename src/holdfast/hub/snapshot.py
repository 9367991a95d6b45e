"""A read transaction that an answer holds until it was read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType

from holdfast.stores.base import StoreUnavailable, Transaction

log = logging.getLogger("holdfast.hub")


class Snapshot:
    """A read transaction that an answer may outlive: `with` ends it, unless `keep` has handed it over. `only`: it knows
    what was foreseen, and nothing else can be asked.
    """

    def __init__(self, context: AbstractContextManager[Transaction], *, only: bool = False) -> None:
        self._context = context
        self.only = only
        self._kept = False

    def __enter__(self) -> Snapshot:
        self.tx = self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._kept:
            self._context.__exit__(kind, error, trace)

    def keep(self) -> Callable[[], None]:
        """The function that ends the transaction; `with` does not any more."""
        self._kept = True
        return lambda: _leave(self._context)


def _leave(context: AbstractContextManager[Transaction]) -> None:
    context.__exit__(None, None, None)


def guarded(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Log a failure in the middle of a stream; the device sees an answer without a footer and asks again."""
    try:
        yield from lines
    except StoreUnavailable:
        log.exception("the store failed in the middle of an answer")
        raise
