"""The versions of the schema that a hub serves at once, from those that its store remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from holdfast.errors import HoldfastError
from holdfast.hub.lenses import filled
from holdfast.hub.operations import Refusal
from holdfast.hub.placing import content_of
from holdfast.hub.workspace import RowName, Standing, Workspace
from holdfast.protocol import messages as m
from holdfast.protocol.images import layout_hash
from holdfast.schema.key import key_text
from holdfast.schema.model import MISSING, Schema
from holdfast.schema.rules import WHOLE_MERGES
from holdfast.schema.versions import Versions
from holdfast.stores.base import Batch, Space, Store, Transaction
from holdfast.stores.kept import Keeping, Kept

Change = Callable[[Callable[[Transaction], int]], int]
FILLED = 500
"""So many rows are looked at in one transaction when the columns of a new version are filled."""


class Served(NamedTuple):
    """One version: what its devices are told of the rows (`layout`), and its names that are not the hub's. `mark` names
    it in cursors, 0 the oldest version that the hub knows of."""

    schema: Schema
    layout: m.Layout
    to_hub: Mapping[str, Mapping[str, str]]
    mark: int

    @property
    def is_plain(self) -> bool:
        """Whether rows have just this version's columns in its order: what a device takes for granted that was never
        told a layout.
        """
        declared = {table.name: [column.name for column in table.cells] for table in self.schema.tables}
        return not self.layout.keys and declared == self.layout.tables


class Serving:
    """All versions of one hub. `schema` has the columns of all of them. Raises `schema_change`."""

    def __init__(self, store: Store, schema: Schema) -> None:
        kept = store.versions() if isinstance(store, Keeping) else []
        self._kept = {one.schema.version: one for one in kept}
        earlier = [one.schema for one in kept if one.schema.version < schema.version]
        self._versions = Versions(earlier, schema)
        self.schema = self._versions.schema
        self._oldest = min([schema.version, *self._kept])
        self.views: dict[int, Served] = {}

    def open(self, store: Store) -> None:
        """Open the store for all versions; remember the current one if it is new."""
        tables = store.open(self.schema)
        self._plain = len(self._versions.views) == 1
        current = self._versions.current
        for version, view in self._versions.views.items():
            names = tables if self._plain else {**view.names}
            others = [table for table in self.schema.tables if table.name not in names]
            keys = {table.name: len(table.key) for table in others}
            layout = m.Layout(layout_hash(names), names, keys)
            mark = version if version != self._oldest else 0
            self.views[version] = Served(view.schema, layout, view.to_hub, mark)
        known = self._kept.get(current.version)
        if isinstance(store, Keeping) and (known is None or known.schema.hash != current.hash):
            with store.transaction(write=False) as tx:
                heads = {name: space.head for name, space in tx.spaces(tx.all_spaces()).items()}
            self._kept[current.version] = store.keep_version(Kept(current, heads, not self.schema.lenses))

    @property
    def current(self) -> Served:
        """The version that this hub was made for."""
        return self.views[self._versions.current.version]

    def view(self, named: m.SchemaName) -> Served:
        """The version that a device runs. Raises `schema_version`, `schema_outdated`, `schema_mismatch`."""
        found = self.views.get(named.version)
        if found is None:
            versions = sorted(self.views)
            text = ", ".join(map(str, versions))
            if named.version < versions[0]:
                message = (
                    f"the application on this device is too old: it runs schema version {named.version}, this hub "
                )
                message += f"serves {text}. Update the application; what waits here is kept and sent by the new one"
                raise HoldfastError("schema_outdated", message, device=named.version, hub=versions)
            message = f"the device runs schema version {named.version}, this hub knows {text}"
            raise HoldfastError("schema_version", message, device=named.version, hub=versions)
        if found.schema.hash != named.hash:
            message = f"device and hub both say schema version {named.version} but their schemas differ"
            raise HoldfastError("schema_mismatch", message, device=named.hash, hub=found.schema.hash)
        return found

    def take(self, request: m.Request) -> None:
        """Put the transactions of a request into the words of the hub: names of columns, and what lenses make of new
        rows. A transaction that was written under another version than the request's says so."""
        if self._plain:
            return
        for copy in request.restore:
            theirs = self.view(request.schema).to_hub.get(copy.table, {})
            copy.set = {theirs.get(name, name): cell for name, cell in copy.set.items()}
        for transaction in request.transactions:
            found = self.views.get(transaction.schema or request.schema.version)
            if found is None:
                raise HoldfastError(
                    "schema_outdated",
                    f"a transaction was written under schema version {transaction.schema}, which this hub no longer "
                    "serves: run a hub that does, until it is sent",
                    device=transaction.schema,
                    hub=sorted(self.views),
                )
            for op in transaction.ops:
                if isinstance(op, m.Insert):
                    self._say_defaults(found.schema, op)
                names = found.to_hub.get(op.table)
                if names and not isinstance(op, m.Delete):
                    op.set = {names.get(name, name): change for name, change in op.set.items()}
                if names and isinstance(op, m.Update):
                    op.base = {names.get(name, name): stamp for name, stamp in op.base.items()}

    def _say_defaults(self, schema: Schema, op: m.Insert) -> None:
        """What the writer's version gives a new row by default is what lenses start from."""
        table = schema.by_name.get(op.table)
        if table is None or op.table not in self.schema.lenses:
            return
        for column in table.cells:
            if column.merge in WHOLE_MERGES and column.name not in op.set and column.default is not MISSING:
                op.set[column.name] = column.default

    def introduced(self, mark: int) -> Mapping[str, int]:
        """The heads of the spaces when the first version after the one with that mark was run first."""
        later = [version for version in self._kept if version > (mark or self._oldest)]
        return self._kept[min(later)].heads if later else {}

    @property
    def unfilled(self) -> bool:
        """Whether rows may lack what lenses make of them."""
        known = self._kept.get(self._versions.current.version)
        return known is not None and not known.filled

    def fill(self, store: Store, change: Change, now: int) -> int:
        """Write what lenses make of rows from before they were there, step by step; gives how often a row was looked
        at. It may be run any number of times."""
        total, ends, found = 0, dict[str, int](), bool(self.schema.lenses)
        while found:
            # Whoever writes in a row meanwhile takes it to the end of a feed, perhaps of another one, and out of the
            # way: so what has come is looked at, too, until there is nothing to fill in it.
            found = not ends
            with store.transaction(write=False) as tx:
                heads = tx.spaces(tx.all_spaces())
            for space in heads.values():
                for names in self._names(store, space, ends.get(space.name, 0)):
                    written = change(lambda tx, names=names: self._fill(tx, names, now))  # type: ignore[misc]
                    found, total = found or written > 0, total + len(names)
                ends[space.name] = space.head
            found = found and bool(ends)
        known = self._kept.get(self._versions.current.version)
        if isinstance(store, Keeping) and known is not None and not known.filled:
            self._kept[known.schema.version] = store.keep_version(known._replace(filled=True))
        return total

    def _names(self, store: Store, space: Space, after: int) -> Iterator[list[RowName]]:
        """The rows of a space whose tables have lenses, as it stands now, after a place."""
        while after < space.head:
            with store.transaction(write=False) as tx:
                rows = list(islice(tx.feed(space.name, after, space.head), FILLED))
            if not rows:
                return
            after = rows[-1][0]
            images = [image for image in (m.decode_image(row) for _, row in rows) if image.life % 2]
            images = [image for image in images if image.table in self.schema.lenses]
            tables = self.schema.by_name
            found = [(i.table, key_text(tables[i.table], i.values[: len(tables[i.table].key)])) for i in images]
            if found:
                yield found

    def _fill(self, tx: Transaction, names: Sequence[RowName], now: int) -> int:
        """Fill these rows; gives how many lacked something."""
        state = tx.hub()
        workspace = Workspace(tx, self.schema, names)
        rows: dict[RowName, Standing] = {}
        for name in names:
            table = self.schema.by_name[name[0]]
            standing = workspace.standing(table, name)
            if standing.row is None:
                continue
            try:
                row = filled(self.schema, table, name[1], standing.row, state.hub)
            except Refusal as refusal:
                message = f"{name[0]} {name[1]!r}: {refusal.message}; the version cannot be served"
                raise HoldfastError(refusal.code, message, table=name[0], key=name[1]) from None
            if row is not standing.row:
                rows[name] = standing._replace(row=row)
        workspace.accept(rows)
        writes = workspace.writes()
        if writes:
            digests = workspace.digest_changes(writes, state.hub.encode())
            tx.write(Batch(writes, [], [], [], digests, content_of(writes), state.hlc, now))
        return len(writes)
