"""Accepting transactions: decide each one over the rows as they stand, then write all that was accepted in one go.

Everything here is decided inside one write transaction of the store. If the database refuses the whole, the batch is
cut in halves until the transaction that it refuses stands alone; that one gets a stored refusal, all others go through.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.hub.answers import Answer, answers_in, checked_answer, missing_write, over_earlier_answer
from holdfast.hub.batch import Accepted, Held, Outcome, Submission, Unit, names_of, refused_result, touched_by_several
from holdfast.hub.copies import Sender, joined_in, left_to_do
from holdfast.hub.drafting import Step, Writing
from holdfast.hub.fresh import fresh_entry, fresh_rows, may_count
from holdfast.hub.hooks import Context, Hooks
from holdfast.hub.inbox import Inbox, Meeting, follow
from holdfast.hub.lenses import complete, settle
from holdfast.hub.merged_text import with_seen_texts
from holdfast.hub.merging import MergeFunctions
from holdfast.hub.moves import Moves
from holdfast.hub.needs import named_parents
from holdfast.hub.operations import Refusal, apply_checked, kernel_operation, seen_whole
from holdfast.hub.orphans import take_up
from holdfast.hub.permission import require_write
from holdfast.hub.placing import content_of, places
from holdfast.hub.policies import ROUNDS, Mend, Policies, mending, revived
from holdfast.hub.record import Decision, history_entry
from holdfast.hub.requested import Owner, check_owner
from holdfast.hub.restoring import copy_of, latest_of, lost_spaces, refuse_stranger
from holdfast.hub.telling import ask_hooks, change_of
from holdfast.hub.trace import Trace
from holdfast.hub.workspace import Draft, RowName, Standing, Workspace, edits_of
from holdfast.kernel import clock
from holdfast.kernel.restore import restore
from holdfast.kernel.row import Op
from holdfast.kernel.row import Outcome as KernelOutcome
from holdfast.protocol import messages as m
from holdfast.schema.built_in import CONFLICTS
from holdfast.schema.model import Schema, Table
from holdfast.schema.rules import CONFLICT_TABLE
from holdfast.stores.base import Batch, HistoryEntry, RowsLocked, StoredResult, Transaction, Violation
from holdfast.stores.base import Origin as StoredOrigin

log = logging.getLogger("holdfast.hub")

MAX_AHEAD = 5 * 60 * 1000
"""How far ahead of the hub's clock a stamp may be, in milliseconds, before it is replaced."""

MOST_BLIND = 16
"""How many locks a batch runs into without knowing whose rows they are, before it leaves the rest for later."""


