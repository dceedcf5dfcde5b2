"""Training by several processes, real ones: they agree, give what one process would, and go on after one was killed."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from pixelrnn import PixelRNNError
from pixelrnn.data.pairs import write_pairs
from pixelrnn.data.synthetic import render_bedroom
from pixelrnn.training.processes import Processes

ROOT = Path(__file__).parent.parent
TINY = ["widths=[4,4,4]", "depths=[1,1,1]", "detector_widths=[4,4,4]", "detector_depths=[1,1,1]", "scan_hidden=4"]
PAIRS = ["size=32", "batch_size=4", "init_from=scratch", "grad_clip=1.0", "schedule=one_cycle", *TINY]
MORE = ["projected=0.4", "perceptual=1", "error=0.3", "trainable=filler"]
RATES = ["learning_rate=1e-4", "discriminator_rate=1e-4"]
KINDS = {
    "described": PAIRS,
    "filler": [
        *PAIRS,
        "loss=hole_rmse",
        "structure_weight=0.1",
        "occlusion=random",
        "trainable=filler",
        "guide_prob=0.5",
        "ema_decay=0.9",
    ],
    "detector": [*PAIRS, "trainable=detector", "occlusion=random"],
    # at higher rates Adam makes much of what rounding gives
    "looks": [
        *PAIRS,
        *RATES,
        "adversarial=1",
        "feature_matching=0.5",
        "projected=0.4",
        "perceptual=1",
        "error=0.3",
        "trainable=filler",
    ],
    "likelihood": ["model=pixelcnn", "features=4", "depth=2", "likelihood=logistics", "batch_size=4", "init_from=scratch"],
}
TELL = """
import hashlib, sys
from pathlib import Path
from pixelrnn.cli import main
from pixelrnn.training.modules import RecipeModule

def tell(module):
    digest = hashlib.sha256()
    for parameter in module.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    Path(sys.argv[0]).with_name(f"rank{module.global_rank}").write_text(digest.hexdigest())

RecipeModule.on_train_end = tell
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    write_pairs([render_bedroom(np.random.default_rng(seed), 48) for seed in range(21)], folder / "pairs", seed=0)
    rng = np.random.default_rng(0)
    (folder / "coarse").mkdir()
    for part, count in (("train", 17), ("valid", 5)):
        cases = rng.integers(0, 256, (count, 7, 8, 8), dtype=np.uint8)
        cases[:, 6] = 255 * (rng.random((count, 8, 8)) < rng.random((count, 1, 1)))  # holes of all sizes
        np.save(folder / "coarse" / f"{part}.npy", cases)
    return folder


def torchrun(*command):
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *map(str, command)]


def start(command):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(command, timeout=240):
    process = start(command)
    said, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, said
    return said


def weights(out):
    return torch.load(out / "optimized_pixelrnn.pth", weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_agree_and_give_what_one_does(data, tmp_path, kind):
    folder = data / ("coarse" if kind == "likelihood" else "pairs")
    words = ["train", folder, *KINDS[kind], "epochs=3", "--device", "cpu"]
    (tmp_path / "tell.py").write_text(TELL)
    said = finish(torchrun(tmp_path / "tell.py", *words, "-o", tmp_path / "two"))
    assert said.count("Saved") == 1
    assert (tmp_path / "rank0").read_text() == (tmp_path / "rank1").read_text()
    finish([sys.executable, "-m", "pixelrnn", *map(str, words), "-o", str(tmp_path / "one")])
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert max(float((one[key] - two[key]).abs().max()) for key in one) < 1e-4
    rows = [(tmp_path / name / "metrics.csv").read_text().splitlines() for name in ("one", "two")]
    assert len(rows[0]) == len(rows[1]) == 4


@pytest.mark.slow
def test_the_command_starts_its_processes_itself(data, tmp_path):
    words = ["train", str(data / "pairs"), *PAIRS, "epochs=1", "--device", "cpu", "--devices", "2", "-o", str(tmp_path / "out")]
    said = finish([sys.executable, "-m", "pixelrnn", *words])
    assert "2 processes with 2 pictures a step each" in said
    said = finish([sys.executable, str(ROOT / "train.py"), *words[1:-1], str(tmp_path / "again")])
    assert said.count("Saved") == 1
    assert (tmp_path / "out/optimized_pixelrnn.pth").read_bytes() == (tmp_path / "again/optimized_pixelrnn.pth").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "lightning"])
def test_a_run_goes_on_byte_for_byte_after_one_process_was_killed(data, tmp_path, launcher):
    def command(out, *more):
        words = ["train", data / "pairs", *PAIRS, "epochs=12", "ema_decay=0.9", "--device", "cpu", "-o", tmp_path / out, *more]
        if launcher == "torchrun":
            return torchrun("-m", "pixelrnn", *words)
        return [sys.executable, "-m", "pixelrnn", *map(str, words), "--devices", "2"]

    process = start(command("parted"))
    metrics = tmp_path / "parted" / "metrics.csv"
    deadline = time.monotonic() + 120
    while not metrics.exists() or len(metrics.read_text().splitlines()) < 4:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(last_child(process.pid), signal.SIGKILL)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0, said
    assert len(metrics.read_text().splitlines()) < 13
    finish(command("parted", "--resume"))
    finish(command("whole"))
    assert (tmp_path / "parted/optimized_pixelrnn.pth").read_bytes() == (tmp_path / "whole/optimized_pixelrnn.pth").read_bytes()


def last_child(pid):
    """The process of the highest rank, which was started last."""
    children = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
            command = (path.parent / "cmdline").read_text()
        except OSError:  # it has just ended
            continue
        if int(fields[1]) == pid and re.search(r"pixelrnn", command):
            children.append(int(path.parent.name))
    return max(children)


ENVIRONMENTS = {
    "nobody": ({}, (None, None), (1, 1, 0, False)),
    "asked for": ({}, (4, 2), (4, 2, 0, False)),
    "a child that Lightning started": ({"NODE_RANK": "1", "LOCAL_RANK": "3"}, (4, 2), (4, 2, 7, False)),
    "torchrun": (
        {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8", "RANK": "9", "LOCAL_RANK": "1"},
        (None, None),
        (8, 2, 9, False),
    ),
    "torchrun again": (
        {
            "TORCHELASTIC_RUN_ID": "x",
            "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "2",
            "RANK": "0",
            "TORCHELASTIC_RESTART_COUNT": "1",
        },
        (2, None),
        (2, 1, 0, True),
    ),
    "SLURM": (
        {"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_PROCID": "5", "SLURM_RESTART_COUNT": "1"},
        (4, 2),
        (4, 2, 5, True),
    ),
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_processes_are_known_by_what_their_launcher_says(monkeypatch, name):
    environment, asked, expected = ENVIRONMENTS[name]
    for key in {key for said, _, _ in ENVIRONMENTS.values() for key in said}:
        monkeypatch.delenv(key, raising=False)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    processes = Processes.from_environment(*asked)
    assert (processes.devices, processes.nodes, processes.rank, processes.restarted) == expected


def test_what_cannot_be_shared_by_processes_is_refused(monkeypatch):
    with pytest.raises(PixelRNNError, match=r"batch_size=16: cannot be shared by 3"):
        Processes(3, 1, 0, False).share(16)
    for key, value in ENVIRONMENTS["torchrun"][0].items():
        monkeypatch.setenv(key, value)
    with pytest.raises(PixelRNNError, match="--devices 4: torchrun has started 8"):
        Processes.from_environment(4)
