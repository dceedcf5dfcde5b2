"""Finder and fill as one graph with bytes in and out: the command's answer, at any size, in standard operations."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from conftest import draw_room
from contract import SMALL
from pixelrnn import Completer
from pixelrnn.cli import main
from pixelrnn.errors import PixelRNNError
from pixelrnn.image import to_float
from pixelrnn.inference import pipeline
from pixelrnn.inference.backends import Output, is_whole
from pixelrnn.inference.tiling import fill
from pixelrnn.models import CompletionModel, create_model
from pixelrnn.models.base import occlusion

# height, width, and the hole's top, left, bottom and right
HOLES = [
    (96, 120, (30, 40, 70, 90)),
    (64, 200, (0, 10, 9, 190)),
    (200, 64, (20, 0, 190, 64)),
    (300, 300, (20, 20, 280, 290)),
    (7, 5, (2, 1, 4, 3)),
    (1, 9, (0, 2, 1, 4)),
]


def holed(height: int, width: int, hole: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A picture with a black hole, and its mask, 255 there."""
    image, mask = draw_room(np.random.default_rng(0), height, width), np.zeros((height, width), np.uint8)
    mask[hole[0] : hole[2], hole[1] : hole[3]] = 255
    image[mask > 0] = 0
    return image, mask


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[CompletionModel, Path]:
    """A model and its pipeline."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create_model("optimized_pixelrnn", **SMALL).eval()
    torch.nn.init.constant_(model.detector.merge.bias, -2)  # so that it sees something, and not everything
    path = tmp_path_factory.mktemp("pipeline") / "small.onnx"
    pipeline.export_pipeline(model, path)
    return model, path


def run(path: Path, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    session: Any = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    picture, missing = session.run(["picture", "missing"], {"image": image, "mask": mask})
    return picture, missing


@pytest.mark.parametrize("case", HOLES)
@torch.no_grad()
def test_a_mask_is_filled_as_tiling_fills_it(case: Any, small: tuple[CompletionModel, Path]) -> None:
    model, path = small
    image, mask = holed(*case)

    def network(image: np.ndarray, hole: np.ndarray, guide: np.ndarray | None = None) -> Output:
        shown = torch.from_numpy(image)[None], torch.from_numpy(hole)[None, None].float()
        return Output(model.fill(*shown).image[0].numpy(), None)

    expected = image.copy()
    fill(network, expected, mask > 0)
    picture, missing = run(path, image, np.minimum(mask, 1))  # whatever is not 0 counts
    assert np.array_equal(missing, mask)
    assert np.array_equal(picture[mask == 0], image[mask == 0])
    assert np.abs(picture.astype(int) - expected).max() <= 2


@torch.no_grad()
def test_without_a_mask_what_the_network_sees_is_filled(small: tuple[CompletionModel, Path]) -> None:
    model, path = small
    image, mask = holed(*HOLES[0])
    seen = occlusion(model.detect(torch.from_numpy(to_float(image))[None]))[0, 0].numpy() > 0
    assert 0 < seen.mean() < 1
    picture, missing = run(path, image, np.zeros_like(mask))
    assert np.array_equal(missing > 0, seen)
    assert np.array_equal(picture[~seen], image[~seen])
    assert np.array_equal(run(path, image, missing)[0], picture)


def test_the_file_is_sealed_and_of_standard_operations(small: tuple[CompletionModel, Path]) -> None:
    _, path = small
    assert is_whole(path.read_bytes())
    graph = onnx.load(path)
    assert [one.domain for one in graph.opset_import] == [""]
    assert {one.key for one in graph.metadata_props} == {"pipeline", "config", "pixelrnn", "checksum"}


def test_one_that_is_off_is_not_kept(
    small: tuple[CompletionModel, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "TOLERANCE", -1)
    with pytest.raises(PixelRNNError, match="off by 0 grey levels for 128 x 96 pixels"):
        pipeline.export_pipeline(small[0], tmp_path / "off.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_finds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PixelRNNError, match="a network that finds and fills is needed"):
        pipeline.export_pipeline(create_model("baseline"), tmp_path / "none.onnx")


@pytest.mark.slow
def test_the_command_writes_what_completes_as_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, completer = tmp_path / "sharp.onnx", Completer.from_pretrained()
    with pytest.raises(SystemExit) as ended:
        main(["export", "bedrooms-sharp", "--pipeline", str(path)])
    assert not ended.value.code
    assert capsys.readouterr().out.strip() == str(path)
    for case in ((256, 256, (90, 90, 167, 167)), (300, 256, (10, 20, 290, 220)), (700, 900, (300, 300, 420, 410))):
        image, mask = holed(*case)
        picture, _ = run(path, image, mask)
        assert np.abs(picture.astype(int) - completer(image, mask, detail=False).image).max() <= 2
