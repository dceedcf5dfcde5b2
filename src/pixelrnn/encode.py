"""Pictures to files, whole or not at all."""

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

from .decode import XMP, Picture
from .errors import PixelRNNError

# suffix: format and its options
WRITERS: dict[str, tuple[str, dict[str, Any]]] = {
    # photographs as small as at level 6 in less than half the time; drawings are larger
    ".png": ("PNG", {"compress_level": 1, "compress_type": 3}),  # zlib's Z_RLE
    **dict.fromkeys((".jpg", ".jpeg", ".jfif"), ("JPEG", {"quality": 95, "subsampling": 0})),
    ".webp": ("WEBP", {"lossless": True, "exact": True}),  # exact: under transparent pixels, too
    ".avif": ("AVIF", {"quality": 95, "subsampling": "4:4:4"}),
    ".bmp": ("BMP", {}),
    **dict.fromkeys((".tif", ".tiff"), ("TIFF", {})),
}
LOSSY = ("JPEG", "AVIF")
HOLDS = {  # what of a Picture a format can hold
    "PNG": ("alpha", "icc", "exif", "xmp", "dpi", "text"),
    "JPEG": ("icc", "exif", "xmp", "dpi"),
    "WEBP": ("alpha", "icc", "exif", "xmp"),
    "AVIF": ("alpha", "icc", "exif", "xmp"),
    "TIFF": ("alpha", "icc", "exif", "xmp", "dpi"),
    "BMP": ("dpi",),
}
WORDS = {"alpha": "transparency", "icc": "colour profile", "exif": "EXIF", "xmp": "XMP", "dpi": "resolution", "text": "text"}


def write_image(
    path: Path, image: np.ndarray, like: Picture | None = None, filled: np.ndarray | None = None
) -> tuple[str, ...]:
    """Write uint8 (H, W, 3), or a bool mask (H, W), in the format of the suffix, whole or not at all; notes of what was lost.

    like: the picture it was made of, whose greyness, transparency, colour profile, EXIF, XMP, resolution and text are kept
    where the format allows. filled: bool (H, W), where it is opaque now.
    """
    kind = path.suffix.lower()
    if kind not in WRITERS:
        raise PixelRNNError(f"{path}: cannot write this format. Name the output {', '.join(WRITERS)}.")
    picture, options, notes = _prepared(image, kind, like, filled)

    def write(temporary: Path) -> None:
        try:
            _save(picture, temporary, options)
        except PixelRNNError as error:
            raise PixelRNNError(f"{path}: {error} Name a .png.") from None

    write_atomically(path, write)
    return notes


def encode_image(
    image: np.ndarray, suffix: str = ".png", like: Picture | None = None, filled: np.ndarray | None = None
) -> bytes:
    """The bytes of the file that write_image would write. Raises PixelRNNError for what its format cannot hold."""
    picture, options, _ = _prepared(image, suffix, like, filled)
    file = io.BytesIO()
    _save(picture, file, options)
    return file.getvalue()


def _save(picture: Image.Image, target: Path | BinaryIO, options: dict[str, Any]) -> None:
    try:
        picture.save(target, **options)
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk
            raise
        # sides or metadata that the format has no room for
        raise PixelRNNError(f"{options['format']} cannot hold this picture ({error}).") from None


def _prepared(
    image: np.ndarray, suffix: str, like: Picture | None, filled: np.ndarray | None
) -> tuple[Image.Image, dict[str, Any], tuple[str, ...]]:
    """What Pillow is to save, its options, and notes of what is lost."""
    kind, options = WRITERS[suffix]
    notes = []
    if image.dtype == bool:
        image = image.astype(np.uint8) * 255
    if like is not None:
        if like.grey:
            image = image[..., 0]
        kept, lost = _kept(like, kind)
        if "alpha" in kept:
            alpha = kept["alpha"] if filled is None else np.where(filled, np.uint8(255), kept["alpha"])
            image = np.dstack([image, alpha])
        options = options | _told(kept, kind)
        if lost:
            notes.append(f"{kind} holds no {', '.join(lost)}")
    if kind in LOSSY:
        notes.append(f"{kind} changes known pixels a little, too")
    return Image.fromarray(image), {"format": kind, **options}, tuple(notes)


def _kept(like: Picture, kind: str) -> tuple[dict[str, Any], list[str]]:
    """What the picture has and the format holds, and the names of what it does not."""
    own = {name: value for name in WORDS if (value := getattr(like, name)) is not None and len(value)}
    return (
        {name: value for name, value in own.items() if name in HOLDS[kind]},
        [WORDS[name] for name in own if name not in HOLDS[kind]],
    )


def _told(kept: dict[str, Any], kind: str) -> dict[str, Any]:
    """The same as Pillow's options of save."""
    options = {"icc_profile": kept.get("icc"), "exif": kept.get("exif"), "dpi": kept.get("dpi"), "xmp": kept.get("xmp")}
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for key, value in kept.get("text", ()):
            chunks.add_itxt(key, value)
        if options.pop("xmp"):
            chunks.add_itxt(XMP, kept["xmp"].decode("utf-8", "replace"))
        options["pnginfo"] = chunks
    if kind == "TIFF" and options.pop("xmp"):
        exif = Image.Exif()
        exif.load(kept.get("exif", b""))
        exif[700] = kept["xmp"]
        options["exif"] = exif
    return {name: value for name, value in options.items() if value}


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary path beside `path`, then move it there; a failure leaves `path` as it was."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}-", dir=path.parent)  # a name has 255 bytes at most
    except OSError as error:
        raise PixelRNNError(f"{path}: cannot write there ({error.strerror}). Choose another output.") from None
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        # mkstemp makes files private; ours should be readable as any file the user creates
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise PixelRNNError(f"{path}: cannot write there ({error.strerror}). Choose another output.") from None
    finally:
        temporary.unlink(missing_ok=True)
