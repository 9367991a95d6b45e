"""Members of a JSON value, named by JSON pointers (RFC 6901)."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, Final

from holdfast.kernel.values import canonical_json, same


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""In place of a value: the member is not there."""
END: Final = "-"
"""In place of an element's number: behind the last one (RFC 6901, section 4), or one that is not there any more."""


def pointer(steps: Iterable[str | int]) -> str:
    """The pointer through these members and elements; none: the whole value."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def steps_of(path: str) -> list[str]:
    """The members and elements that a pointer goes through."""
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]


def split(place: str) -> tuple[str, str]:
    """Column and pointer of the place that a conflict names: the names of columns have no slash."""
    column, slash, rest = place.partition("/")
    return column, slash + rest


def text_of(value: Any) -> str | None:
    """A value as a conflict keeps it: canonical JSON, None for `ABSENT`."""
    return None if value is ABSENT else canonical_json(value)


def alike(a: Any, b: Any) -> bool:
    """Whether two values, or their absences, are the same."""
    return bool(a is b) if a is ABSENT or b is ABSENT else same(a, b)


def member(value: Any, path: str) -> Any:
    """What stands there; `ABSENT` for nothing."""
    for step in steps_of(path):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and _number(step, len(value)) is not None:
            value = value[int(step)]
        else:
            return ABSENT
    return value


def with_member(value: Any, path: str, new: Any) -> Any:
    """The value with `new` there, `ABSENT` for nothing; objects on the way are made. `ABSENT` when the way leads
    through something that is neither object nor array, or to an element that is not there."""
    if not path:
        return new
    whole = node = copy.deepcopy(value)
    *way, last = steps_of(path)
    for step in way:
        if isinstance(node, dict):
            node = node.setdefault(step, {})
        elif isinstance(node, list) and _number(step, len(node)) is not None:
            node = node[int(step)]
        else:
            return ABSENT
    if isinstance(node, dict):
        if new is ABSENT:
            node.pop(last, None)
        else:
            node[last] = new
    elif isinstance(node, list) and last == END and new is not ABSENT:
        node.append(new)
    elif isinstance(node, list) and (place := _number(last, len(node))) is not None:
        node[place : place + 1] = [] if new is ABSENT else [new]
    else:
        return ABSENT
    return whole


def _number(step: str, count: int) -> int | None:
    return int(step) if step.isascii() and step.isdecimal() and len(step) < 10 and int(step) < count else None
