"""The simulator over many short seeds; that it repeats itself; that it can fail."""

from __future__ import annotations

import logging
import pickle
import shlex
from collections import Counter
from collections.abc import Iterator

import pytest

from holdfast.testing.coverage import WANTED
from holdfast.testing.invariants import Violation
from holdfast.testing.simulate import main
from holdfast.testing.trial import PROFILES, plan, run
from tests.simulation.planted_one_way import PLANTED, Planted

SEEDS = 3
"""Of each profile; `.ci/run` plays 2,000 short ones besides, `make soak` new ones for as long as it is told."""
STEPS = 60


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The hub logs what the simulation does to it."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_invariant_holds(profile: str) -> None:
    covered: Counter[str] = Counter()
    for seed in range(SEEDS):
        report = run(seed, plan(seed, STEPS, profile))
        assert report.violation is None, (
            f"python -m holdfast.testing.simulate --seed {seed} --seeds 1 --steps {STEPS} --profile {profile}"
        )
        covered.update(report.covered)
    told = ", ".join(f"{name}: {covered[name]}" for name in WANTED if covered[name])
    print(f"{profile}: {told}")
    assert covered["transaction: sending -accept-> acknowledged"] > 0


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_makes_the_same_history(seed: int) -> None:
    first, second = (run(seed, plan(seed, STEPS, "everything")) for _ in range(2))
    assert first.history == second.history
    assert first.covered == second.covered


def test_a_run_covers_what_its_profile_promises() -> None:
    covered: Counter[str] = Counter()
    for seed in range(4):
        covered += run(seed, plan(seed, 200, "everything")).covered
    missing = [kind for kind in PROFILES["everything"] if not covered[kind]]
    assert missing == []


@pytest.mark.parametrize("fault", PLANTED, ids=[fault.name for fault in PLANTED])
def test_planted_faults_are_found(fault: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    fault.plant(monkeypatch)
    for seed in [fault.at, *(seed for seed in range(fault.seeds) if seed != fault.at)]:
        violation = run(seed, plan(seed, 120, fault.profile)).violation
        if violation is not None:
            assert violation.number in fault.finders, violation
            return
    raise AssertionError(f"not found in {fault.seeds} seeds")


def test_a_violation_is_told_with_a_short_history(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [fault] = [fault for fault in PLANTED if fault.name == "counters_send_their_value"]
    fault.plant(monkeypatch)
    assert main(["--seeds", "1", "--steps", "60", "--profile", "calm"]) == 1
    told = capsys.readouterr().out
    assert "VIOLATION invariant" in told
    [least] = [line for line in told.splitlines() if line.startswith("the least: ")]
    places = least.partition("--only ")[2]
    assert len(places.split(",")) < 10
    assert main(shlex.split(least.partition("simulate ")[2])) == 1
    assert "VIOLATION invariant" in capsys.readouterr().out


def test_the_command_prints_what_was_covered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "2", "--steps", "30", "--profile", "network"]) == 0
    told = capsys.readouterr().out
    assert "2 seeds of 30 steps (network)" in told
    assert "outcome ok" in told


def test_two_processes_tell_what_one_tells(capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for jobs in ("1", "2"):
        assert main(["--seeds", "4", "--steps", "12", "--profile", "all", "--jobs", jobs]) == 0
        told.append(capsys.readouterr().out.splitlines()[1:])
    assert told[0] == told[1]
    assert any("hub" in line for line in told[0])


def test_a_transition_that_is_never_reached_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1", "--steps", "3", "--profile", "calm", "--all-covered"]) == 1
    assert "never reached, of " in capsys.readouterr().out


def test_a_violation_comes_whole_from_another_process() -> None:
    found = pickle.loads(pickle.dumps(Violation(7, "rows differ")))
    assert (found.number, found.message, str(found)) == (7, "rows differ", "invariant 7: rows differ")


def test_folders_are_cleaned_up() -> None:
    from holdfast.testing.simulation import MEMORY_FOLDER, Simulation
    from holdfast.testing.tables import SCHEMA

    with Simulation(SCHEMA, spaces={"log": "rw"}) as simulation:
        folder = simulation.folder
        assert folder.is_dir()
        assert not MEMORY_FOLDER.is_dir() or folder.parent == MEMORY_FOLDER
    assert not folder.exists()
    assert folder.name.startswith("holdfast-")
