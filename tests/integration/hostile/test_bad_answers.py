"""Whatever comes instead of the hub's answer: an error with a code, nothing confirmed changes, the next sync heals."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

import holdfast as hf
from holdfast.protocol import codec
from holdfast.protocol.errors import CODES
from tests.integration.network.peers import ANNA, BEN, Answer, Network, device, hub_server, rows, same_everywhere

SITES = 5


@pytest.fixture(scope="module")
def evenings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days: in `known` the device has waiting work and news for it, in `fresh` it never synced."""
    folder = tmp_path_factory.mktemp("evenings")
    (folder / "fresh").mkdir()
    with hub_server(folder / "fresh") as server, device(folder / "fresh", "ben", Network(server, BEN)) as ben:
        ben.execute("insert into form (id, project_id, crew, tags) values ('shared', '1', 10, ?)", (["a"],))
        ben.sync()
        with device(folder / "fresh", "anna", Network(server, ANNA)) as anna:
            anna.execute("insert into form (id, project_id) values ('mine', '1')")
            shutil.copytree(folder / "fresh", folder / "known")
    with hub_server(folder / "known") as server, device(folder / "known", "anna", Network(server, ANNA)) as anna:
        anna.sync()
        with device(folder / "known", "ben", Network(server, BEN)) as ben:
            ben.execute("update form set crew = crew + 5, tags = ?, status = 'ben' where id = 'shared'", (["b"],))
            ben.execute("insert into form (id, project_id) values ('other', '1')")
            ben.executemany("insert into site values (?, 'title')", [(f"s{i}",) for i in range(SITES)])
            ben.sync()
        anna.execute("update form set crew = crew + 2, status = 'anna' where id = 'shared'")
        anna.execute("insert into form (id, project_id, status) values ('no', '1', 'forbidden')")
        anna.pending()
    return folder


class Day:
    """A copy of an evening's files, the hub over them, and the answer that the device would get."""

    def __init__(self, evening: Path, folder: Path) -> None:
        self.evening, self.folder = evening, folder
        shutil.copytree(evening, folder)
        self.server = hub_server(folder)
        self.network = Network(self.server, ANNA)
        self.before = rows(folder / "anna.db")
        self.anna = device(folder, "anna", self.network)

    def meets(self, *pieces: bytes, status: int = 200) -> hf.HoldfastError | None:
        """The device gets these bytes for every answer; the error that it raises."""
        self.network.faults = [lambda body, carry: Answer(status, list(pieces))] * 20
        try:
            self.anna.sync()
        except hf.HoldfastError as error:
            assert error.code in CODES, error.code
            return error
        finally:
            self.network.faults = []
        return None

    def real_answer(self) -> bytes:
        """What the hub really answers; it has heard the request then."""
        found: list[bytes] = []

        def lost(body: bytes, carry: Any) -> Answer:
            found.append(carry(body)[1])
            return Answer(200, [], broken=True)

        self.network.faults = [lost]
        with pytest.raises(hf.HoldfastError):
            self.anna.sync()
        return found[0]

    def heals(self) -> None:
        """The next sync with the real hub brings everything in order."""
        self.anna.sync()
        assert [r.code for r in self.anna.refused()] == ([] if self.evening.name == "fresh" else ["house_rule"])
        same_everywhere(self.folder, self.server, self.anna)

    def close(self) -> None:
        self.anna.close()
        self.server.close()
        shutil.rmtree(self.folder)


@pytest.fixture(params=["known", "fresh"])
def day(evenings: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Day]:
    made = Day(evenings / request.param, tmp_path / "day")
    yield made
    made.close()


HEADER = b'{"header":{"hub":"00c0ffee0001","user":"anna","time":1,"hlc":1,"spaces":{}}}\n'
FOOTER = b'{"footer":{"more":false}}\n'


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\n",
        b"\x00" * 4000,
        bytes(random.Random(5).randbytes(4000)),
        b"<!DOCTYPE html><html><body>Please log in to the hotel network</body></html>\n",
        b"null\n",
        b"[]\n",
        b"{}\n",
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"header":{}}\n',
        FOOTER,
        FOOTER + HEADER,
        b'{"page":{"space":"project:1","cursor":"x","rows":[]}}\n' + HEADER + FOOTER,
        HEADER + HEADER + FOOTER,
        HEADER[:-2] + b',"footer":{"more":false}}\n',
    ],
)
def test_what_is_no_answer_is_an_error_and_changes_nothing(day: Day, answer: bytes) -> None:
    error = day.meets(answer)
    assert error is not None
    assert error.code in ("response_malformed", "response_incomplete")
    assert rows(day.folder / "anna.db") == day.before
    day.heals()


