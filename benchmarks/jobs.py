"""Files a second of `pixelrnn complete` on a folder: one process with one thread and with two, two processes, and Ray Data with
two actors, the real command each time, its start included; the runs in turns, and the bytes that they write compared.

python benchmarks/jobs.py [PICTURES] [ROUNDS] [--without-ray]; 500 and 2 by default, 256 px JPEGs with a black square. The last
line is one JSON object: median files a second, with what starting takes, which is a run on one picture, and without; and
processor time a picture, of which other work on the machine takes less, but for Ray, whose processes are nobody's children.
"""

import filecmp
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pixelrnn.data.synthetic import render_bedroom

SIDE, ROOMS = 256, 8
WAYS: dict[str, tuple[dict[str, str], Sequence[str]]] = {  # name: environment, options
    "1 process, 1 thread": ({"OMP_NUM_THREADS": "1"}, ()),
    "1 process, 2 threads": ({"OMP_NUM_THREADS": "2"}, ()),
    "2 processes": ({}, ("--jobs", "2")),
    "Ray, 2 actors": ({}, ("--jobs", "2", "--engine", "ray")),
}


def make_pictures(folder: Path, count: int) -> None:
    """A few rendered rooms, shifted, each with a square somewhere."""
    folder.mkdir()
    rooms = [np.maximum(render_bedroom(np.random.default_rng(seed), SIDE), 2) for seed in range(ROOMS)]
    rng = np.random.default_rng(0)
    for number in range(count):
        picture = np.roll(rooms[number % ROOMS], int(rng.integers(SIDE)), axis=1)
        top, left = rng.integers(0, SIDE - 77, 2)
        picture[top : top + 77, left : left + 77] = 0
        Image.fromarray(picture).save(folder / f"bed_{number}.jpg", quality=95)


def seconds(source: Path, out: Path, environment: dict[str, str], words: Sequence[str]) -> tuple[float, float]:
    """By the clock, and of the processor."""

    def used() -> float:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime

    start, before = time.perf_counter(), used()
    command = [sys.executable, "-m", "pixelrnn", "complete", str(source), "-o", str(out), *words]
    subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start, used() - before


def main(count: int, rounds: int, ways: dict[str, tuple[dict[str, str], Sequence[str]]]) -> None:
    starts: dict[str, list[float]] = {name: [] for name in ways}
    runs: dict[str, list[float]] = {name: [] for name in ways}
    used: dict[str, list[float]] = {name: [] for name in ways}
    names = [f"bed_{number}.png" for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_pictures(place / "one", 1)
        make_pictures(place / "all", count)
        for turn in range(rounds):
            for number, (name, way) in enumerate(ways.items()):
                out = place / f"{turn}-{number}"
                starts[name].append(seconds(place / "one", out / "one", *way)[0])
                taken, processor = seconds(place / "all", out, *way)
                runs[name].append(taken)
                used[name].append(processor)
                print(f"{name:22s} {taken:7.1f} s, {starts[name][-1]:.1f} s of it to start", flush=True)
                same, other, lost = filecmp.cmpfiles(place / "0-0", out, names, shallow=False)
                assert len(same) == count, f"other bytes: {other}, not there: {lost}"
    figures: dict[str, Any] = {"pictures": count, "rounds": rounds}
    for name in ways:
        run, start = statistics.median(runs[name]), statistics.median(starts[name])
        figures[name] = {
            "files_a_second": round(count / run, 2),
            "without_start": round((count - 1) / (run - start), 2),
            "start_seconds": round(start, 1),
        }
        if "Ray" not in name:
            figures[name] |= {"processor_seconds_a_file": round(statistics.median(used[name]) / count, 3)}
    print(json.dumps(figures))


if __name__ == "__main__":
    given = [word for word in sys.argv[1:] if word != "--without-ray"]
    chosen = {name: way for name, way in WAYS.items() if "--without-ray" not in sys.argv or "Ray" not in name}
    main(int(given[0]) if given else 500, int(given[1]) if len(given) > 1 else 2, chosen)
