"""Files for download, made when they are asked for, in the formats that the command writes."""

import io
import zipfile
from collections.abc import Iterable

import numpy as np

from ..encode import encode_image
from .steps import Chain, Work
from .uploads import Upload
from .views import Fill

KINDS = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "zip": "application/zip"}


def make_file(work: Work, chain: Chain, kind: str) -> tuple[str, bytes]:
    """Return the name and the bytes of a completed photograph: `work` after the fills of `chain`, as a `kind` of KINDS."""
    stem = work.upload.stem
    if kind == "zip":
        return f"{stem}.zip", pack(_everything(work, chain))
    pixels, filled = work.finished(chain)
    return f"{stem}_completed.{kind}", encode_image(pixels, f".{kind}", work.picture, filled)


def _everything(work: Work, chain: Chain) -> Iterable[tuple[str, bytes]]:
    """Yield PNG files by name: all samples of the last step, the mask of all filled pixels, and the uncertainty."""
    stem, (*before, (last, _)) = work.upload.stem, chain
    for sample in range(len(work.results[last].completion.after)):
        number = "" if sample == 0 else f"_{sample + 1}"
        pixels, filled = work.finished((*before, (last, sample)))
        yield f"{stem}_completed{number}.png", encode_image(pixels, ".png", work.picture, filled)
    yield f"{stem}_mask.png", encode_image(filled)
    std = np.zeros(filled.shape, np.uint8)
    for name, _ in chain:
        fill = work.results[name].completion.fill
        if fill.stds is None:
            return
        std[fill.mask.unpack()] = fill.stds
    yield f"{stem}_uncertainty.png", encode_image(std)


def filled_file(upload: Upload, fill: Fill) -> bytes:
    """Return a photograph with one fill, as the bytes of a PNG file."""
    picture = upload.decode()
    return encode_image(fill.apply(picture.pixels), ".png", picture, fill.mask.unpack())


def pack(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Pack named files into a ZIP; they are stored, since they are compressed already."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files:
            archive.writestr(name, data)
    return buffer.getvalue()
