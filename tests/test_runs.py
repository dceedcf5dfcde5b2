"""Runs that do not lie: none is overwritten, none goes on with a loss that is not finite, and epochs of seconds do not write
hundreds of pictures."""

import csv
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import numpy as np
import pytest
import torch
from PIL import Image

from pixelrnn import checkpoint
from pixelrnn.cli import main
from pixelrnn.data.pairs import write_pairs

TINY = ["widths=[4,4,4]", "depths=[1,1,1]", "detector_widths=[4,4,4]", "detector_depths=[1,1,1]", "scan_hidden=4"]
WORDS = ["size=32", "batch_size=4", "init_from=scratch", *TINY]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "data"
    rng = np.random.default_rng(0)
    halves = [rng.integers(60, 256, (2, 1, 3)).astype(np.uint8) for _ in range(10)]
    write_pairs([np.repeat(half, 24, axis=0).repeat(48, axis=1) for half in halves], folder, seed=0)
    return folder


def pixelrnn(*words, code=0):
    """What the command says, which ends with this code."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as complaints, pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert (ended.value.code or 0) == code, complaints.getvalue()
    return out.getvalue() + complaints.getvalue()


def epochs(out):
    with (out / "metrics.csv").open() as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run of two epochs, to be left as it is."""
    out = tmp_path_factory.mktemp("run") / "out"
    pixelrnn("train", data, *WORDS, "epochs=2", "learning_rate=2e-3", "-o", out)
    return out


def contents(out):
    return {path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_a_second_run_in_the_same_folder_is_refused(data, run):
    before = contents(run)
    said = pixelrnn("train", data, *WORDS, "epochs=1", "-o", run, code=2)
    assert all(word in said for word in ("--resume", "--overwrite", "-o"))
    pixelrnn("train", data, *WORDS, "-o", run, "--resume", "--overwrite", code=2)
    assert contents(run) == before


@pytest.mark.slow
def test_an_overwritten_run_leaves_nothing_behind(data, tmp_path):
    pixelrnn("train", data, *WORDS, "epochs=3", "-o", tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("of somebody else")
    pixelrnn("train", tmp_path / "nowhere", *WORDS, "epochs=1", "-o", tmp_path / "out", "--overwrite", code=2)
    assert epochs(tmp_path / "out") == [1, 2, 3], "removed before it was sure that the new one can begin"
    pixelrnn("train", data, *WORDS, "epochs=1", "-o", tmp_path / "out", "--overwrite")
    assert epochs(tmp_path / "out") == [1]
    assert [path.name for path in (tmp_path / "out" / "pictures").glob("epoch_*")] == ["epoch_001.jpg"]
    assert (tmp_path / "out" / "mine.txt").exists()


def test_a_resumed_run_keeps_its_data_recipe_and_network(data, tmp_path):
    out = tmp_path / "out"
    pixelrnn("train", data, *WORDS, "epochs=1", "learning_rate=2e-3", "-o", out)
    said = pixelrnn("train", "epochs=2", "workers=1", "-o", out, "--resume")
    assert "going on from the last checkpoint" in said
    assert epochs(out) == [1, 2]
    recipe = checkpoint.load(out / "optimized_pixelrnn.safetensors").metadata["recipe"]
    assert (recipe["learning_rate"], recipe["size"], recipe["epochs"], recipe["workers"]) == (0.002, 32, 2, 1)


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("learning_rate=1e-3", "learning_rate"),
        ("realness=0.1", "no key 'realness'"),
        ("perceptual=0.1", "perceptual"),
        ("minutes=3", "minutes"),
        ("widths=[8,8,8]", "widths"),
        ("batch_size=8", "batch_size"),
        ("init_from=bundled", "init_from"),
    ],
)
def test_a_value_that_a_resumed_run_cannot_change_is_named(run, word, named):
    assert named in pixelrnn("train", word, "-o", run, "--resume", code=2)


