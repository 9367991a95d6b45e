"""The manifest and the folder of vectors must name the same files."""

from __future__ import annotations

import json
from pathlib import Path

from checks.vectors import differences


def test_differences_in_both_directions(tmp_path: Path) -> None:
    (tmp_path / "values").mkdir()
    (tmp_path / "values" / "int.json").write_text("[]")
    (tmp_path / "values" / "new.json").write_text("[]")
    manifest = {"values": [{"file": "values/int.json", "covers": "see int.json and more"}, "values/gone.json"]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert differences(tmp_path) == [
        "spec/vectors/values/new.json: not in the manifest",
        "spec/vectors/manifest.json: 'values/gone.json' does not exist",
    ]


def test_a_missing_manifest_is_told(tmp_path: Path) -> None:
    assert differences(tmp_path) == ["spec/vectors/manifest.json is missing"]
