"""What all visits of the page share: one queue of work, and each network loaded once."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from ..inference.completer import Completer
from ..queue import Job, Worker
from .cache import ImageCache

PATIENCE = 0.6  # s before a progress bar is shown
STAGES = {  # the stages of a job, and the progress at which each begins
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
    """How to complete a photograph."""

    name: str  # of the weights: a bundled name, or a path
    path: Path
    modified: int  # when the file was last modified, in ns
    samples: int = 1
    seed: int = 0
    level: str = "normal"  # a key of detection.LEVELS
    grain: str = "auto"  # as in Completer

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments for a Completer."""
        samples = {"samples": self.samples, "seed": self.seed} if self.samples > 1 else {"seed": self.seed}
        return {**samples, "level": self.level, "grain": self.grain}


@st.cache_resource(show_spinner=False)
def worker() -> Worker:
    """Return the queue of work."""
    return Worker()


@st.cache_resource(show_spinner=False)
def image_cache() -> ImageCache:
    """Return the cache of full-size images."""
    return ImageCache()


@st.cache_resource(show_spinner=False, max_entries=4)
def load(path: str, modified: int) -> Completer:
    """Load the network of a file; `modified` is part of the cache's key, so that a file that was replaced is loaded again."""
    return Completer.from_pretrained(path)


def follow(job: Job, place: Any, until: Callable[[], object], done: float = 0.0, share: float = 1.0, what: str = "") -> None:
    """Wait for a job, with a progress bar if that takes long.

    Args:
        job: The job to wait for.
        place: The Streamlit place of the bar.
        until: Stops the wait earlier when it returns something true.
        done: Progress in [0, 1] that was made before this job.
        share: The job's share of the whole, in [0, 1].
        what: Text before the stage. With a text, the job is one of several: the bar shows at once and stays.
    """
    start = time.monotonic()
    for _ in job.ticks():
        if until():
            break
        # both calls let a requested rerun interrupt, so that strokes are handled during the wait
        if what or time.monotonic() - start > PATIENCE:
            ahead = job.ahead()
            text = f"{ahead} before you in the queue …" if ahead else f"{job.stage or 'Starting'} …"
            place.progress(min(1.0, done + share * STAGES[job.stage]), what + text)
        else:
            place.empty()
    if not what:
        place.empty()


def deferred(make: Callable[[], bytes]) -> Callable[[], bytes]:
    """Return a function for a download button that makes the file only when it is asked for, in the queue of work."""
    queue = worker()
    return lambda: bytes(queue.submit(lambda job: make()).result())
