"""Tar shards in WebDataset's layout: packed, indexed, read by number and by others; a killed packing loses nothing."""

import io
import multiprocessing
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from conftest import draw_room
from pixelrnn import training
from pixelrnn.cli import main
from pixelrnn.data import shards
from pixelrnn.data.catalogue import recognise
from pixelrnn.data.datasets import OccludedPhotographs
from pixelrnn.data.packing import pack
from pixelrnn.data.shards import Shards, index_shard, read_index
from pixelrnn.data.sources import Files, content
from pixelrnn.decode import read_image
from pixelrnn.errors import PixelRNNError
from pixelrnn.folders import list_photographs
from test_training import SMALL

SIZE = 0.01  # megabytes of a shard, three or four of the photographs


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photographs of several kinds in two folders, whose names need care."""
    names = [
        "bed_2.jpg",
        "bed_10.JPG",
        "a.b.jpg",
        "same.jpg",
        "same.png",
        "same.webp",
        "sub/bed_1.jpeg",
        "sub/long" + "g" * 120,
    ]
    names = [*names[:-1], f"{names[-1]}.jpg", *(f"sub/bed_{i}.png" for i in range(2, 9))]
    for i, name in enumerate(names):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_room(np.random.default_rng(i), 48, 64)).save(path)
    return tmp_path / "photos"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `pixelrnn pack`; gives (exit code, what it printed, what it printed as errors)."""

    def packed(*words):
        monkeypatch.setattr(sys, "argv", ["pixelrnn", "pack", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capsys.readouterr())

    return packed


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_tar(path: Path, members: dict[str, bytes], **options: int) -> Path:
    with tarfile.open(path, "w", **options) as tar:
        for name, file in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(file)
            tar.addfile(info, io.BytesIO(file))
    return path


def test_packed_photographs_keep_their_bytes_and_their_order(photos, tmp_path, run):
    code, said, _ = run(photos, "-o", tmp_path / "s", "--shard-size", SIZE, "--jobs", 2)
    assert (code, "15 pictures" in said) == (0, True)
    paths, members = list_photographs(photos, None), []
    tars = sorted((tmp_path / "s").glob("shard-*.tar"))
    assert len(tars) > 2
    for tar in map(tarfile.open, tars):
        with tar:
            members += [(member.name, tar.extractfile(member).read(), member.mtime, member.uname) for member in tar]
    assert [member[1] for member in members] == [path.read_bytes() for path in paths]
    assert {member[2:] for member in members} == {(0, "")}
    named = [name for name, *_ in members]
    assert named[:7] == [
        "a%2Eb.jpg",
        "bed_2.jpg",
        "bed_10.jpg",
        "same.jpg",
        "same%2Epng.png",
        "same%2Ewebp.webp",
        "sub/bed_1.jpeg",
    ]
    assert named[-1] == f"sub/long{'g' * 120}.jpg"


def test_packed_photographs_are_read_in_any_order_with_few_files_open(photos, tmp_path, monkeypatch):
    pack(Files(list_photographs(photos, None), photos), tmp_path / "s", SIZE, processes=1)
    monkeypatch.setattr(shards, "OPEN", 2)
    source, paths = Shards(sorted((tmp_path / "s").glob("*.tar"))), list_photographs(photos, None)
    before = len(os.listdir("/proc/self/fd"))
    for index in np.random.default_rng(0).permutation(3 * len(source)) % len(source):
        assert content(source.open(int(index))) == paths[index].read_bytes()
    assert len(os.listdir("/proc/self/fd")) == before + 4  # of two shards and their indexes
    assert source.key(1) == "bed_2.jpg"
    assert read_image(source.open(3)).shape == (48, 64, 3)
    for wrong in (-1, len(source)):
        with pytest.raises(IndexError):
            source.open(wrong)


def test_another_reader_of_webdataset_s_layout_finds_one_picture_a_sample(tmp_path):
    for i in range(9):
        Image.fromarray(draw_room(np.random.default_rng(i), 32, 32)).save(tmp_path / f"bed_{i}.jpg")
    pack(Files(list_photographs(tmp_path, None), tmp_path), tmp_path / "s", 0.005, processes=1)
    files = sorted(map(str, (tmp_path / "s").glob("*.tar")))
    assert len(files) > 2
    read = datasets.load_dataset("webdataset", data_files=files, split="train", streaming=True)
    for i, row in enumerate(read):
        assert row["__key__"] == f"bed_{i}"
        np.testing.assert_array_equal(np.asarray(row["jpg"]), read_image(tmp_path / f"bed_{i}.jpg"))
    assert i == 8


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_read_what_their_parent_reads(photos, tmp_path, method, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))  # or a spawned worker would run it, whatever it is
    pack(Files(list_photographs(photos, None), photos), tmp_path / "s", SIZE, processes=1)
    dataset = OccludedPhotographs(Shards(sorted((tmp_path / "s").glob("*.tar"))), 16)
    expected = [dataset[i] for i in range(len(dataset))]
    loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context=multiprocessing.get_context(method))
    for item, other in zip(loader, expected, strict=True):
        assert torch.equal(item["image"], other["image"])


