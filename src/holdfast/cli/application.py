"""The commands together, and the one place where an exception becomes a message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from cyclopts import App
from cyclopts.exceptions import CycloptsError

import holdfast
from holdfast.cli import (
    adopt,
    codegen,
    compact,
    conflicts,
    history,
    init,
    migrate,
    queue,
    salvage,
    scrub,
    serve,
    status,
    storage,
    sync,
    token,
    verify,
)
from holdfast.cli.demo import command as demo
from holdfast.cli.doctor import command as doctor
from holdfast.cli.failures import LOCAL, Exit, exit_of
from holdfast.cli.terminal import Terminal
from holdfast.errors import HoldfastError

app = App(
    name="holdfast",
    help="Offline-first sync: plain SQL tables on devices and on a hub, made to agree.",
    help_format="plaintext",
    version=holdfast.__version__,
    version_flags=["--version"],
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # `run` says what it means
)
COMMANDS: tuple[Callable[..., int], ...] = (
    init.init,
    adopt.adopt,
    codegen.codegen,
    serve.serve,
    migrate.migrate,
    sync.sync,
    status.status,
    verify.verify,
    scrub.scrub,
    salvage.salvage,
    storage.storage,
    compact.compact,
    conflicts.conflicts,
    conflicts.resolve,
    history.history,
    doctor.doctor,
    token.token,
    demo.demo,
)
for order, command in enumerate(COMMANDS):
    app.command(command, sort_key=order)
app.command(queue.queue)
app["--help"].group = app["--version"].group = "Options"


def run(arguments: list[str]) -> int:
    """Run one command line; the exit code. Every failure is shown as code, message and remedy."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # what a terminal cannot show must not end the command
    terminal = Terminal(as_json="--json" in arguments)
    try:
        result: Any = app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return int(result) if isinstance(result, int) else Exit.OK
    except BrokenPipeError:
        # Whoever read our output has gone, as `| head` does. What is left must not complain when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except KeyboardInterrupt:
        terminal.fail(HoldfastError("interrupted", LOCAL["interrupted"].meaning))
        return Exit.INTERRUPTED
    except CycloptsError as error:
        terminal.fail(HoldfastError("usage", " ".join(str(error).split())))
        return Exit.USAGE
    except HoldfastError as error:
        terminal.fail(error)
        return exit_of(error.code)
    except Exception as error:
        if os.environ.get("HOLDFAST_TRACEBACK"):
            raise
        terminal.fail(HoldfastError("unexpected", f"{type(error).__name__}: {error}"))
        return Exit.FAILURE
