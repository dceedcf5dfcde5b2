"""What photographs to train on cost, by where they lie: a folder, LSUN's LMDB, indexed tar shards, and a stream of tar shards.

Samples a second of photographs of 256 px (JPEG), read and decoded, and occluded in batches as training takes them, with 0 and 2
workers; each kind in turns. Then, of tiny pictures, the seconds from the words on the command line to the first sample, the
megabytes of memory that is the process's own, and those that a worker is sent where workers are spawned; "listed" is a plain
list of the folder's paths.

python benchmarks/sources.py [PICTURES] [ROUNDS] [COUNTS...]; 400, 3, and 10,000 and 300,000 tiny pictures by default. The last
line is one JSON object: medians; ratios are to the folder's.
"""

import hashlib
import io
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
from completion import photograph
from PIL import Image
from torch.utils.data import DataLoader

from pixelrnn.data.catalogue import open_source, recognise
from pixelrnn.data.datasets import OccludedPhotographs, Occluder
from pixelrnn.data.shards import index_shard
from pixelrnn.data.streamed import StreamedPhotographs
from pixelrnn.data.streams import Stream
from pixelrnn.decode import read_image

KINDS = ("folder", "lmdb", "shards", "stream")
SHARD = 10_000  # pictures of one, at most

# in a process of its own: seconds to the first sample, and memory
START = """
import json, pickle, sys, time
from pathlib import Path
import numpy, torch
from pixelrnn import folders
from pixelrnn.data import catalogue
from pixelrnn.data import datasets as data
from pixelrnn.data import streamed
from pixelrnn.data import streams
def memory(name):
    return next(int(line.split()[1]) / 1e3 for line in open("/proc/self/status") if line.startswith(name))
kind, place = sys.argv[1:]
if kind == "stream":
    import datasets
before, start = memory("RssAnon"), time.perf_counter()
if kind == "listed":
    source = folders.list_photographs(Path(place), None)
elif kind == "stream":
    stream = streams.Stream([str(path) for path in sorted(Path(place).glob("*.tar"))])
    source = streamed.StreamedPhotographs(stream, range(len(stream)), data.Occluder(16))
else:
    (given,) = catalogue.recognise([place])
    source = catalogue.open_source(given)
if kind == "stream":
    next(iter(source))
else:
    data.OccludedPhotographs(source, 16)[len(source) // 2]
seconds = time.perf_counter() - start
sent = len(pickle.dumps(source)) / 1e6
print(json.dumps({"seconds": round(seconds, 3), "memory": round(memory("RssAnon") - before, 1),
                  "sent": round(sent, 3)}))
"""


def write(folder: Path, files: list[bytes], count: int) -> dict[str, Path]:
    """`count` pictures as each kind keeps them, the files over and over."""
    places = {kind: folder / kind for kind in ("folder", "lmdb", "shards", "tars")}
    for place in places.values():
        place.mkdir(parents=True)
    for i in range(count):
        (places["folder"] / f"bedroom_{i:07d}.jpg").write_bytes(files[i % len(files)])
    with lmdb.open(str(places["lmdb"]), map_size=2**36) as environment, environment.begin(write=True) as transaction:
        for i in range(count):
            transaction.put(hashlib.sha1(b"%d" % i).hexdigest().encode(), files[i % len(files)])
    size = min(SHARD, -(-count // 8))
    for kind in ("shards", "tars"):
        for first in range(0, count, size):
            path = places[kind] / f"shard-{first // size:06d}.tar"
            with tarfile.open(path, "w") as tar:
                for i in range(first, min(first + size, count)):
                    info = tarfile.TarInfo(f"bedroom_{i:07d}.jpg")
                    info.size = len(files[i % len(files)])
                    tar.addfile(info, io.BytesIO(files[i % len(files)]))
            if kind == "shards":
                index_shard(path)
    return places | {"stream": places["tars"]}


def jpegs(count: int, side: int) -> list[bytes]:
    whole, files = Image.fromarray(photograph(4)), []
    for i in range(count):
        left, top = i * 37 % (whole.width - side), i * 53 % (whole.height - side)
        file = io.BytesIO()
        whole.crop((left, top, left + side, top + side)).save(file, "JPEG", quality=85)
        files.append(file.getvalue())
    return files


def decoded(kind: str, place: Path) -> Iterator[object]:
    if kind == "stream":
        stream = Stream(sorted(map(str, place.glob("*.tar"))))
        yield from (read_image(sample.content) for shard in range(len(stream)) for sample in stream.read(shard))
    else:
        source = open_source(recognise([str(place)])[0])
        yield from (read_image(source.open(i)) for i in range(len(source)))


def batches(kind: str, place: Path, workers: int) -> Iterator[object]:
    if kind == "stream":
        stream = Stream(sorted(map(str, place.glob("*.tar"))))
        streamed = StreamedPhotographs(stream, range(len(stream)), Occluder(128))
        return iter(DataLoader(streamed, batch_size=16, num_workers=workers))
    data = OccludedPhotographs(open_source(recognise([str(place)])[0]), 128)
    return iter(DataLoader(data, batch_size=16, shuffle=True, num_workers=workers))


def rate(make: Callable[[], Iterator[object]], steps: int, each: int) -> float:
    """Of pictures a second after the first step, which workers and libraries start before."""
    made = make()
    next(made)
    start = time.perf_counter()
    for _ in range(steps - 1):
        next(made)
    return (steps - 1) * each / (time.perf_counter() - start)


def main(pictures: int, rounds: int, counts: list[int]) -> None:
    figures: dict[str, object] = {"pictures": pictures, "rounds": rounds}

    def tell(name: str, found: dict[str, object]) -> None:
        figures[name] = found
        print(f"{name:28s}", found, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        places = write(Path(folder, "real"), jpegs(min(pictures, 100), 256), pictures)
        works: dict[str, Callable[[str], float]] = {
            "decoded": lambda kind: rate(lambda: decoded(kind, places[kind]), pictures, 1),
            "0 workers": lambda kind: rate(lambda: batches(kind, places[kind], 0), pictures // 16, 16),
            "2 workers": lambda kind: rate(lambda: batches(kind, places[kind], 2), pictures // 16, 16),
        }
        for name, work in works.items():
            found: dict[str, list[float]] = {kind: [] for kind in KINDS}
            for _ in range(rounds):
                for kind in KINDS:
                    found[kind].append(work(kind))
            medians = {kind: statistics.median(values) for kind, values in found.items()}
            tell(name, {kind: [round(value), round(value / medians["folder"], 2)] for kind, value in medians.items()})
        for count in counts:
            tiny = write(Path(folder, str(count)), jpegs(1, 16), count)
            for kind in ("listed", "folder", "lmdb first", "lmdb", "shards", "stream"):
                words = [kind.split()[0], str(tiny[kind.split()[0].replace("listed", "folder")])]
                output = subprocess.run(
                    [sys.executable, "-c", START, *words], check=True, capture_output=True, text=True
                ).stdout
                tell(f"{kind}, {count:,}", json.loads(output.splitlines()[-1]))
    print(json.dumps(figures))


if __name__ == "__main__":
    given = list(map(int, sys.argv[1:]))
    main(given[0] if given else 400, given[1] if len(given) > 1 else 3, given[2:] or [10_000, 300_000])
