"""The fixed SQL of the PostgreSQL store, by name."""

from __future__ import annotations

from importlib.resources import files


def read(text: str) -> dict[str, bytes]:
    """The statements of a `.sql` file in which each begins with `-- name: ...` and a line on its purpose."""
    queries = {}
    for part in text.split("-- name: ")[1:]:
        name, _, body = part.partition("\n")
        lines = [line for line in body.splitlines() if not line.startswith("--")]
        queries[name.strip()] = "\n".join(lines).strip().removesuffix(";").encode()
    return queries


QUERIES: dict[str, bytes] = read((files(__package__) / "queries.sql").read_text(encoding="utf-8"))
"""Name -> statement, from `queries.sql`. (Bytes: psycopg takes a text only when it is a literal in the source.)"""
