"""Three versions of one application: columns renamed, split in two, of another type, dropped, and added."""

from __future__ import annotations

from pathlib import Path

import holdfast as hf
from holdfast.kernel import digest
from holdfast.testing import LocalTransport
from holdfast.testing.version_tables import V1, V2, V3, Photo, Visit1, Visit2, Visit3, joined, split

__all__ = ["ANN", "V1", "V2", "V3", "Photo", "Visit1", "Visit2", "Visit3", "device", "joined", "same", "split"]
ANN = hf.Identity("ann", spaces={"site": "rw"})


def device(folder: Path, name: str, schema: hf.Schema, server: hf.Server) -> hf.Replica:
    """A device of that version."""
    return hf.Replica(folder / f"{name}.db", schema, transport=LocalTransport(server, ANN))


def same(server: hf.Server, *devices: hf.Replica) -> None:
    """The hub and every device hold the same, by digest."""
    with server.hub.reading() as tx:
        ours = digest.root({bucket: total for bucket, (_, total) in tx.digest("site").items()})
    assert [one.digest("site") for one in devices] == [ours] * len(devices)
