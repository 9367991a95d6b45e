"""A device file that contradicts itself, found without the hub, in pieces, and mended from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.cli.application import run
from holdfast.cli.failures import Exit
from holdfast.testing import LocalTransport
from tests.integration.verify.test_verify import ANNA, SCHEMA, damage


@pytest.fixture
def server(tmp_path: Path) -> Iterator[hf.Server]:
    with hf.Server(f"sqlite:///{tmp_path}/hub.db", SCHEMA) as made:
        yield made


def device(folder: Path, server: hf.Server) -> hf.Replica:
    return hf.Replica(folder / "anna.db", SCHEMA, transport=LocalTransport(server, ANNA))


def fill(replica: hf.Replica) -> None:
    replica.executemany("insert into form (id) values (?)", [(f"f{n:04}",) for n in range(1_200)])
    replica.sync()
    replica.execute("update form set status = 'unsent' where id = 'f0001'")
    replica.pending()
    replica.execute("delete from form where id = 'f0002'")
    replica.execute("insert into form (id) values ('new')")


def test_a_file_that_is_whole(tmp_path: Path, server: hf.Server) -> None:
    pauses: list[int] = []
    with device(tmp_path, server) as anna:
        fill(anna)
        reports = list(anna.scrub(pause=lambda: pauses.append(1)))
        assert [report.last for report in reports] == ["form", "holdfast_conflict", "site"]
        assert (reports[-1].ok, reports[-1].tables, reports[-1].rows) == (True, 3, 1_199)
        assert [report.last for report in anna.scrub(after="form")] == ["holdfast_conflict", "site"]
        assert len(pauses) >= 5


def test_every_contradiction_is_found_and_missing_rows_come_back(tmp_path: Path, server: hf.Server) -> None:
    with device(tmp_path, server) as anna:
        fill(anna)
        damage(
            tmp_path / "anna.db",
            "delete from form where id = 'f0100'",
            "insert into form (id) values ('nobody')",
            "delete from holdfast_row where key = 'f0200'",
            "update holdfast_operation set body = replace(body, 'unsent', 'unsenT')",
        )
        *_, report = anna.scrub()
        assert not report.ok
        assert report.missing == [("form", "f0100")]
        assert report.surplus == [("form", "f0200"), ("form", "nobody")]
        assert len(report.altered) == 1
        assert report.totals == ["project:1"]
        assert report.pages == []
        # What waits is altered: nothing is sent, so nothing can be brought back now.
        with pytest.raises(hf.HoldfastError) as raised:
            list(anna.scrub(repair=True))
        assert raised.value.code == "file_damaged"
        damage(tmp_path / "anna.db", "update holdfast_operation set body = replace(body, 'unsenT', 'unsent')")
        *_, mended = anna.scrub(repair=True)
        assert mended.repaired == 1
        assert anna.execute("select status from form where id = 'f0100'")[0][0] == "draft"
        assert [row.key for row in anna.verify().repaired] == ["f0200"]
        *_, after = anna.scrub()
        assert (after.missing, after.totals, after.altered, after.surplus) == ([], [], [], [("form", "nobody")])


def test_the_command(tmp_path: Path, server: hf.Server, capsys: pytest.CaptureFixture[str]) -> None:
    with device(tmp_path, server) as anna:
        fill(anna)
    path, schema = tmp_path / "anna.db", tmp_path / "declared.py"
    schema.write_text("from tests.integration.verify.test_verify import SCHEMA as schema\n", "utf-8")
    assert run(["scrub", str(schema), "--db", str(path), "--pause", "0"]) == Exit.OK
    assert "says everything as it was written" in " ".join(capsys.readouterr().out.split())  # long paths break lines
    damage(path, "delete from form where id = 'f0100'")
    assert run(["scrub", str(schema), "--db", str(path), "--pause", "0"]) == Exit.REFUSED
    assert "form f0100" in " ".join(capsys.readouterr().out.split())
    assert run(["scrub", str(schema), "--db", str(path), "--pause", "0", "--after", "form", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["tables"] == 2
    assert run(["scrub", str(schema), "--db", str(path), "--repair"]) == Exit.USAGE
