"""Image quality: SSIM, PSNR. Tensors are float (B, C, H, W) in [0, 1]."""

import torch
from torch.nn import functional as F

# as PIQ and the SSIM paper have them (Wang et al. 2004, section III-B)
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03


def _blur(image: torch.Tensor) -> torch.Tensor:
    """Gaussian means over the windows that lie wholly inside the image: (B, C, H, W) to (B, C, H - 10, W - 10)."""
    channels = image.shape[1]
    offsets = torch.arange(WINDOW, dtype=image.dtype, device=image.device) - WINDOW // 2
    kernel = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    kernel = (kernel / kernel.sum()).expand(channels, 1, WINDOW)
    image = F.conv2d(image, kernel[..., None], groups=channels)
    return F.conv2d(image, kernel[..., None, :], groups=channels)


def ssim(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Structural similarity (Wang et al. 2004), one value in [-1, 1] per image: (B, C, H, W) twice to (B,).

    Gaussian window of 11 x 11 with sigma 1.5, population covariance, windows inside the image only, mean over channels: what
    scikit-image calls `gaussian_weights=True, use_sample_covariance=False`, and PIQ's definition without its downsampling.
    Raises ValueError for images of different shapes or smaller than the window.
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
    similarity = (2 * product + c1) * (2 * (xy - product) + c2) / ((squares + c1) * (xx + yy - squares + c2))
    return similarity.mean(dim=(1, 2, 3))


def psnr(x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB, one per image: (B, C, H, W) twice to (B,).

    With `mask` (B, 1, H, W), in {0, 1}, over the pixels where it is 1 alone; nan for an image without any.
    """
    error = (x - y) ** 2
    if mask is None:
        mse = error.mean(dim=(1, 2, 3))
    else:
        mse = (error * mask).sum(dim=(1, 2, 3)) / (mask.sum(dim=(1, 2, 3)) * x.shape[1])
    return -10 * torch.log10(mse.clamp_min(1e-14))  # clamped: two equal images score 140 dB, not infinity
