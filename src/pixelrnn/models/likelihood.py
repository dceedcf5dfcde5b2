"""Distributions over the levels of a pixel: log-likelihoods and samples from the parameters that a network gives.

Levels are whole numbers from 0 to levels - 1. Parameters are (..., P), levels (...).
"""

import math
from typing import Any, NamedTuple, Protocol

import torch
from torch.nn import functional as F


class Likelihood(Protocol):
    """A family of distributions over levels."""

    parameters: int  # P, the number of parameters of one distribution

    def log_prob(self, parameters: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Return the nats (...) of `level` int64 (...) under `parameters` (..., P)."""
        ...

    def sample(self, parameters: torch.Tensor, noise: torch.Tensor, temperature: float) -> torch.Tensor:
        """Draw levels.

        Args:
            parameters: (..., P).
            noise: Uniform in (0, 1), (..., P).
            temperature: Above 0; below 1, likely levels become likelier.

        Returns:
            Levels int64 (...).
        """
        ...


class Anchor(NamedTuple):
    """The point from which an anchored model measures pixels, and the unit in which it does."""

    centre: torch.Tensor  # (B, C, ...) in [-1, 1]
    scale: torch.Tensor  # (B, 1, ...), above 0

    def at(self, *index: Any) -> "Anchor":
        """Index the last dimensions, rows and columns."""
        return Anchor(self.centre[(..., *index)], self.scale[(..., *index)])


class Softmax:
    """A separate probability for each level (van den Oord et al. 2016, section 2.2)."""

    def __init__(self, levels: int) -> None:
        self.levels = self.parameters = levels

    def log_prob(self, parameters: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return F.log_softmax(parameters, dim=-1).gather(-1, level[..., None])[..., 0]

    def sample(self, parameters: torch.Tensor, noise: torch.Tensor, temperature: float) -> torch.Tensor:
        return (parameters / temperature + gumbel(noise)).argmax(dim=-1)


class LogisticMixture:
    """A mixture of logistic distributions (Salimans et al. 2017, PixelCNN++, equation 2).

    A level has the probability between the midpoints to its neighbours; the first and the last level have all beyond.

    Departure from PixelCNN++: each channel has its own mixture, because the masked layers already see the channels before it.

    The parameters are the logits, the means and the log scales of the components. A mean of -1 is the first level, 0 the middle
    and 1 the last; scales have the same unit.

    Args:
        levels: Number of levels.
        components: Number of logistics.
    """

    def __init__(self, levels: int, components: int) -> None:
        self.levels, self.components, self.parameters = levels, components, 3 * components

    def _parts(self, parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        logits, means, scales = parameters.unflatten(-1, (3, self.components)).unbind(-2)
        return logits, means, scales.clamp_min(-7) - 2  # fresh weights start at a scale of 1/7, and no scale becomes 0

    def transform(self, parameters: torch.Tensor, centre: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return the parameters (..., P) of the mixture moved by `centre` (...) and widened `scale` (...) times."""
        logits, means, scales = parameters.unflatten(-1, (3, self.components)).unbind(-2)
        # fresh weights start at a fourth of the scale for each component, and three fourths for the mixture
        return torch.cat([logits, centre[..., None] + scale[..., None] * means, scales + scale.log()[..., None] + 0.7], dim=-1)

    def log_prob(self, parameters: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        logits, means, log_scales = self._parts(parameters)
        half = 1 / (self.levels - 1)  # of the distance between two levels in [-1, 1]
        at = (2 * half * level - 1)[..., None] - means
        below, above = ((at + side) * torch.exp(-log_scales) for side in (-half, half))
        # equals log(sigmoid(above) - sigmoid(below)), without the difference of nearly equal numbers
        between = torch.log(-torch.expm1(-2 * half * torch.exp(-log_scales)))
        log_cdf, log_survival = F.logsigmoid(above), F.logsigmoid(-below)
        is_first, is_last = (level == 0)[..., None], (level == self.levels - 1)[..., None]
        nats = torch.where(is_first, log_cdf, torch.where(is_last, log_survival, log_cdf + log_survival + between))
        return torch.logsumexp(F.log_softmax(logits, dim=-1) + nats, dim=-1)

    def sample(self, parameters: torch.Tensor, noise: torch.Tensor, temperature: float) -> torch.Tensor:
        logits, means, log_scales = self._parts(parameters)
        choice = (logits / temperature + gumbel(noise[..., : self.components])).argmax(dim=-1, keepdim=True)
        u = noise[..., self.components]
        value = means.gather(-1, choice)[..., 0] + temperature * log_scales.gather(-1, choice)[..., 0].exp() * torch.logit(u)
        return ((value + 1) / 2 * (self.levels - 1)).round().clamp(0, self.levels - 1).long()


def gumbel(noise: torch.Tensor) -> torch.Tensor:
    """Turn uniform noise in (0, 1) into Gumbel noise: the argmax of logits plus it is k with the probability of k."""
    return -torch.log(-torch.log(noise))


def uniform(shape: tuple[int, ...], generator: torch.Generator | None) -> torch.Tensor:
    """Draw noise in the open interval (0, 1) from a generator on the CPU, so that all devices get the same."""
    tiny = 2.0**-25
    return torch.rand(shape, generator=generator).clamp(tiny, 1 - 2.0**-24)


def create_likelihood(name: str, levels: int, components: int) -> Likelihood:
    """Create a likelihood by its name.

    Args:
        name: "softmax" or "logistics".
        levels: Number of levels, 2 or more.
        components: Number of logistics; "softmax" ignores it.

    Raises:
        ValueError: The name is unknown, or there are fewer than two levels.
    """
    if levels < 2:
        raise ValueError(f"levels must be at least 2, got {levels}")
    if name == "softmax":
        return Softmax(levels)
    if name == "logistics":
        return LogisticMixture(levels, components)
    raise ValueError(f"likelihood must be 'softmax' or 'logistics', got {name!r}")


def bits_per_dimension(nats_per_pixel: float, channels: int = 3) -> float:
    """Convert nats per pixel of `channels` channels to bits per channel."""
    return nats_per_pixel / channels / math.log(2)
