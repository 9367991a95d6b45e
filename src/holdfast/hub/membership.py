"""Who may read and write what, by a query on the application's own tables: `spaces=hf.sql("select ...")`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from holdfast.errors import HoldfastError
from holdfast.hub.identity import Access, Identity
from holdfast.stores.base import Answering, AnsweringTransaction, Question, Store, Transaction

CLAIM = "claims_"
_PLAIN = r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | \$([a-zA-Z_0-9]*)\$.*?\$\1\$ | ::"""
_TOKEN = re.compile(rf"(?:{_PLAIN}) | (?<![\w:]):([a-zA-Z_][a-zA-Z_0-9]*)", re.DOTALL | re.VERBOSE)
_ESCAPING = re.compile(r"\b[eE]'")


class Membership:
    """A query that gives the spaces of a user: name of the space and, if it has a second column, "r" or "rw".

    `poll` is how often, in seconds, a hub looks for changes of access; None: it hears of them.
    """

    def __init__(self, question: Question, poll: float | None) -> None:
        self.question = question
        self.poll = poll

    def prepare(self, store: Store) -> None:
        """Tell the store of the query, before it opens. Raises `membership_invalid`."""
        if not isinstance(store, Answering):
            raise invalid("a hub on this store has no SQL; give a function, or use SQLite or PostgreSQL")
        store.ask(self.question)

    def spaces(self, tx: Transaction, identity: Identity) -> dict[str, Access]:
        """What the user may do, in the snapshot of the transaction. Raises `membership_failed`, `identity_invalid`."""
        values = {name: _value(identity, name) for name in self.question.names}
        found: dict[str, Access] = {}
        for row in cast(AnsweringTransaction, tx).answer(values):
            space: Any = row[0]
            access: Any = row[1] if len(row) > 1 else "rw"
            if not isinstance(space, str) or access not in ("r", "rw"):
                message = (
                    f'the membership query must give the name of a space and "r" or "rw", not {tuple(row)!r} '
                    f"(for {identity.user})"
                )
                raise HoldfastError("identity_invalid", message)
            if found.get(space) != "rw":
                found[space] = access
        return found


def sql(query: str, *, tables: Sequence[str] = (), poll: float | None = None) -> Membership:
    """The spaces of a user by a query on the hub's database, for `hf.Server(..., spaces=hf.sql(...))`.

    `query` gives one row for each space: its name and, in a second column, "r" or "rw" (without that column: "rw"). It
    may name `:user`, the name of the user, and `:claims_x`, what `Identity.claims` says of x (NULL if it says nothing;
    lists and dictionaries as JSON text). Values are bound, never put into the text.

    It is asked in every round, and whenever one of the tables that it reads has changed. The database says which these
    are; `tables` names more, such as those that a function reads. Where a table cannot be watched (a foreign table, a
    materialized view, one of another owner), `poll` says how often to look, in seconds.

    Raises `HoldfastError` `membership_invalid`; what only the database can tell is raised when the server opens.
    """
    if not query.strip():
        raise invalid("the query is empty")
    if _ESCAPING.search(query):
        raise invalid("the query has a literal of the form E'...', which may hide a parameter; write it without E")
    if poll is not None and not 0 < poll < 86_400:
        raise invalid(f"poll={poll!r}: give seconds, more than 0 and less than a day")
    pieces = _pieces(query.strip().rstrip(";").rstrip())
    for name in pieces[1::2]:
        if name != "user" and not (name.startswith(CLAIM) and len(name) > len(CLAIM)):
            raise invalid(f"the query has the parameter :{name}; use :user, or :{CLAIM}NAME for Identity.claims[NAME]")
    names = tuple(dict.fromkeys(pieces[1::2]))
    return Membership(Question(tuple(pieces), names, tuple(tables), poll is None), poll)


def invalid(reason: str) -> HoldfastError:
    """The error for a query that cannot be used."""
    return HoldfastError("membership_invalid", f"spaces=hf.sql(...): {reason}")


def _pieces(query: str) -> list[str]:
    """text, parameter, text, parameter, ..., text; what looks like one in a literal, a comment or a cast is text."""
    pieces, start = [], 0
    for found in _TOKEN.finditer(query):
        if found[2] is not None:
            pieces += [query[start : found.start()], found[2]]
            start = found.end()
    return [*pieces, query[start:]]


def _value(identity: Identity, name: str) -> Any:
    if name == "user":
        return identity.user
    value = identity.claims.get(name.removeprefix(CLAIM))
    if isinstance(value, (list, tuple, Mapping)):
        return json.dumps(value, ensure_ascii=False)
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise HoldfastError("identity_invalid", f"the claim {name.removeprefix(CLAIM)} is no JSON value: {value!r}")
