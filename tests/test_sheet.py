"""Contact sheets hold every occluded image beside its completion."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pixelrnn.decode import read_image
from pixelrnn.errors import PixelRNNError
from pixelrnn.evaluation.sheet import CAPTION, GAP, sheet

RED, BLUE, GREEN = (200, 30, 30), (30, 30, 200), (20, 160, 60)


def plain(colour: tuple[int, int, int], height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def test_the_sheet_holds_every_occluded_picture_beside_its_completion(tmp_path: Path) -> None:
    # landscape, portrait, smaller than the cell, one pixel high; three in a row, so the second row holds one
    sizes = [(90, 300), (300, 90), (10, 10), (1, 200)]
    sheet(((plain(RED, *size), plain(BLUE, *size)) for size in sizes), tmp_path / "sheet.png", columns=3, cell=60)
    picture = read_image(tmp_path / "sheet.png")
    wide = picture.shape[1] // 3
    first = picture.shape[0] - (1 + 2 * GAP)
    assert first == 60 + 2 * GAP
    assert wide == 2 * 60 + 4 * GAP
    # what is just left and right of the middle of each pair, at the middle of its row
    for i, row in ((0, first // 2), (1, first // 2), (2, first // 2), (0, first + GAP)):
        x = i * wide + wide // 2
        assert tuple(picture[row, x - GAP]) == RED
        assert tuple(picture[row, x + GAP]) == BLUE
        assert tuple(picture[row, x]) == (255, 255, 255)
    assert (picture[first:, wide:] == 255).all()
    red = (picture == RED).all(2)[:, :wide][:first]
    assert (red.any(1).sum(), red.any(0).sum()) == (18, 60)


def test_a_sheet_of_few_pairs_is_no_wider_than_they_are_and_may_be_a_jpeg(tmp_path: Path) -> None:
    sheet([(plain(RED, 50, 50), plain(BLUE, 50, 50))], tmp_path / "new/sheet.jpg", columns=6, cell=50)
    assert read_image(tmp_path / "new/sheet.jpg").shape == (50 + 2 * GAP, 100 + 4 * GAP, 3)


def test_captions_are_written_below_their_pairs(tmp_path: Path) -> None:
    pairs = [(plain(RED, 50, 50), plain(BLUE, 50, 50))] * 3
    captions = ["bed_1.jpg", "", "a name far too long for the width of the pair " * 3]
    sheet(pairs, tmp_path / "sheet.png", columns=3, cell=50, captions=captions)
    picture = read_image(tmp_path / "sheet.png")
    strip = np.split(picture[-CAPTION - GAP :], 3, axis=1)
    assert [bool((part < 200).any()) for part in strip] == [True, False, True]
    with pytest.raises(PixelRNNError, match="fewer captions"):
        sheet(pairs, tmp_path / "sheet.png", captions=["one"])


def test_a_sheet_of_many_large_pictures_needs_the_memory_of_one(tmp_path: Path) -> None:
    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for i in range(192):
            yield plain(RED, 150 + i, 250), plain(GREEN, 150 + i, 250)

    tracemalloc.start()
    sheet(pairs(), tmp_path / "sheet.jpg", cell=40)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # all 192 pairs would be 71 MB
    assert peak < 12e6


def test_a_sheet_of_nothing_or_of_too_much_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PixelRNNError, match="no pictures"):
        sheet([], tmp_path / "sheet.png")
    with pytest.raises(PixelRNNError, match=r"at least 1 column"):
        sheet([], tmp_path / "sheet.png", columns=0)
    with pytest.raises(PixelRNNError, match=r"at most 65500 a side.*columns \(1\)"):
        sheet([(plain(RED, 2, 1), plain(RED, 2, 1))] * 1400, tmp_path / "sheet.png", columns=1, cell=40)
    assert not (tmp_path / "sheet.png").exists()
