"""Pictures from files, bytes and Pillow, upright and as RGB: what cannot be understood is refused, what is lost is noted.

A picture is RGB `uint8 (H, W, 3)`. Files are limited in size before a pixel is read.
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
from PIL import ExifTags, Image

from .errors import PixelRNNError

# these decoders alone: others of Pillow's start programs (EPS) or have no business in a photograph's file
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "GIF")
NAMES = "JPEG, PNG, WebP, AVIF, BMP, TIFF or GIF"
MAX_PIXELS = 100_000_000
MORE = "at most {:g} megapixels are read. Allow more with --max-megapixels."
XMP = "XML:com.adobe.xmp"  # a PNG's keyword for it
PNG, END = b"\x89PNG\r\n\x1a\n", b"\xff\xd9"  # how a PNG begins, how a JPEG ends
PACKED, LONGEST = (b"zTXt", b"iTXt", b"iCCP"), 2**20  # chunks of a PNG that may be compressed, and bytes of one that are read
HEIC = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"mif1", b"hevc", b"msf1"))
CUT = 0.1  # of a JPEG's rows may be missing
# TIFF's own words for what a picture says, not for how its file is laid out; EXIF and GPS besides
TOLD = {270, 271, 272, 274, 305, 306, 315, 316, 33432, 34665, 34853}

Source = str | Path | bytes | BinaryIO | Image.Image


@dataclass(frozen=True)
class Picture:
    """A decoded picture, and what its file says besides."""

    pixels: np.ndarray  # (H, W, 3) uint8 RGB, upright
    alpha: np.ndarray | None = None  # (H, W) uint8, 255 is opaque; None where all is
    grey: bool = False  # its file holds no colour
    notes: tuple[str, ...] = ()  # what was lost in reading
    icc: bytes | None = None  # colour profile of the pixels
    exif: bytes | None = None  # with the orientation reset
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None  # pixels an inch, across and down
    text: tuple[tuple[str, str], ...] = ()  # of a PNG, by keyword
    mode: str = "RGB"  # Pillow's word for how its file stores a pixel
    format: str = "PNG"  # of FORMATS

    @property
    def transparent(self) -> np.ndarray | None:
        """Bool (H, W), where it is less than half opaque; None where it is nowhere."""
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


def read_picture(source: Source, max_pixels: int | None = None) -> Picture:
    """The first picture in a file, upright (EXIF orientation applied), limited in size before a pixel is read.

    source: a path, a file's bytes, an open binary file such as io.BytesIO, or a Pillow picture; errors call it by its `name`,
    if it has one. Raises PixelRNNError for what is missing, unreadable, too large, or of values that cannot be understood.
    """
    max_pixels = MAX_PIXELS if max_pixels is None else max_pixels
    if isinstance(source, Image.Image):
        given = source
        return _told("the picture", lambda: _decode(given, max_pixels))
    name = str(source) if isinstance(source, (str, Path)) else str(getattr(source, "name", "the picture"))
    file = Path(source) if isinstance(source, str) else io.BytesIO(source) if isinstance(source, bytes) else source
    if isinstance(file, Path):
        _check_file(file)
    return _told(name, lambda: _open(file, max_pixels), lambda: _bytes(file)[:4] in (b"II*\0", b"MM\0*"))


def _told(name: str, read: Callable[[], Picture], tiff: Callable[[], bool] = lambda: False) -> Picture:
    """What `read` gives, its errors naming the file. tiff: whether it says that it is one."""
    try:
        return read()
    except PixelRNNError as error:
        raise PixelRNNError(f"{name}: {error}") from None
    except MemoryError:
        raise PixelRNNError(f"{name}: not enough memory to read it.") from None
    # Pillow's decoders report damage with whatever their parsers raise
    except Exception as error:
        reason = f"a damaged picture ({' '.join(str(error).split())[:200]})"
        if isinstance(error, Image.UnidentifiedImageError):
            reason = "a TIFF picture of a kind that is not read" if tiff() else "not a picture"
        raise PixelRNNError(f"{name}: {reason}. Expected a readable {NAMES} file.") from None


def _open(source: Path | BinaryIO, max_pixels: int) -> Picture:
    """A file; a second time, without what cannot be decoded, where that helps."""
    try:
        with _quiet(), Image.open(source, formats=FORMATS) as opened:
            return _decode(opened, max_pixels)
    except (PixelRNNError, MemoryError):
        raise
    except Image.DecompressionBombError:  # Pillow's own limit, from its header
        raise PixelRNNError(f"too large a picture, {MORE.format(max_pixels / 10**6)}") from None
    except Exception:
        data = _bytes(source)
        if data[4:12] in HEIC:
            return _open_heic(data, max_pixels)
        rest, note = _without_extras(data) if data.startswith(PNG) else _with_an_end(data)
        if not rest:
            raise
        with _quiet(), Image.open(io.BytesIO(rest), formats=FORMATS) as opened:
            picture = _decode(opened, max_pixels)
        return replace(picture, notes=(*picture.notes, note))


def _open_heic(data: bytes, max_pixels: int) -> Picture:
    """A telephone's photograph. Raises PixelRNNError where its reader is not installed."""
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
    """Without warnings of bombs, where our own limit is checked, and of odd metadata."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _without_extras(data: bytes) -> tuple[bytes, str]:
    """A PNG without what a decoder may pass over and ours would stumble on, and a note that names it."""
    kept, lost, place = [data[:8]], [], 8
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        chunk = data[place:end]
        if chunk[4:5].isupper() or _is_sound(chunk):
            kept.append(chunk)
        else:
            lost.append(chunk[4:8].decode("latin-1"))
        place = end
    return b"".join(kept), f"its {', '.join(dict.fromkeys(lost)) or 'end'} could not be read and was left out"


def _is_sound(chunk: bytes) -> bool:
    """Whether a PNG's chunk has the checksum that it says, and is not larger than Pillow reads once it is unpacked."""
    if zlib.crc32(chunk[4:-4]).to_bytes(4, "big") != chunk[-4:]:
        return False
    if chunk[4:8] not in PACKED:
        return True
    start = re.search(rb"\x78[\x01\x5e\x9c\xda]", chunk)  # where zlib's stream begins
    try:
        return start is None or len(zlib.decompressobj().decompress(chunk[start.start() :], LONGEST + 1)) <= LONGEST
    except zlib.error:
        return False


