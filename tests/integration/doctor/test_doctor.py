"""`holdfast doctor` before real failures: each one is provoked, found, and comes with a remedy and the exit code."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
import uvicorn

import holdfast as hf
from holdfast.cli.failures import Exit
from holdfast.hub.wall_clock import system_clock
from tests.integration.doctor.proxies import certificate, proxy, without_compression, without_upgrade
from tests.unit.cli.terminals import SCHEMA, Ended, environment, holdfast

HUB = (
    SCHEMA
    + """
server = hf.Server("sqlite:///hub.db", schema, authenticate=lambda headers: None)
"""
)


class Item(hf.Table, space="shop"):
    name: str
    stock: hf.Counter = 0


schema = hf.Schema(Item)


def who(headers: dict[str, str]) -> hf.Identity | None:
    user = headers.get("authorization", "").removeprefix("Bearer ")
    return hf.Identity(user, {"shop": "rw"} if user != "guest" else {}) if user in ("anna", "guest") else None


class Site:
    """A hub behind uvicorn, and a device that has synced with it."""

    def __init__(self, folder: Path, now: Callable[[], int] = system_clock) -> None:
        self.folder = folder
        (folder / "schema.py").write_text(SCHEMA)
        (folder / "server.py").write_text(HUB)
        self.server = hf.Server(f"sqlite:///{folder}/hub.db", schema, authenticate=who, now=now)
        self.web = uvicorn.Server(uvicorn.Config(self.server.asgi(), port=0, log_level="critical"))
        self.thread = threading.Thread(target=self.web.run, daemon=True)
        self.thread.start()
        end = time.monotonic() + 20
        while not self.web.started:
            assert time.monotonic() < end
            threading.Event().wait(0.01)
        self.port = self.web.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        with hf.Replica(folder / "a.db", schema, url=self.url, token="anna") as device:
            device.execute("insert into item (name) values ('saw')")
            device.sync()

    def close(self) -> None:
        self.web.should_exit = True
        self.thread.join(20)
        self.server.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    site.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a schema, a hub and the file of a device that never synced."""
    (tmp_path / "schema.py").write_text(SCHEMA)
    (tmp_path / "server.py").write_text(HUB)
    with hf.Replica(tmp_path / "a.db", schema) as device:
        device.execute("insert into item (name) values ('saw')")
    return tmp_path


def results(ended: Ended) -> dict[str, str]:
    return {check["check"]: check["result"] for check in ended.document["checks"]}


def sick(ended: Ended, check: str) -> dict[str, Any]:
    """The finding of the check that found something; it has a remedy."""
    (found,) = [one for one in ended.document["checks"] if one["check"] == check]
    assert found["remedy"], found
    return dict(found)


def on_file(folder: Path, *more: str) -> Ended:
    return holdfast(folder, "doctor", "schema.py", "--db", "a.db", "--json", *more)


def on_way(site: Site, url: str, token: str = "anna", **extra: str) -> Ended:
    return holdfast(site.folder, "doctor", "schema.py", "--url", url, "--token", token, "--json", **extra)


def test_all_is_well(site: Site) -> None:
    ended = holdfast(
        site.folder, "doctor", "schema.py", "--db", "a.db", "--url", site.url, "--json", HOLDFAST_TOKEN="anna"
    )
    assert ended.code == Exit.OK
    assert set(results(ended).values()) == {"ok"}, ended.document
    assert list(results(ended)) == [
        *("database", "schema", "triggers", "queue", "permissions"),
        *("dns", "connection", "tls", "hub", "credentials", "clock", "compression", "buffering", "websocket"),
    ]
    shown = holdfast(site.folder, "doctor", "schema.py", "--db", "a.db", columns=40)
    assert "All is well" in shown.out and max(map(len, shown.out.splitlines())) <= 40


