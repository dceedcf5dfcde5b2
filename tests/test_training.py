"""Training on a tiny dataset: the described defaults, what a run leaves behind, and that it survives being killed."""

import csv
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from pixelrnn import PixelRNNError, checkpoint, training
from pixelrnn.data.pairs import write_pairs
from pixelrnn.data.synthetic import render_bedroom
from pixelrnn.decode import read_image
from pixelrnn.models import create_model
from pixelrnn.weights import EXPECTED
from running import heed_ctrl_c

ROOT = Path(__file__).parent.parent
SMALL = [
    "size=32",
    "batch_size=4",
    "widths=[4,4,4]",
    "depths=[1,1,1]",
    "detector_widths=[4,4,4]",
    "detector_depths=[1,1,1]",
    "scan_hidden=4",
]
QUIET = Console(quiet=True)


def rooms(count: int) -> list[np.ndarray]:
    """Pictures of two flat halves, which even a tiny network can learn to continue."""
    rng = np.random.default_rng(0)
    return [np.repeat(rng.integers(40, 256, (2, 1, 3)), 24, axis=0).repeat(48, axis=1).astype(np.uint8) for _ in range(count)]


@pytest.fixture
def data(tmp_path):
    write_pairs(rooms(20), tmp_path / "data", seed=0)
    return tmp_path / "data"


def run(data, out, *overrides, resume=False):
    return heard(data, out, *SMALL, *overrides, resume=resume)[0]


def heard(data, out, *overrides, resume=False):
    """The weights of a run and what it printed."""
    recipe, options = training.read_recipe(None, overrides)
    console = Console(file=io.StringIO())
    return training.train([data], recipe, options, out, resume=resume, device="cpu", console=console), console.file.getvalue()


