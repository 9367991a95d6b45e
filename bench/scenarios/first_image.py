"""The first load of an empty device as a file, beside the pages of the same rows: real HTTP, hub and device in
processes of their own. The hub has made the file before, for an earlier device.
"""

from __future__ import annotations

import os

from bench import tasks, with_images
from bench.device_process import sync_in_process
from bench.hub_process import hub_process
from bench.loopback import loopback_seconds
from bench.measure import Bar, Figure, Scenario, Settings
from bench.seeded import KINDS, seeded
from bench.stored import stored_hub
from bench.task_device import TaskDevice

ROWS = 100_000
MIB = 1024 * 1024


def run(settings: Settings) -> list[Figure]:
    """Form rows: seconds, bytes and memory, beside pages, network and disk; and how long the making takes."""
    count = settings.sized(ROWS, least=10_000)
    store, folder = stored_hub(settings.folder, count).store, settings.folder / "forms-images"
    os.environ[with_images.FOLDER] = str(folder)
    with hub_process(store, model=with_images) as hub:
        sync_in_process(settings.folder / "wishes.db", hub.url, "ben")
        made = with_images.seconds_until_made(folder)
        (image,) = folder.glob("*.zst")
        files = [sync_in_process(settings.folder / f"file{n}.db", hub.url, "ben") for n in range(settings.runs)]
    with hub_process(store) as hub:
        pages = [sync_in_process(settings.folder / f"pages{n}.db", hub.url, "ben") for n in range(settings.runs)]
    if any(told["pulled"] != count for told in (*files, *pages)):
        raise RuntimeError(f"{files} {pages}")
    took, size = [told["seconds"] for told in files], [float(told["received"]) for told in files]
    limit = [with_images.copy_seconds(settings.folder, image) for _ in files]
    network = [loopback_seconds(int(told["received"])) for told in files]
    by_pages = [told["seconds"] for told in pages]
    name = f"first load of {count:,} rows as a file"
    bars = (Bar("at most", 0.25),)
    return [
        Figure(name, "s", took, "the unpacked bytes to a file, durably", limit, bars),
        Figure(f"{name}, beside pages", "s", took, "the same rows by pages", by_pages),
        Figure(f"{name}, beside the network", "s", took, "the same bytes over loopback HTTP", network),
        Figure(
            "bytes received", "bytes", size, "by pages", [float(t["received"]) for t in pages], (Bar("at most", 16e6),)
        ),
        Figure("peak memory of the device", "MiB", [t["peak"] / MIB for t in files], "by pages",
               [t["peak"] / MIB for t in pages], (Bar("at most", 100),)),
        Figure("processor time of the device", "s", [t["cpu"] for t in files], "by pages", [t["cpu"] for t in pages]),
        Figure("until the hub had made the file", "s", [made]),
    ]  # fmt: skip


def run_tasks(settings: Settings) -> list[Figure]:
    """Tasks: milliseconds until they can be asked for."""
    figures = []
    for kind in KINDS:
        count = settings.sized(ROWS, least=10_000)
        folder = settings.folder / f"tasks-images-{kind}"
        os.environ[with_images.FOLDER] = str(folder)
        took, received, limit = [], [], []
        with (
            seeded(settings.folder, kind, tasks.Shape(count)) as store,
            hub_process(store.copy(), model=with_images) as hub,
        ):
            with TaskDevice(settings.folder / f"wishes-{kind}.db", hub.url) as first:
                first.tell("sync")
            with_images.seconds_until_made(folder)
            (image,) = folder.glob("*.zst")
            for number in range(settings.runs):
                with TaskDevice(settings.folder / f"tasks-file-{kind}-{number}.db", hub.url) as device:
                    told = device.tell("sync")
                if told["tasks"] != count:
                    raise RuntimeError(f"{told} instead of {count} tasks")
                took.append(float(told["ms"]))
                received.append(float(told["received"]))
                limit.append(with_images.copy_seconds(settings.folder, image) * 1000)
        name = f"{count:,} tasks as a file, hub on {kind}"
        disk = "the unpacked bytes to a file, durably"
        figures += [
            Figure(name, "ms", took, disk, limit, (Bar("at most", 300),)),
            Figure(f"{name}: bytes received", "bytes", received),
        ]
    return figures


SCENARIO = Scenario("first-image", "first load of 100,000 rows as a file", run)
TASKS = Scenario("tasks-image", "tasks: an empty device loads a project as a file", run_tasks)
