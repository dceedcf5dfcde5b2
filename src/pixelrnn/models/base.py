"""What a completion model is, and what it returns."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F


class Prediction(NamedTuple):
    """What a completion model says of a batch."""

    image: torch.Tensor  # (B, 3, H, W) in [0, 1], before known pixels are pasted back
    mask_logits: torch.Tensor | None = None  # (B, 1, H, W), the occlusion it sees; None where it cannot say or was told
    log_std: torch.Tensor | None = None  # (B, 1, H, W), log standard deviation of the error; None where it cannot say
    mean: torch.Tensor | None = None  # (B, 3, H, W), the image before it was clamped: in training, a pixel that went too
    # far feels the way back; None where nothing is clamped


def occlusion(mask_logits: torch.Tensor) -> torch.Tensor:
    """What a detector sees (B, 1, H, W) as a mask in {0, 1}, grown by 2 px: compression leaves a ring of the painted colour."""
    return F.max_pool2d((mask_logits > 0).to(mask_logits.dtype), 5, stride=1, padding=2)


EVIDENCE = 4  # planes of `evidence`


def evidence(image: torch.Tensor) -> torch.Tensor:
    """What in the single pixels marks paint: (B, 3, H, W) in [0, 1] to (B, 4, H, W) in [0, 1].

    Of the step from each pixel to the next, right or below, in green, the larger: its size, on a logarithmic scale on which
    one grey level is 1/8, twice; whether it is 0; by how much it exceeds the steps before and after, on the same scale.
    What people paint is often exactly flat and ends within a pixel, which no photograph does for long, and a linear filter
    hardly sees so small a difference. `evidence.evidence` is the same of a picture that is reduced afterwards, where the
    first plane is a mean over what becomes a pixel and the second and fourth a maximum.
    """
    green = 255 * image[:, 1:2]
    right = F.pad((green[..., :, 1:] - green[..., :, :-1]).abs(), (0, 1))
    below = F.pad((green[..., 1:, :] - green[..., :-1, :]).abs(), (0, 0, 0, 1))
    beside = torch.maximum(F.pad(right, (1, 0))[..., :, :-1], F.pad(right, (0, 1))[..., :, 1:])
    above = torch.maximum(F.pad(below, (0, 0, 1, 0))[..., :-1, :], F.pad(below, (0, 0, 0, 1))[..., 1:, :])
    step, alone = torch.maximum(right, below), torch.maximum(right - beside, below - above).clamp_min(0)
    size = torch.log2(1 + step) / 8
    return torch.cat([size, size, (step < 0.5).to(image.dtype), torch.log2(1 + alone) / 8], dim=1)


class CompletionModel(nn.Module):
    """A network that completes pictures. A subclass has `fill`, and `detect` where it `detects`."""

    name: str  # under which it is registered
    takes_mask = False  # whether a mask changes the answer, and a guide may be given
    detects = False  # whether it finds the occlusion itself

    def fill(
        self,
        image: torch.Tensor,
        mask: torch.Tensor | None,
        guide: torch.Tensor | None = None,
        guided: torch.Tensor | None = None,
    ) -> Prediction:
        """The completion alone: image, mask and guide as in `forward`, with a mask where the model takes one.

        guided: bool (B,), which pictures of the batch the guide is meant for; all of them by default. Raises ValueError for a
        guide where the model takes none.
        """
        raise NotImplementedError

    def detect(self, image: torch.Tensor, seen: torch.Tensor | None = None) -> torch.Tensor:
        """The occlusion alone: image (B, 3, H, W) in [0, 1] to mask_logits (B, 1, H, W), above 0 where more likely covered.

        seen: what evidence.evidence finds in the single pixels of a picture that was reduced, (B, 4, H, W); by default that in
        `image`.
        """
        raise NotImplementedError

    def fine_grids(self) -> list[nn.Module]:
        """What decodes at the finest resolutions, for a training of that alone."""
        raise NotImplementedError

    def forward(self, image: torch.Tensor, mask: torch.Tensor | None = None, guide: torch.Tensor | None = None) -> Prediction:
        """Image (B, 3, H, W) in [0, 1]; mask (B, 1, H, W) in {0, 1}, 1 where missing; without it, what the model detects, which
        is not asked where there is one.

        guide (B, 3, h, w) in [0, 1], any size, best 32 to 64 a side: the whole picture, coarsely. What it shows where the
        picture is missing is taken as what belongs there; the rest of it is not looked at.
        """
        mask_logits = None
        if mask is None and self.detects:
            mask_logits = self.detect(image)
            mask = occlusion(mask_logits)
        return self.fill(image, mask, guide)._replace(mask_logits=mask_logits)
