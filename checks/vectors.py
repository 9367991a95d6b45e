"""spec/vectors/manifest.json lists every vector file, names none that is missing, and says what each one covers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from checks import tree

VECTORS = tree.ROOT / "spec" / "vectors"
MANIFEST = "manifest.json"


def find() -> list[str]:
    """Differences between the folder and its manifest."""
    return differences(VECTORS)


def differences(folder: Path) -> list[str]:
    """The same for any folder."""
    manifest = folder / MANIFEST
    if not manifest.exists():
        return [f"spec/vectors/{MANIFEST} is missing"]
    listed = named(json.loads(manifest.read_text(encoding="utf-8")))
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*.json")} - {MANIFEST}
    return [
        *(f"spec/vectors/{name}: not in the manifest" for name in sorted(present - listed)),
        *(f"spec/vectors/{MANIFEST}: '{name}' does not exist" for name in sorted(listed - present)),
    ]


def named(value: Any) -> set[str]:
    """Every vector file that a manifest names, as a key or as a value, at any depth."""
    if isinstance(value, dict):
        return named(list(value)) | named(list(value.values()))
    if isinstance(value, list):
        return {name for item in value for name in named(item)}
    return {value} if isinstance(value, str) and value.endswith(".json") and " " not in value else set()
