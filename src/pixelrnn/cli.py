"""The command `pixelrnn`. Imports that take seconds happen inside the commands."""

import os

# two threads that spin while they wait are slower than one on a busy machine; must be set before torch is imported
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import atexit
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import PixelRNNError
from .weights import DEFAULT, EXPECTED, SHARP, bundled_weights

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console
    from rich.progress import Progress

    from .completion import Completer, Completion

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Complete occluded photographs, bedrooms first.")
Weights = Annotated[
    str,
    typer.Option(help=f"{SHARP} (default), {EXPECTED} (least error, softer), a .safetensors file, or a plain .pth state dict."),
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]


@cache
def _console(stderr: bool = False) -> "Console":
    from rich.console import Console

    console = Console(stderr=stderr)
    if not console.is_terminal:
        console.width = 120  # tables in a log or a pipe, where rich would take 80
    return console


def _progress(hidden: bool = False) -> "Progress":
    """A bar with the count, the rate and the remaining time; nothing where the output is no terminal, or `hidden`."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = _console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=hidden or not console.is_terminal)


def _say(text: str) -> None:
    typer.echo("\n".join(_printable(line) for line in text.split("\n")))


def _complain(text: str) -> None:
    """An error as one line, whatever a file's name holds."""
    typer.secho(f"error: {_printable(text)}", fg="red", err=True)


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def plan_outputs(
    inputs: Sequence[Path], out: Path | None, overwrite: bool, skip_existing: bool = False, samples: int = 1
) -> list[tuple[Path, Path]]:
    """(picture, where its completion goes) for files and folders, in order.

    A folder gives OUT/<relative path>/NAME.png, OUT being outputs/ by default; a file without OUT a numbered
    outputs/NAME_completed.png; a file with OUT that ends like a picture, exactly that. Raises PixelRNNError for a missing path,
    for two inputs with one output and, without `overwrite`, for an output that exists, which `skip_existing` leaves out. Each
    of the `samples` is an output.
    """
    from .image import SUFFIXES, list_images

    exact = out is not None and out.suffix.lower() in SUFFIXES
    if exact and (len(inputs) != 1 or inputs[0].is_dir()):
        raise PixelRNNError(f"{out}: one file for several pictures. Give a folder.")
    plan: list[tuple[Path, Path]] = []
    for path in inputs:
        if path.is_dir():
            folder = out or Path("outputs")
            plan += [(found, folder / found.relative_to(path).with_suffix(".png")) for found in list_images(path)]
        elif not path.exists():
            raise PixelRNNError(f"{path}: no such file or folder. Check the path.")
        elif out is None:
            target = Path("outputs") / f"{path.stem}_completed.png"
            plan.append((path, target if skip_existing else _free(target, {target for _, target in plan})))
        else:
            plan.append((path, out if exact else out / f"{path.stem}.png"))
    taken: dict[Path, Path] = {}
    for path, target in plan:
        for one in (sample_target(target, number) for number in range(1, samples + 1)):
            if one in taken:
                raise PixelRNNError(f"{taken[one]} and {path} would both be written to {one}. Complete them in two runs.")
            if one.exists() and not overwrite and not skip_existing:
                raise PixelRNNError(f"{one}: exists already. Give --overwrite, --skip-existing, or another --out.")
            taken[one] = path
    return [(path, target) for path, target in plan if not (skip_existing and target.exists())]


def sample_target(target: Path, number: int) -> Path:
    """Where the sample of this rank goes: the first to `target` itself."""
    return target if number == 1 else target.with_stem(f"{target.stem}_sample{number}")


def _free(target: Path, planned: set[Path]) -> Path:
    """`target`, numbered when it exists."""
    candidate, number = target, 2
    while candidate.exists() or candidate in planned:
        candidate = target.with_stem(f"{target.stem}_{number}")
        number += 1
    return candidate


Mask = Path | tuple[int, int, int, int] | None


def _read_mask_option(mask: str | None) -> Mask:
    """A box "x,y,w,h", or a path that exists."""
    if mask is None:
        return None
    numbers = mask.split(",")
    if len(numbers) == 4 and all(number.strip().isdigit() for number in numbers) and not Path(mask).exists():
        x, y, width, height = map(int, numbers)
        return x, y, width, height
    if not Path(mask).exists():
        raise PixelRNNError(f"{mask}: no such mask file or folder, and no box x,y,w,h. Check the path.")
    return Path(mask)


