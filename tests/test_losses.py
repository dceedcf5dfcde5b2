"""The losses against scikit-image and against what their formulas promise."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from pixelrnn.training.losses import (
    CombinedLoss,
    combined_loss,
    hole_l1_loss,
    hole_ssim_loss,
    mask_loss,
    std_loss,
)


def pictures(size: int = 3, height: int = 24, width: int = 31) -> tuple[torch.Tensor, torch.Tensor]:
    """Two float64 batches that resemble each other."""
    rng = np.random.default_rng(0)
    x = rng.random((size, 3, height, width))
    return torch.from_numpy(x), torch.from_numpy(np.clip(x + rng.normal(0, 0.15, x.shape), 0, 1))


def hole(size: int = 3, height: int = 24, width: int = 31) -> torch.Tensor:
    mask = torch.zeros(size, 1, height, width, dtype=torch.float64)
    mask[:, :, 5:15, 8:20] = 1
    mask[-1] = 0  # one picture of the batch without a hole
    return mask


@pytest.mark.parametrize("weights", [(0.8, 0.2), (1.0, 0.0), (0.0, 1.0), (0.3, 2.5)], ids=str)
def test_combined_loss_is_the_weighted_sum_of_mse_and_ssim_by_scikit_image(weights) -> None:
    x, y = pictures()
    similarity = np.mean(
        [
            structural_similarity(
                a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=0
            )
            for a, b in zip(x.numpy(), y.numpy(), strict=True)
        ]
    )
    expected = weights[0] * np.mean((x.numpy() - y.numpy()) ** 2) + weights[1] * (1 - similarity)
    assert combined_loss(x, y, *weights).item() == pytest.approx(expected, abs=1e-6)
    assert CombinedLoss(*weights)(x, y).item() == pytest.approx(expected, abs=1e-6)


def test_the_described_weights_are_the_default() -> None:
    x, y = pictures()
    assert combined_loss(x, y) == combined_loss(x, y, 0.8, 0.2) == CombinedLoss()(x, y) != combined_loss(x, y, 0.7, 0.3)


def test_combined_loss_is_zero_for_equal_pictures_alone() -> None:
    x, y = pictures()
    assert combined_loss(x, x.clone()).item() == pytest.approx(0, abs=1e-12)
    assert combined_loss(x, y).item() > 0.01


def test_a_picture_too_small_for_ssim_trains_on_mse_alone() -> None:
    x, y = pictures(height=4, width=4)
    with pytest.raises(ValueError, match="at least 11 x 11"):
        combined_loss(x, y)
    assert combined_loss(x, y, 1, 0).item() == pytest.approx(float(((x - y) ** 2).mean()))


def test_hole_loss_is_the_mean_absolute_error_of_missing_pixels() -> None:
    (x, y), mask = pictures(), hole()
    where = np.broadcast_to(mask.numpy() == 1, x.shape)
    assert hole_l1_loss(x, y, mask).item() == pytest.approx(np.abs(x.numpy() - y.numpy())[where].mean())


def test_hole_loss_gives_a_gradient_to_every_missing_pixel_and_to_no_other() -> None:
    (x, y), mask = pictures(), hole()
    y = y.where(y != x, y + 0.01)  # no error of exactly zero, which has no gradient
    x.requires_grad_()
    hole_l1_loss(x, y, mask).backward()
    assert torch.equal(x.grad != 0, mask.bool().expand_as(x))


@pytest.mark.parametrize("loss", [hole_l1_loss, lambda x, y, mask: std_loss(0 * mask, x, y, mask)], ids=["l1", "std"])
def test_a_batch_without_holes_costs_nothing(loss) -> None:
    x, y = pictures()
    assert loss(x, y, torch.zeros_like(hole())).item() == 0


def test_std_loss_gives_no_gradient_to_the_prediction() -> None:
    (x, y), mask = pictures(), hole()
    x.requires_grad_()
    log_std = torch.full_like(mask, -1.0).requires_grad_()
    std_loss(log_std, x, y, mask).backward()
    assert x.grad is None
    assert torch.equal(log_std.grad != 0, mask.bool())


def test_std_loss_is_least_where_it_holds_68_percent_of_the_errors() -> None:
    (x, y), mask = pictures(), hole()
    errors = np.abs(x.numpy() - y.numpy())[np.broadcast_to(mask.numpy() == 1, x.shape)]
    levels = torch.linspace(-5, 0, 501, dtype=torch.float64)
    losses = [float(std_loss(torch.full_like(mask, float(level)), x, y, mask)) for level in levels]
    best = levels[int(np.argmin(losses))].exp()
    assert best == pytest.approx(np.quantile(errors, 0.6827), rel=0.02)
    normal = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, (1, 1, 300, 300)))
    losses = [
        float(std_loss(torch.full_like(normal, float(level)), normal, 0 * normal, torch.ones_like(normal))) for level in levels
    ]
    assert levels[int(np.argmin(losses))].exp() == pytest.approx(0.1, rel=0.02)


def test_mask_loss_is_lower_for_the_right_mask_than_for_a_wrong_one() -> None:
    mask = hole()
    right, shifted, empty = mask, mask.roll(6, dims=3), torch.zeros_like(mask)
    losses = [mask_loss(20 * (2 * guess - 1), mask).item() for guess in (right, shifted, empty, 1 - mask)]
    assert losses[0] == pytest.approx(0, abs=1e-4)
    assert losses[0] < losses[1] < losses[3]
    assert losses[0] < losses[2] < losses[3]


def test_mask_loss_is_cross_entropy_plus_dice() -> None:
    mask = hole()
    logits = torch.from_numpy(np.random.default_rng(1).normal(0, 2, mask.shape))
    p, m = 1 / (1 + np.exp(-logits.numpy())), mask.numpy()
    entropy = -np.mean(m * np.log(p) + (1 - m) * np.log(1 - p))
    dice = [(2 * (a * b).sum() + 1) / (a.sum() + b.sum() + 1) for a, b in zip(p, m, strict=True)]
    assert mask_loss(logits, mask).item() == pytest.approx(entropy + 1 - np.mean(dice), rel=1e-12)


def test_the_hole_ssim_loss_matches_the_ssim_map_of_scikit_image() -> None:
    (x, y), mask = pictures(), hole()
    values = []
    for a, b, missing in zip(x.numpy(), y.numpy(), mask.numpy()[:, 0] > 0, strict=True):
        luma = [np.tensordot([0.299, 0.587, 0.114], one, 1) for one in (np.where(missing, a, b), b)]
        _, ssim_map = structural_similarity(
            *luma, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, full=True
        )
        values.extend(1 - ssim_map[missing])
    assert hole_ssim_loss(x, y, mask).item() == pytest.approx(np.mean(values), abs=1e-6)
