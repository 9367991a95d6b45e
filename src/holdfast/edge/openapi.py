"""The OpenAPI 3.1 document of the hub, generated from the message types and the catalogue of errors."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec

from holdfast.edge.openapi_images import FETCHING, image_paths
from holdfast.edge.openapi_inbox import DECIDING, inbox_paths
from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m
from holdfast.protocol.conflicts import ConflictPage, Decision, Shown
from holdfast.protocol.errors import CODES

_REF = "#/components/schemas/"
_STAMP = "0bd6f3c4a01000-a1b2c3d4e5f6"
_ORIGIN = "a1b2c3d4e5f6"
_ROW = "0190c1a2-7b3c-7def-8123-456789abcdef"

REQUEST_EXAMPLE: dict[str, Any] = {
    "protocol": m.PROTOCOL,
    "device": "0190c1a2-0000-7000-8000-000000000001",
    "schema": {"version": 1, "hash": "3f9a6c1be2d04578"},
    "clock": 203_000_000_000,
    "layout": "5d41402abc4b2a76",
    "cursors": {"project:42": "7f3a.1041.1041.9c1e5b"},
    "acknowledged": [[_ORIGIN, 6]],
    "transactions": [
        {
            "origin": _ORIGIN,
            "n": 7,
            "label": "evening round",
            "ops": [
                {"op": "insert", "table": "submission", "key": _ROW, "stamp": _STAMP,
                 "set": {"project_id": "42", "status": "draft", "crew_size": 3}},
                {"op": "update", "table": "submission", "key": _ROW, "stamp": _STAMP, "life": 1,
                 "set": {"status": "sent"}, "base": {"status": _STAMP}},
                {"op": "delete", "table": "submission", "key": _ROW, "stamp": _STAMP, "life": 1, "base": f"{_STAMP}*3"},
            ],
        }
    ],
}  # fmt: skip

LINE_EXAMPLES: dict[str, dict[str, Any]] = {
    "header": {
        "header": {
            "hub": "00c0ffee0001", "user": "anna", "time": 203_000_000_250,
            "hlc": 831_488_001_024_000, "spaces": {"project:42": "rw", "city": "r"},
            "through": {_ORIGIN: 8}, "revoked": ["project:41"],
            "layout": {"hash": "5d41402abc4b2a76", "tables": {"submission": ["project_id", "status", "crew_size"]}},
            "results": [
                {"origin": _ORIGIN, "n": 7, "outcome": "merged"},
                {"origin": _ORIGIN, "n": 8, "outcome": "refused", "code": "not_null", "table": "submission",
                 "key": _ROW, "column": "project_id", "message": "project_id needs a value"},
            ],
        }
    },
    "page": {
        "page": {
            "space": "project:42", "cursor": "7f3a.1042.1044.9c1e5b",
            "rows": [["submission", 1, [_ROW, "42", "approved", 3], f"{_STAMP}*3"]],
        }
    },
    "footer": {
        "footer": {"more": False, "cursors": {"project:42": "7f3a.1044.1044.9c1e5b", "city": "81cc.7.7.44d0a2"},
                   "digests": {"project:42": "8d777f385d3dfec8815d20f7496026dc"}}
    },
}  # fmt: skip

METRICS_EXAMPLE = '# TYPE holdfast_rounds_total counter\nholdfast_rounds_total{outcome="ok"} 17\n'
HEALTH_EXAMPLE = {"status": "ok"}

DESCRIPTION = """Holdfast keeps the tables of devices and hub in agreement. One exchange is one round: what the device
wrote goes up, the results and everything it may read come down. The meaning of every member is in `spec/protocol.md`
and `spec/encoding.md`. All errors have the same form, `{code, message, details}`; codes are stable for ever.
`x-holdfast-codes` lists all of them, also those that refuse one transaction (in the header's `results`) and those that
arise on the device."""


def document(prefix: str = "") -> dict[str, Any]:
    """The document for a hub mounted under `prefix` ("" or "/sync")."""
    return _document() | {"servers": [{"url": prefix or "/"}]}


@cache
def _document() -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast hub",
            "version": str(m.PROTOCOL),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "paths": {
            "/v1/sync": {"post": _sync()},
            **image_paths(_errors),
            **inbox_paths(_errors),
            "/healthz": {"get": _health()},
            "/metrics": {"get": _metrics()},
            "/openapi.json": {"get": _self()},
        },
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Whatever the application's `authenticate(headers)` takes; a token, as a rule.",
                }
            },
        },
        "x-holdfast-codes": {code: entry._asdict() for code, entry in CODES.items()},
    }


def schemas() -> dict[str, Any]:
    """JSON Schemas (2020-12) of all messages, from their msgspec types. `Line` is one line of a response."""
    types = [m.Request, m.ShortRequest, m.ShortAnswer, m.Header, m.Page, m.Image, m.Footer, m.ErrorBody]
    types += [ConflictPage, Shown, Decision]
    _, components = msgspec.json.schema_components(types, ref_template=_REF + "{name}")
    # A page's rows are bytes to our code (it never decodes what it only carries), images to everybody else.
    components["Page"]["properties"]["rows"] = {"type": "array", "items": {"$ref": _REF + "Image"}}
    kinds = {"header": "Header", "page": "Page", "footer": "Footer", "same": "Unchanged"}
    components["Line"] = {
        "title": "Line",
        "description": "One line of a response: an object with exactly one member, which names its kind.",
        "oneOf": [
            {
                "type": "object",
                "properties": {kind: {"$ref": _REF + name}},
                "required": [kind],
                "additionalProperties": False,
            }
            for kind, name in kinds.items()
        ],
    }  # fmt: skip
    return dict(sorted(components.items()))


def _sync() -> dict[str, Any]:
    lines = {kind: {"summary": f"A {kind} line", "value": line} for kind, line in LINE_EXAMPLES.items()}
    return {
        "operationId": "sync",
        "summary": "One round: transactions up, results and rows down",
        "description": (
            f"The body has at most {m.MAX_REQUEST} bytes, packed and unpacked. It may be packed with `Content-Encoding:"
            " zstd` (windows up to 8 MiB) or `gzip`. Repeating a request has no further effect."
        ),
        "security": [{"bearer": []}],
        "parameters": [
            _header("Content-Encoding", "Coding of the request body.", ["zstd", "gzip", "identity"]),
            _header("Accept-Encoding", "Codings that the client takes, with q-values; zstd goes before gzip.", None),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"oneOf": [{"$ref": _REF + "Request"}, {"$ref": _REF + "ShortRequest"}]},
                    "examples": {
                        "round": {"summary": "A round with one transaction", "value": REQUEST_EXAMPLE},
                        "short": {"summary": "Whether anything is new", "value": {"same": "0123456789abcdef01234567"}},
                    },
                }
            },
        },
        "responses": {
            "200": {
                "description": (
                    "One JSON object a line: a header, any number of pages, a footer. Without a footer the response is "
                    "not complete. Each line is sent as soon as it is ready; the schema describes one line."
                ),
                "content": {"application/x-ndjson": {"schema": {"$ref": _REF + "Line"}, "examples": lines}},
            }
        }
        | _errors(c for c, entry in CODES.items() if entry.status not in (0, 404) and c not in DECIDING | FETCHING),
    }


def _health() -> dict[str, Any]:
    return {
        "operationId": "health",
        "summary": "Whether the hub can read its store",
        "security": [],
        "responses": {
            "200": {
                "description": "It can.",
                "content": {"application/json": {"schema": {"type": "object"}, "example": HEALTH_EXAMPLE}},
            }
        }
        | _errors(["method_not_allowed", "internal_error", "hub_unavailable"]),
    }


def _metrics() -> dict[str, Any]:
    return {
        "operationId": "metrics",
        "summary": "What the hub has counted, for Prometheus; only with the token that the server names for it",
        "security": [{"bearer": []}],
        "responses": {
            "200": {
                "description": "The text format 0.0.4.",
                "content": {"text/plain": {"schema": {"type": "string"}, "example": METRICS_EXAMPLE}},
            }
        }
        | _errors(["unauthenticated", "method_not_allowed", "internal_error", "hub_unavailable"]),
    }


def _self() -> dict[str, Any]:
    return {
        "operationId": "openapi",
        "summary": "This document",
        "security": [],
        "responses": {
            "200": {"description": "OpenAPI 3.1.", "content": {"application/json": {"schema": {"type": "object"}}}}
        }
        | _errors(["method_not_allowed"]),
    }


def _header(name: str, description: str, values: list[str] | None) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"} | ({"enum": values} if values else {})
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def _errors(codes: Iterable[str]) -> dict[str, Any]:
    """Responses by status, each naming the codes that it may carry, with meaning and remedy."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CODES[code].status, []).append(code)
    return {str(status): _error(by_status[status]) for status in sorted(by_status)}


def _error(codes: list[str]) -> dict[str, Any]:
    known = {"type": "object", "properties": {"code": {"enum": codes}}}
    return {
        "description": "\n".join(f"- `{code}`: {CODES[code].meaning} {CODES[code].remedy}" for code in codes),
        "content": {
            "application/json": {
                "schema": {"allOf": [{"$ref": _REF + "ErrorBody"}, known]},
                "examples": {code: {"value": _example(code)} for code in codes},
            }
        },
    }


def _example(code: str) -> dict[str, Any]:
    error = HoldfastError(code, CODES[code].meaning)
    return {"code": error.code, "message": error.message}
