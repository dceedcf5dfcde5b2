"""What a completion is trained against when it should look real: networks that tell filled holes from real pictures.

One reads pixels, patch by patch (Isola et al. 2017), and the mask as "Free-Form Image Inpainting with Gated Convolution" has it
(Yu et al. 2019); group norm and no spectral norm, with which its scores died at 0 once fills had some texture. The other reads
an ImageNet network's features, mixed at random (Sauer et al. 2021, "Projected GANs Converge Faster").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from ..parallel import joint
from .efficientnet import TAKEN


@dataclass(frozen=True)
class DiscriminatorOutput:
    """What a discriminator says of a batch: scores, the higher the more real, and the features they rest on, finest first."""

    scores: list[torch.Tensor]  # (B, 1, h, w) each
    features: list[torch.Tensor]  # (B, C, h, w) each; none where they are not its own

    def split(self, count: int) -> tuple["DiscriminatorOutput", "DiscriminatorOutput"]:
        """The first `count` pictures of the batch, and the others."""
        parts = [[[one[:count] for one in each], [one[count:] for one in each]] for each in (self.scores, self.features)]
        return DiscriminatorOutput(parts[0][0], parts[1][0]), DiscriminatorOutput(parts[0][1], parts[1][1])


class PatchDiscriminator(nn.Module):
    """picture (B, 3, H, W) in [0, 1] and mask (B, 1, H, W) in {0, 1}, sides multiples of 8, to scores of 1/4 and 1/8."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        shapes = ((4, width, 4, 2), (width, 2 * width, 4, 2), (2 * width, 4 * width, 4, 2), (4 * width, 4 * width, 3, 1))
        self.stages = nn.ModuleList(
            nn.Conv2d(before, after, side, stride, padding=(side - 1) // 2) for before, after, side, stride in shapes
        )
        self.norms = nn.ModuleList([nn.Identity(), *(nn.GroupNorm(8, after) for _, after, _, _ in shapes[1:])])
        self.heads = nn.ModuleList(nn.Conv2d(channels, 1, 3, padding=1) for channels in (2 * width, 4 * width))

    def forward(self, picture: torch.Tensor, mask: torch.Tensor) -> DiscriminatorOutput:
        x, features = torch.cat([2 * picture - 1, mask], dim=1), []
        for stage, norm in zip(self.stages, self.norms, strict=True):
            x = F.leaky_relu(norm(stage(x)), 0.2)
            features.append(x)
        return DiscriminatorOutput([self.heads[0](features[1]), self.heads[1](features[3])], features)


class ProjectedDiscriminator(nn.Module):
    """EfficientNetFeatures of a picture and its mask (B, 1, H, W) in {0, 1} to scores of 1/4 to 1/32 of its sides.

    The projections, across channels and from coarse to fine, stay as the seed drew them; only the heads learn.
    """

    def __init__(self, width: int = 64, seed: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        channels = list(TAKEN.values())[1:]
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
        coarser, scores = None, []
        for i in reversed(range(len(self.heads))):
            x = F.conv2d(features[i + 1] / 3, self.get_buffer(f"across{i}"))
            if coarser is not None:
                x = x + F.interpolate(coarser, size=x.shape[-2:], mode="bilinear", align_corners=False)
            coarser = 0.7 * F.conv2d(x, self.get_buffer(f"mix{i}"), padding=1)
            scores.append(self.heads[i](torch.cat([coarser, _share(mask, coarser)], dim=1)))
        return DiscriminatorOutput(scores[::-1], [])


def hinge_loss(real: DiscriminatorOutput, filled: DiscriminatorOutput, mask: torch.Tensor) -> torch.Tensor:
    """What a discriminator minimises (Lim and Ye 2017), over the cells that the missing pixels of `mask` (B, 1, H, W) lie
    in, of the real pictures as well as of the filled, so that neither place nor shape gives the answer away; a scalar.
    """
    losses = [
        _over_hole(F.relu(1 - true.float()) + F.relu(1 + false.float()), mask)
        for true, false in zip(real.scores, filled.scores, strict=True)
    ]
    return torch.stack(losses).mean()


def adversarial_loss(filled: DiscriminatorOutput, mask: torch.Tensor) -> torch.Tensor:
    """What a completion minimises against a discriminator: minus its scores over the hole's cells, a scalar."""
    return -torch.stack([_over_hole(score, mask) for score in filled.scores]).mean()


def feature_matching_loss(real: DiscriminatorOutput, filled: DiscriminatorOutput, mask: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference, over the hole's cells, between a discriminator's features of the truth and of the filled
    picture, in units of the truth's mean absolute feature (Wang et al. 2018, "pix2pixHD", equation 4); a scalar.
    """
    losses = []
    for true, false in zip(real.features, filled.features, strict=True):
        true, false = true.detach().float(), false.float()
        unit = joint(true.abs().mean()).clamp_min(1e-3)
        losses.append(_over_hole((true - false).abs().mean(dim=1, keepdim=True), mask) / unit)
    return torch.stack(losses).mean()


def _share(mask: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """How much of each cell of (B, C, h, w) is missing in `mask` (B, 1, H, W): (B, 1, h, w)."""
    return F.adaptive_avg_pool2d(mask, (cells.shape[-2], cells.shape[-1]))


def _over_hole(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of `values` (B, 1, h, w), every cell weighed by how much of it is missing in `mask` (B, 1, H, W)."""
    weight = _share(mask, values)
    return (values.float() * weight).sum() / joint(weight.sum()).clamp_min(1e-6)