def test_a_recipe_named_again_is_no_change(run):
    before = contents(run)
    pixelrnn("train", *WORDS, "learning_rate=0.002", "-o", run, "--resume")
    assert (
        contents(run)[next(path for path in before if path.suffix == ".pth")]
        == before[next(path for path in before if path.suffix == ".pth")]
    )


def test_a_run_that_diverges_ends_at_that_step(data, tmp_path):
    said = pixelrnn("train", data, *WORDS, "epochs=3", "learning_rate=1e30", "-o", tmp_path / "out", code=1)
    assert "step 2" in said
    assert "learning rate 1e+30" in said
    assert "Saved" not in said
    assert not list((tmp_path / "out").rglob("*.pth"))
    pixelrnn("train", data, *WORDS, "epochs=1", "-o", tmp_path / "out")


def test_a_run_that_diverges_late_keeps_its_good_weights(data, tmp_path):
    out = tmp_path / "out"
    pixelrnn("train", data, *WORDS, "epochs=2", "-o", out)
    good, last = (out / "optimized_pixelrnn.pth").read_bytes(), out / "checkpoints" / "last.ckpt"
    state = torch.load(last, weights_only=True)
    state["optimizer_states"][0]["param_groups"][0]["lr"] = 1e30
    torch.save(state, last)
    before = last.read_bytes()
    assert "The weights before it are in" in pixelrnn("train", "epochs=5", "-o", out, "--resume", code=1)
    assert (out / "optimized_pixelrnn.pth").read_bytes() == good
    assert last.read_bytes() == before


def test_weights_that_are_not_finite_complete_nothing(run, tmp_path):
    Image.new("RGB", (40, 30), (90, 120, 150)).save(tmp_path / "room.png")
    state = torch.load(run / "optimized_pixelrnn.pth", weights_only=True)
    loaded = checkpoint.load(run / "optimized_pixelrnn.safetensors")
    key = next(key for key in state if key.endswith("weight"))
    for name, value in (("nan", float("nan")), ("huge", 1e30)):  # the second overflows on the way
        loaded.model.load_state_dict(state | {key: torch.full_like(state[key], value)})
        checkpoint.save(tmp_path / f"{name}.safetensors", loaded.model, {})
        words = [tmp_path / "room.png", "--mask", "5,5,9,9", "--weights", tmp_path / f"{name}.safetensors"]
        said = pixelrnn("complete", *words, "-o", tmp_path / "out.png", code=2)
        assert "not finite" in said
    assert not (tmp_path / "out.png").exists()


@pytest.mark.slow
def test_epochs_of_a_moment_are_not_validated_each(data, tmp_path):
    pixelrnn("train", data, *WORDS, "epochs=6", "validate_minutes=1000", "-o", tmp_path / "counted")
    assert epochs(tmp_path / "counted") == [1, 6]
    assert len(list((tmp_path / "counted/pictures").glob("epoch_*"))) == 2
    assert (tmp_path / "counted/pictures/over_epochs.jpg").exists()
    assert torch.load(tmp_path / "counted/checkpoints/last.ckpt", weights_only=True)["epoch"] == 5
    pixelrnn("train", data, *WORDS, "minutes=0.05", "validate_minutes=1000", "-o", tmp_path / "timed")
    assert epochs(tmp_path / "timed")[0] == 1
    assert len(epochs(tmp_path / "timed")) <= 2


@pytest.mark.slow
def test_little_shared_memory_names_the_workers(tmp_path):
    write_pairs([np.full((64, 64, 3), level, np.uint8) for level in range(80, 104, 2)], tmp_path / "data", seed=0)
    words = [sys.executable, "-m", "pixelrnn", "train", tmp_path / "data", *WORDS[2:], "size=256", "batch_size=8", "workers=2"]
    command = " ".join(map(str, [*words, "-o", tmp_path / "out"])).replace("[", "'[").replace("]", "]'")
    script = f"mount -t tmpfs -o size=512k tmpfs /dev/shm && {command}"
    done = subprocess.run(["unshare", "-rm", "bash", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert "workers=0" in done.stderr
    assert "Traceback" not in done.stderr
