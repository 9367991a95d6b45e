"""What /openapi.json says of /v1/images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

FETCHING = frozenset({"image_unknown", "image_range"})
"""The codes that only answer a request for a file image."""
_NAME = "0123456789abcdef" * 4

Errors = Callable[[Iterable[str]], dict[str, Any]]


def image_paths(errors: Errors) -> dict[str, Any]:
    """The path. `errors` describes error answers by their codes."""
    return {"/v1/images/{image}": {"get": _get(errors)}}


def _get(errors: Errors) -> dict[str, Any]:
    content = {"application/zstd": {"schema": {"type": "string", "format": "binary"}}}
    headers = {"ETag": _told("Its name."), "Cache-Control": _told("Private, and for ever: a name is a hash.")}
    part = {"Content-Range": _told("Where the part begins, and the whole length.")}
    codes = ["unauthenticated", *sorted(FETCHING), "method_not_allowed", "internal_error", "hub_unavailable"]
    return {
        "operationId": "image",
        "summary": "The first load of an empty SQLite device, as one file",
        "description": "One zstd frame. Its name comes in a header; who may not read all that is in it gets a 404.",
        "security": [{"bearer": []}],
        "parameters": [
            {
                "name": "image",
                "in": "path",
                "required": True,
                "description": "The SHA-256 of the file, in hexadecimal.",
                "schema": {"type": "string"},
                "example": _NAME,
            },
            _header("Range", "`bytes=N-`: from there on; anything else is ignored."),
            _header("If-Range", "The ETag: else the range is ignored."),
            _header("If-None-Match", "The ETag of the one that the client has."),
        ],
        "responses": {
            "200": {"description": "The whole file.", "headers": headers, "content": content},
            "206": {"description": "The rest of it.", "headers": headers | part, "content": content},
            "304": {"description": "The client has it.", "headers": headers},
        }
        | errors(codes),
    }


def _told(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def _header(name: str, description: str) -> dict[str, Any]:
    text = {"type": "string"}
    return {"name": name, "in": "header", "required": False, "description": description, "schema": text}
