"""`pixelrnn complete --engine ray` on a Ray of its own: the bytes of one process, a row for every file, whatever is killed."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow import parquet

from pixelrnn.inference.manifest import BEFORE
from running import ONE_THREAD, Background, complete, contents, photos, poison, rows, until, written

RAY = ("--engine", "ray", "--jobs", "2")
WORKER = "ray::MapWorker"  # what Ray calls a process that completes
# a file system as a package that is installed: its files are in a folder of this machine
SHELF = """
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

class Shelf(DirFileSystem):
    protocol = "shelf"

    def __init__(self, **more):
        super().__init__({root!r}, LocalFileSystem(), **more)

    @classmethod
    def _strip_protocol(cls, path):
        return path.removeprefix("shelf://").strip("/")
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def manifest(folder: str = "done") -> list[dict]:
    """All rows, the earliest first."""
    return sorted(parquet.read_table(f"{folder}/manifest").to_pylist(), key=lambda row: row["time"])


@pytest.mark.slow
def test_ray_writes_the_bytes_of_one_process_and_goes_on_where_it_ended(place):
    photos(9)
    Path("photos/1/broken.jpg").write_text("not a picture")
    Path("masks/0/bed_3.png").unlink()
    code, said, _ = complete("photos", "-o", "one", "--mask", "masks", "--json")
    assert code == 1
    expected = rows(said)
    code, said, errors = complete("photos", "-o", "done", "--mask", "masks", "--json", *RAY)
    assert (code, errors) == (1, "")
    told = rows(said)
    for name, row in expected.items():
        if row["error"] is None:
            assert told[name] == row
        else:
            assert told[name]["error"].endswith(row["error"].split(": ", 1)[1]) or "0 masks named" in row["error"]
    assert contents("done") == contents("one")
    assert len(contents("done")) == 8
    kept = {Path(row["path"]).name: row for row in manifest()}
    assert set(kept) == set(told)
    for name, row in kept.items():
        assert {key: row[key] for key in told[name]} == told[name]
        assert row["seconds"] >= 0
    Path("photos/1/broken.jpg").unlink()
    Path("photos/0/bed_3.png").unlink(missing_ok=True)
    Path("photos/0/bed_3.tif").unlink()
    code, said, errors = complete("photos", "-o", "done", "--mask", "masks", "--skip-existing", *RAY)
    assert (code, said, errors) == (0, "all 8 were done\n", "")
    assert len(manifest()) == 10


@pytest.mark.slow
def test_a_killed_ray_worker_costs_no_other_file(place):
    photos(120)
    running = Background("photos", "-o", "done", "--json", *RAY, environment=poison(place))
    until(lambda: written() >= 1)
    os.kill(running.processes(WORKER)[0], signal.SIGKILL)
    code, said, errors = running.wait()
    assert (code, errors) == (1, "")
    told = rows(said)
    assert len(told) == len(manifest()) == 121
    assert "poison.png: 4 workers died of it" in told.pop("poison.png")["error"]
    assert all(row["error"] is None for row in told.values())
    assert written() == 120
    until(running.is_gone)


@pytest.mark.slow
def test_a_killed_ray_run_has_a_row_for_every_file_after_it_is_resumed(place):
    photos(120)
    running = Background("photos", "-o", "done", *RAY)
    until(lambda: written() >= 5)
    running.process.kill()
    running.wait()
    until(lambda: not running.processes(WORKER))
    before = {path: path.stat().st_mtime_ns for path in Path("done").rglob("*.png")}
    assert len(before) < 120
    code, said, _ = complete("photos", "-o", "done", "--skip-existing", *RAY)
    assert code == 0
    assert f"{120 - len(before)} of {120 - len(before)} pictures completed" in said
    assert {path: path.stat().st_mtime_ns for path in before} == before
    kept = manifest()
    assert len({row["output"] for row in kept}) == len(kept) == written() == 120
    assert [row["notes"] for row in kept].count([BEFORE]) == len(before)


@pytest.mark.slow
def test_ray_reads_and_writes_another_file_system_and_ctrl_c_is_told(place):
    photos(60)
    package = place / "packages" / "shelf-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[fsspec.specs]\nshelf = shelf:Shelf\n")
    (package.parent / "shelf.py").write_text(SHELF.format(root=str(place)))
    paths = filter(None, [str(package.parent), os.environ.get("PYTHONPATH")])
    environment = ONE_THREAD | {"PYTHONPATH": os.pathsep.join(paths)}
    words = ("shelf://photos", "-o", "shelf://done", "--mask", "shelf://masks", *RAY)
    running = Background(*words, environment=environment)
    until(lambda: written() >= 3)
    running.interrupt()
    code, _, errors = running.wait()
    assert code == 130
    assert re.fullmatch(r"error: stopped: \d+ of 60 pictures completed. --skip-existing goes on.\n", errors)
    until(running.is_gone)
    code, said, errors = complete(*words, "--skip-existing", environment=environment)
    assert (code, errors) == (0, "")
    assert said.endswith("completed in shelf://done\n")
    assert complete("photos", "-o", "one", "--mask", "masks")[0] == 0
    assert contents("done") == contents("one")
    assert {row["path"] for row in manifest()} == {f"shelf://{path}" for path in Path("photos").rglob("*.*")}


@pytest.mark.slow
def test_weights_that_workers_cannot_open_are_one_line(place):
    photos(2)
    Path("bad.safetensors").write_bytes(b"no weights")
    code, said, errors = complete("photos", "-o", "done", "--weights", "bad.safetensors", *RAY)
    assert (code, said) == (2, "")
    assert "not a readable .safetensors file" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("name", ["ray", "fsspec", "pyarrow"])
def test_without_ray_one_line_says_how_it_is_installed(name, place):
    photos(1)
    words = ["pixelrnn", "complete", "photos" if name != "fsspec" else "s3://a", "-o", "done", "--skip-existing", *RAY]
    code = f"import sys; sys.modules[{name!r}] = None; sys.argv = {words!r}; from pixelrnn.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"error: this needs {name}. Install it: pip install 'pixelrnn[cluster]'.\n"


@pytest.mark.parametrize("words", [(), ("-o", "a.png"), ("-o", "done", "--sheet", "sheet.png")])
def test_ray_writes_to_a_folder_alone(words, place):
    photos(1)
    code, _, errors = complete("photos/0/bed_0.png", *words, *RAY)
    assert code == 2
    assert errors.startswith("error: --engine ray: writes to a folder")


def test_a_cluster_that_does_not_answer_is_told_at_once(place):
    photos(1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{free.getsockname()[1]}"
        code, _, errors = complete("photos", "-o", "done", *RAY, environment=ONE_THREAD | {"RAY_ADDRESS": address})
    assert code == 2
    assert errors.startswith(f"error: RAY_ADDRESS {address}: nothing answers there")


def test_another_engine_is_refused(place):
    photos(1)
    code, _, errors = complete("photos", "--engine", "spark")
    assert (code, errors) == (2, "error: --engine spark: expected local, ray.\n")
