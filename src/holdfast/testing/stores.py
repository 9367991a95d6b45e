"""The contract of stores, for those who write one: see `holdfast.stores.contract` for a worked example."""

from holdfast.stores.contract import StoreContract, contract_schema

__all__ = ["StoreContract", "contract_schema"]
