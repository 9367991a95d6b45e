"""Answering a round: header, pages and footer out of one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from holdfast.hub.batch import Outcome
from holdfast.hub.compare import compared
from holdfast.hub.cursor import Cursor, is_ours, parse_cursor
from holdfast.hub.history import told
from holdfast.hub.identity import Access
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


class Reading(NamedTuple):
    """One space to be sent: from `after` to the head, without the rows that the device has already.

    `patches`: the device has everything that the space held when its head was `after`, so changes of rows will do.
    """

    space: Space
    after: int
    skip: frozenset[int]
    patches: bool


def answer(
    tx: Transaction, asked: Asked, outcome: Outcome, sent: Callable[[int], None] = lambda _: None
) -> Iterator[bytes]:
    """The lines of the response, one `bytes` a line, read from `tx` as they are asked for. `sent` is told how many rows
    each page has.
    """
    request = asked.request
    names = sorted(asked.spaces)
    heads = tx.spaces(names)
    own = {} if request.echo else own_rows(request.cursors, outcome)
    readings, reset = plan(tx, heads, request.cursors, names, own)
    yield encode_line(
        "header",
        m.Header(
            hub=asked.hub,
            user=asked.user,
            time=asked.now,
            hlc=tx.hub().hlc,
            spaces=dict(asked.spaces),
            through=outcome.through,
            revoked=sorted(set(request.cursors) - set(names)),
            reset=reset,
            layout=asked.layout if asked.layout.hash != request.layout else None,
            results=outcome.results,
            live=asked.live,
            blocks=dict(asked.blocks),
            ahead=sum(rows_ahead(tx, reading) for reading in readings),
        ),
    )
    room = min(request.limit or RESPONSE_BYTES, RESPONSE_BYTES)
    size = max(LEAST_PAGE, min(request.page or PAGE_BYTES, PAGE_BYTES))
    for line in (line for reading in readings for line in pages(tx, reading, size, sent)):
        if room <= 0:
            yield encode_line("footer", m.Footer(True))
            return
        room -= len(line)
        yield line
    yield encode_line("footer", footer(tx, asked, heads))


def plan(
    tx: Transaction,
    heads: Mapping[str, Space],
    cursors: Mapping[str, str],
    names: Sequence[str],
    own: Mapping[str, frozenset[int]],
) -> tuple[list[Reading], list[str]]:
    """Which spaces have something to send, without the device's own rows, and which of its cursors are not of this
    history.
    """
    readings, reset = [], []
    for name in names:
        space, text = heads.get(name), cursors.get(name)
        cursor = parse_cursor(text) if text is not None else None
        known = is_ours(cursor, space, tx)
        if text is not None and not known:
            reset.append(name)
        if space is None:
            continue
        after = cursor.seq if known and cursor is not None else 0
        if after < space.head:
            skip = own.get(name, frozenset()) if known or text is None else frozenset()
            patches = known and cursor is not None and cursor.seq == cursor.head
            readings.append(Reading(space, after, skip, patches))
    return readings, reset


def rows_ahead(tx: Transaction, reading: Reading) -> int:
    """At most so many rows will be sent of a space: no more than numbers follow, and no more than it holds.

    Numbers are sparse where rows were written often, so a long way is measured by the counts of the digest.
    """
    numbers = reading.space.head - reading.after
    if numbers <= PAGE_ROWS:
        return numbers
    return min(numbers, sum(count for count, _ in tx.digest(reading.space.name).values()))


def own_rows(cursors: Mapping[str, str], outcome: Outcome) -> dict[str, frozenset[int]]:
    """Rows that the device need not get back: plain in every operation, and unchanged since its cursor before that."""
    own: dict[str, set[int]] = {}
    for name in outcome.plain - outcome.mixed:
        written = outcome.written.get(name)
        if written is None:
            continue
        text = cursors.get(written.space)
        cursor = parse_cursor(text) if text is not None else None
        if written.before <= (cursor.seq if cursor is not None else 0):
            own.setdefault(written.space, set()).add(written.seq)
    return {space: frozenset(seqs) for space, seqs in own.items()}


def pages(tx: Transaction, reading: Reading, most: int, sent: Callable[[int], None]) -> Iterator[bytes]:
    """The page lines of one space, each ended by the row that fills `most` bytes. The last page carries the
    cursor at the head, even when its rows end before.
    """
    space = reading.space
    images: list[bytes] = []
    size, last = 0, reading.after
    for seq, image in tx.feed(space.name, reading.after, space.head, patches=reading.patches):
        if len(images) >= PAGE_ROWS or size >= most:
            sent(len(images))
            yield encode_page(space.name, cursor_at(space, last), images)
            images, size = [], 0
        last = seq
        if seq not in reading.skip:
            images.append(image)
            size += len(image)
    if images:
        sent(len(images))
        yield encode_page(space.name, cursor_at(space, space.head), images)


def cursor_at(space: Space, seq: int) -> str:
    """The cursor after the row `seq`, read in the snapshot in which `space` is the head."""
    return Cursor(space.epoch, seq, space.head, space.chain).text()


def footer(tx: Transaction, asked: Asked, heads: Mapping[str, Space]) -> m.Footer:
    """The last line: the cursors that changed, and what was asked for of the digests."""
    cursors = {}
    for name, space in heads.items():
        text = cursor_at(space, space.head)
        if asked.request.cursors.get(name) != text:
            cursors[name] = text
    digests = {}
    if asked.request.digests:
        digests = {name: digest.root({b: total for b, (_, total) in tx.digest(name).items()}) for name in asked.spaces}
    readable = {name: ask for name, ask in asked.request.compare.items() if name in asked.spaces}
    found = compared(tx, asked.schema, heads, readable, asked.hub.encode())
    return m.Footer(False, cursors, digests, found, told(tx, asked.schema, asked.request.history, asked.spaces))
