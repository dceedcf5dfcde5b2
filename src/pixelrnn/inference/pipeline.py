"""The finder and the fill as one ONNX file with bytes in and out, for where there is no Python, such as a browser: crop, resize
and paste are inside.

It does in one pass what `tiling` does for one group of holes: the part of the picture that decides their content, at the scale
that the network was trained for, goes through the network once. So it is the command's own answer, within TOLERANCE, where
everything that is missing lies together and its surroundings at that scale are no larger than WORK_SIDE; elsewhere the command
goes on in finer steps, which this does not. What it finds by itself is all that the network sees. The command leaves what it is
not sure of, traces outlines to the pixel, and looks again at what it found in a reduced picture; the first two are in the
modules of the page in `web/`, which need the odds that are written out for it.
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
CHECKED = (  # height, width, and the hole's top, left, bottom and right
    (96, 128, (30, 40, 70, 90)),
    (150, 97, (0, 0, 70, 33)),
    (256, 300, (20, 30, 240, 260)),
    (64, 64, (10, 10, 11, 60)),
)
AXES = {name: {0: "height", 1: "width"} for name in ("image", "mask", "picture", "missing", "logits")}


def _span(start: int, end: int, side: int, margin: int, grain: int) -> tuple[int, int]:
    """tiling._around along one axis."""
    low = max(0, start - margin)
    length = (min(side, end + margin) - low + grain - 1) // grain * grain
    high = min(side, low + length)
    return max(0, high - length), high


def _width(inside: torch.Tensor, step: int, above: int, below: int, left: int, right: int) -> int:
    """tiling._width: inside (1, 1, h, w) in {0, 1}; whether there is something known on each side of it."""
    wide = max(inside.size(2), inside.size(3))
    remains = F.pad(inside[:, :, ::step, ::step], [left, right, above, below])
    depth = 0
    if bool(remains.amin() < 0.5):
        while bool(remains.amax() > 0.5):
            remains = 1 - F.max_pool2d(1 - remains, 3, 1, 1)
            depth += 1
        wide = (2 * depth - 1) * step
    return wide


def _scaled(side: int, over: int, under: int) -> int:
    return (2 * side * over + under) // (2 * under)


def _resized(planes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Planes (1, C, H, W) at another size, bilinearly and antialiased as Pillow does it, which no exporter knows."""
    return _weights(planes.size(2), height) @ planes @ _weights(planes.size(3), width).t()


def _weights(side: int, size: int) -> torch.Tensor:
    """(size, side): of each of `side` pixels in each of `size`."""
    step = torch.ones([1, 1]) * side / size
    centres = (torch.arange(size, dtype=torch.float32) + 0.5).unsqueeze(1) * step
    places = (torch.arange(side, dtype=torch.float32) + 0.5).unsqueeze(0)
    weights = (1 - (places - centres).abs() / step.clamp_min(1)).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)