def _with_an_end(data: bytes) -> tuple[bytes, str]:
    """A JPEG that lacks its last bytes, ended, and a note; nothing where more of its rows are missing than CUT."""
    data = data.rstrip(b"\xff")
    ended = _shades(data + END)
    # where it shows something else with other bytes in place of those that it lacks, nothing is known
    others = [_shades(data + fill * max(4096, len(data)) + END) for fill in (b"\0", b"\x55", b"\xaa")]
    differ = [np.abs(ended - other).max(axis=1) > 8 for other in others if ended is not None and other is not None]
    rows = int(np.logical_or.reduce(differ).sum()) if differ else 0
    if ended is None or not differ or rows > CUT * len(ended):
        return b"", ""
    return data + END, f"its last bytes are missing, and with them up to {max(8, rows)} rows"


def _shades(data: bytes) -> np.ndarray | None:
    """Int (H, W) of a JPEG's grey; None for what is none."""
    try:
        return np.asarray(Image.open(io.BytesIO(data), formats=("JPEG",)).convert("L")).astype(int)
    except Exception:  # whatever a damaged one raises
        return None


def _check_file(path: Path) -> None:
    """Raise PixelRNNError unless it is a regular file: others may never end."""
    if path.is_dir():
        raise PixelRNNError(f"{path}: a folder where one picture was expected.")
    if not path.exists():
        raise PixelRNNError(f"{path}: no such file. Check the path.")
    if not path.is_file():
        raise PixelRNNError(f"{path}: not a regular file.")


def _decode(opened: Image.Image, max_pixels: int) -> Picture:
    if opened.width * opened.height > max_pixels:
        raise PixelRNNError(f"{opened.width} x {opened.height} pixels, {MORE.format(max_pixels / 10**6)}")
    _check_kind(opened)
    notes = []
    # Pillow reduces colour by itself, grey here
    deep = opened.mode[:1] == "I" or (opened.format != "BMP" and ";16" in str(getattr(opened, "tile", "")))
    if deep:
        notes.append(f"{32 if _bits(opened) == 32 else 16} bits a channel were reduced to 8")
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format != "MPO":  # a telephone's JPEG, whose others are previews
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
    """TIFF's own words on how the pixels are stored."""
    return getattr(opened, "tag_v2", {}) if opened.format == "TIFF" else {}


def _bits(opened: Image.Image) -> int:
    return int(max(_tags(opened).get(258, (0,))))


