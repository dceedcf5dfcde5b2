"""Figures that can be trusted: checked against scikit-image, and against methods that do well or cheat on purpose."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pixelrnn.errors import PixelRNNError
from pixelrnn.evaluation import PSNR_CEILING, Record, Score, classical, evaluate, mask_iou, read_cases, score_case, summarise
from pixelrnn.image import grow, paste_known, write_image


def gradient(height: int, width: int, noise: float = 0, seed: int = 0) -> np.ndarray:
    y, x = np.mgrid[0:1:height*1j, 0:1:width*1j]  # fmt: skip
    picture = np.stack([40 + 170 * x, 30 + 190 * y, 220 - 90 * x - 80 * y], axis=2)
    picture += noise * np.random.default_rng(seed).standard_normal(picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def box(height: int, width: int, share: float) -> np.ndarray:
    """The leftmost columns, so that the share is exact for round numbers."""
    mask = np.zeros((height, width), bool)
    mask[:, : round(width * share)] = True
    return mask


def write_case(folder: Path, name: str, target: np.ndarray, mask: np.ndarray) -> None:
    for part, picture in (("input", np.where(mask[..., None], np.uint8(0), target)), ("mask", mask), ("target", target)):
        write_image(folder / part / f"{name}.png", picture)


@pytest.fixture
def cases_folder(tmp_path: Path) -> Path:
    """Two sets, three cases each, of several sizes."""
    for i, (height, width) in enumerate([(40, 60), (50, 50), (64, 40)]):
        mask = np.zeros((height, width), bool)
        mask[10:25, 12 + i : 26] = True
        write_case(tmp_path / "cases/smooth", f"bed_{i + 9}", gradient(height, width), mask)
        write_case(tmp_path / "cases/rough", f"bed_{i + 9}", gradient(height, width, 25, i), mask)
    return tmp_path / "cases"


def record(missing: float, set_: str = "a", seconds: float = 0.1, **figures: float) -> Record:
    score = {"hole_psnr": 20.0, "psnr": 30.0, "ssim": 0.9, "changed": 0.0} | figures
    return Record(set_, "x", missing, seconds, Score(**score), np.nan)


@pytest.mark.parametrize("seed", range(4))
def test_scores_match_scikit_image_on_random_holes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = gradient(57, 43, 20, seed)
    out = np.clip(target + rng.normal(0, 30, target.shape), 0, 255).astype(np.uint8)
    mask = rng.random((57, 43)) < rng.uniform(0.02, 0.9)
    score = score_case(out, target, target, mask)
    pasted = paste_known(target, out, mask)
    assert score.hole_psnr == pytest.approx(peak_signal_noise_ratio(target[mask], out[mask], data_range=255), abs=1e-9)
    assert score.psnr == pytest.approx(peak_signal_noise_ratio(target, pasted, data_range=255), abs=1e-9)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255, "channel_axis": 2}
    assert score.ssim == pytest.approx(structural_similarity(target, pasted, **options), abs=1e-9)


def test_what_lies_outside_the_hole_counts_for_changed_alone() -> None:
    target, mask = gradient(40, 40), box(40, 40, 0.25)
    rng = np.random.default_rng(0)
    spoilt = np.where(mask[..., None], target // 2, rng.integers(0, 256, target.shape, dtype=np.uint8))
    clean = np.where(mask[..., None], target // 2, target)
    bad, good = (score_case(out, target, target, mask) for out in (spoilt, clean))
    assert (bad.hole_psnr, bad.psnr, bad.ssim) == (good.hole_psnr, good.psnr, good.ssim)
    assert good.changed == 0
    assert bad.changed > 99


def test_changed_counts_known_pixels_beyond_four_pixels_of_the_hole() -> None:
    target, mask = gradient(20, 20), box(20, 20, 0.5)
    for column, expected in ((9, 0.0), (13, 0.0), (14, 100 / 6), (19, 100 / 6)):
        out = target.copy()
        out[:, column, 1] ^= 1
        assert score_case(out, target, target, mask).changed == pytest.approx(expected)


def test_a_perfect_method_scores_the_ceiling_and_changes_nothing(cases_folder: Path) -> None:
    cases = read_cases(cases_folder)
    truths = iter([case.read()[2] for case in cases])
    for one in evaluate(lambda image, mask: next(truths), cases):
        assert one.score == Score(pytest.approx(PSNR_CEILING), pytest.approx(PSNR_CEILING), pytest.approx(1), 0.0)


def test_a_method_that_changes_known_pixels_is_found_out(cases_folder: Path) -> None:
    def honest(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return paste_known(image, 255 - image, mask)

    def inverting(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        # in place: it must not be able to change what it is compared with
        np.subtract(255, image, out=image)
        mask[:] = True
        return image

    cases = read_cases(cases_folder)
    assert {one.score.changed for one in evaluate(honest, cases)} == {0.0}
    assert min(one.score.changed for one in evaluate(inverting, cases)) > 95


@pytest.mark.parametrize("name", ["telea", "ns"])
def test_opencv_beats_the_mean_colour_on_a_smooth_gradient(cases_folder: Path, name: str) -> None:
    cases = read_cases(cases_folder / "smooth")
    better, mean = (summarise(evaluate(classical(method), cases)).by_set["smooth"] for method in (name, "mean"))
    assert better.hole_psnr > mean.hole_psnr + 6
    assert better.ssim > mean.ssim
    assert better.changed == mean.changed == 0


def test_opencv_is_called_with_the_mask_grown_by_two_pixels() -> None:
    import cv2

    picture, mask = gradient(40, 40, 10), np.zeros((40, 40), bool)
    mask[10:20, 0:15] = True
    dilated = cv2.dilate(mask.astype(np.uint8) * 255, np.ones((5, 5), np.uint8))
    assert np.array_equal(classical("telea")(picture, mask), cv2.inpaint(picture, dilated, 5, cv2.INPAINT_TELEA))
    assert np.array_equal(grow(mask, 4), cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0)


def test_mean_is_the_mean_of_the_known_pixels_alone() -> None:
    picture, mask = np.full((4, 4, 3), 10, np.uint8), box(4, 4, 0.5)
    picture[:, 0], picture[:, 3] = 255, (30, 10, 10)
    out = classical("mean")(picture, mask)
    assert np.array_equal(out[mask], np.broadcast_to([20, 10, 10], (8, 3)))
    assert np.array_equal(out[~mask], picture[~mask])
    assert (classical("mean")(picture, np.ones((4, 4), bool)) == 128).all()


def test_an_unknown_classical_method_is_answered_with_the_list() -> None:
    with pytest.raises(PixelRNNError, match=r"telia.*telea, ns, mean"):
        classical("telia")


def test_without_opencv_telea_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(PixelRNNError, match=r"pip install 'pixelrnn\[evaluate\]'"):
        classical("telea")
    classical("mean")


def test_classical_methods_refuse_to_work_blind(cases_folder: Path) -> None:
    with pytest.raises(PixelRNNError, match="case rough/bed_9: mean cannot find the occlusion itself"):
        evaluate(classical("mean"), read_cases(cases_folder), blind=True)


def test_cases_are_read_from_one_set_or_a_folder_of_several(cases_folder: Path) -> None:
    assert [(case.set, case.id) for case in read_cases(cases_folder / "smooth")] == [
        ("smooth", f"bed_{i}") for i in (9, 10, 11)
    ]
    cases = read_cases(cases_folder)
    assert [case.set for case in cases] == ["rough"] * 3 + ["smooth"] * 3
    assert read_cases(cases_folder / "rough", cases_folder / "smooth") == cases
    given, mask, target = cases[0].read()
    assert given.shape == target.shape == (40, 60, 3)
    assert mask.dtype == bool
    assert mask.sum() == 15 * 14
    assert np.array_equal(given[~mask], target[~mask])


def lonely(folder: Path) -> None:
    (folder / "rough/mask/bed_10.png").unlink()


def resized(folder: Path) -> None:
    write_image(folder / "rough/input/bed_10.png", gradient(50, 49))


def doubled(folder: Path) -> None:
    write_image(folder / "rough/input/bed_10.jpg", gradient(50, 50))


def incomplete(folder: Path) -> None:
    (folder / "smooth/target").rename(folder / "smooth/truth")


def stray(folder: Path) -> None:
    (folder / "results").mkdir()


def damaged(folder: Path) -> None:
    (folder / "rough/target/bed_11.png").write_bytes(b"not a picture")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lonely, "rough: no mask/bed_10.*SET/input/ID.png"),
        (resized, "rough/bed_10.*one size.*input.bed_10.png is 49 x 50.*target.bed_10.png is 50 x 50"),
        (doubled, "bed_10.jpg and .*bed_10.png: two files"),
        (incomplete, "smooth: not a set of cases, it has no folder target.*SET/input/ID.png"),
        (stray, "results: not a set of cases, it has no folder input or mask or target"),
        (damaged, "bed_11.png: not a picture"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_layout_is_told_by_name(cases_folder: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(cases_folder)
    with pytest.raises(PixelRNNError, match=message):
        read_cases(cases_folder)


def test_a_folder_without_cases_and_two_sets_of_one_name_are_refused(cases_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PixelRNNError, match=r"no such folder.*SET/input/ID\.png"):
        read_cases(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PixelRNNError, match=r"no set of cases.*SET/input/ID\.png"):
        read_cases(tmp_path / "empty")
    with pytest.raises(PixelRNNError, match="two sets of cases named smooth"):
        read_cases(cases_folder, cases_folder / "smooth")


def test_sizes_are_compared_upright(tmp_path: Path) -> None:
    write_case(tmp_path / "set", "a", gradient(20, 30), box(20, 30, 0.5))
    (tmp_path / "set/input/a.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.fromarray(gradient(30, 20)).save(tmp_path / "set/input/a.jpg", exif=exif)
    (case,) = read_cases(tmp_path / "set")
    assert case.read()[0].shape == (20, 30, 3)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((9, 9, 3), np.uint8), np.zeros((40, 60, 3)), np.zeros((40, 60), np.uint8), None],
    ids=["size", "type", "2-d", "none"],
)
def test_a_result_that_cannot_be_scored_names_the_case_and_the_shape(cases_folder: Path, wrong: object) -> None:
    with pytest.raises(PixelRNNError, match=r"case rough/bed_9: expected a completion of uint8 \(40, 60, 3\)"):
        evaluate(lambda image, mask: wrong, read_cases(cases_folder))


def test_figures_without_a_meaning_are_nan_and_left_out_of_means() -> None:
    tiny = gradient(10, 30)
    score = score_case(tiny, tiny, tiny, np.zeros((10, 30), bool))
    assert np.isnan(score.hole_psnr)
    assert np.isnan(score.ssim)
    assert np.isnan(score_case(tiny, tiny, tiny, np.ones((10, 30), bool)).changed)
    nan = float("nan")
    summary = summarise([record(0.1, ssim=0.8), record(0.1, ssim=nan, hole_psnr=nan)]).by_set["a"]
    assert (summary.ssim, summary.without_ssim, summary.hole_psnr, summary.count) == (0.8, 1, 20.0, 2)
    assert np.isnan(summary.mask_iou)


def test_a_completion_is_unwrapped_and_its_mask_is_scored_when_blind(cases_folder: Path) -> None:
    asked = []

    def completer(image: np.ndarray, mask: np.ndarray | None = None) -> SimpleNamespace:
        asked.append(mask)
        return SimpleNamespace(image=image, mask=(image == 0).all(2) if mask is None else mask)

    cases = read_cases(cases_folder)
    assert [one.mask_iou for one in evaluate(completer, cases, blind=True)] == pytest.approx([1.0] * 6, abs=0.05)
    assert asked == [None] * 6
    assert all(np.isnan(one.mask_iou) for one in evaluate(completer, cases))
    assert all(np.isnan(one.mask_iou) for one in evaluate(lambda image, mask: image, cases, blind=True))


def test_mask_iou_is_intersection_over_union() -> None:
    left, right = box(10, 10, 0.4), np.roll(box(10, 10, 0.4), 2, axis=1)
    assert mask_iou(left, right) == pytest.approx(20 / 60)
    assert mask_iou(left, left) == 1
    assert mask_iou(left, ~left) == 0
    assert mask_iou(left & ~left, left & ~left) == 1


def test_progress_hears_of_every_case_with_its_picture(cases_folder: Path) -> None:
    heard = []
    records = evaluate(classical("mean"), read_cases(cases_folder), progress=lambda *told: heard.append(told))
    assert [told[1] for told in heard] == records
    assert [told[0].id for told in heard] == [one.id for one in records]
    assert all(told[2].shape == told[0].read()[2].shape for told in heard)
    assert all(one.seconds > 0 for one in records)


def test_records_hold_the_known_share_and_summaries_group_by_it(tmp_path: Path) -> None:
    shares = {"none": 0.0, "tenth": 0.1, "fifth": 0.2, "third": 0.35, "half": 0.5, "most": 0.6, "more": 0.75}
    for name, share in shares.items():
        write_case(tmp_path / ("few" if share < 0.3 else "much"), name, gradient(20, 20, 5), box(20, 20, share))
    records = evaluate(classical("mean"), read_cases(tmp_path))
    assert {one.id: one.missing for one in records} == pytest.approx(shares)
    by_set, by_missing = summarise(records)
    assert {name: group.count for name, group in by_set.items()} == {"few": 3, "much": 4}
    counts = {"0-10 %": 1, "10-20 %": 1, "20-30 %": 1, "30-40 %": 1, "50-60 %": 1, "60+ %": 2}
    assert {name: group.count for name, group in by_missing.items()} == counts
    assert list(by_missing) == list(counts)
    assert by_missing["60+ %"].missing == pytest.approx(0.675)


def test_summaries_are_means_and_the_median_of_the_seconds() -> None:
    records = [record(0.3, "b", 9.0, psnr=10, changed=50), record(0.3, "a", 0.1, psnr=20), record(0.3, "b", 0.2, psnr=30)]
    by_set, by_missing = summarise([*records, record(0.3, "b", 0.1, psnr=50)])
    assert list(by_set) == ["b", "a"]
    assert (by_set["b"].psnr, by_set["b"].seconds, by_set["b"].changed) == (30, 0.2, pytest.approx(50 / 3))
    assert by_missing["30-40 %"].psnr == 27.5
    assert summarise([]) == ({}, {})
