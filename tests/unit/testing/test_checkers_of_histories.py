"""The checkers accept what is right and find each anomaly that their definitions name."""

import json

import pytest

from holdfast.testing.histories import bank, causal, counter, long_fork, set_full
from holdfast.testing.histories.record import FOREVER, Operation, Recorder, read


def op(device, what, value, began, *, ended=None, ending="ok", last=False):
    return Operation(device, what, value, ending, began, began + 1 if ended is None else ended, last)


def test_a_history_that_a_kill_cut_in_the_middle(tmp_path):
    file = tmp_path / "history.jsonl"
    recorder = Recorder(file, "a")
    first, second = recorder.invoke("add", 1), recorder.invoke("add", 2)
    recorder.end(first, "ok")
    recorder.close()
    with file.open("ab") as cut:
        cut.write(json.dumps({"ended": second, "ending": "ok"}).encode()[:10])
    assert [(o.value, o.ending, o.ended == FOREVER) for o in read([file])] == [(1, "ok", False), (2, "unknown", True)]


SETS = [
    ("fine", [op("a", "add", "x", 1), op("b", "read", [], 3), op("b", "read", ["x"], 5, last=True)], ""),
    ("lost", [op("a", "add", "x", 1), op("b", "read", ["x"], 3), op("b", "read", [], 5, last=True)], "lost 'x'"),
    ("never seen", [op("a", "add", "x", 1), op("b", "read", [], 5, last=True)], "lost 'x'"),
    (
        "lost on one device only",
        [op("a", "add", "x", 1), op("b", "read", [], 5, last=True), op("a", "read", ["x"], 7, last=True)],
        "b lost 'x'",
    ),
    ("an unknown add may come", [op("a", "add", "x", 1, ending="unknown"), op("b", "read", ["x"], 5, last=True)], ""),
    ("or not", [op("a", "add", "x", 1, ending="unknown"), op("b", "read", [], 5, last=True)], ""),
    ("a failed one may not", [op("a", "add", "x", 1, ending="fail"), op("b", "read", ["x"], 5)], "nobody added"),
    ("twice", [op("a", "add", "x", 1), op("b", "read", ["x", "x"], 5)], "twice"),
    ("gone", [op("a", "add", "x", 1), op("b", "read", ["x"], 5), op("b", "read", [], 7)], "had and then had not"),
    ("own write", [op("a", "add", "x", 1), op("a", "read", [], 5)], "its own"),
    ("own write while it is made", [op("a", "add", "x", 1, ended=9), op("a", "read", [], 5)], ""),
]


@pytest.mark.parametrize(("history", "found"), [case[1:] for case in SETS], ids=[case[0] for case in SETS])
def test_set_full(history, found):
    verdict(set_full.check(history), found)


COUNTERS = [
    ("fine", [op("a", "add", 2, 1), op("b", "read", 0, 3), op("b", "read", 2, 5, last=True)], ""),
    ("own add", [op("a", "add", 2, 1), op("a", "read", 0, 3)], "not within 2 and 2"),
    ("twice", [op("a", "add", 2, 1), op("b", "read", 4, 3)], "not within 0 and 2"),
    ("lost at the end", [op("a", "add", 2, 1), op("b", "read", 0, 5, last=True)], "at the end"),
    ("unknown", [op("a", "add", 2, 1, ending="unknown", ended=FOREVER), op("b", "read", 2, 5, last=True)], ""),
    ("negative, not there yet", [op("a", "add", -2, 1), op("b", "read", 0, 3)], ""),
    ("negative, lost at the end", [op("a", "add", -2, 1), op("b", "read", 0, 3, last=True)], "not within -2 and -2"),
    ("failed", [op("a", "add", 2, 1, ending="fail"), op("b", "read", 2, 3)], "not within 0 and 0"),
    (
        "ends that differ",
        [
            op("a", "add", 2, 1, ending="unknown", ended=FOREVER),
            op("a", "read", 2, 3, last=True),
            op("b", "read", 0, 3, last=True),
        ],
        "differ",
    ),
]


@pytest.mark.parametrize(("history", "found"), [case[1:] for case in COUNTERS], ids=[case[0] for case in COUNTERS])
def test_counter(history, found):
    verdict(counter.check(history), found)


