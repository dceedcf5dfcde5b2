"""Files that are damaged, lie about themselves or are no pictures: each costs one line, and nothing is left behind."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixelrnn.backends import OnnxBackend
from pixelrnn.errors import PixelRNNError
from pixelrnn.image import read_picture
from pixelrnn.weights import DEFAULT, bundled_weights

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
DAMAGED, NONE, LARGE = "a damaged picture", "not a picture", "at most 100 megapixels"


def encoded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int) -> bytes:
    """A PNG whose header claims this size, with no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def floats(value: float) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8), value, np.float32)).save(buffer, "TIFF")
    return buffer.getvalue()


WHOLE = {kind: encoded(kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")}
CORPUS: dict[str, tuple[bytes, str]] = {
    **{
        f"{kind} cut at {share:.0%}": (data[: int(len(data) * share)], "picture")
        for kind, data in WHOLE.items()
        for share in (0.0005, 0.01, 0.1, 0.5, 0.9)
    },
    **{f"{kind} behind a zero": (b"\0" + data, NONE) for kind, data in WHOLE.items()},
    "nothing": (b"", NONE),
    "zeros": (bytes(4096), NONE),
    "text": (b"this is no picture", NONE),
    "EPS, which would start a program": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", NONE),
    "PNG of 65,535 pixels a side": (png(65535, 65535), LARGE),
    "PNG of a billion pixels in a row": (png(10**9, 1), LARGE),
    "PNG without pixels": (png(64, 64), DAMAGED),
    "PNG of no width": (png(0, 64), "picture"),
    "not a number": (floats(np.nan), "no finite numbers"),
    "infinite": (floats(np.inf), "no finite numbers"),
}


@pytest.mark.parametrize("case", CORPUS)
def test_a_hostile_file_is_refused_in_one_line_that_names_it(case: str, tmp_path: Path) -> None:
    data, reason = CORPUS[case]
    path = tmp_path / "hostile.png"
    path.write_bytes(data)
    with pytest.raises(PixelRNNError, match=rf"hostile\.png: .*{reason}") as refused:
        read_picture(path)
    assert "\n" not in str(refused.value)


def test_the_corpus_has_forty_files_and_more() -> None:
    assert len(CORPUS) >= 40


@pytest.mark.parametrize("profile", [b"rubbish", b"\xff" * 300])
def test_a_damaged_profile_is_left_out_with_a_note(profile: bytes) -> None:
    picture = read_picture(io.BytesIO(encoded("PNG", icc_profile=profile)))
    assert np.array_equal(picture.pixels, PIXELS)
    assert (picture.icc, picture.notes) == (None, ("its colour profile is damaged and was left out",))


@pytest.mark.slow
@pytest.mark.parametrize("kind", WHOLE)
def test_mutated_files_are_read_or_refused(kind: str) -> None:
    rng, whole = np.random.default_rng(1), WHOLE[kind]
    for _ in range(84):  # of each of six formats
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), int(rng.choice([40, 400, len(data)]))), int(rng.integers(1, 8))):
            data[place] = rng.integers(256)
        try:
            pixels = read_picture(io.BytesIO(data)).pixels
        except PixelRNNError:
            continue
        assert (pixels.ndim, pixels.dtype) == (3, np.uint8)


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit at the start": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "a bit in a tensor": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 16]) + data[len(data) // 2 + 1 :],
    "a bit at the end": lambda data: data[:-1] + bytes([data[-1] ^ 128]),
    "a byte too few": lambda data: data[:-1],
    "a byte too many": lambda data: data + b"\0",
    "nothing left": lambda data: b"",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_damaged_onnx_file_is_refused(change: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.onnx"
    path.write_bytes(CHANGES[change](bundled_weights()[DEFAULT].with_suffix(".onnx").read_bytes()))
    with pytest.raises(PixelRNNError, match=r"weights\.onnx: damaged"):
        OnnxBackend(path)