@pytest.mark.slow
def test_a_folder_and_its_shards_train_to_the_same_weights(photos, tmp_path, run):
    assert run(photos, "-o", tmp_path / "s", "--shard-size", SIZE)[0] == 0
    weights = []
    for data in (photos, tmp_path / "s"):
        recipe, options = training.read_recipe(None, [*SMALL, "epochs=2", "valid_fraction=0.2", "workers=2"])
        training.train([data], recipe, options, tmp_path / f"out_{data.name}")
        weights.append((tmp_path / f"out_{data.name}" / "optimized_pixelrnn.pth").read_bytes())
    assert weights[0] == weights[1]


def test_photographs_made_smaller_are_jpeg_and_the_others_keep_their_bytes(tmp_path, run):
    for name, side in (("large.png", 100), ("small.png", 40)):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(draw_room(np.random.default_rng(0), side, 2 * side)).save(tmp_path / "photos" / name)
    assert run(tmp_path / "photos", "-o", tmp_path / "s", "--max-side", 80)[0] == 0
    source = Shards([tmp_path / "s" / "shard-000000.tar"])
    assert [source.key(i) for i in range(2)] == ["large.jpg", "small.png"]
    assert read_image(source.open(0)).shape == (40, 80, 3)
    assert content(source.open(1)) == (tmp_path / "photos/small.png").read_bytes()


def test_several_inputs_keep_their_names_apart(photos, tmp_path, run):
    assert run(photos, "-o", tmp_path / "s")[0] == 0
    (tmp_path / "other").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "other" / "same.jpg")
    assert run(tmp_path / "other", tmp_path / "s", "-o", tmp_path / "t")[0] == 0
    both = Shards([tmp_path / "t" / "shard-000000.tar"])
    assert (both.key(0), both.key(4)) == ("other/same.jpg", "s/same.jpg")
    code, _, errors = run(photos, tmp_path / "x" / ".." / "photos", "-o", tmp_path / "u")
    assert (code, "photos: two of what was given" in errors) == (2, True)


def test_unreadable_photographs_are_named_and_the_rest_are_packed(photos, tmp_path, run):
    (photos / "bed_3.jpg").write_bytes(b"no picture")
    (photos / "sub" / "zzz.png").write_bytes((photos / "same.png").read_bytes()[:60])
    for _ in range(2):
        code, said, errors = run(photos, "-o", tmp_path / "s", "--shard-size", SIZE)
        assert (code, "15 pictures" in said) == (1, True)
        assert [line.split(": ")[1] for line in errors.splitlines()] == [str(photos / "bed_3.jpg"), str(photos / "sub/zzz.png")]
    assert len(Shards(sorted((tmp_path / "s").glob("*.tar")))) == 15


def test_a_folder_of_something_else_or_of_other_shards_is_left_alone(photos, tmp_path, run):
    assert run(photos, "-o", tmp_path / "s", "--shard-size", SIZE)[0] == 0
    before = everything(tmp_path / "s")
    code, _, errors = run(photos, "-o", tmp_path / "s", "--shard-size", 2 * SIZE)
    assert (code, "made of other photographs or options" in errors) == (2, True)
    assert everything(tmp_path / "s") == before
    code, _, errors = run(tmp_path / "s", "-o", photos)
    assert (code, "nothing is overwritten" in errors) == (2, True)
    assert run(photos)[0] == 2
    (tmp_path / "pairs" / "train" / "occluded_images").mkdir(parents=True)
    code, _, errors = run(tmp_path / "pairs", "-o", tmp_path / "t")
    assert (code, "original_images" in errors) == (2, True)
    assert run(photos, "--index", "-o", tmp_path / "t")[0] == 2


