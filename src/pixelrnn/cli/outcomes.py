"""Run the tasks of `pixelrnn complete` and report their outcomes, one by one and in a summary."""

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..errors import PixelRNNError
from .common import complain, progress_bar, say

if TYPE_CHECKING:
    from rich.progress import Progress

    from ..inference.batch import CompletionOptions, Row, Task
    from ..inference.manifest import Manifest


class Outcomes:
    """Counts and reports the outcomes of completed photographs.

    Args:
        total: The number of photographs.
        as_json: Print one JSON object on a line for each photograph, and nothing else.
        sheet: The file for an image that shows each input beside its completion; none if None.
    """

    def __init__(self, total: int, as_json: bool, sheet: Path | None) -> None:
        self.total, self.as_json, self.sheet = total, as_json, sheet
        self.done = self.unchanged = 0
        self.failures: list[str] = []
        self._shown: list[tuple[str, str]] = []

    def say(self, text: str) -> None:
        """Print text for people, unless the output is JSON."""
        if not self.as_json:
            say(text)

    def take(self, outcome: "Row") -> None:
        """Count and report the outcome of one photograph.

        Raises:
            PixelRNNError: If it failed and was the only one, unless the output is JSON.
        """
        if self.as_json:
            typer.echo(json.dumps(outcome))
        if outcome["error"] is not None:
            if self.total == 1 and not self.as_json:
                raise PixelRNNError(outcome["error"])
            self.failures.append(outcome["error"])
            return
        self.done += 1
        self.unchanged += not outcome["missing"]
        if self.sheet is not None:
            self._shown.append((outcome["path"], outcome["output"]))
        if self.total == 1:
            self._describe(outcome)

    def _describe(self, outcome: "Row") -> None:
        """Print what was done in the only photograph, and its further samples."""
        from ..inference.batch import describe
        from ..inference.planning import sample_target

        likelihoods = [f"log-likelihood {nats:.2f} nats a pixel" for nats in outcome["log_likelihood"] or ()]
        self.say(f"{outcome['output']}  ({'; '.join([describe(outcome), *likelihoods[:1], *outcome['notes']])})")
        for number, likelihood in enumerate(likelihoods[1:], 2):
            self.say(f"{sample_target(Path(outcome['output']), number)}  ({likelihood})")

    def stopped(self) -> str:
        """Return the message for an interrupted run."""
        return f"stopped: {self.done} of {self.total} pictures completed. --skip-existing goes on."

    def end(self, where: str) -> None:
        """Print the summary, write the sheet, and print the errors; exit with code 1 if there are any."""
        if self.total != 1:
            unchanged = f"; in {self.unchanged} nothing was missing, so they are unchanged" if self.unchanged else ""
            self.say(f"{self.done} of {self.total} pictures completed" + (f" in {where}" if self.done else "") + unchanged)
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
    """Complete all tasks, on a cluster, in several processes or in this one, and report their outcomes.

    Args:
        options: How to complete.
        tasks: The files to complete, `outcomes.total` of them.
        outcomes: Where each outcome is reported.
        jobs: The number of processes; None is 1, or all cores of a cluster.
        manifest: The manifest of a run on a cluster; None runs on this machine.
    """

    def opened(name: str) -> None:
        if Path(options.weights).suffix == ".pth":
            outcomes.say(f"{options.weights}: weights of {name}")

    total, several = outcomes.total, outcomes.total != 1
    with progress_bar(hidden=outcomes.as_json) if several or options.samples > 1 else nullcontext() as progress:
        results: Generator[Row]
        if manifest is not None:
            from ..inference import cluster

            results = cluster.run(options, tasks, jobs, manifest)
        elif jobs is not None and jobs > 1:
            from ..inference import jobs as processes

            results = processes.run(options, tasks, min(jobs, total), opened)
        else:
            results = _one_by_one(options, tasks, opened, progress)
        completing = progress.add_task("Completing", total=total) if progress is not None and several else None
        with closing(results):
            for outcome in results:
                outcomes.take(outcome)
                if progress is not None and completing is not None:
                    progress.advance(completing)


def _one_by_one(
    options: "CompletionOptions", tasks: Iterator["Task"], opened: Callable[[str], None], progress: "Progress | None"
) -> Generator["Row"]:
    """Complete the tasks in this process."""
    from ..inference.batch import FileCompleter

    completer = FileCompleter(options)
    opened(completer.completer.name)

    def drawn(share: float) -> None:
        if drawing is not None and progress is not None:
            progress.update(drawing, completed=round(100 * share))

    drawing = progress.add_task("Drawing", total=100) if progress is not None and options.samples > 1 else None
    for task in tasks:
        yield completer.outcome(task, drawn)
