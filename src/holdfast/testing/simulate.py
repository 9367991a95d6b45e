"""Run the simulator: `python -m holdfast.testing.simulate --seed N --seeds K --steps M --profile P`.

Plays K seeds from N on, prints what was covered, and ends with 1 at the first violation, with a command that plays it
again and the shortest history that still shows it. `--minutes` goes on with new seeds until that time is over;
`--all-covered` ends with 1, too, when a state or a
transition of `holdfast.testing.coverage` was never reached (about 300 seeds of 80 steps reach them all).
`--only 3,7` plays these steps of one seed and prints its history.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from holdfast.testing.coverage import WANTED, missing
from holdfast.testing.trial import PROFILES, Report, Step, plan, run

COMMAND = "python -m holdfast.testing.simulate"
SHRINK_RUNS = 300


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Simulate devices, hub, network and disks from seeds.")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds")
    parser.add_argument("--steps", type=int, default=80, help="steps of each run")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="everything", help="what may happen")
    parser.add_argument("--minutes", type=float, default=0.0, help="go on with further seeds for so long")
    parser.add_argument("--all-covered", action="store_true", help="fail when a state or transition was never reached")
    parser.add_argument("--only", default="", help="play only these steps (numbers with commas) of the first seed")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Play the seeds; 0 when everything held, 1 at the first violation."""
    asked = arguments(given)
    logging.disable(logging.CRITICAL)  # the hub logs what the simulation does to it
    if asked.only:
        return replay(asked)
    covered: Counter[str] = Counter()
    began, steps, done = time.perf_counter(), 0, 0
    for seed in seeds(asked, began):
        report = run(seed, plan(seed, asked.steps, asked.profile))
        covered += report.covered
        steps += report.steps
        done += 1
        if report.violation is not None:
            tell_violation(asked, report)
            return 1
    seconds = time.perf_counter() - began
    write(f"{done} seeds of {asked.steps} steps ({asked.profile}), {steps / max(seconds, 0.001):.0f} steps/s")
    for name, count in sorted(covered.items()):
        write(f"  {count:8} {name}")
    never = missing(covered)
    if never:
        write(f"never reached, of {len(WANTED)} states and transitions:")
        write("\n".join(f"  {name}: {WANTED[name]}" for name in never))
    return 1 if asked.all_covered and never else 0


def seeds(asked: argparse.Namespace, began: float) -> Iterator[int]:
    """The seeds to play."""
    end = began + asked.minutes * 60
    seed = asked.seed
    while seed < asked.seed + asked.seeds or time.perf_counter() < end:
        yield seed
        seed += 1


def replay(asked: argparse.Namespace) -> int:
    """Play some steps of one seed and print the history."""
    wanted = {int(place) for place in asked.only.split(",")}
    steps = [step for step in plan(asked.seed, asked.steps, asked.profile) if step.place in wanted]
    report = run(asked.seed, steps)
    write("\n".join(report.history))
    return 1 if report.violation else 0


def tell_violation(asked: argparse.Namespace, report: Report) -> None:
    """Print what was violated, how to play it again, and the shortest history found."""
    write(f"seed {report.seed}: {report.violation}")
    write(f"the whole: {COMMAND} --seed {report.seed} --seeds 1 --steps {asked.steps} --profile {asked.profile}")
    steps = plan(report.seed, asked.steps, asked.profile)
    small = shrink(report.seed, steps, report)
    places = ",".join(str(step.place) for step in small)
    write(f"the least: {COMMAND} --seed {report.seed} --steps {asked.steps} --profile {asked.profile} --only {places}")
    write("\n".join(run(report.seed, small).history))


def shrink(seed: int, steps: list[Step], report: Report) -> list[Step]:
    """Leave out steps as long as the same invariant is violated: halves, quarters and so on (Zeller, ddmin, 2002)."""
    number = report.violation.number if report.violation else 0
    kept = steps[: len(report.history)]
    size, runs = max(1, len(kept) // 2), 0
    while runs < SHRINK_RUNS:
        place, smaller = 0, False
        while place < len(kept) and runs < SHRINK_RUNS:
            fewer = kept[:place] + kept[place + size :]
            runs += 1
            found = run(seed, fewer).violation
            if found is not None and found.number == number:
                kept, smaller = fewer, True
            else:
                place += size
        if size == 1 and not smaller:
            break
        size = max(1, size // 2)
    return kept


def write(text: str) -> None:
    """One or more lines to the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
