"""What starting costs, beside what nobody can start without: `pixelrnn complete` from the start of the process to its exit and
`python -c "import numpy, PIL.Image, onnxruntime"`, `import pixelrnn` and `import numpy`, `pixelrnn --help` and that of an empty
typer app. Each pair runs in turns, so that a noisy machine is fair to both.

python benchmarks/startup.py [ROUNDS]; 11 by default. The last line is one JSON object: median seconds from start to exit, of
imports what the bare interpreter takes left out, and the ratios of the medians; `cpu` is the same of processor time, of which
other work on the machine takes less.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pixelrnn.data.synthetic import render_bedroom
from pixelrnn.encode import write_image

EMPTY = "import typer\napp = typer.Typer()\n@app.command()\ndef main() -> None:\n    pass\napp()\n"
ENVIRONMENT = {**os.environ, "OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)  # what pip installs is compiled once


def run(command: Sequence[str]) -> tuple[float, float]:
    """Seconds from start to exit, and of the processor."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def alternate(rounds: int, *commands: Sequence[str]) -> list[tuple[float, float]]:
    """Medians of commands run in turns, the first round, which fills the caches, left out."""
    taken = [[run(command) for command in commands] for _ in range(rounds + 1)][1:]
    return [
        (statistics.median(one[i][0] for one in taken), statistics.median(one[i][1] for one in taken))
        for i in range(len(commands))
    ]


def main(rounds: int) -> None:
    python = sys.executable
    pixelrnn = str(Path(python).with_name("pixelrnn"))  # as pip installs it
    figures: dict[str, dict[str, float]] = {}

    def tell(name: str, ours: tuple[float, float], theirs: tuple[float, float]) -> None:
        figures[name] = {
            "seconds": round(ours[0], 4),
            "beside": round(theirs[0], 4),
            "ratio": round(ours[0] / theirs[0], 2),
            "cpu ratio": round(ours[1] / theirs[1], 2),
        }
        print(f"{name:24s}", figures[name], flush=True)

    with tempfile.TemporaryDirectory() as folder:
        picture = render_bedroom(np.random.default_rng(302), 256).copy()
        picture[90:167, 90:167] = 0
        write_image(Path(folder) / "x.png", picture)
        (Path(folder) / "empty.py").write_text(EMPTY)
        complete = ["complete", f"{folder}/x.png", "-o", f"{folder}/y.png", "--overwrite"]
        ours, least = alternate(rounds, [pixelrnn, *complete], [python, "-c", "import numpy, PIL.Image, onnxruntime"])
        tell("pixelrnn complete", ours, least)
        ours, numpy, bare = alternate(
            rounds, [python, "-c", "import pixelrnn"], [python, "-c", "import numpy"], [python, "-c", "pass"]
        )
        tell("import pixelrnn", (ours[0] - bare[0], ours[1] - bare[1]), (numpy[0] - bare[0], numpy[1] - bare[1]))
        ours, empty = alternate(rounds, [pixelrnn, "--help"], [python, f"{folder}/empty.py", "--help"])
        tell("pixelrnn --help", ours, empty)
    print(json.dumps({"rounds": rounds, "threads": int(ENVIRONMENT["OMP_NUM_THREADS"]), **figures}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
