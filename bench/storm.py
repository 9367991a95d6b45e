"""A crowd of light devices loses its hub and comes back at once, and one row changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import ModuleType
from typing import NamedTuple

from bench.child import Child
from bench.hub_process import RunningHub
from bench.observed import Observed, Used
from bench.spent import processes

PROCESSES = 2
PATIENCE = 120.0


class Storm(NamedTuple):
    """Milliseconds from the moment in which the hub takes connections until all have the row, and what that costs."""

    ms: float
    told: dict[str, int]
    used: dict[str, Used]

    @property
    def devices(self) -> float:
        """Seconds of processor time of all devices."""
        return sum(used.cpu for name, used in self.used.items() if name.startswith("devices"))


def storm(
    serve: Callable[[int], AbstractContextManager[RunningHub]],
    crowd: int,
    model: ModuleType,
    writer: Callable[[str], AbstractContextManager[Callable[[], object]]],
    postmaster: int | None = None,
) -> Storm:
    """One crowd, in processes of its own. `serve(port)` starts a hub, on any port with 0, and is called once more when
    that one has ended; `writer(url)` gives what changes the row.
    """
    shares = [crowd // PROCESSES + (crowd % PROCESSES > part) for part in range(PROCESSES)]
    with ExitStack() as stack:
        with serve(0) as hub:
            port = int(hub.url.rpartition(":")[2])
            parts = [
                stack.enter_context(Child("bench.crowd_process", port, share, model.__name__, model.USER))
                for share in shares
            ]
            if any(part.ready != "ready" for part in parts):
                raise RuntimeError("a device did not connect")
        write = stack.enter_context(writer(f"http://127.0.0.1:{port}"))
        with serve(port) as again:
            there = processes(again.pid, postmaster, **{f"devices {n}": part.pid for n, part in enumerate(parts, 1)})
            with Observed(there) as seen:
                start = time.monotonic()
                write()
                for part in parts:
                    part.heard()
            for part in parts:
                part.wait(PATIENCE)
    done = max(part.result["done"] for part in parts)
    told = {name: sum(part.result[name] for part in parts) for name in ("requests", "sent", "received")}
    return Storm((done - start) * 1000, told, seen.used)
