"""What a hub says of itself to anybody who asks."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.errors import HoldfastError
from holdfast.stores.base import Store, StoreUnavailable


def health_of(store: Store, hub: str, version: int, problems: Callable[[], list[str]]) -> dict[str, object]:
    """Hub id, schema version, and the numbers of spaces, of rows that wait aside and of problems. Raises
    `hub_unavailable`."""
    try:
        with store.transaction(write=False) as tx:
            spaces, aside = len(tx.all_spaces()), len(tx.aside())
        return {"hub": hub, "schema": version, "spaces": spaces, "aside": aside, "problems": len(problems())}
    except StoreUnavailable as error:
        raise HoldfastError("hub_unavailable", f"the hub's store cannot be read: {error}") from None
