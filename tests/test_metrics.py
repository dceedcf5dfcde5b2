"""SSIM and PSNR against scikit-image."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pixelrnn.metrics import psnr, ssim

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}


def pictures(height: int, width: int, size: int = 2, channels: int = 3, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Two batches, one the other with noise: shading below, so that variances differ over the picture."""
    rng = np.random.default_rng(height * width)
    x = np.linspace(0, 1, width) * rng.random((size, channels, height, 1)) + rng.normal(
        0, 0.05, (size, channels, height, width)
    )
    return np.clip(x, 0, 1), np.clip(x + rng.normal(0, noise, x.shape), 0, 1)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("noise", [0.01, 0.3])
@pytest.mark.parametrize(("height", "width", "channels"), [(11, 11, 3), (11, 40, 3), (37, 23, 1), (64, 48, 3)])
def test_ssim_matches_scikit_image(height: int, width: int, channels: int, noise: float, dtype: torch.dtype) -> None:
    x, y = pictures(height, width, channels=channels, noise=noise)
    expected = [
        structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=0)
        for a, b in zip(x, y, strict=True)
    ]
    found = ssim(torch.from_numpy(x).to(dtype), torch.from_numpy(y).to(dtype))
    assert found.shape == (2,)
    assert found.numpy() == pytest.approx(np.array(expected), abs=TOLERANCE[dtype])


def test_ssim_is_one_for_equal_pictures_and_the_same_in_either_order() -> None:
    x, y = map(torch.from_numpy, pictures(20, 24))
    assert ssim(x, x).numpy() == pytest.approx(1, abs=1e-12)
    assert ssim(x, y).numpy() == pytest.approx(ssim(y, x).numpy(), abs=1e-12)


@pytest.mark.parametrize(
    ("x", "y"), [((1, 3, 10, 40), (1, 3, 10, 40)), ((1, 3, 40, 1), (1, 3, 40, 1)), ((1, 3, 16, 16), (1, 3, 16, 17))]
)
def test_ssim_refuses_small_and_different_pictures(x, y) -> None:
    with pytest.raises(ValueError, match=r"at least 11 x 11; got \(1, 3"):
        ssim(torch.zeros(x), torch.zeros(y))


def test_the_gradient_of_ssim_is_that_of_finite_differences() -> None:
    x, y = (torch.from_numpy(a).requires_grad_() for a in pictures(12, 11, size=1, channels=2))
    assert torch.autograd.gradcheck(ssim, (x, y))


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_psnr_matches_scikit_image(dtype: torch.dtype) -> None:
    x, y = pictures(9, 5)
    expected = [peak_signal_noise_ratio(a, b, data_range=1) for a, b in zip(x, y, strict=True)]
    found = psnr(torch.from_numpy(x).to(dtype), torch.from_numpy(y).to(dtype))
    assert found.numpy() == pytest.approx(np.array(expected), rel=TOLERANCE[dtype])


def test_psnr_under_a_mask_is_that_of_the_missing_pixels() -> None:
    x, y = pictures(9, 5)
    mask = np.random.default_rng(0).random((2, 1, 9, 5)) < 0.3
    expected = [peak_signal_noise_ratio(a[:, m[0]], b[:, m[0]], data_range=1) for a, b, m in zip(x, y, mask, strict=True)]
    found = psnr(torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(mask).double())
    assert found.numpy() == pytest.approx(np.array(expected))


def test_psnr_is_finite_for_equal_pictures_and_nan_without_missing_pixels() -> None:
    x = torch.from_numpy(pictures(9, 5)[0])
    assert psnr(x, x).tolist() == pytest.approx([140, 140])
    mask = torch.zeros(2, 1, 9, 5)
    mask[0, 0, 0, 0] = 1
    assert psnr(x, x, mask).isnan().tolist() == [False, True]
