"""Named maps under a stack of changes: what gives the memory store its transactions, savepoints and snapshots.

The base is never changed while somebody reads it. A transaction puts its changes into a layer above the base, a
savepoint into another layer above that one; undoing is forgetting a layer, committing is folding the lowest one
into the base.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

GONE: Final = object()
"""In a layer: the key that the maps below hold is deleted."""

Maps = dict[str, dict[Any, Any]]


class Layers:
    """A view of named maps; a map that was never written is empty."""

    def __init__(self, base: Maps) -> None:
        self._base = base
        self._changes: list[Maps] = []

    def push(self) -> None:
        """Start a layer: changes go there from now on."""
        self._changes.append({})

    def undo(self) -> None:
        """Forget the top layer."""
        self._changes.pop()

    def keep(self) -> None:
        """Fold the top layer into the one below it."""
        top = self._changes.pop()
        for name, changes in top.items():
            self._changes[-1].setdefault(name, {}).update(changes)

    def changes(self) -> Maps:
        """The changes of the lowest layer, deleted keys as `GONE`: what a commit folds into the base."""
        return self._changes[0]

    def get(self, name: str, key: Any, default: Any = None) -> Any:
        """The value of a key, or the default."""
        for layer in reversed(self._changes):
            value = layer.get(name, {}).get(key, None)
            if value is not None:
                return default if value is GONE else value
        return self._base.get(name, {}).get(key, default)

    def items(self, name: str) -> Iterator[tuple[Any, Any]]:
        """All pairs of a map, in no particular order."""
        merged = dict(self._base.get(name, {}))
        for layer in self._changes:
            merged.update(layer.get(name, {}))
        return ((key, value) for key, value in merged.items() if value is not GONE)

    def put(self, name: str, key: Any, value: Any) -> None:
        """Set a key; the value must not be None and is not changed afterwards."""
        self._changes[-1].setdefault(name, {})[key] = value

    def drop(self, name: str, key: Any) -> None:
        """Delete a key; a missing one is fine."""
        self._changes[-1].setdefault(name, {})[key] = GONE


def fold(base: Maps, changes: Maps, *, shared: bool) -> Maps:
    """The base with the changes in it. When the base is shared with readers, the maps that change are copied first."""
    result = dict(base) if shared else base
    for name, changed in changes.items():
        target = dict(result.get(name, {})) if shared else result.setdefault(name, {})
        for key, value in changed.items():
            if value is GONE:
                target.pop(key, None)
            else:
                target[key] = value
        result[name] = target
    return result
