"""Documentation is executed: every ```python, ```sh, ```bash and ```console block of README.md and docs/.

Each page runs in an empty folder of its own, as one program: its Python blocks share one namespace in their order,
shell blocks run between them with `bash -eu` and with this environment's programs first on the PATH. In a console
block the lines behind `$ ` run. What a block starts in the background lives until the page ends. Ports are exchanged
for free ones (`checks.ports`).

Marks, on the line above a block: `<!-- not run: reason -->`, and `<!-- file: hub.py -->`, which saves the block under
that name. `python -m checks.documents --quickstart` prints the README's quickstart; with PAGE.md it runs one page.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from checks import tree
from checks.markdown import Block, blocks, section

SHELL = ("sh", "bash", "console")
RUN = ("python", *SHELL)
SECONDS = 180


def find() -> list[str]:
    """Pages with a failing block, marks without a reason, and a README without quickstart."""
    findings = [] if quickstart() else ["README.md: no ```python block under a heading '## Quickstart'"]
    with ThreadPoolExecutor(max_workers=2) as pool:  # two pages at once: they mostly wait for what they started
        for found in pool.map(run, pages()):
            findings += found
    return findings


def pages() -> list[Path]:
    """README.md, and every page under docs/ that has something to run."""
    others = tree.files(".md", under="docs")
    return [tree.ROOT / "README.md", *(page for page in others if runnable(page.read_text(encoding="utf-8")))]


def runnable(text: str) -> list[Block]:
    """The blocks of a page that are run or saved."""
    return [block for block in blocks(text) if block.file or (block.language in RUN and block.not_run is None)]


def quickstart() -> str | None:
    """The first Python block under `## Quickstart` of the README."""
    found = section((tree.ROOT / "README.md").read_text(encoding="utf-8"), "Quickstart")
    return next((block.text for block in found if block.language == "python"), None)


def unexplained(page: Path) -> list[str]:
    """Blocks that are not run, without saying why."""
    found = blocks(page.read_text(encoding="utf-8"))
    return [f"{tree.short(page)}:{block.line}: 'not run' needs a reason" for block in found if block.not_run == ""]


def run(page: Path) -> list[str]:
    """Run one page in an empty folder; its last lines of output when it fails or takes longer than SECONDS."""
    findings = unexplained(page)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        binaries = str(Path(sys.executable).parent)
        environment = os.environ | {
            "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": str(tree.ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        # Its own process group, so that nothing it started outlives it; a file, since a background server that held a
        # pipe open would make us wait for ever.
        program = subprocess.Popen(
            [sys.executable, "-P", "-m", "checks.page", str(page)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = program.wait(timeout=SECONDS)
            problem = f"ended with {code}" if code else ""
        except subprocess.TimeoutExpired:
            problem = f"did not end in {SECONDS} s"
        finally:
            if program.poll() is None:
                program.kill()
                program.wait()
            end_group(program.pid)
        if problem:
            output.seek(0)
            last = output.read().strip().splitlines()[-30:]
            findings += [f"{tree.short(page)}: {problem}", *(f"    {line}" for line in last + logs(Path(folder)))]
    return findings


def logs(folder: Path) -> list[str]:
    """The last lines of the logs that a page left, each behind its name: why a hub of the page did not start."""
    return [
        f"{log.name}: {line}"
        for log in sorted(folder.glob("*.log"))
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]
    ]


def end_group(group: int) -> None:
    """Kill whatever is left of a process group, and wait until it is gone, so that the next page finds its ports free.

    The wait is bounded: where nobody collects orphans (some containers), a dead process stays listed for ever.
    """
    end = time.monotonic() + 2
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
        while time.monotonic() < end:
            time.sleep(0.01)
            os.killpg(group, 0)


def main(arguments: list[str]) -> int:
    """Print the quickstart, or run the pages named; the exit code."""
    if arguments == ["--quickstart"]:
        text = quickstart()
        print(text or "", end="")
        return 0 if text else 1
    findings = [line for name in arguments for line in run(Path(name).resolve())]
    print("\n".join(findings), end="\n" if findings else "")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
