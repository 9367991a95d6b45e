"""Whatever is sent to the hub: a 4xx with code and message and nothing stored, or a refusal of one transaction."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.kernel import clock
from holdfast.protocol import messages as m
from holdfast.protocol.errors import CODES
from tests.integration.hostile.tables import ANNA, SCHEMA, full_row

ORIGIN, OTHER, UNKNOWN = "0123456789ab", "ba9876543210", "ffffffffffff"


def stamp(counter: int, origin: str = ORIGIN) -> str:
    return clock.stamp(clock.pack(1000, counter), origin)


def insert(key: str, **values: Any) -> dict[str, Any]:
    return {"op": "insert", "table": "every", "key": key, "stamp": stamp(9), "life": 0, "set": full_row() | values}


def transaction(*ops: dict[str, Any], n: int = 2, origin: str = ORIGIN) -> dict[str, Any]:
    return {"origin": origin, "n": n, "ops": list(ops), "label": "x"}


def request(*transactions: dict[str, Any], **members: Any) -> dict[str, Any]:
    base = {"protocol": 1, "device": "d1", "schema": {"version": 1, "hash": SCHEMA.hash}, "clock": 1000}
    return base | {"cursors": {}, "acknowledged": [], "transactions": list(transactions)} | members


class Target:
    """A hub that holds one row of each kind, and all that it stores."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "hub.db"
        self.server = hf.Server(f"sqlite:///{self.path}", SCHEMA)
        self.n = 1
        first = request(transaction(insert("there"), n=1), transaction(insert("of d2"), n=1, origin=OTHER))
        device = {"device": "d1"}
        for part in first["transactions"]:
            assert self.send(request(part, **device))[0] == 200
            device = {"device": "d2"}
        self.reader = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        self.watching = self.reader.execute("select name from sqlite_schema where type = 'table' order by 1").fetchall()

    def send(self, body: Any, identity: hf.Identity | None = ANNA) -> tuple[int, list[Any]]:
        """Status and lines of the answer to an object or to bytes."""
        exchange = LocalTransport(self.server, identity).exchange(body if isinstance(body, bytes) else encoded(body))
        answer = b"".join(exchange.chunks())
        assert b"Traceback" not in answer
        return exchange.status, [json.loads(line) for line in answer.splitlines()]

    def dump(self) -> list[Any]:
        """Everything that the hub stores."""
        return [(name, self.reader.execute(f'select * from "{name}"').fetchall()) for (name,) in self.watching]

    def refused(self, *ops: dict[str, Any], n: int) -> dict[str, Any]:
        """The stored refusal of a transaction with these operations; nothing else of it may be there."""
        before = user_rows(self)
        status, lines = self.send(request(transaction(*ops, n=n)))
        assert status == 200, lines
        assert user_rows(self) == before
        (result,) = lines[0]["header"]["results"]
        assert result["outcome"] == "refused"
        assert lines[0]["header"]["through"] == {ORIGIN: n}
        return result  # type: ignore[no-any-return]

    def close(self) -> None:
        self.reader.close()
        self.server.close()


def user_rows(target: Target) -> list[Any]:
    names = ("every", "reading", "holdfast_row", "holdfast_history", "holdfast_digest")
    return [target.reader.execute(f"select * from {name}").fetchall() for name in names]


def encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    made = Target(tmp_path_factory.mktemp("hub"))
    yield made
    made.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Target]:
    made = Target(tmp_path)
    yield made
    made.close()


