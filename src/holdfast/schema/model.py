"""The compiled schema: plain immutable data that every other part reads.

Users write `holdfast.schema.declare.Table` classes; stores, hub, replica and emitters see only what is here. The
canonical JSON form of a schema is `Schema.to_json()`; its hash names the schema on the wire.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from holdfast.errors import HoldfastError
from holdfast.kernel import values
from holdfast.schema import rules
from holdfast.schema.queue import DEFAULT as DEFAULT_QUEUE
from holdfast.schema.queue import Queue, queue_from_json
from holdfast.schema.retention import ALL as ALL_ROWS
from holdfast.schema.retention import Retention, retention_from_json
from holdfast.schema.space import SpaceRule, Via, rule_from_json
from holdfast.schema.stored import NATURAL, Stored, limiter, parse

if TYPE_CHECKING:
    from holdfast.schema.migrations import Migration
    from holdfast.schema.versions import BoundLens

__all__ = ["MISSING", "Column", "ForeignKey", "Schema", "SpaceRule", "Table", "Via"]


class Missing(enum.Enum):
    """Type of `MISSING`, the default of a column that has no default."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    `type` is one of `rules.TYPES`, `element` the element type of a set (else empty), `merge` one of `rules.MERGES`.
    `default` is a wire value (`spec/encoding.md` 1), None for an optional column without one, or `MISSING`.
    `generate` says how the database fills the column by itself: "uuid7" (text or uuid), "now" (a date, a time or a
    moment), "block" (the next number of a leased block of `block` numbers), else empty. `stored` is the type in the
    hub's database (`stored.Stored.text()`) where it is not the natural one. A `read_only` column is made by the hub's
    database; devices never write it. `function` names the merge function of the application, for the merge type
    `custom`. A `former` column is one that only earlier versions of the schema have (`versions.py`), a `required` one
    is nullable for programs that do not know it, but holds no null in any version that has it.
    """

    name: str
    type: str
    element: str = ""
    nullable: bool = False
    default: Any = field(default=MISSING, hash=False)
    merge: str = "register"
    choices: tuple[Any, ...] | None = None
    generate: str = ""
    stored: str = ""
    read_only: bool = False
    block: int = 0
    function: str = ""
    former: bool = False
    required: bool = False
    _check: Callable[[Any], Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check = values.checker(self.type, self.element)
        limit = limiter(self.database_type) if self.stored else None
        object.__setattr__(self, "_check", check if limit is None else lambda wire: limit(check(wire)))

    @property
    def is_plain_text(self) -> bool:
        """Whether any ASCII text without NUL is valid and canonical."""
        return self.type == "text" and self.choices is None and not self.stored

    @property
    def database_type(self) -> Stored:
        """The type in the hub's database. Raises `HoldfastError` `schema_invalid`."""
        try:
            return parse(self.stored or NATURAL[self.type])
        except ValueError as error:
            message = f"column {self.name}: stored={error}"
            raise HoldfastError("schema_invalid", message, column=self.name) from error

    def accept(self, value: Any) -> Any:
        """The canonical wire form of a wire value for this column.

        Raises `values.InvalidValue`: `value_null`, `value_choice`, or what `values.check` finds.
        """
        if value is None:
            if self.nullable:
                return None
            raise values.InvalidValue("value_null", f"column {self.name} is not optional, null is not allowed")
        wire = self._check(value)
        if self.choices is not None and wire not in self.choices:
            raise values.InvalidValue("value_choice", f"column {self.name} allows only {list(self.choices)!r}")
        if wire is None and not self.nullable:
            raise values.InvalidValue("value_null", f"column {self.name} is not optional, null is not allowed")
        return wire

    def to_json(self) -> dict[str, Any]:
        """JSON form; members that say nothing are left out."""
        form: dict[str, Any] = {"name": self.name, "type": self.type}
        if self.element:
            form["element"] = self.element
        if self.nullable:
            form["nullable"] = True
        if self.default is not MISSING:
            form["default"] = self.default
        if self.merge != "register":
            form["merge"] = self.merge
        if self.choices is not None:
            form["choices"] = list(self.choices)
        if self.generate:
            form["generate"] = self.generate
        if self.stored:
            form["stored"] = self.stored
        if self.read_only:
            form["read_only"] = True
        if self.block:
            form["block"] = self.block
        if self.function:
            form["function"] = self.function
        return form


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` point at `parent_columns` of the table named `parent`.

    `on_delete` is what the database does with the child: "restrict" (the delete fails at commit), "cascade" or
    "set_null".
    """

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: str = "restrict"

    def to_json(self) -> dict[str, Any]:
        """JSON form, complete."""
        return {
            "columns": list(self.columns),
            "parent": self.parent,
            "parent_columns": list(self.parent_columns),
            "on_delete": self.on_delete,
        }


@dataclass(frozen=True)
class Table:
    """One table.

    `columns` are all columns in declared order, `key` the key columns in key order, `cells` the others by slot.
    `queue` is the class in which devices send its transactions.
    `slot` maps the name of a non-key column to its slot, `position` the name of any column to its index in `columns`.
    `exclude` are columns that only the hub's database has; devices never hear of them.
    `on_unique` and `on_parent_deleted` say what the hub does with a write that breaks a unique or a foreign key,
    `history` for how many days the hub keeps the history of a row (0: for ever). `retention` says what a
    device may give up of the table.
    """

    name: str
    columns: tuple[Column, ...]
    key_names: tuple[str, ...]
    space: SpaceRule | Via
    on_delete: str = "keep_edits"
    priority: int = 0
    indexes: tuple[tuple[str, ...], ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    queue: Queue = DEFAULT_QUEUE
    exclude: tuple[str, ...] = field(default=(), compare=False)
    on_unique: str = "refuse"
    on_parent_deleted: str = "refuse"
    history: int = 0
    retention: Retention = ALL_ROWS
    key: tuple[Column, ...] = field(init=False, repr=False, compare=False)
    cells: tuple[Column, ...] = field(init=False, repr=False, compare=False)
    slot: dict[str, int] = field(init=False, repr=False, compare=False)
    position: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rules.check_table(self)
        by_name = {column.name: column for column in self.columns}
        cells = tuple(column for column in self.columns if column.name not in self.key_names)
        derived = {
            "key": tuple(by_name[name] for name in self.key_names),
            "cells": cells,
            "slot": {column.name: slot for slot, column in enumerate(cells)},
            "position": {column.name: index for index, column in enumerate(self.columns)},
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def column(self, name: str) -> Column:
        """The column of that name. Raises `HoldfastError` `unknown_column`."""
        index = self.position.get(name)
        if index is None:
            message = f"table {self.name} has no column {name}"
            raise HoldfastError("unknown_column", message, table=self.name, column=name)
        return self.columns[index]

    @cached_property
    def row_columns(self) -> tuple[Column, ...]:
        """Columns in the order of an image: the key columns in key order, then the others by slot."""
        return self.key + self.cells

    @cached_property
    def naming(self) -> SpaceRule | None:
        """The template that names the space of a row without a parent; None where every row has one."""
        return self.space.root if isinstance(self.space, Via) else self.space

    @cached_property
    def via(self) -> ForeignKey | None:
        """The foreign key whose row says where a row lives; None when a template alone does."""
        if not isinstance(self.space, Via):
            return None
        return next(key for key in self.foreign_keys if key.columns == self.space.columns)

    @cached_property
    def space_columns(self) -> frozenset[str]:
        """The columns whose change may move a row."""
        named = self.naming.columns if self.naming is not None else ()
        return frozenset((*named, *(self.via.columns if self.via is not None else ())))

    @cached_property
    def _image_place(self) -> dict[str, tuple[Column, int]]:
        return {column.name: (column, index) for index, column in enumerate(self.row_columns)}

    def values_of(self, columns: Iterable[str], keys: Sequence[Any], cells: Sequence[Any]) -> list[Any]:
        """Wire values of some columns, from those of the key and of the cells by slot (missing ones: the default)."""
        found = []
        for name in columns:
            column, place = self._image_place[name]
            slot = place - len(keys)
            found.append(keys[place] if slot < 0 else cells[slot] if slot < len(cells) else column.default)
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON form; `queue`, `retention`, the policies and the history only when they are not the default."""
        form = self.identity()
        if self.queue != DEFAULT_QUEUE:
            form["queue"] = self.queue.to_json()
        if self.retention != ALL_ROWS:
            form["retention"] = self.retention.to_json()
        return form

    def identity(self) -> dict[str, Any]:
        """What the hash of a schema depends on: everything but how its transactions are sent, and what of it a device
        keeps."""
        defaults: dict[str, Any] = {"on_unique": "refuse", "on_parent_deleted": "refuse", "history": 0}
        chosen = {name: value for name, default in defaults.items() if (value := getattr(self, name)) != default}
        return {
            "name": self.name,
            "columns": [column.to_json() for column in self.columns],
            "key": list(self.key_names),
            "space": self.space.to_json(),
            "on_delete": self.on_delete,
            "priority": self.priority,
            "indexes": [list(columns) for columns in self.indexes],
            "unique": [list(columns) for columns in self.unique],
            "foreign_keys": [foreign_key.to_json() for foreign_key in self.foreign_keys],
            **chosen,
        }


@dataclass(frozen=True, eq=False)
class Schema:
    """A version number and tables, parents before children as far as cycles allow. Equal when the hashes are equal.

    `tables` are those that were `declared` and, at the end, the built-in ones (`schema.built_in`). `hash` is 16
    hexadecimal digits of SHA-256 over the canonical JSON form of the declared ones without the queues: how a device
    sends its transactions may differ from what the hub declares. `migrations` say what the versions before had,
    `renames` (table, old, new) which columns of a hub's tables have got other names, in order, and `lenses` which of
    their cells are derived from each other.
    """

    version: int
    tables: tuple[Table, ...]
    migrations: tuple[Migration, ...] = field(default=(), compare=False, repr=False)
    renames: tuple[tuple[str, str, str], ...] = field(default=(), compare=False, repr=False)
    lenses: Mapping[str, Sequence[BoundLens]] = field(default_factory=dict, compare=False, repr=False)
    declared: tuple[Table, ...] = field(init=False, repr=False)
    by_name: dict[str, Table] = field(init=False, repr=False)
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        from holdfast.schema.built_in import BUILT_IN

        given = tuple(table for table in self.tables if not any(table is one for one in BUILT_IN))
        rules.check_schema(self.version, given)
        declared = parents_first(given)
        tables = (*declared, *BUILT_IN)
        object.__setattr__(self, "declared", declared)
        object.__setattr__(self, "tables", tables)
        object.__setattr__(self, "by_name", {table.name: table for table in tables})
        identity = {"version": self.version, "tables": [table.identity() for table in declared]}
        canonical = values.canonical_json(identity).encode()
        object.__setattr__(self, "hash", hashlib.sha256(canonical).hexdigest()[:16])

    @cached_property
    def offspring(self) -> dict[str, tuple[Table, ...]]:
        """Table -> the tables whose rows live where its rows live."""
        found: dict[str, list[Table]] = {}
        for table in self.tables:
            if table.via is not None:
                found.setdefault(table.via.parent, []).append(table)
        return {parent: tuple(children) for parent, children in found.items()}

    def table(self, name: str) -> Table:
        """The table of that name. Raises `HoldfastError` `unknown_table`."""
        found = self.by_name.get(name)
        if found is None:
            known = ", ".join(sorted(self.by_name))
            raise HoldfastError("unknown_table", f"the schema has no table {name}; it has {known}", table=name)
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON form: `{"version": 1, "tables": [...]}`."""
        return {"version": self.version, "tables": [table.to_json() for table in self.declared]}

    @staticmethod
    def from_json(form: Mapping[str, Any]) -> Schema:
        """The schema of a JSON form. Raises `HoldfastError` `schema_invalid`."""
        try:
            return Schema(form["version"], tuple(_table_from_json(table) for table in form["tables"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise HoldfastError("schema_invalid", f"this is not the JSON form of a schema: {error!r}") from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)


def parents_first(tables: Iterable[Table]) -> tuple[Table, ...]:
    """The tables so that parents come before their children; declared order otherwise, and inside a cycle."""
    remaining = {table.name: table for table in tables}
    ordered: list[Table] = []
    while remaining:
        free = [table for table in remaining.values() if not _open_parents(table, remaining)]
        chosen = free[0] if free else next(iter(remaining.values()))
        ordered.append(remaining.pop(chosen.name))
    return tuple(ordered)


def _open_parents(table: Table, remaining: Mapping[str, Table]) -> list[str]:
    parents = [foreign_key.parent for foreign_key in table.foreign_keys]
    return [parent for parent in parents if parent in remaining and parent != table.name]


def _table_from_json(form: Mapping[str, Any]) -> Table:
    return Table(
        name=form["name"],
        columns=tuple(_column_from_json(column) for column in form["columns"]),
        key_names=tuple(form["key"]),
        space=rule_from_json(form["space"]),
        on_delete=form["on_delete"],
        priority=form["priority"],
        indexes=tuple(tuple(columns) for columns in form["indexes"]),
        unique=tuple(tuple(columns) for columns in form["unique"]),
        foreign_keys=tuple(_foreign_key_from_json(foreign_key) for foreign_key in form["foreign_keys"]),
        queue=queue_from_json(form.get("queue")),
        on_unique=form.get("on_unique", "refuse"),
        on_parent_deleted=form.get("on_parent_deleted", "refuse"),
        history=form.get("history", 0),
        retention=retention_from_json(form.get("retention")),
    )


def _column_from_json(form: Mapping[str, Any]) -> Column:
    known = dict(form)
    if "choices" in known:
        known["choices"] = tuple(known["choices"])
    return Column(**known)


def _foreign_key_from_json(form: Mapping[str, Any]) -> ForeignKey:
    return ForeignKey(tuple(form["columns"]), form["parent"], tuple(form["parent_columns"]), form["on_delete"])
