"""One run: start hubs and devices, disturb them for a while, let them agree, judge what they wrote down."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from holdfast.auth.development import DevelopmentTokens
from holdfast.cli.demo.processes import Child
from holdfast.testing.histories import record
from holdfast.testing.histories.device import Orders
from holdfast.testing.histories.workloads import SPACE, judge

LONGEST_PAUSE = 0.5
"""Seconds between two disturbances, and that a stopped process stands still, at most."""
DISTURBANCES = ("kill a device", "kill a device", "kill the hub", "stop a device", "stop the hub")


class Run(NamedTuple):
    """What to run. `store` is the hub's, such as sqlite:////tmp/x/hub.db; files go to `folder`. `kill_database`, if
    given, ends the hub's database as if its machine had failed, and starts it again. The run goes on beyond `seconds`
    until `disturbances` were made, `database_kills` of the database among them: a busy machine makes few in a second.
    """

    profile: str
    folder: Path
    store: str
    devices: int = 5
    seconds: float = 10.0
    seed: int = 0
    kill_database: Callable[[], None] | None = None
    disturbances: int = 3
    database_kills: int = 2


class Verdict(NamedTuple):
    """What a run showed: what is wrong (nothing, if all is well), counts of operations by kind and ending,
    disturbances.
    """

    wrong: list[str]
    operations: Counter[str]
    disturbances: Counter[str]


class World:
    """The processes of one run."""

    def __init__(self, asked: Run, secret: str) -> None:
        self._asked = asked
        self._environment = {"HOLDFAST_SECRET": secret}
        self._tokens = DevelopmentTokens(secret)
        self._port = 0
        self._lives = Counter[int]()
        self.hub = self._start_hub()
        self.devices: list[Child] = []
        for number in range(asked.devices):
            self.devices.append(self._start_device(number))
            if number == 0:
                self.devices[0].answer()  # the first rows are there before anybody else comes
        for device in self.devices[1:]:
            device.answer()

    def kill_hub(self) -> None:
        """SIGKILL, and start again on the same port."""
        self.hub.kill()
        self.hub = self._start_hub()

    def kill_device(self, number: int) -> None:
        """SIGKILL, and start again on the same file."""
        self.devices[number].kill()
        self.devices[number] = self._start_device(number)

    def logs(self) -> list[Path]:
        """Where the devices write their parts of the history."""
        return [self._log(number) for number in range(self._asked.devices)]

    def close(self) -> None:
        """End everything that still runs."""
        for child in [*self.devices, self.hub]:
            child.kill()

    def _start_hub(self) -> Child:
        module = "holdfast.testing.histories.hub"
        hub = Child(
            "the hub",
            self._asked.folder / "hub.log",
            *("-m", module, self._asked.store, str(self._port)),
            environment=self._environment,
        )
        self._port = hub.answer()["port"]
        return hub

    def _start_device(self, number: int) -> Child:
        self._lives[number] += 1
        orders = Orders(
            profile=self._asked.profile,
            file=str(self._asked.folder / f"device-{number}.db"),
            log=str(self._log(number)),
            url=f"http://127.0.0.1:{self._port}",
            token=self._tokens.token(f"user-{number}", {SPACE: "rw"}),
            number=number,
            life=self._lives[number],
            seed=self._asked.seed,
            begin=number == 0 and self._lives[number] == 1,
        )
        arguments = ("-m", "holdfast.testing.histories.device", json.dumps(orders._asdict()))
        return Child(f"device {number}", self._asked.folder / f"device-{number}.log", *arguments)

    def _log(self, number: int) -> Path:
        return self._asked.folder / f"history-{number}.jsonl"


@contextmanager
def world(asked: Run) -> Iterator[World]:
    """The processes of a run, which all end with it."""
    asked.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as ending:
        processes = World(asked, secrets.token_hex(16))
        ending.callback(processes.close)
        yield processes


def run(asked: Run) -> Verdict:
    """Play one run and judge it. Raises HoldfastError `demo_process` when a process ends that nobody killed."""
    with world(asked) as processes:
        disturbances = disturb(processes, asked)
        for device in processes.devices:
            device.tell("drain")
        for device in processes.devices:
            await_answer(device, "drained")
        for device in processes.devices:
            device.tell("finish")
        ends = [await_answer(device, "digest") for device in processes.devices]
        logs = processes.logs()
    history = record.read(logs)
    wrong = judge(asked.profile, history)
    if len({end["digest"] for end in ends}) != 1:
        wrong.append(f"the copies differ: {[end['digest'] for end in ends]}")
    if any(end["refused"] for end in ends):
        wrong.append(f"transactions were refused: {[end['refused'] for end in ends]}")
    counts = Counter(f"{operation.what} {operation.ending}" for operation in history)
    return Verdict(wrong, counts, disturbances)


def await_answer(device: Child, member: str) -> dict[str, object]:
    """The first answer with this member; others stem from an earlier command."""
    while member not in (answer := device.answer()):
        pass
    return answer


def disturb(processes: World, asked: Run) -> Counter[str]:
    """Kill and stop processes at random until the time is over and enough was done; gives what was done how often."""
    chance = random.Random(asked.seed)
    end = time.monotonic() + asked.seconds
    done = Counter[str]()
    possible = (*DISTURBANCES, *(("kill the database",) * 3 if asked.kill_database is not None else ()))
    kills = asked.database_kills if asked.kill_database is not None else 0
    while time.monotonic() < end or done.total() < asked.disturbances or done["kill the database"] < kills:
        time.sleep(chance.random() * LONGEST_PAUSE)
        what = chance.choice(possible)
        number = chance.randrange(asked.devices)
        if what == "kill a device":
            processes.kill_device(number)
        elif what == "kill the hub":
            processes.kill_hub()
        elif asked.kill_database is not None and what == "kill the database":
            asked.kill_database()
        else:
            child = processes.devices[number] if what == "stop a device" else processes.hub
            os.kill(child.pid, signal.SIGSTOP)
            time.sleep(chance.random() * LONGEST_PAUSE)
            os.kill(child.pid, signal.SIGCONT)
        done[what] += 1
    return done
