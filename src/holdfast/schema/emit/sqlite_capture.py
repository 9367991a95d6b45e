"""Capture on the device: triggers in pure SQL that note every write of any program in `holdfast_capture`.

What the notes mean is in the docstring of `create_triggers`. The tables `holdfast_state` and `holdfast_capture` are the
engine's own; nothing here needs more than SQLite 3.38.
"""

from __future__ import annotations

from holdfast.schema.emit.sqlite_blocks import DEVICE_EVENTS, block_column, create_block_triggers, provisional
from holdfast.schema.emit.sqlite_replace import ALIAS, changed, collides, differs, identifying, is_other
from holdfast.schema.emit.sqlite_text import key_expression, names, quote, text_literal
from holdfast.schema.model import Table

_ACTIVE = "(SELECT applying FROM holdfast_state) = 0"
# Milliseconds since 2020, held inside 0 .. 2^41; 2^41, shifted and masked, becomes 0: such a clock does not count.
_HLC = (
    "(SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), "
    "2199023255552) << 12) & 9007199254740991) FROM holdfast_state)"
)
EVENTS = (
    *("before_insert", "before_update", "insert", "update", "rekey", "delete"),
    *("numbered", "read_only_insert", "read_only_update"),
)


def capture_table(width: int) -> str:
    """CREATE TABLE of `holdfast_capture` for tables with up to `width` non-key columns; values are kept bit for bit."""
    cells = "".join(f", old_{slot}, new_{slot}" for slot in range(width))
    return (
        "CREATE TABLE IF NOT EXISTS holdfast_capture "
        f"(op INTEGER PRIMARY KEY, tbl INTEGER, kind TEXT, key TEXT, hlc INTEGER, version INTEGER{cells})"
    )


def done_tables(width: int) -> list[str]:
    """CREATE TABLE of `holdfast_done`, where a copy of captured changes stays with its step, and its index."""
    cells = "".join(f", old_{slot}, new_{slot}" for slot in range(width))
    columns = f"step INTEGER, op INTEGER, tbl INTEGER, kind TEXT, key TEXT, hlc INTEGER, version INTEGER{cells}"
    return [
        f"CREATE TABLE IF NOT EXISTS holdfast_done ({columns})",
        "CREATE INDEX IF NOT EXISTS holdfast_done_step ON holdfast_done (step)",
    ]


def note_edit(slot: int) -> str:
    """The statement that notes an edit of a document which left its plain value alone: parameters table number, key,
    schema version, captured edit, what takes it back.
    """
    return (
        f"INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, new_{slot}, old_{slot}) "
        f"VALUES (?1, 'update', ?2, {_HLC}, ?3, ?4, ?5)"
    )


def trigger_names(table: Table) -> list[str]:
    """Names of all triggers that `create_triggers` can make for a table."""
    blocks = [f"holdfast_block_{table.name}_{event}" for event in DEVICE_EVENTS]
    return [*(f"holdfast_capture_{table.name}_{event}" for event in EVENTS), *blocks]


def drop_triggers(table: Table) -> list[str]:
    """Statements that take capture away from a table."""
    return [f"DROP TRIGGER IF EXISTS {quote(name)}" for name in trigger_names(table)]


def create_triggers(table: Table, number: int, version: int) -> list[str]:
    """The triggers of one table; `number` stands for the table in the notes, `version` is that of the schema.

    Kinds of notes, slots as in `Table.slot`: "insert" has new_* of all slots; "update" has old_* and new_* of changed
    slots and NULL in both of the others; "delete" has old_* of all slots; a change of the key is a "delete" and an
    "insert". "suspect" names, before the fact, a row that OR REPLACE would remove silently, with its old_*; whether it
    was removed shows when the table is looked at again.
    """
    note = _Notes(table, number, version)
    triggers = [
        _trigger(table, "before_insert", "BEFORE INSERT", [], [note.suspect(collides(table, key=True, rowid=True))]),
        _trigger(table, "insert", "AFTER INSERT", _numbered(table, "NEW"), [note.insert()]),
        _trigger(table, "delete", "AFTER DELETE", [], [note.delete()]),
        _before_update(table, note),
        _rekey(table, note),
    ]
    if table.cells:
        triggers.append(_update(table, note))
    if block_column(table) is not None:
        without_key = provisional(f"OLD.{quote(table.key[0].name)}")
        update = f"AFTER UPDATE OF {quote(table.key[0].name)}"
        triggers += [_trigger(table, "numbered", update, [without_key], [note.insert()]), *create_block_triggers(table)]
    return triggers + _read_only(table)


