"""The diagram in docs/explanation is that of the loop's table."""

from __future__ import annotations

from pathlib import Path

from holdfast.replica.loop import STATES

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "the-sync-loop.md"


def test_the_diagram_shows_the_table() -> None:
    arrows = sorted(f"    {state} --> {other}" for state, others in STATES.items() for other in others)
    assert "stateDiagram-v2\n" + "\n".join(arrows) + "\n```" in PAGE.read_text("utf-8")
