"""One file completed, and what is told of it: the function that one process, several, and a cluster share."""

import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO, NamedTuple

from PIL import Image

from ..decode import Picture, read_picture
from ..encode import write_image
from ..errors import PixelRNNError
from ..folders import MaskFolder
from ..masks import MOSTLY_WHITE, Box
from ..weights import DEFAULT
from .completer import Completer
from .detection import LEVELS
from .files import LOCAL, Files, local_place
from .planning import Pair, sample_target

Told = dict[str, Any]  # what --json tells of a file


class Task(NamedTuple):
    """A file to complete, by the paths or URLs of its ends and of its mask, if that is no box. problem: why that cannot be."""

    source: str
    target: str
    mask: str | Box | None = None
    problem: str = ""


@dataclass(frozen=True)
class MaskOption:
    """What --mask says: a file or box for every picture, a folder with one for each, or nothing."""

    same: PurePath | Box | None = None
    folder: MaskFolder | None = None
    inputs: tuple[PurePath, ...] = ()  # a mask lies in its folder as the picture in that of the inputs
    files: Files = LOCAL  # where masks are

    def of(self, path: PurePath) -> PurePath | Box | None:
        """That of one picture. Raises PixelRNNError where the folder has none."""
        if self.folder is None:
            return self.same
        inside = [path.parent.relative_to(folder) for folder in self.inputs if folder in path.parents]
        return self.folder.of(path, inside[0] if inside else PurePath())

    def tasks(self, pairs: Iterable[Pair], sources: Files = LOCAL, targets: Files = LOCAL) -> Iterator[Task]:
        """One for each pair; one that has no mask in the folder says so."""
        for source, target in pairs:
            task = Task(sources.url(source), targets.url(target))
            try:
                mask = self.of(source)
                yield task._replace(mask=self.files.url(mask) if isinstance(mask, PurePath) else mask)
            except PixelRNNError as error:
                yield task._replace(problem=str(error))


def read_mask_option(
    mask: str | None, inputs: Sequence[PurePath], place: Callable[[str], tuple[Files, PurePath]] = local_place
) -> MaskOption:
    """A box "x,y,w,h", or a file or folder that exists. place: as files.local_place. Raises PixelRNNError."""
    if mask is None:
        return MaskOption()
    files, path = place(mask)
    numbers = mask.split(",")
    if len(numbers) == 4 and all(number.strip().isdigit() for number in numbers) and not files.exists(path):
        x, y, width, height = map(int, numbers)
        return MaskOption((x, y, width, height))
    if files.is_dir(path):
        return MaskOption(None, MaskFolder(path, files.find(path, [])[0]), tuple(inputs), files)
    if not files.exists(path):
        raise PixelRNNError(f"{mask}: no such mask file or folder, and no box x,y,w,h. Check the path.")
    return MaskOption(path, files=files)


@dataclass(frozen=True)
class CompletionOptions:
    """How files are completed; each process opens its own network with it. weights, device, backend: of
    Completer.from_pretrained; megapixels: that are read at most; the others: of Completer.
    """

    weights: str | Path = DEFAULT
    device: str = "cpu"
    backend: str = "auto"
    megapixels: int = 100
    grown: int = 0
    level: str = "normal"
    samples: int = 1
    seed: int = 0
    temperature: float = 1.0
    guide: Picture | None = None
    grain: str | float = "auto"
    invert_mask: bool = False
    resize_mask: bool = False


class FileCompleter:
    """Completes files, one after the other. Raises what Completer.from_pretrained does."""

    def __init__(self, options: CompletionOptions) -> None:
        Image.MAX_IMAGE_PIXELS = options.megapixels * 10**6  # beyond twice as many Pillow refuses by itself
        self.options = options
        self.completer = Completer.from_pretrained(options.weights, options.device, options.backend)

    def __call__(
        self,
        source: Path | BinaryIO,
        target: Path,
        mask: Path | BinaryIO | Box | None = None,
        progress: Callable[[float], Any] = lambda share: None,
    ) -> Told:
        """Complete and write one picture, its samples first of all, so that `target` says that it is done; what --json tells.
        source, mask: a file, or an open one with a `name`. progress: told the share of samples that is drawn. Raises
        PixelRNNError.
        """
        options = self.options
        name = str(source) if isinstance(source, Path) else source.name
        try:
            picture = read_picture(source, options.megapixels * 10**6)
            result = self.completer(
                picture,
                mask,
                grown=options.grown,
                level=options.level,
                samples=options.samples,
                seed=options.seed,
                temperature=options.temperature,
                guide=options.guide,
                grain=options.grain,
                invert_mask=options.invert_mask,
                resize_mask=options.resize_mask,
                progress=progress,
            )
        except PixelRNNError as error:
            raise PixelRNNError(str(error) if name in str(error) else f"{name}: {error}") from None
        notes = list(picture.notes)
        for number, sample in reversed(list(enumerate(result.samples, 1))):
            lost = write_image(Path(sample_target(target, number)), sample, picture, result.mask)
        height, width = result.mask.shape
        share = float(result.mask.mean())
        if result.mask_source == "given" and share > MOSTLY_WHITE:
            notes.append(f"{100 * share:.3g}% of the mask is white; if black is missing, give --invert-mask")
        return {
            "output": str(target),
            "width": width,
            "height": height,
            "missing": round(share, 6),
            "mask_source": result.mask_source,
            "regions": [
                {
                    "box": [region.box.left, region.box.top, *region.box.size],
                    "pixels": int(region.mask.sum()),
                    "confidence": round(region.confidence, 4),
                    "kept": region.confidence >= LEVELS[options.level],
                }
                for region in result.regions
            ],
            "log_likelihood": result.log_likelihood,
            "notes": [*notes, *lost],
            "error": None,
        }

    def outcome(self, task: Task, progress: Callable[[float], Any] = lambda share: None) -> Told:
        """The same of a task on this machine, with its path and the seconds that it took, whatever became of it."""
        mask = Path(task.mask) if isinstance(task.mask, str) else task.mask
        return outcome(task, lambda: self(Path(task.source), Path(task.target), mask, progress))


def outcome(task: Task, work: Callable[[], Told]) -> Told:
    """What `work` tells of a task, or its error for the user, with the path and the seconds that it took."""
    start = time.perf_counter()
    told: Told = {"path": task.source}
    try:
        if task.problem:
            raise PixelRNNError(task.problem)
        told |= work()
    except (PixelRNNError, MemoryError) as error:
        told["error"] = str(error) or f"{task.source}: not enough memory."
    return {**told, "seconds": round(time.perf_counter() - start, 4)}


def through(batch: FileCompleter, mask: MaskOption, out: Path | None, kind: str) -> None:
    """Complete standard input to `out`, which is standard output where it is "-" or not given."""
    given = Path(mask.same) if isinstance(mask.same, PurePath) else mask.same
    file = io.BytesIO(sys.stdin.buffer.read())
    file.name = "standard input"
    suffix = f".{read_picture(file, batch.options.megapixels * 10**6).format.lower() if kind == 'same' else kind}"
    if out is not None and str(out) != "-":
        batch(file, out, given)
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / f"completed{suffix}"
        batch(file, target, given)
        sys.stdout.buffer.write(target.read_bytes())
        sys.stdout.buffer.flush()


def describe(told: Told) -> str:
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
