"""Plan which images are completed and where the outputs go, in shares for several machines."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from ..encode import WRITERS
from ..errors import PixelRNNError
from ..folders import suffixes
from .files import LOCAL, Files, local_place

OUTPUTS = Path("outputs")  # where results go by default
KINDS = ("png", "jpg", "webp", "same")  # --format
Pair = tuple[PurePath, PurePath]  # an image and its output


class Plan(NamedTuple):
    """The images of a run and their outputs, in order."""

    todo: list[Pair]
    done: list[Pair]  # those whose output exists
    left: Counter[str]  # how many files were left out, by suffix


class Ends(NamedTuple):
    """Where images come from and where their completions go: paths, each on its file system."""

    paths: list[PurePath]
    sources: Files
    out: PurePath | None
    targets: Files


def locate(inputs: Sequence[str], out: str | None, place: Callable[[str], tuple[Files, PurePath]] = local_place) -> Ends:
    """Find the file systems and paths of inputs and output.

    Args:
        inputs: the words that name the inputs.
        out: the word that names the output; None is the default.
        place: finds the file system and the path of a word, as files.local_place does.

    Raises:
        PixelRNNError: the inputs are on different file systems, or `place` refuses one.
    """
    located = [place(word) for word in inputs]
    sources = located[0][0]
    for word, (files, _) in zip(inputs, located, strict=True):
        if files != sources:
            raise PixelRNNError(f"{inputs[0]} and {word}: on different file systems. Complete them in two runs.")
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
    """Plan the outputs of files and folders, in order.

    An image NAME in a folder gives OUT/<relative path>/NAME.png, where OUT is outputs/ by default; OUT is never input. A file
    gives OUT/NAME.png. Without OUT, a file gives outputs/NAME_completed.png, numbered where that exists and is not to be
    overwritten. If OUT ends like an image, it is the output of the one file.

    Args:
        inputs: files and folders.
        out: a folder or one file; None is outputs/.
        overwrite: replace outputs that exist.
        skip_existing: leave out images whose output exists.
        samples: how many outputs each image has; see `sample_target`.
        kind: the format of outputs, one of KINDS; "same" is that of the image, or PNG where that cannot be written.
        shard: (k, n) for the k-th of n shares: every n-th image from the k-th on, whatever is done already.
        sources: the file system of the inputs.
        targets: the file system of the outputs.

    Raises:
        PixelRNNError: a path is missing, the format cannot be written, two inputs have the same output, or an output exists
            and neither `overwrite` nor `skip_existing` is given.
    """
    if kind not in KINDS:
        raise PixelRNNError(f"--format {kind}: expected {', '.join(KINDS)}.")
    exact = _is_one_file(out, inputs, sources)
    folder = out if out is not None and not exact else OUTPUTS
    existing = _Existing(targets)
    pairs: list[Pair] = []
    left: Counter[str] = Counter()
    for path in inputs:
        if sources.is_dir(path):
            images, others = sources.find(path, [folder] if sources == targets else [])
            pairs += _mirrored(images, path, folder, kind)
            left += others
        elif not sources.exists(path):
            raise PixelRNNError(f"{sources.url(path)}: no such file or folder. Check the path.")
        elif out is None:
            named: PurePath = OUTPUTS / f"{path.stem}_completed{_suffix(path, kind)}"
            if not skip_existing and not overwrite:
                named = _numbered(named, {target for _, target in pairs}, existing)
            pairs.append((path, named))
        else:
            pairs.append((path, out if exact else out / f"{path.stem}{_suffix(path, kind)}"))
    _check_different(pairs, samples)
    share = pairs[shard[0] - 1 :: shard[1]]
    if not overwrite and not skip_existing:
        _check_new(share, samples, existing, targets)
    todo: list[Pair] = []
    done: list[Pair] = []
    for path, target in share:
        (done if skip_existing and target in existing else todo).append((path, target))
    return Plan(todo, done, left)


def _is_one_file(out: PurePath | None, inputs: Sequence[PurePath], sources: Files) -> bool:
    """Whether `out` names a file, not a folder. Raises PixelRNNError for a file that cannot be the output of the inputs."""
    suffix = "" if out is None else out.suffix.lower()
    if suffix not in {*WRITERS, *suffixes()}:
        return False
    if suffix not in WRITERS:
        raise PixelRNNError(f"{out}: cannot write this format. Name the output {', '.join(WRITERS)}.")
    if len(inputs) != 1 or sources.is_dir(inputs[0]):
        raise PixelRNNError(f"{out}: one file for several pictures. Give a folder.")
    return True


def read_shard(given: str) -> tuple[int, int]:
    """Read (k, n) from "k/n". Raises PixelRNNError unless 1 <= k <= n."""
    parts = given.split("/")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts) or not 1 <= int(parts[0]) <= int(parts[1]):
        raise PixelRNNError(f"--shard {given}: expected K/N with 1 <= K <= N, such as 3/20, the third of twenty shares.")
    return int(parts[0]), int(parts[1])


def sample_target(target: PurePath, number: int) -> PurePath:
    """The output of the sample with this rank; the first goes to `target` itself."""
    return target if number == 1 else target.with_stem(f"{target.stem}_sample{number}")


class _Existing:
    """The paths that exist. Each folder is listed once, since asking for each file takes minutes over a network."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._names: dict[PurePath, set[str]] = {}

    def __contains__(self, path: PurePath) -> bool:
        folder = path.parent
        if folder not in self._names:
            self._names[folder] = self._files.names(folder)
        return path.name in self._names[folder]


def _mirrored(images: list[PurePath], source: PurePath, folder: PurePath, kind: str) -> list[Pair]:
    """Pair the images of one folder with the same places in another."""
    places: dict[PurePath, PurePath] = {}
    pairs: list[Pair] = []
    for path in images:
        place = path.parent
        if place not in places:
            places[place] = folder / str(place.relative_to(source))
        pairs.append((path, places[place] / f"{path.stem}{_suffix(path, kind)}"))
    return pairs


def _outputs(target: PurePath, samples: int) -> list[PurePath]:
    """The outputs of all samples of an image."""
    return [target, *(sample_target(target, number) for number in range(2, samples + 1))]


def _check_different(pairs: list[Pair], samples: int) -> None:
    """Raise PixelRNNError for two images with the same output."""
    taken: set[str] = set()
    for path, target in pairs:
        for output in _outputs(target, samples):
            if str(output) in taken:
                other = next(first for first, written in pairs if output in _outputs(written, samples))
                raise PixelRNNError(f"{other} and {path} would both be written to {output}. Complete them in two runs.")
            taken.add(str(output))


def _check_new(pairs: list[Pair], samples: int, existing: _Existing, targets: Files) -> None:
    """Raise PixelRNNError for an output that exists."""
    for _, target in pairs:
        for output in _outputs(target, samples):
            if output in existing:
                message = f"{targets.url(output)}: exists already. Give --overwrite, --skip-existing, or another --out."
                raise PixelRNNError(message)


def _suffix(path: PurePath, kind: str) -> str:
    """The suffix of an image's output."""
    own = path.suffix.lower()
    return (own if own in WRITERS else ".png") if kind == "same" else f".{kind}"


def _numbered(target: PurePath, planned: set[PurePath], existing: _Existing) -> PurePath:
    """`target`, or the first numbered name after it that neither exists nor is planned."""
    candidate, number = target, 2
    while candidate in existing or candidate in planned:
        candidate = target.with_stem(f"{target.stem}_{number}")
        number += 1
    return candidate
