"""Requests that schemathesis makes of OpenAPI documents: no answer is a 5xx, and all are as the document says.

The document is the server's own, `/openapi.json`, and, where OPEN_INFERENCE names it, the official one of the Open
Inference Protocol (`make open-inference` fetches it). EXAMPLES says how many requests are made for each path and way.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.serve.models import ROW, churn
from tests.serve.servers import Server, serving

EXAMPLES = int(os.environ.get("EXAMPLES", "12"))
SEED = int(os.environ.get("SEED", "1"))
OFFICIAL = os.environ.get("OPEN_INFERENCE")
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = churn(tmp_path_factory.mktemp("models") / "churn")
    with serving(folder, "--explain") as running:
        yield running


def ask_all(document: dict[str, Any], server: Server, checks: list[Any]) -> dict[str, set[int]]:
    """Make requests that fit a document, and some that do not; what they were answered with, by path."""
    found: dict[str, set[int]] = {}
    for operation in schemathesis.openapi.from_dict(document).get_all_operations():
        one = operation.ok()
        statuses = found.setdefault(one.path, set())
        modes = [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if one.method == "post" else [])]
        for mode in modes:
            ask_often(one.as_strategy(generation_mode=mode), server, checks, statuses)
    return found


def ask_often(cases: Any, server: Server, checks: list[Any], statuses: set[int]) -> None:
    """Make requests and hold the answers against what the document says of them."""

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases)
    def ask(case: Any) -> None:
        response = case.call(base_url=f"http://{server.host}:{server.port}")
        statuses.add(response.status_code)
        case.validate_response(response, checks=checks)

    ask()


def test_the_server_answers_as_its_own_document_says(server: Server) -> None:
    document = server.told("/openapi.json")
    found = ask_all(document, server, [*CHECKS, status_code_conformance])
    assert found.keys() == document["paths"].keys()
    for path, statuses in found.items():
        assert statuses <= {200, 400}, path
    for path in ("/invocations", "/v1/models/churn:predict", "/v2", "/v2/models/churn", "/status"):
        assert 200 in found[path], path


def test_the_example_of_each_path_is_answered(server: Server) -> None:
    for path, told in server.told("/openapi.json")["paths"].items():
        if "post" in told:
            example = told["post"]["requestBody"]["content"]["application/json"]["example"]
            assert server.ask(path, json.dumps(example))[0] == 200, path


@pytest.mark.skipif(OFFICIAL is None, reason="make open-inference")
@pytest.mark.parametrize("near", [False, True], ids=["any names", "the names of the model"])
def test_the_server_answers_as_the_official_document_says(server: Server, near: bool) -> None:
    document = of_the_model(yaml.safe_load(Path(str(OFFICIAL)).read_bytes()), near)
    found = ask_all(document, server, CHECKS)
    assert {200} == set().union(*(found[path] for path in found if not path.endswith("/infer")))
    assert found["/v2/models/churn/versions/1/infer"] <= {200, 400}
    good = document["paths"]["/v2/models/churn/versions/1/infer"]["post"]
    assert good["responses"].keys() == {"200", "400"}


def of_the_model(document: dict[str, Any], near: bool) -> dict[str, Any]:
    """The official document for the model that is served.

    near: with the names and datatypes of its columns, so that more than the names are looked at.
    """
    made = copy.deepcopy(document)
    made["paths"] = {}
    for path, told in document["paths"].items():
        # The document writes a `$` before each brace, which other tools take for a part of the path.
        own = path.replace("${MODEL_NAME}", "churn").replace("${MODEL_VERSION}", "1")
        made["paths"][own] = {key: value for key, value in told.items() if key != "parameters"}
    if near:
        schemas = made["components"]["schemas"]
        names, sizes = [*ROW, "all"], {"type": "integer", "minimum": 0, "maximum": 3}
        schemas["request_input"]["properties"] |= {
            "name": {"type": "string", "enum": names},
            "datatype": {"type": "string", "enum": ["FP64", "FP32", "INT64", "BOOL", "BYTES"]},
            "shape": {"type": "array", "minItems": 1, "maxItems": 2, "items": sizes},
        }
        schemas["request_output"]["properties"]["name"] = {"type": "string", "enum": ["prediction", "probabilities"]}
        schemas["inference_request"]["properties"]["inputs"] |= {"minItems": 5, "maxItems": 6}
    return made