def test_a_missing_a_foreign_and_a_damaged_file(folder: Path) -> None:
    ended = holdfast(folder, "doctor", "schema.py", "--db", "no.db", "--json")
    assert (ended.code, sick(ended, "database")["result"]) == (Exit.FAILURE, "failed")
    assert results(ended)["triggers"] == "skipped"
    (folder / "a.db").write_bytes(b"no database " * 2000)
    assert "no SQLite database" in sick(on_file(folder), "database")["message"]


def test_a_damaged_page_is_found(folder: Path) -> None:
    with hf.Replica(folder / "a.db", schema) as device:
        device.executemany("insert into item (name) values (?)", [("x" * 500,) for _ in range(200)])
    db = apsw.Connection(str(folder / "a.db"))
    db.execute("pragma wal_checkpoint(truncate)")
    root = db.execute("select rootpage from sqlite_schema where name = 'item'").get
    db.close()
    content = bytearray((folder / "a.db").read_bytes())
    content[(root - 1) * 4096 + 8 : root * 4096] = os.urandom(4088)
    (folder / "a.db").write_bytes(bytes(content))
    ended = on_file(folder)
    assert (ended.code, sick(ended, "database")["result"]) == (Exit.FAILURE, "failed")


def test_another_schema(folder: Path) -> None:
    (folder / "schema.py").write_text(SCHEMA.replace("stock: hf.Counter = 0", "stock: int = 0"))
    ended = on_file(folder)
    assert (ended.code, "schema_changed" in sick(ended, "schema")["message"]) == (Exit.FAILURE, True)


def test_a_missing_trigger(folder: Path) -> None:
    with apsw.Connection(str(folder / "a.db")) as db:
        db.execute("drop trigger holdfast_capture_item_update")
    db.close()
    found = sick(on_file(folder), "triggers")
    assert found["result"] == "failed" and "item" in found["message"]


def test_refused_transactions_are_a_warning(site: Site, tmp_path: Path) -> None:
    (tmp_path / "schema.py").write_text(SCHEMA)
    transport = hf.testing.LocalTransport(site.server, hf.Identity("anna", {"shop": "r"}))
    with hf.Replica(tmp_path / "a.db", schema, transport=transport) as device:
        device.execute("insert into item (name) values ('drill')")
        device.sync()
    ended = on_file(tmp_path)
    assert (ended.code, sick(ended, "queue")["result"]) == (Exit.OK, "warning")


@pytest.mark.parametrize("what", ["a.db", "."])
def test_a_user_who_may_not_write(folder: Path, what: str) -> None:
    """As another user than root, whom no permission stops."""
    for path in (folder, *folder.iterdir()):
        path.chmod(0o777)
    target = folder / what
    target.chmod(0o444 if target.is_file() else 0o555)
    script = "import os, sys; from holdfast.cli.doctor.device import permissions; from pathlib import Path; "
    script += "os.getuid() or (os.setgid(65534), os.setuid(65534)); "  # who is root may everything
    script += "found = permissions(Path(sys.argv[1])); print(found.result, bool(found.remedy))"
    for parent in folder.parents:
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder / "a.db")],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "failed True\n", done.stderr


