"""The command `pixelrnn evaluate`."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ..errors import PixelRNNError
from ..weights import bundled_weights
from .common import Device, console, progress_bar, say

if TYPE_CHECKING:
    import numpy as np
    from rich.progress import Progress

    from ..evaluation.cases import Case
    from ..evaluation.detection import FalseAlarms
    from ..evaluation.scores import Method, Record
    from ..inference.completer import Completer, Completion


class Methods(NamedTuple):
    """What is scored: the methods by name, and the detector of each blind one, from an image to a bool mask (H, W)."""

    named: "dict[str, Method]"
    detectors: "dict[str, Callable[[np.ndarray], np.ndarray]]"


def evaluate(
    cases: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[CASES]...", help="Sets of cases, SET/{input,mask,target}/ID.png, or folders of such sets."),
    ] = None,
    weights: Annotated[
        list[str] | None, typer.Option(help="Weights to score; may be repeated. By default the bundled ones.")
    ] = None,
    against: Annotated[
        str,
        typer.Option(
            help="Baselines to compare with, separated by commas: telea, ns, biharmonic, patchmatch, mean, and ONNX files of "
            "other learned inpainters, such as LaMa or MI-GAN; or none. How a file reads its inputs is guessed and printed. If "
            "the guess is wrong, correct it after the name: FILE.onnx:missing=0:known=255 (the mask's values), "
            ":picture=-1..1 and :output=0..255 (value ranges: 0..1, 0..255 or -1..1), :first=mask (order in one input of 4 "
            "channels)."
        ),
    ] = "telea,ns,mean",
    blind: Annotated[
        bool,
        typer.Option(
            "--blind", help="Also score the weights without a mask: they detect the occlusion, and the detection is scored too."
        ),
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Also score the networks' own output, before known pixels are pasted back.")
    ] = False,
    size: Annotated[int | None, typer.Option(min=1, help="Resize the cases to SIZE x SIZE first.")] = None,
    clean: Annotated[
        Path | None, typer.Option(help="A folder of photographs without occlusions, on which to count false detections.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the figures as JSON.")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="Also write the tables as Markdown.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Also write an HTML report with figures and images.")] = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Samples of the first weights to show side by side in the HTML report.")
    ] = 1,
    device: Device = "cpu",
) -> None:
    """Score weights and baselines on cases whose ground truth is known."""
    from ..evaluation import report
    from ..evaluation.cases import read_cases
    from ..folders import list_images
    from ..inference.completer import Completer

    if not cases and clean is None:
        raise PixelRNNError("nothing to evaluate on. Give folders of cases, or --clean with a folder of photographs.")
    all_cases = read_cases(*cases, size=size) if cases else []
    photographs = list_images(clean) if clean is not None else []
    completers = {name: Completer.from_pretrained(name, device) for name in weights or list(bundled_weights())}
    methods = _own_methods(completers, blind, raw)
    _add_baselines(methods.named, against)
    with progress_bar() as progress:
        results = _score(methods, all_cases, progress)
        alarms = _count_false_alarms(completers, photographs, size, f"{clean}", progress)
    for table in report.tables(results, alarms):
        console().print(table)
    settings = {"cases": [str(path) for path in cases or ()], "size": size, "clean": clean and str(clean), "device": device}
    if json_file is not None:
        _write_text(json_file, json.dumps(report.to_json(results, alarms, settings), indent=1))
    if markdown_file is not None:
        _write_text(markdown_file, report.to_markdown(results, alarms))
    if html_file is not None:
        sampler = partial(next(iter(completers.values())), samples=samples) if samples > 1 else None
        _write_text(html_file, _html(methods, results, all_cases, alarms, sampler))


def _own_methods(completers: "Mapping[str, Completer]", blind: bool, raw: bool) -> Methods:
    """Give each completer, and its blind and raw variants if they are asked for, a name."""
    from ..evaluation import scores

    methods = Methods({}, {})
    for name, completer in completers.items():
        methods.named[name] = completer
        if blind:
            methods.named[f"{name} (blind)"] = partial(_complete_blind, completer)
            methods.detectors[f"{name} (blind)"] = partial(_detect, completer)
        if raw:
            methods.named[f"{name} (raw)"] = scores.raw(completer)
    return methods


def _add_baselines(methods: "dict[str, Method]", against: str) -> None:
    """Add the baselines of --against, and print how an ONNX file's inputs are read."""
    from ..evaluation.baselines import classical
    from ..evaluation.onnx_baselines import is_onnx, onnx_baseline

    for name in filter(None, map(str.strip, against.split(","))):
        if is_onnx(name):
            baseline = onnx_baseline(name)
            methods[name if baseline.path.name in methods else baseline.path.name] = baseline
            say(baseline.reading)
        elif name != "none":
            methods[name] = classical(name)


def _score(methods: Methods, cases: "Sequence[Case]", progress: "Progress") -> "dict[str, list[Record]]":
    """Score every method on every case, with a progress bar for each method."""
    from ..evaluation import scores

    results: dict[str, list[Record]] = {}
    for name, method in methods.named.items() if cases else ():
        advance = partial(progress.advance, progress.add_task(name, total=len(cases)))
        detect = methods.detectors.get(name)
        results[name] = scores.evaluate(
            method, cases, blind=detect is not None, detect=detect, progress=lambda *_, advance=advance: advance()
        )
    return results


def _count_false_alarms(
    completers: "Mapping[str, Completer]", photographs: Sequence[Path], size: int | None, folder: str, progress: "Progress"
) -> "dict[str, FalseAlarms]":
    """Count each completer's detections on photographs without occlusions."""
    from ..evaluation.detection import false_alarms

    alarms: dict[str, FalseAlarms] = {}
    for name, completer in completers.items() if photographs else ():
        advance = partial(progress.advance, progress.add_task(f"{name}: {folder}", total=len(photographs)))
        alarms[name] = false_alarms(partial(_detect_tinted, completer), photographs, size, advance)
    return alarms


def _complete_blind(completer: "Completer", image: "np.ndarray", mask: "np.ndarray | None") -> "Completion":
    """Complete without the mask that the evaluation offers."""
    return completer(image)


def _detect(completer: "Completer", image: "np.ndarray") -> "np.ndarray":
    """The detected mask, bool (H, W), before it is dilated."""
    return completer.detect(image).mask


def _detect_tinted(completer: "Completer", image: "np.ndarray") -> "np.ndarray":
    """The detected mask, bool (H, W), with the pixels at its edge that hold some of the paint's colour."""
    return completer.detect(image).tinted


def _html(
    methods: Methods,
    results: "Mapping[str, Sequence[Record]]",
    cases: "Sequence[Case]",
    alarms: "Mapping[str, FalseAlarms]",
    sampler: "Callable[..., Any] | None",
) -> str:
    """The HTML report, with the best, median and worst cases of each set."""
    from ..evaluation import report_html

    shown = report_html.examples(methods.named, results, cases, sampler)
    return report_html.html(results, shown, alarms)


def _write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    from ..encode import write_atomically

    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
