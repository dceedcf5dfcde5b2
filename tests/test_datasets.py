"""Pairs on disk, splits, and the three datasets."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader

from conftest import CORNERS, Paired, draw_room
from pixelrnn.data import datasets as data
from pixelrnn.data import occluders
from pixelrnn.data.datasets import OccludedPhotographs, OccludedTestDataset, PairedDataset, difference_mask
from pixelrnn.data.pairs import Pair, find_pairs, is_paired, split, split_by_number, write_pairs
from pixelrnn.errors import PixelRNNError

OCCLUDED, ORIGINAL = "train/occluded_images", "train/original_images"


def touch(root: Path, *names: str) -> Path:
    """Empty files below `root`, enough where nothing is decoded."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


# --- pairs


def test_pairs_are_matched_by_number_not_by_position(paired: Paired) -> None:
    pairs = find_pairs(paired.root)
    assert [pair.number for pair in pairs] == [9, 10, 100, 250]
    assert [(p.occluded.name, p.original.name) for p in pairs] == [
        (f"occluded_bed_{number}.jpg", f"bed_{number}.jpg") for number in CORNERS
    ]
    assert find_pairs(str(paired.root)) == pairs


def test_the_number_decides_and_not_name_zeros_or_suffix(tmp_path: Path) -> None:
    touch(
        tmp_path, f"{OCCLUDED}/occluded_bed_010.jpg", f"{ORIGINAL}/room2_10.png", f"{OCCLUDED}/x9.JPG", f"{ORIGINAL}/bed_9.webp"
    )
    pairs = find_pairs(tmp_path)
    assert [(p.key, p.occluded.name, p.original.name) for p in pairs] == [
        ("9", "x9.JPG", "bed_9.webp"),
        ("10", "occluded_bed_010.jpg", "room2_10.png"),
    ]


def test_names_without_numbers_are_matched_by_name(tmp_path: Path) -> None:
    for name in ("attic", "cellar"):
        touch(tmp_path, f"{OCCLUDED}/occluded_{name}.jpg", f"{ORIGINAL}/{name}.jpg")
    assert [(p.key, p.number, p.original.name) for p in find_pairs(tmp_path)] == [
        ("attic", None, "attic.jpg"),
        ("cellar", None, "cellar.jpg"),
    ]


def test_a_superscript_in_a_name_is_no_number(tmp_path: Path) -> None:
    touch(tmp_path, f"{OCCLUDED}/occluded_².jpg", f"{ORIGINAL}/².jpg")
    assert [(p.key, p.number) for p in find_pairs(tmp_path)] == [("²", None)]


def test_other_files_beside_the_pictures_are_left_alone(paired: Paired) -> None:
    touch(paired.root, f"{OCCLUDED}/notes_7.txt", f"{ORIGINAL}/.bed_8.jpg", f"{ORIGINAL}/Thumbs.db")
    assert len(find_pairs(paired.root)) == 4


@pytest.mark.parametrize("removed", [f"{OCCLUDED}/occluded_bed_10.jpg", f"{ORIGINAL}/bed_10.jpg"])
def test_a_file_without_partner_is_named_and_the_layout_shown(paired: Paired, removed: str) -> None:
    (paired.root / removed).unlink()
    left = "bed_10.jpg" if "occluded" in removed else "occluded_bed_10.jpg"
    with pytest.raises(PixelRNNError, match=rf"{left}: no partner(?s:.*)original_images/NAME_N\.jpg") as error:
        find_pairs(paired.root)
    assert "bed_9" not in str(error.value)


def test_many_files_without_partner_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, f"{OCCLUDED}/x_0.jpg", *(f"{ORIGINAL}/x_{i}.jpg" for i in range(12)))
    with pytest.raises(PixelRNNError, match="and 6 more: no partner"):
        find_pairs(tmp_path)


def test_two_pictures_with_one_number_are_named(paired: Paired) -> None:
    shutil.copy(paired.root / ORIGINAL / "bed_9.jpg", paired.root / ORIGINAL / "room_09.jpg")
    with pytest.raises(PixelRNNError, match=r"bed_9\.jpg, room_09\.jpg: two pictures with the same number 9; expected layout"):
        find_pairs(paired.root)


