"""Runs the blocks of one page in the current folder, in order (started by checks.documents)."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

from checks.documents import SHELL, runnable
from checks.markdown import Block
from checks.ports import FreePorts


def run(page: Path) -> None:
    """Run or save every block that is not marked as illustration; raises what the first failing block raises."""
    # A true module named __main__: annotations, dataclasses and pickles look their names up there.
    main = types.ModuleType("__main__")
    main.__dict__["__file__"] = str(page)
    sys.modules["__main__"] = main
    sys.path.insert(0, str(Path.cwd()))
    ports = FreePorts()
    for block in runnable(page.read_text(encoding="utf-8")):
        block = block._replace(text=ports.exchange(block.text))
        if block.file:
            save(block.file, block.text)
        elif block.language in SHELL:
            _shell(block, page)
        else:
            # Empty lines in front, so that a traceback names the page's own line.
            exec(compile("\n" * block.line + block.text, str(page), "exec"), main.__dict__)


def save(name: str, text: str) -> None:
    """Write a block marked with `<!-- file: name -->`; raises ValueError for a name outside the folder."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"<!-- file: {name} -->: the name must stay inside the page's folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def commands(block: Block) -> str:
    """What bash gets: of a console block the lines behind `$ ` (with their continuation `> `), otherwise everything."""
    if block.language != "console":
        return block.text
    lines = block.text.splitlines()
    return "".join(f"{line[2:]}\n" for line in lines if line.startswith(("$ ", "> ")))


def _shell(block: Block, page: Path) -> None:
    sys.stdout.flush()
    try:
        subprocess.run(["bash", "-eu", "-c", commands(block)], check=True, stdin=subprocess.DEVNULL)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{page.name}:{block.line}: shell block ended with {error.returncode}")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
