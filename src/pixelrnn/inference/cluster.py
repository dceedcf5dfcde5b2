"""Files completed on Ray Data: on a cluster, or on the cores of this machine; one actor a core holds one network.

A worker that dies takes with it the block of files that it had in hand. Ray tries a block once more; what is lost then is tried
again file by file, so that only a file of which workers die again and again ends as an error.
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
from .batch import CompletionOptions, FileCompleter, Task, Told, outcome
from .files import LOCAL
from .jobs import ENVIRONMENT
from .manifest import Manifest
from .remote import fetch, place, put

BLOCK = 32  # files at most that an actor is given at once
STORE = 2**30  # bytes at most of Ray's shared memory
RETRIES = 1  # of a block whose worker died


def run(options: CompletionOptions, tasks: Iterable[Task], jobs: int | None, manifest: Manifest) -> Generator[Told]:
    """Complete the files of `tasks` by `jobs` actors, by default one for each core; what --json tells of each, as they are
    done, which `manifest` holds afterwards. Raises PixelRNNError where Ray or the network does not start.
    """
    if str(options.weights) not in bundled_weights():
        options = replace(options, weights=find_weights(options.weights).absolute())  # workers stand elsewhere
    left = {task.target: task for task in tasks}
    try:
        with _ray(jobs) as actors:
            for block in (max(1, min(BLOCK, len(left) // (8 * actors))), 1):
                for told in _outcomes(options, [*left.values()], min(actors, len(left)), block):
                    if left.pop(told.pop("target"), None) is not None:  # a block that is tried again may tell twice
                        manifest.add(told)
                        yield told
        tries = f"{2 * (RETRIES + 1)} workers died of it, as when memory runs out. Ray's logs say why."
        for task in left.values():
            told = outcome(task._replace(problem=f"{task.source}: {tries}"), dict)
            manifest.add(told)
            yield told
    finally:
        manifest.flush()


@contextmanager
def _ray(jobs: int | None) -> Iterator[int]:
    """Within it Ray runs, on the cluster of RAY_ADDRESS or else here; how many actors there are to be."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # it tells nobody that it is used
    import ray
    import ray._private.worker

    # what it prints of each worker that dies would lie among the lines of --json
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    address = _address()
    variables = ENVIRONMENT | {name: value for name, value in os.environ.items() if name.startswith("FSSPEC_")}
    more: dict[str, Any] = {}
    if not address:  # what moves between processes are names and rows, never pictures
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
    """RAY_ADDRESS, or "" for this machine. Raises PixelRNNError where nothing answers, which takes Ray minutes to say."""
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
    """Without what Ray's C++ writes to standard error, which its logs hold too; what Python writes there stays."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        with open(os.dup(kept), "w", buffering=1) as out, redirect_stderr(out):
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _outcomes(options: CompletionOptions, tasks: list[Task], actors: int, block: int) -> Generator[Told]:
    """What became of the tasks that no worker died of; `target` besides. block: files that an actor is given at once."""
    if not tasks:
        return
    import pyarrow as pa
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # any number of blocks may be lost
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # of which the line before sets the level, too
    rows = [json.dumps(task._asdict()) for task in tasks]
    blocks = [pa.table({"task": rows[start : start + block]}) for start in range(0, len(rows), block)]
    with warnings.catch_warnings():
        # max_task_retries has no other name yet
        warnings.simplefilter("ignore", DeprecationWarning)
        told = ray.data.from_arrow(blocks).map(
            cast(Any, CompleteRow),  # its types know of functions alone
            compute=ray.data.ActorPoolStrategy(size=actors),
            fn_constructor_args=(options,),
            num_cpus=1,
            num_gpus=int(options.device == "cuda"),
            max_task_retries=RETRIES,
        )
    for row in told.iter_rows():
        yield json.loads(row["told"])


class CompleteRow:
    """What an actor does: a row with a task as JSON to one with what became of it as JSON."""

    def __init__(self, options: CompletionOptions) -> None:
        self._complete = FileCompleter(options)

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        task = Task(**json.loads(row["task"]))
        return {"told": json.dumps({**outcome(task, lambda: self._work(task)), "target": task.target})}

    def _work(self, task: Task) -> Told:
        mask: Path | BinaryIO | Box | None
        if isinstance(task.mask, list):  # a box, as JSON brings it
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
                told = self._complete(source, target, mask)
            except PixelRNNError as error:
                raise PixelRNNError(str(error).replace(str(target), task.target)) from None
            for one in sorted(Path(folder).iterdir(), key=lambda one: one == target):  # which says that all are there
                put(files.url(path.with_name(one.name)), one.read_bytes())
        return {**told, "output": task.target}
