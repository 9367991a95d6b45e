"""Answering a round: header, pages and footer out of one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from holdfast.hub.batch import Outcome
from holdfast.hub.compare import compared
from holdfast.hub.cursor import parse_cursor
from holdfast.hub.history import told
from holdfast.hub.identity import Access
from holdfast.hub.reading import Classes, Reading, behind, cursor_at, marked, plan_space, rows_ahead
from holdfast.kernel import digest
from holdfast.protocol import messages as m
from holdfast.protocol.codec import encode_line, encode_page
from holdfast.schema.model import Schema
from holdfast.stores.base import Space, Transaction

PAGE_ROWS = 2_000
PAGE_BYTES = 256 * 1024
LEAST_PAGE = 1024
RESPONSE_BYTES = 64 * 1024 * 1024
"""After so many bytes of pages a response ends with `more`."""


class Asked(NamedTuple):
    """What the answer depends on, beside the snapshot."""

    hub: str
    user: str
    now: int
    spaces: Mapping[str, Access]
    layout: m.Layout
    schema: Schema
    request: m.Request
    live: bool = False
    blocks: Mapping[str, m.Block] = MappingProxyType({})
    classes: Classes = ()
    version: int = 0
    plain: bool = False
    introduced: Callable[[int], Mapping[str, int]] = lambda _: {}
    counts: str = ""
    notice: Callable[[str, Sequence[str]], None] = lambda *_: None
    total: Callable[[Transaction, Space], str] = lambda *_: ""
    image: m.ImageOffer | None = None


def answer(
    tx: Transaction, asked: Asked, outcome: Outcome, sent: Callable[[int], None] = lambda _: None
) -> Iterator[bytes]:
    """The lines of the response, one `bytes` a line, read from `tx` as they are asked for. `sent` is told how many rows
    each page has.
    """
    request = asked.request
    names = sorted(asked.spaces)
    heads = tx.spaces(names)
    # Who does not know the layout yet cannot make the stamps of his own rows, unless it is that of his schema.
    knows_layout = request.layout == asked.layout.hash or (asked.plain and not request.layout)
    own = own_rows(request.cursors, outcome) if knows_layout and not request.echo else {}
    readings, reset = plan(tx, asked, heads, names, own) if asked.image is None else ([], [])
    # What no hub has ever given out says nothing of a history: anybody can write that.
    lost = [name for name in reset if parse_cursor(request.cursors[name]) is not None]
    if lost:
        asked.notice(request.device, lost)
    through, results = outcome.through, outcome.results
    left = {one.origin for one in request.transactions} | request.sent.keys()
    if not asked.live and (left := left - through.keys()):
        known, stored = processed_before(tx, request, sorted(left))
        through, results = {**through, **known}, [*results, *stored]
    state = tx.hub()
    counts = outcome.counts or asked.counts or state.counts
    yield encode_line(
        "header",
        m.Header(
            hub=asked.hub,
            user=asked.user,
            time=asked.now,
            hlc=state.hlc,
            spaces=dict(asked.spaces),
            through=through,
            revoked=sorted(set(request.cursors) - set(names)),
            reset=reset,
            behind=[name for name in names if name not in reset and behind(heads.get(name), request.cursors.get(name))],
            layout=asked.layout if asked.layout.hash != request.layout else None,
            results=results,
            live=asked.live,
            blocks=dict(asked.blocks),
            ahead=rows_ahead(tx, readings),
            counts=counts if counts != asked.hub else None,
            restored=outcome.restored,
            unrestored=outcome.unrestored,
            image=asked.image,
        ),
    )
    if asked.image is not None:
        yield encode_line("footer", m.Footer(True))
        return
    room = min(request.limit or RESPONSE_BYTES, RESPONSE_BYTES)
    size = max(LEAST_PAGE, min(request.page or PAGE_BYTES, PAGE_BYTES))
    for line in (line for reading in marked(readings) for line in pages(tx, reading, size, sent)):
        if room <= 0:
            yield encode_line("footer", m.Footer(True))
            return
        room -= len(line)
        yield line
    yield encode_line("footer", footer(tx, asked, heads))


def processed_before(
    tx: Transaction, request: m.Request, origins: Sequence[str]
) -> tuple[dict[str, int], list[m.Result]]:
    """What became of transactions that were left alone, because a history is lost, and that had been processed before:
    the rows of this snapshot have their effects, so the answer must say so (nothing counts twice)."""
    last = {origin: record.last_n for origin, record in tx.origins(origins).items()}
    through = {origin: min(n, last[origin]) for origin, n in request.sent.items() if origin in last}
    for one in request.transactions:
        if one.n <= last.get(one.origin, 0):
            through[one.origin] = max(one.n, through.get(one.origin, 0))
    stored = tx.results(sorted(through)) if through else []
    return through, [m.decode_result(found.body) for found in stored if found.n <= through[found.origin]]


def plan(
    tx: Transaction,
    asked: Asked,
    heads: Mapping[str, Space],
    names: Sequence[str],
    own: Mapping[str, frozenset[int]],
) -> tuple[list[Reading], list[str]]:
    """What is to be sent, in the order of priorities, without the device's own rows, and which of its cursors are not
    of this history.
    """
    readings: list[Reading] = []
    reset: list[str] = []
    wanted = asked.request.want.spaces if asked.request.want is not None else {}
    for name in names:
        text = asked.request.cursors.get(name)
        found, known = plan_space(
            tx, heads.get(name), text, asked.classes, wanted.get(name, 0), asked.version, asked.introduced
        )
        if text is not None and not known:
            reset.append(name)
        skip = own.get(name, frozenset()) if known or text is None else frozenset()
        patches = not asked.request.whole
        skipping = (r._replace(skip=skip, patches=r.patches and patches).behind_own() for r in found)
        readings += [reading for reading in skipping if reading.level or reading.after < reading.until]
    return sorted(readings, key=lambda reading: reading.priority), reset


def own_rows(cursors: Mapping[str, str], outcome: Outcome) -> dict[str, frozenset[int]]:
    """Rows that the device need not get back: plain in every operation, and unchanged since its cursor before that."""
    own: dict[str, set[int]] = {}
    seen: dict[str, int] = {}
    for name in outcome.plain - outcome.mixed:
        written = outcome.written.get(name)
        if written is None:
            continue
        space = written.space
        if space not in seen:
            text = cursors.get(space)
            cursor = parse_cursor(text) if text is not None else None
            # Within a first load by classes, rows of the later classes have been passed without having been sent.
            seen[space], own[space] = cursor.seq if cursor is not None and not cursor.level else 0, set()
        if written.before <= seen[space]:
            own[space].add(written.seq)
    return {space: frozenset(seqs) for space, seqs in own.items()}


def pages(tx: Transaction, reading: Reading, most: int, sent: Callable[[int], None]) -> Iterator[bytes]:
    """The page lines of one reading, each ended by the row that fills `most` bytes. The last page carries the cursor
    at the end of the reading, even when its rows end before.
    """
    space = reading.space
    images: list[bytes] = []
    size, last = 0, reading.after
    for seq, image in tx.feed(space.name, reading.after, reading.until, patches=reading.patches):
        if len(images) >= PAGE_ROWS or size >= most:
            sent(len(images))
            yield encode_page(space.name, reading.cursor(last), images, reading.loaded)
            images, size = [], 0
        last = seq
        if seq not in reading.skip and reading.takes(image):
            images.append(image)
            size += len(image)
    if images:
        sent(len(images))
        yield encode_page(space.name, reading.end(), images, reading.loaded)


def footer(tx: Transaction, asked: Asked, heads: Mapping[str, Space]) -> m.Footer:
    """The last line: the cursors that changed, and what was asked for of the digests."""
    cursors = {}
    for name, space in heads.items():
        text = cursor_at(space, space.head, asked.version)
        if asked.request.cursors.get(name) != text:
            cursors[name] = text
    digests = {}
    totals = {name: total for name in cursors if (total := asked.total(tx, heads[name]))}
    if asked.request.digests:
        digests = {name: digest.root({b: total for b, (_, total) in tx.digest(name).items()}) for name in asked.spaces}
    readable = {name: ask for name, ask in asked.request.compare.items() if name in asked.spaces}
    found = compared(tx, asked.schema, heads, readable, asked.hub.encode())
    return m.Footer(False, cursors, digests, found, told(tx, asked.schema, asked.request.history, asked.spaces), totals)
