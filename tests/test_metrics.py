"""SSIM, PSNR and gradient magnitude similarity against scikit-image and SciPy, sharpness against plain loops."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pixelrnn.evaluation.metrics import border_step, gms, gradient_energy, psnr, split_error, ssim, ssim_map

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


def test_the_map_of_ssim_is_that_of_scikit_image_without_its_border() -> None:
    x, y = pictures(30, 24)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1, "channel_axis": 0}
    expected = [structural_similarity(a, b, full=True, **options)[1][:, 5:-5, 5:-5] for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(ssim_map(torch.from_numpy(x), torch.from_numpy(y)), expected, atol=1e-6)


def gms_by_scipy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The map (H, W) of two pictures (3, H, W); SciPy's Prewitt filter is three times the paper's."""

    def magnitude(picture: np.ndarray) -> np.ndarray:
        luma = 0.299 * picture[0] + 0.587 * picture[1] + 0.114 * picture[2]
        return np.hypot(*(ndimage.prewitt(luma, axis, mode="nearest") / 3 for axis in (0, 1)))

    a, b = magnitude(x), magnitude(y)
    return (2 * a * b + 0.0026) / (a * a + b * b + 0.0026)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 30), (37, 23)])
def test_gradient_magnitude_similarity_matches_scipy(height: int, width: int, dtype: torch.dtype) -> None:
    x, y = pictures(height, width)
    mask = np.random.default_rng(1).random((2, 1, height, width)) < 0.4
    mask[:, 0, 0, 0] = True
    maps = np.stack([gms_by_scipy(a, b) for a, b in zip(x, y, strict=True)])
    first, second = (torch.from_numpy(a).to(dtype) for a in (x, y))
    assert gms(first, second).numpy() == pytest.approx(maps.mean(axis=(1, 2)), abs=TOLERANCE[dtype])
    masked = [one[missing[0]].mean() for one, missing in zip(maps, mask, strict=True)]
    assert gms(first, second, torch.from_numpy(mask)).numpy() == pytest.approx(np.array(masked), abs=TOLERANCE[dtype])


def test_gradient_magnitude_similarity_is_one_for_equal_images() -> None:
    x = pictures(40, 40)[0]
    soft, softer = (torch.from_numpy(ndimage.gaussian_filter(x, (0, 0, sigma, sigma))) for sigma in (0.5, 2))
    sharp = torch.from_numpy(x)
    assert gms(sharp, sharp).tolist() == pytest.approx([1, 1])
    assert (gms(sharp, softer) < gms(sharp, soft)).all()
    assert gms(sharp, soft, torch.zeros(2, 1, 40, 40)).isnan().all()


def sharpness_by_loops(picture: np.ndarray, missing: np.ndarray) -> tuple[float, float]:
    """Gradient energy and border step of one picture (3, H, W), `missing` bool (H, W), pixel by pixel."""
    inside, across = [], []
    height, width = missing.shape
    for y in range(height):
        for x in range(width):
            for below, right in ((y + 1, x), (y, x + 1)):
                if below < height and right < width:
                    red, green, blue = picture[:, below, right] - picture[:, y, x]
                    if missing[y, x] and missing[below, right]:
                        inside.append((0.299 * red + 0.587 * green + 0.114 * blue) ** 2)
                    elif missing[y, x] or missing[below, right]:
                        across.append((abs(red) + abs(green) + abs(blue)) / 3)
    return tuple(float(np.mean(values)) if values else np.nan for values in (inside, across))


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("kind", [bool, float])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 30), (21, 1), (37, 23)])
def test_gradient_energy_and_border_step_match_plain_loops(height: int, width: int, kind: type, dtype: torch.dtype) -> None:
    x = pictures(height, width)[0]
    mask = np.random.default_rng(2).random((2, 1, height, width)) < 0.6
    expected = np.array([sharpness_by_loops(one, missing[0]) for one, missing in zip(x, mask, strict=True)])
    image, missing = torch.from_numpy(x).to(dtype), torch.from_numpy(mask.astype(kind))
    for measure, values in zip((gradient_energy, border_step), expected.T, strict=True):
        found = measure(image, missing)
        assert found.dtype == dtype
        assert found.numpy() == pytest.approx(values, rel=TOLERANCE[dtype], nan_ok=True)


def test_gradient_energy_falls_with_blur_and_depends_on_the_hole_alone() -> None:
    x = pictures(40, 40)[0]
    sharp, soft = torch.from_numpy(x), torch.from_numpy(ndimage.gaussian_filter(x, (0, 0, 1, 1)))
    mask = torch.zeros(2, 1, 40, 40)
    mask[..., 10:30, 10:30] = 1
    assert (gradient_energy(soft, mask) < gradient_energy(sharp, mask) / 4).all()
    hole = sharp * mask + 0.5 * (1 - mask)
    assert gradient_energy(hole, mask).tolist() == pytest.approx(gradient_energy(sharp, mask).tolist())
    assert border_step(torch.where(mask > 0, 0.75, 0.25).expand(-1, 3, -1, -1), mask).tolist() == pytest.approx([0.5, 0.5])
    for measure, nothing in ((gradient_energy, mask * 0), (border_step, mask * 0), (border_step, mask * 0 + 1)):
        assert measure(sharp, nothing).isnan().all()


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (9, 50), (64, 48)])
def test_an_error_is_split_into_structure_and_texture_as_scipy_splits_it(height, width, dtype: torch.dtype) -> None:
    x, y = pictures(height, width)
    mask = np.random.default_rng(1).random((2, 1, height, width)) < 0.4
    mask[:, 0, 0, 0] = True
    error = (x - y) * mask
    blurred = np.stack([ndimage.gaussian_filter(one, (0, 4, 4), mode="nearest", truncate=4) for one in error])
    found = split_error(torch.from_numpy(error).to(dtype), torch.from_numpy(mask))
    for part, values in zip((blurred, error - blurred), found, strict=True):
        expected = [np.sqrt(np.mean(one[:, missing[0]] ** 2)) for one, missing in zip(part, mask, strict=True)]
        assert values.numpy() == pytest.approx(np.array(expected), abs=TOLERANCE[dtype])


def test_a_shift_of_a_whole_region_is_structure_and_noise_is_texture() -> None:
    mask = torch.zeros(1, 1, 96, 96)
    mask[..., 16:80, 16:80] = 1
    noise = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    structure, texture = split_error(10 * mask.expand(-1, 3, -1, -1), mask)
    assert structure.item() > 4 * texture.item()
    structure, texture = split_error(10 * noise * mask, mask)
    assert texture.item() > 4 * structure.item()
    assert all(part.isnan().all() for part in split_error(noise, torch.zeros(1, 1, 96, 96)))
