"""The real command in processes of its own: started in the background, looked at, and killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pixelrnn.encode import write_image

COMPLETE = (sys.executable, "-m", "pixelrnn", "complete")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
# in each process of Python that finds it: reading a file of this name is its end
POISON = """
import os, signal, sys

def die(event, given):
    if event == "open" and str(given[0]).endswith("poison.png"):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die)
"""


def heed_ctrl_c() -> None:
    """In a child, before it begins: a test run in the background of a script was told to ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Background:
    """`pixelrnn complete` in a session of its own, which holds all processes that it starts."""

    def __init__(self, *words: str, environment: Mapping[str, str] = ONE_THREAD) -> None:
        self.process = subprocess.Popen(
            [*COMPLETE, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | environment,
            preexec_fn=heed_ctrl_c,
        )

    def wait(self) -> tuple[int, str, str]:
        """Its exit code, what it printed, and what it printed as errors."""
        said, errors = self.process.communicate(timeout=300)
        return self.process.returncode, said, errors

    def processes(self, holding: str = "") -> list[int]:
        """All that live of the session, whose command line holds this."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                state, _, _, session = place.joinpath("stat").read_text().rpartition(")")[2].split()[:4]
                command = place.joinpath("cmdline").read_text()
            except OSError:  # it has just ended
                continue
            if int(session) == self.process.pid and state != "Z" and holding in command:
                found.append(int(place.name))
        return found

    def interrupt(self) -> None:
        """Ctrl-C, as a terminal sends it: to all processes."""
        os.killpg(self.process.pid, signal.SIGINT)

    def is_gone(self) -> bool:
        return not self.processes()


def complete(*words: str, environment: Mapping[str, str] = ONE_THREAD) -> tuple[int, str, str]:
    return Background(*words, environment=environment).wait()


def until(true: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for something to happen; an error where it does not."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not in {seconds} s"
        time.sleep(0.01)


def written(folder: str = "done") -> int:
    return len(list(Path(folder).rglob("*.png")))


def rows(said: str) -> dict[str, dict[str, Any]]:
    """What --json told, by the file's name, without what differs from run to run."""
    told = [json.loads(line) for line in said.splitlines()]
    assert len({one["path"] for one in told}) == len(told)
    return {Path(one["path"]).name: {key: one[key] for key in one if key not in ("path", "output", "seconds")} for one in told}


def contents(folder: str) -> dict[str, bytes]:
    """Of all files but the manifest's, by their place."""
    files = [path for path in Path(folder).rglob("*") if path.is_file() and path.suffix != ".parquet"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def photos(count: int, side: int = 96) -> None:
    """photos/ with pictures in subfolders, in several formats, each with a black square; masks/ with one for each."""
    rng = np.random.default_rng(0)
    for number in range(count):
        suffix = (".png", ".jpg", ".webp", ".tif")[number % 4]
        picture = np.clip(rng.normal(130, 4, (side, side, 3)) + np.linspace(0, 60, side)[:, None], 60, 255).astype(np.uint8)
        mask = np.zeros((side, side), bool)
        top = number % (side // 2)
        mask[top : top + side // 3, side // 4 : side // 2] = True
        picture[mask] = 0
        path = Path("photos", str(number % 3), f"bed_{number}{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
        write_image(Path("masks", str(number % 3), f"bed_{number}.png"), mask)


def poison(place: Path) -> dict[str, str]:
    """A picture that processes die of, and the environment in which they do."""
    Path("photos/0/poison.png").write_bytes(Path("photos/0/bed_0.png").read_bytes())
    (place / "hooks").mkdir()
    (place / "hooks" / "sitecustomize.py").write_text(POISON)
    return ONE_THREAD | {"PYTHONPATH": os.pathsep.join(filter(None, [str(place / "hooks"), os.environ.get("PYTHONPATH")]))}
