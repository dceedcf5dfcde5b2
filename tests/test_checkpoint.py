"""Weights on disk: what is saved comes back, and what is not ours or could run code is refused."""

import json
import os
import pickle
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from contract import assert_same, batch, build, predict
from pixelrnn import checkpoint, weights
from pixelrnn.errors import PixelRNNError
from pixelrnn.models import create_model
from pixelrnn.weights import DEFAULT, bundled_weights

SMALL = ("optimized_pixelrnn", {"widths": (4, 6, 8), "depths": (1, 1, 2), "scan": "gru", "scan_hidden": 3})
ABOUT = {"data": "rooms", "seconds": 12.5, "recipe": {"epochs": 20, "lr": 0.001}, "losses": [0.3, 0.2], "name": "日本"}


def test_a_checkpoint_gives_back_weights_options_and_what_is_known(tmp_path: Path) -> None:
    model, path = build(SMALL), tmp_path / "a.safetensors"
    checkpoint.save(path, model, ABOUT)
    loaded = checkpoint.load(path)
    assert (loaded.name, loaded.metadata, loaded.model.config) == ("optimized_pixelrnn", ABOUT, model.config)
    assert isinstance(loaded.model.config.widths, tuple)
    assert not loaded.model.training
    for (key, value), (other, same) in zip(model.state_dict().items(), loaded.model.state_dict().items(), strict=True):
        assert key == other
        assert torch.equal(value, same)
    assert checkpoint.load(str(path)).metadata == ABOUT


@pytest.mark.parametrize("name", ["row_lstm", "diagonal_bilstm"])
def test_tensors_named_as_in_version_0_1_are_loaded(name: str, tmp_path: Path) -> None:
    options = {"features": 6, "depth": 1, "encoder_features": 0}
    model = create_model(name, **options)
    checkpoint.save(tmp_path / "a.safetensors", model, {})
    with safe_open(tmp_path / "a.safetensors", framework="pt") as opened:
        header = json.loads(opened.metadata()["pixelrnn"])
    state = {
        key.replace("input_to_state", "enter").replace("state_to_state", "carry"): value.clone()
        for key, value in model.state_dict().items()
    }
    assert {"blocks.0.enter.weight", "blocks.0.enter.0.weight"} & state.keys()
    del header["sha256"]  # files of then may have none
    save_file(state, tmp_path / "b.safetensors", {"pixelrnn": json.dumps(header)})
    for key, value in checkpoint.load(tmp_path / "b.safetensors").model.state_dict().items():
        assert torch.equal(value, model.state_dict()[key])


def test_the_header_is_json_that_any_safetensors_reader_shows(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.safetensors", build(SMALL), ABOUT)
    with safe_open(tmp_path / "a.safetensors", framework="np") as opened:
        header = json.loads(opened.metadata()["pixelrnn"])
    assert header["model"] == "optimized_pixelrnn"
    assert header["config"]["widths"] == [4, 6, 8]
    assert header["about"] == ABOUT


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        checkpoint.save(tmp_path / f"{name}.safetensors", build(SMALL), ABOUT)
        checkpoint.save_plain(tmp_path / f"{name}.pth", build(SMALL))
    for suffix in (".safetensors", ".pth"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("variant", [("baseline", {}), ("optimized_pixelrnn", {})], ids=str)
def test_a_plain_state_dict_is_recognised_from_its_keys(variant, tmp_path: Path) -> None:
    model, (image, mask) = build(variant), batch(0, 1, 24, 16)
    torch.save(model.state_dict(), tmp_path / "a.pth")
    checkpoint.save_plain(tmp_path / "b.pth", model)
    for name in ("a.pth", "b.pth"):
        loaded = checkpoint.load(tmp_path / name)
        assert loaded.name == variant[0]
        assert loaded.metadata == {"note": f"plain state dict, recognised as {variant[0]} from its keys"}
        assert not loaded.model.training
        assert_same(predict(model, image, mask), predict(loaded.model, image, mask))


def test_weights_of_the_described_names_written_elsewhere_load_as_baseline(tmp_path: Path) -> None:
    convolutions = {
        "encoder.0": nn.Conv2d(3, 64, 5), "encoder.2": nn.Conv2d(64, 128, 3), "encoder.4": nn.Conv2d(128, 256, 3),
        "convlstm.conv": nn.Conv2d(512, 1024, 3),
        "decoder.0": nn.Conv2d(256, 512, 3), "decoder.3": nn.Conv2d(128, 256, 3),
        "decoder.6": nn.Conv2d(64, 128, 3), "decoder.9": nn.Conv2d(32, 3, 3),
    }  # fmt: skip
    state = {
        f"{name}.{part}": getattr(conv, part).detach() for name, conv in convolutions.items() for part in ("weight", "bias")
    }
    torch.save(state, tmp_path / "best.pth")
    loaded = checkpoint.load(tmp_path / "best.pth")
    assert loaded.name == "baseline"
    assert all(torch.equal(loaded.model.state_dict()[key], value) for key, value in state.items())


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("write", [torch.save, lambda o, path: path.write_bytes(pickle.dumps(o))], ids=["torch", "pickle"])
def test_a_pth_that_runs_code_is_refused_before_it_runs(write, tmp_path: Path) -> None:
    target, path = tmp_path / "sprung", tmp_path / "evil.pth"
    write({**build(("baseline", {})).state_dict(), "trap": Trap(target)}, path)
    with pytest.raises(PixelRNNError, match=r"evil\.pth: not a plain state dict of tensors.*could run code"):
        checkpoint.load(path)
    assert not target.exists()
    if write is torch.save:  # the trap is a real one
        torch.load(path, weights_only=False)
        assert target.exists()


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"state_dict": {"a": "b"}}, torch.zeros(2)], ids=str)
def test_a_pth_of_more_than_tensors_by_name_is_refused(content, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(PixelRNNError, match=r"Save it with torch\.save\(model\.state_dict\(\), path\)"):
        checkpoint.load(tmp_path / "a.pth")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40))
