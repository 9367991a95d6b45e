"""What users write: tables as classes, columns as annotations.

    class Submission(hf.Table, space="project:{project_id}"):
        project_id: str
        status: str = "draft"
        crew_size: hf.Counter = 0

    schema = hf.Schema(Submission, version=1)

Nothing here is read at run time: `Schema` compiles the classes into `holdfast.schema.model`.
"""

from __future__ import annotations

import datetime
import decimal
import difflib
import enum
import re
import types
import typing
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from holdfast.errors import HoldfastError
from holdfast.kernel import values
from holdfast.schema import meaning as meanings
from holdfast.schema import model, rules, stored
from holdfast.schema.annotations import fail, is_class_variable, local_names, resolve
from holdfast.schema.identifiers import new_id
from holdfast.schema.migrations import Migration
from holdfast.schema.queue import DEFAULT, Queue
from holdfast.schema.retention import RetentionOptions
from holdfast.schema.space import Via
from holdfast.schema.wire import wire_of

DEFAULT_SPACE: Final = "default"
"""The space of tables that name none."""


@dataclass(frozen=True)
class ForeignKey:
    """`columns` refer to `parent`: a Table class, its class name or its table name. Without `parent_columns`: its key.

    `on_delete` is "restrict", "cascade" or "set_null".
    """

    columns: str | Sequence[str]
    parent: type[Table] | str
    parent_columns: str | Sequence[str] = ()
    on_delete: str = "restrict"


@dataclass(frozen=True)
class ColumnOptions:
    """What `column(...)` was given."""

    default: Any
    references: type[Table] | str | None
    on_delete: str
    index: bool
    unique: bool
    choices: Sequence[Any] | None
    stored: str = ""
    read_only: bool = False
    block: int | None = None


BLOCK: Final = 1_000
"""So many keys a device leases at once, when nothing is said."""


def now() -> datetime.datetime:
    """The moment, in UTC. `hf.column(default=hf.now)` lets the database fill a date, time or datetime column."""
    return datetime.datetime.now(datetime.UTC)


def column(
    *,
    default: Any = model.MISSING,
    references: type[Table] | str | None = None,
    on_delete: str = "restrict",
    index: bool = False,
    unique: bool = False,
    choices: Sequence[Any] | None = None,
    stored: str = "",
    read_only: bool = False,
    block: int | None = None,
) -> Any:
    """Options of a column: `status: str = hf.column(default="draft", choices=["draft", "sent"])`.

    `references` is a Table class, "table" or "table.column"; `on_delete` is then "restrict", "cascade" or "set_null".
    `default=hf.new_id` lets the database fill a text or uuid column with a UUIDv7, `default=hf.now` a date, a time or a
    moment. `stored` is the type in the hub's database, such as "varchar(20)" or "numeric(10,2)", where it is not the
    natural one. `read_only` columns are made by the hub's database. `block` is how many keys of an `hf.BlockKey` a
    device leases at once.
    """
    return ColumnOptions(default, references, on_delete, index, unique, choices, stored, read_only, block)


@dataclass(frozen=True)
class TableOptions:
    """The class keywords of a table."""

    name: str | None
    key: str | Sequence[str] | None
    space: str | Via
    on_delete: str
    priority: int
    indexes: Sequence[str | Sequence[str]]
    unique: Sequence[str | Sequence[str]]
    foreign_keys: Sequence[ForeignKey]
    queue: Queue | None
    exclude: Sequence[str]
    merge: str
    on_unique: str
    on_parent_deleted: str
    history: str
    retention: RetentionOptions


OPTION_NAMES: Final = (*list(TableOptions.__dataclass_fields__)[:-1], *RetentionOptions.__dataclass_fields__)


