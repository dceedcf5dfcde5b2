"""The command `pixelrnn complete`."""

from collections.abc import Callable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import PixelRNNError
from ..weights import DEFAULT, TEMPERATURE
from .common import Device, Weights, check_choice, complain, printable
from .outcomes import Outcomes, follow

if TYPE_CHECKING:
    from ..inference.files import Files
    from ..inference.manifest import Manifest
    from ..inference.planning import Ends, Plan

ENGINES = ("local", "ray")


def complete(
    inputs: Annotated[
        list[str], typer.Argument(metavar="IN...", help="Photographs, or folders of them; - reads standard input.")
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            help="A folder, or a file name for a single photograph; outputs/ by default. A .png, .webp, .bmp or .tif keeps "
            "every known pixel; a .jpg is smaller, but changes all pixels slightly.",
        ),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            help="A mask, white where pixels are missing: a file, a folder of files with the photographs' names, or a box "
            "x,y,w,h. Without it, transparent pixels are missing; if there are none, the occlusion is detected."
        ),
    ] = None,
    invert_mask: Annotated[bool, typer.Option("--invert-mask", help="Treat black pixels of the mask as missing.")] = False,
    resize_mask: Annotated[
        bool, typer.Option("--resize-mask", help="Resize a mask of another size to the photograph's size.")
    ] = False,
    grow: Annotated[int, typer.Option(min=0, help="Dilate the mask by this many pixels.")] = 0,
    guide: Annotated[
        Path | None, typer.Option(help="An image that shows coarsely what belongs in the gap, 32 to 64 pixels a side.")
    ] = None,
    detect: Annotated[
        str,
        typer.Option(
            help="How certain a detection must be: strict, normal or eager. strict makes almost no false detections; eager "
            "misses less and makes more of them."
        ),
    ] = "normal",
    weights: Weights = DEFAULT,
    backend: Annotated[
        str, typer.Option(help="onnx, torch, or auto, which is onnx for bundled weights and .onnx files.")
    ] = "auto",
    device: Device = "cpu",
    samples: Annotated[
        int,
        typer.Option(
            min=1,
            help="Draw several completions of each photograph with a PixelRNN; needs torch. OUT is the most likely one, "
            "OUT_sample2 the next, and so on. 1 gives the network's own completion, which is not sampled.",
        ),
    ] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the samples and the grain; the same seed gives the same result.")] = 0,
    temperature: Annotated[
        float, typer.Option(help="Sampling temperature; below 1, samples are more likely and more alike.")
    ] = TEMPERATURE,
    grain: Annotated[
        str,
        typer.Option(
            help="Noise added to the filled pixels: auto matches the photograph's own grain around them, none adds nothing, a "
            "number is the strength in grey levels."
        ),
    ] = "auto",
    detail: Annotated[
        bool | None,
        typer.Option(
            "--detail/--no-detail",
            help="Draw the finest detail of filled pixels anew, from known patches of the photograph that look alike. By "
            "default for bedrooms-sharp alone.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str,
        typer.Option("--format", help="Format of outputs that -o does not name: png, jpg, webp, or same (the input's)."),
    ] = "png",
    max_megapixels: Annotated[int, typer.Option(min=1, help="Refuse larger photographs before they are decoded.")] = 100,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the inputs and their outputs without completing them.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option(help="Also write one image that shows each input beside its completion.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Skip photographs whose output exists, to continue an interrupted run.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Processes of one thread each, for folders; by default 1, or all cores of a cluster."),
    ] = None,
    shard: Annotated[
        str,
        typer.Option(
            metavar="K/N",
            help="Complete only the K-th of N parts of the photographs, such as 3/20, for job arrays and machines.",
        ),
    ] = "1/1",
    engine: Annotated[
        str,
        typer.Option(
            help="local, or ray, which runs on the cluster at RAY_ADDRESS or on this machine. ray reads and writes s3:// and "
            "everything else that fsspec supports, and records all outcomes in OUT/manifest."
        ),
    ] = "local",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each photograph, and nothing else.")
    ] = False,
) -> None:
    """Complete photographs. Without a mask, the occlusion is detected."""
    from ..decode import read_picture
    from ..folders import left_out
    from ..inference.batch import CompletionOptions, FileCompleter, read_mask_option, through
    from ..inference.detection import LEVELS
    from ..inference.planning import OUTPUTS, locate, plan, read_shard

    check_choice("--detect", detect, LEVELS)
    check_choice("--engine", engine, ENGINES)
    options = CompletionOptions(
        weights=weights,
        device=device,
        backend=backend,
        megapixels=max_megapixels,
        grown=grow,
        level=detect,
        samples=samples,
        seed=seed,
        temperature=temperature,
        grain=grain,
        detail=detail,
        guide=None if guide is None else read_picture(guide),
        invert_mask=invert_mask,
        resize_mask=resize_mask,
    )
    if inputs == ["-"]:
        through(FileCompleter(options), read_mask_option(mask, []), None if out is None else Path(out), kind)
        return
    place = _file_system(engine)
    ends = locate(inputs, out, place)
    mask_option = read_mask_option(mask, ends.paths, place)
    planned = plan(ends.paths, ends.out, overwrite, skip_existing, samples, kind, read_shard(shard), ends.sources, ends.targets)
    if skipped := left_out(planned.left):
        typer.echo(printable(skipped), err=True)
    outcomes = Outcomes(len(planned.todo), as_json, sheet)
    manifest = None
    if engine == "ray" and not dry_run:
        manifest = _open_manifest(ends, sheet, planned if skip_existing else None)
    if not planned.todo:
        outcomes.say(f"all {len(planned.done)} were done" if planned.done else f"no pictures in share {shard}")
        return
    if dry_run:
        _list_pairs(planned, ends)
        return
    if sheet is not None and sheet.exists() and not overwrite:
        raise PixelRNNError(f"{sheet}: exists already. Give --overwrite, or another --sheet.")
    tasks = mask_option.tasks(planned.todo, ends.sources, ends.targets)
    try:
        follow(options, tasks, outcomes, jobs, manifest)
    except KeyboardInterrupt:
        complain(outcomes.stopped())
        raise typer.Exit(130) from None
    outcomes.end(ends.targets.url(ends.out or OUTPUTS))


def _file_system(engine: str) -> "Callable[[str], tuple[Files, PurePath]]":
    """The function that reads a path for this engine; only Ray takes URLs."""
    if engine == "ray":
        from ..inference.remote import place

        return place
    from ..inference.files import local_place

    return local_place


def _list_pairs(planned: "Plan", ends: "Ends") -> None:
    """Print each input with its output, for --dry-run."""
    for path, target in planned.todo:
        typer.echo(printable(f"{ends.sources.url(path)} -> {ends.targets.url(target)}"))


def _open_manifest(ends: "Ends", sheet: Path | None, planned: "Plan | None") -> "Manifest":
    """Open the manifest of a run with Ray.

    Args:
        ends: Inputs and outputs of the run.
        sheet: The value of --sheet, which Ray does not support.
        planned: With --skip-existing, the plan, whose finished photographs are added if the manifest lacks them.

    Raises:
        PixelRNNError: If the output is not a folder, or a sheet is asked for.
    """
    from ..encode import WRITERS
    from ..inference.manifest import Manifest

    if ends.out is None or ends.out.suffix.lower() in WRITERS or sheet is not None:
        raise PixelRNNError("--engine ray: writes to a folder and makes no --sheet. Give --out FOLDER.")
    manifest = Manifest(ends.targets, ends.out / "manifest")
    if planned is not None:
        manifest.add_missing(planned.done, ends.sources)
    return manifest
