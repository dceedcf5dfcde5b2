"""One thread that does all the work of the page, in the order it was asked for: many people at once wait, and none fails.

It bounds memory to one full-size picture at a time, and keeps torch's own threads to one set.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import takewhile
from typing import Any

TICK = 0.05  # s between two looks at a job


class Job:
    """Work that was asked for. `stage` is what it does now; `shared` what it has to show before it ends."""

    def __init__(self, queue: "Worker", work: Callable[["Job"], Any]) -> None:
        self.stage = ""
        self.shared: Any = None
        self._queue = queue
        self._future: Future[Any] = queue.pool.submit(work, self)

    def ahead(self) -> int:
        """How many jobs that were asked for before this one are not done."""
        return sum(not job.done() for job in takewhile(lambda job: job is not self, list(self._queue.jobs)))

    def done(self) -> bool:
        return self._future.done()

    def cancel(self) -> None:
        """Leave the queue. Work that has begun goes on, and nobody waits for it."""
        self._future.cancel()

    def result(self) -> Any:
        """What the work gave, once it has; raises what it raised."""
        return self._future.result()

    def ticks(self) -> Iterator[None]:
        """Again and again until the work is done."""
        while not self.done():
            wait([self._future], timeout=TICK)
            yield


class Worker:
    """The thread and its queue."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, "completions")
        self.jobs: list[Job] = []

    def submit(self, work: Callable[[Job], Any]) -> Job:
        """Ask for `work`, which is given its job."""
        job = Job(self, work)
        self.jobs = [*(other for other in self.jobs if not other.done()), job]
        return job
