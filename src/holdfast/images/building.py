"""Making an image: a device of nobody reads the spaces, and its file is brought into final form and compressed.

It is the replica's own code that reads, checks and writes: there is one way for rows into a device file.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import apsw
import zstandard

from holdfast.errors import HoldfastError
from holdfast.hub.hub import Hub
from holdfast.hub.identity import Access
from holdfast.hub.imaging import Wanted
from holdfast.hub.wall_clock import system_clock
from holdfast.protocol.codec import decode_request
from holdfast.replica.device import Device
from holdfast.replica.file import connect, prepare, table_numbers
from holdfast.replica.image_file import APPLICATION_ID, CONTENT, MAX_WINDOW_LOG, beside_content
from holdfast.replica.round import Rounds
from holdfast.replica.tables import UserTables
from holdfast.schema.model import Schema

LEVEL, HASH_LOG = 3, 22
"""The same key stands in the table, its index and `holdfast_row`, megabytes apart: a large hash table finds it again,
which saves a tenth of the bytes at this level and nearly as much as level 12, at a sixth of its time."""
PIECE = 1024 * 1024


class Built(NamedTuple):
    """A compressed file on its way to the shelf."""

    path: Path
    name: str
    size: int
    plain: int
    rows: int
    cursors: Mapping[str, str]


def build(hub: Hub, schema: Schema, wanted: Wanted, folder: Path) -> Built:
    """Make the image in an empty folder of its own. Raises `HoldfastError`, `OSError`, `apsw.Error`."""
    file = folder / "device.db"
    rows, cursors = _read(hub, schema, wanted, str(file))
    whole = folder / "image.db"
    _finish(file, whole)
    packed = folder / "image.zst"
    return Built(packed, _pack(whole, packed), packed.stat().st_size, whole.stat().st_size, rows, cursors)


def _read(hub: Hub, schema: Schema, wanted: Wanted, path: str) -> tuple[int, dict[str, str]]:
    """Fill a device file by rounds; gives how many rows it has and the cursors."""
    spaces: dict[str, Access] = dict.fromkeys(wanted.spaces, "r")
    db = connect(path, constraints=False)
    try:
        db.execute("PRAGMA synchronous = OFF")
        device = prepare(db, path, schema)
        tables = UserTables(schema, table_numbers(db))
        rounds = Rounds(db, Device(path, device, schema, tables, system_clock, secrets.randbits))
        more = True
        while more:
            response = hub.read_as(decode_request(rounds.build(uploads=False)), spaces)
            try:
                _, footer = rounds.receive(iter(response))
            finally:
                response.close()
            more = footer.more
        rows = db.execute("SELECT count(*) FROM holdfast_row").get
        found: dict[str, str] = dict(db.execute("SELECT name, cursor FROM holdfast_space WHERE cursor IS NOT NULL"))
        _forget_builder(db, schema)
        return int(rows), found
    finally:
        db.close()


def _forget_builder(db: apsw.Connection, schema: Schema) -> None:
    """Leave nothing of the device that has read: what is nobody's can be anybody's."""
    db.execute(
        """UPDATE holdfast_state SET device = '', user = '', clock_offset = 0, clock_jump = 0, last_synced = NULL,
           verify_due = NULL, verified = NULL, sealed = 0"""
    )
    # The round that follows says whether this is all there is: until then the spaces are not ready.
    db.execute("UPDATE holdfast_space SET ready = 0, access = ''")
    db.execute("DELETE FROM holdfast_own")
    left = beside_content(db, schema)
    if left:
        raise HoldfastError("image_unfit", f"the image would hold rows of {', '.join(left)}, beside {CONTENT}")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _finish(file: Path, whole: Path) -> None:
    """Write the file anew without gaps, and check it wholly: devices need not, the hash binds them to this one."""
    db = apsw.Connection(str(file))
    try:
        db.execute("VACUUM INTO ?", (str(whole),))
    finally:
        db.close()
    db = apsw.Connection(str(whole), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        problems = db.execute("PRAGMA integrity_check(1)").get
    finally:
        db.close()
    if problems != "ok":
        raise HoldfastError("image_damaged", f"the image that was made is damaged: {problems}")


def _pack(whole: Path, packed: Path) -> str:
    """Compress the file; gives the SHA-256 of what comes of it."""
    size = whole.stat().st_size
    parameters = zstandard.ZstdCompressionParameters.from_level(
        LEVEL,
        source_size=size,
        window_log=min(MAX_WINDOW_LOG, max(10, size.bit_length())),
        hash_log=HASH_LOG,
        chain_log=HASH_LOG,
        write_checksum=True,
    )
    compressing = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size=size)
    digest = hashlib.sha256()
    with whole.open("rb") as source, packed.open("xb") as target:
        while piece := source.read(PIECE):
            part = compressing.compress(piece)
            digest.update(part)
            target.write(part)
        part = compressing.flush()
        digest.update(part)
        target.write(part)
    return digest.hexdigest()
