"""Pairs whose pictures do not belong together are named; true ones, whatever lies in the way, are not."""

import numpy as np
import pytest
from PIL import Image

from pixelrnn import PixelRNNError, training
from pixelrnn.data.pair_checks import check_pairs, find_faults
from pixelrnn.data.pairs import find_pairs, write_pairs
from pixelrnn.data.synthetic import render_bedroom

COUNT = 8


@pytest.fixture(scope="module")
def rooms():
    return [render_bedroom(np.random.default_rng(seed), 96) for seed in range(COUNT)]


def boxed(room):
    occluded = room.copy()
    occluded[20:50, 30:60] = 0
    return occluded


WRONG = {
    "of the next": (lambda rooms, i: boxed(rooms[(i + 1) % COUNT]), lambda rooms, i: rooms[i], "the first is of bed_1.jpg"),
    "mirrored": (lambda rooms, i: boxed(rooms[i][:, ::-1]), lambda rooms, i: rooms[i], "are mirrored"),
    "upside down": (lambda rooms, i: boxed(rooms[i][::-1]), lambda rooms, i: rooms[i], "are upside down"),
    "moved": (lambda rooms, i: boxed(rooms[i])[4:, 3:], lambda rooms, i: rooms[i][:-4, :-3], "are moved"),
    "same": (lambda rooms, i: rooms[i], lambda rooms, i: rooms[i], "are the same picture"),
    "swapped": (lambda rooms, i: rooms[i], lambda rooms, i: boxed(rooms[i]), "lie in original_images"),
    "cropped": (lambda rooms, i: boxed(rooms[i]), lambda rooms, i: rooms[i][:60], "have different shapes"),
    "darkened": (lambda rooms, i: boxed(rooms[i]) // 2, lambda rooms, i: rooms[i], "differ over most of the picture"),
}


def write(folder, rooms, occluded, original, which=range(COUNT)):
    for part, name, make in (("occluded_images", "occluded_bed", occluded), ("original_images", "bed", original)):
        (folder / "train" / part).mkdir(parents=True, exist_ok=True)
        for i in which:
            picture = Image.fromarray(np.ascontiguousarray(make(rooms, i)))
            picture.save(folder / "train" / part / f"{name}_{i}.jpg", quality=85)


@pytest.mark.parametrize("kind", WRONG)
def test_pairs_that_do_not_belong_together_are_named(tmp_path, rooms, kind):
    occluded, original, reason = WRONG[kind]
    write(tmp_path, rooms, occluded, original)
    with pytest.raises(PixelRNNError, match=rf"occluded_bed_0\.jpg and bed_0\.jpg [^\n]*{reason}[^\n]*check_pairs=false"):
        check_pairs(find_pairs(tmp_path))


@pytest.mark.parametrize("kind", ["of the next", "mirrored", "moved", "same", "darkened"])
def test_one_wrong_pair_among_right_ones_is_found(tmp_path, rooms, kind):
    occluded, original, _ = WRONG[kind]
    write(tmp_path, rooms, lambda rooms, i: boxed(rooms[i]), lambda rooms, i: rooms[i])
    write(tmp_path, rooms, occluded, original, which=[5])
    assert [fault.pair.key for fault in find_faults(find_pairs(tmp_path))] == ["5"]


@pytest.mark.parametrize("style", ["square", "random"])
@pytest.mark.slow
def test_true_pairs_are_let_pass_whatever_lies_in_the_way(tmp_path, style):
    write_pairs([render_bedroom(np.random.default_rng(seed), 64) for seed in range(16)], tmp_path / "data", 0, style=style)
    assert find_faults(find_pairs(tmp_path / "data")) == []


def test_training_refuses_wrong_pairs_unless_they_are_meant(tmp_path, rooms):
    write(tmp_path, rooms, *WRONG["mirrored"][:2])
    with pytest.raises(PixelRNNError, match="are mirrored"):
        training.make_datasets([tmp_path], training.Recipe(size=32))
    train, valid = training.make_datasets([tmp_path], training.Recipe(size=32, check_pairs=False))
    assert len(train) + len(valid) == COUNT