def test_no_address_no_listener_and_no_url(site: Site) -> None:
    ended = on_way(site, "http://no-such-host.invalid")
    assert (ended.code, sick(ended, "dns")["result"], results(ended)["websocket"]) == (
        Exit.FAILURE,
        "failed",
        "skipped",
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert sick(on_way(site, f"http://127.0.0.1:{port}"), "connection")["result"] == "failed"
    assert sick(on_way(site, "ftp://x"), "url")["result"] == "failed"


def test_certificates(site: Site, tmp_path: Path) -> None:
    context = certificate(tmp_path, 5)
    with proxy(site.port, tls=context) as url:
        assert "not trusted" in sick(on_way(site, url), "tls")["message"]
        found = sick(on_way(site, url, SSL_CERT_FILE=str(tmp_path / "cert.pem")), "tls")
        assert (found["result"], "ends in" in found["message"]) == ("warning", True)
        assert sick(on_way(site, url.replace("https", "http")), "hub")["result"] == "failed"
    assert sick(on_way(site, site.url.replace("http", "https")), "tls")["result"] == "failed"


def test_a_server_that_is_no_hub_and_a_wrong_path(site: Site) -> None:
    assert sick(on_way(site, f"{site.url}/elsewhere"), "hub")["result"] == "failed"


def test_credentials(site: Site) -> None:
    ended = on_way(site, site.url, token="mallory")
    assert (ended.code, "unauthenticated" in sick(ended, "credentials")["message"]) == (Exit.FAILURE, True)
    assert sick(on_way(site, site.url, token="guest"), "credentials")["result"] == "warning"


def test_a_hub_of_another_schema(site: Site, folder: Path) -> None:
    (folder / "schema.py").write_text(SCHEMA.replace("hf.Schema(Item)", "hf.Schema(Item, version=2)"))
    ended = holdfast(folder, "doctor", "schema.py", "--url", site.url, "--token", "anna", "--json")
    assert "schema_version" in sick(ended, "credentials")["message"]


def test_what_proxies_do(site: Site) -> None:
    with proxy(site.port, change=without_compression) as url:
        assert sick(on_way(site, url), "compression")["result"] == "warning"
    with proxy(site.port, change=without_upgrade) as url:
        ended = on_way(site, url)
        assert (ended.code, sick(ended, "websocket")["result"]) == (Exit.OK, "warning")
        assert results(ended)["buffering"] == "ok"
    with proxy(site.port, buffers=True) as url:
        assert sick(on_way(site, url), "buffering")["result"] == "warning"


def test_a_clock_that_is_wrong(tmp_path: Path) -> None:
    other = Site(tmp_path, now=lambda: system_clock() - 3_600_000)
    try:
        found = sick(on_way(other, other.url), "clock")
        assert (found["result"], "ahead" in found["message"]) == ("warning", True)
    finally:
        other.close()


def test_a_hub_whose_store_is_gone(tmp_path: Path) -> None:
    other = Site(tmp_path)
    try:
        other.server.hub.close()
        assert sick(on_way(other, other.url), "hub")["result"] == "failed"
    finally:
        other.close()


def test_a_hub_from_its_own_side(folder: Path) -> None:
    missing = holdfast(folder, "doctor", "server.py", "--db", "hub.db", "--json")
    assert (missing.code, sick(missing, "triggers")["result"]) == (Exit.FAILURE, "failed")
    well = holdfast(folder, "doctor", "server.py", "--db", "hub.db", "--json")
    assert (well.code, set(results(well).values())) == (Exit.OK, {"ok"})
    with apsw.Connection(str(folder / "hub.db")) as db:
        (name, *_) = [row[0] for row in db.execute("select name from sqlite_schema where type = 'trigger'")]
        db.execute(f"drop trigger {name}")
    db.close()
    assert "item" in sick(holdfast(folder, "doctor", "server.py", "--db", "hub.db", "--json"), "triggers")["message"]
    with apsw.Connection(str(folder / "hub.db")) as db:
        db.execute("pragma ignore_check_constraints = on")
        db.execute("insert into item (id, name) values ('b', 'nul' || char(0) || 'nul')")
    db.close()
    found = sick(holdfast(folder, "doctor", "server.py", "--json"), "other programs")
    assert (found["result"], "item b" in found["message"]) == ("warning", True)
    (folder / "hub.db").write_bytes(b"not a database " * 1000)
    (folder / "hub.db-wal").unlink(missing_ok=True)
    broken = holdfast(folder, "doctor", "server.py", "--json")
    assert (broken.code, sick(broken, "store")["result"]) == (Exit.FAILURE, "failed")
    (folder / "server.py").write_text(
        HUB.replace(", authenticate=lambda headers: None", "").replace("hub.db", "new.db")
    )
    nobody = holdfast(folder, "doctor", "server.py", "--json")
    assert (nobody.code, sick(nobody, "credentials")["result"]) == (Exit.OK, "warning")


def test_nothing_to_look_at(folder: Path) -> None:
    assert holdfast(folder, "doctor", "schema.py").code == Exit.USAGE
