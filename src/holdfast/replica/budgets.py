"""How much room a device may take: budgets for the whole file and for classes of tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from holdfast.errors import HoldfastError
from holdfast.schema.model import Schema, Table

Level = Literal["ok", "warning", "critical", "full"]
DEFAULT_TOTAL: Final = "2 GB"
UNITS: Final = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([kMGT]?B|[KMG]iB)")


class Storage:
    """Budgets of a device: `hf.Storage(total="2 GB", forms="500 MB", photos="1 GB")`.

    `total` is for everything in the file, each other name for a class: tables that declare `storage=` with that name,
    or else the table of that name. Sizes are numbers of bytes or texts such as "500 MB" and "1.5 GiB". `warn` are the
    parts of a budget at which its level becomes "warning" and "critical"; it is "full" when it is used up. Nothing is
    refused then: rows leave whose tables say that they may (`evictable`, `keep`), and the application is told.

    Raises `HoldfastError` `storage_invalid`.
    """

    def __init__(
        self, total: int | str = DEFAULT_TOTAL, *, warn: tuple[float, float] = (0.8, 0.95), **classes: int | str
    ) -> None:
        self.total = bytes_of("total", total)
        self.classes: dict[str, int] = {name: bytes_of(name, given) for name, given in classes.items()}
        parts: Any = warn
        if not isinstance(parts, (tuple, list)) or len(parts) != 2 or not 0 < parts[0] <= parts[1] <= 1:
            raise _bad(f"warn={warn!r}: write two parts of a budget, such as (0.8, 0.95)")
        self.warn: tuple[float, float] = (float(parts[0]), float(parts[1]))

    def level(self, used: int, budget: int | None) -> Level:
        """How near so many bytes are to a budget; "ok" without one."""
        if budget is None:
            return "ok"
        if used >= budget:
            return "full"
        first, second = self.warn
        return "critical" if used >= budget * second else "warning" if used >= budget * first else "ok"

    def check(self, schema: Schema) -> None:
        """Raise `storage_invalid` for a class that no table has."""
        known = {class_of(table) for table in schema.declared}
        unknown = sorted(self.classes.keys() - known)
        if unknown:
            raise _bad(f"no table is of the class {unknown[0]!r}; there are {', '.join(sorted(known))}")

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return {"total": self.total, "warn": list(self.warn), "classes": self.classes}

    @staticmethod
    def from_json(form: Mapping[str, Any]) -> Storage:
        """The budgets of a JSON form."""
        return Storage(form["total"], warn=tuple(form["warn"]), **form["classes"])


def class_of(table: Table) -> str:
    """The class whose budget counts the rows of a table."""
    return table.retention.storage or table.name


def bytes_of(name: str, given: object) -> int:
    """A size in bytes. Raises `storage_invalid`."""
    if type(given) is int and given > 0:
        return given
    found = _SIZE.fullmatch(given) if isinstance(given, str) else None
    size = round(float(found[1]) * UNITS[found[2]]) if found is not None else 0
    if size < 1:
        units = ", ".join(UNITS)
        raise _bad(f"{name}={given!r}: write bytes as an int, or a text such as '500 MB'; units are {units}")
    return size


def _bad(message: str) -> HoldfastError:
    return HoldfastError("storage_invalid", message)
