"""Export of networks to ONNX: one graph for any batch, height and width, checked against torch before it is kept.

Uses torch's tracing exporter, since torch.export refuses recurrences of dynamic length.
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

OPSET = 20  # the first that has Gelu as one operator; LayerNormalization is one since 17
TOLERANCE = 1e-4  # largest absolute difference from torch
EXAMPLE, CHECKED = (2, 64, 80), ((2, 37, 53), (1, 96, 32), (2, 17, 130))  # batch, height, width
OUTPUTS = ("picture", "mask_logits", "log_std")  # the fields of a Prediction; no output may have the name of an input
AXES = {
    **{name: {0: "batch", 2: "height", 3: "width"} for name in ("image", "mask", "evidence", *OUTPUTS)},
    "guide": {0: "batch", 2: "guide_height", 3: "guide_width"},
    **{name: {0: "batch"} for name in ("has_mask", "has_guide", "has_evidence")},
}


class Detection(nn.Module):
    """A model's `detect` as a module."""

    def __init__(self, model: CompletionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor, evidence: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model.detect(image, evidence)
        return logits


class Filling(nn.Module):
    """A model's `fill` as a module; a flag says whether the guide is used."""

    def __init__(self, model: CompletionModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, image: torch.Tensor, mask: torch.Tensor, guide: torch.Tensor, has_guide: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        prediction = self.model.fill(image, mask, guide, has_guide)
        return prediction.image, prediction.log_std


class SwitchedDetection(nn.Module):
    """A model's `detect` as a module; a flag says whether the evidence is used, or taken from the image."""

    def __init__(self, model: CompletionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor, evidence: torch.Tensor, has_evidence: torch.Tensor) -> torch.Tensor:
        used = torch.where(has_evidence.view(-1, 1, 1, 1), evidence, own_evidence(image))
        logits: torch.Tensor = self.model.detect(image, used)
        return logits


class OptionalDetector(nn.Module):
    """Detects if any image of the batch has no mask; else returns zeros, logits (B, 1, H, W)."""

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
    """A model that detects and fills, with flags for the optional mask, guide and evidence.

    A graph has no optional inputs, so its flags say which of them are used.
    """

    def __init__(self, model: CompletionModel) -> None:
        super().__init__()
        self.model = model
        # a branch must be scripted, since tracing would record only one side; what it skips can be traced
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
    """Write the two graphs of the bundled networks, without weights, which are read from the checkpoints.

    Returns:
        The files, which lie beside the checkpoints.
    """
    model = cast(CompletionModel, load(EXPECTED).model)
    _write(FILL, model, Filling, ("image", "mask", "guide", "has_guide"), ("picture", "log_std"), {}, weightless=True)
    _write(DETECT, model, Detection, ("image", "evidence"), ("mask_logits",), {}, weightless=True)
    return [FILL, DETECT]


def export_onnx(model: nn.Module, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Export a completion model to ONNX and check that ONNX Runtime computes what torch does.

    The graph's inputs, float32 except for the flags, take any B, H, W, h and w of 1 or more:

    - image (B, 3, H, W) in [0, 1]
    - mask (B, 1, H, W) in {0, 1}, 1 where missing
    - guide (B, 3, h, w) in [0, 1]
    - evidence (B, 4, H, W) in [0, 1]: `evidence.evidence` of the photograph that was reduced to `image`
    - has_mask, has_guide, has_evidence: bool (B,) or (1,), whether the input is used. An input that is not used may hold any
      values; the evidence is then taken from `image`.

    Its outputs are picture (B, 3, H, W) in [0, 1], mask_logits and log_std (B, 1, H, W), as in Prediction; mask_logits are 0 if
    all images have a mask, since nothing is detected then. A model that does not detect, such as baseline, has the input image
    and the output picture only.

    The file's metadata holds model, config (JSON), pixelrnn (the package's version), and a checksum that reveals damage.

    Args:
        model: A model from create_model.
        path: The file, which is written whole or not at all.
        metadata: Further entries for the file's metadata.

    Raises:
        PixelRNNError: If an output differs from torch's by more than 1e-4 at any of three other sizes, if the model is not a
            completion model, or if onnx or onnxruntime is missing.
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
    """Export `wrap(model)`, check and write it; `weightless` leaves the parameters out, as external initializers by name."""
    try:
        import onnx
        import onnxruntime  # noqa: F401  opened by open_session
    except ImportError as error:
        raise PixelRNNError(f"exporting needs {error.name}. Install it: pip install 'pixelrnn[train]'.") from None
    example = tuple(example_inputs(*EXAMPLE)[name] for name in inputs)

    def write(temporary: Path) -> None:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # deprecations of the tracer, and constants, which the check below would reveal
            # the wrapper must be in eval mode, or the exporter puts the model inside into training mode
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
        properties = {"model": str(model.name), "config": json.dumps(model_config(model))}
        properties |= {"pixelrnn": version("pixelrnn"), **metadata, "checksum": SEAL.decode() + "0" * 64}
        onnx.helper.set_model_props(written, properties)
        temporary.write_bytes(seal(written.SerializeToString(deterministic=True)))
        weights = {initializer.name for initializer in written.graph.initializer if initializer.external_data}
        session = open_session(temporary, {key: value.numpy() for key, value in model.state_dict().items() if key in weights})
        _check(model, session, inputs, outputs)

    write_atomically(path, write)


def simplified(path: Path) -> Any:
    """Apply ONNX Runtime's basic optimizations ahead of time, which halves the time to open the file.

    Args:
        path: An ONNX file.

    Returns:
        The optimized graph as an onnx.ModelProto, of standard operators only.
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
    del graph.opset_import[:]  # ONNX Runtime lists every domain that it knows
    graph.opset_import.extend(standard)
    return graph


def simplified_without(path: Path, names: Mapping[str, str]) -> tuple[Any, list[Any]]:
    """Simplify the graph of a file and take some initializers out of it.

    They are inputs during the simplification, so that nothing that depends on them is computed in advance.

    Args:
        path: An ONNX file, which is overwritten.
        names: The initializers to take out, with their new names.

    Returns:
        The graph as an onnx.ModelProto, and the initializers under their new names.
    """
    import onnx

    graph = onnx.load(path)
    parameters = [tensor for tensor in graph.graph.initializer if tensor.name in names]
    for tensor in parameters:
        graph.graph.initializer.remove(tensor)
        tensor.name = names[tensor.name]
        graph.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    _rename(graph.graph, names)
    onnx.save(graph, path)
    graph = simplified(path)
    kept = [value for value in graph.graph.input if value.name not in names.values()]
    del graph.graph.input[:]
    graph.graph.input.extend(kept)
    return graph, parameters


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Rename the inputs of all nodes, including those inside branches."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        for attribute in node.attribute:
            _rename(attribute.g, names)


def _without_weights(path: Path, model: CompletionModel) -> Any:
    """Return the simplified graph of a file, with the model's parameters as external initializers.

    They have their names in the state dict; whoever opens the file supplies them.
    """
    import onnx

    graph, parameters = simplified_without(path, {f"model.{key}": key for key in model.state_dict()})
    for tensor in parameters:
        tensor.ClearField("raw_data")
        tensor.data_location = tensor.EXTERNAL
        tensor.external_data.add(key="location", value="weights")
    _multiply_transposed(graph.graph)
    graph.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    graph.graph.initializer.extend(parameters)
    return graph


def _multiply_transposed(graph: Any) -> None:
    """Replace transposed matrix products by ONNX Runtime's own operator, which reads linear weights as torch stores them.

    Transposing ten million numbers would take a quarter of the time to open the graph.
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
    """A model whose only output is the completed image."""

    def __init__(self, model: CompletionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        picture: torch.Tensor = self.model(image).image
        return picture


def example_inputs(batch: int, height: int, width: int) -> dict[str, torch.Tensor]:
    """Make random inputs of a graph, by name, in the graph's order. In a batch of two, each flag is once true, once false."""
    generator = torch.Generator().manual_seed(0)
    image, mask, guide = (
        torch.rand(batch, *shape, generator=generator) for shape in ((3, height, width), (1, height, width), (3, 9, 13))
    )
    mask = (mask < 0.2).float()
    mask[..., height // 4 : height // 2, width // 4 : width // 2] = 1
    flags = torch.arange(batch) % 2 == 0
    evidence = torch.rand(batch, EVIDENCE, height, width, generator=generator)
    inputs = {"image": image, "mask": mask, "guide": guide, "evidence": evidence}
    return inputs | {"has_mask": flags, "has_guide": ~flags, "has_evidence": ~flags}


def _check(model: CompletionModel, session: Any, names: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    """Raise PixelRNNError if the outputs of an ONNX session differ from the model's."""
    for size in CHECKED:
        for inputs in _flag_combinations(example_inputs(*size)) if "has_guide" in names else (example_inputs(*size),):
            try:
                results = session.run(None, {name: inputs[name].numpy() for name in names})
            except Exception as error:  # ONNX Runtime's errors have no other common base class
                raise PixelRNNError(f"the ONNX graph fails for (B, H, W) = {size}; nothing was written ({error}).") from None
            for name, ours, theirs in zip(outputs, _expected(model, inputs, results, outputs), results, strict=True):
                worst = float(np.abs(ours.numpy() - theirs).max()) if ours.shape == theirs.shape else float("inf")
                if not worst <= TOLERANCE:
                    raise PixelRNNError(
                        f"the ONNX graph's {name} is off by {worst:.1e} from torch's for (B, H, W) = {size}, more than "
                        f"{TOLERANCE:.0e}; nothing was written. Try another scan, or report this network's config."
                    )


def _flag_combinations(inputs: dict[str, torch.Tensor]) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the inputs with mask and guide as flagged, with the flags swapped, and with both for all and for none."""
    masks, guides = inputs["has_mask"], inputs["has_guide"]
    for has_mask, has_guide in ((masks, guides), (guides, masks), (masks | guides,) * 2, (masks & guides,) * 2):
        yield {**inputs, "has_mask": has_mask, "has_guide": has_guide, "has_evidence": has_guide}


@torch.no_grad()
def _expected(
    model: CompletionModel, inputs: dict[str, torch.Tensor], results: list[np.ndarray], outputs: tuple[str, ...]
) -> tuple[Any, ...]:
    """Return torch's outputs, computed for one image at a time with the model's own optional arguments.

    `results` are the graph's outputs, of which the mask logits decide what counts as missing.
    """
    if outputs == ("picture",):
        return (model(inputs["image"]).image,)
    if outputs == ("picture", "log_std"):
        filled = model.fill(inputs["image"], inputs["mask"], inputs["guide"], inputs["has_guide"])
        return filled.image, filled.log_std
    if outputs == ("mask_logits",):
        return (model.detect(inputs["image"], inputs["evidence"]),)
    answers = []
    for i in range(len(inputs["image"])):
        image, mask, guide, evidence = (inputs[name][i : i + 1] for name in ("image", "mask", "guide", "evidence"))
        detected = model.detect(image, evidence if inputs["has_evidence"][i] else None)
        logits = torch.zeros_like(mask) if inputs["has_mask"].all() else detected
        # from the graph's own logits: a logit within rounding of 0 may fall on either side
        mask = mask if inputs["has_mask"][i] else occlusion(torch.from_numpy(results[1][i : i + 1]))
        filled = model.fill(image, mask, guide if inputs["has_guide"][i] else None)
        answers.append((filled.image, logits, filled.log_std))
    return tuple(torch.cat(parts) for parts in zip(*answers, strict=True))
