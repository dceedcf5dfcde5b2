"""Streams: shards in one endless order, parted between processes and workers, and a run that goes on where it was."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from conftest import draw_room
from pixelrnn import training
from pixelrnn.data import streamed
from pixelrnn.data.catalogue import recognise
from pixelrnn.data.datasets import Occluder
from pixelrnn.data.streamed import EndlessBatches, StreamedPhotographs
from pixelrnn.data.streams import Stream, order
from pixelrnn.decode import read_image
from pixelrnn.encode import encode_image
from pixelrnn.errors import PixelRNNError
from test_training import SMALL

EACH = 6  # pictures of a shard


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine shards of JPEG, PNG and WebP with labels beside them, without an index."""
    folder = tmp_path_factory.mktemp("tars")
    for shard in range(9):
        with tarfile.open(folder / f"part-{shard:03d}.tar", "w") as tar:
            for i in range(EACH):
                room = draw_room(np.random.default_rng([shard, i]), 24, 30)
                suffix = (".jpg", ".png", ".webp")[i % 3]
                for name, file in ((f"{shard}/{i}{suffix}", encode_image(room, suffix)), (f"{shard}/{i}.json", b"{}")):
                    info = tarfile.TarInfo(name)
                    info.size = len(file)
                    tar.addfile(info, io.BytesIO(file))
    return folder


def names(tars: Path, shards: range) -> set[str]:
    return {f"{shard}/{i}{('.jpg', '.png', '.webp')[i % 3]}" for shard in shards for i in range(EACH)}


def files(folder: Path) -> list[str]:
    return sorted(map(str, folder.glob("*.tar")))


def photographs(tars: Path, **options: int) -> StreamedPhotographs:
    return StreamedPhotographs(Stream(files(tars)), range(1, 9), Occluder(16), **options)


# --- the order


@settings(max_examples=60)
@given(shards=st.integers(1, 12), lanes=st.integers(1, 6), start=st.integers(0, 40), seed=st.integers(0, 3))
def test_readers_part_every_pass_and_go_on_from_any_place(shards: int, lanes: int, start: int, seed: int) -> None:
    every = range(100, 100 + shards)
    taken = sorted(one for lane in range(lanes) for one in islice(order(every, seed, lane, lanes), 3 * shards))
    assert [place for place, _, _ in taken[: 3 * shards]] == list(range(3 * shards))
    for number in range(3):
        passed = [shard for _, found, shard in taken[: 3 * shards] if found == number]
        assert sorted(passed) == list(every)
    later = sorted(one for lane in range(lanes) for one in islice(order(every, seed, lane, lanes, start), shards))[:shards]
    alone = list(islice(order(every, seed, 0, 1), start, start + shards))
    assert later == alone


def test_the_order_is_another_at_each_pass_and_by_each_seed() -> None:
    drawn = [[shard for _, _, shard in islice(order(range(20), seed, 0, 1), 40)] for seed in (0, 1)]
    assert len({tuple(one) for one in (drawn[0][:20], drawn[0][20:], drawn[1][:20], range(20))}) == 4


# --- what is read


def test_shards_are_read_whole_with_pictures_of_several_kinds(tars: Path) -> None:
    for words in (files(tars), [str(tars / "part-*.tar")]):
        stream = Stream(words)
        assert len(stream) == 9
        found = list(stream.read(4))
        assert {sample.key for sample in found} == names(tars, range(4, 5))
        for i, sample in enumerate(found):
            if i % 3:
                np.testing.assert_array_equal(read_image(sample.content), draw_room(np.random.default_rng([4, i]), 24, 30))


