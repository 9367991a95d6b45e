"""Columns of domains: adopted as the type beneath, synced both ways, and checked by the server."""

from __future__ import annotations

from pathlib import Path

import holdfast as hf
from holdfast.adopt.adopting import adopt
from tests.postgres import connect, database

TABLES = """
create type mood as enum ('glad', 'sad');
create domain feeling as mood default 'glad';
create domain code as varchar(5) not null;
create domain upper_code as code check (value = upper(value));
create domain amount as numeric(10,2) default 0 check (value >= 0);
create domain words as text[];
create table "order" (code upper_code primary key, how feeling, total amount, notes words, copies integer);
insert into "order" values ('A', 'sad', 1.5, '{a,b}')
"""


def test_domains_both_ways(tmp_path: Path) -> None:
    with database() as dsn:
        with connect(dsn) as db:
            db.execute(TABLES.encode())
        found = adopt(dsn, "", (), ())
        assert sorted(left.what for left in found.plan.left) == [
            "domain amount of order.total",
            "domain feeling of order.how",
            "domain upper_code of order.code",
            "domain words of order.notes",
        ]
        schema = found.schema
        assert schema is not None
        with hf.Server(dsn, schema, install=True) as hub:
            way = hf.testing.LocalTransport(hub, hf.Identity("anna", {"all": "rw"}))
            with hf.Replica(tmp_path / "anna.db", schema, transport=way) as device, connect(dsn) as db:
                device.sync()
                assert device.execute('select * from "order"') == [("A", "sad", "1.50", '["a","b"]', None)]
                device.execute("""insert into "order" (code, total) values ('B', '2.00')""")
                device.execute("""update "order" set notes = '["c"]', how = 'glad' where code = 'A'""")
                device.execute("""insert into "order" (code, total) values ('c', '1.00')""")
                device.execute("""insert into "order" (code, total) values ('D', '-1.00')""")
                device.sync()
                assert [one.code for one in device.refused()] == ["check", "check"]
                db.execute(b"""update "order" set copies = 3, total = 9 where code = 'B'""")
                device.sync()
                rows = db.execute(b'select code, how::text, total::text, notes::text, copies from "order" order by 1')
                assert rows.fetchall() == [("A", "glad", "1.50", "{c}", None), ("B", "glad", "9.00", None, 3)]
                assert device.execute('select code, how, total, notes, copies from "order" order by 1') == [
                    ("A", "glad", "1.50", '["c"]', None),
                    ("B", "glad", "9.00", None, 3),
                ]