def rows(out):
    with (out / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_optimizer_is_adam_at_the_described_rate():
    recipe, _ = training.read_recipe(None)
    optimizer = training.CompletionModule(create_model("baseline"), recipe).configure_optimizers()
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.param_groups[0]["lr"] == 0.001
    assert optimizer.param_groups[0]["weight_decay"] == 0


def test_one_cycle_rises_over_the_first_tenth_and_falls_to_a_hundredth():
    shares = [training.one_cycle(x / 100) for x in range(101)]
    assert max(shares) == shares[10] == 1
    assert shares == sorted(shares[:11]) + sorted(shares[11:], reverse=True)
    assert shares[-1] == pytest.approx(0.01)


def test_a_run_learns_and_leaves_weights_curve_figures_and_pictures(data, tmp_path):
    out = tmp_path / "out"
    weights = run(data, out, "epochs=6", "learning_rate=0.01", "ema_decay=0.5", "grad_clip=1.0", "schedule=one_cycle")
    history = rows(out)
    assert [int(row["epoch"]) for row in history] == [1, 2, 3, 4, 5, 6]
    assert float(history[-1]["train_loss"]) < 0.8 * float(history[0]["train_loss"])
    assert float(history[-1]["val_loss"]) < float(history[0]["val_loss"])
    with Image.open(out / "loss_curve.png") as curve:
        assert curve.format == "PNG"
        assert min(curve.size) > 300
    assert len(list((out / "pictures").glob("epoch_*.jpg"))) == 6
    for row in history:
        assert float(row["structure_rmse"]) > 0 < float(row["texture_rmse"])
    loaded, plain = checkpoint.load(weights), torch.load(out / "optimized_pixelrnn.pth", weights_only=True)
    assert loaded.metadata["recipe"]["epochs"] == 6
    assert plain.keys() == loaded.model.state_dict().keys()
    assert all(torch.equal(value, plain[key]) for key, value in loaded.model.state_dict().items())


@pytest.mark.slow
def test_the_same_rooms_are_shown_over_the_epochs_also_of_a_resumed_run(data, tmp_path):
    shown = tmp_path / "out/pictures/over_epochs.jpg"
    run(data, tmp_path / "out", "epochs=1", "valid_from=15", "learning_rate=0.05")
    first = np.split(read_image(shown).astype(int), 3)  # occluded, epoch 1, original
    assert first[0].shape == (32, 4 * 32, 3)  # a batch of four rooms
    run(data, tmp_path / "out", "epochs=5", "valid_from=15", "learning_rate=0.05", resume=True)
    parts = np.split(read_image(shown).astype(int), 4)
    last = np.split(read_image(tmp_path / "out/pictures/epoch_005.jpg").astype(int), 3)
    for part, same in zip(parts, (last[0], first[1], last[1], last[2]), strict=True):
        assert np.abs(part - same).mean() < 2
    assert np.abs(parts[1] - parts[2]).mean() > 2


def test_a_time_budget_ends_the_run(data, tmp_path):
    run(data, tmp_path / "out", "minutes=0.01")
    assert rows(tmp_path / "out")


def test_photographs_without_pairs_are_occluded_as_they_are_read(tmp_path):
    for number, room in enumerate(rooms(8)):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(room).save(tmp_path / "photos" / f"{number}.png")
    run(tmp_path / "photos", tmp_path / "out", "epochs=1", "loss=hole_l1", "valid_fraction=0.25")
    assert float(rows(tmp_path / "out")[0]["hole_psnr"]) > 3


def test_photographs_get_a_square_while_pairs_stay_unchanged(data, tmp_path):
    (tmp_path / "photos").mkdir()
    for number, room in enumerate(rooms(15)):
        Image.fromarray(room).save(tmp_path / "photos" / f"{number}.png")
    for overrides, clean in (([], 0.0), (["clean_prob=0.5"], 0.5)):
        recipe, _ = training.read_recipe(None, ["occlusion=square", "valid_from=15", "size=48", *overrides])
        both, valid = training.make_datasets([data, tmp_path / "photos"], recipe)
        given = training.make_datasets([data], training.read_recipe(None, ["valid_from=15", "size=48"])[0])
        for mixed, alone in zip((both, valid), given, strict=True):
            assert all(torch.equal(mixed[i]["image"], alone[i]["image"]) for i in range(len(alone)))
        train, missing = both.datasets[1], []
        for epoch in range(20):
            train.set_epoch(epoch)
            missing += [int(train[i]["mask"].sum()) for i in range(15)]
        assert set(missing) <= {0, 14 * 14}
        assert np.mean(np.array(missing) == 0) == pytest.approx(clean, abs=0.1)


@pytest.mark.parametrize("content", [b"no picture", None], ids=["text", "truncated"])
def test_a_broken_photograph_stops_training_and_is_named(tmp_path, content):
    (tmp_path / "photos").mkdir()
    for number, room in enumerate(rooms(4)):
        Image.fromarray(room).save(tmp_path / "photos" / f"{number}.png")
    broken = tmp_path / "photos" / "broken.png"
    broken.write_bytes(content or (tmp_path / "photos/0.png").read_bytes()[:60])
    with pytest.raises(PixelRNNError, match=r"^\S*broken\.png: [^\n]*$"):
        run(tmp_path / "photos", tmp_path / "out", "epochs=1")


def test_training_starts_from_the_bundled_weights_and_says_so(data, tmp_path):
    weights, said = heard(data, tmp_path, "size=32", "batch_size=4", "epochs=1", "epoch_steps=1", "learning_rate=0.0")
    assert "starting from the bundled weights" in said
    bundled, own = (checkpoint.load(name).model.state_dict() for name in (EXPECTED, weights))
    assert all(torch.equal(value, own[key]) for key, value in bundled.items())


@pytest.mark.slow
def test_training_starts_from_fresh_weights_if_none_are_bundled(data, tmp_path):
    _, said = heard(data, tmp_path / "small", *SMALL, "epochs=1")
    assert "fresh weights: none are bundled for this config" in said
    _, said = heard(data, tmp_path / "baseline", "model=baseline", "size=32", "epochs=1", "epoch_steps=1")
    assert "fresh weights: none are bundled for this model" in said
    _, said = heard(data, tmp_path / "scratch", *SMALL, "epochs=1", "init_from=scratch")
    assert "starting from fresh weights;" in said


@pytest.mark.slow
def test_training_starts_from_weights_and_refuses_those_of_another_model(data, tmp_path):
    weights = run(data, tmp_path / "first", "epochs=1")
    run(data, tmp_path / "second", "epochs=1", f"init_from={weights}", "learning_rate=0.0")
    first, second = (checkpoint.load(tmp_path / name / weights.name).model.state_dict() for name in ("first", "second"))
    assert all(torch.equal(first[key], second[key]) for key in first)
    baseline = create_model("baseline")
    checkpoint.save(tmp_path / "baseline.safetensors", baseline, {})
    with pytest.raises(PixelRNNError, match="weights of baseline"):
        run(data, tmp_path / "third", "epochs=1", f"init_from={tmp_path / 'baseline.safetensors'}")


@pytest.mark.parametrize(
    ("part", "learns"),
    [
        ("filler", {"filler"}),
        ("detector", {"detector"}),
        ("decoder", {"filler.up", "filler.decode", "filler.head"}),
    ],
)
def test_one_part_of_the_network_learns_alone(data, tmp_path, part, learns):
    words = ["epochs=1", "loss=hole_rmse"]
    first = run(data, tmp_path / "first", *words)
    second = run(data, tmp_path / "second", *words, f"trainable={part}", f"init_from={first}", "learning_rate=0.01")
    before, after = (checkpoint.load(path).model.state_dict() for path in (first, second))
    changed = [key for key in before if not torch.equal(before[key], after[key])]
    assert {name for name in learns if any(key.startswith(f"{name}.") for key in changed)} == learns
    assert all(key.startswith(tuple(f"{name}." for name in learns)) for key in changed)


def test_losses_of_looks_and_photographs_in_memory_say_what_they_need(data, tmp_path):
    with pytest.raises(PixelRNNError, match="Add trainable=filler"):
        run(data, tmp_path / "out", "epochs=1", "adversarial=1")
    with pytest.raises(PixelRNNError, match="mask_bank: needs photographs"):
        run(data, tmp_path / "out", "epochs=1", "mask_bank=10", "trainable=filler", "occlusion=given")


@pytest.mark.parametrize("key", [{"trainable": "detector"}, {"guide_prob": 0.5}])
def test_a_model_without_parts_refuses_a_recipe_that_needs_them(data, tmp_path, key):
    recipe = training.Recipe(model="baseline", size=32, **key)
    with pytest.raises(PixelRNNError, match="baseline has no detector"):
        training.train([data], recipe, {}, tmp_path / "out", console=QUIET)


def test_a_share_of_the_images_is_guided_by_the_coarsened_truth():
    recipe = training.Recipe(guide_prob=0.25, size=64)
    module = training.CompletionModule(create_model("optimized_pixelrnn"), recipe)
    yy, xx = torch.meshgrid(torch.linspace(0.2, 0.8, 64), torch.linspace(0.3, 0.7, 64), indexing="ij")
    target = torch.stack([yy, xx, yy * xx])[None].repeat(4, 1, 1, 1)
    shown, sides = 0, set()
    for step in range(100):
        module.trainer = SimpleNamespace(global_step=step, global_rank=0, world_size=1)
        guide, guided = module.guide(target)
        shown += int(guided.sum())
        sides.add(guide.shape[-1])
        resized = torch.nn.functional.interpolate(guide, size=(64, 64), mode="bilinear")
        assert (resized - target).abs().mean() < 0.08
    assert 70 < shown < 130
    assert min(sides) >= 8
    assert max(sides) <= 32
    assert len(sides) > 10


def test_valid_from_parts_the_pairs_by_number(data):
    recipe, _ = training.read_recipe(None, ["valid_from=15", "size=32"])
    train, valid = training.make_datasets([data], recipe)
    assert (len(train), len(valid)) == (15, 5)
    assert {valid[i]["name"] for i in range(5)} == {"15", "16", "17", "18", "19"}


def test_a_share_of_the_photographs_trains_and_all_of_them_validate(tmp_path):
    (tmp_path / "photos").mkdir()
    for number, room in enumerate(rooms(20)):
        Image.fromarray(room).save(tmp_path / "photos" / f"{number}.png")

    def sizes(share, seed=0):
        recipe, _ = training.read_recipe(None, ["size=32", f"train_fraction={share}", f"seed={seed}"])
        train, valid = training.make_datasets([tmp_path / "photos"], recipe)
        return len(train), len(valid), train[0]["name"]

    assert sizes(1.0)[:2] == (18, 2)
    assert sizes(0.5)[:2] == (9, 2)
    assert len({sizes(0.05, seed)[2] for seed in range(8)}) > 1


def test_no_data_folder_names_the_command_that_renders_one(tmp_path):
    with pytest.raises(PixelRNNError, match="pixelrnn demo-data"):
        run(tmp_path / "data", tmp_path / "out")


def test_nothing_to_resume_is_said(data, tmp_path):
    with pytest.raises(PixelRNNError, match="nothing to go on from"):
        run(data, tmp_path / "out", resume=True)


def test_results_go_to_kaggles_folder_where_it_exists(tmp_path, monkeypatch):
    assert training.default_out() == Path("outputs")
    monkeypatch.setattr(training.run, "KAGGLE", tmp_path)
    assert training.default_out() == tmp_path


def start(data, out, *words):
    command = [sys.executable, str(ROOT / "train.py"), str(data), "-o", str(out), *SMALL, "epochs=40", *words]

    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=heed_ctrl_c)


