"""Pages are run as a reader would: in order, in one folder, with programs in the background; and failures are told."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from checks import documents, page
from checks.markdown import blocks

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a page of a project that consists of nothing else."""
    monkeypatch.setattr(documents.tree, "short", lambda path: path.name)

    def put(text: str) -> Path:
        path = tmp_path / "page.md"
        path.write_text(text, encoding="utf-8")
        return path

    return put


def test_blocks_share_a_namespace_and_a_folder(write: Write) -> None:
    text = """
```python
import dataclasses, pathlib, typing
@dataclasses.dataclass
class Form:
    other: "Form | None" = None
assert typing.get_type_hints(Form)
pathlib.Path("made.txt").write_text("x")
```
```sh
test "$(cat made.txt)" = x
echo y > made.txt
```
<!-- file: mine/own.py -->
```python
raise SystemExit("saved, not run")
```
```console
$ test -f mine/own.py && \\
>   test "$(python -c 'import sys; print(sys.executable)')" = "$(command -v python)"
not a command
```
```python
assert Form().other is None and pathlib.Path("made.txt").read_text() == "y\\n"
```
<!-- not run: it would fail -->
```python
raise SystemExit(1)
```
```json
{"not": "run"}
```
"""
    assert documents.run(write(text)) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\n\n```python\nx = 1\nraise ValueError('here')\n```\n", 'page.md", line 5'),
        ("```sh\nfalse\necho reached\n```\n", "page.md:1: shell block ended with 1"),
        ("```sh\necho $NOT_SET_ANYWHERE\n```\n", "NOT_SET_ANYWHERE"),
        ("<!-- file: ../outside.py -->\n```python\n```\n", "must stay inside"),
        ("<!-- not run: -->\n```python\n```\n", "needs a reason"),
    ],
)
def test_failures_are_told(write: Write, text: str, told: str) -> None:
    findings = documents.run(write(text))
    assert told in "\n".join(findings)
    assert not any("reached" in finding for finding in findings)


def test_a_program_in_the_background_serves_the_next_block_and_ends_with_the_page(write: Write) -> None:
    text = """
<!-- file: serve.py -->
```python
import socket
server = socket.create_server(("127.0.0.1", 0))
open("port", "w").write(str(server.getsockname()[1]))
open("ready", "w").close()
while True:
    server.accept()[0].sendall(b"hello")
```
```sh
python serve.py &
until test -e ready; do :; done
```
```python
import pathlib, socket
port = int(pathlib.Path("port").read_text())
with socket.create_connection(("127.0.0.1", port)) as connection:
    assert connection.recv(5) == b"hello"
pathlib.Path(PLACE).write_text(str(port))
```
"""
    told = write("").with_name("port.txt")
    assert documents.run(write(text.replace("PLACE", repr(str(told))))) == []
    with socket.socket() as after:
        assert after.connect_ex(("127.0.0.1", int(told.read_text(encoding="utf-8")))) == errno.ECONNREFUSED


def test_a_page_that_hangs_is_told(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "SECONDS", 1)
    assert documents.run(write("```sh\ntail -f /dev/null\n```\n"))[0] == "page.md: did not end in 1 s"


def test_console_commands_leave_the_answers_out() -> None:
    block = blocks("```console\n$ one \\\n> two\nanswer\n$ three\n```\n")[0]
    assert page.commands(block) == "one \\\ntwo\nthree\n"


def test_a_page_gets_free_ports_in_place_of_its_own(write: Write) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        named = f"127.0.0.1:{port}"
        text = f"""
```python
import socket
listening = socket.create_server(("127.0.0.1", int("{named}".partition(":")[2])))
assert listening.getsockname()[1] != {port}
```
```sh
python -c "import socket; socket.create_connection(('127.0.0.1', int('{named}'.partition(':')[2])))"
```
"""
        assert documents.run(write(text)) == []


def test_the_logs_of_a_failed_page_are_shown(write: Write) -> None:
    findings = documents.run(write("```sh\necho 'no port' > hub.log\nfalse\n```\n"))
    assert "hub.log: no port" in "\n".join(findings)