@pytest.mark.parametrize("kind", ["struct", "binary path"])
def test_parquet_files_with_a_column_of_pictures_are_read(tmp_path: Path, kind: str) -> None:
    pictures = [encode_image(draw_room(np.random.default_rng(i), 20, 20), ".png") for i in range(6)]
    for shard in range(2):
        cells = [
            {"bytes": file, "path": f"{i}.png" if kind != "struct" else None}
            for i, file in enumerate(pictures)
            if i // 3 == shard
        ]
        pq.write_table(pa.table({"image": cells, "label": [1, 2, 3]}), tmp_path / f"part-{shard}.parquet")
    stream = Stream(sorted(map(str, tmp_path.glob("*.parquet"))))
    found = [sample for shard in range(len(stream)) for sample in stream.read(shard)]
    assert [sample.content for sample in found] == pictures
    expected = [f"{i}.png" for i in range(6)] if kind != "struct" else [f"{i // 3}/{i % 3}" for i in range(6)]
    assert [sample.key for sample in found] == expected


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_shards_are_read_from_a_server_with_their_numbers_in_braces(tars: Path, workers: int) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *told: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tars))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (given,) = recognise([f"http://127.0.0.1:{server.server_port}/part-{{000..008}}.tar"])
        assert given.kind == "stream"
        stream = Stream(given.words)
        assert {sample.key for sample in stream.read(0)} == names(tars, range(1))
        batches = EndlessBatches(StreamedPhotographs(stream, range(1, 9), Occluder(16)), 8, batch_size=6, num_workers=workers)
        assert {name for batch in batches for name in batch["name"]} == names(tars, range(1, 9))
        server.shutdown()