def wait_for_epoch(process, out, epoch):
    deadline = time.monotonic() + 120
    while not (out / "checkpoints/last.ckpt").exists() or len(rows(out)) < epoch:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_run_killed_in_the_middle_goes_on_from_its_last_checkpoint(data, tmp_path):
    out = tmp_path / "out"
    process = start(data, out)
    wait_for_epoch(process, out, 3)
    process.kill()
    process.communicate()
    before = rows(out)
    assert len(before) < 40
    resumed = start(data, out, "--resume")
    output, _ = resumed.communicate(timeout=180)
    assert resumed.returncode == 0, output
    after = rows(out)
    assert [int(row["epoch"]) for row in after] == list(range(1, 41))
    assert [int(row["step"]) for row in after] == [4 * epoch for epoch in range(1, 41)]
    assert after[:2] == before[:2]
    assert checkpoint.load(out / "optimized_pixelrnn.safetensors").name == "optimized_pixelrnn"


@pytest.mark.parametrize(
    "kind",
    [["loss=hole_rmse"], ["adversarial=1", "feature_matching=0.5", "error=0.3", "trainable=filler"]],
    ids=["plain", "adversarial"],
)
@pytest.mark.slow
def test_a_run_in_two_parts_gives_the_weights_of_a_whole_one_byte_for_byte(data, tmp_path, kind):
    words = ["epoch_steps=3", "ema_decay=0.9", "guide_prob=0.3", "occlusion=random", *kind]
    whole = run(data, tmp_path / "whole", "epochs=4", *words)
    again = run(data, tmp_path / "again", "epochs=4", *words)
    run(data, tmp_path / "parted", "epochs=2", *words)
    parted = run(data, tmp_path / "parted", "epochs=4", *words, resume=True)
    states = [path.with_suffix(".pth").read_bytes() for path in (whole, again, parted)]
    assert states[0] == states[1]
    assert states[0] == states[2]
    assert rows(tmp_path / "parted")[-1]["learning_rate"] == rows(tmp_path / "whole")[-1]["learning_rate"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["expected", "sharp"])
