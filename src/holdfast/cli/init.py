"""`holdfast init`: a schema and a server to start from."""

from __future__ import annotations

from pathlib import Path

from holdfast.cli.failures import Exit
from holdfast.cli.options import AsJson
from holdfast.cli.terminal import Terminal
from holdfast.errors import HoldfastError

SCHEMA = '''"""The tables, once: the device and the hub both make theirs from this file."""

import datetime
from typing import Literal

import holdfast as hf


# `space` says which rows belong together. A user is given whole spaces: here, all rows of one project.
class Submission(hf.Table, space="project:{project_id}"):
    # Without a key of your own, Holdfast adds `id`: text, filled with a UUIDv7 by SQLite itself.
    project_id: str
    title: str
    status: Literal["draft", "sent", "approved"] = "draft"  # of two writes the later one stays, the other is reported
    photos: hf.Counter = 0  # increments add up: +2 here and +3 there make +5
    tags: hf.Set[str]  # adding and removing merge, element by element
    inspected_on: hf.Earliest[datetime.date] | None = None  # the earliest date stays
    notes: str = ""


# Raise the version whenever a table changes.
schema = hf.Schema(Submission, version=1)
'''

SERVER = '''"""The hub. Start it with: holdfast serve server.py"""

import os
import sys

import holdfast as hf
from holdfast.auth.development import DevelopmentTokens
from schema import schema

secret = os.environ.get("HOLDFAST_SECRET", "")
if len(secret) < 16:
    sys.exit('set HOLDFAST_SECRET to at least 16 characters: export HOLDFAST_SECRET="$(openssl rand -hex 32)"')

# For development. In production, give `authenticate` a function of your own: it gets the request's headers and returns
# hf.Identity(user, spaces={"project:42": "rw"}), or None.
tokens = DevelopmentTokens(secret)

server = hf.Server("sqlite:///hub.db", schema, authenticate=tokens.authenticate)


# What the database cannot know: raise hf.Refuse, and the whole transaction is refused, with this reason.
@server.before_write("submission")
def nothing_approved_without_notes(change: hf.Change, context: hf.Context) -> None:
    if change.new and change.new["status"] == "approved" and not change.new["notes"]:
        raise hf.Refuse("an approved submission needs notes", code="notes_missing")
'''

FILES = {"schema.py": SCHEMA, "server.py": SERVER}


def init(
    folder: Path = Path(),
    /,
    *,
    as_json: AsJson = False,
) -> int:
    """Write a commented schema.py and server.py to start from.

    Example: holdfast init inspections

    Parameters
    ----------
    folder
        Where to write them; made when it is not there. A file is never overwritten.
    """
    terminal = Terminal(as_json=as_json)
    paths = {folder / name: text for name, text in FILES.items()}
    taken = [str(path) for path in paths if path.exists()]
    if taken:
        raise HoldfastError("file_exists", f"{' and '.join(taken)} exist already; nothing was written", files=taken)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise HoldfastError("file_unusable", f"{error.filename}: {error.strerror}", file=str(error.filename)) from error
    if terminal.as_json:
        terminal.document({"written": [str(path) for path in paths]})
        return Exit.OK
    for path, what in zip(paths, ("the tables", "the hub"), strict=True):
        terminal.done(str(path), what)
    enter = () if folder == Path() else (f"cd {folder}",)
    terminal.next_steps(
        "Next",
        (
            *enter,
            'export HOLDFAST_SECRET="$(openssl rand -hex 32)"',
            "holdfast serve server.py &",
            'export HOLDFAST_TOKEN="$(holdfast token --user anna --space project:42=rw)"',
            "holdfast sync schema.py --db tablet.db --url http://127.0.0.1:8000",
        ),
    )
    return Exit.OK