@example(b"")
@example(b"this is no checkpoint")
@example(b".")
@example(b"0.")
@example(b"PK\x03\x04 no zip file")
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_rubbish_is_refused_with_the_name_of_the_file(suffix: str, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / f"rubbish{suffix}"
    path.write_bytes(content)
    with pytest.raises(PixelRNNError, match="rubbish"):
        checkpoint.load(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(kept: float, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    checkpoint.save_plain(path, build(SMALL)) if suffix == ".pth" else checkpoint.save(path, build(SMALL), {})
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(PixelRNNError, match=rf"a\{suffix}: not a"):
        checkpoint.load(path)


def test_a_bit_flipped_in_tensor_header_or_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, build(SMALL), ABOUT)
    whole = path.read_bytes()
    begin = 8 + int.from_bytes(whole[:8], "little")  # of the tensors
    words = [whole.index(word) for word in (b"sha256", b"model", b"widths", b"epochs", b"data_offsets")]
    for place in (0, 3, 9, *words, begin - 30, begin, (begin + len(whole)) // 2, len(whole) - 1):
        for bit in (0, 3, 6):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(PixelRNNError, match=r"a\.safetensors: "):
                checkpoint.load(path)


def test_a_file_from_before_there_were_checksums_is_read(tmp_path: Path) -> None:
    model = build(SMALL)
    header = {"model": "optimized_pixelrnn", "config": asdict(model.config), "about": {}}
    save_file(model.state_dict(), tmp_path / "a.safetensors", metadata={"pixelrnn": json.dumps(header)})
    assert checkpoint.load(tmp_path / "a.safetensors").model.config == model.config


WRAPPED = {
    "DataParallel": lambda state: {f"module.{key}": value for key, value in state.items()},
    "compile": lambda state: {f"_orig_mod.{key}": value for key, value in state.items()},
    "DataParallel of a compiled one": lambda state: {f"module._orig_mod.{key}": value for key, value in state.items()},
    "Lightning": lambda state: {"state_dict": {f"model.{key}": value for key, value in state.items()}, "epoch": 3},
    "Lightning with a discriminator": lambda state: {
        "state_dict": {f"model.{key}": value for key, value in state.items()} | {"patch.bias": torch.zeros(3)}
    },
    "with its optimizer": lambda state: {"model_state_dict": state, "optimizer_state_dict": {"state": {}}, "loss": 0.1},
    "half": lambda state: {key: value.half() for key, value in state.items()},
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_weights_are_read_however_a_training_program_wrapped_them(tmp_path: Path, kind: str) -> None:
    state = build(("baseline", {})).state_dict()
    torch.save(WRAPPED[kind](state), tmp_path / "a.pth")
    loaded = checkpoint.load(tmp_path / "a.pth")
    assert loaded.name == "baseline"
    for key, value in loaded.model.state_dict().items():
        torch.testing.assert_close(value, state[key].half().float() if kind == "half" else state[key])


def test_weights_of_another_model_name_the_nearest(tmp_path: Path) -> None:
    state = build(("baseline", {})).state_dict()
    state["decoder.9.weight"] = torch.zeros(1, 32, 3, 3)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(PixelRNNError, match=r"the nearest of ours, baseline, shares 94% of its tensors.*optimized_pixelrnn"):
        checkpoint.load(tmp_path / "a.pth")
    torch.save({}, tmp_path / "empty.pth")
    with pytest.raises(PixelRNNError, match=r"empty\.pth: weights of another model"):
        checkpoint.load(tmp_path / "empty.pth")


def test_a_safetensors_file_without_our_header_is_refused(tmp_path: Path) -> None:
    save_file(build(SMALL).state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(PixelRNNError, match=r"a\.safetensors: weights of another program, without our header"):
        checkpoint.load(tmp_path / "a.safetensors")


HEADERS = {
    "no JSON": "{",
    "null": "null",
    "a number": "3",
    "a list": "[]",
    "empty": "{}",
    "without config": '{"model": "baseline", "about": {}}',
    "without about": '{"model": "baseline", "config": {}}',
    "a config that is a list": '{"model": "baseline", "config": [1], "about": {}}',
    "an unknown model": '{"model": "basline", "config": {}, "about": {}}',
    "an unknown option": '{"model": "optimized_pixelrnn", "config": {"wings": 2}, "about": {}}',
    "a wrong scan": '{"model": "optimized_pixelrnn", "config": {"scan": "lstm"}, "about": {}}',
    "a wrong width": '{"model": "optimized_pixelrnn", "config": {"widths": "many"}, "about": {}}',
    "another model": '{"model": "optimized_pixelrnn", "config": {}, "about": {}}',
}


@pytest.mark.parametrize("header", HEADERS)
def test_an_invalid_header_is_refused_with_the_name_of_the_checkpoint(header: str, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "odd.safetensors", metadata={"pixelrnn": HEADERS[header]})
    with pytest.raises(PixelRNNError, match=r"odd\.safetensors: "):
        checkpoint.load(tmp_path / "odd.safetensors")


def test_weights_that_do_not_fit_the_header_name_the_tensor(tmp_path: Path) -> None:
    model = build(SMALL)
    header = {"model": "optimized_pixelrnn", "config": {**asdict(model.config), "scan_hidden": 4}, "about": {}}
    save_file(model.state_dict(), tmp_path / "a.safetensors", metadata={"pixelrnn": json.dumps(header)})
    with pytest.raises(PixelRNNError, match=r"do not fit its own model optimized_pixelrnn \(size mismatch for filler\.bottom"):
        checkpoint.load(tmp_path / "a.safetensors")


def test_a_header_without_an_option_is_of_another_version_and_refused(tmp_path: Path) -> None:
    model = build(SMALL)
    config = asdict(model.config)
    del config["smooth_start"]
    header = {"model": "optimized_pixelrnn", "config": config, "about": {}}
    save_file(model.state_dict(), tmp_path / "a.safetensors", metadata={"pixelrnn": json.dumps(header)})
    with pytest.raises(PixelRNNError, match="saved by a version without smooth_start"):
        checkpoint.load(tmp_path / "a.safetensors")


def test_missing_weights_suggest_the_nearest_bundled_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path / "a.safetensors", build(SMALL), ABOUT)
    monkeypatch.setattr(weights, "bundled_weights", lambda: {DEFAULT: tmp_path / "a.safetensors"})
    with pytest.raises(
        PixelRNNError, match=rf"bedrooms: no such weights, did you mean '{DEFAULT}'\?.* Give a \.safetensors, \.onnx or \.pth"
    ):
        checkpoint.load("bedrooms")
    with pytest.raises(PixelRNNError, match=r"best\.pth: no such weights\. .*or a bundled name: bedrooms-"):
        checkpoint.load(tmp_path / "best.pth")
    assert checkpoint.load(DEFAULT).metadata == checkpoint.load().metadata == ABOUT


@pytest.mark.parametrize("name", bundled_weights())
def test_bundled_weights_load_and_tell_where_they_come_from(name: str) -> None:
    assert checkpoint.load(name).metadata


def test_a_failed_save_leaves_the_old_weights(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, build(SMALL), ABOUT)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        checkpoint.save(path, build(SMALL), {"model": nn.Identity()})  # no JSON
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