def test_a_bundled_recipe_gives_the_same_weights_after_a_stop_and_resume(tmp_path, name):
    """Of the recipe, smaller pictures and a smaller network, so that 100 steps take seconds."""
    rendered = [render_bedroom(np.random.default_rng(seed), 64) for seed in range(10)]
    write_pairs(21 * rendered, tmp_path / "data", seed=0)
    changes = ["minutes=null", "epochs=2", "epoch_steps=50", "batch_size=2", "valid_from=200", "init_from=scratch"]
    changes += ["size=64", "workers=0", "mask_bank=0", "widths=[8,12,16]", "depths=[1,1,2]", "scan_hidden=6"]
    words = ["--recipe", str(ROOT / f"recipes/bedrooms-{name}.yaml"), *changes]

    def finish(out, *more):
        process = start(tmp_path / "data", tmp_path / out, *words, *more)
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0, output
        return (tmp_path / out / "optimized_pixelrnn.pth").read_bytes()

    stopped = start(tmp_path / "data", tmp_path / "parted", *words)
    wait_for_epoch(stopped, tmp_path / "parted", 1)
    stopped.kill()
    stopped.communicate()
    assert finish("parted", "--resume") == finish("whole")
    assert [int(row["step"]) for row in rows(tmp_path / "parted")] == [50, 100]


@pytest.mark.slow
def test_ctrl_c_leaves_usable_weights_and_no_traceback(data, tmp_path):
    out = tmp_path / "out"
    process = start(data, out)
    wait_for_epoch(process, out, 2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert json.dumps(checkpoint.load(out / "optimized_pixelrnn.safetensors").metadata)


def test_the_averaged_weights_soon_forget_the_initial_ones():
    average = torch.zeros(1)
    for count in range(1, 41):
        average = training.running_average(average, torch.ones(1), count, 0.998)
    assert average > 0.999
    step = training.running_average(torch.zeros(1), torch.ones(1), 100_000, 0.998)
    torch.testing.assert_close(step, torch.tensor([0.002]))
