"""`python -m holdfast.testing.histories`: run real processes, disturb them, judge their histories."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from holdfast.testing.histories.run import Run, Verdict, run
from holdfast.testing.histories.workloads import PROFILES


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m holdfast.testing.histories",
        description="Devices and a hub as real processes, killed and stopped at random; checkers judge what they saw.",
    )
    parser.add_argument("--profile", choices=[*PROFILES, "all"], default="all", help="what is done and checked")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each profile is disturbed")
    parser.add_argument("--minutes", type=float, default=0.0, help="go on with further seeds for so long")
    parser.add_argument("--devices", type=int, default=5, help="how many devices")
    parser.add_argument("--seed", type=int, default=0, help="of the disturbances and the operations")
    parser.add_argument("--store", default="", help="the hub's store, such as postgresql://...; else SQLite")
    parser.add_argument("--folder", type=Path, help="where the files stay; else they go away")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Play the profiles; 0 when nothing is wrong."""
    asked = arguments(given)
    end = time.monotonic() + asked.minutes * 60
    failed = round_of_profiles(asked)
    while not failed and time.monotonic() < end:
        asked.seed += 1
        failed = round_of_profiles(asked)
    return int(failed)


def round_of_profiles(asked: argparse.Namespace) -> bool:
    """Each profile once, with one seed; whether something was wrong."""
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        for profile in PROFILES if asked.profile == "all" else [asked.profile]:
            folder = (asked.folder or Path(temporary)) / f"{profile}-{asked.seed}"
            store = asked.store or f"sqlite:///{folder}/hub.db"
            verdict = run(Run(profile, folder, store, asked.devices, asked.seconds, asked.seed))
            tell(profile, verdict)
            failed |= bool(verdict.wrong)
    return failed


def tell(profile: str, verdict: Verdict) -> None:
    """Print what one run showed."""
    lines = [f"{profile}: {'WRONG' if verdict.wrong else 'nothing wrong'}"]
    for counts in (verdict.operations, verdict.disturbances):
        lines += [f"  {count:8} {name}" for name, count in sorted(counts.items())]
    lines += [f"  {sentence}" for sentence in verdict.wrong[:20]]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
