"""Pictures a second in training, by 1 and 2 processes, on rendered bedrooms. All run in turns, so that a noisy machine is fair
to all; each run's second epoch counts, after which nothing starts any more.

python benchmarks/processes.py [ROUNDS] [KEY=VALUE ...] [--device cuda]; by default 2 rounds, size=128, batch_size=16 and the
bundled network. Threads share the cores of this machine between the processes. The last line is one JSON object: medians.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from pixelrnn.data.pairs import write_pairs
from pixelrnn.data.synthetic import render_bedroom

CORES, STEPS = os.cpu_count() or 1, 6
DEFAULTS = ["size=128", "batch_size=16", "occlusion=random", "loss=hole_rmse"]


def pictures_a_second(data: Path, out: Path, processes: int, words: list[str]) -> float:
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, CORES // processes)), "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-m", "pixelrnn", "train", str(data), *DEFAULTS, "epochs=2", f"epoch_steps={STEPS}", *words]
    command += ["-o", str(out), "--overwrite", "--devices", str(processes)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    with (out / "metrics.csv").open() as file:
        first, second = csv.DictReader(file)
    batch = next(int(word[11:]) for word in reversed(DEFAULTS + words) if word.startswith("batch_size="))
    return STEPS * batch / (60 * (float(second["minutes"]) - float(first["minutes"])))


def main() -> None:
    rounds = int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else 2
    words = [word for word in sys.argv[1:] if not word.isdigit()]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_pairs((render_bedroom(np.random.default_rng(seed), 128) for seed in range(80)), data, seed=0)
        words = ["valid_from=78", *words]
        found: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(rounds):
            for processes, rates in found.items():
                rates.append(pictures_a_second(data, Path(folder) / "run", processes, words))
    for processes, rates in found.items():
        print(f"{processes} processes: {statistics.median(rates):.2f} pictures a second")
    print(json.dumps({str(processes): statistics.median(rates) for processes, rates in found.items()}))


if __name__ == "__main__":
    main()
