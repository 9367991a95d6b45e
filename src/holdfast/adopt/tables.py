"""What the tables of the database become in the schema, and what is left out with which reason and remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from holdfast.adopt.catalogue import Catalogue, Constraint, Index, Table
from holdfast.adopt.columns import Adopted, Left, judge, name_problem
from holdfast.schema import rules, stored

KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "p": "a partitioned table"}
_CHILD_DELETES = {"a": "restrict", "r": "restrict", "c": "cascade", "n": "set_null"}
_ACTIONS = {"c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


class ForeignKey(NamedTuple):
    """As in `schema.model.ForeignKey`."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: str


class AdoptedTable(NamedTuple):
    """A table of the schema. `excluded` are its columns that stay on the server; `notes` are for people."""

    name: str
    columns: dict[str, Adopted]
    key: tuple[str, ...]
    unique: list[tuple[str, ...]]
    indexes: list[tuple[str, ...]]
    foreign_keys: list[ForeignKey]
    excluded: list[str]
    notes: list[str]
    comment: str | None


class Plan(NamedTuple):
    """The tables of the schema, parents before children, and what is not in it."""

    schema: str
    tables: list[AdoptedTable]
    left: list[Left]


def plan(catalogue: Catalogue) -> Plan:
    """Judge everything that was read."""
    left: list[Left] = []
    tables: dict[str, AdoptedTable] = {}
    sources = {table.name: table for table in catalogue.tables}
    for source in catalogue.tables:
        table = _table(source, left)
        if table is not None:
            tables[source.name] = table
    for name in tables:
        _foreign_keys(tables, sources[name], catalogue, left)
    _align_integers(tables)
    return Plan(catalogue.schema, _parents_first(tables), left)


def _table(source: Table, left: list[Left]) -> AdoptedTable | None:
    """The table without its foreign keys; None when it cannot be in the schema."""

    def refuse(why: str, remedy: str) -> None:
        left.append(Left(source.name, "", f"table {source.name}", why, remedy))

    if source.kind in KINDS:
        views = "adopt the table beneath" if source.kind != "p" else "sync a plain table, or exclude this one"
        refuse(f"{KINDS[source.kind]} has no triggers that see every change of a row", views)
        return None
    if source.persistence == "u":
        refuse("it is UNLOGGED: a crash of the server empties it, and nothing tells", "ALTER TABLE ... SET LOGGED")
        return None
    if source.inherits:
        why = "it inherits from another table, or another one from it: reads of one show rows of the other"
        refuse(why, "make it a table of its own")
        return None
    problem = name_problem(source.name, is_column=False)
    if problem:
        refuse(problem, "rename it")
        return None
    columns: dict[str, Adopted] = {}
    lost: list[Left] = []
    for column in source.columns:
        judged = judge(source.name, column)
        if isinstance(judged, Left):
            lost.append(judged)
        else:
            columns[column.name] = judged
    key = _key(source)
    if key is None:
        refuse("it has no primary key, and no unique index over NOT NULL columns", "ALTER TABLE ... ADD PRIMARY KEY")
        return None
    unfit = _key_problem(key, columns, lost)
    if unfit is not None:
        refuse(*unfit)
        return None
    for found in lost:
        column = next(column for column in source.columns if column.name == found.column)
        if column.not_null and column.default is None and not (column.identity or column.generated):
            refuse(f"{found.what}, NOT NULL without a default: {found.why}", f"{found.remedy}, or give it a default")
            return None
    left += [found._replace(what=f"{found.what}, in exclude=") for found in lost]
    columns = {name: _made_by_sequence(name, column, key) for name, column in columns.items()}
    excluded = [found.column for found in lost]
    table = AdoptedTable(source.name, columns, key, [], [], [], excluded, [], source.comment)
    _indexes(table, source, left)
    _rest(table, source, left)
    return table


def _key(source: Table) -> tuple[str, ...] | None:
    """The primary key, or a unique index that could be one."""
    needed = {column.name for column in source.columns if column.not_null}
    plain = [index for index in source.indexes if index.unique and index.immediate and index.whole and index.columns]
    candidates = sorted(plain, key=lambda index: (not index.primary, len(index.columns)))
    return next((index.columns for index in candidates if needed.issuperset(index.columns)), None)


def _key_problem(key: Sequence[str], columns: Mapping[str, Adopted], lost: Sequence[Left]) -> tuple[str, str] | None:
    """(why, remedy) when the columns of the key cannot be a key on devices."""
    if len(key) > rules.KEY_COLUMN_LIMIT:
        return f"its key has {len(key)} columns", f"use a key of at most {rules.KEY_COLUMN_LIMIT}"
    for name in key:
        gone = next((found for found in lost if found.column == name), None)
        if gone is not None:
            return f"its key has the {gone.what}: {gone.why}", gone.remedy
        column = columns[name]
        if column.type not in rules.KEY_TYPES:
            return f"its key has the column {name} ({column.source.type}), whose text is not exact", "use another key"
        if column.stored == "citext":
            return f"its key {name} is citext: one row here, two on a device", "use text, in lower case by a CHECK"
        if column.read_only:
            return f"its key has the generated column {name}", "use a plain column"
    return None


def _made_by_sequence(name: str, column: Adopted, key: Sequence[str]) -> Adopted:
    """An integer that a sequence gives: the key's come from leased blocks, any other is the server's to give."""
    if not column.sequence or column.type not in ("int", "bigint"):
        return column
    if tuple(key) == (name,):
        kind = column.source.type
        return column._replace(type="int", stored="" if kind == "bigint" else kind)
    return column if name in key else column._replace(read_only=True, nullable=True, default="")


