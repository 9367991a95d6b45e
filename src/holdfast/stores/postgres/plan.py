"""What is still to be done to make a database ready for a schema, as the very SQL statements, and how to undo it.

Everything is read from the catalogue, nothing is changed here. `install.py` runs what this decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.schema.emit.postgres import add_foreign_key, create_indexes, create_table, create_types
from holdfast.schema.emit.postgres_dirty import EVENTS, create_triggers, drop_triggers, fire_always, trigger_name
from holdfast.schema.emit.postgres_text import qualified, quote, text_literal
from holdfast.schema.model import ForeignKey, Schema, Table
from holdfast.stores.base import Question
from holdfast.stores.migrating import Step
from holdfast.stores.postgres import access, fit, grants
from holdfast.stores.postgres.exchange import Connection
from holdfast.stores.postgres.growing import Grown, grow
from holdfast.stores.postgres.looking import altered, lost_triggers, note_rows, place, placed
from holdfast.stores.postgres.numbered import MIGRATIONS, Migration, pending
from holdfast.stores.postgres.queries import QUERIES
from holdfast.stores.slots import renamings, with_added


class Plan:
    """The steps that lead to `schema`. `within` is the PostgreSQL schema of the user tables, `place` what messages call
    the database. `grant` is a role that gets the rights that a hub needs.

    Raises `HoldfastError` `store_open` (encoding), `store_format`, `schema_mismatch_table`, `schema_changed`.
    """

    def __init__(
        self,
        db: Connection,
        schema: Schema,
        within: str,
        place: str,
        grant: str | None = None,
        migrations: Sequence[Migration] = MIGRATIONS,
        question: Question | None = None,
    ) -> None:
        self._db = db
        self._schema = schema
        self._within = within
        self.steps: list[Step] = []
        self._check_encoding()
        self.fresh = self._fetch(b"SELECT to_regclass('holdfast.migration')")[0][0] is None
        """Whether nothing of Holdfast is there yet."""
        self._known = {} if self.fresh else {name: rest for name, *rest in self._fetch(QUERIES["tables"])}
        applied = {} if self.fresh else {n: (name, ph, c) for n, name, ph, c in self._fetch(QUERIES["migrations"])}
        self._numbered = pending(migrations, applied, place)
        self._add_numbered("before")
        self._new: set[str] = set()
        self._add_user_tables()
        for table in schema.tables:
            if table.name not in self._new and (statements := self._capture(table)):
                self._add("before", f"watch {table.name}", statements, asks=not self._made(table))
        for table in schema.tables:
            self._add_notes(table)
        if question is not None:
            self._add_access(question)
        if grant is not None:
            self._add_grants(grant)
        self._add_numbered("after")
        self._add_placing()
        self._add_always()
        self._add_releases()

    @property
    def needs_a_person(self) -> bool:
        """Whether a step changes something that is not ours alone: tables of an application, or the hub's own tables
        while hubs of another release may run."""
        return any(step.asks and step.phase == "before" for step in self.steps)

    def _fetch(self, sql: bytes, *values: Any) -> list[Any]:
        return self._db.execute(sql, values).fetchall()

    def _add(self, phase: str, title: str, statements: Sequence[str], *, asks: bool = False) -> None:
        self.steps.append(Step(title, "before" if phase == "before" else "after", tuple(statements), asks))

    def _check_encoding(self) -> None:
        ((encoding,),) = self._fetch(b"SHOW server_encoding")
        if encoding != "UTF8":
            message = f"The database has the encoding {encoding}; a hub needs UTF8, to hold every text of its devices."
            raise HoldfastError("store_open", message, found=encoding)

    def _add_numbered(self, phase: str) -> None:
        # An earlier release's step that was left out is overdue when the next release is about to come.
        due = max((m.number for m in self._numbered if m.phase == "before" or self.fresh), default=0)
        for migration in self._numbered:
            if ("before" if migration.number <= due else "after") == phase:
                title = f"migration {migration.number}: {migration.name}"
                self._add(phase, title, migration.statements(), asks=not self.fresh)

    def _exists(self, table: str) -> bool:
        return self._fetch(b"SELECT to_regclass(%s)", qualified(self._within, table))[0][0] is not None

    def _made(self, table: Table) -> bool:
        """Whether the table is, or will be, one that Holdfast made."""
        return self._known[table.name][0] if table.name in self._known else table.name in self._new

    def _add_user_tables(self) -> None:
        """Check the tables that are there, and create the others, with their triggers: nobody writes in between."""
        present = {table.name for table in self._schema.tables if self._exists(table.name)}
        statements: list[str] = []
        later: list[tuple[Table, ForeignKey]] = []
        for table in self._schema.tables:
            if table.name in present:
                target = qualified(self._within, table.name)
                fit.check_kind(self._db, table, target)
                grown = Grown([], fit.columns_of(self._db, target), set())
                if table.name in self._known:
                    number = self._known[table.name][2]
                    renamed = renamings(table, self._slot_names(number), self._schema.renames)
                    grown = grow(table, self._within, grown.found, number, renamed)
                fit.check(table, grown.found, list(fit.unique_of(self._db, target).values()), grown.added)
                if grown.statements:
                    self._add("before", f"grow {table.name}", grown.statements, asks=not self._made(table))
            elif table.name in self._known:
                message = (
                    f"The table {table.name} was synced and is gone from the database. Restore it from a backup, or "
                    "take it out of the schema."
                )
                raise HoldfastError(
                    "schema_mismatch_table", message, table=table.name, expected="a table", found="none"
                )
            else:
                parents = present | self._new
                for name, statement in create_types(table, within=self._within):
                    if self._fetch(b"SELECT to_regtype(%s)", name)[0][0] is None and statement not in statements:
                        statements.append(statement)
                statements.append(create_table(table, within=self._within, parents=parents))
                statements += create_indexes(table, within=self._within)
                later += [(table, key) for key in table.foreign_keys if key.parent not in parents | {table.name}]
                self._new.add(table.name)
        statements += [add_foreign_key(table, key, within=self._within) for table, key in later]
        if statements:
            for name in sorted(self._new):
                statements += self._capture(self._schema.by_name[name])
            # A foreign key to a table of the application locks that table for a moment, and stays there.
            names = ", ".join(sorted(self._new))
            parents = {key.parent for name in self._new for key in self._schema.by_name[name].foreign_keys}
            asks = any(not self._made(self._schema.by_name[parent]) for parent in parents)
            self._add("before", f"create {names}", statements, asks=asks)

    def _capture(self, table: Table) -> list[str]:
        """Know the table and the slots of its columns, and watch it: triggers that note what other programs write."""
        made, before, number, _ = self._known.get(table.name, (table.name in self._new, None, None, False))
        statements: list[str] = []
        if number is None:
            name = text_literal(table.name)
            made_text = "true" if made else "false"
            statements.append(f'INSERT INTO holdfast."table" (name, made) VALUES ({name}, {made_text})')
        statements += self._slots(table, number)
        script = ";\n".join(create_triggers(table, within=self._within))
        wanted = hashlib.sha256(script.encode()).hexdigest()
        # A function of another release is another one, and no harm: `before` tells.
        lost = before is not None and bool(lost_triggers(self._db, table, self._within))
        lost = lost or (before == wanted and altered(self._db, table))
        anew = before != wanted or lost
        if anew:
            statements += drop_triggers(table, within=self._within)
            statements += create_triggers(table, within=self._within)
            # Where there were no triggers, any row may be one that nobody has noted.
            noted = "true" if table.name in self._new else "false" if before is None or lost else "noted"
            statements.append(
                f'UPDATE holdfast."table" SET capture = {text_literal(wanted)}, noted = {noted} '
                f"WHERE name = {text_literal(table.name)}"
            )
        return statements + (self._always(table, anew=True) if anew else [])

    def _always(self, table: Table, *, anew: bool) -> list[str]:
        """Whoever owns the table makes the triggers fire in every session."""
        ours, plain = True, anew
        if table.name not in self._new:
            names = [trigger_name(event) for event in EVENTS]
            ((ours, found),) = self._fetch(QUERIES["plain_triggers"], names, qualified(self._within, table.name))
            plain = anew or found
        return [fire_always(table, within=self._within)] if ours and plain else []

    def _add_always(self) -> None:
        """Somebody has enabled the triggers again, in the plain way. That alone keeps no hub from starting."""
        planned = {step.title for step in self.steps}
        for table in self._schema.tables:
            if table.name not in self._new and f"watch {table.name}" not in planned:
                statements = self._always(table, anew=False)
                if statements:
                    self._add("after", f"let the triggers of {table.name} fire always", statements)

    def _slot_names(self, number: int) -> list[str]:
        return [name for (name,) in self._fetch(QUERIES["slots"], number)]

    def _slots(self, table: Table, number: int | None) -> list[str]:
        """Names by slot, as they will be. Raises `schema_changed`."""
        found = [] if number is None else self._slot_names(number)
        for old, new in renamings(table, found, self._schema.renames):
            found[found.index(old)] = new
        added = with_added(table, found)[len(found) :]
        return [
            f"INSERT INTO holdfast.slot (tbl, slot, name) SELECT id, {len(found) + index}, {text_literal(name)} "
            f'FROM holdfast."table" WHERE name = {text_literal(table.name)}'
            for index, name in enumerate(added)
        ]

    def _add_notes(self, table: Table) -> None:
        """Note the rows that the table shows and those that the feed shows alive: they may differ.

        In a transaction of its own, after the triggers: making those holds off writers until the commit, and they note
        every later write. So this statement sees all others and keeps nobody waiting.
        """
        if table.name in self._new:
            return
        watched = [step for step in self.steps if step.title == f"watch {table.name}"]
        renoted = any(", noted = false" in statement for step in watched for statement in step.statements)
        if not renoted and table.name in self._known and self._known[table.name][3]:
            return
        statements = note_rows(table, self._within)
        self._add("before", f"note the rows of {table.name}", statements, asks=not self._made(table))

    def _add_access(self, question: Question) -> None:
        """Hear of changes of the tables that the membership query reads. A table that is still to be made can only be
        watched by a later plan.
        """
        try:
            tables = access.tables_of(self._db, question, self._within)
        except access.NotThere as missing:
            if self._new:
                return
            raise access.invalid(f"PostgreSQL does not take the query: {missing}") from missing
        made = {qualified(self._within, table.name) for table in self._schema.tables if self._made(table)}
        for table in access.unwatched(self._db, tables):
            title = f"hear of changes of {table.replace(chr(34), '')}"
            self._add("before", title, access.watching(table), asks=table not in made)

    def _add_grants(self, role: str) -> None:
        """What a hub needs to run as this role, which need not own anything; nothing when it has it."""
        made = [table for table in self._schema.tables if self._made(table)]
        statements = grants.missing(self._db, self._schema, self._within, role, made, self._new, fresh=self.fresh)
        if statements:
            self._add("before", f"grant what a hub needs to {role}", statements, asks=True)

    def _add_placing(self) -> None:
        """A rule of a space has changed: hubs of the former one have placed rows until now."""
        for table in self._schema.tables:
            found = placed(self._db, table) if table.name in self._known else None
            if found is not None and (found["again"] or found["space"] != table.space.to_json()):
                text = text_literal(place(self._schema, table, again=False))
                record = f'UPDATE holdfast."table" SET placed = {text} WHERE name = {text_literal(table.name)}'
                title = f"place the rows of {table.name} anew"
                self._add("after", title, [record, *note_rows(table, self._within)])

    def _add_releases(self) -> None:
        """Tables that the schema no longer has are not watched any more, once no hub serves the earlier schema."""
        for name, (_, capture, *_rest) in self._known.items():
            if name in self._schema.by_name or capture is None:
                continue
            statements = []
            if self._exists(name):
                target = qualified(self._within, name)
                statements += [f"DROP TRIGGER IF EXISTS {quote(trigger_name(event))} ON {target}" for event in EVENTS]
            literal = text_literal(name)
            statements += [
                f"DROP FUNCTION IF EXISTS {qualified('holdfast', name)}()",
                f'UPDATE holdfast."table" SET capture = NULL, noted = false WHERE name = {literal}',
                f"DELETE FROM holdfast.dirty WHERE tbl = {literal}",
            ]
            self._add("after", f"watch {name} no more", statements)


OWN_PREFIX = "holdfast_"
"""Begins the names of tables that every schema has; no table of an application has such a name."""


def _tables(triggers: Sequence[Sequence[str]]) -> set[tuple[str, str]]:
    return {(schema, table) for schema, table, _ in triggers}


def removal(db: Connection) -> list[Step]:
    """Everything of Holdfast out of a database, in one transaction; user tables and their rows stay as they are."""
    triggers = db.execute(QUERIES["own_triggers"]).fetchall()
    present = db.execute(b"SELECT to_regnamespace('holdfast')").fetchall()[0][0] is not None
    built_in = {table for table in _tables(triggers) if table[1].startswith(OWN_PREFIX)}
    statements = [
        f"DROP TRIGGER {quote(name)} ON {qualified(schema, table)}"
        for schema, table, name in triggers
        if (schema, table) not in built_in
    ]
    statements += [f"DROP TABLE {qualified(*table)}" for table in sorted(built_in)]
    if present:
        statements.append("DROP SCHEMA holdfast CASCADE")
    return [Step("remove triggers and schema holdfast", "after", tuple(statements), True)] if statements else []
