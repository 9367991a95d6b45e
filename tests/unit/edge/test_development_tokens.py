import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.auth.development import DevelopmentTokens
from holdfast.hub.identity import Identity

TOKENS = DevelopmentTokens("a secret of some length")
TOKEN = TOKENS.token("anna", {"project:42": "rw", "city": "r"}, claims={"role": "foreman"})


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_a_token_gives_the_identity_back():
    identity = TOKENS.authenticate(bearer(TOKEN))
    assert identity == Identity("anna", {"project:42": "rw", "city": "r"}, {"role": "foreman"})
    assert TOKEN.startswith("hfdev1.")
    assert TOKENS.authenticate({"authorization": f"  bEARER   {TOKEN} "}) == identity


@given(
    st.text(min_size=1).filter(str.isprintable),
    st.dictionaries(
        st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.sampled_from(["r", "rw"]), max_size=4
    ),
)
def test_any_user_and_spaces_survive(user, spaces):
    assert TOKENS.authenticate(bearer(TOKENS.token(user, spaces))) == Identity(user, spaces, {})


def test_every_changed_character_makes_it_worthless():
    for at in range(len(TOKEN)):
        changed = TOKEN[:at] + ("A" if TOKEN[at] != "A" else "B") + TOKEN[at + 1 :]
        assert TOKENS.authenticate(bearer(changed)) is None, at
        assert TOKENS.authenticate(bearer(TOKEN[:at])) is None, at


def test_another_secret_or_another_spelling_of_the_signature_is_refused():
    assert DevelopmentTokens("another secret, as long").authenticate(bearer(TOKEN)) is None
    assert TOKENS.authenticate(bearer(TOKEN + "=")) is None
    assert TOKENS.authenticate(bearer(TOKEN + ".")) is None


def test_expiry():
    token = TOKENS.token("anna", {}, expires_in=60, now=1_000)
    assert TOKENS.authenticate(bearer(token), now=1_059.9) is not None
    assert TOKENS.authenticate(bearer(token), now=1_060) is None
    assert TOKENS.authenticate(bearer(token)) is None, "the clock says that 1970 is over"


@given(
    st.one_of(
        st.text(), st.text(max_size=60).map("Bearer hfdev1.".__add__), st.binary().map(lambda b: b.decode("latin-1"))
    )
)
def test_no_header_raises(header):
    assert TOKENS.authenticate({"authorization": header}) is None


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_a_signed_payload_of_another_form_is_refused(payload):
    text = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()
    signed = f"hfdev1.{text}"
    assert TOKENS.authenticate(bearer(f"{signed}.{TOKENS._signature(signed)}")) is None


def test_no_header_no_identity():
    assert TOKENS.authenticate({}) is None
    assert TOKENS.authenticate({"authorization": "Basic abc"}) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DevelopmentTokens("short"), "at least 16"),
        (lambda: TOKENS.token("", {}), "needs a user"),
        (lambda: TOKENS.token("anna", {"a": "w"}), "'r' or 'rw'"),
        (lambda: TOKENS.token("anna", {}, claims={"x": object()}), "JSON"),
        (lambda: TOKENS.token("anna\ud800", {}), "JSON"),
        (lambda: TOKENS.token("anna", {"s" * 40_000: "r"}), "characters"),
    ],
)
def test_what_cannot_be_signed_is_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()
