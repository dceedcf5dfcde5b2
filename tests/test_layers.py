"""The smooth fill that the default network starts from, and convolutions done in another way."""

import pytest
import torch

from pixelrnn.evaluation.metrics import psnr
from pixelrnn.models import create_model
from pixelrnn.models.layers import pull_push


def hole(height, width, share=0.4):
    mask = torch.zeros(1, 1, height, width)
    mask[..., height // 4 : height // 4 + max(1, int(height * share)), width // 3 : width // 3 + max(1, int(width * share))] = 1
    return mask


@pytest.mark.parametrize("size", [(1, 2), (5, 3), (16, 16), (33, 70), (128, 128), (300, 20)])
def test_known_pixels_stay_and_missing_ones_lie_between_the_known_colours(size):
    image, mask = torch.rand(1, 3, *size) * 0.5 + 0.25, hole(*size)
    filled = pull_push(image, mask)
    torch.testing.assert_close(filled * (1 - mask), image * (1 - mask))
    known = image[(mask == 0).expand_as(image)].view(3, -1)
    for channel in range(3):
        missing = filled[0, channel][mask[0, 0] == 1]
        assert missing.min() >= known[channel].min() - 1e-3
        assert missing.max() <= known[channel].max() + 1e-3


def test_what_is_under_the_mask_changes_nothing():
    image, mask = torch.rand(1, 3, 40, 50), hole(40, 50)
    assert torch.equal(pull_push(image, mask), pull_push(torch.where(mask == 1, 1 - image, image), mask))


def test_a_single_known_pixel_colours_everything_and_none_gives_grey():
    image, mask = torch.rand(1, 3, 64, 48), torch.ones(1, 1, 64, 48)
    torch.testing.assert_close(pull_push(image, mask), torch.full_like(image, 0.5))
    mask[..., 20, 30] = 0
    expected = image[..., 20:21, 30:31].expand_as(image)
    torch.testing.assert_close(pull_push(image, mask), expected, atol=0.02, rtol=0)


def test_a_gradient_is_continued_far_better_than_by_its_mean():
    rows = torch.linspace(0, 1, 128)[:, None].expand(128, 128)
    image, mask = rows.expand(1, 3, 128, 128).contiguous(), hole(128, 128)
    mean = torch.full_like(image, float(image[(mask == 0).expand_as(image)].mean()))
    assert psnr(pull_push(image, mask), image, mask) > psnr(mean, image, mask) + 6


def test_an_untrained_default_network_nearly_returns_the_smooth_fill():
    torch.manual_seed(0)
    image, mask = torch.rand(1, 3, 64, 64), hole(64, 64)
    model = create_model("optimized_pixelrnn").eval()
    with torch.inference_mode():
        torch.testing.assert_close(model(image, mask).image, pull_push(image, mask).clamp(0, 1), atol=0.1, rtol=0)
