"""The limit of the network: the same bytes over loopback HTTP by the same libraries, and nothing else."""

from __future__ import annotations

import os
import sys
import time

import urllib3
from starlette.types import Receive, Scope, Send

from bench.child import Child
from bench.serving import serve

PIECE = 64 * 1024


def loopback_seconds(size: int) -> float:
    """Seconds in which urllib3 reads an answer of `size` bytes from uvicorn in another process."""
    with Child("bench.loopback", size) as child:
        pool = urllib3.PoolManager(retries=False)
        url = f"http://127.0.0.1:{child.ready}"
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            answer = pool.request("POST", url, body=b"x" * 200, preload_content=False, decode_content=False)
            received = sum(map(len, answer.stream(1024 * 1024, decode_content=False)))
            seconds.append(time.perf_counter() - start)
            if received != size:
                raise RuntimeError(f"{received} bytes came instead of {size}")
        pool.clear()
    return min(seconds)


def main(size: int) -> None:
    """Serve `size` incompressible bytes until the standard input ends."""
    body = os.urandom(min(size, PIECE))

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for position in range(0, size, PIECE):
            await send({"type": "http.response.body", "body": body[: size - position], "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    serve(app)


if __name__ == "__main__":
    main(int(sys.argv[1]))
