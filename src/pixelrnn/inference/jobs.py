"""Complete files in several processes of one thread each.

A process that dies costs no other file, and none outlives its parent. concurrent.futures loses all tasks of its pool once a
process dies, and cannot say which of them killed it. Here each process has its own pipe, and one task at a time.
"""

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection

from ..errors import PixelRNNError
from ..weights import find_weights
from .batch import CompletionOptions, FileCompleter, Row, Task, outcome

TRIES = 2  # how often a file is tried whose process dies
STARTS = 3  # how many processes may die in a row before one is ready
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # numerical libraries read these when they are loaded


def run(
    options: CompletionOptions, tasks: Iterable[Task], jobs: int, opened: Callable[[str], object] = lambda name: None
) -> Generator[Row]:
    """Complete files in several processes, from the main thread.

    The results are the bytes that one process with one thread gives. A file whose process dies is tried once more, then its row
    has the error. Closing the iterator ends the processes.

    Args:
        options: how files are completed.
        tasks: the files.
        jobs: how many processes to start.
        opened: called once with the network's name.

    Yields:
        The outcome of each file when it is done, as --json prints it.

    Raises:
        PixelRNNError: the processes cannot open the network, or do not start.
    """
    options = replace(options, weights=find_weights(options.weights))  # once, so that all processes have the same version
    pool = _Pool(options, tasks, jobs, opened)
    try:
        while pool.hand_out():
            for worker in pool.wait():
                yield from pool.receive(worker)
    finally:
        pool.end()


class _Pool:
    """The processes of a run, the tasks that wait, and those that are to be tried again."""

    def __init__(self, options: CompletionOptions, tasks: Iterable[Task], jobs: int, opened: Callable[[str], object]) -> None:
        self._options, self._opened = options, opened
        self._waiting, self._again = iter(tasks), deque[tuple[Task, int]]()
        self._workers = [_Worker(options) for _ in range(jobs)]
        self._died = 0  # processes that died before they were ready, since the last one that was
        self._named = False  # whether the network's name was passed on

    def hand_out(self) -> bool:
        """Give each idle worker a task; return whether there is anything to wait for."""
        for worker in [worker for worker in self._workers if worker.ready and worker.task is None]:
            task, tries = self._again.popleft() if self._again else (next(self._waiting, None), 0)
            if task is not None:
                worker.give(task, tries + 1)
        return any(worker.task for worker in self._workers) or not any(worker.ready for worker in self._workers)

    def wait(self) -> list["_Worker"]:
        """Wait until workers have sent something or have died, and return them."""
        busy = [worker.pipe for worker in self._workers if worker.task is not None or not worker.ready]
        ready = connection.wait(busy)
        return [worker for worker in self._workers if worker.pipe in ready]

    def receive(self, worker: "_Worker") -> Iterator[Row]:
        """Take what a worker has sent: the network's name once it is ready, then the rows of its tasks."""
        try:
            message = worker.pipe.recv()
        except (EOFError, ConnectionError):
            yield from self._replace(worker)
            return
        if isinstance(message, PixelRNNError):
            raise message
        if worker.ready:
            worker.task = None
            yield message
            return
        worker.ready, self._died = True, 0
        if not self._named:
            self._opened(message)
        self._named = True

    def _replace(self, worker: "_Worker") -> Iterator[Row]:
        """Replace a worker that died. Its task is tried again, or ends as an error."""
        why = _killed(worker.end())
        self._died = 0 if worker.ready else self._died + 1
        if self._died == STARTS:
            raise PixelRNNError(f"a job: {why} before it was ready. Give fewer --jobs.") from None
        self._workers[self._workers.index(worker)] = _Worker(self._options)
        if worker.task is not None and worker.tries < TRIES:
            self._again.append((worker.task, worker.tries))
        elif worker.task is not None:
            yield _lost(worker.task, f"{why} {TRIES} times.")

    def end(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.end()


class _Worker:
    """A process, the pipe to it, and its present task."""

    def __init__(self, options: CompletionOptions) -> None:
        context = get_context("spawn")  # a forked process would inherit the locks of threads that do not live there
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, options), daemon=True)
        with _inherited():
            self.process.start()
        theirs.close()  # otherwise the pipe would not report that the process has ended
        self.ready = False
        self.task: Task | None = None
        self.tries = 0

    def give(self, task: Task, tries: int) -> None:
        """Send a task, which is tried for the `tries`th time."""
        self.task, self.tries = task, tries
        with suppress(ConnectionError):  # raised where the process is dead, as the next recv will say
            self.pipe.send(task)

    def end(self) -> int:
        """Wait until the process has ended, and return its exit code, which is below 0 for a signal."""
        self.pipe.close()
        self.process.join()
        return self.process.exitcode or 0


def _serve(pipe: Connection, options: CompletionOptions) -> None:
    """Complete tasks in a process until its pipe is closed, as it also is when the parent dies."""
    with suppress(EOFError, ConnectionError):
        try:
            completer = FileCompleter(options)
        except PixelRNNError as error:
            pipe.send(error)
            return
        pipe.send(completer.completer.name)
        try:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an exit removes temporary files on the way
            while True:
                pipe.send(completer.outcome(pipe.recv()))
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _inherited() -> Iterator[None]:
    """Let processes that are started within have one thread, and ignore Ctrl-C, which their parent handles."""
    before, handler = dict(os.environ), signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        for name in ENVIRONMENT:
            os.environ.pop(name)
        os.environ.update(before)


def _killed(code: int) -> str:
    """Say how a process ended."""
    if code < 0:
        return f"its process was killed by signal {-code}{', as when memory runs out,' if code == -signal.SIGKILL else ''}"
    return f"its process ended with exit code {code}"


def _lost(task: Task, why: str) -> Row:
    """The row of a task that killed its processes."""
    return outcome(task._replace(problem=f"{task.source}: {why}"), dict)
