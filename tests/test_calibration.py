"""Coverage and rank correlation: against plain counting, and on errors drawn with known deviations."""

import numpy as np
import pytest

from pixelrnn.evaluation.calibration import PIXELS, Pixels, calibrate, sample, spearman


def drawn(count: int, seed: int = 0, scale: float = 1) -> Pixels:
    """Normal errors with deviations between 0.02 and 0.2; `scale` makes the prediction wrong."""
    rng = np.random.default_rng(seed)
    deviation = rng.uniform(0.02, 0.2, count).astype(np.float32)
    return Pixels(deviation * np.float32(scale), np.abs(rng.normal(0, 1, (count, 3)) * deviation[:, None]).astype(np.float32))


def test_a_calibrated_std_covers_68_percent_of_the_errors_in_every_fifth() -> None:
    samples = [drawn(20_000), drawn(20_000, 1)]
    honest, constant = calibrate(samples), calibrate(samples, constant=True)
    assert honest is not None
    assert constant is not None
    assert honest.fifths == pytest.approx([0.683] * 5, abs=0.01)
    assert honest.within == pytest.approx(0.683, abs=0.005)
    assert honest.deviation == pytest.approx(honest.error, rel=0.02)
    assert constant.deviation == pytest.approx(constant.error) == pytest.approx(honest.error)
    assert constant.fifths[0] > 0.95
    assert constant.fifths[4] < 0.55
    assert np.isnan([constant.correlation, constant.correlation_per_image]).all()
    assert honest.pixels == constant.pixels == 40_000


def test_deviations_half_too_small_cover_38_percent_and_rank_as_well() -> None:
    half, honest = calibrate([drawn(20_000, scale=0.5)]), calibrate([drawn(20_000)])
    assert half is not None
    assert honest is not None
    assert half.within == pytest.approx(0.383, abs=0.01)
    assert half.correlation == pytest.approx(honest.correlation)


def ranks(values: np.ndarray) -> np.ndarray:
    """Of each value, how many are less, and of the equal ones the middle."""
    less, equal = values[None] < values[:, None], values[None] == values[:, None]
    return less.sum(1) + (equal.sum(1) + 1) / 2


def test_the_rank_correlation_is_that_of_counted_ranks_ties_included() -> None:
    one = drawn(500)
    tied = Pixels(np.round(one.std, 2), np.round(one.error * 255) / 255)
    for pixels in (one, tied):
        expected = np.corrcoef(ranks(np.repeat(pixels.std, 3)), ranks(pixels.error.ravel()))[0, 1]
        assert spearman(*pixels) == pytest.approx(expected, abs=1e-12)
    other = drawn(300, 3)
    together = calibrate([tied, other])
    assert together is not None
    assert together.correlation_per_image == pytest.approx((spearman(*tied) + spearman(*other)) / 2)
    assert np.isnan(spearman(np.full(9, 0.1), one.error[:9]))


def test_few_pixels_and_none_are_no_error() -> None:
    assert calibrate([]) is None
    assert calibrate([Pixels(np.zeros(0, np.float32), np.zeros((0, 3), np.float32))]) is None
    two = calibrate([drawn(2)])
    assert two is not None
    assert np.isnan(two.fifths[2:]).all()


def test_a_sample_holds_missing_pixels_alone_and_the_same_ones_every_time() -> None:
    rng = np.random.default_rng(0)
    out, target = rng.integers(0, 256, (2, 90, 100, 3), dtype=np.uint8)
    mask = rng.random((90, 100)) < 0.7
    deviation = np.where(mask, np.arange(9000).reshape(90, 100) / 9000, 0).astype(np.float32)
    one, again = sample(out, deviation, target, mask), sample(out, deviation, target, mask)
    assert len(one.std) == PIXELS < mask.sum()
    np.testing.assert_array_equal(one.std, again.std)
    places = np.rint(one.std * 9000).astype(int)
    assert mask.ravel()[places].all()
    assert len(set(places)) == PIXELS
    expected = np.abs(out.reshape(-1, 3)[places].astype(float) - target.reshape(-1, 3)[places]) / 255
    np.testing.assert_allclose(one.error, expected, atol=1e-6)
    few = sample(out, deviation, target, mask & (np.arange(100) < 3))
    assert len(few.std) == mask[:, :3].sum()
