"""Files to hand out, made when somebody asks for them: as the command writes them."""

import io
import zipfile
from collections.abc import Iterable

import numpy as np

from ..encode import encode_image
from .figures import Fill
from .intake import Upload
from .steps import Chain, Work

KINDS = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "zip": "application/zip"}


def make_file(work: Work, chain: Chain, kind: str) -> tuple[str, bytes]:
    """The name and the bytes of what `chain` has made of a photograph; kind: of KINDS."""
    stem = work.upload.stem
    if kind == "zip":
        return f"{stem}.zip", pack(_everything(work, chain))
    pixels, filled = work.finished(chain)
    return f"{stem}_completed.{kind}", encode_image(pixels, f".{kind}", work.picture, filled)


def _everything(work: Work, chain: Chain) -> Iterable[tuple[str, bytes]]:
    """Every sample of the last step, all that was filled as a mask, and the uncertainty in grey levels, as PNG."""
    stem, (*before, (last, _)) = work.upload.stem, chain
    for sample in range(len(work.results[last].done.after)):
        number = "" if sample == 0 else f"_{sample + 1}"
        pixels, filled = work.finished((*before, (last, sample)))
        yield f"{stem}_completed{number}.png", encode_image(pixels, ".png", work.picture, filled)
    yield f"{stem}_mask.png", encode_image(filled)
    deviation = np.zeros(filled.shape, np.uint8)
    for name, _ in chain:
        fill = work.results[name].done.fill
        if fill.deviations is None:
            return
        deviation[fill.mask.unpack()] = fill.deviations
    yield f"{stem}_uncertainty.png", encode_image(deviation)


def filled_file(upload: Upload, fill: Fill) -> bytes:
    """A photograph with one fill, as PNG."""
    picture = upload.decode()
    return encode_image(fill.apply(picture.pixels), ".png", picture, fill.mask.unpack())


def pack(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Files by name, which are compressed already, as a ZIP."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files:
            archive.writestr(name, data)
    return buffer.getvalue()
