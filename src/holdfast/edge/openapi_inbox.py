"""What /openapi.json says of /v1/conflicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from holdfast.hub.deciding import MOST_LISTED
from holdfast.protocol.errors import CODES

DECIDING = frozenset({"conflict_unknown", "conflict_gone", "conflict_choice", "forbidden_space"})
"""The codes that only answer a request about a conflict."""

_REF = "#/components/schemas/"
_ID = "0bd6f3c4a01000-a1b2c3d4e5f6"
_WRITER = {"user": "anna", "device": "0190c1a2-0000-7000-8000-000000000001", "at": 203_000_000_000}

CONFLICT_EXAMPLE: dict[str, Any] = {
    "id": _ID, "table": "submission", "key": "0190c1a2-7b3c-7def-8123-456789abcdef", "column": "status",
    "base": "draft", "has_base": True, "mine": "void", "theirs": "sent", "rule": "register", "winner": "theirs",
    "state": "auto", "mine_by": _WRITER, "theirs_by": {**_WRITER, "user": "ben"}, "result": "sent",
    "resolved_by": None, "resolved_at": None, "error": "", "space": "project:42",
    "path": "", "deleted": "",
}  # fmt: skip
DECISION_EXAMPLES: dict[str, Any] = {
    "side": {"summary": "One of the two", "value": {"choice": "mine"}},
    "value": {"summary": "Another value, in wire form", "value": {"value": "approved"}},
}

Errors = Callable[[Iterable[str]], dict[str, Any]]


def inbox_paths(errors: Errors) -> dict[str, Any]:
    """The paths. `errors` describes error answers by their codes."""
    act = "/v1/conflicts/{conflict}/"
    return {
        "/v1/conflicts": {"get": _list(errors)},
        act + "resolve": {"post": _resolve(errors)},
        act + "restore": {"post": _restore(errors)},
    }


def _list(errors: Errors) -> dict[str, Any]:
    text, number = {"type": "string"}, {"type": "integer", "minimum": 1, "maximum": MOST_LISTED}
    return {
        "operationId": "conflicts",
        "summary": "Conflicts in the spaces that the caller may read, oldest first",
        "description": "`mine` is the value that lost, `theirs` the one that the row shows, whoever asks.",
        "security": [{"bearer": []}],
        "parameters": [
            _query("open", "Whether they wait for a decision.", {"enum": ["true", "false"]}),
            _query("table", "Only those about rows of this table.", text),
            _query("space", "Only those of this space.", text),
            _query("after", "Only those after the one with this id: `next` of the answer before.", text),
            _query("limit", "At most so many; 100 without it.", number),
        ],
        "responses": {
            "200": _answer("ConflictPage", {"conflicts": [CONFLICT_EXAMPLE], "next": None}, "The conflicts.")
            | {"links": _links("$response.body#/conflicts/0/id") | {"next": _NEXT}},
        }
        | errors([*_ALWAYS, "encoding_unsupported"]),
    }  # fmt: skip


def _resolve(errors: Errors) -> dict[str, Any]:
    decision = {"oneOf": [{"required": ["choice"]}, {"required": ["value"]}]}
    return {
        "operationId": "resolveConflict",
        "summary": "Decide a conflict",
        "description": 'Needs "rw" in its space. A later decision replaces this one.',
        "security": [{"bearer": []}],
        "parameters": [_CONFLICT],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"allOf": [{"$ref": _REF + "Decision"}, decision]},
                    "examples": DECISION_EXAMPLES,
                }
            },
        },
        "responses": {
            "200": _answer("Shown", CONFLICT_EXAMPLE, "The conflict as it is now.")
            | {"links": _links("$response.body#/id")}
        }
        | errors([*_ALWAYS, *_DECIDED])
        | _REFUSED,
    }


def _restore(errors: Errors) -> dict[str, Any]:
    return {
        "operationId": "restoreConflict",
        "summary": "Bring back the value that lost",
        "description": 'Needs "rw" in the space of the conflict; the body is not looked at.',
        "security": [{"bearer": []}],
        "parameters": [_CONFLICT],
        "responses": {
            "200": _answer("Shown", CONFLICT_EXAMPLE, "The conflict as it is now.")
            | {"links": _links("$response.body#/id")}
        }
        | errors([*_ALWAYS, *_DECIDED])
        | _REFUSED,
    }


def _links(conflict: str) -> dict[str, Any]:
    """What may be asked next of a conflict, whose id stands there in the answer."""
    return {
        "resolve": {"operationId": "resolveConflict", "parameters": {"conflict": conflict}},
        "restore": {"operationId": "restoreConflict", "parameters": {"conflict": conflict}},
    }


_NEXT = {"operationId": "conflicts", "parameters": {"after": "$response.body#/next"}}
_ALWAYS = (
    "request_malformed", "unauthenticated", "identity_invalid", "membership_failed", "method_not_allowed",
    "internal_error", "hub_unavailable",
)  # fmt: skip
_DECIDED = ("request_too_large", "encoding_unsupported", "not_found", *sorted(DECIDING))
_CONFLICT = {
    "name": "conflict",
    "in": "path",
    "required": True,
    "description": "The id of the conflict.",
    "schema": {"type": "string", "minLength": 1},
    "example": _ID,
}
_REFUSED: dict[str, Any] = {
    "422": {
        "description": "The column, a hook or the database refuses the decision; the code is the one that a device "
        "would get, or the hook's own. Nothing was stored. Among the codes: "
        + ", ".join(f"`{code}`" for code in ("refused", *(c for c in CODES if c.startswith("value_"))))
        + ".",
        "content": {"application/json": {"schema": {"$ref": _REF + "ErrorBody"}}},
    }
}


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _answer(schema: str, example: Any, description: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REF + schema}, "example": example}}
    return {"description": description, "content": content}
