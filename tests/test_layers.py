"""The smooth fill that the default network starts from, and convolutions done in another way."""

import pytest
import torch
from torch.nn import functional as F

from contract import TOLERANCE
from pixelrnn.metrics import psnr
from pixelrnn.models import create_model
from pixelrnn.models.layers import DepthwiseConv2d, pull_push, unshuffled_conv


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


def test_an_untrained_default_network_leaves_the_smooth_fill_nearly_as_it_is():
    torch.manual_seed(0)
    image, mask = torch.rand(1, 3, 64, 64), hole(64, 64)
    model = create_model("optimized_pixelrnn").eval()
    with torch.inference_mode():
        torch.testing.assert_close(model(image, mask).image, pull_push(image, mask).clamp(0, 1), atol=0.1, rtol=0)


@pytest.mark.parametrize(("factor", "side"), [(2, 3), (4, 1), (4, 3)])
def test_an_unshuffled_convolution_is_the_convolution_of_the_unshuffled_picture(factor, side):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 6 * factor, 4 * factor, generator=generator, dtype=torch.float64)
    weight = torch.randn(7, 5 * factor**2, side, side, generator=generator, dtype=torch.float64)
    bias = torch.randn(7, generator=generator, dtype=torch.float64)
    expected = F.conv2d(F.pixel_unshuffle(x, factor), weight, bias, padding=side // 2)
    torch.testing.assert_close(unshuffled_conv(x, weight, bias, factor), expected, **TOLERANCE[torch.float64])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # what torch.compile imports of torch itself
@pytest.mark.parametrize("shape", [(2, 16, 13, 20), (1, 8, 3, 5)], ids=str)
def test_the_compiled_gradients_are_those_of_torch(shape):
    torch.manual_seed(0)
    layer, x = DepthwiseConv2d(shape[1], 7).double(), torch.randn(shape, dtype=torch.float64)
    found = []
    for layer.compiled in (False, True):
        given = x.clone().requires_grad_()
        layer.zero_grad()
        output = layer(given)
        (output * torch.linspace(-1, 1, output.numel(), dtype=torch.float64).view(shape)).sum().backward()
        found.append([output, given.grad, layer.weight.grad, layer.bias.grad])
    for usual, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, usual, rtol=1e-4, atol=1e-4)  # the compiled sums are of float32