def test_missing_and_empty_folders_are_named_and_the_layout_shown(tmp_path: Path) -> None:
    with pytest.raises(PixelRNNError, match=r"occluded_images: no such folder; expected layout"):
        find_pairs(tmp_path / "nowhere")
    (tmp_path / OCCLUDED).mkdir(parents=True)
    with pytest.raises(PixelRNNError, match=r"original_images: no such folder; expected layout"):
        find_pairs(tmp_path)
    (tmp_path / ORIGINAL).mkdir()
    with pytest.raises(PixelRNNError, match=r"occluded_images: no pictures in this folder; expected layout"):
        find_pairs(tmp_path)
    with pytest.raises(PixelRNNError, match=r"occluded_test: no such folder; expected layout"):
        OccludedTestDataset(tmp_path)


def test_a_paired_dataset_is_told_from_a_folder_of_photographs(paired: Paired, tmp_path: Path) -> None:
    assert is_paired(paired.root)
    assert not is_paired(paired.root / "occluded_test")
    assert not is_paired(tmp_path / "nowhere")


@pytest.mark.parametrize("style", ["square", "random"])
def test_written_pairs_are_found_again(style: str, tmp_path: Path) -> None:
    rooms = [draw_room(np.random.default_rng(i), 60, 80) for i in range(5)]
    write_pairs(iter(rooms), tmp_path / "one", seed=3, test=2, style=style)
    write_pairs(rooms, tmp_path / "two", seed=3, test=2, style=style)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.jpg"))
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)
    pairs = find_pairs(tmp_path / "one")
    assert [pair.number for pair in pairs] == [2, 3, 4]
    assert [path.name for path in OccludedTestDataset(tmp_path / "one").paths] == ["occluded_bed_0.jpg", "occluded_bed_1.jpg"]
    for pair in pairs:
        occluded, original = (np.asarray(Image.open(path)).astype(int) for path in (pair.occluded, pair.original))
        assert np.abs(original - rooms[pair.number]).mean() < 3
        if style == "square":
            assert (occluded.max(2) < 30).sum() == pytest.approx(18 * 18, rel=0.1)
    with pytest.raises(PixelRNNError, match="one: not empty, and nothing is overwritten"):
        write_pairs(rooms, tmp_path / "one", seed=3)


# --- splits


@settings(max_examples=30)
@given(count=st.integers(2, 60), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 9))
def test_a_split_is_seeded_disjoint_complete_and_in_order(count: int, fraction: float, seed: int) -> None:
    train, valid = split(range(count), fraction, seed)
    assert sorted(train + valid) == list(range(count))
    assert (train, valid) == (sorted(train), sorted(valid)) == split(range(count), fraction, seed)
    assert train
    assert valid
    assert abs(len(valid) - fraction * count) <= 1


def test_another_seed_gives_another_split_of_the_asked_size() -> None:
    parts = [split(range(50), 0.2, seed) for seed in (0, 1)]
    assert parts[0][1] != parts[1][1]
    assert [len(valid) for _, valid in parts] == [10, 10]
    assert parts[0][1] != list(range(40, 50))  # shuffled


@pytest.mark.parametrize(("count", "fraction"), [(0, 0.1), (1, 0.5), (9, 0.0), (9, 1.0), (9, -0.1), (9, 1.5)])
def test_an_impossible_split_is_refused(count: int, fraction: float) -> None:
    with pytest.raises(PixelRNNError, match=f"of {count} pictures for validation"):
        split(range(count), fraction, 0)


def test_a_split_by_number_validates_on_the_higher_numbers() -> None:
    pairs = [Pair(str(n), Path(f"occluded_{n}.jpg"), Path(f"{n}.jpg")) for n in (0, 9, 10, 100)]
    train, valid = split_by_number(pairs, 10)
    assert [[pair.number for pair in part] for part in (train, valid)] == [[0, 9], [10, 100]]
    for valid_from in (0, 101):
        with pytest.raises(PixelRNNError, match=f"valid_from={valid_from} .*the numbers go from 0 to 100"):
            split_by_number(pairs, valid_from)
    with pytest.raises(PixelRNNError, match=r"attic\.jpg: no number in the name"):
        split_by_number([*pairs, Pair("attic", Path("occluded_attic.jpg"), Path("attic.jpg"))], 10)


# --- the paired dataset


