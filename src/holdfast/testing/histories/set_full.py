"""Set-full: no element whose addition was acknowledged is lost.

After Jepsen's `set-full` checker (https://github.com/jepsen-io/jepsen, jepsen/checker.clj): for each element, when it
was first known, and the last reads with and without it. Applied to the reads of each device by itself, because a
device may be behind, but has one copy that only grows in this workload; so an element that was seen and is not seen
later is lost too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from holdfast.testing.histories.record import Operation


class Sighting(NamedTuple):
    """One element on one device: when the last read with it and the last without it began (ns), -1: none."""

    present: int
    absent: int


def check(history: Sequence[Operation]) -> list[str]:
    """What is wrong, a sentence each. `add` has an element, `read` the list of all; reads marked last must be
    complete.
    """
    added = {operation.value for operation in history if operation.what == "add" and operation.ending == "ok"}
    tried = {operation.value for operation in history if operation.what == "add" and operation.ending != "fail"}
    reads = [operation for operation in history if operation.what == "read" and operation.ending == "ok"]
    wrong = []
    for device in sorted({read.device for read in reads}):
        own = [read for read in reads if read.device == device]
        wrong += [f"{device} lost {element!r}" for element in sorted(lost(own, added))]
        wrong += vanished(device, own)
        wrong += own_writes_missing(device, own, history)
    for read in reads:
        if len(set(read.value)) != len(read.value):
            wrong.append(f"{read.device} read an element twice: {repeated(read.value)}")
        foreign = sorted(set(read.value) - tried)
        if foreign:
            wrong.append(f"{read.device} read what nobody added: {foreign}")
    return wrong


def lost(reads: Sequence[Operation], known: set[str]) -> set[str]:
    """The known elements that were never seen on one device, or not in the last reads, once it had everything."""
    if not any(read.last for read in reads):
        return set()
    sightings = dict.fromkeys(known, Sighting(-1, -1))
    for read in reads:
        seen = set(read.value)
        for element, sighting in sightings.items():
            if element in seen:
                sightings[element] = sighting._replace(present=max(sighting.present, read.began))
            else:
                sightings[element] = sighting._replace(absent=max(sighting.absent, read.began))
    return {element for element, sighting in sightings.items() if sighting.present <= sighting.absent}


def vanished(device: str, reads: Sequence[Operation]) -> list[str]:
    """Elements that one device had and later had no more."""
    wrong, before = [], set[str]()
    for read in sorted(reads, key=lambda operation: operation.began):
        gone = sorted(before - set(read.value))
        if gone:
            wrong.append(f"{device} had and then had not {gone}")
        before = set(read.value)
    return wrong


def own_writes_missing(device: str, reads: Sequence[Operation], history: Sequence[Operation]) -> list[str]:
    """Reads of a device that lack what the same device had acknowledged before they began."""
    adds = [o for o in history if o.what == "add" and o.ending == "ok" and o.device == device]
    wrong = []
    for read in reads:
        missing = {add.value for add in adds if add.ended < read.began} - set(read.value)
        if missing:
            wrong.append(f"{device} did not read its own {sorted(missing)}")
    return wrong


def repeated(elements: Sequence[str]) -> list[str]:
    """What stands more than once in a list."""
    return sorted({element for element in elements if elements.count(element) > 1})