class Table:
    """Base class of table declarations. The class is a declaration only; rows are read and written with SQL.

    Keywords: `name` (the class name in snake case), `key` (column or tuple of columns; without it `id`, made if it is
    not declared), `space` (template such as "project:{project_id}" or "user:{@user}", a constant, or `hf.via(column)`:
    the space of the row that a foreign key names; "default"), `on_delete` ("keep_edits" or "delete"), `priority`,
    `indexes` and `unique` (lists of tuples of columns), `foreign_keys`, `queue` (the class in which devices send its
    transactions, an `hf.Queue`), `exclude` (columns that only the hub's database has, declared here or not), `merge`
    (the merge type of columns that name none: "register", "server_wins", "review" or "custom:function"), `on_unique`
    ("refuse", "rename", "review"), `on_parent_deleted` ("refuse", "revive", "null", "cascade"), `history` (such as
    "365 days"; for ever without it). On devices: `storage` (the class whose budget counts its rows, see `hf.Storage`),
    `keep` ("30 days": older rows leave the device, by the date column `keep_by`) and `keep_last` (the newest so many
    stay), `evictable` (the least recently used rows leave when a budget is full). What left comes back by
    `Replica.fetch`.
    """

    __holdfast_options__: typing.ClassVar[TableOptions]
    __holdfast_annotations__: typing.ClassVar[dict[str, Any]]

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        key: str | Sequence[str] | None = None,
        space: str | Via = DEFAULT_SPACE,
        on_delete: str = "keep_edits",
        priority: int = 0,
        indexes: Sequence[str | Sequence[str]] = (),
        unique: Sequence[str | Sequence[str]] = (),
        foreign_keys: Sequence[ForeignKey] = (),
        queue: Queue | None = None,
        exclude: Sequence[str] = (),
        merge: str = "register",
        on_unique: str = "refuse",
        on_parent_deleted: str = "refuse",
        history: str = "",
        storage: str = "",
        keep: str = "",
        keep_by: str = "",
        keep_last: int = 0,
        evictable: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init_subclass__()
        for option in unknown:
            close = difflib.get_close_matches(option, OPTION_NAMES, 1)
            remedy = f"did you mean {close[0]}?" if close else f"use one of {', '.join(OPTION_NAMES)}"
            fail(cls, None, f"unknown option {option}=; {remedy}")
        if queue is not None and not isinstance(queue, Queue):
            fail(cls, None, f"queue={queue!r}: write hf.Queue(...)")
        options = (name, key, space, on_delete, priority, indexes, unique, foreign_keys, queue, exclude)
        retention = RetentionOptions(storage, keep, keep_by, keep_last, evictable)
        cls.__holdfast_options__ = TableOptions(*options, merge, on_unique, on_parent_deleted, history, retention)
        cls.__holdfast_annotations__ = resolve(cls, local_names(cls))

    def __init__(self, *_arguments: Any, **_named: Any) -> None:
        """Always raises `HoldfastError`: rows are not objects."""
        fail(
            type(self), None, "a table class is a declaration and has no objects; write rows with SQL (replica.execute)"
        )


class Schema(model.Schema):
    """The tables of an application, compiled. `version` is raised with every change but one of queues.

    `queues` maps a space template, as tables name it, to the class of those of its tables that declare none. Tables in
    `exclude` (classes, or their names) stay on the server: they are left out, and so are references to them.
    `migrations` (`hf.migrate`) say what became of columns of earlier versions that were renamed, converted or dropped.

    Raises `HoldfastError` `schema_invalid`; the message names class, column and remedy.
    """

    def __init__(
        self,
        *tables: type[Table],
        version: int = 1,
        queues: Mapping[str, Queue] | None = None,
        exclude: Sequence[type[Table] | str] = (),
        migrations: Sequence[Migration] = (),
    ) -> None:
        for table in tables:
            given: Any = table
            if not isinstance(given, type) or not issubclass(given, Table) or given is Table:
                raise HoldfastError("schema_invalid", f"{table!r} is not a table; pass subclasses of hf.Table")
        by_space = dict(queues or {})
        excluded = [table for table in tables if table in exclude or table_name(table) in exclude]
        kept = [table for table in tables if table not in excluded]
        compiled = tuple(_Compiler(table, kept, excluded, by_space).table() for table in kept)
        _check_queues(compiled, by_space)
        for migration in migrations:
            if migration.to > version:
                message = f"migrations name the version {migration.to}; this schema is version {version}"
                raise HoldfastError("schema_invalid", message)
        super().__init__(version, compiled, tuple(migrations))


