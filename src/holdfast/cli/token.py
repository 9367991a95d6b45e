"""`holdfast token`: a token for development."""

from __future__ import annotations

import os
import time
from typing import Annotated, Literal, cast

from cyclopts import Parameter

from holdfast.auth.development import DevelopmentTokens
from holdfast.cli.failures import Exit
from holdfast.cli.options import AsJson
from holdfast.cli.terminal import Terminal, moment
from holdfast.errors import HoldfastError
from holdfast.kernel.clock import EPOCH_MS

Spaces = Annotated[
    tuple[str, ...],
    Parameter(name=("--space", "-s"), negative="", consume_multiple=True, show_default=False),
]


def token(
    *,
    user: Annotated[str, Parameter(name=("--user", "-u"))],
    space: Spaces = (),
    days: float = 30.0,
    as_json: AsJson = False,
) -> int:
    """Print a token for development, signed with HOLDFAST_SECRET.

    The hub checks it with the same secret (holdfast.auth.development). Not for production: a token cannot be revoked.

    Example: holdfast token --user anna --space project:42=rw --space city=r

    Parameters
    ----------
    user
        Whom the token names.
    space
        A space and the access to it, NAME=r or NAME=rw. May be given several times.
    days
        How long the token is valid.
    """
    secret = os.environ.get("HOLDFAST_SECRET", "")
    if not secret:
        raise HoldfastError("secret_missing", "HOLDFAST_SECRET is not set; it signs the token")
    if not days > 0 or days > 36_500:
        raise HoldfastError("usage", f"--days {days:g}: it must be more than 0 and at most 36500")
    spaces = dict(map(access, space))
    now = time.time()
    try:
        text = DevelopmentTokens(secret).token(user, spaces, expires_in=days * 86_400, now=now)
    except ValueError as error:
        code = "secret_missing" if "secret" in str(error) else "usage"
        raise HoldfastError(code, str(error)) from error
    if as_json:
        expires = moment(int((now + days * 86_400) * 1000) - EPOCH_MS)
        Terminal(as_json=True).document({"token": text, "user": user, "spaces": spaces, "expires": expires})
    else:
        print(text)  # alone on its line: it goes into a variable
    return Exit.OK


def access(text: str) -> tuple[str, Literal["r", "rw"]]:
    """`project:42=rw` as (space, access). Raises `usage`."""
    space, _, given = text.rpartition("=")
    if not space or given not in ("r", "rw"):
        raise HoldfastError("usage", f"--space {text}: write NAME=r or NAME=rw, such as project:42=rw")
    return space, cast(Literal["r", "rw"], given)
