"""File systems that fsspec knows: planned, read and written as this machine's, here in its own memory."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem

from pixelrnn import Completer, PixelRNNError
from pixelrnn.decode import read_picture
from pixelrnn.encode import encode_image
from pixelrnn.inference.batch import CompletionOptions, MaskOption, Task, read_mask_option
from pixelrnn.inference.cluster import CompleteRow
from pixelrnn.inference.files import LOCAL, local_place
from pixelrnn.inference.manifest import BEFORE, Manifest
from pixelrnn.inference.planning import locate, plan
from pixelrnn.inference.remote import fetch, place, put

ROOM = np.linspace(80, 200, 64 * 72 * 3).reshape(64, 72, 3).astype(np.uint8)
HOLE = np.zeros((64, 72), bool)
HOLE[20:40, 10:30] = True


@pytest.fixture
def store():
    """A file system in memory with photographs, other files and masks; nothing of it is left."""
    system = fsspec.filesystem("memory")
    for name in ("bed_10.png", "bed_9.png", "inner/a.png", ".hidden/b.png", ".c.png", "done/old.png"):
        put(f"memory://bucket/photos/{name}", encode_image(ROOM))
    put("memory://bucket/photos/notes.txt", b"")
    put("memory://bucket/masks/inner/a_mask.png", encode_image(HOLE))
    put("memory://bucket/masks/bed_9.png", encode_image(HOLE))
    yield system
    system.rm("/bucket", recursive=True)


def completed(task: Task) -> dict[str, Any]:
    """What an actor of Ray makes of a task."""
    return json.loads(CompleteRow(CompletionOptions())({"task": json.dumps(task._asdict())})["row"])


def names(pairs) -> list[str]:
    return [target.as_posix() for _, target in pairs]


def test_a_remote_folder_is_planned_in_the_order_of_a_local_one(store):
    ends = locate(["memory://bucket/photos"], "memory://bucket/photos/done", place)
    planned = plan(ends.paths, ends.out, False, kind="webp", sources=ends.sources, targets=ends.targets)
    assert names(planned.todo) == [f"/bucket/photos/done/{name}.webp" for name in ("bed_9", "bed_10", "inner/a")]
    assert dict(planned.left) == {".txt": 1}
    with pytest.raises(PixelRNNError, match="memory:///bucket/nothing: no such file or folder"):
        plan([PurePosixPath("/bucket/nothing")], ends.out, False, sources=ends.sources, targets=ends.targets)


def test_what_is_done_is_left_out_or_refused_as_on_this_machine(store):
    put("memory://bucket/out/bed_9.png", b"done")
    ends = locate(["memory://bucket/photos"], "memory://bucket/out", place)
    with pytest.raises(PixelRNNError, match=r"/bucket/out/bed_9\.png: exists already"):
        plan(ends.paths, ends.out, False, sources=ends.sources, targets=ends.targets)
    planned = plan(ends.paths, ends.out, False, True, sources=ends.sources, targets=ends.targets)
    assert names(planned.done) == ["/bucket/out/bed_9.png"]
    assert len(planned.todo) == 3  # done/old.png is a photograph here


def test_paths_come_back_as_they_were_given_and_local_ones_whole(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files, path = place("memory://bucket/photos/bed_9.png")
    assert files.url(path) == "memory:///bucket/photos/bed_9.png"
    assert place(files.url(path)) == (files, path)
    assert place("a.png") == place((tmp_path / "a.png").as_uri()) == (LOCAL, tmp_path / "a.png")


@pytest.mark.parametrize(
    ("given", "why"),
    [("nonsense://a", "cannot be reached"), ("s3://bucket/a", "[Ii]nstall s3fs"), ("zip://a::memory://b", "a chain")],
)
def test_what_cannot_be_reached_is_refused_in_one_line(given, why):
    with pytest.raises(PixelRNNError, match=why) as error:
        place(given)
    assert "\n" not in str(error.value)


def test_two_file_systems_are_refused_and_a_remote_one_needs_ray(store, tmp_path):
    with pytest.raises(PixelRNNError, match="on different file systems"):
        locate(["memory://bucket/photos", str(tmp_path)], None, place)
    with pytest.raises(PixelRNNError, match=r"s3://bucket/a: not on this machine. --engine ray"):
        local_place("s3://bucket/a")


def test_masks_lie_anywhere_and_are_found_by_name(store):
    ends = locate(["memory://bucket/photos"], "memory://bucket/out", place)
    masks = read_mask_option("memory://bucket/masks", ends.paths, place)
    planned = plan(ends.paths, ends.out, False, sources=ends.sources, targets=ends.targets)
    told = {Path(task.source).name: task for task in masks.tasks(planned.todo, ends.sources, ends.targets)}
    assert told["bed_9.png"].mask == "memory:///bucket/masks/bed_9.png"
    assert told["a.png"].mask == "memory:///bucket/masks/inner/a_mask.png"
    assert "0 masks named bed_10" in told["bed_10.png"].problem


@pytest.mark.parametrize("given", ["memory://bucket/masks/bed_9.png", "10,20,20,20"])
def test_a_row_is_completed_from_one_file_system_to_another(store, given):
    mask = read_mask_option(given, [], place)
    files, folder = place("memory://bucket")
    (task,) = mask.tasks([(folder / "photos/bed_9.png", folder / "out/a.png")], files, files)
    told = completed(task)
    assert (told["path"], told["output"]) == ("memory:///bucket/photos/bed_9.png", "memory:///bucket/out/a.png")
    assert (told["error"], told["mask_source"], told["missing"]) == (None, "given", round(HOLE.mean(), 6))
    expected = Completer.from_pretrained()(ROOM, HOLE).image
    np.testing.assert_array_equal(read_picture(fetch("memory:///bucket/out/a.png")).pixels, expected)


def test_a_row_that_fails_names_its_url_and_writes_nothing(store):
    put("memory://bucket/photos/bad.png", b"not a picture")
    for source, target, why in (
        ("photos/bad.png", "out/a.png", "memory://bucket/photos/bad.png: not a picture"),
        ("photos/gone.png", "out/a.png", "memory://bucket/photos/gone.png: no such file"),
        ("photos/bed_9.png", "out/a.xyz", "memory://bucket/out/a.xyz: cannot write this format"),
    ):
        task = Task(f"memory://bucket/{source}", f"memory://bucket/{target}", (10, 20, 20, 20))
        assert completed(task)["error"].startswith(why)
    assert not store.exists("/bucket/out")


class Torn(LocalFileSystem):
    """Its disk is full after ten bytes of a file."""

    protocol = "torn"

    def pipe_file(self, path, value, **more):
        super().pipe_file(path, value[:10], **more)
        raise OSError("disk full")


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    fsspec.register_implementation("torn", Torn, clobber=True)
    (tmp_path / "a.bin").write_bytes(b"before")
    with pytest.raises(PixelRNNError, match=r"torn://.*a\.bin: cannot write there \(OSError: disk full\)"):
        put(f"torn://{tmp_path}/a.bin", b"x" * 100)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"before"


class Away(LocalFileSystem):
    """Nobody answers."""

    protocol = "away"

    def info(self, path, **more):
        raise ConnectionResetError("nobody\nanswers")

    exists = ls = find = cat_file = info


def test_a_file_system_that_fails_is_one_line(tmp_path):
    fsspec.register_implementation("away", Away, clobber=True)
    files, path = place(f"away://{tmp_path}")
    for ask in (lambda: files.exists(path), lambda: files.names(path), lambda: fetch(files.url(path))):
        with pytest.raises(PixelRNNError, match=r"away://.*ConnectionResetError: nobody answers"):
            ask()


def test_rows_are_kept_with_every_column_and_runs_add_up(store):
    files, folder = place("memory://bucket/out/manifest")
    for error in (None, "it failed"):
        manifest = Manifest(files, folder)
        told = {"path": "a.png", "output": "memory:///bucket/out/a.png", "error": error, "seconds": 0.5, "missing": 0.25}
        manifest.add(told | {"regions": [{"box": [1, 2, 3, 4], "pixels": 5, "confidence": 0.5, "kept": True}], "width": 7})
        manifest.flush()
        manifest.flush()
    assert len(files.names(folder)) == 2
    assert list(manifest.outputs()) == ["memory:///bucket/out/a.png"]


def test_what_was_done_without_a_row_gets_one(store):
    files, folder = place("memory://bucket/out/manifest")
    done = [(PurePosixPath(f"/bucket/photos/{name}"), PurePosixPath(f"/bucket/out/{name}")) for name in ("a.png", "b.png")]
    first = Manifest(files, folder)
    first.add({"path": "a", "output": "memory:///bucket/out/a.png"})
    first.flush()
    for _ in range(2):
        Manifest(files, folder).add_missing(done, files)
    assert len(files.names(folder)) == 2
    assert sorted(Manifest(files, folder).outputs()) == ["memory:///bucket/out/a.png", "memory:///bucket/out/b.png"]
    assert BEFORE  # what its row notes


def test_no_mask_is_none_for_every_task():
    (task,) = MaskOption().tasks([(Path("a.png"), Path("b.png"))])
    assert task == Task("a.png", "b.png", None, "")
