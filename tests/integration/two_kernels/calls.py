"""Random calls that stand alone: values, stamps, clocks, digests, merge types, messages."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from holdfast.kernel.column import Cell
from holdfast.kernel.merges import BY_NAME
from holdfast.kernel.stamps import encode_stamps
from holdfast.kernel.values import SCALAR_TYPES
from tests.integration.two_kernels import draws, histories
from tests.integration.two_kernels.drivers import Call


def check(rng: random.Random) -> Call:
    type_name, element = draws.type_of(rng)
    return "values.check", {"type": type_name, "value": draws.near(rng, type_name, element), "element": element}


def canonical_json(rng: random.Random) -> Call:
    value = without_surrogates(draws.json_value(rng))
    written = json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1)))
    numbers = (
        "1.0", "-0", "-0.0", "1E+2", "1e-07", "100000000000000000000000", "-9007199254740993", "9007199254740993.0",
        "123456789012345678901234567890e-10", "0.00000010", "1e21", "5E-324", "1.7976931348623157e308",
    )  # fmt: skip
    if rng.random() < 0.3:
        written = f"[{written} ,\t{rng.choice(numbers)}]"
    return "values.canonical_json", {"json": written}


def without_surrogates(value: Any) -> Any:
    """The value without texts that are not Unicode: canonical JSON is defined for checked values."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(name): without_surrogates(member) for name, member in value.items()}
    return value


def compare(rng: random.Random) -> Call:
    type_name = rng.choice(SCALAR_TYPES)
    a = histories.valid(rng, type_name)
    b = a if rng.random() < 0.1 else histories.valid(rng, type_name)
    if type_name == "decimal" and rng.random() < 0.3:
        b = a + ("0" if "." in a else ".0")
    return "values.compare", {"type": type_name, "a": a, "b": b}


def same(rng: random.Random) -> Call:
    a = histories.valid(rng, "json")
    return "values.same", {
        "a": a,
        "b": json.loads(json.dumps(a)) if rng.random() < 0.5 else histories.valid(rng, "json"),
    }


def clock(rng: random.Random) -> Call:
    ms = rng.choice((draws.integer(rng), rng.randrange(2**41), 2**41, 2**41 - 1, -1))
    damaged = rng.choice(
        (draws.stamp(rng), draws.stamp(rng) + "\n", draws.stamp(rng).upper(), "2" + draws.stamp(rng)[1:])
    )
    return rng.choice((
        ("clock.wall", {"ms": ms}),
        ("clock.tick", {"last": rng.choice((0, rng.randrange(2**53), 2**53 - 1)), "ms": ms}),
        ("clock.pack", {"ms": rng.randrange(2**41), "counter": rng.randrange(4096)}),
        ("clock.unpack", {"hlc": rng.randrange(2**53)}),
        ("clock.stamp", {"hlc": rng.randrange(2**53), "origin": rng.choice(draws.ORIGINS)}),
        ("clock.after", {"stamp": draws.stamp(rng), "origin": rng.choice(draws.ORIGINS)}),
        ("clock.hlc_of", {"stamp": draws.stamp(rng)}),
        ("clock.origin_of", {"stamp": draws.stamp(rng)}),
        ("clock.new_origin", {"bits": abs(draws.integer(rng))}),
        ("clock.is_stamp", {"text": damaged}),
        ("clock.is_origin", {"text": rng.choice((damaged, damaged[15:], draws.text(rng)))}),
    ))  # fmt: skip


def causality(rng: random.Random) -> Call:
    def vector() -> dict[str, int]:
        names = ("a", "b", "__proto__", "constructor", "\uff5e", "🧱", "10", "9")
        return {name: rng.randint(1, 3) for name in rng.sample(names, rng.randrange(4))}

    name = rng.choice(("compare", "join", "increment"))
    form = (
        {"vector": vector(), "replica": draws.text(rng, valid=True)}
        if name == "increment"
        else {"a": vector(), "b": vector()}
    )
    return f"causality.{name}", form


def stamps(rng: random.Random) -> Call:
    known = [draws.stamp(rng) for _ in range(rng.randint(1, 12))]
    by_slot = rng.choices((None, *known), k=rng.choice((0, 1, 2, 5, 30)))
    if rng.random() < 0.4:
        return "stamps.encode", {"stamps": by_slot}
    text = encode_stamps(by_slot)
    for _ in range(rng.randrange(3)):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice((*"0123456789*:.,-af", "", "١", "\n")) + text[at + rng.randrange(3) :]
    return "stamps.decode", {"text": rng.choice((text, text, known[0] + "*" + draws.digits(rng), known[0] + "*32767"))}


def follows(rng: random.Random) -> Call:
    some = [draws.stamp(rng) for _ in range(2)]
    form = {
        "current": rng.choice((None, *some)),
        "base": rng.choice((None, *some)),
        "stamp": rng.choice((*some, draws.stamp(rng))),
    }
    return "rows.follows", form


