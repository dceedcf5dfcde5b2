"""ONNX files against torch at sizes the export never saw, and what is in them."""

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from contract import SCANS, SMALL, batch, predict
from pixelrnn import __version__
from pixelrnn.errors import PixelRNNError
from pixelrnn.inference.export import export_onnx
from pixelrnn.models import create_model

TOLERANCE = {"rtol": 0, "atol": 1e-4}


def lively(name: str, **options: object) -> nn.Module:
    """A model whose every part can be seen in its answer; fresh weights leave the smooth fill almost as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create_model(name, **options).eval()
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.3)
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """scan to model and its file, written once."""
    folder, made = tmp_path_factory.mktemp("onnx"), {}

    def get(scan: str) -> tuple[nn.Module, Path]:
        if scan not in made:
            made[scan] = lively("optimized_pixelrnn", scan=scan, **SMALL), folder / f"{scan}.onnx"
            export_onnx(*made[scan])
        return made[scan]

    return get


def run(path: Path, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """What ONNX Runtime says, by name."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    if "mask" in inputs:
        nothing = {"evidence": torch.zeros(len(inputs["image"]), 4, *inputs["image"].shape[2:]), "has_evidence": flag(False)}
        inputs = nothing | inputs
    answers = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return {name: torch.from_numpy(np.asarray(answer)) for name, answer in zip(names, answers, strict=True)}


def flag(*values: bool) -> torch.Tensor:
    return torch.tensor(values)


@pytest.mark.parametrize("size", [(2, 45, 70), (1, 1, 1), (1, 160, 33), (3, 64, 80)], ids=str)
@pytest.mark.parametrize("scan", SCANS)
def test_a_file_answers_as_torch_does_with_and_without_mask_and_guide(exported, scan: str, size) -> None:
    model, path = exported(scan)
    image, mask = batch(0, *size)
    guide = batch(1, size[0], 7, 11)[0]
    for masked in (True, False):
        for guided in (True, False):
            flags = {"has_mask": flag(masked), "has_guide": flag(guided)}  # one flag for the whole batch
            found = run(path, image=image, mask=mask, guide=guide, **flags)
            expected = predict(model, image, mask if masked else None, guide if guided else None)
            detected = torch.zeros_like(mask) if masked else expected.mask_logits
            torch.testing.assert_close(found["mask_logits"], detected, **TOLERANCE)
            torch.testing.assert_close(found["picture"], expected.image, **TOLERANCE)
            torch.testing.assert_close(found["log_std"], expected.log_std, **TOLERANCE)


def test_given_evidence_replaces_the_evidence_of_the_image(exported) -> None:
    model, path = exported("none")
    image, mask = batch(6, 2, 40, 56)
    given = torch.rand(2, 4, 40, 56, generator=torch.Generator().manual_seed(7))
    flags = {"has_mask": flag(False), "has_guide": flag(False), "has_evidence": flag(True, False)}
    found = run(path, image=image, mask=mask, guide=image, evidence=given, **flags)["mask_logits"]
    with torch.no_grad():
        torch.testing.assert_close(found[:1], model.detect(image[:1], given[:1]), **TOLERANCE)
        torch.testing.assert_close(found[1:], model.detect(image[1:]), **TOLERANCE)


def test_the_flags_hold_for_each_picture_of_a_batch(exported) -> None:
    model, path = exported("gru")
    image, mask = batch(2, 2, 40, 56)
    guide = batch(3, 2, 5, 5)[0]
    found = run(path, image=image, mask=mask, guide=guide, has_mask=flag(True, False), has_guide=flag(False, True))
    first, second = predict(model, image[:1], mask[:1]), predict(model, image[1:], None, guide[1:])
    torch.testing.assert_close(found["picture"], torch.cat([first.image, second.image]), **TOLERANCE)


def test_what_a_flag_turns_off_is_not_looked_at(exported) -> None:
    _, path = exported("none")
    image, mask = batch(4, 1, 32, 48)
    nothing = {"image": image, "has_mask": flag(False), "has_guide": flag(False)}
    one = run(path, mask=mask, guide=image, **nothing)
    other = run(path, mask=1 - mask, guide=torch.zeros(1, 3, 1, 1), **nothing)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_baselines_file_has_its_image_and_picture_alone(tmp_path: Path) -> None:
    model, path = lively("baseline"), tmp_path / "baseline.onnx"
    export_onnx(model, path)
    for size in [(2, 45, 70), (1, 1, 1), (1, 64, 33)]:
        image, _ = batch(5, *size)
        found = run(path, image=image)
        assert list(found) == ["picture"]
        torch.testing.assert_close(found["picture"], predict(model, image).image, **TOLERANCE)


@pytest.mark.parametrize(
    ("scan", "nodes"), [("gru", {"GRU": 2}), ("lstm", {"LSTM": 2}), ("convlstm", {"Loop": 4}), ("none", {})]
)
def test_a_file_has_recurrences_norms_and_activations_as_single_nodes(exported, scan: str, nodes: dict[str, int]) -> None:
    model, path = exported(scan)
    main = onnx.load(path).graph.node
    branches = [attribute.g.node for node in main if node.op_type == "If" for attribute in node.attribute]
    counts = Counter(node.op_type for nodes_of in (main, *branches) for node in nodes_of)
    assert {kind: counts[kind] for kind in ("GRU", "LSTM", "Loop", "Scan") if counts[kind]} == nodes
    norms = sum(isinstance(layer, nn.LayerNorm) for layer in model.modules())
    assert (counts["LayerNormalization"], counts["Erf"]) == (norms, 0)
    assert counts["Gelu"] > 0


def test_a_file_has_standard_operations_alone_though_it_was_simplified(exported) -> None:
    graph = onnx.load(exported("gru")[1])
    onnx.checker.check_model(graph, full_check=True)
    assert [(one.domain, one.version) for one in graph.opset_import] == [("", 20)]
    assert {node.domain for node in graph.graph.node} == {""}


def test_a_file_says_which_model_with_which_options_and_who_wrote_it(exported) -> None:
    model, path = exported("none")
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    config = json.loads(metadata["config"])
    assert (metadata["model"], metadata["pixelrnn"]) == ("optimized_pixelrnn", __version__)
    assert (
        create_model(metadata["model"], **{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}).config
        == model.config
    )


def test_a_model_is_left_as_it_was(tmp_path: Path) -> None:
    model = create_model("optimized_pixelrnn", scan="gru", **SMALL).train().double()
    export_onnx(model, tmp_path / "model.onnx")
    assert model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}


def test_a_graph_that_only_works_for_one_image_size_is_not_written(tmp_path: Path, monkeypatch) -> None:
    # the loop then unrolls
    monkeypatch.setattr(
        torch.jit, "script", lambda of, script=torch.jit.script: script(of) if isinstance(of, nn.Module) else of
    )
    with pytest.raises(PixelRNNError, match="nothing was written"):
        export_onnx(lively("optimized_pixelrnn", scan="convlstm", **SMALL), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_onnx_the_error_says_what_to_install(tmp_path: Path, monkeypatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(PixelRNNError, match=f"needs {missing}.*pixelrnn\\[train\\]"):
        export_onnx(create_model("baseline"), tmp_path / "model.onnx")
