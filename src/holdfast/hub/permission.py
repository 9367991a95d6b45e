"""Who may write where."""

from __future__ import annotations

from holdfast.hub.batch import Submission
from holdfast.hub.operations import Refusal
from holdfast.hub.workspace import RowName


def require_write(submission: Submission, space: str, name: RowName, *, hidden: bool = False) -> None:
    """Raise `Refusal` unless the user may write in the space; `hidden`: he did not name it himself."""
    if submission.spaces.get(space) != "rw":
        message = f"{submission.identity.user} may not write in {space}"
        if hidden and space not in submission.spaces:
            # Where a row lives that the user may not even read is not for him to know.
            raise Refusal("forbidden_space", f"{submission.identity.user} may not write this row", name[0], name[1])
        may = {"access": "r"} if space in submission.spaces else {}
        raise Refusal("forbidden_space", message, name[0], name[1], space=space, **may)
