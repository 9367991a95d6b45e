"""Downloads: the stream of an answer, read into the stage, or into the tables when a space comes for the first time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import apsw

from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m
from holdfast.protocol.codec import decode_line, decode_rows, lines
from holdfast.replica.apply import StagedPage
from holdfast.replica.arrival import Arrival, content_of_hub
from holdfast.replica.confirmed import RowName
from holdfast.replica.device import Device
from holdfast.replica.file import applying
from holdfast.replica.outbox import Outbox
from holdfast.replica.pages import Held, PageWriter, layout_of
from holdfast.replica.progress import Transfer, count_rows
from holdfast.replica.spaces import LocalSpace, LocalSpaces
from holdfast.replica.stage import Stage, write_stage

DIRECT_BYTES = 8 * 1024 * 1024
"""The first load of a space is written in transactions of about so many bytes of pages."""

Begin = Callable[[m.Header], dict[str, LocalSpace]]


class ImageOfferedError(Exception):
    """The hub offers the first load as one file; the header says which."""

    def __init__(self, header: m.Header) -> None:
        super().__init__("the hub offers a file image")
        self.header = header


class Downloads:
    """Pages on their way into the file. Not thread-safe.

    `asked` are the cursors of the last request. `kept` counts the pages since the last request, `rows` those of the
    last answer that were written at once, and `conflicts` are the keys of conflicts among them. `seal` seals what was
    captured, before anything is written.
    """

    def __init__(
        self, db: apsw.Connection, device: Device, transfer: Transfer, seal: Callable[[apsw.Connection], None]
    ) -> None:
        self._db = db
        self._device = device
        self._transfer = transfer
        self._seal = seal
        self._spaces = LocalSpaces(db)
        self._direct: list[StagedPage] = []
        self._uncounted: m.Header | None = None
        self.stage = Stage(db, device.path, self._count)
        self.asked: Mapping[str, str] = {}
        self.kept = self.rows = 0
        self.conflicts: list[str] = []

    def read(self, chunks: Iterable[bytes], begin: Begin) -> tuple[m.Header, m.Footer]:
        """Read header, pages and footer; stage the pages, or write them at once when their space is new. `begin` takes
        the header and gives the spaces that this file knows. What breaks the stream is raised, what had come is kept.
        """
        try:
            return self._read(chunks, begin)
        except BaseException:
            self.keep()
            raise

    def _read(self, chunks: Iterable[bytes], begin: Begin) -> tuple[m.Header, m.Footer]:
        header: m.Header | None = None
        known: dict[str, LocalSpace] = {}
        arrival: Arrival | None = None
        self.rows = 0
        loaded: int | None = None
        further = False
        for line in lines(chunks):
            part = decode_line(line)
            if isinstance(part, m.Header):
                if header is not None:
                    raise HoldfastError("response_malformed", "the hub's answer has two headers")
                header, known = part, begin(part) if part.image is None else {}
                self._uncounted = header
            elif header is None:
                raise HoldfastError("response_malformed", "the hub's answer does not begin with a header")
            elif isinstance(part, m.Footer):
                if header.image is not None:
                    raise ImageOfferedError(header)
                self._write_direct()
                if part.more and not further:
                    message = "the hub says that more comes, but this answer leads no further than the request"
                    raise HoldfastError("response_malformed", message)
                return header, part
            elif part.space not in header.spaces or header.image is not None:
                raise HoldfastError(
                    "response_malformed", "the hub's answer has a page of a space that it does not grant"
                )
            else:
                if part.loaded is not None and (loaded is None or part.loaded > loaded):
                    loaded = part.loaded
                    self._write_direct()
                    with applying(self._db, self._device.path):
                        self._spaces.load(loaded)
                further = further or self.asked.get(part.space) != part.cursor
                page = StagedPage(part.space, part.cursor, bytes(part.rows))
                self.kept += 1
                self._transfer.page(count_rows(page.rows), len(page.rows))
                space = known.get(part.space)
                if space is None or not (space.ready or space.lost):
                    self._direct.append(page)
                    if sum(len(waiting.rows) for waiting in self._direct) > DIRECT_BYTES:
                        self._write_direct()
                else:
                    arrival = arrival or self._arrival()
                    arrival.check(decode_rows(page.rows))  # what cannot be applied must not be kept
                    self.stage.add(page)
        raise HoldfastError("response_incomplete", "the hub's answer ended before its footer; what arrived is kept")

    def keep(self) -> None:
        """The answer is not whole: keep its pages (the hub repeats the rest)."""
        try:
            self._count()
            self._write_direct()
        finally:
            self.stage.spill()

    def _count(self) -> None:
        """Keep with the pages the name under which the hub counted the transactions of the request: its own rows of
        them are not among these pages, nor in what completes the answer, which may say another name."""
        header, self._uncounted = self._uncounted, None
        if header is not None and header.through:
            with applying(self._db, self._device.path):
                Outbox(self._db).count(header.through, header.counts or header.hub)

    def _arrival(self) -> Arrival:
        tables = self._device.tables.take_layout(self._db)
        return Arrival(tables, layout_of(self._db.execute("SELECT layout FROM holdfast_state").get))

    def _write_direct(self) -> None:
        """Write pages of a first load, with their cursor. The rest of the durable work does not wait for them:
        without the last of these pages after a power loss, the cursor is without them, too."""
        if not self._direct:
            return
        self._count()
        # Whatever happens to them: without their cursor the hub sends them again.
        direct, self._direct = self._direct, []
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            with applying(self._db, self._device.path):
                self._seal(self._db)
                writer = PageWriter(self._db, self._device.tables.take_layout(self._db))
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
        self.rows += writer.rows
        self.conflicts += writer.conflicts

    def _held_page(self, page: StagedPage, held: dict[RowName, Held]) -> StagedPage:
        """The part of a first load that touches rows with waiting operations: it is folded at the end of the round.

        It has no cursor of its own: the cursor of its space moves with the pages around it.
        """
        known = self._device.tables.by_name
        images = [i for i in decode_rows(page.rows) if i.table in known and self._name(i) in held]
        return page._replace(cursor="", rows=m.encode(images))

    def _name(self, image: m.Image) -> RowName:
        user = self._device.tables.by_name[image.table]
        return user.number, user.key_of(image.values)
