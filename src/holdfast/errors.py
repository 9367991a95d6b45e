"""The one error that Holdfast raises at its own boundaries: a stable code, a message for people, and where it
happened.
"""

from __future__ import annotations

from typing import Any


class HoldfastError(Exception):
    """Something is wrong and the message says what to do.

    `code` is stable for ever (catalogue: `holdfast.protocol.errors.CODES`); `details` say where: table, column, key,
    file...
    """

    def __init__(self, code: str, message: str, /, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"
