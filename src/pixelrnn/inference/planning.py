"""What is completed, and where to: files and folders to pairs of a picture and its output, in shares for several machines."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from ..encode import WRITERS
from ..errors import PixelRNNError
from ..folders import suffixes
from .files import LOCAL, Files, local_place

OUTPUTS = Path("outputs")  # where results go unless it is said
KINDS = ("png", "jpg", "webp", "same")  # --format
Pair = tuple[PurePath, PurePath]


class Plan(NamedTuple):
    """Pictures and their outputs, in order; those that are done already; and how many files were left out, by suffix."""

    todo: list[Pair]
    done: list[Pair]
    left: Counter[str]


class Ends(NamedTuple):
    """Where pictures come from, and where their completions go: paths, each on its file system."""

    paths: list[PurePath]
    sources: Files
    out: PurePath | None
    targets: Files


def locate(inputs: Sequence[str], out: str | None, place: Callable[[str], tuple[Files, PurePath]] = local_place) -> Ends:
    """place: as files.local_place, whose errors it raises, and PixelRNNError for inputs on several file systems."""
    located = [place(given) for given in inputs]
    sources = located[0][0]
    for given, (files, _) in zip(inputs, located, strict=True):
        if files != sources:
            raise PixelRNNError(f"{inputs[0]} and {given}: on different file systems. Complete them in two runs.")
    targets, target = (LOCAL, None) if out is None else place(out)
    return Ends([path for _, path in located], sources, target, targets)


def plan(
    inputs: Sequence[PurePath],
    out: PurePath | None,
    overwrite: bool,
    skip_existing: bool = False,
    samples: int = 1,
    kind: str = "png",
    shard: tuple[int, int] = (1, 1),
    sources: Files = LOCAL,
    targets: Files = LOCAL,
) -> Plan:
    """For files and folders, in order.

    A folder gives OUT/<relative path>/NAME.png, OUT being outputs/ by default, which is never input; a file without OUT
    outputs/NAME_completed.png, numbered where that exists and is not to be overwritten; a file with OUT that ends like a
    picture, exactly that. kind: of KINDS, in place of png; "same" as the picture's, where that can be written. Raises
    PixelRNNError for a missing path, for two inputs with one output and, without `overwrite`, for an output that exists, which
    `skip_existing` leaves out. Each of the `samples` is an output. shard: (k, n) is the k-th of n shares: every n-th picture
    from the k-th on, whatever is done already.
    """
    if kind not in KINDS:
        raise PixelRNNError(f"--format {kind}: expected {', '.join(KINDS)}.")
    ending = "" if out is None else out.suffix.lower()
    exact = ending in {*WRITERS, *suffixes()}
    if exact and ending not in WRITERS:
        raise PixelRNNError(f"{out}: cannot write this format. Name the output {', '.join(WRITERS)}.")
    if exact and (len(inputs) != 1 or sources.is_dir(inputs[0])):
        raise PixelRNNError(f"{out}: one file for several pictures. Give a folder.")
    folder = out if out is not None and not exact else OUTPUTS
    there = _Existing(targets)
    pairs: list[Pair] = []
    left: Counter[str] = Counter()
    for path in inputs:
        if sources.is_dir(path):
            found, others = sources.find(path, [folder] if sources == targets else [])
            pairs += _mirrored(found, path, folder, kind)
            left += others
        elif not sources.exists(path):
            raise PixelRNNError(f"{sources.url(path)}: no such file or folder. Check the path.")
        elif out is None:
            named: PurePath = OUTPUTS / f"{path.stem}_completed{_suffix(path, kind)}"
            if not skip_existing and not overwrite:
                named = _free(named, {target for _, target in pairs}, there)
            pairs.append((path, named))
        else:
            pairs.append((path, out if exact else out / f"{path.stem}{_suffix(path, kind)}"))
    _check_different(pairs, samples)
    todo: list[Pair] = []
    done: list[Pair] = []
    for path, target in pairs[shard[0] - 1 :: shard[1]]:
        if not overwrite and not skip_existing:
            for one in _outputs(target, samples):
                if one in there:
                    there_is = f"{targets.url(one)}: exists already"
                    raise PixelRNNError(f"{there_is}. Give --overwrite, --skip-existing, or another --out.")
        (done if skip_existing and target in there else todo).append((path, target))
    return Plan(todo, done, left)


def read_shard(given: str) -> tuple[int, int]:
    """(k, n) of "k/n". Raises PixelRNNError unless 1 <= k <= n."""
    parts = given.split("/")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts) or not 1 <= int(parts[0]) <= int(parts[1]):
        raise PixelRNNError(f"--shard {given}: expected K/N with 1 <= K <= N, as 3/20, the third of twenty shares.")
    return int(parts[0]), int(parts[1])


def sample_target(target: PurePath, number: int) -> PurePath:
    """Where the sample of this rank goes: the first to `target` itself."""
    return target if number == 1 else target.with_stem(f"{target.stem}_sample{number}")


class _Existing:
    """Which paths there are: each folder is listed once, where a question a file would take minutes over a network."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._names: dict[PurePath, set[str]] = {}

    def __contains__(self, path: PurePath) -> bool:
        folder = path.parent
        if folder not in self._names:
            self._names[folder] = self._files.names(folder)
        return path.name in self._names[folder]


def _mirrored(found: list[PurePath], source: PurePath, folder: PurePath, kind: str) -> list[Pair]:
    """Pictures of one folder, and the same places in another."""
    places: dict[PurePath, PurePath] = {}
    pairs: list[Pair] = []
    for path in found:
        place = path.parent
        if place not in places:
            places[place] = folder / str(place.relative_to(source))
        pairs.append((path, places[place] / f"{path.stem}{_suffix(path, kind)}"))
    return pairs


def _outputs(target: PurePath, samples: int) -> list[PurePath]:
    return [target, *(sample_target(target, number) for number in range(2, samples + 1))]


def _check_different(pairs: list[Pair], samples: int) -> None:
    taken: set[str] = set()
    for path, target in pairs:
        for one in _outputs(target, samples):
            if str(one) in taken:
                other = next(first for first, written in pairs if one in _outputs(written, samples))
                raise PixelRNNError(f"{other} and {path} would both be written to {one}. Complete them in two runs.")
            taken.add(str(one))


def _suffix(path: PurePath, kind: str) -> str:
    own = path.suffix.lower()
    return (own if own in WRITERS else ".png") if kind == "same" else f".{kind}"


def _free(target: PurePath, planned: set[PurePath], there: _Existing) -> PurePath:
    """`target`, numbered when it exists."""
    candidate, number = target, 2
    while candidate in there or candidate in planned:
        candidate = target.with_stem(f"{target.stem}_{number}")
        number += 1
    return candidate
