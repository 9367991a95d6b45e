"""Which space a row lives in: a template over its columns, such as `project:{project_id}`, or its parent's space."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.kernel import values

USER = "@user"
NAME_LIMIT = 200
_PLACEHOLDER = re.compile(r"\{(@user|[a-z_][a-z0-9_]*)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class SpaceRule:
    """The template of a space name: literal text, `{column}` and `{@user}`.

    Two different rows never get one name by accident: a value that contains the literal text between its placeholder
    and the next one is refused. Raises `HoldfastError` `schema_invalid` for a bad template.
    """

    template: str

    def __post_init__(self) -> None:
        if not isinstance(self.template, str):
            raise _bad(self.template, "it must be text")
        if not self.template or len(self.template) > NAME_LIMIT:
            raise _bad(self.template, f"it must have 1 to {NAME_LIMIT} characters")
        rest = _PLACEHOLDER.sub("", self.template)
        if "{" in rest or "}" in rest:
            raise _bad(self.template, "braces enclose one column name, or @user")
        if _CONTROL.search(rest):
            raise _bad(self.template, "control characters are not allowed")
        if "}{" in self.template:
            raise _bad(self.template, "put some text, such as ':', between two placeholders")

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """literal, name, literal, name, ..., literal"""
        return tuple(_PLACEHOLDER.split(self.template))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that the name is made of, each once."""
        return tuple(dict.fromkeys(name for name in self.parts[1::2] if name != USER))

    @property
    def per_user(self) -> bool:
        """Whether the name depends on the user who writes."""
        return USER in self.parts[1::2]

    def name_for(self, row: Mapping[str, Any], user: str) -> str:
        """The name of the space for the wire values of a row (at least `columns`) and a user.

        Raises `values.InvalidValue` `space_invalid` when the values do not give a usable name.
        """
        parts = list(self.parts)
        last = len(parts) - 2
        for index in range(1, len(parts), 2):
            name = parts[index]
            text = user if name == USER else _text(row[name])
            following = self.parts[index + 1]
            if index < last and following in text:
                message = f"{name} is {text!r}, but {following!r} separates the parts of the space name"
                raise values.InvalidValue("space_invalid", message)
            parts[index] = text
        space = "".join(parts)
        if len(space) > NAME_LIMIT or not space or _CONTROL.search(space):
            message = (
                f"the space name {space!r} must have 1 to {NAME_LIMIT} characters, none of them a control character"
            )
            raise values.InvalidValue("space_invalid", message)
        return space

    def may_name(self, space: str) -> bool:
        """Whether the template gives this name for some row and user."""
        pattern = ".+".join(re.escape(literal) for literal in self.parts[::2])
        return re.fullmatch(pattern, space, re.DOTALL) is not None

    def may_meet(self, other: SpaceRule) -> bool:
        """Whether both templates may give one name; sometimes True where no rows do so."""
        for one, another in ((self, other), (other, self)):
            if len(one.parts) == 1:
                return another.may_name(one.template)
        (first, last), (start, end) = (self.parts[0], self.parts[-1]), (other.parts[0], other.parts[-1])
        begin = first.startswith(start) or start.startswith(first)
        return begin and (last.endswith(end) or end.endswith(last))

    def to_json(self) -> Any:
        """JSON form."""
        return self.template


@dataclass(frozen=True)
class Via:
    """The row lives where the row lives that its foreign key `columns` names.

    `root` is the template for rows whose foreign key is NULL, None where it never is.
    """

    columns: tuple[str, ...]
    root: SpaceRule | None = None

    def to_json(self) -> Any:
        """JSON form; without a root the member is left out."""
        form: dict[str, Any] = {"via": list(self.columns)}
        return form if self.root is None else {**form, "root": self.root.template}


def via(*columns: str, root: str | None = None) -> Via:
    """`space=hf.via("submission_id")`: a row lives in the space of the row that this foreign key names, and moves with
    it.

    `root` is a template for rows whose foreign key is NULL, such as the top of a tree:
    `hf.via("parent_id", root="project:{project_id}")`. Raises `HoldfastError` `schema_invalid`.
    """
    if not columns or not all(isinstance(name, str) for name in columns):
        raise HoldfastError("schema_invalid", 'via() needs the names of foreign key columns: hf.via("submission_id")')
    return Via(tuple(columns), None if root is None else SpaceRule(root))


def rule_from_json(form: Any) -> SpaceRule | Via:
    """The rule of a JSON form."""
    if isinstance(form, Mapping):
        return via(*form["via"], root=form.get("root"))
    return SpaceRule(form)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is True or value is False:
        return "true" if value else "false"
    return str(value)


def _bad(template: object, remedy: str) -> HoldfastError:
    return HoldfastError("schema_invalid", f"space template {template!r}: {remedy}", space=template)
