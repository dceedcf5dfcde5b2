"""Pictures as people have them: read to within a grey level of what other programs read, or refused; what is lost is noted."""

import io
import logging
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin
from skimage import color, data

from pixelrnn import Completer, PixelRNNError
from pixelrnn.decode import Picture, read_picture
from pixelrnn.encode import WRITERS, write_image

logging.getLogger("tifffile").setLevel(logging.CRITICAL)
RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
GREY = np.ascontiguousarray(COLOURS[..., 0])
SHADES = np.repeat(GREY[..., None], 3, axis=2)
PLANES = np.ascontiguousarray(COLOURS.transpose(2, 0, 1))
INK = np.dstack([COLOURS, GREY])
FROM_INK = (255 - COLOURS.astype(float)) * (255 - GREY[..., None].astype(float)) / 255
TABLE = RNG.integers(0, 256, (3, 256), dtype=np.uint16)
ONE = {"photometric": "minisblack"}
WHITE = {"photometric": "miniswhite"}
RGB = {"photometric": "rgb"}
ALPHA = np.dstack([COLOURS, np.full_like(GREY, 255)])


def deep(levels: np.ndarray) -> np.ndarray:
    """The same light in 16 bits."""
    return levels.astype(np.uint16) * 257


READ = {  # name: (values, options of tifffile, what they show)
    "1 bit": (GREY > 99, ONE, (SHADES > 99) * 255),
    "1 bit, white is zero": (GREY > 99, WHITE, (SHADES <= 99) * 255),
    "8 bits": (GREY, ONE, SHADES),
    "8 bits, white is zero": (GREY, WHITE, 255 - SHADES),
    "16 bits": (deep(GREY), ONE, SHADES),
    "16 bits, big end first": (deep(GREY), ONE | {"byteorder": ">"}, SHADES),
    "16 bits, white is zero": (deep(GREY), WHITE, 255 - SHADES),
    "32 bits": (GREY.astype(np.uint32) * 16843009, ONE, SHADES),
    "float from 0 to 1": ((GREY / 255).astype(np.float32), ONE, SHADES),
    "float from 0 to 255": (GREY.astype(np.float32), ONE, SHADES),
    "grey and alpha": (
        np.dstack([GREY, GREY * 0 + 255]),
        ONE | {"planarconfig": "contig", "extrasamples": ["unassalpha"]},
        SHADES,
    ),
    "palette": (GREY, {"photometric": "palette", "colormap": TABLE * 257}, TABLE.T[GREY]),
    "colour": (COLOURS, RGB, COLOURS),
    "colour, deflated with a predictor": (COLOURS, RGB | {"compression": "zlib", "predictor": True}, COLOURS),
    "colour of 16 bits": (deep(COLOURS), RGB, COLOURS),
    "colour of 16 bits, big end first": (deep(COLOURS), RGB | {"byteorder": ">"}, COLOURS),
    "colour in separate planes": (PLANES, RGB | {"planarconfig": "separate"}, COLOURS),
    "colour in separate planes, deflated": (PLANES, RGB | {"planarconfig": "separate", "compression": "zlib"}, COLOURS),
    "colour and alpha": (ALPHA, RGB | {"extrasamples": ["unassalpha"]}, COLOURS),
    "colour and premultiplied alpha": (ALPHA, RGB | {"extrasamples": ["assocalpha"]}, COLOURS),
    "colour and something else": (np.dstack([COLOURS, GREY]), RGB | {"extrasamples": ["unspecified"]}, COLOURS),
    "colour and alpha of 16 bits": (deep(ALPHA), RGB | {"extrasamples": ["unassalpha"]}, COLOURS),
    "ink": (INK, {"photometric": "separated"}, FROM_INK),
    "ink of 16 bits": (deep(INK), {"photometric": "separated"}, FROM_INK),
}
REFUSED = {
    "8 bits, signed": (GREY.astype(np.int8), ONE),
    "16 bits, signed": (GREY.astype(np.int16), ONE),
    "32 bits, signed": (GREY.astype(np.int32), ONE),
    "64 bits": (GREY.astype(np.uint64), ONE),
    "half float": (GREY.astype(np.float16), ONE),
    "double float": (GREY.astype(np.float64), ONE),
    "colour in floats": (COLOURS.astype(np.float32), RGB),
    "colour of 32 bits": (COLOURS.astype(np.uint32), RGB),
    "colour of 16 bits in separate planes": (deep(PLANES), RGB | {"planarconfig": "separate"}),
    "five channels": (np.dstack([COLOURS, COLOURS[..., :2]]), ONE | {"planarconfig": "contig"}),
    "floats that are no numbers": (np.full((9, 9), np.nan, np.float32), ONE),
}


def read_back(path: Path) -> dict[str, np.ndarray]:
    """What we and others read from a file, as RGB uint8."""
    others = tifffile.imread(path) if path.suffix == ".tif" else np.asarray(Image.open(path))
    others = np.repeat(others[..., None], 3, 2) if others.ndim == 2 else others
    others = np.repeat(others[..., :1], 3, 2) if others.shape[2] == 2 else others[..., :3]
    return {"us": read_picture(path).pixels, "others": others, "opencv": cv2.imread(str(path))[..., ::-1]}


