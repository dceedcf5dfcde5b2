"""What completing costs: a 256 px picture with a 77 px hole, from the bytes of its PNG file to the pasted array, beside the
described network's eager float32 pass in torch, in turns; a folder of such pictures, files to files; and photographs of 1, 4,
12, 24 and 100 megapixels with three holes of 1% each, array to array, the occlusion found, each size in a process of its own
for its peak memory, and 24 beside 1 in turns.

python benchmarks/completion.py [ROUNDS]; 7 by default, OMP_NUM_THREADS threads, 2 by default. The last line is one JSON object:
median seconds, their ratios, and peak memory in MiB with the interpreter and the libraries.
"""

import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
from PIL import Image

from pixelrnn import Completer
from pixelrnn.data.synthetic import render_bedroom
from pixelrnn.decode import read_picture
from pixelrnn.encode import write_image
from pixelrnn.image import resize

MEGAPIXELS = (1, 4, 12, 24, 100)
SIDE, HOLE = 256, (90, 90, 77, 77)
FOLDER = 32  # pictures


def photograph(megapixels: float) -> np.ndarray:
    """A rendered room, brought to its size, grainy as from a sensor, with three black squares of 1% of its pixels each."""
    rng = np.random.default_rng(302)
    room = render_bedroom(rng, 256)[:192]
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    picture, side = resize(room, height * 4 // 3, height).copy(), round((megapixels * 1e4) ** 0.5)
    for top in range(0, height, 256):  # in strips, so that the peak is that of completing
        strip = picture[top : top + 256]
        strip[:] = np.clip(strip + rng.normal(0, 4, strip.shape).astype(np.float32), 1, 255)
    for y, x in ((0.2, 0.15), (0.55, 0.45), (0.3, 0.75)):
        top, left = int(y * height), int(x * height * 4 / 3)
        picture[top : top + side, left : left + side] = 0
    return picture


def in_turns(rounds: int, *calls: Callable[[], object]) -> list[float]:
    """Median seconds of each call, the first round, which chooses kernels, left out."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds + 1):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [round(statistics.median(taken[1:]), 4) for taken in times]


def peak_mib() -> int:
    """Of this process; getrusage would count what the one before had that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measure(megapixels: float, rounds: int) -> dict[str, float]:
    """Of one size, in this process."""
    completer, picture = Completer.from_pretrained(), photograph(megapixels)
    [seconds] = in_turns(rounds, lambda: completer(picture))
    return {"seconds": seconds, "peak_mib": peak_mib(), "missing": float(completer.detect(picture).tinted.mean())}


def beside_the_smallest(megapixels: float, rounds: int) -> dict[str, float]:
    """Of one size and of 1 megapixel in turns, which is fair where other work comes and goes."""
    completer, small, large = Completer.from_pretrained(), photograph(1), photograph(megapixels)
    one, other = in_turns(rounds, lambda: completer(small), lambda: completer(large))
    return {"seconds": other, "1 megapixel": one, "ratio": round(other / one, 2)}


def one_picture(rounds: int) -> dict[str, float]:
    """Decoding and pasting included, beside the described network's pass."""
    import torch

    from pixelrnn import create_model

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    completer, network, image = Completer.from_pretrained(), create_model("baseline").eval(), torch.rand(1, 3, SIDE, SIDE)
    file = io.BytesIO()
    room = render_bedroom(np.random.default_rng(305), SIDE).copy()
    x, y, width, height = HOLE
    room[y : y + height, x : x + width] = 0
    Image.fromarray(room).save(file, "PNG")

    def complete(given: tuple[int, int, int, int] | None) -> None:
        completer(read_picture(io.BytesIO(file.getvalue())), given)

    def forward() -> None:
        with torch.inference_mode():
            network(image)

    ours, blind, theirs = in_turns(3 * rounds, lambda: complete(HOLE), lambda: complete(None), forward)
    return {"seconds": ours, "blind": blind, "baseline": theirs, "ratio": round(ours / theirs, 4)}


def folder(rounds: int) -> dict[str, float]:
    """A second, of pictures whose occlusion is found, from file to file."""
    completer, rooms = Completer.from_pretrained(), [render_bedroom(np.random.default_rng(i), SIDE) for i in range(4)]
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place) / f"{i}.png" for i in range(FOLDER)]
        for i, path in enumerate(files):
            room = rooms[i % len(rooms)].copy()
            room[5 * i : 5 * i + 77, 50 : 50 + 77] = 0
            write_image(path, room)

        def complete() -> None:
            for path in files:
                picture = read_picture(path)
                result = completer(picture)
                write_image(path.with_suffix(".out.png"), result.image, picture, result.mask)

        [seconds] = in_turns(max(1, rounds // 3), complete)
    return {"pictures": FOLDER, "pictures_per_second": round(FOLDER / seconds, 2)}


def apart(*words: object) -> dict[str, float]:
    """A measurement in a process of its own."""
    command = [sys.executable, __file__, *map(str, words)]
    told: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return told


MEASURES: dict[str, Callable[[float, int], dict[str, float]]] = {"--alone": measure, "--beside": beside_the_smallest}


def main(rounds: int) -> None:
    figures: dict[str, object] = {"threads": int(os.environ["OMP_NUM_THREADS"]), "rounds": rounds}

    def tell(name: str, found: dict[str, float]) -> None:
        figures[name] = found
        print(f"{name:28s}", found, flush=True)

    tell(f"{SIDE} px, {HOLE[2]} px hole", one_picture(rounds))
    tell(f"a folder of {SIDE} px", folder(rounds))
    for size in MEGAPIXELS:
        tell(f"{size} megapixels", apart("--alone", size, max(1, rounds // 3) if size > 24 else rounds))
    tell("24 megapixels beside 1", apart("--beside", 24, rounds))
    print(json.dumps(figures))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(MEASURES[sys.argv[1]](float(sys.argv[2]), int(sys.argv[3]))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
