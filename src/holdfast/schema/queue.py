"""Classes of the upload queue: in which order, how many at once and how often the transactions of a table are sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from holdfast.errors import HoldfastError

DEFAULT_NAME: Final = "default"
UPLOAD: Final = "upload"
DIRECTIONS: Final = ("both", UPLOAD, "upload_first")
PRIORITY_LIMIT: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Queue:
    """One class of transactions. Tables with equal queues of one name share a class.

    `priority`: lower goes first. `direction`: "both"; "upload_first": as long as such transactions can go, each
    request asks for one small page only; "upload": what is written here goes up and nothing of these spaces comes down
    (all tables of a space have it, or none). `batch_size`: at most so many of the class in one request;
    `max_concurrent`: at most so many sent and not answered. `retries`: how often one that the hub cannot process is
    tried again before it is parked; None: for ever. `coalesce` False: each edit of a row reaches the history.
    `name` is what people see; empty: that of the table or of the space template.
    """

    name: str = ""
    priority: int = 0
    direction: str = "both"
    batch_size: int | None = None
    max_concurrent: int | None = None
    retries: int | None = None
    coalesce: bool = True

    def __post_init__(self) -> None:
        name: Any = self.name
        if not isinstance(name, str) or len(name) > 200:
            raise _bad(f"name={self.name!r}: use text of at most 200 characters")
        if type(self.priority) is not int or abs(self.priority) > PRIORITY_LIMIT:
            raise _bad(f"priority={self.priority!r}: use an int within ±{PRIORITY_LIMIT:,}; lower goes first")
        if self.direction not in DIRECTIONS:
            raise _bad(f"direction={self.direction!r}: use one of {', '.join(DIRECTIONS)}")
        for member in ("batch_size", "max_concurrent"):
            value = getattr(self, member)
            if value is not None and (type(value) is not int or value < 1):
                raise _bad(f"{member}={value!r}: use an int from 1 on, or None for no limit")
        if self.retries is not None and (type(self.retries) is not int or self.retries < 0):
            raise _bad(f"retries={self.retries!r}: use an int from 0 on, or None for ever")
        if type(self.coalesce) is not bool:
            raise _bad(f"coalesce={self.coalesce!r}: use True or False")

    @property
    def plain(self) -> bool:
        """Whether transactions of this class may go in the order in which they were written, any number at once."""
        return self.batch_size is None and self.max_concurrent is None

    def named(self, name: str) -> Queue:
        """The same class under a name, if it has none."""
        return self if self.name else replace(self, name=name)

    def to_json(self) -> dict[str, Any]:
        """JSON form, complete."""
        return asdict(self)


DEFAULT: Final = Queue(DEFAULT_NAME)
"""The class of tables that declare none."""


def queue_from_json(form: Mapping[str, Any] | None) -> Queue:
    """The class of a JSON form; without one the default."""
    return DEFAULT if form is None else Queue(**form)


def _bad(message: str) -> HoldfastError:
    return HoldfastError("schema_invalid", f"queue: {message}")
