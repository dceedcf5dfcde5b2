"""What `pixelrnn complete` says of its pictures, one after the other and in the end."""

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import PixelRNNError
from .common import complain, progress_bar, say

if TYPE_CHECKING:
    from rich.progress import Progress

    from ..inference.batch import CompletionOptions, Task, Told
    from ..inference.manifest import Manifest


class Outcomes:
    """Takes what is told of each of `total` pictures, as they are done.

    as_json: a line of JSON for each and nothing else. sheet: where all are shown in the end.
    """

    def __init__(self, total: int, as_json: bool, sheet: Path | None) -> None:
        self.total, self.as_json, self.sheet = total, as_json, sheet
        self.done = self.unchanged = 0
        self.failures: list[str] = []
        self._shown: list[tuple[str, str]] = []

    def say(self, text: str) -> None:
        if not self.as_json:
            say(text)

    def take(self, told: dict[str, Any]) -> None:
        """Raises PixelRNNError where the one picture failed."""
        if self.as_json:
            typer.echo(json.dumps(told))
        if told["error"] is not None:
            if self.total == 1 and not self.as_json:
                raise PixelRNNError(told["error"])
            self.failures.append(told["error"])
            return
        self.done += 1
        self.unchanged += not told["missing"]
        if self.sheet is not None:
            self._shown.append((told["path"], told["output"]))
        if self.total == 1:
            self._say_one(told)

    def _say_one(self, told: dict[str, Any]) -> None:
        from ..inference.batch import describe
        from ..inference.planning import sample_target

        likelihoods = [f"log-likelihood {nats:.2f} nats a pixel" for nats in told["log_likelihood"] or ()]
        self.say(f"{told['output']}  ({'; '.join([describe(told), *likelihoods[:1], *told['notes']])})")
        for number, likelihood in enumerate(likelihoods[1:], 2):
            self.say(f"{sample_target(Path(told['output']), number)}  ({likelihood})")

    def stopped(self) -> str:
        return f"stopped: {self.done} of {self.total} pictures completed. --skip-existing goes on."

    def end(self, where: str) -> None:
        """The summary, the sheet, the errors; exit code 1 if there were any."""
        if self.total != 1:
            whole = f"; in {self.unchanged} nothing was missing, so they are unchanged" if self.unchanged else ""
            self.say(f"{self.done} of {self.total} pictures completed" + (f" in {where}" if self.done else "") + whole)
        if self.sheet is not None and self._shown:
            from ..decode import read_image
            from ..evaluation.sheet import sheet

            sheet(((read_image(path), read_image(target)) for path, target in self._shown), self.sheet)
            self.say(f"{self.sheet}")
        if not self.as_json:
            for failure in self.failures:
                complain(failure)
        if self.failures:
            raise typer.Exit(1)


def follow(
    options: "CompletionOptions",
    tasks: Iterator["Task"],
    outcomes: Outcomes,
    jobs: int | None,
    manifest: "Manifest | None",
) -> None:
    """Complete all tasks, and say how it goes."""

    def opened(name: str) -> None:
        if Path(options.weights).suffix == ".pth":
            outcomes.say(f"{options.weights}: weights of {name}")

    total, several = outcomes.total, outcomes.total != 1
    with progress_bar(hidden=outcomes.as_json) if several or options.samples > 1 else nullcontext() as progress:
        told: Generator[Told]
        if manifest is not None:
            from ..inference import cluster

            told = cluster.run(options, tasks, jobs, manifest)
        elif jobs is not None and jobs > 1:
            from ..inference import jobs as processes

            told = processes.run(options, tasks, min(jobs, total), opened)
        else:
            told = _in_turn(options, tasks, opened, progress)
        completing = progress.add_task("Completing", total=total) if progress is not None and several else None
        with closing(told):
            for one in told:
                outcomes.take(one)
                if progress is not None and completing is not None:
                    progress.advance(completing)


def _in_turn(
    options: "CompletionOptions", tasks: Iterator["Task"], opened: Callable[[str], None], progress: "Progress | None"
) -> Generator["Told"]:
    """In this process."""
    from ..inference.batch import FileCompleter

    completer = FileCompleter(options)
    opened(completer.completer.name)

    def drawn(share: float) -> None:
        if drawing is not None and progress is not None:
            progress.update(drawing, completed=round(100 * share))

    drawing = progress.add_task("Drawing", total=100) if progress is not None and options.samples > 1 else None
    for task in tasks:
        yield completer.outcome(task, drawn)
