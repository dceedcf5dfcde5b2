"""`pixelrnn evaluate`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import PixelRNNError
from ..weights import bundled_weights
from .common import Device, console, progress_bar, say

if TYPE_CHECKING:
    import numpy as np

    from ..inference.completer import Completer, Completion


def evaluate(
    cases: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[CASES]...", help="Folders SET/{input,mask,target}/ID.png, or of such sets."),
    ] = None,
    weights: Annotated[
        list[str] | None, typer.Option(help="Weights to score, several if repeated; the bundled ones by default.")
    ] = None,
    against: Annotated[
        str,
        typer.Option(
            help="Beside: telea, ns, biharmonic, patchmatch, mean, and ONNX files of other learned inpainters, such as LaMa or "
            "MI-GAN, separated by commas; or none. How a file's inputs are read is guessed and printed; where that is wrong, "
            "say it after the name: FILE.onnx:missing=0:known=255 (the mask's values), :picture=-1..1 and :output=0..255 "
            "(ranges, of 0..1, 0..255 and -1..1), :first=mask (in one input of 4 channels)."
        ),
    ] = "telea,ns,mean",
    blind: Annotated[
        bool, typer.Option("--blind", help="Also let the weights find the occlusion themselves, and score what they find.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Also score the networks' own pictures, before known pixels are pasted back.")
    ] = False,
    size: Annotated[int | None, typer.Option(min=1, help="Make the cases SIZE x SIZE first.")] = None,
    clean: Annotated[
        Path | None, typer.Option(help="A folder of photographs with nothing in the way: count false alarms there.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the figures as JSON.")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="Also write the tables as Markdown.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Also write a page with figures and pictures.")] = None,
    samples: Annotated[
        int, typer.Option(min=1, help="On that page, show so many samples of the first weights side by side.")
    ] = 1,
    device: Device = "cpu",
) -> None:
    """Score weights, and classical methods beside them, on cases whose truth is known."""
    import json

    from ..evaluation import report, report_html
    from ..evaluation import scores as evaluation
    from ..evaluation.baselines import classical
    from ..evaluation.cases import read_cases
    from ..evaluation.detection import false_alarms
    from ..evaluation.onnx_baselines import is_onnx, onnx_baseline
    from ..folders import list_images
    from ..inference.completer import Completer

    def without_mask(completer: Completer) -> "Callable[[np.ndarray, np.ndarray | None], Completion]":
        return lambda image, mask: completer(image)

    if not cases and clean is None:
        raise PixelRNNError("nothing to evaluate on. Give folders of cases, or --clean with a folder of photographs.")
    found = read_cases(*cases, size=size) if cases else []
    photographs = list_images(clean) if clean is not None else []
    completers = {name: Completer.from_pretrained(name, device) for name in weights or list(bundled_weights())}
    methods: dict[str, evaluation.Method] = {}
    seen = {}
    for name, completer in completers.items():
        methods[name] = completer
        if blind:
            methods[f"{name} (blind)"] = without_mask(completer)
            seen[f"{name} (blind)"] = lambda picture, completer=completer: completer.detect(picture).mask
        if raw:
            methods[f"{name} (raw)"] = evaluation.raw(completer)
    for name in filter(None, map(str.strip, against.split(","))):
        if is_onnx(name):
            baseline = onnx_baseline(name)
            methods[name if baseline.path.name in methods else baseline.path.name] = baseline
            say(baseline.reading)
        elif name != "none":
            methods[name] = classical(name)
    results, alarms = {}, {}
    with progress_bar() as progress:
        for name, method in methods.items() if found else ():
            advance = partial(progress.advance, progress.add_task(name, total=len(found)))
            results[name] = evaluation.evaluate(
                method, found, blind=name in seen, detect=seen.get(name), progress=lambda *_, advance=advance: advance()
            )
        for name, completer in completers.items() if photographs else ():
            advance = partial(progress.advance, progress.add_task(f"{name}: {clean}", total=len(photographs)))
            found_by = partial(_tinted, completer)
            alarms[name] = false_alarms(found_by, photographs, size, advance)
    for table in report.tables(results, alarms):
        console().print(table)
    settings = {"cases": [str(path) for path in cases or ()], "size": size, "clean": clean and str(clean), "device": device}
    if json_file is not None:
        _write_text(json_file, json.dumps(report.to_json(results, alarms, settings), indent=1))
    if markdown_file is not None:
        _write_text(markdown_file, report.to_markdown(results, alarms))
    if html_file is not None:
        sampler = partial(next(iter(completers.values())), samples=samples) if samples > 1 else None
        shown = report_html.examples(methods, results, found, sampler)
        _write_text(html_file, report_html.html(results, shown, alarms))


def _tinted(completer: "Completer", picture: "np.ndarray") -> "np.ndarray":
    return completer.detect(picture).tinted


def _write_text(path: Path, text: str) -> None:
    from ..encode import write_atomically

    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
