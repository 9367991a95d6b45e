"""Many devices edit one text and one configuration on intermittent links, and agree without anybody's help."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import holdfast as hf
from holdfast.testing import LocalTransport

DEVICES = 8
TURNS = 60


class Site(hf.Table, space="site"):
    id: str
    report: hf.Text
    settings: hf.Json = {}


SCHEMA = hf.Schema(Site, version=1)
CREW = hf.Identity("crew", spaces={"site": "rw"})


class Cut:
    """An answer of which nothing arrives."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange

    def chunks(self) -> Iterator[bytes]:
        list(self._exchange.chunks())
        raise hf.HoldfastError("network", "the link went down while the hub answered")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)


class Link:
    """A way to the hub that is mostly down, and loses every third answer when it is up."""

    def __init__(self, server: hf.Server, chance: random.Random) -> None:
        self._way, self._chance, self.reliable = LocalTransport(server, CREW), chance, False

    def exchange(self, body: bytes) -> Any:
        if not self.reliable and self._chance.random() < 0.6:
            raise hf.HoldfastError("network", "no network")
        exchange = self._way.exchange(body)
        return Cut(exchange) if not self.reliable and self._chance.random() < 1 / 3 else exchange

    def close(self) -> None:
        self._way.close()


def write(device: hf.Replica, name: str, turn: int, chance: random.Random) -> str:
    """One person's turn: a sentence into the text, a setting into the configuration, by SQL or by the document."""
    sentence = f"[{name} {turn}: {chance.choice(['Fundação ok', '柱 3 checked', 'pump 🏗 runs', 'nothing new'])}] "
    if chance.random() < 0.5:
        with device.transaction(label=f"turn {turn}"):
            report = device.document("site", "1", "report")
            place = str(report).find("[", chance.randint(0, len(report)))
            report.insert(place if place >= 0 else len(report), sentence)
            device.document("site", "1", "settings")["crews"][name] = turn
    else:
        settings = json.loads(device.execute("SELECT settings FROM site")[0][0])
        settings["crews"][name] = turn
        settings["log"].append(f"{name} {turn}")
        device.execute("UPDATE site SET report = report || ?, settings = ?", (sentence, settings))
    return sentence


def main() -> None:
    chance = random.Random(2026)
    with tempfile.TemporaryDirectory() as folder, hf.Server("memory:", SCHEMA, authenticate=lambda _: CREW) as server:
        links = [Link(server, chance) for _ in range(DEVICES)]
        devices = [hf.Replica(Path(folder) / f"{n}.db", SCHEMA, transport=link) for n, link in enumerate(links)]
        devices[0].execute("INSERT INTO site (id, settings) VALUES ('1', ?)", ({"crews": {}, "log": []},))
        settle(devices, links)
        sentences, last = [], dict[str, int]()
        failures = 0
        for turn in range(TURNS):
            number = chance.randrange(DEVICES)
            name = f"crew-{number}"
            sentences.append(write(devices[number], name, turn, chance))
            last[name] = turn
            for device in chance.sample(devices, 2):
                try:
                    device.sync()
                except hf.HoldfastError as error:
                    assert error.code == "network", error
                    failures += 1
        settle(devices, links)
        judge(devices, sentences, last)
        report, settings = devices[0].execute("SELECT report, settings FROM site")[0]
        print(f"{TURNS} turns on {DEVICES} devices, {failures} failed syncs, no conflict to resolve.")
        print(f"the text: {len(report)} characters, every sentence once; it begins {report[:60]!r}")
        print(f"the settings: {settings[:100]} ...")
        for device in devices:
            device.close()


def settle(devices: list[hf.Replica], links: list[Link]) -> None:
    """Let every link be up for a while."""
    for link in links:
        link.reliable = True
    for device in [*devices, *devices]:
        device.sync()
    for link in links:
        link.reliable = False


def judge(devices: list[hf.Replica], sentences: list[str], last: dict[str, int]) -> None:
    """What was promised."""
    held = {tuple(device.execute("SELECT report, settings FROM site")[0]) for device in devices}
    assert len(held) == 1, "every device holds the same"
    ((report, settings),) = held
    assert all(report.count(sentence) == 1 for sentence in sentences), "every sentence is there, once"
    assert json.loads(settings)["crews"] == last, "every setting that somebody made stands"
    assert not any(device.conflicts() or device.refused() for device in devices), "nobody has to decide anything"


if __name__ == "__main__":
    main()
