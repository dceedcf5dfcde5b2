"""Batches that are made where the network is trained."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import draw_room
from pixelrnn import checkpoint, training
from pixelrnn.training.on_device import DevicePhotographs

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Clean photographs: larger than needed, as large, long, and one that is too small."""
    rng, place = np.random.default_rng(0), tmp_path / "photographs"
    place.mkdir()
    for number, (height, width) in enumerate([(100, 120), (48, 48), (50, 150), (20, 90), (64, 64), (70, 80)]):
        Image.fromarray(draw_room(rng, height, width)).save(place / f"{number}.png")
    return place


def batches(folder: Path, count: int, epoch: int = 0, **options: object) -> list[dict[str, torch.Tensor]]:
    made = DevicePhotographs(sorted(folder.iterdir()), 48, 6, 40, CPU, **options)
    made.set_epoch(epoch)
    return list(islice(made, count))


def test_known_pixels_in_a_batch_equal_the_target_or_are_compressed(folder: Path) -> None:
    for batch in batches(folder, 5):
        image, target, mask = batch["image"], batch["target"], batch["mask"]
        assert image.shape == target.shape == (6, 3, 48, 48)
        assert mask.shape == (6, 1, 48, 48)
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        assert 0 <= image.min() <= image.max() <= 1
        off = ((image - target).abs() * (1 - mask)).amax(dim=(1, 2, 3))
        assert not off[:4].any()
        assert (off[4:] > 0).all()
        assert (((image - target).abs() * (1 - mask)).sum(dim=(1, 2, 3)) / (3 * (1 - mask).sum(dim=(1, 2, 3))) < 0.06).all()


def test_an_epoch_is_repeatable_and_another_has_other_batches(folder: Path) -> None:
    first, again, other = batches(folder, 2), batches(folder, 2, processes=2), batches(folder, 2, epoch=1)
    assert all(torch.equal(a[key], b[key]) for a, b in zip(first, again, strict=True) for key in a)
    assert not torch.equal(first[0]["target"], first[1]["target"])
    assert not torch.equal(first[0]["target"], other[0]["target"])


def test_each_process_draws_batches_of_its_own(folder: Path) -> None:
    alone, *ranks = (batches(folder, 2, **({} if rank is None else {"rank": rank})) for rank in (None, 0, 1, 2))
    assert all(torch.equal(a[key], b[key]) for a, b in zip(alone, ranks[0], strict=True) for key in a)
    drawn = [one["target"] for rank in ranks for one in rank]
    assert not any(torch.equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


def test_photographs_are_reduced_and_enlarged_only_if_they_are_too_small(folder: Path) -> None:
    made = DevicePhotographs(sorted(folder.iterdir()), 48, 6, 40, CPU)
    assert {part.shape[1]: len(part) for part in made.photographs} == {
        48: 5,
        60: 4,
    }  # the long ones twice, at either end; the small one enlarged
    whole = torch.from_numpy(np.asarray(Image.open(folder / "1.png")).copy())
    assert any(torch.equal(view, whole) for view in made.photographs[0])


@pytest.mark.slow
def test_a_resumed_run_on_photographs_in_memory_gives_the_same_weights(folder: Path, tmp_path: Path) -> None:
    words = ["size=48", "batch_size=4", "epoch_steps=3", "mask_bank=30", "trainable=filler", "occlusion=random"]
    words += ["loss=hole_rmse"]
    words += ["init_from=scratch"]
    words += ["weight_decay=0.02", "beta2=0.98", "ema_decay=0.9", "guide_prob=0.3", "widths=[8,12]", "depths=[1,1]"]

    def run(out: str, *more: str, resume: bool = False) -> bytes:
        recipe, options = training.read_recipe(None, [*words, *more])
        training.train([folder], recipe, options, tmp_path / out, resume)
        return (tmp_path / out / "optimized_pixelrnn.pth").read_bytes()

    whole = run("whole", "epochs=4")
    run("parted", "epochs=2")
    assert run("parted", "epochs=4", resume=True) == whole
    trained = checkpoint.load(tmp_path / "whole" / "optimized_pixelrnn.safetensors")
    assert trained.metadata["recipe"]["mask_bank"] == 30
    assert all(value.isfinite().all() for value in trained.model.state_dict().values())
