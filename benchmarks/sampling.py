"""Cached sampling against the plain loop, and training steps, of the autoregressive models; the last line is one JSON object.

python benchmarks/sampling.py [--batch 16] [--side 32] [--positions 3] [MODEL:FEATURES:DEPTH ...]

By default the paper's CIFAR-10 sizes: row_lstm and diagonal_bilstm with 12 blocks, pixelcnn with 15, h = 128, and h = 16. RGB,
256 levels, softmax. Cached: the whole picture. Plain: a full pass per pixel and channel, of which `--positions` are timed, the
median scaled up to all. Untrained weights: they take the same time.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

from pixelrnn.models import create_model
from pixelrnn.models.autoregressive import Autoregressive

SIZES = [
    "row_lstm:128:12",
    "pixelcnn:128:15",
    "diagonal_bilstm:128:12",
    "row_lstm:16:12",
    "pixelcnn:16:15",
    "diagonal_bilstm:16:12",
]


def measure(size: str, batch: int, side: int, positions: int) -> dict[str, float]:
    """Seconds per picture batch, cached and plain, their ratio, and training steps per second."""
    name, features, depth = size.split(":")
    torch.manual_seed(0)
    options = {"features": int(features), "depth": int(depth), "head_features": 2 * int(features), "encoder_features": 0}
    model = create_model(name, **options)
    assert isinstance(model, Autoregressive)
    image = torch.zeros(batch, 3, side, side)

    def timed(step: Callable[[], object]) -> float:
        start = time.perf_counter()
        step()
        return time.perf_counter() - start

    def plain() -> None:
        with torch.no_grad():
            features = model.features(image, None)
            model.parameters_at(features[:, :, 0, 0])

    def train() -> None:
        model.zero_grad()
        model.log_prob(image).mean().backward()

    for step in (plain, train):  # the first of each is slower
        step()
    cached = timed(lambda: model.sample(image, None, torch.Generator().manual_seed(0)))
    passes = [timed(plain) for _ in range(positions)]
    whole = statistics.median(passes) * 3 * side * side
    steps = statistics.median(timed(train) for _ in range(2))
    return {"cached_s": cached, "plain_s_scaled": whole, "ratio": whole / cached, "training_steps_per_s": 1 / steps}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", default=SIZES)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--positions", type=int, default=3)
    asked = parser.parse_args()
    found = {}
    print(f"{asked.batch} pictures of {asked.side} x {asked.side}, RGB, {torch.get_num_threads()} threads")
    for size in asked.sizes:
        found[size] = measure(size, asked.batch, asked.side, asked.positions)
        figures = found[size]
        print(
            f"{size}: cached {figures['cached_s']:.1f} s, plain {figures['plain_s_scaled']:.0f} s "
            f"({asked.positions} passes, scaled up), {figures['ratio']:.0f} times; "
            f"{figures['training_steps_per_s']:.2f} training steps a second",
            flush=True,
        )
    print(json.dumps({"batch": asked.batch, "side": asked.side, "sizes": found}))


if __name__ == "__main__":
    main()
