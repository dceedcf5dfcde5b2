"""What training minimises. Pictures are float (B, C, H, W) in [0, 1]; masks are (B, 1, H, W) in {0, 1}, 1 where missing.

A mean over what is missing is one over the joint batch of all processes that train together (`parallel.joint`).
"""

import torch
from torch import nn
from torch.nn import functional as F

from ..evaluation.metrics import LUMA, WINDOW, in_float32, ssim, ssim_map
from ..parallel import joint

ONE_SIGMA = 0.6827  # of a normal distribution lie within one standard deviation


@in_float32
def combined_loss(
    prediction: torch.Tensor, target: torch.Tensor, mse_weight: float = 0.8, ssim_weight: float = 0.2
) -> torch.Tensor:
    """`mse_weight * MSE + ssim_weight * (1 - SSIM)` over the whole picture, a scalar: the described loss."""
    loss = mse_weight * F.mse_loss(prediction, target)
    if ssim_weight:
        loss = loss + ssim_weight * (1 - ssim(prediction, target).mean())
    return loss


class CombinedLoss(nn.Module):
    """combined_loss with its weights."""

    def __init__(self, mse_weight: float = 0.8, ssim_weight: float = 0.2) -> None:
        super().__init__()
        self.mse_weight, self.ssim_weight = mse_weight, ssim_weight

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return combined_loss(prediction, target, self.mse_weight, self.ssim_weight)


@in_float32
def hole_l1_loss(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of the missing pixels of the batch, a scalar."""
    return _masked_mean((prediction - target).abs().mean(dim=1, keepdim=True), mask)


@in_float32
def hole_rmse_loss(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Root mean square error of each picture's missing pixels, mean over the pictures that have any, a scalar.

    Between the squared error, which few hard pictures rule, and its logarithm, which the mean PSNR over pictures takes.
    """
    missing = mask.sum(dim=(1, 2, 3)) * prediction.shape[1]
    square = ((prediction - target).square() * mask).sum(dim=(1, 2, 3)) / missing.clamp_min(1)
    return (square + 1e-5).sqrt().mul(missing > 0).sum() / joint((missing > 0).sum()).clamp_min(1)


@in_float32
def hole_ssim_loss(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """1 - SSIM of the luma, mean over the windows whose centre is missing, the known pixels being the target's, a scalar."""
    weights, edge = target.new_tensor(LUMA)[:, None, None], WINDOW // 2
    x, y = ((picture * weights).sum(dim=1, keepdim=True) for picture in (torch.where(mask > 0, prediction, target), target))
    return _masked_mean(1 - ssim_map(x, y), mask[..., edge:-edge, edge:-edge])


@in_float32
def mask_loss(mask_logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy plus (1 - Dice) of the detected occlusion, a scalar."""
    probability = torch.sigmoid(mask_logits)
    overlap = (probability * mask).sum(dim=(1, 2, 3))
    dice = (2 * overlap + 1) / (probability.sum(dim=(1, 2, 3)) + mask.sum(dim=(1, 2, 3)) + 1)
    return F.binary_cross_entropy_with_logits(mask_logits, mask) + (1 - dice).mean()


@in_float32
def deviation_loss(log_std: torch.Tensor, prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Pinball loss (Koenker and Bassett 1978) of the deviation as the 68.3% quantile of the absolute error, over the channels
    of the missing pixels, a scalar.

    So a deviation is what it is for a normal error, the half-width that holds 68.3% of them; errors of pictures have heavy
    tails, and their root mean square would hold far more. The prediction is held fixed: the deviation learns from the error
    and does not excuse it.
    """
    excess = (prediction.detach() - target).abs() - log_std.exp()
    return _masked_mean(torch.maximum(ONE_SIGMA * excess, (ONE_SIGMA - 1) * excess).mean(dim=1, keepdim=True), mask)


def _masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of `values` (B, 1, H, W) where `mask` is 1; 0 where it is nowhere."""
    return (values * mask).sum() / joint(mask.sum()).clamp_min(1)
