"""The page holds tables and pictures, picks the best, median and worst case, and loads nothing."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixelrnn.encode import write_image
from pixelrnn.evaluation import report_html
from pixelrnn.evaluation.baselines import classical
from pixelrnn.evaluation.calibration import Pixels
from pixelrnn.evaluation.cases import Case, read_cases
from pixelrnn.evaluation.report_html import Picture
from pixelrnn.evaluation.scores import evaluate
from pixelrnn.inference.completer import Completion
from test_report import NAN, record
from test_sheet import BLUE, GREEN, RED, plain


def test_the_page_holds_tables_and_pictures_and_loads_nothing() -> None:
    results = {
        "<ours> [v1]": [record("square", 0.09, 29.125), record("square", 0.65, 23.5, id_="y")],
        "telea": [record("square", 0.09, 26.5), record("square", 0.65, 22.5, id_="y")],
    }
    shown = [
        Picture("input", plain(RED, 40, 60)),
        Picture("<ours>", plain(BLUE, 900, 500), "9 < 10"),
        Picture("truth", plain(GREEN, 9, 9)),
    ]
    text = report_html.html(results, [("square / <1>", shown)], title="A & B")
    assert not re.search(r"https?:|url\(|@import|<script|<link|href", text)
    sources = re.findall(r'src="([^"]*)"', text)
    assert len(sources) == text.count("<img") == 3
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    for held in (
        "&lt;ours&gt; [v1]",
        "A &amp; B",
        "9 &lt; 10",
        "square / &lt;1&gt;",
        "<b>26.31</b><small>23.50 to 29.12</small>",
        "<h2>Sharpness</h2>",
        "<td>0.526<small>0.470 to 0.583</small></td>",
    ):
        assert held in text
    assert "<ours>" not in text
    assert text.count("<table>") == 4


def test_calibration_and_clean_photographs_have_their_tables() -> None:
    kept = Pixels(np.linspace(0.1, 0.5, 50, dtype=np.float32), np.full((50, 3), 0.29, np.float32))
    text = report_html.html({"ours": [replace(record("a", 0.2, 20), pixels=kept)]})
    assert "Calibration of the uncertainty" in text
    assert "ours: constant" in text
    assert "Paired" not in text


def test_pictures_in_the_page_are_shrunk_but_not_enlarged() -> None:
    sizes = []
    for height, width in ((900, 500), (40, 60)):
        data = re.search(r"base64,([^\"]*)", report_html.html({}, [("x", [Picture("input", plain(BLUE, height, width))])]))
        assert data is not None
        with Image.open(io.BytesIO(base64.b64decode(data[1]))) as picture:
            sizes.append(picture.size)
            assert np.abs(np.asarray(picture).astype(int) - BLUE).max() < 6
    assert sizes == [(178, 320), (60, 40)]


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    """Seven grey pictures whose hole is further and further from their mean: case 0 is the easiest."""
    for i in range(7):
        mask = np.zeros((30, 40), bool)
        mask[5:15, 5:15] = True
        truth = np.where(mask[..., None], np.uint8(100 + 20 * i), np.uint8(100)).repeat(3, axis=2)
        for part, written in (("input", np.where(mask[..., None], np.uint8(0), truth)), ("mask", mask), ("target", truth)):
            write_image(tmp_path / "set" / part / f"{i}.png", written)
    return read_cases(tmp_path / "set")


def test_every_method_is_shown_on_the_best_median_and_worst_case(cases: list[Case]) -> None:
    def unsure(image: np.ndarray, mask: np.ndarray | None) -> Completion:
        assert mask is not None
        std = np.where(mask, np.float32(0.3), np.float32(0))
        return Completion(image, mask, std, [image], None, "given")

    methods = {"mean": classical("mean"), "unsure": unsure}
    results = {name: evaluate(method, cases) for name, method in methods.items()}
    shown = report_html.examples(methods, results, reversed(cases))
    assert [heading for heading, _ in shown] == ["set / 0: best of 7", "set / 3: median of 7", "set / 6: worst of 7"]
    for (_, pictures), number in zip(shown, (0, 3, 6), strict=True):
        by_name = {one.name: one for one in pictures}
        assert list(by_name) == ["input", "mask", "mean", "unsure", "truth", "uncertainty of unsure"]
        given, mask, target = cases[number].read()
        assert np.array_equal(by_name["truth"].image, target)
        assert np.array_equal(by_name["input"].image, given)
        assert (by_name["mask"].image[mask] == 255).all()
        assert np.array_equal(by_name["uncertainty of unsure"].image[mask][0], report_html.RAMP[-1])
        assert by_name["mean"].note.startswith(f"{results['mean'][number].score.hole_psnr:.1f} dB")


def test_samples_stand_side_by_side_with_their_own_figures(cases: list[Case]) -> None:
    def drawn(image: np.ndarray, mask: np.ndarray) -> Completion:
        samples = [np.where(mask[..., None], np.uint8(shade), image) for shade in (220, 110)]
        return Completion(samples[0], mask, None, samples, [-1.5, -2.25], "given")

    mean = {"mean": classical("mean")}
    shown = report_html.examples(mean, {"mean": evaluate(mean["mean"], cases)}, cases, drawn)
    for _, pictures in shown:
        assert [one.name for one in pictures] == ["input", "mask", "mean", "sample 1", "sample 2", "truth"]
    assert shown[2][1][3].note == "138.1 dB, -1.50 nats a pixel"  # the worst for the mean has 220 in its hole
    assert shown[2][1][4].note == f"{20 * np.log10(255 / 110):.1f} dB, -2.25 nats a pixel"


def test_few_cases_and_cases_without_a_figure_are_shown_once_or_not_at_all(cases: list[Case]) -> None:
    mean = {"mean": classical("mean")}
    records = evaluate(mean["mean"], cases)
    assert [len(report_html.examples(mean, {"mean": records[:count]}, cases)) for count in range(4)] == [0, 1, 2, 3]
    nameless = [replace(one, score=replace(one.score, hole_psnr=NAN)) for one in records]
    assert report_html.examples(mean, {"mean": nameless}, cases) == []
    assert report_html.examples({}, {}, []) == []


def test_the_heat_map_rises_from_black_to_pale() -> None:
    colours = report_html.heat_map(np.linspace(0, 0.25, 40, dtype=np.float32)[None])
    brightness = colours[0].astype(float) @ (0.299, 0.587, 0.114)
    assert colours.dtype == np.uint8
    assert (np.diff(brightness) > 0).all()
    assert np.array_equal(report_html.heat_map(np.full((1, 1), 9.0)), report_html.heat_map(np.full((1, 1), 0.25)))