@pytest.mark.parametrize("size", [64, 128, 200])
def test_the_mask_of_a_pair_is_the_square_after_jpeg_and_resizing(paired: Paired, size: int) -> None:
    for pair, item in zip(find_pairs(paired.root), PairedDataset(find_pairs(paired.root), size), strict=True):
        square = Image.fromarray(paired.masks[pair.number]).resize((size, size), Image.Resampling.NEAREST)
        found, true = item["mask"][0].numpy() > 0, np.asarray(square)
        assert (found & true).sum() / (found | true).sum() > 0.9


@pytest.mark.parametrize("size", [32, 128])
def test_items_are_float_rgb_in_the_unit_range_at_the_asked_size(paired: Paired, photographs: list[Path], size: int) -> None:
    pairs = PairedDataset(find_pairs(paired.root), size)
    clean = OccludedPhotographs(photographs, size)
    for dataset in (pairs, clean, OccludedTestDataset(paired.root, size)):
        for item in (dataset[i] for i in range(len(dataset))):
            for key in ("image", "target") if "target" in item else ("image",):
                assert (item[key].shape, item[key].dtype) == ((3, size, size), torch.float32)
                assert 0 <= item[key].min() < item[key].max() <= 1
            if "mask" in item:
                assert (item["mask"].shape, item["mask"].dtype) == ((1, size, size), torch.float32)
                assert set(item["mask"].unique().tolist()) <= {0, 1}
    collated = next(iter(DataLoader(pairs, batch_size=4)))
    assert collated["image"].shape == (4, 3, size, size)
    assert collated["name"] == ["9", "10", "100", "250"]


def test_the_image_is_the_occluded_file_and_the_target_is_the_original(paired: Paired) -> None:
    for pair, item in zip(find_pairs(paired.root), PairedDataset(find_pairs(paired.root), 128), strict=True):
        for key, path in (("image", pair.occluded), ("target", pair.original)):
            decoded = np.asarray(Image.open(path)).transpose(2, 0, 1) / 255
            assert np.allclose(item[key].numpy(), decoded, atol=1e-6)


@pytest.mark.parametrize("room", [2**30, 0], ids=["memory", "no memory"])
def test_pictures_of_one_name_in_two_folders_are_told_apart(room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "CACHE_BYTES", room)
    touch(tmp_path, f"{OCCLUDED}/x_1.png", f"{ORIGINAL}/x_1.png")
    for folder, grey in ((OCCLUDED, 51), (ORIGINAL, 102)):
        Image.new("RGB", (16, 16), (grey,) * 3).save(tmp_path / folder / "x_1.png")
    dataset = PairedDataset(find_pairs(tmp_path), 8)
    for _ in range(2):  # the second time from memory, where there is some
        assert [dataset[0][key].mean().item() for key in ("image", "target")] == pytest.approx([0.2, 0.4])


def test_rgb_is_never_bgr(tmp_path: Path) -> None:
    touch(tmp_path, f"{OCCLUDED}/x_1.png", f"{ORIGINAL}/x_1.png", "occluded_test/x_1.png")
    for path in tmp_path.rglob("*.png"):
        Image.new("RGB", (16, 16), (255, 128, 0)).save(path)
    for item in (PairedDataset(find_pairs(tmp_path), 16)[0], OccludedTestDataset(tmp_path, 16)[0]):
        assert item["image"][:, 3, 3].tolist() == pytest.approx([1, 128 / 255, 0])


def test_pictures_are_resized_with_antialiasing(tmp_path: Path) -> None:
    touch(tmp_path, f"{OCCLUDED}/x_1.png", f"{ORIGINAL}/x_1.png", "occluded_test/x_1.png")
    board = (np.indices((256, 192)).sum(0) % 2 * 255).astype(np.uint8)
    for path in tmp_path.rglob("*.png"):
        Image.fromarray(board).save(path)
    paired, test = PairedDataset(find_pairs(tmp_path), 48)[0], OccludedTestDataset(tmp_path, 48)[0]
    photograph = OccludedPhotographs([tmp_path / ORIGINAL / "x_1.png"], 48, augment=False)[0]
    for picture in (paired["image"], paired["target"], test["image"], photograph["target"]):
        assert (picture - 0.5).abs().max() < 0.04


