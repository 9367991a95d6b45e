"""The device: an SQLite file that anybody may write to, and that syncs."""

from __future__ import annotations

from holdfast.replica.facade.inbox import Inbox
from holdfast.replica.facade.observing import Observing
from holdfast.replica.facade.queueing import Queueing
from holdfast.replica.facade.storing import Storing
from holdfast.replica.facade.subscribing import Subscribing
from holdfast.replica.facade.telling import Telling
from holdfast.replica.facade.undoing import Undoing
from holdfast.replica.facade.writing import Writing


class Replica(Writing, Subscribing, Telling, Storing, Queueing, Inbox, Undoing, Observing):
    """One device. Opens lazily at the first use; usable from several threads, and from several processes on one file.

    `path` is the SQLite file, made when it is not there. `url` and `token` reach a hub over HTTP (several URLs of one
    hub: in order of preference), or `transport` is any other way. `token` may be a function, called for every request;
    `fetch_credentials()` gives a new token when the hub does not know the last one any more (401), in a thread of its
    own; nothing is sent until it returns. `spaces`: everything that the user may read, or only what was chosen
    by `subscribe`. `storage` says how much room the device may take (an `hf.Storage`; 2 GB if nothing is said).

    With `check` SQLite checks the whole file at opening, as it does its pages by itself after a crash; a damaged one
    raises `file_damaged`. The copy is compared with the hub about every `verify_every` hours, and when the hub says
    another total of a space (None: only by `verify()`). `now` (milliseconds since 2020-01-01 UTC) and `random_bits` are
    arguments for simulations.
    """

    def __enter__(self) -> Replica:
        self._open()
        return self
