"""Means, ratios, differences and their intervals, against plain resampling."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pixelrnn.evaluation.baselines import classical
from pixelrnn.evaluation.bootstrap import estimates
from pixelrnn.evaluation.cases import read_cases
from pixelrnn.evaluation.scores import Record, evaluate
from pixelrnn.evaluation.summaries import differences, ratios, summarise
from test_scores import box, gradient, record, write_case


def test_records_hold_the_known_share_and_summaries_group_by_it(tmp_path: Path) -> None:
    shares = {"none": 0.0, "tenth": 0.1, "fifth": 0.2, "third": 0.35, "half": 0.5, "most": 0.6, "more": 0.75}
    for name, share in shares.items():
        write_case(tmp_path / ("few" if share < 0.3 else "much"), name, gradient(20, 20, 5), box(20, 20, share))
    records = evaluate(classical("mean"), read_cases(tmp_path))
    assert {one.id: one.missing for one in records} == pytest.approx(shares)
    by_set, by_missing = summarise(records)
    assert {name: group["count"].mean for name, group in by_set.items()} == {"few": 3, "much": 4}
    counts = {"0-10 %": 1, "10-20 %": 1, "20-30 %": 1, "30-40 %": 1, "50-60 %": 1, "60+ %": 2}
    assert {name: group["count"].mean for name, group in by_missing.items()} == counts
    assert list(by_missing) == list(counts)
    assert by_missing["60+ %"]["missing"].mean == pytest.approx(0.675)


def test_summaries_are_means_and_the_median_of_the_seconds() -> None:
    records = [record(0.3, "b", 9.0, psnr=10, changed=50), record(0.3, "a", 0.1, psnr=20), record(0.3, "b", 0.2, psnr=30)]
    by_set, by_missing = summarise([*records, record(0.3, "b", 0.1, psnr=50)])
    assert list(by_set) == ["b", "a"]
    b = by_set["b"]
    assert (b["psnr"].mean, b["seconds"].mean, b["changed"].mean) == (30, 0.2, pytest.approx(50 / 3))
    assert by_missing["30-40 %"]["psnr"].mean == 27.5
    assert summarise([]) == ({}, {})


def percentiles(statistic: Callable[..., float], *columns: np.ndarray) -> tuple[float, float]:
    """The percentile bootstrap as Efron describes it, one draw after the other."""
    rng, count = np.random.default_rng(1), len(columns[0])
    draws = [rng.integers(count, size=count) for _ in range(4000)]
    low, high = np.percentile([statistic(*(column[draw] for column in columns)) for draw in draws], (2.5, 97.5))
    return float(low), float(high)


def test_intervals_are_those_of_drawing_the_images_again_and_again() -> None:
    values = np.random.default_rng(0).normal(20, 3, 60)
    found = estimates([{"a": value, "b": np.nan if i % 2 else value} for i, value in enumerate(values)])
    for name, only in (("a", values), ("b", values[::2])):
        assert found[name].mean == pytest.approx(only.mean())
        assert found[name][1:] == pytest.approx(percentiles(np.mean, only), abs=0.1)
    assert estimates([{"a": value} for value in values])["a"] == found["a"]


def test_ratios_are_pooled_and_their_images_drawn_with_their_truths() -> None:
    rng = np.random.default_rng(0)
    truth = rng.exponential(1, 80)
    mine = truth * rng.uniform(0.2, 0.8, 80)
    scores = [record(0.1, energy=a, true_energy=b, step=b, true_step=a).score for a, b in zip(mine, truth, strict=True)]
    blank = record(0.1, energy=np.nan, true_energy=np.nan, step=np.nan, true_step=np.nan).score
    found = ratios([*scores, blank])
    for name, statistic, pair in (
        ("energy_ratio", lambda a, b: a.sum() / b.sum(), (mine, truth)),
        ("energy_ratio_median", lambda a, b: np.median(a / b), (mine, truth)),
        ("step_ratio", lambda a, b: a.sum() / b.sum(), (truth, mine)),
    ):
        assert found[name].mean == pytest.approx(statistic(*pair))
        assert found[name][1:] == pytest.approx(percentiles(statistic, *pair), abs=0.02 * found[name].mean)
        assert np.isnan(ratios([blank])[name]).all()
        assert np.isnan(ratios(scores[:1])[name].low)


def test_a_truth_without_any_detail_counts_in_the_pooled_ratio_alone() -> None:
    flat, rich = (record(0.1, energy=0.5, true_energy=true, step=0.5, true_step=true).score for true in (0.0, 2.0))
    found = ratios([flat, rich, rich])
    assert (found["energy_ratio"].mean, found["energy_ratio_median"].mean) == (0.375, 0.25)
    assert 0.25 <= found["energy_ratio"].low < 0.375 < found["energy_ratio"].high <= 0.75
    assert np.isnan([one.mean for one in ratios([flat, flat]).values()]).all()


def test_one_picture_has_no_interval() -> None:
    found = estimates([{"a": 3.0, "b": np.nan}])
    assert found["a"].mean == 3
    assert np.isnan([found["a"].low, found["a"].high, found["b"].mean]).all()


def test_differences_are_paired_over_the_cases_that_both_have() -> None:
    def records(gain: float, ids: range) -> list[Record]:
        easy = {i: 10.0 + 3 * i for i in ids}
        made = [record(0.2, "a", hole_psnr=psnr + gain, gms=0.5 + gain / 100) for psnr in easy.values()]
        return [replace(one, id=str(i)) for one, i in zip(made, easy, strict=True)]

    found = differences(records(2, range(12)), records(0.5, range(4, 20)))["a"]
    assert found["count"].mean == 8
    # cases of very different difficulty, one difference: no width
    assert found["hole_psnr"] == pytest.approx((1.5, 1.5, 1.5))
    assert found["gms"].mean == pytest.approx(0.015)