OPEN = op("a", "open", {"x": 10, "y": 10}, 1)
MOVE = op("a", "transfer", ["x", "y", 3], 3)
BANKS = [
    (
        "fine",
        [OPEN, MOVE, op("b", "read", {"x": 10, "y": 10}, 5), op("b", "read", {"x": 7, "y": 13}, 7, last=True)],
        "",
    ),
    ("not loaded", [OPEN, op("b", "read", {}, 2), op("b", "read", {"x": 10, "y": 10}, 7, last=True)], ""),
    ("unloaded", [OPEN, op("b", "read", {"x": 10, "y": 10}, 2), op("b", "read", {}, 7)], "read the accounts []"),
    ("half a transfer", [OPEN, MOVE, op("b", "read", {"x": 7, "y": 10}, 5)], "total of 17"),
    ("an account is missing", [OPEN, op("b", "read", {"x": 20}, 5)], "read the accounts ['x']"),
    ("a transfer twice", [OPEN, MOVE, op("b", "read", {"x": 4, "y": 16}, 7, last=True)], "account x ends with 4"),
    ("a transfer lost", [OPEN, MOVE, op("b", "read", {"x": 10, "y": 10}, 7, last=True)], "account x ends with 10"),
    ("nobody read", [OPEN, MOVE], "nobody read"),
    ("not opened", [MOVE], "opened 0 times"),
    (
        "ends that differ",
        [
            OPEN,
            MOVE._replace(ending="unknown"),
            op("a", "read", {"x": 7, "y": 13}, 7, last=True),
            op("b", "read", {"x": 10, "y": 10}, 8, last=True),
        ],
        "differ",
    ),
]


@pytest.mark.parametrize(("history", "found"), [case[1:] for case in BANKS], ids=[case[0] for case in BANKS])
def test_bank(history, found):
    verdict(bank.check(history), found)


def sessions(**steps):
    """A history from steps such as "wx1 rx1" for each device; a blank ends a transaction, a comma does not."""
    history = []
    for device, text in steps.items():
        for place, transaction in enumerate(text.split()):
            value = [[s[0], s[1], None if s[2:] == "-" else s[2:]] for s in transaction.split(",")]
            history.append(op(device, "transact", value, place * 10))
    return history


# The anomalies of Bouajjani and others, figures 3 and 4, and of Biswas and Enea, figure 2.
CAUSES = [
    ("fine", sessions(a="wx1 wy1", b="ry1 rx1"), ""),
    ("behind", sessions(a="wx1 wy1", b="rx1 ry-"), ""),
    ("concurrent writes seen in two orders over time", sessions(a="wx1 rx2", b="wx2 rx2"), ""),
    ("thin air", sessions(a="wx1", b="rx7"), "nobody wrote"),
    ("lost cause", sessions(a="wx1 wy1", b="ry1 rx-"), "although it knew 1"),
    ("old value", sessions(a="wx1 wx2 wy1", b="ry1 rx1"), "although it knew 2"),
    ("own write unseen", sessions(a="wx1 rx-"), "although it knew 1"),
    ("not monotonic", sessions(a="wx1 wx2", b="rx2 rx1"), "although it knew 2"),
    ("never agreed", sessions(a="wx1", b="wx2", c="rx1 rx2", d="rx2 rx1"), "no order of the writes"),
    ("causes in a circle", sessions(a="rx2 wy1", b="ry1 wx2"), "causal past"),
    ("half a transaction", sessions(a="wx1,wy1", b="rx1,ry-"), "although it knew 1"),
    ("reads its own step", sessions(a="wx1,rx1"), ""),
]


@pytest.mark.parametrize(("history", "found"), [case[1:] for case in CAUSES], ids=[case[0] for case in CAUSES])
def test_causal(history, found):
    verdict(causal.check(history), found)


def test_a_transaction_without_an_end_counts_when_it_was_read():
    unknown = [op("a", "transact", [["w", "x", "1"]], 1, ending="unknown", ended=FOREVER)]
    assert causal.check([*unknown, *sessions(b="rx1")]) == []
    assert causal.check([*unknown, *sessions(a="rx-")]) == []
    assert causal.check([*unknown, *sessions(b="rx1 rx-")]) != []
    assert causal.check([unknown[0]._replace(ending="fail"), *sessions(b="rx1")]) != []


FORKS = [
    ("fine", [op("a", "read", ["1", ["1:x"]], 1), op("b", "read", ["1", ["1:x", "1:y"]], 2)], ""),
    ("fork", [op("a", "read", ["1", ["1:x"]], 1), op("b", "read", ["1", ["1:y"]], 2)], "of group 1"),
    ("of two groups", [op("a", "read", ["1", ["1:x"]], 1), op("b", "read", ["2", ["2:y"]], 2)], ""),
    ("lost", [op("c", "write", "1:x", 1), op("a", "read", ["1", []], 2, last=True)], "does not have ['1:x']"),
    ("of another group", [op("c", "write", "11:x", 1), op("a", "read", ["1", []], 2, last=True)], ""),
]


@pytest.mark.parametrize(("history", "found"), [case[1:] for case in FORKS], ids=[case[0] for case in FORKS])
def test_long_fork(history, found):
    verdict(long_fork.check(history), found)


def verdict(wrong, found):
    if found:
        assert any(found in sentence for sentence in wrong), wrong
    else:
        assert wrong == []
