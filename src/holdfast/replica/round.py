"""Rounds: what a device says to the hub, and what it does with the answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

import apsw
import msgspec

from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m
from holdfast.protocol.conflicts import Conflict
from holdfast.replica.apply import Answer, Applied, Apply, is_known, joined, save_state
from holdfast.replica.arrival import content_of_hub
from holdfast.replica.blocks import Blocks
from holdfast.replica.compare import begin_totals
from holdfast.replica.conflicts import arrived_in
from holdfast.replica.device import Device
from holdfast.replica.downloads import Downloads
from holdfast.replica.file import applying
from holdfast.replica.looking import Looking
from holdfast.replica.outbox import BATCH_BYTES, with_transactions
from holdfast.replica.pages import MissingError, check_layout
from holdfast.replica.progress import Transfer
from holdfast.replica.returning import Returning
from holdfast.replica.short import Short
from holdfast.replica.spaces import LocalSpace, LocalSpaces
from holdfast.replica.subscriptions import ended, want
from holdfast.replica.totals import doubt, weigh
from holdfast.replica.uploads import Uploads

log = logging.getLogger("holdfast.replica")

PROMPT = 10_000
"""An answer that begins after so many milliseconds says little of the hub's clock: nobody knows when on its way it was
written."""
TEMPORARY = frozenset({"busy", "disk_full", "file_unusable"})
"""Errors of the file, not of the answer: what arrived is kept, and applied by the next round."""


class Rounds:
    """The rounds of one process: its connection, its origin, and what has arrived so far.

    Not thread-safe; the replica's sync lock lets one in at a time.
    """

    def __init__(self, db: apsw.Connection, device: Device) -> None:
        self._db = db
        self._device = device
        self._spaces = LocalSpaces(db)
        self._blocks = Blocks(db, device.path, device.schema, device.random_bits)
        self._header: m.Header | None = None
        self._offset = self._sent_at = self._sent = 0
        self.steady = device.now
        """A clock in milliseconds that is never set: that of the device, unless it has a better one."""
        self._acknowledged: list[Any] = []
        self.looking = Looking(db)
        self.short = Short(db)
        self.transfer = Transfer(time.monotonic)
        self._uploads = Uploads(db, device)
        self._downloads = Downloads(db, device, self.transfer, self._uploads.seal)
        self._stage = self._downloads.stage
        self.seal = self._uploads.seal
        self._returning = Returning(db, device, self.seal)
        self.last_synced: int | None = None
        self.live = False
        self.whole: bool | None = None
        self.compare: dict[str, m.Compare] = {}
        self.compared: dict[str, m.Compared] | None = None
        self.asked_after: list[tuple[str, str]] = []
        self.told: list[m.Told] | None = None

    @property
    def device(self) -> Device:
        """What the rounds are for."""
        return self._device

    @property
    def origin(self) -> str:
        """The origin under which this process writes."""
        return self._uploads.origin

    @property
    def sending(self) -> int:
        """How many transactions the last request holds."""
        return len(self._uploads.sent)

    @property
    def more_to_send(self) -> bool:
        """Whether another request is needed for what waits."""
        return self._uploads.more

    @property
    def rows_direct(self) -> int:
        """How many rows of the last answer were written before its end."""
        return self._downloads.rows

    @property
    def kept(self) -> int:
        """How many pages have come since the last request."""
        return self._downloads.kept

    def now(self) -> int:
        """The device's clock, uncorrected."""
        return self._device.now()

    def build(
        self,
        *,
        digests: bool = False,
        limit: int | None = None,
        page: int | None = None,
        batch: int = BATCH_BYTES,
        uploads: bool = True,
        image: str = "",
    ) -> bytes:
        """The next request. Names are durable before it returns.

        `page` is what the device wants a page to have, `batch` how many bytes of transactions go out (one at least);
        without `uploads` none do. `image` says that a file would do instead of pages, and which.
        """
        answered = self._header.through if self._header is not None else {}
        copies = self._returning.choose() if uploads else []
        returns = bool(copies) or any(space.lost for space in self._spaces.all().values())
        if self._uploads.begin(batch, answered, allowed=uploads and not returns):
            limit, page = 1, 1
        sending, asked = self._uploads.sent, self._uploads.ask() if uploads and returns else {}
        self._uploads.more = self._uploads.more or bool(copies)
        acknowledged: list[Any] = self._db.execute("SELECT origin, n FROM holdfast_acknowledge LIMIT 10000").fetchall()
        layout, user = self._db.execute("SELECT layout, user FROM holdfast_state").get
        waits = self._waits_for_rows()
        self.transfer.asks(sends=bool(sending))
        self._downloads.kept, self._downloads.asked = 0, self._cursors()
        self._acknowledged = acknowledged
        self._sent_at, self._sent = self._device.now(), self.steady()
        request = m.Request(
            protocol=m.PROTOCOL,
            device=self._device.device,
            schema=m.SchemaName(self._device.schema.version, self._device.schema.hash),
            clock=self._sent_at,
            layout=msgspec.json.decode(layout)["hash"] if layout else "",
            cursors=dict(self._downloads.asked),
            acknowledged=acknowledged,
            limit=limit,
            page=page,
            want=want(self._db, self._sent_at, only=self._device.only_chosen, upload=self._device.tables.upload_rules),
            digests=digests,
            echo=waits or bool(sending and not self._makes_stamps()),
            copied=self._uploads.copied,
            user=user,
            compare=self.compare,
            blocks=self._blocks.asks(),
            history=self.asked_after,
            restore=copies,
            sent=asked,
            whole=waits,
            image=image,
        )
        self.short.built(None if sending or copies or asked else request)
        return with_transactions(m.encode(request), sending)

    @property
    def connection(self) -> apsw.Connection:
        """The connection of the rounds, for who holds the sync lock."""
        return self._db

    def interrupt(self) -> None:
        """Break off the statement that runs; called from another thread."""
        self._db.interrupt()

    def anything_waits(self) -> bool:
        """Whether something was captured, or waits to be sent, or a subscription has ended."""
        over = ended(self._db, self._sent_at, self._device.now())
        return over or self._returning.waits() or self._uploads.anything_waits()

    def narrow(self, error: HoldfastError) -> bool:
        """The hub could not process the last request; gives whether to go on at once, with less of it."""
        return self._returning.narrow(error) or self._uploads.narrow(error)

    def _makes_stamps(self) -> bool:
        """Whether our own rows get the stamps here that the hub gives them: it has no cells that we do not know."""
        later = "SELECT EXISTS (SELECT 1 FROM holdfast_transaction WHERE schema <> 0)"
        return self._device.tables.take_layout(self._db).in_order and not self._db.execute(later).get

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
            header, footer = self._downloads.read(chunks, self._begin)
        except BaseException:
            self._header = None  # the hub repeats the results
            raise
        self._header = joined(self._header, header)
        self.live = header.live
        self.whole = False
        if not header.live:
            self._uploads.answered(header.through)
            # What a hub has lost comes back before the transactions that may build on it: it left them alone.
            goes_on = self._returning.answered(header) or bool(header.reset and self._uploads.sent)
            self._uploads.more = self._uploads.more or goes_on
        if footer.more or self._uploads.misses_answers(header.through, live=header.live):
            self._downloads.keep()
            return Applied(0, [], 0), footer
        answer = Answer(self._header, footer)
        applied = self._finish(answer)
        self._uploads.more = self._returning.finished() or self._uploads.more
        self._header = None
        self.whole = not self.more_to_send
        self.compared, self.told = footer.compared, footer.history
        if not header.live:
            self._tell_answered(answer.header)
        return applied, footer

    def _tell_answered(self, header: m.Header) -> None:
        """What of the request has had its effect, for the progress."""
        done = [sent for sent in self._uploads.sent if sent.n <= header.through.get(sent.origin, 0)]
        self.transfer.answered(len(done), sum(sent.operations for sent in done), sum(len(sent.body) for sent in done))

    def _begin(self, header: m.Header) -> dict[str, LocalSpace]:
        """The hub has the request: it knows our acknowledgements; we know its layout and clock."""
        self.transfer.expects(header.ahead)
        if not header.live:
            self._offset = self._measured(header)
        if header.layout is not None:
            for name, user in self._device.tables.by_name.items():
                check_layout(user, header.layout.tables.get(name, []))  # one that does not fit must not be remembered
        offset = self._offset
        acknowledged = [] if header.live else self._acknowledged
        access = {name: space.access for name, space in self._spaces.all().items() if space.access}
        told = header.reset or header.behind or header.revoked or header.layout
        news = acknowledged or told or access != header.spaces
        if news or self._blocks.fresh(header.blocks) or not is_known(self._db, header, offset):
            with applying(self._db, self._device.path):
                before = self._db.execute("SELECT hub FROM holdfast_state").get
                save_state(self._db, header, offset, self._sent_at, complete=False)
                self._db.executemany("DELETE FROM holdfast_acknowledge WHERE origin = ? AND n = ?", acknowledged)
                self._spaces.grant(header.spaces)
                self._spaces.lose(header.reset, other_hub=before not in ("", header.hub))
                self._returning.allow(header)
                self._spaces.fall_behind(header.behind)
                self._stage.drop([*header.reset, *header.revoked])
                self._blocks.keep(header.blocks)
        return self._spaces.all()

    def _measured(self, header: m.Header) -> int:
        """How far the hub's clock is ahead of the device's, in milliseconds. The hub wrote its time at some moment
        between the request and now; of an answer that took long the whole span is possible, and what was known stands
        if it lies in there.
        """
        took = max(0, self.steady() - self._sent)
        least = header.time - self._device.now()
        if took <= PROMPT:
            return least + took // 2
        hub, known = self._db.execute("SELECT hub, clock_offset FROM holdfast_state").get
        if hub != header.hub:
            return least + took // 2
        return int(min(max(known, least), least + took))

    def arrived_conflicts(self, applied: Applied) -> list[Conflict]:
        """The conflicts that the last answer brought and that concern who uses this device."""
        direct, self._downloads.conflicts = self._downloads.conflicts, []
        return arrived_in(self._db, self._device.device, direct, applied.conflicts)

    def _finish(self, answer: Answer) -> Applied:
        """Make a whole answer effective. One that brings nothing writes nothing."""
        self.last_synced = self._sent_at + self._offset
        if self._brings_nothing(answer):
            return Applied(0, [], 0)
        try:
            with applying(self._db, self._device.path):
                self.seal(self._db)
                with content_of_hub():
                    apply = Apply(self._db, self._device.tables, self._device.schema)
                    applied = apply.run(answer, self._stage, self._returning.taken)
                begin_totals(self._db, self._device.tables)
                save_state(self._db, answer.header, self._offset, self._sent_at, complete=True)
            self._weigh(answer.footer.totals)
        except HoldfastError as error:
            if error.code not in TEMPORARY:
                self._header = None
                self._stage.give_up()
            raise
        self._stage.clear()
        return applied

    def _weigh(self, said: Mapping[str, str]) -> None:
        """Doubt the spaces whose total is not what the hub says of the rows that were just applied."""
        wrong, right = weigh(self._db, said)
        if wrong or right:
            with applying(self._db, self._device.path):
                doubt(self._db, wrong, 1)
                doubt(self._db, right, 0)

    def _brings_nothing(self, answer: Answer) -> bool:
        header, footer = answer
        spaces = self._spaces.all()
        settled = spaces.keys() == header.spaces.keys() and all(s.ready and not s.lost for s in spaces.values())
        said = header.through or header.results or header.reset or footer.cursors or self._returning.taken
        return settled and not said and next(self._stage.pages(), None) is None
