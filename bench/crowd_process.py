"""Many light devices in one process: `python -m bench.crowd_process PORT COUNT`.

Each speaks the true protocol over a WebSocket of its own (handshake, whole request with its cursors, answers in zstd,
`applied`), and keeps its cursors in memory instead of a file: so the bench measures the hub, and not what
hundreds of SQLite files cost on the same processor. It prints "ready" when all are live; when the hub is gone, all come
back at once as soon as something listens; at the end it tells when the last one had the new row.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time

from bench import forms
from bench.child import at_end_of_input, usage
from holdfast.edge.live_messages import MAX_MESSAGE, unpack
from holdfast.protocol import messages as m
from holdfast.protocol.codec import decode_line

PROBE_SECONDS = 0.002
PATIENCE = 60.0
UPGRADE = (
    "GET /v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: holdfast.1.zstd, holdfast.1\r\nAuthorization: Bearer anna\r\n\r\n"
)
APPLIED = b'{"applied":true}'


class Device:
    """One device: what it holds of the hub is its layout's hash and its cursors."""

    def __init__(self) -> None:
        self.device = secrets.token_hex(8)
        self.layout = ""
        self.user = ""
        self.cursors: dict[str, str] = {}
        self.rows = 0

    def request(self) -> bytes:
        """The whole request, as a device says it that has nothing to send."""
        schema = m.SchemaName(forms.SCHEMA.version, forms.SCHEMA.hash)
        clock = time.time_ns() // 1_000_000 - 1_577_836_800_000
        request = m.Request(m.PROTOCOL, self.device, schema, clock, self.layout, self.cursors, user=self.user)
        return b'{"request":' + m.encode(request) + b"}"

    def take(self, lines: bytes) -> tuple[bool, bool]:
        """Lines of an answer: whether it ended, and whether it was one that the hub sent by itself."""
        live = ended = False
        for line in lines.splitlines():
            part = decode_line(line)
            if isinstance(part, m.Header):
                live, self.user = part.live, part.user
                self.layout = part.layout.hash if part.layout is not None else self.layout
            elif isinstance(part, m.Footer):
                ended = True
                self.cursors |= part.cursors
            else:
                self.rows += 1
                self.cursors[part.space] = part.cursor
        return ended, live


class Count:
    """`all` is set when so many different devices were noted."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._noted: set[str] = set()
        self.all = asyncio.Event()

    def note(self, device: Device) -> None:
        """This one, too."""
        self._noted.add(device.device)
        if len(self._noted) == self._count:
            self.all.set()


async def live(device: Device, port: int, seen: Count, rows: Count) -> None:
    """One connection, until the hub closes it. Notes the first whole answer, and the first with rows."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(UPGRADE.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(head.decode())
        writer.write(frame(device.request()))
        while True:
            opcode, body = await message(reader)
            if opcode == 9:
                writer.write(frame(body, 10))
            elif opcode == 2:
                ended, unasked = device.take(unpack(body, MAX_MESSAGE))
                if unasked:
                    writer.write(frame(APPLIED))
                if ended:
                    seen.note(device)
                if device.rows:
                    rows.note(device)
            elif opcode == 8:
                return
    except (OSError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()


def frame(body: bytes, opcode: int = 2) -> bytes:
    """A frame of a client, masked with zeros (which leaves it as it is)."""
    size = len(body)
    length = bytes([128 | size]) if size < 126 else bytes([128 | 126]) + size.to_bytes(2, "big")
    return bytes([128 | opcode]) + length + bytes(4) + body


async def message(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Opcode and body of the next frame; this hub sends no fragments."""
    first, second = await reader.readexactly(2)
    size = second & 127
    if size > 125:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    return first & 15, await reader.readexactly(size)


async def listening(port: int) -> None:
    """Until somebody listens there."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(PROBE_SECONDS)
        else:
            writer.close()
            return


async def crowd(port: int, count: int) -> float:
    """Connect, wait for the end of the hub and the next one; gives the time (monotonic) when all had the row."""
    devices = [Device() for _ in range(count)]
    seen, rows = Count(count), Count(count)
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as first:
        for device in devices:
            first.create_task(live(device, port, seen, rows))
        await seen.all.wait()
        print("ready", flush=True)
    await listening(port)
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as second:
        tasks = [second.create_task(live(device, port, seen, rows)) for device in devices]
        await rows.all.wait()
        done = time.monotonic()
        for task in tasks:
            task.cancel()
    return done


if __name__ == "__main__":
    at_end_of_input(lambda: None)
    done = asyncio.run(crowd(int(sys.argv[1]), int(sys.argv[2])))
    print(json.dumps({"done": done} | usage()._asdict()))
