"""A hub and devices in one process, over networks that fail in one chosen way."""

from __future__ import annotations

from pathlib import Path

import holdfast as hf
from tests.integration.network.peers import Answer, Network


class Project(hf.Table, key="code", space="all"):
    """Its key is a text."""

    code: str
    title: str = ""


class Entry(hf.Table, key=("project", "number"), space="all"):
    """Its key has two columns; a title is there once only."""

    project: str
    number: int
    title: str = hf.column(unique=True)


SCHEMA = hf.Schema(Project, Entry, version=1)


def identity(user: str) -> hf.Identity:
    return hf.Identity(user, {"all": "rw"})


class Desk:
    """A hub in memory, and devices by the names of their users."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = hf.Server("memory:", SCHEMA)
        self.networks: dict[str, Network] = {}
        self.devices: list[hf.Replica] = []

    def device(self, user: str) -> hf.Replica:
        self.networks[user] = Network(self.server, identity(user))
        device = hf.Replica(self.folder / f"{user}.db", SCHEMA, transport=self.networks[user])
        self.devices.append(device)
        return device

    def close(self) -> None:
        for device in self.devices:
            device.close()
        self.server.close()


def cut_after(lines: int):  # type: ignore[no-untyped-def]
    """A fault: the answer breaks off after so many lines."""

    def fault(body, carry):  # type: ignore[no-untyped-def]
        status, answer = carry(body)
        pieces = answer.splitlines(keepends=True)[:lines]
        return Answer(status, pieces, broken=True)

    return fault
