"""One 256 x 256 picture through every registered model on the CPU: ONNX Runtime, eager torch, eager torch in bf16. All run in
turns, so that a noisy machine is fair to all. A "blind" call finds the occlusion; the others get a mask, as completing does.

python benchmarks/forward.py [ROUNDS]; torch and ONNX Runtime have OMP_NUM_THREADS threads, 2 by default. The last line is one
JSON object: medians in milliseconds, their ratios to the baseline's on the same engine, parameters, GMAC.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pixelrnn import create_model, list_models
from pixelrnn.inference.export import export_onnx

THREADS = int(os.environ["OMP_NUM_THREADS"])
SIZE, WARM_UP = 256, 2  # the first calls choose kernels


def giga_macs(model: nn.Module, *inputs: torch.Tensor) -> float:
    """Multiplications of one pass, in 10^9: torch's counter knows convolutions and matrix products; recurrent layers, of which
    it knows nothing, are added as steps x directions x gates x hidden x (inputs + hidden)."""
    recurrent = 0

    def count(layer: nn.RNNBase, arguments: tuple[torch.Tensor, ...], _: object) -> None:
        nonlocal recurrent
        gates = {"GRU": 3, "LSTM": 4}[layer.mode]
        steps = arguments[0].shape[0] * arguments[0].shape[1] * (1 + layer.bidirectional)
        recurrent += steps * gates * layer.hidden_size * (layer.input_size + layer.hidden_size)

    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, nn.RNNBase)]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*inputs)
    for hook in hooks:
        hook.remove()
    operations: int = counter.get_total_flops()
    return (operations / 2 + recurrent) / 1e9


def session_of(model: nn.Module) -> onnxruntime.InferenceSession:
    """ONNX Runtime over the model's exported file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = THREADS, 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(model, path)
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def onnx_call(session: onnxruntime.InferenceSession, image: torch.Tensor, mask: torch.Tensor | None) -> Callable[[], object]:
    """A pass of ONNX Runtime."""
    inputs = {
        "image": image.contiguous().numpy(),
        "mask": np.zeros((1, 1, SIZE, SIZE), np.float32) if mask is None else mask.numpy(),
        "guide": np.zeros((1, 3, 1, 1), np.float32),
        "has_mask": np.array([mask is not None]),
        "has_guide": np.array([False]),
    }
    feeds = {one.name: inputs[one.name] for one in session.get_inputs()}
    return lambda: session.run(None, feeds)


def torch_call(model: nn.Module, half: bool, *inputs: torch.Tensor | None) -> Callable[[], object]:
    """A pass of eager torch, in bf16 where `half`."""

    def call() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            model(*inputs)

    return call


def main(rounds: int) -> None:
    torch.set_num_threads(THREADS)
    image = torch.rand(1, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    mask = (torch.rand(1, 1, SIZE, SIZE) > 0.9).float()
    layout: dict[str, Any] = {"memory_format": torch.channels_last}  # which the types of Module.to lack
    models = {name: create_model(name).eval().to(**layout) for name in list_models("completion")}
    calls: dict[tuple[str, str], Callable[[], object]] = {}
    for name, model in models.items():
        session = session_of(model)
        for label, given in ((name, mask), (f"{name} blind", None))[: 1 + bool(model.detects)]:
            calls["onnx float32", label] = onnx_call(session, image, given)
            calls["torch float32", label] = torch_call(model, False, image, given)
            calls["torch bf16", label] = torch_call(model, True, image, given)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    for round_number in range(rounds + WARM_UP):
        for key, call in calls.items():
            start = time.perf_counter()
            call()
            if round_number >= WARM_UP:
                times[key].append(1000 * (time.perf_counter() - start))
    medians = {key: statistics.median(values) for key, values in times.items()}
    about = {
        name: {"parameters": sum(p.numel() for p in model.parameters()), "gmac": round(giga_macs(model, image), 2)}
        for name, model in models.items()
    }
    for name, facts in about.items():
        print(f"{name:24s} {facts['parameters']:10,} parameters  {facts['gmac']:6.2f} GMAC")
    result: dict[str, dict[str, dict[str, float]]] = {}
    for (engine, label), median in medians.items():
        ratio = median / medians[engine, "baseline"]
        result.setdefault(engine, {})[label] = {"ms": round(median, 1), "to_baseline": round(ratio, 3)}
        print(f"{engine:14s} {label:24s} {median:8.1f} ms  {ratio:6.3f} of the baseline's")
    print(json.dumps({"size": SIZE, "threads": THREADS, "rounds": rounds, "models": about, "engines": result}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