class Pipeline(nn.Module):
    """A network that finds and one that fills, on image uint8 (H, W, 3) and mask uint8 (H, W), not 0 where missing, and 0
    everywhere where that is to be found: the picture, uint8 (H, W, 3); what was missing, uint8 (H, W), 255 there; and the
    odds by which it was found, float32 (H, W), logits, 0 with a mask. Where nothing is missing the picture is the image.
    """

    # a script knows no other constants
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
        told = (given.amax() > 0).view(1)
        seen = torch.round(evidence(whole) * 255) / 255  # in bytes, as evidence.evidence has it
        logits = self.look(whole, given, seen, told, torch.ones([1], dtype=torch.bool))
        found = F.max_pool2d((logits > 0).float(), 5, 1, 2)  # models.base.occlusion
        missing = torch.where(told.view(1, 1, 1, 1), given, found)
        covered = missing[0, 0] > 0
        height, width = missing.size(2), missing.size(3)
        # where nothing is missing a corner is filled, and not shown: that is quicker than the whole, and than a branch
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
        # the scale is a fraction of whole numbers, since the exporter loses what becomes whole
        over, under = self.width, max(self.width, wide)
        margin = max(self.margin * under // over, wide // self.share)
        top, bottom = _span(top, bottom, height, margin, self.grain)
        left, right = _span(left, right, width, margin, self.grain)
        longest = max(bottom - top, right - left)
        if self.work_side * under < over * longest:
            over, under = self.work_side, longest
        hole = missing[:, :, top:bottom, left:right]
        part = whole[:, :, top:bottom, left:right] * (1 - hole)
        if over < under:
            high, far = max(1, _scaled(bottom - top, over, under)), max(1, _scaled(right - left, over, under))
            hole = (_resized(hole, high, far) > 0).float()
            part = torch.round(_resized(part, high, far) * 255) / 255 * (1 - hole)
        filled = torch.round(self.filler(part, hole).clamp(0, 1) * 255)
        if over < under:
            filled = torch.round(_resized(filled, bottom - top, right - left))
        filled = F.pad(filled, [left, width - right, top, height - bottom])
        picture = torch.where(covered.unsqueeze(2), filled[0].permute(1, 2, 0).to(torch.uint8), image)
        return picture, covered.to(torch.uint8) * 255, logits[0, 0]


class _Filling(nn.Module):
    """A model's `fill`: its picture alone."""

    def __init__(self, model: CompletionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        filled: torch.Tensor = self.model.fill(image, mask).image
        return filled


def export_pipeline(model: nn.Module, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a Pipeline as an ONNX file, whole or not at all, that ONNX Runtime was seen to run as the command completes.

    Inputs: image uint8 (H, W, 3), mask uint8 (H, W). Outputs: picture uint8 (H, W, 3), missing uint8 (H, W),
    logits float32 (H, W), as Pipeline says.
    Raises PixelRNNError for a model that does not find and fill, without onnx, and where an answer differs by more than
    TOLERANCE.
    """
    model = copy.deepcopy(model).cpu().float().eval()
    if not isinstance(model, CompletionModel) or not model.detects:
        raise PixelRNNError("--pipeline: a network that finds and fills is needed, such as the bundled ones.")
    try:
        import onnx
    except ImportError as error:
        raise PixelRNNError(f"exporting needs {error.name}. Install it: pip install 'pixelrnn[train]'.") from None
    whole = example_inputs(*EXAMPLE)
    seen = tuple(whole[name] for name in ("image", "evidence", "has_evidence"))
    shown = tuple(whole[name] for name in ("image", "mask"))
    image, mask = _case(*CHECKED[0])
    given = torch.from_numpy(image), torch.from_numpy(mask)

    def write(temporary: Path) -> None:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the tracer's own age; what is wrong would be found out below
            # a branch, a loop and a place that depends on the mask must be scripted, and the networks traced
            look = torch.jit.script(OptionalDetector(torch.jit.trace(SwitchedDetection(model).eval(), seen)))
            filler = torch.jit.trace(_Filling(model).eval(), shown)
            torch.onnx.export(
                torch.jit.script(Pipeline(look, filler).eval()),
                given,
                str(temporary),
                dynamo=False,
                opset_version=OPSET,
                do_constant_folding=False,  # of weights: what is computed from them takes more bits
                input_names=["image", "mask"],
                output_names=["picture", "missing", "logits"],
                dynamic_axes=AXES,
            )
        written = _halved(temporary)
        told = {"pipeline": str(model.name), "config": json.dumps(model_config(model))}
        told |= {"pixelrnn": version("pixelrnn"), **(metadata or {}), "checksum": SEAL.decode() + "0" * 64}
        onnx.helper.set_model_props(written, told)
        temporary.write_bytes(seal(written.SerializeToString(deterministic=True)))
        _check(model, open_session(temporary))

    write_atomically(path, write)


def _halved(path: Path) -> Any:
    """The simplified graph of a file, its weights as float16 where that loses nothing, as it does not for the bundled ones.
    ONNX Runtime casts them back once, as it opens the file.
    """
    import onnx

    weights = {one.name: f"{one.name}.weight" for one in onnx.load(path).graph.initializer if one.data_type == one.FLOAT}
    graph, parameters = simplified_without(path, weights)
    casts = []
    for one in parameters:
        values = onnx.numpy_helper.to_array(one)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if np.array_equal(half.astype(np.float32), values):
            casts.append(onnx.helper.make_node("Cast", [f"{one.name}.half"], [one.name], to=one.FLOAT))
            one = onnx.numpy_helper.from_array(half, f"{one.name}.half")
        graph.graph.initializer.append(one)
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    return graph


def _case(height: int, width: int, hole: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A picture with soft colours and a rectangle missing, uint8 (H, W, 3), and its mask, uint8 (H, W)."""
    coarse = np.random.default_rng(0).integers(60, 200, (6, 6, 3), dtype=np.uint8)
    image, mask = resize(coarse, width, height).copy(), np.zeros((height, width), np.uint8)
    mask[hole[0] : hole[2], hole[1] : hole[3]] = 255
    image[mask > 0] = 0
    return image, mask


@torch.no_grad()
def _check(model: CompletionModel, session: Any) -> None:
    """Raise PixelRNNError where the session's answers are not those of `tiling.fill` with the model."""

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
