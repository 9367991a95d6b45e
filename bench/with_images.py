"""The hubs of the form rows and of the tasks, with file images in the folder that the environment names."""

from __future__ import annotations

import os
import time
from pathlib import Path

import holdfast as hf
from bench import forms, tasks

FOLDER = "HOLDFAST_BENCH_IMAGES"
"""The variable that names the folder."""
PATIENCE = 300.0


def server(url: str) -> hf.Server:
    """The hub of whichever data the folder is named after."""
    folder = Path(os.environ[FOLDER])
    model = tasks if folder.name.startswith("tasks") else forms
    return model.server(url, hf.Images(folder))


def seconds_until_made(folder: Path) -> float:
    """Wait until the first image is there. Raises `TimeoutError`."""
    began = time.monotonic()
    while not list(folder.glob("*.json")):
        if time.monotonic() - began > PATIENCE:
            raise TimeoutError("no image was made")
        time.sleep(0.01)
    return time.monotonic() - began


def copy_seconds(folder: Path, image: Path) -> float:
    """The limit of the disk: the unpacked bytes of an image written to a file, durably, and nothing else."""
    import zstandard

    with image.open("rb") as packed, zstandard.ZstdDecompressor(max_window_size=2**25).stream_reader(packed) as reader:
        whole = reader.read()
    began = time.perf_counter()
    with (folder / "copy.bin").open("wb") as file:
        file.write(whole)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - began