GOOD = request(transaction(insert("new")))


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("request_malformed", b""),
        ("request_malformed", b"\x00\x01\x02"),
        ("request_malformed", encoded(GOOD)[:-1]),
        ("request_malformed", encoded(GOOD)[: len(encoded(GOOD)) // 2]),
        ("request_malformed", encoded(GOOD) + b"{}"),
        ("request_malformed", b"null"),
        ("request_malformed", b"[]"),
        ("request_malformed", b"{}"),
        ("request_malformed", b"\xff\xfe" + encoded(GOOD)),
        ("request_malformed", b"[" * 1_000_000),
        ("request_malformed", b'{"protocol":' * 100_000),
        ("request_malformed", encoded(GOOD).replace(b'"new"', b'"\\ud800"')),
        ("request_malformed", encoded(GOOD).replace(b'"new"', b'"\xed\xa0\x80"')),
        ("request_malformed", encoded(GOOD).replace(b'"clock": 1000', b'"clock": 1' + b"0" * 5000)),
        ("request_malformed", encoded(GOOD).replace(b'"clock": 1000', b'"clock": NaN')),
        ("request_malformed", encoded(GOOD).replace(b'"clock": 1000', b'"clock": 1e999')),
        ("request_malformed", encoded(GOOD | {"device": ""})),
        ("request_malformed", encoded(GOOD | {"device": "d" * 65})),
        ("request_malformed", encoded(GOOD | {"limit": 0})),
        ("request_malformed", encoded(GOOD | {"acknowledged": [["x", 1]]})),
        ("request_malformed", encoded(GOOD | {"cursors": {"": "x"}})),
        ("request_malformed", encoded(GOOD | {"transactions": [{"origin": ORIGIN, "n": 2, "ops": [{"op": "drop"}]}]})),
        ("request_malformed", encoded(request(transaction(insert("k" * 1025))))),
        ("request_too_large", b" " * (m.MAX_REQUEST + 1)),
        ("protocol_version", encoded(GOOD | {"protocol": 2})),
        ("protocol_version", encoded(GOOD | {"protocol": 0})),
        ("schema_version", encoded(GOOD | {"schema": {"version": 2, "hash": SCHEMA.hash}})),
        ("schema_mismatch", encoded(GOOD | {"schema": {"version": 1, "hash": "0" * 16}})),
        ("device_mismatch", encoded(GOOD | {"device": "d2"})),
        ("device_mismatch", encoded(GOOD | {"acknowledged": [[OTHER, 1]]})),
    ],
)
def test_a_request_that_is_wrong_as_a_whole_stores_nothing(target: Target, code: str, body: bytes) -> None:
    before = target.dump()
    status, lines = target.send(body)
    assert (lines[0]["code"], status) == (code, CODES[code].status)
    assert 400 <= status < 500
    assert lines[0]["message"]
    assert target.dump() == before


def test_nobody_and_somebody_without_rights_store_nothing(target: Target) -> None:
    before = target.dump()
    assert target.send(GOOD, None)[0] == 401
    assert target.dump() == before


@pytest.mark.parametrize("spaces", [{}, {"project:1": "r"}, {"project:2": "rw"}])
def test_a_write_in_a_space_of_others_is_refused(fresh: Target, spaces: dict[str, Any]) -> None:
    before = user_rows(fresh)
    status, lines = fresh.send(GOOD, hf.Identity("anna", spaces))
    assert status == 200
    assert lines[0]["header"]["results"][0]["code"] == "forbidden_space"
    assert user_rows(fresh) == before
    for op in ("update", "delete"):
        change = {"op": op, "table": "every", "key": "there", "stamp": stamp(10), "life": 1}
        status, lines = fresh.send(
            request(transaction(change, n=3 if op == "update" else 4)), hf.Identity("anna", spaces)
        )
        assert lines[0]["header"]["results"][0]["code"] == "forbidden_space", op
    assert user_rows(fresh) == before


def test_a_request_that_fails_forgets_no_result(fresh: Target) -> None:
    """Its acknowledgements are part of it."""
    fresh.refused({"op": "update", "table": "every", "key": "gone", "stamp": stamp(9), "life": 1}, n=2)
    before = fresh.dump()
    stolen = transaction(insert("new"), n=2, origin=OTHER)
    status, lines = fresh.send(request(stolen, acknowledged=[[ORIGIN, 2]]))
    assert (status, lines[0]["code"]) == (403, "device_mismatch")
    assert fresh.dump() == before


