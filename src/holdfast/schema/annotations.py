"""The annotations of a table class, resolved: texts become types, names around the class are found."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Mapping
from typing import Any, NoReturn

from holdfast.errors import HoldfastError
from holdfast.schema import meaning as meanings


def local_names(cls: type) -> dict[str, Any]:
    """Names around a class that is declared inside a function: those of the running functions of its module."""
    module = sys.modules.get(cls.__module__)
    found: dict[str, Any] = {}
    frame = inspect.currentframe()
    while frame is not None and module is not None:
        own = frame.f_globals is module.__dict__ and module.__name__ != __name__
        if own and frame.f_code.co_name == "<module>":
            break
        if own:
            found = {**frame.f_locals, **found}
        frame = frame.f_back
    return found


def resolve(cls: type, local_names: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of the class itself, with texts (`from __future__ import annotations`) turned into types."""
    module = sys.modules.get(cls.__module__)
    # Of what the class holds, only classes: a column that is named `bytes` or `datetime` does not hide the type.
    nested = {name: value for name, value in vars(cls).items() if isinstance(value, type)}
    names = {**(vars(module) if module else {}), **local_names, cls.__name__: cls, **nested}
    resolved = {}
    for name, annotation in inspect.get_annotations(cls).items():
        holder = type("Holder", (), {"__annotations__": {name: annotation}})
        try:
            resolved[name] = typing.get_type_hints(holder, names, names, include_extras=True)[name]
        except NameError as error:
            remedy = "import it, or declare it before the class"
            fail(cls, name, f"the annotation {annotation!r} names something unknown ({error}); {remedy}")
        except (TypeError, SyntaxError, AttributeError, ValueError) as error:
            remedy = f"use one of {meanings.SUPPORTED}"
            fail(cls, name, f"the annotation {annotation!r} cannot be read ({error}); {remedy}")
    return resolved


def is_class_variable(annotation: Any) -> bool:
    """Whether an annotation says that the name is no column."""
    return annotation is typing.ClassVar or typing.get_origin(annotation) is typing.ClassVar


def fail(cls: type, where: str | None, message: str) -> NoReturn:
    """Raise `schema_invalid` about a class, or one of its columns."""
    label = f"class {cls.__name__}" if where is None else f"class {cls.__name__}, column {where}"
    details = {"class": cls.__name__} if where is None else {"class": cls.__name__, "column": where}
    raise HoldfastError("schema_invalid", f"{label}: {message}", **details)
