"""Discriminators that tell filled images from real ones, for training completions that look real, and their losses.

`PatchDiscriminator` reads pixels, patch by patch (Isola et al. 2017), and the mask as in "Free-Form Image Inpainting with Gated
Convolution" (Yu et al. 2019). It has group norm and no spectral norm, with which its scores collapsed to 0 once fills had some
texture. `ProjectedDiscriminator` reads random mixtures of an ImageNet network's features (Sauer et al. 2021, "Projected GANs
Converge Faster").

Losses weigh every cell of a score by the fraction of it that is missing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from ..parallel import joint
from .efficientnet import FEATURE_CHANNELS


@dataclass(frozen=True)
class DiscriminatorOutput:
    """A discriminator's scores for a batch, and the features they are computed from, finest first."""

    scores: list[torch.Tensor]  # (B, 1, h, w) each, higher for more real
    features: list[torch.Tensor]  # (B, C, h, w) each; empty if another network computes them

    def split(self, count: int) -> tuple["DiscriminatorOutput", "DiscriminatorOutput"]:
        """Split off the first `count` images of the batch; return their output and that of the others."""
        first = DiscriminatorOutput([x[:count] for x in self.scores], [x[:count] for x in self.features])
        return first, DiscriminatorOutput([x[count:] for x in self.scores], [x[count:] for x in self.features])


class PatchDiscriminator(nn.Module):
    """Scores an image patch by patch, at 1/4 and 1/8 of its sides."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        shapes = ((4, width, 4, 2), (width, 2 * width, 4, 2), (2 * width, 4 * width, 4, 2), (4 * width, 4 * width, 3, 1))
        self.stages = nn.ModuleList(
            nn.Conv2d(before, after, side, stride, padding=(side - 1) // 2) for before, after, side, stride in shapes
        )
        self.norms = nn.ModuleList([nn.Identity(), *(nn.GroupNorm(8, after) for _, after, _, _ in shapes[1:])])
        self.heads = nn.ModuleList(nn.Conv2d(channels, 1, 3, padding=1) for channels in (2 * width, 4 * width))

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> DiscriminatorOutput:
        """Score an image (B, 3, H, W) in [0, 1] with its mask (B, 1, H, W) in {0, 1}; sides must be multiples of 8."""
        x, features = torch.cat([2 * image - 1, mask], dim=1), []
        for stage, norm in zip(self.stages, self.norms, strict=True):
            x = F.leaky_relu(norm(stage(x)), 0.2)
            features.append(x)
        return DiscriminatorOutput([self.heads[0](features[1]), self.heads[1](features[3])], features)


class ProjectedDiscriminator(nn.Module):
    """Scores an image by its EfficientNetFeatures, at 1/4 to 1/32 of its sides.

    The projections across channels and from coarse to fine are drawn once from the seed; only the heads learn.
    """

    def __init__(self, width: int = 64, seed: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        channels = list(FEATURE_CHANNELS.values())[1:]
        for i, inputs in enumerate(channels):
            for name, side, before in (("across", 1, inputs), ("mix", 3, width)):
                weight = torch.randn(width, before, side, side, generator=generator) * math.sqrt(2 / (before * side**2))
                self.register_buffer(f"{name}{i}", weight)
        self.heads = nn.ModuleList(
            nn.Sequential(
                spectral_norm(nn.Conv2d(width + 1, 2 * width, 3, padding=1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(2 * width, 2 * width, 3, padding=1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(2 * width, 1, 1)),
            )
            for _ in channels
        )

    def forward(self, features: Sequence[torch.Tensor], mask: torch.Tensor) -> DiscriminatorOutput:
        """Score an image by its features, from EfficientNetFeatures, and its mask (B, 1, H, W) in {0, 1}."""
        coarser, scores = None, []
        for i in reversed(range(len(self.heads))):
            x = F.conv2d(features[i + 1] / 3, self.get_buffer(f"across{i}"))
            if coarser is not None:
                x = x + F.interpolate(coarser, size=x.shape[-2:], mode="bilinear", align_corners=False)
            coarser = 0.7 * F.conv2d(x, self.get_buffer(f"mix{i}"), padding=1)
            scores.append(self.heads[i](torch.cat([coarser, _missing_fraction(mask, coarser)], dim=1)))
        return DiscriminatorOutput(scores[::-1], [])


def hinge_loss(real: DiscriminatorOutput, filled: DiscriminatorOutput, mask: torch.Tensor) -> torch.Tensor:
    """Compute the loss of a discriminator (Lim and Ye 2017).

    The same cells count in real and in filled images, so that neither their place nor their shape gives the answer away.

    Args:
        real: The output for real images.
        filled: The output for the same images, filled.
        mask: (B, 1, H, W) in {0, 1}, 1 where missing.

    Returns:
        A scalar: 0 if all scores are right by a margin of 1, 2 if all are 0.
    """
    losses = [
        _masked_mean(F.relu(1 - true.float()) + F.relu(1 + false.float()), mask)
        for true, false in zip(real.scores, filled.scores, strict=True)
    ]
    return torch.stack(losses).mean()


def adversarial_loss(filled: DiscriminatorOutput, mask: torch.Tensor) -> torch.Tensor:
    """Compute the loss of a completion against a discriminator, a scalar: minus the mean score of the missing pixels."""
    return -torch.stack([_masked_mean(score, mask) for score in filled.scores]).mean()


def feature_matching_loss(real: DiscriminatorOutput, filled: DiscriminatorOutput, mask: torch.Tensor) -> torch.Tensor:
    """Compute the distance between a discriminator's features (Wang et al. 2018, "pix2pixHD", equation 4).

    Args:
        real: The output for real images; no gradient flows into it.
        filled: The output for the same images, filled.
        mask: (B, 1, H, W) in {0, 1}, 1 where missing.

    Returns:
        The mean absolute difference in units of the real images' mean absolute feature, a scalar.
    """
    losses = []
    for true, false in zip(real.features, filled.features, strict=True):
        true, false = true.detach().float(), false.float()
        unit = joint(true.abs().mean()).clamp_min(1e-3)
        losses.append(_masked_mean((true - false).abs().mean(dim=1, keepdim=True), mask) / unit)
    return torch.stack(losses).mean()


def _missing_fraction(mask: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """The fraction of each cell of (B, C, h, w) that is missing in `mask` (B, 1, H, W): (B, 1, h, w)."""
    return F.adaptive_avg_pool2d(mask, (cells.shape[-2], cells.shape[-1]))


def _masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of `values` (B, 1, h, w), each cell weighed by the fraction of it that is missing in `mask` (B, 1, H, W)."""
    weight = _missing_fraction(mask, values)
    return (values.float() * weight).sum() / joint(weight.sum()).clamp_min(1e-6)