@pytest.mark.parametrize("n", [3, 7, 2**53 - 1])
def test_a_gap_is_left_alone(fresh: Target, n: int) -> None:
    before = fresh.dump()
    status, lines = fresh.send(request(transaction(insert("new"), n=n)))
    assert status == 200
    assert lines[0]["header"]["through"] == {ORIGIN: 1}
    assert fresh.dump() == before


def test_an_unknown_origin_begins_at_one(fresh: Target) -> None:
    before = fresh.dump()
    for n in (2, 5):
        header = fresh.send(request(transaction(insert("new"), n=n, origin=UNKNOWN)))[1][0]["header"]
        assert header["through"] == {UNKNOWN: 0}
    assert fresh.dump() == before


def test_a_transaction_twice_in_one_request_has_one_effect(fresh: Target) -> None:
    status, _ = fresh.send(request(*[transaction(insert("new", tally=5))] * 3))
    assert status == 200
    assert fresh.reader.execute("select count(*), sum(tally) from every where id = 'new'").fetchall() == [(1, 5)]
    assert fresh.reader.execute("select count(*) from holdfast_history where key = 'new'").get == 1


def test_one_n_with_another_content_changes_nothing(fresh: Target) -> None:
    before = fresh.dump()
    fresh.send(request(transaction(insert("another"), n=1)))
    assert fresh.dump() == before


KEY = "k"
BAD_OPERATIONS = [
    ("unknown_table", {"table": "sqlite_schema"}),
    ("unknown_table", {"table": "holdfast_row"}),
    ("unknown_column", {"set": full_row() | {"nothing": 1}}),
    ("unknown_column", {"set": full_row() | {"id": "x"}}),
    ("unknown_column", {"set": full_row() | {'"; drop table every; --': 1}}),
    ("value_null", {"set": {}}),
    ("value_null", {"set": {k: v for k, v in full_row().items() if k != "project_id"}}),
    ("row_missing", {"op": "update", "life": 1, "key": "nobody"}),
    ("operation_malformed", {"op": "update", "life": 0}),
    ("operation_malformed", {"op": "update", "life": 2}),
    ("operation_malformed", {"op": "delete", "life": 1, "key": "there", "base": "nonsense"}),
    ("value_nul", {"key": "a\0b"}),
    ("value_format", {"table": "reading", "key": "no json", "set": {}}),
    ("value_format", {"table": "reading", "key": '["a",1', "set": {}}),
    ("value_format", {"table": "reading", "key": '["a", 1]', "set": {}}),
    ("value_format", {"table": "reading", "key": '["a"]', "set": {}}),
    ("value_format", {"table": "reading", "key": '["a",1,2]', "set": {}}),
    ("value_format", {"table": "reading", "key": '["a",1.0]', "set": {}}),
    ("value_type", {"table": "reading", "key": '["a","1"]', "set": {}}),
    ("value_type", {"table": "reading", "key": "[1,1]", "set": {}}),
    ("value_null", {"table": "reading", "key": "[null,1]", "set": {}}),
    ("value_range", {"table": "reading", "key": '["a",9007199254740992]', "set": {}}),
]


@pytest.mark.parametrize(("code", "members"), BAD_OPERATIONS)
def test_a_bad_operation_is_a_stored_refusal(fresh: Target, code: str, members: dict[str, Any]) -> None:
    op = insert(KEY) | members
    result = fresh.refused(insert("beside"), op, n=2)
    assert result["code"] == code, result
    assert (result["table"], result["key"]) == (op["table"], op["key"])
    assert fresh.send(request(transaction(insert("later"), n=3)))[1][0]["header"].get("results", []) == []


