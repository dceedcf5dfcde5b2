"""What all visits share: one queue of work, and each network loaded once."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from ..inference.completer import Completer
from ..queue import Job, Worker
from .shelf import Shelf

PATIENCE = 0.6  # s, how long a bar is not worth showing
STAGES = {  # of a job, and how far it is then
    "": 0.0,
    "Reading the picture": 0.1,
    "Looking for what is missing": 0.25,
    "Filling it in": 0.5,
    "Drawing": 0.9,
    "Writing the file": 0.5,
}
READ, LOOK, FILL, DRAW, WRITE = list(STAGES)[1:]


@dataclass(frozen=True)
class Settings:
    """How to complete: weights by name, path and time of change, and, where they draw samples, how many and from which seed."""

    name: str  # a bundled one, or a path
    path: Path
    changed: int
    samples: int = 1
    seed: int = 0
    level: str = "normal"  # of detection.LEVELS
    grain: str = "auto"  # of Completer

    @property
    def drawn(self) -> dict[str, Any]:
        """How a Completer is to fill."""
        samples = {"samples": self.samples, "seed": self.seed} if self.samples > 1 else {"seed": self.seed}
        return {**samples, "level": self.level, "grain": self.grain}


@st.cache_resource(show_spinner=False)
def worker() -> Worker:
    return Worker()


@st.cache_resource(show_spinner=False)
def shelf() -> Shelf:
    return Shelf()


@st.cache_resource(show_spinner=False, max_entries=4)
def load(path: str, changed: int) -> Completer:
    """The network of a file; `changed` makes new weights of an old name load anew."""
    return Completer.from_pretrained(path)


def follow(job: Job, place: Any, until: Callable[[], object], done: float = 0.0, share: float = 1.0, what: str = "") -> None:
    """Wait for `until` or the end of the job, with a bar in `place` where that takes long.

    With `what` the job is a part of something longer: the bar shows at once, from `done` on over a `share` of it, and stays.
    """
    start = time.monotonic()
    for _ in job.ticks():
        if until():
            break
        # a rerun that was asked for interrupts at either call, so that strokes are taken while this waits
        if what or time.monotonic() - start > PATIENCE:
            ahead = job.ahead()
            text = f"{ahead} before you in the queue …" if ahead else f"{job.stage or 'Starting'} …"
            place.progress(min(1.0, done + share * STAGES[job.stage]), what + text)
        else:
            place.empty()
    if not what:
        place.empty()


def deferred(make: Callable[[], bytes]) -> Callable[[], bytes]:
    """A file that is made when somebody asks for it, in the queue as all work is."""
    queue = worker()
    return lambda: bytes(queue.submit(lambda job: make()).result())
