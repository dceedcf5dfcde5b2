"""The losses. Images are float (B, C, H, W) in [0, 1]; masks are (B, 1, H, W) in {0, 1}, 1 where missing.

Every loss is a scalar. A mean over missing pixels is taken over the joint batch of all processes (`parallel.joint`).
"""

import torch
from torch import nn
from torch.nn import functional as F

from ..evaluation.metrics import LUMA, WINDOW, in_float32, ssim, ssim_map
from ..parallel import joint

ONE_SIGMA = 0.6827  # of a normal distribution lies within one standard deviation


@in_float32
def combined_loss(
    prediction: torch.Tensor, target: torch.Tensor, mse_weight: float = 0.8, ssim_weight: float = 0.2
) -> torch.Tensor:
    """Compute the described loss: `mse_weight * MSE + ssim_weight * (1 - SSIM)` over the whole image."""
    loss = mse_weight * F.mse_loss(prediction, target)
    if ssim_weight:
        loss = loss + ssim_weight * (1 - ssim(prediction, target).mean())
    return loss


class CombinedLoss(nn.Module):
    """`combined_loss` as a module that holds its weights."""

    def __init__(self, mse_weight: float = 0.8, ssim_weight: float = 0.2) -> None:
        super().__init__()
        self.mse_weight, self.ssim_weight = mse_weight, ssim_weight

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return combined_loss(prediction, target, self.mse_weight, self.ssim_weight)


@in_float32
def hole_l1_loss(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Compute the mean absolute error of the batch's missing pixels."""
    return _masked_mean((prediction - target).abs().mean(dim=1, keepdim=True), mask)


@in_float32
def hole_rmse_loss(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Compute each image's root mean square error of missing pixels, averaged over the images that have any.

    It lies between the squared error, which few hard images dominate, and the logarithm of it, which a mean PSNR takes.
    """
    count = mask.sum(dim=(1, 2, 3)) * prediction.shape[1]
    mse = ((prediction - target).square() * mask).sum(dim=(1, 2, 3)) / count.clamp_min(1)
    return (mse + 1e-5).sqrt().mul(count > 0).sum() / joint((count > 0).sum()).clamp_min(1)


@in_float32
def hole_ssim_loss(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Compute 1 - SSIM of the luma, averaged over the windows whose centre is missing; known pixels are the target's."""
    weights, edge = target.new_tensor(LUMA)[:, None, None], WINDOW // 2
    x, y = ((image * weights).sum(dim=1, keepdim=True) for image in (torch.where(mask > 0, prediction, target), target))
    return _masked_mean(1 - ssim_map(x, y), mask[..., edge:-edge, edge:-edge])


@in_float32
def mask_loss(mask_logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Compute the detector's loss: binary cross-entropy plus (1 - Dice) of the detected occlusion."""
    probability = torch.sigmoid(mask_logits)
    overlap = (probability * mask).sum(dim=(1, 2, 3))
    dice = (2 * overlap + 1) / (probability.sum(dim=(1, 2, 3)) + mask.sum(dim=(1, 2, 3)) + 1)
    return F.binary_cross_entropy_with_logits(mask_logits, mask) + (1 - dice).mean()


@in_float32
def std_loss(log_std: torch.Tensor, prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Compute the loss of the estimated standard deviation.

    It is the pinball loss (Koenker and Bassett 1978), over the channels of the missing pixels, for the std as the 68.3%
    quantile of the absolute error. The std thus means what it means for a normal error: the half-width that holds 68.3% of
    the errors. The errors of images have heavy tails, and their root mean square would hold far more.

    Args:
        log_std: (B, 1, H, W).
        prediction: (B, C, H, W), held fixed: the std learns from the error and does not influence it.
        target: (B, C, H, W).
        mask: (B, 1, H, W).
    """
    excess = (prediction.detach() - target).abs() - log_std.exp()
    return _masked_mean(torch.maximum(ONE_SIGMA * excess, (ONE_SIGMA - 1) * excess).mean(dim=1, keepdim=True), mask)


def _masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of `values` (B, 1, H, W) where `mask` is 1; 0 if it is nowhere."""
    return (values * mask).sum() / joint(mask.sum()).clamp_min(1)
