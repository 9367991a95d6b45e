"""What crosses the wire, as types: `spec/protocol.md` and `spec/encoding.md` sections 5 and 6 in Python.

Decoding is strict in the members it knows and ignores those it does not. All times are milliseconds since 2020-01-01
UTC.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

PROTOCOL = 1
MAX_REQUEST = 16 * 1024 * 1024
MAX_TRANSACTIONS = 20_000
MAX_OPERATIONS = 100_000
MAX_HISTORY = 100
"""So many rows may be asked after in one request."""
MAX_ANNOUNCED = 1024
MAX_COMPARED = 10_000
MAX_RESTORED = 10_000
"""So many rows may come back in one request."""

# The lengths stand beside the patterns because `$` also matches before a newline at the end.
Origin = Annotated[str, Meta(pattern="^[0-9a-f]{12}$", max_length=12, description="48 random bits, hexadecimal")]
StampText = Annotated[
    str,
    Meta(pattern="^[01][0-9a-f]{13}-[0-9a-f]{12}$", max_length=27, description="hybrid time, hyphen, origin"),
]
HybridTime = Annotated[str, Meta(pattern="^[01][0-9a-f]{13}$", max_length=14, description="hybrid time of a stamp")]
Integer = Annotated[int, Meta(ge=-(2**53) + 1, le=2**53 - 1)]
Count = Annotated[int, Meta(ge=1, le=2**53 - 1)]
Life = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Key = Annotated[str, Meta(max_length=1024)]
Name = Annotated[str, Meta(min_length=1, max_length=63)]
Slot = Annotated[int, Meta(ge=0, lt=32_767)]
SpaceName = Annotated[str, Meta(min_length=1, max_length=200)]
HubId = Annotated[str, Meta(pattern="^[0-9a-f]{12}$", max_length=12)]
Bucket = Annotated[str, Meta(pattern="^(0|[1-9][0-9]{0,3})$", max_length=4)]
Tags = Annotated[str, Meta(max_length=400_000)]
CursorText = Annotated[str, Meta(min_length=1, max_length=200)]


class Operation(Struct, tag_field="op", omit_defaults=True):
    """One change of one row by one writer. `life` is the life the writer had seen."""

    table: Name
    key: Key
    stamp: StampText
    life: Life = 0


class Insert(Operation, tag="insert"):
    """A new row: `set` maps column -> initial change."""

    set: dict[str, Any] = {}


class Update(Operation, tag="update"):
    """`set` maps column -> change, `base` maps column -> stamp that the writer had seen (absent: never written).
    `joined` are the hybrid times of earlier edits that it stands for, too.
    """

    set: dict[str, Any] = {}
    base: dict[str, StampText] = {}
    joined: Annotated[list[HybridTime], Meta(max_length=MAX_OPERATIONS)] = []


class Delete(Operation, tag="delete"):
    """`base` is the row's stamps text that the writer had seen."""

    base: str = ""


AnyOperation = Insert | Update | Delete


class Restore(Struct, omit_defaults=True):
    """A confirmed row that a hub has lost, as the device holds it (`spec/protocol.md`, section 16).

    `set` maps column -> [value, stamp] or [value, stamp, state] of each cell that was written. A dead row has none;
    `seen` are its stamps.
    """

    table: Name
    key: Key
    space: SpaceName
    life: Count
    set: dict[str, Annotated[list[Any], Meta(min_length=2, max_length=3)]] = {}
    seen: str = ""


class Transaction(Struct, omit_defaults=True):
    """The operations of one local SQL transaction, named `(origin, n)`. `withdrawn`: the device takes it back, if the
    hub has not processed it; it has no operations then. `schema` is the version of the schema under which it was
    written, 0: that of the request.
    """

    origin: Origin
    n: Count
    ops: Annotated[list[AnyOperation], Meta(max_length=MAX_OPERATIONS)]
    label: Annotated[str, Meta(max_length=200)] = ""
    withdrawn: bool = False
    schema: Integer = 0


class SchemaName(Struct):
    """The schema that a device runs."""

    version: Annotated[int, Meta(ge=1, le=2**31)]
    hash: Annotated[str, Meta(max_length=64)]


