"""The kernels of Python and TypeScript give the same answers, byte for byte, on random input from the whole domain.

Both answer the same calls; rows go on from what one of them made, in turn, so that each reads what the other wrote.
`make test` compares about 20,000 calls. HOLDFAST_KERNEL_CALLS sets another number and HOLDFAST_KERNEL_SEED the seed:
`make soak` compares a million from a random seed. A difference prints the call, which then becomes a vector.
"""

from __future__ import annotations

import json
import os
import random
import secrets

import pytest

from tests.integration.two_kernels import calls, drivers
from tests.integration.two_kernels.histories import History

CALLS = int(os.environ.get("HOLDFAST_KERNEL_CALLS", "20000"))
SEED = int(os.environ.get("HOLDFAST_KERNEL_SEED") or (secrets.randbits(32) if CALLS > 20_000 else 8))
ROUND = 400
LIFE_OF_A_HISTORY = 40
SHOWN = 5


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    stale = drivers.stale_sources()
    assert not stale, f"newer than the driver that was built: {', '.join(stale)}; run `make web-build`"


@pytest.mark.parametrize("part", range(2))
def test_two_kernels(part: int) -> None:
    rng = random.Random(f"{SEED}/{part}")
    histories = [History(rng) for _ in range(ROUND // 2)]
    compared, refused, turn = 0, 0, 0
    with drivers.Driver("python") as python, drivers.Driver("typescript") as typescript:
        while compared < CALLS // 2:
            turn += 1
            asked = [history.next() for history in histories]
            asked += [calls.draw(rng) for _ in range(ROUND - len(histories))]
            ours, theirs = python.start(asked), typescript.start(asked)
            answers = list(zip(asked, ours.read(), theirs.read(), strict=True))
            differing = [
                f"{drivers.shown(call)}\n  Python     {a}\n  TypeScript {b}" for call, a, b in answers if a != b
            ]
            assert not differing, "\n".join((f"seed {SEED}, after {compared} calls:", *differing[:SHOWN]))
            for history, (_, of_python, of_typescript) in zip(histories, answers, strict=False):
                history.take(json.loads(of_python if turn % 2 else of_typescript))
            if turn % LIFE_OF_A_HISTORY == 0:
                histories = [History(rng) for _ in histories]
            compared += len(answers)
            refused += sum(answer.startswith('{"error"') for _, answer, _ in answers)
    assert compared * 0.02 < refused < compared * 0.4, f"{refused} of {compared} refused: the draws became one-sided"
