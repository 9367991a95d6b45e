"""Bank: money moves between accounts, and the total is the same in every read of every device.

After Jepsen's `bank` test (https://github.com/jepsen-io/jepsen, jepsen/tests/bank.clj). A transfer changes two
counters in one transaction; a read takes all accounts in one statement. A total that is off means that a device
showed half a transaction, or that a transfer was counted twice or only on one side. A balance may be negative:
devices offline cannot know what the others spend.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.testing.histories.record import Operation


def check(history: Sequence[Operation]) -> list[str]:
    """What is wrong, a sentence each. `open` has the accounts as {name: balance}, `transfer` [from, to, amount], `read`
    {name: balance}; a device that has not loaded the accounts yet reads {}.
    """
    opened = [operation.value for operation in history if operation.what == "open"]
    if len(opened) != 1:
        return [f"the bank was opened {len(opened)} times"]
    accounts = opened[0]
    total = sum(accounts.values())
    wrong, seen = [], set[str]()
    for read in history:
        if read.what != "read" or read.ending != "ok":
            continue
        if set(read.value) != set(accounts) and (read.value or read.last or read.device in seen):
            wrong.append(f"{read.device} read the accounts {sorted(read.value)}, not {sorted(accounts)}")
        elif read.value and sum(read.value.values()) != total:
            wrong.append(f"{read.device} read a total of {sum(read.value.values())}, not {total}: {read.value}")
        if read.value:
            seen.add(read.device)
    final = {tuple(sorted(read.value.items())) for read in history if read.what == "read" and read.last}
    if len(final) > 1:
        wrong.append(f"the last reads differ: {sorted(final)}")
    return wrong + balances_off(history, accounts)


def balances_off(history: Sequence[Operation], accounts: dict[str, int]) -> list[str]:
    """Final balances that no set of the attempted transfers with all acknowledged ones gives, account by account."""
    finals = [read.value for read in history if read.what == "read" and read.last and read.ending == "ok"]
    if not finals:
        return ["nobody read at the end"]
    wrong = []
    for name, begin in accounts.items():
        low = high = begin
        for move in history:
            if move.what == "transfer" and move.ending != "fail" and name in move.value[:2]:
                source, target, amount = move.value
                change = (amount if name == target else 0) - (amount if name == source else 0)
                low += change if move.ending == "ok" else min(change, 0)
                high += change if move.ending == "ok" else max(change, 0)
        value = finals[0].get(name, 0)
        if not low <= value <= high:
            wrong.append(f"account {name} ends with {value}, which is not within {low} and {high}")
    return wrong
