"""Files that are damaged, lie about themselves or are no pictures: each costs one line, and nothing is left behind."""

import io
import json
import os
import resource
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixelrnn.backends import OnnxBackend
from pixelrnn.errors import PixelRNNError
from pixelrnn.image import read_picture, write_image
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


MUTATIONS = int(os.environ.get("PIXELRNN_MUTATIONS", 504))  # 20,000 take some minutes
GUARD = 60.0  # seconds for one small file: 5 are meant, and the machine may be busy


def mutated(whole: bytes, rng: np.random.Generator) -> bytes:
    """A file with some bytes changed, often near its start, and now and then with a part cut out, doubled or swapped."""
    data = bytearray(whole)
    for place in rng.integers(0, min(len(data), int(rng.choice([40, 400, len(data)]))), int(rng.integers(1, 8))):
        data[place] = rng.integers(256)
    if rng.random() < 0.2:
        start, length = int(rng.integers(len(data))), int(rng.integers(1, 400))
        part = data[start : start + length]
        data[start : start + length] = (b"", part * 2, part[::-1], bytes(len(part)))[rng.integers(4)]
    if whole.startswith(b"\x89PNG") and rng.random() < 0.5:
        sum_up(data)
    return bytes(data)


def sum_up(data: bytearray) -> None:
    """Make the checksums of a PNG's chunks right, without which a reader looks no further."""
    start = 8
    while start + 12 <= len(data):
        end = start + 8 + int.from_bytes(data[start : start + 4], "big")
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[start + 4 : end]))[: max(0, len(data) - end)]
        start = end + 4


def read_mutations(kind: str, count: int, folder: str) -> str:
    """Read so many mutations of a file and write what can be read, with 1 GiB of memory more than the libraries take; a JSON
    report of what happened. Run in a process of its own."""
    rng, told = np.random.default_rng(list(kind.encode())), {"read": 0, "refused": 0, "slowest": 0.0}
    picture, target = Path(folder) / "mutated", Path(folder) / "out.png"
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2**30,) * 2)
    for i in range(count):
        picture.write_bytes(mutated(WHOLE[kind], rng))
        start = time.perf_counter()
        try:
            opened = read_picture(picture)
            write_image(target, opened.pixels, opened)
        except PixelRNNError as error:
            reason = str(error)
        else:
            reason = ""
        told["refused" if reason else "read"] += 1
        if reason:
            assert "\n" not in reason, i
        else:
            assert read_picture(target).pixels.shape == opened.pixels.shape, i
            target.unlink()
        told["slowest"] = max(told["slowest"], time.perf_counter() - start)
        assert {path.name for path in Path(folder).iterdir()} == {"mutated"}, i
    told["peak_mib"] = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
    return json.dumps(told)


@pytest.mark.parametrize("kind", WHOLE)
def test_mutated_files_are_read_or_refused_soon_in_bounded_memory_and_leave_nothing_half_written(
    kind: str, tmp_path: Path
) -> None:
    code = "import sys, test_hostile; print(test_hostile.read_mutations(sys.argv[1], int(sys.argv[2]), sys.argv[3]))"
    count = MUTATIONS // len(WHOLE)
    command = [sys.executable, "-c", code, kind, str(count), str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=GUARD + count)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(kind, told)
    assert told["read"] + told["refused"] == count
    assert told["slowest"] < GUARD
    assert told["peak_mib"] < 1024


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
