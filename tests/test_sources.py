"""Photographs behind one interface: files, parts of a source, LMDB folders; and what a process is sent of them."""

import hashlib
import multiprocessing
import os
import pickle
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import lmdb
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from conftest import draw_room
from pixelrnn import training
from pixelrnn.cli import main
from pixelrnn.data import lmdbs
from pixelrnn.data.datasets import Batches, EpochShuffle, OccludedPhotographs
from pixelrnn.data.lmdbs import EVERY, Lmdb
from pixelrnn.data.pairs import split
from pixelrnn.data.sources import Files, Joined, Memory, Part, content, parted
from pixelrnn.decode import read_image
from pixelrnn.encode import encode_image
from pixelrnn.errors import PixelRNNError
from pixelrnn.folders import each_photograph, list_photographs
from pixelrnn.training.datasets import make_loaders


def write_photographs(folder: Path, count: int, side: int = 32) -> Path:
    """Lossless photographs in two folders, with names that sort by number."""
    for i in range(count):
        path = folder / ("a" if i < count // 2 else "b") / f"bed_{i}.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_image(draw_room(np.random.default_rng(i), side, side + 8), ".webp"))
    return folder


def write_lmdb(folder: Path, files: dict[bytes, bytes]) -> Path:
    with lmdb.open(str(folder), map_size=2**27) as environment, environment.begin(write=True) as transaction:
        for key, file in files.items():
            transaction.put(key, file)
    return folder


@pytest.fixture
def lsun(tmp_path: Path) -> tuple[Path, dict[bytes, bytes]]:
    """Three times as many keys as one in EVERY is kept of, as LSUN names and stores them."""
    pictures = [encode_image(draw_room(np.random.default_rng(i), 24, 32), ".webp") for i in range(5)]
    files = {hashlib.sha1(b"%d" % i).hexdigest().encode(): pictures[i % 5] + bytes(i % 7) for i in range(3 * EVERY + 5)}
    return write_lmdb(tmp_path / "bedroom_train_lmdb", files), files


def test_files_keep_the_order_of_their_list_and_have_relative_keys(tmp_path: Path, monkeypatch) -> None:
    folder = write_photographs(tmp_path / "photos", 12)
    paths = list_photographs(folder, None)
    for source in (Files(each_photograph(folder, None), folder), pickle.loads(pickle.dumps(Files(paths, folder)))):
        assert [source.open(i) for i in range(len(source))] == paths
        assert [source.key(i) for i in range(12)] == [path.relative_to(folder).as_posix() for path in paths]
    assert source.key(11) == "b/bed_11.webp"
    monkeypatch.chdir(folder)
    assert [Files(each_photograph(Path(), None), Path()).key(i) for i in (0, 11)] == ["a/bed_0.webp", "b/bed_11.webp"]
    for wrong in (-1, 12):
        with pytest.raises(IndexError):
            source.open(wrong)


def test_a_file_s_name_need_not_be_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.new("RGB", (4, 4)).save(path)
    source = pickle.loads(pickle.dumps(Files(each_photograph(tmp_path, None), tmp_path)))
    assert content(source.open(0)) == path.read_bytes()


def test_a_process_is_sent_few_bytes_a_picture_and_no_objects() -> None:
    names = [Path(f"train/bedroom_{i:07d}.jpg") for i in range(20_000)]
    source = Part(Joined([Files(names, Path("train"))]), np.arange(20_000))
    assert len(pickle.dumps(source)) < 20_000 * (len("bedroom_0000000.jpg") + 8 + 4) + 2000
    assert all(len(value.whole) for value in [source.source.sources[0].names])


@settings(max_examples=30)
@given(count=st.integers(2, 60), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 9))
def test_the_parts_of_a_source_are_those_of_a_list(count: int, fraction: float, seed: int) -> None:
    paths = [Path(f"{i}.jpg") for i in range(count)]
    parts = parted(Files(paths), fraction, seed)
    assert tuple([part.open(i) for i in range(len(part))] for part in parts) == split(paths, fraction, seed)


def test_an_impossible_part_is_refused_as_of_a_list() -> None:
    for fraction, count in ((0.5, 1), (0.0, 9), (1.5, 9)):
        source = Files(Path(f"{i}.jpg") for i in range(count))
        with pytest.raises(PixelRNNError, match=f"of {count} pictures for validation"):
            parted(source, fraction, 0)


def test_joined_sources_count_on_and_their_keys_begin_with_their_folders() -> None:
    one, two = (Memory([(f"{i}.png", bytes([n, i])) for i in range(n)], "memory") for n in (3, 2))
    joined = Joined([one, Memory([], "none"), two], ["x/", "y/", "z/"])
    assert [joined.key(i) for i in range(5)] == ["x/0.png", "x/1.png", "x/2.png", "z/0.png", "z/1.png"]
    assert [content(joined.open(i)) for i in range(5)] == [b"\3\0", b"\3\1", b"\3\2", b"\2\0", b"\2\1"]
    with pytest.raises(IndexError):
        joined.key(5)


