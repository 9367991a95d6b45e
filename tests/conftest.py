"""What every test may ask for: the Hypothesis profiles and the place of the real data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests import generated_inspections

ROOT = Path(__file__).resolve().parent.parent

# Under xdist on a busy machine wall time says nothing about an example, so no deadline and no complaint of slowness.
BASE = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fixed", BASE, derandomize=True, database=None)
settings.register_profile("new", BASE)
# A planted fault has to be found; nobody reads the smallest example of it.
settings.register_profile("planted", settings.get_profile("fixed"), phases=(Phase.explicit, Phase.generate))
EXAMPLES = int(os.environ.get("HOLDFAST_EXAMPLES", "5000"))
settings.register_profile("soak", BASE, max_examples=EXAMPLES, stateful_step_count=200)
settings.load_profile(os.environ.get("HOLDFAST_HYPOTHESIS") or "fixed")


def shared_folder() -> Path | None:
    """The folder with real data: HOLDFAST_SHARED, or `../shared` beside the checkout; None on a stranger's machine.

    Raises FileNotFoundError when HOLDFAST_SHARED is set and is no folder: a typing error must not look like "no data".
    """
    named = os.environ.get("HOLDFAST_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared"
    if (folder / "data").is_dir():
        return folder
    if named:
        raise FileNotFoundError(f"HOLDFAST_SHARED={named} has no folder 'data'")
    return None


@pytest.fixture(scope="session")
def shared_data() -> Path | None:
    """`<shared>/data` with inspections/ and others, or None: then use a generated set, do not skip."""
    folder = shared_folder()
    return folder / "data" if folder else None


@pytest.fixture(scope="session")
def inspections(shared_data: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with facility, code, inspection and violation as CSV: the real ones, or a set of the same shape."""
    if shared_data is not None:
        return shared_data / "inspections"
    return generated_inspections.write(tmp_path_factory.mktemp("inspections"))
