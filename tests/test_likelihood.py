"""Likelihoods against scipy's distributions, and samples against their own probabilities."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from scipy.stats import logistic

from pixelrnn.models.likelihood import LogisticMixture, Softmax, bits_per_dimension, create_likelihood, uniform


def test_softmax_is_scipys() -> None:
    parameters, level = torch.randn(50, 6, dtype=torch.float64), torch.randint(6, (50,))
    found = Softmax(6).log_prob(parameters, level).numpy()
    np.testing.assert_allclose(found, log_softmax(parameters.numpy(), axis=1)[np.arange(50), level], rtol=1e-12)


@pytest.mark.parametrize("levels", [2, 5, 256])
def test_the_mixture_is_what_scipys_logistics_have_between_the_levels(levels) -> None:
    generator = torch.Generator().manual_seed(0)
    parameters, mixture = torch.randn(40, 9, dtype=torch.float64, generator=generator), LogisticMixture(levels, 3)
    logits, means, scales = parameters.numpy().reshape(40, 3, 3).transpose(1, 0, 2)
    weights = np.exp(log_softmax(logits, axis=1))
    for level in {0, 1, levels // 2, levels - 1}:
        edges = [-np.inf if level == 0 else (2 * level - 1) / (levels - 1) - 1]
        edges += [np.inf if level == levels - 1 else (2 * level + 1) / (levels - 1) - 1]
        low, high = (logistic.cdf(edge, means, np.exp(np.maximum(scales, -7) - 2)) for edge in edges)
        found = mixture.log_prob(parameters, torch.full((40,), level)).exp().numpy()
        np.testing.assert_allclose(
            found, (weights * (high - low)).sum(axis=1), rtol=1e-5
        )  # a difference of equal numbers, there


def test_the_mixture_and_its_gradients_stay_finite_far_from_its_means() -> None:
    parameters = torch.tensor([[0.0, 0.0, 30.0, -30.0, -20.0, 5.0]], requires_grad=True)
    nats = LogisticMixture(256, 2).log_prob(parameters.expand(256, -1), torch.arange(256))
    nats.sum().backward()
    assert nats.isfinite().all()
    assert parameters.grad.isfinite().all()


@pytest.mark.parametrize("name", ["softmax", "logistics"])
def test_samples_come_as_often_as_they_are_likely(name) -> None:
    likelihood = create_likelihood(name, 5, 2)
    parameters = torch.randn(likelihood.parameters, generator=torch.Generator().manual_seed(3)).expand(40_000, -1)
    drawn = likelihood.sample(parameters, uniform(tuple(parameters.shape), torch.Generator().manual_seed(0)), 1.0)
    expected = likelihood.log_prob(parameters[:5], torch.arange(5)).exp()
    found = torch.bincount(drawn, minlength=5) / len(drawn)
    assert (found - expected).abs().max() < 0.01  # three deviations of the largest are 0.0075


def test_noise_never_reaches_its_ends() -> None:
    noise = uniform((1000, 1000), torch.Generator().manual_seed(0))
    assert 0 < noise.min() < noise.max() < 1


def test_bits_per_dimension_of_fair_bytes_are_eight() -> None:
    assert bits_per_dimension(3 * np.log(256)) == pytest.approx(8)
