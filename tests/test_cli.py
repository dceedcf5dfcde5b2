"""The command, as a user runs it: where results go, what is said, and that bad input costs one line and nothing else."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image
from torch import nn

from pixelrnn import checkpoint
from pixelrnn.cli import main
from pixelrnn.decode import read_image
from pixelrnn.encode import write_image
from pixelrnn.errors import PixelRNNError
from pixelrnn.inference.planning import plan
from pixelrnn.models import create_model

SMALL = {"widths": (4, 4, 4), "depths": (1, 1, 2), "detector_widths": (4, 4, 4), "detector_depths": (1, 1, 1), "scan_hidden": 4}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to stand in, with an untrained network as weights.safetensors, a photograph and a mask."""
    monkeypatch.chdir(tmp_path)
    model = create_model("optimized_pixelrnn", **SMALL)
    nn.init.constant_(model.filler.head[-1].bias, 0.5)  # fresh weights would leave a smooth fill, known pixels and all
    checkpoint.save(Path("weights.safetensors"), model, {})
    rng = np.random.default_rng(0)
    mask = np.zeros((40, 50), bool)
    mask[10:20, 10:30] = True
    Path("photos/inner").mkdir(parents=True)
    for name in ("a", "inner/b", "c"):
        write_image(Path(f"photos/{name}.png"), rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    write_image(Path("mask.png"), mask)
    return tmp_path


@pytest.fixture
def pixelrnn(monkeypatch, capfd):
    """Run the command; gives (exit code, what it printed, what it printed as errors)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["pixelrnn", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capfd.readouterr())

    return run


def test_one_picture_goes_to_outputs_numbered_when_it_exists(place, pixelrnn):
    words = ("complete", "photos/a.png", "--mask", "mask.png", "--weights", "weights.safetensors")
    code, said, _ = pixelrnn(*words)
    assert code == 0
    assert "outputs/a_completed.png" in said
    assert "10% missing, given" in said
    pixelrnn(*words)
    assert {path.name for path in Path("outputs").iterdir()} == {"a_completed.png", "a_completed_2.png"}
    before, after, mask = read_image("photos/a.png"), read_image("outputs/a_completed.png"), read_image("mask.png")[..., 0] > 0
    np.testing.assert_array_equal(after[~mask], before[~mask])
    assert (after[mask] != before[mask]).any()


def test_a_folder_keeps_its_structure_and_its_masks_are_found_by_name(place, pixelrnn):
    Path("masks").mkdir()
    for name in "abc":
        shutil.copy("mask.png", f"masks/{name}.png")
    code, said, _ = pixelrnn(
        "complete", "photos", "-o", "done", "--mask", "masks", "--weights", "weights.safetensors", "--sheet", "sheet.png"
    )
    assert code == 0
    assert "3 of 3" in said
    assert {str(path) for path in Path("done").rglob("*.png")} == {"done/a.png", "done/c.png", "done/inner/b.png"}
    with Image.open("sheet.png") as sheet:
        assert min(sheet.size) > 40


def test_a_bad_file_in_a_folder_is_reported_and_the_others_completed(place, pixelrnn):
    Path("photos/bad.jpg").write_text("not a picture")
    code, said, errors = pixelrnn("complete", "photos", "-o", "done", "--mask", "mask.png", "--weights", "weights.safetensors")
    assert code == 1
    assert "3 of 4" in said
    assert len(errors.strip().splitlines()) == 1
    assert "photos/bad.jpg: not a picture" in errors


def test_a_plain_state_dict_of_the_baseline_completes_an_image(place, pixelrnn):
    checkpoint.save_plain(Path("optimized_pixelrnn.pth"), create_model("baseline"))
    code, said, _ = pixelrnn("complete", "photos/a.png", "--mask", "mask.png", "--weights", "optimized_pixelrnn.pth")
    assert code == 0
    assert "weights of baseline" in said


BAD = {
    "a missing path": (["photos/nope.png"], "photos/nope.png: no such file"),
    "a folder without images": (["empty"], "empty: no pictures"),
    "a text file named .jpg": (["text.jpg"], "text.jpg: not a picture"),
    "a truncated JPEG": (["short.jpg"], "short.jpg: a damaged picture"),
    "a mask of another size": (["photos/a.png", "--mask", "small.png"], "the mask is 4 x 3, the picture 50 x 40"),
    "a missing mask": (["photos/a.png", "--mask", "nope.png"], "nope.png: no such mask"),
    "weights of another model": (["photos/a.png", "--weights", "other.pth"], "weights of another model"),
    "a .pth that is not plain tensors": (["photos/a.png", "--weights", "whole.pth"], "not a plain state dict"),
    "weights that are not there": (["photos/a.png", "--weights", "nope"], "nope: no such weights"),
    "an output that exists": (["photos/a.png", "-o", "mask.png"], "mask.png: exists already"),
    "an output of no known format": (["photos/a.png", "-o", "a.gif", "--mask", "mask.png"], "a.gif: cannot write this format"),
    "a device that is not there": (["photos/a.png", "--device", "tpu"], "expected cpu or cuda"),
    "a temperature that is too cold": (
        ["photos/a.png", "--mask", "mask.png", "--samples", "2", "--temperature", "0"],
        "temperature 0.0: must be above 0",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_exit_code_2_and_overwrites_nothing(case, place, pixelrnn):
    import torch

    Path("empty").mkdir()
    Path("text.jpg").write_text("not a picture")
    write_image(Path("short.jpg"), read_image("photos/a.png"))
    Path("short.jpg").write_bytes(Path("short.jpg").read_bytes()[:900])
    write_image(Path("small.png"), np.ones((3, 4), bool))
    torch.save({"conv.weight": torch.zeros(3)}, "other.pth")
    torch.save(create_model("baseline"), "whole.pth")
    words, message = BAD[case]
    if "--weights" not in words:
        words = [*words, "--weights", "weights.safetensors"]
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    code, _, errors = pixelrnn("complete", *words)
    assert code == 2
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def test_two_inputs_with_one_output_are_refused(place):
    shutil.copy("photos/a.png", "photos/inner/a.png")
    with pytest.raises(PixelRNNError, match="would both be written"):
        plan([Path("photos/a.png"), Path("photos/inner/a.png")], Path("done"), overwrite=False)


def test_files_of_one_name_without_a_folder_for_results_are_numbered(place):
    shutil.copy("photos/a.png", "photos/inner/a.png")
    planned = plan([Path("photos/a.png"), Path("photos/inner/a.png")], None, overwrite=False)
    assert [target.name for _, target in planned.todo] == ["a_completed.png", "a_completed_2.png"]


@pytest.mark.slow
def test_rendered_bedrooms_train_a_network_that_completes(place, pixelrnn):
    assert pixelrnn("demo-data", "data", "--count", "6", "--test", "2", "--size", "64")[0] == 0
    assert len(list(Path("data/train/original_images").iterdir())) == 6
    assert len(list(Path("data/occluded_test").iterdir())) == 2
    code, said, errors = pixelrnn(
        "train",
        "size=32",
        "epochs=1",
        "batch_size=2",
        "--from-scratch",
        *(f"{k}={list(v) if isinstance(v, tuple) else v}" for k, v in SMALL.items()),
    )
    assert code == 0, errors
    assert "starting from fresh weights;" in said
    weights = re.search(r"--weights (\S+)", said)[1]
    assert Path("outputs/optimized_pixelrnn.pth").is_file()
    assert Path("outputs/loss_curve.png").is_file()
    assert pixelrnn("complete", "data/occluded_test", "-o", "done", "--mask", _square(), "--weights", weights)[0] == 0
    assert len(list(Path("done").iterdir())) == 2


def _square():
    mask = np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True
    write_image(Path("square.png"), mask)
    return Path("square.png")


def test_clean_photographs_become_pairs_and_nothing_is_overwritten(place, pixelrnn):
    assert pixelrnn("occlude", "photos", "-o", "pairs", "--style", "square")[0] == 0
    pair = [
        np.asarray(read_image(f"pairs/train/{name}_0.jpg"), int)
        for name in ("occluded_images/occluded_photo", "original_images/photo")
    ]
    assert 0.04 < (np.abs(pair[0] - pair[1]).max(axis=2) > 30).mean() < 0.12
    code, _, errors = pixelrnn("occlude", "photos", "-o", "pairs")
    assert code == 2
    assert "not empty" in errors


def test_unreadable_photographs_are_named_before_pairs_are_written(place, pixelrnn):
    for number in range(5):
        Path(f"photos/z{number}.png").write_bytes(Path("photos/a.png").read_bytes()[:-40])
    code, _, errors = pixelrnn("occlude", "photos", "-o", "pairs")
    assert code == 2
    assert "z0.png" in errors
    assert "2 more" in errors
    assert not Path("pairs").exists()


def test_training_without_data_names_the_command_that_renders_some(place, pixelrnn):
    code, _, errors = pixelrnn("train")
    assert code == 2
    assert "pixelrnn demo-data data/" in errors


def test_evaluate_prints_a_comparison_and_writes_json_and_html(place, pixelrnn):
    for part, source in (("input", "photos/a.png"), ("mask", "mask.png"), ("target", "photos/c.png")):
        Path(f"cases/one/{part}").mkdir(parents=True)
        shutil.copy(source, f"cases/one/{part}/1.png")
    code, said, errors = pixelrnn(
        "evaluate",
        "cases",
        "--weights",
        "weights.safetensors",
        "--against",
        "telea, ns,mean",
        "--blind",
        "--raw",
        "--size",
        "32",
        "--clean",
        "photos",
        "--json",
        "r.json",
        "--markdown",
        "r.md",
        "--html",
        "r.html",
    )
    assert code == 0, errors
    for word in ("weights.safetensors", "(blind)", "(raw)", "telea", "ns", "mean", "hole", "10-20 %", "precision", "clean"):
        assert word in said
    document = json.loads(Path("r.json").read_text())
    ours = {"weights.safetensors", "weights.safetensors (blind)", "weights.safetensors (raw)"}
    assert set(document["sets"]["one"]) == ours | {"telea", "ns", "mean"}
    figures = document["sets"]["one"]
    assert figures["weights.safetensors"]["changed"] == 0
    assert figures["weights.safetensors (raw)"]["changed"] > 0  # known pixels are drawn anew, if by little
    assert figures["weights.safetensors (raw)"]["hole_psnr"] == pytest.approx(figures["weights.safetensors"]["hole_psnr"])
    assert figures["weights.safetensors (blind)"]["mask_iou"] is not None
    assert figures["weights.safetensors (blind)"]["ungrown_iou"] is not None
    assert set(document["calibration"]["one"]) == {"weights.safetensors"}
    assert document["clean"]["weights.safetensors"]["pictures"] == 3
    assert document["settings"] == {"cases": ["cases"], "size": 32, "clean": "photos", "device": "cpu"}
    assert "| one | telea | 1 |" in Path("r.md").read_text()
    assert "<html" in Path("r.html").read_text()


def test_clean_photographs_alone_are_evaluated_and_nothing_is_an_error(place, pixelrnn):
    code, said, _ = pixelrnn("evaluate", "--clean", "photos", "--weights", "weights.safetensors")
    assert code == 0
    assert "altered" in said
    assert "hole" not in said
    code, _, errors = pixelrnn("evaluate", "--weights", "weights.safetensors")
    assert code == 2
    assert "nothing to evaluate on" in errors


def test_the_commands_help_names_every_command():
    result = subprocess.run([sys.executable, "-m", "pixelrnn", "--help"], capture_output=True, text=True, check=True)
    for command in ("complete", "train", "evaluate", "occlude", "demo-data", "models"):
        assert command in result.stdout


def test_app_serves_the_page_beside_the_settings_that_come_with_it(pixelrnn, monkeypatch):
    started = MagicMock()
    started.return_value.__enter__.return_value.wait.return_value = 0
    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setattr(signal, "signal", MagicMock())  # of this process they stay as they are
    assert pixelrnn("app", "--port", 9000, "--weights", "one.pth", "--weights", "two.pth")[0] == 0
    command = started.call_args.args[0]
    script = Path(command[4])
    assert command[1:4] == ["-m", "streamlit", "run"]
    assert (script.parent / ".streamlit" / "config.toml").exists()
    assert command[command.index("--server.port") + 1] == "9000"
    assert command[command.index("--") :] == ["--", "--weights", "one.pth", "--weights", "two.pth"]
