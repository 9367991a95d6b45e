"""The network loses, repeats and delays: each transaction has one effect or one refusal, and the copies agree."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.hub import pull
from holdfast.hub.batch import Submission
from holdfast.protocol.codec import decode_request
from holdfast.replica import downloads, stage
from tests.integration.network.peers import (
    ANNA,
    BEN,
    Answer,
    Network,
    cut_after,
    cut_at,
    device,
    hub_server,
    roots,
    rows,
    same_everywhere,
    twice,
    unheard,
    whole,
)

Fault = Callable[[bytes, Callable[[bytes], tuple[int, bytes]]], Answer]


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits so small that few rows make many pages, which spill into the file."""
    monkeypatch.setattr(stage, "MEMORY_BYTES", 300)
    monkeypatch.setattr(downloads, "DIRECT_BYTES", 300)
    monkeypatch.setattr(pull, "PAGE_ROWS", 3)


def diverge(anna: hf.Replica, ben: hf.Replica) -> None:
    anna.execute("insert into form (id, project_id, crew, tags) values ('shared', '1', 10, ?)", (["a"],))
    anna.sync()
    ben.sync()
    ben.execute("update form set crew = crew + 5, tags = ?, status = 'ben' where id = 'shared'", (["b"],))
    ben.executemany("insert into form (id, project_id) values (?, '1')", [(f"ben{i}",) for i in range(9)])
    ben.executemany("insert into site values (?, 'title')", [(f"s{i}",) for i in range(9)])
    ben.sync()
    anna.execute("insert into form (id, project_id, crew) values ('plain', '1', 1)")
    change = "update form set crew = crew + 3, tags = ?, status = 'anna' where id = 'shared'"
    with anna.transaction("merged"):
        anna.execute("insert into form (id, project_id) values ('beside', '1')")
        anna.execute(change, (["a", "x"],))
    with anna.transaction("refused"):
        anna.execute("insert into form (id, project_id, status) values ('no', '1', 'forbidden')")
        anna.execute("update form set crew = crew + 100 where id = 'shared'")
    anna.execute("update form set crew = crew + 2 where id = 'plain'")


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a hub and two devices that have diverged: Anna has transactions of every outcome waiting."""
    folder = tmp_path_factory.mktemp("evening")
    with (
        hub_server(folder) as server,
        device(folder, "anna", Network(server, ANNA)) as anna,
        device(folder, "ben", Network(server, BEN)) as ben,
    ):
        diverge(anna, ben)
    return folder


@pytest.fixture
def folder(evening: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(evening, tmp_path / "day"))


@pytest.fixture
def server(folder: Path) -> Iterator[hf.Server]:
    with hub_server(folder) as server:
        yield server


def finish(folder: Path, server: hf.Server, anna: hf.Replica) -> None:
    """Sync until all agree, and check that everything happened once."""
    anna.sync()
    with device(folder, "ben", Network(server, BEN)) as ben:
        ben.sync()
        same_everywhere(folder, server, anna, ben)
    forms = {row[0]: row[1:] for row in rows(folder / "hub.db")["form"]}
    assert forms.keys() == {"shared", "plain", "beside", *(f"ben{i}" for i in range(9))}
    assert forms["shared"] == ("1", "anna", 18, '["b","x"]')
    assert forms["plain"] == ("1", "draft", 3, "[]")
    assert [(r.label, r.code) for r in anna.refused()] == [("refused", "house_rule")]


def fails(anna: hf.Replica, code: str = "network") -> None:
    with pytest.raises(hf.HoldfastError) as caught:
        anna.sync()
    assert caught.value.code == code


def whole_answer(folder: Path) -> bytes:
    """What the hub answers to Anna's first request of the day, over copies of the files."""
    copy = Path(shutil.copytree(folder, folder.with_name("rehearsal")))
    with hub_server(copy) as server:
        network = Network(server, ANNA)
        with device(copy, "anna", network) as anna:
            anna.sync()
    shutil.rmtree(copy)
    return network.answers[0]