def test_what_cannot_be_streamed_is_said_in_one_line(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    (tmp_path / "b.tar").write_bytes(b"no tar file at all")
    cases = [
        ([str(tmp_path / "a.parquet")], "expected one column of pictures, .* got text"),
        ([str(tmp_path / "a.parquet"), str(tmp_path / "b.tar")], "expected hf://OWNER/NAME, or files that all end"),
        (["http://localhost:9/x.zip"], "expected hf://OWNER/NAME, or files"),
        (["http://localhost:9/x.tar"], "cannot be streamed"),
    ]
    for words, message in cases:
        with pytest.raises(PixelRNNError, match=rf"^[^\n]*{message}[^\n]*$"):
            Stream(words)
    with pytest.raises(PixelRNNError, match=r"b\.tar: cannot be streamed"):
        list(Stream([str(tmp_path / "b.tar")]).read(0))


# --- samples


def test_a_sample_is_drawn_by_its_key_and_pass_whoever_reads_it(tars: Path) -> None:
    count = 8 * EACH
    alone = list(islice(photographs(tars), 2 * count))
    first = {item["name"]: item for item in alone[:count]}
    second = {item["name"]: item for item in alone[count:]}
    assert set(first) == set(second) == names(tars, range(1, 9))
    assert [*first] != [*second]
    assert not any(torch.equal(first[name]["mask"], second[name]["mask"]) for name in first)
    parted = [item for rank in (0, 1) for item in islice(photographs(tars, rank=rank, world=2), count // 2)]
    assert len(parted) == count
    for item in parted:
        assert torch.equal(item["image"], first[item["name"]]["image"])
        assert torch.equal(item["mask"], first[item["name"]]["mask"])
    other = {item["name"]: item for item in islice(photographs(tars, seed=1), count)}
    assert not any(torch.equal(first[name]["mask"], other[name]["mask"]) for name in first)


def test_samples_are_mixed_among_shards_as_far_as_they_are_held(tars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [item["place"] for item in islice(photographs(tars), 8 * EACH)]
    assert sorted(places) == sorted(list(range(8)) * EACH)
    assert sum(a != b for a, b in pairwise(places)) > 30
    monkeypatch.setattr(streamed, "MIXED", 1)
    assert [item["place"] for item in islice(photographs(tars), 8 * EACH)] == [place for place in range(8) for _ in range(EACH)]


PROGRAM = """
import hashlib, json, sys
from itertools import islice
from torch.utils.data import DataLoader
from pixelrnn.data.datasets import Occluder
from pixelrnn.data.streams import Stream
from pixelrnn.data.streamed import StreamedPhotographs
rank, world, workers, *files = sys.argv[1:]
stream = StreamedPhotographs(Stream(files), range(1, 9), Occluder(16), rank=int(rank), world=int(world))
items = islice(DataLoader(stream, batch_size=None, num_workers=int(workers)), 24)
print(json.dumps({one["name"]: hashlib.sha1(one["image"].numpy().tobytes()).hexdigest() for one in items}))
"""


@pytest.mark.slow
def test_two_processes_of_two_workers_read_every_picture_once(tars: Path) -> None:
    def start(rank: int, world: int, workers: int, seed: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed}
        words = [sys.executable, "-c", PROGRAM, str(rank), str(world), str(workers), *files(tars)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, env=environment)

    processes = [start(0, 2, 2, "1"), start(1, 2, 2, "2")]
    one, two = (json.loads(process.communicate(timeout=120)[0]) for process in processes)
    assert not one.keys() & two.keys()
    assert one.keys() | two.keys() == names(tars, range(1, 9))
    assert len(one) == len(two) == 4 * EACH
    alone = {item["name"]: item for item in islice(photographs(tars), 8 * EACH)}
    for name, digest in (one | two).items():
        assert digest == hashlib.sha1(alone[name]["image"].numpy().tobytes()).hexdigest()


# --- training


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_go_on_over_epochs_and_from_a_state_at_its_shard(tars: Path, workers: int, monkeypatch) -> None:
    monkeypatch.setattr(streamed, "MIXED", 1)
    every = [shard for _, _, shard in islice(order(range(1, 9), 0, 0, 1), 40)]

    def shards(batches: EndlessBatches) -> list[int]:
        return [int(name.split("/")[0]) for batch in batches for name in batch["name"]]

    def loader() -> EndlessBatches:
        return EndlessBatches(photographs(tars), 4, batch_size=3, num_workers=workers)

    whole = loader()
    assert len(whole) == 4
    read = shards(whole) + shards(whole)
    if not workers:
        assert read == [shard for shard in every[:4] for _ in range(EACH)]
    state = json.loads(json.dumps(whole.state_dict()))
    resumed = loader()
    resumed.load_state_dict(state)
    again = shards(resumed)
    assert state == {"place": 3 if not workers else 2}
    assert set(again) == set(every[state["place"] : state["place"] + 2])
    assert not set(again) & set(every[: state["place"]])


@pytest.mark.slow
def test_a_run_on_a_stream_goes_on_from_its_shard(tars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "MIXED", 1)
    read = []
    monkeypatch.setattr(Stream, "read", lambda self, shard, read_=Stream.read: read.append(shard) or read_(self, shard))

    def run(epochs: int, resume: bool = False) -> int:
        recipe, options = training.read_recipe(None, [*SMALL, "size=16", "epoch_steps=3", f"epochs={epochs}", "batch_size=4"])
        console = Console(file=io.StringIO())
        training.train([str(tars)], recipe, options, tmp_path / "out", resume, "cpu", console)
        assert "8 shards to train on, 6 to validate" in console.file.getvalue()
        last = torch.load(tmp_path / "out/checkpoints/last.ckpt", weights_only=True)
        return last["callbacks"]["StreamPlace"]["place"]

    every = [shard for _, _, shard in islice(order(range(1, 9), 0, 0, 1), 12)]
    assert run(2) == 3  # 24 pictures
    assert read == [0, *every[:5]]  # one picture ahead
    read.clear()
    assert run(4, resume=True) == 6
    assert read == [0, *every[3:8]]


def test_what_a_stream_cannot_do_is_said_before_it_is_read(tars: Path, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    cases = [
        ([tars], [], "says no length. Give epoch_steps=N.* pixelrnn pack --index"),
        ([tars, tmp_path], ["epoch_steps=3"], "trains alone. Leave out the rest"),
        ([tars], ["epoch_steps=3", "train_fraction=0.5"], "leave out train_fraction, mask_bank and valid_from"),
        ([tars / "part-000.tar"], ["epoch_steps=3"], "one shard alone"),
    ]
    for words, changes, message in cases:
        with pytest.raises(PixelRNNError, match=message):
            training.make_datasets(words, training.read_recipe(None, changes)[0])
