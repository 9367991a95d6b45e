"""Faults of upgrades that the simulator must find: what a version knows gets lost on the way to another one."""

from __future__ import annotations

from typing import Any

from pytest import MonkeyPatch

from holdfast.hub import push, serving
from holdfast.hub.serving import Serving
from holdfast.replica.upgrade import Upgrade
from holdfast.testing.hub import FragileStore
from tests.simulation.planted import planted
from tests.simulation.planted_deeper import PLANTED, Planted

__all__ = ["PLANTED", "Planted"]


@planted("17: schema change between capture and upload", "upgrade", 5, 25, at=4)
def an_upgrade_forgets_what_waits(patch: MonkeyPatch) -> None:
    """What a file had not sent when the next application opened it is gone from the outbox."""
    real = Upgrade._translate_waiting

    def translate(self: Any) -> None:
        real(self)
        self._db.execute("DELETE FROM holdfast_operation")
        self._db.execute("DELETE FROM holdfast_transaction")

    patch.setattr(Upgrade, "_translate_waiting", translate)


@planted("17: schema change between capture and upload", "upgrade", 5, 25, at=2)
def waiting_work_is_sent_in_new_words_alone(patch: MonkeyPatch) -> None:
    """What the new version has no column for is left out of what waits."""
    real = Upgrade._translate

    def translate(self: Any, op: Any, *, refused: bool) -> bool:
        real(self, op, refused=refused)
        return True

    patch.setattr(Upgrade, "_translate", translate)


@planted("17: versions of a schema", "upgrade", 5, 24, 25, at=3)
def the_other_side_of_a_lens_is_not_written(patch: MonkeyPatch) -> None:
    """What one version writes does not reach the columns of another one."""
    patch.setattr(push, "settle", lambda schema, table, key, before, row, hub, given=None: (row, {}))


@planted("17: versions of a schema", "upgrade", 12, 18, 24, 25, at=5)
def rows_of_before_are_not_filled(patch: MonkeyPatch) -> None:
    """The columns that came with a version stay empty in the rows that were there."""
    patch.setattr(serving, "filled", lambda schema, table, key, row, hub: row)


@planted("17: versions of a schema", "upgrade", 5, 18, 24, 25, at=0)
def renamed_columns_are_not_known_by_their_old_names(patch: MonkeyPatch) -> None:
    """The hub takes what an old device sends for its own words."""
    patch.setattr(Serving, "take", lambda self, request: None)


@planted("17: versions of a schema", "upgrade", 3, 18, 25, at=0)
def the_hub_forgets_the_versions_that_it_ran(patch: MonkeyPatch) -> None:
    """After its upgrade it serves the new version alone."""
    patch.setattr(FragileStore, "versions", lambda self: [])