class Image(Struct, array_like=True):
    """A row in wire form: key values and then values by slot in `values`.

    A patch names in `slots` the slots that it has values for; it says nothing of the others. Stamps and states are
    whole in both.
    """

    table: str
    life: Life
    values: list[Any]
    stamps: str
    states: dict[str, Any] = {}
    slots: list[Slot] | None = None


class Compare(Struct, omit_defaults=True):
    """What a device asks of the digest of one space (`spec/protocol.md` section 9); nothing: the branches.

    `branches` are those whose buckets it wants. `parts` maps buckets to the tags of their parts as the device has
    them: it wants the rows of those that differ. `rows` maps buckets to tags of rows that it wants whole, and `names`
    are rows (table, key) of which it wants to know. `turn` says which bytes the tags are. Tags are base64.
    """

    turn: Annotated[int, Meta(ge=0, le=3)] = 0
    branches: Annotated[list[Annotated[int, Meta(ge=0, le=63)]], Meta(max_length=64)] = []
    parts: dict[Bucket, Tags] = {}
    rows: dict[Bucket, Tags] = {}
    names: Annotated[list[tuple[Name, Key]], Meta(max_length=MAX_COMPARED)] = []


class Compared(Struct, omit_defaults=True):
    """What the hub says of the digest of a space, as asked: tags of the 64 branches; branch -> tags of its 64 buckets;
    bucket -> part -> tags of its rows; whole images, leave marks included; names of which the space has no trace.
    """

    tags: str = ""
    buckets: dict[str, str] = {}
    rows: dict[Bucket, dict[str, str]] = {}
    images: list[Image] = []
    unknown: list[tuple[Name, Key]] = []


class Want(Struct, omit_defaults=True):
    """What a device wants of what it may read: all but `without`, or `only` the named `spaces`, whose priorities (lower
    first, 0 where none is named) order what is sent. `upload` are templates of spaces that it writes and never reads.
    """

    spaces: dict[SpaceName, Integer] = {}
    without: list[SpaceName] = []
    only: bool = False
    upload: list[SpaceName] = []


class Request(Struct, omit_defaults=True):
    """One round, device to hub."""

    protocol: Integer
    device: Annotated[str, Meta(min_length=1, max_length=64)]
    schema: SchemaName
    clock: Integer
    layout: Annotated[str, Meta(max_length=64)] = ""
    cursors: dict[SpaceName, Annotated[str, Meta(max_length=200)]] = {}
    acknowledged: list[tuple[Origin, Count]] = []
    transactions: Annotated[list[Transaction], Meta(max_length=MAX_TRANSACTIONS)] = []
    limit: Count | None = None
    page: Count | None = None
    want: Want | None = None
    digests: bool = False
    echo: bool = False
    copied: bool = False
    user: Annotated[str, Meta(max_length=200)] = ""
    compare: dict[SpaceName, Compare] = {}
    blocks: dict[Name, Origin] = {}
    history: Annotated[list[tuple[Name, Key]], Meta(max_length=MAX_HISTORY)] = []
    restore: Annotated[list[Restore], Meta(max_length=MAX_RESTORED)] = []
    sent: dict[Origin, Count] = {}
    whole: bool = False
    image: Annotated[str, Meta(pattern="^(any|[0-9a-f]{64})?$", max_length=64)] = ""


class ShortRequest(Struct, omit_defaults=True):
    """Whether anything is new for who holds this (`kernel.digest.held`), and `want` as in a request."""

    same: Annotated[str, Meta(pattern="^[0-9a-f]{24}$", max_length=24)]
    want: Want | None = None


class Unchanged(Struct):
    """Nothing is; the hub's clock, in milliseconds since 2020-01-01 UTC."""

    time: Integer


class ShortAnswer(Struct):
    """The answer to a short request when nothing is new."""

    same: Unchanged


class Told(Struct):
    """What happened to a row, oldest first, as far as its reader may know (`spec/merge.md`, section 10)."""

    table: str
    key: str
    entries: list[dict[str, Any]]


