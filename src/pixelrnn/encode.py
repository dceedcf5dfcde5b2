"""Encode images, and write files atomically: whole or not at all."""

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

# suffix: format and the options of Pillow's save
WRITERS: dict[str, tuple[str, dict[str, Any]]] = {
    # photographs get as small as at level 6 in less than half the time; drawings get larger
    ".png": ("PNG", {"compress_level": 1, "compress_type": 3}),  # zlib's Z_RLE
    **dict.fromkeys((".jpg", ".jpeg", ".jfif"), ("JPEG", {"quality": 95, "subsampling": 0})),
    ".webp": ("WEBP", {"lossless": True, "exact": True}),  # exact: keep the colour of transparent pixels, too
    ".avif": ("AVIF", {"quality": 95, "subsampling": "4:4:4"}),
    ".bmp": ("BMP", {}),
    **dict.fromkeys((".tif", ".tiff"), ("TIFF", {})),
}
LOSSY = ("JPEG", "AVIF")
HOLDS = {  # format: the attributes of a Picture that it can hold
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
    """Write an image or a mask in the format that the suffix names, whole or not at all.

    Args:
        path: the file to write; an existing one is replaced.
        image: uint8 (H, W, 3), or a bool mask (H, W), which is written white where True.
        like: the picture from which the image was made. Its greyness, transparency, colour profile, EXIF, XMP, resolution and
            text are kept where the format allows.
        filled: bool (H, W), the pixels that are made opaque.

    Returns:
        Notes on what was lost, one sentence each.

    Raises:
        PixelRNNError: the suffix names no format that is written, the format cannot hold the image, or the disk refuses it.
    """
    kind = path.suffix.lower()
    if kind not in WRITERS:
        raise PixelRNNError(f"{path}: cannot write this format. Name the output {', '.join(WRITERS)}.")
    prepared, options, notes = _prepare(image, kind, like, filled)

    def write(temporary: Path) -> None:
        try:
            _save(prepared, temporary, options)
        except PixelRNNError as error:
            raise PixelRNNError(f"{path}: {error} Name a .png.") from None

    write_atomically(path, write)
    return notes


def encode_image(
    image: np.ndarray, suffix: str = ".png", like: Picture | None = None, filled: np.ndarray | None = None
) -> bytes:
    """Encode an image as the bytes of the file that `write_image` would write.

    Takes the same arguments as `write_image`, but for a suffix in place of the path. Raises PixelRNNError where the format
    cannot hold the image.
    """
    prepared, options, _ = _prepare(image, suffix, like, filled)
    file = io.BytesIO()
    _save(prepared, file, options)
    return file.getvalue()


def _save(image: Image.Image, target: Path | BinaryIO, options: dict[str, Any]) -> None:
    """Save with Pillow. Raises PixelRNNError where the format has no room for the size or the metadata."""
    try:
        image.save(target, **options)
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # an error of the disk, not of the format
            raise
        raise PixelRNNError(f"{options['format']} cannot hold this picture ({error}).") from None


def _prepare(
    image: np.ndarray, suffix: str, like: Picture | None, filled: np.ndarray | None
) -> tuple[Image.Image, dict[str, Any], tuple[str, ...]]:
    """The Pillow image to save, the options of its save, and notes on what is lost."""
    kind, options = WRITERS[suffix]
    notes = []
    if image.dtype == bool:
        image = image.astype(np.uint8) * 255
    if like is not None:
        if like.grey:
            image = image[..., 0]
        kept, lost = _split_metadata(like, kind)
        if "alpha" in kept:
            alpha = kept["alpha"] if filled is None else np.where(filled, np.uint8(255), kept["alpha"])
            image = np.dstack([image, alpha])
        options = options | _metadata_options(kept, kind)
        if lost:
            notes.append(f"{kind} holds no {', '.join(lost)}")
    if kind in LOSSY:
        notes.append(f"{kind} changes known pixels a little, too")
    return Image.fromarray(image), {"format": kind, **options}, tuple(notes)


def _split_metadata(like: Picture, kind: str) -> tuple[dict[str, Any], list[str]]:
    """The picture's metadata that the format can hold, by attribute, and the names of the rest."""
    own = {name: value for name in WORDS if (value := getattr(like, name)) is not None and len(value)}
    return (
        {name: value for name, value in own.items() if name in HOLDS[kind]},
        [WORDS[name] for name in own if name not in HOLDS[kind]],
    )


def _metadata_options(kept: dict[str, Any], kind: str) -> dict[str, Any]:
    """Metadata as options of Pillow's save."""
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
        exif[700] = kept["xmp"]  # the TIFF tag of XMP
        options["exif"] = exif
    return {name: value for name, value in options.items() if value}


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all.

    Args:
        path: the file to write. A failure leaves it as it was.
        write: writes the temporary file beside `path` that it is given, which is then moved to `path`.

    Raises:
        PixelRNNError: the disk refuses it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}-", dir=path.parent)  # a file name has at most 255 bytes
    except OSError as error:
        raise PixelRNNError(f"{path}: cannot write there ({error.strerror}). Choose another output.") from None
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        # mkstemp makes private files; ours get the permissions of any file that the user creates
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise PixelRNNError(f"{path}: cannot write there ({error.strerror}). Choose another output.") from None
    finally:
        temporary.unlink(missing_ok=True)