PROGRAM = """
import sys, time
from pathlib import Path
from pixelrnn.data import packing
from pixelrnn.folders import list_photographs
from pixelrnn.data.sources import Files
photos, out = map(Path, sys.argv[1:])
write = packing.tarfile.TarFile.addfile
def slow(*given):
    print("added", flush=True)
    time.sleep(0.02)
    return write(*given)
packing.tarfile.TarFile.addfile = slow
packing.pack(Files(list_photographs(photos, None), photos), out, 0.01, processes=2)
"""


@pytest.mark.parametrize("added", [1, 6, 11])
def test_a_packing_that_was_killed_goes_on_to_the_same_bytes(photos, tmp_path, run, added):
    pack(Files(list_photographs(photos, None), photos), tmp_path / "whole", SIZE, processes=1)
    command = [sys.executable, "-c", PROGRAM, str(photos), str(tmp_path / "parted")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ) as process:
        for _ in range(added):
            process.stdout.readline()
        process.kill()
        # its readers hold the pipe: where they have ended, too, it does
        process.stdout.read()
    assert any(path.name.endswith(".partial") for path in (tmp_path / "parted").iterdir())
    with pytest.raises(PixelRNNError, match=r"partial: shards that are not all written\. Run the same pixelrnn pack again"):
        recognise([str(tmp_path / "parted")])
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "parted").glob("shard-*")}
    assert run(photos, "-o", tmp_path / "parted", "--shard-size", SIZE)[0] == 0
    assert everything(tmp_path / "parted") == everything(tmp_path / "whole")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_shards_from_elsewhere_are_read_by_number_once_they_are_indexed(photos, tmp_path, run, form):
    file = (photos / "bed_2.jpg").read_bytes()
    long = "d" * 90 + "/" + "n" * 90
    names = ["0/café.jpg", "0/café.json", "0/café.seg.png", f"{long}.JPG", f"{long}.cls", "last.webp"]
    for shard in ("x-0", "x-1"):
        write_tar(tmp_path / f"{shard}.tar", {name: file + name.encode() for name in names}, format=form)
    assert [one.kind for one in recognise([str(tmp_path / "x-{0..1}.tar")])] == ["stream"]
    code, said, _ = run("--index", tmp_path / "x-0.tar", tmp_path / "x-1.tar")
    assert (code, said.count("3 pictures")) == (0, 2)
    (given,) = recognise([str(tmp_path / "x-{0..1}.tar")])
    assert (given.kind, len(given.words)) == ("shards", 2)
    source, chosen = Shards(list(map(Path, given.words))), [names[i] for i in (0, 3, 5)] * 2
    assert [source.key(i) for i in range(6)] == chosen
    assert [content(source.open(i)) for i in range(6)] == [file + name.encode() for name in chosen]


def test_a_shard_without_its_own_index_or_without_pictures_is_named(photos, tmp_path):
    file = (photos / "bed_2.jpg").read_bytes()
    one, two = (write_tar(tmp_path / f"{name}.tar", {f"{name}.jpg": file}) for name in ("one", "two"))
    assert index_shard(one) == 1
    with pytest.raises(PixelRNNError, match=r"two\.tar: no index of this shard, but others here have one"):
        recognise([str(tmp_path / "*.tar")])
    with pytest.raises(PixelRNNError, match=r"two\.tar: no index of this shard\. Write it: pixelrnn pack --index"):
        Shards([one, two])
    with one.open("ab") as tar:
        tar.write(bytes(10))
    assert read_index(one) is None  # of the file as it was
    for name, content_, message in (("text", b"no tar", "not a readable tar"), ("none", None, "no pictures in this tar")):
        path = write_tar(tmp_path / f"{name}.tar", {"a.json": b"{}"})
        if content_:
            path.write_bytes(content_)
        with pytest.raises(PixelRNNError, match=f"{name}.tar: {message}"):
            index_shard(path)
    with pytest.raises(PixelRNNError, match=r"nothing matches this pattern"):
        recognise([str(tmp_path / "gone-*.tar")])
    with pytest.raises(PixelRNNError, match=r"gone\.tar: no such file"):
        recognise([str(tmp_path / "gone.tar")])


def test_a_shard_that_was_cut_short_after_it_was_opened_is_named(photos, tmp_path):
    pack(Files(list_photographs(photos, None), photos), tmp_path / "s", 10, processes=1)
    source = Shards([tmp_path / "s" / "shard-000000.tar"])
    os.truncate(source.paths[0], 3000)
    with pytest.raises(PixelRNNError, match=r"shard-000000\.tar: same\.jpg is cut short"):
        source.open(3)
