"""The document library, looked for once: it is an extra (`holdfast[crdt]`), and only documents ask for it."""

from __future__ import annotations

from typing import Any

_library: Any = None
try:
    import pycrdt

    _library = pycrdt
except ModuleNotFoundError:  # pragma: no cover (an installation without the extra)
    pass

AVAILABLE = _library is not None


def library() -> Any:
    """The module pycrdt. Whoever opens a schema with documents has looked at `AVAILABLE` before."""
    return _library
