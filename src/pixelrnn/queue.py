"""A bounded work queue: a few threads run jobs in the order in which they were submitted, and a full queue refuses more.

The number of threads bounds memory, since each of them holds one full-size image, and torch's own threads exist only once.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import takewhile
from typing import Any

TICK = 0.05  # seconds between two checks of a job


class QueueFull(Exception):
    """The queue is full: as many jobs wait as may wait."""


class Job:
    """A submitted piece of work.

    Attributes:
        stage: what the work does now, for people to read.
        shared: an intermediate result that the work offers before it ends.
        left: True once nobody waits for the result; long work checks this now and then.
        future: the future of the work's result.
    """

    def __init__(self, queue: "Worker", work: Callable[["Job"], Any]) -> None:
        self.stage = ""
        self.shared: Any = None
        self.left = False
        self._queue = queue
        self.future: Future[Any] = queue.pool.submit(work, self)

    def ahead(self) -> int:
        """Count the unfinished jobs that were submitted before this one."""
        return sum(not job.done() for job in takewhile(lambda job: job is not self, list(self._queue.jobs)))

    def done(self) -> bool:
        return self.future.done()

    def cancel(self) -> bool:
        """Leave the queue, and return whether the work had not begun. Work that has begun goes on unattended."""
        self.left = True
        return self.future.cancel()

    def result(self) -> Any:
        """Wait for the work and return its result, or raise what it raised."""
        return self.future.result()

    def ticks(self) -> Iterator[None]:
        """Yield every TICK seconds until the work is done."""
        while not self.done():
            wait([self.future], timeout=TICK)
            yield


class Worker:
    """Threads with a queue of jobs.

    Args:
        threads: how many jobs run at once.
        limit: how many more jobs may wait; None is no limit.
    """

    def __init__(self, threads: int = 1, limit: int | None = None) -> None:
        self.pool = ThreadPoolExecutor(threads, "completions")
        self.threads, self.limit = threads, limit
        self.jobs: list[Job] = []
        self._lock = threading.Lock()

    def submit(self, work: Callable[[Job], Any]) -> Job:
        """Queue `work`, which is called with its own job. Raises QueueFull where the limit is reached."""
        with self._lock:
            self.jobs = [job for job in self.jobs if not job.done()]
            if self.limit is not None and len(self.jobs) >= self.threads + self.limit:
                raise QueueFull
            job = Job(self, work)
            self.jobs = [*self.jobs, job]
        return job

    def length(self) -> int:
        """Count the unfinished jobs."""
        return sum(not job.done() for job in self.jobs)

    def close(self) -> None:
        """Accept no more work, and wait for the queued work to end."""
        self.pool.shutdown()