class Push:
    """One batch of submissions on its way into the store. `origin` is that of this hub process."""

    def __init__(
        self,
        tx: Transaction,
        schema: Schema,
        hooks: Hooks,
        functions: MergeFunctions,
        origin: str,
        now: int,
        counts: str = "",
    ) -> None:
        self._tx = tx
        self._schema = schema
        self._hooks = hooks
        self._now = now
        state = tx.hub()
        self._hub, self._hlc = state.hub, state.hlc
        self._counts = counts or state.counts
        self._origin = origin
        self._mends: list[Mend] = []
        self._history: list[HistoryEntry] = []
        self._trace = Trace(tx, self._history)
        self._inbox = Inbox(self._trace, functions, origin)

    def run(self, submissions: Sequence[Submission]) -> list[Outcome | HoldfastError]:
        """Process every transaction that is new. The caller commits. Outcomes in the order of the submissions; of one
        with somebody else's origins nothing is processed, and its error stands in their place."""
        self._submissions = submissions
        counts, schema = self._counts, self._schema
        self._outcomes = [Outcome(counts if may_count(schema, one.transactions) else "") for one in submissions]
        self._repeated: list[list[tuple[str, int]]] = [[] for _ in submissions]
        self._held = Held(submissions, self._outcomes)
        self._mistaken: dict[int, HoldfastError] = {}
        self._blind = 0
        units = self._new_units()
        units = self._held.without(units, self._tx.noted(sorted({n for unit in units for n in names_of(unit)})))
        if units:
            self._commit(units)
        come = {name for outcome in self._outcomes for name, place in outcome.written.items() if not place.before}
        take_up(self._tx, self._schema, come)
        self._repeat()
        return [self._mistaken.get(number, outcome) for number, outcome in enumerate(self._outcomes)]

    def _new_units(self) -> list[Unit]:
        """The transactions that were not processed before, in order, without those behind a gap.

        `through` never goes beyond what the request names: the device takes all up to there without a result for plain,
        and it gets the results of those only that it sent.
        """
        names = {t.origin for s in self._submissions for t in s.transactions}
        known = self._tx.origins(sorted(names))
        last = {origin: record.last_n for origin, record in known.items()}
        owners = {origin: Owner(record.device, record.user) for origin, record in known.items()}
        units: list[Unit] = []
        for index, submission in enumerate(self._submissions):
            owner = Owner(submission.device, submission.identity.user)
            try:
                check_owner(owners, owner, (one.origin for one in submission.transactions))
            except HoldfastError as error:
                self._mistaken[index] = error
                continue
            writable = [name for name, access in submission.spaces.items() if access == "rw"]
            if lost_spaces(self._tx, submission.cursors, writable):
                # They may build on what is lost, so that comes back first (`spec/protocol.md`, 16).
                continue
            through = self._outcomes[index].through
            for transaction in submission.transactions:
                origin, before = transaction.origin, last.get(transaction.origin, 0)
                if transaction.n <= before:
                    self._repeated[index].append((origin, transaction.n))
                elif transaction.n == before + 1:
                    units.append(Unit(index, transaction, len(units)))
                    last[origin] = transaction.n
                    owners[origin] = owner
                through[origin] = min(last.get(origin, 0), max(transaction.n, through.get(origin, 0)))
        return units

    def _repeat(self) -> None:
        """Give the stored results of transactions that were sent again (trap 5: a lost acknowledgement).

        After the commit, because the first copy may have come in the same group.
        """
        origins = {origin for repeated in self._repeated for origin, _ in repeated}
        if not origins:
            return
        stored = {(r.origin, r.n): r.body for r in self._tx.results(sorted(origins))}
        for outcome, repeated in zip(self._outcomes, self._repeated, strict=True):
            bodies = (stored[name] for name in dict.fromkeys(repeated) if name in stored)
            outcome.results.extend(map(m.decode_result, bodies))

    def _commit(self, units: Sequence[Unit]) -> None:
        """Decide and write the units; on a refusal by the database, find the one that it refuses, and where another
        program holds rows, those that touch them."""
        units = self._held.without(units, ())
        if not units:
            return
        hlc = self._hlc
        try:
            with self._tx.savepoint():
                decided = self._decide(units)
                self._write(units, decided)
        except RowsLocked as locked:
            self._hlc = hlc
            self._commit_others(units, locked)
        except Violation as violation:
            self._hlc = hlc
            if len(units) == 1:
                self._mend_alone(units[0], violation)
            else:
                self._commit_halves(units)

    def _commit_halves(self, units: Sequence[Unit]) -> None:
        middle = len(units) // 2
        self._commit(units[:middle])
        self._commit(units[middle:])

    def _commit_others(self, units: Sequence[Unit], locked: RowsLocked) -> None:
        """Commit the units that the lock does not concern; find them by halves where the database cannot tell. Each
        half may cost the time that the store waits for a lock, so that is not done without end."""
        others = self._held.without(units, locked.names)
        if len(others) < len(units):
            self._commit(others)
            return
        self._blind += 1
        if len(units) == 1 or self._blind > MOST_BLIND:
            for unit in units:
                self._held.hold(unit)
        else:
            self._commit_halves(units)

    def _mend_alone(self, unit: Unit, violation: Violation) -> None:
        """Let the declared policies make the transaction fit, as far as they can; refuse it otherwise."""
        hlc, mends = self._hlc, list[Mend]()
        for _ in range(ROUNDS):
            found = Policies(self._tx, self._schema, self._workspace).mends(violation)
            if not found:
                break
            mends += found
            self._mends = mends
            try:
                with self._tx.savepoint():
                    decided = self._decide([unit])
                    self._write([unit], decided)
                return
            except RowsLocked:
                self._hlc = hlc
                self._held.hold(unit)
                return
            except Violation as again:
                violation = again
                self._hlc = hlc
            finally:
                self._mends = []
        self._refuse_alone(unit, violation)

    def _decide(self, units: Sequence[Unit]) -> list[Accepted]:
        self._history.clear()
        self._trace.begin_anew()
        operations = [op for unit in units for op in unit.transaction.ops]
        names = {(op.table, op.key) for op in operations} | named_parents(self._schema, operations)
        self._workspace = Workspace(self._tx, self._schema, names)
        self._moves = Moves(self._tx, self._schema, self._workspace)
        self._moves.prepare(operations)
        decided = []
        for unit in units:
            submission = self._submissions[unit.submission]
            history = len(self._history)
            try:
                accepted = self._transaction(unit.transaction, submission)
            except Refusal as refusal:
                del self._history[history:]
                self._trace.forget_fresh()
                accepted = Accepted(refused_result(unit.transaction, refusal), set(), set(), [], [])
            decided.append(accepted)
        return decided

    def _transaction(self, transaction: m.Transaction, submission: Submission) -> Accepted:
        """Apply all operations of one transaction to a draft and accept it. Raises `Refusal`."""
        if transaction.withdrawn:
            raise Refusal("withdrawn", "the device has taken the transaction back before it had an effect")
        short = self._inserts_alone(transaction, submission)
        if short is not None:
            return short
        draft = Draft(self._workspace)
        accepted = Accepted(None, set(), set(), [], [])
        writing = Writing(transaction, submission, draft, accepted, answers_in(draft, transaction.ops), [])
        merged, sender = False, Sender(submission.device, transaction.origin, submission.copied)
        limit = clock.wall(self._now + MAX_AHEAD)
        for operation in transaction.ops:
            table = self._schema.by_name.get(operation.table)
            if table is None:
                message = f"the hub's schema has no table {operation.table}"
                raise Refusal("unknown_table", message, operation.table, operation.key)
            if isinstance(operation, m.Restore):
                merged = self._note(table, operation.key, self._restore(table, operation, writing), accepted) or merged
                continue
            if isinstance(operation, m.Insert):
                complete(self._schema, operation)
            op = kernel_operation(table, operation)
            row = draft.standing(table, (table.name, op.key)).row
            left = left_to_do(self._trace, table, operation, op, row, sender)
            if left is None:
                merged = self._note(table, op.key, "merged", accepted) or merged
                continue
            op, changed = left, left is not op
            hlc = clock.hlc_of(op.stamp)
            if hlc > limit:
                hlc = clock.tick(self._hlc, self._now)
                op = op._replace(stamp=clock.stamp(hlc, transaction.origin), named=op.stamp)
            self._hlc = max(self._hlc, hlc)
            status = self._operation(table, op, writing, joined=joined_in(operation))
            merged = self._note(table, op.key, "merged" if changed else status, accepted) or merged
        for answer in writing.answers:
            merged = self._complete(answer, writing) or merged
        for mend in self._mends:
            merged = self._mend(mend, writing) or merged
        settled = self._settle(draft, submission)
        for step in writing.steps:
            self._tell(step, settled, writing)
        self._workspace.accept(settled)
        if not merged:
            return accepted
        result = m.Result(transaction.origin, transaction.n, "merged")
        # The device takes the operations of a plain transaction for confirmed, those of a merged one only from the
        # page: so all rows of this one go back, also those to which nothing else had happened.
        return accepted._replace(result=result, plain=set(), mixed=accepted.mixed | accepted.plain)

    def _inserts_alone(self, transaction: m.Transaction, submission: Submission) -> Accepted | None:
        """Decide a transaction that only inserts new rows by the short way; None when it has to go the long one."""
        if self._mends or self._hooks.wants_after:
            return None
        found = fresh_rows(self._schema).decide(transaction.ops, submission.identity.user)
        latest = 0
        for name, (op, fresh) in found.items():
            if submission.spaces.get(fresh.space) != "rw" or self._hooks.wants_before(op.table):
                return None
            if self._workspace.standing(self._schema.by_name[op.table], name).row is not None:
                return None
            latest = max(latest, clock.hlc_of(op.stamp))
        if not found or latest > clock.wall(self._now + MAX_AHEAD):
            return None
        self._hlc = max(self._hlc, latest)
        for op, fresh in found.values():
            context = Context(submission.identity, submission.device, fresh.space, self._now)
            self._history.append(fresh_entry(op, fresh, transaction, context))
        self._workspace.accept({name: Standing(fresh.row, fresh.space) for name, (_, fresh) in found.items()})
        return Accepted(None, set(found), set(), [], [])

    def _restore(self, table: Table, given: m.Restore, writing: Writing) -> str:
        """Merge a copy that comes back; gives the status."""
        name = (table.name, given.key)
        copy = copy_of(table, given, latest_of(self._now, self._hlc, MAX_AHEAD))
        before = writing.draft.standing(table, name)
        if before.row is None:
            require_write(writing.submission, given.space, name)
            writing.draft.rows[name] = Standing(None, given.space)
        refuse_stranger(table, before.row, copy.row, given.key)
        self._hlc = max(self._hlc, clock.hlc_of(copy.op.stamp))
        outcome = restore(table, before.row, copy.row)
        if table is not CONFLICTS:
            return self._operation(table, copy.op, writing, outcome=outcome)
        if before.space:
            require_write(writing.submission, before.space, name, hidden=True)
        # Nobody wrote a conflict, so no history tells of it.
        writing.draft.rows[name] = Standing(outcome.row, before.space or given.space)
        return "merged"

    def _note(self, table: Table, key: str, status: str, accepted: Accepted) -> bool:
        """Note how an operation ended; gives whether it was not plain."""
        (accepted.plain if status == "applied" else accepted.mixed).add((table.name, key))
        return status != "applied"

    def _complete(self, answer: Answer, writing: Writing) -> bool:
        """Make the row show an answer that came after another one; gives whether there was something to do."""
        stamp = clock.stamp(clock.tick(self._hlc, self._now), writing.transaction.origin)
        self._workspace.load([answer.name])
        op = missing_write(self._schema, answer, writing.draft, stamp)
        if op is None:
            return False
        self._hlc = clock.hlc_of(stamp)
        table = self._schema.by_name[answer.name[0]]
        self._operation(table, op, writing)
        return self._note(table, op.key, "merged", writing.accepted)

    def _mend(self, mend: Mend, writing: Writing) -> bool:
        """Do what a policy says to one row, and put it into the inbox; gives whether there was something to do."""
        table, (_, key) = self._schema.by_name[mend.name[0]], mend.name
        self._workspace.load([mend.name])
        before = writing.draft.standing(table, mend.name)
        if before.row is None or (before.row.life % 2 == 0) != (mend.kind == "revive"):
            return False
        op = mending(mend, key, before.row, self._stamp(), writing.transaction.origin)
        back = KernelOutcome(revived(before.row), "merged") if mend.kind == "revive" else None
        self._operation(table, op, writing, outcome=back)
        after = writing.draft.standing(table, mend.name).row
        assert after is not None, "a mended row exists"
        context = Context(writing.submission.identity, writing.submission.device, "", self._now)
        self._inbox.mended(mend, Meeting(table, op, before.row, after, context), writing.draft, self._stamp())
        writing.accepted.rules.append(mend.rule)
        return self._note(table, key, "merged", writing.accepted)

    def _operation(
        self, table: Table, op: Op, writing: Writing, outcome: KernelOutcome | None = None, joined: Sequence[str] = ()
    ) -> str:
        """Merge one operation into the draft, if its writer may write the row where it lives; gives the status.

        `outcome` is what becomes of the row if that is known already, `joined` as in `messages.Update`.
        """
        submission, draft = writing.submission, writing.draft
        name = (table.name, op.key)
        before = draft.standing(table, name)
        if before.row is not None and before.row.life > 0 and before.space:
            require_write(submission, before.space, name, hidden=True)
        if op.kind == "insert" and table.key[0].block and before.row is not None and before.row.life % 2 == 1:
            # Two rows, never two versions of one: every leased key is given once.
            raise Refusal("key_taken", f"{table.name} has a row with the key {op.key} already", table.name, op.key)
        given = op = seen_whole(op, before.row)
        if table is CONFLICTS:
            op = checked_answer(op, before.row, submission.identity.user)
        elif writing.answers:
            op = over_earlier_answer(table, op, before.row, writing.answers)
        full = with_seen_texts(self._trace, table, op, before.row)
        outcome = outcome or apply_checked(table, before.row, full, self._counts)
        if outcome.status == "missing":
            raise Refusal("row_missing", f"the hub has no row {op.key!r} in {table.name}", table.name, op.key)
        if outcome.status == "ignored":
            return "merged"
        row = outcome.row
        assert row is not None, "what is not missing is there"
        decisions: list[Decision] = []
        context = Context(submission.identity, submission.device, before.space, self._now)
        if outcome.status == "merged" and table is not CONFLICTS:
            meeting = Meeting(table, full, before.row, row, context, writing.answers)
            row, decisions, self._hlc = self._inbox.decide(meeting, outcome.conflicts, draft, self._hlc)
            writing.accepted.rules.extend(decision.rule for decision in decisions)
        since = None if op.kind == "insert" and (before.row is None or before.row.life % 2 == 0) else before.row
        row, derived = settle(self._schema, table, op.key, since, row, self._hub, None if since else op.changes)
        draft.rows[name] = Standing(row, before.space, edits=before.edits + edits_of(table, op))
        writing.steps.append(Step(table, op, before.row, row, len(self._history)))
        told = op._replace(changes={**op.changes, **derived})
        entry = history_entry(table, told, before.row, row, decisions, writing.transaction, context, joined)
        self._history.append(entry)
        return "merged" if derived or op.changes != given.changes else str(outcome.status)

    def _settle(self, draft: Draft, submission: Submission) -> dict[RowName, Standing]:
        """The draft's rows in their spaces, now that every row of the transaction is known, and those that move along.

        Raises `Refusal` for a row without a space, or one in which its writer may not write.
        """
        rows = {name: standing for name, standing in draft.rows.items() if name[0] != CONFLICT_TABLE}
        settled = self._moves.settle(rows, submission.identity.user)
        for problem in settled.unplaced.values():
            raise Refusal(problem.code, problem.message, *problem.name, problem.column)
        for name, standing in settled.rows.items():
            table = self._schema.by_name[name[0]]
            lived = self._workspace.standing(table, name).space
            if standing.space != lived:
                # The name of a parent's space is nothing that the writer has said himself.
                require_write(submission, standing.space, name, hidden=table.via is not None)
            if name in settled.along:
                require_write(submission, lived, name, hidden=True)
        return {**settled.rows, **follow(self._tx, self._workspace, settled.rows, draft.rows, self._stamp)}

    def _stamp(self) -> str:
        """A stamp of this hub's own."""
        self._hlc = clock.tick(self._hlc, self._now)
        return clock.stamp(self._hlc, self._origin)

    def _tell(self, step: Step, settled: Mapping[RowName, Standing], writing: Writing) -> None:
        """Ask the hooks about one operation, and enter its space into the history."""
        table, op, before, row, place = step
        space = settled[table.name, op.key].space
        self._history[place] = self._history[place]._replace(space=space)
        if table is CONFLICTS or not (self._hooks.wants_before(table.name) or self._hooks.wants_after):
            return
        change = change_of(table, op.key, before, row)
        if change is not None:
            ask_hooks(
                self._hooks, change, Context(writing.submission.identity, writing.submission.device, space, self._now)
            )
            writing.accepted.changes.append(change)

    def _write(self, units: Sequence[Unit], decided: Sequence[Accepted]) -> None:
        """Write the accepted rows and all bookkeeping, and tell the outcomes."""
        writes = self._workspace.writes()
        digests = self._workspace.digest_changes(writes, self._hub.encode())
        origins = {u.transaction.origin: self._origin_record(u) for u in units}
        results = [a.result for a in decided if a.result is not None]
        heads = self._tx.write(
            Batch(
                rows=writes,
                history=list(self._history),
                results=[StoredResult(r.origin, r.n, m.encode(r)) for r in results],
                origins=list(origins.values()),
                digests=digests,
                content=content_of(writes),
                hlc=self._hlc,
                now=self._now,
            )
        )
        written = places(writes, heads, self._workspace)
        shared = touched_by_several(units, decided)
        plain: dict[int, set[RowName]] = {}
        for submission_number in {unit.submission for unit in units}:
            self._outcomes[submission_number].written.update(written)
            self._outcomes[submission_number].left.update(write.left for write in writes if write.left is not None)
            self._outcomes[submission_number].mixed |= shared
        for unit, accepted in zip(units, decided, strict=True):
            outcome = self._outcomes[unit.submission]
            outcome.plain |= accepted.plain
            outcome.mixed |= accepted.mixed
            plain.setdefault(unit.submission, set()).update(accepted.plain)
            if accepted.result is not None:
                outcome.results.append(accepted.result)
            outcome.conflicts += accepted.rules
            if accepted.changes and self._hooks.wants_after:
                submission = self._submissions[unit.submission]
                context = Context(submission.identity, submission.device, "", self._now)
                outcome.changes.append((accepted.changes, context))
        for number, names in plain.items():
            user = self._submissions[number].identity.user
            self._outcomes[number].mixed |= self._moves.unexpected(names, user)

    def _refuse_alone(self, unit: Unit, violation: Violation) -> None:
        """Store the refusal of the one transaction that the database does not take."""
        details: dict[str, Any] = {"columns": list(violation.columns), "constraint": violation.constraint}
        column, key = violation.columns[0] if len(violation.columns) == 1 else "", ""
        met = Policies(self._tx, self._schema, self._workspace).other(violation)
        if met is not None:
            key = met[0][1]
            if self._workspace.space_of(met[1]) in self._submissions[unit.submission].spaces:
                details["other"] = met[1][1]
        refusal = Refusal(violation.kind, violation.message, violation.table, key, column, **details)
        result = refused_result(unit.transaction, refusal)
        body = StoredResult(result.origin, result.n, m.encode(result))
        self._tx.write(Batch([], [], [body], [self._origin_record(unit)], {}, {}, self._hlc, self._now))
        self._outcomes[unit.submission].results.append(result)

    def _origin_record(self, unit: Unit) -> StoredOrigin:
        submission, transaction = self._submissions[unit.submission], unit.transaction
        return StoredOrigin(transaction.origin, submission.device, submission.identity.user, transaction.n, self._now)
