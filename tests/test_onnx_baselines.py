"""Inpainters of other programs, as small ONNX graphs of known arithmetic under each signature, are read as they are meant."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from conftest import draw_room
from pixelrnn.cli import main
from pixelrnn.encode import write_image
from pixelrnn.errors import PixelRNNError
from pixelrnn.evaluation.onnx_baselines import RANGES, is_onnx, onnx_baseline
from pixelrnn.image import resize

FLOAT, HALF, BYTE, BOOL = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8, TensorProto.BOOL


@dataclass(frozen=True)
class Signature:
    """How a graph takes and gives its numbers; in axes B stands for one, C for the channels."""

    picture: int = FLOAT
    mask: int = FLOAT
    axes: str = "BCHW"
    mask_axes: str = "BCHW"
    size: tuple[int, int] | None = None  # height, width
    range: str = "0..1"
    output: str = "0..1"
    missing: float = 1
    known: float = 0
    joined: bool = False
    mask_first: bool = False
    names: tuple[str, str] = ("image", "mask")
    swapped: bool = False  # the mask is the first input


def mean_fill(path: Path, how: Signature) -> Path:
    """A graph that fills what is missing with the mean colour of what is known, and keeps the rest."""
    nodes, constants = [], []

    def constant(value: object, dtype: type = np.float32) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value, dtype), f"c{len(constants)}"))
        return constants[-1].name

    def node(kind: str, *inputs: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [f"n{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def shape(axes: str, channels: int) -> list[object]:
        height, width = how.size or ("height", "width")
        return [{"B": 1, "C": channels, "H": height, "W": width}[axis] for axis in axes]

    def planes(name: str, axes: str) -> str:
        """As float, BCHW."""
        cast = node("Cast", name, to=FLOAT)
        if "B" not in axes:
            cast, axes = node("Unsqueeze", cast, constant([0], np.int64)), "B" + axes
        if "C" not in axes:
            cast, axes = node("Unsqueeze", cast, constant([1], np.int64)), "BCHW"
        return node("Transpose", cast, perm=[axes.index(axis) for axis in "BCHW"])

    if how.joined:
        inputs = [helper.make_tensor_value_info("input", how.picture, shape(how.axes, 4))]
        sizes = constant([1, 3] if how.mask_first else [3, 1], np.int64)
        nodes.append(helper.make_node("Split", [planes("input", how.axes), sizes], ["first", "second"], axis=1))
        picture, mask = ("second", "first") if how.mask_first else ("first", "second")
    else:
        picture, mask = how.names
        infos = (picture, how.picture, shape(how.axes, 3)), (mask, how.mask, shape(how.mask_axes, 1))
        inputs = [helper.make_tensor_value_info(*info) for info in infos][:: -1 if how.swapped else 1]
        picture, mask = planes(picture, how.axes), planes(mask, how.mask_axes)
    low, high = RANGES[how.range]
    picture = node("Div", node("Sub", picture, constant(low)), constant(high - low))
    known = node("Div", node("Sub", mask, constant(how.missing)), constant(how.known - how.missing))
    sides = constant([2, 3], np.int64)
    sums = (node("ReduceSum", one, sides) for one in (node("Mul", picture, known), known))
    mean = node("Div", *sums)
    filled = node("Add", node("Mul", picture, known), node("Mul", mean, node("Sub", constant(1), known)))
    low, high = RANGES[how.output]
    scaled = node("Add", node("Mul", filled, constant(high - low)), constant(low))
    axes = how.axes if "B" in how.axes else "B" + how.axes
    output = node("Transpose", scaled, perm=["BCHW".index(axis) for axis in axes])
    kind = how.picture if how.output == "0..255" or how.picture == HALF else FLOAT
    if kind == BYTE:
        output = node("Round", output)
    nodes.append(helper.make_node("Cast", [output], ["output"], to=kind))
    outputs = [helper.make_tensor_value_info("output", kind, [None] * 4)]
    graph = helper.make_graph(nodes, "mean", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def holed(height: int = 64, width: int = 80) -> tuple[np.ndarray, np.ndarray]:
    image, mask = draw_room(np.random.default_rng(3), height, width), np.zeros((height, width), bool)
    mask[8:30, 20:61] = True
    image[mask] = 7
    return image, mask


def mean_filled(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.where(mask[..., None], np.rint(image[~mask].mean(0)), image).astype(np.uint8)


LAMA = Signature(size=(64, 80), output="0..255")
MIGAN = Signature(BYTE, BYTE, range="0..255", output="0..255", missing=0, known=255)
BARE_MIGAN = Signature(size=(64, 80), range="-1..1", output="-1..1", missing=-0.5, known=0.5, joined=True, mask_first=True)
# signature, and what has to be told of it
SIGNATURES: dict[str, tuple[Signature, str]] = {
    "LaMa": (LAMA, ""),
    "LaMa of any size": (replace(LAMA, size=None), ""),
    "LaMa in one input": (replace(LAMA, joined=True, output="0..1"), ""),
    "MI-GAN": (MIGAN, ""),
    "MI-GAN's bare network": (BARE_MIGAN, ":missing=-0.5:known=0.5:picture=-1..1:first=mask"),
    "floats, 0 is missing": (Signature(missing=0, known=1), ""),
    "floats to 255, the mask as well": (Signature(range="0..255", output="0..255", missing=255), ":picture=0..255"),
    "floats, 0 is told to be missing": (Signature(missing=0, known=1), ":missing=0"),
    "floats, the mask told": (Signature(missing=0, known=255), ":missing=0:known=255"),
    "bytes, 255 is missing": (replace(MIGAN, missing=255, known=0), ""),
    "bytes, 1 is missing": (replace(MIGAN, missing=1, known=0), ""),
    "bytes, 1 is known": (replace(MIGAN, missing=0, known=1), ""),
    "a mask of truth values": (Signature(mask=BOOL), ""),
    "a mask of truth values, True is known": (Signature(mask=BOOL, missing=0, known=1), ""),
    "half floats": (Signature(HALF, HALF), ""),
    "from -1 to 1": (Signature(range="-1..1", output="-1..1"), ":picture=-1..1"),
    "channels last": (Signature(axes="BHWC", mask_axes="BHWC"), ""),
    "channels last, bytes": (replace(MIGAN, axes="BHWC", mask_axes="BHWC"), ""),
    "channels last in one input": (Signature(axes="BHWC", joined=True), ""),
    "no batch": (Signature(axes="HWC", mask_axes="HW"), ""),
    "a mask without channels": (Signature(mask_axes="BHW"), ""),
    "the mask before the picture": (Signature(swapped=True), ""),
    "names that say nothing": (Signature(names=("a", "b"), swapped=True), ""),
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_a_graph_is_read_as_it_is_meant(case: str, tmp_path: Path) -> None:
    how, options = SIGNATURES[case]
    baseline = onnx_baseline(f"{mean_fill(tmp_path / 'mean.onnx', how)}{options}")
    image, mask = holed()
    out = baseline(image, mask)
    assert np.array_equal(out[~mask], image[~mask])
    expected = mean_filled(image, mask)
    assert np.abs(out.astype(int) - expected).max() <= 1, baseline.reading
    assert f"mask {how.missing:g} where missing, {how.known:g} where known" in baseline.reading
    assert f"output {how.output}" in baseline.reading


def test_how_it_is_read_is_told_and_whether_that_was_tried(tmp_path: Path) -> None:
    baseline = onnx_baseline(str(mean_fill(tmp_path / "mean.onnx", MIGAN)))
    assert baseline.reading == (
        "mean.onnx: takes image (uint8, BCHW, any size) and mask (uint8, BCHW, any size); picture 0..255; mask 0 where "
        "missing, 255 where known (tried out); output 0..255 (tried out)"
    )
    baseline = onnx_baseline(f"{mean_fill(tmp_path / 'mean.onnx', replace(LAMA, joined=True))}:output=0..255")
    assert baseline.reading == (
        "mean.onnx: takes input (float32, BCHW, 80 x 64), the mask last; picture 0..1; mask 1 where missing, 0 where known "
        "(assumed); output 0..255 (as told)"
    )


def test_a_graph_of_a_fixed_size_sees_the_picture_resized(tmp_path: Path) -> None:
    baseline = onnx_baseline(str(mean_fill(tmp_path / "mean.onnx", replace(LAMA, size=(32, 48)))))
    for height, width in ((64, 80), (33, 131)):
        image, mask = holed(height, width)
        out = baseline(image, mask)
        assert np.array_equal(out[~mask], image[~mask])
        small, hole = resize(image, 48, 32), resize(mask, 48, 32)
        expected = resize(mean_filled(small, hole), width, height)
        assert np.abs(out[mask].astype(int) - expected[mask]).max() <= 2


def test_a_graph_of_any_size_sees_whole_steps_of_eight_pixels(tmp_path: Path) -> None:
    baseline = onnx_baseline(str(mean_fill(tmp_path / "mean.onnx", replace(LAMA, size=None))))
    image, mask = holed(61, 75)
    padded = np.pad(image, ((0, 3), (0, 5), (0, 0)), "edge")
    expected = mean_filled(padded, np.pad(mask, ((0, 3), (0, 5))))[:61, :75]
    assert np.abs(baseline(image, mask).astype(int) - expected).max() <= 1


def test_nothing_missing_is_nothing_changed_and_no_mask_is_an_error(tmp_path: Path) -> None:
    baseline = onnx_baseline(str(mean_fill(tmp_path / "mean.onnx", LAMA)))
    image, mask = holed()
    assert np.array_equal(baseline(image, np.zeros_like(mask)), image)
    with pytest.raises(PixelRNNError, match=r"mean\.onnx cannot find the occlusion itself"):
        baseline(image, None)


def other_graph(path: Path, *inputs: tuple[str, int, list[object]], channels: int = 3) -> Path:
    """A graph that gives back the first so many channels of its first input."""
    bounds = {"start": 0, "end": channels, "axis": 1}
    starts, ends, axes = (numpy_helper.from_array(np.array([value]), name) for name, value in bounds.items())
    infos = [helper.make_tensor_value_info(*one) for one in inputs]
    output = helper.make_tensor_value_info("output", inputs[0][1], None)
    nodes = [helper.make_node("Slice", [inputs[0][0], "start", "end", "axis"], ["output"])]
    graph = helper.make_graph(nodes, "copy", infos, [output], [starts, ends, axes])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_a_graph_that_looks_at_no_mask_is_assumed_to_take_the_usual_one(tmp_path: Path) -> None:
    path = other_graph(tmp_path / "copy.onnx", ("x", FLOAT, [1, 3, "h", "w"]), ("y", FLOAT, [1, 1, "h", "w"]))
    baseline = onnx_baseline(str(path))
    assert "mask 1 where missing, 0 where known (assumed)" in baseline.reading
    image, mask = holed()
    assert np.array_equal(baseline(image, mask), image)


WRONG: dict[str, tuple[list[tuple[str, int, list[object]]], str, str]] = {
    "three inputs": ([(name, FLOAT, [1, 3, 8, 8]) for name in "abc"], "", r"Expected a picture \(3 channels\) and a mask"),
    "five channels": ([("x", FLOAT, [1, 5, 8, 8])], "", r"x tensor\(float\) \[1, 5, 8, 8\]"),
    "two pictures": ([(name, FLOAT, [1, 3, 8, 8]) for name in "ab"], "", "Expected a picture"),
    "words": ([("x", TensorProto.STRING, [1, 4, 8, 8])], "", "Expected a picture"),
    "several at once": ([("x", FLOAT, [4, 4, 8, 8])], "", "Expected a picture"),
    "an option that is none": ([("x", FLOAT, [1, 4, 8, 8])], ":mising=1", r"no such option 'mising', did you mean 'missing'\?"),
    "a range that is none": ([("x", FLOAT, [1, 4, 8, 8])], ":output=1", r"output=1: expected 0\.\.1, 0\.\.255, -1\.\.1"),
    "no number": ([("x", FLOAT, [1, 4, 8, 8])], ":missing=white", "missing=white: expected a number"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_graph_or_an_option_that_is_not_understood_is_one_line(case: str, tmp_path: Path) -> None:
    inputs, options, reason = WRONG[case]
    path = other_graph(tmp_path / "other.onnx", *inputs)
    with pytest.raises(PixelRNNError, match=reason) as refused:
        onnx_baseline(f"{path}{options}")
    assert "\n" not in str(refused.value)


def test_no_file_rubbish_and_an_answer_that_is_no_picture_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "rubbish.onnx").write_bytes(b"rubbish")
    grey = other_graph(tmp_path / "grey.onnx", ("x", FLOAT, [1, 4, 8, 8]), channels=2)
    for path, reason in (
        (tmp_path / "none.onnx", "no such file"),
        (tmp_path / "rubbish.onnx", "ONNX Runtime cannot run it"),
        (grey, r"its first output is float32 \(1, 2, 8, 8\), not one finite RGB picture"),
    ):
        with pytest.raises(PixelRNNError, match=reason) as refused:
            onnx_baseline(str(path))
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "is_one"), [("a.onnx", True), ("C:\\a.ONNX:missing=1", True), ("telea", False), ("a.onnx.txt", False)]
)
def test_a_file_is_told_from_a_name(name: str, is_one: bool) -> None:
    assert is_onnx(name) == is_one


def test_evaluate_puts_a_file_beside_the_other_methods(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, mask = holed()
    truth = draw_room(np.random.default_rng(3), 64, 80)
    for name, one in (("input", image), ("mask", mask), ("target", truth)):
        write_image(tmp_path / "set" / name / "1.png", one)
    path = mean_fill(tmp_path / "mean.onnx", MIGAN)
    words = ["evaluate", str(tmp_path / "set"), "--weights", "bedrooms-expected", "--json", str(tmp_path / "a.json")]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--against", f"mean, {path}:missing=0"])
    assert not ended.value.code
    assert "mean.onnx: takes image (uint8, BCHW, any size)" in capsys.readouterr().out.replace("\n", " ")
    scores = json.loads((tmp_path / "a.json").read_text())["sets"]["set"]
    assert scores["mean.onnx"]["hole_psnr"] == pytest.approx(scores["mean"]["hole_psnr"], abs=0.05)
