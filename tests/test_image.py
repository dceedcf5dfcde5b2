"""Reading, writing and the arithmetic of masks, with pictures whose pixels are known beforehand."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image
from scipy.ndimage import binary_dilation

from pixelrnn import decode, encode, folders, image, masks
from pixelrnn.errors import PixelRNNError

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
MASKS = npst.arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 20)))


def grey_as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def palette(transparency: bytes | int | None = None) -> tuple[Image.Image, np.ndarray, dict]:
    indices, table = RNG.integers(0, 4, (5, 7), dtype=np.uint8), RNG.integers(0, 256, (4, 3), dtype=np.uint8)
    picture = Image.frombytes("P", (7, 5), indices.tobytes())
    picture.putpalette(table.tobytes())
    return picture, table[indices], {} if transparency is None else {"transparency": transparency}


ALPHA = np.dstack([COLOURS, np.full((5, 7), 255, np.uint8)])
INK = np.dstack([COLOURS, np.zeros((5, 7), np.uint8)])  # CMYK without black
MODES = {  # name: (suffix, picture, what it shows, options of save)
    "RGB": (".png", Image.fromarray(COLOURS), COLOURS, {}),
    "grey": (".png", Image.fromarray(GREY), grey_as_rgb(GREY), {}),
    "grey and alpha": (".png", Image.fromarray(np.dstack([GREY, GREY * 0 + 255])), grey_as_rgb(GREY), {}),
    "black and white": (".png", Image.fromarray(GREY > 99), grey_as_rgb((GREY > 99) * np.uint8(255)), {}),
    "palette": (".png", *palette()),
    "palette with one transparent colour": (".png", *palette(2)),
    "palette with opacities": (".png", *palette(bytes([255, 0, 90, 255]))),
    "GIF": (".gif", *palette()),
    "RGBA": (".png", Image.fromarray(ALPHA), COLOURS, {}),
    "CMYK": (
        ".tif",
        Image.frombytes("CMYK", (7, 5), INK.tobytes()),
        255 - COLOURS,
        {},
    ),
    "16-bit grey PNG": (".png", Image.fromarray(GREY.astype(np.uint16) * 257), grey_as_rgb(GREY), {}),
    "16-bit grey TIFF": (".tif", Image.fromarray(GREY.astype(np.uint16) * 257), grey_as_rgb(GREY), {}),
    "lossless WebP": (".webp", Image.fromarray(COLOURS), COLOURS, {"lossless": True}),
    "BMP": (".bmp", Image.fromarray(COLOURS), COLOURS, {}),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_read_as_rgb_uint8(mode: str, tmp_path: Path) -> None:
    suffix, picture, shown, options = MODES[mode]
    path = tmp_path / f"picture{suffix}"
    picture.save(path, **options)
    found = decode.read_image(path)
    assert (found.dtype, found.shape) == (np.uint8, (5, 7, 3))
    assert np.array_equal(found, shown)
    assert np.array_equal(decode.read_image(str(path)), shown)
    found[0] = 0  # writable, and a copy of its own


UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(decode.read_image(tmp_path / "a.png"), UPRIGHT[orientation](COLOURS))


def test_a_mask_is_missing_from_half_grey_on(tmp_path: Path) -> None:
    edge = np.concatenate([np.zeros(300, np.uint8), np.arange(256, dtype=np.uint8), np.full(300, 255, np.uint8)])
    Image.fromarray(edge[None]).save(tmp_path / "mask.png")
    mask = masks.read_mask(tmp_path / "mask.png")
    assert (mask.dtype, mask.shape) == (bool, (1, 856))
    assert np.array_equal(mask[0], edge >= 128)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".tif", ".tiff", ".PNG"])
def test_what_is_written_lossless_is_read_back_byte_for_byte(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / f"a{suffix}"
    encode.write_image(path, COLOURS)
    assert np.array_equal(decode.read_image(path), COLOURS)
    encode.write_image(path, GREY > 99)
    assert np.array_equal(masks.read_mask(path), GREY > 99)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_what_is_written_with_loss_is_near(suffix: str, tmp_path: Path) -> None:
    smooth = np.linspace(0, 255, 32 * 32 * 3).reshape(32, 32, 3).astype(np.uint8)
    encode.write_image(tmp_path / f"a{suffix}", smooth)
    assert np.abs(decode.read_image(tmp_path / f"a{suffix}").astype(int) - smooth).mean() < 2


def test_a_failing_writer_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail_halfway(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise RuntimeError("out of ideas")

    with pytest.raises(RuntimeError, match="out of ideas"):
        encode.write_atomically(path, fail_halfway)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.png", b"old")]


def test_a_full_disk_is_told_with_the_name_of_the_output(tmp_path: Path) -> None:
    def fill(temporary: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(PixelRNNError, match=r"a\.png: cannot write there \(No space left on device\)"):
        encode.write_atomically(tmp_path / "a.png", fill)
    assert not list(tmp_path.iterdir())


def test_a_written_file_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    encode.write_image(tmp_path / "a.png", COLOURS)
    (tmp_path / "b").touch()
    assert os.stat(tmp_path / "a.png").st_mode == os.stat(tmp_path / "b").st_mode


def test_an_output_below_a_file_or_over_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "file" / "a.png", tmp_path / "folder.png"):
        with pytest.raises(PixelRNNError, match="cannot write there"):
            encode.write_image(path, COLOURS)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder.png"]


@pytest.mark.parametrize("name", ["a.txt", "a", "a.psd", "a.gif"])
def test_an_output_of_no_picture_format_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PixelRNNError, match=r"cannot write this format. Name the output \.png"):
        encode.write_image(tmp_path / name, COLOURS)
    assert not list(tmp_path.iterdir())


def jpeg_bytes() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


UNREADABLE = {
    "text": (b"this is no picture", "not a picture"),
    "empty": (b"", "not a picture"),
    "truncated": (jpeg_bytes()[:2000], "a damaged picture"),
    "header alone": (jpeg_bytes()[:300], "picture"),
}


@pytest.mark.parametrize("content", UNREADABLE)
@pytest.mark.parametrize("read", [decode.read_image, masks.read_mask])
def test_an_unreadable_file_is_named_with_its_fault(read, content: str, tmp_path: Path) -> None:
    data, fault = UNREADABLE[content]
    (tmp_path / "bad.jpg").write_bytes(data)
    with pytest.raises(PixelRNNError, match=rf"bad\.jpg: .*{fault}.*Expected a readable JPEG"):
        read(tmp_path / "bad.jpg")


def test_an_open_file_is_read_as_one_by_its_path_and_called_by_its_name() -> None:
    data = io.BytesIO()
    Image.fromarray(COLOURS).save(data, "PNG")
    assert np.array_equal(decode.read_image(data), COLOURS)
    drawn = io.BytesIO()
    Image.fromarray(GREY > 99).save(drawn, "PNG")
    assert np.array_equal(masks.read_mask(drawn), GREY > 99)
    upload = io.BytesIO(b"this is no picture")
    with pytest.raises(PixelRNNError, match="the picture: not a picture"):
        decode.read_image(upload)
    upload.name = "holiday.jpg"
    with pytest.raises(PixelRNNError, match=r"holiday\.jpg: not a picture"):
        decode.read_image(upload)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(PixelRNNError, match=r"nowhere\.jpg: no such file"):
        decode.read_image(tmp_path / "nowhere.jpg")
    with pytest.raises(PixelRNNError, match="a folder where one picture was expected"):
        decode.read_image(tmp_path)


def test_too_large_a_picture_is_refused_from_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = jpeg_bytes()  # 64 x 64; without its pixels it could not be decoded
    (tmp_path / "a.jpg").write_bytes(data[: data.index(b"\xff\xda") + 20])
    monkeypatch.setattr(decode, "MAX_PIXELS", 64 * 64 - 1)
    with pytest.raises(PixelRNNError, match=r"a\.jpg: 64 x 64 pixels, at most .* megapixels"):
        decode.read_image(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes(data)
    monkeypatch.setattr(decode, "MAX_PIXELS", 64 * 64)
    assert decode.read_image(tmp_path / "a.jpg").shape == (64, 64, 3)


@pytest.mark.parametrize("side", [12_000, 40_000])  # above our limit, where Pillow warns; where Pillow refuses
def test_a_header_that_claims_too_many_pixels_is_refused(side: int, tmp_path: Path) -> None:
    bmp = bytearray(54)  # a header and no pixels
    bmp[0:2], bmp[10], bmp[14], bmp[26], bmp[28] = b"BM", 54, 40, 1, 24
    bmp[18:22] = bmp[22:26] = side.to_bytes(4, "little")
    (tmp_path / "a.bmp").write_bytes(bmp)
    with pytest.raises(PixelRNNError, match="at most 100 megapixels"):
        decode.read_image(tmp_path / "a.bmp")


def test_a_picture_below_the_limit_is_read_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", COLOURS[..., 0].size - 1)  # Pillow warns from here to twice as many
    assert np.array_equal(decode.read_image(tmp_path / "a.png"), COLOURS)


def test_a_folder_lists_images_in_natural_order_without_hidden_files(tmp_path: Path) -> None:
    names = ["bed_9.jpg", "bed_10.JPG", "bed_100.png", "sub/a1b2.png", "sub/a1b10.png", "sub/a2.webp"]
    for name in [*reversed(names), ".bed_1.jpg", ".hidden/bed_2.jpg", "notes.txt"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in folders.list_images(tmp_path)] == names


@settings(max_examples=50)
@example(["bed_9", "bed_09", "bed_009"])
@example(["²", "1²", "٣", "3"])
@given(st.lists(st.text(alphabet="ab_09²٣é", min_size=1, max_size=6), min_size=2, max_size=6))
def test_any_names_have_one_order_wherever_they_start(names: list[str]) -> None:
    paths = [Path(f"{name}.png") for name in names]
    backwards = paths[::-1]
    assert sorted(paths, key=folders.natural_key) == sorted(backwards, key=folders.natural_key)


def test_a_folder_without_pictures_or_none_at_all_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(PixelRNNError, match=r"no pictures in this folder. Expected files ending in \.jpg"):
        folders.list_images(tmp_path)
    with pytest.raises(PixelRNNError, match="nowhere: no such folder"):
        folders.list_images(tmp_path / "nowhere")


def test_all_256_values_survive_the_way_to_float_and_back() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = np.dstack([values, values[::-1], values.T])
    inside = image.to_float(picture)
    assert (inside.dtype, inside.shape, inside.min(), inside.max()) == (np.float32, (3, 16, 16), 0, 1)
    assert np.array_equal(inside, (picture.astype(np.float64) / 255).transpose(2, 0, 1).astype(np.float32))
    assert np.array_equal(image.to_uint8(inside), picture)


def test_values_out_of_range_are_clipped_and_others_rounded() -> None:
    values = np.array([-0.5, 0.49 / 255, 0.51 / 255, 127.4 / 255, 254.6 / 255, 7], np.float32)
    assert image.to_uint8(np.broadcast_to(values, (3, 1, 6)))[0, :, 0].tolist() == [0, 0, 1, 127, 255, 255]


@settings(max_examples=20)
@given(MASKS)
def test_known_pixels_come_back_byte_for_byte(mask: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    known, filled = rng.integers(0, 256, (2, *mask.shape, 3), dtype=np.uint8)
    pasted = image.paste_known(known, filled, mask)
    assert pasted.dtype == np.uint8
    assert np.array_equal(pasted[~mask], known[~mask])
    assert np.array_equal(pasted[mask], filled[mask])


@settings(max_examples=50)
@example(np.array([[True, False, False]]), 4)  # at the border, where the region that has grown is cut off
@given(MASKS, st.integers(0, 6))
def test_dilate_matches_scipys_binary_dilation(mask: np.ndarray, pixels: int) -> None:
    expected = binary_dilation(mask, np.ones((3, 3)), iterations=pixels) if pixels else mask
    assert np.array_equal(image.dilate(mask, pixels), expected)


def test_an_image_is_resized_with_antialiasing_to_the_given_size() -> None:
    board = (np.indices((96, 120)).sum(0) % 2 * 255).astype(np.uint8)
    small = image.resize(grey_as_rgb(board), width=30, height=24)
    assert (small.shape, small.dtype) == ((24, 30, 3), np.uint8)
    assert np.abs(small.astype(int) - 127.5).max() < 8


@settings(max_examples=40)
@given(st.integers(0, 399), st.integers(0, 299), st.integers(1, 500), st.integers(1, 500))
def test_no_missing_pixel_is_lost_in_a_resized_mask(y: int, x: int, width: int, height: int) -> None:
    mask = np.zeros((400, 300), bool)
    mask[y, x] = True
    small = image.resize(mask, width, height)
    assert (small.dtype, small.shape) == (bool, (height, width))
    row, column = (y + 0.5) * height / 400 - 0.5, (x + 0.5) * width / 300 - 0.5
    found = np.argwhere(small)
    assert len(found)
    assert np.abs(found - [row, column]).max() <= 1 + max(height / 400, width / 300)  # where it was, and nowhere else
