"""`pixelrnn complete`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import PixelRNNError
from ..weights import DEFAULT
from .common import Device, Weights, complain, printable
from .outcomes import Outcomes, follow

if TYPE_CHECKING:
    from ..inference.manifest import Manifest
    from ..inference.planning import Ends

ENGINES = ("local", "ray")


def complete(
    inputs: Annotated[list[str], typer.Argument(metavar="IN...", help="Pictures, or folders of them; - is standard input.")],
    out: Annotated[
        str | None,
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
    seed: Annotated[int, typer.Option(help="Of the samples and the grain: the same one draws the same again.")] = 0,
    temperature: Annotated[float, typer.Option(help="Of the samples: below 1 likelier ones, and more alike.")] = 1.0,
    grain: Annotated[
        str,
        typer.Option(
            help="Noise for what is filled in: auto as around it, where the photograph has some; none; or its strength in grey "
            "levels."
        ),
    ] = "auto",
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
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Processes of one thread each, for folders; 1, or all cores of a cluster, unless it is said."),
    ] = None,
    shard: Annotated[
        str, typer.Option(metavar="K/N", help="The K-th of N shares of the pictures, as 3/20, for job arrays and machines.")
    ] = "1/1",
    engine: Annotated[
        str,
        typer.Option(
            help="local, or ray, which runs on the cluster of RAY_ADDRESS or on this machine, reads and writes s3:// and all "
            "else that fsspec knows, and keeps a manifest of all outcomes in OUT/manifest."
        ),
    ] = "local",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a picture, and nothing else.")] = False,
) -> None:
    """Complete pictures; without a mask, the occlusion is found."""
    from ..decode import read_picture
    from ..folders import left_out
    from ..inference.batch import CompletionOptions, FileCompleter, read_mask_option, through
    from ..inference.detection import LEVELS
    from ..inference.planning import OUTPUTS, locate, plan, read_shard

    if detect not in LEVELS:
        raise PixelRNNError(f"--detect {detect}: expected {', '.join(LEVELS)}.")
    if engine not in ENGINES:
        raise PixelRNNError(f"--engine {engine}: expected {', '.join(ENGINES)}.")
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
        guide=None if guide is None else read_picture(guide),
        invert_mask=invert_mask,
        resize_mask=resize_mask,
    )
    if inputs == ["-"]:
        through(FileCompleter(options), read_mask_option(mask, []), None if out is None else Path(out), kind)
        return
    if engine == "ray":
        from ..inference.remote import place
    else:
        from ..inference.files import local_place as place
    ends = locate(inputs, out, place)
    given = read_mask_option(mask, ends.paths, place)
    planned = plan(ends.paths, ends.out, overwrite, skip_existing, samples, kind, read_shard(shard), ends.sources, ends.targets)
    if left := left_out(planned.left):
        typer.echo(printable(left), err=True)
    outcomes = Outcomes(len(planned.todo), as_json, sheet)
    manifest = None
    if engine == "ray" and not dry_run:
        manifest = _manifest(ends, sheet)
        if skip_existing:
            manifest.add_missing(planned.done, ends.sources)
    if not planned.todo:
        outcomes.say(f"all {len(planned.done)} were done" if planned.done else f"no pictures in share {shard}")
        return
    if dry_run:
        for path, target in planned.todo:
            typer.echo(printable(f"{ends.sources.url(path)} -> {ends.targets.url(target)}"))
        return
    if sheet is not None and sheet.exists() and not overwrite:
        raise PixelRNNError(f"{sheet}: exists already. Give --overwrite, or another --sheet.")
    tasks = given.tasks(planned.todo, ends.sources, ends.targets)
    try:
        follow(options, tasks, outcomes, jobs, manifest)
    except KeyboardInterrupt:
        complain(outcomes.stopped())
        raise typer.Exit(130) from None
    outcomes.end(ends.targets.url(ends.out or OUTPUTS))


def _manifest(ends: "Ends", sheet: Path | None) -> "Manifest":
    """Where Ray's outcomes go. Raises PixelRNNError for what it cannot do."""
    from ..encode import WRITERS
    from ..inference.manifest import Manifest

    if ends.out is None or ends.out.suffix.lower() in WRITERS or sheet is not None:
        raise PixelRNNError("--engine ray: writes to a folder, and no --sheet. Give --out FOLDER.")
    return Manifest(ends.targets, ends.out / "manifest")