@pytest.mark.parametrize("kind", READ)
def test_a_tiff_is_read_as_it_shows_and_written_so_that_all_read_it_back(kind: str, tmp_path: Path) -> None:
    values, options, shown = READ[kind]
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    picture = read_picture(tmp_path / "a.tif")
    assert np.abs(picture.pixels.astype(float) - shown).max() <= 1
    for name in ("b.tif", "b.png"):
        write_image(tmp_path / name, picture.pixels, picture)
        for who, found in read_back(tmp_path / name).items():
            np.testing.assert_array_equal(found, picture.pixels, err_msg=f"{name} by {who}")


@pytest.mark.parametrize("kind", REFUSED)
def test_a_tiff_whose_numbers_say_no_light_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    values, options = REFUSED[kind]
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    with pytest.raises(PixelRNNError, match=r"a\.tif: [^\n]+$"):
        read_picture(tmp_path / "a.tif")


def test_lab_and_ycbcr_are_read_as_other_programs_do(tmp_path: Path) -> None:
    photo = Image.fromarray(data.astronaut()).resize((64, 64))
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    ImageCms.applyTransform(photo, ImageCms.buildTransform(*profiles, "RGB", "LAB")).save(tmp_path / "lab.tif")
    stored = tifffile.imread(tmp_path / "lab.tif").astype(float)
    lab = np.dstack([stored[..., 0] * 100 / 255, *((stored[..., i] + 128) % 256 - 128 for i in (1, 2))])
    to_d65 = np.array(
        [[0.9555766, -0.0230393, 0.0631636], [-0.0282895, 1.0099416, 0.0210077], [0.0122982, -0.020483, 1.3299098]]
    )
    expected = 255 * color.xyz2rgb(color.lab2xyz(lab, illuminant="D50") @ to_d65.T)  # Bradford's adaptation
    ours = read_picture(tmp_path / "lab.tif").pixels
    inside = ((np.asarray(photo) > 25) & (np.asarray(photo) < 230)).all(axis=2)  # elsewhere they clip what no screen shows
    assert np.abs(ours.astype(float) - expected)[inside].mean() < 3
    photo.convert("YCbCr").save(tmp_path / "ycbcr.tif")
    assert np.abs(read_picture(tmp_path / "ycbcr.tif").pixels.astype(int) - np.asarray(photo)).max() <= 3


def test_the_words_of_a_tiff_on_its_layout_are_not_copied(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).convert("CMYK").save(tmp_path / "a.tif", tiffinfo={271: "ACME", 270: "a room"})
    picture = read_picture(tmp_path / "a.tif")
    for suffix in (".jpg", ".png", ".tif", ".webp"):
        write_image(tmp_path / f"b{suffix}", picture.pixels, picture)
        with Image.open(tmp_path / f"b{suffix}") as opened:
            exif = opened.getexif()
        assert exif[271] == "ACME"
        assert exif.get(262) in (None, 2)  # RGB, where it says so
    assert np.array_equal(read_picture(tmp_path / "b.tif").pixels, picture.pixels)


SIDEWAYS = Image.Exif()
SIDEWAYS[0x0112] = 6
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
HOLE = np.full_like(GREY, 255)
HOLE[5:15, 8:20] = 0
DOORS = {
    "sideways": (Image.fromarray(COLOURS), "JPEG", {"exif": SIDEWAYS, "icc_profile": SRGB, "quality": 95}),
    "with a hole": (Image.fromarray(np.dstack([COLOURS, HOLE])), "PNG", {"dpi": (300, 300)}),
    "grey": (Image.fromarray(GREY), "PNG", {}),
    "palette": (Image.fromarray(COLOURS).quantize(16), "PNG", {"transparency": 3}),
}


@pytest.mark.parametrize("kind", DOORS)
def test_a_path_bytes_a_file_and_a_pillow_picture_are_the_same_picture(kind: str, tmp_path: Path) -> None:
    image, form, options = DOORS[kind]
    path = tmp_path / f"a.{form.lower()}"
    image.save(path, form, **options)
    one = read_picture(path)
    for other in (str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), Image.open(path)):
        found = read_picture(other)
        for name in Picture.__dataclass_fields__:
            assert np.array_equal(getattr(found, name), getattr(one, name)), name
    assert one.grey == (kind == "grey")
    assert (one.alpha is not None) == (kind in ("with a hole", "palette"))


@pytest.mark.parametrize("kind", DOORS)
def test_the_completer_makes_no_difference_between_them_either(kind: str, tmp_path: Path) -> None:
    image, form, options = DOORS[kind]
    image.resize((64, 48)).save(tmp_path / "a", form, **options)
    completer = Completer.from_pretrained()
    results = [
        completer(one, (2, 3, 9, 8)).image
        for one in (tmp_path / "a", (tmp_path / "a").read_bytes(), Image.open(tmp_path / "a"))
    ]
    assert all(np.array_equal(results[0], one) for one in results)