def _numbered(table: Table, row: str) -> list[str]:
    """The condition that a row has its key; none where every row has it from the start."""
    if block_column(table) is None:
        return []
    return [f"NOT {provisional(f'{row}.{quote(table.key[0].name)}')}"]


def _read_only(table: Table) -> list[str]:
    """Triggers that refuse a write of a column which only the hub's database makes."""
    columns = [column for column in table.cells if column.read_only]
    if not columns:
        return []
    given = " OR ".join(f"NEW.{quote(column.name)} IS NOT NULL" for column in columns)
    names_text = ", ".join(column.name for column in columns)
    message = text_literal(
        f"holdfast column_read_only: {table.name}.{names_text} is made by the hub's database; leave it out"
    )
    refusal = f"SELECT RAISE(ABORT, {message})"
    other = " OR ".join(differs(column) for column in columns)
    return [
        _trigger(table, "read_only_insert", "BEFORE INSERT", [given], [refusal]),
        _trigger(table, "read_only_update", "BEFORE UPDATE", [other], [refusal]),
    ]


def _before_update(table: Table, note: _Notes) -> str:
    columns = identifying(table, key=True)
    suspects = note.suspect(f"({collides(table, key=True)}) AND {is_other(table)}")
    return _trigger(table, "before_update", f"BEFORE UPDATE OF {names(columns)}", [changed(table, columns)], [suspects])


def _rekey(table: Table, note: _Notes) -> str:
    columns = list(table.key_names)
    conditions = [changed(table, columns), *_numbered(table, "OLD")]
    return _trigger(table, "rekey", f"AFTER UPDATE OF {names(columns)}", conditions, [note.delete(), note.insert()])


def _update(table: Table, note: _Notes) -> str:
    same_key = f"NOT ({changed(table, table.key_names)})"
    some_cell = changed(table, [column.name for column in table.cells])
    return _trigger(table, "update", "AFTER UPDATE", [same_key, some_cell], [note.update()])


def _trigger(table: Table, event: str, when: str, conditions: list[str], statements: list[str]) -> str:
    tests = " AND ".join([_ACTIVE, *(f"({condition})" for condition in conditions)])
    body = "\n  ".join(f"{statement};" for statement in statements)
    name = quote(f"holdfast_capture_{table.name}_{event}")
    return f"CREATE TRIGGER {name} {when} ON {quote(table.name)}\nWHEN {tests}\nBEGIN\n  {body}\nEND"


class _Notes:
    """The INSERT statements into `holdfast_capture` of one table."""

    def __init__(self, table: Table, number: int, version: int) -> None:
        self.table = table
        self.number = number
        self.version = version
        self.olds = [f"old_{slot}" for slot in range(len(table.cells))]
        self.news = [f"new_{slot}" for slot in range(len(table.cells))]

    def insert(self) -> str:
        return self._note("insert", "NEW", self.news, self._cells("NEW"))

    def delete(self) -> str:
        return self._note("delete", "OLD", self.olds, self._cells("OLD"))

    def update(self) -> str:
        columns, cells = [], []
        for slot, column in enumerate(self.table.cells):
            columns += [f"old_{slot}", f"new_{slot}"]
            cells += [f"CASE WHEN {differs(column)} THEN {row}.{quote(column.name)} END" for row in ("OLD", "NEW")]
        return self._note("update", "OLD", columns, cells)

    def suspect(self, condition: str) -> str:
        note = self._note("suspect", ALIAS, self.olds, self._cells(ALIAS), select=True)
        return f"{note} FROM {quote(self.table.name)} AS {ALIAS} WHERE {condition}"

    def _cells(self, row: str) -> list[str]:
        return [f"{row}.{quote(column.name)}" for column in self.table.cells]

    def _note(self, kind: str, row: str, columns: list[str], cells: list[str], *, select: bool = False) -> str:
        listed = ", ".join(["tbl", "kind", "key", "hlc", "version", *columns])
        head = [str(self.number), f"'{kind}'", key_expression(self.table, row), _HLC, str(self.version)]
        shown = ", ".join([*head, *cells])
        source = f"SELECT {shown}" if select else f"VALUES ({shown})"
        return f"INSERT INTO holdfast_capture ({listed}) {source}"
