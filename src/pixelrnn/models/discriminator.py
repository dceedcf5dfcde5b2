"""What a completion is trained against when it should look real: a network that tells filled holes from real pictures.

A patch discriminator (Isola et al. 2017) at two scales that reads the mask as well, with spectral normalisation (Miyato et al.
2018), as in "Free-Form Image Inpainting with Gated Convolution" (Yu et al. 2019), from which it departs: plain convolutions,
and verdicts on 1/8 and 1/16 of the picture.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

WINDOW = 32  # pixels over which features are averaged where their statistics are compared


@dataclass(frozen=True)
class DiscriminatorOutput:
    """What a PatchDiscriminator says of a batch: scores, the higher the more real, and its features, finest first."""

    scores: list[torch.Tensor]  # (B, 1, H/8, W/8), (B, 1, H/16, W/16)
    features: list[torch.Tensor]  # (B, C, H/s, W/s) each

    def split(self, count: int) -> tuple["DiscriminatorOutput", "DiscriminatorOutput"]:
        """The first `count` pictures of the batch, and the others."""
        parts = [[[one[:count] for one in each], [one[count:] for one in each]] for each in (self.scores, self.features)]
        return DiscriminatorOutput(parts[0][0], parts[1][0]), DiscriminatorOutput(parts[0][1], parts[1][1])


class PatchDiscriminator(nn.Module):
    """picture (B, 3, H, W) in [0, 1] and mask (B, 1, H, W) in {0, 1}, sides multiples of 16, to a DiscriminatorOutput."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sides = ((4, width, 5), (width, 2 * width, 4), (2 * width, 4 * width, 4), (4 * width, 4 * width, 4))
        self.stages = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, side, stride=2, padding=(side - 1) // 2)) for before, after, side in sides
        )
        self.heads = nn.ModuleList(spectral_norm(nn.Conv2d(4 * width, 1, 3, padding=1)) for _ in range(2))

    def forward(self, picture: torch.Tensor, mask: torch.Tensor) -> DiscriminatorOutput:
        x, features = torch.cat([2 * picture - 1, mask], dim=1), []
        for stage in self.stages:
            x = F.leaky_relu(stage(x), 0.2)
            features.append(x)
        return DiscriminatorOutput([head(x) for head, x in zip(self.heads, features[-2:], strict=True)], features)


def hinge_loss(real: DiscriminatorOutput, filled: DiscriminatorOutput, mask: torch.Tensor) -> torch.Tensor:
    """What the discriminator minimises (Lim and Ye 2017), over the cells that the missing pixels of `mask` (B, 1, H, W) lie
    in, of the real pictures as well as of the filled, so that neither place nor shape gives the answer away; a scalar."""
    losses = [
        _over_hole(F.relu(1 - true) + F.relu(1 + false), mask) for true, false in zip(real.scores, filled.scores, strict=True)
    ]
    return torch.stack(losses).mean()


def adversarial_loss(filled: DiscriminatorOutput, mask: torch.Tensor) -> torch.Tensor:
    """What a completion minimises against the discriminator: minus its scores over the hole's cells, a scalar."""
    return -torch.stack([_over_hole(score, mask) for score in filled.scores]).mean()


def feature_matching_loss(real: DiscriminatorOutput, filled: DiscriminatorOutput, mask: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference between the discriminator's features of the truth and of the filled picture, both averaged over
    about WINDOW x WINDOW pixels of the hole, in units of the truth's mean absolute feature; a scalar.

    Feature matching (Salimans et al. 2016) of local means: the fill is to have the truth's statistics hereabouts, not its
    pixels, which nothing around the hole tells.
    """
    losses = []
    for true, false in zip(real.features, filled.features, strict=True):
        true, false = true.detach().float(), false.float()
        weight = F.adaptive_avg_pool2d(mask, (true.shape[-2], true.shape[-1]))
        cells = max(1, WINDOW * true.shape[-1] // mask.shape[-1])
        there = F.avg_pool2d(weight, cells)
        difference = F.avg_pool2d((true - false) * weight, cells).abs().mean(dim=1, keepdim=True)
        losses.append(difference.sum() / there.sum().clamp_min(1e-6) / true.abs().mean().clamp_min(1e-6))
    return torch.stack(losses).mean()


def _over_hole(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of `values` (B, 1, h, w), every cell weighed by how much of it is missing in `mask` (B, 1, H, W)."""
    weight = F.adaptive_avg_pool2d(mask, (values.shape[-2], values.shape[-1]))
    return (values.float() * weight).sum() / weight.sum().clamp_min(1e-6)