SET = {"add": [], "remove": []}
BAD_VALUES: dict[str, list[Any]] = {
    "project_id": [None, 1, "a\0", "", "x" * 300, "a\nb"],
    "text": [None, 1, 1.5, True, [], {}, "a\0b"],
    "number": ["1", 1.5, 2**53, -(2**53), 2**70, True, [], 1e300],
    "big": [5, "5.0", "x", "", str(2**63), str(-(2**63) - 1), "9" * 5000, "+5", "05", None],
    "ratio": ["1.5", True, [], None, "NaN", "inf"],
    "flag": [0, 1, 2, "true", None, []],
    "photo": [5, "x", "ab=c", "===", "AA==\n", None, []],
    "day": ["2024-02-30", "2024-13-01", "24-01-01", "2024-1-1", "0000-01-01", 5, "2024-01-01T00:00:00Z", ""],
    "moment": ["2024-02-30T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:60Z", 5, "now", "9999-12-31T23:59-05"],
    "price": ["1.2.3", "", "NaN", "Infinity", "1e99999", "1" * 2000, 1.5, 1],
    "ref": ["x", "0" * 31, 5, "g" * 32, ""],
    "extra": ["a\0", {"a\0": 1}, 2**53, [2**70]],
    "trade": ["unknown", 1, "", None],
    "tally": ["1", 1.5, True, [], {}, 2**53, None],
    "tags": [5, "x", {"add": 5}, {"add": [1]}, {"add": [None]}, {"remove": [["a"]]}, {"remove": [["a", ["z"]]]},
             {"remove": 5}, {"other": []}, {"add": ["a\0"]}, ["a"], None],
    "seen": [5, {"add": "x"}, {"add": [[]]}, {"remove": [["a", []]]}, None],
    "first": [5, "2024-02-30", {}, [], "later"],
}  # fmt: skip


@pytest.mark.parametrize("column", BAD_VALUES)
def test_a_bad_value_is_a_stored_refusal_that_names_the_column(fresh: Target, column: str) -> None:
    for n, value in enumerate(BAD_VALUES[column], 2):
        result = fresh.refused(insert(KEY, **{column: value}), n=n)
        if column == "project_id" and result["code"] in ("space_invalid", "forbidden_space"):
            continue
        assert result["code"].startswith("value_") or result["code"] == "operation_malformed", (value, result)
        assert (result["table"], result["key"], result["column"]) == ("every", KEY, column), (value, result)


def test_a_counter_that_would_overflow_is_refused_and_the_rest_goes_on(fresh: Target) -> None:
    def add(n: int, amount: int) -> dict[str, Any]:
        op = {
            "op": "update",
            "table": "every",
            "key": "there",
            "stamp": stamp(20 + n),
            "life": 1,
            "set": {"tally": amount},
        }
        return transaction(op, n=n)

    answers = [fresh.send(request(add(n, 2**53 - 1))) for n in (2, 3, 4)]
    codes = [[r.get("code") for r in lines[0]["header"].get("results", [])] for _, lines in answers]
    assert codes[-1] == ["value_range"]
    assert fresh.send(request(add(5, -1)))[0] == 200


NASTY: list[Any] = [
    None, True, False, 0, -1, 1, 2, 2**53, 2**63, -(2**64), 10**400, 1.5, "", "x", "\0", "there", "every", ORIGIN,
    OTHER, stamp(5), stamp(5, OTHER), "f" * 14 + "-" + ORIGIN, stamp(5) + "*3", stamp(5) + "*300", [], {}, [[]], [None],
    {"": {}}, {"add": ["a"]},
    {"add": [1], "remove": [["a", [stamp(5)]]]}, "[" * 50, {"a": {"a": {"a": [[[[]]]]}}}, "project:1", "1.2.3.4",
]  # fmt: skip


