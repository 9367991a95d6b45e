"""The kernel over a line protocol, for tests of a second implementation: `python -m holdfast.testing.kernel_driver`.

`{"do": "rows.apply", "in": {...}}` on a line of stdin gives `{"out": ...}` or `{"error": code}` in canonical JSON on a
line of stdout. The calls are those of `spec/vectors`, named area.call. The twin in TypeScript:
`web/packages/client/tools/kernel-driver.ts`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.kernel import causality, clock, digest, row, stamps, values
from holdfast.kernel.column import Cell
from holdfast.kernel.merges import BY_NAME
from holdfast.kernel.restore import restore
from holdfast.protocol import codec, images, messages
from holdfast.schema.model import Column as SchemaColumn

Form = dict[str, Any]


@dataclass(frozen=True)
class DriverColumn:
    """A column as a vector describes it."""

    merge: str
    type: str
    element: str
    default: Any
    nullable: bool

    def accept(self, value: Any) -> Any:
        """The canonical form of a foreign wire value for this column; raises values.InvalidValue."""
        return None if value is None and self.nullable else values.check(self.type, value, self.element)


@dataclass(frozen=True)
class DriverTable:
    """A table as a vector describes it."""

    cells: tuple[DriverColumn, ...]
    on_delete: str
    key: tuple[int, ...] = ()


def answer(name: str, form: Form) -> Form:
    """What a call makes of its input: `{"out": value}`, or `{"error": code}` when it refuses it with a code."""
    try:
        return {"out": CALLS[name](form)}
    except (values.InvalidValue, HoldfastError) as refusal:
        return {"error": refusal.code}


def _read_cell(form: Form) -> Cell:
    return Cell(form["value"], form["stamp"], form["state"])


def _write_cell(cell: Cell) -> Form:
    # A state may know more than a list does (`LiveState`); what counts are its items.
    state = list(cell.state) if isinstance(cell.state, list) else cell.state
    return {"value": cell.value, "stamp": cell.stamp, "state": state}


def _by_slot(form: Form) -> dict[int, Any]:
    return {int(slot): value for slot, value in form.items()}


def _read_row(form: Form) -> row.Row:
    return row.Row(form["life"], form["values"], stamps.decode_stamps(form["stamps"]), _by_slot(form["states"]))


def _write_row(result: row.Row | None) -> Form | None:
    if result is None:
        return None
    text = stamps.encode_stamps(result.stamps)
    return {"life": result.life, "values": result.values, "stamps": text, "states": _named_slots(result.states)}


def _read_op(form: Form) -> row.Op:
    base: Any = form["base"]
    base = stamps.decode_stamps(base) if isinstance(base, str) else _by_slot(base)
    changes = _by_slot(form["changes"])
    return row.Op(form["kind"], form["key"], form["stamp"], form["life"], changes, base, form.get("named", ""))


def _named_slots(form: Any) -> Any:
    return {str(slot): value for slot, value in form.items()} if isinstance(form, dict) else form


def _write_conflict(conflict: row.Conflict) -> list[Any]:
    mine, theirs = conflict.mine, conflict.theirs
    if conflict.slot is None:
        mine, theirs = _named_slots(mine), _named_slots(theirs)
    return [conflict.slot, conflict.rule, mine, theirs, conflict.winner]


def _read_table(form: Form) -> DriverTable:
    return DriverTable(tuple(DriverColumn(**column) for column in form["columns"]), form["on_delete"])


def _row_apply(form: Form) -> Form:
    before = None if form["row"] is None else _read_row(form["row"])
    outcome = row.apply(_read_table(form), before, _read_op(form["op"]), form["hub"])
    conflicts = [_write_conflict(conflict) for conflict in outcome.conflicts]
    return {"row": _write_row(outcome.row), "status": outcome.status, "conflicts": conflicts}


def _row_join(form: Form) -> Form | None:
    return _write_row(row.join(_read_table(form), _read_row(form["a"]), _read_row(form["b"])))


def _row_restore(form: Form) -> Form:
    before = None if form["row"] is None else _read_row(form["row"])
    outcome = restore(_read_table(form), before, _read_row(form["given"]))
    conflicts = [_write_conflict(conflict) for conflict in outcome.conflicts]
    return {"row": _write_row(outcome.row), "status": outcome.status, "conflicts": conflicts}


def _keyed_table(form: Form) -> DriverTable:
    return DriverTable(tuple(DriverColumn(**column) for column in form["columns"]), "", tuple(range(form["keys"])))


def _image_row(form: Form) -> Form | None:
    image = messages.decode_image(messages.encode(form["image"]))
    return _write_row(images.row_of(_keyed_table(form), image))


def _image_patched(form: Form) -> Form | None:
    image = messages.decode_image(messages.encode(form["image"]))
    return _write_row(images.patched(_keyed_table(form), _read_row(form["row"]), image))


def _image_of(form: Form) -> Any:
    image = images.image_of(form["table"], form["key_values"], _read_row(form["row"]))
    return _without_absent(json.loads(messages.encode(messages.decode_image(image))))


def _merge_check(form: Form) -> Any:
    column = DriverColumn(**form["column"])
    return BY_NAME[column.merge].check(column, form["change"])


def _merge_difference(form: Form) -> Any:
    column = DriverColumn(**form["column"])
    return BY_NAME[column.merge].difference(column, form["old_value"], form["old_state"], form["new_value"])


def _accept(form: Form) -> Any:
    given = dict(form["column"])
    choices = given.pop("choices", None)
    return SchemaColumn(**given, choices=None if choices is None else tuple(choices)).accept(form["value"])


def _merge_apply(form: Form) -> Form:
    column, cell = DriverColumn(**form["column"]), _read_cell(form["cell"])
    merge = BY_NAME[column.merge]
    return _write_cell(merge.apply(column, cell, form["change"], form["stamp"], form["dot"], form["hub"]))


def _merge_join(form: Form) -> Form:
    column = DriverColumn(**form["column"])
    return _write_cell(BY_NAME[column.merge].join(column, _read_cell(form["a"]), _read_cell(form["b"])))


def _read_sums(form: Form) -> dict[int, int]:
    return {int(bucket): int(total, 16) for bucket, total in form["sums"].items()}


def _hexadecimal(number: int) -> str:
    return f"{number:032x}"


def _digest_leaf(form: Form) -> str:
    key = bytes.fromhex(form["digest_key"])
    return _hexadecimal(digest.leaf(key, form["table"], form["key"], form["life"], form["stamps"]))


def _request(form: Form) -> Any:
    return json.loads(messages.encode(codec.decode_request(form["text"].encode())))


def _short_request(form: Form) -> Any:
    return json.loads(messages.encode(codec.decode_short_request(form["text"].encode())))


def _short_answer(form: Form) -> Any:
    return json.loads(messages.encode(codec.decode_short_answer(form["text"].encode())))


def _held(form: Form) -> str:
    spaces = {name: (access, cursor) for name, (access, cursor) in form["spaces"].items()}
    return digest.held(form["hub"], form["user"], form["version"], form["schema"], form["layout"], spaces)


def _line(form: Form) -> Form:
    part = codec.decode_line(form["text"].encode())
    if not isinstance(part, messages.Page):
        form = json.loads(messages.encode(part))
        for said in form.get("compared", {}).values():
            if "images" in said:
                said["images"] = [_without_absent(image) for image in said["images"]]
        return {type(part).__name__.lower(): form}
    images = [json.loads(messages.encode(image)) for image in codec.decode_rows(bytes(part.rows))]
    rows = [_without_absent(image) for image in images]
    loaded = {} if part.loaded is None else {"loaded": part.loaded}
    return {"page": {"space": part.space, "cursor": part.cursor, "rows": rows, **loaded}}


def _without_absent(image: list[Any]) -> list[Any]:
    """An image as it is sent: a decoder fills in states and slots, which may be absent."""
    states, slots = image[4:]
    if slots is not None:
        return image
    return image[:5] if states else image[:4]


CALLS: dict[str, Callable[[Form], Any]] = {
    "values.check": lambda c: values.check(c["type"], c["value"], c.get("element", "")),
    "values.canonical_json": lambda c: values.canonical_json(json.loads(c["json"])),
    "values.same": lambda c: values.same(c["a"], c["b"]),
    "values.compare": lambda c: values.compare(c["type"], c["a"], c["b"]),
    "schema.accept": _accept,
    "clock.pack": lambda c: clock.pack(c["ms"], c["counter"]),
    "clock.unpack": lambda c: list(clock.unpack(c["hlc"])),
    "clock.wall": lambda c: clock.wall(c["ms"]),
    "clock.tick": lambda c: clock.tick(c["last"], c["ms"]),
    "clock.stamp": lambda c: clock.stamp(c["hlc"], c["origin"]),
    "clock.after": lambda c: clock.after(c["stamp"], c["origin"]),
    "clock.hlc_of": lambda c: clock.hlc_of(c["stamp"]),
    "clock.origin_of": lambda c: clock.origin_of(c["stamp"]),
    "clock.new_origin": lambda c: clock.new_origin(c["bits"]),
    "clock.is_stamp": lambda c: clock.is_stamp(c["text"]),
    "clock.is_origin": lambda c: clock.is_origin(c["text"]),
    "causality.compare": lambda c: causality.compare(c["a"], c["b"]),
    "causality.join": lambda c: causality.join(c["a"], c["b"]),
    "causality.increment": lambda c: causality.increment(c["vector"], c["replica"]),
    "stamps.encode": lambda c: stamps.encode_stamps(c["stamps"]),
    "stamps.decode": lambda c: stamps.decode_stamps(c["text"]),
    "merges.check": _merge_check,
    "merges.difference": _merge_difference,
    "merges.apply": _merge_apply,
    "merges.join": _merge_join,
    "rows.apply": _row_apply,
    "rows.join": _row_join,
    "rows.restore": _row_restore,
    "rows.follows": lambda c: row.follows(c["current"], c["base"], c["stamp"]),
    "images.row_of": _image_row,
    "images.image_of": _image_of,
    "images.patched": _image_patched,
    "digests.bucket": lambda c: digest.bucket(c["table"], c["key"]),
    "digests.part": lambda c: digest.part(c["table"], c["key"]),
    "digests.tag": lambda c: digest.tag(int(c["number"], 16), c["turn"]).hex(),
    "digests.leaf": _digest_leaf,
    "digests.add": lambda c: _hexadecimal(digest.add(int(c["total"], 16), int(c["leaf"], 16))),
    "digests.sub": lambda c: _hexadecimal(digest.sub(int(c["total"], 16), int(c["leaf"], 16))),
    "digests.branch": lambda c: _hexadecimal(digest.branch(_read_sums(c), c["number"])),
    "digests.total": lambda c: _hexadecimal(digest.total(_read_sums(c))),
    "digests.root": lambda c: digest.root(_read_sums(c)),
    "digests.held": _held,
    "messages.request": _request,
    "messages.short_request": _short_request,
    "messages.short_answer": _short_answer,
    "messages.lines": _line,
}
"""area.call -> the call: from the JSON of its input to the JSON of its output."""


def main() -> None:
    """Answer the lines of stdin until it ends."""
    for line in sys.stdin.buffer:
        request = json.loads(line)
        text = values.canonical_json(answer(request["do"], request["in"]))
        sys.stdout.buffer.write(text.encode("utf-8") + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
