"""Recognises which photographs a word on the command line means: a folder, an LMDB folder, tar shards, or a stream."""

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

BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")  # WebDataset's notation for numbered shards


class Given(NamedTuple):
    """Words that together mean one thing of the kind "folder", "lmdb", "shards" or "stream"."""

    kind: str
    words: list[str]

    @property
    def name(self) -> str:
        return self.words[0] if len(self.words) == 1 else f"{self.words[0]} and {len(self.words) - 1} more"


def recognise(words: Sequence[str]) -> list[Given]:
    """Recognise words, in order. Adjacent words for shards are taken together, and so are those for streams.

    A folder is one of shards where it directly holds tar files, and neither images nor folders. Shards without an index are a
    stream.

    Raises:
        PixelRNNError: A pattern matches nothing, only some shards have an index, or shards are not completely written.
    """
    recognised: list[Given] = []
    for kind, members in map(_recognise, [path for word in words for path in _expanded(word)]):
        last = recognised[-1] if recognised else None
        if last is not None and last.kind == kind and kind in ("tar", "stream"):
            last.words.extend(members)
        else:
            recognised.append(Given(kind, members))
    return [Given(_kind(given.words), given.words) if given.kind == "tar" else given for given in recognised]


def open_source(given: Given, out: Path | None = None, originals: bool = False) -> Source:
    """Open the photographs of any kind but a stream.

    Args:
        given: What `recognise` returned.
        out: A folder of results; nothing in it is a photograph.
        originals: Whether a folder original_images may be given itself.

    Raises:
        PixelRNNError: It is a stream, or the folder does not exist.
    """
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
    """Open several, one after the other; each one's keys then begin with its name.

    Raises:
        PixelRNNError: Two have one name, or one is a folder of pairs, half of which are occluded.
    """
    for member in given:
        if member.kind == "folder" and is_paired(Path(member.words[0])):
            raise PixelRNNError(
                f"{member.name}: pairs. Give the photographs alone: {Path(member.words[0], 'train', 'original_images')}"
            )
    if len(given) == 1:
        return open_source(given[0], out, originals=True)
    firsts = [Path(member.words[0]).resolve() for member in given]
    names = [(path.parent if path.suffix == ".tar" else path).name for path in firsts]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise PixelRNNError(f"{twice}: two of what was given have this name. Rename one of them.")
    return Joined([open_source(member, out, originals=True) for member in given], [f"{name}/" for name in names])


def list_shards(folder: Path) -> list[Path]:
    """List the tar files directly in a folder, in natural order.

    Raises:
        PixelRNNError: One of them is being written, or its writing was stopped.
    """
    names = os.listdir(folder)
    if partial := next((name for name in names if name.endswith(PARTIAL)), None):
        raise PixelRNNError(f"{folder / partial}: shards that are not all written. Run the same pixelrnn pack again.")
    return sorted((folder / name for name in names if name.endswith(".tar") and name[0] != "."), key=natural_key)


def _expanded(word: str) -> Iterator[str]:
    """Expand the braces of a word, and a local pattern to the paths that it matches."""
    if match := BRACES.search(word):
        first, last = match.groups()
        for number in range(int(first), int(last) + 1):
            yield from _expanded(f"{word[: match.start()]}{number:0{len(first)}d}{word[match.end() :]}")
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
    """Return whether tar files are "shards", which are read by number, or a "stream"."""
    bare = [shard for shard in shards if not index_path(Path(shard)).is_file()]
    if bare and len(bare) < len(shards):
        raise PixelRNNError(f"{bare[0]}: no index of this shard, but others here have one. Run pixelrnn pack --index")
    return "stream" if bare else "shards"


def _holds_shards(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    holds_tar = False
    with os.scandir(folder) as entries:
        for entry in entries:
            suffix = os.path.splitext(entry.name)[1].lower()
            if suffix in suffixes() or (entry.name[0] != "." and entry.is_dir()):
                return False
            holds_tar = holds_tar or suffix == ".tar" or entry.name.endswith(PARTIAL)
    return holds_tar
