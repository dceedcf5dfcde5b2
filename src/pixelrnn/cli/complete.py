"""`pixelrnn complete`."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import PixelRNNError
from ..weights import DEFAULT
from .common import Device, Weights, complain, printable, progress_bar, say


def complete(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN...", help="Pictures, or folders of them; - is standard input.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="A folder, or a file for one picture; outputs/ by default. A .png, .webp, .bmp or .tif keeps every known "
            "pixel; a .jpg is smaller, and changes all of them a little.",
        ),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            help="White where pixels are missing: a file, a folder of files with the pictures' names, or a box x,y,w,h. "
            "Without it transparent pixels are missing, or else what is painted over the picture is found."
        ),
    ] = None,
    invert_mask: Annotated[bool, typer.Option("--invert-mask", help="Black pixels of the mask are missing.")] = False,
    resize_mask: Annotated[bool, typer.Option("--resize-mask", help="Bring a mask of another size to the picture's.")] = False,
    grow: Annotated[int, typer.Option(min=0, help="Pixels by which what is missing is grown.")] = 0,
    guide: Annotated[
        Path | None, typer.Option(help="A picture that shows coarsely what belongs there, 32 to 64 pixels a side.")
    ] = None,
    detect: Annotated[
        str,
        typer.Option(
            help="How sure it must be of what it finds: strict alters next to nothing in vain, eager misses next to nothing."
        ),
    ] = "normal",
    weights: Weights = DEFAULT,
    backend: Annotated[str, typer.Option(help="onnx, torch, or auto: onnx for bundled weights and .onnx files.")] = "auto",
    device: Device = "cpu",
    samples: Annotated[
        int,
        typer.Option(
            min=1,
            help="Several completions of each picture, drawn by a PixelRNN: OUT is the most likely, OUT_sample2 the next, and "
            "so on; needs torch. 1 is the expected completion, which is not drawn.",
        ),
    ] = 1,
    seed: Annotated[int, typer.Option(help="Of the samples: the same one draws the same again.")] = 0,
    temperature: Annotated[float, typer.Option(help="Of the samples: below 1 likelier ones, and more alike.")] = 1.0,
    kind: Annotated[
        str, typer.Option("--format", help="Of outputs that are not named: png, jpg, webp, or same, as the picture's.")
    ] = "png",
    max_megapixels: Annotated[int, typer.Option(min=1, help="Larger pictures are refused before they are decoded.")] = 100,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be completed, and where to.")] = False,
    sheet: Annotated[Path | None, typer.Option(help="Also write one picture with every input beside its completion.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out pictures whose output exists, to go on with a run that ended.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a picture, and nothing else.")] = False,
) -> None:
    """Complete pictures; without a mask, the occlusion is found."""
    from PIL import Image

    from ..batch import Batch, describe, read_mask_option, through
    from ..completion import Completer
    from ..decode import read_picture
    from ..detection import LEVELS
    from ..folders import left_out
    from ..planning import OUTPUTS, plan, sample_target

    if detect not in LEVELS:
        raise PixelRNNError(f"--detect {detect}: expected {', '.join(LEVELS)}.")
    Image.MAX_IMAGE_PIXELS = max_megapixels * 10**6  # beyond twice as many Pillow refuses by itself
    given = read_mask_option(mask, inputs)
    options: dict[str, Any] = {
        "grown": grow,
        "level": detect,
        "samples": samples,
        "seed": seed,
        "temperature": temperature,
        "guide": None if guide is None else read_picture(guide),
        "invert_mask": invert_mask,
        "resize_mask": resize_mask,
    }
    if [str(path) for path in inputs] == ["-"]:
        completer = Completer.from_pretrained(weights, device, backend)
        through(Batch(completer, given, max_megapixels, options), out, kind)
        return
    planned = plan(inputs, out, overwrite, skip_existing, samples, kind)
    todo = planned.todo
    tell: Callable[[str], None] = (lambda text: None) if as_json else say
    if left := left_out(planned.left):
        typer.echo(printable(left), err=True)
    if skip_existing and not todo:
        tell(f"all {len(planned.done)} were done")
        return
    if dry_run:
        for path, target in todo:
            typer.echo(printable(f"{path} -> {target}"))
        return
    if sheet is not None and sheet.exists() and not overwrite:
        raise PixelRNNError(f"{sheet}: exists already. Give --overwrite, or another --sheet.")
    completer = Completer.from_pretrained(weights, device, backend)
    if Path(weights).suffix == ".pth":
        tell(f"{weights}: weights of {completer.name}")
    batch = Batch(completer, given, max_megapixels, options)
    failures: list[str] = []
    done: list[tuple[Path, Path]] = []
    unchanged: list[Path] = []

    def one(path: Path, target: Path) -> None:
        start = time.perf_counter()
        told: dict[str, Any] = {"path": str(path)}
        try:
            told |= batch(path, target)
        except (PixelRNNError, MemoryError) as error:
            if len(todo) == 1 and not as_json and isinstance(error, PixelRNNError):
                raise
            told["error"] = str(error) or f"{path}: not enough memory."
            failures.append(told["error"])
        else:
            done.append((path, target))
            if not told["missing"]:
                unchanged.append(path)
        if as_json:
            import json

            typer.echo(json.dumps({**told, "seconds": round(time.perf_counter() - start, 4)}))
        elif len(todo) == 1:
            likelihoods = [f"log-likelihood {nats:.2f} nats a pixel" for nats in told["log_likelihood"] or ()]
            tell(f"{target}  ({'; '.join([describe(told), *likelihoods[:1], *told['notes']])})")
            for number, likelihood in enumerate(likelihoods[1:], 2):
                tell(f"{sample_target(target, number)}  ({likelihood})")

    several = len(todo) != 1
    try:
        with progress_bar(hidden=as_json) if several or samples > 1 else nullcontext() as progress:
            if progress is not None and samples > 1:
                drawing = progress.add_task("Drawing", total=100)
                options["progress"] = lambda share: progress.update(drawing, completed=round(100 * share))
            for path, target in progress.track(todo, description="Completing") if progress is not None and several else todo:
                one(path, target)
    except KeyboardInterrupt:
        complain(f"stopped: {len(done)} of {len(todo)} pictures completed. --skip-existing goes on.")
        raise typer.Exit(130) from None
    if several:
        whole = f"; in {len(unchanged)} nothing was missing, so they are unchanged" if unchanged else ""
        tell(f"{len(done)} of {len(todo)} pictures completed" + (f" in {out or OUTPUTS}" if done else "") + whole)
    if sheet is not None and done:
        from .. import report
        from ..decode import read_image

        report.sheet(((read_image(path), read_image(target)) for path, target in done), sheet)
        tell(f"{sheet}")
    if not as_json:
        for failure in failures:
            complain(failure)
    if failures:
        raise typer.Exit(1)
