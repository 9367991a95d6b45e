"""The document library, looked for once: it is an extra (`holdfast[crdt]`), and only columns that need it ask for it."""

from __future__ import annotations

from typing import Any

try:
    import pycrdt
except ModuleNotFoundError:  # pragma: no cover (an installation without the extra)
    pycrdt = None  # type: ignore[assignment]

AVAILABLE = pycrdt is not None


def library() -> Any:
    """The module pycrdt. Whoever opens a schema with documents has looked at `AVAILABLE` before."""
    return pycrdt
