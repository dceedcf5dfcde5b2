"""The page as people use it: its times in a browser, and ten people at once.

python benchmarks/page.py [PEOPLE] [ROUNDS]; needs Chromium on the path. First one person on a warm server: from upload to the
first completion, from the end of a stroke to the server's answer, from the turn of a wheel to the sharp part, and from Complete
to the result of a box of 3%. Then, on a fresh server, one person with ROUNDS (5) completions, and PEOPLE (10) at once with as
many each, of photographs of their own, and the server's memory after either; 0 PEOPLE: without. The last line is one JSON
object: seconds (medians) and MB.
"""

import io
import json
import statistics
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from browser import Visit, decode, launch, serve
from pixelrnn.data.synthetic import render_bedroom

SIZES = {"256 px": (256, 256), "1.9 megapixels": (1600, 1200), "12 megapixels": (4000, 3000)}
VISITS = 4  # the first finds a cold server, and does not count


def photograph(seed: int, width: int, height: int) -> bytes:
    """A rendered room with a black square, and grain, as the JPEG that a camera would write."""
    room = Image.fromarray(render_bedroom(np.random.default_rng(seed), 256)).resize((width, height), Image.Resampling.BICUBIC)
    picture = np.clip(np.asarray(room) + np.random.default_rng(seed).normal(0, 6, (height, width, 1)), 0, 255).astype(np.uint8)
    picture[height // 4 : height // 2, width // 4 : width // 2] = 0
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def resident(process: int) -> tuple[float, float]:
    """Memory of a process now and at its highest, in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return found["VmRSS"], found["VmHWM"]


def one_person(address: str) -> dict[str, dict[str, float]]:
    """Median seconds by size, and what they passed with."""
    times: dict[str, dict[str, float]] = {}
    with launch() as browser:
        for name, (width, height) in SIZES.items():
            data = photograph(310, width, height)
            taken: dict[str, list[float]] = {"first_completion": [], "stroke": [], "sharp": [], "fill": []}
            for visit in range(VISITS):
                me = Visit(browser, address)
                start = time.perf_counter()
                me.upload(("room.png", data))
                me.wait_for_completion()
                taken["first_completion"].append(time.perf_counter() - start)
                me.page.wait_for_timeout(500)
                for row in (0.6, 0.7, 0.8):
                    me.drag((0.6, row), (0.9, row))
                    taken["stroke"].append(timed(me, "answer"))
                me.press("Clear")
                me.choose("Box")
                me.drag((0.55, 0.55), (0.55 + 0.03**0.5, 0.55 + 0.03**0.5))
                me.wait_for_answer()
                me.page.get_by_role("button", name="Complete", exact=True).click()
                taken["fill"].append(timed(me, "fresh"))
                for x, y in ((0.6, 0.6), (0.3, 0.4), (0.7, 0.3)):
                    me.wheel(x, y, -700)
                    taken["sharp"].append(timed(me, "sharp"))
                    me.page.keyboard.press("0")
                    me.page.wait_for_timeout(300)
                me.close()
                if visit == 0:
                    taken = {what: [] for what in taken}
            found = {what: round(statistics.median(seconds), 2) for what, seconds in taken.items()}
            print(f"{name:16s} " + "   ".join(f"{what} {seconds:.2f} s" for what, seconds in found.items()), flush=True)
            times[name] = found
    return times


def timed(me: Visit, what: str) -> float:
    start = time.perf_counter()
    me.page.evaluate("new Promise(requestAnimationFrame)")  # what was done just now is known to the editor then
    me.wait_for_answer(what)
    return time.perf_counter() - start


def many_people(address: str, people: int, rounds: int) -> tuple[int, float]:
    """How many of `people` x `rounds` completions succeeded, and the median seconds of one."""
    done, seconds, door, barrier = [], [], threading.Lock(), threading.Barrier(people)

    def use(number: int) -> None:
        data = photograph(number, 1600, 1200)
        picture = decode(data)
        with launch() as browser:
            with door:  # ten browsers that open at once would time out by themselves
                me = Visit(browser, address)
            barrier.wait()
            for turn in range(rounds):
                try:
                    start = time.perf_counter()
                    if turn == 0:
                        me.upload(("room.png", data))
                        me.wait_for_completion()
                    else:
                        me.drag((0.55, 0.5 + 0.08 * turn), (0.9, 0.5 + 0.08 * turn))
                        me.wait_until("marked")
                        me.complete()
                    seconds.append(time.perf_counter() - start)
                    with zipfile.ZipFile(io.BytesIO(me.download("All (ZIP)"))) as files:
                        completed, mask = (decode(files.read(f"room_{kind}.png")) for kind in ("completed", "mask"))
                    own = np.array_equal(completed[mask == 0], picture[mask == 0]) and (completed != picture).any()
                    done.append(bool(own) and not me.complaints)
                    if not done[-1]:
                        print(f"person {number}, completion {turn + 1}: own picture {own}, {me.complaints}", flush=True)
                except Exception as error:  # it did not come, so it did not succeed
                    print(f"person {number}, completion {turn + 1}: {error}", flush=True)
            me.close()

    threads = [threading.Thread(target=use, args=(number,)) for number in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done), statistics.median(seconds)


def main(people: int, rounds: int) -> None:
    with serve() as (address, _):
        result: dict[str, object] = {"times": one_person(address)}
    if not people:
        print(json.dumps(result))
        return
    memory = {}
    with serve() as (address, process):
        for count in (1, people):
            succeeded, seconds = many_people(address, count, rounds)
            memory[count] = now, most = resident(process)
            figures = f"{succeeded} of {count * rounds} completions succeeded, median {seconds:.1f} s"
            print(f"{count:3d} people: {figures}; {now:.0f} MB, at most {most:.0f} MB", flush=True)
            result[f"{count} people"] = {"succeeded": succeeded, "of": count * rounds, "seconds": round(seconds, 2)}
    growth = (round(after - before) for before, after in zip(memory[1], memory[people], strict=True))
    print(json.dumps(result | {"growth_mb": dict(zip(("now", "highest"), growth, strict=True))}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10, int(sys.argv[2]) if len(sys.argv) > 2 else 5)
