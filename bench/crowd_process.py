"""Many light devices in one process: `python -m bench.crowd_process PORT COUNT MODEL USER`.

Each speaks the true protocol over a WebSocket of its own (handshake, whole request with its cursors, answers in zstd,
`applied`), and keeps its cursors in memory instead of a file: so the bench measures the hub, and not what
hundreds of SQLite files cost on the same processor. It prints "ready" when all are live; when the hub is gone, all come
back at once as soon as something listens; at the end it tells when the last one had the new row.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import secrets
import sys
import time

import holdfast as hf
from bench.child import at_end_of_input, usage
from holdfast.edge.live_messages import MAX_MESSAGE, unpack
from holdfast.protocol import messages as m
from holdfast.protocol.codec import decode_line

PROBE_SECONDS = 0.002
PATIENCE = 60.0
UPGRADE = (
    "GET /v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: holdfast.1.zstd, holdfast.1\r\nAuthorization: Bearer {user}\r\n\r\n"
)
APPLIED = b'{"applied":true}'


class Device:
    """One device: what it holds of the hub is its layout's hash and its cursors."""

    def __init__(self, schema: hf.Schema, token: str) -> None:
        self.schema, self.token = schema, token
        self.requests = self.sent = self.received = 0
        self.device = secrets.token_hex(8)
        self.layout = ""
        self.user = ""
        self.cursors: dict[str, str] = {}
        self.rows = 0

    def request(self) -> bytes:
        """The whole request, as a device says it that has nothing to send."""
        schema = m.SchemaName(self.schema.version, self.schema.hash)
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
        writer.write(UPGRADE.format(user=device.token).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(head.decode())
        device.sent += send(writer, device.request())
        device.requests += 1
        while True:
            opcode, body = await message(reader)
            device.received += len(body)
            if opcode == 9:
                writer.write(frame(body, 10))
            elif opcode == 2:
                ended, unasked = device.take(unpack(body, MAX_MESSAGE))
                if unasked:
                    device.sent += send(writer, APPLIED)
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


def send(writer: asyncio.StreamWriter, body: bytes) -> int:
    """Send a message; gives its size."""
    framed = frame(body)
    writer.write(framed)
    return len(framed)


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


async def crowd(port: int, devices: list[Device]) -> float:
    """Connect, wait for the end of the hub and the next one; gives the time (monotonic) when all had the row that came
    then. What the devices count begins with the next hub, too.
    """
    count = len(devices)
    seen, rows = Count(count), Count(count)
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as first:
        for device in devices:
            first.create_task(live(device, port, seen, rows))
        await seen.all.wait()
        print("ready", flush=True)
    await listening(port)
    for device in devices:
        device.rows = device.requests = device.sent = device.received = 0
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as second:
        tasks = [second.create_task(live(device, port, seen, rows)) for device in devices]
        await rows.all.wait()
        done = time.monotonic()
        for task in tasks:
            task.cancel()
    return done


if __name__ == "__main__":
    at_end_of_input(lambda: None)
    model = importlib.import_module(sys.argv[3])
    devices = [Device(model.SCHEMA, sys.argv[4]) for _ in range(int(sys.argv[2]))]
    done = asyncio.run(crowd(int(sys.argv[1]), devices))
    counts = {name: sum(getattr(one, name) for one in devices) for name in ("requests", "sent", "received")}
    print("done", flush=True)
    print(json.dumps({"done": done} | counts | usage()._asdict()))