def _mask_for(path: Path, mask: Mask, folders: Sequence[Path]) -> Mask:
    """The mask of one picture: what was given, or of a folder the file with the picture's relative path, else its name."""
    from .image import SUFFIXES

    if not isinstance(mask, Path) or not mask.is_dir():
        return mask
    inside = [path.parent.relative_to(folder) for folder in folders if folder.is_dir() and folder in path.parents]
    for place in (mask / inside[0] if inside else mask, mask):
        found = [one for one in place.glob("*") if one.stem == path.stem and one.suffix.lower() in SUFFIXES]
        if found:
            break
    if len(found) != 1:
        raise PixelRNNError(f"{path}: {len(found)} masks named {path.stem} in {mask}, expected one.")
    return found[0]


@app.command()
def complete(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN...", help="Pictures, or folders of them.")],
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
    grow: Annotated[int, typer.Option(min=0, help="Pixels by which what is missing is grown.")] = 0,
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
    sheet: Annotated[Path | None, typer.Option(help="Also write one picture with every input beside its completion.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out pictures whose output exists, to go on with a run that ended.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a picture, and nothing else.")] = False,
) -> None:
    """Complete pictures; without a mask, the occlusion is found."""
    from .completion import Completer
    from .detection import LEVELS
    from .image import read_image

    if detect not in LEVELS:
        raise PixelRNNError(f"--detect {detect}: expected {', '.join(LEVELS)}.")
    region = _read_mask_option(mask)
    plan = plan_outputs(inputs, out, overwrite, skip_existing, samples)
    if sheet is not None and sheet.exists() and not overwrite:
        raise PixelRNNError(f"{sheet}: exists already. Give --overwrite, or another --sheet.")
    completer = Completer.from_pretrained(weights, device, backend)
    say = (lambda text: None) if as_json else _say
    if Path(weights).suffix == ".pth":
        say(f"{weights}: weights of {completer.name}")
    failures: list[str] = []
    done: list[tuple[Path, Path]] = []
    unchanged: list[Path] = []

    options: dict[str, Any] = {"grown": grow, "level": detect, "samples": samples, "seed": seed, "temperature": temperature}

    def one(path: Path, target: Path) -> None:
        start = time.perf_counter()
        told: dict[str, Any] = {"path": str(path), "output": str(target)}
        try:
            told |= _complete_one(completer, path, target, _mask_for(path, region, inputs), **options)
        except (PixelRNNError, MemoryError) as error:
            if len(plan) == 1 and not as_json and isinstance(error, PixelRNNError):
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
        elif len(plan) == 1:
            share = _what_was_missing(told)
            likelihoods = [f"log-likelihood {nats:.2f} nats a pixel" for nats in told["log_likelihood"] or ()]
            say(f"{target}  ({'; '.join([share, *likelihoods[:1], *told['notes']])})")
            for number, likelihood in enumerate(likelihoods[1:], 2):
                say(f"{sample_target(target, number)}  ({likelihood})")

    several = len(plan) != 1
    with _progress(hidden=as_json) if several or samples > 1 else nullcontext() as progress:
        if progress is not None and samples > 1:
            drawing = progress.add_task("Drawing", total=100)
            options["progress"] = lambda share: progress.update(drawing, completed=round(100 * share))
        for path, target in progress.track(plan, description="Completing") if progress is not None and several else plan:
            one(path, target)
    if several:
        whole = f"; in {len(unchanged)} nothing was missing, so they are unchanged" if unchanged else ""
        say(f"{len(done)} of {len(plan)} pictures completed" + (f" in {out or 'outputs'}" if done else "") + whole)
    if sheet is not None and done:
        from . import report

        report.sheet(((read_image(path), read_image(target)) for path, target in done), sheet)
        say(f"{sheet}")
    if not as_json:
        for failure in failures:
            _complain(failure)
    if failures:
        raise typer.Exit(1)


def _what_was_missing(told: dict[str, Any]) -> str:
    """How much, and of what was found how many regions, and where."""
    source, regions = told["mask_source"], [region for region in told["regions"] if region["kept"]]
    if not told["missing"]:
        if source == "given":
            return "the mask has no white in it, so the picture is unchanged"
        doubt = len(told["regions"]) - len(regions)
        unsure = f" ({_regions(doubt)} in doubt: --detect eager would take {'it' if doubt == 1 else 'them'})" if doubt else ""
        return (
            f"nothing painted over was found{unsure}, so the picture is unchanged; "
            "mark what is in the way with --mask, or with the brush of pixelrnn app"
        )
    share = f"{100 * told['missing']:.2g}% missing, {source}"
    if source in ("given", "transparent"):
        return share
    places = ["{2} x {3} at {0},{1}".format(*region["box"]) for region in regions[:3]]
    more = [f"{len(regions) - 3} more"] if len(regions) > 3 else []
    return f"{share}: {_regions(len(regions))} of {', '.join(places + more)}"


