"""The contract of a store, as tests that any store can run.

    from holdfast.testing.stores import StoreContract

    class TestMine(StoreContract):
        persistent = True

        def make_store(self, tmp_path):
            return MyStore(tmp_path / "hub")

        def foreign_write(self, store, table, key_values, values):
            ...  # another program writes the row into the user table, or deletes it when values is None

        def user_rows(self, store, table):
            return {...}  # what another program sees: key text -> (key values, values by slot)

`make_store` gives a store that is not open yet; called twice with one folder, a persistent one finds its things again.
The other two may be left out when the store itself has `foreign_write(table, key_values, values)` and `table(name)`, as
`holdfast.stores.memory.MemoryStore` does. All values are wire forms (`spec/encoding.md`). The methods are plain pytest
tests; this package itself does not import pytest.
"""

from __future__ import annotations

from holdfast.stores.contract.constraints import ConstraintCases
from holdfast.stores.contract.feeds import FeedCases, MovingCases
from holdfast.stores.contract.foreign import AgainCases, FamilyCases, ForeignCases, ValueCases
from holdfast.stores.contract.isolation import IsolationCases
from holdfast.stores.contract.leases import LeaseCases
from holdfast.stores.contract.records import RecordCases
from holdfast.stores.contract.samples import contract_schema

__all__ = ["StoreContract", "contract_schema"]


class StoreContract(
    FeedCases,
    MovingCases,
    RecordCases,
    IsolationCases,
    ConstraintCases,
    ForeignCases,
    FamilyCases,
    AgainCases,
    ValueCases,
    LeaseCases,
):
    """Everything that a hub relies on. Derive a test class from it and say how to make the store."""
