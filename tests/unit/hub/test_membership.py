"""Reading a membership query: what is a parameter and what only looks like one."""

from __future__ import annotations

from typing import Any

import pytest

import holdfast as hf
from holdfast.stores.postgres.access import statement as for_postgres
from holdfast.stores.sqlite.access import statement as for_sqlite


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("select 1", ()),
        ("select :user, :claims_a, :user", ("user", "claims_a")),
        ("select :user", ("user",)),
        (":user", ("user",)),
        ("select ':user', \":claims_x\" -- :no\n, :user", ("user",)),
        ("select '''', ':no''', :user", ("user",)),
        ("select /* :no ' */ :user", ("user",)),
        ("select $$ :no $$, $tag$ :no $$ :no $tag$, :user", ("user",)),
        ("select '1'::int, :user::int, a::text", ("user",)),
        ("select x[1:2], :user", ("user",)),
        ("select '-- ', :user", ("user",)),
        ("select e':no'", ()),
    ],
)
def test_parameters_are_found(query: str, names: tuple[str, ...]) -> None:
    if "e'" in query:
        with pytest.raises(hf.HoldfastError):
            hf.sql(query)
        return
    assert hf.sql(query).question.names == names


def test_each_database_gets_the_query_in_its_own_form() -> None:
    question = hf.sql("select 'a%', :claims_x where u = :user;").question
    assert for_sqlite(question) == "select 'a%', :claims_x where u = :user"
    assert for_postgres(question) == b"select 'a%%', %(claims_x)s where u = %(user)s"


@pytest.mark.parametrize(
    ("claim", "bound"),
    [
        (None, None),
        ("a", "a"),
        (3, 3),
        (True, True),
        (1.5, 1.5),
        (["a", 1], '["a", 1]'),
        (("é",), '["é"]'),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_claims_are_bound_as_they_are_and_lists_as_json(claim: Any, bound: Any) -> None:
    assert asked(claim) == {"user": "anna", "claims_x": bound}


def asked(claim: Any) -> dict[str, Any]:
    """What a transaction is asked with."""
    found: dict[str, Any] = {}

    class Transaction:
        def answer(self, values: dict[str, Any]) -> list[tuple[str]]:
            found.update(values)
            return []

    spaces = hf.sql("select :user where :claims_x = 1").spaces(Transaction(), hf.Identity("anna", claims={"x": claim}))  # type: ignore[arg-type]
    assert spaces == {}
    return found


def test_a_claim_that_is_no_json_is_told() -> None:
    with pytest.raises(hf.HoldfastError, match="claim x is no JSON value") as caught:
        asked(b"bytes")
    assert caught.value.code == "identity_invalid"
