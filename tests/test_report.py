"""Tables, Markdown and JSON hold the figures they were given."""

import io
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from pixelrnn.evaluation import report
from pixelrnn.evaluation.bootstrap import Estimate
from pixelrnn.evaluation.calibration import Pixels
from pixelrnn.evaluation.detection import Detection, FalseAlarms
from pixelrnn.evaluation.grids import grids
from pixelrnn.evaluation.scores import Record, Score

NAN = float("nan")


def record(set_: str, missing: float, psnr: float, ssim: float = 0.9, iou: float = NAN, id_: str = "x") -> Record:
    score = Score(psnr - 10, 0.75, 0.875, psnr, ssim, psnr - 1, 0.5, 0.25, psnr / 100, 0.5, 0.3, 0.2, 0.625)
    mask = None if math.isnan(iou) else Detection(iou, 0.8, NAN, 1.5)
    return Record(set_, id_, missing, 0.012, score, 34.0, mask)


@pytest.fixture
def results() -> dict[str, list[Record]]:
    return {
        "telea": [record("square", 0.09, 26.5), record("box", 0.65, 24.5)],
        "<ours> [v1]": [record("square", 0.09, 29.125), record("box", 0.65, 23.5)],
        "mean": [record("square", 0.09, 22, NAN)],
    }


def printed(results: dict[str, list[Record]], width: int = 120) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(*report.tables(results))
    return stream.getvalue()


def test_tables_have_a_row_per_method_and_group(results: dict[str, list[Record]]) -> None:
    text = printed(results)
    lines = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    assert ["square", "telea", "1", "9.0", "16.50", "0.750", "0.625", "0.9000", "0.25", "12"] in lines
    assert ["<ours> [v1]", "1", "9.0", "19.12", "0.750", "0.625", "0.9000", "0.25", "12"] in lines
    assert ["box", "telea", "1", "65.0", "14.50", "0.750", "0.625", "0.9000", "0.25", "12"] in lines
    assert ["60+ %", "telea", "1", "65.0", "14.50", "0.750", "0.625", "0.9000", "0.25", "12"] in lines
    assert text.index("0-10 %") < text.index("60+ %")
    assert "IoU" not in text
    assert "nan" not in text
    assert "leaves out 1 pictures" in " ".join(text.split())


def test_in_a_narrow_console_names_are_folded_and_figures_are_whole() -> None:
    text = printed({"a folder/with a long name.safetensors": [record("freeform", 0.25, 26.51, iou=0.75)]}, width=80)
    assert all(figure in text for figure in ("25.0", "16.51", "0.875", "0.9000", "0.25", "12", "0.750"))


def test_the_best_method_of_a_group_is_marked(results: dict[str, list[Record]]) -> None:
    by_set = grids(results)[0]
    column = by_set.head.index("PSNR") - 2
    best = {(group, method): cells[column].best for group, rows in by_set.groups for method, cells in rows}
    assert [key for key, value in best.items() if value] == [("square", "<ours> [v1]"), ("box", "telea")]
    alone = grids({"telea": results["telea"]})[0]
    assert not any(cell.best for _, rows in alone.groups for _, cells in rows for cell in cells)


def test_sharpness_is_a_table_of_its_own_in_every_form(results: dict[str, list[Record]]) -> None:
    (grid,) = (grid for grid in grids(results, brief=True) if grid.title == "Sharpness")
    assert [(group, [method for method, _ in rows]) for group, rows in grid.groups] == [
        ("square", list(results)), ("box", ["telea", "<ours> [v1]"])
    ]  # fmt: skip
    lines = [re.split(r"\s{2,}", line.strip()) for line in printed(results).splitlines()]
    assert ["square", "telea", "1", "0.530", "0.530", "0.875", "1.500"] in lines
    assert "All are 1 for the truth" in " ".join(printed(results).split())
    two = {"telea": [record("square", 0.09, 10), record("square", 0.09, 90, id_="y")]}
    assert "| square | telea | 2 | 1.000 (0.200 to 1.800) | 1.000 (0.200 to 1.800) | 0.875 " in report.to_markdown(two)
    figures = report.to_json(two)["sets"]["square"]["telea"]
    shown = [figures[name] for name in ("energy", "true_energy", "energy_ratio", "energy_ratio_median", "step_ratio")]
    assert shown == pytest.approx([0.5, 0.5, 1, 1, 1.5])
    assert figures["interval"]["energy_ratio"] == pytest.approx([0.2, 1.8])


