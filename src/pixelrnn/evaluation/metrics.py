"""Image quality: SSIM, PSNR, gradient magnitude similarity, sharpness. Tensors are float (B, C, H, W) in [0, 1]."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch.nn import functional as F

# as PIQ and the SSIM paper have them (Wang et al. 2004, section III-B)
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03
GRADIENT_C = 0.0026  # Xue et al.'s 170, which is for levels up to 255
LUMA = (0.299, 0.587, 0.114)  # of R, G, B; ITU-R BT.601


Function = TypeVar("Function", bound=Callable[..., Any])


def in_float32(function: Function) -> Function:
    """Decorate a function of tensors so that it computes in float32 at least, whatever autocast says.

    In half precision an SSIM exceeds 1. The decorated function raises ValueError for integers, which are no levels in [0, 1].
    """

    @wraps(function)
    def computed(*given: Any, **named: Any) -> Any:
        def widened(value: Any) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            if not value.dtype.is_floating_point and value.dtype != torch.bool:
                raise ValueError(f"expected floats in [0, 1], got {value.dtype}. Divide uint8 by 255 first.")
            return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value

        device = next((value.device.type for value in (*given, *named.values()) if isinstance(value, torch.Tensor)), "cpu")
        with torch.autocast(device, enabled=False):
            return function(*map(widened, given), **{name: widened(value) for name, value in named.items()})

    return cast(Function, computed)


def _blur(image: torch.Tensor) -> torch.Tensor:
    """Take gaussian means over the windows that lie wholly inside the image: (B, C, H, W) to (B, C, H - 10, W - 10)."""
    channels = image.shape[1]
    offsets = torch.arange(WINDOW, dtype=image.dtype, device=image.device) - WINDOW // 2
    kernel = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    kernel = (kernel / kernel.sum()).expand(channels, 1, WINDOW)
    image = F.conv2d(image, kernel[..., None], groups=channels)
    return F.conv2d(image, kernel[..., None, :], groups=channels)


def _luma(image: torch.Tensor) -> torch.Tensor:
    """Convert (B, 3, H, W) to (B, 1, H, W)."""
    return (image * image.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def ssim(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Structural similarity (Wang et al. 2004), one value per image.

    The window is a gaussian of 11 x 11 with sigma 1.5, and only windows inside the image count; covariances are those of the
    population, and channels are averaged. scikit-image calls this `gaussian_weights=True, use_sample_covariance=False`. It is
    PIQ's definition without the downsampling.

    Args:
        x: Images (B, C, H, W) in [0, 1].
        y: Images of the same shape.

    Returns:
        (B,) in [-1, 1].

    Raises:
        ValueError: The shapes differ, or the images are smaller than the window.
    """
    return ssim_map(x, y).mean(dim=(1, 2, 3))


