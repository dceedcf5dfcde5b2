"""Detection and completion as one ONNX graph with bytes as inputs and outputs, for use without Python, as in a browser.

Crop, resize and paste are part of the graph. It does in one pass what `tiling` does for one group of missing regions: the part
of the image that decides their content goes through the network once, at the scale for which the network was trained. It gives
the command's answer, within TOLERANCE, if all missing pixels lie together and their surroundings at that scale are no larger
than WORK_SIDE. Otherwise the command adds finer steps, which the graph does not.

The graph's own detection takes everything that the network detects. The command also drops uncertain regions, refines outlines
to the pixel, and looks again at regions detected in a reduced image. The first two are done by the page in `web/`, for which
the graph returns its logits.
"""

import copy
import json
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..encode import write_atomically
from ..errors import PixelRNNError
from ..image import resize
from ..models import CompletionModel, model_config
from ..models.base import evidence
from .backends import SEAL, Output, open_session, seal
from .export import EXAMPLE, OPSET, OptionalDetector, SwitchedDetection, example_inputs, simplified_without
from .tiling import GRAIN, MARGIN, WIDTH, WORK_SIDE, fill

TOLERANCE = 2  # grey levels
CHECKED = (  # height, width, and the top, left, bottom and right of the missing box
    (96, 128, (30, 40, 70, 90)),
    (150, 97, (0, 0, 70, 33)),
    (256, 300, (20, 30, 240, 260)),
    (64, 64, (10, 10, 11, 60)),
)
AXES = {name: {0: "height", 1: "width"} for name in ("image", "mask", "picture", "missing", "logits")}


def _span(start: int, end: int, side: int, margin: int, grain: int) -> tuple[int, int]:
    """Return start and end of tiling._around along one axis."""
    low = max(0, start - margin)
    length = (min(side, end + margin) - low + grain - 1) // grain * grain
    high = min(side, low + length)
    return max(0, high - length), high


def _width(mask: torch.Tensor, step: int, above: int, below: int, left: int, right: int) -> int:
    """Compute tiling.thickness for a mask (1, 1, h, w) in {0, 1}; the last four: are known pixels beyond each side?"""
    wide = max(mask.size(2), mask.size(3))
    remains = F.pad(mask[:, :, ::step, ::step], [left, right, above, below])
    depth = 0
    if bool(remains.amin() < 0.5):
        while bool(remains.amax() > 0.5):
            remains = 1 - F.max_pool2d(1 - remains, 3, 1, 1)
            depth += 1
        wide = (2 * depth - 1) * step
    return wide


def _scaled(side: int, over: int, under: int) -> int:
    """Return side * over / under, rounded."""
    return (2 * side * over + under) // (2 * under)


def _resized(planes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize planes (1, C, H, W) bilinearly with Pillow's antialiasing, which the exporter does not support."""
    return _weights(planes.size(2), height) @ planes @ _weights(planes.size(3), width).t()


def _weights(side: int, size: int) -> torch.Tensor:
    """Return the weight of each of `side` pixels in each of `size` resized ones, (size, side)."""
    step = torch.ones([1, 1]) * side / size
    centres = (torch.arange(size, dtype=torch.float32) + 0.5).unsqueeze(1) * step
    places = (torch.arange(side, dtype=torch.float32) + 0.5).unsqueeze(0)
    weights = (1 - (places - centres).abs() / step.clamp_min(1)).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)


