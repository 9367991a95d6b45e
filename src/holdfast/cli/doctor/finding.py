"""What a check found, and how checks are run: one that fails never hides the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from holdfast.cli.failures import remedy_of
from holdfast.errors import HoldfastError

Result = Literal["ok", "warning", "failed", "skipped"]


class Finding(NamedTuple):
    """The result of one check. `remedy` is what to do; empty when all is well."""

    check: str
    result: Result
    message: str
    remedy: str = ""


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", message)


def warning(check: str, message: str, remedy: str) -> Finding:
    """It works, but not as it could, or not for long."""
    return Finding(check, "warning", message, remedy)


def failed(check: str, message: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(check, "failed", message, remedy)


def skipped(check: str, message: str) -> Finding:
    """It could not be looked at."""
    return Finding(check, "skipped", message)


def run(check: str, look: Callable[[], Finding]) -> Finding:
    """The finding of a check; what it raises is a failure with the remedy of its code."""
    try:
        return look()
    except HoldfastError as error:
        return failed(check, f"{error.code}: {error.message}", remedy_of(error))
    except OSError as error:
        return failed(check, str(error), "See what the operating system says.")
