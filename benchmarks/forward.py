"""One 256 x 256 forward pass of every registered model, eager torch on the CPU, in turns: a noisy machine is then fair to all.

python benchmarks/forward.py [ROUNDS]; the last line is one JSON object of medians in milliseconds.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import json
import statistics
import sys
import time

import torch

from pixelrnn import create_model, list_models

SIZE, BATCH = 256, 1


def main(rounds: int) -> None:
    image = torch.rand(BATCH, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    mask = (torch.rand(BATCH, 1, SIZE, SIZE) > 0.9).float()
    models = {name: create_model(name).eval().to(memory_format=torch.channels_last) for name in list_models()}
    times: dict[str, list[float]] = {name: [] for name in models}
    with torch.inference_mode():
        for round_number in range(rounds + 2):
            for name, model in models.items():
                start = time.perf_counter()
                model(image, mask)
                if round_number >= 2:  # the first calls choose kernels
                    times[name].append(1000 * (time.perf_counter() - start))
    medians = {name: round(statistics.median(values), 1) for name, values in times.items()}
    for name, median in medians.items():
        parameters = sum(parameter.numel() for parameter in models[name].parameters())
        print(f"{name:20s} {parameters:10,} parameters  {median:7.1f} ms")
    print(json.dumps({"size": SIZE, "threads": torch.get_num_threads(), "rounds": rounds, "ms": medians}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
