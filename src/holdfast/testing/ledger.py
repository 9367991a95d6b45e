"""What became of every transaction: an account of its own, kept outside the engine and compared with what is there.

Every transaction of the workload writes an entry and an echo under its label, and may move amounts between accounts.
Entries are never changed, so what a device or the hub shows of them says which transactions had an effect.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import apsw
import msgspec

from holdfast.protocol import messages as m
from holdfast.schema.built_in import CONFLICTS
from holdfast.testing.device import SimulatedDevice
from holdfast.testing.hub import SimulatedHub
from holdfast.testing.invariants import Violation
from holdfast.testing.tables import ACCOUNTS
from holdfast.testing.workload import Posting


class Seen(NamedTuple):
    """The ledger as a device shows it: labels of entries and echoes, (id, balance, deposits) of the accounts, refused
    labels, and whether both spaces were read.
    """

    entries: set[str]
    echoes: set[str]
    accounts: list[tuple[str, int, int]]
    refused: set[str]
    ready: bool


class Book:
    """What one device has committed, seen of others, and been refused."""

    def __init__(self) -> None:
        self.committed: set[str] = set()
        self.seen: set[str] = set()
        self.refused: set[str] = set()
        self.current = True
        """False from a restoration of the hub until the device has synced: it still shows what is gone."""


class Ledger:
    """All transactions of a run."""

    def __init__(self, hub: SimulatedHub) -> None:
        self._hub = hub
        self.postings: dict[str, Posting] = {}
        self.books: dict[str, Book] = {}
        self.undone: set[str] = set()
        self.excused: set[str] = set()
        self.inexact_conflicts = False
        self.in_doubt: set[str] = set()
        """Sent and not answered when the hub lost its history, and on another device by then: what that one brings back
        counts the amounts already, and nothing tells the hub so (`spec/invariants.md`, gaps)."""

    def book(self, device: SimulatedDevice) -> Book:
        """The book of a device."""
        return self.books.setdefault(device.name, Book())

    def committed(self, device: SimulatedDevice, posting: Posting) -> None:
        """The transaction was committed on the device: from now on it must not be lost."""
        self.postings[posting.label] = posting
        self.book(device).committed.add(posting.label)

    def rolled_back(self, posting: Posting) -> None:
        """The transaction was not committed: it must never be seen."""
        self.undone.add(posting.label)

    def power_lost(self, device: SimulatedDevice, labels: set[str]) -> None:
        """The tail with these transactions is gone from the device's disk."""
        book = self.book(device)
        book.committed -= labels
        book.seen -= labels
        self.undone |= labels

    def cancelled(self, device: SimulatedDevice, gone: set[str], asked: set[str]) -> None:
        """The transactions with these labels were taken back: those in `gone` must never be seen again; of those in
        `asked` the hub decides.
        """
        book = self.book(device)
        book.committed -= gone
        book.refused -= gone
        self.undone |= gone
        self.excused |= asked

    def retried(self, device: SimulatedDevice, labels: set[str]) -> None:
        """Refused transactions are sent again."""
        self.book(device).refused -= labels

    def hub_restored(self, devices: list[SimulatedDevice]) -> None:
        """The hub lost what it had accepted since its backup: what still waits must not be lost, nor what a device has,
        which brings it back."""
        held_by = {device.name: self._confirmed(device) for device in devices}
        held = set().union(*held_by.values())
        for device in devices:
            others = set().union(*(labels for name, labels in held_by.items() if name != device.name))
            self.in_doubt |= self._sent(device) & others
        for device in devices:
            book = self.book(device)
            if device.has_tables:
                waiting = {label for one in device.replica.pending() for label in labels_in(one.operations)}
                self.excused |= book.committed - waiting - book.refused - held
            book.seen, book.current = set(), False
        self.inexact_conflicts = self.inexact_conflicts or bool(devices)

    def _sent(self, device: SimulatedDevice) -> set[str]:
        """The labels of entries that were sent and not answered."""
        if not device.has_tables:
            return set()
        sent = (one for one in device.replica.pending() if one.state == "sending")
        return {label for one in sent for label in labels_in(one.operations)}

    def _confirmed(self, device: SimulatedDevice) -> set[str]:
        """The labels of the entries that a device holds as confirmed, in spaces that it has read to the end."""
        if not device.has_tables:
            return set()
        with device.reading() as db:
            sql = """SELECT r.key FROM holdfast_row r JOIN holdfast_table t ON t.id = r.tbl
                     JOIN holdfast_space s ON s.id = r.space
                     WHERE t.name = 'entry' AND r.life % 2 = 1 AND s.ready = 1"""
            return {label for (label,) in db.execute(sql)}

    def shown(self, device: SimulatedDevice) -> set[str]:
        """The labels that a device shows or keeps as refused."""
        if not device.has_tables:
            return set()
        seen = device.view(read_seen)
        return seen.entries | seen.refused

    def look(self, device: SimulatedDevice) -> None:
        """Check what a device shows now. Raises `Violation`."""
        if not device.has_tables:
            return
        seen = device.view(read_seen)
        book = self.book(device)
        self._own(device, book, seen)
        if lost := book.refused - seen.refused:
            raise Violation(12, f"{device.name} has forgotten the refusal of {sorted(lost)}")
        book.refused = set(seen.refused)
        if seen.ready:
            if seen.entries != seen.echoes:
                raise Violation(9, f"{device.name} shows half of {sorted(seen.entries ^ seen.echoes)}")
            if total := sum(balance for _, balance, _ in seen.accounts):
                raise Violation(9, f"{device.name} shows balances with the sum {total}: {seen.accounts}")
        others = seen.entries - book.committed
        if vanished := book.seen - others - book.committed:
            raise Violation(11, f"{device.name} had seen {sorted(vanished)} and does not show them any more")
        if book.current:
            book.seen |= others

    def synced(self, device: SimulatedDevice) -> None:
        """A sync of the device came to its end: it knows the hub as it is now."""
        self.book(device).current = True

    def _own(self, device: SimulatedDevice, book: Book, seen: Seen) -> None:
        if lost := book.committed - seen.entries - seen.refused - self.excused:
            raise Violation(10, f"{device.name} does not show its own {sorted(lost)}, nor were they refused")
        if both := book.committed & seen.entries & seen.refused:
            raise Violation(1, f"{device.name} shows {sorted(both)} although they were refused")
        if risen := self.undone & (seen.entries | seen.refused):
            raise Violation(15, f"{device.name} shows {sorted(risen)}, which was rolled back")

    def settle(self) -> None:
        """Everybody is in sync: every transaction had one effect on the hub, or one refusal on its device."""
        rows = self._hub.user_rows()
        entries = {row[0] for row in rows["entry"]}
        if risen := self.undone & entries:
            raise Violation(15, f"the hub shows {sorted(risen)}, which was rolled back")
        for name, book in self.books.items():
            accepted = book.committed - book.refused
            if lost := accepted - entries - self.excused:
                raise Violation(1, f"the hub does not have {sorted(lost)} of {name}, nor were they refused")
            if both := book.refused & book.committed & entries:
                raise Violation(1, f"the hub has {sorted(both)} of {name}, which were refused")
        for label in entries:
            if len(found := self._hub.history("entry", label)) != 1 and label not in self.in_doubt:
                raise Violation(1, f"{label} had {len(found)} effects on the hub")
        self._amounts(rows["account"], entries)
        self._conflicts()

    def _amounts(self, accounts: list[tuple[Any, ...]], entries: set[str]) -> None:
        balances, deposits = dict.fromkeys(ACCOUNTS, 0), dict.fromkeys(ACCOUNTS, 0)
        for label in entries:
            for account, balance, deposit in self.postings[label].amounts if label in self.postings else ():
                balances[account] += balance
                deposits[account] += deposit
        wanted = [(name, balances[name], deposits[name]) for name in ACCOUNTS]
        if accounts and sorted(accounts) != wanted and not self._explained(accounts, wanted):
            raise Violation(4, f"the accounts are {accounts}, the acknowledged amounts make {wanted}")

    def _explained(self, accounts: list[tuple[Any, ...]], wanted: list[tuple[str, int, int]]) -> bool:
        """Whether some of what was in doubt has counted twice, and that is all that differs."""
        doubts = [self.postings[label].amounts for label in sorted(self.in_doubt) if label in self.postings]
        for times in itertools.product((0, 1), repeat=len(doubts)):
            sums = {name: (balance, deposit) for name, balance, deposit in wanted}
            for amounts in itertools.compress(doubts, times):
                for name, balance, deposit in amounts:
                    sums[name] = (sums[name][0] + balance, sums[name][1] + deposit)
            if sorted(accounts) == [(name, *sums[name]) for name in ACCOUNTS]:
                return True
        return False

    def _conflicts(self) -> None:
        """Each decision that the hub's history tells of has one conflict in the inbox, which holds no others."""
        if self.inexact_conflicts:
            return
        told: list[tuple[Any, ...]] = []
        with self._hub.reading() as tx:
            for table, key in sorted(all_rows(self._hub)):
                for entry in tx.history(table, key):
                    record = msgspec.json.decode(entry.body)
                    told += [
                        (c["conflict"], table, key, c.get("column", ""), c["rule"], entry.user, entry.device)
                        for c in record.get("conflicts", ())
                    ]
        names = [column.name for column in CONFLICTS.row_columns]
        wanted = ("id", "table_name", "row_key", "column_name", "rule", "mine_user", "mine_device")
        rows = self._hub.user_rows()[CONFLICTS.name]
        found = sorted(tuple(row[names.index(name)] for name in wanted) for row in rows)
        self._places(rows, names)
        if found != sorted(told):
            raise Violation(14, f"the inbox has {found}, the history tells {sorted(told)}")

    def _places(self, rows: list[tuple[Any, ...]], names: list[str]) -> None:
        """Each conflict lives where the row lives that it is about."""
        lives = {}
        for space, head in self._hub.heads().items():
            for image in self._hub.feed(space, head.head).values():
                row = m.decode_image(image)
                if row.life:
                    lives[row.table, self._hub.key_of(row)] = space
        places = [names.index(name) for name in ("table_name", "row_key", "space")]
        for found in rows:
            table, key, space = (found[place] for place in places)
            if lives.get((table, key)) != space:
                raise Violation(14, f"a conflict of {key!r} is in {space}, its row in {lives.get((table, key))}")


