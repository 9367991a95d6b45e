"""The hub's core: bytes in, bytes out. It gives order, decides permission, merges, and keeps history."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from holdfast.errors import HoldfastError
from holdfast.hub import needs
from holdfast.hub.batch import Outcome, Submission
from holdfast.hub.compacting import HORIZON_DAYS, Collected, Housekeeper, collect_spaces, forget_old
from holdfast.hub.compare import check as check_compare
from holdfast.hub.deciding import Desk
from holdfast.hub.health import health_of
from holdfast.hub.history import DAY, as_of, happened
from holdfast.hub.hooks import Hooks
from holdfast.hub.identity import Access, Identity, check_identity, check_user
from holdfast.hub.imaging import Images, with_image
from holdfast.hub.membership import Membership
from holdfast.hub.merging import MergeFunctions
from holdfast.hub.observation import Observation, Seen, samples
from holdfast.hub.orphans import take_up_all
from holdfast.hub.presence import Presence
from holdfast.hub.pull import Asked, answer
from holdfast.hub.reading import classes_of, cursor_at, templates_of, wanted
from holdfast.hub.requested import Owner, check_name, check_owner, check_schema, check_want
from holdfast.hub.response import Response, error_response, told_of
from holdfast.hub.restoring import kept_of, submission_of
from holdfast.hub.serving import Served, Serving
from holdfast.hub.snapshot import Snapshot, guarded
from holdfast.hub.wall_clock import system_clock
from holdfast.hub.watch import Watch
from holdfast.hub.writer import Writer
from holdfast.kernel import clock, digest
from holdfast.observe import tracing
from holdfast.observe.metrics import Sample
from holdfast.protocol import messages as m
from holdfast.protocol.codec import decode_request, decode_short_request, is_short
from holdfast.protocol.happened import Happened
from holdfast.schema.model import Schema, Table
from holdfast.stores.base import (
    Announcing,
    AnsweringTransaction,
    Aside,
    Checking,
    Need,
    Space,
    Store,
    StoreUnavailable,
    Transaction,
    Unforeseen,
    begin,
    foresees,
)

log = logging.getLogger("holdfast.hub")

NDJSON = "application/x-ndjson"
Made = TypeVar("Made")
SpacesOf = Callable[[Identity], Mapping[str, Access]]


LOOK_EVERY = 60_000
"""Milliseconds after which a hub looks at its tables and triggers by itself."""


class Hub:
    """A hub over a store. Thread-safe: any number of calls of `handle` may run at once.

    `now` gives milliseconds since 2020-01-01 UTC and `random_bits(n)` n random bits; both are arguments so that a
    simulation can hold them in its hand. `spaces`, if given, decides what a user may read and write instead of
    `identity.spaces`: a function of the identity, or a query (`Membership`). `listens` False: it does not hear of the
    writes of other processes by itself. What is gone for `horizon_days` is collected by `compact`.
    """

    def __init__(
        self,
        store: Store,
        schema: Schema,
        *,
        hooks: Hooks | None = None,
        functions: MergeFunctions | None = None,
        spaces: SpacesOf | Membership | None = None,
        now: Callable[[], int] = system_clock,
        random_bits: Callable[[int], int] = secrets.randbits,
        listens: bool = True,
        horizon_days: float = HORIZON_DAYS,
    ) -> None:
        self.serving = Serving(store, schema)
        self.schema = self.serving.schema
        self.horizon_days = horizon_days
        self._housekeeper: Housekeeper | None = None
        self.hooks = hooks or Hooks()
        self.functions = functions or MergeFunctions()
        self.watch = Watch()
        self.observation = Observation()
        self.images: Images | None = None
        self._store = store
        self._spaces = spaces if not isinstance(spaces, Membership) else None
        self._membership = spaces if isinstance(spaces, Membership) else None
        self._access_version, self._access_seen = 0, now()
        self._now, self._random_bits = now, random_bits
        if self._membership is not None:
            self._membership.prepare(store)
        self.serving.open(store)
        self._writer = Writer(
            store,
            self.schema,
            hooks=self.hooks,
            functions=self.functions,
            observation=self.observation,
            watch=self.watch,
            origin=clock.new_origin(random_bits(48)),
            now=now,
            look=self._look_at_access,
        )
        self.write = self._writer.write
        self.sequence_foreign_writes = self._writer.sequence_foreign_writes
        with store.transaction(write=False) as tx:
            self.hub = tx.hub().hub
        self._looked = now()
        self._classes = classes_of(self.schema)
        self._templates = templates_of(self.schema)
        if self.serving.unfilled:
            self.fill()
        self.presence = Presence(store)
        self.desk = Desk(self, now, random_bits)
        self._stop_listening: Callable[[], None] | None = None
        if listens and isinstance(store, Announcing):
            self._stop_listening = store.listen(self._heard, self._beat)

    def handle(self, body: bytes, identity: Identity, looks: Callable[[], None] | None = None) -> Response:
        """One round: `body` is a request of `spec/protocol.md`. Never raises for bad input: the response says what is
        wrong. `looks` is called just before the snapshot of the answer is taken.
        """
        with self.observation.round(identity, len(body)) as seen:
            try:
                return self._handle(body, identity, seen, looks)
            except Exception as failure:  # noqa: BLE001 (what is nobody's fault but ours is logged there)
                error = told_of(failure)
            seen.outcome = error.code
            return error_response(error)

    def _handle(self, body: bytes, identity: Identity, seen: Seen, looks: Callable[[], None] | None) -> Response:
        if is_short(body):
            return self._same(decode_short_request(body), identity)
        request = decode_request(body)
        seen.device = request.device
        check_name(request.device)
        check_schema(self.serving, request.schema)
        self.serving.take(request)
        check_user(request, identity)
        check_compare(request.compare)
        check_want(request.want, self._templates)
        given = self._given(identity)
        need = needs.of_answer(request, given)
        # What hooks do after the commit shall be in the answer, too, and who looks must be told before.
        behind = need.only and looks is None and not self.hooks.wants_after
        outcome = self._push(request, identity, given, seen, need if behind else None)
        need = need._replace(found=outcome.found)
        blocks = self._lease(request, identity)
        if looks is not None:
            looks()

        def make(snapshot: Snapshot) -> Response:
            spaces = wanted(self._access(snapshot.tx, identity, given), request.want, self._templates)
            return self._answer(snapshot, request, identity, spaces, outcome, blocks)

        return self._made(need, make)

    def _same(self, short: m.ShortRequest, identity: Identity) -> Response:
        """Say that nothing is new for who holds that. Nothing is remembered for it, so every hub of the store answers
        alike. Raises `not_same`."""
        check_want(short.want, self._templates)
        given = self._given(identity)
        with self._reading(Need(spaces=sorted(given or ()), only=given is not None)) as snapshot:
            spaces = wanted(self._access(snapshot.tx, identity, given), short.want, self._templates)
            heads = snapshot.tx.spaces(sorted(spaces))
        if short.same not in {self._held(view, identity, spaces, heads) for view in self.serving.views.values()}:
            raise HoldfastError("not_same", "there is something else for this device; it shall say its whole request")
        answer = m.encode(m.ShortAnswer(m.Unchanged(self._now()))) + b"\n"
        return Response(200, "", iter([answer]), lambda: None)

    def _held(self, view: Served, who: Identity, spaces: Mapping[str, Access], heads: Mapping[str, Space]) -> str:
        """The hash of what a device of that version holds when nothing is new for it."""
        cursors = {name: cursor_at(space, space.head, view.mark) for name, space in heads.items()}
        holds = {name: (access, cursors.get(name, "")) for name, access in spaces.items()}
        named = view.schema.version, view.schema.hash, view.layout.hash
        return digest.held(self.hub, who.user, *named, holds)

    def fill(self) -> int:
        """Write what lenses make of rows from before they were there; gives how often a row was looked at."""
        self.sequence_foreign_writes()
        return self.serving.fill(self._store, self._writer.change, self._now())

    def spaces_of(self, identity: Identity) -> dict[str, Access]:
        """What somebody may read and write now. Raises `identity_invalid`, `membership_failed`."""
        given = self._given(identity)
        if given is not None:
            return given
        with self._store.transaction(write=False) as tx:
            return self._access(tx, identity, None)

    def access_of(self, identity: Identity) -> Callable[[Transaction], dict[str, Access]]:
        """The same as each transaction sees it (trap 4): who reads in one what he may by another gets what was written
        after he had lost a space. The function of the application, if there is one, is asked now."""
        given = self._given(identity)
        return lambda tx: self._access(tx, identity, given)

    def _given(self, identity: Identity) -> dict[str, Access] | None:
        """What function or identity say; None when the store is asked, by whoever has a snapshot of it (trap 4)."""
        if self._membership is not None:
            check_identity(identity.user, {})
            return None
        spaces = dict(self._spaces(identity) if self._spaces is not None else identity.spaces)
        check_identity(identity.user, spaces)
        return spaces

    def _access(self, tx: Transaction, identity: Identity, given: dict[str, Access] | None) -> dict[str, Access]:
        if given is not None or self._membership is None:
            return given or {}
        spaces = self._membership.spaces(tx, identity)
        check_identity(identity.user, spaces)
        return spaces

    @contextmanager
    def _reading(self, need: Need) -> Iterator[Snapshot]:
        """A snapshot whose feeds show what other programs had written before."""
        with self._snapshot(need) as snapshot:
            self._look_at_access(snapshot.tx)
            if not snapshot.tx.has_dirty():
                self.observation.nothing_waits()
                yield snapshot
                return
        self.sequence_foreign_writes(seen=True)
        with self._snapshot(need._replace(found=None)) as snapshot:
            yield snapshot

    def _snapshot(self, need: Need) -> Snapshot:
        return Snapshot(begin(self._store, need, write=False), only=need.only and foresees(self._store))

    def _made(self, need: Need, make: Callable[[Snapshot], Made]) -> Made:
        """What `make` makes of a snapshot: first, if that may do, of one that holds only what was foreseen."""
        if need.only:
            try:
                with self._reading(need) as snapshot:
                    return make(snapshot)
            except Unforeseen:
                need = need._replace(only=False, found=None)
        with self._reading(need) as snapshot:
            return make(snapshot)

    def _answer(
        self,
        snapshot: Snapshot,
        request: m.Request,
        identity: Identity,
        spaces: Mapping[str, Access],
        outcome: Outcome,
        blocks: Mapping[str, m.Block] | None = None,
        *,
        live: bool = False,
    ) -> Response:
        """The answer, which holds the snapshot until it was read; one that ended with its beginning is read at once."""
        view = self.serving.view(request.schema)
        facts = (self.hub, identity.user, self._now(), spaces, view.layout, self.schema, request)
        versions = view.mark, view.is_plain, self.serving.introduced, self._writer.counts
        told = self._notice, self._writer.totals.of
        asked = Asked(*facts, live, blocks or {}, self._classes, *versions, *told)
        asked = with_image(snapshot.tx, asked, self.images, view, self.observation)
        if snapshot.only:
            pages: list[int] = []
            whole = list(answer(snapshot.tx, asked, outcome, pages.append))
            self.observation.sent_rows(sum(pages))
            return Response(200, NDJSON, self.observation.answer(iter(whole)), lambda: None)
        lines = self.observation.answer(answer(snapshot.tx, asked, outcome, self.observation.sent_rows))
        return Response(200, NDJSON, guarded(lines), snapshot.keep())

    def read_as(self, request: m.Request, spaces: Mapping[str, Access]) -> Response:
        """What a device would be answered that may read just these spaces; the request brings nothing."""
        reader = Identity(self.hub, spaces)
        need = needs.of_answer(request, spaces)
        return self._made(need, lambda snapshot: self._answer(snapshot, request, reader, spaces, Outcome()))

    def _notice(self, device: str, reset: Sequence[str]) -> None:
        """A device has read what this hub does not know. Increments are counted under a new name from now on: under the
        one before, others may have been counted that have been lost."""
        self.observation.lost(device, reset)
        self._writer.counts = self._writer.counts or clock.new_origin(self._random_bits(48))

    def news(self, last: m.Request, access: Mapping[str, str], identity: Identity) -> Response | None:
        """What has come for a device since its `last` request, whose cursors say what it was sent; None: nothing.

        `access` is what the device was told that it may read.
        """
        given = self._given(identity)

        def make(snapshot: Snapshot) -> Response | None:
            spaces = wanted(self._access(snapshot.tx, identity, given), last.want, self._templates)
            heads = snapshot.tx.spaces(sorted(spaces))
            mark = self.serving.view(last.schema).mark
            moved = any(last.cursors.get(name) != cursor_at(space, space.head, mark) for name, space in heads.items())
            if not moved and spaces == access:
                return None
            return self._answer(snapshot, last, identity, spaces, Outcome(), live=True)

        return self._made(needs.of_answer(last, given), make)

    def _push(
        self, request: m.Request, identity: Identity, given: dict[str, Access] | None, seen: Seen, then: Need | None
    ) -> Outcome:
        """Take what a request brings: acknowledgements, rows that come back, transactions. `then` is what its answer
        will ask, if that may be read with the commit."""
        origins = [*(t.origin for t in request.transactions), *(origin for origin, _ in request.acknowledged)]
        origins += request.sent
        if not origins and not request.restore:
            return Outcome()
        if request.acknowledged or request.restore or request.sent or given is None:
            with begin(self._store, Need(origins=sorted(set(origins)), only=given is not None), write=False) as tx:
                known = tx.origins(sorted(set(origins)))
                owners = {name: Owner(origin.device, origin.user) for name, origin in known.items()}
                check_owner(owners, Owner(request.device, identity.user), origins)
                given = self._access(tx, identity, given)
        if request.acknowledged:
            self._writer.change(lambda tx: tx.forget(request.acknowledged))
        outcome = self._restore(request, identity, given) if request.restore else Outcome()
        if not request.transactions:
            return outcome
        with self.observation.push(request):
            named = (identity, request.device, given, request.transactions, tracing.here(), request.cursors)
            submission = Submission(*named, then, seen.size, request.copied)
            written = self._writer.submit(submission)
        written.restored, written.unrestored = outcome.restored, outcome.unrestored
        self.observation.pushed(seen, request, written)
        return written

    def _restore(self, request: m.Request, identity: Identity, spaces: Mapping[str, Access]) -> Outcome:
        """Take rows that this hub has lost from a device that holds them. Raises `hub_unavailable`: nobody knows which
        were taken, and it does no harm to send them again."""
        rows, origin = request.restore, clock.new_origin(self._random_bits(48))
        submission = submission_of(rows, identity, request.device, spaces, origin)
        written = self.write(lambda _: submission)
        if written.held:
            raise HoldfastError("hub_unavailable", "another program holds rows that come back; try again")
        refused = kept_of(written, rows)
        if refused:
            names = [(result.origin, result.n) for result in written.results]
            self._writer.change(lambda tx: tx.forget(names))
        self.observation.restored(identity.user, request.device, len(rows), len(written.written), refused)
        outcome = Outcome(written.counts)
        outcome.restored, outcome.unrestored = len(rows), refused
        return outcome

    def _lease(self, request: m.Request, identity: Identity) -> dict[str, m.Block]:
        """The keys that the device asks for. Whatever stands in the way: the round goes on without them."""
        tables = [self.schema.by_name[name] for name in sorted(request.blocks) if name in self.schema.by_name]
        blocks: dict[str, m.Block] = {}
        if not tables or "rw" not in self.spaces_of(identity).values():
            return blocks
        for table in tables:
            ask, size = request.blocks[table.name], table.key[0].block
            if size:
                try:
                    asked = (table.name, request.device, ask, size)
                    ranges = self._writer.change(lambda tx, asked=asked: tx.lease(*asked))  # type: ignore[misc]
                    blocks[table.name] = m.Block(ask, ranges)
                except (HoldfastError, StoreUnavailable) as error:
                    log.error("no keys of %s could be leased: %s", table.name, error)
        return blocks

    def _look_at_access(self, tx: Transaction) -> None:
        """Wake everybody when somebody's access may have changed, where no notification tells it."""
        if self._membership is None:
            return
        version, now = cast(AnsweringTransaction, tx).access_version(), self._now()
        poll = self._membership.poll
        due = poll is not None and abs(now - self._access_seen) >= poll * 1000
        if due or version != self._access_version:
            self._access_version, self._access_seen = version, now
            self.watch.everyone()

    def _heard(self) -> None:
        """Another process wrote to the store, a program or another hub: sequence it, and wake who waits."""
        try:
            if not self.sequence_foreign_writes():
                self.watch.everyone()
        except (StoreUnavailable, HoldfastError) as error:
            log.warning("news in the store waits for the next round: %s", error)
        except Exception:
            log.exception("news in the store could not be taken")

    def _beat(self) -> None:
        """Sequence what waits: the process that had begun to do so may have died. Now and then look at what others may
        have changed behind our back."""
        try:
            if abs(self._now() - self._looked) >= LOOK_EVERY:
                self._looked = self._now()
                self.problems()
                self._writer.change(lambda tx: take_up_all(tx, self.schema))
            self.sequence_foreign_writes()
        except (StoreUnavailable, HoldfastError) as error:
            log.warning("what other programs wrote waits: %s", error)
        except Exception:
            log.exception("what other programs wrote could not be taken")

    def history(self, table: str, key: str) -> list[Happened]:
        """What happened to a row, oldest first."""
        self.sequence_foreign_writes()
        with self._store.transaction(write=False) as tx:
            return [happened(entry) for entry in tx.history(table, key)]

    def as_of(self, table: Table, key: str, at: int) -> dict[str, Any] | None:
        """The row as it was at that time, in milliseconds since 2020-01-01 UTC."""
        self.sequence_foreign_writes()
        with self._store.transaction(write=False) as tx:
            return as_of(tx, self.schema, table, key, at)

    def export_history(self, tables: Sequence[str]) -> Iterator[Happened]:
        """The history of tables, streamed out of one snapshot."""
        with self._store.transaction(write=False) as tx:
            for table in tables:
                yield from map(happened, tx.histories(table))

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """One snapshot of the store, in which everything is sequenced that was written before."""
        self.sequence_foreign_writes()
        with self._store.transaction(write=False) as tx:
            yield tx

    def collect(self, pause: Callable[[], bool] = lambda: False) -> int:
        """Forget the history that its table keeps no longer, in short steps, with `pause` between them; gives how many
        conflicts went.
        """
        total = forget_old(self._writer.change, self.schema, self._now, pause)
        if total:
            self.watch.everyone()
        return total

    def compact(self, *, days: float | None = None, pause: Callable[[], bool] = lambda: False) -> Collected:
        """Collect what is older than `days` (None: the horizon), in short steps; `pause` is called between them."""
        before = self._now() - int((self.horizon_days if days is None else days) * DAY)
        conflicts = self.collect(pause)
        with self._store.transaction(write=False) as tx:
            names = tx.all_spaces()
        return Collected(collect_spaces(self._writer.change, names, before, pause), conflicts, len(names))

    def keep_house(self) -> None:
        """From now on collect in quiet time, in a thread that ends with the hub."""
        if self._housekeeper is None:
            self._housekeeper = Housekeeper(lambda: self.observation.rounds, lambda pause: self.compact(pause=pause))

    def health(self) -> dict[str, object]:
        """That the store can be read: hub id, schema version, and the numbers of spaces, of rows that wait aside
        (`aside`) and of things that somebody changed in the database (`problems`).

        Anybody may ask for it. Raises `hub_unavailable`."""
        return health_of(self._store, self.hub, self.schema.version, self.problems)

    def metrics_text(self) -> str:
        """All metrics in Prometheus' text format; `store_up` is 0 when the store cannot be read."""
        try:
            with self._store.transaction(write=False) as tx:
                gauges = [*samples(tx, self.watch.count), *self.observation.drain(tx)]
        except (StoreUnavailable, HoldfastError):
            gauges = [Sample("store_up", (), 0), Sample("live_channels", (), self.watch.count)]
        return self.observation.metrics.text(gauges)

    def problems(self) -> list[str]:
        """What somebody has changed in the database behind the hub's back, each with the remedy; also logged. Raises
        `StoreUnavailable`."""
        found = self._store.problems() if isinstance(self._store, Checking) else []
        found = [*found, *self.observation.losses()]
        for problem in found:
            log.error("%s", problem)
        return found

    def aside(self) -> list[Aside]:
        """The rows that other programs wrote and that cannot be synced as they are, with the reasons, oldest first.
        Each waits until somebody writes it again."""
        with self._store.transaction(write=False) as tx:
            return tx.aside()

    def space_names(self) -> list[str]:
        """Names of all spaces that hold or held rows, in order."""
        with self._store.transaction(write=False) as tx:
            return tx.all_spaces()

    def close(self) -> None:
        """Close the store; idempotent."""
        self.presence.close()
        self._writer.close()
        if self._housekeeper is not None:
            self._housekeeper.stop()
        if self._stop_listening is not None:
            self._stop_listening()
        self._store.close()