def digest(rng: random.Random) -> Call:
    row = {"table": draws.text(rng, valid=True), "key": draws.text(rng, valid=True)}
    kind = rng.randrange(20)
    if kind < 8:
        return "digests.bucket", row
    if kind < 16:
        key, life = rng.randbytes(rng.choice((0, 1, 16, 32))).hex(), rng.randrange(2**53)
        return "digests.leaf", {**row, "digest_key": key, "life": life, "stamps": draws.stamp(rng) + "*3"}
    numbers = [f"{rng.choice((rng.randrange(2**128), 2**128 - 1, 0)):032x}" for _ in range(2)]
    if kind < 19:
        return rng.choice(("digests.add", "digests.sub")), {"total": numbers[0], "leaf": numbers[1]}
    sums = {str(rng.randrange(4096)): number for number in numbers}
    if rng.random() < 0.9:
        return "digests.branch", {"sums": sums, "number": rng.choice((int(min(sums)) // 64, 0, 63))}
    return "digests.root", {"sums": sums}


def merge(rng: random.Random) -> Call:
    of = histories.column(rng)
    if rng.random() < 0.6:
        return "merges.check", {"column": vars(of), "change": histories.foreign_change(rng, of, None)}
    known = BY_NAME[of.merge]
    old = histories.valid(rng, of.type, of.element)
    cell = known.apply(of, Cell(known.empty, None, known.initial(3)), histories.change(rng, of, None),
                       draws.stamp(rng), "=", "111111111111") if of.merge == "set" else None  # fmt: skip
    form = {"column": vars(of), "old_value": cell.value if cell else old, "old_state": cell.state if cell else None}
    new = histories.valid(rng, of.type, of.element)
    return "merges.difference", {**form, "new_value": [*new, *form["old_value"][:1]] if of.element else new}


def request(rng: random.Random) -> Call:
    """A request, in a third of the cases with something else somewhere in it."""
    operations = [operation(rng) for _ in range(rng.randrange(4))]
    transaction = {"origin": rng.choice(draws.ORIGINS), "n": rng.choice((1, 7, 2**53 - 1)), "ops": operations}
    form: dict[str, Any] = {
        "protocol": 1,
        "device": draws.text(rng, valid=True)[:64] or "d", "schema": {"version": 1, "hash": "h"},
        "clock": draws.small(rng),
        "cursors": {name: "c" for name in (draws.text(rng, valid=True)[:200] for _ in range(2)) if name},
        "transactions": [transaction] * rng.randrange(3),
        "acknowledged": [[rng.choice(draws.ORIGINS), 1]] * rng.randrange(2),
        "limit": rng.choice((None, 1, 2**53 - 1)), "digests": rng.random() < 0.5, "future": draws.small(rng),
    }  # fmt: skip
    return "messages.request", {"text": written(rng, form)}


def operation(rng: random.Random) -> dict[str, Any]:
    op = {"table": "note", "key": draws.text(rng, valid=True), "stamp": draws.stamp(rng), "life": rng.randrange(3)}
    kind = rng.choice(("insert", "update", "delete"))
    if kind == "delete":
        return {"op": kind, **op, "base": draws.stamp(rng) + "*1"}
    changes = {"body": without_surrogates(draws.json_value(rng)), "__proto__": draws.double(rng)}
    return {"op": kind, **op, "set": changes, **({"base": {"body": draws.stamp(rng)}} if kind == "update" else {})}


def line(rng: random.Random) -> Call:
    image = ["note", rng.randrange(4), [without_surrogates(draws.json_value(rng))], draws.text(rng, valid=True)]
    states = [{"0": [1, {"111111111111": [3, 0]}]}] if rng.random() < 0.3 else []
    note = {
        "table": "t",
        "key": "k",
        "rule": "register",
        "winner": "mine",
        "mine": without_surrogates(draws.json_value(rng)),
    }
    result = {
        "origin": "o",
        "n": 7,
        "outcome": rng.choice(("merged", "refused")),
        "conflicts": [note],
        "code": "unique",
    }
    header = {
        "hub": rng.choice(draws.ORIGINS),
        "user": draws.text(rng, valid=True),
        "time": draws.small(rng),
        "hlc": rng.randrange(2**53),
        "spaces": {draws.text(rng, valid=True) or "s": rng.choice(("r", "rw"))},
        "through": {rng.choice(draws.ORIGINS): 8},
        "results": [result],
        "layout": rng.choice((None, {"hash": "00", "tables": {"t": ["a", "b"]}})),
    }
    page = {"space": "s", "cursor": "c", "rows": [image + states] * rng.randrange(3)}
    footer = {"more": rng.random() < 0.5, "cursors": {"s": "c"}, "digests": {}}
    form: dict[str, Any] = rng.choice(({"header": header}, {"page": page}, {"footer": footer}))
    return "messages.lines", {"text": written(rng, form)}


def written(rng: random.Random, form: dict[str, Any]) -> str:
    """The JSON of a message, damaged in a third of the cases: one value replaced, or one character."""
    if rng.random() < 0.2:
        replace_one(rng, form)
    text = json.dumps(form, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.1:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(('"', "{", "]", ",", "\\", "x", "")) + text[at + 1 :]
    return text


def replace_one(rng: random.Random, value: Any) -> None:
    """Put something else, or nothing, somewhere into a message. A reader may take 1.0 as an int, so no float is one."""
    while True:
        places: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
        place = rng.choice(places)
        inner = value[place]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.3:
            break
        value = inner
    junk = (
        None,
        True,
        0,
        -1,
        2**53,
        -(2**53),
        1.5,
        "",
        "x" * 1025,
        "🧱" * 65,
        [],
        {},
        [1],
        {"a": 1},
        draws.stamp(rng) + "\n",
    )
    if isinstance(value, dict) and rng.random() < 0.3:
        del value[place]
    else:
        value[place] = rng.choice(junk)


KINDS: tuple[tuple[int, Callable[[random.Random], Call]], ...] = (
    (30, check), (6, canonical_json), (10, compare), (4, same), (5, clock), (3, causality), (8, stamps), (3, follows),
    (6, digest),
    (10, merge), (5, request), (5, line),
)  # fmt: skip


def draw(rng: random.Random) -> Call:
    """Any call, often enough of each kind."""
    kind = rng.choices([call for _, call in KINDS], [weight for weight, _ in KINDS])[0]
    return kind(rng)
