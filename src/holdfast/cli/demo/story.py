"""The story of the demo: load, fetch, go offline, write, meet with accidents, come back, agree, prove it."""

from __future__ import annotations

import json
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from holdfast.auth.development import DevelopmentTokens
from holdfast.cli.demo import device as device_process
from holdfast.cli.demo import plain_writer_path
from holdfast.cli.demo.display import Display
from holdfast.cli.demo.processes import Child, uninterrupted
from holdfast.cli.demo.proof import Proof, prove
from holdfast.cli.demo.record import DeviceRecord
from holdfast.cli.demo.world import OFFICE, Device, World
from holdfast.cli.terminal import number, size
from holdfast.errors import HoldfastError

AT_ONCE = 8
"""Devices that sync at the same time."""
MOST_ROUNDS = 6
OLDEST_SQLITE = (3, 38)


class Story:
    """One run in `folder`. `play` tells it; `close` ends every process, whatever happened."""

    def __init__(self, world: World, folder: Path, display: Display) -> None:
        self._world = world
        self._folder = folder
        self._display = display
        self._secret = secrets.token_urlsafe(32)
        self._tokens = DevelopmentTokens(self._secret)
        self._hub: Child | None = None
        self._url = ""
        self._children: dict[str, Child] = {}
        self.records = {device.name: DeviceRecord(device.name) for device in world.devices}
        names = [device.name for device in world.devices if device.name != OFFICE]
        self._plain_note = ""
        # The last ones, so that they come back after the others have written: there is something to merge.
        self._plain, self._cut, self._torn = names[0], names[-2], names[-1]

    def play(self) -> Proof:
        """The whole story. Raises when a part of it cannot be told, such as `demo_process`."""
        self._begin()
        self._go_offline()
        self._come_back()
        self._show()
        return self._prove()

    def close(self) -> None:
        """End every process; idempotent."""
        everyone = [*self._children.values(), *([self._hub] if self._hub is not None else [])]
        for child in everyone:
            child.dismiss()
        for child in everyone:
            child.stop()

    def _begin(self) -> None:
        show, world = self._display, self._world
        show.chapter("A hub, and an office that has everything")
        with show.working("Hub started: SQLite, a process of its own") as notes:
            self._start_hub()
            notes.append(self._url)
        office = world.devices[0]
        with show.working(f"The office inserted {number(world.rows, 'row')} with SQL"):
            self._start_device(office)
            for fill in world.fill:
                self._children[OFFICE].ask("fill", sql=fill.sql, rows=fill.rows)
        with show.working("and synced them with the hub") as notes:
            report = self._sync(office)
            self._must_not_refuse(report)
            notes.append(f"{size(report['bytes_sent'])} sent")
        others = world.devices[1:]
        show.chapter(f"{number(len(others), 'device')} fetch their spaces")
        with show.working("Each in a process of its own, with a file of its own") as notes:
            self._each(others, self._start_device)
            pulled = sum(report["pulled"] for report in self._each(others, self._sync))
            notes.append(number(pulled, "row"))

    def _go_offline(self) -> None:
        show, world = self._display, self._world
        show.chapter("No network, a day of work")
        self._running_hub().kill()
        show.accident("The hub is killed (SIGKILL)", f"process {self._running_hub().pid}")
        offline = world.devices[-1]
        try:
            self._sync(offline)
        except HoldfastError as error:
            show.accident(f"{offline.name} tries to sync: {error.code} error", "work goes on")
        with show.working("All of them write, with plain SQL") as notes:
            for name, changes in zip(self.records, self._each(world.devices, self._write), strict=True):
                self.records[name].changes = changes
            waiting = self._each(world.devices, lambda device: self._children[device.name].ask("waiting"))
            for record, found in zip(self.records.values(), waiting, strict=True):
                record.pending = found["transactions"]
                record.changes = record.changes or found["changes"]
            notes.append(number(sum(found["changes"] for found in waiting), "changed row"))
        show.said(f"and all of them the same rows: {world.shared}")
        if self._writes_plainly(self._plain):
            show.said(f"{self._plain}'s file was written by a program that knows only sqlite3", self._plain_note)
        else:
            show.accident(f"sqlite3 has SQLite {sqlite3.sqlite_version} here, 3.38 is needed", "Holdfast wrote for it")

    def _come_back(self) -> None:
        show, world = self._display, self._world
        show.chapter("The network returns, with accidents")
        with show.working("Hub started again") as notes:
            self._start_hub()
            notes.append(self._url)
        unlucky = (self._cut, self._torn)
        lucky = [device for device in world.devices if device.name not in unlucky]
        with show.working(f"{number(len(lucky), 'device')} sync"):
            self._each(lucky, self._record_sync)
        by_name = {device.name: device for device in world.devices}
        for name, point in ((self._cut, device_process.SENT), (self._torn, device_process.APPLYING)):
            self._kill_in_sync(by_name[name], point)
        rounds = 0
        with show.working("All sync until nothing moves any more") as notes:
            moved = True
            while moved and rounds < MOST_ROUNDS:
                rounds += 1
                reports = self._each(world.devices, self._record_sync)
                moved = any(report["pushed"] or report["pulled"] for report in reports)
            notes.append(number(rounds, "round"))

    def _kill_in_sync(self, device: Device, point: str) -> None:
        """Kill a device at a point of its sync, start it again on the same file, and see that nothing is lost."""
        child = self._children[device.name]
        before = child.ask("waiting")
        child.tell("sync", url=self._url, accident=point)
        answer = child.answer()
        if answer.get("at") != point:
            raise HoldfastError("demo_process", f"{device.name} did not reach the point '{point}' of its sync")
        child.kill()
        self._display.accident(f"{device.name} is killed (SIGKILL) in its sync", point)
        self._start_device(device)
        after = self._children[device.name].ask("waiting")
        if after != before:
            raise HoldfastError("demo_process", f"{device.name} had {before} before it was killed, and {after} after")
        with closing(sqlite3.connect(self._file(device.name))) as db:
            sound = db.execute("PRAGMA integrity_check").fetchone()[0]
        if sound != "ok":
            raise HoldfastError("demo_process", f"the file of {device.name} is damaged: {sound}")
        self.records[device.name].fate = "killed: " + (
            "answer lost" if point == device_process.SENT else "while applying"
        )
        self._display.said(
            f"{device.name} starts again: {number(after['transactions'], 'transaction')} wait, as before"
        )

    def _show(self) -> None:
        self._display.chapter("What happened")
        records = list(self.records.values())
        self._display.devices(records)
        self._display.conflicts(records)
        for record in records:
            for refusal in record.refused:
                self._display.failed(f"{record.name}: refused, {refusal['code']}: {refusal['message']}")

    def _prove(self) -> Proof:
        self._display.chapter("The proof")
        digests = dict(zip(self.records, self._each(self._world.devices, self._digests), strict=True))
        self.close()
        copies = {device.name: (self._file(device.name), set(device.spaces)) for device in self._world.devices}
        proof = prove(self._world.schema, self._folder / "hub.db", copies, digests, self._world.expected)
        for record in self.records.values():
            if record.pushed != record.pending:
                text = f"{record.name}: {record.pending} transactions waited, the hub took {record.pushed}"
                proof.differences.append(text)
        self._display.proof(proof)
        return proof

    def _start_hub(self) -> None:
        """A hub process; its port is a free one."""
        file = str(self._folder / "hub.db")
        arguments = ("-m", "holdfast.cli.demo.hub", self._world.schema_module, file)
        environment = {"HOLDFAST_SECRET": self._secret}
        with uninterrupted():
            self._hub = Child("the hub", self._folder / "hub.log", *arguments, environment=environment)
        self._url = f"http://127.0.0.1:{self._hub.answer()['port']}"

    def _running_hub(self) -> Child:
        if self._hub is None:
            raise HoldfastError("demo_process", "the hub was not started")
        return self._hub

    def _start_device(self, device: Device) -> None:
        token = self._tokens.token(device.name, device.spaces)
        arguments = ("-m", "holdfast.cli.demo.device", self._world.schema_module, str(self._file(device.name)), token)
        with uninterrupted():
            child = Child(device.name, self._folder / f"{device.name}.log", *arguments)
            self._children[device.name] = child
        child.answer()

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.db"

    def _each(self, devices: Iterable[Device], do: Callable[[Device], Any]) -> list[Any]:
        """Do it for all devices, some at a time; their results in order. Raises what the first failing one raised."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                return list(pool.map(do, devices))
            except BaseException:
                # The other threads wait for answers; without this they would hold up Ctrl-C.
                for child in list(self._children.values()):
                    child.kill()
                raise

    def _sync(self, device: Device) -> dict[str, Any]:
        return self._children[device.name].ask("sync", url=self._url)

    def _record_sync(self, device: Device) -> dict[str, Any]:
        report = self._sync(device)
        self.records[device.name].synced(report)
        return report

    def _digests(self, device: Device) -> dict[str, Any]:
        return self._children[device.name].ask("digests")

    def _must_not_refuse(self, report: dict[str, Any]) -> None:
        for refusal in report["refused"]:
            raise HoldfastError(refusal["code"], f"the hub refused the first rows: {refusal['message']}")

    def _write(self, device: Device) -> int:
        """Write a device's edits. The rows changed if another program did it, else 0: the device counts itself."""
        if self._writes_plainly(device.name):
            return self._write_plainly(device)
        self._children[device.name].ask("edit", edits=device.edits)
        return 0

    def _writes_plainly(self, name: str) -> bool:
        return name == self._plain and sqlite3.sqlite_version_info >= OLDEST_SQLITE

    def _write_plainly(self, device: Device) -> int:
        edits = json.dumps([edit.statements for edit in device.edits])
        # -I: it sees nothing but the standard library's own path, so nothing of ours.
        command = [sys.executable, "-I", str(plain_writer_path()), str(self._file(device.name))]
        done = subprocess.run(command, input=edits, capture_output=True, text=True, check=False)
        if done.returncode:
            raise HoldfastError("demo_process", f"the sqlite3 program failed: {done.stderr.strip().splitlines()[-1]}")
        told = json.loads(done.stdout)
        self._plain_note = f"SQLite {told['sqlite']}"
        self.records[device.name].fate = "written with sqlite3"
        return int(told["changes"])
