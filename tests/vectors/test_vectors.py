"""Runs the shared vectors (spec/vectors). TypeScript runs the same files: web/packages/client/tests/vectors.test.ts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.kernel import values
from holdfast.protocol.errors import CODES
from holdfast.testing.kernel_driver import CALLS, answer

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
FILES: dict[str, str] = json.loads((VECTORS / "manifest.json").read_text())["files"]


def read(file: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((VECTORS / file).read_text())
    return content


def load() -> list[Any]:
    return [
        pytest.param(file, case, id=f"{file.removesuffix('.json')}: {case['name']}")
        for file in FILES
        for case in read(file)["cases"]
    ]


def call_of(file: str, given: Any) -> tuple[str, dict[str, Any]]:
    """The name of the call and its input. A message is its bare text, and its file names the kind."""
    area, _, name = file.removesuffix(".json").partition("/")
    return (f"messages.{name}", {"text": given}) if area == "messages" else (f"{area}.{given['call']}", given)


@pytest.mark.parametrize(("file", "case"), load())
def test_vector(file: str, case: dict[str, Any]) -> None:
    before = json.dumps(case["in"])
    found = answer(*call_of(file, case["in"]))
    expected = {"error": case["error"]} if "error" in case else {"out": case["out"]}
    assert values.canonical_json(found) == values.canonical_json(expected)
    assert json.dumps(case["in"]) == before, "the input was changed"
    if "error" in case:
        assert case["error"] in CODES
        assert file != "messages/request.json" or 400 <= CODES[case["error"]].status < 500


def test_the_manifest_names_every_file() -> None:
    present = {path.relative_to(VECTORS).as_posix() for path in VECTORS.rglob("*/*.json")}
    assert set(FILES) == present


def test_every_call_has_a_vector() -> None:
    assert {call_of(file, case["in"])[0] for file in FILES for case in read(file)["cases"]} == set(CALLS)
