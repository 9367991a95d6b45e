"""What names a machine or a package index is found; ordinary text is not."""

from __future__ import annotations

import pytest

from checks.machine_names import judge


@pytest.mark.parametrize(
    "line",
    [
        "open('/root/x')",
        "see /home/anna/project",
        "cd /work/main",
        "/Users/anna/x",
        "C:\\Users\\anna",
        'path = "/tmp/abc"',
        "pip install --extra-index-url https://example.org/simple",
        "PIP_INDEX_URL=x",
        "https://files.pythonhosted.org/packages/x",
        "https://registry.npmjs.org/yjs",
        "--find-links /opt/wheels",
    ],
)
def test_finds(line: str) -> None:
    assert judge("file", f"first\n{line}\n")[0].startswith("file:2: ")


@pytest.mark.parametrize(
    "line",
    [
        "https://example.org/work/plan",
        "../work/x",
        "the network/home of it",
        "/v1/sync",
        "./tmp/x",
        "GET /healthz",
        "src/holdfast/root/x",
        "an index of urls",
    ],
)
def test_lets_pass(line: str) -> None:
    assert judge("file", line) == []
