"""Decode images from files, bytes and Pillow, upright and as RGB.

A file that cannot be understood is refused, and what is lost in reading is noted. The pixels of an image are RGB
`uint8 (H, W, 3)`. The size is limited before a pixel is read.
"""

import io
import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from .errors import PixelRNNError

# only these decoders: Pillow's others start programs (EPS) or read what is no photograph
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "GIF")
NAMES = "JPEG, PNG, WebP, AVIF, BMP, TIFF or GIF"
MAX_PIXELS = 100_000_000
TOO_LARGE = "at most {:g} megapixels are read. Allow more with --max-megapixels."
XMP = "XML:com.adobe.xmp"  # the keyword of XMP in a PNG
PNG_START, JPEG_END = b"\x89PNG\r\n\x1a\n", b"\xff\xd9"
COMPRESSED, MAX_CHUNK = (b"zTXt", b"iTXt", b"iCCP"), 2**20  # PNG chunks that may be compressed; bytes that Pillow reads of one
HEIC_STARTS = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"mif1", b"hevc", b"msf1"))
MAX_LOST = 0.1  # the share of a JPEG's rows that may be missing
# TIFF tags that describe the picture, not how its file is laid out; with EXIF and GPS
METADATA_TAGS = {270, 271, 272, 274, 305, 306, 315, 316, 33432, 34665, 34853}

Source = str | Path | bytes | BinaryIO | Image.Image


@dataclass(frozen=True)
class Picture:
    """A decoded image and the metadata of its file."""

    pixels: np.ndarray  # (H, W, 3) uint8 RGB, upright
    alpha: np.ndarray | None = None  # (H, W) uint8, 255 is opaque; None where every pixel is opaque
    grey: bool = False  # the file holds no colour
    notes: tuple[str, ...] = ()  # what was lost in reading
    icc: bytes | None = None  # colour profile of the pixels
    exif: bytes | None = None  # with the orientation reset
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None  # pixels per inch, across and down
    text: tuple[tuple[str, str], ...] = ()  # text chunks of a PNG: keyword and text
    mode: str = "RGB"  # Pillow's mode of the pixels in the file
    format: str = "PNG"  # one of FORMATS

    @property
    def transparent(self) -> np.ndarray | None:
        """A mask, bool (H, W), of the pixels that are less than half opaque; None where there are none."""
        mask = None if self.alpha is None else self.alpha < 128
        return mask if mask is not None and mask.any() else None


TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # EXIF orientation: the operation that makes the image upright
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
STRIP = 2**20  # pixels that are converted at once, so that a large image is not held twice


def read_picture(source: Source, max_pixels: int | None = None) -> Picture:
    """Read the first image in a file, upright (EXIF orientation applied).

    Args:
        source: a path, a file's bytes, an open binary file such as io.BytesIO, or a Pillow image. Errors call an open file by
            its `name`, where it has one.
        max_pixels: the largest accepted width times height, checked before a pixel is read; None is MAX_PIXELS.

    Returns:
        The pixels, RGB uint8 (H, W, 3), and the metadata.

    Raises:
        PixelRNNError: the file is missing, unreadable, too large, or holds values that cannot be understood.
    """
    max_pixels = MAX_PIXELS if max_pixels is None else max_pixels
    if isinstance(source, Image.Image):
        image = source
        return _named("the picture", lambda: _decode(image, max_pixels))
    name = str(source) if isinstance(source, (str, Path)) else str(getattr(source, "name", "the picture"))
    file = Path(source) if isinstance(source, str) else io.BytesIO(source) if isinstance(source, bytes) else source
    if isinstance(file, Path):
        _check_file(file)
    return _named(name, lambda: _open(file, max_pixels), lambda: _bytes(file)[:4] in (b"II*\0", b"MM\0*"))


