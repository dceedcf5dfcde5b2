"""Work in turn: many ask at once, a few threads do it in the order it was asked for, and who finds the queue full is told so.

It bounds memory to as many full-size pictures as there are threads, and keeps torch's own threads to one set.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import takewhile
from typing import Any

TICK = 0.05  # s between two looks at a job


class QueueFull(Exception):
    """As much work waits as may wait."""


class Job:
    """Work that was asked for. `stage` is what it does now; `shared` what it has to show before it ends."""

    def __init__(self, queue: "Worker", work: Callable[["Job"], Any]) -> None:
        self.stage = ""
        self.shared: Any = None
        self.left = False  # nobody waits for it any more: work that takes long looks here now and then
        self._queue = queue
        self.future: Future[Any] = queue.pool.submit(work, self)

    def ahead(self) -> int:
        """How many jobs that were asked for before this one are not done."""
        return sum(not job.done() for job in takewhile(lambda job: job is not self, list(self._queue.jobs)))

    def done(self) -> bool:
        return self.future.done()

    def cancel(self) -> bool:
        """Leave the queue; whether it had not begun. Work that has begun goes on, and nobody waits for it."""
        self.left = True
        return self.future.cancel()

    def result(self) -> Any:
        """What the work gave, once it has; raises what it raised."""
        return self.future.result()

    def ticks(self) -> Iterator[None]:
        """Again and again until the work is done."""
        while not self.done():
            wait([self.future], timeout=TICK)
            yield


class Worker:
    """The threads and their queue. limit: of the jobs that wait; None is none."""

    def __init__(self, threads: int = 1, limit: int | None = None) -> None:
        self.pool = ThreadPoolExecutor(threads, "completions")
        self.threads, self.limit = threads, limit
        self.jobs: list[Job] = []
        self._door = threading.Lock()

    def submit(self, work: Callable[[Job], Any]) -> Job:
        """Ask for `work`, which is given its job. Raises QueueFull."""
        with self._door:
            self.jobs = [job for job in self.jobs if not job.done()]
            if self.limit is not None and len(self.jobs) >= self.threads + self.limit:
                raise QueueFull
            job = Job(self, work)
            self.jobs = [*self.jobs, job]
        return job

    def length(self) -> int:
        """How many jobs are not done."""
        return sum(not job.done() for job in self.jobs)

    def close(self) -> None:
        """Take no more work, and wait for what there is."""
        self.pool.shutdown()
