"""Faults of spaces that only go up, which the simulator must find."""

from __future__ import annotations

from pytest import MonkeyPatch

from holdfast.hub.reading import wanted
from holdfast.replica import apply
from holdfast.replica.tables import UserTables
from tests.simulation.planted import planted
from tests.simulation.planted_versions import PLANTED, Planted

__all__ = ["PLANTED", "Planted"]


@planted("spaces that only go up", "upload", 5, 27, at=0)
def the_hub_sends_what_only_goes_up(patch: MonkeyPatch) -> None:
    """The templates that a device names are not heard."""
    patch.setattr("holdfast.hub.hub.wanted", lambda spaces, want, _: wanted(spaces, None, {}))


@planted("spaces that only go up", "upload", 5, 27, at=0)
def what_only_goes_up_is_purged_like_a_revoked_space(patch: MonkeyPatch) -> None:
    """A device takes a space that is not in the answer for one that it may not read any more."""
    patch.setattr(UserTables, "only_uploads", lambda self, space: False)


@planted("spaces that only go up", "upload", 10, 2, 27, at=0)
def a_merged_row_waits_for_a_page_that_never_comes(patch: MonkeyPatch) -> None:
    """What the hub has merged is not taken for confirmed, as if its row were to come."""
    patch.setattr(apply, "UPLOAD", "never")
