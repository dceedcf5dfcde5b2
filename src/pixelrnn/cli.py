"""The command `pixelrnn`. Imports that take seconds happen inside the commands."""

import os

# two threads that spin while they wait are slower than one on a busy machine; must be set before torch is imported
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import atexit
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import __version__
from .errors import PixelRNNError
from .weights import DEFAULT, EXPECTED, SAMPLER, SHARP, bundled_weights

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console
    from rich.progress import Progress

    from .completion import Completer, Completion

EXTRAS = {  # what is installed with which, for commands that need it
    **dict.fromkeys(("torch", "lightning", "matplotlib", "yaml", "onnx"), "train"),
    **dict.fromkeys(("cv2", "skimage", "pypatchmatch"), "evaluate"),
    "streamlit": "app",
}
NAMES = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    no_args_is_help=True,
    context_settings=NAMES,
    pretty_exceptions_enable=False,
    help="Complete occluded photographs, bedrooms first.",
)
Weights = Annotated[
    str,
    typer.Option(help=f"{SHARP} (default), {EXPECTED} (least error, softer), a .safetensors file, or a plain .pth state dict."),
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    pass


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


@app.command()
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

    from .batch import Batch, describe, read_mask_option, through
    from .completion import Completer
    from .decode import read_picture
    from .detection import LEVELS
    from .folders import left_out
    from .planning import OUTPUTS, plan, sample_target

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
    say = (lambda text: None) if as_json else _say
    if left := left_out(planned.left):
        typer.echo(_printable(left), err=True)
    if skip_existing and not todo:
        say(f"all {len(planned.done)} were done")
        return
    if dry_run:
        for path, target in todo:
            typer.echo(_printable(f"{path} -> {target}"))
        return
    if sheet is not None and sheet.exists() and not overwrite:
        raise PixelRNNError(f"{sheet}: exists already. Give --overwrite, or another --sheet.")
    completer = Completer.from_pretrained(weights, device, backend)
    if Path(weights).suffix == ".pth":
        say(f"{weights}: weights of {completer.name}")
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
            say(f"{target}  ({'; '.join([describe(told), *likelihoods[:1], *told['notes']])})")
            for number, likelihood in enumerate(likelihoods[1:], 2):
                say(f"{sample_target(target, number)}  ({likelihood})")

    several = len(todo) != 1
    try:
        with _progress(hidden=as_json) if several or samples > 1 else nullcontext() as progress:
            if progress is not None and samples > 1:
                drawing = progress.add_task("Drawing", total=100)
                options["progress"] = lambda share: progress.update(drawing, completed=round(100 * share))
            for path, target in progress.track(todo, description="Completing") if progress is not None and several else todo:
                one(path, target)
    except KeyboardInterrupt:
        _complain(f"stopped: {len(done)} of {len(todo)} pictures completed. --skip-existing goes on.")
        raise typer.Exit(130) from None
    if several:
        whole = f"; in {len(unchanged)} nothing was missing, so they are unchanged" if unchanged else ""
        say(f"{len(done)} of {len(todo)} pictures completed" + (f" in {out or OUTPUTS}" if done else "") + whole)
    if sheet is not None and done:
        from . import report
        from .decode import read_image

        report.sheet(((read_image(path), read_image(target)) for path, target in done), sheet)
        say(f"{sheet}")
    if not as_json:
        for failure in failures:
            _complain(failure)
    if failures:
        raise typer.Exit(1)


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

    from .pairs import write_pairs

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
    from .decode import read_image
    from .folders import list_photographs
    from .pairs import write_pairs

    paths = list_photographs(source, out)
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
    from .folders import list_images
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
            found_by = partial(_tinted, completer)
            alarms[name] = evaluation.false_alarms(found_by, photographs, size, advance)
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


def _tinted(completer: "Completer", picture: "np.ndarray") -> "np.ndarray":
    return completer.detect(picture).tinted


def _write_text(path: Path, text: str) -> None:
    from .encode import write_atomically

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
    """List the bundled weights, and, where torch is installed, the models that can be trained."""
    from importlib.util import find_spec

    _say(f"bundled weights: {', '.join(bundled_weights())}; {SAMPLER}, which draws samples for both")
    if find_spec("torch") is not None:
        from .models import list_models

        _say(f"models: {', '.join(list_models())}")


def main() -> None:
    """Run the command; an error for the user is one line and exit code 2."""
    atexit.register(gc.freeze)  # or Python would search all that was imported for garbage before it ends
    try:
        app()
    except PixelRNNError as error:
        _complain(str(error))
        sys.exit(2)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        _complain(f"this needs {error.name}. Install it: pip install 'pixelrnn[{extra}]'.")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read what was printed has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        sys.exit(1)