@in_float32
def ssim_map(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Structural similarity per channel and window; `ssim` is its mean.

    Args:
        x: Images (B, C, H, W) in [0, 1].
        y: Images of the same shape.

    Returns:
        (B, C, H - 10, W - 10) in [-1, 1]. The value at (i, j) is that of the window whose centre is the pixel (i + 5, j + 5).

    Raises:
        ValueError: The shapes differ, or the images are smaller than the window.
    """
    if x.shape != y.shape or min(x.shape[-2:]) < WINDOW:
        raise ValueError(
            f"SSIM needs two images of one shape, at least {WINDOW} x {WINDOW}; got {tuple(x.shape)}, {tuple(y.shape)}"
        )
    c1, c2 = K1**2, K2**2
    # one call on the stack of the five moments is faster than five calls
    mean_x, mean_y, xx, yy, xy = _blur(torch.cat([x, y, x * x, y * y, x * y], dim=1)).chunk(5, dim=1)
    product = mean_x * mean_y
    squares = mean_x**2 + mean_y**2
    return (2 * product + c1) * (2 * (xy - product) + c2) / ((squares + c1) * (xx + yy - squares + c2))


@in_float32
def psnr(x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Peak signal-to-noise ratio, one value per image.

    Args:
        x: Images (B, C, H, W) in [0, 1].
        y: Images of the same shape.
        mask: (B, 1, H, W) in {0, 1}: only the pixels where it is 1 count.

    Returns:
        (B,) in dB, at most 140, for equal images; nan for an image whose mask is 0 everywhere.
    """
    error = (x - y) ** 2
    if mask is None:
        mse = error.mean(dim=(1, 2, 3))
    else:
        mse = (error * mask).sum(dim=(1, 2, 3)) / (mask.sum(dim=(1, 2, 3)) * x.shape[1])
    return -10 * torch.log10(mse.clamp_min(1e-14))  # clamped: two equal images score 140 dB, not infinity


@in_float32
def gms(x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Mean gradient magnitude similarity, one value per image.

    The map is that of "Gradient Magnitude Similarity Deviation" (Xue, Zhang, Mou, Bovik 2014): Prewitt filters on the luma and
    c = 0.0026. Unlike the paper's score it is the mean of the map, not its deviation, at full resolution, with the image's
    border repeated outwards.

    Args:
        x: Images (B, 3, H, W) in [0, 1].
        y: Images of the same shape.
        mask: (B, 1, H, W) in {0, 1}: only the pixels where it is 1 count.

    Returns:
        (B,) in (0, 1], 1 for equal edges; nan for an image whose mask is 0 everywhere.
    """
    kernel = x.new_tensor([[-1, 0, 1]] * 3) / 3
    kernels = torch.stack([kernel, kernel.T])[:, None]  # (2, 1, 3, 3): along x, along y

    def magnitude(image: torch.Tensor) -> torch.Tensor:
        padded = F.pad(_luma(image), (1, 1, 1, 1), mode="replicate")
        lengths: torch.Tensor = F.conv2d(padded, kernels).norm(dim=1, keepdim=True)  # (B, 1, H, W)
        return lengths

    a, b = magnitude(x), magnitude(y)
    similarity = (2 * a * b + GRADIENT_C) / (a**2 + b**2 + GRADIENT_C)
    if mask is None:
        return similarity.mean(dim=(1, 2, 3))
    return (similarity * mask).sum(dim=(1, 2, 3)) / mask.sum(dim=(1, 2, 3))


def perceptual_distance(x: Sequence[torch.Tensor], y: Sequence[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
    """Perceptual distance of two batches in their holes.

    This is LPIPS (Zhang et al. 2018, equation 1) with equal weights: the squared differences of the features at each position,
    brought to unit length, over the cells of the hole dilated by one. The layers are averaged.

    Args:
        x: Features of the first batch, (B, C, h, w) per layer, finest first.
        y: Features of the second batch, of the same shapes.
        mask: (B, 1, H, W) in {0, 1}, 1 where missing.

    Returns:
        (B,), 0 for equal features.
    """
    total = mask.new_zeros(len(mask))
    for a, b in zip(x, y, strict=True):
        a, b = (part.float() for part in (a, b))
        a, b = (part * torch.rsqrt(part.square().sum(dim=1, keepdim=True) + 1e-4) for part in (a, b))
        weight = F.max_pool2d(F.adaptive_max_pool2d(mask, (a.shape[-2], a.shape[-1])), 3, 1, 1)
        error = (a - b).square().sum(dim=1, keepdim=True)
        total = total + (error * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3)).clamp_min(1)
    return total / len(x)


def gradient_energy(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean square of the luma's differences between neighbours, right and below, that are both missing.

    It says how much detail a hole has; blur takes it away.

    Args:
        image: (B, 3, H, W) in [0, 1].
        mask: (B, 1, H, W) in {0, 1}, 1 where missing.

    Returns:
        (B,); nan for an image without such a pair.
    """
    return _mean_over_neighbours(_luma(image), mask, torch.logical_and, torch.square)


def border_step(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference, over all channels, between adjacent pixels of which one is missing and one known.

    It measures the seam of a hole. Each pixel has four neighbours.

    Args:
        image: (B, C, H, W) in [0, 1].
        mask: (B, 1, H, W) in {0, 1}, 1 where missing.

    Returns:
        (B,); nan for an image without such a pair.
    """
    return _mean_over_neighbours(image, mask, torch.logical_xor, torch.abs)


def _mean_over_neighbours(
    image: torch.Tensor,
    mask: torch.Tensor,
    chosen: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    measure: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Average `measure` of the differences between those neighbours for whose two masks `chosen` is True: (B,)."""
    total, count = image.new_zeros(len(image)), image.new_zeros(len(image))
    for dim in (-2, -1):
        pairs = image.shape[dim] - 1
        counted = chosen(mask.narrow(dim, 0, pairs), mask.narrow(dim, 1, pairs))
        total += (measure(image.diff(dim=dim)) * counted).sum(dim=(1, 2, 3))
        count += counted.sum(dim=(1, 2, 3)) * image.shape[1]
    return total / count


def split_error(error: torch.Tensor, mask: torch.Tensor, sigma: float = 4.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Split the error of the missing pixels into structure and texture.

    Structure (walls, large furniture) is what a gaussian filter keeps, texture is the rest. The gaussian ends at 4 sigma and
    repeats the border's pixels beyond it, as scipy.ndimage.gaussian_filter does with mode="nearest".

    Args:
        error: (B, C, H, W), 0 where known.
        mask: (B, 1, H, W) in {0, 1}, 1 where missing.
        sigma: The gaussian's standard deviation in pixels.

    Returns:
        The root mean squares of structure and texture over the missing pixels, (B,) each, in the error's unit; nan for an image
        without any.
    """
    channels, radius = error.shape[1], round(4 * sigma)
    offsets = torch.arange(-radius, radius + 1, dtype=error.dtype, device=error.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(channels, 1, -1)
    structure = F.conv2d(F.pad(error, (radius,) * 4, mode="replicate"), kernel[..., None], groups=channels)
    structure = F.conv2d(structure, kernel[..., None, :], groups=channels)  # (B, C, H, W)
    count = mask.sum(dim=(1, 2, 3)) * channels
    rms = [((part * mask).square().sum(dim=(1, 2, 3)) / count).sqrt() for part in (structure, error - structure)]
    return rms[0], rms[1]
