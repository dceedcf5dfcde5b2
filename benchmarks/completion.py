"""What completing costs: a 256 px picture with a 77 px hole, array to array, and photographs of 1, 4, 12, 24 and 100 megapixels
with three holes of 1% each, the occlusion found, each size in a process of its own for its peak memory.

python benchmarks/completion.py [ROUNDS]; OMP_NUM_THREADS threads, 2 by default. The last line is one JSON object: median
seconds, and peak memory in MiB with the interpreter and the libraries.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np

from pixelrnn import Completer
from pixelrnn.image import resize
from pixelrnn.rooms import render_bedroom

MEGAPIXELS = (1, 4, 12, 24, 100)


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


def measure(megapixels: float, rounds: int) -> dict[str, float]:
    """Of one size, in this process."""
    completer, picture = Completer.from_pretrained(), photograph(megapixels)
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        result = completer(picture)
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": round(statistics.median(times[1:]), 4), "peak_mib": round(peak), "missing": float(result.mask.mean())}


def small(rounds: int) -> float:
    """Seconds of a 256 px picture whose mask is given."""
    completer, picture = Completer.from_pretrained(), render_bedroom(np.random.default_rng(305), 256)
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        completer(picture, (90, 90, 77, 77))
        times.append(time.perf_counter() - start)
    return round(statistics.median(times[1:]), 4)


def main(rounds: int) -> None:
    figures: dict[str, object] = {"256 px, 77 px hole, seconds": small(rounds)}
    print(figures)
    for size in MEGAPIXELS:
        command = [sys.executable, __file__, "--one", str(size), str(rounds)]
        figures[f"{size} megapixels"] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(size, figures[f"{size} megapixels"], flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    if "--one" in sys.argv:
        print(json.dumps(measure(float(sys.argv[2]), int(sys.argv[3]))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
