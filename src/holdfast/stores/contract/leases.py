"""Keys that the store gives to devices."""

from __future__ import annotations

from pathlib import Path

from holdfast.schema.model import Column, Schema, SpaceRule, Table
from holdfast.stores.base import Store
from holdfast.stores.contract.ground import Ground, write
from holdfast.stores.contract.samples import batch, row

ORDER = Table(
    "numbered",
    (Column("id", "int", generate="block", block=10), Column("note", "text", default="")),
    ("id",),
    SpaceRule("all"),
)


class LeaseCases(Ground):
    """Every key is given once."""

    def _leased(self, store: Store, device: str, ask: str, size: int = 10) -> list[int]:
        with store.transaction(write=True) as tx:
            ranges = tx.lease("numbered", device, ask, size)
        return [number for first, last in ranges for number in range(first, last + 1)]

    def test_keys_are_given_once(self, tmp_path: Path) -> None:
        """Two devices, and one of them twice."""
        store = self.open(tmp_path, Schema(1, (ORDER,)))
        asks = (("d1", "00000000000a"), ("d2", "00000000000a"), ("d1", "00000000000b"), ("d2", "00000000000c"))
        given = [number for device, ask in asks for number in self._leased(store, device, ask)]
        assert len(given) == len(set(given)) == 40
        assert all(number > 0 for number in given)

    def test_the_same_ask_gets_the_same_keys(self, tmp_path: Path) -> None:
        """Also after the store was opened again, and after others have asked."""
        store = self.open(tmp_path, Schema(1, (ORDER,)))
        first = self._leased(store, "d1", "00000000000a")
        other = self._leased(store, "d2", "00000000000b")
        assert self._leased(store, "d1", "00000000000a") == first
        if self.persistent:
            store.close()
            store = self.open(tmp_path, Schema(1, (ORDER,)))
            assert self._leased(store, "d1", "00000000000a") == first
        assert not set(self._leased(store, "d1", "00000000000c")) & {*first, *other}

    def test_a_lease_that_is_undone_gives_nothing_twice(self, tmp_path: Path) -> None:
        """The keys may be lost."""
        store = self.open(tmp_path, Schema(1, (ORDER,)))
        try:
            with store.transaction(write=True) as tx:
                tx.lease("numbered", "d1", "00000000000a", 10)
                raise LookupError
        except LookupError:
            pass
        first = self._leased(store, "d1", "00000000000a")
        assert not set(first) & set(self._leased(store, "d2", "00000000000b"))

    def test_keys_that_rows_have_are_left_out(self, tmp_path: Path) -> None:
        """Rows have been written with keys that their writers chose."""
        store = self.open(tmp_path, Schema(1, (ORDER,)))
        write(store, batch(*(row(ORDER, [key], ["mine"]) for key in (1, 2, 3, 7))))
        given = [number for ask in ("00000000000a", "00000000000b") for number in self._leased(store, "d1", ask)]
        assert not {1, 2, 3, 7} & set(given)
