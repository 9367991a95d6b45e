"""Runs the shared vectors of the protocol (spec/vectors/messages)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import HoldfastError
from holdfast.protocol import codec, messages
from holdfast.protocol.errors import CODES

FOLDER = Path(__file__).parents[2] / "spec" / "vectors" / "messages"


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads((FOLDER / name).read_text())["cases"]]


@pytest.mark.parametrize("case", cases("request.json"))
def test_request(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(HoldfastError) as raised:
            codec.decode_request(case["in"].encode())
        assert raised.value.code == case["error"]
        assert 400 <= CODES[case["error"]].status < 500
    else:
        assert json.loads(messages.encode(codec.decode_request(case["in"].encode()))) == case["out"]


def read_line(text: bytes) -> dict[str, Any]:
    part = codec.decode_line(text)
    if isinstance(part, messages.Page):
        images = codec.decode_rows(bytes(part.rows))
        return {"page": {"space": part.space, "cursor": part.cursor, "rows": json.loads(messages.encode(images))}}
    return {type(part).__name__.lower(): json.loads(messages.encode(part))}


@pytest.mark.parametrize("case", cases("lines.json"))
def test_line(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(HoldfastError) as raised:
            read_line(case["in"].encode())
        assert raised.value.code == case["error"]
    else:
        assert without_empty_states(read_line(case["in"].encode())) == case["out"]


def without_empty_states(line: dict[str, Any]) -> dict[str, Any]:
    """A decoder fills in the states of a row that has none."""
    for row in line.get("page", {}).get("rows", []):
        if len(row) == 5 and row[4] == {}:
            row.pop()
    return line