@pytest.mark.usefixtures("small_pages")
def test_the_answer_is_cut_at_each_line_and_at_many_bytes(folder: Path) -> None:
    answer = whole_answer(folder)
    ends = [index + 1 for index, byte in enumerate(answer) if byte == 10]
    places = sorted(
        {0, 1, *ends, *(end - 1 for end in ends), *range(7, len(answer), len(answer) // 23)} - {len(answer)}
    )
    assert len(ends) >= 8
    for place in places:
        day = Path(shutil.copytree(folder, folder.with_name(f"cut{place}")))
        with hub_server(day) as server:
            network = Network(server, ANNA)
            network.faults = [cut_after(place)]
            with device(day, "anna", network) as anna:
                fails(anna)
                finish(day, server, anna)


@pytest.mark.usefixtures("small_pages")
def test_the_device_is_opened_again_after_each_cut(folder: Path, server: hf.Server) -> None:
    for share in (0.0, 0.2, 0.4, 0.6, 0.99):
        network = Network(server, ANNA)
        network.faults = [cut_at(share)]
        with device(folder, "anna", network) as anna:
            fails(anna)
    with device(folder, "anna", Network(server, ANNA)) as anna:
        finish(folder, server, anna)


@pytest.mark.parametrize("fault", [unheard, twice, cut_after(0)])
def test_a_request_is_lost_or_comes_twice(folder: Path, server: hf.Server, fault: Fault) -> None:
    network = Network(server, ANNA)
    with device(folder, "anna", network) as anna:
        network.faults = [fault] * 3
        for _ in range(3):
            if fault is twice:
                anna.sync()
            else:
                fails(anna)
        finish(folder, server, anna)


def test_an_answer_that_ends_in_order_but_without_a_footer_is_incomplete(folder: Path, server: hf.Server) -> None:
    network = Network(server, ANNA)

    def headless(body: bytes, carry: Callable[[bytes], tuple[int, bytes]]) -> Answer:
        status, answer = carry(body)
        return Answer(status, answer.splitlines(keepends=True)[:-1])

    network.faults = [headless]
    with device(folder, "anna", network) as anna:
        fails(anna, "response_incomplete")
        finish(folder, server, anna)


def test_old_requests_arrive_again_after_later_rounds(folder: Path, server: hf.Server) -> None:
    network = Network(server, ANNA)
    with device(folder, "anna", network) as anna:
        anna.sync()
        anna.execute("update form set crew = crew + 4 where id = 'plain'")
        anna.sync()
        anna.execute("update form set crew = crew - 4 where id = 'plain'")
        anna.sync()
        before = rows(folder / "hub.db"), roots(server)
        for body in (*network.requests, *reversed(network.requests)):
            assert network.carry(body)[0] == 200
        assert (rows(folder / "hub.db"), roots(server)) == before
        finish(folder, server, anna)


def test_old_answers_given_to_the_device_again_are_healed_by_the_next_sync(folder: Path, server: hf.Server) -> None:
    network = Network(server, ANNA)
    with device(folder, "anna", network) as anna:
        anna.sync()
        anna.execute("update form set status = 'later' where id = 'plain'")
        anna.sync()
        for answer in list(network.answers):
            anna.build_request()
            anna.apply_response(iter([answer]))
        anna.execute("update form set status = 'draft' where id = 'plain'")
        finish(folder, server, anna)


@pytest.mark.usefixtures("small_pages")
def test_an_answer_in_many_parts_is_one(folder: Path, server: hf.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "RESPONSE_BYTES", 300)
    network = Network(server, ANNA)
    with device(folder, "anna", network) as anna:
        anna.sync()
        assert sum(b'"more":true' in answer for answer in network.answers) >= 3
        finish(folder, server, anna)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_more_is_interrupted_in_each_of_its_parts(folder: Path, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    monkeypatch.setattr(pull, "RESPONSE_BYTES", 300)
    for part in range(4):
        day = Path(shutil.copytree(folder, folder.with_name(f"part{part}")))
        with hub_server(day) as server:
            network = Network(server, ANNA)
            network.faults = [*[whole] * part, cut_at(share)]
            with device(day, "anna", network) as anna:
                fails(anna)
                finish(day, server, anna)


@pytest.mark.usefixtures("small_pages")
def test_the_first_load_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    with hub_server(tmp_path) as server:
        with device(tmp_path, "ben", Network(server, BEN)) as ben:
            ben.executemany("insert into form (id, project_id) values (?, '1')", [(f"f{i:03}",) for i in range(100)])
            ben.sync()
        network = Network(server, ANNA)
        got: list[int] = []

        def two_pages(body: bytes, carry: Callable[[bytes], tuple[int, bytes]]) -> Answer:
            status, answer = carry(body)
            pages = answer.splitlines(keepends=True)[:3]
            got.extend(len(json.loads(line)["page"]["rows"]) for line in pages if b'"page"' in line)
            return Answer(status, pages, broken=True)

        for _ in range(12):
            network.faults = [two_pages]
            with device(tmp_path, "anna", network) as anna:
                fails(anna)
        with device(tmp_path, "anna", network) as anna:
            assert anna.status.spaces["project:1"]["ready"] is False
            report = anna.sync()
            assert anna.status.spaces["project:1"]["ready"] is True
            assert sum(got) + report.pulled == 100
            same_everywhere(tmp_path, server, anna)


def test_a_request_repeated_in_the_same_commit_group_gets_the_results_too(folder: Path, server: hf.Server) -> None:
    with device(folder, "anna", Network(server, ANNA)) as anna:
        request = decode_request(anna.build_request())
        submission = Submission(ANNA, request.device, ANNA.spaces, request.transactions)
        first, copy = server.hub._writer.write_group([submission, submission])
        assert [result.outcome for result in first.results] == ["merged", "refused"]
        assert copy.results == first.results
        assert copy.through == first.through
        finish(folder, server, anna)


def test_the_hub_names_no_more_as_processed_than_the_request_does(folder: Path, server: hf.Server) -> None:
    """Else the device would take the refused transaction, which it did not send again, for accepted."""
    network = Network(server, ANNA)
    with device(folder, "anna", network) as anna:
        body = json.loads(anna.build_request())
        network.carry(json.dumps(body).encode())
        body["transactions"] = body["transactions"][:1]
        header = json.loads(network.carry(json.dumps(body).encode())[1].splitlines()[0])["header"]
        assert list(header["through"].values()) == [1]


def test_every_row_of_a_merged_transaction_stays_on_the_device(folder: Path, server: hf.Server) -> None:
    """Also those to which nothing else had happened."""
    with device(folder, "anna", Network(server, ANNA)) as anna:
        anna.sync()
        assert anna.execute("select id from form where id = 'beside'") == [("beside",)]
