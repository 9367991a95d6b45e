"""Tokens for development and tests. NOT for production: one shared secret signs everything, and nothing can be revoked.

A token is `hfdev1.` + payload + `.` + signature, both base64url without padding: the payload is JSON with the members
`user`, `spaces`, `claims`, `expires`; the signature is HMAC-SHA256 (RFC 2104) over everything before its dot.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from holdfast.hub.identity import Access, Identity

PREFIX = "hfdev1."
MIN_SECRET = 16
MAX_TOKEN = 32 * 1024


class _Payload(msgspec.Struct, forbid_unknown_fields=True):
    user: str
    spaces: dict[str, Literal["r", "rw"]]
    claims: dict[str, Any]
    expires: float | None


_payload = msgspec.json.Decoder(_Payload)


class DevelopmentTokens:
    """Makes and checks tokens: `hf.Server(..., authenticate=tokens.authenticate)`. For development only.

    Raises ValueError when `secret` has fewer than 16 characters.
    """

    def __init__(self, secret: str) -> None:
        if len(secret) < MIN_SECRET:
            raise ValueError(
                f"the secret for development tokens has {len(secret)} characters and needs at least {MIN_SECRET}; "
                "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        self._key = secret.encode("utf-8", "surrogatepass")

    def token(
        self,
        user: str,
        spaces: Mapping[str, Access],
        *,
        claims: Mapping[str, Any] | None = None,
        expires_in: float | None = None,
        now: float | None = None,
    ) -> str:
        """A token for `user`, valid for `expires_in` seconds from `now` (Unix time; the clock if absent), or for ever.

        Raises ValueError when the user is empty, an access is neither "r" nor "rw", or the claims are not JSON.
        """
        if not user:
            raise ValueError("a token needs a user")
        for space, access in spaces.items():
            if access not in ("r", "rw"):
                raise ValueError(f"the access to space {space!r} is {access!r}; it must be 'r' or 'rw'")
        expires = None if expires_in is None else (time.time() if now is None else now) + expires_in
        payload = _Payload(user, dict(spaces), dict(claims or {}), expires)
        try:
            text = msgspec.json.encode(payload)
            _payload.decode(text)
        except (TypeError, UnicodeError, msgspec.MsgspecError) as error:
            raise ValueError(f"user, spaces or claims cannot be written as JSON: {error}") from None
        signed = PREFIX + _base64(text)
        token = f"{signed}.{self._signature(signed)}"
        if len(token) > MAX_TOKEN:
            raise ValueError(f"the token has {len(token)} characters; at most {MAX_TOKEN} are taken")
        return token

    def authenticate(self, headers: Mapping[str, str], *, now: float | None = None) -> Identity | None:
        """Who sent `headers` (lower-case names), by `Authorization: Bearer`; None for anything but a valid token."""
        scheme, _, token = headers.get("authorization", "").strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token.startswith(PREFIX) or len(token) > MAX_TOKEN or not token.isascii():
            return None
        signed, _, signature = token.rpartition(".")
        # Compared as text: several texts decode to the same bytes, only one of them is the token.
        if not hmac.compare_digest(signature, self._signature(signed)):
            return None
        try:
            text = signed.removeprefix(PREFIX)
            payload = _payload.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (ValueError, msgspec.MsgspecError, RecursionError):
            return None
        if payload.expires is not None and (time.time() if now is None else now) >= payload.expires:
            return None
        return Identity(payload.user, payload.spaces, payload.claims)

    def _signature(self, signed: str) -> str:
        return _base64(hmac.digest(self._key, signed.encode("ascii"), hashlib.sha256))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
