"""ONNX files of the networks: one graph for any batch, height and width, checked against torch before it is kept.

Written by torch's tracing exporter: torch.export refuses recurrences of dynamic length.
"""

import copy
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from ..checkpoint import load
from ..encode import write_atomically
from ..errors import PixelRNNError
from ..models import CompletionModel, model_config
from ..models.base import EVIDENCE, occlusion
from ..models.base import evidence as own_evidence
from ..weights import DETECT, EXPECTED, FILL
from .backends import SEAL, open_session, seal

OPSET = 20  # the first with Gelu as one operation; LayerNormalization is one since 17
TOLERANCE = 1e-4  # largest absolute difference from torch
EXAMPLE, CHECKED = (2, 64, 80), ((2, 37, 53), (1, 96, 32), (2, 17, 130))  # batch, height, width
OUTPUTS = ("picture", "mask_logits", "log_std")  # of a Prediction; no output may have the name of an input
AXES = {
    **{name: {0: "batch", 2: "height", 3: "width"} for name in ("image", "mask", "evidence", *OUTPUTS)},
    "guide": {0: "batch", 2: "guide_height", 3: "guide_width"},
    **{name: {0: "batch"} for name in ("has_mask", "has_guide", "has_evidence")},
}


class Detection(nn.Module):
    """A model's `detect`."""

    def __init__(self, model: CompletionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor, evidence: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model.detect(image, evidence)
        return logits


class Filling(nn.Module):
    """A model's `fill`, its guide flagged."""

    def __init__(self, model: CompletionModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, image: torch.Tensor, mask: torch.Tensor, guide: torch.Tensor, has_guide: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        prediction = self.model.fill(image, mask, guide, has_guide)
        return prediction.image, prediction.log_std


class SwitchedDetection(nn.Module):
    """A model's `detect`, its evidence flagged."""

    def __init__(self, model: CompletionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor, evidence: torch.Tensor, has_evidence: torch.Tensor) -> torch.Tensor:
        seen = torch.where(has_evidence.view(-1, 1, 1, 1), evidence, own_evidence(image))
        logits: torch.Tensor = self.model.detect(image, seen)
        return logits


class OptionalDetector(nn.Module):
    """A detection where any picture of the batch comes without a mask, else zeros."""

    def __init__(self, detect: nn.Module) -> None:
        super().__init__()
        self.detect = detect

    def forward(
        self,
        image: torch.Tensor,
        mask: torch.Tensor,
        evidence: torch.Tensor,
        has_mask: torch.Tensor,
        has_evidence: torch.Tensor,
    ) -> torch.Tensor:
        return torch.zeros_like(mask) if bool(has_mask.all()) else self.detect(image, evidence, has_evidence)


class ExportWrapper(nn.Module):
    """A model that detects and fills, whose mask and guide may be absent, which a graph can only know from its inputs."""

    def __init__(self, model: CompletionModel) -> None:
        super().__init__()
        self.model = model
        # a branch must be scripted to stay one, and what it may skip is traced
        example = example_inputs(*EXAMPLE)
        inputs = tuple(example[name] for name in ("image", "evidence", "has_evidence"))
        self.look = torch.jit.script(OptionalDetector(torch.jit.trace(SwitchedDetection(model), inputs)))

    def forward(
        self,
        image: torch.Tensor,
        mask: torch.Tensor,
        guide: torch.Tensor,
        evidence: torch.Tensor,
        has_mask: torch.Tensor,
        has_guide: torch.Tensor,
        has_evidence: torch.Tensor,
    ) -> tuple[torch.Tensor | None, ...]:
        mask_logits = self.look(image, mask, evidence, has_mask, has_evidence)
        mask = torch.where(has_mask.view(-1, 1, 1, 1), mask, occlusion(mask_logits))
        filled = self.model.fill(image, mask, guide, has_guide)
        return filled.image, mask_logits, filled.log_std


def export_bundled() -> list[Path]:
    """Write the two graphs of the bundled networks, without weights, which are read from the checkpoints."""
    model = cast(CompletionModel, load(EXPECTED).model)
    _write(FILL, model, Filling, ("image", "mask", "guide", "has_guide"), ("picture", "log_std"), {}, weightless=True)
    _write(DETECT, model, Detection, ("image", "evidence"), ("mask_logits",), {}, weightless=True)
    return [FILL, DETECT]


def export_onnx(model: nn.Module, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a model from create_model as an ONNX file, whole or not at all, that ONNX Runtime was seen to run as torch does.

    Inputs, all float32 but the flags, of any B, H, W, h, w of 1 or more:

        image (B, 3, H, W) in [0, 1];  mask (B, 1, H, W) in {0, 1}, 1 where missing;  guide (B, 3, h, w) in [0, 1]
        evidence (B, 4, H, W) in [0, 1]: evidence.evidence of a picture that was reduced to `image`
        has_mask, has_guide, has_evidence: bool (B,) or (1,), whether these mean something; where not, any values serve, and
        evidence is taken of `image`

    Outputs: picture (B, 3, H, W) in [0, 1], mask_logits and log_std (B, 1, H, W), as in Prediction; mask_logits are 0 where all
    pictures come with a mask, since nothing is detected then. A model that
    detects nothing, such as baseline, reads the image alone and says the picture alone, so its file has these two only.
    The file's metadata: model, config (JSON), pixelrnn (our version), `about`, and a checksum, so that damage shows.

    Raises PixelRNNError if an output differs from torch's by more than 1e-4 at any of three other sizes, or without onnx and
    onnxruntime.
    """
    model = copy.deepcopy(model).cpu().float().eval()
    if not isinstance(model, CompletionModel):
        raise PixelRNNError("only completion models are exported: an autoregressive one answers pixel by pixel.")
    if model.detects:
        _write(Path(path), model, ExportWrapper, tuple(example_inputs(*EXAMPLE)), OUTPUTS, metadata or {})
    else:
        _write(Path(path), model, _Picture, ("image",), OUTPUTS[:1], metadata or {})


def _write(
    path: Path,
    model: CompletionModel,
    wrap: Callable[[CompletionModel], nn.Module],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    metadata: Mapping[str, str],
    weightless: bool = False,
) -> None:
    """weightless: leave the model's parameters out, as external initializers by their names."""
    try:
        import onnx
        import onnxruntime  # noqa: F401  opened by open_session
    except ImportError as error:
        raise PixelRNNError(f"exporting needs {error.name}. Install it: pip install 'pixelrnn[train]'.") from None
    example = tuple(example_inputs(*EXAMPLE)[name] for name in inputs)

    def write(temporary: Path) -> None:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the tracer's own age, and of constants that the check below would find out
            # in eval mode itself, or the exporter would leave the model within in training mode, which answers differently
            wrapped = wrap(model).eval()
            torch.onnx.export(
                torch.jit.trace(wrapped, example, check_trace=False),
                example,
                str(temporary),
                dynamo=False,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes={name: AXES[name] for name in (*inputs, *outputs)},
                do_constant_folding=not weightless,
            )
        written = _without_weights(temporary, model) if weightless else simplified(temporary)
        told = {"model": str(model.name), "config": json.dumps(model_config(model))}
        told |= {"pixelrnn": version("pixelrnn"), **metadata, "checksum": SEAL.decode() + "0" * 64}
        onnx.helper.set_model_props(written, told)
        temporary.write_bytes(seal(written.SerializeToString(deterministic=True)))
        weights = {initializer.name for initializer in written.graph.initializer if initializer.external_data}
        session = open_session(temporary, {key: value.numpy() for key, value in model.state_dict().items() if key in weights})
        _check(model, session, inputs, outputs)

    write_atomically(path, write)


def simplified(path: Path) -> Any:
    """The graph of a file after what ONNX Runtime does first to any graph, in standard operations still, so that opening it
    takes half the time.
    """
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        simpler = Path(folder) / "model.onnx"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(simpler)
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(simpler)
    standard = [domain for domain in graph.opset_import if not domain.domain]
    del graph.opset_import[:]  # it lists all that it knows of
    graph.opset_import.extend(standard)
    return graph


def simplified_without(path: Path, names: Mapping[str, str]) -> tuple[Any, list[Any]]:
    """The simplified graph of a file, and the initializers of these `names` under their new ones, left to whoever opens it.
    They are inputs while it is simplified, so that nothing which depends on them is computed.
    """
    import onnx

    graph = onnx.load(path)
    parameters = [one for one in graph.graph.initializer if one.name in names]
    for one in parameters:
        graph.graph.initializer.remove(one)
        one.name = names[one.name]
        graph.graph.input.append(onnx.helper.make_tensor_value_info(one.name, one.data_type, one.dims))
    _rename(graph.graph, names)
    onnx.save(graph, path)
    graph = simplified(path)
    kept = [one for one in graph.graph.input if one.name not in names.values()]
    del graph.graph.input[:]
    graph.graph.input.extend(kept)
    return graph, parameters


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """What nodes read, those within branches included."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        for attribute in node.attribute:
            _rename(attribute.g, names)


def _without_weights(path: Path, model: CompletionModel) -> Any:
    """The simplified graph of a file with the model's parameters, under their names in its state dict, left to whoever opens
    it.
    """
    import onnx

    graph, parameters = simplified_without(path, {f"model.{key}": key for key in model.state_dict()})
    for one in parameters:
        one.ClearField("raw_data")
        one.data_location = one.EXTERNAL
        one.external_data.add(key="location", value="weights")
    _multiply_transposed(graph.graph)
    graph.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    graph.graph.initializer.extend(parameters)
    return graph


def _multiply_transposed(graph: Any) -> None:
    """Let ONNX Runtime's own multiplication read linear weights as torch stores them: transposing ten million numbers each time
    the graph is opened takes a quarter of that.
    """
    from onnx.helper import make_attribute

    made_by = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        before = made_by.get(node.input[1]) if node.op_type == "MatMul" else None
        if before is not None and before.op_type == "Transpose" and list(before.attribute[0].ints) == [1, 0]:
            node.input[1], node.op_type, node.domain = before.input[0], "FusedMatMul", "com.microsoft"
            node.attribute.append(make_attribute("transB", 1))
    used = {name for node in graph.node for name in node.input}
    kept = [node for node in graph.node if node.op_type != "Transpose" or node.output[0] in used]
    del graph.node[:]
    graph.node.extend(kept)


class _Picture(nn.Module):
    """A model's picture alone."""

    def __init__(self, model: CompletionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        picture: torch.Tensor = self.model(image).image
        return picture


def example_inputs(batch: int, height: int, width: int) -> dict[str, torch.Tensor]:
    """Random inputs of every name, in their order; of a batch of two each flag is once true and once false."""
    generator = torch.Generator().manual_seed(0)
    image, mask, guide = (
        torch.rand(batch, *shape, generator=generator) for shape in ((3, height, width), (1, height, width), (3, 9, 13))
    )
    mask = (mask < 0.2).float()
    mask[..., height // 4 : height // 2, width // 4 : width // 2] = 1
    flags = torch.arange(batch) % 2 == 0
    seen = torch.rand(batch, EVIDENCE, height, width, generator=generator)
    given = {"image": image, "mask": mask, "guide": guide, "evidence": seen}
    return given | {"has_mask": flags, "has_guide": ~flags, "has_evidence": ~flags}


def _check(model: CompletionModel, session: Any, names: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    """Raise PixelRNNError where the session's answers are not the model's."""
    for size in CHECKED:
        for inputs in _uses(example_inputs(*size)) if "has_guide" in names else (example_inputs(*size),):
            try:
                found = session.run(None, {name: inputs[name].numpy() for name in names})
            except Exception as error:  # ONNX Runtime's own have no common base but this
                raise PixelRNNError(f"the ONNX graph fails for (B, H, W) = {size}; nothing was written ({error}).") from None
            for name, here, there in zip(outputs, _expected(model, inputs, found, outputs), found, strict=True):
                worst = float(np.abs(here.numpy() - there).max()) if here.shape == there.shape else float("inf")
                if not worst <= TOLERANCE:
                    raise PixelRNNError(
                        f"the ONNX graph's {name} is off by {worst:.1e} from torch's for (B, H, W) = {size}, more than "
                        f"{TOLERANCE:.0e}; nothing was written. Try another scan, or report this network's config."
                    )


def _uses(inputs: dict[str, torch.Tensor]) -> Iterator[dict[str, torch.Tensor]]:
    """The inputs with mask and guide as flagged, the other way round, and with both for all and for none."""
    one, other = inputs["has_mask"], inputs["has_guide"]
    for flags in ((one, other), (other, one), (one | other, one | other), (one & other, one & other)):
        yield {**inputs, "has_mask": flags[0], "has_guide": flags[1], "has_evidence": flags[1]}


@torch.no_grad()
def _expected(
    model: CompletionModel, inputs: dict[str, torch.Tensor], found: list[np.ndarray], outputs: tuple[str, ...]
) -> tuple[Any, ...]:
    """What torch says, one picture at a time, through the model's own optional arguments."""
    if outputs == ("picture",):
        return (model(inputs["image"]).image,)
    if outputs == ("picture", "log_std"):
        filled = model.fill(inputs["image"], inputs["mask"], inputs["guide"], inputs["has_guide"])
        return filled.image, filled.log_std
    if outputs == ("mask_logits",):
        return (model.detect(inputs["image"], inputs["evidence"]),)
    answers = []
    for i in range(len(inputs["image"])):
        image, mask, guide, seen = (inputs[name][i : i + 1] for name in ("image", "mask", "guide", "evidence"))
        # the graph's own logits decide what it takes as missing: one within rounding of 0 may fall on either side
        looked = model.detect(image, seen if inputs["has_evidence"][i] else None)
        logits = torch.zeros_like(mask) if inputs["has_mask"].all() else looked
        mask = mask if inputs["has_mask"][i] else occlusion(torch.from_numpy(found[1][i : i + 1]))
        filled = model.fill(image, mask, guide if inputs["has_guide"][i] else None)
        answers.append((filled.image, logits, filled.log_std))
    return tuple(torch.cat(parts) for parts in zip(*answers, strict=True))