class Result(Struct, omit_defaults=True):
    """What became of a transaction, when that is not plain."""

    origin: str
    n: Integer
    outcome: Literal["merged", "refused"]
    code: str = ""
    message: str = ""
    table: str = ""
    key: str = ""
    column: str = ""
    details: dict[str, Any] = {}


class Kept(Struct, omit_defaults=True):
    """A row of `restore` that the hub does not take, and why."""

    table: str
    key: str
    code: str
    message: str


class Layout(Struct, omit_defaults=True):
    """Column names by slot, for each table that the device's version has, "" for a column that it has not; `hash` names
    this layout. `keys` has the number of key columns of the other tables, of which the device keeps no values.
    """

    hash: str
    tables: dict[str, list[str]]
    keys: dict[str, int] = {}


class Block(Struct):
    """Keys that a device may give to rows of a table, as ranges (first, last), for what it asked as `ask`."""

    ask: Origin
    ranges: list[tuple[Integer, Integer]]


class ImageOffer(Struct):
    """The first load as one file (`spec/protocol.md`, section 19): the SHA-256 of what is fetched, its bytes and those
    of the file in it, and about how many rows it brings.
    """

    name: Annotated[str, Meta(pattern="^[0-9a-f]{64}$", max_length=64)]
    size: Count
    plain: Count
    rows: Life


class Header(Struct, omit_defaults=True):
    """First line of a response."""

    hub: HubId
    user: str
    time: Integer
    hlc: Life
    spaces: dict[SpaceName, Literal["r", "rw"]]
    through: dict[Origin, Life] = {}
    revoked: list[str] = []
    reset: list[str] = []
    layout: Layout | None = None
    results: list[Result] = []
    live: bool = False
    ahead: Life = 0
    blocks: dict[Name, Block] = {}
    behind: list[str] = []
    counts: HubId | None = None
    restored: Life = 0
    unrestored: list[Kept] = []
    image: ImageOffer | None = None


class Page(Struct, omit_defaults=True):
    """Rows of one space in feed order; `cursor` is the cursor after them. `rows` is the JSON array of images, still
    text. `loaded`: everything whose priority is at most this has been sent before this page.
    """

    space: SpaceName
    cursor: CursorText
    rows: Raw
    loaded: Integer | None = None


class Footer(Struct, omit_defaults=True):
    """Last line of a response."""

    more: bool
    cursors: dict[SpaceName, CursorText] = {}
    digests: dict[str, str] = {}
    compared: dict[str, Compared] = {}
    history: list[Told] = []
    totals: dict[str, str] = {}


class Line(Struct, omit_defaults=True):
    """One line of a response: exactly one member is present."""

    header: Header | None = None
    page: Page | None = None
    footer: Footer | None = None


class PresenceLine(Struct):
    """Who is in some spaces now, as a live channel tells it: space -> [(device, user, data), ...]."""

    presence: dict[SpaceName, list[tuple[str, str, Any]]]


class ErrorBody(Struct, omit_defaults=True):
    """The body of a response whose status is 4xx or 5xx."""

    code: str
    message: str
    details: dict[str, Any] = {}


_json = msgspec.json.Encoder()
_request = msgspec.json.Decoder(Request)
_short_request = msgspec.json.Decoder(ShortRequest)
_short_answer = msgspec.json.Decoder(ShortAnswer)
_line = msgspec.json.Decoder(Line)
_images = msgspec.json.Decoder(list[Image])
_image = msgspec.json.Decoder(Image)
_operation = msgspec.json.Decoder(AnyOperation)
_result = msgspec.json.Decoder(Result)
_restore = msgspec.json.Decoder(Restore)
_presence = msgspec.json.Decoder(PresenceLine)
_error = msgspec.json.Decoder(ErrorBody)

encode = _json.encode
decode_request = _request.decode
decode_short_request = _short_request.decode
decode_short_answer = _short_answer.decode
decode_line = _line.decode
decode_presence = _presence.decode
decode_error = _error.decode
decode_images = _images.decode
decode_image = _image.decode
decode_operation = _operation.decode
decode_result = _result.decode
decode_restore = _restore.decode
