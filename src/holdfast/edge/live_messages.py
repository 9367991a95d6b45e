"""Messages of a live channel on the wire: plain, or compressed where that pays.

Both sides use the subprotocol "holdfast.1.zstd" for it: a binary message that begins with zstd's magic number is one
zstd frame.
Where only "holdfast.1" was agreed on (browsers), nothing is compressed here.
"""

from __future__ import annotations

import zstandard

from holdfast.edge.compression import LEVEL, UndecodableError

SUBPROTOCOL = "holdfast.1"
PACKED_SUBPROTOCOL = "holdfast.1.zstd"
PAYS_FROM = 512
"""Shorter messages are not compressed: the frame and the time cost more than they save."""
MAX_MESSAGE = 1024 * 1024
"""Bytes of a message of the hub, before compression. A longer line goes over several messages."""
_MAGIC = b"\x28\xb5\x2f\xfd"


def pack(message: bytes) -> bytes:
    """The message as it goes over the wire, where compression was agreed on."""
    if len(message) < PAYS_FROM:
        return message
    packed = zstandard.ZstdCompressor(level=LEVEL["zstd"]).compress(message)
    return packed if len(packed) < len(message) else message


def unpack(message: bytes, limit: int) -> bytes:
    """The message that came. Raises `UndecodableError` when it is damaged or unfolds to more than `limit` bytes."""
    if not message.startswith(_MAGIC):
        return message
    try:
        if not 0 <= zstandard.frame_content_size(message) <= limit:
            raise UndecodableError(f"the message says that it unfolds to more than {limit} bytes, or not to how many")
        return zstandard.ZstdDecompressor(max_window_size=2**23).decompress(message, max_output_size=limit)
    except zstandard.ZstdError as error:
        raise UndecodableError(f"the message is not zstd: {error}") from None