class Pipeline(nn.Module):
    """A detecting and a filling network as one module on bytes.

    The inputs are image, uint8 (H, W, 3), and mask, uint8 (H, W), not 0 where pixels are missing; a mask that is 0 everywhere
    asks for a detection. The outputs are the completed picture, uint8 (H, W, 3), which equals the image if nothing is missing;
    the missing pixels, uint8 (H, W), 255 where missing; and the logits of the detection, float32 (H, W), 0 with a mask.

    Args:
        look: The detector, as an OptionalDetector.
        filler: The completion network, from image and mask to the filled image (1, 3, H, W).
    """

    # TorchScript takes constants only as attributes
    grain: Final[int]
    work_side: Final[int]
    width: Final[int]
    margin: Final[int]
    share: Final[int]

    def __init__(self, look: nn.Module, filler: nn.Module) -> None:
        super().__init__()
        self.look, self.filler = look, filler
        self.grain, self.work_side, self.width = GRAIN, WORK_SIDE, WIDTH
        self.margin, self.share = MARGIN[0], round(1 / MARGIN[1])

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        whole = image.permute(2, 0, 1).unsqueeze(0).float() / 255  # (1, 3, H, W)
        given = (mask > 0).float().unsqueeze(0).unsqueeze(0)  # (1, 1, H, W)
        has_mask = (given.amax() > 0).view(1)
        planes = torch.round(evidence(whole) * 255) / 255  # in steps of 1/255, like evidence.evidence
        logits = self.look(whole, given, planes, has_mask, torch.ones([1], dtype=torch.bool))
        detected = F.max_pool2d((logits > 0).float(), 5, 1, 2)  # models.base.occlusion
        missing = torch.where(has_mask.view(1, 1, 1, 1), given, detected)
        covered = missing[0, 0] > 0
        height, width = missing.size(2), missing.size(3)
        # if nothing is missing, a corner is filled but not used: quicker than filling everything, and than a branch
        corner = F.pad(torch.ones([1, 1, 1, 1]), [0, width - 1, 0, height - 1])
        missing = torch.maximum(missing, corner * (1 - missing.amax()))
        rows, columns = missing.amax(dim=[0, 1, 3]), missing.amax(dim=[0, 1, 2])
        top, left = int(rows.argmax()), int(columns.argmax())
        bottom, right = height - int(rows.flip(0).argmax()), width - int(columns.flip(0).argmax())
        step = (max(bottom - top, right - left) + 127) // 128
        wide = _width(
            missing[:, :, top:bottom, left:right],
            step,
            int(top > 0),
            int(bottom < height),
            int(left > 0),
            int(right < width),
        )
        # the scale is a fraction of integers, since the exporter loses values that are cast to integers
        over, under = self.width, max(self.width, wide)
        margin = max(self.margin * under // over, wide // self.share)
        top, bottom = _span(top, bottom, height, margin, self.grain)
        left, right = _span(left, right, width, margin, self.grain)
        longest = max(bottom - top, right - left)
        if self.work_side * under < over * longest:
            over, under = self.work_side, longest
        part_mask = missing[:, :, top:bottom, left:right]
        part = whole[:, :, top:bottom, left:right] * (1 - part_mask)
        if over < under:
            high, far = max(1, _scaled(bottom - top, over, under)), max(1, _scaled(right - left, over, under))
            part_mask = (_resized(part_mask, high, far) > 0).float()
            part = torch.round(_resized(part, high, far) * 255) / 255 * (1 - part_mask)
        filled = torch.round(self.filler(part, part_mask).clamp(0, 1) * 255)
        if over < under:
            filled = torch.round(_resized(filled, bottom - top, right - left))
        filled = F.pad(filled, [left, width - right, top, height - bottom])
        picture = torch.where(covered.unsqueeze(2), filled[0].permute(1, 2, 0).to(torch.uint8), image)
        return picture, covered.to(torch.uint8) * 255, logits[0, 0]


class _Filling(nn.Module):
    """A model's `fill` as a module that returns the image only."""

    def __init__(self, model: CompletionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        filled: torch.Tensor = self.model.fill(image, mask).image
        return filled


def export_pipeline(model: nn.Module, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Export a Pipeline to ONNX and check that ONNX Runtime completes as the command does.

    The graph's inputs are image, uint8 (H, W, 3), and mask, uint8 (H, W); its outputs are picture, uint8 (H, W, 3), missing,
    uint8 (H, W), and logits, float32 (H, W); see Pipeline.

    Args:
        model: A completion model that also detects.
        path: The file, which is written whole or not at all.
        metadata: Further entries for the file's metadata.

    Raises:
        PixelRNNError: If the model does not detect and fill, if onnx is missing, or if an answer is off by more than
            TOLERANCE.
    """
    model = copy.deepcopy(model).cpu().float().eval()
    if not isinstance(model, CompletionModel) or not model.detects:
        raise PixelRNNError("--pipeline: a network that finds and fills is needed, such as the bundled ones.")
    try:
        import onnx
    except ImportError as error:
        raise PixelRNNError(f"exporting needs {error.name}. Install it: pip install 'pixelrnn[train]'.") from None
    inputs = example_inputs(*EXAMPLE)
    detector_inputs = tuple(inputs[name] for name in ("image", "evidence", "has_evidence"))
    filler_inputs = tuple(inputs[name] for name in ("image", "mask"))
    image, mask = _case(*CHECKED[0])
    example = torch.from_numpy(image), torch.from_numpy(mask)

    def write(temporary: Path) -> None:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # deprecations of the tracer; the check below would reveal an error
            # branches, loops and positions that depend on the mask must be scripted; the networks can be traced
            look = torch.jit.script(OptionalDetector(torch.jit.trace(SwitchedDetection(model).eval(), detector_inputs)))
            filler = torch.jit.trace(_Filling(model).eval(), filler_inputs)
            torch.onnx.export(
                torch.jit.script(Pipeline(look, filler).eval()),
                example,
                str(temporary),
                dynamo=False,
                opset_version=OPSET,
                do_constant_folding=False,  # folded weights would no longer fit into float16
                input_names=["image", "mask"],
                output_names=["picture", "missing", "logits"],
                dynamic_axes=AXES,
            )
        written = _halved(temporary)
        properties = {"pipeline": str(model.name), "config": json.dumps(model_config(model))}
        properties |= {"pixelrnn": version("pixelrnn"), **(metadata or {}), "checksum": SEAL.decode() + "0" * 64}
        onnx.helper.set_model_props(written, properties)
        temporary.write_bytes(seal(written.SerializeToString(deterministic=True)))
        _check(model, open_session(temporary))

    write_atomically(path, write)


def _halved(path: Path) -> Any:
    """Return the simplified graph of a file, with weights as float16 if that loses nothing, as is so for the bundled ones.

    ONNX Runtime casts them back once, when it opens the file.
    """
    import onnx

    weights = {
        tensor.name: f"{tensor.name}.weight" for tensor in onnx.load(path).graph.initializer if tensor.data_type == tensor.FLOAT
    }
    graph, parameters = simplified_without(path, weights)
    casts = []
    for tensor in parameters:
        values = onnx.numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if np.array_equal(half.astype(np.float32), values):
            casts.append(onnx.helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], to=tensor.FLOAT))
            tensor = onnx.numpy_helper.from_array(half, f"{tensor.name}.half")
        graph.graph.initializer.append(tensor)
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    return graph


def _case(height: int, width: int, box: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Make an image with soft colours and a missing box, uint8 (H, W, 3), and its mask, uint8 (H, W)."""
    coarse = np.random.default_rng(0).integers(60, 200, (6, 6, 3), dtype=np.uint8)
    image, mask = resize(coarse, width, height).copy(), np.zeros((height, width), np.uint8)
    mask[box[0] : box[2], box[1] : box[3]] = 255
    image[mask > 0] = 0
    return image, mask


@torch.no_grad()
def _check(model: CompletionModel, session: Any) -> None:
    """Raise PixelRNNError if the answers of an ONNX session differ from those of `tiling.fill` with the model."""

    def network(image: np.ndarray, mask: np.ndarray, guide: np.ndarray | None = None) -> Output:
        filled = model.fill(torch.from_numpy(image)[None], torch.from_numpy(mask)[None, None].float())
        return Output(filled.image[0].numpy(), None)

    for case in CHECKED:
        image, mask = _case(*case)
        expected = image.copy()
        fill(network, expected, mask > 0)
        picture, missing, _ = session.run(None, {"image": image, "mask": mask})
        worst = int(np.abs(picture.astype(int) - expected).max())
        if worst > TOLERANCE or not np.array_equal(missing, mask):
            raise PixelRNNError(
                f"the pipeline's picture is off by {worst} grey levels for {case[1]} x {case[0]} pixels, more than "
                f"{TOLERANCE}; nothing was written. Report this network's config."
            )
