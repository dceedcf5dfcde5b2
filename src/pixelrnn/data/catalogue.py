"""What photographs are meant by a word on the command line: a folder, an LMDB folder, tar shards, or a stream."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import PixelRNNError
from ..folders import each_photograph, natural_key, suffixes
from .lmdbs import Lmdb, is_lmdb
from .pairs import is_paired
from .shards import PARTIAL, Shards, index_path
from .sources import Files, Joined, Source

BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")  # as WebDataset counts shards


class Given(NamedTuple):
    """Words that together are of one kind: "folder", "lmdb", "shards", or "stream"."""

    kind: str
    words: list[str]

    @property
    def name(self) -> str:
        return self.words[0] if len(self.words) == 1 else f"{self.words[0]} and {len(self.words) - 1} more"


def recognise(words: Sequence[str]) -> list[Given]:
    """What each word is, in order; shards that are named one by one, and streams, are taken together.

    A folder is one of shards where tar files lie directly in it, and neither pictures nor folders do. Shards without an index
    are a stream. Raises PixelRNNError for patterns that nothing matches, shards of which some have an index, and those that are
    not whole.
    """
    found: list[Given] = []
    for kind, members in map(_recognise, [one for word in words for one in _expanded(word)]):
        last = found[-1] if found else None
        if last is not None and last.kind == kind and kind in ("tar", "stream"):
            last.words.extend(members)
        else:
            found.append(Given(kind, members))
    return [Given(_kind(one.words), one.words) if one.kind == "tar" else one for one in found]


def open_source(given: Given, out: Path | None = None, originals: bool = False) -> Source:
    """The photographs of any kind but a stream. out: a folder of results, none of which is a photograph."""
    if given.kind == "stream":
        raise PixelRNNError(
            f"{given.name}: a stream, whose pictures have no numbers. Of tar files that lie here, write an index: "
            "pixelrnn pack --index SHARDS"
        )
    if given.kind == "shards":
        return Shards([Path(word) for word in given.words])
    folder = Path(given.words[0])
    if given.kind == "folder" and not folder.is_dir():
        raise PixelRNNError(
            f"{folder}: no such folder. Give a folder of photographs or of pairs, "
            f"or render bedrooms there: pixelrnn demo-data {folder}/"
        )
    return Lmdb(folder) if given.kind == "lmdb" else Files(each_photograph(folder, out, originals), folder)


def join_sources(given: Sequence[Given], out: Path | None = None) -> Source:
    """The same of several, one after the other; each one's keys then begin with its name. Raises PixelRNNError for two of one
    name, and for pairs, half of which are occluded.
    """
    for one in given:
        if one.kind == "folder" and is_paired(Path(one.words[0])):
            raise PixelRNNError(
                f"{one.name}: pairs. Give the photographs alone: {Path(one.words[0], 'train', 'original_images')}"
            )
    if len(given) == 1:
        return open_source(given[0], out, originals=True)
    firsts = [Path(one.words[0]).resolve() for one in given]
    names = [(path.parent if path.suffix == ".tar" else path).name for path in firsts]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise PixelRNNError(f"{twice}: two of what was given have this name. Rename one of them.")
    return Joined([open_source(one, out, originals=True) for one in given], [f"{name}/" for name in names])


def list_shards(folder: Path) -> list[Path]:
    """The tar files directly in a folder, in natural order. Raises PixelRNNError where one is being written, or was when it
    was stopped.
    """
    names = os.listdir(folder)
    if partial := next((name for name in names if name.endswith(PARTIAL)), None):
        raise PixelRNNError(f"{folder / partial}: shards that are not all written. Run the same pixelrnn pack again.")
    return sorted((folder / name for name in names if name.endswith(".tar") and name[0] != "."), key=natural_key)


def _expanded(word: str) -> Iterator[str]:
    """A word with its braces counted out, and, of what is here, with what its pattern matches."""
    if found := BRACES.search(word):
        first, last = found.groups()
        for number in range(int(first), int(last) + 1):
            yield from _expanded(f"{word[: found.start()]}{number:0{len(first)}d}{word[found.end() :]}")
    elif "://" in word or os.path.exists(word) or not glob.has_magic(word):
        yield word
    else:
        matches = sorted(glob.glob(word), key=lambda path: natural_key(Path(path)))
        if not matches:
            raise PixelRNNError(f"{word}: nothing matches this pattern. Check the path.")
        yield from matches


def _recognise(word: str) -> tuple[str, list[str]]:
    path = Path(word)
    if "://" in word or path.suffix.lower() == ".parquet":
        return "stream", [word]
    if path.suffix.lower() == ".tar":
        if not path.is_file():
            raise PixelRNNError(f"{path}: no such file. Check the path.")
        return "tar", [word]
    if is_lmdb(path):
        return "lmdb", [word]
    if _holds_shards(path):
        return "tar", [str(shard) for shard in list_shards(path)]
    return "folder", [word]


def _kind(shards: list[str]) -> str:
    """Whether tar files are shards that are read by number, or a stream."""
    bare = [shard for shard in shards if not index_path(Path(shard)).is_file()]
    if bare and len(bare) < len(shards):
        raise PixelRNNError(f"{bare[0]}: no index of this shard, but others here have one. Run pixelrnn pack --index")
    return "stream" if bare else "shards"


def _holds_shards(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    found = False
    with os.scandir(folder) as entries:
        for entry in entries:
            suffix = os.path.splitext(entry.name)[1].lower()
            if suffix in suffixes() or (entry.name[0] != "." and entry.is_dir()):
                return False
            found = found or suffix == ".tar" or entry.name.endswith(PARTIAL)
    return found
