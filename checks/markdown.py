"""The little of Markdown that the checks read: fenced code blocks with their marks, and headings."""

from __future__ import annotations

import re
from typing import NamedTuple

FENCE = re.compile(r"^(?P<indent> {0,3})(?P<fence>`{3,}|~{3,})\s*(?P<language>[^\s`{]*)(?P<more>[^`]*)$")
MARK = re.compile(r"^\s*<!--\s*(?P<what>not run|file):\s*(?P<value>.*?)\s*-->\s*$")
HEADING = re.compile(r"^(?P<level>#{1,6})\s+(?P<title>.*?)\s*#*\s*$")


class Block(NamedTuple):
    """One fenced block. `line` is that of the opening fence, `end` that of the closing one, both from 1."""

    language: str
    text: str
    line: int
    end: int
    not_run: str | None  # the reason, when the line above says `<!-- not run: reason -->`
    file: str | None  # the name, when the line above says `<!-- file: server.py -->`: saved instead of run


class Heading(NamedTuple):
    """One heading; `line` from 1."""

    level: int
    title: str
    line: int


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page in order. An unclosed fence ends with the page, as Markdown has it."""
    lines = text.splitlines()
    found: list[Block] = []
    number = 0
    while number < len(lines):
        opening = FENCE.match(lines[number])
        if not opening:
            number += 1
            continue
        end = _closing(lines, number + 1, opening["fence"])
        indent = len(opening["indent"])
        body = [line[min(indent, len(line) - len(line.lstrip(" "))) :] for line in lines[number + 1 : end]]
        marks = _marks(lines, number)
        found.append(
            Block(
                opening["language"].lower(),
                "".join(f"{line}\n" for line in body),
                number + 1,
                min(end + 1, len(lines)),
                marks.get("not run"),
                marks.get("file"),
            )
        )
        number = end + 1
    return found


def headings(text: str) -> list[Heading]:
    """All `#` headings of a page outside of code blocks."""
    inside = {number for block in blocks(text) for number in range(block.line, block.end + 1)}
    return [
        Heading(len(match["level"]), match["title"], number)
        for number, line in enumerate(text.splitlines(), start=1)
        if number not in inside and (match := HEADING.match(line))
    ]


def section(text: str, title: str) -> list[Block]:
    """The blocks under the first heading with this title, up to the next of its level or above; [] without it."""
    found = headings(text)
    for index, heading in enumerate(found):
        if heading.title == title:
            after = [other.line for other in found[index + 1 :] if other.level <= heading.level]
            end = after[0] if after else len(text.splitlines()) + 1
            return [block for block in blocks(text) if heading.line < block.line < end]
    return []


def _closing(lines: list[str], start: int, fence: str) -> int:
    """The index of the line that closes a fence, or the number of lines."""
    for number in range(start, len(lines)):
        line = lines[number].strip()
        if len(line) >= len(fence) and set(line) == {fence[0]}:
            return number
    return len(lines)


def _marks(lines: list[str], opening: int) -> dict[str, str]:
    """The marks on the lines directly above a fence; blank lines between are allowed."""
    marks: dict[str, str] = {}
    for line in reversed(lines[:opening]):
        match = MARK.match(line)
        if match:
            marks[match["what"]] = match["value"]
        elif line.strip():
            break
    return marks
