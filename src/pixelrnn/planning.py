"""What is completed, and where to: files and folders to pairs of a picture and its output."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .encode import WRITERS
from .errors import PixelRNNError
from .folders import find_images, suffixes

OUTPUTS = Path("outputs")  # where results go unless it is said
KINDS = ("png", "jpg", "webp", "same")  # --format


class Plan(NamedTuple):
    """Pictures and their outputs, in order; those that are done already; and how many files were left out, by suffix."""

    todo: list[tuple[Path, Path]]
    done: list[Path]
    left: Counter[str]


def plan(
    inputs: Sequence[Path],
    out: Path | None,
    overwrite: bool,
    skip_existing: bool = False,
    samples: int = 1,
    kind: str = "png",
) -> Plan:
    """For files and folders, in order.

    A folder gives OUT/<relative path>/NAME.png, OUT being outputs/ by default, which is never input; a file without OUT
    outputs/NAME_completed.png, numbered where that exists and is not to be overwritten; a file with OUT that ends like a
    picture, exactly that. kind: of KINDS, in place of png; "same" as the picture's, where that can be written. Raises
    PixelRNNError for a missing path, for two inputs with one output and, without `overwrite`, for an output that exists, which
    `skip_existing` leaves out. Each of the `samples` is an output.
    """
    if kind not in KINDS:
        raise PixelRNNError(f"--format {kind}: expected {', '.join(KINDS)}.")
    ending = "" if out is None else out.suffix.lower()
    exact = ending in {*WRITERS, *suffixes()}
    if exact and ending not in WRITERS:
        raise PixelRNNError(f"{out}: cannot write this format. Name the output {', '.join(WRITERS)}.")
    if exact and (len(inputs) != 1 or inputs[0].is_dir()):
        raise PixelRNNError(f"{out}: one file for several pictures. Give a folder.")
    folder = out if out is not None and not exact else OUTPUTS
    pairs: list[tuple[Path, Path]] = []
    left: Counter[str] = Counter()
    for path in inputs:
        if path.is_dir():
            found, others = find_images(path, [folder])
            pairs += [(one, folder / one.relative_to(path).with_suffix(_suffix(one, kind))) for one in found]
            left += others
        elif not path.exists():
            raise PixelRNNError(f"{path}: no such file or folder. Check the path.")
        elif out is None:
            target = OUTPUTS / f"{path.stem}_completed{_suffix(path, kind)}"
            pairs.append((path, target if skip_existing or overwrite else _free(target, {target for _, target in pairs})))
        else:
            pairs.append((path, out if exact else out / f"{path.stem}{_suffix(path, kind)}"))
    taken: dict[Path, Path] = {}
    for path, target in pairs:
        for one in (sample_target(target, number) for number in range(1, samples + 1)):
            if one in taken:
                raise PixelRNNError(f"{taken[one]} and {path} would both be written to {one}. Complete them in two runs.")
            if one.exists() and not overwrite and not skip_existing:
                raise PixelRNNError(f"{one}: exists already. Give --overwrite, --skip-existing, or another --out.")
            taken[one] = path
    done = [target for _, target in pairs if skip_existing and target.exists()]
    return Plan([(path, target) for path, target in pairs if target not in set(done)], done, left)


def sample_target(target: Path, number: int) -> Path:
    """Where the sample of this rank goes: the first to `target` itself."""
    return target if number == 1 else target.with_stem(f"{target.stem}_sample{number}")


def _suffix(path: Path, kind: str) -> str:
    own = path.suffix.lower()
    return (own if own in WRITERS else ".png") if kind == "same" else f".{kind}"


def _free(target: Path, planned: set[Path]) -> Path:
    """`target`, numbered when it exists."""
    candidate, number = target, 2
    while candidate.exists() or candidate in planned:
        candidate = target.with_stem(f"{target.stem}_{number}")
        number += 1
    return candidate
