"""The two kernels are compared when the TypeScript one was built: `make test` does it where there is Node."""

from __future__ import annotations

from tests.integration.two_kernels.drivers import BUILT

collect_ignore = [] if BUILT.exists() else ["test_two_kernels.py"]