def _regions(count: int) -> str:
    return f"{count} region" + "s" * (count != 1)


def _complete_one(completer: "Completer", path: Path, target: Path, mask: Mask, **options: Any) -> dict[str, Any]:
    """Complete and write one picture, its samples first of all, so that `target` says that it is done; what --json tells."""
    from .detection import LEVELS
    from .image import read_picture, write_image

    picture = read_picture(path)
    try:
        result = completer(picture, mask, **options)
    except PixelRNNError as error:
        raise PixelRNNError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    for number, sample in reversed(list(enumerate(result.samples, 1))):
        write_image(sample_target(target, number), sample, picture, result.mask)
    height, width = result.mask.shape
    return {
        "width": width,
        "height": height,
        "missing": round(float(result.mask.mean()), 6),
        "mask_source": result.mask_source,
        "regions": [
            {
                "box": [region.box.left, region.box.top, *region.box.size],
                "pixels": int(region.mask.sum()),
                "confidence": round(region.confidence, 4),
                "kept": region.confidence >= LEVELS[options["level"]],
            }
            for region in result.regions
        ],
        "log_likelihood": result.log_likelihood,
        "notes": list(picture.notes),
        "error": None,
    }


@app.command()
def export(
    weights: Annotated[str, typer.Argument(help="A bundled name, a .safetensors file, or a plain .pth state dict.")] = DEFAULT,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The ONNX file; beside the weights by default.")] = None,
    bundled: Annotated[
        bool, typer.Option("--bundled", help="Write those of all bundled weights anew, after a checkpoint was replaced.")
    ] = False,
) -> None:
    """Write a network as an ONNX file of any batch, height and width, checked against torch; needs pixelrnn[train]."""
    from . import export as exporting
    from .checkpoint import load
    from .weights import find_weights

    if bundled:
        for path in exporting.export_bundled():
            _say(str(path))
        return
    path = find_weights(weights)
    target = out or path.with_suffix(".onnx")
    exporting.export_onnx(load(path).model, target)
    _say(str(target))