def test_the_difference_mask_closes_small_gaps_and_drops_specks() -> None:
    room = np.maximum(draw_room(np.random.default_rng(0), 90, 120), 90)
    assert not difference_mask(room, room).any()
    mask = np.zeros((90, 120), bool)
    mask[20:50, 30:80] = True
    room[33:37, 50:55] = 0  # as black as the occlusion
    noise = np.random.default_rng(1).integers(-12, 13, room.shape)
    occluded = np.clip(room * ~mask[..., None] + noise, 0, 255).astype(np.uint8)
    occluded[80, 100] = 255  # a speck
    assert np.array_equal(difference_mask(occluded, room), mask)


UNREADABLE = {"text": b"this is no picture", "truncated": None}


@pytest.mark.parametrize("content", UNREADABLE)
def test_an_unreadable_picture_is_named_by_every_dataset(paired: Paired, content: str) -> None:
    pairs = find_pairs(paired.root)
    paths = [pairs[1].original, OccludedTestDataset(paired.root).paths[0]]
    for path in paths:
        path.write_bytes(UNREADABLE[content] or path.read_bytes()[:1500])
    cases = [
        (PairedDataset(pairs), 1, "bed_10"),
        (OccludedTestDataset(paired.root), 0, "occluded_bed_3"),
        (OccludedPhotographs(paths, augment=False), 0, "bed_10"),
        (OccludedPhotographs(paths, augment=True), 0, "bed_10"),
    ]
    for dataset, index, name in cases:
        with pytest.raises(PixelRNNError, match=rf"{name}\.jpg: (not|a damaged) "):
            dataset[index]
    assert PairedDataset(pairs)[0]["name"] == "9"


def test_the_test_images_come_in_natural_order_with_their_names(paired: Paired) -> None:
    items = list(OccludedTestDataset(paired.root, 32))
    assert [item["name"] for item in items] == ["occluded_bed_3", "occluded_bed_20"]
    assert all(set(item) == {"image", "name"} for item in items)


# --- clean photographs, occluded as they are read


def equal(one: dict, other: dict) -> bool:
    return all(torch.equal(one[key], other[key]) for key in ("image", "target", "mask")) and one["name"] == other["name"]


@pytest.mark.parametrize("augment", [True, False])
def test_the_same_seed_and_epoch_give_the_same_items_in_any_order(photographs: list[Path], augment: bool) -> None:
    one, two = (OccludedPhotographs(photographs, 32, seed=4, augment=augment) for _ in range(2))
    for dataset in (one, two):
        dataset.set_epoch(3)
    forwards = [one[i] for i in range(4)]
    backwards = [two[i] for i in (3, 2, 1, 0)][::-1]
    assert all(map(equal, forwards, backwards))
    other = OccludedPhotographs(photographs, 32, seed=5, augment=augment)
    assert not any(equal(a, b) for a, b in zip(forwards, other, strict=False))


def test_another_epoch_gives_other_occlusions(photographs: list[Path]) -> None:
    dataset = OccludedPhotographs(photographs, 32)
    before = [dataset[i] for i in range(4)]
    dataset.set_epoch(1)
    assert not any(torch.equal(a["mask"], dataset[i]["mask"]) for i, a in enumerate(before))
    assert any(not torch.equal(a["target"], dataset[i]["target"]) for i, a in enumerate(before))  # other crops too


def test_a_photograph_for_validation_is_always_the_same_central_square(photographs: list[Path]) -> None:
    dataset = OccludedPhotographs(photographs, 64, augment=False)
    before = [dataset[i] for i in range(4)]
    for path, item in zip(photographs, before, strict=True):
        picture = Image.open(path)
        scale = 64 / min(picture.size)
        width, height = (round(side * scale) for side in picture.size)
        left, top = (width - 64) // 2, (height - 64) // 2
        view = picture.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + 64, top + 64))
        assert np.array_equal((item["target"].numpy() * 255).round().transpose(1, 2, 0), np.asarray(view))
    dataset.set_epoch(7)
    assert all(equal(item, dataset[i]) for i, item in enumerate(before))


def test_a_crop_for_training_is_a_piece_of_the_photograph_or_its_mirror(tmp_path: Path) -> None:
    room = draw_room(np.random.default_rng(0), 40, 60)  # short side 1.25 times 32: read as it is
    Image.fromarray(room).save(tmp_path / "room.png")
    dataset, places = OccludedPhotographs([tmp_path / "room.png"], 32), set()
    for epoch in range(30):
        dataset.set_epoch(epoch)
        target = (dataset[0]["target"].numpy() * 255).round().astype(np.uint8).transpose(1, 2, 0)
        for mirrored, source in enumerate((room, room[:, ::-1])):
            windows = np.lib.stride_tricks.sliding_window_view(source, (32, 32, 3))[:, :, 0]
            places |= {(mirrored, *place) for place in np.argwhere((windows == target).all((2, 3, 4))).tolist()}
    assert len(places) >= 25  # nearly every epoch another, and every one was found
    assert {place[0] for place in places} == {0, 1}