def test_detection_is_a_table_of_the_blind_methods_alone() -> None:
    results = {"other": [record("square", 0.09, 25)], "ours (blind)": [record("square", 0.09, 26, iou=0.75)]}
    (grid,) = (grid for grid in grids(results) if grid.title == "Detection")
    (_, [(method, cells)]) = grid.groups[0]
    assert method == "ours (blind)"
    assert [cell.text for cell in cells] == ["0.750", "0.800", "–", "1.50", "–", "–", "–", "–"]
    assert "Detection" not in report.to_markdown({"other": results["other"]})
    assert "0.750" in printed(results)


def many(gain: float, pixels: bool = False) -> list[Record]:
    """Ten pictures of very different difficulty; `pixels`: deviations of 0.1 to 0.5, all errors 0.3."""
    kept = Pixels(np.linspace(0.1, 0.5, 50, dtype=np.float32), np.full((50, 3), 0.29, np.float32)) if pixels else None
    return [replace(record("a|b", 0.2, 20 + 2 * i + gain, id_=str(i)), pixels=kept) for i in range(10)]


def test_the_paired_difference_is_the_first_method_minus_the_other() -> None:
    results = {"ours": many(1.5), "telea": many(0)}
    assert "Paired" not in {grid.title for grid in grids(results, brief=True)}
    document = report.to_json(results)["differences"]["a|b"]
    assert list(document) == ["telea"]
    assert document["telea"]["hole_psnr"] == pytest.approx(1.5)
    assert document["telea"]["interval"]["hole_psnr"] == pytest.approx([1.5, 1.5])
    low, high = report.to_json(results)["sets"]["a|b"]["ours"]["interval"]["hole_psnr"]
    assert low < 20.5 - 2
    assert high > 20.5 + 2
    assert "| a\\|b | telea | 10 | +1.50 | +0.000 |" in report.to_markdown(results)


def test_calibration_stands_beside_that_of_a_constant() -> None:
    results = {"ours": many(1, pixels=True), "telea": many(0)}
    by_kind = report.to_json(results)["calibration"]["a|b"]["ours"]
    assert by_kind["predicted"]["fifths"] == pytest.approx([0, 0, 0.6, 1, 1])
    assert by_kind["constant"]["fifths"] == [1] * 5
    assert by_kind["constant"]["deviation"] == pytest.approx(0.29)
    assert by_kind["constant"]["correlation"] is None
    rows = {
        row.split(" | ")[1]: row for row in report.to_markdown(results).splitlines() if row.startswith("| a") and "500" in row
    }
    assert "| 0 0 60 100 100 |" in rows["ours"]
    assert "| 100.0 | 100 100 100 100 100 | – | – |" in rows["ours: constant"]
    assert "0 0 60 100 100" in printed(results)


def test_clean_photographs_are_told_in_every_form() -> None:
    alarms = {"ours": FalseAlarms(80, 12, 61, Estimate(0.84, 0.5, 1.25))}
    results = {"ours": many(0)}
    assert "| clean | ours | 80 | 0.84 (0.50 to 1.25) | 12 | 61 |" in report.to_markdown(results, alarms)
    clean = report.to_json(results, alarms, {"size": 128})
    assert clean["clean"]["ours"] == {
        "pictures": 80, "altered": 12, "left_alone": 61, "called_missing": 0.84, "interval": {"called_missing": [0.5, 1.25]}
    }  # fmt: skip
    assert clean["settings"] == {"size": 128}
    stream = io.StringIO()
    Console(file=stream, width=120).print(*report.tables(results, alarms))
    assert "0.84" in stream.getvalue()


def test_the_console_has_at_most_ten_columns_and_markdown_all_figures() -> None:
    results = {"ours": many(1, pixels=True), "ours (blind)": [record("a|b", 0.2, 21, iou=0.5)]}
    brief, full = grids(results, brief=True), grids(results)
    assert max(len(grid.head) for grid in brief) <= 10
    assert {"raw PSNR", "raw SSIM", "peak MB"} <= set(full[0].head)
    for grid in (*brief, *full):
        assert {len(cells) + 2 for _, rows in grid.groups for _, cells in rows} == {len(grid.head)}


def test_json_roundtrips_with_nan_as_null(results: dict[str, list[Record]]) -> None:
    document = report.to_json(results)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["sets"]["square"]["telea"]["hole_psnr"] == 16.5
    assert document["sets"]["square"]["mean"]["ssim"] is None
    assert list(document["missing"]) == ["0-10 %", "60+ %"]
    assert document["missing"]["60+ %"]["<ours> [v1]"]["count"] == 1
    assert "mean" not in document["sets"]["box"]
    assert document["machine"]["cpus"] >= 1
    assert document["versions"]["numpy"] == np.__version__
    assert set(document["versions"]) == {"pixelrnn", "numpy", "torch", "pillow", "scikit-image", "pypatchmatch", "opencv"}
