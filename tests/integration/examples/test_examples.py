"""The examples, run as their pages say: servers and devices as processes of their own, over a real PostgreSQL."""

from __future__ import annotations

import ast
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import connect, database

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
SECONDS = 60.0


class Example:
    """One example with its database, its server and a folder for devices."""

    prefix = ""

    def __init__(self, folder: str, application: str, place: Path, things: ExitStack) -> None:
        self.folder = EXAMPLES / folder
        self.application = application
        self.place = place
        self.dsn = things.enter_context(database())
        self.environment = {**os.environ, "DATABASE_URL": self.dsn, "PYTHONDONTWRITEBYTECODE": "1"}
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._things = things

    def run(self, *command: str) -> str:
        """Run a Python command in the example's folder and give what it prints."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        """Start the web server, and wait until it answers."""
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            self.application,
            "--port",
            str(self.port),
            "--log-level",
            "warning",
        ]
        log = self._things.enter_context((self.place / "server.log").open("w"))
        server = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        self._things.callback(server.wait, SECONDS)
        self._things.callback(server.terminate)
        until(lambda: server.poll() is not None or self.answers())
        assert server.poll() is None, (self.place / "server.log").read_text()

    def answers(self) -> bool:
        try:
            return bool(self.get("/sync/healthz"))
        except OSError:
            return False

    def get(self, path: str, method: str = "GET") -> Any:
        """What the web application answers."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.load(answer)

    def device(self, *written: str, port: int | None = None) -> list[str]:
        """What Anna's device prints."""
        url = f"http://127.0.0.1:{port or self.port}/sync"
        return self.run("device.py", str(self.place / "anna.db"), url, "anna", *written).splitlines()

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with connect(self.dsn) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def table(self, name: str) -> str:
        return self.prefix + name


class FastApi(Example):
    def prepare(self) -> None:
        self.start()
        self.get("/projects/1?name=Bridge", "PUT")
        self.get("/projects/2?name=Tunnel", "PUT")
        self.sql("insert into member values ('anna', 1, 'rw')")

    def add(self, title: str) -> None:
        self.get(f"/projects/1/submissions?title={title}", "POST")


class Django(Example):
    prefix = "forms_"

    def prepare(self) -> None:
        self.run("manage.py", "migrate")
        self.start()
        self.run(
            "manage.py",
            "shell",
            "-c",
            "from forms.models import Member, Project; Project.objects.create(name='Bridge'); "
            "Project.objects.create(name='Tunnel'); Member.objects.create(user_name='anna', project_id=1)",
        )

    def add(self, title: str) -> None:
        self.run(
            "manage.py",
            "shell",
            "-c",
            f"from forms.models import Submission as S; S.objects.create(project_id=1, title={title!r})",
        )


@pytest.fixture(params=["fastapi_sqlalchemy", "django_app"])
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    kinds = {"fastapi_sqlalchemy": (FastApi, "main:app"), "django_app": (Django, "asgi:application")}
    kind, application = kinds[request.param]
    with ExitStack() as things:
        yield kind(request.param, application, tmp_path, things)


def until(condition: Callable[[], bool]) -> None:
    stop = threading.Event()
    timer = threading.Timer(SECONDS, stop.set)
    timer.start()
    try:
        while not condition():
            assert not stop.is_set(), "it did not happen"
    finally:
        timer.cancel()


def test_what_the_page_promises_is_what_happens(example: Any) -> None:
    example.prepare()
    example.add("Piers")
    assert example.device() == ["Piers (draft)"]

    example.device(" Cables ", "all fine")
    assert example.get("/projects/1/submissions") == [
        {"title": "Cables", "status": "draft", "answers": ["all fine"]},
        {"title": "Piers", "status": "draft", "answers": []},
    ]
    assert example.device() == ["Cables (draft)", "Piers (draft)"]

    refused = example.device("", "no title")
    assert len(refused) == 3
    assert refused[2].startswith("refused: ") and "submission_has_a_title" in refused[2]

    offline = example.device("Deck", "wet", port=1)
    assert offline[0].startswith("offline: ") and "Deck (draft)" in offline
    assert "Deck (draft)" in example.device()
    assert [one["title"] for one in example.get("/projects/1/submissions")] == ["Cables", "Deck", "Piers"]

    member, submission, answer = map(example.table, ("member", "submission", "answer"))
    example.sql(f"update {member} set user_name = 'nobody'")
    assert [line for line in example.device() if not line.startswith("refused")] == []
    example.sql(f"update {member} set user_name = 'anna'")
    assert len(example.device()) == 4

    example.sql(f"update {submission} set project_id = 2 where title = 'Cables'")
    assert example.device()[:2] == ["Deck (draft)", "Piers (draft)"]
    assert example.sql(f"select text from {answer} order by text") == [("all fine",), ("wet",)]


@pytest.mark.parametrize(("folder", "mounting"), [("fastapi_sqlalchemy", "main.py"), ("django_app", "asgi.py")])
def test_sync_takes_less_than_sixty_lines(folder: str, mounting: str) -> None:
    """Schema, hub, device and the lines that mount; blank lines and docstrings are not counted."""
    counted = sum(len(code_lines(EXAMPLES / folder / name)) for name in ("schema.py", "sync.py", "device.py"))
    mounted = [line for line in code_lines(EXAMPLES / folder / mounting) if "sync" in line and "async" not in line]
    assert 2 <= len(mounted) <= 3
    assert 40 < counted + len(mounted) < 60


def code_lines(file: Path) -> list[str]:
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for number in range(node.lineno - 1, (node.end_lineno or node.lineno)):
                lines[number] = ""
    return [line for line in lines if line.strip()]


@pytest.mark.parametrize("folder", ["fastapi_sqlalchemy", "django_app"])
def test_the_page_names_what_is_run_here(folder: str) -> None:
    page = (EXAMPLES / folder / "README.md").read_text(encoding="utf-8")
    for said in (
        "uvicorn ",
        "python device.py anna.db http://127.0.0.1:8000/sync anna",
        "Piers (draft)",
        "DATABASE_URL",
    ):
        assert said in page
