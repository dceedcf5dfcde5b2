"""The page as people use it: its times in a browser, and ten people at once.

python benchmarks/page.py [PEOPLE] [ROUNDS]; needs Chromium on the path. First one person on a warm server: from upload to the
first completion at 256 px and at 12 megapixels, and from the end of a stroke to the server's answer. Then PEOPLE (10) at once,
each ROUNDS (5) completions of a photograph of their own, and the server's memory beside what it is with one person who does the
same. The last line is one JSON object: seconds and MB, medians where there are several.
"""

import contextlib
import json
import statistics
import sys
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from browser import Visit, decode, encode, launch, serve

from pixelrnn.rooms import render_bedroom

SIZES = {"256 px": (256, 256), "1.9 megapixels": (1600, 1200), "12 megapixels": (4000, 3000)}


def photograph(seed: int, width: int, height: int) -> np.ndarray:
    """A rendered room with a black square, and grain, without which large PNG files would be small."""
    room = Image.fromarray(render_bedroom(np.random.default_rng(seed), 256)).resize((width, height), Image.Resampling.BICUBIC)
    rng = np.random.default_rng(seed)
    picture = np.clip(np.asarray(room) + rng.integers(-3, 4, (height, width, 3)), 0, 255).astype(np.uint8)
    picture[height // 4 : height // 2, width // 4 : width // 2] = 0
    return picture


def resident(process: int) -> tuple[float, float]:
    """Memory of a process now and at its highest, in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return found["VmRSS"], found["VmHWM"]


def one_person(address: str) -> dict[str, dict[str, float]]:
    """Seconds by size: from the choice of a file to the completion on the page, and from the end of a stroke to the server's
    answer in the page."""
    times: dict[str, dict[str, float]] = {}
    with launch() as browser:
        for name, (width, height) in SIZES.items():
            data, first, strokes = encode(photograph(310, width, height)), [], []
            for _ in range(4):  # the first finds a cold server
                me = Visit(browser, address)
                start = time.perf_counter()
                me.upload(("room.png", data))
                me.wait_for_completion()
                first.append(time.perf_counter() - start)
                me.page.wait_for_timeout(500)
                sent: list[float] = []
                for row in (0.6, 0.7, 0.8):
                    marked = me.page.get_by_text("% is marked").text_content()
                    me.drag((0.6, row), (0.9, row))
                    start = time.perf_counter()
                    me.page.wait_for_function(
                        "before => [...document.querySelectorAll('p')].some(p => p.textContent.endsWith('% is marked') && p.textContent !== before)",
                        arg=marked,
                    )
                    sent.append(time.perf_counter() - start)
                strokes += sent
                me.close()
            times[name] = {
                "first_completion": round(statistics.median(first[1:]), 2),
                "stroke": round(statistics.median(strokes), 2),
            }
            print(
                f"{name:16s} upload to completion {times[name]['first_completion']:5.2f} s   stroke {times[name]['stroke']:5.2f} s",
                flush=True,
            )
    return times


def many_people(address: str, people: int, rounds: int) -> tuple[int, float]:
    """How many of `people` x `rounds` completions succeeded, and the median seconds of one."""
    done, seconds, barrier = [], [], threading.Barrier(people)

    def use(number: int) -> None:
        picture = photograph(number, 1600, 1200)
        with launch() as browser:
            me = Visit(browser, address)
            barrier.wait()
            for turn in range(rounds):
                with contextlib.suppress(Exception):
                    start = time.perf_counter()
                    if turn == 0:
                        me.upload(("room.png", encode(picture)))
                        me.wait_for_completion()
                    else:
                        me.drag((0.55, 0.5 + 0.08 * turn), (0.9, 0.5 + 0.08 * turn))
                        me.wait_for("has changed since")
                        me.complete()
                    seconds.append(time.perf_counter() - start)
                    completed = decode(me.download("Download PNG"))
                    done.append(bool(np.array_equal(completed[:300], picture[:300])) and not me.complaints)
            me.close()

    threads = [threading.Thread(target=use, args=(number,)) for number in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done), statistics.median(seconds)


def main(people: int, rounds: int) -> None:
    with serve() as (address, _):
        times = one_person(address)
    result: dict[str, object] = {"times": times}
    with serve() as (address, process):
        memory: dict[int, tuple[float, float]] = {}
        for count in (1, people):
            succeeded, seconds = many_people(address, count, rounds)
            memory[count] = resident(process)
            now, most = memory[count]
            print(
                f"{count:3d} people: {succeeded} of {count * rounds} completions succeeded, median {seconds:.1f} s; "
                f"{now:.0f} MB, at most {most:.0f} MB",
                flush=True,
            )
            result[f"{count} people"] = {"succeeded": succeeded, "of": count * rounds, "seconds": round(seconds, 2)}
    growth = {"now": memory[people][0] - memory[1][0], "highest": memory[people][1] - memory[1][1]}
    result["growth_mb"] = {name: round(value) for name, value in growth.items()}
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10, int(sys.argv[2]) if len(sys.argv) > 2 else 5)
