"""Complete one file and report its outcome: what one process, several processes and a cluster share."""

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
from ..weights import DEFAULT, TEMPERATURE
from .completer import Completer
from .detection import LEVELS
from .files import LOCAL, Files, local_place
from .planning import Pair, sample_target

Row = dict[str, Any]  # the outcome of a file, as --json prints it


class Task(NamedTuple):
    """A file to complete. Files are given by their paths or URLs."""

    source: str
    target: str
    mask: str | Box | None = None
    problem: str = ""  # why the file cannot be completed


@dataclass(frozen=True)
class MaskOption:
    """The value of --mask: a file or box for all images, a folder with a mask for each image, or nothing."""

    same: PurePath | Box | None = None  # the mask of all images
    folder: MaskFolder | None = None
    inputs: tuple[PurePath, ...] = ()  # folders of images, whose subfolders the folder of masks mirrors
    files: Files = LOCAL  # the file system of the masks

    def of(self, path: PurePath) -> PurePath | Box | None:
        """The mask of one image. Raises PixelRNNError where the folder of masks has none."""
        if self.folder is None:
            return self.same
        subfolders = [path.parent.relative_to(folder) for folder in self.inputs if folder in path.parents]
        return self.folder.of(path, subfolders[0] if subfolders else PurePath())

    def tasks(self, pairs: Iterable[Pair], sources: Files = LOCAL, targets: Files = LOCAL) -> Iterator[Task]:
        """Yield a task for each pair of image and output. A missing mask becomes the problem of its task."""
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
    """Read the value of --mask.

    Args:
        mask: a box "x,y,w,h", or a file or a folder.
        inputs: the images and the folders of images.
        place: finds the file system and the path of a word, as files.local_place does.

    Raises:
        PixelRNNError: it is no box, and there is no such file or folder.
    """
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
        raise PixelRNNError(f"{mask}: no such mask file or folder, and not a box x,y,w,h. Check the path.")
    return MaskOption(path, files=files)


@dataclass(frozen=True)
class CompletionOptions:
    """How files are completed. Each process opens its own network with these options.

    weights, device and backend are arguments of `Completer.from_pretrained`; from grown on, all are of `Completer.__call__`.
    """

    weights: str | Path = DEFAULT
    device: str = "cpu"
    backend: str = "auto"
    megapixels: int = 100  # the largest image that is read
    grown: int = 0
    level: str = "normal"
    samples: int = 1
    seed: int = 0
    temperature: float = TEMPERATURE
    guide: Picture | None = None
    grain: str | float = "auto"
    detail: bool | None = None
    invert_mask: bool = False
    resize_mask: bool = False


class FileCompleter:
    """Completes files one after the other. Raises the errors of `Completer.from_pretrained`."""

    def __init__(self, options: CompletionOptions) -> None:
        Image.MAX_IMAGE_PIXELS = options.megapixels * 10**6  # Pillow itself refuses more than twice as many
        self.options = options
        self.completer = Completer.from_pretrained(options.weights, options.device, options.backend)

    def __call__(
        self,
        source: Path | BinaryIO,
        target: Path,
        mask: Path | BinaryIO | Box | None = None,
        progress: Callable[[float], Any] = lambda share: None,
    ) -> Row:
        """Complete one image and write the results, `target` last: its presence says that all are written.

        Args:
            source: the image, a path or an open file with a `name`.
            target: the file to write; further samples are written beside it.
            mask: the mask, a path, an open file with a `name`, or a box; None to detect it.
            progress: called with the share of the samples that is drawn, in (0, 1].

        Returns:
            The outcome, as --json prints it.

        Raises:
            PixelRNNError: the image cannot be read, completed or written.
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
                detail=options.detail,
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
        if result.mask_source == "given" and share > MOSTLY_WHITE:  # most likely inverted
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

    def outcome(self, task: Task, progress: Callable[[float], Any] = lambda share: None) -> Row:
        """Complete a task whose files are on this machine, and report its outcome, also of a failure."""
        mask = Path(task.mask) if isinstance(task.mask, str) else task.mask
        return outcome(task, lambda: self(Path(task.source), Path(task.target), mask, progress))


def outcome(task: Task, work: Callable[[], Row]) -> Row:
    """Report the outcome of a task: the row that `work` returns, or its error, with the path and the seconds that it took."""
    start = time.perf_counter()
    row: Row = {"path": task.source}
    try:
        if task.problem:
            raise PixelRNNError(task.problem)
        row |= work()
    except (PixelRNNError, MemoryError) as error:
        row["error"] = str(error) or f"{task.source}: not enough memory."
    return {**row, "seconds": round(time.perf_counter() - start, 4)}


def through(batch: FileCompleter, mask: MaskOption, out: Path | None, kind: str) -> None:
    """Complete the image on standard input.

    Args:
        batch: completes it.
        mask: its mask.
        out: the file to write; None or "-" is standard output.
        kind: the format of standard output, one of planning.KINDS.

    Raises:
        PixelRNNError: the image cannot be read, completed or written.
    """
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


def describe(row: Row) -> str:
    """Describe the mask that was used: its share of the image, its source, and the regions that were detected."""
    source, regions = row["mask_source"], [region for region in row["regions"] if region["kept"]]
    if not row["missing"]:
        if source == "given":
            return "the mask has no white in it, so the picture is unchanged"
        unsure = len(row["regions"]) - len(regions)
        hint = f" ({_regions(unsure)} in doubt: --detect eager would take {'it' if unsure == 1 else 'them'})" if unsure else ""
        return (
            f"nothing painted over was found{hint}, so the picture is unchanged; "
            "mark what is in the way with --mask, or with the brush of pixelrnn app"
        )
    share = f"{100 * row['missing']:.2g}% missing, {source}"
    if source in ("given", "transparent"):
        return share
    places = ["{2} x {3} at {0},{1}".format(*region["box"]) for region in regions[:3]]
    more = [f"{len(regions) - 3} more"] if len(regions) > 3 else []
    return f"{share}: {_regions(len(regions))} of {', '.join(places + more)}"


def _regions(count: int) -> str:
    """The count with its noun."""
    return f"{count} region" + "s" * (count != 1)
