"""Requests made from /openapi.json, sent to a real hub: each answer is as the document says (Schemathesis)."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

import holdfast as hf
from holdfast.auth.development import DevelopmentTokens
from holdfast.edge.openapi import document
from tests.integration.edge.stand_in import serving

TOKENS = DevelopmentTokens("a secret for tests that is long enough")


class Submission(hf.Table, space="project:{project_id}"):
    """The table of the document's examples."""

    project_id: str
    status: str = "draft"
    crew_size: hf.Counter = 0


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    path = tmp_path_factory.mktemp("hub") / "hub.db"
    with (
        hf.Server(f"sqlite:///{path}", hf.Schema(Submission), authenticate=TOKENS.authenticate) as server,
        serving(server.asgi()) as url,
    ):
        make_a_conflict(server, tmp_path_factory.mktemp("devices"))
        yield url


def make_a_conflict(server, folder):
    """Two devices write one cell, so that the lists of conflicts are not empty."""
    devices = []
    for user in ("anna", "ben"):
        way = hf.testing.LocalTransport(server, hf.Identity(user, {"project:42": "rw"}))
        devices.append(hf.Replica(folder / f"{user}.db", server.schema, transport=way))
    with devices[0] as anna, devices[1] as ben:
        anna.execute("insert into submission (id, project_id) values ('k', '42')")
        anna.sync(), ben.sync()
        for device in devices:
            device.execute("update submission set status = ?", (str(device.path),))
            device.sync()


described = schemathesis.openapi.from_dict(document())


@described.parametrize()
@settings(suppress_health_check=list(HealthCheck), deadline=None)
def test_answers_are_as_described(case, url):
    """One hub for all cases: what earlier ones wrote is there."""
    # A coding that the body does not have is refused, and the document cannot say which one it has.
    case.headers.pop("Content-Encoding", None)
    token = TOKENS.token("anna", {"project:42": "rw"})
    # A valid form is not yet valid content: a cursor of another hub, an unknown table, a stamp of the far future.
    case.call_and_validate(
        base_url=url, headers={"Authorization": f"Bearer {token}"}, excluded_checks=[positive_data_acceptance]
    )


def test_chains_of_requests_are_as_described(url):
    """What one answer tells is asked for by the next request, along the links of the document."""
    decided = []

    class Chains(described.as_state_machine()):
        def before_call(self, case):
            case.headers.pop("Content-Encoding", None)

        def get_call_kwargs(self, case):
            token = TOKENS.token("anna", {"project:42": "rw"})
            return {"base_url": url, "headers": {"Authorization": f"Bearer {token}"}}

        def validate_response(self, response, case, additional_checks=(), **kwargs):
            if response.status_code == 200 and case.path.endswith(("/resolve", "/restore")):
                decided.append(response.json()["id"])
            case.validate_response(response, excluded_checks=[positive_data_acceptance])

    Chains.run(
        settings=settings(
            max_examples=10, stateful_step_count=5, deadline=None, suppress_health_check=list(HealthCheck)
        )
    )
    assert decided
