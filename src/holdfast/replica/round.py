"""Rounds: what a device says to the hub, and what it does with the answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

import apsw
import msgspec

from holdfast.errors import HoldfastError
from holdfast.kernel import clock
from holdfast.protocol import messages as m
from holdfast.protocol.codec import decode_line, decode_rows, lines
from holdfast.protocol.conflicts import Conflict
from holdfast.replica.apply import Answer, Applied, Apply, StagedPage, is_known, joined, save_state
from holdfast.replica.arrival import Arrival, content_of_hub
from holdfast.replica.blocks import Blocks
from holdfast.replica.capture import make_readable
from holdfast.replica.changes import note_sealed
from holdfast.replica.coalesce import Coalescing
from holdfast.replica.confirmed import Confirmed, RowName
from holdfast.replica.conflicts import arrived
from holdfast.replica.dependencies import dependants, needs
from holdfast.replica.device import Device
from holdfast.replica.file import applying
from holdfast.replica.looking import Looking
from holdfast.replica.outbox import BATCH_BYTES, MAX_HOLD, Outbox, Sending, with_transactions
from holdfast.replica.pages import Held, MissingError, PageWriter, layout_of, slot_order
from holdfast.replica.progress import Transfer, count_rows
from holdfast.replica.seal import Seal
from holdfast.replica.short import Short
from holdfast.replica.spaces import LocalSpace, LocalSpaces
from holdfast.replica.stage import Stage, write_stage
from holdfast.replica.steering import refresh
from holdfast.replica.steps import note_origin
from holdfast.replica.subscriptions import ended, want
from holdfast.replica.suspects import Suspect, may_be_about_one

log = logging.getLogger("holdfast.replica")

DIRECT_BYTES = 8 * 1024 * 1024
"""The first load of a space is written in transactions of about so many bytes of pages."""

MAX_TRANSACTION = m.MAX_REQUEST - 1024 * 1024
TEMPORARY = frozenset({"busy", "disk_full", "file_unusable"})
"""Errors of the file, not of the answer: what arrived is kept, and applied by the next round."""

MOST = m.MAX_TRANSACTIONS // 2
FIRST_HOLD = 60 * 1000
"""So many milliseconds a transaction that the hub cannot process is held back; each time four times longer."""


class Rounds:
    """The rounds of one process: its connection, its origin, and what has arrived so far.

    Not thread-safe; the replica's sync lock lets one in at a time.
    """

    def __init__(self, db: apsw.Connection, device: Device) -> None:
        self._db = db
        self._device = device
        self._stage = Stage(db, device.path)
        self._outbox = Outbox(db)
        self._spaces = LocalSpaces(db)
        self.looking = Looking(db)
        self.short = Short(db)
        self._blocks = Blocks(db, device.path, device.schema, device.random_bits)
        self._header: m.Header | None = None
        self._direct: list[StagedPage] = []
        self.last_synced: int | None = None
        self.live = False
        self._offset = self._sent_at = 0
        self._acknowledged: list[Any] = []
        self._sent: list[Sending] = []
        self._in_flight = False
        self.more_to_send = False
        self.rows_direct = 0
        self.kept = 0
        self._most = MOST
        self._suspect: Suspect | None = None
        self.transfer = Transfer(time.monotonic)
        self.whole: bool | None = None
        self._conflicts_direct: list[str] = []
        self.compare: dict[str, m.Compare] = {}
        self.compared: dict[str, m.Compared] | None = None
        self.asked_after: list[tuple[str, str]] = []
        self.told: list[m.Told] | None = None
        self._mint()

    def now(self) -> int:
        """The device's clock, uncorrected."""
        return self._device.now()

    @property
    def origin(self) -> str:
        """The origin under which this process writes."""
        return self._origin

    @property
    def sending(self) -> int:
        """How many transactions the last request holds."""
        return len(self._sent)

    def _mint(self) -> None:
        """A new origin: this process numbers its transactions under a name that nobody used before (trap 1)."""
        self._origin = clock.new_origin(self._device.random_bits(48))
        self._next_n = 1

    def seal(self, db: apsw.Connection) -> None:
        """Seal what was captured, on any connection to the file, inside a transaction of the engine there."""
        note_sealed(db)
        note_origin(db, self._origin)
        db.execute("SAVEPOINT holdfast_seal")
        try:
            Seal(db, self._device.tables, self._origin).run()
        except UnicodeDecodeError:
            db.execute("ROLLBACK TO holdfast_seal")
            unreadable = make_readable(db, self._device.tables)
            Seal(db, self._device.tables, self._origin, unreadable).run()
        finally:
            # A full disk may have ended the whole transaction.
            if db.in_transaction:
                db.execute("RELEASE holdfast_seal")

    def build(
        self,
        *,
        digests: bool = False,
        limit: int | None = None,
        page: int | None = None,
        batch: int = BATCH_BYTES,
        uploads: bool = True,
    ) -> bytes:
        """The next request. Names are durable before it returns.

        `page` is what the device wants a page to have, `batch` how many bytes of transactions go out (one at least);
        without `uploads` none do.
        """
        sending, self.more_to_send = self._choose(batch) if uploads else ([], False)
        if self.more_to_send and self._outbox.urgent(self._device.tables.upload_first, [s.txn for s in sending]):
            limit, page = 1, 1
        self._next_n += sum(1 for s in sending if s.origin == self._origin and s.n >= self._next_n)
        acknowledged: list[Any] = self._db.execute("SELECT origin, n FROM holdfast_acknowledge LIMIT 10000").fetchall()
        layout, user = self._db.execute("SELECT layout, user FROM holdfast_state").get
        self._sent, self._in_flight = sending, True
        self.transfer.asks(sends=bool(sending))
        self.kept = 0
        self._acknowledged = acknowledged
        self._sent_at = self._device.now()
        request = m.Request(
            protocol=m.PROTOCOL,
            device=self._device.device,
            schema=m.SchemaName(self._device.schema.version, self._device.schema.hash),
            clock=self._sent_at,
            layout=msgspec.json.decode(layout)["hash"] if layout else "",
            cursors=self._cursors(),
            acknowledged=acknowledged,
            limit=limit,
            page=page,
            want=want(self._db, self._sent_at, only=self._device.only_chosen),
            digests=digests,
            echo=self._waits_for_rows(),
            user=user,
            compare=self.compare,
            blocks=self._blocks.asks(),
            history=self.asked_after,
        )
        self.short.built(None if sending else request)
        return with_transactions(m.encode(request), sending)

    @property
    def device(self) -> Device:
        """What the rounds are for."""
        return self._device

    def interrupt(self) -> None:
        """Break off the statement that runs; called from another thread."""
        self._db.interrupt()

    def _choose(self, batch: int) -> tuple[list[Sending], bool]:
        """The transactions of the next request, and whether more wait. Writes only when there is something to write.

        Those that were sent before go alone: as long as nobody knows where they are, nothing new gets a name. So what
        is written while there is no network stays free to be joined, cancelled, or overtaken.
        """
        if self._suspect is not None:
            return [], True
        if not self.anything_waits():
            return [], False
        after, now = dict(self._header.through) if self._header is not None else {}, self._device.now()
        with applying(self._db, self._device.path):
            self.seal(self._db)
            refused = self._outbox.refuse_oversized(MAX_TRANSACTION)
            if refused:
                names = {(tbl, key) for _, tbl, key, _ in self._outbox.operations(refused)}
                refresh(Confirmed(self._db, self._device.tables), names)
            sending, more = self._outbox.unanswered(after, self._most, batch)
            if sending:
                return sending, more or self._outbox.may_be_sent(now)
            Coalescing(self._db, self._device.tables).run()
            choice = self._outbox.choose(self._device.tables.queue_by_name, now, self._most, batch)
            return self._outbox.name(choice.chosen, self._origin, self._next_n), choice.more

    def narrow(self, error: HoldfastError) -> bool:
        """The hub could not process the last request; gives whether to go on at once, with less of it.

        The one transaction to blame is found by halving. Before it is blamed, an empty request shows that the hub works
        at all.
        """
        if not may_be_about_one(error) or (not self._sent and self._suspect is None):
            return False
        if self._suspect is not None:
            self._suspect, self._most = None, MOST
            return False
        if len(self._sent) > 1:
            self._most = len(self._sent) // 2
        else:
            self._suspect = Suspect(self._sent[0].txn, str(error))
        return True

    def _succeeded(self) -> None:
        """The hub has processed a request: go on with larger ones; if it was the empty one, the suspect is to blame."""
        suspect, self._suspect = self._suspect, None
        self._most = min(self._most * 2, MOST)
        if suspect is None:
            return
        self._most = MOST
        self.more_to_send = True
        sql = "SELECT attempts FROM holdfast_transaction WHERE txn = ? AND state = 'sending'"
        attempts: int | None = self._db.execute(sql, (suspect.txn,)).get
        if attempts is None:
            return
        log.warning("%s: the hub cannot process transaction %d: %s", self._device.path, suspect.txn, suspect.error)
        with applying(self._db, self._device.path):
            wait = min(FIRST_HOLD * 4**attempts, MAX_HOLD)
            self._outbox.fail(suspect.txn, suspect.error, self._device.now() + wait)
            needed = dependants(needs(self._db, ("sending",)), [suspect.txn])
            self._outbox.withdraw([suspect.txn, *needed], "release")

    def anything_waits(self) -> bool:
        """Whether something was captured, or waits to be sent."""
        now = self._device.now()
        over = ended(self._db, self._sent_at, now)
        return over or self._outbox.anything_waits(self._device.tables.queue_by_name, now)

    def _waits_for_rows(self) -> bool:
        """Whether rows have arrived, or will, that the operations of this request must not be taken for newer than."""
        return next(self._stage.pages(), None) is not None or any(space.lost for space in self._spaces.all().values())

    def _cursors(self) -> dict[str, str]:
        known = {name: space.cursor for name, space in self._spaces.all().items() if space.cursor is not None}
        return known | self._stage.cursors()

    def receive(self, chunks: Iterable[bytes]) -> tuple[Applied, m.Footer]:
        """Take an answer. Whole: it is applied. Cut off: what arrived is kept, and `response_incomplete` or what
        broke the stream is raised. With `more`: it is kept, and the next answer will complete it.
        """
        self.short.quiet = False
        try:
            applied, footer = self._receive(chunks)
            self.short.quiet = bool(self.whole) and not (applied.rows or self.rows_direct or applied.results)
            return applied, footer
        except MissingError as missing:
            self._read_anew(missing)
            return Applied(0, [], 0), m.Footer(True)

    def _read_anew(self, missing: MissingError) -> None:
        """This file lacks a row that it should have: forget how far its space was read, so that it comes again."""
        spaces = self._spaces.all().values()
        names = [space.name for space in spaces if missing.space is None or space.number == missing.space]
        log.warning("%s: %s; the space %s is read anew", self._device.path, missing, ", ".join(names))
        self._header = None
        with applying(self._db, self._device.path):
            self._spaces.lose(names)
            self._stage.drop(names)

    def _receive(self, chunks: Iterable[bytes]) -> tuple[Applied, m.Footer]:
        try:
            header, footer = self._read(chunks)
        except BaseException:
            self._keep_arrived()
            raise
        self._header = joined(self._header, header)
        self.live = header.live
        self.whole = False
        if not header.live:
            self._succeeded()
        if not header.live:
            self._rename_lost(header)
        if footer.more or self._misses_answers(header):
            self._stage.spill()
            return Applied(0, [], 0), footer
        answer = Answer(self._header, footer)
        applied = self._finish(answer)
        self._header = None
        self.whole = not self.more_to_send
        self.compared, self.told = footer.compared, footer.history
        if not header.live:
            self._tell_answered(answer.header)
        return applied, footer

    def _tell_answered(self, header: m.Header) -> None:
        """What of the request has had its effect, for the progress."""
        done = [sent for sent in self._sent if sent.n <= header.through.get(sent.origin, 0)]
        self.transfer.answered(len(done), sum(sent.operations for sent in done), sum(len(sent.body) for sent in done))

    def _read(self, chunks: Iterable[bytes]) -> tuple[m.Header, m.Footer]:
        """Read header, pages and footer; stage the pages, or write them at once when their space is new."""
        header: m.Header | None = None
        known: dict[str, LocalSpace] = {}
        arrival: Arrival | None = None
        self.rows_direct = 0
        loaded: int | None = None
        for line in lines(chunks):
            part = decode_line(line)
            if isinstance(part, m.Header):
                if header is not None:
                    raise HoldfastError("response_malformed", "the hub's answer has two headers")
                header, known = part, self._begin(part)
            elif header is None:
                raise HoldfastError("response_malformed", "the hub's answer does not begin with a header")
            elif isinstance(part, m.Footer):
                self._write_direct()
                return header, part
            elif part.space not in header.spaces:
                raise HoldfastError(
                    "response_malformed", "the hub's answer has a page of a space that it does not grant"
                )
            else:
                if part.loaded is not None and (loaded is None or part.loaded > loaded):
                    loaded = part.loaded
                    self._write_direct()
                    with applying(self._db, self._device.path):
                        self._spaces.load(loaded)
                page = StagedPage(part.space, part.cursor, bytes(part.rows))
                self.kept += 1
                self.transfer.page(count_rows(page.rows), len(page.rows))
                space = known.get(part.space)
                if space is None or not (space.ready or space.lost):
                    self._direct.append(page)
                    if sum(len(waiting.rows) for waiting in self._direct) > DIRECT_BYTES:
                        self._write_direct()
                else:
                    arrival = arrival or self._arrival()
                    arrival.check(decode_rows(page.rows))  # what cannot be applied must not be kept
                    self._stage.add(page)
        raise HoldfastError("response_incomplete", "the hub's answer ended before its footer; what arrived is kept")

    def _begin(self, header: m.Header) -> dict[str, LocalSpace]:
        """The hub has the request: it knows our acknowledgements; we know its layout and clock."""
        self.transfer.expects(header.ahead)
        if not header.live:
            self._offset = header.time - (self._sent_at + self._device.now()) // 2
        if header.layout is not None:
            for name, user in self._device.tables.by_name.items():
                slot_order(user, header.layout.tables.get(name, []))  # one that does not fit must not be remembered
        offset = self._offset
        acknowledged = [] if header.live else self._acknowledged
        access = {name: space.access for name, space in self._spaces.all().items() if space.access}
        news = acknowledged or header.reset or header.revoked or header.layout or access != header.spaces
        if news or self._blocks.fresh(header.blocks) or not is_known(self._db, header, offset):
            with applying(self._db, self._device.path):
                save_state(self._db, header, offset, self._sent_at, complete=False)
                self._db.executemany("DELETE FROM holdfast_acknowledge WHERE origin = ? AND n = ?", acknowledged)
                self._spaces.grant(header.spaces)
                self._spaces.lose(header.reset)
                self._stage.drop([*header.reset, *header.revoked])
                self._blocks.keep(header.blocks)
        return self._spaces.all()

    def _keep_arrived(self) -> None:
        """The answer was cut off: keep its pages, forget its header (the hub repeats the results)."""
        self._header = None
        try:
            self._write_direct()
        finally:
            self._stage.spill()

    def _arrival(self) -> Arrival:
        return Arrival(self._device.tables, layout_of(self._db.execute("SELECT layout FROM holdfast_state").get))

    def _write_direct(self) -> None:
        """Write pages of a first load, with their cursor. The rest of the durable work does not wait for them:
        without the last of these pages after a power loss, the cursor is without them, too."""
        if not self._direct:
            return
        # Whatever happens to them: without their cursor the hub sends them again.
        direct, self._direct = self._direct, []
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            with applying(self._db, self._device.path):
                self.seal(self._db)
                layout = self._db.execute("SELECT layout FROM holdfast_state").get
                writer = PageWriter(self._db, self._device.tables, layout_of(layout))
                arrival = self._arrival()
                for page in direct:
                    images = decode_rows(page.rows)
                    arrival.check(images)
                    with content_of_hub():
                        held = writer.write(self._spaces.number(page.space), images)
                    if held:
                        write_stage(self._db, [self._held_page(page, held)])
                    self._spaces.move({page.space: page.cursor})
        finally:
            self._db.execute("PRAGMA synchronous = FULL")
        self.rows_direct += writer.rows
        self._conflicts_direct += writer.conflicts

    def _held_page(self, page: StagedPage, held: dict[RowName, Held]) -> StagedPage:
        """The part of a first load that touches rows with waiting operations: it is folded at the end of the round.

        It has no cursor of its own: the cursor of its space moves with the pages around it.
        """
        images = [image for image in decode_rows(page.rows) if self._name(image) in held]
        return page._replace(cursor="", rows=m.encode(images))

    def _name(self, image: m.Image) -> RowName:
        user = self._device.tables.by_name[image.table]
        return user.number, user.key_of(image.values)

    def _rename_lost(self, header: m.Header) -> None:
        """Transactions behind a gap that the hub cannot close get new names: it has lost what came before (trap 2)."""
        first: dict[str, int] = {}
        for sending in self._sent:
            first.setdefault(sending.origin, sending.n)
        lost = [origin for origin, n in first.items() if header.through.get(origin, n - 1) < n - 1]
        if lost:
            with applying(self._db, self._device.path):
                for origin in lost:
                    self._outbox.rename(origin)
            self._mint()
            self.more_to_send = True

    def _misses_answers(self, header: m.Header) -> bool:
        """Whether something is on its way to the hub that this answer says nothing about: its rows may or may not have
        the effect in them already. They wait for the answer to that, from which it is known (nothing counts twice).

        So it is with what the hub sends unasked, and with what another process that has this file open has sent.
        """
        known = dict(header.through)
        if not header.live:
            self._in_flight = False
            for sent in self._sent:
                known[sent.origin] = max(known.get(sent.origin, 0), sent.n)
        sql = "SELECT origin, max(n) FROM holdfast_transaction WHERE state = 'sending' GROUP BY origin"
        sending: list[Any] = self._db.execute(sql).fetchall()
        missing = any(n > known.get(origin, 0) for origin, n in sending)
        if missing and not self._in_flight:
            self.more_to_send = True
        return missing

    def arrived_conflicts(self, applied: Applied) -> list[Conflict]:
        """The conflicts that the last answer brought and that concern who uses this device."""
        direct, self._conflicts_direct = self._conflicts_direct, []
        if not (direct or applied.conflicts):
            return []
        user = self._db.execute("SELECT user FROM holdfast_state").get
        device = self._device.device

        def execute(sql: str, values: Any) -> list[Any]:
            return self._db.execute(sql, values).fetchall()

        found = arrived(execute, direct, device, user, first_load=True)
        return found + arrived(execute, applied.conflicts, device, user, first_load=False)

    def _finish(self, answer: Answer) -> Applied:
        """Make a whole answer effective. One that brings nothing writes nothing."""
        self.last_synced = self._sent_at + self._offset
        if self._brings_nothing(answer):
            return Applied(0, [], 0)
        try:
            with applying(self._db, self._device.path):
                self.seal(self._db)
                with content_of_hub():
                    applied = Apply(self._db, self._device.tables, self._device.schema).run(answer, self._stage.pages())
                save_state(self._db, answer.header, self._offset, self._sent_at, complete=True)
        except HoldfastError as error:
            if error.code not in TEMPORARY:
                self._header = None
                self._stage.give_up()
            raise
        self._stage.clear()
        return applied

    def _brings_nothing(self, answer: Answer) -> bool:
        header, footer = answer
        spaces = self._spaces.all()
        settled = spaces.keys() == header.spaces.keys() and all(s.ready and not s.lost for s in spaces.values())
        said = header.through or header.results or header.reset or footer.cursors
        return settled and not said and next(self._stage.pages(), None) is None