@app.command()
def train(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA]... [KEY=VALUE]...",
            help="Folders of pairs or photographs (data/ by default), and changes to the recipe.",
        ),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="A YAML file, as in recipes/; the described run by default.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for results; outputs/ by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the folder for results.")] = False,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Begin from fresh weights, not from the bundled ones.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Train a model, from the bundled weights where there are some; saves optimized_pixelrnn.pth and draws the loss curve."""
    from . import training

    words = inputs or []
    overrides = [word for word in words if "=" in word] + ["start_from=scratch"] * from_scratch
    folders = [Path(word) for word in words if "=" not in word] or [Path("data")]
    chosen, options = training.read_recipe(recipe, overrides)
    out = out or training.default_out()
    weights = training.train(folders, chosen, options, out, resume, device, _console())
    _say(
        f"Saved {weights.with_suffix('.pth')} and {weights}; the curve is {out / 'loss_curve.png'}.\n"
        f"Complete a picture with them: pixelrnn complete PICTURE --weights {weights}"
    )


@app.command("demo-data")
def demo_data(
    out: Annotated[Path, typer.Argument(help="A new folder, such as data/.")],
    count: Annotated[int, typer.Option(min=2, help="Pairs to render.")] = 400,
    test: Annotated[int, typer.Option(min=0, help="Pictures for occluded_test/.")] = 20,
    size: Annotated[int, typer.Option(min=16, help="Side of the pictures in pixels.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Other seeds, other bedrooms.")] = 0,
    style: Annotated[str, typer.Option(help="What is in the way: square (black, as described) or random.")] = "square",
) -> None:
    """Render procedural bedrooms as a paired dataset to train on."""
    from concurrent.futures import ProcessPoolExecutor

    from .data import write_pairs

    with ProcessPoolExecutor() as pool, _progress() as progress:
        rooms = pool.map(partial(_render, seed=seed, size=size), range(count + test))
        write_pairs(progress.track(rooms, total=count + test, description="Rendering"), out, seed, test, _style(style))
    _say(f"{out}: {count} pairs and {test} pictures without ground truth. Train on them: pixelrnn train {out}")


def _render(number: int, seed: int, size: int) -> "np.ndarray":
    import numpy as np

    from .rooms import render_bedroom

    return render_bedroom(np.random.default_rng([seed, number]), size)


def _style(style: str) -> str:
    if style not in ("square", "random"):
        raise PixelRNNError(f"style {style!r}: expected square or random.")
    return style


@app.command()
def occlude(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A folder of clean photographs.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder for the paired dataset.")],
    seed: Annotated[int, typer.Option(min=0, help="Other seeds, other occlusions.")] = 0,
    style: Annotated[str, typer.Option(help="square (black, as described) or random shapes and paint.")] = "random",
) -> None:
    """Turn clean photographs into a paired dataset."""
    from .data import write_pairs
    from .image import list_images, read_image

    paths = list_images(source)
    with _progress() as progress:
        pictures: Iterator[np.ndarray] = (read_image(path) for path in progress.track(paths, description="Occluding"))
        write_pairs(pictures, out, seed, style=_style(style), name="photo")
    _say(f"{out}: {len(paths)} pairs. Train on them: pixelrnn train {out}")


@app.command()
def evaluate(
    cases: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[CASES]...", help="Folders SET/{input,mask,target}/ID.png, or of such sets."),
    ] = None,
    weights: Annotated[
        list[str] | None, typer.Option(help="Weights to score, several if repeated; the bundled ones by default.")
    ] = None,
    against: Annotated[
        str, typer.Option(help="Beside: telea, ns, biharmonic, patchmatch, mean, separated by commas; or none.")
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

    from . import evaluation, report, report_html
    from .cases import read_cases
    from .completion import Completer
    from .image import list_images
    from .peers import classical

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
    methods |= {name: classical(name) for name in map(str.strip, against.split(",")) if name != "none"}
    results, alarms = {}, {}
    with _progress() as progress:
        for name, method in methods.items() if found else ():
            advance = partial(progress.advance, progress.add_task(name, total=len(found)))
            results[name] = evaluation.evaluate(
                method, found, blind=name in seen, detect=seen.get(name), progress=lambda *_, advance=advance: advance()
            )
        for name, completer in completers.items() if photographs else ():
            advance = partial(progress.advance, progress.add_task(f"{name}: {clean}", total=len(photographs)))
            alarms[name] = evaluation.false_alarms(lambda picture: completer.detect(picture).tinted, photographs, size, advance)  # noqa: B023  called before the next
    for table in report.tables(results, alarms):
        _console().print(table)
    settings = {"cases": [str(path) for path in cases or ()], "size": size, "clean": clean and str(clean), "device": device}
    if json_file is not None:
        _write_text(json_file, json.dumps(report.to_json(results, alarms, settings), indent=1))
    if markdown_file is not None:
        _write_text(markdown_file, report.to_markdown(results, alarms))
    if html_file is not None:
        sampler = partial(next(iter(completers.values())), samples=samples) if samples > 1 else None
        shown = report_html.examples(methods, results, found, sampler)
        _write_text(html_file, report_html.html(results, shown, alarms))


def _write_text(path: Path, text: str) -> None:
    from .image import write_atomically

    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


@app.command("app")
def page(
    weights: Annotated[
        list[str] | None, typer.Option(help="Weights of your own to offer as well, several if repeated.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 8501,
    address: Annotated[str, typer.Option(help="0.0.0.0 opens the page to the network.")] = "localhost",
) -> None:
    """Serve the page on which pictures are uploaded, marked and completed."""
    import subprocess
    from importlib.util import find_spec

    if find_spec("streamlit") is None:
        raise PixelRNNError("the page needs streamlit. Install it: pip install 'pixelrnn[app]'.")
    here = Path(__file__).parent
    home = here / "app" / "home" if (here / "app" / "home").is_dir() else here.parents[1]  # installed, or the repository
    server = ["--server.port", str(port), "--server.address", address]
    offered = [word for name in weights or [] for word in ("--weights", name)]
    command = [sys.executable, "-m", "streamlit", "run", str(home / "app.py"), *server, "--", *offered]
    raise typer.Exit(subprocess.call(command))


@app.command()
def models() -> None:
    """List the bundled weights and the registered models."""
    from .models import list_models

    _say(f"bundled weights: {', '.join(bundled_weights())}\nmodels: {', '.join(list_models())}")


def main() -> None:
    """Run the command; an error for the user is one line and exit code 2."""
    atexit.register(gc.freeze)  # or Python would search all that was imported for garbage before it ends
    try:
        app()
    except PixelRNNError as error:
        _complain(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
