"""A clock that was handed in governs what SQL captures, too."""

from __future__ import annotations

from pathlib import Path

import apsw

import holdfast as hf
from holdfast.replica.sql_clock import set_clock


class Note(hf.Table, space="city"):
    text: str = ""


SCHEMA = hf.Schema(Note, version=1)
NOW = 210_000_000_123


def test_stamps_of_captured_writes_show_the_given_clock(tmp_path: Path) -> None:
    replica = hf.Replica(tmp_path / "a.db", SCHEMA, now=lambda: NOW)
    with replica:
        replica.execute("insert into note (text) values ('a')")
        [waiting] = replica.pending()
        [key] = replica.execute("select id from note")[0]
    assert waiting.captured == NOW
    assert waiting.operations[0]["stamp"].startswith(f"{NOW << 12:014x}-")
    assert int(key.replace("-", "")[:12], 16) == NOW + 1_577_836_800_000


def test_the_same_clock_and_bits_make_the_same_request(tmp_path: Path) -> None:
    requests = []
    for name in ("a.db", "b.db"):
        with hf.Replica(tmp_path / name, SCHEMA, now=lambda: NOW, random_bits=lambda n: 2**n - 5) as replica:
            replica.execute("insert into note (id, text) values ('x', 'a')")
            requests.append(replica.build_request())
    assert requests[0] == requests[1]


def test_other_arguments_keep_their_meaning() -> None:
    plain, governed = apsw.Connection(":memory:"), apsw.Connection(":memory:")
    set_clock(governed, lambda: NOW)
    for arguments in ("'2026-02-03 04:05:06'", "'2026-02-03', '+1 day'", "2461000.5", "null", "'nonsense'", "x'00'"):
        sql = f"select julianday({arguments})"
        assert governed.execute(sql).get == plain.execute(sql).get, arguments
    assert governed.execute("select julianday() = julianday('now')").get == 1
    plain.close()
    governed.close()


def test_without_a_clock_sqlite_keeps_its_own(tmp_path: Path) -> None:
    with hf.Replica(tmp_path / "a.db", SCHEMA) as replica:
        shown, own = replica.execute("select julianday('now'), (unixepoch('now') / 86400.0) + 2440587.5")[0]
    assert abs(shown - own) * 86_400 < 2
