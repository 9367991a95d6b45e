"""What all cases of the contract stand on: making stores, closing them, playing another program."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast.schema.model import Schema
from holdfast.stores.base import Aside, Batch, Space, Store, Violation
from holdfast.stores.contract.samples import contract_schema

UserRows = Mapping[str, tuple[Sequence[Any], Sequence[Any]]]


class Ground(ABC):
    """A test class says how to make its store; the rest has defaults."""

    persistent: bool = False
    """Whether a store that is made again in the same folder has what the first one stored."""

    @abstractmethod
    def make_store(self, tmp_path: Path) -> Store:
        """A store, not open yet, that keeps its things in the folder if it keeps any."""
        ...

    def foreign_write(self, store: Any, table: str, key_values: Sequence[Any], values: Sequence[Any] | None) -> None:
        """Play another program: put a row (wire forms, by slot) into the user table, or delete it (None), and commit.

        Calls `store.foreign_write(table, key_values, values)` unless a test class does it with real SQL.
        """
        store.foreign_write(table, key_values, values)

    def user_rows(self, store: Any, table: str) -> UserRows:
        """What another program sees in the user table: key text -> (key values, values by slot), as wire forms.

        Calls `store.table(table)` unless a test class does it with real SQL.
        """
        rows: UserRows = store.table(table)
        return rows

    def open(self, tmp_path: Path, schema: Schema | None = None) -> Store:
        """A store that is open on the schema of the contract, or another one, and closed after the test."""
        store = self.make_store(tmp_path)
        self.__dict__.setdefault("_opened", []).append(store)
        store.open(schema or contract_schema())
        return store

    def teardown_method(self) -> None:
        """Close what the test opened; pytest calls it."""
        for store in self.__dict__.pop("_opened", []):
            store.close()


def write(store: Store, batch: Batch) -> dict[str, Space]:
    """Write one batch in a transaction of its own."""
    with store.transaction(write=True) as tx:
        return tx.write(batch)


def head(store: Store, space: str = "a") -> int:
    """The head of a space, 0 if it was never written."""
    with store.transaction(write=False) as tx:
        found = tx.spaces([space]).get(space)
    return found.head if found else 0


def feed(store: Store, space: str = "a", after: int = 0, until: int = 2**40) -> list[tuple[int, bytes]]:
    """A part of a feed."""
    with store.transaction(write=False) as tx:
        return list(tx.feed(space, after, until))


def aside(store: Store) -> list[Aside]:
    """What waits aside."""
    with store.transaction(write=False) as tx:
        return tx.aside()


class Refusal:
    """The violation that a block met."""

    found: Violation


@contextmanager
def refused(kind: str) -> Iterator[Refusal]:
    """The block must meet a violation of this kind."""
    refusal = Refusal()
    try:
        yield refusal
    except Violation as violation:
        refusal.found = violation
    else:
        raise AssertionError(f"a violation of kind {kind} was expected, nothing was refused")
    assert refusal.found.kind == kind, f"expected {kind}, found {refusal.found.kind}: {refusal.found}"


class Interrupted(Exception):
    """What a test raises to leave a transaction."""
