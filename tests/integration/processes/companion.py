"""The other process: a replica on the same device file, told what to do by pickles on its standard input.

python -m tests.integration.processes.companion DEVICE HUB
"""

from __future__ import annotations

import pickle
import struct
import sys
from typing import Any

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.protocol.transport import Exchange
from tests.integration.hostile.tables import ANNA, SCHEMA

ADD = "update every set tally = tally + 1 where id = 'first'"


def say(kind: str, value: Any) -> None:
    body = pickle.dumps((kind, value))
    sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
    sys.stdout.buffer.flush()


def hear() -> tuple[Any, ...]:
    """The next command; `end` when the test has gone."""
    head = sys.stdin.buffer.read(4)
    if len(head) < 4:
        return ("end",)
    return pickle.loads(sys.stdin.buffer.read(struct.unpack(">I", head)[0]))  # type: ignore[no-any-return]


class Stopping:
    """Stops when the hub has answered and nothing of it was read, until the test says to go on."""

    def __init__(self, inner: LocalTransport) -> None:
        self.inner = inner

    def exchange(self, body: bytes) -> Exchange:
        exchange = self.inner.exchange(body)
        say("in the middle", None)
        hear()
        return exchange

    def close(self) -> None:
        pass


def busy(replica: hf.Replica, times: int) -> int:
    for number in range(times):
        with replica.transaction():
            replica.execute(ADD)
            replica.execute("insert into every (id, project_id) values (?, '1')", (f"there{number}",))
        if number % 7 == 0:
            replica.sync()
    return times


def obey(replica: hf.Replica, transport: LocalTransport, command: str, *arguments: Any) -> Any:
    if command == "execute":
        return [tuple(row) for row in replica.execute(*arguments)]
    if command == "busy":
        return busy(replica, *arguments)
    if command == "sync and stop in the middle":
        replica._transport = Stopping(transport)
        replica.sync()
        replica._transport = transport
    elif command == "write and stop in the middle":
        with replica.transaction():
            replica.execute(ADD)
            say("in the middle", None)
            hear()
    else:
        replica.sync()
    return None


def main(device: str, hub: str) -> None:
    server = hf.Server(f"sqlite:///{hub}", SCHEMA)
    transport = LocalTransport(server, ANNA)
    with server, hf.Replica(device, SCHEMA, transport=transport) as replica:
        while (command := hear()) != ("end",):
            try:
                say("ok", obey(replica, transport, *command))
            except hf.HoldfastError as error:
                say("error", (error.code, error.message))


if __name__ == "__main__":
    main(*sys.argv[1:])
