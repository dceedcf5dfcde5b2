"""The edge of a detected occlusion: where its paint ends."""

import io

import numpy as np
import pytest
from PIL import Image

from pixelrnn.data.synthetic import render_bedroom
from pixelrnn.image import dilate
from pixelrnn.inference.paint import refine_mask


@pytest.fixture(scope="module")
def room():
    return render_bedroom(np.random.default_rng(3), 128)


@pytest.fixture
def disc():
    y, x = np.mgrid[:128, :128]
    return (y - 60) ** 2 + (x - 70) ** 2 <= 25**2


def compressed(picture: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=85)
    return np.asarray(Image.open(file))


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


STRIPES = np.where((np.arange(128) // 6 % 2)[None, :, None] == 0, np.uint8([250, 240, 10]), np.uint8([10, 60, 90]))


@pytest.mark.parametrize("paint", [np.uint8([0, 0, 0]), np.uint8([31, 200, 90]), STRIPES], ids=["black", "green", "stripes"])
@pytest.mark.parametrize("off", [-2, 2])
def test_paint_of_one_exact_colour_is_found_to_the_pixel(room, disc, paint, off):
    seen = dilate(disc, off) if off > 0 else ~dilate(~disc, -off)
    found = refine_mask(np.where(disc[..., None], paint, room), seen)
    assert iou(found.mask, disc) > 0.995  # a pixel of the room may have the very colour
    np.testing.assert_array_equal(found.tinted, found.mask)


@pytest.mark.parametrize("off", [-2, 3])
def test_black_paint_is_found_after_compression(room, disc, off):
    seen = dilate(disc, off) if off > 0 else ~dilate(~disc, -off)
    found = refine_mask(compressed(np.where(disc[..., None], np.uint8(0), room)), seen)
    assert iou(found.mask, disc) > 0.95 > iou(seen, disc)
    np.testing.assert_array_equal(found.tinted, found.mask)


def test_pixels_near_compressed_red_paint_that_it_tinted_are_found(room, disc):
    occluded = compressed(np.where(disc[..., None], np.uint8([220, 20, 20]), room))
    found = refine_mask(occluded, dilate(disc, 2))
    error = np.abs(occluded.astype(int) - room).max(axis=2)
    assert error[found.tinted & ~disc].mean() > 3 * error[~found.tinted].mean()
    assert not (found.tinted & ~dilate(found.mask, 2)).any()
    left = dilate(disc, 1) & ~found.tinted
    assert error[left].mean() < 0.6 * error[found.tinted & ~disc].mean()
    clean = refine_mask(np.where(disc[..., None], np.uint8([220, 20, 20]), room), dilate(disc, 2))
    np.testing.assert_array_equal(clean.tinted, clean.mask)


def test_a_gradient_has_no_exact_colour_but_an_edge(room, disc):
    gradient = np.linspace([20, 30, 200], [90, 60, 250], 128).astype(np.uint8)[None]
    found = refine_mask(np.where(disc[..., None], gradient, room), dilate(disc, 3))
    assert iou(found.mask, disc) > 0.97 > iou(dilate(disc, 3), disc)


@pytest.mark.parametrize("off", [-2, 3])
def test_noise_ends_where_the_picture_is_less_rough_after_compression_too(room, disc, off):
    noise = np.random.default_rng(0).integers(0, 256, room.shape, dtype=np.uint8)
    seen = dilate(disc, off) if off > 0 else ~dilate(~disc, -off)
    for occluded in (np.where(disc[..., None], noise, room), compressed(np.where(disc[..., None], noise, room))):
        found = refine_mask(occluded, seen)
        assert iou(found.mask, disc) > 0.93 > iou(seen, disc)


def test_another_picture_and_specks_have_nothing_to_go_by(room, disc):
    assert refine_mask(np.where(disc[..., None], room[::-1, ::-1], room), disc) is None
    assert refine_mask(room, np.zeros_like(disc)) is None
