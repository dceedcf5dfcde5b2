"""Complete files on Ray Data, on a cluster or on the cores of this machine; an actor on each core holds one network.

A worker that dies loses its present block of files. Ray tries a block once more, and what is lost then is tried again file by
file. So only a file that kills its workers again and again ends as an error.
"""

import json
import logging
import os
import socket
import tempfile
import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..errors import PixelRNNError
from ..masks import Box
from ..weights import bundled_weights, find_weights
from .batch import CompletionOptions, FileCompleter, Row, Task, outcome
from .files import LOCAL
from .jobs import ENVIRONMENT
from .manifest import Manifest
from .remote import fetch, place, put

BLOCK = 32  # at most so many files are given to an actor at once
STORE = 2**30  # bytes of Ray's shared memory, at most
RETRIES = 1  # how often Ray tries a block again whose worker died


def run(options: CompletionOptions, tasks: Iterable[Task], jobs: int | None, manifest: Manifest) -> Generator[Row]:
    """Complete files on Ray.

    Args:
        options: how files are completed.
        tasks: the files.
        jobs: how many actors to start; by default one for each core.
        manifest: gets a row for each file.

    Yields:
        The outcome of each file when it is done, as --json prints it.

    Raises:
        PixelRNNError: Ray does not start, or the network cannot be opened.
    """
    if str(options.weights) not in bundled_weights():
        options = replace(options, weights=find_weights(options.weights).absolute())  # workers have another working directory
    left = {task.target: task for task in tasks}
    try:
        with _ray(jobs) as actors:
            for block in (max(1, min(BLOCK, len(left) // (8 * actors))), 1):
                for row in _outcomes(options, [*left.values()], min(actors, len(left)), block):
                    if left.pop(row.pop("target"), None) is not None:  # a block that is tried again may give a row twice
                        manifest.add(row)
                        yield row
        tries = f"{2 * (RETRIES + 1)} workers died of it, as when memory runs out. Ray's logs say why."
        for task in left.values():
            row = outcome(task._replace(problem=f"{task.source}: {tries}"), dict)
            manifest.add(row)
            yield row
    finally:
        manifest.flush()


@contextmanager
def _ray(jobs: int | None) -> Iterator[int]:
    """Run Ray within, on the cluster of RAY_ADDRESS or else on this machine; gives the number of actors to start."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray must not report its use
    import ray
    import ray._private.worker

    # Ray's messages about workers that die would mix with the lines of --json
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    address = _address()
    variables = ENVIRONMENT | {name: value for name, value in os.environ.items() if name.startswith("FSSPEC_")}
    more: dict[str, Any] = {}
    if not address:  # a small store is enough: names and rows move between processes, never images
        more = {"num_cpus": jobs or os.cpu_count(), "include_dashboard": False, "object_store_memory": STORE}
    with _without_native_messages():
        try:
            ray.init(
                address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": variables},
                **more,
            )
            yield jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
        except (ConnectionError, ray.exceptions.RayError) as error:
            token = " Give RAY_AUTH_MODE=token if it asks for one." if address and isinstance(error, ConnectionError) else ""
            raise PixelRNNError(f"Ray at {address or 'this machine'}: {' '.join(str(error).split())[-300:]}.{token}") from None
        finally:
            ray.shutdown()


def _address() -> str:
    """RAY_ADDRESS, or "" for this machine. Raises PixelRNNError where nothing answers; Ray itself takes minutes to do so."""
    address = os.environ.get("RAY_ADDRESS", "")
    if address == "local":
        return ""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdecimal():
        try:
            socket.create_connection((host, int(port)), 10).close()
        except OSError as error:
            raise PixelRNNError(
                f"RAY_ADDRESS {address}: nothing answers there ({error}). Start it: ray start --head; or unset it to run here."
            ) from None
    return address


@contextmanager
def _without_native_messages() -> Iterator[None]:
    """Silence what Ray's C++ code writes to standard error, which its logs hold too; what Python writes there stays."""
    stderr = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        with open(os.dup(stderr), "w", buffering=1) as out, redirect_stderr(out):
            yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _outcomes(options: CompletionOptions, tasks: list[Task], actors: int, block: int) -> Generator[Row]:
    """Yield the rows of all tasks that killed no worker, with their `target`. An actor is given `block` files at once."""
    if not tasks:
        return
    import pyarrow as pa
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # any number of blocks may be lost
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # set last, since Ray Data sets its own level before
    rows = [json.dumps(task._asdict()) for task in tasks]
    blocks = [pa.table({"task": rows[start : start + block]}) for start in range(0, len(rows), block)]
    with warnings.catch_warnings():
        # Ray deprecates max_task_retries, but has no other name for it yet
        warnings.simplefilter("ignore", DeprecationWarning)
        results = ray.data.from_arrow(blocks).map(
            cast(Any, CompleteRow),  # Ray's types allow only functions, though classes work
            compute=ray.data.ActorPoolStrategy(size=actors),
            fn_constructor_args=(options,),
            num_cpus=1,
            num_gpus=int(options.device == "cuda"),
            max_task_retries=RETRIES,
        )
    for result in results.iter_rows():
        yield json.loads(result["row"])


class CompleteRow:
    """The work of an actor: from a dict with a task as JSON to one with its row as JSON."""

    def __init__(self, options: CompletionOptions) -> None:
        self._complete = FileCompleter(options)

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        task = Task(**json.loads(row["task"]))
        return {"row": json.dumps({**outcome(task, lambda: self._work(task)), "target": task.target})}

    def _work(self, task: Task) -> Row:
        """Complete a task whose files may be remote."""
        mask: Path | BinaryIO | Box | None
        if isinstance(task.mask, list):  # a box, which JSON turns into a list
            x, y, width, height = task.mask
            mask = x, y, width, height
        else:
            mask = fetch(task.mask) if isinstance(task.mask, str) else None
        source = fetch(task.source)
        files, path = place(task.target)
        if files == LOCAL:
            return self._complete(source, Path(path), mask)
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder, path.name)
            try:
                row = self._complete(source, target, mask)
            except PixelRNNError as error:
                raise PixelRNNError(str(error).replace(str(target), task.target)) from None
            # the target last: its presence says that all outputs are there
            for output in sorted(Path(folder).iterdir(), key=lambda output: output == target):
                put(files.url(path.with_name(output.name)), output.read_bytes())
        return {**row, "output": task.target}