def members(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in items:
        yield from members(member, (*path, name))


def mutate(value: Any, path: tuple[Any, ...], how: str, new: Any) -> None:
    for name in path[:-1]:
        value = value[name]
    if how == "drop":
        del value[path[-1]]
    elif how == "twice" and isinstance(value, list):
        value.append(copy.deepcopy(value[path[-1]]))
    elif how == "rename" and isinstance(value, dict):
        value[str(new)] = value.pop(path[-1])
    else:
        value[path[-1]] = new


def workload(n: int) -> dict[str, Any]:
    """A real request with every kind of operation."""
    update = {"op": "update", "table": "every", "key": "there", "stamp": stamp(50 + n), "life": 1}
    update |= {"set": {"text": "y", "tally": 3, "tags": {"add": ["z"], "remove": [["a", [stamp(9)]]]}}}
    update["base"] = {"text": stamp(9), "tally": stamp(9)}
    delete = {
        "op": "delete",
        "table": "every",
        "key": f"k{n}",
        "stamp": stamp(60 + n),
        "life": 1,
        "base": f"{stamp(9)}*3",
    }
    reading = {
        "op": "insert",
        "table": "reading",
        "key": f'["a",{n}]',
        "stamp": stamp(9),
        "life": 0,
        "set": {"value": 1.5},
    }
    parts = [transaction(insert(f"k{n}"), update, n=n), transaction(reading, delete, n=n + 1)]
    return request(*parts, cursors={"project:1": "abc.1.1.def"}, acknowledged=[[ORIGIN, 1]], limit=1000, digests=True)


@pytest.mark.parametrize(("cursor", "told"), [("rubbish", 0), ("a.1.1", 0), ("a.9.1.c", 0), ("abc.1.1.def", 1)])
def test_a_stranger_cannot_fill_the_log_with_lost_histories(
    fresh: Target, caplog: pytest.LogCaptureFixture, cursor: str, told: int
) -> None:
    """A cursor that no hub gave out says nothing of a history; one that looks like ours is told once a minute."""
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            status, lines = fresh.send(request(cursors={"project:1": cursor}))
            assert (status, lines[0]["header"]["reset"]) == (200, ["project:1"])
    assert [record.getMessage().split()[0] for record in caplog.records] == ["hub.history_lost"] * told
    assert len(fresh.server.hub.observation.losses()) == told
    assert bool(lines[0]["header"].get("counts")) == bool(told), "increments are counted under another name then"


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_mutations_of_a_real_request_are_refused_or_harmless(
    target: Target, caplog: pytest.LogCaptureFixture, data: st.DataObject
) -> None:
    n = 1 + (target.reader.execute("select last_n from holdfast_origin where origin = ?", (ORIGIN,)).get or 0)
    body = workload(n)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(members(body))))
        how = data.draw(st.sampled_from(["replace", "replace", "replace", "drop", "twice", "rename"]))
        mutate(body, path, how, copy.deepcopy(data.draw(st.sampled_from(NASTY))))
    before = target.dump()
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        status, lines = target.send(body)
        # Its cursor is of another history, as after a restored backup: the hub has to say so.
        assert {record.getMessage().split()[0] for record in caplog.records} <= {"hub.history_lost"}, caplog.text
    assert status < 500, lines
    if status != 200:
        assert status >= 400
        assert lines[0]["code"] in CODES
        assert target.dump() == before
    else:
        assert "header" in lines[0]
        assert "footer" in lines[-1]
        for result in lines[0]["header"].get("results", []):
            assert result["outcome"] == "merged" or result["code"] in CODES


@settings(max_examples=100)
@given(
    body=st.binary(max_size=200)
    | st.recursive(st.none() | st.booleans() | st.text() | st.floats(), st.lists).map(encoded)
)
def test_random_bytes_and_random_json_are_malformed(target: Target, body: bytes) -> None:
    status, lines = target.send(body)
    assert (status, lines[0]["code"]) == (400, "request_malformed")


def test_the_hub_still_works_after_all_that(target: Target) -> None:
    n = 1 + target.reader.execute("select last_n from holdfast_origin where origin = ?", (OTHER,)).get
    final = transaction(insert("last of all"), n=n, origin=OTHER)
    status, lines = target.send(request(final, device="d2", digests=True))
    assert status == 200
    assert lines[0]["header"].get("results", []) == []
    assert target.reader.execute("select count(*) from every where id = 'last of all'").get == 1
    assert target.reader.execute("pragma integrity_check").get == "ok"
