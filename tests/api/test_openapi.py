"""The committed description is that of the routes, and says of them what clients need."""

from __future__ import annotations

import json
import re

import pytest

from faas_api.openapi import document
from faas_api.reference import reference
from faas_operator.account_record import Scope

CHECKOUT_FILE = "api/openapi.json"


@pytest.fixture(scope="module")
def described():
    return json.loads(document())


def test_it_is_committed(request):
    committed = (request.config.rootpath / CHECKOUT_FILE).read_text()
    assert committed == document(), "run scripts/openapi and commit api/openapi.json"


def test_so_is_the_reference_made_of_it(request, described):
    committed = (request.config.rootpath / "docs/api-reference.md").read_text()
    assert committed == reference(described), "run scripts/openapi and commit docs/api-reference.md"
    for path, method, _ in operations(described):
        assert f"### `{method.upper()} {path}`" in committed
    links = set(re.findall(r"\(#([a-z-]+)\)", committed))
    headings = {
        line.strip("# ").lower().replace(" ", "-") for line in committed.splitlines() if line[:2] == "##"
    }
    assert links <= headings


def operations(described):
    return [
        (path, method, operation)
        for path, item in described["paths"].items()
        for method, operation in item.items()
    ]


def test_every_operation_has_a_name_a_text_and_the_error_shape(described):
    names = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(set(names)) == len(names)
    for path, _, operation in operations(described):
        assert operation["description"]
        if path != "/health":
            schema = operation["responses"]["default"]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorBody"}
        assert "422" not in operation["responses"]


OPEN = {
    ("get", "/health"),
    ("get", "/api/v1/blobs/{sha256}"),
    ("get", "/api/v1/machines/{measurement}"),
    ("get", "/api/v1/calls/{service_id}/{call_id}/receipt"),
    ("get", "/api/v1/calls/{service_id}/{call_id}/refutations"),
    ("post", "/api/v1/quotes/jobs"),
    ("post", "/api/v1/quotes/services"),
    ("get", "/api/v1/pricing"),
    ("post", "/api/v1/sign-in"),
    ("post", "/api/v1/sign-in/challenges"),
}


def test_keys_and_their_scopes_are_declared(described):
    assert set(described["components"]["securitySchemes"]) == {"bearer", "api_key"}
    for path, method, operation in operations(described):
        assert ("security" in operation) != ((method, path) in OPEN), path
        for requirement in operation.get("security", ()):
            (scopes,) = requirement.values()
            assert len(scopes) == 1, path
            assert scopes[0] in list(Scope), path


def test_both_forms_of_a_request_are_described(described):
    body = described["paths"]["/api/v1/execute"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    assert {entry["$ref"].rpartition("/")[2] for entry in body["oneOf"]} == {
        "ExecuteRequest",
        "CommandRequest",
    }
    assert "async" in described["components"]["schemas"]["ExecuteRequest"]["properties"]


def test_why_output_files_are_left_out_is_said(request, described):
    schemas = described["components"]["schemas"]
    for name, field in (
        ("Execution", "files_truncated"),
        ("CommandExecution", "files_truncated"),
        ("Artifacts", "truncated"),
    ):
        assert "over 32 MiB or 10,000 files" in schemas[name]["properties"][field]["description"]
    limits = (request.config.rootpath / "docs/api.md").read_text().partition("## Limits")[2]
    assert "32 MiB, 10,000 files" in limits.partition("\n## ")[0]


def test_what_a_socket_takes_is_said(described):
    text = described["paths"]["/api/v1/stream/{execution_id}"]["get"]["description"]
    for word in ("WebSocket", "subscribe", "unsubscribe", '"input"', '"resize"', "wants_input"):
        assert word in text
