"""What devices do while they are disturbed: one class a checker, over tables of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import holdfast as hf
from holdfast.replica.replica import Replica
from holdfast.testing.histories import bank, causal, counter, long_fork, set_full
from holdfast.testing.histories.record import Operation, Recorder

SPACE = "checked"
ACCOUNTS = {f"account-{number}": 100 for number in range(6)}
REGISTERS = [f"register-{number}" for number in range(5)]


class Element(hf.Table, space=SPACE):
    """An element of the set."""

    id: str


class Tally(hf.Table, space=SPACE):
    """The counter."""

    id: str
    total: hf.Counter = 0


class Account(hf.Table, space=SPACE):
    """An account of the bank."""

    id: str
    balance: hf.Counter = 0


class Register(hf.Table, space=SPACE):
    """A register; no two writes have the same value."""

    id: str
    value: str | None = None


class Mark(hf.Table, space=SPACE):
    """A key of the long fork test, which is written once."""

    id: str
    team: str


schema = hf.Schema(Element, Tally, Account, Register, Mark, version=1)


class Workload:
    """What one device does, with its replica, its own random numbers and the place where it writes the history.

    `number` is the device's among all, from 0; `life` counts its processes, so that no value is ever made twice.
    """

    def __init__(self, replica: Replica, recorder: Recorder, number: int, life: int, seed: int) -> None:
        self.replica = replica
        self.recorder = recorder
        self.number = number
        self.random = random.Random(f"{seed} {number} {life}")
        self._unique = (f"{number}.{life}.{count}" for count in range(1_000_000_000))

    def unique(self) -> str:
        """A value that no other device and no other process makes."""
        return next(self._unique)

    @contextmanager
    def operation(self, what: str, value: Any = None, *, last: bool = False) -> Iterator[Callable[[Any], None]]:
        """Writes the beginning and the end of an operation down; what is given to the callable is its value."""
        number = self.recorder.invoke(what, value, last=last)
        results: list[Any] = []
        try:
            yield results.append
        except hf.HoldfastError:
            self.recorder.end(number, "unknown")
            raise
        self.recorder.end(number, "ok", results[-1] if results else None)

    def begin(self) -> None:
        """Make the first rows; on one device, before the others start."""

    def step(self) -> None:
        """One operation."""
        raise AssertionError("a workload says what a step is")

    def end(self) -> None:
        """The last reads, when everything has arrived."""
        raise AssertionError("a workload says what its last reads are")


class SetFull(Workload):
    """Adds of elements, reads of all."""

    check = staticmethod(set_full.check)

    def step(self) -> None:
        """Four adds for each read."""
        if self.random.random() < 0.2:
            self.read(last=False)
            return
        element = self.unique()
        with self.operation("add", element):
            self.replica.execute("insert into element (id) values (?)", (element,))

    def read(self, *, last: bool) -> None:
        """All elements."""
        with self.operation("read", last=last) as result:
            result([row[0] for row in self.replica.execute("select id from element order by id")])

    def end(self) -> None:
        """One read."""
        self.read(last=True)


class Count(Workload):
    """Increments and decrements of one counter, reads of it."""

    check = staticmethod(counter.check)

    def begin(self) -> None:
        """The counter at 0."""
        self.replica.execute("insert into tally (id) values ('one')")

    def step(self) -> None:
        """Four increments for each read."""
        if self.random.random() < 0.2:
            self.read(last=False)
            return
        change = self.random.choice((1, 1, 2, 5, -1, -3))
        with self.operation("add", change):
            self.replica.execute("update tally set total = total + ? where id = 'one'", (change,))

    def read(self, *, last: bool) -> None:
        """The counter."""
        with self.operation("read", last=last) as result:
            result(self.replica.execute("select total from tally where id = 'one'")[0][0])

    def end(self) -> None:
        """One read."""
        self.read(last=True)


class Bank(Workload):
    """Transfers between accounts, reads of all accounts."""

    check = staticmethod(bank.check)

    def begin(self) -> None:
        """The accounts, in one transaction."""
        with self.operation("open", ACCOUNTS), self.replica.transaction("open the bank"):
            self.replica.executemany("insert into account (id, balance) values (?, ?)", list(ACCOUNTS.items()))

    def step(self) -> None:
        """As many transfers as reads."""
        if self.random.random() < 0.5:
            self.read(last=False)
            return
        source, target = self.random.sample(sorted(ACCOUNTS), 2)
        amount = self.random.randint(1, 5)
        with self.operation("transfer", [source, target, amount]), self.replica.transaction("transfer"):
            self.replica.execute("update account set balance = balance - ? where id = ?", (amount, source))
            self.replica.execute("update account set balance = balance + ? where id = ?", (amount, target))

    def read(self, *, last: bool) -> None:
        """All accounts in one statement."""
        with self.operation("read", last=last) as result:
            result({row[0]: row[1] for row in self.replica.execute("select id, balance from account")})

    def end(self) -> None:
        """One read."""
        self.read(last=True)


class Causal(Workload):
    """Reads of several registers and writes of one. A transaction writes one register only: two concurrent ones that
    each write two would be merged register by register, which no order of whole transactions explains.
    """

    check = staticmethod(causal.check)

    def begin(self) -> None:
        """The registers, without a value."""
        self.replica.executemany("insert into register (id) values (?)", [(name,) for name in REGISTERS])

    def step(self) -> None:
        """Read some, or read some and write one."""
        names = self.random.sample(REGISTERS, self.random.randint(1, len(REGISTERS)))
        target = self.random.choice(REGISTERS) if self.random.random() < 0.5 else None
        value = self.unique()
        intended = [["w", target, value]] if target else []
        with self.operation("transact", intended) as result, self.replica.transaction("causal"):
            seen = self.registers()
            if target:
                self.replica.execute("update register set value = ? where id = ?", (value, target))
            result([*(["r", name, seen[name]] for name in names), *intended])

    def registers(self) -> dict[str, str | None]:
        """All registers in one statement."""
        return {row[0]: row[1] for row in self.replica.execute("select id, value from register")}

    def end(self) -> None:
        """One read of all."""
        with self.operation("transact", [], last=True) as result:
            result([["r", name, value] for name, value in sorted(self.registers().items())])


class LongFork(Workload):
    """Half of the devices write keys, each once; the other half read groups of keys."""

    check = staticmethod(long_fork.check)

    def step(self) -> None:
        """A write or a read, whichever this device does."""
        if self.number % 2:
            group = self.random.randrange(20)
            self.read(str(group), last=False)
            return
        key = f"{self.random.randrange(20)}:{self.unique()}"
        with self.operation("write", key):
            self.replica.execute("insert into mark (id, team) values (?, ?)", (key, key.partition(":")[0]))

    def read(self, group: str, *, last: bool) -> None:
        """The keys of one group, in one statement."""
        with self.operation("read", last=last) as result:
            result([group, [row[0] for row in self.replica.execute("select id from mark where team = ?", (group,))]])

    def end(self) -> None:
        """Every group once; those that write read at the end only, when nothing of theirs is pending."""
        for group in range(20):
            self.read(str(group), last=True)


PROFILES: dict[str, type[SetFull | Count | Bank | Causal | LongFork]] = {
    "set-full": SetFull,
    "counter": Count,
    "bank": Bank,
    "causal": Causal,
    "long-fork": LongFork,
}


def judge(profile: str, history: Sequence[Operation]) -> list[str]:
    """What the checker of a profile finds wrong in a history."""
    return PROFILES[profile].check(history)
