"""The page of `web/` in Chromium: MB, s until it is ready, and ms to fill a box of 9% in 256 px, cold and warm.

python benchmarks/web.py [RUNS]; needs Chromium and npm on the path. By one thread, then with the headers that allow more. The
last line is one JSON object; `warm` is the median of RUNS (5), by the page's own performance.now; `difference` is the largest
from the command, in grey levels; `known` is whether all known pixels are the same bytes.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from browser import encode, launch
from pixelrnn import Completer
from pixelrnn.data.synthetic import render_bedroom
from web_page import Guest, build, hand_out


def measure(folder: Path, isolated: bool, runs: int) -> dict[str, object]:
    picture, mask = render_bedroom(np.random.default_rng(301), 256), np.zeros((256, 256), bool)
    mask[90:167, 80:157] = True
    with hand_out(folder, isolated) as address, launch() as browser:
        guest, start = Guest(browser, address), time.perf_counter()
        guest.come()
        ready = time.perf_counter() - start
        guest.give("file", "room.png", encode(picture))
        guest.give("mask", "mask.png", encode(mask.astype(np.uint8) * 255))
        taken = []
        for _ in range(runs + 1):
            guest.press("Complete")
            taken.append(float(guest.page.evaluate("document.body.dataset.milliseconds")))
        found = guest.download()[..., :3]
    return {
        "ready_s": round(ready, 2),
        "cold_ms": round(taken[0]),
        "warm_ms": round(statistics.median(taken[1:])),
        "difference": int(np.abs(found.astype(int) - Completer.from_pretrained()(picture, mask).image).max()),
        "known": bool(np.array_equal(found[~mask], picture[~mask])),
    }


def main(runs: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = build(Path(place) / "page")
        sizes = {path.name: path.stat().st_size / 1e6 for path in folder.rglob("*") if path.is_file()}
        result: dict[str, object] = {"mb": round(sum(sizes.values()), 1), "weights_mb": round(sizes["pipeline.onnx"], 1)}
        for name, isolated in (("one_thread", False), ("threads", True)):
            result[name] = measure(folder, isolated, runs)
            print(name, result[name], flush=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
