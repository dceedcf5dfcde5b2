"""The interface of the completion models: `CompletionModel`, and the `Prediction` that it returns."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

EVIDENCE = 4  # channels of `evidence`


class Prediction(NamedTuple):
    """What a completion model predicts for a batch."""

    image: torch.Tensor  # (B, 3, H, W) in [0, 1], before known pixels are pasted back
    mask_logits: torch.Tensor | None = None  # (B, 1, H, W), the detected occlusion; None without detection, or with a mask
    log_std: torch.Tensor | None = None  # (B, 1, H, W), log standard deviation of the error; None without an estimate
    # (B, 3, H, W), the image before it was clamped, so that in training a pixel outside [0, 1] still gets a gradient; None
    # where the model does not clamp
    mean: torch.Tensor | None = None


def occlusion(mask_logits: torch.Tensor) -> torch.Tensor:
    """Turn a detector's logits into a mask, dilated by 2 px because compression leaves a ring of the painted colour.

    Args:
        mask_logits: (B, 1, H, W), above 0 where a pixel is more likely covered.

    Returns:
        The mask (B, 1, H, W) in {0, 1}, 1 where covered.
    """
    return F.max_pool2d((mask_logits > 0).to(mask_logits.dtype), 5, stride=1, padding=2)


def evidence(image: torch.Tensor) -> torch.Tensor:
    """Compute the evidence of paint in single pixels.

    All four channels describe the step in green from each pixel to the next one, to the right or below, whichever is larger:

    0, 1: its size on a logarithmic scale, on which one grey level is 1/8 (twice);
    2: whether it is 0;
    3: by how much it exceeds the steps before and after it, on the same scale.

    Paint is often exactly flat and ends within one pixel. Photographs are not flat over long distances, and a linear filter
    hardly sees such small differences.

    `inference.evidence.evidence` computes the same for an image that is reduced afterwards: the first channel is then a mean
    over the pixels that become one, the second and the fourth are a maximum.

    Args:
        image: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 4, H, W) in [0, 1].
    """
    green = 255 * image[:, 1:2]
    right = F.pad((green[..., :, 1:] - green[..., :, :-1]).abs(), (0, 1))
    below = F.pad((green[..., 1:, :] - green[..., :-1, :]).abs(), (0, 0, 0, 1))
    beside = torch.maximum(F.pad(right, (1, 0))[..., :, :-1], F.pad(right, (0, 1))[..., :, 1:])
    above = torch.maximum(F.pad(below, (0, 0, 1, 0))[..., :-1, :], F.pad(below, (0, 0, 0, 1))[..., 1:, :])
    step, excess = torch.maximum(right, below), torch.maximum(right - beside, below - above).clamp_min(0)
    size = torch.log2(1 + step) / 8
    return torch.cat([size, size, (step < 0.5).to(image.dtype), torch.log2(1 + excess) / 8], dim=1)


class CompletionModel(nn.Module):
    """Base class of the networks that complete images.

    A subclass implements `fill`, and `detect` if it sets `detects`.
    """

    name: str  # under which it is registered
    takes_mask = False  # whether a mask changes the result, and a guide may be given
    detects = False  # whether the model finds the occlusion itself

    def fill(
        self,
        image: torch.Tensor,
        mask: torch.Tensor | None,
        guide: torch.Tensor | None = None,
        guided: torch.Tensor | None = None,
    ) -> Prediction:
        """Complete images whose mask is known.

        Args:
            image: (B, 3, H, W) in [0, 1].
            mask: (B, 1, H, W) in {0, 1}, 1 where missing; required if the model takes a mask.
            guide: (B, 3, h, w) in [0, 1], as in `forward`.
            guided: bool (B,), the images of the batch that the guide is meant for; all of them by default.

        Returns:
            A prediction without `mask_logits`.

        Raises:
            ValueError: The mask is missing but required, or a guide is given to a model that takes none.
        """
        raise NotImplementedError

    def detect(self, image: torch.Tensor, planes: torch.Tensor | None = None) -> torch.Tensor:
        """Detect the occlusion.

        Args:
            image: (B, 3, H, W) in [0, 1].
            planes: (B, 4, H, W), the evidence of an image that was reduced to `image`, from `inference.evidence`; by default
                the `evidence` of `image` itself.

        Returns:
            Logits (B, 1, H, W), above 0 where a pixel is more likely covered.
        """
        raise NotImplementedError

    def fine_grids(self) -> list[nn.Module]:
        """The modules that decode at the finest resolutions, for training these alone."""
        raise NotImplementedError

    def forward(self, image: torch.Tensor, mask: torch.Tensor | None = None, guide: torch.Tensor | None = None) -> Prediction:
        """Complete images, and detect the occlusion first where no mask is given.

        Args:
            image: (B, 3, H, W) in [0, 1].
            mask: (B, 1, H, W) in {0, 1}, 1 where missing. Detection runs only without a mask.
            guide: (B, 3, h, w) in [0, 1], a coarse version of the whole image at any size; 32 to 64 px a side work best. Its
                content is used only where the image is missing.

        Returns:
            The prediction; its `mask_logits` are None where a mask was given.
        """
        mask_logits = None
        if mask is None and self.detects:
            mask_logits = self.detect(image)
            mask = occlusion(mask_logits)
        return self.fill(image, mask, guide)._replace(mask_logits=mask_logits)
