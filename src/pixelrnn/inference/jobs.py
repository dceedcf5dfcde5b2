"""Files completed by several processes of one thread each: one that dies costs no other file, and none outlives its parent.

concurrent.futures gives up all that its pool had in hand once one process dies, and cannot say which file it died of. Here each
process has a pipe of its own and one file in hand.
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
from .batch import CompletionOptions, FileCompleter, Task, Told, outcome

TRIES = 2  # of a file whose process died
STARTS = 3  # of processes that die before they are ready, one after the other
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # what numerical libraries read as they are loaded


def run(
    options: CompletionOptions, tasks: Iterable[Task], jobs: int, opened: Callable[[str], object] = lambda name: None
) -> Generator[Told]:
    """Complete the files of `tasks` in `jobs` processes; what --json tells of each, as they are done.

    opened: told the network's name, once. The bytes are those of one process with one thread. A file whose process dies is
    tried once more, then its row has the error. Closing the iterator ends the processes; it runs in the main thread. Raises
    PixelRNNError where they cannot open the network, or do not start.
    """
    options = replace(options, weights=find_weights(options.weights))  # once, so that all have one version of it
    waiting, again = iter(tasks), deque[tuple[Task, int]]()
    workers = [_Worker(options) for _ in range(jobs)]
    died, known = 0, False  # died: before they were ready, since one was
    try:
        while True:
            for worker in [one for one in workers if one.ready and one.task is None]:
                task, tries = again.popleft() if again else (next(waiting, None), 0)
                if task is not None:
                    worker.give(task, tries + 1)
            if not any(worker.task for worker in workers) and any(worker.ready for worker in workers):
                return
            for worker in _that_speak(workers):
                try:
                    said = worker.pipe.recv()
                except (EOFError, ConnectionError):
                    why = _killed(worker.end())
                    died = 0 if worker.ready else died + 1
                    if died == STARTS:
                        raise PixelRNNError(f"a job: {why} before it was ready. Give fewer --jobs.") from None
                    workers[workers.index(worker)] = _Worker(options)
                    if worker.task is not None and worker.tries < TRIES:
                        again.append((worker.task, worker.tries))
                    elif worker.task is not None:
                        yield _lost(worker.task, f"{why} {TRIES} times.")
                    continue
                if isinstance(said, PixelRNNError):
                    raise said
                if not worker.ready:
                    worker.ready, died = True, 0
                    if not known:
                        opened(said)
                    known = True
                else:
                    worker.task = None
                    yield said
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.end()


class _Worker:
    """A process, the pipe to it, and the task in its hand."""

    def __init__(self, options: CompletionOptions) -> None:
        context = get_context("spawn")  # a forked one would have locks of threads that do not live there
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, options), daemon=True)
        with _inherited():
            self.process.start()
        theirs.close()  # or its end would not be told
        self.ready = False
        self.task: Task | None = None
        self.tries = 0

    def give(self, task: Task, tries: int) -> None:
        self.task, self.tries = task, tries
        with suppress(ConnectionError):  # where it is dead, which recv tells
            self.pipe.send(task)

    def end(self) -> int:
        """Wait until it has ended; its exit code, below 0 for a signal."""
        self.pipe.close()
        self.process.join()
        return self.process.exitcode or 0


def _that_speak(workers: list[_Worker]) -> list[_Worker]:
    """Those that have something to say, or are dead; waits for them."""
    ready = connection.wait([worker.pipe for worker in workers if worker.task is not None or not worker.ready])
    return [worker for worker in workers if worker.pipe in ready]


def _serve(pipe: Connection, options: CompletionOptions) -> None:
    """What a process does until its pipe is closed, which a dead parent's is, too."""
    with suppress(EOFError, ConnectionError):
        try:
            completer = FileCompleter(options)
        except PixelRNNError as error:
            pipe.send(error)
            return
        pipe.send(completer.completer.name)
        try:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # temporary files are removed on the way
            while True:
                pipe.send(completer.outcome(pipe.recv()))
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _inherited() -> Iterator[None]:
    """What a process that is started within has: one thread, and no ear for Ctrl-C, which its parent hears."""
    before, heard = dict(os.environ), signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, heard)
        for name in ENVIRONMENT:
            os.environ.pop(name)
        os.environ.update(before)


def _killed(code: int) -> str:
    if code < 0:
        return f"its process was killed by signal {-code}{', as when memory runs out,' if code == -signal.SIGKILL else ''}"
    return f"its process ended with exit code {code}"


def _lost(task: Task, why: str) -> Told:
    return outcome(task._replace(problem=f"{task.source}: {why}"), dict)
