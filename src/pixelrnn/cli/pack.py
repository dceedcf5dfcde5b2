"""The command `pixelrnn pack`."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import PixelRNNError
from .common import complain, progress_bar, say


def pack(
    photographs: Annotated[
        list[str],
        typer.Argument(metavar="PHOTOGRAPHS...", help="Folders of photographs, LMDB folders, or existing shards to repack."),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The folder for the shards.")] = None,
    shard_size: Annotated[float, typer.Option(min=0.001, help="Size of a shard in megabytes.")] = 256,
    max_side: Annotated[
        int | None, typer.Option(min=16, help="Reduce larger images to this many pixels a side; they are stored as JPEG.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes that read images; by default one for each core.")] = None,
    index: Annotated[
        bool, typer.Option("--index", help="Only index existing tar shards or LMDB folders from elsewhere.")
    ] = False,
) -> None:
    """Pack photographs into tar shards for training, or index shards. Run it again to continue after an interruption."""
    if index:
        if out is not None:
            raise PixelRNNError("--index: writes beside the shards themselves. Leave out --out.")
        _index(photographs)
        return
    if out is None:
        raise PixelRNNError("pack: where to? Give a folder: --out SHARDS.")
    from ..data.catalogue import join_sources, recognise
    from ..data.packing import pack as write

    source = join_sources(recognise(photographs), out)
    with progress_bar() as progress:
        task = progress.add_task("Packing", total=len(source))
        try:
            packed = write(source, out, shard_size, max_side, jobs, lambda done: progress.update(task, completed=done))
        except KeyboardInterrupt:
            complain("stopped. The same command goes on.")
            raise typer.Exit(130) from None
    say(f"{out}: {packed.pictures} pictures in shards, of which there are {packed.shards}. Train on them: pixelrnn train {out}")
    for error in packed.errors:
        complain(error)
    if packed.errors:
        raise typer.Exit(1)


def _index(words: list[str]) -> None:
    """Index tar shards that have no index yet, and LMDB folders, and print their counts."""
    from ..data.catalogue import list_shards
    from ..data.lmdbs import Lmdb, is_lmdb
    from ..data.shards import index_shard, read_index

    for word in words:
        path = Path(word)
        if is_lmdb(path):
            say(f"{path}: {len(Lmdb(path))} pictures")
            continue
        shards = list_shards(path) if path.is_dir() else [path]
        if not shards:
            raise PixelRNNError(f"{path}: no tar shards in this folder.")
        with progress_bar() as progress:
            unindexed = [shard for shard in shards if read_index(shard) is None]
            count = sum(map(index_shard, progress.track(unindexed, description="Indexing")))
        say(f"{path}: {len(shards)} shards, of which {len(unindexed)} were indexed now, {count} pictures")
