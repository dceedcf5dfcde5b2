"""Masks as people have them: read as they were meant, or refused with what they hold."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from pixelrnn import PixelRNNError
from pixelrnn.data.synthetic import render_bedroom
from pixelrnn.masks import as_mask, read_mask

MEANT = np.zeros((60, 80), bool)
MEANT[20:40, 30:60] = True
INK = MEANT * np.uint8(255)
NONE = np.zeros_like(INK)
ROOM = render_bedroom(np.random.default_rng(3), 80)[:60]
SOFT = Image.fromarray(INK).filter(ImageFilter.GaussianBlur(1.2))


def palette(*colours: int) -> Image.Image:
    picture = Image.fromarray(MEANT.astype(np.uint8), "P")
    picture.putpalette(colours)
    return picture


def over(colour: tuple[int, int, int], alpha: np.ndarray) -> np.ndarray:
    return np.dstack([np.broadcast_to(np.uint8(colour), (60, 80, 3)), alpha])


READ = {
    "white on black": INK,
    "bits": Image.fromarray(MEANT),
    "in colour": np.dstack([INK] * 3),
    "with an alpha channel that is opaque": np.dstack([INK, INK, INK, NONE + 255]),
    "grey with an opaque alpha": Image.fromarray(np.dstack([INK, NONE + 255])),
    "0 and 1": MEANT.astype(np.uint8),
    "16 bits, 0 and 1": MEANT.astype(np.uint16),
    "16 bits, 0 and 255": MEANT.astype(np.uint16) * 255,
    "16 bits, all of them": MEANT.astype(np.uint16) * 65535,
    "palette of black and white": palette(0, 0, 0, 255, 255, 255),
    "palette of black and red, as in VOC": palette(0, 0, 0, 128, 0, 0),
    "soft edges": SOFT,
    "white strokes on a transparent ground": over((255, 255, 255), INK),
    "black strokes on a transparent ground": over((0, 0, 0), INK),
    "red strokes on a transparent ground": over((230, 20, 20), INK),
    "white strokes, black and transparent ground": np.dstack([INK, INK, INK, INK]),
    "soft strokes on a transparent ground": over((255, 255, 255), np.asarray(SOFT)),
    "grey and alpha": Image.fromarray(np.dstack([NONE + 255, INK])),
}
REFUSED = {
    "red on black": (np.dstack([INK, NONE, NONE]), r"colours \(0, 0, 0\), \(255, 0, 0\)"),
    "grey 100 on black": (MEANT * np.uint8(100), "holds 0, 100"),
    "one grey": (NONE + 128, "holds 128"),
    "16 bits, 0 and 900": (MEANT.astype(np.uint16) * 900, "holds 0, 900"),
    "a photograph": (ROOM, "colours"),
    "a grey photograph": (Image.fromarray(ROOM).convert("L"), "others"),
    "a photograph with a hole": (np.dstack([ROOM, 255 - INK]), "alpha"),
    "an alpha channel of something else": (np.dstack([INK, INK, INK, np.where(MEANT, 255, 130).astype(np.uint8)]), "alpha"),
    "strokes of two colours on a transparent ground": (
        np.dstack([np.where(np.arange(80) < 45, 255, INK[0, 0])[None].repeat(60, 0).astype(np.uint8), NONE, NONE, INK]),
        "alpha",
    ),
}


def encoded(mask: object, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    (mask if isinstance(mask, Image.Image) else Image.fromarray(mask)).save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", READ)
def test_a_mask_is_read_as_it_was_meant(kind: str, tmp_path: Path) -> None:
    found = read_mask(encoded(READ[kind]))
    assert (found != MEANT).sum() <= (4 if "soft" in kind else 0)  # corners that are rounded
    (tmp_path / "mask.png").write_bytes(encoded(READ[kind]))
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), found)
    np.testing.assert_array_equal(read_mask(Image.open(io.BytesIO(encoded(READ[kind])))), found)
    np.testing.assert_array_equal(read_mask(encoded(READ[kind]), invert=True), ~found)


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("soft", [False, True])
def test_a_jpeg_of_a_mask_is_read_to_its_edge(quality: int, soft: bool) -> None:
    for mask in (SOFT if soft else Image.fromarray(INK), (SOFT if soft else Image.fromarray(INK)).convert("RGB")):
        wrong = read_mask(encoded(mask, "JPEG", quality=quality)) != MEANT
        assert wrong.sum() <= 12  # of an outline of 100 pixels


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_told_is_refused_with_what_it_holds(kind: str, tmp_path: Path) -> None:
    mask, said = REFUSED[kind]
    (tmp_path / "mask.png").write_bytes(encoded(mask))
    with pytest.raises(PixelRNNError, match=rf"mask\.png: [^\n]*{said}[^\n]*$"):
        read_mask(tmp_path / "mask.png")


def test_nothing_and_everything_are_masks_too() -> None:
    assert not read_mask(encoded(NONE)).any()
    assert read_mask(encoded(NONE + 255)).all()
    assert not read_mask(encoded(np.dstack([NONE] * 4))).any()  # an empty layer


def test_thin_strokes_of_a_brush_are_read_whole() -> None:
    canvas = Image.new("RGBA", (320, 240))
    ImageDraw.Draw(canvas).line([(10, 10), (200, 120), (300, 30)], fill=(255, 0, 120, 255), width=3)
    assert read_mask(canvas).sum() == (np.asarray(canvas)[..., 3] > 127).sum()


@pytest.mark.parametrize("scale", [0.5, 2, 3])
def test_a_mask_of_another_size_is_refused_unless_it_is_to_be_resized(scale: float) -> None:
    shape = int(60 * scale), int(80 * scale)
    with pytest.raises(PixelRNNError, match=f"the mask is 80 x 60, the picture {shape[1]} x {shape[0]}.*--resize-mask"):
        as_mask(MEANT, shape)
    found = as_mask(MEANT, shape, resize=True)
    assert found.shape == shape
    y, x = (
        np.minimum((np.arange(side) / scale).astype(int), limit - 1) for side, limit in zip(shape, MEANT.shape, strict=True)
    )
    assert (found != MEANT[np.ix_(y, x)]).sum() <= 2 * sum(shape)


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ((0, 0, 9), "four whole numbers"),
        ((0.0, 0.0, 9.0, 9.0), "four whole numbers"),
        (["a", 0, 1, 1], "four whole numbers"),
        ((0, 0, 0, 9), "does not lie in"),
        ((-1, 0, 5, 5), "does not lie in"),
        ((79, 59, 2, 1), "does not lie in"),
        (7, "got int"),
        ({"x": 1}, "got dict"),
        (np.zeros((60, 80, 3, 1)), "bool"),
        (np.zeros((60, 80), np.float32), "bool"),
    ],
    ids=str,
)
def test_a_bad_box_or_array_is_refused_with_what_was_expected(box: object, said: str) -> None:
    with pytest.raises(PixelRNNError, match=said):
        as_mask(box, (60, 80))


def test_a_box_may_be_a_list_or_of_numpys_numbers() -> None:
    for box in ([30, 20, 30, 20], (30, 20, 30, 20), tuple(np.int64([30, 20, 30, 20]))):
        np.testing.assert_array_equal(as_mask(box, (60, 80)), MEANT)
    np.testing.assert_array_equal(as_mask(MEANT.astype(np.uint8) * 255, (60, 80)), MEANT)
    np.testing.assert_array_equal(as_mask(MEANT, (60, 80), invert=True), ~MEANT)
