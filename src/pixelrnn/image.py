"""The conventions for pictures and masks at the edge of the package: decode, encode, resize, paste.

A picture is RGB `uint8 (H, W, 3)`. A mask is `bool (H, W)`, True where the pixel is missing; in a file white (255) is missing.
"""

import os
import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image

from .errors import PixelRNNError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
# these decoders alone: others of Pillow's start programs (EPS) or have no business in a photograph's file
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
# suffix: format and its options; all but JPEG keep every pixel
WRITERS: dict[str, tuple[str, dict[str, Any]]] = {
    # photographs as small as at level 6 in less than half the time; drawings are larger
    ".png": ("PNG", {"compress_level": 1, "compress_type": 3}),  # zlib's Z_RLE
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


@dataclass(frozen=True)
class Picture:
    """A decoded picture, and what its file says besides."""

    pixels: np.ndarray  # (H, W, 3) uint8 RGB, upright
    alpha: np.ndarray | None = None  # (H, W) uint8, 255 is opaque; None where all is
    grey: bool = False  # its file holds no colour
    notes: tuple[str, ...] = ()  # what was lost in reading
    icc: bytes | None = None  # colour profile of the pixels
    exif: bytes | None = None  # with the orientation reset

    @property
    def transparent(self) -> np.ndarray | None:
        """bool (H, W), where it is less than half opaque; None where it is nowhere."""
        hidden = None if self.alpha is None else self.alpha < 128
        return hidden if hidden is not None and hidden.any() else None


TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # EXIF orientation: what makes it upright
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
STRIP = 2**20  # pixels that are converted at once: large pictures are not held twice


def read_picture(source: str | Path | BinaryIO) -> Picture:
    """The first picture in a file, upright (EXIF orientation applied), limited in size before a pixel is read.

    source: a path, or an open binary file such as io.BytesIO; errors call it by its `name`, if it has one.
    Raises PixelRNNError for a missing, unreadable, truncated or too large file.
    """
    if isinstance(source, str):
        source = Path(source)
    name = source if isinstance(source, Path) else getattr(source, "name", "the picture")
    if isinstance(source, Path):
        _check_file(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs, where our own limit is checked below, and of odd metadata
            opened = Image.open(source, formats=FORMATS)
            with opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise PixelRNNError(
                        f"{name}: {opened.width} x {opened.height} pixels, at most {MAX_PIXELS // 10**6} megapixels are read."
                    )
                return _decode(opened)
    except PixelRNNError as error:
        raise PixelRNNError(str(error) if str(error).startswith(str(name)) else f"{name}: {error}") from None
    except Image.DecompressionBombError:
        raise PixelRNNError(f"{name}: too large a picture, at most {MAX_PIXELS // 10**6} megapixels are read.") from None
    # Pillow's decoders report damage with whatever their parsers raise
    except Exception as error:
        unknown = isinstance(error, Image.UnidentifiedImageError)
        reason = "not a picture" if unknown else f"a damaged picture ({' '.join(str(error).split())[:200]})"
        raise PixelRNNError(f"{name}: {reason}. Expected a readable JPEG, PNG, WebP, BMP, TIFF or GIF file.") from None


def _check_file(path: Path) -> None:
    """Raise PixelRNNError unless it is a regular file: others may never end."""
    if path.is_dir():
        raise PixelRNNError(f"{path}: a folder where one picture was expected.")
    if not path.exists():
        raise PixelRNNError(f"{path}: no such file. Check the path.")
    if not path.is_file():
        raise PixelRNNError(f"{path}: not a regular file.")


def _decode(opened: Image.Image) -> Picture:
    notes = []
    # Pillow reduces colour by itself, grey here
    deep = (
        opened.mode == "I"
        or opened.mode.startswith("I;16")
        or (opened.format != "BMP" and ";16" in str(getattr(opened, "tile", "")))
    )
    if deep:
        notes.append("16 bits a channel were reduced to 8")
    try:
        exif = opened.getexif()
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        exif[ExifTags.Base.Orientation] = 1
        told = exif.tobytes() if len(exif) > 1 else None
    except Exception:  # whatever a damaged block raises
        orientation, told = 1, None
        notes.append("its EXIF is damaged and was left out")
    profile = opened.info.get("icc_profile")
    if profile and (len(profile) < 128 or profile[36:40] != b"acsp"):
        profile = None
        notes.append("its colour profile is damaged and was left out")
    grey = opened.mode in ("1", "L", "LA", "La", "I", "F") or opened.mode.startswith("I;16")
    if profile and profile[16:20] != (b"GRAY" if grey else b"RGB "):
        profile = None  # of ink, or of another kind than the pixels that are written
    opened.load()
    pixels, alpha = as_rgb(opened), _alpha(opened)
    turn = TURNS.get(orientation)
    if turn is not None:
        pixels = np.ascontiguousarray(turn(pixels))
        alpha = None if alpha is None else np.ascontiguousarray(turn(alpha))
    return Picture(pixels, alpha, grey, tuple(notes), profile or None, told)


def _alpha(picture: Image.Image) -> np.ndarray | None:
    if not picture.has_transparency_data:
        return None
    alpha = np.array((picture if picture.mode in ("RGBA", "LA") else picture.convert("RGBA")).getchannel("A"))
    return None if alpha.min() == 255 else alpha


def read_image(source: str | Path | BinaryIO) -> np.ndarray:
    """The picture in a file as RGB uint8 (H, W, 3); takes and raises what read_picture does."""
    return read_picture(source).pixels


def as_rgb(picture: Image.Image) -> np.ndarray:
    """A PIL picture of any mode as RGB uint8 (H, W, 3); 16-bit grey is reduced to 8 bits. Floats are in [0, 1], or else in
    [0, 255]; PixelRNNError for those that are no numbers."""
    top = 255.0
    if picture.mode == "F":
        highest = picture.getextrema()[1]
        if not np.isfinite(np.asarray(picture)).all():
            raise PixelRNNError("holds values that are no finite numbers.")
        top = 1.0 if highest <= 1 else 255.0  # type: ignore[operator]
    pixels = np.empty((picture.height, picture.width, 3), np.uint8)
    rows = max(1, STRIP // picture.width)
    for start in range(0, picture.height, rows):
        strip = picture.crop((0, start, picture.width, min(picture.height, start + rows)))
        if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
            values = np.asarray(strip).astype(np.float64) * (255 / top if picture.mode == "F" else 1 / 257)
            strip = Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
        if strip.mode == "P" and "transparency" in strip.info:
            strip = strip.convert("RGBA")  # Pillow warns of the direct way
        pixels[start : start + rows] = np.asarray(strip.convert("RGB"))
    return pixels


def read_mask(source: str | Path | BinaryIO) -> np.ndarray:
    """The mask in a file as bool (H, W), True (white, 128 or more) where missing. Takes and raises what read_image does."""
    return read_image(source).mean(2) >= 127.5


def write_image(path: Path, image: np.ndarray, like: Picture | None = None, filled: np.ndarray | None = None) -> None:
    """Write uint8 (H, W, 3), or a bool mask (H, W), in the format of the suffix, whole or not at all.

    like: the picture it was made of, whose greyness, transparency, colour profile and EXIF are kept where the format allows;
    filled: bool (H, W), where it is opaque now.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise PixelRNNError(f"{path}: cannot write this format. Name the output {', '.join(WRITERS)}.")
    kind, options = WRITERS[suffix]
    if image.dtype == bool:
        image = image.astype(np.uint8) * 255
    if like is not None:
        if like.grey:
            image = image[..., 0]
        if like.alpha is not None and kind in ("PNG", "WEBP", "TIFF"):
            alpha = like.alpha if filled is None else np.where(filled, np.uint8(255), like.alpha)
            image = np.dstack([image, alpha])
        if kind != "BMP":
            options = options | {key: value for key, value in (("icc_profile", like.icc), ("exif", like.exif)) if value}
    picture = Image.fromarray(image)

    def write(temporary: Path) -> None:
        try:
            picture.save(temporary, format=kind, **options)
        except OSError as error:
            if error.errno is not None:
                raise
            raise PixelRNNError(f"{path}: {kind} cannot hold this picture ({error}). Name a .png.") from None
        except Exception as error:  # sides or metadata that the format has no room for
            raise PixelRNNError(f"{path}: {kind} cannot hold this picture ({error}). Name a .png.") from None

    write_atomically(path, write)


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


def blank(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3), black where `mask` (H, W) is True."""
    return image * ~mask[..., None]


def grow(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The bool mask (H, W) with every missing region grown by `pixels` in all eight directions."""
    grown = mask.copy()
    for turned in (grown, grown.T):
        reach = 0
        while reach < pixels:
            step = min(2 * reach + 1, pixels - reach)  # what has grown by `reach` leaves no gap when moved so far
            before = turned.copy(order="K")  # not transposed: that takes longer than all the rest
            turned[step:] |= before[:-step]
            turned[:-step] |= before[step:]
            reach += step
    return grown