def _named(name: str, read: Callable[[], Picture], is_tiff: Callable[[], bool] = lambda: False) -> Picture:
    """Call `read`, with errors that begin with the file's name. `is_tiff` says whether the file begins as a TIFF does."""
    try:
        return read()
    except PixelRNNError as error:
        raise PixelRNNError(f"{name}: {error}") from None
    except MemoryError:
        raise PixelRNNError(f"{name}: not enough memory to read it.") from None
    # Pillow's decoders raise errors of many kinds for damaged files
    except Exception as error:
        reason = f"a damaged picture ({' '.join(str(error).split())[:200]})"
        if isinstance(error, UnidentifiedImageError):
            reason = "a TIFF picture of a kind that cannot be read" if is_tiff() else "not a picture"
        raise PixelRNNError(f"{name}: {reason}. Expected a readable {NAMES} file.") from None


def _open(source: Path | BinaryIO, max_pixels: int) -> Picture:
    """Read a file; where that fails, try once more without the parts that cannot be decoded."""
    try:
        with _quiet(), Image.open(source, formats=FORMATS) as opened:
            return _decode(opened, max_pixels)
    except (PixelRNNError, MemoryError):
        raise
    except Image.DecompressionBombError:  # Pillow's own limit, checked when it reads the header
        raise PixelRNNError(f"the picture is too large, {TOO_LARGE.format(max_pixels / 10**6)}") from None
    except Exception:
        data = _bytes(source)
        if data[4:12] in HEIC_STARTS:
            return _open_heic(data, max_pixels)
        repaired, note = _repair_png(data) if data.startswith(PNG_START) else _repair_jpeg(data)
        if not repaired:
            raise
        with _quiet(), Image.open(io.BytesIO(repaired), formats=FORMATS) as opened:
            picture = _decode(opened, max_pixels)
        return replace(picture, notes=(*picture.notes, note))


def _open_heic(data: bytes, max_pixels: int) -> Picture:
    """Read a HEIC photograph, as telephones write it. Raises PixelRNNError where pillow-heif is not installed."""
    try:
        import pillow_heif
    except ImportError:
        raise PixelRNNError("a HEIC photograph. Install its reader: pip install 'pixelrnn[heic]'") from None
    pillow_heif.register_heif_opener()
    with _quiet(), Image.open(io.BytesIO(data), formats=("HEIF",)) as opened:
        return _decode(opened, max_pixels)


def _bytes(source: Path | BinaryIO) -> bytes:
    if isinstance(source, Path):
        return source.read_bytes()
    source.seek(0)
    return source.read()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Pillow's warnings of large images, for which we have our own limit, and of odd metadata."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _repair_png(data: bytes) -> tuple[bytes, str]:
    """A PNG without the optional chunks that Pillow cannot read, and a note that names them."""
    kept, lost, start = [data[:8]], [], 8
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        chunk = data[start:end]
        if chunk[4:5].isupper() or _is_sound(chunk):  # an upper-case letter marks a chunk that no decoder may skip
            kept.append(chunk)
        else:
            lost.append(chunk[4:8].decode("latin-1"))
        start = end
    return b"".join(kept), f"its {', '.join(dict.fromkeys(lost)) or 'end'} could not be read and was left out"


def _is_sound(chunk: bytes) -> bool:
    """Whether a PNG chunk's checksum is right, and its decompressed text is no longer than Pillow accepts."""
    if zlib.crc32(chunk[4:-4]).to_bytes(4, "big") != chunk[-4:]:
        return False
    if chunk[4:8] not in COMPRESSED:
        return True
    start = re.search(rb"\x78[\x01\x5e\x9c\xda]", chunk)  # where the zlib stream begins
    try:
        return start is None or len(zlib.decompressobj().decompress(chunk[start.start() :], MAX_CHUNK + 1)) <= MAX_CHUNK
    except zlib.error:
        return False


def _repair_jpeg(data: bytes) -> tuple[bytes, str]:
    """End a JPEG that lacks its last bytes, with a note; both are empty where more than MAX_LOST of its rows are lost."""
    data = data.rstrip(b"\xff")
    ended = _grey_levels(data + JPEG_END)
    # rows that change when other bytes stand in for the missing ones are not known from the file
    others = [_grey_levels(data + filler * max(4096, len(data)) + JPEG_END) for filler in (b"\0", b"\x55", b"\xaa")]
    unknown = [np.abs(ended - other).max(axis=1) > 8 for other in others if ended is not None and other is not None]
    rows = int(np.logical_or.reduce(unknown).sum()) if unknown else 0
    if ended is None or not unknown or rows > MAX_LOST * len(ended):
        return b"", ""
    return data + JPEG_END, f"its last bytes are missing, and with them up to {max(8, rows)} rows"


