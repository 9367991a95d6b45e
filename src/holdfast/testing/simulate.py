"""Run the simulator: `python -m holdfast.testing.simulate --seed N --seeds K --steps M --profile P`.

Plays K seeds from N on, prints what was covered, and ends with 1 at the first violation, with a command that plays it
again and the shortest history that still shows it. The profile "all" takes each profile in its turn, seed by seed.
`--minutes` goes on with new seeds until that time is over; `--jobs` spreads them over so many processes;
`--all-covered` ends with 1, too, when a state or a transition of `holdfast.testing.coverage` was never reached.
`--only 3,7` plays these steps of one seed and prints its history. `--postgres DSN` keeps the hub in databases of that
server, whose role may create some; it needs some hundred times as long.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context

from holdfast.testing.coverage import WANTED, missing
from holdfast.testing.hub_places import fresh_database
from holdfast.testing.trial import PROFILES, Report, Step, plan, profile_of, run

COMMAND = "python -m holdfast.testing.simulate"
SHRINK_RUNS = 300
AHEAD = 4
"""So many seeds wait for each process."""


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Simulate devices, hub, network and disks from seeds.")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds")
    parser.add_argument("--steps", type=int, default=80, help="steps of each run")
    parser.add_argument("--profile", choices=[*sorted(PROFILES), "all"], default="everything", help="what may happen")
    parser.add_argument("--minutes", type=float, default=0.0, help="go on with further seeds for so long")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--all-covered", action="store_true", help="fail when a state or transition was never reached")
    parser.add_argument("--only", default="", help="play only these steps (numbers with commas) of the first seed")
    parser.add_argument("--postgres", default=None, help="a PostgreSQL for the hub, whose role may create databases")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Play the seeds; 0 when everything held, 1 at the first violation."""
    asked = arguments(given)
    quiet()
    if asked.only:
        return replay(asked)
    covered: Counter[str] = Counter()
    began, used, steps, events, done = time.perf_counter(), processor_seconds(), 0, 0, 0
    for report in reports(asked):
        covered += report.covered
        steps += report.steps
        events += report.events
        done += 1
        if report.violation is not None:
            tell_violation(asked, report)
            return 1
    seconds, used = time.perf_counter() - began, max(processor_seconds() - used, 0.001)
    told = f"{done} seeds of {asked.steps} steps ({asked.profile}), {seconds:.0f} s, {used:.0f} s of processors"
    write(f"{told}: {steps / used:.0f} steps in each, of {events / max(steps, 1):.0f} commits and requests")
    for name, count in sorted(covered.items()):
        write(f"  {count:8} {name}")
    never = missing(covered)
    if never:
        write(f"never reached, of {len(WANTED)} states and transitions:")
        write("\n".join(f"  {name}: {WANTED[name]}" for name in never))
    return 1 if asked.all_covered and never else 0


def processor_seconds() -> float:
    """What this process and the children that have ended have used: says the same on a busy machine."""
    return sum(os.times()[:4])


def quiet() -> None:
    """The hub logs what the simulation does to it."""
    logging.disable(logging.CRITICAL)


def reports(asked: argparse.Namespace) -> Iterator[Report]:
    """What each seed did, in their order."""
    if asked.jobs == 1:
        yield from (play(asked, seed) for seed in seeds(asked))
        return
    # A process of its own from the start, not a fork: SQLite's connections and locks must not be inherited.
    with ProcessPoolExecutor(asked.jobs, get_context("spawn"), initializer=quiet) as pool:
        waiting: deque[Future[Report]] = deque()
        for seed in seeds(asked):
            waiting.append(pool.submit(play, asked, seed))
            if len(waiting) >= asked.jobs * AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def seeds(asked: argparse.Namespace) -> Iterator[int]:
    """The seeds to play."""
    end = time.perf_counter() + asked.minutes * 60
    seed = asked.seed
    while seed < asked.seed + asked.seeds or time.perf_counter() < end:
        yield seed
        seed += 1


def play(asked: argparse.Namespace, seed: int) -> Report:
    """One seed, whole."""
    return play_steps(asked, seed, plan(seed, asked.steps, profile_of(seed, asked.profile)))


def play_steps(asked: argparse.Namespace, seed: int, steps: Sequence[Step]) -> Report:
    """Some steps of a seed, where the command line wants the hub to be."""
    with nullcontext() if asked.postgres is None else fresh_database(asked.postgres) as database:
        return run(seed, steps, database)


def replay(asked: argparse.Namespace) -> int:
    """Play some steps of one seed and print the history."""
    wanted = {int(place) for place in asked.only.split(",")}
    steps = plan(asked.seed, asked.steps, profile_of(asked.seed, asked.profile))
    report = play_steps(asked, asked.seed, [step for step in steps if step.place in wanted])
    write("\n".join(report.history))
    return 1 if report.violation else 0


def tell_violation(asked: argparse.Namespace, report: Report) -> None:
    """Print what was violated, how to play it again, and the shortest history found."""
    profile = profile_of(report.seed, asked.profile)
    where = f" --postgres {asked.postgres}" if asked.postgres else ""
    again = f"{COMMAND} --seed {report.seed} --steps {asked.steps} --profile {profile}{where}"
    write(f"seed {report.seed}: {report.violation}")
    write(f"the whole: {again} --seeds 1")
    small = shrink(asked, plan(report.seed, asked.steps, profile), report)
    write(f"the least: {again} --only {','.join(str(step.place) for step in small)}")
    write("\n".join(play_steps(asked, report.seed, small).history))


def shrink(asked: argparse.Namespace, steps: list[Step], report: Report) -> list[Step]:
    """Leave out steps as long as the same invariant is violated: halves, quarters and so on (Zeller, ddmin, 2002)."""
    number = report.violation.number if report.violation else 0
    kept = steps[: len(report.history)]
    size, runs = max(1, len(kept) // 2), 0
    while runs < SHRINK_RUNS:
        place, smaller = 0, False
        while place < len(kept) and runs < SHRINK_RUNS:
            fewer = kept[:place] + kept[place + size :]
            runs += 1
            found = play_steps(asked, report.seed, fewer).violation
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
