"""What a store keeps of the versions of the schema that its hub has run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec

from holdfast.errors import HoldfastError
from holdfast.schema.model import Schema


class Kept(NamedTuple):
    """A version of the schema, and the heads of the spaces when it was run first: what was written before has no column
    that is new in it. `filled`: every row has what the lenses of this version make of it."""

    schema: Schema
    heads: Mapping[str, int]
    filled: bool = True

    def text(self) -> str:
        """The form in which stores keep it."""
        return msgspec.json.encode([self.schema.to_json(), dict(self.heads), self.filled]).decode()

    @staticmethod
    def of(text: str, where: str) -> Kept:
        """The version from the form that a store keeps; `where` names the store. Raises `store_corrupt`."""
        try:
            form, heads, filled = msgspec.json.decode(text)
            return Kept(Schema.from_json(form), heads, filled)
        except (ValueError, TypeError, HoldfastError) as error:
            message = f"{where}: a version of the schema that was kept there cannot be read: {error}"
            raise HoldfastError("store_corrupt", message) from error

    def after(self, before: Kept | None) -> Kept:
        """The same in place of what was kept `before` with that number: the heads stay those of the first run, because
        rows with the columns of the version may be right behind them. (Hubs that start at once keep it one after the
        other, and the first may serve already.)"""
        if before is None:
            return self
        filled = self.filled or (before.filled and before.schema.hash == self.schema.hash)
        return self._replace(heads=before.heads, filled=filled)


@runtime_checkable
class Keeping(Protocol):
    """A store that keeps the versions of its hub's schema."""

    def versions(self) -> list[Kept]:
        """The versions that were kept, by number; also before the store is open."""
        ...

    def keep_version(self, kept: Kept) -> Kept:
        """Keep a version, in a transaction of its own, in place of what was kept with that number (`Kept.after`). Gives
        what is kept now."""
        ...