def _indexes(table: AdoptedTable, source: Table, left: list[Left]) -> None:
    for index in source.indexes:
        known = index.columns and set(index.columns) <= table.columns.keys()
        if index.columns == table.key and index.unique:
            continue
        plain = known and index.whole and not index.equal_nulls
        if index.unique and plain and index.immediate:
            if index.columns not in table.unique:
                table.unique.append(index.columns)
        elif index.unique:
            why = "only the server can check it; what breaks it comes back refused"
            left.append(Left(table.name, "", f"unique index {index.name} of {table.name}", _shape(index) + why, ""))
        elif plain and index.method == "btree" and index.columns not in [*table.indexes, *table.unique, table.key]:
            table.indexes.append(index.columns)
        else:
            why = "devices have no such index"
            left.append(Left(table.name, "", f"index {index.name} of {table.name}", _shape(index) + why, ""))
    # A unique constraint is an index, too.
    table.indexes[:] = [columns for columns in table.indexes if columns not in table.unique]


def _shape(index: Index) -> str:
    if not index.columns:
        return "over an expression: "
    if not index.whole:
        return "over some rows only: "
    return "NULLS NOT DISTINCT: " if index.equal_nulls else f"{index.method}: " if index.method != "btree" else ""


def _rest(table: AdoptedTable, source: Table, left: list[Left]) -> None:
    for column in source.columns:
        if column.domain and column.name in table.columns:
            what = f"domain {column.domain} of {table.name}.{column.name}"
            left.append(Left(table.name, "", what, "only the server checks it; what breaks it comes back refused", ""))
    for constraint in source.constraints:
        if constraint.kind != "f":
            what = f"constraint {constraint.name} of {table.name}: {constraint.definition}"
            left.append(Left(table.name, "", what, "only the server checks it; what breaks it comes back refused", ""))
    if source.row_security:
        table.notes.append("Row level security is on: the hub's role must own the table or have BYPASSRLS.")


def _foreign_keys(tables: dict[str, AdoptedTable], source: Table, catalogue: Catalogue, left: list[Left]) -> None:
    table = tables[source.name]
    for constraint in source.constraints:
        if constraint.kind != "f":
            continue
        problem = _foreign_key_problem(tables, table, constraint, catalogue)
        if problem:
            what = f"foreign key {constraint.name} of {table.name}"
            left.append(Left(table.name, "", what, *problem))
            continue
        if constraint.on_update in _ACTIONS:
            columns = ", ".join(constraint.columns)
            table.notes.append(
                f"{columns}: ON UPDATE {_ACTIONS[constraint.on_update]} is done by the server; devices get the result."
            )
        on_delete = _CHILD_DELETES[constraint.on_delete]
        found = ForeignKey(constraint.columns, str(constraint.parent), constraint.parent_columns, on_delete)
        if found not in table.foreign_keys:
            table.foreign_keys.append(found)


def _foreign_key_problem(
    tables: dict[str, AdoptedTable], table: AdoptedTable, constraint: Constraint, catalogue: Catalogue
) -> tuple[str, str] | None:
    """(why, remedy) when devices cannot have the foreign key; the server keeps it in any case."""
    parent = tables.get(constraint.parent or "") if constraint.parent_schema == catalogue.schema else None
    if parent is None:
        whose = f"{constraint.parent_schema}.{constraint.parent}"
        return f"its parent {whose} is not in the schema", "adopt the parent, too, if devices need its rows"
    if constraint.on_delete == "d":
        return "ON DELETE SET DEFAULT is not supported", "use SET NULL, CASCADE or NO ACTION"
    if not set(constraint.columns) <= table.columns.keys():
        return "one of its columns is not in the schema", ""
    wanted = frozenset(constraint.parent_columns)
    if wanted not in {frozenset(group) for group in [parent.key, *parent.unique]}:
        return "what it refers to is neither the key nor unique on devices", ""
    for name, parent_name in zip(constraint.columns, constraint.parent_columns, strict=True):
        child, target = table.columns[name], parent.columns[parent_name]
        if "citext" in (child.stored, target.stored):
            return "citext is compared letter by letter on devices", "use text"
        if child.type != target.type and {child.type, target.type} != {"int", "bigint"}:
            return f"{name} is {child.type} and {parent_name} is {target.type}", "give both one type"
        if constraint.on_delete == "n" and not child.nullable:
            return f"ON DELETE SET NULL of the column {name}, which is NOT NULL", "allow NULL"
    return None


def _align_integers(tables: dict[str, AdoptedTable]) -> None:
    """A column that refers to an integer goes over the wire as that does."""
    changed = True
    while changed:
        changed = False
        for table in tables.values():
            for key in table.foreign_keys:
                for name, parent_name in zip(key.columns, key.parent_columns, strict=True):
                    child, target = table.columns[name], tables[key.parent].columns[parent_name]
                    if child.type != target.type:
                        changed |= _make_int(tables, table.name, name) or _make_int(tables, key.parent, parent_name)


def _make_int(tables: dict[str, AdoptedTable], table: str, name: str) -> bool:
    column = tables[table].columns[name]
    if column.type != "bigint":
        return False
    kind = stored.parse(column.source.type).text()
    tables[table].columns[name] = column._replace(type="int", stored="" if kind == "bigint" else kind)
    return True


def _parents_first(tables: Mapping[str, AdoptedTable]) -> list[AdoptedTable]:
    remaining, ordered = dict(tables), []
    while remaining:
        free = (
            name
            for name, table in remaining.items()
            if not any(key.parent in remaining and key.parent != name for key in table.foreign_keys)
        )
        ordered.append(remaining.pop(next(free, next(iter(remaining)))))
    return ordered
