"""What is not DICOMweb does as its OpenAPI description says; schemathesis asks."""

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import BaseSchema, Case

from peers import Isocenter


@pytest.fixture(scope="module")
def description(shared_server: Isocenter) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{shared_server.url}/api/openapi.json")


def test_every_operation_does_as_it_is_described(description: BaseSchema) -> None:
    asked: set[str] = set()
    for operation in description.get_all_operations():

        @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
        @given(operation.ok().as_strategy())
        def ask(case: Case) -> None:
            asked.add(case.operation.label)
            case.call_and_validate()

        ask()
    # The description itself is left out: it is where the description comes from.
    assert asked == {"GET /health/live", "GET /health/ready"}


def test_the_description_is_well_formed_and_whole(
    shared_server: Isocenter, description: BaseSchema
) -> None:
    description.validate()

    said = httpx.get(f"{shared_server.url}/api/openapi.json", trust_env=False).json()
    assert said["openapi"].startswith("3.1.")
    assert said["servers"] == [{"url": shared_server.url}]
    assert set(said["paths"]) == {"/health/live", "/health/ready", "/api/openapi.json"}
