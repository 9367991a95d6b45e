"""The demo: a hub and several devices as processes of their own, made to go offline, edit, crash and agree.

`story.py` is what happens, `schema.py` the tables; `device.py`, `hub.py` and `plain_writer.py` are the processes.
"""

from __future__ import annotations

from pathlib import Path


def plain_writer_path() -> Path:
    """The program that writes with the sqlite3 module. A path, for it is run as a stranger and never imported."""
    return Path(__file__).with_name("plain_writer.py")
