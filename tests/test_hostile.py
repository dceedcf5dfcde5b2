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

from pixelrnn import Completer
from pixelrnn.decode import read_picture
from pixelrnn.encode import write_image
from pixelrnn.errors import PixelRNNError
from pixelrnn.inference.backends import OnnxBackend
from pixelrnn.weights import FILL

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
    "not a number": (floats(np.nan), "not finite numbers"),
    "infinite": (floats(np.inf), "not finite numbers"),
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


EXIFS = {
    "rubbish": b"Exif\0\0rubbish",
    "a directory that lies elsewhere": b"Exif\0\0MM\0*\xff\xff\xff\xf0",
    "a directory cut short": b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0",
    "an orientation that is none": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",
    "a directory that points at itself": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", EXIFS)
def test_a_picture_with_damaged_exif_is_read_and_written_all_the_same(exif: str, kind: str, tmp_path: Path) -> None:
    picture = read_picture(io.BytesIO(encoded(kind, exif=EXIFS[exif])))
    assert np.array_equal(picture.pixels, read_picture(io.BytesIO(WHOLE[kind])).pixels)
    for suffix in (".png", ".jpg", ".webp", ".tif"):
        write_image(tmp_path / f"a{suffix}", picture.pixels, picture)
        assert read_picture(tmp_path / f"a{suffix}").pixels.shape == PIXELS.shape


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_picture_of_several_is_read(kind: str) -> None:
    frames = [Image.fromarray(np.full((8, 9, 3), value, np.uint8)) for value in (10, 100, 200)]
    buffer = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(buffer.getvalue())) as opened:
        assert opened.n_frames == 3
    assert (read_picture(buffer).pixels == 10).all()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of pictures to be completed, below the one to stand in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def complete(*words: str) -> subprocess.CompletedProcess[bytes]:
    """The command, with a small hole given."""
    command = [sys.executable, "-m", "pixelrnn", "complete", *words, "--mask", "8,8,9,9"]
    return subprocess.run(command, capture_output=True, timeout=GUARD)


def test_links_to_files_are_followed_and_broken_links_are_reported(folder: Path) -> None:
    Path("real.png").write_bytes(WHOLE["PNG"])
    (folder / "file.png").symlink_to(Path("real.png").resolve())
    (folder / "dangling.png").symlink_to("nowhere.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "round").symlink_to(folder, target_is_directory=True)
    done = complete("photos", "-o", "done")
    assert done.returncode == 1
    assert b"1 of 3" in done.stdout
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 2
    assert "photos/dangling.png: no such file" in lines[0]
    assert "photos/loop.png: " in lines[1]
    assert [path.name for path in Path("done").rglob("*")] == ["file.png"]


def test_an_output_that_is_a_link_is_replaced_and_not_what_it_points_at(folder: Path) -> None:
    (folder / "a.png").write_bytes(WHOLE["PNG"])
    Path("done").mkdir()
    Path("precious.png").write_bytes(b"precious")
    Path("done/a.png").symlink_to("../precious.png")
    assert complete("photos", "-o", "done", "--overwrite").returncode == 0
    assert Path("precious.png").read_bytes() == b"precious"
    assert read_picture(Path("done/a.png")).pixels.shape == PIXELS.shape


NAMES = {
    "a newline": b"two\nlines.png",
    "an escape": b"\x1b[31mred.png",
    "bytes that are no UTF-8": b"\xff\xfe caf\xe9.png",
    "quotes and a dash": b"-'\"$(x).png",
    "as many bytes as a name may have": "ä".encode() * 123 + b".png",
}


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_any_name_is_completed_and_told_in_one_line(options: tuple[str, ...], folder: Path) -> None:
    for name in NAMES.values():
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(WHOLE["PNG"])
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name[:-4] + b".bad.png")).write_bytes(b"rubbish")
    done = complete("photos", "-o", "done", *options)
    assert b"Traceback" not in done.stderr
    assert done.returncode == 1
    assert sorted(os.fsencode(path.name) for path in Path("done").iterdir()) == sorted(NAMES.values())
    if options:
        told = [json.loads(line) for line in done.stdout.decode().splitlines()]
        assert len(told) == 2 * len(NAMES)
        assert sum(one["error"] is None for one in told) == len(NAMES)
    else:
        assert b"5 of 10" in done.stdout
        assert len(done.stderr.decode().splitlines()) == len(NAMES)
        assert b"\x1b[31mred" not in done.stderr


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
    """Read so many mutations of a file, complete what is small and write what can be read, with 1 GiB of memory more than the
    libraries take; a JSON report of what happened. Run in a process of its own."""
    rng, told = np.random.default_rng(list(kind.encode())), {"read": 0, "refused": 0, "completed": 0, "slowest": 0.0}
    picture, target = Path(folder) / "mutated", Path(folder) / "out.png"
    completer = Completer.from_pretrained()
    completer(PIXELS, (8, 8, 9, 9))
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2**30,) * 2)
    for i in range(count):
        picture.write_bytes(mutated(WHOLE[kind], rng))
        start = time.perf_counter()
        try:
            opened = read_picture(picture)
            pixels, (height, width) = opened.pixels, opened.pixels.shape[:2]
            if min(height, width) > 2 and height * width <= 2 * PIXELS[..., 0].size:
                result = completer(opened, (1, 1, width // 2, height // 2) if i % 2 else None)
                pixels = result.image
                assert np.array_equal(pixels[~result.mask], opened.pixels[~result.mask]), i
                told["completed"] += 1
            write_image(target, pixels, opened)
            shape = pixels.shape
            opened = pixels = None  # a large one is not held twice
        except PixelRNNError as error:
            reason = str(error)
        else:
            reason = ""
        told["refused" if reason else "read"] += 1
        if reason:
            assert "\n" not in reason, i
        else:
            assert read_picture(target).pixels.shape == shape, i
            target.unlink()
        told["slowest"] = max(told["slowest"], time.perf_counter() - start)
        assert {path.name for path in Path(folder).iterdir()} == {"mutated"}, i
    told["peak_mib"] = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
    return json.dumps(told)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("kind", WHOLE)
def test_mutated_files_are_read_or_refused_in_bounded_time_and_memory(kind: str, tmp_path: Path) -> None:
    code = "import sys, test_hostile; print(test_hostile.read_mutations(sys.argv[1], int(sys.argv[2]), sys.argv[3]))"
    count = MUTATIONS // len(WHOLE)
    command = [sys.executable, "-c", code, kind, str(count), str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=GUARD + count)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(kind, told)
    assert told["read"] + told["refused"] == count
    assert told["slowest"] < GUARD
    assert told["completed"] > 0
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
    path.write_bytes(CHANGES[change](FILL.read_bytes()))
    with pytest.raises(PixelRNNError, match=r"weights\.onnx: damaged"):
        OnnxBackend(path)
