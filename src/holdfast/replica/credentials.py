"""The token that a replica shows to its hub, and how it gets a new one."""

from __future__ import annotations

from collections.abc import Callable

Token = str | Callable[[], str]


class Credentials:
    """`given` is the application's token, or a function that gives one; `fetch` gives a new one after a 401."""

    def __init__(self, given: Token | None, fetch: Callable[[], str] | None) -> None:
        self._given = given
        self._fetch = fetch
        self._fetched: str | None = None

    @property
    def renewable(self) -> bool:
        """Whether there is a function that fetches a new token."""
        return self._fetch is not None

    def token(self) -> str | None:
        """The token for the next request: the one that was fetched last, else the one given."""
        if self._fetched is not None:
            return self._fetched
        return self._given() if callable(self._given) else self._given

    def renew(self) -> None:
        """Fetch a new token; it may take as long as a person needs. Raises what the application's function raises."""
        assert self._fetch is not None
        self._fetched = self._fetch()
