"""What training minimises. Pictures are float (B, C, H, W) in [0, 1]; masks are (B, 1, H, W) in {0, 1}, 1 where missing."""

import torch
from torch import nn
from torch.nn import functional as F

from .metrics import ssim


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


def hole_l1_loss(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of the missing pixels of the batch, a scalar."""
    return _masked_mean((prediction - target).abs().mean(dim=1, keepdim=True), mask)


def mask_loss(mask_logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy plus (1 - Dice) of the detected occlusion, a scalar."""
    probability = torch.sigmoid(mask_logits)
    overlap = (probability * mask).sum(dim=(1, 2, 3))
    dice = (2 * overlap + 1) / (probability.sum(dim=(1, 2, 3)) + mask.sum(dim=(1, 2, 3)) + 1)
    return F.binary_cross_entropy_with_logits(mask_logits, mask) + (1 - dice).mean()


def deviation_loss(log_std: torch.Tensor, prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Gaussian negative log-likelihood of the error over the missing pixels, in nats less a constant, a scalar.

    The prediction is held fixed: the deviation learns from the error and does not excuse it.
    """
    square = (prediction.detach() - target).square().mean(dim=1, keepdim=True)
    return _masked_mean(log_std + 0.5 * square * torch.exp(-2 * log_std), mask)


def _masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of `values` (B, 1, H, W) where `mask` is 1; 0 where it is nowhere."""
    return (values * mask).sum() / mask.sum().clamp_min(1)