def _check_kind(opened: Image.Image) -> None:
    """Raise PixelRNNError for a TIFF whose values mean something else than light from 0 to the highest that they hold."""
    tags = _tags(opened)
    if 2 in tags.get(339, ()):
        raise PixelRNNError("a TIFF picture of signed numbers, which say no brightness. Save it as unsigned 8 or 16 bits.")
    if tags.get(284) == 2 and _bits(opened) > 8:
        raise PixelRNNError(
            "a TIFF picture of separate planes of more than 8 bits, which is not read. Save it with its channels together."
        )


def _profile(opened: Image.Image, grey: bool, notes: list[str]) -> bytes | None:
    profile = opened.info.get("icc_profile")
    if not profile:
        return None
    if len(profile) < 128 or profile[36:40] != b"acsp":
        notes.append("its colour profile is damaged and was left out")
        return None
    # of ink, or of another kind than the pixels that are written
    return profile if profile[16:20] == (b"GRAY" if grey else b"RGB ") else None


def _exif(opened: Image.Image, notes: list[str]) -> tuple[int, bytes | None]:
    """How it lies, and its EXIF as if it lay upright; of a TIFF, whose own words EXIF's are, without those on its layout."""
    try:
        exif = opened.getexif()
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        for tag in [tag for tag in exif if tag not in TOLD] if opened.format == "TIFF" else []:
            del exif[tag]
        exif[ExifTags.Base.Orientation] = 1
        return orientation, exif.tobytes() if len(exif) > 1 else None
    except Exception:  # whatever a damaged block raises
        notes.append("its EXIF is damaged and was left out")
        return 1, None


def _alpha(picture: Image.Image) -> np.ndarray | None:
    if not picture.has_transparency_data:
        return None
    alpha = np.array((picture if picture.mode in ("RGBA", "LA") else picture.convert("RGBA")).getchannel("A"))
    return None if alpha.min() == 255 else alpha


def read_numbers(source: Source) -> np.ndarray:
    """Those of a picture of one channel that read_picture reads, as they are stored, before they count as light: (H, W)."""
    if isinstance(source, Image.Image):
        return np.asarray(source)
    data = _bytes(Path(source)) if isinstance(source, str) else source if isinstance(source, bytes) else _bytes(source)
    with _quiet(), Image.open(io.BytesIO(data), formats=FORMATS) as opened:
        return np.asarray(opened)


def read_image(source: Source) -> np.ndarray:
    """The picture in a file as RGB uint8 (H, W, 3); takes and raises what read_picture does."""
    return read_picture(source).pixels


def as_rgb(picture: Image.Image) -> np.ndarray:
    """A PIL picture of any mode as RGB uint8 (H, W, 3); 16 and 32 bits of grey are reduced to 8. Floats are in [0, 1], or else
    in [0, 255]; PixelRNNError for those that are no numbers.
    """
    top = 255.0
    if picture.mode == "F":
        highest = picture.getextrema()[1]
        if not np.isfinite(np.asarray(picture)).all():
            raise PixelRNNError("holds values that are no finite numbers.")
        top = 1.0 if highest <= 1 else 255.0  # type: ignore[operator]
    whole = _bits(picture) == 32 and picture.mode == "I"
    inverted = _tags(picture).get(262) == 0 and picture.mode.startswith("I")
    if picture.mode == "LAB":
        picture = _from_lab(picture)
    pixels = np.empty((picture.height, picture.width, 3), np.uint8)
    rows = max(1, STRIP // picture.width)
    for start in range(0, picture.height, rows):
        strip = picture.crop((0, start, picture.width, min(picture.height, start + rows)))
        if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
            values = np.asarray(strip)
            values = values.view(np.uint32) / (2**32 - 1) if whole else values / (top if picture.mode == "F" else 65535)
            strip = Image.fromarray(np.clip(np.rint(255 * (1 - values if inverted else values)), 0, 255).astype(np.uint8))
        if strip.mode == "P" and "transparency" in strip.info:
            strip = strip.convert("RGBA")  # Pillow warns of the direct way
        pixels[start : start + rows] = np.asarray(strip.convert("RGB"))
    return pixels


def _from_lab(picture: Image.Image) -> Image.Image:
    """CIE L*a*b* (D50) in sRGB, which Pillow does not know without a profile."""
    from PIL import ImageCms

    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(*profiles, "LAB", "RGB").apply(picture)