@settings(max_examples=50)
@given(count=st.integers(1, 60), world=st.integers(1, 4), part=st.integers(1, 3), epoch=st.integers(0, 3))
def test_the_batches_of_all_processes_are_together_those_of_one(count: int, world: int, part: int, epoch: int) -> None:
    whole, *ranks = (EpochShuffle(count, 5, rank, w) for rank, w in [(0, 1), *((r, world) for r in range(world))])
    for one in (whole, *ranks):
        one.set_epoch(epoch)
    order, shares = list(whole), [list(one) for one in ranks]
    assert {len(share) for share in shares} == {len(one) for one in ranks} == {count // world}
    for start in range(0, count // world - part + 1, part):
        joint = [index for share in shares for index in share[start : start + part]]
        assert sorted(joint) == sorted(order[start * world : (start + part) * world])


def test_processes_validate_on_every_picture_once(tmp_path: Path) -> None:
    folder = write_photographs(tmp_path / "photos", 14)
    recipe, _ = training.read_recipe(None, ["size=32", "batch_size=4", "valid_fraction=0.5"])
    train, valid = training.make_datasets([folder], recipe)
    loaders = [make_loaders(train, valid, recipe, torch.device("cpu"), rank, 2) for rank in (0, 1)]
    names = [[name for batch in validation for name in batch["name"]] for _, validation in loaders]
    assert sorted(map(len, names)) == [3, 4]
    assert sorted([*names[0], *names[1]]) == sorted(valid[i]["name"] for i in range(len(valid)))
    assert [len(batch["name"]) for batch in loaders[0][0]] == [2]  # half of the one batch that 7 make
    with pytest.raises(PixelRNNError, match="7 pictures to validate on, less than 8 processes"):
        make_loaders(train, valid, replace(recipe, batch_size=8), torch.device("cpu"), 0, 8)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_photograph_is_named_in_one_line_by_workers_too(tmp_path: Path, workers: int) -> None:
    folder = write_photographs(tmp_path / "photos", 6)
    (folder / "a" / "bed_1.webp").write_bytes(b"no picture")
    loader = Batches(OccludedPhotographs(Files(each_photograph(folder, None), folder), 16), batch_size=2, num_workers=workers)
    with pytest.raises(PixelRNNError, match=r"^\S*bed_1\.webp: not a picture[^\n]*$"):
        list(loader)


# --- LMDB


def test_lmdb_is_read_by_number_in_the_order_of_its_keys(lsun: tuple[Path, dict[bytes, bytes]]) -> None:
    folder, files = lsun
    source = Lmdb(folder)
    assert len(source) == len(files)
    for index in reversed(range(len(source))):
        key = sorted(files)[index]
        assert (source.key(index), content(source.open(index))) == (key.decode(), files[key])
    assert read_image(source.open(7)).shape == (24, 32, 3)
    with pytest.raises(IndexError):
        source.key(len(files))


def test_keys_are_passed_over_once_and_again_when_the_data_has_changed(
    lsun: tuple[Path, dict[bytes, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = lsun
    passes = []
    listed = lmdbs._listed
    monkeypatch.setattr(lmdbs, "_listed", lambda *given: passes.append(1) or listed(*given))
    first = Lmdb(folder)
    assert len(first.keys) == 4  # of 197
    again = Lmdb(folder)
    assert (len(passes), again.keys.whole) == (1, first.keys.whole)
    lmdbs._environments.pop(folder)[1].close()
    write_lmdb(folder, {b"0000": b"new"})
    assert Lmdb(folder).key(0) == "0000"
    assert len(passes) == 2
    (folder / lmdbs.SIDECAR).write_bytes(b"damaged")
    assert (Lmdb(folder).key(0), len(passes)) == ("0000", 3)


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_stays_as_it_is(
    lsun: tuple[Path, dict[bytes, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, files = lsun
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda *given: False)  # as on a read-only file system, which tests cannot mount
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    for _ in range(2):
        assert Lmdb(folder).key(70) == sorted(files)[70].decode()
        monkeypatch.setattr(lmdbs, "_listed", None)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert len(list((tmp_path / "cache" / "pixelrnn").iterdir())) == 1


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_however_they_start_read_what_their_parent_reads(
    lsun: tuple[Path, dict[bytes, bytes]], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))  # or a spawned worker would run it, whatever it is
    dataset = OccludedPhotographs(Part(Lmdb(lsun[0]), np.arange(0, 197, 9)), 16)
    expected = [dataset[i] for i in range(len(dataset))]  # the parent has it open
    loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context=multiprocessing.get_context(method))
    for item, other in zip(loader, expected, strict=True):
        assert item["name"] == other["name"]
        assert torch.equal(item["image"], other["image"])


def test_a_damaged_picture_in_lmdb_is_named_and_so_is_what_is_no_lmdb(tmp_path: Path) -> None:
    source = Lmdb(write_lmdb(tmp_path / "x_lmdb", {b"abc": b"no picture"}))
    with pytest.raises(PixelRNNError, match=r"x_lmdb: abc: not a picture"):
        OccludedPhotographs(source, 16)[0]
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "data.mdb").write_bytes(b"something else")
    with pytest.raises(PixelRNNError, match="y: not a readable LMDB folder"):
        Lmdb(tmp_path / "y")


def test_lmdb_and_folders_train_together_and_a_missing_package_is_named(
    lsun: tuple[Path, dict[bytes, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_photographs(tmp_path / "photos", 10)
    recipe, _ = training.read_recipe(None, ["size=16", "valid_fraction=0.1"])
    train, valid = training.make_datasets([lsun[0], folder], recipe)
    assert (len(train), len(valid)) == (177 + 9, 20 + 1)
    assert {len(train[i]["name"]) for i in (0, 176)} == {40}
    assert train[177]["name"].startswith("bed_")
    lmdbs._environments.clear()
    monkeypatch.setitem(sys.modules, "lmdb", None)
    monkeypatch.setattr(sys, "argv", ["pixelrnn", "train", str(lsun[0]), "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "pip install 'pixelrnn[lmdb]'" in capsys.readouterr().err
