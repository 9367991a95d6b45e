"""Arguments that several commands take."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

AsJson = Annotated[
    bool,
    Parameter(name="--json", negative="", show_default=False, help="Print one JSON document, for machines."),
]
SchemaFile = Annotated[
    str,
    Parameter(help="FILE or FILE:NAME. A Python file that defines `schema` (an hf.Schema), or that name."),
]
