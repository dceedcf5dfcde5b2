"""The commands `pixelrnn demo-data` and `pixelrnn occlude`, which make datasets to train on."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import PixelRNNError
from .common import progress_bar, say

if TYPE_CHECKING:
    import numpy as np


def demo_data(
    out: Annotated[Path, typer.Argument(help="A new folder, such as data/.")],
    count: Annotated[int, typer.Option(min=2, help="Pairs to render.")] = 400,
    test: Annotated[int, typer.Option(min=0, help="Images in occluded_test/, without ground truth.")] = 20,
    size: Annotated[int, typer.Option(min=16, help="Side of the square images in pixels.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Seed; another seed renders other bedrooms.")] = 0,
    style: Annotated[
        str, typer.Option(help="The occlusion: square (black, the default) or random shapes and paint.")
    ] = "square",
) -> None:
    """Render synthetic bedrooms as a paired dataset to train on."""
    from concurrent.futures import ProcessPoolExecutor

    from ..data.pairs import write_pairs

    with ProcessPoolExecutor() as pool, progress_bar() as progress:
        rooms = pool.map(partial(_render, seed=seed, size=size), range(count + test))
        write_pairs(progress.track(rooms, total=count + test, description="Rendering"), out, seed, test, _check_style(style))
    say(f"{out}: {count} pairs and {test} pictures without ground truth. Train on them: pixelrnn train {out}")


def _render(number: int, seed: int, size: int) -> "np.ndarray":
    """Render one bedroom, uint8 (size, size, 3), from a seed of its own."""
    import numpy as np

    from ..data.synthetic import render_bedroom

    return render_bedroom(np.random.default_rng([seed, number]), size)


def _read_error(path: Path) -> PixelRNNError | None:
    """Return the error of a file that cannot be decoded, else None."""
    from ..decode import read_image

    try:
        read_image(path)
    except PixelRNNError as error:
        return error
    return None


def _check_style(style: str) -> str:
    """Return the style of occlusion if there is such a one, or raise PixelRNNError."""
    if style not in ("square", "random"):
        raise PixelRNNError(f"style {style!r}: expected square or random.")
    return style


def occlude(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A folder of clean photographs.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder for the paired dataset.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed; another seed draws other occlusions.")] = 0,
    style: Annotated[str, typer.Option(help="The occlusion: square (black) or random shapes and paint.")] = "random",
) -> None:
    """Turn clean photographs into a paired dataset."""
    from ..data.pairs import write_pairs
    from ..decode import read_image
    from ..folders import list_photographs

    paths = list_photographs(source, out, originals=True)
    with progress_bar() as progress:
        errors = [str(error) for path in progress.track(paths, description="Checking") if (error := _read_error(path))]
        if errors:
            more = f" And {len(errors) - 3} more." if len(errors) > 3 else ""
            raise PixelRNNError(f"{' '.join(errors[:3])}{more} Nothing was written.")
        images: Iterator[np.ndarray] = (read_image(path) for path in progress.track(paths, description="Occluding"))
        write_pairs(images, out, seed, style=_check_style(style), name="photo")
    say(f"{out}: {len(paths)} pairs. Train on them: pixelrnn train {out}")