def _grey_levels(data: bytes) -> np.ndarray | None:
    """Decode a JPEG as grey, int (H, W); None where that fails."""
    try:
        return np.asarray(Image.open(io.BytesIO(data), formats=("JPEG",)).convert("L")).astype(int)
    except Exception:  # damaged files raise errors of many kinds
        return None


def _check_file(path: Path) -> None:
    """Raise PixelRNNError unless the path is a regular file: a pipe or a device may never end."""
    if path.is_dir():
        raise PixelRNNError(f"{path}: a folder where one picture was expected.")
    if not path.exists():
        raise PixelRNNError(f"{path}: no such file. Check the path.")
    if not path.is_file():
        raise PixelRNNError(f"{path}: not a regular file.")


def _decode(opened: Image.Image, max_pixels: int) -> Picture:
    """Convert an opened image, and collect its metadata."""
    if opened.width * opened.height > max_pixels:
        raise PixelRNNError(f"{opened.width} x {opened.height} pixels, {TOO_LARGE.format(max_pixels / 10**6)}")
    _check_kind(opened)
    notes = []
    # Pillow reduces 16 bits of colour by itself; as_rgb reduces 16 and 32 bits of grey
    deep = opened.mode[:1] == "I" or (opened.format != "BMP" and ";16" in str(getattr(opened, "tile", "")))
    if deep:
        notes.append(f"{32 if _bits(opened) == 32 else 16} bits a channel were reduced to 8")
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format != "MPO":  # MPO: a telephone's JPEG whose other frames are previews
        notes.append(f"the first of {frames} {'pages' if opened.format == 'TIFF' else 'frames'} alone is read")
    orientation, exif = _exif(opened, notes)
    opened.load()
    text = tuple((key, str(value)) for key, value in getattr(opened, "text", {}).items() if key != XMP)
    pixels, alpha = as_rgb(opened), _alpha(opened)
    grey = opened.mode in ("1", "L", "LA", "La", "I", "F") or opened.mode.startswith("I;16")
    turn = TURNS.get(orientation)
    if turn is not None:
        pixels = np.ascontiguousarray(turn(pixels))
        alpha = None if alpha is None else np.ascontiguousarray(turn(alpha))
    xmp, dpi = opened.info.get("xmp"), opened.info.get("dpi")
    return Picture(
        pixels,
        alpha,
        grey,
        icc=_profile(opened, grey, notes),
        notes=tuple(notes),
        exif=exif,
        xmp=xmp if isinstance(xmp, bytes) else None,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi and min(dpi) > 1 else None,
        text=text,
        mode=opened.mode,
        format={None: "PNG", "MPO": "JPEG"}.get(opened.format, str(opened.format)),
    )


def _tags(opened: Image.Image) -> Mapping[int, Any]:
    """The tags of a TIFF, by number; none for other formats."""
    return getattr(opened, "tag_v2", {}) if opened.format == "TIFF" else {}


def _bits(opened: Image.Image) -> int:
    """Bits per channel of a TIFF; 0 for other formats."""
    return int(max(_tags(opened).get(258, (0,))))


def _check_kind(opened: Image.Image) -> None:
    """Raise PixelRNNError for a TIFF whose values are not light from 0 to the highest number of their type."""
    tags = _tags(opened)
    if 2 in tags.get(339, ()):
        raise PixelRNNError(
            "a TIFF picture of signed numbers, which do not state a brightness. Save it as unsigned 8 or 16 bits."
        )
    if tags.get(284) == 2 and _bits(opened) > 8:
        raise PixelRNNError(
            "a TIFF picture with separate planes of more than 8 bits, which cannot be read. Save it with interleaved channels."
        )