def test_known_pixels_equal_the_target_unless_they_went_through_jpeg(
    photographs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def differences() -> list[float]:
        dataset, found = OccludedPhotographs(photographs, 48), []
        for epoch in range(10):
            dataset.set_epoch(epoch)
            found += [
                float(((x["image"] - x["target"]).abs() * (1 - x["mask"])).mean()) for x in map(dataset.__getitem__, range(4))
            ]
        return found

    compressed = differences()
    assert 0.15 < np.mean(np.array(compressed) > 0) < 0.5
    assert max(compressed) < 0.05
    monkeypatch.setattr(occluders, "jpeg", lambda image, quality: image)
    assert max(differences()) == 0


def test_clean_prob_leaves_images_unoccluded_only_in_training(photographs: list[Path]) -> None:
    for augment, share in ((True, 0.05), (False, 0)):
        dataset, whole = OccludedPhotographs(photographs * 100, 16, augment=augment, clean_prob=0.05), []
        for item in (dataset[i] for i in range(400)):
            whole.append(not item["mask"].any())
            assert not whole[-1] or torch.equal(item["image"], item["target"])
        assert np.mean(whole) == pytest.approx(share, abs=0.03 if share else 0)


def test_the_square_style_puts_one_black_square_elsewhere_each_epoch(photographs: list[Path]) -> None:
    dataset, corners = OccludedPhotographs(photographs, 40, style="square"), set()
    for epoch in range(20):
        dataset.set_epoch(epoch)
        item = dataset[0]
        rows, columns = (np.flatnonzero(item["mask"][0].any(axis).numpy()) for axis in (1, 0))
        assert item["mask"].sum() == len(rows) * len(columns) == 12 * 12
        inside = F.max_pool2d(1 - item["mask"], 9, stride=1, padding=4) == 0
        assert (item["image"] * inside).max() < 0.1
        known = F.max_pool2d(item["mask"], 17, stride=1, padding=8) == 0
        assert ((item["image"] - item["target"]).abs() * known).mean() < 0.02
        corners.add((rows[0], columns[0]))
    assert len(corners) > 10


def test_photographs_of_any_mode_and_size_are_read(tmp_path: Path) -> None:
    room = Image.fromarray(draw_room(np.random.default_rng(0), 300, 200))
    pictures = {
        "grey.png": room.convert("L"),
        "cmyk.jpg": room.convert("CMYK"),
        "alpha.png": room.convert("RGBA"),
        "palette.gif": room.convert("P"),
        "dot.png": room.resize((1, 1)),
        "line.png": room.resize((1, 90)),
        "huge.jpg": room.resize((3000, 4000)),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
    for augment in (True, False):
        for item in OccludedPhotographs([tmp_path / name for name in pictures], 32, augment=augment):
            assert item["image"].shape == item["target"].shape == (3, 32, 32)
            assert item["name"] in {"dot", "line"} or item["target"].std() > 0.03


def test_a_foreign_patch_comes_from_another_photograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occluders, "jpeg", lambda image, quality: image)
    colours, paths = [(250, 10, 10), (20, 30, 240), (5, 220, 40)], []
    for i, colour in enumerate(colours):
        paths.append(tmp_path / f"{i}.png")
        Image.new("RGB", (32, 32), colour).save(paths[-1])
    dataset, foreign = OccludedPhotographs(paths, 32), 0
    for epoch in range(60):
        dataset.set_epoch(epoch)
        item = dataset[0]
        seen = {tuple(c) for c in (item["image"][:, item["mask"][0] > 0].T * 255).round().int().tolist()}
        foreign += seen in ({colours[1]}, {colours[2]})
    assert foreign > 0


def test_a_missing_photograph_is_named(tmp_path: Path) -> None:
    for augment in (True, False):
        with pytest.raises(PixelRNNError, match=r"gone\.jpg: no such file"):
            OccludedPhotographs([tmp_path / "gone.jpg"], augment=augment)[0]
