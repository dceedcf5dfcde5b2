"""Tables, JSON, sheets and pages hold the figures and the pictures they were given."""

import base64
import io
import json
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from pixelrnn import report
from pixelrnn.errors import PixelRNNError
from pixelrnn.evaluation import Record, Score, classical, read_cases
from pixelrnn.image import read_image, write_image

NAN = float("nan")
RED, BLUE, GREEN = (200, 30, 30), (30, 30, 200), (20, 160, 60)


def record(set_: str, missing: float, psnr: float, ssim: float = 0.9, iou: float = NAN) -> Record:
    return Record(set_, "x", missing, 0.012, Score(psnr - 10, psnr, ssim, 0.25), iou)


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


def plain(colour: tuple[int, int, int], height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def test_tables_have_a_row_per_method_and_group(results: dict[str, list[Record]]) -> None:
    text = printed(results)
    lines = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    assert ["square", "telea", "1", "9.0", "16.50", "26.50", "0.9000", "0.25", "12"] in lines
    assert ["<ours> [v1]", "1", "9.0", "19.12", "29.12", "0.9000", "0.25", "12"] in lines
    assert ["box", "telea", "1", "65.0", "14.50", "24.50", "0.9000", "0.25", "12"] in lines
    assert ["60+ %", "telea", "1", "65.0", "14.50", "24.50", "0.9000", "0.25", "12"] in lines
    assert text.index("0-10 %") < text.index("60+ %")
    assert "IoU" not in text
    assert "nan" not in text
    assert "leaves out 1 pictures" in " ".join(text.split())


def test_in_a_narrow_console_names_are_folded_and_figures_are_whole() -> None:
    text = printed({"a folder/with a long name.safetensors": [record("freeform", 0.25, 26.51, iou=0.75)]}, width=80)
    assert all(figure in text for figure in ("25.0", "16.51", "26.51", "0.9000", "0.25", "12", "0.750"))


def test_the_best_method_of_a_group_is_marked(results: dict[str, list[Record]]) -> None:
    by_set = report.grids(results)[0]
    column = by_set.head.index("PSNR") - 2
    best = {(group, method): cells[column][1] for group, rows in by_set.groups for method, cells in rows}
    assert [key for key, value in best.items() if value] == [("square", "<ours> [v1]"), ("box", "telea")]
    alone = report.grids({"telea": results["telea"]})[0]
    assert not any(best for _, rows in alone.groups for _, cells in rows for _, best in cells)


def test_mask_iou_is_shown_for_a_blind_evaluation_alone() -> None:
    text = printed({"ours": [record("square", 0.09, 26, iou=0.75)], "other": [record("square", 0.09, 25)]})
    assert "IoU" in text
    assert "0.750" in text
    assert "–" in text


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
    assert set(document["versions"]) == {"pixelrnn", "numpy", "torch", "pillow", "opencv"}


def test_the_sheet_holds_every_occluded_picture_beside_its_completion(tmp_path: Path) -> None:
    # landscape, portrait, smaller than the cell, one pixel high; three in a row, so the second row holds one
    sizes = [(90, 300), (300, 90), (10, 10), (1, 200)]
    report.sheet(((plain(RED, *size), plain(BLUE, *size)) for size in sizes), tmp_path / "sheet.png", columns=3, cell=60)
    picture = read_image(tmp_path / "sheet.png")
    wide = picture.shape[1] // 3
    first = picture.shape[0] - (1 + 2 * report.GAP)
    assert first == 60 + 2 * report.GAP
    assert wide == 2 * 60 + 4 * report.GAP
    # what is just left and right of the middle of each pair, at the middle of its row
    for i, row in ((0, first // 2), (1, first // 2), (2, first // 2), (0, first + report.GAP)):
        x = i * wide + wide // 2
        assert tuple(picture[row, x - report.GAP]) == RED
        assert tuple(picture[row, x + report.GAP]) == BLUE
        assert tuple(picture[row, x]) == (255, 255, 255)
    assert (picture[first:, wide:] == 255).all()
    red = (picture == RED).all(2)[:, :wide][:first]
    assert (red.any(1).sum(), red.any(0).sum()) == (18, 60)


def test_a_sheet_of_few_pairs_is_no_wider_than_they_are_and_may_be_a_jpeg(tmp_path: Path) -> None:
    report.sheet([(plain(RED, 50, 50), plain(BLUE, 50, 50))], tmp_path / "new/sheet.jpg", columns=6, cell=50)
    assert read_image(tmp_path / "new/sheet.jpg").shape == (50 + 2 * report.GAP, 100 + 4 * report.GAP, 3)


def test_captions_are_written_below_their_pairs(tmp_path: Path) -> None:
    pairs = [(plain(RED, 50, 50), plain(BLUE, 50, 50))] * 3
    captions = ["bed_1.jpg", "", "a name far too long for the width of the pair " * 3]
    report.sheet(pairs, tmp_path / "sheet.png", columns=3, cell=50, captions=captions)
    picture = read_image(tmp_path / "sheet.png")
    strip = np.split(picture[-report.CAPTION - report.GAP :], 3, axis=1)
    assert [bool((part < 200).any()) for part in strip] == [True, False, True]
    with pytest.raises(PixelRNNError, match="fewer captions"):
        report.sheet(pairs, tmp_path / "sheet.png", captions=["one"])


def test_a_sheet_of_many_large_pictures_needs_the_memory_of_one(tmp_path: Path) -> None:
    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for i in range(192):
            yield plain(RED, 150 + i, 250), plain(GREEN, 150 + i, 250)

    tracemalloc.start()
    report.sheet(pairs(), tmp_path / "sheet.jpg", cell=40)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # all 192 pairs would be 71 MB
    assert peak < 12e6


def test_a_sheet_of_nothing_or_of_too_much_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PixelRNNError, match="no pictures"):
        report.sheet([], tmp_path / "sheet.png")
    with pytest.raises(PixelRNNError, match=r"at least 1 column"):
        report.sheet([], tmp_path / "sheet.png", columns=0)
    with pytest.raises(PixelRNNError, match=r"at most 65500 a side.*columns \(1\)"):
        report.sheet([(plain(RED, 2, 1), plain(RED, 2, 1))] * 1400, tmp_path / "sheet.png", columns=1, cell=40)
    assert not (tmp_path / "sheet.png").exists()


def test_the_page_holds_tables_and_pictures_and_loads_nothing(results: dict[str, list[Record]]) -> None:
    shown = [("square / <1>", {"given": plain(RED, 40, 60), "<ours>": plain(BLUE, 900, 500), "truth": plain(GREEN, 40, 60)})]
    page = report.html(results, shown, title="A & B")
    assert not re.search(r"https?:|url\(|@import|<script|<link|href", page)
    sources = re.findall(r'src="([^"]*)"', page)
    assert len(sources) == page.count("<img") == 3
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "&lt;ours&gt; [v1]" in page
    assert "<ours>" not in page
    assert "A &amp; B" in page
    assert "<b>29.12</b>" in page
    assert page.count("<table>") == 2


def test_pictures_in_the_page_are_shrunk_but_not_enlarged() -> None:
    sizes = []
    for height, width in ((900, 500), (40, 60)):
        page = report.html({}, [("x", {"given": plain(BLUE, height, width)})])
        data = re.search(r"base64,([^\"]*)", page)
        assert data is not None
        with Image.open(io.BytesIO(base64.b64decode(data[1]))) as picture:
            sizes.append(picture.size)
            assert np.abs(np.asarray(picture).astype(int) - BLUE).max() < 6
    assert sizes == [(178, 320), (60, 40)]


def test_examples_are_spread_over_the_cases_and_completed_by_every_method(tmp_path: Path) -> None:
    for i in range(7):
        picture = plain(RED, 30, 40)
        mask = np.zeros((30, 40), bool)
        mask[5:15, 5 : 10 + i] = True
        for part, written in (("input", np.where(mask[..., None], np.uint8(0), picture)), ("mask", mask), ("target", picture)):
            write_image(tmp_path / "set" / part / f"{i}.png", written)
    cases = read_cases(tmp_path / "set")
    shown = report.examples({"mean": classical("mean")}, cases, count=3)
    assert [caption for caption, _ in shown] == ["set / 0", "set / 3", "set / 6"]
    for _, pictures in shown:
        assert list(pictures) == ["given", "mean", "truth"]
        assert np.array_equal(pictures["mean"], pictures["truth"])
        assert not np.array_equal(pictures["given"], pictures["truth"])
    assert len(report.examples({}, cases, count=100)) == 7
    assert report.examples({}, []) == []