def _check_queues(tables: Sequence[model.Table], by_space: Mapping[str, Queue]) -> None:
    for template in by_space.keys() - {table.naming.template for table in tables if table.naming is not None}:
        raise HoldfastError("schema_invalid", f"queues names the space {template!r}, which no table has")
    by_name: dict[str, Queue] = {}
    for table in tables:
        if by_name.setdefault(table.queue.name, table.queue) != table.queue:
            message = f"two different queues are named {table.queue.name!r}; give one of them another name="
            raise HoldfastError("schema_invalid", message)


_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_DATA: Final = (str, int, float, bytes, bool, datetime.date, decimal.Decimal, uuid.UUID, set, frozenset, ColumnOptions)


def snake_case(name: str) -> str:
    """`HTTPLogEntry` -> `http_log_entry`."""
    return _WORD.sub("_", name).lower()


def table_name(cls: type[Table]) -> str:
    """The name that the table of a class has: `name=`, else the class name in snake case."""
    given = cls.__holdfast_options__.name
    return snake_case(cls.__name__) if given is None else given


class _Compiler:
    """Turns one class into a `model.Table`."""

    def __init__(
        self,
        cls: type[Table],
        classes: Sequence[type[Table]],
        excluded: Sequence[type[Table]],
        queues: Mapping[str, Queue],
    ) -> None:
        self.cls = cls
        self.classes = classes
        self.excluded = excluded
        self.queues = queues
        self.options = cls.__holdfast_options__
        self.exclude = self._names("exclude", self.options.exclude)
        self.declared = {name: found for name, found in self._declared().items() if name not in self.exclude}

    def table(self) -> model.Table:
        columns = [self._column(name, annotation) for name, annotation in self.declared.items()]
        if not columns:
            fail(self.cls, None, "the table has no column; declare at least one, such as title: str")
        key = self._key()
        if key == ("id",) and "id" not in self.declared:
            columns.insert(0, model.Column("id", "text", generate="uuid7"))
        try:
            return model.Table(
                name=table_name(self.cls),
                columns=tuple(columns),
                key_names=key,
                space=given if isinstance(given := self.options.space, Via) else model.SpaceRule(given),
                on_delete=self.options.on_delete,
                priority=self.options.priority,
                indexes=self._groups("indexes", self.options.indexes, "index"),
                unique=self._groups("unique", self.options.unique, "unique"),
                foreign_keys=self._foreign_keys(),
                queue=self._queue(),
                exclude=self.exclude,
                on_unique=self.options.on_unique,
                on_parent_deleted=self.options.on_parent_deleted,
                history=self._history(),
                retention=self.options.retention.retention(columns),
            )
        except HoldfastError as error:
            details = {"class": self.cls.__name__, **error.details}
            raise HoldfastError("schema_invalid", f"class {self.cls.__name__}: {error.message}", **details) from error

    def _queue(self) -> Queue:
        if self.options.queue is not None:
            return self.options.queue.named(table_name(self.cls))
        space = self.options.space
        template = space.root.template if isinstance(space, Via) and space.root is not None else space
        if isinstance(template, Via) or template not in self.queues:
            return DEFAULT
        given = self.queues[template]
        if not isinstance(given, Queue):
            fail(self.cls, None, f"queues gives {given!r} for {template!r}; write hf.Queue(...)")
        return given.named(template)

    def _declared(self) -> dict[str, Any]:
        """Column name -> annotation, those of base classes first."""
        found: dict[str, Any] = {}
        for base in reversed(self.cls.__mro__):
            if base is Table or not issubclass(base, Table):
                continue
            own: dict[str, Any] = base.__dict__["__holdfast_annotations__"]
            found.update(own)
            _check_annotated(base, own)
        return {name: annotation for name, annotation in found.items() if not is_class_variable(annotation)}

    def _given(self, name: str) -> ColumnOptions:
        given = getattr(self.cls, name, model.MISSING)
        if isinstance(given, ColumnOptions):
            return given
        if isinstance(given, types.MemberDescriptorType):
            given = model.MISSING
        return ColumnOptions(given, None, "restrict", False, False, None)

    def _column(self, name: str, annotation: Any) -> model.Column:
        given = self._given(name)
        try:
            meaning = meanings.read(annotation)
        except meanings.Unsupported as error:
            fail(self.cls, name, str(error))
        choices = meaning.choices
        if given.choices is not None:
            choices = self._choices(name, meaning, given.choices)
        generate = {new_id: "uuid7", now: "now"}.get(given.default, "") if callable(given.default) else meaning.generate
        if meaning.generate and given.default is not model.MISSING:
            fail(self.cls, name, "a BlockKey has no default: a device takes the next number of its block; remove it")
        block = (BLOCK if given.block is None else given.block) if generate == "block" else given.block or 0
        merge, function = meaning.merge, meaning.function
        if self.options.merge != "register" and merge == "register" and not self._refers(name, given):
            merge, _, function = self._default_merge().partition(":")
        return model.Column(
            name=name,
            type=meaning.type,
            element=meaning.element,
            nullable=meaning.nullable,
            default=model.MISSING if generate else self._default(name, meaning, given),
            merge=merge,
            choices=choices,
            generate=generate,
            stored=self._stored(name, meaning, given),
            read_only=given.read_only,
            block=block,
            function=function,
        )

    def _stored(self, name: str, meaning: meanings.Meaning, given: ColumnOptions) -> str:
        """The type in the hub's database as PostgreSQL writes it, empty for the natural one."""
        if not given.stored:
            return meaning.stored
        try:
            text = stored.parse(given.stored).text()
        except ValueError as error:
            fail(self.cls, name, f"stored={error}")
        return "" if text == stored.NATURAL[meaning.type] else text

    def _default_merge(self) -> str:
        given: Any = self.options.merge
        if not isinstance(given, str) or given.partition(":")[0] not in rules.WHOLE_MERGES:
            fail(self.cls, None, f"merge={given!r}: use one of register, server_wins, review, custom:function")
        return str(given)

    def _refers(self, name: str, given: ColumnOptions) -> bool:
        """Whether a column names or refers to rows: the table's `merge` is not for it."""
        keys = {column for key in self._foreign_keys() for column in key.columns}
        space = self.options.space
        named = {*self._key(), *keys, *(() if isinstance(space, Via) else model.SpaceRule(space).columns)}
        return given.references is not None or name in named

    def _history(self) -> int:
        """Days; 0 for ever."""
        given: Any = self.options.history
        if given == "":
            return 0
        found = re.fullmatch(r"([1-9][0-9]{0,5}) days?", given) if isinstance(given, str) else None
        if found is None:
            fail(self.cls, None, f"history={given!r}: write a number of days, such as '365 days'")
        return int(found[1])

    def _choices(self, name: str, meaning: meanings.Meaning, given: Sequence[Any]) -> tuple[Any, ...]:
        if meaning.choices is not None:
            fail(self.cls, name, "the annotation names the choices already; remove choices=")
        if isinstance(given, str) or not isinstance(given, Iterable):
            fail(self.cls, name, f"choices={given!r}: write a list, such as choices=['draft', 'sent']")
        try:
            return tuple(wire_of(meaning.type, choice) for choice in given)
        except values.InvalidValue as error:
            fail(self.cls, name, f"choices={given!r}: {error}; correct the choice")

    def _default(self, name: str, meaning: meanings.Meaning, options: ColumnOptions) -> Any:
        given = options.default
        if given is model.MISSING:
            if meaning.merge == "counter":
                return 0
            if meaning.type == "set":
                return []
            if meaning.merge in ("text", "merge_text"):
                return ""
            if meaning.merge == "json":
                return {}
            return None if meaning.nullable else model.MISSING
        if given is None:
            if not meaning.nullable:
                fail(self.cls, name, "the default is None but the column is not optional; add '| None'")
            return None
        if callable(given) and not isinstance(given, enum.Enum):
            fail(self.cls, name, f"the default {given!r} is a function; use a value, hf.new_id or hf.now")
        try:
            wire = wire_of(meaning.type, given, meaning.element)
            kind = self._stored(name, meaning, options)
            limit = stored.limiter(stored.parse(kind)) if kind and not meaning.element else None
            return wire if limit is None else limit(wire)
        except values.InvalidValue as error:
            fail(self.cls, name, f"the default {given!r} does not fit: {error}; correct or remove it")

    def _key(self) -> tuple[str, ...]:
        if self.options.key is None:
            return ("id",)
        return self._names("key", self.options.key)

    def _names(self, option: str, given: Any) -> tuple[str, ...]:
        names = (given,) if isinstance(given, str) else given
        if not isinstance(names, (tuple, list)) or not all(isinstance(name, str) for name in names):
            fail(self.cls, None, f"{option}={given!r}: write a column name or a tuple of column names")
        return tuple(names)

    def _groups(self, option: str, given: Any, single: str) -> tuple[tuple[str, ...], ...]:
        if isinstance(given, str) or not isinstance(given, Iterable):
            fail(self.cls, None, f"{option}={given!r}: write a list of tuples of column names")
        groups: list[tuple[str, ...]] = [(name,) for name in self.declared if getattr(self._given(name), single)]
        groups += [self._names(option, group) for group in given]
        return tuple(groups)

    def _foreign_keys(self) -> tuple[model.ForeignKey, ...]:
        found = []
        for name in self.declared:
            given = self._given(name)
            if given.references is not None and not self._is_excluded(given.references):
                found.append(self._foreign_key((name,), given.references, (), given.on_delete))
            elif given.references is None and given.on_delete != "restrict":
                fail(self.cls, name, f"on_delete={given.on_delete!r} without references=; name the parent")
        for declared in self.options.foreign_keys:
            if not isinstance(declared, ForeignKey):
                fail(self.cls, None, f"foreign_keys holds {declared!r}; write hf.ForeignKey(columns, parent)")
            if self._is_excluded(declared.parent):
                continue
            columns = self._names("foreign_keys", declared.columns)
            parent_columns = self._names("foreign_keys", declared.parent_columns)
            found.append(self._foreign_key(columns, declared.parent, parent_columns, declared.on_delete))
        return tuple(found)

    def _is_excluded(self, parent: Any) -> bool:
        """Whether a reference leads to a table that stays on the server."""
        name = parent.partition(".")[0] if isinstance(parent, str) else parent
        return any(name in (cls, cls.__name__, table_name(cls)) for cls in self.excluded)

    def _foreign_key(
        self, columns: tuple[str, ...], parent: Any, parent_columns: tuple[str, ...], on_delete: str
    ) -> model.ForeignKey:
        where = ", ".join(columns)
        if isinstance(parent, str) and "." in parent and not parent_columns:
            parent, _, parent_column = parent.partition(".")
            parent_columns = (parent_column,)
        matches = [cls for cls in self.classes if parent is cls or parent == table_name(cls)]
        matches = matches or [cls for cls in self.classes if parent == cls.__name__]
        if not matches:
            shown = parent.__name__ if isinstance(parent, type) else repr(parent)
            remedy = "pass that class to hf.Schema, or correct the name"
            fail(self.cls, where, f"references {shown}, which is not a table of this schema; {remedy}")
        return model.ForeignKey(columns, table_name(matches[0]), parent_columns or _key_of(matches[0]), on_delete)


def _key_of(cls: type[Table]) -> tuple[str, ...]:
    given = cls.__holdfast_options__.key
    if given is None:
        return ("id",)
    return (given,) if isinstance(given, str) else tuple(given)


def _check_annotated(cls: type, annotated: Collection[str]) -> None:
    """A plain value without an annotation would silently be no column."""
    for name, value in vars(cls).items():
        if name in annotated or name.startswith("_") or not rules.NAME_FORM.fullmatch(name):
            continue
        if isinstance(value, _DATA):
            kind = "str" if isinstance(value, ColumnOptions) else type(value).__name__
            remedy = f"write {name}: {kind} = ..., or annotate it as ClassVar if it is no column"
            fail(cls, name, f"has a value but no annotation; {remedy}")