@pytest.mark.parametrize("status", [301, 403, 404, 418, 500, 502, 503])
@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"", b'{"code":5}', b"\x00\xff" * 50_000])
def test_a_page_of_a_proxy_is_a_hub_error_with_its_status(day: Day, status: int, body: bytes) -> None:
    error = day.meets(body, status=status)
    assert error is not None
    assert error.code == "hub_error"
    assert error.details["status"] == status
    assert rows(day.folder / "anna.db") == day.before
    day.heals()


def test_a_line_without_end_is_refused_before_it_fills_the_memory(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_LINE", 10_000)
    error = day.meets(*[b"x" * 1_000] * 50)
    assert error is not None
    assert error.code == "response_malformed"
    monkeypatch.undo()
    day.heals()


def images(*rows: Any) -> bytes:
    return json.dumps({"page": {"space": "project:1", "cursor": "1.2.3.4", "rows": list(rows)}}).encode() + b"\n"


GOOD = "0329fad6f1b000-4d82f28a9cf9*4"
BAD_ROWS = {
    "unknown table": ["nothing", 1, ["k"], GOOD],
    "no key": ["form", 1, [], GOOD],
    "key of a wrong type": ["form", 1, [5, "1", "draft", 0, []], GOOD],
    "key null": ["form", 1, [None, "1", "draft", 0, []], GOOD],
    "key a list": ["form", 1, [["k"], "1", "draft", 0, []], GOOD],
    "key too long": ["form", 1, ["k" * 1025, "1", "draft", 0, []], GOOD],
    "too many values": ["form", 1, ["k", "1", "draft", 0, [], 1, 2, 3], GOOD],
    "text as number": ["form", 1, ["k", "1", 7, 0, []], GOOD],
    "number as text": ["form", 1, ["k", "1", "draft", "many", []], GOOD],
    "number too big": ["form", 1, ["k", "1", "draft", 2**63, []], GOOD],
    "null": ["form", 1, ["k", "1", None, 0, []], GOOD],
    "a list in a text": ["form", 1, ["k", "1", ["draft"], 0, []], GOOD],
    "an object in a text": ["form", 1, ["k", "1", {"a": 1}, 0, []], GOOD],
    "NUL": ["form", 1, ["k", "1", "a\0b", 0, []], GOOD],
    "a set that is a text": ["form", 1, ["k", "1", "draft", 0, "x"], GOOD],
    "stamps of nonsense": ["form", 1, ["k", "1", "draft", 0, []], "nonsense"],
    "stamps beyond the row": ["form", 1, ["k", "1", "draft", 0, []], "0329fad6f1b000-4d82f28a9cf9*400"],
    "states of nonsense": ["form", 1, ["k", "1", "draft", 0, []], GOOD, {"x": 1}],
    "states of a wrong shape": ["form", 1, ["k", "1", "draft", 0, []], GOOD, {"2": "x"}],
    "states beyond the row": ["form", 1, ["k", "1", "draft", 0, []], GOOD, {"77": [1]}],
    "life negative": ["form", -1, ["k"], GOOD],
    "life huge": ["form", 2**63 + 1, ["k", "1", "draft", 0, []], GOOD],
    "a dead row without key": ["form", 2, [], GOOD],
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_malformed_row_is_an_error_and_is_not_kept(day: Day, name: str) -> None:
    header, *rest = day.real_answer().splitlines(keepends=True)
    error = day.meets(header, images(BAD_ROWS[name]), *rest)
    assert error is not None, "taken as if nothing were wrong"
    assert error.code == "response_malformed"
    day.heals()


def test_a_page_of_a_space_that_is_not_granted_is_not_taken(day: Day) -> None:
    """Its rows would stay for ever: no later answer speaks of such a space."""
    header, *rest = day.real_answer().splitlines(keepends=True)
    page = images(["form", 1, ["k", "1", "draft", 0, []], GOOD]).replace(b"project:1", b"project:9")
    error = day.meets(header, page, *rest)
    assert error is not None
    assert error.code == "response_malformed"
    assert rows(day.folder / "anna.db") == day.before
    day.heals()


@pytest.mark.parametrize("pages", [False, True])
def test_an_answer_that_promises_more_for_ever_is_not_asked_for_for_ever(day: Day, pages: bool) -> None:
    """Without an end to it a sync would neither end nor rest, and so would every device of such a hub."""
    header, *rest = day.real_answer().splitlines(keepends=True)
    page = [line for line in rest if line.startswith(b'{"page"')][:1]
    asked: list[bytes] = []

    def again(body: bytes, carry: Any) -> Answer:
        asked.append(body)
        return Answer(200, [header, *(page if pages else []), b'{"footer":{"more":true}}\n'])

    day.network.faults = [again] * 20
    with pytest.raises(hf.HoldfastError) as caught:
        day.anna.sync()
    assert caught.value.code == "response_malformed"
    assert len(asked) == (2 if pages else 1)
    day.network.faults = []
    day.heals()


@pytest.mark.parametrize("name", ["no key", "number too big", "stamps of nonsense", "unknown table"])
def test_a_malformed_row_does_not_come_back_after_a_restart(day: Day, name: str) -> None:
    header = day.real_answer().splitlines(keepends=True)[0]
    day.network.faults = [lambda body, carry: Answer(200, [header, images(BAD_ROWS[name])], broken=True)]
    with pytest.raises(hf.HoldfastError):
        day.anna.sync()
    day.anna.close()
    day.anna = device(day.folder, "anna", day.network)
    try:
        day.anna.sync()
    except hf.HoldfastError as error:
        assert error.code == "response_malformed"
    day.heals()


SUBSTITUTES: list[Any] = [None, True, 0, -1, 2**53, 2**64, 1.5, "", "x", "\0", "\ud800", [], {}, [[]], {"": {}}]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in items:
        yield from places(member, (*path, name))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    result = copy.copy(value)
    if new is changed and len(path) == 1:
        del result[path[0]]
        return result
    result[path[0]] = changed(value[path[0]], path[1:], new)
    return result


@pytest.mark.parametrize("seed", range(4))
def test_mutations_of_a_real_answer_never_do_more_than_raise(evenings: Path, tmp_path: Path, seed: int) -> None:
    """One member is replaced or taken away. What can be noticed is an error, which the next sync heals."""
    rng = random.Random(seed)
    name = ("known", "fresh")[seed % 2]
    first = Day(evenings / name, tmp_path / "first")
    lines = [json.loads(line) for line in first.real_answer().splitlines()]
    first.close()
    cases = [(number, path) for number, line in enumerate(lines) for path in places(line)]
    for case, (number, path) in enumerate(rng.sample(cases, min(len(cases), 30))):
        new = changed if rng.random() < 0.2 and path else rng.choice(SUBSTITUTES)
        mutated = [*lines[:number], changed(lines[number], path, new), *lines[number + 1 :]]
        day = Day(evenings / name, tmp_path / f"case{case}")
        day.real_answer()  # so that the hub has heard the request of which this is the answer
        error = day.meets(b"".join(json.dumps(line).encode() + b"\n" for line in mutated))
        where = f"seed {seed}: line {number} {path} -> {'(gone)' if new is changed else repr(new)}"
        assert whole(day.folder / "anna.db"), where
        if error is not None:
            try:
                day.heals()
            except (AssertionError, hf.HoldfastError) as failure:
                raise AssertionError(f"{where}: {error} and not healed: {failure!r}") from failure
        day.close()


def whole(path: Path) -> bool:
    db = apsw.Connection(str(path))
    try:
        applying = db.execute("select applying from holdfast_state").get
        return db.execute("pragma integrity_check").get == "ok" and applying == 0
    finally:
        db.close()


def test_the_answer_of_another_hub_loses_nothing(day: Day, tmp_path: Path) -> None:
    """The URL was changed: the other hub's history replaces what the first had confirmed, waiting work goes there."""
    (tmp_path / "other").mkdir()
    with hub_server(tmp_path / "other") as other:
        waiting = {op["key"] for p in day.anna.pending() for op in p.operations}
        day.anna.close()
        with device(day.folder, "anna", Network(other, ANNA)) as anna:
            anna.sync()
            keys = {row[0] for row in rows(tmp_path / "other" / "hub.db")["form"]}
            refused = {op["key"] for r in anna.refused() for op in r.operations}
            assert waiting <= keys | refused
            assert rows(day.folder / "anna.db") == rows(tmp_path / "other" / "hub.db")
        day.anna = device(day.folder, "anna", day.network)
