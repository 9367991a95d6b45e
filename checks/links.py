"""Links in Markdown lead somewhere: the file exists, and so does the heading behind `#`.

Web addresses are not fetched.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from checks import tree
from checks.markdown import Block, blocks, headings

LINK = re.compile(
    r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE
)
CODE_SPAN = re.compile(r"(`+)(?:(?!\1).)+?\1", re.DOTALL)
WEB = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def find() -> list[str]:
    """Links to files or headings that do not exist."""
    return [finding for page in tree.files(".md") for finding in _of(page)]


def _of(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    findings = []
    for target in targets(text):
        if WEB.match(target):
            continue
        name, _, anchor = unquote(target).partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.is_relative_to(tree.ROOT):
            findings.append(f"{tree.short(page)}: link '{target}' leaves the repository")
        elif not path.exists():
            findings.append(f"{tree.short(page)}: link '{target}' leads to no file")
        elif anchor and path.suffix == ".md" and anchor not in anchors(path.read_text(encoding="utf-8")):
            findings.append(f"{tree.short(page)}: link '{target}' leads to no heading")
    return findings


def targets(text: str) -> list[str]:
    """Where the links of a page lead, code left out."""
    prose = CODE_SPAN.sub("", without(text, blocks(text)))
    return [inline or reference for inline, reference in LINK.findall(prose)]


def without(text: str, found: list[Block]) -> str:
    """The page without its code blocks."""
    lines = text.splitlines()
    for block in found:
        for number in range(block.line - 1, block.end):
            lines[number] = ""
    return "\n".join(lines)


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to a page's headings, and those set by hand (`<a id="x">`)."""
    result: set[str] = set(re.findall(r"<a\s+(?:id|name)=\"([^\"]+)\"", text))
    for heading in headings(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.title).replace("`", "").strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        count, unique = 0, slug
        while unique in result:
            count += 1
            unique = f"{slug}-{count}"
        result.add(unique)
    return result
