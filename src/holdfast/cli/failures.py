"""What a command line failure means: its exit code, and for failures of the command line itself, meaning and remedy."""

from __future__ import annotations

import enum
from typing import NamedTuple

from holdfast.errors import HoldfastError
from holdfast.protocol.errors import CODES


class Exit(enum.IntEnum):
    """How every command ends. `MEANING` says it in words, for people and for docs/reference/cli.md."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NETWORK = 3
    REFUSED = 4
    CREDENTIALS = 5
    REVIEW = 6
    INTERRUPTED = 130


MEANING: dict[Exit, str] = {
    Exit.OK: "Done.",
    Exit.FAILURE: "It failed; the message says why. For `demo`: the copies are not equal.",
    Exit.USAGE: "Wrong arguments, or a file or name that they mention is not there or does not load.",
    Exit.NETWORK: "The hub cannot be reached, or hub or file are busy. Nothing is lost; try again.",
    Exit.REFUSED: "The device has transactions that were refused; `holdfast status` lists them. "
    "For `verify`: the hub has lost rows that it had confirmed, or a hub is not whole. For `scrub`: something differs. "
    "For `salvage`: some of the unsent work cannot be read.",
    Exit.CREDENTIALS: "The hub does not accept the token.",
    Exit.REVIEW: "The device has conflicts that wait for a decision. `holdfast conflicts` lists them.",
    Exit.INTERRUPTED: "Stopped with Ctrl-C.",
}


class LocalCode(NamedTuple):
    """A failure of the command line itself."""

    exit: Exit
    meaning: str
    remedy: str


LOCAL: dict[str, LocalCode] = {
    "usage": LocalCode(Exit.USAGE, "The arguments are not what the command takes.", "See `holdfast COMMAND --help`."),
    "file_missing": LocalCode(Exit.USAGE, "The named file does not exist.", "Check the path."),
    "file_fails": LocalCode(
        Exit.USAGE, "The named Python file raised an error when it was loaded.", "Correct the line that is shown."
    ),
    "name_missing": LocalCode(
        Exit.USAGE, "The file does not define the name, or it is something else.", "Name it as FILE:name."
    ),
    "file_exists": LocalCode(
        Exit.FAILURE,
        "`init` and `adopt` never overwrite a file, `codegen` none that it did not make.",
        "Choose another place, or move the file away.",
    ),
    "codegen_stale": LocalCode(
        Exit.FAILURE, "A generated file is not what its schema gives today.", "Run `holdfast codegen` without --check."
    ),
    "secret_missing": LocalCode(
        Exit.USAGE, "HOLDFAST_SECRET is not set, or too short.", 'export HOLDFAST_SECRET="$(openssl rand -hex 32)"'
    ),
    "address_in_use": LocalCode(
        Exit.FAILURE, "Another program listens on that address.", "Choose another --port, or --port 0 for a free one."
    ),
    "address_unusable": LocalCode(
        Exit.FAILURE, "The address cannot be listened on.", "Check --host and --port; ports below 1024 need rights."
    ),
    "server_extra": LocalCode(
        Exit.FAILURE, "Packages for serving are not installed.", "pip install 'holdfast[server]'"
    ),
    "interrupted": LocalCode(Exit.INTERRUPTED, "Stopped with Ctrl-C.", "Nothing is lost; run it again."),
    "demo_data": LocalCode(Exit.USAGE, "The demo cannot use the data or the sizes.", "See `holdfast demo --help`."),
    "demo_process": LocalCode(
        Exit.FAILURE, "A process of the demo ended by itself.", "Run it again with --keep and read its log."
    ),
    "unexpected": LocalCode(
        Exit.FAILURE, "Something that should not happen.", "Please report it, with what HOLDFAST_TRACEBACK=1 prints."
    ),
}

_TEMPORARY = ("network", "response_incomplete", "hub_unavailable", "hub_error", "busy")
_CREDENTIALS = ("unauthenticated", "device_mismatch")
_USAGE = ("url_invalid", "no_transport", "schema_invalid")


def exit_of(code: str) -> Exit:
    """The exit code for an error code."""
    if code in LOCAL:
        return LOCAL[code].exit
    if code in _TEMPORARY:
        return Exit.NETWORK
    if code in _CREDENTIALS:
        return Exit.CREDENTIALS
    return Exit.USAGE if code in _USAGE else Exit.FAILURE


def remedy_of(error: HoldfastError) -> str:
    """What to do about an error; empty when the catalogue does not know its code (a hook's own)."""
    if error.code in LOCAL:
        return LOCAL[error.code].remedy
    return CODES[error.code].remedy if error.code in CODES else ""
