import json

import jsonschema
import msgspec
import pytest

from holdfast.edge.openapi import LINE_EXAMPLES, REQUEST_EXAMPLE, document
from holdfast.edge.openapi_images import FETCHING
from holdfast.edge.openapi_inbox import DECIDING
from holdfast.protocol import messages as m
from holdfast.protocol.codec import decode_line, decode_request
from holdfast.protocol.errors import CODES


def schema_of(name: str) -> dict:
    return {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}


def valid(instance: object, schema: dict) -> None:
    whole = schema | {"components": document()["components"]}
    jsonschema.Draft202012Validator(whole).validate(json.loads(msgspec.json.encode(instance)))


def media(node: object):
    """Every {schema, example(s)} of the document."""
    if isinstance(node, dict):
        if "schema" in node and ("examples" in node or "example" in node):
            values = [example["value"] for example in node.get("examples", {}).values()]
            yield node["schema"], values + ([node["example"]] if "example" in node else [])
        for child in node.values():
            yield from media(child)


def test_every_example_in_the_document_fits_its_schema():
    found = list(media(document()["paths"]))
    assert len(found) > 8
    for schema, examples in found:
        assert examples
        for example in examples:
            valid(example, schema)


def test_the_schemas_themselves_are_valid_and_every_reference_leads_somewhere():
    text = json.dumps(document())
    for name, schema in document()["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema.get("description"), name
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(document()["components"]["schemas"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"header": LINE_EXAMPLES["header"]["header"], "footer": {"more": False}},
        {},
        {"page": {"space": "s"}},
        {"page": {"space": "s", "cursor": "c", "rows": [["note", "one", [], ""]]}},
        {"footer": {"more": "no"}},
    ],
)
def test_the_line_schema_refuses_what_is_no_line(wrong):
    with pytest.raises(jsonschema.ValidationError):
        valid(wrong, schema_of("Line"))


def test_the_examples_are_what_our_own_code_reads():
    request = decode_request(msgspec.json.encode(REQUEST_EXAMPLE))
    assert [type(op) for op in request.transactions[0].ops] == [m.Insert, m.Update, m.Delete]
    kinds = [type(decode_line(msgspec.json.encode(line))) for line in LINE_EXAMPLES.values()]
    assert kinds == [m.Header, m.Page, m.Footer]


def test_every_code_is_documented_and_stands_under_its_status():
    whole = document()
    assert set(whole["x-holdfast-codes"]) == set(CODES)
    for code, entry in CODES.items():
        if entry.status not in (0, 404):
            path, method = "/v1/sync", "post"
            if code in DECIDING:
                path = "/v1/conflicts/{conflict}/resolve"
            elif code in FETCHING:
                path, method = "/v1/images/{image}", "get"
            response = whole["paths"][path][method]["responses"][str(entry.status)]
            assert f"`{code}`" in response["description"]
            assert code in response["content"]["application/json"]["examples"]


def test_bearer_and_prefix():
    assert document()["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert document()["paths"]["/v1/sync"]["post"]["security"] == [{"bearer": []}]
    assert document()["servers"] == [{"url": "/"}]
    assert document("/hub")["servers"] == [{"url": "/hub"}]
