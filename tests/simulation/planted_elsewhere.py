"""Planted faults that the simulator cannot find, each with the checker that does: it is run with the fault in it.

What the simulator cannot find: what its own reading shares with the engine (values, the kernel), what only another
program, another process or another database shows, and what becomes visible between two states of rest only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from msgspec import structs

from holdfast.hub import push, serving
from holdfast.hub.batch import Unit
from holdfast.hub.inbox import Inbox, follow
from holdfast.hub.push import Push
from holdfast.kernel import values
from holdfast.kernel.column import Cell
from holdfast.kernel.merges.counter import Counter
from holdfast.kernel.merges.document import Document
from holdfast.kernel.merges.register import Register
from holdfast.protocol import tags
from holdfast.replica import compare, connections, file
from holdfast.replica.compare import Comparison
from holdfast.replica.facade import opened, syncing
from holdfast.schema.emit import sqlite_checks, sqlite_text
from holdfast.stores.postgres.queries import QUERIES


class Patcher(Protocol):
    """What a fault needs of pytest's MonkeyPatch, and of the processes that have none."""

    def setattr(self, target: Any, name: str, value: Any) -> None: ...


class ForEver:
    """Patches the process that it is in."""

    def setattr(self, target: Any, name: str, value: Any) -> None:
        """As the built-in."""
        setattr(target, name, value)


class Elsewhere(NamedTuple):
    """One fault: `checker` is a pytest node that holds without it and fails with it; `says` stands in its output."""

    name: str
    trap: str
    plant: Callable[[Patcher], None]
    checker: str
    says: str


ELSEWHERE: list[Elsewhere] = []


def planted(trap: str, checker: str, says: str) -> Callable[[Any], Any]:
    """Register a fault under the name of its function."""

    def register(plant: Callable[[Patcher], None]) -> Callable[[Patcher], None]:
        ELSEWHERE.append(Elsewhere(plant.__name__, trap, plant, checker, says))
        return plant

    return register


def plant_named(name: str) -> None:
    """Plant a fault in this process."""
    [fault] = [fault for fault in ELSEWHERE if fault.name == name]
    fault.plant(ForEver())


KILLED = "tests/integration/crash/test_kill.py::test_killed_or_failing_at_each_point_and_nothing_is_lost_or_twice"
DOCUMENTS = "tests/integration/documents/test_documents.py"
HISTORIES = "tests/integration/histories/test_histories.py::test_a_hub_on_sqlite"
TRAPS = "tests/integration/traps/test_traps.py"


@planted(
    "4: one snapshot for all statements",
    "tests/contract/test_postgres_store.py::TestPostgresStore::test_a_reader_keeps_its_snapshot",
    "assert seen(before) == old",
)
def readers_see_what_is_committed_meanwhile(patch: Patcher) -> None:
    """PostgreSQL reads in READ COMMITTED: each statement has its own snapshot."""
    QUERIES["begin_read"] = QUERIES["begin_read"].replace(b"REPEATABLE READ", b"READ COMMITTED")


@planted("6: doubles bit for bit", "tests/vectors/test_vectors.py", "FAILED tests/vectors/test_vectors.py")
def doubles_have_15_digits(patch: Patcher) -> None:
    """A double that crosses the wire keeps 15 digits."""
    real = values.check

    def check(type_name: str, value: Any, *rest: Any) -> Any:
        found = real(type_name, value, *rest)
        return float(f"{found:.15g}") if isinstance(found, float) else found

    patch.setattr(values, "check", check)


@planted("8: order by stamp only", "tests/vectors/test_vectors.py", "merges/custom: apply: earlier stamp")
def registers_keep_the_greater_value(patch: Patcher) -> None:
    """A register is decided by its values where they can be compared, and so alike at both ends."""

    def write(self: Any, column: Any, cell: Cell, change: Any, stamp: str, dot: str, hub: str) -> Cell:
        later = cell.stamp is None or (str(change), stamp) > (str(cell.value), cell.stamp)
        return Cell(change, stamp) if later else cell

    patch.setattr(Register, "apply", write)


