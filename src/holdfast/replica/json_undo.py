"""Taking back a change of a JSON value path by path, around what others have changed since."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.kernel import operational
from holdfast.kernel.edit_script import edits
from holdfast.kernel.operational import Edit, Operation
from holdfast.kernel.values import canonical_json, same

_MISSING: Any = object()
_FIRST_SIGN = 0xF0000
"""Elements of an array are written as signs from here on, so that they are transformed as texts are."""


def differing(old: Any, new: Any) -> tuple[Any, Any]:
    """The two values without the members of objects that are the same in both."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return old, new
    before, after = {}, {}
    for name in old.keys() | new.keys():
        if name not in new:
            before[name] = old[name]
        elif name not in old:
            after[name] = new[name]
        elif not same(old[name], new[name]):
            before[name], after[name] = differing(old[name], new[name])
    return before, after


def taken_back(shown: Any, old: Any, new: Any) -> tuple[Any, list[str]]:
    """`shown` with the change from `old` to `new` taken back where what it wrote still stands, and the paths where it
    does not (`$.limits.day`, `$.list[2]`), in order. Members that are the same in both need not be in them.
    """
    left: list[str] = []
    return _back(shown, old, new, "$", left), left


def _back(shown: Any, old: Any, new: Any, path: str, left: list[str]) -> Any:
    if same(old, new):
        return shown
    if all(isinstance(value, dict) for value in (shown, old, new)):
        return _object(shown, old, new, path, left)
    if same(shown, new):
        return old
    if all(isinstance(value, list) for value in (shown, old, new)):
        return _array(shown, old, new, path, left)
    left.append(path)
    return shown


def _object(shown: dict[str, Any], old: dict[str, Any], new: dict[str, Any], path: str, left: list[str]) -> Any:
    result = dict(shown)
    for name in sorted(old.keys() | new.keys()):
        before, after, now = old.get(name, _MISSING), new.get(name, _MISSING), shown.get(name, _MISSING)
        place = f"{path}.{name}"
        if before is not _MISSING and after is not _MISSING and now is not _MISSING:
            result[name] = _back(now, before, after, place, left)
        elif after is _MISSING and now is _MISSING:
            result[name] = before
        elif before is _MISSING and now is not _MISSING and same(now, after):
            del result[name]
        elif before is _MISSING and isinstance(now, dict) and isinstance(after, dict):
            result[name] = _object(now, {}, after, place, left)
        elif before is _MISSING and now is _MISSING:
            continue  # what was added is gone already
        elif before is _MISSING or after is not _MISSING or not same(now, before):
            left.append(place)
    return result


def _array(shown: list[Any], old: list[Any], new: list[Any], path: str, left: list[str]) -> Any:
    if len(shown) == len(old) == len(new):
        values = enumerate(zip(shown, old, new, strict=True))
        return [_back(now, before, after, f"{path}[{place}]", left) for place, (now, before, after) in values]
    signs: dict[str, str] = {}
    elements: dict[str, Any] = {}
    texts = []
    for value in (new, old, shown):
        for item in value:
            sign = signs.setdefault(canonical_json(item), chr(_FIRST_SIGN + len(signs)))
            elements[sign] = item
        texts.append("".join(signs[canonical_json(item)] for item in value))
    back, since = _between(texts[0], texts[1]), _between(texts[0], texts[2])
    if operational.overlap(back, since):
        left.append(path)
        return shown
    result = operational.apply(texts[2], operational.transform(back, since, first=False))
    return [elements[sign] for sign in result]


def _between(old: str, new: str) -> Operation:
    changes: Sequence[tuple[int, int, int, int]] = edits(old, new, 0)
    return operational.written([Edit(start, old[start:end], new[first:last]) for start, end, first, last in changes])
