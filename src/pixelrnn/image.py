"""The conventions for pictures and masks at the edge of the package: decode, encode, resize, paste.

A picture is RGB `uint8 (H, W, 3)`. A mask is `bool (H, W)`, True where the pixel is missing; in a file white (255) is missing.
"""

import os
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps

from .errors import PixelRNNError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
# these decoders alone: others of Pillow's start programs (EPS) or have no business in a photograph's file
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
# suffix: format and its options; all but JPEG keep every pixel
WRITERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"lossless": True}),
    ".bmp": ("BMP", {}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
}
MAX_PIXELS = 100_000_000


def natural_key(path: Path) -> tuple[list[int | str], str]:
    """Sort key that puts bed_9 before bed_10."""
    # split() alternates text and digits, so keys of two names compare str with str and int with int
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", path.stem))], path.name


def list_images(folder: Path) -> list[Path]:
    """Picture files in `folder` and its subfolders, hidden ones left out, in natural order.

    Raises PixelRNNError where the folder is missing or holds no picture.
    """
    if not folder.is_dir():
        raise PixelRNNError(f"{folder}: no such folder. Give a folder of pictures ({', '.join(SUFFIXES)}).")
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise PixelRNNError(f"{folder}: no pictures in this folder. Expected files ending in {', '.join(SUFFIXES)}.")
    return sorted(found, key=lambda path: (path.parent, natural_key(path)))


def _open(source: str | Path | BinaryIO) -> Image.Image:
    """Decode `source` upright, limited in size before a pixel is read."""
    if isinstance(source, str):
        source = Path(source)
    name = source if isinstance(source, Path) else getattr(source, "name", "the picture")
    if isinstance(source, Path) and not source.exists():
        raise PixelRNNError(f"{name}: no such file. Check the path.")
    if isinstance(source, Path) and source.is_dir():
        raise PixelRNNError(f"{name}: a folder where one picture was expected.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is checked below
            opened = Image.open(source, formats=FORMATS)
        with opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise PixelRNNError(
                    f"{name}: {opened.width} x {opened.height} pixels, at most {MAX_PIXELS // 10**6} megapixels are read."
                )
            opened.load()
            return ImageOps.exif_transpose(opened)
    except PixelRNNError:
        raise
    except Image.DecompressionBombError:
        raise PixelRNNError(f"{name}: too large a picture, at most {MAX_PIXELS // 10**6} megapixels are read.") from None
    # Pillow's decoders report damage with whatever their parsers raise
    except Exception as error:
        reason = "not a picture" if isinstance(error, Image.UnidentifiedImageError) else f"a damaged picture ({error})"
        raise PixelRNNError(f"{name}: {reason}. Expected a readable JPEG, PNG, WebP, BMP, TIFF or GIF file.") from None


def read_image(source: str | Path | BinaryIO) -> np.ndarray:
    """The picture in a file as RGB uint8 (H, W, 3), upright (EXIF orientation applied).

    source: a path, or an open binary file such as io.BytesIO; errors call it by its `name`, if it has one.
    Raises PixelRNNError for a missing, unreadable, truncated or too large file.
    """
    return as_rgb(_open(source))


def as_rgb(picture: Image.Image) -> np.ndarray:
    """A PIL picture of any mode as RGB uint8 (H, W, 3); 16-bit grey is reduced to 8 bits."""
    if picture.mode.startswith("I;16") or picture.mode == "I":
        grey = np.asarray(picture).astype(np.float64) / 257
        picture = Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    if picture.mode == "P" and "transparency" in picture.info:
        picture = picture.convert("RGBA")  # Pillow warns of the direct way
    return np.array(picture.convert("RGB"))


def read_mask(source: str | Path | BinaryIO) -> np.ndarray:
    """The mask in a file as bool (H, W), True (white, 128 or more) where missing. Takes and raises what read_image does."""
    return read_image(source).mean(2) >= 127.5


def write_image(path: Path, image: np.ndarray) -> None:
    """Write uint8 (H, W, 3), or a bool mask (H, W), in the format of the suffix, whole or not at all."""
    if image.dtype == bool:
        image = image.astype(np.uint8) * 255
    picture = Image.fromarray(image)
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise PixelRNNError(f"{path}: cannot write this format. Name the output {', '.join(WRITERS)}.")
    kind, options = WRITERS[suffix]
    write_atomically(path, lambda temporary: picture.save(temporary, format=kind, **options))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary path beside `path`, then move it there; a failure leaves `path` as it was."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", dir=path.parent)
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


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize uint8 (H, W, 3) with an antialiased bicubic filter, or a bool mask (H, W) so that no missing pixel is lost."""
    if image.shape[:2] == (height, width):
        return image
    if image.dtype == bool:
        # in floats: 8-bit filter weights would round a lone pixel away
        share = Image.fromarray(image.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(share) > 0
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def to_float(image: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) to float32 (3, H, W) in [0, 1]."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """float (3, H, W) in [0, 1] to uint8 (H, W, 3), rounded."""
    return np.ascontiguousarray(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def paste_known(image: np.ndarray, filled: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`filled` where `mask` (H, W) is True, `image` byte for byte elsewhere; both uint8 (H, W, 3)."""
    return np.where(mask[..., None], filled, image)


def grow(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The bool mask (H, W) with every missing region grown by `pixels` in all eight directions."""
    grown = mask
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (pixels, pixels)
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(grown, padding), 2 * pixels + 1, axis=axis)
        grown = np.asarray(windows.any(axis=-1))
    return grown
