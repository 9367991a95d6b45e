"""`python -m tests.integration.costs` (`make costs`): measure, and write what is expected from now on."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.integration.costs.expectations import EXPECTED, versions
from tests.integration.costs.operations import STORES, measure


def main() -> None:
    """Write `expected.json` anew; `git diff` shows what has changed."""
    found: dict[str, object] = {"measured with": versions()}
    for store in STORES:
        with tempfile.TemporaryDirectory() as folder:
            found[store] = measure(Path(folder), store).costs
    EXPECTED.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    print(f"written: {EXPECTED.name}; look at its difference before you commit it")


if __name__ == "__main__":
    main()
