"""Objects out of a Python file that a command names: FILE or FILE:name."""

from __future__ import annotations

import importlib.util
import linecache
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.schema.model import Schema


def split(target: str) -> tuple[Path, str]:
    """The file and the name ("" without one) of `FILE[:name]`. A file whose own name has a colon wins."""
    file, colon, name = target.rpartition(":")
    if colon and name.isidentifier() and not Path(target).exists():
        return Path(file), name
    return Path(target), ""


def load(target: str, usual: tuple[str, ...]) -> tuple[str, Any]:
    """The object that `FILE[:name]` names, with the name it was found under; without a name the first of `usual`.

    Raises `file_missing`, `file_fails`, `name_missing`.
    """
    path, name = split(target)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise HoldfastError("file_missing", f"{path} {what}; a Python file is needed", file=str(path))
    module = _run(path)
    for candidate in (name,) if name else usual:
        if hasattr(module, candidate):
            return candidate, getattr(module, candidate)
    wanted = f"no {name!r}" if name else f"neither {' nor '.join(repr(word) for word in usual)}"
    wanted = f"no {usual[0]!r}" if not name and len(usual) == 1 else wanted
    raise HoldfastError("name_missing", f"{path} defines {wanted}", file=str(path), name=name or list(usual))


def load_schema(target: str) -> Schema:
    """The `hf.Schema` that `FILE[:name]` names; without a name `schema`. Raises what `load` raises."""
    name, found = load(target, ("schema",))
    if not isinstance(found, Schema):
        kind = type(found).__name__
        raise HoldfastError("name_missing", f"{name!r} in {split(target)[0]} is a {kind} and not an hf.Schema")
    return found


def _run(path: Path) -> ModuleType:
    """The module of a file. Its folder is searched for what it imports, as with `python FILE`."""
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = path.stem if path.stem.isidentifier() and path.stem not in sys.modules else f"_holdfast_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise HoldfastError("file_fails", f"{path} is not a Python file; its name must end with .py", file=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise HoldfastError("file_fails", _where(path, error), file=str(path)) from error
    return module


def _where(path: Path, error: BaseException) -> str:
    """The error of a user's file as one line: where, what, and the source line."""
    if isinstance(error, SystemExit):
        return f"{path} ended the program: {error.code}"
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    if line is None:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve() == path.resolve()]
        line = frames[-1].lineno if frames else None
    what = error.msg if isinstance(error, SyntaxError) else str(error)
    source = linecache.getline(str(path), line).strip() if line else ""
    place = f"{path}:{line}" if line else str(path)
    return f"{place}: {type(error).__name__}: {what}" + (f"   {source}" if source else "")