@planted("9: U+0000", f"{TRAPS}::test_trap_09_nul_is_refused_where_it_is_written", "DID NOT RAISE")
def nul_is_taken(patch: Patcher) -> None:
    """The device writes texts with U+0000 down like any other."""
    patch.setattr(sqlite_checks, "no_nul", lambda name: "1")
    patch.setattr(sqlite_text, "no_nul", lambda name: "1")


@planted(
    "11: an unknown origin",
    "tests/integration/hostile/test_bad_requests.py::test_an_unknown_origin_begins_at_one",
    "assert",
)
def hub_accepts_any_number(patch: Patcher) -> None:
    """A transaction is new as soon as its number is greater than the last one known: gaps are jumped."""

    def new_units(self: Any) -> list[Unit]:
        units: list[Unit] = []
        known = self._tx.origins(sorted({t.origin for s in self._submissions for t in s.transactions}))
        last = {origin: record.last_n for origin, record in known.items()}
        for index, submission in enumerate(self._submissions):
            through = self._outcomes[index].through
            for transaction in submission.transactions:
                origin, n = transaction.origin, transaction.n
                if n <= last.get(origin, 0):
                    self._repeated[index].append((origin, n))
                else:
                    units.append(Unit(index, transaction, len(units)))
                    last[origin] = n
                through[origin] = max(n, through.get(origin, 0))
        return units

    patch.setattr(Push, "_new_units", new_units)


@planted(
    "14: a digest with waiting edits in it",
    f"{TRAPS}::test_trap_14_the_digest_is_over_confirmed_rows_whatever_waits",
    "assert",
)
def digests_count_what_waits(patch: Patcher) -> None:
    """The device's digest is of what it shows: rows with waiting operations count one life more."""
    real = compare.local_rows

    def local_rows(db: Any, tables: Any, space: str) -> Any:
        numbers = {user.number: name for name, user in tables.by_name.items()}
        waiting = {(numbers[tbl], key) for tbl, key in db.execute("SELECT tbl, key FROM holdfast_base")}
        for row in real(db, tables, space):
            yield row._replace(leaf=row.leaf + 1) if (row.table, row.key) in waiting else row

    patch.setattr(syncing, "local_rows", local_rows)


@planted(
    "17: the schema changes", f"{TRAPS}::test_trap_17_the_schema_changes_between_capture_and_upload", "DID NOT RAISE"
)
def hub_takes_any_schema(patch: Patcher) -> None:
    """The hub does not ask which schema a device runs."""
    patch.setattr(serving.Serving, "view", lambda self, named: self.current)


@planted(
    "verify and repair",
    "tests/integration/verify/test_verify.py::test_rows_that_are_wrong_here_are_replaced",
    "assert",
)
def repairs_are_told_and_not_made(patch: Patcher) -> None:
    """`verify` names the rows that differ and says that it has repaired them."""
    real = Comparison._repair

    def repair(self: Any, space: str, buckets: Any, write: Any, repaired: Any, lost: Any) -> None:
        real(self, space, buckets, lambda space, images: None, repaired, lost)

    patch.setattr(Comparison, "_repair", repair)


@planted(
    "verify: a damaged copy",
    "tests/integration/verify/test_verify.py::test_what_the_hub_has_lost_is_told_and_kept",
    "assert",
)
def bytes_that_differ_are_equal(patch: Patcher) -> None:
    """The comparison of two hash trees finds nothing."""
    patch.setattr(tags, "differing", lambda mine, theirs: [])


@planted(
    "power lost",
    f"{KILLED}[power-3-both-130]",
    "the first:",
)
def commits_do_not_wait_for_the_disk(patch: Patcher) -> None:
    """The device's engine commits with synchronous = OFF."""
    real = file.connect

    def connect(path: str, **options: Any) -> Any:
        db = real(path, **options)
        db.execute("PRAGMA synchronous = OFF")
        return db

    for module in (file, opened, connections):  # each has it by its name
        patch.setattr(module, "connect", connect)


