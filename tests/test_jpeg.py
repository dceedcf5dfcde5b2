"""JPEG on tensors, against Pillow's."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import draw_room
from pixelrnn.data.jpeg import compress
from pixelrnn.data.synthetic import render_bedroom


def by_pillow(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(file))


def pictures(height: int, width: int) -> np.ndarray:
    """A drawn room and a rendered one, each with a black square, uint8 (2, height, width, 3)."""
    rng = np.random.default_rng(0)
    both = np.stack([draw_room(rng, height, width), render_bedroom(rng, 128)[:height, :width]])
    both[:, 20:50, 30:60] = 0
    return both


@pytest.mark.parametrize("size", [(128, 128), (61, 75)], ids=str)
@pytest.mark.parametrize("quality", [10, 50, 60, 75, 90, 95])
def test_compress_matches_the_jpeg_of_pillow_to_two_grey_levels_on_average(size: tuple[int, int], quality: int) -> None:
    given = pictures(*size)
    found = compress(torch.from_numpy(given / 255).permute(0, 3, 1, 2), torch.full((2,), float(quality)))
    found = (255 * found).round().permute(0, 2, 3, 1).numpy()
    for ours, before in zip(found, given, strict=True):
        theirs = by_pillow(before, quality).astype(float)
        off, lost = np.abs(ours - theirs).mean(), np.abs(before - theirs).mean()
        assert off < 2
        assert off < 0.35 * lost + 0.3, "as far from Pillow's as the loss itself"


def test_each_picture_of_a_batch_has_its_own_quality() -> None:
    given = torch.from_numpy(pictures(64, 64) / 255).permute(0, 3, 1, 2).float()
    both = compress(given, torch.tensor([20.0, 95.0]))
    for i, quality in enumerate((20.0, 95.0)):
        assert torch.equal(both[i : i + 1], compress(given[i : i + 1], torch.tensor([quality])))
    lost = (both - given).abs().mean(dim=(1, 2, 3))
    assert lost[0] > 2 * lost[1]


def test_a_flat_grey_picture_and_sizes_of_one_pixel_come_back_as_they_were() -> None:
    for size in ((1, 1), (17, 3), (32, 32)):
        flat = torch.full((1, 3, *size), 128 / 255)
        torch.testing.assert_close(compress(flat, torch.tensor([75.0])), flat)
