"""How many examples of a property are tried, and where their files stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import settings

# Files in memory where the machine has such a folder: power does not fail here, so nobody need wait for a disk.
MEMORY = next((folder for folder in ("/dev/shm",) if Path(folder).is_dir()), None)
SOAK = settings.default.max_examples > settings.get_profile("default").max_examples


def examples(few: int, **more: Any) -> settings:
    """Settings with so many examples; in a soak (`make soak`) with those of its profile. `more` goes with the few."""
    return settings() if SOAK else settings(max_examples=few, **more)