def all_rows(hub: SimulatedHub) -> set[tuple[str, str]]:
    """(table, key) of every row that ever was in a feed."""
    found = set()
    for name, space in hub.heads().items():
        for image in hub.feed(name, space.head).values():
            row = m.decode_image(image)
            found.add((row.table, hub.key_of(row)))
    return found


def labels_in(operations: list[dict[str, Any]]) -> set[str]:
    """The labels of the entries that these operations (in wire form) write."""
    return {op["key"] for op in operations if op["table"] == "entry"}


def read_seen(db: apsw.Connection) -> Seen:
    """The ledger as the file shows it."""
    entries = {label for (label,) in db.execute("SELECT label FROM entry")}
    echoes = {label for (label,) in db.execute("SELECT label FROM echo")}
    accounts: list[Any] = db.execute("SELECT id, balance, deposits FROM account ORDER BY id").fetchall()
    sql = """SELECT o.key FROM holdfast_operation o JOIN holdfast_transaction t USING (txn)
             JOIN holdfast_table x ON x.id = o.tbl WHERE t.state = 'refused' AND x.name = 'entry'"""
    refused = {label for (label,) in db.execute(sql)}
    sql = "SELECT count(*) FROM holdfast_space WHERE name IN ('log', 'mirror') AND ready = 1"
    return Seen(entries, echoes, accounts, refused, db.execute(sql).get == 2)
