"""The pages of a damaged SQLite file, read without SQLite, which gives up a table at its first damaged page.

Written from *Database File Format* (sqlite.org/fileformat2.html). Nothing is believed that is not checked: a page
number may lead anywhere, a length may be anything.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from holdfast.replica.salvage.records import children_of

MAGIC = b"SQLite format 3\0"
DEFAULT_SIZE = 4096
SIZES = frozenset(2**power for power in range(9, 17))
WAL_HEADER, FRAME_HEADER = 32, 24
MAP_ENTRY = 5
FREE = 2
"""What a pointer map calls a free page."""
LOCK_BYTE = 2**30
BIG_ENDIAN = b"\x37\x7f\x06\x83"


class RawFile:
    """The file and its write-ahead log, as of the last commit in it. Pages are numbered from 1.

    `stale` are pages of which a later state stands in the log and is damaged: what they say is older than the rest.
    `cut`: the end of the log cannot be read; whether it had been committed nobody can say.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._main: bytes | mmap.mmap = b""
        if path.stat().st_size:
            self._main = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        log = Path(f"{path}-wal")
        content = log.read_bytes() if log.is_file() else b""
        self.size = self._page_size(content)
        self.usable = self.size - (self._main[20] if self._main[:16] == MAGIC and self._main[20] < 64 else 0)
        self.count = len(self._main) // self.size
        self._log: dict[int, bytes] = {}
        self.stale: set[int] = set()
        self.cut = False
        self._read_log(content)

    def close(self) -> None:
        """Let the file go."""
        if isinstance(self._main, mmap.mmap):
            self._main.close()
        self._file.close()

    def _page_size(self, log: bytes) -> int:
        said = int.from_bytes(self._main[16:18], "big")
        said = 65536 if said == 1 else said
        in_log = int.from_bytes(log[8:12], "big")
        found = [size for size in (in_log, said) if size in SIZES]
        return DEFAULT_SIZE if not found else found[0] if self._main[:16] != MAGIC else found[-1]

    def page(self, number: int) -> bytes | None:
        """The latest state of a page; None if there is none."""
        if number in self._log:
            return self._log[number]
        start = (number - 1) * self.size
        found = bytes(self._main[start : start + self.size]) if number > 0 else b""
        return found if len(found) == self.size else None

    def _read_log(self, log: bytes) -> None:
        """Take the frames of the log up to its last commit. A damaged one is told from those behind it by what each
        frame says of the sum of the frames before.
        """
        if len(log) < WAL_HEADER:
            return
        big, salts = log[:4] == BIG_ENDIAN, log[16:24]
        seeds = [(int.from_bytes(log[24:28], "big"), int.from_bytes(log[28:32], "big"))]
        frames: list[tuple[int, int, bytes]] = []
        last = 0
        for start in range(WAL_HEADER, len(log) - FRAME_HEADER - self.size + 1, FRAME_HEADER + self.size):
            head = log[start : start + FRAME_HEADER]
            content = log[start + FRAME_HEADER : start + FRAME_HEADER + self.size]
            said = (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"))
            found = [checksum(head[:8] + content, seed, big=big) for seed in seeds]
            whole = said in found
            if head[8:16] != salts and not whole:
                break  # what is left of an earlier log
            number, pages = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")
            frames.append((number if whole else -number, pages if whole else 0, content))
            seeds = [said] if whole else [said, *found]  # the sum itself may be what is damaged
            if whole and pages:
                last = len(frames)
        self.cut = any(number < 0 for number, *_ in frames[last:])
        for number, pages, content in frames[:last]:
            self.count = pages or self.count
            if number > 0:
                self._log[number] = content
                self.stale.discard(number)
            else:
                self.stale.add(-number)

    def owned(self, roots: dict[str, int]) -> dict[int, str]:
        """page -> table or index, of the pages to which the tree of each leads from its root."""
        owners: dict[int, str] = {}
        for name, root in roots.items():
            waiting = [root]
            while waiting:
                number = waiting.pop()
                page = self.page(number)
                if number in owners or page is None:
                    continue
                owners[number] = name
                waiting += children_of(page, 100 if number == 1 else 0)
        return owners

    def in_use(self, owners: dict[int, str]) -> Iterator[tuple[int, bytes]]:
        """Every page that may hold rows. A free page holds what was deleted: it is left out when both lists of free
        pages say so, or one of them and no tree leads to it.
        """
        listed, mapped = self._free_list(), self._kinds()
        for number in range(1, self.count + 1):
            page = self.page(number)
            if page is None:
                continue
            votes = (number in listed) + (mapped.get(number) == FREE)
            if votes and (votes == 2 or number not in owners):
                continue
            yield number, page

    def _free_list(self) -> set[int]:
        found: set[int] = set()
        number = int.from_bytes((self.page(1) or b"")[32:36], "big")
        while number and number not in found and (page := self.page(number)) is not None:
            found.add(number)
            leaves = min(int.from_bytes(page[4:8], "big"), self.usable // 4 - 2)
            found.update(int.from_bytes(page[8 + 4 * i : 12 + 4 * i], "big") for i in range(leaves))
            number = int.from_bytes(page[:4], "big")
        return found

    def _kinds(self) -> dict[int, int]:
        """page -> kind, as the pointer maps of a file with automatic vacuum say; empty without them."""
        each = self.usable // MAP_ENTRY
        first = (self.page(2) or b"")[: each * MAP_ENTRY]
        kinds = first[::MAP_ENTRY]
        if sum(kind not in range(6) for kind in kinds) > 2 or not any(kinds):
            return {}
        found: dict[int, int] = {}
        lock = LOCK_BYTE // self.size + 1
        for start in range(2, self.count + 1, each + 1):
            place = start + 1 if start == lock else start
            page = self.page(place)
            found[place] = FREE  # holds no rows
            for index in range(each if page is not None else 0):
                found[place + 1 + index] = page[index * MAP_ENTRY]  # type: ignore[index]
        return found


def checksum(content: bytes, sums: tuple[int, int], *, big: bool) -> tuple[int, int]:
    """The running sum of a write-ahead log over one more piece of it."""
    first, second = sums
    words = struct.unpack(f"{'>' if big else '<'}{len(content) // 4}I", content)
    for one, two in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second
