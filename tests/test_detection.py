"""What is painted over a photograph is found, at every size, and what is not painted over is left alone."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from pixelrnn import Completer, PixelRNNError
from pixelrnn.data.occluders import jpeg
from pixelrnn.image import dilate, to_float
from pixelrnn.inference import evidence as evident
from pixelrnn.inference.detection import LEVELS, detect
from pixelrnn.inference.evidence import evidence, reduced
from pixelrnn.models.base import evidence as torch_evidence

SIDES = 256, 600, 1000, 1600
PAINTS = {"white": 255, "black": 0, "red": (220, 30, 30), "grey": 128, "beige": (222, 207, 180), "noise": None}


@pytest.fixture(scope="module")
def completer():
    return Completer.from_pretrained()


def photograph(side: int) -> np.ndarray:
    """A real one, of a cat, of that long side; with grain, as a camera gives."""
    image = Image.fromarray(data.chelsea())
    pixels = np.asarray(image.resize((side, side * 2 // 3), Image.Resampling.LANCZOS))
    grain = np.random.default_rng(0).normal(0, 1.5, (*pixels.shape[:2], 1))
    return np.clip(np.rint(pixels + grain), 0, 255).astype(np.uint8)


def boxed(picture: np.ndarray, paint: str) -> tuple[np.ndarray, np.ndarray]:
    """With a box over an eighth of it."""
    height, width = picture.shape[:2]
    mask = np.zeros((height, width), bool)
    mask[height // 3 : height * 2 // 3, width * 11 // 20 : width * 11 // 20 + width * 3 // 8] = True
    noise = np.random.default_rng(1).integers(0, 256, picture.shape)
    fill = noise if PAINTS[paint] is None else np.broadcast_to(PAINTS[paint], picture.shape)
    return np.where(mask[..., None], fill, picture).astype(np.uint8), mask


# what the network is told


def test_evidence_is_that_of_the_network_where_nothing_is_reduced() -> None:
    picture = jpeg(photograph(150), 85)
    picture[20:50, 30:60] = 7
    height, width = picture.shape[:2]
    expected = torch_evidence(torch.from_numpy(to_float(picture))[None])[0].numpy()
    np.testing.assert_allclose(evidence(picture, width, height), expected, rtol=0, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_evidence_of_a_reduced_picture_is_pooled_from_its_own_pixels(factor: int) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (12 * factor, 20 * factor, 3), dtype=np.uint8)
    picture[: 6 * factor, : 10 * factor] = 90
    whole = torch_evidence(torch.from_numpy(to_float(picture))[None])[0].numpy()
    cells = whole.reshape(4, 12, factor, 20, factor)
    expected = [cells[i].mean(axis=(1, 3)) if i in (0, 2) else cells[i].max(axis=(1, 3)) for i in range(4)]
    found = evidence(picture, 20, 12)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2.5 / 255)
    assert (found[2, :5, :9] == 1).all()
    assert found[2, 7:].mean() < 0.05


def test_evidence_taken_in_strips_is_that_of_the_whole(monkeypatch) -> None:
    picture = photograph(600)
    whole = [evidence(picture, picture.shape[1] // factor, picture.shape[0] // factor) for factor in (1, 3)]
    monkeypatch.setattr(evident, "STRIP", 600 * 30)
    for factor, expected in zip((1, 3), whole, strict=True):
        np.testing.assert_array_equal(evidence(picture, picture.shape[1] // factor, picture.shape[0] // factor), expected)


def test_noise_that_is_gone_once_reduced_is_still_evident() -> None:
    picture, mask = boxed(photograph(1600), "noise")
    small = reduced(picture, 400, 266)
    seen = evidence(picture, 400, 266)[0]
    inside = np.asarray(Image.fromarray(mask).resize((400, 266)))
    assert small[inside].std() < small[~inside].std()  # not noisier than the photograph any more
    assert (seen[inside] > np.quantile(seen[~inside], 0.99)).mean() > 0.95


# what is found


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("paint", PAINTS)
def test_a_box_is_found_in_any_paint_at_any_size_and_nothing_beside_it(completer, side: int, paint: str) -> None:
    painted, mask = boxed(photograph(side), paint)
    for picture in (painted, jpeg(painted, 85)):
        found = completer.detect(picture)
        assert found.mask[mask].mean() > (0.95 if paint == "noise" else 0.97)
        assert found.tinted[~dilate(mask, 3)].mean() < 0.001
        assert len(found.kept) == 1


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", ["chelsea", "rocket"])
def test_an_untouched_photograph_is_left_alone(completer, name: str, side: int) -> None:
    image = Image.fromarray(getattr(data, name)())
    scale = side / max(image.size)
    picture = np.asarray(image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC))
    for given in (picture, jpeg(picture, 80)):
        assert completer.detect(given).tinted.mean() < 0.0005


@pytest.mark.parametrize("side", [1000, 1600])  # smaller writing is often missed
@pytest.mark.parametrize("opacity", [1.0, 0.7])
def test_a_date_is_found(completer, side: int, opacity: float) -> None:
    picture = photograph(side)
    cover = Image.new("L", picture.shape[1::-1])
    font = ImageFont.load_default(round(0.07 * picture.shape[0]))
    ImageDraw.Draw(cover).text((0.55 * side, 0.55 * side), "14.07.2019", fill=255, font=font)
    alpha = opacity * np.asarray(cover)[..., None] / 255
    found = completer.detect(jpeg(np.rint(picture + alpha * (np.array([255, 140, 0]) - picture)).astype(np.uint8), 90))
    assert found.tinted[alpha[..., 0] > 0.5].mean() > 0.6


@pytest.mark.parametrize("paint", [0, 255])
@pytest.mark.parametrize("kind", ["letterbox", "frame", "rotated"])
def test_what_runs_along_the_border_is_found_whole_or_not_at_all(completer, kind: str, paint: int) -> None:
    inner = photograph(600)
    if kind == "rotated":
        opened = Image.fromarray(inner).convert("RGBA").rotate(6, expand=True)
        border = np.asarray(opened)[..., 3] == 0
        picture = np.where(border[..., None], paint, np.asarray(opened)[..., :3]).astype(np.uint8)
    else:
        pads = [(50, 50), (0, 0) if kind == "letterbox" else (50, 50), (0, 0)]
        picture = np.pad(inner, pads, constant_values=paint)
        border = np.pad(np.zeros(inner.shape[:2], bool), pads[:2], constant_values=True)
    found = completer.detect(picture)
    assert found.mask[border].mean() > 0.97 or not found.mask.any()
    assert found.mask[~dilate(border, 3)].mean() < 0.001


# what is no photograph


def screenshot() -> Image.Image:
    image = Image.new("RGB", (900, 600), "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, 900, 60), fill=(40, 60, 90))
    pen.rectangle((0, 60, 200, 600), fill=(230, 232, 236))
    for row in range(80, 560, 40):
        pen.text(
            (220, row), "The quick brown fox jumps over the lazy dog. " * 2, fill=(20, 20, 20), font=ImageFont.load_default(18)
        )
        pen.rounded_rectangle((20, row, 180, row + 30), 6, fill=(250, 250, 250), outline=(180, 180, 180))
    return image


def drawing() -> Image.Image:
    image = Image.new("RGB", (640, 480), (250, 248, 240))
    pen = ImageDraw.Draw(image)
    pen.polygon((100, 300, 320, 120, 540, 300), fill=(180, 40, 30))
    pen.rectangle((140, 300, 500, 460), fill=(240, 220, 160), outline="black", width=3)
    pen.rectangle((280, 360, 350, 460), fill=(90, 60, 30))
    pen.ellipse((520, 40, 600, 120), fill=(255, 220, 0))
    return image


def of_colours(*colours: tuple[int, int, int]) -> Image.Image:
    image = Image.new("RGB", (400, 300))
    for number, one in enumerate(colours):
        image.paste(one, (400 * number // len(colours), 0, 400, 300))
    return image


OTHERS = {
    "one colour": lambda: of_colours((90, 120, 200)),
    "white": lambda: of_colours((255, 255, 255)),
    "black": lambda: of_colours((0, 0, 0)),
    "two colours": lambda: of_colours((90, 120, 200), (240, 200, 10)),
    "scanned writing": lambda: Image.fromarray(data.text()),
    "black and white": lambda: Image.fromarray(np.where(data.coffee().mean(axis=2) > 110, 255, 0).astype(np.uint8)),
    "chessboard": lambda: Image.fromarray(data.checkerboard()),
    "drawing": drawing,
    "screenshot": screenshot,
    "16 colours": lambda: Image.fromarray(data.coffee()).quantize(16),
    "16 colours, no dither": lambda: Image.fromarray(data.coffee()).quantize(16, dither=Image.Dither.NONE),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_photograph_gives_no_alarm(completer, kind: str) -> None:
    assert completer.detect(np.asarray(OTHERS[kind]().convert("RGB"))).tinted.mean() < 0.01


def test_a_photograph_with_transparent_parts_is_completed_there_alone(completer, tmp_path) -> None:
    hidden = np.zeros((400, 600), np.uint8)
    hidden[100:180, 200:330] = 255
    image = Image.fromarray(photograph(600))
    image.putalpha(Image.fromarray(255 - hidden))
    image.save(tmp_path / "a.png")
    result = completer(tmp_path / "a.png")
    np.testing.assert_array_equal(result.mask, hidden == 255)
    assert result.mask_source == "transparent"


# how sure it must be


def test_a_stricter_level_keeps_no_more_and_all_say_how_sure(completer) -> None:
    painted, _ = boxed(photograph(600), "grey")
    found = {level: completer.detect(painted, level) for level in LEVELS}
    kept = [len(found[level].kept) for level in ("strict", "normal", "eager")]
    assert kept == sorted(kept)
    assert kept[1] >= 1
    for one in found.values():
        assert all(0 <= region.confidence <= 1 for region in one.regions)
        assert [region.confidence for region in one.regions] == sorted((r.confidence for r in one.regions), reverse=True)
        assert all(region.mask.shape == region.tinted.shape == region.box.size[::-1] for region in one.regions)
        assert not any((region.mask & ~region.tinted).any() for region in one.regions)
    with pytest.raises(PixelRNNError, match="expected strict, normal, eager"):
        completer.detect(painted, "sloppy")


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (700, 2), (3, 5), (769, 31)], ids=str)
def test_a_picture_of_any_shape_is_looked_at(completer, shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = completer.detect(picture)
    assert found.mask.shape == found.tinted.shape == shape


def test_two_things_far_apart_are_two_regions_and_one_word_is_one() -> None:
    seen = np.full((200, 300), -5, np.float32)
    seen[20:50, 20:60] = 8
    for left in range(150, 250, 12):  # letters
        seen[120:140, left : left + 6] = 8
    found = detect(
        lambda image, evidence: seen, np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8), "eager"
    )
    boxes = sorted(tuple(region.box) for region in found.regions)
    assert boxes == [(19, 19, 51, 61), (119, 149, 141, 253)]  # grown by one
    assert sum(region.mask.sum() for region in found.regions) == (seen > 0).sum()
