"""The service under load: requests a second, how long they take, and its memory, for photographs of 256 px with a black square.

python benchmarks/service.py [CLIENTS] [REQUESTS] [WORKERS]; 10 clients with 200 requests between them by default, after one
client with as many, each on one kept connection; the service of one process with 1 worker of OMP_NUM_THREADS threads, 2 by
default. The last line is one JSON object: requests a second, the 50th and 99th percentile in ms, and memory in MB, at the start
and at its highest.
"""

import io
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from http_service import serve
from pixelrnn.data.synthetic import render_bedroom


def photograph(seed: int) -> bytes:
    picture, buffer = render_bedroom(np.random.default_rng(seed), 256).copy(), io.BytesIO()
    picture[90:167, 90:167] = 0
    Image.fromarray(picture).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def memory(process: int) -> tuple[int, int]:
    """Of a process now, and at its highest, in MB."""
    lines = dict(line.split(":") for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) // 1024, int(lines["VmHWM"].split()[0]) // 1024


def ask(address: str, pictures: list[bytes], requests: int) -> list[float]:
    """Seconds of each of so many requests, one after the other."""
    seconds = []
    with httpx.Client(base_url=address, timeout=120) as client:
        for number in range(requests):
            start = time.perf_counter()
            client.post("/v1/complete", files={"picture": pictures[number % len(pictures)]}).raise_for_status()
            seconds.append(time.perf_counter() - start)
    return seconds


def main(clients: int, requests: int, workers: int) -> None:
    pictures = [photograph(seed) for seed in range(10)]
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
    told: dict[str, object] = {"workers": workers, "threads": int(environment["OMP_NUM_THREADS"])}
    with serve("--workers", str(workers), env=environment) as (address, process):
        before, _ = memory(process.pid)
        for count in (1, clients):
            start = time.perf_counter()
            with ThreadPoolExecutor(count) as pool:
                shares = [pool.submit(ask, address, pictures, requests // count) for _ in range(count)]
            seconds = [one for share in shares for one in share.result()]
            rate = len(seconds) / (time.perf_counter() - start)
            middle, slow = np.percentile(seconds, (50, 99)) * 1000
            name = f"{count} client{'s' * (count > 1)}"
            told[name] = {"requests": len(seconds), "a second": round(rate, 1), "p50": round(middle), "p99": round(slow)}
            print(f"{name:12s} {rate:6.1f} requests a second   50th {middle:6.0f} ms   99th {slow:6.0f} ms", flush=True)
        now, most = memory(process.pid)
    print(f"memory       {before} MB at the start, {now} MB after, {most} MB at the highest")
    print(json.dumps(told | {"mb": {"start": before, "after": now, "highest": most}}))


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*given, *(10, 200, 1)[len(given) :])