@pytest.mark.parametrize(("form", "word"), [("GIF", "frames"), ("WEBP", "frames"), ("PNG", "frames"), ("TIFF", "pages")])
def test_more_than_one_frame_or_page_is_noted(form: str, word: str) -> None:
    file = io.BytesIO()
    frames = [Image.fromarray(np.roll(COLOURS, i, axis=0)) for i in range(3)]
    frames[0].save(file, form, save_all=True, append_images=frames[1:])
    assert any(f"the first of 3 {word}" in note for note in read_picture(file.getvalue()).notes)


def png(*extra: tuple[bytes, bytes]) -> bytes:
    """A PNG of COLOURS with chunks, of a kind and its data, after its header."""
    file = io.BytesIO()
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "kept")
    Image.fromarray(COLOURS).save(file, "PNG", pnginfo=text)
    whole = file.getvalue()
    chunks = b"".join(
        len(data).to_bytes(4, "big") + kind + data + (zlib.crc32(kind + data) if kind != b"pHYs" else 0).to_bytes(4, "big")
        for kind, data in extra
    )
    return whole[:33] + chunks + whole[33:]


LARGE = zlib.compress(b" " * (2 << 20))
EXTRAS = {
    "compressed text": png((b"zTXt", b"note\0\0" + LARGE)),
    "compressed XMP": png((b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LARGE)),
    "a profile": png((b"iCCP", b"large\0\0" + zlib.compress(SRGB + bytes(2 << 20)))),
    "a checksum that is wrong": png((b"pHYs", b"\0\0\x0b\xb8\0\0\x0b\xb8\1")),
}


@pytest.mark.parametrize("kind", EXTRAS)
def test_a_png_is_read_whatever_lies_beside_its_pixels_as_opencv_reads_it(kind: str) -> None:
    found = read_picture(EXTRAS[kind])
    np.testing.assert_array_equal(found.pixels, cv2.imdecode(np.frombuffer(EXTRAS[kind], np.uint8), 1)[..., ::-1])
    kinds = {"compressed text": "zTXt", "compressed XMP": "iTXt", "a profile": "iCCP", "a checksum that is wrong": "pHYs"}
    assert f"its {kinds[kind]} could not be read and was left out" in found.notes
    assert found.text == (("Title", "kept"),)  # of all else nothing is lost


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("cut", [1, 2, 20, 200])
def test_a_jpeg_that_lacks_its_last_bytes_is_read_with_a_note(cut: int, progressive: bool) -> None:
    file = io.BytesIO()
    Image.fromarray(data.coffee()).save(file, "JPEG", quality=90, progressive=progressive)
    whole, part = read_picture(file.getvalue()), read_picture(file.getvalue()[:-cut])
    assert any("last bytes are missing" in note for note in part.notes)
    np.testing.assert_array_equal(part.pixels[:360], whole.pixels[:360])  # of 400
    with pytest.raises(PixelRNNError, match="damaged"):
        read_picture(file.getvalue()[: len(file.getvalue()) // 2])


@pytest.mark.parametrize("suffix", WRITERS)
def test_what_a_format_cannot_hold_is_noted_and_all_else_is_kept(suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271] = "ACME"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "a room")
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    image = Image.fromarray(np.dstack([COLOURS, HOLE]))
    image.save(tmp_path / "a.png", exif=exif, pnginfo=text, icc_profile=SRGB, dpi=(300, 300))
    picture = read_picture(tmp_path / "a.png")
    notes = " ".join(write_image(tmp_path / f"b{suffix}", picture.pixels, picture))
    found = read_picture(tmp_path / f"b{suffix}")
    kept = {
        "transparency": found.alpha is not None and np.array_equal(found.alpha, HOLE),
        "colour profile": found.icc == SRGB,
        "EXIF": b"ACME" in (found.exif or b""),
        "XMP": found.xmp is not None and b"xmpmeta" in found.xmp,
        "resolution": found.dpi is not None and abs(found.dpi[0] - 300) < 1,
        "text": ("Comment", "a room") in found.text,
    }
    for what, there in kept.items():
        assert there != (what in notes), f"{what}: {notes}"
    lossy = suffix in (".jpg", ".jpeg", ".jfif", ".avif")
    assert ("changes known pixels" in notes) == lossy
    assert np.array_equal(found.pixels, picture.pixels) != lossy


def test_larger_pictures_are_read_where_that_is_allowed() -> None:
    file = io.BytesIO()
    Image.new("RGB", (300, 200)).save(file, "PNG")
    with pytest.raises(
        PixelRNNError, match=r"300 x 200 pixels, at most 0.05 megapixels are read. Allow more with --max-megapixels"
    ):
        read_picture(file.getvalue(), 50_000)
    assert read_picture(file.getvalue(), 60_000).pixels.shape == (200, 300, 3)
