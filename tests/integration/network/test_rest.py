"""A device on a live channel on which nothing happens: it looks at its file less often, and still sees what comes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast.hub.live import decode_message
from holdfast.replica.loop import Loop
from holdfast.testing import LocalTransport, VirtualTime, run_loop
from tests.integration.network.peers import ANNA, device, hub_server

ADD = "insert into form (project_id, status, tags) values ('1', 'x', '[]')"


class LiveLocal(LocalTransport):
    """A hub in this process with a live channel, all in one thread."""

    def __init__(self, server: Any) -> None:
        super().__init__(server, ANNA)
        self._channel = server.live(ANNA, lambda: None)

    def open_live(self, deliver: Callable[[bytes], None]) -> LiveLocal:
        self._deliver = deliver
        return self

    def send(self, message: bytes) -> None:
        asked = decode_message(message)
        if bytes(asked.request):
            self._deliver(b"".join(self._channel.handle(bytes(asked.request))))

    def close(self) -> None:
        self._channel.close()


def test_a_channel_at_rest_is_looked_after_once_a_second(tmp_path: Path) -> None:
    time, looks = VirtualTime(), []
    with hub_server(tmp_path) as server, device(tmp_path, "anna", LiveLocal(server)) as anna:
        anna.execute(ADD)
        exchanges = anna._exchanges
        waits = exchanges.anything_waits

        def noted() -> bool:
            looks.append(time.now())
            return waits()

        exchanges.anything_waits = noted  # type: ignore[method-assign]
        began = time.now()

        def another_program(_: Loop) -> None:
            time.at(began + 100.1, lambda: anna.execute(ADD))

        def done() -> bool:
            return time.now() > began + 120 and not anna.pending()

        run_loop(anna, time, done, seed=1, limit=200.0, begun=another_program)
    at_rest = [at for at in looks if began + 30 < at < began + 100]
    assert 69 <= len(at_rest) <= 71
    busy = [at for at in looks if began + 101.5 < at < began + 106.5]
    assert 9 <= len(busy) <= 11, "something happened: twice a second again"
