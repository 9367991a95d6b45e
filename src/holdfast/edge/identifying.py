"""Who sent a request, asked of the application in a worker thread."""

from __future__ import annotations

import anyio
from anyio import to_thread

from holdfast.edge.rounds import SyncServer, unauthenticated
from holdfast.hub.identity import Identity


async def identify(server: SyncServer, headers: dict[str, str], limiter: anyio.CapacityLimiter) -> Identity:
    """Who asks. Raises `unauthenticated`, and `TypeError` for a function that gives something else."""
    authenticate = server.authenticate
    if authenticate is None:
        raise unauthenticated(
            "this hub lets nobody in: no `authenticate` is configured. Give the server "
            "authenticate=function(headers) -> Identity or None"
        )
    identity = await to_thread.run_sync(authenticate, headers, limiter=limiter)
    if identity is None:
        raise unauthenticated("the request has no valid credentials")
    if not isinstance(identity, Identity):
        kind = type(identity).__name__
        raise TypeError(f"authenticate returned {kind}; it must be a plain function that returns Identity or None")
    return identity
