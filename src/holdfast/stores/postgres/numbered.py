"""The numbered migrations of the hub's own tables: which there are, and which a database still lacks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import NamedTuple

from holdfast.errors import HoldfastError
from holdfast.schema.emit.postgres_text import text_literal
from holdfast.stores.migrating import Phase


class Migration(NamedTuple):
    """One numbered migration; `name` says what it does, `checksum` is the SHA-256 of its text in hexadecimal."""

    number: int
    phase: Phase
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """What a database remembers of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def statements(self) -> tuple[str, ...]:
        """The text, and the record that it was run."""
        record = (
            "INSERT INTO holdfast.migration (number, name, phase, checksum) "
            f"VALUES ({self.number}, {text_literal(self.name)}, '{self.phase}', '{self.checksum}')"
        )
        return (self.sql.strip().removesuffix(";"), record)


def read() -> tuple[Migration, ...]:
    """All migrations of this library, in order. A file is named `NNNN_before_what_it_does.sql`."""
    found = []
    for file in sorted((files(__package__) / "migrations").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            number, phase, name = file.name.removesuffix(".sql").split("_", 2)
            kind: Phase = "before" if phase == "before" else "after"
            found.append(Migration(int(number), kind, name.replace("_", " "), file.read_text(encoding="utf-8")))
    return tuple(found)


MIGRATIONS = read()


def pending(
    migrations: Sequence[Migration], applied: Mapping[int, tuple[str, Phase, str]], place: str
) -> list[Migration]:
    """Those that the database lacks. `applied` maps number -> (name, phase, checksum); `place` names the database.

    A database on which a migration of a newer release was run *before* its deployment still serves this one; one that
    has seen an unknown migration *after* a deployment does not. Raises `store_format` then, and when a migration was
    not what this library knows under its number.
    """
    known = {migration.number: migration for migration in migrations}
    for number, (name, phase, checksum) in sorted(applied.items()):
        if number not in known and phase == "after":
            message = (
                f"The schema holdfast of {place} has migration {number} ({name}), of a newer Holdfast; this one knows "
                f"up to {max(known)}. Update Holdfast in this process."
            )
            raise HoldfastError("store_format", message, found=number, known=max(known))
        if number in known and known[number].checksum != checksum:
            message = (
                f"Migration {number} in the schema holdfast of {place} ({name}) is not the one that this Holdfast "
                "knows under this number. Use the release that made the database, or a later one."
            )
            raise HoldfastError("store_format", message, found=checksum, known=known[number].checksum)
    return [migration for migration in migrations if migration.number not in applied]
