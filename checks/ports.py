"""The ports that a page names are exchanged for free ones when it runs: what else runs on the machine does not matter,
and two runs of one page do not meet."""

from __future__ import annotations

import random
import re
import socket

PORT = re.compile(r"(?P<before>127\.0\.0\.1:|--port )(?P<port>\d{4,5})\b")

OURS = range(20_000, 30_000)
"""Below the ports that systems give to outgoing connections, so that nobody takes one between our look and the page's
`bind`."""


class FreePorts(dict[str, str]):
    """Port of the page -> a free port of this machine, the same one for the whole page."""

    def __missing__(self, named: str) -> str:
        self[named] = str(free({int(port) for port in self.values()}))
        return self[named]

    def exchange(self, text: str) -> str:
        """The text with every `--port N` and `127.0.0.1:N` exchanged."""
        return PORT.sub(lambda match: match["before"] + self[match["port"]], text)


def free(taken: set[int]) -> int:
    """A port of OURS that nobody listens on and that is not in `taken`."""
    for port in random.sample(OURS, len(OURS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in taken:
            return port
    raise OSError(f"no free port in {OURS}")
