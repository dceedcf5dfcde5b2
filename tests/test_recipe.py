"""Recipes: the described defaults, and values that are refused before anything is loaded."""

import re
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from pixelrnn import PixelRNNError, training
from pixelrnn.training.recipe import recipe_values, resumed_values

ROOT = Path(__file__).parent.parent


def test_the_defaults_are_the_described_run():
    recipe, options = training.read_recipe(None)
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.size) == (20, 16, 0.001, 256)
    assert (recipe.loss, recipe.mse_weight, recipe.ssim_weight) == ("combined", 0.8, 0.2)
    assert (recipe.schedule, recipe.occlusion, options) == ("constant", "given", {})


def test_every_recipe_in_the_repository_can_be_read():
    recipes = sorted((ROOT / "recipes").glob("*.yaml"))
    assert {path.stem for path in recipes} >= {"baseline", "demo"}
    for path in recipes:
        training.read_recipe(path)
    # claims compare losses: nothing else may differ
    claims = [asdict(training.read_recipe(ROOT / f"recipes/claim-{name}.yaml")[0]) for name in ("combined", "mse")]
    assert {key for key in claims[0] if claims[0][key] != claims[1][key]} == {"mse_weight", "ssim_weight"}
    assert training.read_recipe(ROOT / "recipes/baseline.yaml")[0] == training.Recipe(model="baseline")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs=many", "epochs must be int"),
        ("batch_sise=4", "batch_size"),
        ("loss=hinge", "hole_l1"),
        ("model=basline", "baseline"),
        ("seed=true", "seed must be int"),
    ],
)
def test_a_bad_recipe_value_is_refused_with_what_was_meant(override, message):
    with pytest.raises(PixelRNNError, match=message):
        training.read_recipe(None, [override])


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "0.001", "1.0e-3", ".1e-2", "+1e-3", "10e-4"])
def test_a_number_is_read_however_it_is_written(tmp_path, text):
    (tmp_path / "recipe.yaml").write_text(f"learning_rate: {text}\n")
    assert training.read_recipe(None, [f"learning_rate={text}"])[0].learning_rate == 0.001
    assert training.read_recipe(tmp_path / "recipe.yaml")[0].learning_rate == 0.001


OUT_OF_RANGE = {
    "size": ["0", "10", "1e3"],
    "crop_scale": ["0.1", "-1"],
    "epochs": ["0", "-1", "1.5", "null"],
    "minutes": ["0", "-1"],
    "epoch_steps": ["0", "-1"],
    "validate_minutes": ["-1"],
    "batch_size": ["0", "-1"],
    "learning_rate": ["-1", ".nan", ".inf"],
    "adversarial": ["-1"],
    "feature_matching": ["-1"],
    "projected": ["-1"],
    "perceptual": ["-1"],
    "error": ["-1"],
    "discriminator_rate": ["-1"],
    "mse_weight": ["-1"],
    "ssim_weight": ["-1"],
    "structure_weight": ["-1"],
    "clean_prob": ["2", "-1"],
    "valid_from": ["-1"],
    "valid_fraction": ["0", "1"],
    "train_fraction": ["0", "2"],
    "guide_prob": ["2", "-1"],
    "ema_decay": ["1", "2.0", "-1"],
    "grad_clip": ["-1"],
    "weight_decay": ["-1"],
    "beta2": ["1", "-1"],
    "mask_bank": ["-1"],
    "seed": ["-1", "4294967296", "1.5"],
    "workers": ["-1", "1.5"],
}


OLDER = {
    "headroom": 1.5,
    "start_from": "scratch",
    "share": 0.5,
    "clean": 0.1,
    "clip": 2.0,
    "ema": 0.9,
    "guided": 0.3,
    "part": "filler",
}


def test_recipes_with_the_keys_of_version_0_1_are_read(tmp_path):
    path = tmp_path / "older.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in OLDER.items()))
    recipe, options = training.read_recipe(path)
    found = [recipe.crop_scale, recipe.init_from, recipe.train_fraction, recipe.clean_prob, recipe.grad_clip]
    found += [recipe.ema_decay, recipe.guide_prob, recipe.trainable]
    assert found == list(OLDER.values())
    assert not options


def test_a_run_of_version_0_1_goes_on_with_the_recipe_that_it_had():
    saved = {"ema": 0.9, "clip": 1.0, "epochs": 3}
    assert resumed_values(saved, {"epochs": 5, "ema_decay": 0.9}) == {"ema_decay": 0.9, "grad_clip": 1.0, "epochs": 5}


@pytest.mark.parametrize(("key", "text"), [(key, text) for key, texts in OUT_OF_RANGE.items() for text in texts])
def test_a_value_out_of_range_is_refused_by_name(key, text):
    with pytest.raises(PixelRNNError, match=rf"^recipe: {key} must be [^\n]*, got [^\n]*\.$"):
        training.read_recipe(None, [f"{key}={text}"])


def test_every_number_of_a_recipe_has_a_range():
    numbers = {field.name for field in fields(training.Recipe) if re.search(r"\b(int|float)\b", str(field.type))}
    assert numbers == OUT_OF_RANGE.keys()


@pytest.mark.parametrize(
    "words",
    [
        ["epochs=3", "minutes=2"],
        ["loss=hole_rmse", "mse_weight=0.5"],
        ["structure_weight=0.1"],
        ["adversarial=1", "trainable=filler", "loss=hole_l1"],
        ["adversarial=1", "trainable=filler", "weight_decay=0.1"],
        ["adversarial=1"],
        ["discriminator_rate=0.1"],
        ["guide_prob=0.5", "trainable=detector"],
        ["valid_from=3", "valid_fraction=0.3"],
        ["mse_weight=0", "ssim_weight=0"],
        ["mask_bank=10", "trainable=filler"],
    ],
)
def test_a_value_that_another_makes_useless_is_refused(words):
    with pytest.raises(PixelRNNError, match="|".join(word.partition("=")[0] for word in words)):
        training.read_recipe(None, words)


def test_the_command_line_says_whether_epochs_or_minutes_count(tmp_path):
    (tmp_path / "timed.yaml").write_text("minutes: 5\n")
    (tmp_path / "counted.yaml").write_text("epochs: 5\n")
    timed, counted = (
        training.read_recipe(tmp_path / name, [word])[0]
        for name, word in (("timed.yaml", "epochs=3"), ("counted.yaml", "minutes=2"))
    )
    assert (timed.minutes, timed.epochs) == (None, 3)
    assert counted.minutes == 2


@pytest.mark.parametrize(
    "word", ["widths=5", "widths=[0,4,4]", "depths=[-1]", "scan_hidden=-1", "scan=5", "epochs=[", "widths=[a]"]
)
def test_a_value_of_the_model_that_cannot_be_built_is_one_line(word):
    with pytest.raises(PixelRNNError, match=r"^[^\n]*$") as refused:
        training.read_recipe(None, [word])
    assert word.partition("=")[0] in str(refused.value)


def test_what_is_kept_of_a_recipe_gives_the_same_recipe():
    for path in sorted((ROOT / "recipes").glob("*.yaml")):
        made = training.read_recipe(path)
        assert training.make_recipe(recipe_values(*made)) == made
