"""How likely each level of a pixel is, from the parameters that a network gives for it; and samples.

Levels are whole numbers from 0 to levels - 1. Parameters are the last dimension, (..., P), levels all the others, (...).
"""

import math
from typing import Protocol

import torch
from torch.nn import functional as F


class Likelihood(Protocol):
    """parameters: P, how many of them a level takes."""

    parameters: int

    def log_prob(self, parameters: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Nats (...) of `level` int64 (...) under `parameters` (..., P)."""
        ...

    def sample(self, parameters: torch.Tensor, noise: torch.Tensor, temperature: float) -> torch.Tensor:
        """Levels int64 (...) from `parameters` (..., P) and uniform `noise` (..., P) in (0, 1). Below a temperature of 1,
        likely levels become likelier.
        """
        ...


class Softmax:
    """A probability of its own for each level (van den Oord et al. 2016, section 2.2)."""

    def __init__(self, levels: int) -> None:
        self.levels = self.parameters = levels

    def log_prob(self, parameters: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return F.log_softmax(parameters, dim=-1).gather(-1, level[..., None])[..., 0]

    def sample(self, parameters: torch.Tensor, noise: torch.Tensor, temperature: float) -> torch.Tensor:
        return (parameters / temperature + gumbel(noise)).argmax(dim=-1)


class LogisticMixture:
    """A mixture of logistic distributions, each level having what falls between the middles to its neighbours, the first and
    the last all beyond (Salimans et al. 2017, PixelCNN++, equation 2).

    It departs from PixelCNN++ in that each channel has a mixture of its own: the masked layers tell it of the channels before.
    Parameters are the logits, the means and the log scales of `components` logistics. A mean of 0 is the middle of the levels,
    and 1 its last; scales are in the same unit.
    """

    def __init__(self, levels: int, components: int) -> None:
        self.levels, self.components, self.parameters = levels, components, 3 * components

    def _parts(self, parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        logits, means, scales = parameters.unflatten(-1, (3, self.components)).unbind(-2)
        return logits, means, scales.clamp_min(-7) - 2  # fresh weights begin at a seventh, and none gets infinitely sure

    def around(self, parameters: torch.Tensor, centre: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """The parameters (..., P) of the same mixture, `scale` (...) times as wide and moved by `centre` (...)."""
        logits, means, scales = parameters.unflatten(-1, (3, self.components)).unbind(-2)
        # fresh weights begin at a fourth of the scale for each component, and three fourths for all together
        return torch.cat([logits, centre[..., None] + scale[..., None] * means, scales + scale.log()[..., None] + 0.7], dim=-1)

    def log_prob(self, parameters: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        logits, means, log_scales = self._parts(parameters)
        half = 1 / (self.levels - 1)  # of the distance between two levels in [-1, 1]
        at = (2 * half * level - 1)[..., None] - means
        below, above = ((at + side) * torch.exp(-log_scales) for side in (-half, half))
        # plainly: log(sigmoid(above) - sigmoid(below)); this form has no difference of equal numbers
        between = torch.log(-torch.expm1(-2 * half * torch.exp(-log_scales)))
        more, less = F.logsigmoid(above), F.logsigmoid(-below)
        first, last = (level == 0)[..., None], (level == self.levels - 1)[..., None]
        nats = torch.where(first, more, torch.where(last, less, more + less + between))
        return torch.logsumexp(F.log_softmax(logits, dim=-1) + nats, dim=-1)

    def sample(self, parameters: torch.Tensor, noise: torch.Tensor, temperature: float) -> torch.Tensor:
        logits, means, log_scales = self._parts(parameters)
        choice = (logits / temperature + gumbel(noise[..., : self.components])).argmax(dim=-1, keepdim=True)
        u = noise[..., self.components]
        value = means.gather(-1, choice)[..., 0] + temperature * log_scales.gather(-1, choice)[..., 0].exp() * torch.logit(u)
        return ((value + 1) / 2 * (self.levels - 1)).round().clamp(0, self.levels - 1).long()


def gumbel(noise: torch.Tensor) -> torch.Tensor:
    """Uniform noise in (0, 1) as Gumbel noise: logits plus it have their largest at k with the probability of k."""
    return -torch.log(-torch.log(noise))


def uniform(shape: tuple[int, ...], generator: torch.Generator | None) -> torch.Tensor:
    """Noise in the open interval (0, 1), from a generator on the CPU, so that all devices draw the same."""
    tiny = 2.0**-25
    return torch.rand(shape, generator=generator).clamp(tiny, 1 - 2.0**-24)


def create_likelihood(name: str, levels: int, components: int) -> Likelihood:
    """ "softmax" or "logistics". Raises ValueError for another name, or less than two levels."""
    if levels < 2:
        raise ValueError(f"levels must be at least 2, got {levels}")
    if name == "softmax":
        return Softmax(levels)
    if name == "logistics":
        return LogisticMixture(levels, components)
    raise ValueError(f"likelihood must be 'softmax' or 'logistics', got {name!r}")


def bits_per_dimension(nats_per_pixel: float, channels: int = 3) -> float:
    """Nats per pixel of `channels` channels in bits per channel."""
    return nats_per_pixel / channels / math.log(2)
