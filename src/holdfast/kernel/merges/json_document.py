"""JSON that many edit at once: members of objects and elements of arrays merge path by path.

An object lies in the root "object", an array in the root "array", anything else in the root "value" under "value";
under "kind" stands which of them counts, an object if nothing stands there. Specification: `spec/documents.md`,
section 5.
"""

from __future__ import annotations

from typing import Any, ClassVar

from holdfast.kernel.column import Column
from holdfast.kernel.documents.content import Content
from holdfast.kernel.documents.library import library
from holdfast.kernel.edit_script import edits
from holdfast.kernel.merges.document import Document
from holdfast.kernel.values import canonical_json, check, same


class JsonDocument(Document):
    """The value is the JSON; the document has three roots, of which one counts."""

    text = False
    empty: ClassVar[Any] = {}

    def write(self, content: Content, value: Any) -> None:
        """Turn the document into `value`, changing only the members and elements that differ."""
        kind = "object" if isinstance(value, dict) else "array" if isinstance(value, list) else "value"
        if kind != kind_of(content):
            content.scalar["kind"] = kind
        write_object(content.object, value if kind == "object" else {})
        write_array(content.array, value if kind == "array" else [])
        if kind == "value":
            if "value" not in content.scalar or not same(check("json", [content.scalar["value"]])[0], value):
                content.scalar["value"] = value
        elif "value" in content.scalar:
            del content.scalar["value"]

    def read(self, column: Column, content: Content) -> Any:
        """The JSON, in canonical form."""
        kind = kind_of(content)
        if kind == "object":
            return column.accept(plain(content.object))
        if kind == "array":
            return column.accept(plain(content.array))
        return column.accept(plain(content.scalar["value"]) if "value" in content.scalar else {})


def kind_of(content: Content) -> str:
    """Which root counts: "object", "array" or "value"."""
    kind = content.scalar.get("kind", "object")
    return kind if kind in ("array", "value") else "object"


def plain(node: Any) -> Any:
    """A node of the document as JSON."""
    lib = library()
    return node.to_py() if isinstance(node, (lib.Map, lib.Array)) else node


def prepared(value: Any) -> Any:
    """A JSON value as the library takes it: objects and arrays become parts that merge by themselves."""
    lib = library()
    if isinstance(value, dict):
        return lib.Map({name: prepared(value[name]) for name in sorted(value)})
    if isinstance(value, list):
        return lib.Array([prepared(item) for item in value])
    return value


def write_object(node: Any, value: dict[str, Any]) -> None:
    """Bring an object of the document to `value`."""
    for name in sorted(set(node.keys()) - value.keys()):
        del node[name]
    for name in sorted(value):
        if name not in node or not _entered(node[name], value[name]):
            node[name] = prepared(value[name])


def write_array(node: Any, value: list[Any]) -> None:
    """Bring an array of the document to `value`, element by element."""
    old = [canonical_json(item) for item in check("json", plain(node))]
    for start, end, first, last in reversed(edits(old, [canonical_json(item) for item in value], 0)):
        paired = end - start == last - first
        for place in range(end - 1, start - 1, -1):
            if not (paired and _entered(node[place], value[first + place - start])):
                del node[place]
                if paired:
                    node.insert(place, prepared(value[first + place - start]))
        if not paired:
            for offset in range(last - first):
                node.insert(start + offset, prepared(value[first + offset]))


def _entered(node: Any, value: Any) -> bool:
    """Bring what stands there to `value` from the inside, if both are objects or both arrays or they are equal."""
    lib = library()
    if isinstance(node, lib.Map) and isinstance(value, dict):
        write_object(node, value)
        return True
    if isinstance(node, lib.Array) and isinstance(value, list):
        write_array(node, value)
        return True
    return not isinstance(node, (lib.Map, lib.Array)) and same(check("json", [node])[0], value)