@planted(
    "13: a retry counts twice",
    f"{KILLED}[transactions-1-both-350]",
    "scenario.check(folder)",
)
def killed_hub_counts_again(patch: Patcher) -> None:
    """The hub takes transactions for new ones that it has processed before."""

    def new_units(self: Any) -> list[Unit]:
        units: list[Unit] = []
        for index, submission in enumerate(self._submissions):
            for transaction in submission.transactions:
                units.append(Unit(index, transaction, len(units)))
                through = self._outcomes[index].through
                through[transaction.origin] = max(transaction.n, through.get(transaction.origin, 0))
        return units

    patch.setattr(Push, "_new_units", new_units)


@planted(
    "documents",
    f"{DOCUMENTS}::test_both_ways_of_editing_meet_in_one_transaction_and_on_two_devices",
    "assert",
)
def documents_keep_the_last_edit(patch: Patcher) -> None:
    """Of two edits of a document that had not seen each other, only the later one stays."""
    real = Document.apply

    def write(self: Any, column: Any, cell: Cell, change: Any, stamp: str, dot: str, hub: str) -> Cell:
        if cell.stamp is not None and stamp < cell.stamp:
            return cell
        return real(self, column, cell, change, stamp, dot, hub)

    patch.setattr(Document, "apply", write)


@planted(
    "conflict inbox",
    "tests/integration/conflicts/test_conflicts.py::test_conflicts_go_with_their_row_into_another_space",
    "assert",
)
def conflicts_stay_where_their_row_was(patch: Patcher) -> None:
    """A row moves to another space, and its conflicts do not."""

    def stay(tx: Any, workspace: Any, settled: Any, drafted: Any, stamp: Any) -> Any:
        found = follow(tx, workspace, settled, drafted, stamp)
        return {name: standing for name, standing in found.items() if name in drafted}

    patch.setattr(push, "follow", stay)


@planted(
    "laws of the kernel",
    "tests/properties/kernel/test_merge_laws.py::test_join_is_associative_commutative_and_idempotent",
    "assert",
)
def counters_add_when_they_join(patch: Patcher) -> None:
    """Two states of a counter are added instead of taken entry by entry."""
    real = Counter.join

    def join(self: Any, column: Any, a: Cell, b: Cell) -> Cell:
        found = real(self, column, a, b)
        return found._replace(value=a.value + b.value)

    patch.setattr(Counter, "join", join)


@planted(
    "conflict inbox",
    "tests/integration/conflicts/test_conflicts.py::test_a_register_is_decided_and_told_to_both",
    "assert",
)
def nobody_is_told_of_conflicts(patch: Patcher) -> None:
    """The hub takes every operation for one whose writer had seen the row as it is now; its history says the same."""
    patch.setattr(Inbox, "decide", lambda self, meeting, conflicts, draft, hlc: (meeting.after, [], hlc))


@planted("atomicity", f"{HISTORIES}[bank]", "assert")
def hub_takes_half_of_some_transfers(patch: Patcher) -> None:
    """Of every seventh transaction the hub does the first operation only."""
    real = Push._transaction

    def transaction(self: Any, given: Any, submission: Any) -> Any:
        cut = given.n % 7 == 0 and len(given.ops) == 2
        return real(self, structs.replace(given, ops=given.ops[:1]) if cut else given, submission)

    patch.setattr(Push, "_transaction", transaction)


@planted("exactly one effect", f"{HISTORIES}[set-full]", "assert")
def hub_loses_some_additions(patch: Patcher) -> None:
    """Every seventh transaction is said to be accepted, and nothing of it is kept."""
    real = Push._transaction

    def transaction(self: Any, given: Any, submission: Any) -> Any:
        return real(self, structs.replace(given, ops=[]) if given.n % 7 == 0 else given, submission)

    patch.setattr(Push, "_transaction", transaction)
