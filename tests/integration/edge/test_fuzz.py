"""Whatever is posted, the hub answers with a code of its own: never a 5xx, never a traceback."""

import gzip
import json

import pytest
import urllib3
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from holdfast.edge.asgi import asgi
from holdfast.edge.openapi import REQUEST_EXAMPLE
from holdfast.protocol.errors import CODES
from tests.integration.edge.stand_in import StandInHub, serving

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
PACK = {"": bytes, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}


def mutants(value):
    """The example request with one part of it, at any depth, replaced by any JSON or taken away."""
    if isinstance(value, dict):
        parts = [st.tuples(st.just(name), mutants(child)) for name, child in value.items()]
        changed = st.one_of(parts).map(lambda part: value | {part[0]: part[1]})
        missing = st.sampled_from(sorted(value)).map(lambda gone: {k: v for k, v in value.items() if k != gone})
        return st.one_of(changed, changed, missing, JSON)
    if isinstance(value, list) and value:
        return mutants(value[0]).map(lambda first: [first, *value[1:]]) | JSON
    return JSON


@pytest.fixture(scope="module")
def post():
    with serving(asgi(StandInHub(pages=1))) as url, urllib3.PoolManager(retries=False) as pool:
        headers = {"Authorization": "Bearer anna"}
        yield lambda body, **more: pool.request("POST", url + "/v1/sync", body=body, headers=headers | more)


def check(response) -> None:
    assert response.status < 500
    assert b"Traceback" not in response.data
    if response.status != 200:
        error = json.loads(response.data)
        assert CODES[error["code"]].status == response.status


@given(body=st.binary(), encoding=st.sampled_from(sorted(PACK)), packed=st.booleans())
def test_random_bytes(post, body, encoding, packed):
    check(post(PACK[encoding](body) if packed else body, **{"Content-Encoding": encoding}))


@given(JSON, st.sampled_from(sorted(PACK)))
def test_random_json(post, value, encoding):
    check(post(PACK[encoding](json.dumps(value).encode()), **{"Content-Encoding": encoding}))


@given(mutants(REQUEST_EXAMPLE))
def test_requests_that_are_almost_right(post, value):
    check(post(json.dumps(value).encode()))


@given(
    st.sampled_from(["Content-Encoding", "Accept-Encoding", "Authorization", "Content-Type", "X-Other"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"])),
)
def test_random_headers(post, name, value):
    check(post(json.dumps(REQUEST_EXAMPLE).encode(), **{name: value}))
