"""`pixelrnn complete --jobs` and `--shard`: the same bytes from any number of processes, and none that dies costs more than it
had in hand."""

import os
import re
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelrnn import PixelRNNError
from pixelrnn.inference.planning import plan, read_shard
from running import ONE_THREAD, Background, complete, contents, photos, poison, rows, until, written

WORKER = "spawn_main"  # in the command line of a process that multiprocessing starts


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("--mask", "masks"), ("--grow", "3", "--format", "same")])
def test_two_processes_write_the_bytes_of_one_and_tell_the_same(words, place):
    photos(8)
    Path("photos/1/broken.jpg").write_text("not a picture")
    Path("masks/0/bed_3.png").unlink()
    told = {}
    for jobs, threads in ((1, 1), (2, 1), (2, 2)):
        out = f"done{jobs}{threads}"
        environment = {"OMP_NUM_THREADS": str(threads)}
        code, said, _ = complete("photos", "-o", out, "--json", "--jobs", str(jobs), *words, environment=environment)
        assert code == 1
        told[out] = rows(said)
    assert len(told["done11"]) == 9
    assert told["done11"] == told["done21"] == told["done22"]
    assert contents("done11") == contents("done21") == contents("done22")
    assert len(contents("done11")) == (7 if "--mask" in words else 8)
    assert "not a picture" in told["done11"]["broken.jpg"]["error"] or "--mask" in words


@pytest.mark.slow
def test_samples_are_drawn_alike_in_any_number_of_processes(place):
    photos(2)
    for jobs in ("1", "2"):
        words = ("--mask", "masks", "--samples", "2", "--seed", "5", "--jobs", jobs)
        assert complete("photos", "-o", f"done{jobs}", *words)[0] == 0
    assert len(contents("done1")) == 4
    assert contents("done1") == contents("done2")


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_and_another_takes_its_place(place):
    photos(60)
    running = Background("photos", "-o", "done", "--json", "--jobs", "2")
    until(lambda: written() >= 5)
    first = running.processes(WORKER)
    assert len(first) == 2
    for worker in first:
        assert b"OMP_NUM_THREADS=1\0" in Path(f"/proc/{worker}/environ").read_bytes()
    os.kill(first[0], signal.SIGKILL)
    until(lambda: len(set(running.processes(WORKER)) - set(first)) == 1)
    code, said, errors = running.wait()
    assert (code, errors) == (0, "")
    assert len(rows(said)) == written() == 60
    assert all(row["error"] is None for row in rows(said).values())


@pytest.mark.slow
def test_a_file_that_kills_its_workers_is_an_error_and_the_rest_completes(place):
    photos(9)
    code, said, errors = complete("photos", "-o", "done", "--json", "--jobs", "2", environment=poison(place))
    assert (code, errors) == (1, "")
    told = rows(said)
    assert re.match(r"photos/0/poison.png: its process was killed by signal 9.* 2 times", told.pop("poison.png")["error"])
    assert len(told) == written() == 9
    assert all(row["error"] is None for row in told.values())


@pytest.mark.slow
def test_ctrl_c_ends_every_process_and_the_run_can_be_resumed(place):
    photos(60)
    running = Background("photos", "-o", "done", "--jobs", "2")
    until(lambda: written() >= 3)
    running.interrupt()
    code, _, errors = running.wait()
    assert code == 130
    assert re.fullmatch(r"error: stopped: \d+ of 60 pictures completed. --skip-existing goes on.\n", errors)
    until(running.is_gone)
    assert not [name for name in contents("done") if Path(name).name.startswith(".")]
    before = {path: path.stat().st_mtime_ns for path in Path("done").rglob("*.png")}
    code, said, _ = complete("photos", "-o", "done", "--jobs", "2", "--skip-existing", "--json")
    assert code == 0
    assert len(rows(said)) == 60 - len(before)
    assert written() == 60
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_ctrl_c_while_processes_start_is_quiet(place):
    photos(4)
    running = Background("photos", "-o", "done", "--jobs", "2")
    until(lambda: len(running.processes(WORKER)) == 2)
    time.sleep(0.2)  # wherever they are by then
    running.interrupt()
    code, _, errors = running.wait()
    assert code in (130, 0)  # or they were that quick
    assert "Traceback" not in errors
    until(running.is_gone)


@pytest.mark.slow
def test_no_process_outlives_a_killed_parent(place):
    photos(60)
    running = Background("photos", "-o", "done", "--jobs", "2")
    until(lambda: written() >= 3)
    running.process.kill()
    running.wait()
    until(running.is_gone)
    assert written() < 60


@pytest.mark.slow
def test_weights_that_cannot_be_opened_are_one_line_from_several_processes(place):
    photos(2)
    Path("bad.safetensors").write_bytes(b"no weights")
    code, said, errors = complete("photos", "-o", "done", "--jobs", "2", "--weights", "bad.safetensors")
    assert (code, said) == (2, "")
    assert errors.startswith("error: bad.safetensors: not a readable .safetensors file")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "1/2/3", "a/b", "-1/2", "1/0", ""])
def test_a_share_that_there_is_not_is_refused(shard):
    with pytest.raises(PixelRNNError, match="expected K/N with 1 <= K <= N"):
        read_shard(shard)


@given(count=st.integers(1, 12), shares=st.integers(1, 15))
def test_shares_hold_every_picture_once_and_differ_by_one_at_most(count, shares, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(count):
        (folder / f"{number}.png").touch()
    whole = plan([folder], Path("nowhere"), overwrite=False).todo
    parts = [plan([folder], Path("nowhere"), overwrite=False, shard=(k, shares)).todo for k in range(1, shares + 1)]
    assert sorted(pair for part in parts for pair in part) == sorted(whole)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_share_stays_the_same_while_others_are_done(place):
    photos(7)
    shares = [plan([Path("photos")], Path("done"), False, skip_existing=True, shard=(k, 3)) for k in (1, 2, 3)]
    for _, target in shares[0].todo:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    assert plan([Path("photos")], Path("done"), False, skip_existing=True, shard=(2, 3)).todo == shares[1].todo
    again = plan([Path("photos")], Path("done"), False, skip_existing=True, shard=(1, 3))
    assert (again.todo, again.done) == ([], shares[0].todo)
    # what another share has done is no reason to stop
    assert plan([Path("photos")], Path("done"), False, shard=(3, 3)).todo == shares[2].todo


@pytest.mark.slow
def test_a_share_is_completed_by_several_processes(place):
    photos(4)
    code, said, _ = complete("photos", "-o", "done", "--shard", "2/2", "--jobs", "2", "--json", environment=ONE_THREAD)
    assert code == 0
    assert set(rows(said)) == {path.name for path, _ in plan([Path("photos")], Path("o"), False, shard=(2, 2)).todo}
    code, said, _ = complete("photos", "-o", "done", "--shard", "9/9")
    assert (code, said) == (0, "no pictures in share 9/9\n")


def test_output_folders_are_listed_once_however_many_images_there_are(place, monkeypatch):
    photos(30)
    asked = []
    listed, exists = os.listdir, Path.exists
    monkeypatch.setattr(os, "listdir", lambda path: asked.append(path) or listed(path))
    monkeypatch.setattr(Path, "exists", lambda path: asked.append(path) or exists(path))
    assert len(plan([Path("photos")], Path("done"), overwrite=False).todo) == 30
    assert len(asked) == 3
