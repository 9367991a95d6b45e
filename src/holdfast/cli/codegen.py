"""`holdfast codegen`: the schema in the language of another client."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from holdfast.cli.failures import Exit
from holdfast.cli.loading import load_schema, split
from holdfast.cli.options import AsJson, SchemaFile
from holdfast.cli.terminal import Terminal, number
from holdfast.errors import HoldfastError
from holdfast.schema.emit import typescript

LANGUAGES = {"ts": typescript.module}
MADE = "// Made by `holdfast codegen "


def codegen(
    language: Literal["ts"],
    schema: SchemaFile,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=("--out", "-o"), show_default=False)] = None,
    check: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    as_json: AsJson = False,
) -> int:
    """Write the schema as TypeScript: rows, inserts, updates, keys, table names and spaces, for @holdfast/client.

    Example: holdfast codegen ts schema.py --out src/schema.ts

    Parameters
    ----------
    language
        ts, for TypeScript.
    schema
        FILE or FILE:NAME. A Python file that defines `schema` (an hf.Schema), or that name.
    out
        The file to write; without it the text goes to standard output. Only a file that was made so is overwritten.
    check
        Write nothing; end with 1 when the file is not what it would be made today.
    """
    terminal = Terminal(as_json=as_json)
    if check and out is None:
        raise HoldfastError("usage", "--check compares a file; name it with --out")
    found = load_schema(schema)
    text = LANGUAGES[language](found, split(schema)[0].name)
    if out is None:
        print(text, end="")
        return Exit.OK
    before = _read(out)
    if before is not None and not before.startswith(MADE):
        raise HoldfastError("file_exists", f"{out} was not made by codegen; nothing was written", files=[str(out)])
    if check and before != text:
        raise HoldfastError("codegen_stale", f"{out} is not what {schema} gives today", file=str(out))
    if before != text:
        _replace(out, text)
    if terminal.as_json:
        terminal.document({"file": str(out), "changed": before != text, "version": found.version, "hash": found.hash})
    else:
        state = "unchanged" if before == text else number(len(found.declared), "table")
        terminal.done(str(out), f"{state}, schema version {found.version}")
    return Exit.OK


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise HoldfastError("file_unusable", f"{path}: {error}", file=str(path)) from error


def _replace(path: Path, text: str) -> None:
    """Write the file whole or not at all: a build that runs meanwhile reads the old one or the new one."""
    written: Path | None = None
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
            written = Path(file.name)
            file.write(text)
        written.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        written.replace(path)
    except OSError as error:
        if written is not None:
            written.unlink(missing_ok=True)
        raise HoldfastError("file_unusable", f"{path}: {error.strerror}", file=str(path)) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