def _profile(opened: Image.Image, grey: bool, notes: list[str]) -> bytes | None:
    """The ICC profile, where it is sound and fits the decoded pixels; a note says that it is damaged."""
    profile = opened.info.get("icc_profile")
    if not profile:
        return None
    if len(profile) < 128 or profile[36:40] != b"acsp":
        notes.append("its colour profile is damaged and was left out")
        return None
    # a profile for ink, or for another kind of pixels than those that are written, is dropped
    return profile if profile[16:20] == (b"GRAY" if grey else b"RGB ") else None


def _exif(opened: Image.Image, notes: list[str]) -> tuple[int, bytes | None]:
    """The EXIF orientation, and the EXIF block with the orientation reset; a TIFF's loses the tags on the file's layout."""
    try:
        exif = opened.getexif()
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        for tag in [tag for tag in exif if tag not in METADATA_TAGS] if opened.format == "TIFF" else []:
            del exif[tag]
        exif[ExifTags.Base.Orientation] = 1
        return orientation, exif.tobytes() if len(exif) > 1 else None
    except Exception:  # a damaged block raises errors of many kinds
        notes.append("its EXIF is damaged and was left out")
        return 1, None


def _alpha(image: Image.Image) -> np.ndarray | None:
    """The alpha channel, uint8 (H, W); None where every pixel is opaque."""
    if not image.has_transparency_data:
        return None
    alpha = np.array((image if image.mode in ("RGBA", "LA") else image.convert("RGBA")).getchannel("A"))
    return None if alpha.min() == 255 else alpha


def read_numbers(source: Source) -> np.ndarray:
    """Read the numbers of a one-channel image, (H, W), as the file stores them: any type and range.

    The source must be one that `read_picture` reads.
    """
    if isinstance(source, Image.Image):
        return np.asarray(source)
    data = _bytes(Path(source)) if isinstance(source, str) else source if isinstance(source, bytes) else _bytes(source)
    with _quiet(), Image.open(io.BytesIO(data), formats=FORMATS) as opened:
        return np.asarray(opened)


def read_image(source: Source) -> np.ndarray:
    """Read an image as RGB uint8 (H, W, 3). Takes the same sources, and raises the same errors, as `read_picture`."""
    return read_picture(source).pixels


def as_rgb(image: Image.Image) -> np.ndarray:
    """Convert a Pillow image of any mode to RGB uint8 (H, W, 3).

    Grey of 16 and 32 bits is reduced to 8. Floats are taken to be in [0, 1], or in [0, 255] where one is above 1. Raises
    PixelRNNError for floats that are not finite.
    """
    top = 255.0
    if image.mode == "F":
        highest = image.getextrema()[1]
        if not np.isfinite(np.asarray(image)).all():
            raise PixelRNNError("holds values that are not finite numbers.")
        top = 1.0 if highest <= 1 else 255.0  # type: ignore[operator]
    full_range = _bits(image) == 32 and image.mode == "I"
    inverted = _tags(image).get(262) == 0 and image.mode.startswith("I")
    if image.mode == "LAB":
        image = _from_lab(image)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, STRIP // image.width)
    for start in range(0, image.height, rows):
        strip = image.crop((0, start, image.width, min(image.height, start + rows)))
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            values = np.asarray(strip)
            values = values.view(np.uint32) / (2**32 - 1) if full_range else values / (top if image.mode == "F" else 65535)
            strip = Image.fromarray(np.clip(np.rint(255 * (1 - values if inverted else values)), 0, 255).astype(np.uint8))
        if strip.mode == "P" and "transparency" in strip.info:
            strip = strip.convert("RGBA")  # Pillow warns of the direct way
        pixels[start : start + rows] = np.asarray(strip.convert("RGB"))
    return pixels


def _from_lab(image: Image.Image) -> Image.Image:
    """Convert CIE L*a*b* (D50) to sRGB; Pillow needs profiles for that."""
    from PIL import ImageCms

    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(*profiles, "LAB", "RGB").apply(image)
