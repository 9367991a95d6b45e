"""Merge functions of the application, for columns declared `hf.Custom[type, "name"]`."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from holdfast.hub.trace import Writer
from holdfast.kernel.values import InvalidValue, same
from holdfast.schema.model import Column
from holdfast.schema.wire import wire_of

log = logging.getLogger("holdfast.hub")


class NeedsReview(Exception):
    """Raised by a merge function: a person shall decide. The text says why."""


class MergeContext(NamedTuple):
    """Where the two values met. `row` maps column -> value of the row as it stands; `local_by` wrote the value that
    arrives, `remote_by` the one that stands; `has_base` is False when the base is not known (None is given then).
    """

    table: str
    key: str
    column: str
    row: Mapping[str, Any]
    local_by: Writer
    remote_by: Writer
    has_base: bool


MergeFunction = Callable[[Any, Any, Any, MergeContext], Any]


class Merged(NamedTuple):
    """What a merge function made; `decided` is False when a person has to, `error` says what went wrong, if it did."""

    decided: bool
    value: Any
    error: str


class MergeFunctions:
    """The merge functions of one hub, by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, MergeFunction] = {}

    def add(self, name: str, function: MergeFunction) -> None:
        """Use `function` for the columns that name it."""
        self._by_name[name] = function

    def merge(self, column: Column, base: Any, local: Any, remote: Any, context: MergeContext) -> Merged:
        """Ask the column's function. Whatever it does, there is an answer: a failure leaves the decision to a
        person."""
        function = self._by_name.get(column.function)
        if function is None:
            log.error("the hub has no merge function %r for %s.%s", column.function, context.table, column.name)
            return Merged(False, None, f"the hub has no merge function {column.function}")
        try:
            given = function(copy.deepcopy(base), copy.deepcopy(local), copy.deepcopy(remote), context)
            value = column.accept(None if given is None else wire_of(column.type, given, column.element))
        except NeedsReview as review:
            return Merged(False, None, _text(review))
        except InvalidValue as error:
            log.error("the merge function %r gave a wrong value: %s", column.function, error)
            return Merged(False, None, f"{column.function} gave a wrong value: {error.message}")
        except Exception as error:
            log.exception("the merge function %r failed on %s %r", column.function, context.table, context.key)
            return Merged(False, None, f"{column.function} failed: {type(error).__name__}: {_text(error)}")
        return Merged(True, remote if same(value, remote) else value, "")


def _text(error: Exception) -> str:
    return str(error).encode("utf-8", "replace").decode("utf-8").replace("\0", "")[:500]
