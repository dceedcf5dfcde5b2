"""Figures that can be trusted: checked against scikit-image, and against methods that do well or cheat on purpose."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pixelrnn.decode import read_image
from pixelrnn.encode import write_image
from pixelrnn.errors import PixelRNNError
from pixelrnn.evaluation.baselines import classical
from pixelrnn.evaluation.calibration import Pixels
from pixelrnn.evaluation.cases import read_cases
from pixelrnn.evaluation.detection import Detection, false_alarms, mask_iou, score_mask
from pixelrnn.evaluation.scores import PSNR_CEILING, Record, Score, evaluate, raw, score_case
from pixelrnn.evaluation.summaries import summarise
from pixelrnn.image import paste_known, resize


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
    score = dict.fromkeys(("hole_ssim", "gms", "ssim", "raw_ssim"), 0.9) | {"hole_psnr": 20.0, "psnr": 30.0, "raw_psnr": 25.0}
    sharpness = {"energy": 0.25, "true_energy": 0.5, "step": 0.75, "true_step": 0.5}
    return Record(set_, "x", missing, seconds, Score(**score | {"changed": 0.0} | sharpness | figures))


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
    value, full = structural_similarity(target, pasted, **options, full=True)
    assert score.ssim == pytest.approx(value, abs=1e-9)
    assert score.hole_ssim == pytest.approx(full[5:-5, 5:-5][mask[5:-5, 5:-5]].mean(), abs=1e-9)
    assert score.raw_psnr == pytest.approx(peak_signal_noise_ratio(target, out, data_range=255), abs=1e-9)
    assert score.raw_ssim == pytest.approx(structural_similarity(target, out, **options), abs=1e-9)


def test_only_changed_and_the_raw_figures_depend_on_known_pixels() -> None:
    target, mask = gradient(40, 40), box(40, 40, 0.25)
    rng = np.random.default_rng(0)
    spoilt = np.where(mask[..., None], target // 2, rng.integers(0, 256, target.shape, dtype=np.uint8))
    clean = np.where(mask[..., None], target // 2, target)
    bad, good = (score_case(out, target, target, mask) for out in (spoilt, clean))
    for figure in ("hole_psnr", "hole_ssim", "gms", "psnr", "ssim", "energy", "step"):
        assert getattr(bad, figure) == getattr(good, figure)
    assert bad.raw_psnr < good.raw_psnr
    assert bad.raw_ssim < good.raw_ssim
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
        psnr, best = pytest.approx(PSNR_CEILING), pytest.approx(1)
        energy, step = one.score.true_energy, one.score.true_step
        assert one.score == Score(
            psnr, best, best, psnr, best, psnr, best, 0.0, energy, energy, step, step, pytest.approx(0, nan_ok=True)
        )


def test_sharpness_is_that_of_the_pasted_picture_and_of_the_truth() -> None:
    target, out, mask = gradient(30, 40, 20), gradient(30, 40, 40, seed=1), np.zeros((30, 40), bool)
    mask[5:15, 8:20] = True
    score = score_case(out, target, target, mask)
    for picture, energy, step in ((out, score.energy, score.step), (target, score.true_energy, score.true_step)):
        hole = picture[5:15, 8:20] / 255
        luma = hole @ (0.299, 0.587, 0.114)
        assert energy == pytest.approx(np.mean(np.concatenate([np.diff(luma, axis=axis).ravel() for axis in (0, 1)]) ** 2))
        around = [target[4, 8:20], target[15, 8:20], target[5:15, 7], target[5:15, 20]]
        across = np.concatenate([hole[0], hole[-1], hole[:, 0], hole[:, -1]]) - np.concatenate(around) / 255
        assert step == pytest.approx(np.abs(across).mean())


def test_sharpness_ratios_are_one_for_the_truth_and_lower_when_blurred(cases_folder: Path) -> None:
    def ratios_of(spoil: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
        cases = read_cases(cases_folder / "rough")
        truths = iter([case.read()[2] for case in cases])
        summary = summarise(evaluate(lambda image, mask: spoil(next(truths)), cases)).by_set["rough"]
        return {name: summary[name].mean for name in ("energy_ratio", "energy_ratio_median", "step_ratio")}

    rng = np.random.default_rng(0)
    same = ratios_of(lambda truth: truth)
    blurred = ratios_of(lambda truth: ndimage.gaussian_filter(truth, (1.5, 1.5, 0)))
    noisy = ratios_of(lambda truth: np.clip(truth + rng.normal(0, 25, truth.shape), 0, 255).astype(np.uint8))
    lifted = ratios_of(lambda truth: np.minimum(truth, 215) + np.uint8(40))
    assert same == {"energy_ratio": 1, "energy_ratio_median": 1, "step_ratio": 1}
    for name in ("energy_ratio", "energy_ratio_median"):
        assert blurred[name] < 0.2
        assert noisy[name] > 1.5
        assert lifted[name] == pytest.approx(1, abs=0.1)
    assert lifted["step_ratio"] > 1.2


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
    assert np.isnan([score.ssim, score.hole_ssim, score.raw_ssim, score.gms, score.energy, score.true_step]).all()
    whole = score_case(tiny, tiny, tiny, np.ones((10, 30), bool))
    assert np.isnan([whole.changed, whole.step, whole.true_step]).all()
    nan = float("nan")
    summary = summarise([record(0.1, ssim=0.8), record(0.1, ssim=nan, hole_psnr=nan)]).by_set["a"]
    assert (summary["ssim"].mean, summary["hole_psnr"].mean, summary["count"].mean) == (0.8, 20.0, 2)
    assert np.isnan([summary["mask_iou"].mean, summary["ssim"].low]).all()


class Drawing:
    """A completer that finds what is black, and what lies around that, and paints it grey with a deviation of 0.1."""

    def __init__(self) -> None:
        self.asked: list[np.ndarray | None] = []

    def __call__(self, image: np.ndarray, mask: np.ndarray | None = None) -> SimpleNamespace:
        self.asked.append(mask)
        missing = self.detect(image) if mask is None else mask
        out = np.where(missing[..., None], np.uint8(128), image)
        return SimpleNamespace(image=out, mask=missing, uncertainty=np.where(missing, np.float32(0.1), np.float32(0)))

    def detect(self, image: np.ndarray, grown: bool = True) -> np.ndarray:
        seen = (image == 0).all(2)
        return ndimage.binary_dilation(seen, np.ones((5, 5))) if grown else seen

    def backend(self, image: np.ndarray, mask: np.ndarray) -> SimpleNamespace:
        self.asked.append(image)
        return SimpleNamespace(image=1 - image)


def test_a_blind_completion_is_scored_by_its_mask_before_and_after_growth(cases_folder: Path) -> None:
    completer, cases = Drawing(), read_cases(cases_folder)
    records = evaluate(completer, cases, blind=True, detect=lambda picture: completer.detect(picture, grown=False))
    assert completer.asked == [None] * 6
    for one, case in zip(records, cases, strict=True):
        given, mask, _ = case.read()
        assert one.mask == score_mask(completer.detect(given), mask)
        assert one.ungrown == score_mask((given == 0).all(2), mask)
        assert one.mask.precision < one.ungrown.precision
        assert one.figures()["ungrown_recall"] == 1
        assert one.pixels is None
    assert all(one.mask is None and one.ungrown is None for one in evaluate(completer, cases))
    assert all(one.mask is None for one in evaluate(lambda image, mask: image, cases, blind=True))


def test_where_a_deviation_is_predicted_the_holes_errors_are_kept_with_it(cases_folder: Path) -> None:
    cases = read_cases(cases_folder)
    for one, case in zip(evaluate(Drawing(), cases), cases, strict=True):
        _, mask, target = case.read()
        assert isinstance(one.pixels, Pixels)
        np.testing.assert_array_equal(one.pixels.std, np.full(mask.sum(), 0.1, np.float32))
        np.testing.assert_allclose(one.pixels.error, np.abs(128 - target[mask].astype(float)) / 255, atol=1e-6)


def test_raw_is_the_networks_own_picture_which_never_saw_the_hole(cases_folder: Path) -> None:
    completer, (case, *_) = Drawing(), read_cases(cases_folder / "rough")
    given, mask, target = case.read()
    out = raw(completer)(target, mask)
    np.testing.assert_array_equal(out, np.where(mask[..., None], 255, 255 - target))
    assert (completer.asked[0][:, mask] == 0).all()
    np.testing.assert_array_equal(target[~mask], given[~mask])
    with pytest.raises(PixelRNNError, match="mask"):
        raw(completer)(target, None)


def test_raw_of_a_large_picture_is_drawn_at_the_completers_working_size() -> None:
    completer, mask = Drawing(), np.zeros((900, 1280), bool)
    mask[200:300, 400:600] = True
    out = raw(completer)(np.full((900, 1280, 3), 30, np.uint8), mask)
    assert completer.asked[0].shape == (3, 450, 640)
    assert out.shape == (900, 1280, 3)
    assert (out[600:] == 225).all()


def test_a_mask_is_scored_as_a_classification_of_pixels() -> None:
    rng = np.random.default_rng(0)
    found, mask = rng.random((2, 30, 40)) < 0.4
    (neither, false), (missed, hit) = np.histogram2d(mask.ravel(), found.ravel(), bins=2)[0]
    expected = [hit / (hit + false + missed), hit / (hit + false), hit / (hit + missed), 100 * false / (false + neither)]
    one = score_mask(found, mask)
    assert [one.iou, one.precision, one.recall, one.false_positive] == pytest.approx(expected)
    nothing = np.zeros((30, 40), bool)
    assert score_mask(nothing, mask) == Detection(0, pytest.approx(np.nan, nan_ok=True), 0, 0)
    assert np.isnan(score_mask(mask, nothing).recall)
    assert np.isnan(score_mask(mask, ~nothing).false_positive)


def test_on_clean_photographs_what_is_called_missing_is_counted(tmp_path: Path) -> None:
    for i, share in enumerate((0.0, 0.0, 0.3)):
        write_image(tmp_path / f"{i}.png", np.where(box(20, 20, share)[..., None], np.uint8(0), np.uint8(200)).repeat(3, 2))
    paths, heard = sorted(tmp_path.iterdir()), []
    alarms = false_alarms(lambda picture: (picture == 0).all(2), paths, progress=lambda: heard.append(1))
    assert (alarms.pictures, alarms.left_alone, len(heard)) == (3, 2, 3)
    assert alarms.called_missing.mean == pytest.approx(10)
    seen = []
    false_alarms(lambda picture: seen.append(picture.shape) or picture[..., 0] == 0, paths, size=10)
    assert seen == [(10, 10, 3)] * 3


def test_cases_are_resized_when_a_size_is_asked_for(cases_folder: Path) -> None:
    for case, same in zip(read_cases(cases_folder / "rough", size=32), read_cases(cases_folder / "rough"), strict=True):
        given, mask, target = case.read()
        assert given.shape == target.shape == (32, 32, 3)
        np.testing.assert_array_equal(target, resize(read_image(case.target), 32, 32))
        assert same.read()[1].mean() <= mask.mean() < 1.6 * same.read()[1].mean()
        # what the hole is resized from is missing, every pixel of it
        assert (given[~grow_one(mask)].astype(int) - target[~grow_one(mask)] == 0).all()


def grow_one(mask: np.ndarray) -> np.ndarray:
    return ndimage.binary_dilation(mask, np.ones((3, 3)))


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


def test_memory_is_the_rise_on_the_first_image_of_a_set(cases_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        np.ones(10_000_000)  # 80 MB, let go at once
        return image

    cases = read_cases(cases_folder / "smooth")
    modest, greedy = (summarise(evaluate(method, cases)).by_set["smooth"] for method in (classical("mean"), hungry))
    if Path("/proc/self/clear_refs").exists():
        assert modest["memory"].mean < 40
        assert [np.isnan(one.memory) for one in evaluate(hungry, cases)] == [False, True, True]
        assert greedy["memory"].mean == pytest.approx(80, abs=15)
    monkeypatch.setattr("pixelrnn.evaluation.memory.PROCESS", cases_folder)
    assert np.isnan(summarise(evaluate(hungry, cases)).by_set["smooth"]["memory"].mean)
