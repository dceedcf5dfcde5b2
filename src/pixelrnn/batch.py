"""Files completed one after the other, and what is told of each."""

import io
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .completion import Completer
from .decode import read_picture
from .detection import LEVELS
from .encode import write_image
from .errors import PixelRNNError
from .folders import MaskFolder
from .masks import MOSTLY, Box
from .planning import sample_target


@dataclass(frozen=True)
class MaskOption:
    """What --mask says: a file or box for every picture, a folder with one for each, or nothing."""

    same: Path | Box | None = None
    folder: MaskFolder | None = None
    inputs: tuple[Path, ...] = ()  # a mask lies in its folder as the picture in that of the inputs

    def of(self, path: Path) -> Path | Box | None:
        """That of one picture. Raises PixelRNNError where the folder has none."""
        if self.folder is None:
            return self.same
        inside = [path.parent.relative_to(folder) for folder in self.inputs if folder in path.parents]
        return self.folder.of(path, inside[0] if inside else Path())


def read_mask_option(mask: str | None, inputs: Sequence[Path]) -> MaskOption:
    """A box "x,y,w,h", or a file or folder that exists. Raises PixelRNNError."""
    if mask is None:
        return MaskOption()
    numbers = mask.split(",")
    if len(numbers) == 4 and all(number.strip().isdigit() for number in numbers) and not Path(mask).exists():
        x, y, width, height = map(int, numbers)
        return MaskOption((x, y, width, height))
    if Path(mask).is_dir():
        return MaskOption(folder=MaskFolder(Path(mask)), inputs=tuple(path for path in inputs if path.is_dir()))
    if not Path(mask).exists():
        raise PixelRNNError(f"{mask}: no such mask file or folder, and no box x,y,w,h. Check the path.")
    return MaskOption(Path(mask))


@dataclass(frozen=True)
class Batch:
    """Completes files with one completer. options: of Completer."""

    completer: Completer
    mask: MaskOption
    megapixels: int
    options: dict[str, Any]

    def __call__(self, source: Path | BinaryIO, target: Path) -> dict[str, Any]:
        """Complete and write one picture, its samples first of all, so that `target` says that it is done; what --json tells.
        source: a file, or an open one with a `name`. Raises PixelRNNError."""
        name = str(source) if isinstance(source, Path) else source.name
        mask = self.mask.of(source) if isinstance(source, Path) else self.mask.same
        try:
            picture = read_picture(source, self.megapixels * 10**6)
            result = self.completer(picture, mask, **self.options)
        except PixelRNNError as error:
            raise PixelRNNError(str(error) if name in str(error) else f"{name}: {error}") from None
        notes = list(picture.notes)
        for number, sample in reversed(list(enumerate(result.samples, 1))):
            lost = write_image(sample_target(target, number), sample, picture, result.mask)
        height, width = result.mask.shape
        share = float(result.mask.mean())
        if result.mask_source == "given" and share > MOSTLY:
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
                    "kept": region.confidence >= LEVELS[self.options["level"]],
                }
                for region in result.regions
            ],
            "log_likelihood": result.log_likelihood,
            "notes": [*notes, *lost],
            "error": None,
        }


def through(batch: Batch, out: Path | None, kind: str) -> None:
    """Complete standard input to `out`, which is standard output where it is "-" or not given."""
    file = io.BytesIO(sys.stdin.buffer.read())
    file.name = "standard input"
    suffix = f".{read_picture(file, batch.megapixels * 10**6).format.lower() if kind == 'same' else kind}"
    if out is not None and str(out) != "-":
        batch(file, out)
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / f"completed{suffix}"
        batch(file, target)
        sys.stdout.buffer.write(target.read_bytes())
        sys.stdout.buffer.flush()


def describe(told: dict[str, Any]) -> str:
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
